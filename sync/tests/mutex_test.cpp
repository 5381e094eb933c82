// mutex and guarded<T>. Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/io/race.hpp>
#include <blitzio/io/task_group.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync/mutex.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

TEST_CASE("a free mutex is locked at once and unlocked by its guard")
{
    auto rt = threaded(1);
    sync::mutex lock;
    {
        auto held = rt.block_on(lock.lock());
        REQUIRE(held.has_value());
        REQUIRE(held->owns_lock());
        REQUIRE(lock.is_locked());
        REQUIRE_FALSE(lock.try_lock().has_value());
        auto moved = *std::move(held);
        REQUIRE_FALSE(held->owns_lock());
        REQUIRE(lock.is_locked());
        moved.unlock();
        moved.unlock();
        REQUIRE_FALSE(lock.is_locked());
    }
    sync::mutex other;
    auto again = lock.try_lock();
    REQUIRE(again.has_value());
    *again = *other.try_lock(); // assignment gives the old one back
    REQUIRE_FALSE(lock.is_locked());
    REQUIRE(other.is_locked());
}

namespace
{

struct contest
{
    sync::mutex lock;
    std::vector<unsigned> arrived;
    std::vector<unsigned> entered;
    unsigned inside = 0;
    bool overlapped = false;
};

task<void> contend(contest& shared, unsigned id)
{
    for (unsigned round = 0; round < 5; ++round)
    {
        co_await yield_times((id + round) % 3);
        shared.arrived.push_back(id);
        auto held = co_await shared.lock.lock();
        shared.entered.push_back(id);
        shared.overlapped |= ++shared.inside != 1;
        co_await yield_times(id % 4);
        --shared.inside;
    }
}

} // namespace

TEST_CASE("a mutex lets one in at a time, in the order of arrival")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed, 1 + seed % 4);
        contest shared;
        for (unsigned id = 0; id < 6; ++id)
        {
            static_cast<void>(rt.spawn([&shared, id] { return contend(shared, id); }));
        }
        rt.run();
        CAPTURE(seed);
        REQUIRE_FALSE(shared.overlapped);
        REQUIRE(shared.entered.size() == 30);
        REQUIRE(shared.entered == shared.arrived);
        REQUIRE_FALSE(shared.lock.is_locked());
    }
}

TEST_CASE("a waiter of a mutex may be cancelled at every step, and nobody else notices")
{
    unsigned locked = 0;
    unsigned cancelled = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed);
        sync::mutex lock;
        unsigned others = 0;
        const auto other = [&]() -> task<void> {
            auto held = co_await lock.lock();
            others += held.has_value() ? 1 : 0;
            co_await yield_times(3);
        };
        auto first = rt.spawn(other);
        auto victim = rt.spawn([&]() -> task<bool> {
            auto held = co_await lock.lock();
            if (!held && !is_cancelled(held.error()))
            {
                throw std::system_error(held.error());
            }
            co_return held.has_value();
        });
        auto last = rt.spawn(other);
        static_cast<void>(rt.spawn([&, steps = seed % 12]() -> task<void> {
            co_await yield_times(steps);
            victim.request_stop();
        }));
        rt.block_on([&]() -> task<void> {
            co_await std::move(first);
            co_await std::move(last);
        });
        rt.run();
        (rt.block_on([&]() -> task<bool> { co_return co_await std::move(victim); }) ? locked
                                                                                    : cancelled)++;
        CAPTURE(seed);
        REQUIRE(others == 2);
        REQUIRE_FALSE(lock.is_locked());
    }
    REQUIRE(locked > 0);
    REQUIRE(cancelled > 0);
}

TEST_CASE("a mutex handed over before the stop request is delivered")
{
    auto rt = threaded(1);
    const bool delivered = rt.block_on([&]() -> task<bool> {
        sync::mutex lock;
        auto held = lock.try_lock();
        auto waiting = rt.spawn([&]() -> task<bool> {
            auto mine = co_await lock.lock();
            co_return mine.has_value();
        });
        co_await yield_times(4);
        held->unlock(); // the one worker is in here: the heir cannot run before the request
        waiting.request_stop();
        co_return co_await std::move(waiting);
    });
    REQUIRE(delivered);
}

TEST_CASE("a task that was told to stop does not lock")
{
    auto rt = threaded(1);
    sync::mutex lock;
    stop_source source;
    source.request_stop();
    const task_env env{&rt.core(), source.get_token()};
    auto operation = lock.lock();
    REQUIRE_FALSE(operation.start(env, {}));
    const auto outcome = operation.await_resume();
    REQUIRE_FALSE(outcome.has_value());
    REQUIRE(is_cancelled(outcome.error()));
    REQUIRE_FALSE(lock.is_locked());
}

TEST_CASE("locking works inside timeout, race and when_all")
{
    auto rt = simulated(7);
    sync::mutex first;
    sync::mutex second;
    rt.block_on([&]() -> task<void> {
        {
            auto both = co_await when_all(first.lock(), second.lock());
            CHECK(std::get<0>(both).has_value());
            CHECK(std::get<1>(both).has_value());
            auto late = co_await timeout(5ms, first.lock());
            CHECK_FALSE(late.has_value());
            CHECK(late.error() == std::errc::timed_out);
            auto winner = co_await race(first.lock(), turns(3));
            CHECK(winner.index() == 1);
        }
        auto winner = co_await race(first.lock(), second.lock());
        CHECK(winner.index() == 0);
        CHECK(first.is_locked());
        CHECK_FALSE(second.is_locked());
    });
    REQUIRE_FALSE(first.is_locked());
}

TEST_CASE("a mutex excludes on real threads while waiters are cancelled at random")
{
    for (const unsigned workers : {1u, 4u})
    {
        sync::mutex lock;
        std::uint64_t plain_counter = 0; // a data race, and a wrong sum, if two are inside
        std::atomic<std::uint64_t> entered{0};
        std::atomic<std::uint64_t> given_up{0};
        {
            auto rt = threaded(workers);
            for (unsigned id = 0; id < 12; ++id)
            {
                static_cast<void>(rt.spawn([&, id]() -> task<void> {
                    for (unsigned round = 0; round < 10000; ++round)
                    {
                        auto outcome = co_await race(lock.lock(), turns((id + round) % 5));
                        if (outcome.index() == 0 && std::get<0>(outcome).has_value())
                        {
                            ++plain_counter;
                            entered.fetch_add(1, std::memory_order_relaxed);
                            if (round % 8 == 0)
                            {
                                co_await yield();
                            }
                        }
                        else
                        {
                            given_up.fetch_add(1, std::memory_order_relaxed);
                        }
                    }
                }));
            }
            rt.run();
        }
        CAPTURE(workers);
        REQUIRE(entered + given_up == 12 * 10000);
        REQUIRE(plain_counter == entered);
        REQUIRE(entered > 0);
        REQUIRE_FALSE(lock.is_locked());
    }
}

TEST_CASE("threads outside the runtime use try_lock beside waiting tasks")
{
    auto rt = threaded(2);
    sync::guarded<std::uint64_t> counter(0u);
    std::atomic<bool> done{false};
    std::uint64_t from_thread = 0;
    std::thread outside([&] {
        while (!done.load() || from_thread == 0)
        {
            if (auto access = counter.try_lock())
            {
                ++**access;
                ++from_thread;
            }
        }
    });
    const auto add = [&]() -> task<void> {
        for (unsigned round = 0; round < 30000; ++round)
        {
            auto access = co_await counter.lock();
            ++**access;
        }
    };
    rt.block_on([&]() -> task<void> { co_await when_all(add(), add(), add()); });
    done = true;
    outside.join();
    REQUIRE(**counter.try_lock() == 90000 + from_thread);
}

TEST_CASE("guarded gives its value only with the lock")
{
    auto rt = threaded(1);
    sync::guarded<std::string> text("some text");
    rt.block_on([&]() -> task<void> {
        auto access = co_await text.lock();
        *access.value() += ", more";
        CHECK((*access)->size() == 15);
        CHECK_FALSE(text.try_lock().has_value());
        auto late = co_await timeout(1ms, text.lock());
        CHECK(late.error() == std::errc::timed_out);
        access->unlock();
        CHECK(text.try_lock().has_value());
    });
}
