// Runtimes come and go under load, and one that has nothing to do does nothing.
#include "support/allocation_counter.hpp"

#include <blitzio/io.hpp>
#include <blitzio/io/detail/frame_pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include <sys/resource.h>

using namespace std::chrono_literals;
using blitzio::task;

namespace
{

std::chrono::microseconds processor_time()
{
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto of = [](const timeval& time) {
        return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
    };
    return of(used.ru_utime) + of(used.ru_stime);
}

/// Sleepers, yielders, joins and blocking calls, all under way at once.
void load(blitzio::runtime& runtime, std::atomic<int>& ended)
{
    for (int index = 0; index < 40; ++index)
    {
        static_cast<void>(runtime.spawn([&ended]() -> task<void> {
            static_cast<void>(co_await blitzio::sleep_for(1h));
            ended.fetch_add(1);
        }));
        static_cast<void>(runtime.spawn([&runtime, &ended, index]() -> task<void> {
            for (int turn = 0; turn < index; ++turn)
            {
                co_await blitzio::yield();
            }
            auto child = runtime.spawn(
                []() -> task<void> { static_cast<void>(co_await blitzio::sleep_for(1h)); });
            co_await std::move(child);
            ended.fetch_add(1);
        }));
    }
    static_cast<void>(runtime.spawn([&ended]() -> task<void> {
        static_cast<void>(co_await blitzio::spawn_blocking([] {}));
        ended.fetch_add(1);
    }));
}

/// Starts and stops a loaded runtime `cycles` times; gives the longest of them.
std::chrono::steady_clock::duration start_and_stop_often(int cycles)
{
    std::chrono::steady_clock::duration longest{};
    for (int cycle = 0; cycle < cycles; ++cycle)
    {
        std::atomic<int> ended{0};
        const auto begin = std::chrono::steady_clock::now();
        {
            blitzio::runtime runtime({.io_threads = 1u + static_cast<unsigned>(cycle % 4)});
            load(runtime, ended);
            if (cycle % 3 == 0)
            {
                std::this_thread::sleep_for(1ms);
            }
        }
        longest = std::max(longest, std::chrono::steady_clock::now() - begin);
        REQUIRE(ended == 81);
    }
    return longest;
}

} // namespace

TEST_CASE("a loaded runtime starts and stops again and again, quickly", "[start_stop][stress]")
{
    const int cycles = blitzio::test::counts_allocations ? 500 : 50;
    const auto frames_before = blitzio::detail::live_frames();
    // A neighbour may take the processor away for that long; a runtime that is slow is so each time.
    auto longest = start_and_stop_often(cycles);
    for (int attempt = 1; blitzio::test::counts_allocations && attempt < 3 && longest >= 100ms;
         ++attempt)
    {
        longest = start_and_stop_often(cycles);
    }
    CHECK(blitzio::detail::live_frames() == frames_before);
    if (blitzio::test::counts_allocations)
    {
        CHECK(longest < 100ms);
    }
}

TEST_CASE("an idle runtime takes no processor time and has no tick", "[idle]")
{
    blitzio::runtime runtime({.io_threads = 4});
    // It has worked before, and waits for something.
    auto waiting =
        runtime.spawn([]() -> task<void> { static_cast<void>(co_await blitzio::sleep_for(1h)); });
    runtime.block_on([]() -> task<void> {
        for (int turn = 0; turn < 100; ++turn)
        {
            co_await blitzio::yield();
        }
    });
    std::this_thread::sleep_for(50ms);
    const auto parks = runtime.metrics().parks;
    const auto entries = runtime.metrics().driver_entries;
    const auto before = processor_time();
    std::this_thread::sleep_for(3s);
    const auto used = processor_time() - before;
    CHECK(runtime.metrics().parks == parks);
    CHECK(runtime.metrics().driver_entries == entries);
    // A thousandth of the time; a sanitizer has a thread of its own that ticks.
    if (blitzio::test::counts_allocations)
    {
        CHECK(used < 3ms);
    }
    waiting.request_stop();
    runtime.block_on(std::move(waiting));
}
