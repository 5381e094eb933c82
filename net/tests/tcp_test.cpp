// TCP connections as they are used: exchanging, ending, failing. Every body runs on the kernel's
// backend and in simulated worlds. Thread rule: the test's thread.
#include "support.hpp"

#include <blitzio/io/sleep.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/try.hpp>
#include <blitzio/io/yield.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <chrono>
#include <vector>

using namespace net_tests;
using namespace std::chrono_literals;

namespace
{

bz::task<void> accept_and_echo(net::tcp_listener& listener, std::size_t connections)
{
    co_await bz::scope([&](bz::task_group& group) -> bz::task<void> {
        for (std::size_t count = 0; count < connections; ++count)
        {
            group.spawn(echo(bz::or_throw(co_await listener.accept(), "accept")));
        }
    });
}

/// Sends messages of several sizes and expects each of them back.
bz::task<void> talk(net::endpoint where, unsigned salt)
{
    auto stream = bz::or_throw(co_await net::tcp_stream::connect(where), "connect");
    for (const std::size_t size : {1u, 17u, 4096u, 10'000u})
    {
        const std::string sent = pattern(size, salt);
        std::string received(size, '\0');
        auto [written, read] =
            co_await bz::when_all(stream.write_all(sent), stream.read_exactly(writable(received)));
        EXPECT(written.has_value());
        EXPECT(read.has_value());
        EXPECT(received == sent);
    }
}

bz::task<void> many_talks(std::size_t connections)
{
    auto listener = bz::or_throw(co_await net::tcp_listener::bind(loopback()), "bind");
    const auto where = bz::or_throw(listener.local_endpoint());
    co_await bz::scope([&](bz::task_group& group) -> bz::task<void> {
        group.spawn(accept_and_echo(listener, connections));
        for (std::size_t index = 0; index < connections; ++index)
        {
            group.spawn(talk(where, static_cast<unsigned>(index)));
        }
        co_return;
    });
}

} // namespace

TEST_CASE("an echo gives back what was sent")
{
    on_every_runtime([](bool) { return many_talks(1); });
}

TEST_CASE("many connections at once do not mix their bytes")
{
    on_every_runtime([](bool simulated) { return many_talks(simulated ? 12 : 200); }, 15);
}

TEST_CASE("a connection over IPv6 works like one over IPv4")
{
    on_every_runtime(
        [](bool) -> bz::task<void> {
            const net::endpoint any_port{net::ipv6::loopback(), 0};
            auto bound = co_await net::tcp_listener::bind(any_port);
            if (!bound && bound.error() == std::errc::address_not_available)
            {
                co_return; // a machine without IPv6
            }
            auto listener = bz::or_throw(std::move(bound), "bind");
            auto pair = co_await connect_pair(listener);
            EXPECT((co_await pair.client.write_all("six")).has_value());
            std::string received(3, '\0');
            EXPECT((co_await pair.server.read_exactly(writable(received))).has_value());
            EXPECT(received == "six");
            EXPECT(pair.client.peer_endpoint()->address == net::address(net::ipv6::loopback()));
        },
        10);
}

TEST_CASE("both ends name the same two endpoints")
{
    on_every_runtime(
        [](bool) -> bz::task<void> {
            auto listener = bz::or_throw(co_await net::tcp_listener::bind(loopback()), "bind");
            const auto where = bz::or_throw(listener.local_endpoint());
            EXPECT(where.address == net::address(net::ipv4::loopback()));
            EXPECT(where.port != 0);
            auto pair = co_await connect_pair(listener);
            EXPECT(pair.client.peer_endpoint() == where);
            EXPECT(pair.server.local_endpoint() == where);
            EXPECT(pair.server.peer_endpoint() == pair.client.local_endpoint());
        },
        5);
}

TEST_CASE("after a half-close the other direction still works")
{
    on_every_runtime([](bool) -> bz::task<void> {
        auto pair = co_await connect_pair();
        EXPECT((co_await pair.client.write_all("question")).has_value());
        EXPECT(pair.client.shutdown(net::shutdown_direction::send).has_value());

        std::string question;
        std::array<std::byte, 3> buffer;
        for (;;)
        {
            const auto got = bz::or_throw(co_await pair.server.read_some(buffer), "read");
            if (got == 0)
            {
                break;
            }
            question.append(reinterpret_cast<const char*>(buffer.data()), got);
        }
        EXPECT(question == "question");
        // The end of a stream stays.
        EXPECT(co_await pair.server.read_some(buffer) == 0u);

        EXPECT((co_await pair.server.write_all("answer")).has_value());
        EXPECT(pair.server.close().has_value());
        std::string answer(6, '\0');
        EXPECT((co_await pair.client.read_exactly(writable(answer))).has_value());
        EXPECT(answer == "answer");
        EXPECT(co_await pair.client.read_some(buffer) == 0u);
        const auto written = co_await pair.client.write_some("too late");
        EXPECT(!written && written.error() == std::errc::broken_pipe);
    });
}

TEST_CASE("shutting down both directions ends the peer's stream and one's own")
{
    on_every_runtime(
        [](bool) -> bz::task<void> {
            auto pair = co_await connect_pair();
            EXPECT(pair.client.shutdown(net::shutdown_direction::both).has_value());
            std::array<std::byte, 8> buffer;
            EXPECT(co_await pair.server.read_some(buffer) == 0u);
            EXPECT(co_await pair.client.read_some(buffer) == 0u);
        },
        10);
}

TEST_CASE("a reset connection is an error, not an end of stream")
{
    on_every_runtime([](bool) -> bz::task<void> {
        auto pair = co_await connect_pair();
        EXPECT(pair.server.set_linger(0s).has_value());
        EXPECT(pair.server.close().has_value());
        std::array<std::byte, 8> buffer;
        const auto read = co_await pair.client.read_some(buffer);
        EXPECT(!read && read.error() == std::errc::connection_reset);
        const auto written = co_await pair.client.write_all("anybody there?");
        EXPECT(!written && written.error() == std::errc::broken_pipe);
    });
}

TEST_CASE("connecting to a port where nobody listens is refused")
{
    on_every_runtime([](bool) -> bz::task<void> {
        auto listener = bz::or_throw(co_await net::tcp_listener::bind(loopback()), "bind");
        const auto where = bz::or_throw(listener.local_endpoint());
        EXPECT(listener.close().has_value());
        EXPECT(!listener.is_open());
        const auto refused = co_await net::tcp_stream::connect(where);
        EXPECT(!refused && refused.error() == std::errc::connection_refused);
    });
}

TEST_CASE("a port in use is an error value, unless both listeners share it")
{
    on_every_runtime(
        [](bool) -> bz::task<void> {
            auto listener = bz::or_throw(co_await net::tcp_listener::bind(loopback()), "bind");
            const auto where = bz::or_throw(listener.local_endpoint());
            const auto second = co_await net::tcp_listener::bind(where);
            EXPECT(!second && second.error() == std::errc::address_in_use);
            EXPECT(listener.close().has_value());

            net::listen_options shared;
            shared.reuse_port = true;
            const auto one = co_await net::tcp_listener::bind(where, shared);
            const auto two = co_await net::tcp_listener::bind(where, shared);
            EXPECT(one.has_value());
            EXPECT(two.has_value());
        },
        10);
}

TEST_CASE("an address that is not ours cannot be bound")
{
    on_every_runtime(
        [](bool) -> bz::task<void> {
            const net::endpoint elsewhere{net::ipv4(192, 0, 2, 1), 0};
            const auto bound = co_await net::tcp_listener::bind(elsewhere);
            EXPECT(!bound && bound.error() == std::errc::address_not_available);
        },
        3);
}

TEST_CASE("a port can be bound again while its old connections fade away")
{
    on_every_runtime(
        [](bool) -> bz::task<void> {
            auto listener = bz::or_throw(co_await net::tcp_listener::bind(loopback()), "bind");
            const auto where = bz::or_throw(listener.local_endpoint());
            {
                auto pair = co_await connect_pair(listener);
                // The side that ends first keeps the port in TIME_WAIT.
                EXPECT(pair.server.shutdown(net::shutdown_direction::both).has_value());
                std::array<std::byte, 1> buffer;
                EXPECT(co_await pair.client.read_some(buffer) == 0u);
            }
            EXPECT(listener.close().has_value());
            const auto again = co_await net::tcp_listener::bind(where);
            EXPECT(again.has_value());
        },
        10);
}

TEST_CASE("read_exactly says when the stream ends too early")
{
    on_every_runtime([](bool) -> bz::task<void> {
        auto pair = co_await connect_pair();
        EXPECT((co_await pair.client.write_all("abcde")).has_value());
        EXPECT(pair.client.close().has_value());
        std::string first(3, '\0');
        EXPECT((co_await pair.server.read_exactly(writable(first))).has_value());
        EXPECT(first == "abc");
        std::string second(3, '\0');
        const auto cut = co_await pair.server.read_exactly(writable(second));
        EXPECT(!cut && cut.error() == bz::io_errc::end_of_stream);
        EXPECT(second.substr(0, 2) == "de");
        const auto none = co_await pair.server.read_exactly(std::span<std::byte>());
        EXPECT(none.has_value());
    });
}

namespace
{

/// Reads in small pieces and gives the sender turns in between.
bz::task<void> read_slowly(net::tcp_stream& stream, const std::string& expected)
{
    std::string received;
    std::vector<std::byte> buffer(40'000);
    while (received.size() < expected.size())
    {
        const auto got = bz::or_throw(co_await stream.read_some(buffer), "read");
        EXPECT(got > 0);
        if (got == 0)
        {
            co_return;
        }
        received.append(reinterpret_cast<const char*>(buffer.data()), got);
        co_await bz::yield();
    }
    EXPECT(received == expected);
}

} // namespace

TEST_CASE("write_all hands over eight megabytes to a slow reader")
{
    on_every_runtime(
        [](bool simulated) -> bz::task<void> {
            auto pair = co_await connect_pair();
            const std::string data = pattern(simulated ? 300'000 : 8 * 1024 * 1024);
            auto writing = [&]() -> bz::task<void> {
                EXPECT((co_await pair.client.write_all(data)).has_value());
            };
            co_await bz::when_all(writing(), read_slowly(pair.server, data));
        },
        15);
}

TEST_CASE("one task may read while another writes the same stream")
{
    on_every_runtime(
        [](bool simulated) -> bz::task<void> {
            auto pair = co_await connect_pair();
            const std::size_t size = simulated ? 100'000 : 3 * 1024 * 1024;
            const std::string up = pattern(size, 1);
            const std::string down = pattern(size, 2);
            auto send = [](net::tcp_stream& stream, const std::string& data) -> bz::task<void> {
                EXPECT((co_await stream.write_all(data)).has_value());
            };
            co_await bz::when_all(send(pair.client, up), send(pair.server, down),
                                  read_slowly(pair.server, up), read_slowly(pair.client, down));
        },
        15);
}

TEST_CASE("options have the documented defaults and keep what they are set to")
{
    on_every_runtime(
        [](bool) -> bz::task<void> {
            auto pair = co_await connect_pair();
            for (net::tcp_stream* const stream : {&pair.client, &pair.server})
            {
                EXPECT(stream->no_delay() == true);
                EXPECT(stream->set_no_delay(false).has_value());
                EXPECT(stream->no_delay() == false);
                EXPECT(stream->keep_alive() == false);
                EXPECT(stream->set_keep_alive(true).has_value());
                EXPECT(stream->keep_alive() == true);
                EXPECT(stream->linger().value() == std::nullopt);
                EXPECT(stream->set_linger(3s).has_value());
                EXPECT(stream->linger().value() == 3s);
                EXPECT(stream->set_linger(std::nullopt).has_value());
                EXPECT(stream->linger().value() == std::nullopt);
                EXPECT(stream->set_linger(-1s).error() == std::errc::invalid_argument);
                EXPECT(stream->set_send_buffer_size(32 * 1024).has_value());
                EXPECT(stream->send_buffer_size().value() >= 32 * 1024);
                EXPECT(stream->set_receive_buffer_size(48 * 1024).has_value());
                EXPECT(stream->receive_buffer_size().value() >= 48 * 1024);
            }
        },
        3);
}

TEST_CASE("nothing to transfer is answered without the kernel")
{
    on_every_runtime(
        [](bool) -> bz::task<void> {
            auto pair = co_await connect_pair();
            const auto read = co_await pair.client.read_some(std::span<std::byte>());
            EXPECT(!read && read.error() == std::errc::invalid_argument);
            EXPECT(co_await pair.client.write_some("") == 0u);
            EXPECT((co_await pair.client.write_all("")).has_value());
        },
        3);
}

TEST_CASE("operations on a stream without a socket fail with bad_file_descriptor")
{
    on_every_runtime(
        [](bool) -> bz::task<void> {
            net::tcp_stream stream;
            net::tcp_listener listener;
            std::array<std::byte, 4> buffer;
            std::string text;
            const auto is_bad = [](const auto& outcome) {
                return !outcome && outcome.error() == std::errc::bad_file_descriptor;
            };
            EXPECT(is_bad(co_await stream.read_some(buffer)));
            EXPECT(is_bad(co_await stream.read_exactly(buffer)));
            EXPECT(is_bad(co_await stream.read_until(text, "\n")));
            EXPECT(is_bad(co_await stream.write_some("x")));
            EXPECT(is_bad(co_await stream.write_all("x")));
            EXPECT(is_bad(co_await listener.accept()));
            EXPECT(is_bad(stream.shutdown(net::shutdown_direction::both)));
            EXPECT(is_bad(stream.local_endpoint()));
            EXPECT(is_bad(stream.peer_endpoint()));
            EXPECT(is_bad(listener.local_endpoint()));
            EXPECT(is_bad(stream.set_no_delay(true)));
            EXPECT(is_bad(stream.no_delay()));
            EXPECT(stream.close().has_value());
            EXPECT(listener.close().has_value());
        },
        2);
}

TEST_CASE("numbers of closed descriptors are used again without confusion")
{
    on_every_runtime(
        [](bool simulated) -> bz::task<void> {
            auto listener = bz::or_throw(co_await net::tcp_listener::bind(loopback()), "bind");
            const unsigned rounds = simulated ? 20 : 300;
            for (unsigned round = 0; round < rounds; ++round)
            {
                auto pair = co_await connect_pair(listener);
                const std::string sent = std::to_string(round) + '\n';
                EXPECT((co_await pair.client.write_all(sent)).has_value());
                // Closed with a byte unread on the other side every now and then.
                if (round % 3 == 0)
                {
                    continue;
                }
                std::string received;
                const auto length = co_await pair.server.read_until(received, "\n");
                EXPECT(length.has_value());
                EXPECT(received == sent);
                EXPECT((round % 2 == 0 ? pair.client : pair.server).close().has_value());
            }
        },
        15);
}

TEST_CASE("read_until finds delimiters wherever the pieces are cut")
{
    on_every_runtime([](bool) -> bz::task<void> {
        auto pair = co_await connect_pair();
        const std::vector<std::string> lines = {"a", "", "bc\r", std::string(5000, 'x'), "last"};
        auto send = [&]() -> bz::task<void> {
            for (const std::string& line : lines)
            {
                EXPECT((co_await pair.client.write_all(line)).has_value());
                co_await bz::yield();
                EXPECT((co_await pair.client.write_all("\r")).has_value());
                co_await bz::yield();
                EXPECT((co_await pair.client.write_all("\n")).has_value());
            }
            EXPECT((co_await pair.client.write_all("no end")).has_value());
            EXPECT(pair.client.shutdown(net::shutdown_direction::send).has_value());
        };
        auto receive = [&]() -> bz::task<void> {
            std::string buffer;
            for (const std::string& line : lines)
            {
                const auto length = co_await pair.server.read_until(buffer, "\r\n");
                EXPECT(length == line.size() + 2);
                EXPECT(buffer.starts_with(line + "\r\n"));
                buffer.erase(0, line.size() + 2);
            }
            const auto ended = co_await pair.server.read_until(buffer, "\r\n");
            EXPECT(!ended && ended.error() == bz::io_errc::end_of_stream);
            EXPECT(buffer == "no end");
        };
        co_await bz::when_all(send(), receive());
    });
}

TEST_CASE("read_until keeps to its limit and to what it is given")
{
    on_every_runtime(
        [](bool) -> bz::task<void> {
            auto pair = co_await connect_pair();
            EXPECT((co_await pair.client.write_all("0123456789;abc")).has_value());
            std::string buffer;
            const auto over = co_await pair.server.read_until(buffer, ";", 10);
            EXPECT(!over && over.error() == bz::io_errc::limit_reached);
            EXPECT(buffer == "0123456789");
            // The delimiter lies within eleven bytes, ten of which are there.
            EXPECT(co_await pair.server.read_until(buffer, ";", 11) == 11u);
            EXPECT(buffer == "0123456789;");
            // It is there already: nothing is read.
            EXPECT(co_await pair.server.read_until(buffer, "45") == 6u);
            EXPECT(buffer == "0123456789;");
            // It is there, but beyond the limit.
            const auto beyond = co_await pair.server.read_until(buffer, ";", 5);
            EXPECT(!beyond && beyond.error() == bz::io_errc::limit_reached);
            const auto empty = co_await pair.server.read_until(buffer, "");
            EXPECT(!empty && empty.error() == std::errc::invalid_argument);
        },
        10);
}
