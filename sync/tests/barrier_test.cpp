// barrier. Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/io/timeout.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync/barrier.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

// Tokio's sync_barrier: single.
TEST_CASE("a barrier of one lets everybody pass and chooses each")
{
    auto rt = threaded(1);
    sync::barrier gate(1);
    for (int round = 0; round < 3; ++round)
    {
        REQUIRE(rt.block_on(gate.arrive_and_wait()).value());
    }
}

// Tokio's sync_barrier: tango, lots. Each round is complete before anybody is in the next.
TEST_CASE("tasks go through a barrier round by round, and one of them is chosen each time")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed, 1 + seed % 4);
        constexpr unsigned tasks = 4;
        constexpr unsigned rounds = 5;
        sync::barrier gate(tasks);
        std::vector<unsigned> at(tasks, 0);
        unsigned chosen = 0;
        bool overtaken = false;
        for (unsigned id = 0; id < tasks; ++id)
        {
            static_cast<void>(rt.spawn([&, id]() -> task<void> {
                for (unsigned round = 0; round < rounds; ++round)
                {
                    co_await yield_times((id + round) % 3);
                    at[id] = round + 1;
                    auto first = co_await gate.arrive_and_wait();
                    chosen += first.value() ? 1 : 0;
                    overtaken |=
                        std::ranges::any_of(at, [&](unsigned other) { return other < round + 1; });
                }
            }));
        }
        rt.run();
        CAPTURE(seed);
        REQUIRE_FALSE(overtaken);
        REQUIRE(chosen == rounds);
    }
}

TEST_CASE("who is cancelled at a barrier has not arrived")
{
    unsigned passed = 0;
    unsigned cancelled = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed);
        sync::barrier gate(3);
        unsigned through = 0;
        unsigned chosen = 0;
        const auto arrive = [&]() -> task<bool> {
            co_await yield_times(2);
            auto outcome = co_await gate.arrive_and_wait();
            through += outcome ? 1 : 0;
            chosen += outcome && *outcome ? 1 : 0;
            co_return outcome.has_value();
        };
        auto first = rt.spawn(arrive);
        auto victim = rt.spawn(arrive);
        auto stopper = rt.spawn([&, steps = seed % 8]() -> task<void> {
            co_await yield_times(steps);
            victim.request_stop();
        });
        auto second = rt.spawn([&]() -> task<bool> {
            co_await yield_times(seed % 5);
            co_return co_await arrive();
        });
        rt.block_on(std::move(stopper)); // the handle of the victim must stay until then
        const bool got = rt.block_on(std::move(victim));
        (got ? passed : cancelled)++;
        CAPTURE(seed);
        if (!got)
        {
            // The round waits for somebody else.
            rt.block_on([&]() -> task<void> { co_await yield_times(30); });
            REQUIRE(through == 0);
            REQUIRE(rt.block_on(arrive()));
        }
        REQUIRE(rt.block_on(std::move(first)));
        REQUIRE(rt.block_on(std::move(second)));
        REQUIRE(through == 3);
        REQUIRE(chosen == 1);
    }
    REQUIRE(passed > 0);
    REQUIRE(cancelled > 0);
}

TEST_CASE("whoever drops out is not waited for any more")
{
    auto rt = simulated(11);
    sync::barrier gate(3);
    rt.block_on([&]() -> task<void> {
        auto first = rt.spawn([&]() -> task<bool> {
            auto outcome = co_await gate.arrive_and_wait();
            co_return outcome.value();
        });
        auto second = rt.spawn([&]() -> task<bool> {
            auto outcome = co_await gate.arrive_and_wait();
            co_return outcome.value();
        });
        co_await yield_times(8);
        gate.arrive_and_drop(); // completes the round
        const bool one = co_await std::move(first);
        const bool other = co_await std::move(second);
        CHECK(one != other);
        CHECK(gate.participants() == 2);
        auto both = co_await when_all(gate.arrive_and_wait(), gate.arrive_and_wait());
        CHECK(std::get<0>(both).value() != std::get<1>(both).value());
        auto alone = co_await timeout(5ms, gate.arrive_and_wait());
        CHECK(alone.error() == std::errc::timed_out);
        gate.arrive_and_drop();
        auto last = co_await gate.arrive_and_wait();
        CHECK(last.value());
        gate.arrive_and_drop();
        auto nobody = co_await gate.arrive_and_wait();
        CHECK(nobody.error() == io_errc::closed);
    });
}

TEST_CASE("a barrier keeps rounds apart on real threads")
{
    for (const unsigned workers : {1u, 4u})
    {
        auto rt = threaded(workers);
        constexpr unsigned tasks = 6;
        constexpr unsigned rounds = 3000;
        sync::barrier gate(tasks);
        std::atomic<unsigned> arrived{0};
        std::atomic<unsigned> chosen{0};
        std::atomic<bool> early{false};
        for (unsigned id = 0; id < tasks; ++id)
        {
            static_cast<void>(rt.spawn([&]() -> task<void> {
                for (unsigned round = 0; round < rounds; ++round)
                {
                    arrived.fetch_add(1, std::memory_order_relaxed);
                    auto first = co_await gate.arrive_and_wait();
                    early = early || arrived.load(std::memory_order_relaxed) < (round + 1) * tasks;
                    chosen.fetch_add(first.value() ? 1 : 0);
                }
            }));
        }
        rt.run();
        CAPTURE(workers);
        REQUIRE_FALSE(early.load());
        REQUIRE(chosen == rounds);
    }
}
