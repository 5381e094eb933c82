// Scheduling strategies, tasks that are bound to one worker, giving way, affinity.
#include "support/runtimes.hpp"

#include "scheduler/worker.hpp"

#include <blitzio/io.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using blitzio::affinity_choice;
using blitzio::scheduling_strategy;
using blitzio::task;
using blitzio::test::on_every_runtime;

namespace
{

unsigned worker_index()
{
    return blitzio::detail::current_worker()->index();
}

/// Waits in many ways and counts how often it went on somewhere else than on `home`.
task<int> wander(blitzio::runtime& runtime, unsigned home)
{
    int strayed = 0;
    const auto look = [&] { strayed += worker_index() == home ? 0 : 1; };
    for (int round = 0; round < 20; ++round)
    {
        look();
        co_await blitzio::yield();
        look();
        static_cast<void>(co_await blitzio::sleep_for(200us));
        look();
        static_cast<void>(co_await blitzio::spawn_blocking([] {}));
        look();
        // The child goes on wherever it likes, and ends there.
        auto child = runtime.spawn([]() -> task<int> {
            co_await blitzio::yield();
            co_return 1;
        });
        static_cast<void>(co_await std::move(child));
        look();
        auto both = co_await blitzio::when_all(blitzio::sleep_for(100us), blitzio::yield());
        static_cast<void>(both);
        look();
        auto limited = co_await blitzio::timeout(1h, blitzio::spawn_blocking([] { return 1; }));
        static_cast<void>(limited);
        look();
    }
    co_return strayed;
}

task<blitzio::result<int>> wander_with_try(unsigned home)
{
    int strayed = 0;
    for (int round = 0; round < 20; ++round)
    {
        co_await blitzio::try_(blitzio::spawn_blocking([] {}));
        strayed += worker_index() == home ? 0 : 1;
    }
    co_return strayed;
}

} // namespace

TEST_CASE("a bound task runs on its worker only, whatever it waits for", "[strategy][bound]")
{
    on_every_runtime(
        [](blitzio::runtime& runtime) {
            std::vector<blitzio::join_handle<int>> bound;
            for (unsigned index = 0; index < runtime.worker_count(); ++index)
            {
                for (int copy = 0; copy < 3; ++copy)
                {
                    bound.push_back(runtime.spawn_on(index, wander(runtime, index)));
                }
            }
            for (auto& each : bound)
            {
                REQUIRE(runtime.block_on(std::move(each)) == 0);
            }
            const unsigned last = runtime.worker_count() - 1;
            auto trying = runtime.spawn_on(last, wander_with_try(last));
            REQUIRE(runtime.block_on(std::move(trying)) == 0);
        },
        10);
}

TEST_CASE("the tasks of a bound task's scope are bound with it", "[strategy][bound]")
{
    on_every_runtime(
        [](blitzio::runtime& runtime) {
            const unsigned home = runtime.worker_count() - 1;
            int strayed = 0; // no atomic: all of them run on one thread
            int ended = 0;
            auto bound = runtime.spawn_on(home, [&]() -> task<void> {
                co_await blitzio::scope([&](blitzio::task_group& group) -> task<void> {
                    for (int child = 0; child < 50; ++child)
                    {
                        group.spawn([&]() -> task<void> {
                            strayed += worker_index() == home ? 0 : 1;
                            static_cast<void>(co_await blitzio::sleep_for(100us));
                            strayed += worker_index() == home ? 0 : 1;
                            ++ended;
                        });
                    }
                    co_return;
                });
            });
            runtime.block_on(std::move(bound));
            REQUIRE(strayed == 0);
            REQUIRE(ended == 50);
        },
        10);
}

TEST_CASE("spawn_local binds to the worker that spawns", "[strategy][bound]")
{
    on_every_runtime(
        [](blitzio::runtime& runtime) {
            const auto outer = [&]() -> task<bool> {
                co_await blitzio::yield();
                const unsigned here = worker_index();
                auto local = runtime.spawn_local(wander(runtime, here));
                const int strayed = co_await std::move(local);
                co_return strayed == 0;
            };
            REQUIRE(runtime.block_on(outer()));
        },
        10);
}

TEST_CASE("binding where it is impossible is refused, with the reason", "[strategy][bound]")
{
    blitzio::runtime runtime({.io_threads = 2});
    REQUIRE(runtime.worker_count() == 2);
    const auto nothing = []() -> task<void> { co_return; };
    try
    {
        static_cast<void>(runtime.spawn_on(2, nothing));
        FAIL("there is no such worker");
    }
    catch (const std::system_error& refused)
    {
        CHECK(refused.code() == std::errc::invalid_argument);
        CHECK(std::string(refused.what()).find("worker 2 of 2") != std::string::npos);
    }
    try
    {
        static_cast<void>(runtime.spawn_local(nothing));
        FAIL("this is no worker");
    }
    catch (const std::system_error& refused)
    {
        CHECK(refused.code() == blitzio::io_errc::not_on_worker);
    }
}

TEST_CASE("a bound task that is stopped ends on its worker", "[strategy][bound][stop]")
{
    blitzio::runtime runtime({.io_threads = 3});
    for (unsigned index = 0; index < 3; ++index)
    {
        auto waiting = runtime.spawn_on(index, []() -> task<unsigned> {
            static_cast<void>(co_await blitzio::sleep_for(1h));
            co_return worker_index();
        });
        waiting.request_stop();
        REQUIRE(runtime.block_on(std::move(waiting)) == index);
    }
}

TEST_CASE("every strategy does the work", "[strategy]")
{
    for (const auto strategy :
         {scheduling_strategy::automatic, scheduling_strategy::thread_per_core,
          scheduling_strategy::work_stealing, scheduling_strategy::single_threaded})
    {
        CAPTURE(static_cast<int>(strategy));
        const bool alone = strategy == scheduling_strategy::single_threaded;
        blitzio::runtime runtime({.io_threads = alone ? 0u : 3u, .strategy = strategy});
        REQUIRE(runtime.worker_count() == (alone ? 1u : 3u));
        std::atomic<int> ended{0};
        std::vector<blitzio::join_handle<void>> handles;
        for (int index = 0; index < 300; ++index)
        {
            handles.push_back(runtime.spawn([&ended, index]() -> task<void> {
                static_cast<void>(co_await blitzio::sleep_for(std::chrono::microseconds(index)));
                co_await blitzio::yield();
                static_cast<void>(co_await blitzio::spawn_blocking([] {}));
                ended.fetch_add(1);
            }));
        }
        for (auto& handle : handles)
        {
            runtime.block_on(std::move(handle));
        }
        REQUIRE(ended == 300);
    }
}

TEST_CASE("with a thread per core nothing is stolen", "[strategy]")
{
    blitzio::runtime runtime({.io_threads = 3, .strategy = scheduling_strategy::thread_per_core});
    std::atomic<int> strayed{0};
    const auto parent = [&]() -> task<void> {
        const unsigned home = worker_index();
        co_await blitzio::scope([&](blitzio::task_group& group) -> task<void> {
            for (int child = 0; child < 2'000; ++child)
            {
                group.spawn([&strayed, home]() -> task<void> {
                    strayed.fetch_add(worker_index() == home ? 0 : 1);
                    co_await blitzio::yield();
                    strayed.fetch_add(worker_index() == home ? 0 : 1);
                });
            }
            co_return;
        });
    };
    runtime.block_on(parent());
    CHECK(strayed == 0);
    CHECK(runtime.metrics().steals == 0);
}

TEST_CASE("a task that never waits gives way at yield_if_needed", "[strategy][yield]")
{
    blitzio::runtime runtime({.io_threads = 1});
    bool other_ran = false;
    long turns = 0;
    const auto busy = [&]() -> task<void> {
        auto other = runtime.spawn([&]() -> task<void> {
            other_ran = true;
            co_return;
        });
        while (!other_ran)
        {
            ++turns;
            co_await blitzio::yield_if_needed();
        }
        co_await std::move(other);
    };
    runtime.block_on(busy());
    CHECK(turns > 1);
    CHECK(turns < 1'000);
}

TEST_CASE("workers stay on their processors when they are told to", "[strategy][affinity]")
{
    blitzio::runtime bound({.io_threads = 2, .affinity = affinity_choice::sequential});
    CHECK(bound.explain().find("affinity: a processor for each worker") != std::string::npos);
    const auto processors = [](blitzio::runtime& runtime, unsigned index) {
        return runtime.block_on(runtime.spawn_on(
            index, []() -> task<unsigned> { co_return blitzio::usable_processors().count; }));
    };
    CHECK(processors(bound, 0) == 1);
    CHECK(processors(bound, 1) == 1);
    blitzio::runtime free({.io_threads = 2, .affinity = affinity_choice::none});
    CHECK(free.explain().find("affinity: none") != std::string::npos);
    CHECK(processors(free, 1) == blitzio::usable_processors().count);
}
