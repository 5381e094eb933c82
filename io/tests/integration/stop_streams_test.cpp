// A stop request at every suspension point of streams, selects, retries, foreign futures and the
// other combinators: the program is stopped after k steps of the simulated scheduler, for every k
// until it ends by itself. Each time all of it must end, with nothing left behind.
// Thread rule: the test's thread.
#include "support/runtimes.hpp"

#include "runtime_core.hpp"

#include <blitzio/io.hpp>
#include <blitzio/io/detail/frame_pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

using namespace std::chrono_literals;
using blitzio::generator;
using blitzio::result;
using blitzio::task;
using blitzio::try_;
namespace streams = blitzio::streams;

namespace
{

/// What the parts of the program have begun and not yet ended. A simulation has one thread.
struct presence
{
    static inline int alive = 0;

    presence()
    {
        ++alive;
    }
    presence(const presence&) = delete;
    presence& operator=(const presence&) = delete;
    ~presence()
    {
        --alive;
    }
};

task<result<int>> after(std::chrono::milliseconds delay, int value)
{
    const presence here;
    co_await try_(blitzio::sleep_for(delay));
    co_return value;
}

generator<int> numbers(int last)
{
    const presence here;
    for (int value = 1; value <= last; ++value)
    {
        co_await try_(blitzio::sleep_for(std::chrono::milliseconds(value % 3)));
        co_yield value;
    }
}

/// Buffers, merges and stages that wait; the end of the source and an early end.
task<result<int>> streaming()
{
    const presence here;
    const auto slow = [](int value) { return after(1ms, value); };
    const int all = co_await try_(numbers(6) | streams::map(slow) | streams::buffer(2) |
                                  streams::merge(numbers(4) | streams::buffer(1)) |
                                  streams::fold(0, [](int sum, int next) { return sum + next; }));
    const auto some = co_await try_(numbers(1000) | streams::buffer(3) | streams::take(4) |
                                    streams::chunk(3) | streams::collect());
    int completed = 0;
    std::vector<task<result<int>>> many;
    for (int index = 0; index < 4; ++index)
    {
        many.push_back(after(std::chrono::milliseconds(4 - index), 1));
    }
    const auto add = [&](blitzio::completed<result<int>> next) -> result<void> {
        if (!next.value)
        {
            return blitzio::fail(next.value.error());
        }
        completed += *next.value;
        return {};
    };
    co_await try_(blitzio::as_completed(std::move(many), 2) | streams::for_each(add));
    co_return all + static_cast<int>(some.size()) + completed;
}

/// A select in a loop, with a handler that waits.
task<result<int>> selecting()
{
    const presence here;
    int total = 0;
    for (int round = 0; round < 3; ++round)
    {
        const auto slowly_add = [&](result<int> value) -> task<result<void>> {
            const presence inside;
            total += co_await try_(std::move(value));
            co_await try_(blitzio::sleep_for(1ms));
            co_return {};
        };
        const auto late = [&](result<int> value) -> result<void> {
            return value ? result<void>() : blitzio::fail(value.error());
        };
        co_await try_(blitzio::select(blitzio::on(after(1ms, 1), slowly_add),
                                      blitzio::on(after(1h, 1), late),
                                      blitzio::on(blitzio::never<int>(), late)));
    }
    co_return total;
}

/// Woken by a task of its own.
struct woken_later
{
    blitzio::runtime* runtime;
    std::optional<blitzio::join_handle<void>> waking;
    bool ready = false;

    std::optional<int> poll(blitzio::waker& wake)
    {
        if (!waking)
        {
            waking = runtime->spawn([wake]() -> task<void> {
                static_cast<void>(co_await blitzio::sleep_for(1ms));
                wake.wake();
            });
            return std::nullopt;
        }
        return waking->finished() ? std::optional(1) : std::nullopt;
    }
};

task<result<int>> others()
{
    const presence here;
    int attempts = 0;
    const auto attempt = [&]() -> task<result<int>> {
        const presence inside;
        co_await try_(blitzio::sleep_for(1ms));
        if (++attempts < 3)
        {
            co_return blitzio::fail(std::errc::connection_refused);
        }
        co_return attempts;
    };
    const blitzio::retry_options options{.attempts_max = 5, .delay_first = 2ms};
    const int retried = co_await try_(blitzio::retry(options, attempt));
    const int shielded = co_await try_(blitzio::shield(after(2ms, 1)));
    const int chained = co_await try_(
        blitzio::and_then(after(1ms, 1), [](int value) { return after(1ms, value); }));
    const auto bounded = co_await blitzio::timeout(1ms, after(1h, 1));
    if (!bounded && bounded.error() != std::errc::timed_out)
    {
        co_return blitzio::fail(bounded.error());
    }
    std::vector<task<result<int>>> many;
    many.push_back(after(2ms, 1));
    many.push_back(after(1ms, 1));
    int gathered = 0;
    for (auto& value : co_await blitzio::gather(std::move(many)))
    {
        gathered += co_await try_(std::move(value));
    }
    co_return retried + shielded + chained + gathered + (bounded ? 1000 : 0);
}

constexpr int expected_total = (21 + 10 + 2 + 4) + 3 + (3 + 1 + 1 + 2);

task<result<int>> program()
{
    const presence here;
    auto [first, second, third] = co_await blitzio::when_all(streaming(), selecting(), others());
    int total = co_await try_(std::move(first));
    total += co_await try_(std::move(second));
    total += co_await try_(std::move(third));
    co_return total;
}

blitzio::runtime make_simulation(std::uint64_t seed)
{
    return blitzio::runtime({.io_threads = static_cast<unsigned>(1 + seed % 3),
                             .backend = blitzio::backend_choice::sim,
                             .simulation = {.seed = seed}});
}

/// Runs up to `steps` steps; false: the program has ended before.
bool run_steps(blitzio::runtime& runtime, std::uint64_t steps)
{
    std::uint64_t taken = 0;
    bool ended = false;
    runtime.core().simulate_until([&] {
        ended = runtime.core().live_task_count() == 0;
        return ended || taken++ == steps;
    });
    return !ended;
}

/// True: the program ended before `steps` were taken.
bool stop_after(std::uint64_t seed, std::uint64_t steps)
{
    const std::int64_t frames_before = blitzio::detail::live_frames();
    auto runtime = make_simulation(seed);
    auto handle = runtime.spawn(program());
    const bool stopped = run_steps(runtime, steps);
    if (stopped)
    {
        handle.request_stop();
    }
    const auto outcome = runtime.block_on(std::move(handle));
    // The request may come too late for anything to notice: success beats cancel.
    if (outcome || !stopped)
    {
        CHECK(outcome == expected_total);
    }
    else
    {
        CHECK(outcome.error() == std::errc::operation_canceled);
    }
    runtime.run();
    const auto metrics = runtime.metrics();
    CHECK(metrics.live_tasks == 0);
    CHECK(metrics.live_frames == frames_before);
    CHECK(metrics.timers_armed == 0);
    CHECK(presence::alive == 0);
    return !stopped;
}

} // namespace

TEST_CASE("streams and selects are stopped after every number of steps", "[stop][sim]")
{
    for (std::uint64_t seed = 1; seed <= 40; ++seed)
    {
        std::uint64_t steps = 0;
        for (bool ended = false; !ended; ++steps)
        {
            INFO("seed " << seed << ", stopped after " << steps << " steps");
            ended = stop_after(seed, steps);
            REQUIRE(steps < 100'000);
        }
        CHECK(steps > 50);
    }
}

TEST_CASE("a foreign future is stopped after every number of steps", "[stop][sim]")
{
    for (std::uint64_t seed = 1; seed <= 40; ++seed)
    {
        bool ended = false;
        for (std::uint64_t steps = 0; !ended; ++steps)
        {
            INFO("seed " << seed << ", stopped after " << steps << " steps");
            const std::int64_t frames_before = blitzio::detail::live_frames();
            {
                auto runtime = make_simulation(seed);
                auto handle = runtime.spawn([&]() -> task<result<int>> {
                    co_return co_await blitzio::as_awaitable(woken_later{&runtime, {}, false});
                });
                const bool stopped = run_steps(runtime, steps);
                if (stopped)
                {
                    handle.request_stop();
                }
                const auto outcome = runtime.block_on(std::move(handle));
                CHECK((outcome == 1 || outcome.error() == std::errc::operation_canceled));
                CHECK((stopped || outcome == 1));
                ended = !stopped;
            }
            CHECK(blitzio::detail::live_frames() == frames_before);
            REQUIRE(steps < 1000);
        }
    }
}

TEST_CASE("a runtime that goes away in the middle of streams leaves nothing", "[stop][sim]")
{
    for (std::uint64_t seed = 1; seed <= 10; ++seed)
    {
        bool ended = false;
        for (std::uint64_t steps = 0; !ended; ++steps)
        {
            INFO("seed " << seed << ", ended after " << steps << " steps");
            const std::int64_t frames_before = blitzio::detail::live_frames();
            {
                auto runtime = make_simulation(seed);
                static_cast<void>(runtime.spawn(program()));
                ended = !run_steps(runtime, steps);
            }
            CHECK(blitzio::detail::live_frames() == frames_before);
            CHECK(presence::alive == 0);
            REQUIRE(steps < 100'000);
        }
    }
}
