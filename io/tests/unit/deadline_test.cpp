// with_deadline, inherited deadlines and shield. The cases are those that Go's context tests and
// Tokio's timeout tests name, put in terms of this library.
#include "support/runtimes.hpp"

#include <blitzio/io.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <optional>

using namespace std::chrono_literals;
using blitzio::result;
using blitzio::stop_reason;
using blitzio::task;
using blitzio::test::on_every_runtime;
using time_point = std::chrono::steady_clock::time_point;

namespace
{

time_point in(blitzio::runtime& runtime, std::chrono::nanoseconds from_now)
{
    return time_point(std::chrono::duration_cast<time_point::duration>(
        blitzio::detail::now(runtime.core()) + from_now));
}

task<result<int>> after(std::chrono::milliseconds delay, int value)
{
    co_await blitzio::try_(blitzio::sleep_for(delay));
    co_return value;
}

task<std::optional<time_point>> ask()
{
    co_return co_await blitzio::this_task::deadline();
}

task<stop_reason> reason_after_stop()
{
    static_cast<void>(co_await blitzio::sleep_for(1h));
    co_return (co_await blitzio::this_task::stop()).reason();
}

} // namespace

TEST_CASE("a deadline ends an operation and leaves others alone", "[deadline]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        CHECK(runtime.block_on(blitzio::with_deadline(in(runtime, 1h), after(1ms, 5))) == 5);
        CHECK(runtime.block_on(blitzio::with_deadline(in(runtime, 2ms), after(1h, 5))).error() ==
              std::errc::timed_out);
        CHECK(runtime.metrics().timers_armed == 0);
    });
}

TEST_CASE("a deadline that has passed still lets a ready operation succeed", "[deadline]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        // Tokio: completed_future_past_deadline, deadline_now_elapses.
        CHECK(runtime.block_on(
                  blitzio::with_deadline(in(runtime, -1s), blitzio::ready(result<int>(7)))) == 7);
        CHECK(runtime.block_on(blitzio::with_deadline(in(runtime, 0s), after(1h, 5))).error() ==
              std::errc::timed_out);
        CHECK(
            runtime.block_on(blitzio::with_deadline(in(runtime, -1h), blitzio::never())).error() ==
            std::errc::timed_out);
    });
}

TEST_CASE("a very large bound is no bound", "[deadline]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        // Tokio: very_large_timeout.
        CHECK(runtime.block_on(blitzio::timeout(std::chrono::nanoseconds::max(), after(1ms, 1))) ==
              1);
        CHECK(runtime.block_on(blitzio::with_deadline(time_point::max(), after(1ms, 2))) == 2);
        CHECK(!runtime.block_on(blitzio::with_deadline(time_point::max(), ask())).value());
    });
}

TEST_CASE("children see the deadline and can only shorten it", "[deadline]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto soon = in(runtime, 1h);
        const auto late = in(runtime, 3h);
        CHECK(!runtime.block_on(ask()));
        CHECK(runtime.block_on(blitzio::with_deadline(soon, ask())) == soon);
        // Go: a child cannot lengthen its parent's deadline.
        const auto nested = [](time_point outer,
                               time_point inner) -> task<std::optional<time_point>> {
            const auto seen = co_await blitzio::with_deadline(
                outer, blitzio::with_deadline(inner, blitzio::timeout(100h, ask())));
            co_return seen.value();
        };
        CHECK(runtime.block_on(nested(soon, late)) == soon);
        CHECK(runtime.block_on(nested(late, soon)) == soon);
        // Through every combinator and into the tasks of a scope, but not into a spawned task.
        const auto spread = [&]() -> task<bool> {
            std::optional<time_point> in_scope;
            auto [first, second] = co_await blitzio::when_all(ask(), blitzio::race(ask()));
            co_await blitzio::scope([&](blitzio::task_group& group) -> task<void> {
                group.spawn([&]() -> task<void> { in_scope = co_await ask(); });
                co_return;
            });
            const auto spawned = co_await runtime.spawn(ask());
            co_return first == soon&& std::get<0>(second) == soon&& in_scope == soon && !spawned;
        };
        CHECK(runtime.block_on(blitzio::with_deadline(soon, spread())).value());
    });
}

TEST_CASE("an inherited deadline is enough, and says timed_out where it is waited for",
          "[deadline]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto inner_result = [&]() -> task<result<int>> {
            auto inner = co_await blitzio::timeout(2h, after(1h, 1));
            co_return inner;
        };
        CHECK(runtime.block_on(blitzio::with_deadline(in(runtime, 2ms), inner_result())).error() ==
              std::errc::timed_out);
        // One timer for all of them.
        std::uint64_t armed = 0;
        const auto count = [&]() -> task<void> {
            armed = runtime.metrics().timers_armed;
            co_return;
        };
        static_cast<void>(runtime.block_on(
            blitzio::timeout(1h, blitzio::timeout(2h, blitzio::timeout(3h, count())))));
        CHECK(armed == 1);
    });
}

TEST_CASE("the reason tells a deadline from other stops", "[deadline][stop]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        stop_reason seen = stop_reason::none;
        const auto note = [&]() -> task<void> { seen = co_await reason_after_stop(); };
        static_cast<void>(runtime.block_on(blitzio::with_deadline(in(runtime, 1ms), note())));
        CHECK(seen == stop_reason::deadline);
        // Go: a parent's cancellation comes first and stays the cause.
        auto handle = runtime.spawn(note());
        handle.request_stop(stop_reason::shutdown);
        runtime.block_on(std::move(handle));
        CHECK(seen == stop_reason::shutdown);
        const auto stopped_first = [&]() -> task<result<int>> {
            co_return co_await blitzio::timeout(1h, after(2h, 1));
        };
        auto cut = runtime.spawn(stopped_first());
        cut.request_stop();
        CHECK(runtime.block_on(std::move(cut)).error() == std::errc::operation_canceled);
    });
}

TEST_CASE("value and deadline at the same moment: the value stands", "[deadline]")
{
    // Tokio: simultaneous_deadline_future_completion. Whoever comes first, no value is lost.
    for (std::uint64_t seed = 1; seed <= 200; ++seed)
    {
        INFO("seed " << seed);
        blitzio::runtime runtime({.io_threads = static_cast<unsigned>(1 + seed % 3),
                                  .backend = blitzio::backend_choice::sim,
                                  .simulation = {.seed = seed}});
        bool slept = false;
        const auto work = [&]() -> task<result<int>> {
            slept = (co_await blitzio::sleep_for(5ms)).has_value();
            if (!slept)
            {
                co_return blitzio::fail(std::errc::operation_canceled);
            }
            co_return 1;
        };
        const auto outcome = runtime.block_on(blitzio::timeout(5ms, work()));
        CHECK(outcome.has_value() == slept);
        CHECK((outcome || outcome.error() == std::errc::timed_out));
        CHECK(runtime.metrics().timers_armed == 0);
    }
}

TEST_CASE("shield keeps stops and deadlines out, and is waited for", "[shield]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        // Go: WithoutCancel.
        const auto inner = [&]() -> task<result<int>> {
            const auto deadline = co_await ask();
            const auto stop = co_await blitzio::this_task::stop();
            co_await blitzio::try_(blitzio::sleep_for(5ms));
            co_return deadline || stop.stop_possible() ? -1 : 4;
        };
        CHECK(runtime.block_on(blitzio::timeout(1ms, blitzio::shield(inner()))) == 4);
        const auto outer = [&]() -> task<result<int>> {
            const int value = co_await blitzio::try_(blitzio::shield(inner()));
            co_await blitzio::try_(blitzio::sleep_for(1h));
            co_return value;
        };
        auto handle = runtime.spawn(outer());
        handle.request_stop();
        CHECK(runtime.block_on(std::move(handle)).error() == std::errc::operation_canceled);
        // A bound inside the shield works as ever.
        CHECK(runtime.block_on(blitzio::shield(blitzio::timeout(1ms, after(1h, 1)))).error() ==
              std::errc::timed_out);
    });
}
