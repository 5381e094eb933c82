// Stopping socket operations: they end, lose nothing, and leave no descriptor behind.
// Thread rule: the test's thread.
#include "support.hpp"

#include <blitzio/io/race.hpp>
#include <blitzio/io/sleep.hpp>
#include <blitzio/io/spawn.hpp>
#include <blitzio/io/this_task.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/yield.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <chrono>
#include <optional>
#include <vector>

using namespace net_tests;
using namespace std::chrono_literals;

namespace
{

template <class Outcome>
bool is(const Outcome& outcome, std::errc code)
{
    return !outcome && outcome.error() == code;
}

/// A listener whose queue is full, so that a further connection is not answered.
struct full_listener
{
    net::tcp_listener listener;
    std::vector<net::tcp_stream> queued;
};

bz::task<std::optional<full_listener>> fill_listener()
{
    net::listen_options options;
    options.backlog = 1;
    full_listener full;
    full.listener = bz::or_throw(co_await net::tcp_listener::bind(loopback(), options), "bind");
    const auto where = bz::or_throw(full.listener.local_endpoint());
    for (int attempt = 0; attempt < 20; ++attempt)
    {
        auto stream = co_await bz::timeout(30ms, net::tcp_stream::connect(where));
        if (!stream)
        {
            EXPECT(is(stream, std::errc::timed_out));
            co_return full;
        }
        full.queued.push_back(std::move(*stream));
    }
    co_return std::nullopt;
}

bz::task<void> every_operation_times_out()
{
    auto full = co_await fill_listener();
    EXPECT(full.has_value());

    auto quiet = bz::or_throw(co_await net::tcp_listener::bind(loopback()), "bind");
    EXPECT(is(co_await bz::timeout(10ms, quiet.accept()), std::errc::timed_out));

    auto pair = co_await connect_pair();
    std::array<std::byte, 16> buffer;
    EXPECT(is(co_await bz::timeout(10ms, pair.client.read_some(buffer)), std::errc::timed_out));
    EXPECT(is(co_await bz::timeout(10ms, pair.client.read_exactly(buffer)), std::errc::timed_out));
    std::string text;
    EXPECT(
        is(co_await bz::timeout(10ms, pair.client.read_until(text, "\n")), std::errc::timed_out));
    // More than both sockets hold.
    const std::string data(32 * 1024 * 1024, 'w');
    EXPECT(is(co_await bz::timeout(20ms, pair.server.write_all(data)), std::errc::timed_out));
    for (;;)
    {
        // The kernel may find a little more room; once it does not, the write has to wait.
        const auto written = co_await bz::timeout(10ms, pair.server.write_some(data));
        if (!written)
        {
            EXPECT(is(written, std::errc::timed_out));
            break;
        }
    }
    // What a timed-out operation leaves is a stream that works.
    EXPECT((co_await pair.client.read_exactly(buffer)).has_value());
}

} // namespace

TEST_CASE("every operation that waits can time out")
{
    on_every_runtime([](bool) { return every_operation_times_out(); }, 10);
}

TEST_CASE("an operation that is stopped before it begins does nothing")
{
    on_every_runtime(
        [](bool) -> bz::task<void> {
            auto listener = bz::or_throw(co_await net::tcp_listener::bind(loopback()), "bind");
            auto pair = co_await connect_pair(listener);
            EXPECT((co_await pair.server.write_all("kept")).has_value());
            co_await bz::scope([&](bz::task_group& group) -> bz::task<void> {
                group.request_stop();
                std::array<std::byte, 4> buffer;
                EXPECT(
                    is(co_await pair.client.read_exactly(buffer), std::errc::operation_canceled));
                EXPECT(is(co_await pair.client.write_all("lost"), std::errc::operation_canceled));
                EXPECT(is(co_await listener.accept(), std::errc::operation_canceled));
                const auto where = bz::or_throw(listener.local_endpoint());
                EXPECT(is(co_await net::tcp_stream::connect(where), std::errc::operation_canceled));
            });
            std::string kept(4, '\0');
            EXPECT((co_await pair.client.read_exactly(writable(kept))).has_value());
            EXPECT(kept == "kept");
            EXPECT((co_await pair.client.write_all("next")).has_value());
            std::string next(4, '\0');
            EXPECT((co_await pair.server.read_exactly(writable(next))).has_value());
            EXPECT(next == "next");
        },
        20);
}

TEST_CASE("a stop request ends a read that waits, whoever asks")
{
    on_every_runtime(
        [](bool) -> bz::task<void> {
            auto pair = co_await connect_pair();
            const bz::task_env* const env = co_await bz::this_task::env();
            auto reading = [&]() -> bz::task<bz::result<std::size_t>> {
                std::array<std::byte, 16> buffer;
                co_return co_await pair.client.read_some(buffer);
            };
            for (int round = 0; round < 50; ++round)
            {
                auto handle = bz::detail::spawn_on(*env->runtime, reading, {},
                                                   std::source_location::current());
                for (int turn = 0; turn < round % 5; ++turn)
                {
                    co_await bz::yield();
                }
                handle.request_stop();
                EXPECT(is(co_await std::move(handle), std::errc::operation_canceled));
            }
        },
        20);
}

namespace
{

/// Reads with deadlines so short that many of them are missed.
bz::task<void> read_with_deadlines(net::tcp_stream& stream, const std::string& expected)
{
    std::string received;
    std::array<std::byte, 64> buffer;
    unsigned round = 0;
    while (received.size() < expected.size())
    {
        const auto deadline = std::chrono::microseconds(100 * (round++ % 20));
        const auto got = co_await bz::timeout(deadline, stream.read_some(buffer));
        if (!got)
        {
            EXPECT(is(got, std::errc::timed_out));
            continue;
        }
        EXPECT(*got > 0);
        if (*got == 0)
        {
            break;
        }
        received.append(reinterpret_cast<const char*>(buffer.data()), *got);
    }
    EXPECT(received == expected);
}

bz::task<void> send_in_pieces(net::tcp_stream& stream, const std::string& data)
{
    for (std::size_t position = 0; position < data.size(); position += 100)
    {
        EXPECT(
            (co_await stream.write_all(std::string_view(data).substr(position, 100))).has_value());
        if (position % 700 == 0)
        {
            EXPECT((co_await bz::sleep_for(1ms)).has_value());
        }
    }
}

} // namespace

TEST_CASE("a read that misses its deadline loses no byte")
{
    on_every_runtime(
        [](bool simulated) -> bz::task<void> {
            auto pair = co_await connect_pair();
            const std::string data = pattern(simulated ? 2000 : 20'000);
            co_await bz::when_all(read_with_deadlines(pair.server, data),
                                  send_in_pieces(pair.client, data));
        },
        60);
}

TEST_CASE("an accept that loses a race keeps or delivers its connection")
{
    on_every_runtime(
        [](bool simulated) -> bz::task<void> {
            auto listener = bz::or_throw(co_await net::tcp_listener::bind(loopback()), "bind");
            const auto where = bz::or_throw(listener.local_endpoint());
            const unsigned rounds = simulated ? 6 : 60;
            for (unsigned round = 0; round < rounds; ++round)
            {
                auto serve = [&]() -> bz::task<void> {
                    for (;;)
                    {
                        const auto deadline = std::chrono::microseconds(50 * (round % 11));
                        auto stream = co_await bz::timeout(deadline, listener.accept());
                        if (stream)
                        {
                            EXPECT((co_await stream->write_all("!")).has_value());
                            co_return;
                        }
                        EXPECT(is(stream, std::errc::timed_out));
                    }
                };
                auto visit = [&]() -> bz::task<void> {
                    auto stream = bz::or_throw(co_await net::tcp_stream::connect(where));
                    std::string mark(1, '\0');
                    EXPECT((co_await stream.read_exactly(writable(mark))).has_value());
                    EXPECT(mark == "!");
                };
                co_await bz::when_all(serve(), visit());
            }
        },
        40);
}

TEST_CASE("no descriptor is left behind, whatever happens to the operations")
{
    const std::size_t before = open_descriptors();
    on_kernel_runtimes([](bool) -> bz::task<void> {
        auto listener = bz::or_throw(co_await net::tcp_listener::bind(loopback()), "bind");
        const auto where = bz::or_throw(listener.local_endpoint());
        const std::size_t at_start = open_descriptors();
        for (int round = 0; round < 20; ++round)
        {
            {
                auto pair = co_await connect_pair(listener);
                auto moved = std::move(pair.client);
                pair.server = std::move(moved);
                EXPECT(pair.server.is_open());
                EXPECT(!moved.is_open());
            }
            // Never awaited.
            static_cast<void>(net::tcp_stream::connect(where));
            static_cast<void>(net::tcp_listener::bind(loopback()));
            // Both may win; the loser's result is dropped.
            co_await bz::race(net::tcp_stream::connect(where), net::tcp_stream::connect(where));
            static_cast<void>(co_await bz::timeout(0ms, net::tcp_stream::connect(where)));
            static_cast<void>(co_await bz::race(listener.accept(), listener.accept()));
            for (;;)
            {
                if (!co_await bz::timeout(5ms, listener.accept()))
                {
                    break;
                }
            }
            // A failed attempt.
            const net::endpoint nobody{net::ipv4::loopback(), 1};
            static_cast<void>(co_await net::tcp_stream::connect(nobody));
            // A bind that fails after its socket was opened.
            static_cast<void>(co_await net::tcp_listener::bind(where));
        }
        EXPECT(open_descriptors() == at_start);
    });
    CHECK(open_descriptors() == before);
}

namespace
{

/// The request may come at any moment, so each step may be the one that ends with it.
bz::task<void> wait_for_ever(bool reads)
{
    auto listener = bz::or_throw(co_await net::tcp_listener::bind(loopback()), "bind");
    const auto where = bz::or_throw(listener.local_endpoint());
    auto stream = co_await net::tcp_stream::connect(where);
    if (!stream)
    {
        EXPECT(is(stream, std::errc::operation_canceled));
        co_return;
    }
    if (reads)
    {
        std::array<std::byte, 16> buffer;
        EXPECT(is(co_await stream->read_some(buffer), std::errc::operation_canceled));
        co_return;
    }
    for (;;)
    {
        const auto accepted = co_await listener.accept();
        if (!accepted)
        {
            EXPECT(is(accepted, std::errc::operation_canceled));
            co_return;
        }
    }
}

} // namespace

TEST_CASE("a runtime that goes away stops tasks that wait for the network")
{
    const std::size_t before = open_descriptors();
    for (int round = 0; round < 10; ++round)
    {
        bz::runtime_config config;
        config.io_threads = 2;
        bz::runtime runtime(std::move(config));
        // Not awaited: leaving the block ends them, wherever they are.
        const auto first = runtime.spawn([] { return wait_for_ever(true); });
        const auto second = runtime.spawn([] { return wait_for_ever(false); });
        if (round % 2 == 0)
        {
            runtime.block_on(bz::sleep_for(2ms));
        }
    }
    report_failures();
    CHECK(open_descriptors() == before);
}
