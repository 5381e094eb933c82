// A runtime inside of loops that are not its own: poll(), epoll, a second runtime. It must call as
// soon as there is something to do, and never otherwise.
#include <blitzio/io.hpp>

#include "support/raw_operations.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace std::chrono_literals;
using blitzio::backend_choice;
using blitzio::runtime;
using blitzio::runtime_config;
using blitzio::scheduling_strategy;
using blitzio::task;
using blitzio::detail::op_kind;
using blitzio::test::raw_poll;
using blitzio::test::raw_transfer;

namespace
{

constexpr auto patience = 20s;

runtime_config embedded(backend_choice backend = backend_choice::automatic)
{
    return {.backend = backend, .strategy = scheduling_strategy::single_threaded};
}

bool is_readable(int fd, std::chrono::milliseconds within = 0ms)
{
    pollfd waits{fd, POLLIN, 0};
    return ::poll(&waits, 1, static_cast<int>(within.count())) == 1;
}

/// The simplest loop of a program. False: the runtime did not call for a long time.
bool loop_until(runtime& embedded, const std::function<bool()>& done, int* calls = nullptr)
{
    pollfd waits{embedded.fd(), POLLIN, 0};
    while (!done())
    {
        if (::poll(&waits, 1, static_cast<int>(std::chrono::milliseconds(patience).count())) != 1)
        {
            return false;
        }
        embedded.run_ready();
        if (calls != nullptr)
        {
            ++*calls;
        }
    }
    return true;
}

/// Until there is nothing more to do: what the runtime has called for before is over.
void settle(runtime& embedded)
{
    while (is_readable(embedded.fd()))
    {
        embedded.run_ready();
    }
}

struct socket_pair
{
    std::array<int, 2> ends{-1, -1};

    socket_pair()
    {
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) ==
                0);
    }
    socket_pair(const socket_pair&) = delete;
    socket_pair& operator=(const socket_pair&) = delete;
    ~socket_pair()
    {
        ::close(ends[0]);
        ::close(ends[1]);
    }
};

std::size_t threads()
{
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}));
}

std::error_code code_of(const std::function<void()>& call)
{
    try
    {
        call();
    }
    catch (const std::system_error& refused)
    {
        return refused.code();
    }
    return {};
}

/// Sends bytes back until the other side closes.
task<int> echo(int fd)
{
    std::array<char, 256> bytes{};
    int rounds = 0;
    for (;;)
    {
        const auto got = co_await raw_transfer(op_kind::recv, fd, bytes.data(), bytes.size());
        if (!got || *got == 0)
        {
            co_return rounds;
        }
        const auto sent = co_await raw_transfer(op_kind::send, fd, bytes.data(), *got);
        if (!sent)
        {
            co_return -1;
        }
        ++rounds;
    }
}

} // namespace

TEST_CASE("tasks run in a loop of the program's own", "[embed]")
{
    for (const auto backend : {backend_choice::automatic, backend_choice::sim})
    {
        runtime inner(embedded(backend));
        INFO("backend " << inner.backend_name());
        int ended = 0;
        std::thread::id seen;
        for (int index = 0; index < 20; ++index)
        {
            static_cast<void>(inner.spawn([&ended, &seen, index]() -> task<void> {
                static_cast<void>(co_await blitzio::sleep_for(std::chrono::milliseconds(index)));
                co_await blitzio::yield();
                static_cast<void>(co_await blitzio::spawn_blocking([] {}));
                seen = std::this_thread::get_id();
                ++ended;
            }));
        }
        REQUIRE(loop_until(inner, [&] { return ended == 20; }));
        CHECK(seen == std::this_thread::get_id());
    }
}

TEST_CASE("the descriptor tells of sockets and timers, and nothing else makes it readable",
          "[embed]")
{
    runtime inner(embedded());
    socket_pair pair;
    auto server = inner.spawn(echo(pair.ends[0]));
    settle(inner);
    for (int round = 0; round < 50; ++round)
    {
        REQUIRE_FALSE(is_readable(inner.fd()));
        char byte = 'x';
        REQUIRE(::write(pair.ends[1], &byte, 1) == 1);
        REQUIRE(is_readable(inner.fd(), 5s));
        REQUIRE(loop_until(inner, [&] { return is_readable(pair.ends[1]); }));
        REQUIRE(::read(pair.ends[1], &byte, 1) == 1);
        settle(inner);
    }
    const auto begin = std::chrono::steady_clock::now();
    bool over = false;
    static_cast<void>(inner.spawn([&over]() -> task<void> {
        static_cast<void>(co_await blitzio::sleep_for(60ms));
        over = true;
    }));
    int calls = 0;
    REQUIRE(loop_until(inner, [&] { return over; }, &calls));
    CHECK(std::chrono::steady_clock::now() - begin >= 60ms);
    CHECK(calls < 10);
    ::shutdown(pair.ends[1], SHUT_WR);
    REQUIRE(loop_until(inner, [&] { return server.finished(); }));
    CHECK(inner.block_on(std::move(server)) == 50);
}

TEST_CASE("an idle runtime does not call", "[embed]")
{
    runtime inner(embedded());
    socket_pair pair;
    auto server = inner.spawn(echo(pair.ends[0]));
    auto sleeper =
        inner.spawn([]() -> task<void> { static_cast<void>(co_await blitzio::sleep_for(1h)); });
    settle(inner);
    const auto before = inner.metrics();
    CHECK_FALSE(is_readable(inner.fd(), 1000ms));
    CHECK(inner.metrics().driver_entries == before.driver_entries);
    CHECK(inner.metrics().parks == before.parks);
    server.request_stop();
    sleeper.request_stop();
    CHECK(is_readable(inner.fd(), 5s));
    REQUIRE(loop_until(inner, [&] { return server.finished() && sleeper.finished(); }));
}

TEST_CASE("a withdrawn timer calls once at the most", "[embed]")
{
    runtime inner(embedded());
    auto soon = inner.spawn([]() -> task<void> {
        static_cast<void>(co_await blitzio::timeout(30ms, blitzio::sleep_for(0ns)));
    });
    REQUIRE(loop_until(inner, [&] { return soon.finished(); }));
    settle(inner);
    int calls = 0;
    while (is_readable(inner.fd(), 200ms))
    {
        inner.run_ready();
        ++calls;
    }
    CHECK(calls <= 1);
}

TEST_CASE("run_ready leaves the rest for the next call", "[embed]")
{
    for (const auto backend : {backend_choice::automatic, backend_choice::sim})
    {
        runtime inner(embedded(backend));
        const int fd = inner.fd();
        int ended = 0;
        for (int index = 0; index < 100; ++index)
        {
            static_cast<void>(inner.spawn([&ended]() -> task<void> {
                ++ended;
                co_return;
            }));
        }
        for (int round = 1; round <= 10; ++round)
        {
            REQUIRE(is_readable(fd));
            CHECK(inner.run_ready(10) == 10);
            CHECK(ended == 10 * round);
        }
        settle(inner);
        CHECK_FALSE(is_readable(fd));
        CHECK(inner.run_ready() == 0);
        CHECK(ended == 100);
    }
}

TEST_CASE("without the descriptor run_ready polls", "[embed]")
{
    runtime inner(embedded());
    bool over = false;
    static_cast<void>(inner.spawn([&over]() -> task<void> {
        static_cast<void>(co_await blitzio::sleep_for(5ms));
        static_cast<void>(co_await blitzio::spawn_blocking([] {}));
        over = true;
    }));
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!over && std::chrono::steady_clock::now() < end)
    {
        inner.run_ready();
        std::this_thread::yield();
    }
    CHECK(over);
}

TEST_CASE("no wake-up from other threads is lost", "[embed][stress]")
{
    runtime inner(embedded());
    constexpr int producers = 3;
    constexpr int rounds = 2'000;
    std::atomic<int> ended{0};
    const int fd = inner.fd();
    settle(inner);
    std::vector<std::thread> others;
    for (int index = 0; index < producers; ++index)
    {
        others.emplace_back([&inner, &ended, index] {
            for (int round = 0; round < rounds; ++round)
            {
                static_cast<void>(inner.spawn([&ended, index, round]() -> task<void> {
                    if ((round + index) % 5 == 0)
                    {
                        static_cast<void>(co_await blitzio::spawn_blocking([] {}));
                    }
                    if ((round + index) % 7 == 0)
                    {
                        static_cast<void>(co_await blitzio::sleep_for(50us));
                    }
                    ended.fetch_add(1);
                }));
                if (round % 3 == 0)
                {
                    // So that each of these finds the loop asleep, as far as that can be had.
                    while (ended.load() < round)
                    {
                        std::this_thread::yield();
                    }
                }
            }
        });
    }
    // A lost wake-up is a time-out of this.
    const bool complete = loop_until(inner, [&] { return ended == producers * rounds; });
    for (auto& other : others)
    {
        other.join();
    }
    REQUIRE(complete);
    settle(inner);
    CHECK_FALSE(is_readable(fd));
}

TEST_CASE("answers to another thread come although the loop sleeps in between", "[embed][stress]")
{
    runtime inner(embedded());
    static_cast<void>(inner.fd());
    constexpr int rounds = 3'000;
    std::atomic<int> asked{0};
    std::atomic<bool> complete{true};
    std::thread other([&] {
        for (int round = 1; round <= rounds && complete.load(); ++round)
        {
            static_cast<void>(inner.spawn([&asked]() -> task<void> {
                asked.fetch_add(1);
                co_return;
            }));
            while (asked.load() < round && complete.load())
            {
                std::this_thread::yield();
            }
        }
    });
    complete = loop_until(inner, [&] { return asked == rounds; });
    other.join();
    CHECK(complete.load());
}

TEST_CASE("cancelling from another thread reaches an embedded runtime", "[embed][stop]")
{
    runtime inner(embedded());
    for (int round = 0; round < 100; ++round)
    {
        socket_pair pair;
        auto server = inner.spawn(echo(pair.ends[0]));
        settle(inner);
        std::thread other([&server] { server.request_stop(); });
        const bool ended = loop_until(inner, [&] { return server.finished(); });
        other.join();
        REQUIRE(ended);
        CHECK(inner.block_on(std::move(server)) == 0);
    }
}

TEST_CASE("one runtime drives another", "[embed]")
{
    for (const auto backend : {backend_choice::automatic, backend_choice::sim})
    {
        runtime outer({.io_threads = 2});
        auto both = outer.spawn_on(1, [backend]() -> task<int> {
            runtime inner(embedded(backend));
            int ended = 0;
            std::vector<blitzio::join_handle<void>> handles;
            for (int index = 0; index < 10; ++index)
            {
                handles.push_back(inner.spawn([&ended, index]() -> task<void> {
                    static_cast<void>(
                        co_await blitzio::sleep_for(std::chrono::milliseconds(index)));
                    static_cast<void>(co_await blitzio::spawn_blocking([] {}));
                    ++ended;
                }));
            }
            const int fd = inner.fd();
            while (ended < 10)
            {
                const auto ready = co_await blitzio::timeout(
                    patience, raw_poll(fd, blitzio::detail::poll_events::readable));
                if (!ready)
                {
                    break;
                }
                inner.run_ready(4);
            }
            // Nobody waits for the descriptor any more; the destructor may not be called here.
            auto owned = std::make_unique<runtime>(std::move(inner));
            static_cast<void>(co_await blitzio::spawn_blocking([&owned, &handles] {
                handles.clear();
                owned.reset();
            }));
            co_return ended;
        });
        CHECK(outer.block_on(std::move(both)) == 10);
    }
}

TEST_CASE("an epoll loop with edges sees every call", "[embed]")
{
    runtime inner(embedded());
    const int set = ::epoll_create1(EPOLL_CLOEXEC);
    REQUIRE(set >= 0);
    epoll_event wanted{};
    wanted.events = EPOLLIN | EPOLLET;
    REQUIRE(::epoll_ctl(set, EPOLL_CTL_ADD, inner.fd(), &wanted) == 0);
    socket_pair pair;
    auto server = inner.spawn(echo(pair.ends[0]));
    int echoed = 0;
    auto client = inner.spawn([&]() -> task<blitzio::result<void>> {
        for (; echoed < 300; ++echoed)
        {
            char byte = 'x';
            co_await blitzio::try_(raw_transfer(op_kind::send, pair.ends[1], &byte, 1));
            co_await blitzio::try_(raw_transfer(op_kind::recv, pair.ends[1], &byte, 1));
            if (echoed % 10 == 0)
            {
                co_await blitzio::try_(blitzio::sleep_for(1ms));
            }
        }
        co_return {};
    });
    while (!client.finished())
    {
        epoll_event got{};
        // A ring tells its thread of completions by interrupting what it waits in.
        const int count = ::epoll_wait(set, &got, 1, 20'000);
        REQUIRE((count == 1 || (count < 0 && errno == EINTR)));
        // With edges the loop has to go on until there is no more.
        while (inner.run_ready(8) == 8)
        {
        }
    }
    CHECK(echoed == 300);
    ::close(set);
    server.request_stop();
    REQUIRE(loop_until(inner, [&] { return server.finished(); }));
}

TEST_CASE("a runtime without threads runs on the thread that waits for it", "[embed][single]")
{
    const std::size_t before = threads();
    runtime inner(embedded());
    CHECK(threads() == before);
    CHECK(inner.worker_count() == 1);
    CHECK(inner.explain().find("on the thread that runs it") != std::string::npos);
    const auto here = std::this_thread::get_id();
    const auto there = inner.block_on([]() -> task<std::thread::id> {
        static_cast<void>(co_await blitzio::sleep_for(2ms));
        co_await blitzio::yield();
        co_return std::this_thread::get_id();
    });
    CHECK(there == here);
    CHECK(threads() == before);
    // Not before somebody waits.
    bool ran = false;
    static_cast<void>(inner.spawn([&ran]() -> task<void> {
        ran = true;
        co_return;
    }));
    std::this_thread::sleep_for(20ms);
    CHECK_FALSE(ran);
    inner.run();
    CHECK(ran);
    CHECK(inner.block_on(blitzio::spawn_blocking([] { return 7; })).value() == 7);
}

TEST_CASE("only one thread may run a runtime without threads", "[embed][single]")
{
    runtime inner(embedded());
    const auto nothing = []() -> task<void> { co_return; };
    inner.block_on(nothing());
    std::thread([&] {
        CHECK(code_of([&] { inner.block_on(nothing()); }) == blitzio::io_errc::wrong_thread);
        CHECK(code_of([&] { inner.run(); }) == blitzio::io_errc::wrong_thread);
        CHECK(code_of([&] { inner.run_ready(); }) == blitzio::io_errc::wrong_thread);
        CHECK(code_of([&] { static_cast<void>(inner.fd()); }) == blitzio::io_errc::wrong_thread);
        CHECK(code_of([&] { static_cast<void>(inner.shutdown(1s)); }) ==
              blitzio::io_errc::wrong_thread);
        CHECK(inner.metrics().live_tasks == 0);
    }).join();
    // At the same time.
    std::atomic<bool> inside{false};
    std::atomic<bool> refused{false};
    std::thread other([&] {
        while (!inside.load())
        {
            std::this_thread::yield();
        }
        refused = code_of([&] { inner.run(); }) == blitzio::io_errc::wrong_thread;
    });
    inner.block_on([&]() -> task<void> {
        inside = true;
        while (!refused.load())
        {
            static_cast<void>(co_await blitzio::sleep_for(1ms));
        }
    });
    other.join();
    // Inside of itself.
    const auto inner_error = inner.block_on(
        [&]() -> task<std::error_code> { co_return code_of([&] { inner.run_ready(); }); });
    CHECK(inner_error == blitzio::io_errc::would_deadlock);
    runtime threaded({.io_threads = 1});
    CHECK(code_of([&] { threaded.run_ready(); }) == std::errc::operation_not_supported);
    CHECK(code_of([&] { static_cast<void>(threaded.fd()); }) == std::errc::operation_not_supported);
}

TEST_CASE("waiting for one task leaves the others to the loop", "[embed][single]")
{
    runtime inner(embedded());
    const int fd = inner.fd();
    settle(inner);
    bool later = false;
    auto other = inner.spawn([&later]() -> task<void> {
        static_cast<void>(co_await blitzio::sleep_for(30ms));
        later = true;
    });
    inner.block_on(blitzio::sleep_for(1ms)).value();
    CHECK_FALSE(later);
    CHECK(is_readable(fd));
    REQUIRE(loop_until(inner, [&] { return later; }));
    static_cast<void>(other);
}

TEST_CASE("a runtime without threads ends with everything that it has begun",
          "[embed][single][stop]")
{
    for (const bool embed : {false, true})
    {
        int stopped = 0;
        socket_pair pair;
        {
            runtime inner(embedded());
            for (int index = 0; index < 50; ++index)
            {
                static_cast<void>(inner.spawn([&]() -> task<void> {
                    std::array<char, 16> bytes{};
                    const auto got = co_await raw_transfer(op_kind::recv, pair.ends[0],
                                                           bytes.data(), bytes.size());
                    stopped += !got && got.error() == std::errc::operation_canceled ? 1 : 0;
                }));
            }
            if (embed)
            {
                static_cast<void>(inner.fd());
                inner.run_ready();
            }
        }
        CHECK(stopped == 50);
    }
}

TEST_CASE("shutdown of a runtime without threads keeps its deadline", "[embed][single][stop]")
{
    runtime inner(embedded());
    std::atomic<bool> let_go{false};
    auto stubborn = inner.spawn([&]() -> task<void> {
        co_await blitzio::shield([&]() -> task<void> {
            while (!let_go.load())
            {
                static_cast<void>(co_await blitzio::sleep_for(1ms));
            }
        }());
    });
    const auto begin = std::chrono::steady_clock::now();
    const auto report = inner.shutdown(50ms);
    const auto took = std::chrono::steady_clock::now() - begin;
    CHECK_FALSE(report.complete);
    CHECK(report.remaining_count == 1);
    CHECK(took >= 50ms);
    CHECK(took < 5s);
    let_go = true;
    CHECK(inner.shutdown(5s).complete);
    CHECK(stubborn.finished());
}
