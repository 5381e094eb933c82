// ready, never, transform, and_then, or_else and retry.
#include "support/runtimes.hpp"

#include <blitzio/io.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using blitzio::ready;
using blitzio::result;
using blitzio::task;
using blitzio::test::on_every_runtime;

namespace
{

task<result<int>> after(std::chrono::milliseconds delay, int value)
{
    co_await blitzio::try_(blitzio::sleep_for(delay));
    co_return value;
}

task<result<int>> failing(std::chrono::milliseconds delay)
{
    co_await blitzio::try_(blitzio::sleep_for(delay));
    co_return blitzio::fail(std::errc::io_error);
}

task<result<void>> nothing()
{
    co_return {};
}

std::chrono::nanoseconds now(blitzio::runtime& runtime)
{
    return blitzio::detail::now(runtime.core());
}

} // namespace

TEST_CASE("ready is there and never is not", "[adaptor]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto use = []() -> task<int> {
            co_await ready();
            auto owned = co_await ready(std::make_unique<int>(3));
            co_return *owned;
        };
        CHECK(runtime.block_on(use()) == 3);
        CHECK(runtime.block_on(blitzio::timeout(2ms, blitzio::never<int>())).error() ==
              std::errc::timed_out);
        auto first = runtime.block_on(blitzio::race(blitzio::never(), ready(4), blitzio::never()));
        CHECK(std::get<1>(first) == 4);
        const auto waits = []() -> task<result<void>> { co_return co_await blitzio::never(); };
        auto handle = runtime.spawn(waits());
        handle.request_stop();
        CHECK(runtime.block_on(std::move(handle)).error() == std::errc::operation_canceled);
    });
}

TEST_CASE("transform maps values and leaves errors", "[adaptor]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto twice = [](int value) { return 2 * value; };
        CHECK(runtime.block_on(blitzio::transform(after(1ms, 2), twice)) == 4);
        CHECK(runtime.block_on(blitzio::transform(ready(5), twice)) == 10);
        CHECK(runtime.block_on(blitzio::transform(failing(1ms), twice)).error() ==
              std::errc::io_error);
        CHECK(runtime.block_on(blitzio::transform(nothing(), [] { return 6; })) == 6);
        const auto refuse = [](int) -> result<int> {
            return blitzio::fail(std::errc::result_out_of_range);
        };
        CHECK(runtime.block_on(blitzio::transform(after(1ms, 2), refuse)).error() ==
              std::errc::result_out_of_range);
        bool called = false;
        CHECK(runtime.block_on(blitzio::transform(after(0ms, 2), [&](int) { called = true; })));
        CHECK(called);
        const auto throws = [](int) -> int { throw std::logic_error("on purpose"); };
        CHECK_THROWS_AS(runtime.block_on(blitzio::transform(after(1ms, 2), throws)),
                        std::logic_error);
    });
}

TEST_CASE("and_then goes on with a value, or_else with an error", "[adaptor]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto next = [](int value) { return after(1ms, value + 1); };
        CHECK(runtime.block_on(blitzio::and_then(after(1ms, 1), next)) == 2);
        CHECK(runtime.block_on(blitzio::and_then(failing(1ms), next)).error() ==
              std::errc::io_error);
        CHECK(runtime.block_on(blitzio::and_then(ready(result<int>(1)), [](int value) {
            return result<std::string>(std::to_string(value));
        })) == "1");
        CHECK(runtime.block_on(
            blitzio::and_then(after(1ms, 1), [](int) { return blitzio::sleep_for(1ms); })));
        const auto rescue = [](std::error_code error) {
            return after(1ms, error == std::errc::io_error ? 8 : 0);
        };
        CHECK(runtime.block_on(blitzio::or_else(failing(1ms), rescue)) == 8);
        CHECK(runtime.block_on(blitzio::or_else(after(1ms, 1), rescue)) == 1);
        const auto throws = [](int) -> task<result<int>> { throw std::logic_error("on purpose"); };
        CHECK_THROWS_AS(runtime.block_on(blitzio::and_then(after(1ms, 1), throws)),
                        std::logic_error);
        // A stop reaches the second as well as the first.
        const auto slow = [](int) { return after(1h, 1); };
        CHECK(runtime.block_on(blitzio::timeout(5ms, blitzio::and_then(after(1ms, 1), slow)))
                  .error() == std::errc::timed_out);
        CHECK(runtime.metrics().timers_armed == 0);
    });
}

TEST_CASE("retry tries until it succeeds", "[retry]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        int attempts = 0;
        const auto attempt = [&]() -> task<result<int>> {
            if (++attempts < 4)
            {
                co_return blitzio::fail(std::errc::connection_refused);
            }
            co_return attempts;
        };
        const blitzio::retry_options options{.attempts_max = 10, .delay_first = 1ms};
        CHECK(runtime.block_on(blitzio::retry(options, attempt)) == 4);
        attempts = -100;
        CHECK(runtime.block_on(blitzio::retry(options, attempt)).error() ==
              std::errc::connection_refused);
        CHECK(attempts == -90);
        attempts = 0;
        const auto only_timeouts = [](std::error_code error) {
            return error == std::errc::timed_out;
        };
        CHECK(runtime.block_on(blitzio::retry(options, attempt, only_timeouts)).error() ==
              std::errc::connection_refused);
        CHECK(attempts == 1);
    });
}

TEST_CASE("retry pauses longer and longer, up to its bound, and never past it", "[retry]")
{
    const blitzio::retry_options options{
        .delay_first = 10ms, .factor = 3.0, .delay_max = 200ms, .jitter = 0.0};
    using blitzio::detail::retry_delay;
    CHECK(retry_delay(options, 1, 0.9) == 10ms);
    CHECK(retry_delay(options, 2, 0.9) == 30ms);
    CHECK(retry_delay(options, 3, 0.9) == 90ms);
    CHECK(retry_delay(options, 4, 0.9) == 200ms);
    CHECK(retry_delay(options, 4'000'000'000u, 0.9) == 200ms);
    blitzio::retry_options jittered = options;
    jittered.jitter = 0.5;
    CHECK(retry_delay(jittered, 1, 0.0) == 10ms);
    CHECK(retry_delay(jittered, 1, 0.5) == 7500us);
    jittered.delay_max = std::chrono::nanoseconds::max();
    CHECK(retry_delay(jittered, 4'000'000'000u, 0.0) > 24h);
    jittered.delay_first = -1ms;
    CHECK(retry_delay(jittered, 1, 0.0) == 0ns);
}

TEST_CASE("retry takes real time, decided by the seed", "[retry][sim]")
{
    const auto duration = [](std::uint64_t seed) {
        blitzio::runtime runtime({.io_threads = 1,
                                  .backend = blitzio::backend_choice::sim,
                                  .simulation = {.seed = seed}});
        const blitzio::retry_options options{.attempts_max = 4, .delay_first = 1s, .jitter = 1.0};
        const auto before = now(runtime);
        const auto attempt = []() -> task<result<int>> {
            co_return blitzio::fail(std::errc::io_error);
        };
        CHECK(!runtime.block_on(blitzio::retry(options, attempt)));
        return now(runtime) - before;
    };
    CHECK(duration(1) == duration(1));
    bool differs = false;
    for (std::uint64_t seed = 1; seed < 10; ++seed)
    {
        CHECK(duration(seed) < 8s);
        differs = differs || duration(seed) != duration(seed + 1);
    }
    CHECK(differs);
}

TEST_CASE("retry does not wait for a deadline that is certain to pass", "[retry][deadline]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const blitzio::retry_options options{
            .attempts_max = 100, .delay_first = 10h, .delay_max = 10h, .jitter = 0.0};
        const auto before = now(runtime);
        const auto outcome = runtime.block_on(
            blitzio::timeout(5h, blitzio::retry(options, [] { return failing(1ms); })));
        CHECK(outcome.error() == std::errc::io_error);
        CHECK(now(runtime) - before < 1h);
        // A stop in the pause ends it.
        auto handle = runtime.spawn(blitzio::retry(options, [] { return failing(1ms); }));
        const auto stopper = [&]() -> task<void> {
            static_cast<void>(co_await blitzio::sleep_for(5ms));
            handle.request_stop();
        };
        runtime.block_on(stopper());
        CHECK(runtime.block_on(std::move(handle)).error() == std::errc::operation_canceled);
        CHECK(runtime.metrics().timers_armed == 0);
    });
}
