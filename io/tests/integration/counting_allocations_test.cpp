// What the hot paths of a warm runtime allocate: nothing. Thread rule: one worker, so that the
// count belongs to what is measured.
#include "support/allocation_counter.hpp"
#include "support/raw_operations.hpp"

#include <blitzio/io.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

using namespace std::chrono_literals;
using blitzio::task;
using blitzio::detail::descriptor;
using blitzio::detail::op_kind;
using blitzio::test::allocation_counter;
using blitzio::test::raw_step;
using blitzio::test::raw_transfer;

namespace
{

constexpr int rounds = 200;

struct socket_ends
{
    descriptor first;
    descriptor second;
};

task<socket_ends> make_ends()
{
    auto& os = blitzio::detail::system_of(*(co_await blitzio::this_task::env())->runtime);
    int fds[2] = {-1, -1};
    static_cast<void>(os.socket_pair(fds));
    co_return socket_ends{descriptor(os, fds[0]), descriptor(os, fds[1])};
}

/// `body(ends)` gives a task<bool>, whether all was as expected; it runs often, and the second half
/// of the times is counted.
template <class Body>
void expect_no_allocations(Body body)
{
    if (!blitzio::test::counts_allocations)
    {
        SKIP("the sanitizer brings its own operator new");
    }
    blitzio::runtime runtime({.io_threads = 1});
    INFO(runtime.backend_name());
    bool all_right = true;
    std::uint64_t counted = 0;
    runtime.block_on([&]() -> task<void> {
        const socket_ends ends = co_await make_ends();
        for (int round = 0; round < rounds; ++round)
        {
            all_right = co_await body(ends) && all_right;
        }
        const allocation_counter counter;
        for (int round = 0; round < rounds; ++round)
        {
            all_right = co_await body(ends) && all_right;
        }
        counted = counter.count();
    });
    CHECK(all_right);
    CHECK(counted == 0);
}

} // namespace

TEST_CASE("the allocation counter counts", "[counting]")
{
    if (!blitzio::test::counts_allocations)
    {
        SKIP("the sanitizer brings its own operator new");
    }
    const allocation_counter counter;
    // A call of the function itself: the compiler may leave out what a new expression allocates.
    void* const allocated = ::operator new(100);
    ::operator delete(allocated);
    CHECK(counter.count() >= 1);
}

TEST_CASE("an operation allocates nothing", "[counting]")
{
    expect_no_allocations([](const socket_ends& ends) -> task<bool> {
        char byte = 'x';
        const auto sent = co_await raw_transfer(op_kind::send, ends.first.get(), &byte, 1);
        const auto received = co_await raw_transfer(op_kind::recv, ends.second.get(), &byte, 1);
        const auto passed = co_await raw_step();
        co_return sent == 1u && received == 1u && passed.has_value();
    });
}

TEST_CASE("an operation that waits allocates nothing", "[counting]")
{
    expect_no_allocations([](const socket_ends& ends) -> task<bool> {
        char in = 0;
        char out = 'x';
        auto [received, sent] =
            co_await blitzio::when_all(raw_transfer(op_kind::recv, ends.second.get(), &in, 1),
                                       raw_transfer(op_kind::send, ends.first.get(), &out, 1));
        co_return sent == 1u && received == 1u;
    });
}

TEST_CASE("when_all allocates nothing, also for tasks", "[counting]")
{
    expect_no_allocations([](const socket_ends&) -> task<bool> {
        const auto give = [](int value) -> task<int> {
            co_await blitzio::yield();
            co_return value;
        };
        auto [first, second, third] = co_await blitzio::when_all(give(1), give(2), raw_step());
        co_return first == 1 && second == 2 && third.has_value();
    });
}

TEST_CASE("a timeout that is not reached allocates nothing", "[counting]")
{
    expect_no_allocations([](const socket_ends& ends) -> task<bool> {
        char byte = 'x';
        const auto sent = co_await raw_transfer(op_kind::send, ends.first.get(), &byte, 1);
        const auto received = co_await blitzio::timeout(
            10s, raw_transfer(op_kind::recv, ends.second.get(), &byte, 1));
        co_return sent == 1u && received == 1u;
    });
}

TEST_CASE("a deadline that cancels an operation allocates nothing", "[counting]")
{
    expect_no_allocations([](const socket_ends& ends) -> task<bool> {
        char byte = 0;
        const auto received = co_await blitzio::timeout(
            0ms, raw_transfer(op_kind::recv, ends.second.get(), &byte, 1));
        co_return !received && received.error() == std::errc::timed_out;
    });
}

TEST_CASE("a race with a loser that is cancelled allocates nothing", "[counting]")
{
    expect_no_allocations([](const socket_ends& ends) -> task<bool> {
        char byte = 0;
        const auto decided = co_await blitzio::race(
            raw_transfer(op_kind::recv, ends.second.get(), &byte, 1), raw_step());
        co_return decided.index() == 1;
    });
}

TEST_CASE("sleeping and yielding allocate nothing", "[counting]")
{
    expect_no_allocations([](const socket_ends&) -> task<bool> {
        co_await blitzio::yield();
        co_return (co_await blitzio::sleep_for(0ms)).has_value();
    });
}
