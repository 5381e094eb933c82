// Descriptors that rings keep: the same results as without, closed when they are closed, and never
// taken for the next one of the same number.
#include <blitzio/io.hpp>

#include "support/raw_operations.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <chrono>
#include <string>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace std::chrono_literals;
using blitzio::runtime;
using blitzio::task;
using blitzio::detail::descriptor;
using blitzio::detail::op_kind;
using blitzio::test::raw_transfer;

namespace
{

blitzio::runtime_config keeping(unsigned files, unsigned workers)
{
    return {.io_threads = workers, .registered_files_max = files};
}

struct socket_ends
{
    descriptor near;
    descriptor far;
};

socket_ends make_pair(runtime& where)
{
    auto& os = blitzio::detail::system_of(where.core());
    int fds[2];
    REQUIRE(os.socket_pair(fds) == 0);
    return {descriptor(os, fds[0]), descriptor(os, fds[1])};
}

/// `rounds` times a byte there and back. How many were wrong.
task<int> ping_pong(int near, int far, int rounds, char seed)
{
    int wrong = 0;
    for (int round = 0; round < rounds; ++round)
    {
        char out = static_cast<char>(seed + round);
        const auto sent = co_await raw_transfer(op_kind::send, near, &out, 1);
        char in = 0;
        const auto got = co_await raw_transfer(op_kind::recv, far, &in, 1);
        wrong += sent && got && in == out ? 0 : 1;
    }
    co_return wrong;
}

bool ends_within(int fd, std::chrono::milliseconds patience)
{
    pollfd waits{fd, POLLIN, 0};
    char byte = 0;
    return ::poll(&waits, 1, static_cast<int>(patience.count())) == 1 && ::read(fd, &byte, 1) == 0;
}

} // namespace

TEST_CASE("what is used often is kept by the ring, if asked for", "[registered-files]")
{
    runtime where(keeping(32, 1));
    auto ends = make_pair(where);
    CHECK(where.metrics().registered_files == 0);
    CHECK(where.block_on(ping_pong(ends.near.get(), ends.far.get(), 100, 'a')) == 0);
    const bool has_rings = where.backend_name() == "io_uring";
    CHECK(where.metrics().registered_files == (has_rings ? 2 : 0));
    CHECK(where.explain().find(has_rings ? "registered files per ring: up to 32"
                                         : "registered files per ring: off (this backend") !=
          std::string::npos);
    runtime plain({.io_threads = 1});
    CHECK(plain.explain().find("registered files per ring: off (not asked for)") !=
          std::string::npos);
}

TEST_CASE("a descriptor that a ring keeps is closed when it is closed", "[registered-files]")
{
    for (const unsigned workers : {1u, 3u})
    {
        runtime where(keeping(32, workers));
        for (const bool on_worker : {false, true})
        {
            auto ends = make_pair(where);
            // On every worker.
            for (unsigned index = 0; index < workers; ++index)
            {
                auto used =
                    where.spawn_on(index, ping_pong(ends.near.get(), ends.far.get(), 40, 'k'));
                REQUIRE(where.block_on(std::move(used)) == 0);
            }
            if (on_worker)
            {
                where.block_on([&ends]() -> task<void> {
                    ends.near = {};
                    co_return;
                });
            }
            else
            {
                ends.near = {};
            }
            CHECK(ends_within(ends.far.get(), 10s));
        }
    }
}

TEST_CASE("the next descriptor of the same number is not taken for the last", "[registered-files]")
{
    for (const unsigned workers : {1u, 3u})
    {
        runtime where(keeping(8, workers));
        for (int round = 0; round < 150; ++round)
        {
            auto ends = make_pair(where);
            auto used =
                where.spawn_on(static_cast<unsigned>(round) % workers,
                               ping_pong(ends.near.get(), ends.far.get(), round % 4 == 0 ? 3 : 25,
                                         static_cast<char>(round)));
            REQUIRE(where.block_on(std::move(used)) == 0);
        }
    }
}

TEST_CASE("a full table leaves the others as they are", "[registered-files]")
{
    runtime where(keeping(4, 1));
    std::vector<socket_ends> all;
    for (int index = 0; index < 12; ++index)
    {
        all.push_back(make_pair(where));
        CHECK(where.block_on(ping_pong(all.back().near.get(), all.back().far.get(), 40, 'f')) == 0);
    }
    const std::uint64_t kept = where.metrics().registered_files;
    CHECK(kept == (where.backend_name() == "io_uring" ? 4 : 0));
    all.clear();
    auto ends = make_pair(where);
    CHECK(where.block_on(ping_pong(ends.near.get(), ends.far.get(), 40, 'g')) == 0);
    CHECK(where.metrics().registered_files <= 4);
}
