// semaphore. Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/io/race.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync/semaphore.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <vector>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

TEST_CASE("permits are taken and come back")
{
    auto rt = threaded(1);
    sync::semaphore slots(3);
    {
        auto two = rt.block_on(slots.acquire(2));
        REQUIRE(two.has_value());
        REQUIRE(two->count() == 2);
        REQUIRE(slots.available() == 1);
        REQUIRE_FALSE(slots.try_acquire(2).has_value());
        auto one = slots.try_acquire();
        REQUIRE(one.has_value());
        REQUIRE(slots.available() == 0);
        one->release();
        one->release();
        REQUIRE(slots.available() == 1);
    }
    REQUIRE(slots.available() == 3);
    auto kept = slots.try_acquire(3);
    REQUIRE(kept->forget() == 3);
    kept.reset();
    REQUIRE(slots.available() == 0);
    slots.release(4);
    REQUIRE(slots.available() == 4);
    REQUIRE(slots.try_acquire(0).has_value());
}

TEST_CASE("permits are granted in the order of arrival, however many each wants")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed, 1 + seed % 4);
        sync::semaphore slots(4);
        std::vector<unsigned> arrived;
        std::vector<unsigned> resumed;
        std::size_t in_use = 0;
        bool over = false;
        for (unsigned id = 0; id < 8; ++id)
        {
            static_cast<void>(rt.spawn([&, id]() -> task<void> {
                for (unsigned round = 0; round < 4; ++round)
                {
                    // More than half: two never fit, so the order of resumption is that of grants.
                    const std::size_t wanted = 3 + (id + round) % 2;
                    co_await yield_times((id + round) % 3);
                    arrived.push_back(id);
                    auto held = co_await slots.acquire(wanted);
                    resumed.push_back(id);
                    in_use += wanted;
                    over |= in_use > 4;
                    co_await yield_times(1 + id % 3);
                    in_use -= wanted;
                }
            }));
        }
        rt.run();
        CAPTURE(seed);
        REQUIRE_FALSE(over);
        REQUIRE(resumed.size() == 32);
        REQUIRE(resumed == arrived);
        REQUIRE(slots.available() == 4);
    }
}

TEST_CASE("acquires of one permit are granted in the order of arrival")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed, 1 + seed % 4);
        sync::semaphore slots(1);
        std::vector<unsigned> arrived;
        std::vector<unsigned> entered;
        for (unsigned id = 0; id < 6; ++id)
        {
            static_cast<void>(rt.spawn([&, id]() -> task<void> {
                for (unsigned round = 0; round < 4; ++round)
                {
                    co_await yield_times((id + round) % 3);
                    arrived.push_back(id);
                    auto held = co_await slots.acquire();
                    entered.push_back(id);
                    co_await yield_times(id % 3);
                }
            }));
        }
        rt.run();
        CAPTURE(seed);
        REQUIRE(entered.size() == 24);
        REQUIRE(entered == arrived);
    }
}

TEST_CASE("one who wants much is not overtaken, and gives way when cancelled")
{
    auto rt = threaded(1);
    rt.block_on([&]() -> task<void> {
        sync::semaphore slots(4);
        auto held = slots.try_acquire(2);
        auto greedy = rt.spawn([&]() -> task<bool> {
            auto all = co_await slots.acquire(4);
            co_return all.has_value();
        });
        co_await yield_times(4);
        auto modest = rt.spawn([&]() -> task<bool> {
            auto one = co_await slots.acquire(1);
            co_return one.has_value();
        });
        co_await yield_times(4);
        CHECK_FALSE(modest.finished()); // two are there, but the greedy one is first
        CHECK_FALSE(slots.try_acquire(1).has_value());
        greedy.request_stop();
        const auto greedy_got = co_await std::move(greedy);
        CHECK_FALSE(greedy_got);
        const auto modest_got = co_await std::move(modest);
        CHECK(modest_got); // nothing was released since
        CHECK(slots.available() == 2);
    });
}

TEST_CASE("a waiter of a semaphore may be cancelled at every step")
{
    unsigned granted = 0;
    unsigned cancelled = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed);
        sync::semaphore slots(2);
        unsigned others = 0;
        const auto other = [&](std::size_t wanted) -> task<void> {
            auto held = co_await slots.acquire(wanted);
            others += held.has_value() ? 1 : 0;
            co_await yield_times(3);
        };
        auto victim = rt.spawn([&]() -> task<bool> {
            co_await yield();
            auto held = co_await slots.acquire(2);
            co_return held.has_value();
        });
        for (const std::size_t wanted : {2u, 1u, 1u, 2u})
        {
            static_cast<void>(rt.spawn([&other, wanted] { return other(wanted); }));
        }
        static_cast<void>(rt.spawn([&, steps = seed % 14]() -> task<void> {
            co_await yield_times(steps);
            victim.request_stop();
        }));
        rt.run();
        const bool got = rt.block_on([&]() -> task<bool> { co_return co_await std::move(victim); });
        ++(got ? granted : cancelled);
        CAPTURE(seed);
        REQUIRE(others == 4);
        REQUIRE(slots.available() == 2);
    }
    REQUIRE(granted > 0);
    REQUIRE(cancelled > 0);
}

TEST_CASE("a semaphore loses no permit on real threads while waiters are cancelled at random")
{
    for (const unsigned workers : {1u, 4u})
    {
        sync::semaphore slots(3);
        std::atomic<std::size_t> in_use{0};
        std::atomic<bool> over{false};
        std::atomic<unsigned> granted{0};
        {
            auto rt = threaded(workers);
            for (unsigned id = 0; id < 12; ++id)
            {
                static_cast<void>(rt.spawn([&, id]() -> task<void> {
                    for (unsigned round = 0; round < 5000; ++round)
                    {
                        const std::size_t wanted = 1 + (id + round) % 3;
                        auto outcome = co_await race(slots.acquire(wanted), turns(id % 5));
                        if (outcome.index() != 0 || !std::get<0>(outcome).has_value())
                        {
                            continue;
                        }
                        granted.fetch_add(1, std::memory_order_relaxed);
                        if (in_use.fetch_add(wanted) + wanted > 3)
                        {
                            over = true;
                        }
                        if (round % 4 == 0)
                        {
                            co_await yield();
                        }
                        in_use.fetch_sub(wanted);
                    }
                }));
            }
            rt.run();
        }
        CAPTURE(workers);
        REQUIRE_FALSE(over);
        REQUIRE(granted > 0);
        REQUIRE(slots.available() == 3);
    }
}

TEST_CASE("acquiring works inside timeout")
{
    auto rt = simulated(3);
    sync::semaphore slots(1);
    rt.block_on([&]() -> task<void> {
        auto held = co_await timeout(5ms, slots.acquire());
        CHECK(held.has_value());
        auto late = co_await timeout(5ms, slots.acquire());
        CHECK(late.error() == std::errc::timed_out);
    });
    REQUIRE(slots.available() == 1);
}
