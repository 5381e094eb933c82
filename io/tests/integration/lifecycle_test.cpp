// Starting and ending runtimes again and again, and ending a loaded one in bounded time.
#include <blitzio/io.hpp>

#include "support/raw_operations.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <memory>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

using namespace std::chrono_literals;
using blitzio::task;

namespace
{

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BLITZIO_TEST_SLOW 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BLITZIO_TEST_SLOW 1
#endif
#ifdef BLITZIO_TEST_SLOW
constexpr int slowness = 10;
constexpr int cycles = 50;
#else
constexpr int slowness = 1;
constexpr int cycles = 500;
#endif

std::size_t entries_of(const char* folder)
{
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

std::size_t open_files()
{
    return entries_of("/proc/self/fd");
}

std::size_t threads()
{
    return entries_of("/proc/self/task");
}

/// Two connected sockets.
class socket_pair
{
public:
    socket_pair()
    {
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_) == 0);
    }
    socket_pair(const socket_pair&) = delete;
    socket_pair& operator=(const socket_pair&) = delete;
    ~socket_pair()
    {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }

    [[nodiscard]] int first() const noexcept
    {
        return ends_[0];
    }

private:
    int ends_[2]{};
};

task<void> receives(int fd)
{
    char byte = 0;
    static_cast<void>(
        co_await blitzio::test::raw_transfer(blitzio::detail::op_kind::recv, fd, &byte, 1));
}

task<void> waits(int kind)
{
    if (kind == 0)
    {
        static_cast<void>(co_await blitzio::sleep_for(1h));
    }
    else if (kind == 1)
    {
        static_cast<void>(co_await blitzio::timeout(2h, blitzio::sleep_for(1h)));
    }
    else
    {
        blitzio::interval every(1h);
        static_cast<void>(co_await every.tick());
        static_cast<void>(co_await every.tick());
    }
}

/// Load of every kind: tasks that wait, tasks that run, a scope, calls that block.
void load(blitzio::runtime& runtime, std::atomic<int>& begun)
{
    for (int i = 0; i < 30; ++i)
    {
        static_cast<void>(runtime.spawn(waits(i % 3)));
    }
    static_cast<void>(runtime.spawn([&begun]() -> task<void> {
        co_await blitzio::scope([&begun](blitzio::task_group& group) -> task<void> {
            for (int i = 0; i < 30; ++i)
            {
                group.spawn(waits(i % 3));
            }
            begun.fetch_add(1);
            co_return;
        });
    }));
    static_cast<void>(runtime.spawn([&begun]() -> task<void> {
        static_cast<void>(co_await blitzio::spawn_blocking([] { return 1; }));
        begun.fetch_add(1);
        while (!(co_await blitzio::this_task::stop()).stop_requested())
        {
            co_await blitzio::yield();
        }
    }));
}

/// Starts and ends a loaded runtime `cycles` times; gives the longest of them.
std::chrono::nanoseconds start_and_end_often()
{
    std::chrono::nanoseconds longest{};
    for (int cycle = 0; cycle < cycles; ++cycle)
    {
        const auto begin = std::chrono::steady_clock::now();
        {
            std::atomic<int> begun{0};
            blitzio::runtime runtime({.io_threads = static_cast<unsigned>(1 + cycle % 3)});
            load(runtime, begun);
            while (cycle % 2 == 0 && begun != 2) // in the other half it ends before it has begun
            {
                static_cast<void>(runtime.block_on(blitzio::sleep_for(0ns)));
            }
            if (cycle % 4 < 2)
            {
                REQUIRE(runtime.shutdown(10s).complete);
            }
        }
        longest =
            std::max<std::chrono::nanoseconds>(longest, std::chrono::steady_clock::now() - begin);
    }
    return longest;
}

} // namespace

TEST_CASE("a loaded runtime starts and ends again and again, and leaves nothing", "[lifecycle]")
{
    const auto frames_before = blitzio::runtime({.io_threads = 1}).metrics().live_frames;
    const auto files_before = open_files();
    const auto threads_before = threads();
    // A neighbour may take the processor away for that long; a runtime that is slow is so each time.
    auto longest = start_and_end_often();
    for (int attempt = 1; attempt < 3 && longest >= 100ms * slowness; ++attempt)
    {
        longest = start_and_end_often();
    }
    CHECK(longest < 100ms * slowness);
    CHECK(open_files() == files_before);
    CHECK(threads() == threads_before);
    CHECK(blitzio::runtime({.io_threads = 1}).metrics().live_frames == frames_before);
}

TEST_CASE("shutdown of ten thousand waiting operations", "[lifecycle][shutdown]")
{
    for (const unsigned workers : {1u, 2u})
    {
        constexpr std::size_t readers = 400; // the others wait for timers: descriptors are limited
        std::vector<std::unique_ptr<socket_pair>> pairs;
        for (std::size_t i = 0; i < readers; ++i)
        {
            pairs.push_back(std::make_unique<socket_pair>());
        }
        blitzio::runtime runtime({.io_threads = workers});
        std::atomic<std::size_t> begun{0};
        constexpr std::size_t operations = 10'000;
        for (std::size_t i = 0; i < operations; ++i)
        {
            const auto begin = [&begun, &pairs, i]() -> task<void> {
                begun.fetch_add(1, std::memory_order_relaxed);
                co_await (i < readers ? receives(pairs[i]->first())
                                      : waits(static_cast<int>(i % 3)));
            };
            static_cast<void>(runtime.spawn(begin));
        }
        while (begun != operations)
        {
            static_cast<void>(runtime.block_on(blitzio::sleep_for(1ms)));
        }
        const auto report = runtime.shutdown(30s);
        REQUIRE(report.complete);
        REQUIRE(report.asked == operations);
        CHECK(report.took < 1s * slowness);
        REQUIRE(runtime.metrics().operations_in_flight == 0);
        REQUIRE(runtime.metrics().timers_armed == 0);
    }
}
