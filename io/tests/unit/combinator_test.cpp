// when_all, race, race_ok, timeout, sleep: results, who is stopped, and that all are awaited.
#include "support/runtimes.hpp"

#include <blitzio/io.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <stdexcept>
#include <vector>

using namespace std::chrono_literals;
using blitzio::test::on_every_runtime;

namespace
{

blitzio::task<blitzio::result<int>> after(std::chrono::milliseconds delay, int value)
{
    co_await blitzio::try_(blitzio::sleep_for(delay));
    co_return value;
}

blitzio::task<blitzio::result<int>> fail_after(std::chrono::milliseconds delay, std::errc error)
{
    co_await blitzio::try_(blitzio::sleep_for(delay));
    co_return blitzio::fail(error);
}

blitzio::task<int> throw_after(std::chrono::milliseconds delay)
{
    static_cast<void>(co_await blitzio::sleep_for(delay));
    throw std::logic_error("thrown on purpose");
}

/// Counts how many of its kind are between start and end.
struct presence
{
    int* count;
    explicit presence(int& target) : count(&target)
    {
        ++*count;
    }
    presence(const presence&) = delete;
    presence& operator=(const presence&) = delete;
    ~presence()
    {
        --*count;
    }
};

} // namespace

TEST_CASE("when_all gives all results in order", "[when_all]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        auto [slow, fast] = runtime.block_on(blitzio::when_all(after(4ms, 1), after(1ms, 2)));
        REQUIRE(slow == 1);
        REQUIRE(fast == 2);
        std::vector<blitzio::task<blitzio::result<int>>> many;
        for (int i = 0; i < 50; ++i)
        {
            many.push_back(after(std::chrono::milliseconds(i % 5), i));
        }
        const auto values = runtime.block_on(blitzio::when_all(std::move(many)));
        REQUIRE(values.size() == 50);
        for (int i = 0; i < 50; ++i)
        {
            REQUIRE(values[static_cast<std::size_t>(i)] == i);
        }
        std::vector<blitzio::task<void>> none;
        runtime.block_on(blitzio::when_all(std::move(none)));
    });
}

TEST_CASE("when_all stops the others when one fails and awaits them", "[when_all]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        auto [failed, stopped] =
            runtime.block_on(blitzio::when_all(fail_after(1ms, std::errc::io_error), after(1h, 2)));
        REQUIRE(failed.error() == std::errc::io_error);
        REQUIRE(stopped.error() == std::errc::operation_canceled);
        REQUIRE_THROWS_AS(
            runtime.block_on(blitzio::when_all(throw_after(1ms), after(1h, 2), after(1h, 3))),
            std::logic_error);
        REQUIRE(runtime.metrics().timers_armed == 0);
    });
}

TEST_CASE("race is decided by the first, the others are stopped and awaited", "[race]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        int inside = 0;
        const auto loser = [&inside]() -> blitzio::task<blitzio::result<int>> {
            const presence here(inside);
            co_return co_await after(1h, 1);
        };
        auto winner =
            runtime.block_on(blitzio::race(loser(), after(2ms, 2), blitzio::sleep_for(2h)));
        REQUIRE(winner.index() == 1);
        REQUIRE(std::get<1>(winner) == 2);
        REQUIRE(inside == 0);
        auto error_wins =
            runtime.block_on(blitzio::race(after(1h, 1), fail_after(1ms, std::errc::io_error)));
        REQUIRE(std::get<1>(error_wins).error() == std::errc::io_error);
        REQUIRE_THROWS_AS(runtime.block_on(blitzio::race(throw_after(1ms), after(1h, 1))),
                          std::logic_error);
    });
}

TEST_CASE("race_ok is decided by the first success", "[race]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        auto winner = runtime.block_on(
            blitzio::race_ok(fail_after(1ms, std::errc::io_error), after(20ms, 5), after(1h, 6)));
        REQUIRE(winner.has_value());
        REQUIRE(winner->index == 1);
        REQUIRE(winner->value == 5);
        auto none = runtime.block_on(blitzio::race_ok(fail_after(5ms, std::errc::io_error),
                                                      fail_after(1ms, std::errc::timed_out)));
        REQUIRE(none.error() == std::errc::io_error);
    });
}

TEST_CASE("timeout turns a late operation into timed_out and leaves others alone", "[timeout]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        REQUIRE(runtime.block_on(blitzio::timeout(1h, after(1ms, 9))) == 9);
        REQUIRE(runtime.block_on(blitzio::timeout(1ms, after(1h, 9))).error() ==
                std::errc::timed_out);
        REQUIRE(runtime.block_on(blitzio::timeout(1ms, blitzio::sleep_for(1h))).error() ==
                std::errc::timed_out);
        // The inner, shorter bound decides, whatever is around it.
        auto nested =
            runtime.block_on(blitzio::timeout(2h, blitzio::timeout(1ms, blitzio::sleep_for(1h))));
        REQUIRE(nested.error() == std::errc::timed_out);
        auto outer =
            runtime.block_on(blitzio::timeout(1ms, blitzio::timeout(2h, blitzio::sleep_for(1h))));
        REQUIRE(outer.error() == std::errc::timed_out);
        REQUIRE(runtime.metrics().timers_armed == 0);
    });
}

TEST_CASE("success beats the deadline", "[timeout]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        // Ignores the stop request and ends with a value after the deadline.
        const auto stubborn = []() -> blitzio::task<blitzio::result<int>> {
            static_cast<void>(co_await blitzio::sleep_for(1h));
            co_return 3;
        };
        REQUIRE(runtime.block_on(blitzio::timeout(1ms, stubborn())) == 3);
    });
}

TEST_CASE("a stop request reaches through every combinator", "[stop]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto nested = []() -> blitzio::task<blitzio::result<int>> {
            auto all = co_await blitzio::when_all(after(1h, 1), blitzio::timeout(2h, after(1h, 2)),
                                                  blitzio::race_ok(after(1h, 3), after(1h, 4)));
            co_return blitzio::fail(std::get<2>(all).error());
        };
        auto handle = runtime.spawn(nested());
        const auto stopper = [&]() -> blitzio::task<void> {
            static_cast<void>(co_await blitzio::sleep_for(1ms));
            handle.request_stop();
        };
        runtime.block_on(stopper());
        REQUIRE(runtime.block_on(std::move(handle)).error() == std::errc::operation_canceled);
        REQUIRE(runtime.metrics().timers_armed == 0);
    });
}

TEST_CASE("the reason of a stop is told", "[stop]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        blitzio::stop_reason seen = blitzio::stop_reason::none;
        const auto asks = [&]() -> blitzio::task<void> {
            static_cast<void>(co_await blitzio::sleep_for(1h));
            seen = (co_await blitzio::this_task::stop()).reason();
        };
        static_cast<void>(runtime.block_on(blitzio::timeout(1ms, asks())));
        REQUIRE(seen == blitzio::stop_reason::deadline);
        static_cast<void>(runtime.block_on(blitzio::race(asks(), after(1ms, 1))));
        REQUIRE(seen == blitzio::stop_reason::sibling);
    });
}

TEST_CASE("sleeping is never shorter than asked for and zero completes", "[sleep]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto measured = [&]() -> blitzio::task<std::chrono::nanoseconds> {
            const auto before = blitzio::detail::now(runtime.core());
            static_cast<void>(co_await blitzio::sleep_for(3ms));
            co_return blitzio::detail::now(runtime.core()) - before;
        };
        REQUIRE(runtime.block_on(measured()) >= 3ms);
        REQUIRE(runtime.block_on(blitzio::sleep_for(0ms)).has_value());
        REQUIRE(runtime.block_on(blitzio::sleep_for(-5ms)).has_value());
    });
}

TEST_CASE("timers wake tasks in the order of their deadlines", "[sleep]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        if (runtime.metrics().workers != 1)
        {
            return; // the order of two workers is nobody's promise
        }
        std::vector<int> order;
        const auto wait = [&](int rank) -> blitzio::task<void> {
            static_cast<void>(co_await blitzio::sleep_for(std::chrono::milliseconds(3 * rank)));
            order.push_back(rank);
        };
        std::vector<blitzio::task<void>> all;
        for (const int rank : {5, 1, 4, 2, 3})
        {
            all.push_back(wait(rank));
        }
        runtime.block_on(blitzio::when_all(std::move(all)));
        REQUIRE(order == std::vector<int>{1, 2, 3, 4, 5});
    });
}

TEST_CASE("a task that gives way again and again does not hold time up", "[sleep]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        bool fired = false;
        const auto sleeper = [&]() -> blitzio::task<void> {
            static_cast<void>(co_await blitzio::sleep_for(2ms));
            fired = true;
        };
        const auto busy = [&]() -> blitzio::task<void> {
            while (!fired)
            {
                co_await blitzio::yield();
            }
        };
        if (runtime.metrics().workers == 1) // `fired` is no atomic
        {
            runtime.block_on(blitzio::when_all(sleeper(), busy()));
            REQUIRE(fired);
        }
    });
}

TEST_CASE("the limit of timers is an error", "[sleep]")
{
    blitzio::runtime runtime({.io_threads = 1, .timers_max = 2});
    const auto three = []() -> blitzio::task<blitzio::result<int>> {
        auto [a, b, c] = co_await blitzio::when_all(
            blitzio::sleep_for(1ms), blitzio::sleep_for(1ms), blitzio::sleep_for(1ms));
        co_return blitzio::fail(c.error());
    };
    REQUIRE(runtime.block_on(three()).error() == blitzio::io_errc::limit_reached);
    REQUIRE(runtime.block_on(blitzio::sleep_for(1ms)).has_value());
}
