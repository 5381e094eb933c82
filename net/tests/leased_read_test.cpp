// Leased reads of connections: what they give, what becomes of the leases, and what they cost.
// Thread rule: the test's thread.
#include "support.hpp"

#include <blitzio/io/timeout.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <vector>
#include <version>

#if defined(__cpp_lib_format)
#include <format>
#endif

using namespace net_tests;
using namespace std::chrono_literals;

namespace
{

bz::task<void> leased_echo(net::tcp_stream& stream)
{
    for (;;)
    {
        auto got = co_await stream.read_leased();
        EXPECT(got.has_value());
        if (!got || got->empty())
        {
            co_return;
        }
        EXPECT((co_await stream.write_all(got->bytes())).has_value());
    }
}

bz::task<int> send_and_end(net::tcp_stream& stream, const std::string& data)
{
    EXPECT((co_await stream.write_all(data)).has_value());
    EXPECT(stream.shutdown(net::shutdown_direction::send).has_value());
    co_return 0;
}

bz::task<std::string> read_to_end(net::tcp_stream& stream)
{
    std::string all;
    for (;;)
    {
        const auto got = co_await stream.read_leased();
        EXPECT(got.has_value());
        if (!got || got->empty())
        {
            co_return all;
        }
        all.append(reinterpret_cast<const char*>(got->bytes().data()), got->size());
    }
}

} // namespace

TEST_CASE("leased reads give every byte in order, then the end")
{
    on_every_runtime([](bool simulated) -> bz::task<void> {
        auto pair = co_await connect_pair();
        const std::string data = pattern(simulated ? 100'000 : 2'000'000);
        auto both =
            co_await bz::when_all(send_and_end(pair.client, data), read_to_end(pair.server));
        EXPECT(std::get<1>(both) == data);
        // The end stays the end.
        const auto again = co_await pair.server.read_leased();
        EXPECT(again.has_value());
        EXPECT(again->empty());
        EXPECT(!*again);
    });
}

TEST_CASE("a leased read gives no more than it is asked for")
{
    on_every_runtime([](bool) -> bz::task<void> {
        auto pair = co_await connect_pair();
        EXPECT((co_await pair.client.write_all("abcdefgh")).has_value());
        std::string all;
        while (all.size() < 8)
        {
            const auto got = co_await pair.server.read_leased(3);
            EXPECT(got.has_value());
            EXPECT(got->size() <= 3 && !got->empty());
            all.append(reinterpret_cast<const char*>(got->bytes().data()), got->size());
        }
        EXPECT(all == "abcdefgh");
    });
}

TEST_CASE("a leased read that is stopped loses neither bytes nor buffers")
{
    on_every_runtime([](bool) -> bz::task<void> {
        auto pair = co_await connect_pair();
        for (int round = 0; round < 20; ++round)
        {
            const auto waited = co_await bz::timeout(1ms, pair.server.read_leased());
            EXPECT(!waited && waited.error() == std::errc::timed_out);
            EXPECT((co_await pair.client.write_all("x")).has_value());
            const auto got = co_await pair.server.read_leased();
            EXPECT(got && got->size() == 1);
        }
        // A race that the bytes may win at any moment.
        std::size_t received = 0;
        for (int round = 0; round < 50; ++round)
        {
            EXPECT((co_await pair.client.write_all("y")).has_value());
            const auto got = co_await bz::timeout(10us, pair.server.read_leased());
            received += got ? got->size() : 0;
        }
        while (received < 50)
        {
            const auto got = co_await pair.server.read_leased();
            EXPECT(got && !got->empty());
            if (!got || got->empty())
            {
                co_return;
            }
            received += got->size();
        }
        EXPECT(received == 50);
    });
}

TEST_CASE("a leased read without a socket is an error")
{
    on_kernel_runtimes([](bool) -> bz::task<void> {
        net::tcp_stream none;
        const auto got = co_await none.read_leased();
        EXPECT(!got && got.error() == std::errc::bad_file_descriptor);
    });
}

TEST_CASE("when all buffers are on loan a leased read is an error, and can be repeated")
{
    bz::runtime_config config;
    config.io_threads = 1;
    config.read_buffer_bytes = 1024;
    config.read_buffers_max = 16;
    config.buffer_pool_bytes_max = 4096;
    bz::runtime runtime(std::move(config));
    runtime.block_on([]() -> bz::task<void> {
        auto pair = co_await connect_pair();
        std::vector<bz::leased_buffer> kept;
        std::error_code refused;
        while (!refused && kept.size() < 100)
        {
            EXPECT((co_await pair.client.write_all("k")).has_value());
            auto got = co_await pair.server.read_leased();
            if (got)
            {
                kept.push_back(*std::move(got));
            }
            else
            {
                refused = got.error();
            }
        }
        EXPECT(refused == std::errc::no_buffer_space);
        EXPECT(kept.size() == 20);
        kept.clear();
        const auto got = co_await pair.server.read_leased();
        EXPECT(got && got->size() == 1);
    });
    report_failures();
}

TEST_CASE("a lease outlives its stream and its runtime")
{
    bz::leased_buffer kept;
    {
        bz::runtime_config config;
        config.io_threads = 2;
        bz::runtime runtime(std::move(config));
        runtime.block_on([&kept]() -> bz::task<void> {
            auto pair = co_await connect_pair();
            EXPECT((co_await pair.client.write_all("kept")).has_value());
            auto got = co_await pair.server.read_leased();
            EXPECT(got.has_value());
            kept = *std::move(got);
        });
    }
    CHECK(kept.bytes()[0] == std::byte{'k'});
    std::thread other([&kept] { kept.release(); });
    other.join();
    report_failures();
}

TEST_CASE("a warm leased echo allocates nothing")
{
    if (!BLITZIO_TESTS_COUNT_ALLOCATIONS)
    {
        SKIP("the sanitizer brings its own operator new");
    }
    bz::runtime_config config;
    config.io_threads = 1;
    bz::runtime runtime(std::move(config));
    std::uint64_t used = 1;
    runtime.block_on([&used]() -> bz::task<void> {
        auto pair = co_await connect_pair();
        const auto ask = [](net::tcp_stream& stream, std::uint64_t& count) -> bz::task<void> {
            std::array<std::byte, 256> buffer{};
            for (int round = 0; round < 2000; ++round)
            {
                if (round == 1000)
                {
                    count = allocations();
                }
                EXPECT((co_await stream.write_all(buffer)).has_value());
                EXPECT((co_await stream.read_exactly(buffer)).has_value());
            }
            count = allocations() - count;
            EXPECT(stream.shutdown(net::shutdown_direction::send).has_value());
        };
        co_await bz::when_all(leased_echo(pair.server), ask(pair.client, used));
    });
    report_failures();
    CHECK(used == 0);
}

TEST_CASE("addresses can be formatted, where the library knows how")
{
#if defined(__cpp_lib_format)
    const net::endpoint where{net::ipv4::loopback(), 8080};
    CHECK(std::format("{}", where) == "127.0.0.1:8080");
    CHECK(std::format("[{:>16}]", where) == "[  127.0.0.1:8080]");
    CHECK(std::format("{}", where.address) == "127.0.0.1");
    CHECK(std::format("{}", net::ipv4::loopback()) == "127.0.0.1");
    CHECK(std::format("{}", net::ipv6::loopback()) == "::1");
#else
    SKIP("this standard library has no std::format");
#endif
}
