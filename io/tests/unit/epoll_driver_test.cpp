// The epoll driver through the driver interface: completing, waiting, cancelling, closing, waking.
#include "driver/driver.hpp"

#include "unit/epoll_harness.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <deque>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace
{

using namespace blitzio::detail;
using namespace blitzio::detail::testing;
using ops = std::vector<op*>;

/// A plain system call, so that only the other side of what is tested goes through the driver.
void put(int fd, std::string_view text)
{
    REQUIRE(::send(fd, text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
}

/// TCP over loopback delivers from another context; the driver's turn has to come after it.
void until_readable(int fd, std::size_t bytes)
{
    const auto deadline = std::chrono::steady_clock::now() + patience;
    std::string scratch(bytes, '\0');
    while (::recv(fd, scratch.data(), bytes, MSG_PEEK | MSG_DONTWAIT) !=
           static_cast<ssize_t>(bytes))
    {
        REQUIRE(std::chrono::steady_clock::now() < deadline);
    }
}

TEST_CASE("epoll: what is ready completes on the spot", "[epoll]")
{
    epoll_world world;
    linked_sockets pair(world);
    op sending;
    REQUIRE(world.at().submit(make_transfer(sending, op_kind::send, pair.fds[0], "abc", 3)));
    CHECK(sending.result == 3);
    std::array<char, 8> buffer{};
    op receiving;
    REQUIRE(world.at().submit(
        make_transfer(receiving, op_kind::recv, pair.fds[1], buffer.data(), buffer.size())));
    CHECK(receiving.result == 3);
    CHECK(world.at().in_flight() == 0);
    CHECK(world.io->name() == "epoll");
}

TEST_CASE("epoll: an operation waits for its edge", "[epoll]")
{
    epoll_world world;
    linked_sockets pair(world);
    std::array<char, 8> buffer{};
    op receiving;
    // More than once: registered on the first wait only.
    for (int round = 0; round < 3; ++round)
    {
        REQUIRE_FALSE(world.at().submit(
            make_transfer(receiving, op_kind::recv, pair.fds[1], buffer.data(), buffer.size())));
        CHECK(world.at().in_flight() == 1);
        CHECK(world.at().has_work());
        CHECK(poll_now(world.at()).empty());
        put(pair.fds[0], "hello");
        CHECK(wait_for(world.at(), 1) == ops{&receiving});
        CHECK(receiving.result == 5);
        CHECK(std::string_view(buffer.data(), 5) == "hello");
        CHECK(world.at().in_flight() == 0);
    }
}

TEST_CASE("epoll: an edge that came while nobody waited is not lost", "[epoll]")
{
    epoll_world world;
    linked_sockets pair(world);
    std::array<char, 8> buffer{};
    op receiving;
    REQUIRE_FALSE(world.at().submit(
        make_transfer(receiving, op_kind::recv, pair.fds[1], buffer.data(), buffer.size())));
    put(pair.fds[0], "1");
    CHECK(wait_for(world.at(), 1).size() == 1);
    put(pair.fds[0], "2");
    CHECK(poll_now(world.at()).empty()); // takes the edge, finds nobody
    CHECK(run(world.at(), receiving) == 1);
    CHECK(buffer[0] == '2');
    // Empty again, and the edges that were counted must not make it spin or complete.
    REQUIRE_FALSE(world.at().submit(receiving));
    CHECK(poll_now(world.at()).empty());
    put(pair.fds[0], "3");
    CHECK(wait_for(world.at(), 1) == ops{&receiving});
    CHECK(buffer[0] == '3');
}

TEST_CASE("epoll: many operations on one direction complete in order", "[epoll]")
{
    epoll_world world;
    linked_sockets pair(world);
    constexpr std::size_t count = 50;
    std::deque<op> waiting(count);
    std::array<char, count> bytes{};
    ops expected;
    for (std::size_t index = 0; index < count; ++index)
    {
        REQUIRE_FALSE(world.at().submit(
            make_transfer(waiting[index], op_kind::recv, pair.fds[1], &bytes[index], 1)));
        expected.push_back(&waiting[index]);
    }
    std::string text;
    for (std::size_t index = 0; index < count; ++index)
    {
        text.push_back(static_cast<char>('A' + index % 26));
    }
    put(pair.fds[0], text.substr(0, 20));
    auto first = wait_for(world.at(), 20);
    CHECK(first == ops(expected.begin(), expected.begin() + 20));
    CHECK(world.at().in_flight() == 30);

    // A newcomer must not overtake those who wait, although data is there.
    put(pair.fds[0], text.substr(20));
    put(pair.fds[0], "!");
    char late_byte = 0;
    op late;
    REQUIRE_FALSE(
        world.at().submit(make_transfer(late, op_kind::recv, pair.fds[1], &late_byte, 1)));
    expected.push_back(&late);
    CHECK(wait_for(world.at(), 31) == ops(expected.begin() + 20, expected.end()));
    CHECK(std::string_view(bytes.data(), count) == text);
    CHECK(late_byte == '!');
}

TEST_CASE("epoll: both directions of one descriptor wait independently", "[epoll]")
{
    epoll_world world;
    linked_sockets pair(world);
    std::string chunk(64 * 1024, 's');
    op sending;
    while (world.at().submit(
        make_transfer(sending, op_kind::send, pair.fds[0], chunk.data(), chunk.size())))
    {
        REQUIRE(sending.result > 0);
    }
    char byte = 0;
    op receiving;
    REQUIRE_FALSE(
        world.at().submit(make_transfer(receiving, op_kind::recv, pair.fds[0], &byte, 1)));
    put(pair.fds[1], "r");
    CHECK(wait_for(world.at(), 1) == ops{&receiving});
    CHECK(world.at().in_flight() == 1);
    while (::recv(pair.fds[1], chunk.data(), chunk.size(), MSG_DONTWAIT) > 0)
    {
    }
    CHECK(wait_for(world.at(), 1) == ops{&sending});
    CHECK(sending.result > 0);
}

TEST_CASE("epoll: accept and connect over loopback", "[epoll]")
{
    epoll_world world;
    loopback_listener listener(world);
    op accepting;
    socket_address peer;
    REQUIRE_FALSE(world.at().submit(make_peer(accepting, op_kind::accept, listener.fd, &peer)));
    const int client = world.os().open_socket(socket_family::ipv4, socket_type::stream);
    op connecting;
    make_peer(connecting, op_kind::connect, client, &listener.address);
    const bool at_once = world.at().submit(connecting);
    CHECK(wait_for(world.at(), at_once ? 1 : 2).size() == (at_once ? 1u : 2u));
    CHECK(connecting.result == 0);
    REQUIRE(accepting.result >= 0);
    socket_address local;
    REQUIRE(world.os().local_address(client, local) == 0);
    CHECK(std::memcmp(local.storage.data(), peer.storage.data(), local.size) == 0);
    CHECK(world.os().close(accepting.result) == 0);
    CHECK(world.os().close(client) == 0);
}

TEST_CASE("epoll: a connect that is refused says so", "[epoll]")
{
    epoll_world world;
    socket_address nobody;
    {
        loopback_listener closed_again(world);
        nobody = closed_again.address;
    }
    const int client = world.os().open_socket(socket_family::ipv4, socket_type::stream);
    op connecting;
    CHECK(run(world.at(), make_peer(connecting, op_kind::connect, client, &nobody)) ==
          -ECONNREFUSED);
    CHECK(world.os().close(client) == 0);
    // The next socket of that number is not troubled by the edges of this one.
    loopback_listener listener(world);
    const int next = world.os().open_socket(socket_family::ipv4, socket_type::stream);
    op again;
    CHECK(run(world.at(), make_peer(again, op_kind::connect, next, &listener.address)) == 0);
    CHECK(world.os().close(next) == 0);
}

TEST_CASE("epoll: a connect that cannot be answered yet can be cancelled", "[epoll]")
{
    epoll_world world;
    // With its backlog full a listener on loopback drops further attempts.
    loopback_listener listener(world, 0);
    std::deque<op> attempts;
    std::vector<int> clients;
    op* waiting = nullptr;
    while (waiting == nullptr && clients.size() < 64)
    {
        clients.push_back(world.os().open_socket(socket_family::ipv4, socket_type::stream));
        op& connecting = make_cancellable(attempts.emplace_back());
        make_peer(connecting, op_kind::connect, clients.back(), &listener.address);
        if (world.at().submit(connecting))
        {
            REQUIRE(connecting.state.complete());
            continue;
        }
        ready_list ready;
        world.at().wait(ready, 50ms);
        waiting = ready.empty() ? &connecting : nullptr;
    }
    REQUIRE(waiting != nullptr);
    REQUIRE(waiting->state.request_cancel());
    ready_list ready;
    world.at().cancel(*waiting, ready);
    CHECK(drain(ready) == ops{waiting});
    CHECK(waiting->result == -ECANCELED);
    CHECK(world.at().in_flight() == 0);
    for (const int fd : clients)
    {
        CHECK(world.os().close(fd) == 0);
    }
}

TEST_CASE("epoll: accept without a free descriptor fails and goes on later", "[epoll]")
{
    epoll_world world;
    loopback_listener listener(world);
    op waiting;
    REQUIRE_FALSE(world.at().submit(make_peer(waiting, op_kind::accept, listener.fd, nullptr)));
    const int client = world.os().open_socket(socket_family::ipv4, socket_type::stream);
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit tight = before;
    tight.rlim_cur = static_cast<rlim_t>(client) + 1;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &tight) == 0);
    op connecting;
    make_peer(connecting, op_kind::connect, client, &listener.address);
    const bool at_once = world.at().submit(connecting);
    const auto done = wait_for(world.at(), at_once ? 1 : 2);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(waiting.result == -EMFILE);
    op again;
    const std::int32_t accepted =
        run(world.at(), make_peer(again, op_kind::accept, listener.fd, nullptr));
    CHECK(accepted >= 0); // no new edge was needed
    CHECK(world.os().close(accepted) == 0);
    CHECK(world.os().close(client) == 0);
}

TEST_CASE("epoll: readiness is reported to everybody and takes nothing", "[epoll]")
{
    epoll_world world;
    linked_sockets pair(world);
    op first;
    op second;
    op writing;
    REQUIRE_FALSE(world.at().submit(make_poll(first, pair.fds[1], poll_events::readable)));
    REQUIRE_FALSE(world.at().submit(make_poll(second, pair.fds[1], poll_events::readable)));
    REQUIRE(world.at().submit(
        make_poll(writing, pair.fds[1], poll_events::readable | poll_events::writable)));
    CHECK(writing.result == poll_events::writable);
    put(pair.fds[0], "x");
    CHECK(wait_for(world.at(), 2).size() == 2);
    CHECK(first.result == poll_events::readable);
    CHECK(second.result == poll_events::readable);
    op third;
    REQUIRE(world.at().submit(make_poll(third, pair.fds[1], poll_events::readable)));
    char byte = 0;
    op receiving;
    CHECK(run(world.at(), make_transfer(receiving, op_kind::recv, pair.fds[1], &byte, 1)) == 1);
    REQUIRE_FALSE(world.at().submit(make_poll(third, pair.fds[1], poll_events::readable)));
    pair.close(0);
    CHECK(wait_for(world.at(), 1) == ops{&third});
    CHECK((third.result & poll_events::hangup) != 0);
}

TEST_CASE("epoll: readiness of descriptors that others close behind our back", "[epoll]")
{
    epoll_world world;
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
    op polling;
    make_poll(polling, fds[0], poll_events::readable);
    REQUIRE_FALSE(world.at().submit(polling));
    REQUIRE(::write(fds[1], "x", 1) == 1);
    CHECK(wait_for(world.at(), 1).size() == 1);
    ::close(fds[0]);
    ::close(fds[1]);
    int reused[2];
    REQUIRE(::pipe2(reused, O_CLOEXEC | O_NONBLOCK) == 0);
    REQUIRE(reused[0] == fds[0]);
    REQUIRE_FALSE(world.at().submit(polling));
    REQUIRE(::write(reused[1], "x", 1) == 1);
    CHECK(wait_for(world.at(), 1) == ops{&polling});
    CHECK(world.os().close(reused[0]) == 0);
    CHECK(world.os().close(reused[1]) == 0);
}

TEST_CASE("epoll: a nop completes at the next turn", "[epoll]")
{
    epoll_world world;
    op first;
    op second;
    REQUIRE_FALSE(world.at().submit(first));
    REQUIRE_FALSE(world.at().submit(second));
    CHECK(world.at().in_flight() == 2);
    CHECK(world.at().has_work());
    ready_list ready;
    world.at().wait(ready, std::nullopt); // must not sleep
    CHECK(drain(ready) == ops{&first, &second});
    CHECK(world.at().in_flight() == 0);
}

TEST_CASE("epoll: cancelling what waits", "[epoll]")
{
    epoll_world world;
    linked_sockets pair(world);
    std::array<char, 3> bytes{};
    std::deque<op> waiting(3);
    for (std::size_t index = 0; index < 3; ++index)
    {
        make_cancellable(waiting[index]);
        REQUIRE_FALSE(world.at().submit(
            make_transfer(waiting[index], op_kind::recv, pair.fds[1], &bytes[index], 1)));
    }
    const auto which = GENERATE_COPY(as<std::size_t>{}, 0, 1, 2);
    ready_list ready;
    REQUIRE(waiting[which].state.request_cancel());
    world.at().cancel(waiting[which], ready);
    CHECK(drain(ready) == ops{&waiting[which]});
    CHECK(waiting[which].result == -ECANCELED);
    CHECK(world.at().in_flight() == 2);
    put(pair.fds[0], "ab");
    const auto rest = wait_for(world.at(), 2);
    ops expected;
    for (std::size_t index = 0; index < 3; ++index)
    {
        if (index != which)
        {
            expected.push_back(&waiting[index]);
        }
    }
    CHECK(rest == expected);
    CHECK(bytes[which] == 0);
    // The slot works on, also after its last or its first was taken out.
    op next;
    REQUIRE_FALSE(
        world.at().submit(make_transfer(next, op_kind::recv, pair.fds[1], bytes.data(), 1)));
    put(pair.fds[0], "c");
    CHECK(wait_for(world.at(), 1) == ops{&next});
}

TEST_CASE("epoll: success beats a cancel that comes later", "[epoll]")
{
    epoll_world world;
    linked_sockets pair(world);
    char byte = 0;
    op receiving;
    make_transfer(make_cancellable(receiving), op_kind::recv, pair.fds[1], &byte, 1);
    ready_list ready;

    SECTION("the request was accepted, the edge came first")
    {
        REQUIRE_FALSE(world.at().submit(receiving));
        REQUIRE(receiving.state.request_cancel());
        put(pair.fds[0], "x");
        CHECK(poll_now(world.at()).empty()); // complete, but the request is still out
        CHECK(receiving.state.is_terminal());
        world.at().cancel(receiving, ready);
        CHECK(drain(ready) == ops{&receiving});
        CHECK(receiving.result == 1);
        CHECK(byte == 'x');
    }
    SECTION("the request was accepted, the operation completes on the spot")
    {
        put(pair.fds[0], "x");
        REQUIRE(receiving.state.request_cancel());
        REQUIRE(world.at().submit(receiving));
        CHECK_FALSE(receiving.state.complete());
        world.at().cancel(receiving, ready);
        CHECK(drain(ready) == ops{&receiving});
        CHECK(receiving.result == 1);
    }
    SECTION("the request is too late")
    {
        REQUIRE_FALSE(world.at().submit(receiving));
        put(pair.fds[0], "x");
        CHECK(wait_for(world.at(), 1) == ops{&receiving});
        CHECK_FALSE(receiving.state.request_cancel());
    }
    SECTION("its descriptor has a new owner when the cancel arrives")
    {
        REQUIRE_FALSE(world.at().submit(receiving));
        REQUIRE(receiving.state.request_cancel());
        put(pair.fds[0], "x");
        CHECK(poll_now(world.at()).empty());
        const int number = pair.fds[1];
        pair.close(1);
        linked_sockets reusing(world);
        REQUIRE(reusing.fds[0] == number);
        char other_byte = 0;
        op other;
        REQUIRE_FALSE(world.at().submit(
            make_transfer(make_cancellable(other), op_kind::recv, number, &other_byte, 1)));
        world.at().cancel(receiving, ready);
        CHECK(drain(ready) == ops{&receiving});
        CHECK(receiving.result == 1);
        put(reusing.fds[1], "y");
        CHECK(wait_for(world.at(), 1) == ops{&other});
        CHECK(other_byte == 'y');
    }
    SECTION("a nop under a cancel")
    {
        op nothing;
        make_cancellable(nothing);
        REQUIRE_FALSE(world.at().submit(nothing));
        REQUIRE(nothing.state.request_cancel());
        world.at().cancel(nothing, ready);
        CHECK(drain(ready).empty());
        CHECK(poll_now(world.at()) == ops{&nothing});
        CHECK(nothing.result == 0);
    }
}

TEST_CASE("epoll: a number that is used again starts afresh", "[epoll]")
{
    epoll_world world;
    linked_sockets pair(world);
    const int number = pair.fds[1];
    char byte = 0;
    op receiving;
    REQUIRE_FALSE(world.at().submit(
        make_transfer(make_cancellable(receiving), op_kind::recv, number, &byte, 1)));
    ready_list ready;
    REQUIRE(receiving.state.request_cancel());
    world.at().cancel(receiving, ready);
    REQUIRE(drain(ready).size() == 1);

    // The copy keeps the old socket, and with it the kernel's old registration, alive.
    const int copy = ::dup(number);
    put(pair.fds[0], "old");
    pair.close(1);
    linked_sockets reusing(world);
    REQUIRE(reusing.fds[0] == number);
    op fresh;
    REQUIRE_FALSE(world.at().submit(make_transfer(fresh, op_kind::recv, number, &byte, 1)));
    put(pair.fds[0], "old");
    CHECK(poll_now(world.at()).empty());
    put(reusing.fds[1], "n");
    CHECK(wait_for(world.at(), 1) == ops{&fresh});
    CHECK(byte == 'n');
    ::close(copy);
}

TEST_CASE("epoll: what a number was known to be is forgotten with it", "[epoll]")
{
    epoll_world world;
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
    char byte = 0;
    op reading;
    REQUIRE_FALSE(world.at().submit(
        make_transfer(make_cancellable(reading), op_kind::read, fds[0], &byte, 1)));
    ready_list ready;
    REQUIRE(reading.state.request_cancel());
    world.at().cancel(reading, ready);
    REQUIRE(drain(ready).size() == 1);
    REQUIRE(world.os().close(fds[0]) == 0);
    REQUIRE(world.os().close(fds[1]) == 0);
    // The same number, now in blocking mode: treated as before, this read would hang the worker.
    int blocking[2];
    REQUIRE(::pipe2(blocking, O_CLOEXEC) == 0);
    REQUIRE(blocking[0] == fds[0]);
    op again;
    REQUIRE_FALSE(world.at().submit(make_transfer(again, op_kind::read, blocking[0], &byte, 1)));
    REQUIRE(::write(blocking[1], "p", 1) == 1);
    CHECK(wait_for(world.at(), 1) == ops{&again});
    CHECK(byte == 'p');
    CHECK(world.os().close(blocking[0]) == 0);
    CHECK(world.os().close(blocking[1]) == 0);
}

TEST_CASE("epoll: closing under an operation", "[epoll]")
{
#if !defined(NDEBUG) || defined(BLITZIO_ASSERTIONS)
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0)
    {
        ::close(STDERR_FILENO);
        std::signal(SIGABRT, SIG_DFL);
        epoll_world world;
        linked_sockets pair(world);
        char byte = 0;
        op receiving;
        static_cast<void>(
            world.at().submit(make_transfer(receiving, op_kind::recv, pair.fds[1], &byte, 1)));
        static_cast<void>(world.os().close(pair.fds[1]));
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
#else
    epoll_world world;
    linked_sockets pair(world);
    char byte = 0;
    op receiving;
    REQUIRE_FALSE(
        world.at().submit(make_transfer(receiving, op_kind::recv, pair.fds[1], &byte, 1)));
    pair.close(1);
    CHECK(wait_for(world.at(), 1) == ops{&receiving});
    CHECK(receiving.result == -ECANCELED);
    CHECK(world.at().in_flight() == 0);
#endif
}

/// A ring that another test has closed on this thread may still send it kernel work, which interrupts
/// a wait as a signal does. A thread that never had a ring sleeps undisturbed.
template <class Body>
static auto on_fresh_thread(Body body)
{
    std::optional<decltype(body())> outcome;
    std::thread([&] { outcome = body(); }).join();
    return *outcome;
}

TEST_CASE("epoll: waiting and waking", "[epoll]")
{
    epoll_world world;
    ready_list ready;
    const auto started = std::chrono::steady_clock::now();

    SECTION("a time-out is not cut short")
    {
        const auto [first, second] = on_fresh_thread([&] {
            world.at().wait(ready, 20ms);
            const auto again = std::chrono::steady_clock::now();
            world.at().wait(ready, 300us);
            return std::pair(again - started, std::chrono::steady_clock::now() - again);
        });
        CHECK(first >= 20ms);
        CHECK(second >= 300us);
    }
    SECTION("a time-out of nothing returns")
    {
        world.at().wait(ready, 0ns);
        world.at().wait(ready, -5ns);
    }
    SECTION("a wake before the wait ends the next one, and only that")
    {
        const auto slept = on_fresh_thread([&] {
            world.at().wake();
            world.at().wake();
            world.at().poll(ready); // does not use it up
            world.at().wait(ready, std::nullopt);
            const auto again = std::chrono::steady_clock::now();
            world.at().wait(ready, 20ms);
            return std::chrono::steady_clock::now() - again;
        });
        CHECK(slept >= 20ms);
    }
    SECTION("wakes from another thread, none lost")
    {
        constexpr int rounds = 2'000;
        std::atomic<int> asked{0};
        std::atomic<int> seen{0};
        std::thread waker([&] {
            for (int round = 1; round <= rounds; ++round)
            {
                asked.store(round);
                world.at().wake();
                while (seen.load() != round)
                {
                    std::this_thread::yield();
                }
            }
        });
        while (seen.load() != rounds)
        {
            world.at().wait(ready, std::nullopt); // a lost wake hangs here
            seen.store(asked.load());
        }
        waker.join();
    }
    CHECK(ready.empty());
}

TEST_CASE("epoll: a receive that expects to wait", "[epoll]")
{
    epoll_world world;
    std::array<char, 16> buffer{};
    op receiving;
    const auto receive = [&](int fd) -> op& {
        make_transfer(receiving, op_kind::recv, fd, buffer.data(), buffer.size());
        receiving.expect_wait = true;
        return receiving;
    };

    SECTION("on TCP it waits without asking, and misses nothing")
    {
        tcp_sockets tcp(world);
        REQUIRE_FALSE(world.at().submit(receive(tcp.fds[1])));
        put(tcp.fds[0], "one");
        REQUIRE(wait_for(world.at(), 1).size() == 1);
        REQUIRE(receiving.result == 3); // short: the socket is empty
        REQUIRE_FALSE(world.at().submit(receiving));
        CHECK(poll_now(world.at()).empty());
        put(tcp.fds[0], "two");
        REQUIRE(wait_for(world.at(), 1).size() == 1);
        REQUIRE(receiving.result == 3);
        // An edge between the short receive and this one.
        put(tcp.fds[0], "three");
        until_readable(tcp.fds[1], 5);
        CHECK(poll_now(world.at()).empty());
        CHECK(run(world.at(), receiving) == 5);
        // Data whose edge the driver has not been told of yet.
        put(tcp.fds[0], "four");
        CHECK(run(world.at(), receiving) == 4);
    }
    SECTION("the end of the stream that came with the last bytes is seen")
    {
        tcp_sockets tcp(world);
        REQUIRE_FALSE(world.at().submit(receive(tcp.fds[1])));
        put(tcp.fds[0], "last");
        REQUIRE(world.os().shutdown(tcp.fds[0], shutdown_direction::send) == 0);
        // Both are in the one edge that is fetched now.
        until_readable(tcp.fds[1], 4);
        op hangup;
        REQUIRE(run(world.at(), make_poll(hangup, tcp.fds[1], poll_events::readable)) > 0);
        static_cast<void>(poll_now(world.at()));
        REQUIRE(receiving.result == 4);
        CHECK(run(world.at(), receive(tcp.fds[1])) == 0);
    }
    SECTION("what lies behind urgent data is seen")
    {
        tcp_sockets tcp(world);
        REQUIRE_FALSE(world.at().submit(receive(tcp.fds[1])));
        put(tcp.fds[0], "abc");
        REQUIRE(::send(tcp.fds[0], "u", 1, MSG_OOB) == 1);
        put(tcp.fds[0], "def");
        until_readable(tcp.fds[1], 3);
        REQUIRE(wait_for(world.at(), 1).size() == 1);
        std::string received(buffer.data(), static_cast<std::size_t>(receiving.result));
        while (received.size() < 6)
        {
            const std::int32_t more = run(world.at(), receive(tcp.fds[1]));
            REQUIRE(more > 0);
            received.append(buffer.data(), static_cast<std::size_t>(more));
        }
        CHECK(received == "abcdef");
    }
    SECTION("message boundaries of other sockets prove nothing")
    {
        int fds[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
        REQUIRE_FALSE(world.at().submit(receive(fds[1])));
        put(fds[0], "ab");
        put(fds[0], "cd");
        REQUIRE(wait_for(world.at(), 1).size() == 1);
        CHECK(receiving.result == 2);
        CHECK(run(world.at(), receive(fds[1])) == 2);
        CHECK(world.os().close(fds[0]) == 0);
        CHECK(world.os().close(fds[1]) == 0);
    }
    SECTION("on a descriptor that nothing is known of it is tried")
    {
        linked_sockets pair(world);
        put(pair.fds[0], "there");
        REQUIRE(world.at().submit(receive(pair.fds[1])));
        CHECK(receiving.result == 5);
    }
}

TEST_CASE("epoll: pipes", "[epoll]")
{
    epoll_world world;
    const int flags = GENERATE(0, O_NONBLOCK); // blocking ones are shared with other programs
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC | flags) == 0);
    std::string buffer(200'000, 'b');
    op reading;
    REQUIRE_FALSE(
        world.at().submit(make_transfer(reading, op_kind::read, fds[0], buffer.data(), 100)));
    op writing;
    REQUIRE(world.at().submit(make_transfer(writing, op_kind::write, fds[1], "pipe", 4)));
    CHECK(wait_for(world.at(), 1) == ops{&reading});
    CHECK(reading.result == 4);
    // Until it is full; in blocking mode too this must park instead of hanging.
    int rounds = 0;
    while (world.at().submit(
        make_transfer(writing, op_kind::write, fds[1], buffer.data(), buffer.size())))
    {
        REQUIRE(writing.result > 0);
        REQUIRE(++rounds < 100'000);
    }
    CHECK((fcntl(fds[0], F_GETFL) & O_NONBLOCK) == flags); // left as it was
    make_transfer(reading, op_kind::read, fds[0], buffer.data(), 65'536);
    REQUIRE(run(world.at(), reading) > 0);
    CHECK(wait_for(world.at(), 1) == ops{&writing});
    CHECK(writing.result > 0);
    REQUIRE(world.os().close(fds[0]) == 0);
    op broken;
    CHECK(run(world.at(), make_transfer(broken, op_kind::write, fds[1], "x", 1)) == -EPIPE);
    REQUIRE(world.os().close(fds[1]) == 0);
}

TEST_CASE("epoll: a writer that waits hears that the reader has gone", "[epoll]")
{
    epoll_world world;
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
    std::string buffer(65'536, 'b');
    op writing;
    while (world.at().submit(
        make_transfer(writing, op_kind::write, fds[1], buffer.data(), buffer.size())))
    {
    }
    REQUIRE(world.os().close(fds[0]) == 0);
    CHECK(wait_for(world.at(), 1) == ops{&writing});
    CHECK(writing.result == -EPIPE);
    REQUIRE(world.os().close(fds[1]) == 0);
}

TEST_CASE("epoll: descriptors that are none", "[epoll]")
{
    epoll_world world;
    socket_address address = loopback_address(1);
    for (const int fd : {-1, 19'999, 1 << 30})
    {
        op operation;
        char byte = 0;
        const std::int32_t expected = fd == 1 << 30 ? -ENOMEM : -EBADF;
        for (const op_kind kind : {op_kind::recv, op_kind::send, op_kind::read, op_kind::write})
        {
            REQUIRE(world.at().submit(make_transfer(operation, kind, fd, &byte, 1)));
            CHECK(operation.result == expected);
        }
        for (const op_kind kind : {op_kind::accept, op_kind::connect})
        {
            REQUIRE(world.at().submit(make_peer(operation, kind, fd, &address)));
            CHECK(operation.result == expected);
        }
        REQUIRE(world.at().submit(make_poll(operation, fd, poll_events::readable)));
        CHECK(operation.result == expected);
        CHECK(run(world.at(), make_transfer(operation, op_kind::read_at, fd, &byte, 1)) == -EBADF);
        CHECK(run(world.at(), make_transfer(operation, op_kind::write_at, fd, &byte, 1)) == -EBADF);
        CHECK(run(world.at(), make_simple(operation, op_kind::sync, fd)) == -EBADF);
        CHECK(run(world.at(), make_simple(operation, op_kind::close, fd)) == -EBADF);
    }
    CHECK(world.os().close(-1) == -EBADF);
}

TEST_CASE("epoll: an operation of another worker completes where the descriptor lives", "[epoll]")
{
    epoll_world world(2);
    linked_sockets pair(world);
    char bytes[2] = {};
    op settling;
    REQUIRE_FALSE(
        world.at(0).submit(make_transfer(settling, op_kind::recv, pair.fds[1], &bytes[0], 1)));
    op foreign;
    make_transfer(make_cancellable(foreign), op_kind::recv, pair.fds[1], &bytes[1], 1);
    REQUIRE_FALSE(world.at(1).submit(foreign));
    CHECK(world.at(0).in_flight() == 1);
    CHECK(world.at(1).in_flight() == 1);

    SECTION("by its edge")
    {
        put(pair.fds[0], "ab");
        CHECK(poll_now(world.at(1)).empty());
        CHECK(wait_for(world.at(0), 2) == ops{&settling, &foreign});
        CHECK(bytes[1] == 'b');
    }
    SECTION("by a cancel at home")
    {
        REQUIRE(foreign.state.request_cancel());
        ready_list ready;
        world.at(1).cancel(foreign, ready);
        CHECK(drain(ready) == ops{&foreign});
        CHECK(foreign.result == -ECANCELED);
        put(pair.fds[0], "a");
        CHECK(wait_for(world.at(0), 1) == ops{&settling});
    }
    CHECK(world.at(0).in_flight() == 0);
    CHECK(world.at(1).in_flight() == 0);
}

TEST_CASE("epoll: a descriptor outlives the driver that polled it", "[epoll]")
{
    epoll_world world(2);
    linked_sockets pair(world);
    char byte = 0;
    op receiving;
    make_transfer(receiving, op_kind::recv, pair.fds[1], &byte, 1);
    REQUIRE_FALSE(world.at(0).submit(receiving));
    put(pair.fds[0], "a");
    REQUIRE(wait_for(world.at(0), 1).size() == 1);
    world.drivers[0].reset();
    REQUIRE_FALSE(world.at(1).submit(receiving));
    put(pair.fds[0], "b");
    CHECK(wait_for(world.at(1), 1) == ops{&receiving});
    CHECK(byte == 'b');
}

} // namespace
