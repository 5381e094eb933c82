// Priorities of tasks: who goes first, that nobody starves, who inherits, and that other workers take
// what waits.
#include "support/raw_operations.hpp"
#include "support/runtimes.hpp"

#include "scheduler/priority_lane.hpp"
#include "scheduler/worker.hpp"

#include <blitzio/io.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using blitzio::runtime;
using blitzio::scheduling_strategy;
using blitzio::task;
using blitzio::task_priority;

namespace
{

unsigned worker_index()
{
    return blitzio::detail::current_worker()->index();
}

blitzio::runtime_config on_this_thread(blitzio::backend_choice backend)
{
    return {.backend = backend, .strategy = scheduling_strategy::single_threaded};
}

constexpr std::array both_worlds{blitzio::backend_choice::automatic, blitzio::backend_choice::sim};

/// Writes down its letter and ends.
task<void> mark(std::string& order, char letter)
{
    order += letter;
    co_return;
}

/// The same with a yield before each.
task<void> mark_often(std::string& order, char letter, int times)
{
    for (int round = 0; round < times; ++round)
    {
        co_await blitzio::yield();
        order += letter;
    }
}

task<void> run_all(std::vector<blitzio::join_handle<void>>& handles)
{
    for (auto& handle : handles)
    {
        co_await std::move(handle);
    }
}

} // namespace

TEST_CASE("a lane is first in, first out, and grows", "[priority]")
{
    struct numbered : blitzio::detail::runnable
    {
        int number = 0;
    };
    std::array<numbered, 100> items{};
    blitzio::detail::priority_lane lane;
    blitzio::detail::waiter taken;
    CHECK_FALSE(lane.pop(taken));
    int next_in = 0;
    int next_out = 0;
    for (const int batch : {5, 20, 3, 72})
    {
        for (int count = 0; count < batch; ++count)
        {
            items[static_cast<std::size_t>(next_in)].number = next_in;
            lane.push(
                blitzio::detail::waiter_that_runs(items[static_cast<std::size_t>(next_in++)]));
        }
        for (int count = 0; count < batch / 2; ++count)
        {
            REQUIRE(lane.pop(taken));
            CHECK(static_cast<numbered*>(taken.context)->number == next_out++);
        }
    }
    while (lane.pop(taken))
    {
        CHECK(static_cast<numbered*>(taken.context)->number == next_out++);
    }
    CHECK(next_out == 100);
    CHECK(lane.looks_empty());
}

TEST_CASE("tasks begin in the order of their priorities", "[priority]")
{
    for (const auto backend : both_worlds)
    {
        runtime alone(on_this_thread(backend));
        std::string order;
        alone.block_on([&]() -> task<void> {
            std::vector<blitzio::join_handle<void>> handles;
            for (int round = 0; round < 3; ++round)
            {
                handles.push_back(alone.spawn(mark(order, 'l'), {.priority = task_priority::low}));
                handles.push_back(alone.spawn(mark(order, 'n')));
                handles.push_back(alone.spawn(mark(order, 'h'), {.priority = task_priority::high}));
            }
            co_await blitzio::yield();
            co_await run_all(handles);
        });
        CHECK(order == "hhhnnnlll");
    }
}

TEST_CASE("from outside of the workers, too", "[priority]")
{
    for (const auto backend : both_worlds)
    {
        runtime alone(on_this_thread(backend));
        std::string order;
        static_cast<void>(alone.spawn(mark(order, 'l'), {.priority = task_priority::low}));
        static_cast<void>(alone.spawn(mark(order, 'n')));
        static_cast<void>(alone.spawn(mark(order, 'n')));
        static_cast<void>(alone.spawn(mark(order, 'h'), {.priority = task_priority::high}));
        alone.run();
        CHECK(order == "hnnl");
    }
}

TEST_CASE("what goes on goes on in the order of the priorities", "[priority]")
{
    runtime alone(on_this_thread(blitzio::backend_choice::automatic));
    std::string order;
    constexpr int times = 120;
    static_cast<void>(alone.spawn(mark_often(order, 'l', times), {.priority = task_priority::low}));
    static_cast<void>(alone.spawn(mark_often(order, 'n', times)));
    static_cast<void>(
        alone.spawn(mark_often(order, 'h', times), {.priority = task_priority::high}));
    alone.run();
    REQUIRE(order.size() == 3 * times);
    const auto at = [&](char letter, long number) {
        long seen = 0;
        return std::ranges::find_if(order,
                                    [&](char each) { return each == letter && ++seen == number; }) -
               order.begin();
    };
    // Nearly all of the high one before the middle of the normal one, and so on, but nobody stands
    // still until then.
    CHECK(at('h', times) < at('n', times / 2));
    CHECK(at('n', times) < at('l', times / 2));
    CHECK(at('n', 1) < at('h', times));
    CHECK(at('l', 1) < at('n', times));
}

TEST_CASE("nobody starves under a load that never ends", "[priority]")
{
    for (const unsigned workers : {1u, 3u})
    {
        runtime busy({.io_threads = workers});
        std::atomic<bool> enough{false};
        std::atomic<int> served{0};
        std::vector<blitzio::join_handle<void>> load;
        const auto always_ready = [&enough]() -> task<void> {
            while (!enough.load())
            {
                co_await blitzio::yield();
            }
        };
        for (unsigned copy = 0; copy < 4 * workers; ++copy)
        {
            load.push_back(busy.spawn(always_ready, {.priority = task_priority::high}));
            load.push_back(busy.spawn(always_ready));
        }
        for (unsigned index = 0; index < workers; ++index)
        {
            for (const auto priority :
                 {task_priority::high, task_priority::normal, task_priority::low})
            {
                // Bound ones have lanes of their own.
                load.push_back(busy.spawn_on(index, always_ready, {.priority = priority}));
            }
        }
        const auto several_turns = [&served]() -> task<void> {
            for (int round = 0; round < 20; ++round)
            {
                co_await blitzio::yield();
                static_cast<void>(co_await blitzio::sleep_for(10us));
            }
            served.fetch_add(1);
        };
        int expected = 0;
        std::vector<blitzio::join_handle<void>> measured;
        for (const auto priority : {task_priority::high, task_priority::normal, task_priority::low})
        {
            measured.push_back(busy.spawn(several_turns, {.priority = priority}));
            measured.push_back(busy.spawn_on(workers - 1, several_turns, {.priority = priority}));
            expected += 2;
        }
        const auto end = std::chrono::steady_clock::now() + 20s;
        while (served.load() < expected && std::chrono::steady_clock::now() < end)
        {
            std::this_thread::sleep_for(1ms);
        }
        CHECK(served == expected);
        enough = true;
        for (auto& each : load)
        {
            busy.block_on(std::move(each));
        }
        for (auto& each : measured)
        {
            busy.block_on(std::move(each));
        }
    }
}

TEST_CASE("a task of high priority overtakes a long queue when its wait is over", "[priority]")
{
    runtime alone(on_this_thread(blitzio::backend_choice::automatic));
    constexpr int crowd = 3'000;
    // The worker looks at its driver and its timers so often, and each of these waits takes two looks.
    constexpr int few = 300;
    std::atomic<bool> enough{false};
    int turns = 0;
    for (int copy = 0; copy < crowd; ++copy)
    {
        static_cast<void>(alone.spawn([&]() -> task<void> {
            while (!enough.load())
            {
                ++turns;
                co_await blitzio::yield();
            }
        }));
    }
    // How many turns of others pass while a task waits for something that is over with the next look.
    const auto measure = [&](std::array<int, 2>& passed) -> task<void> {
        co_await blitzio::yield();
        int before = turns;
        static_cast<void>(co_await blitzio::sleep_for(0ns));
        passed[0] = turns - before;
        before = turns;
        static_cast<void>(co_await blitzio::test::raw_step());
        passed[1] = turns - before;
    };
    std::array<int, 2> high{};
    std::array<int, 2> normal{};
    alone.block_on([&]() -> task<void> {
        auto first = alone.spawn(measure(high), {.priority = task_priority::high});
        co_await std::move(first);
        auto second = alone.spawn(measure(normal));
        co_await std::move(second);
        enough = true;
    });
    alone.run(); // the crowd looks at what is destroyed before the runtime
    CHECK(high[0] <= few);
    CHECK(high[1] <= few);
    // Timers have their turns in any case; what the driver completes waits behind the crowd.
    CHECK(normal[1] >= crowd / 2);
}

TEST_CASE("what is awaited in place inherits the priority, what is spawned does not", "[priority]")
{
    blitzio::test::on_every_runtime(
        [](runtime& where) {
            const auto ask = []() -> task<task_priority> {
                co_return co_await blitzio::this_task::priority();
            };
            const auto parent = [&]() -> task<int> {
                int wrong = 0;
                const auto expect = [&wrong](task_priority seen, task_priority wanted) {
                    wrong += seen == wanted ? 0 : 1;
                };
                expect(co_await ask(), task_priority::high);
                auto both = co_await blitzio::when_all(ask(), ask());
                expect(std::get<0>(both), task_priority::high);
                auto spawned = where.spawn(ask());
                expect(co_await std::move(spawned), task_priority::normal);
                auto inherited = co_await blitzio::this_task::spawn(ask);
                expect(co_await std::move(inherited), task_priority::normal);
                const auto mine = co_await blitzio::this_task::priority();
                auto stated = where.spawn(ask(), {.priority = mine});
                expect(co_await std::move(stated), task_priority::high);
                task_priority child = task_priority::high;
                task_priority low_child = task_priority::high;
                co_await blitzio::scope([&](blitzio::task_group& group) -> task<void> {
                    group.spawn([&]() -> task<void> { child = co_await ask(); });
                    group.spawn([&]() -> task<void> { low_child = co_await ask(); },
                                {.priority = task_priority::low});
                    co_return;
                });
                expect(child, task_priority::normal);
                expect(low_child, task_priority::low);
                co_return wrong;
            };
            auto handle = where.spawn(parent, {.priority = task_priority::high});
            REQUIRE(where.block_on(std::move(handle)) == 0);
        },
        10);
}

TEST_CASE("a bound task with a priority stays where it is", "[priority][bound]")
{
    blitzio::test::on_every_runtime(
        [](runtime& where) {
            const unsigned home = where.worker_count() - 1;
            std::vector<blitzio::join_handle<int>> bound;
            for (const auto priority :
                 {task_priority::high, task_priority::normal, task_priority::low})
            {
                const auto wander = [&where, home, priority]() -> task<int> {
                    int strayed = 0;
                    const auto look = [&] { strayed += worker_index() == home ? 0 : 1; };
                    for (int round = 0; round < 10; ++round)
                    {
                        look();
                        co_await blitzio::yield();
                        look();
                        static_cast<void>(co_await blitzio::sleep_for(100us));
                        look();
                        static_cast<void>(co_await blitzio::spawn_blocking([] {}));
                        look();
                        auto other = where.spawn([]() -> task<void> { co_await blitzio::yield(); });
                        co_await std::move(other);
                        look();
                        auto local = where.spawn_local(
                            [home]() -> task<int> { co_return worker_index() == home ? 0 : 1; },
                            {.priority = priority});
                        strayed += co_await std::move(local);
                    }
                    const auto seen = co_await blitzio::this_task::priority();
                    co_return strayed + (seen == priority ? 0 : 1);
                };
                bound.push_back(where.spawn_on(home, wander, {.priority = priority}));
            }
            for (auto& each : bound)
            {
                REQUIRE(where.block_on(std::move(each)) == 0);
            }
        },
        10);
}

TEST_CASE("bound tasks begin in the order of their priorities", "[priority][bound]")
{
    runtime alone(on_this_thread(blitzio::backend_choice::automatic));
    std::string order;
    alone.block_on([&]() -> task<void> {
        std::vector<blitzio::join_handle<void>> handles;
        handles.push_back(alone.spawn_local(mark(order, 'l'), {.priority = task_priority::low}));
        handles.push_back(alone.spawn_local(mark(order, 'n')));
        handles.push_back(alone.spawn_on(0, mark(order, 'h'), {.priority = task_priority::high}));
        co_await blitzio::yield();
        co_await run_all(handles);
    });
    CHECK(order == "hnl");
}

TEST_CASE("idle workers take what waits with a priority elsewhere", "[priority][steal]")
{
    for (const auto priority : {task_priority::high, task_priority::low})
    {
        runtime several({.io_threads = 3, .strategy = scheduling_strategy::work_stealing});
        std::atomic<int> elsewhere{0};
        std::atomic<int> ended{0};
        constexpr int children = 200;
        several.block_on([&]() -> task<void> {
            const unsigned here = worker_index();
            for (int child = 0; child < children; ++child)
            {
                static_cast<void>(several.spawn(
                    [&elsewhere, &ended, here]() -> task<void> {
                        elsewhere.fetch_add(worker_index() == here ? 0 : 1);
                        ended.fetch_add(1);
                        co_return;
                    },
                    {.priority = priority}));
            }
            // Keeps its worker to itself: the others have to do it.
            const auto end = std::chrono::steady_clock::now() + 20s;
            while (ended.load() < children && std::chrono::steady_clock::now() < end)
            {
                std::this_thread::yield();
            }
            co_return;
        });
        CHECK(elsewhere == children);
        several.run();
    }
}

TEST_CASE("with a thread per core priorities stay at home", "[priority][steal]")
{
    runtime several({.io_threads = 3, .strategy = scheduling_strategy::thread_per_core});
    std::atomic<int> strayed{0};
    several.block_on([&]() -> task<void> {
        const unsigned home = worker_index();
        co_await blitzio::scope([&](blitzio::task_group& group) -> task<void> {
            for (int child = 0; child < 1'000; ++child)
            {
                group.spawn(
                    [&strayed, home]() -> task<void> {
                        strayed.fetch_add(worker_index() == home ? 0 : 1);
                        co_await blitzio::yield();
                        strayed.fetch_add(worker_index() == home ? 0 : 1);
                    },
                    {.priority = child % 2 == 0 ? task_priority::high : task_priority::low});
            }
            co_return;
        });
    });
    CHECK(strayed == 0);
}

TEST_CASE("many tasks of all priorities on all workers end", "[priority][stress]")
{
    for (const unsigned workers : {1u, 4u})
    {
        runtime several({.io_threads = workers});
        std::atomic<int> ended{0};
        constexpr int each = 600;
        std::vector<std::thread> others;
        for (const auto priority : {task_priority::high, task_priority::normal, task_priority::low})
        {
            others.emplace_back([&, priority] {
                for (int index = 0; index < each; ++index)
                {
                    const auto work = [&ended, index]() -> task<void> {
                        static_cast<void>(
                            co_await blitzio::sleep_for(std::chrono::microseconds(index % 50)));
                        co_await blitzio::yield();
                        static_cast<void>(co_await blitzio::spawn_blocking([] {}));
                        ended.fetch_add(1);
                    };
                    if (index % 3 == 0)
                    {
                        static_cast<void>(several.spawn_on(static_cast<unsigned>(index) % workers,
                                                           work, {.priority = priority}));
                    }
                    else
                    {
                        static_cast<void>(several.spawn(work, {.priority = priority}));
                    }
                }
            });
        }
        for (auto& other : others)
        {
            other.join();
        }
        several.run();
        CHECK(ended == 3 * each);
    }
}
