// notify and condition_variable. Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/io/race.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/try.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync/condition_variable.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/notify.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

// Tokio's sync_notify: notify_notified_one, notified_one_notify, notify_multi_notified_one.
TEST_CASE("a notification is kept for one who comes later, and no more than one")
{
    auto rt = simulated(2);
    sync::notify bell;
    rt.block_on([&]() -> task<void> {
        bell.notify_one();
        bell.notify_one();
        auto first = co_await bell.wait();
        CHECK(first.has_value());
        auto second = co_await timeout(5ms, bell.wait());
        CHECK(second.error() == std::errc::timed_out);
        bell.notify_all(); // nobody waits: not kept
        auto third = co_await timeout(5ms, bell.wait());
        CHECK(third.error() == std::errc::timed_out);
    });
}

// Tokio's sync_notify: notified_multi_notify; sync_notify_owned's order.
TEST_CASE("notify_one wakes in the order of arrival, notify_all everybody")
{
    auto rt = threaded(1);
    sync::notify bell;
    std::string log;
    rt.block_on([&]() -> task<void> {
        const auto wait = [&](char name) -> task<void> {
            auto outcome = co_await bell.wait();
            log += outcome ? name : '-';
        };
        auto a = rt.spawn([&] { return wait('a'); });
        co_await yield_times(2);
        auto b = rt.spawn([&] { return wait('b'); });
        co_await yield_times(2);
        auto c = rt.spawn([&] { return wait('c'); });
        co_await yield_times(2);
        bell.notify_one();
        co_await std::move(a);
        CHECK(log == "a");
        bell.notify_all();
        co_await std::move(b);
        co_await std::move(c);
    });
    REQUIRE(log.size() == 3);
}

// Tokio's sync_notify: notified_multi_notify_drop_one. A notification meets a stop request: the
// waiter has it, or the next one has.
TEST_CASE("no notification is lost to a waiter that is cancelled at any step")
{
    unsigned taken = 0;
    unsigned passed_on = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed);
        sync::notify bell;
        const auto wait = [&]() -> task<bool> {
            auto outcome = co_await bell.wait();
            co_return outcome.has_value();
        };
        auto victim = rt.spawn(wait);
        auto other = rt.spawn(wait);
        auto stopper = rt.spawn([&, steps = seed % 7]() -> task<void> {
            co_await yield_times(steps);
            victim.request_stop();
        });
        static_cast<void>(rt.spawn([&, steps = seed / 7 % 5]() -> task<void> {
            co_await yield_times(steps);
            bell.notify_one();
        }));
        rt.block_on(std::move(stopper));
        const bool first = rt.block_on(std::move(victim));
        CAPTURE(seed);
        if (first)
        {
            ++taken;
            bell.notify_one();
        }
        else
        {
            ++passed_on;
        }
        REQUIRE(rt.block_on(std::move(other)));
        rt.run();
    }
    REQUIRE(taken > 0);
    REQUIRE(passed_on > 0);
}

TEST_CASE("as many go on as were notified on real threads, with waits that run out")
{
    for (const unsigned workers : {1u, 4u})
    {
        auto rt = threaded(workers);
        sync::notify bell;
        std::atomic<std::uint64_t> open{0}; // what there is to be taken
        std::atomic<std::uint64_t> taken{0};
        constexpr std::uint64_t total = 20000;
        for (unsigned id = 0; id < 6; ++id)
        {
            static_cast<void>(rt.spawn([&, id]() -> task<void> {
                for (unsigned round = 0;; ++round)
                {
                    for (auto seen = open.load(); seen != 0;)
                    {
                        if (open.compare_exchange_weak(seen, seen - 1))
                        {
                            taken.fetch_add(1);
                            break;
                        }
                    }
                    if (taken.load() == total)
                    {
                        bell.notify_all();
                        bell.notify_one();
                        co_return;
                    }
                    if (open.load() != 0)
                    {
                        continue;
                    }
                    // Losing it to the race is harmless here: everything is looked at again.
                    static_cast<void>(co_await race(bell.wait(), turns((id + round) % 9 + 1)));
                }
            }));
        }
        for (std::uint64_t index = 0; index < total; ++index)
        {
            open.fetch_add(1);
            bell.notify_one();
        }
        rt.run();
        REQUIRE(taken == total);
    }
}

namespace
{

/// The classic: a queue with a bound, one lock, two conditions.
class bounded_queue
{
public:
    task<result<void>> put(int value)
    {
        auto held = co_await try_(lock_.lock());
        co_await try_(not_full_.wait(held, [this] { return items_.size() < 3; }));
        items_.push_back(value);
        not_empty_.notify_one();
        co_return {};
    }

    task<result<int>> get()
    {
        auto held = co_await try_(lock_.lock());
        co_await try_(not_empty_.wait(held, [this] { return !items_.empty(); }));
        const int value = items_.front();
        items_.pop_front();
        not_full_.notify_one();
        co_return value;
    }

    [[nodiscard]] bool is_idle() const noexcept
    {
        return items_.empty() && !lock_.is_locked();
    }

private:
    sync::mutex lock_;
    sync::condition_variable not_full_;
    sync::condition_variable not_empty_;
    std::deque<int> items_;
};

} // namespace

TEST_CASE("a queue of a mutex and condition variables loses nothing")
{
    for (const unsigned workers : {1u, 4u})
    {
        auto rt = threaded(workers);
        bounded_queue queue;
        std::atomic<long> sum{0};
        std::atomic<unsigned> refused{0};
        for (int id = 0; id < 4; ++id)
        {
            static_cast<void>(rt.spawn([&]() -> task<void> {
                for (int value = 1; value <= 3000; ++value)
                {
                    auto outcome = co_await queue.put(value);
                    refused.fetch_add(outcome ? 0 : 1);
                }
            }));
            static_cast<void>(rt.spawn([&]() -> task<void> {
                for (int count = 0; count < 3000; ++count)
                {
                    auto value = co_await queue.get();
                    sum.fetch_add(value.value());
                }
            }));
        }
        rt.run();
        REQUIRE(refused == 0);
        REQUIRE(sum == 4L * 3000 * 3001 / 2);
        REQUIRE(queue.is_idle());
    }
}

TEST_CASE("a wait for a condition may be cancelled at every step, and ends with the lock")
{
    unsigned served = 0;
    unsigned cancelled = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed);
        sync::mutex lock;
        sync::condition_variable changed;
        int tokens = 0;
        unsigned inside = 0;
        bool overlapped = false;
        const auto take = [&]() -> task<bool> {
            auto held = co_await lock.lock();
            if (!held)
            {
                co_return false;
            }
            auto outcome = co_await changed.wait(*held, [&] { return tokens > 0; });
            CHECK(held->owns_lock());
            CHECK(lock.is_locked());
            overlapped |= ++inside != 1;
            co_await yield_times(2);
            --inside;
            if (outcome)
            {
                --tokens;
            }
            else
            {
                CHECK(is_cancelled(outcome.error()));
                changed.notify_one(); // as anybody does who may have left something behind
            }
            co_return outcome.has_value();
        };
        auto victim = rt.spawn(take);
        auto other = rt.spawn(take);
        const auto give = [&]() -> task<void> {
            co_await yield_times(seed % 6);
            auto held = co_await lock.lock();
            ++tokens;
            changed.notify_one();
        };
        static_cast<void>(rt.spawn(give));
        auto stopper = rt.spawn([&, steps = seed / 6 % 12]() -> task<void> {
            co_await yield_times(steps);
            victim.request_stop();
        });
        rt.block_on(std::move(stopper)); // the handle of the victim must stay until then
        const bool got = rt.block_on(std::move(victim));
        (got ? served : cancelled)++;
        if (got)
        {
            rt.block_on(give());
        }
        CAPTURE(seed);
        REQUIRE(rt.block_on(std::move(other)));
        rt.run();
        REQUIRE(tokens == 0);
        REQUIRE_FALSE(overlapped);
        REQUIRE_FALSE(lock.is_locked());
    }
    REQUIRE(served > 0);
    REQUIRE(cancelled > 0);
}

// Go's cond_test: TestCondSignal, TestCondBroadcast.
TEST_CASE("notify_one wakes one, in order, and notify_all the rest")
{
    auto rt = threaded(1);
    sync::guarded<std::string> log;
    sync::condition_variable condition;
    rt.block_on([&]() -> task<void> {
        const auto wait = [&](char name) -> task<void> {
            auto access = co_await log.lock();
            auto outcome = co_await condition.wait(*access);
            **access += outcome ? name : '-';
        };
        condition.notify_all(); // nobody: not kept
        auto a = rt.spawn([&] { return wait('a'); });
        co_await yield_times(2);
        auto b = rt.spawn([&] { return wait('b'); });
        co_await yield_times(2);
        auto c = rt.spawn([&] { return wait('c'); });
        co_await yield_times(4);
        CHECK((*log.try_lock())->empty());
        condition.notify_one();
        co_await std::move(a);
        co_await yield_times(4);
        CHECK(**log.try_lock() == "a");
        condition.notify_all();
        co_await std::move(b);
        co_await std::move(c);
    });
    REQUIRE(**log.try_lock() == "abc");
}

TEST_CASE("a predicate that throws ends the wait with the lock, one that is true does not wait")
{
    auto rt = simulated(4);
    sync::mutex lock;
    sync::condition_variable condition;
    rt.block_on([&]() -> task<void> {
        auto held = co_await lock.lock();
        auto ready = co_await condition.wait(*held, [] { return true; });
        CHECK(ready.has_value());
        bool thrown = false;
        try
        {
            static_cast<void>(
                co_await condition.wait(*held, []() -> bool { throw std::runtime_error("no"); }));
        }
        catch (const std::runtime_error&)
        {
            thrown = true;
        }
        CHECK(thrown);
        CHECK(lock.is_locked());
        auto late = co_await timeout(5ms, condition.wait(*held));
        CHECK(late.error() == std::errc::timed_out);
        CHECK(lock.is_locked());
        held->unlock();
        CHECK_FALSE(lock.is_locked());
    });
}
