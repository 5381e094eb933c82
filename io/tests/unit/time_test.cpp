// Sleeping, ticking and bounding on every kind of runtime. The cases that other runtimes learned to
// test are named after theirs: Go's src/time and src/context tests, Tokio's tests/time_*.rs.
#include <blitzio/io.hpp>

#include "support/runtimes.hpp"

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using blitzio::missed_ticks;
using blitzio::result;
using blitzio::task;
using blitzio::test::on_every_runtime;
using std::chrono::nanoseconds;

namespace
{

task<nanoseconds> clock_now()
{
    const blitzio::task_env* const env = co_await blitzio::this_task::env();
    co_return blitzio::detail::now(*env->runtime);
}

std::chrono::steady_clock::time_point point(nanoseconds since_start)
{
    return std::chrono::steady_clock::time_point(since_start);
}

task<nanoseconds> slept(nanoseconds duration)
{
    const auto before = co_await clock_now();
    const auto outcome = co_await blitzio::sleep_for(duration);
    const auto after = co_await clock_now();
    co_return outcome ? after - before : nanoseconds(-1);
}

/// Runs `body(runtime)` on simulated runtimes only, where time is exact.
template <class Body>
void on_virtual_time(Body&& body, std::uint64_t seeds = 60)
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        INFO("seed " << seed);
        blitzio::runtime simulated({.io_threads = static_cast<unsigned>(1 + seed % 3),
                                    .backend = blitzio::backend_choice::sim,
                                    .simulation = {.seed = seed}});
        body(simulated);
    }
}

} // namespace

// Tokio: immediate_sleep, is_elapsed; Go: TestSleepZeroDeadlock.
TEST_CASE("no time to sleep is over at the next turn, any number of times", "[time]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto many = []() -> task<int> {
            int done = 0;
            for (const auto duration : {0ns, -1ns, nanoseconds::min(), 0ns})
            {
                for (int i = 0; i < 50; ++i)
                {
                    done += (co_await blitzio::sleep_for(duration)).has_value() ? 1 : 0;
                }
            }
            done += (co_await blitzio::sleep_until(std::chrono::steady_clock::time_point::min()))
                        ? 1
                        : 0;
            co_return done;
        };
        REQUIRE(runtime.block_on(many()) == 201);
        REQUIRE(runtime.metrics().timers_armed == 0);
    });
}

// Tokio: delayed_sleep_level_0, sub_ms_delayed_sleep, delayed_sleep_wrapping_level_0, long_sleeps,
// multi_long_sleeps, greater_than_max, no_out_of_bounds_close_to_max.
TEST_CASE("a sleep of any length ends in its millisecond of virtual time", "[time][sim]")
{
    on_virtual_time([](blitzio::runtime& runtime) {
        for (const nanoseconds duration :
             {nanoseconds(1ns), nanoseconds(999us), nanoseconds(1ms), nanoseconds(1001us),
              nanoseconds(63ms), nanoseconds(64ms), nanoseconds(4095ms), nanoseconds(4096ms),
              nanoseconds(4097ms), nanoseconds(262'144ms), nanoseconds(49 * 24h),
              nanoseconds(50 * 24h), nanoseconds(790 * 24h), nanoseconds(800 * 24h),
              nanoseconds(20 * 365 * 24h)})
        {
            INFO("duration " << duration.count() << " ns");
            const auto took = runtime.block_on(slept(duration));
            REQUIRE(took >= duration);
            REQUIRE(took <= duration + 2ms);
        }
    });
}

// Go: TestOverflowSleep; Tokio: very_large_timeout (an operation under it ends as usual).
TEST_CASE("the longest durations neither overflow nor get in the way", "[time]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        auto longest = runtime.spawn(slept(nanoseconds::max()));
        auto until = runtime.spawn([]() -> task<bool> {
            co_return (co_await blitzio::sleep_until(std::chrono::steady_clock::time_point::max()))
                .has_value();
        });
        REQUIRE(runtime.block_on(slept(2ms)) >= 2ms);
        REQUIRE(runtime.block_on(blitzio::timeout(nanoseconds::max(), blitzio::sleep_for(1ms))));
        REQUIRE_FALSE(longest.finished());
        REQUIRE_FALSE(until.finished());
        longest.request_stop();
        until.request_stop();
        REQUIRE(runtime.block_on(std::move(longest)) == -1ns);
        REQUIRE_FALSE(runtime.block_on(std::move(until)));
        REQUIRE(runtime.metrics().timers_armed == 0);
    });
}

// Go: TestAfterQueuing (the order of ends is the order of deadlines, whatever that of starts),
// TestTimerStress.
TEST_CASE("sleeps end in the order of their deadlines", "[time][sim]")
{
    for (std::uint64_t seed = 1; seed <= 60; ++seed)
    {
        INFO("seed " << seed);
        blitzio::runtime runtime({.io_threads = 1,
                                  .backend = blitzio::backend_choice::sim,
                                  .simulation = {.seed = seed}});
        std::vector<nanoseconds> ends;
        const auto all = [&ends, seed]() -> task<void> {
            co_await blitzio::scope([&ends, seed](blitzio::task_group& group) -> task<void> {
                blitzio::detail::random_source random(seed);
                for (int i = 0; i < 200; ++i)
                {
                    const auto wait =
                        nanoseconds(random.below(std::uint64_t{1} << random.below(36)));
                    group.spawn([&ends, wait]() -> task<void> {
                        const auto start = co_await clock_now();
                        static_cast<void>(co_await blitzio::sleep_until(point(start + wait)));
                        ends.push_back(start + wait);
                    });
                }
                co_return;
            });
        };
        runtime.block_on(all());
        REQUIRE(ends.size() == 200);
        for (std::size_t i = 1; i < ends.size(); ++i)
        {
            // Within one millisecond the order of arming counts.
            REQUIRE(ends[i] / 1ms + 1 >= ends[i - 1] / 1ms);
        }
    }
}

// Go: TestConcurrentTimerResetStop, TestZeroTimerStopRace; Tokio: the race of cancel and expiry.
TEST_CASE("a stop that meets the end of a sleep leaves exactly one outcome", "[time][stop]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        std::atomic<int> ended{0};
        const auto race = [&ended]() -> task<void> {
            co_await blitzio::scope([&ended](blitzio::task_group& group) -> task<void> {
                for (int i = 0; i < 64; ++i)
                {
                    group.spawn([&ended, i]() -> task<void> {
                        const auto wait = std::chrono::microseconds(50 * i);
                        const auto outcome = co_await blitzio::sleep_for(wait);
                        const bool legal =
                            outcome || outcome.error() == std::errc::operation_canceled;
                        ended.fetch_add(legal ? 1 : 1000, std::memory_order_relaxed);
                    });
                }
                static_cast<void>(co_await blitzio::sleep_for(1ms));
                group.request_stop();
            });
        };
        for (int round = 0; round < 5; ++round)
        {
            ended = 0;
            runtime.block_on(race());
            REQUIRE(ended == 64);
        }
        REQUIRE(runtime.metrics().timers_armed == 0);
    });
}

// Tokio: simultaneous_deadline_future_completion, completed_future_past_deadline,
// deadline_now_elapses, future_and_timeout_in_future, deadline_future_elapses.
TEST_CASE("timeout and operation at every distance from each other", "[time][sim]")
{
    on_virtual_time([](blitzio::runtime& runtime) {
        const auto bounded = [&](nanoseconds bound, nanoseconds work) {
            return runtime.block_on(blitzio::timeout(bound, blitzio::sleep_for(work)));
        };
        REQUIRE(bounded(20ms, 10ms).has_value());
        REQUIRE(bounded(10ms, 0ms).has_value());
        REQUIRE(bounded(10ms, 20ms).error() == std::errc::timed_out);
        REQUIRE(bounded(0ms, 20ms).error() == std::errc::timed_out);
        REQUIRE(bounded(-5s, 20ms).error() == std::errc::timed_out);
        // Both at once: either may win, and there is nothing else to see.
        const auto both = bounded(10ms, 10ms);
        REQUIRE((both.has_value() || both.error() == std::errc::timed_out));
        // A value obtained at once stands, whatever the bound.
        const auto at_once = []() -> task<result<int>> { co_return 7; };
        REQUIRE(runtime.block_on(blitzio::timeout(0ms, at_once())) == 7);
        REQUIRE(runtime.metrics().timers_armed == 0);
    });
}

// Tokio: interval_zero_duration; Go: TestNewTickerLtZeroDuration.
TEST_CASE("an interval without a positive period is refused, naming it", "[time][interval]")
{
    for (const auto period : {0ns, -7ns, nanoseconds::min()})
    {
        try
        {
            blitzio::interval every(period);
            FAIL("was accepted");
        }
        catch (const std::invalid_argument& error)
        {
            REQUIRE(std::string(error.what()).find(std::to_string(period.count())) !=
                    std::string::npos);
        }
    }
}

namespace
{

/// The scheduled times of ticks, relative to the first, when the task is busy for `busy[i]` after
/// tick i.
task<std::vector<std::chrono::milliseconds>> ticks_of(missed_ticks policy,
                                                      std::vector<std::chrono::milliseconds> busy)
{
    blitzio::interval every(50ms, policy);
    std::vector<std::chrono::milliseconds> ticks;
    nanoseconds first{};
    for (const auto pause : busy)
    {
        const auto tick = co_await every.tick();
        const auto now = co_await clock_now();
        const nanoseconds scheduled = tick->time_since_epoch();
        if (ticks.empty())
        {
            first = scheduled;
        }
        ticks.push_back(
            std::chrono::duration_cast<std::chrono::milliseconds>(scheduled - first + 500us));
        if (scheduled > now)
        {
            ticks.push_back(-1ms); // early
        }
        static_cast<void>(co_await blitzio::sleep_for(pause));
    }
    co_return ticks;
}

} // namespace

// Tokio: time_interval.rs, burst, delay, skip. The task is busy for 130 ms after the second tick.
TEST_CASE("missed ticks: burst, delay, skip", "[time][interval][sim]")
{
    using times = std::vector<std::chrono::milliseconds>;
    on_virtual_time([](blitzio::runtime& runtime) {
        const times busy{0ms, 130ms, 0ms, 0ms, 0ms, 0ms};
        REQUIRE(runtime.block_on(ticks_of(missed_ticks::burst, busy)) ==
                times{0ms, 50ms, 100ms, 150ms, 200ms, 250ms});
        REQUIRE(runtime.block_on(ticks_of(missed_ticks::skip, busy)) ==
                times{0ms, 50ms, 100ms, 200ms, 250ms, 300ms});
        // The late tick is taken 130 to 132 ms after the second: from there it is one period.
        const auto delayed = runtime.block_on(ticks_of(missed_ticks::delay, busy));
        REQUIRE(delayed.size() == 6);
        REQUIRE(delayed[2] == 100ms);
        REQUIRE(delayed[3] >= 230ms);
        REQUIRE(delayed[3] <= 233ms);
        REQUIRE(delayed[4] == delayed[3] + 50ms);
        REQUIRE(delayed[5] == delayed[3] + 100ms);
    });
}

// Go: TestTicker: over many ticks the schedule does not drift. The real clock as well.
TEST_CASE("ticks keep their schedule", "[time][interval]")
{
    on_every_runtime(
        [](blitzio::runtime& runtime) {
            const auto spread = []() -> task<nanoseconds> {
                blitzio::interval every(2ms);
                const auto first = co_await every.tick();
                auto last = *first;
                for (int i = 0; i < 20; ++i)
                {
                    const auto next = co_await every.tick();
                    last = *next;
                }
                co_return last - *first;
            };
            REQUIRE(runtime.block_on(spread()) == 40ms);
        },
        20);
}

// Go: TestTickerStop, TestTeardown; Tokio: a tick that is cancelled is not lost.
TEST_CASE("a cancelled tick comes with the next wait", "[time][interval][stop]")
{
    on_virtual_time([](blitzio::runtime& runtime) {
        const auto body = []() -> task<bool> {
            blitzio::interval every(100ms);
            const auto first = co_await every.tick();
            auto cut = co_await blitzio::timeout(20ms, every.tick());
            bool good = !cut && cut.error() == std::errc::timed_out;
            cut = co_await blitzio::timeout(20ms, every.tick());
            good = good && !cut;
            const auto second = co_await every.tick();
            good = good && second && *second == *first + 100ms;
            co_return good;
        };
        REQUIRE(runtime.block_on(body()));
        REQUIRE(runtime.metrics().timers_armed == 0);
    });
}

// Go: TestTickerReset; Tokio: interval_reset, reset_immediately, reset_after, reset_at.
TEST_CASE("an interval can be set anew", "[time][interval][sim]")
{
    on_virtual_time([](blitzio::runtime& runtime) {
        const auto body = []() -> task<bool> {
            blitzio::interval every(100ms);
            static_cast<void>(co_await every.tick());
            static_cast<void>(co_await blitzio::sleep_for(40ms));
            const auto at_reset = co_await clock_now();
            co_await every.reset();
            auto tick = co_await every.tick();
            bool good = tick->time_since_epoch() == at_reset + 100ms;
            co_await every.reset_after(-3s);
            const auto before = co_await clock_now();
            tick = co_await every.tick();
            const auto after = co_await clock_now();
            good = good && after - before <= 1ms;
            every.reset_at(point(after + 30ms));
            tick = co_await every.tick();
            good = good && tick->time_since_epoch() == after + 30ms;
            every.reset_at(std::chrono::steady_clock::time_point::min());
            every.set_missed(missed_ticks::skip);
            tick = co_await every.tick();
            good = good && tick->time_since_epoch() == 0ns;
            const auto now = co_await clock_now();
            tick = co_await every.tick();
            good =
                good && tick->time_since_epoch() >= now && tick->time_since_epoch() <= now + 100ms;
            co_return good;
        };
        REQUIRE(runtime.block_on(body()));
    });
}

TEST_CASE("the first tick of an interval with a start waits for it", "[time][interval][sim]")
{
    on_virtual_time([](blitzio::runtime& runtime) {
        const auto body = []() -> task<bool> {
            const auto start = co_await clock_now();
            blitzio::interval every(point(start + 70ms), 10ms);
            const auto first = co_await every.tick();
            const auto now = co_await clock_now();
            const auto second = co_await every.tick();
            co_return first->time_since_epoch() == start + 70ms && now >= start + 70ms &&
                *second == *first + 10ms;
        };
        REQUIRE(runtime.block_on(body()));
    });
}

TEST_CASE("a precise sleep is never early, and close", "[time][precise]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto measure = [](nanoseconds duration) -> task<nanoseconds> {
            const auto before = co_await clock_now();
            const auto outcome = co_await blitzio::precise_sleep(duration);
            const auto after = co_await clock_now();
            co_return outcome ? after - before : nanoseconds(-1);
        };
        nanoseconds best_lateness = 1h;
        for (const nanoseconds duration :
             {nanoseconds(1ns), nanoseconds(50us), nanoseconds(1250us), nanoseconds(3700us)})
        {
            const auto took = runtime.block_on(measure(duration));
            REQUIRE(took >= duration);
            best_lateness = std::min(best_lateness, took - duration);
        }
        // Of several tries on a busy machine one is undisturbed; the wheel alone would be late by
        // the rest of a millisecond.
        REQUIRE(best_lateness < 300us);
        REQUIRE(runtime.block_on(measure(-1s)) >= 0ns);
        REQUIRE(runtime.block_on(measure(nanoseconds::min())) >= 0ns);
    });
}

TEST_CASE("a precise sleep can be stopped in both of its parts", "[time][precise][stop]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        for (const nanoseconds bound : {nanoseconds(0ms), nanoseconds(1ms), nanoseconds(4ms)})
        {
            const auto longer =
                runtime.block_on(blitzio::timeout(bound, blitzio::precise_sleep(1h)));
            REQUIRE(longer.error() == std::errc::timed_out);
            // Ends in the part that is awake, or in time.
            const auto close =
                runtime.block_on(blitzio::timeout(bound, blitzio::precise_sleep(bound + 500us)));
            REQUIRE((close.has_value() || close.error() == std::errc::timed_out));
        }
        REQUIRE(runtime.metrics().timers_armed == 0);
    });
}

TEST_CASE("the limit of timers reaches everything that needs one", "[time]")
{
    blitzio::runtime runtime({.io_threads = 1, .timers_max = 1});
    const auto body = []() -> task<int> {
        int refused = 0;
        co_await blitzio::scope([&refused](blitzio::task_group& group) -> task<void> {
            group.spawn([]() -> task<void> { static_cast<void>(co_await blitzio::sleep_for(1h)); });
            co_await blitzio::yield();
            co_await blitzio::yield();
            blitzio::interval every(1s);
            const auto is_limit = [](const auto& outcome) {
                return !outcome && outcome.error() == blitzio::io_errc::limit_reached;
            };
            const auto tick = co_await every.tick();
            const auto sleep = co_await blitzio::sleep_for(1ms);
            const auto precise = co_await blitzio::precise_sleep(1h);
            const auto bound = co_await blitzio::timeout(1h, blitzio::sleep_for(1ms));
            refused = is_limit(tick) + is_limit(sleep) + is_limit(precise) + is_limit(bound);
            group.request_stop();
        });
        co_return refused;
    };
    REQUIRE(runtime.block_on(body()) == 4);
    REQUIRE(runtime.block_on(blitzio::sleep_for(1ms)).has_value());
}

// Go: TestTimerStress, TestConcurrentTimerReset: timers armed on one worker, withdrawn on another.
TEST_CASE("timers armed and withdrawn on all workers at once", "[time][stress]")
{
    blitzio::runtime runtime({.io_threads = 4});
    std::atomic<std::uint64_t> done{0};
    const auto one = [&done](int number) -> task<void> {
        for (int i = 0; i < 100; ++i)
        {
            // The inner sleep resumes wherever it is stolen to; its bound was armed before.
            const auto outcome = co_await blitzio::timeout(
                std::chrono::microseconds(200 * ((number + i) % 8)),
                blitzio::sleep_for(std::chrono::microseconds(100 * (i % 16))));
            co_await blitzio::yield();
            done.fetch_add(outcome || outcome.error() == std::errc::timed_out ? 1 : 1'000'000);
        }
    };
    const auto all = [&one]() -> task<void> {
        co_await blitzio::scope([&one](blitzio::task_group& group) -> task<void> {
            for (int number = 0; number < 200; ++number)
            {
                group.spawn(one(number));
            }
            co_return;
        });
    };
    runtime.block_on(all());
    REQUIRE(done == 20'000);
    REQUIRE(runtime.metrics().timers_armed == 0);
}

// Tokio: time does not advance while spawn_blocking runs (paused clock); blocking_task_timing.
TEST_CASE("virtual time stands still while a real pool works", "[time][sim][external]")
{
    for (std::uint64_t seed = 1; seed <= 10; ++seed)
    {
        INFO("seed " << seed);
        blitzio::runtime runtime({.io_threads = static_cast<unsigned>(1 + seed % 3),
                                  .backend = blitzio::backend_choice::sim,
                                  .simulation = {.seed = seed, .real_pools = true}});
        const auto body = [seed]() -> task<bool> {
            const auto before = co_await clock_now();
            const auto worked = co_await blitzio::timeout(1ms, blitzio::spawn_blocking([seed] {
                                                              std::this_thread::sleep_for(
                                                                  std::chrono::milliseconds(seed));
                                                              return 5;
                                                          }));
            const auto after = co_await clock_now();
            co_return worked == 5 && after - before < 1ms;
        };
        REQUIRE(runtime.block_on(body()));
        REQUIRE(runtime.metrics().blocking_pool.threads == 1);
        REQUIRE(runtime.block_on(slept(1h)) >= 1h); // and goes on afterwards
    }
}

TEST_CASE("a simulation waits for a thread that answers, and for its end", "[time][sim][external]")
{
    for (int round = 0; round < 20; ++round)
    {
        std::atomic<int> answered{0};
        std::thread answering;
        {
            blitzio::runtime runtime({.io_threads = 1, .backend = blitzio::backend_choice::sim});
            auto waiting = runtime.spawn(slept(1h));
            answering = std::thread(
                [&answered, &waiting, work = blitzio::external_work(runtime.core())]() mutable {
                    std::this_thread::sleep_for(2ms);
                    answered = 1;
                    waiting.request_stop();
                    work.end();
                });
            runtime.run();
            answering.join();
            // Cut short by the thread: no hour of virtual time has passed.
            REQUIRE(runtime.block_on(std::move(waiting)) == -1ns);
        }
        REQUIRE(answered == 1);
    }
}
