// How soon a worker with work of its own comes to what others have for it, when that work is long.
#include <blitzio/io.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using blitzio::scheduling_strategy;
using blitzio::task;

namespace
{

void compute_for(std::chrono::nanoseconds how_long)
{
    const auto until = std::chrono::steady_clock::now() + how_long;
    while (std::chrono::steady_clock::now() < until)
    {
    }
}

/// Pieces of `how_long`, giving way after each, until told to end.
task<void> grind(std::chrono::nanoseconds how_long, std::atomic<bool>& enough,
                 std::atomic<int>& pieces)
{
    while (!enough)
    {
        compute_for(how_long);
        ++pieces;
        co_await blitzio::yield();
    }
}

} // namespace

TEST_CASE("long pieces of a worker's own work do not keep others' tasks waiting",
          "[scheduler][fairness]")
{
    constexpr int injected = 200;
    for (const auto& [strategy, workers] : {std::pair(scheduling_strategy::work_stealing, 1u),
                                            std::pair(scheduling_strategy::work_stealing, 2u),
                                            std::pair(scheduling_strategy::thread_per_core, 2u)})
    {
        blitzio::runtime runtime({.io_threads = workers, .strategy = strategy});
        INFO("strategy " << static_cast<int>(strategy) << ", workers " << workers);
        std::atomic<bool> enough{false};
        std::atomic<int> pieces{0};
        std::atomic<int> done{0};
        // Two for each worker, so that none of them is ever without work.
        std::vector<blitzio::join_handle<void>> own;
        for (unsigned index = 0; index < 2 * workers; ++index)
        {
            own.push_back(runtime.spawn(grind(200us, enough, pieces)));
        }
        while (pieces < static_cast<int>(8 * workers))
        {
            std::this_thread::yield();
        }
        // Counted by the tasks themselves: this thread may have to wait for a processor.
        std::atomic<int> pieces_at_end{0};
        std::vector<blitzio::join_handle<void>> others;
        for (int index = 0; index < injected; ++index)
        {
            others.push_back(runtime.spawn([&]() -> task<void> {
                if (++done == injected)
                {
                    pieces_at_end = pieces.load();
                }
                co_return;
            }));
        }
        const int before = pieces;
        while (pieces_at_end == 0)
        {
            std::this_thread::yield();
        }
        const int meanwhile = pieces_at_end - before;
        enough = true;
        // One in three turns, and some for getting there; without looking sooner it is one in 61.
        CHECK(meanwhile < 8 * injected);
        runtime.block_on([&]() -> task<void> {
            for (auto& each : own)
            {
                static_cast<void>(co_await std::move(each));
            }
            for (auto& each : others)
            {
                static_cast<void>(co_await std::move(each));
            }
        });
    }
}

TEST_CASE("a timer is not late by many long pieces", "[scheduler][fairness]")
{
    blitzio::runtime runtime({.io_threads = 1});
    std::atomic<bool> enough{false};
    std::atomic<int> pieces{0};
    runtime.block_on([&]() -> task<void> {
        co_await blitzio::scope([&](blitzio::task_group& group) -> task<void> {
            group.spawn(grind(500us, enough, pieces));
            group.spawn(grind(500us, enough, pieces));
            for (int round = 0; round < 20; ++round)
            {
                static_cast<void>(co_await blitzio::sleep_for(1ms));
            }
            const int before = pieces;
            for (int round = 0; round < 20; ++round)
            {
                static_cast<void>(co_await blitzio::sleep_for(1ms));
            }
            enough = true;
            // Two pieces until it is due, at most one more until the clock's next tick, and three until the next look.
            CHECK(pieces - before <= 20 * 8);
        });
    });
}
