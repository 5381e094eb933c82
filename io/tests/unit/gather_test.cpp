// gather, when_any, and the forms of all combinators over ranges: results, exceptions of several
// children, and loops that must not grow the stack.
#include "support/runtimes.hpp"

#include <blitzio/io.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
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

task<result<int>> fail_after(std::chrono::milliseconds delay, std::errc error)
{
    co_await blitzio::try_(blitzio::sleep_for(delay));
    co_return blitzio::fail(error);
}

task<int> throw_after(std::chrono::milliseconds delay, std::string what)
{
    static_cast<void>(co_await blitzio::sleep_for(delay));
    throw std::logic_error(what);
}

/// A child whose reaction to being stopped is an exception that says so.
task<int> throw_when_stopped()
{
    blitzio::or_throw(co_await blitzio::sleep_for(1h), "sleeping");
    co_return 1;
}

task<result<int>> at_once(int value)
{
    co_return value;
}

std::atomic<int> reported{0};

void count_report(std::exception_ptr, std::string_view)
{
    reported.fetch_add(1);
}

blitzio::runtime simulation(std::uint64_t seed)
{
    return blitzio::runtime({.io_threads = static_cast<unsigned>(1 + seed % 3),
                             .backend = blitzio::backend_choice::sim,
                             .simulation = {.seed = seed},
                             .on_unobserved_exception = &count_report});
}

} // namespace

TEST_CASE("gather lets everybody finish", "[gather]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        auto [failed, slow] =
            runtime.block_on(blitzio::gather(fail_after(1ms, std::errc::io_error), after(5ms, 2)));
        CHECK(failed.error() == std::errc::io_error);
        CHECK(slow == 2);
        std::vector<task<result<int>>> many;
        for (int i = 0; i < 20; ++i)
        {
            many.push_back(i % 2 == 0 ? after(std::chrono::milliseconds(i % 4), i)
                                      : fail_after(1ms, std::errc::io_error));
        }
        const auto all = runtime.block_on(blitzio::gather(std::move(many)));
        REQUIRE(all.size() == 20);
        for (std::size_t i = 0; i < all.size(); ++i)
        {
            CHECK(all[i].has_value() == (i % 2 == 0));
        }
    });
}

TEST_CASE("captured exceptions are among the results", "[gather]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        auto [thrown, good] = runtime.block_on(blitzio::gather(
            blitzio::capture(throw_after(1ms, "one")), blitzio::capture(after(2ms, 2))));
        REQUIRE(!thrown.has_value());
        CHECK_THROWS_AS(std::rethrow_exception(thrown.error()), std::logic_error);
        REQUIRE(good.has_value());
        CHECK(**good == 2);
    });
}

TEST_CASE("of several exceptions the first is thrown and the others are reported", "[when_all]")
{
    for (std::uint64_t seed = 1; seed <= 40; ++seed)
    {
        INFO("seed " << seed);
        auto runtime = simulation(seed);
        reported = 0;
        std::string what;
        try
        {
            static_cast<void>(runtime.block_on(blitzio::gather(throw_after(40ms, "late"),
                                                               throw_after(1ms, "first"),
                                                               throw_after(20ms, "second"))));
        }
        catch (const std::logic_error& thrown)
        {
            what = thrown.what();
        }
        CHECK(what == "first");
        CHECK(reported == 2);
        reported = 0;
        std::vector<task<int>> many;
        many.push_back(throw_after(40ms, "late"));
        many.push_back(throw_after(1ms, "first"));
        CHECK_THROWS_WITH(runtime.block_on(blitzio::gather(std::move(many))), "first");
        CHECK(reported == 1);
    }
}

TEST_CASE("an exception that a stop caused hides nothing and is not reported", "[when_all]")
{
    for (std::uint64_t seed = 1; seed <= 40; ++seed)
    {
        INFO("seed " << seed);
        auto runtime = simulation(seed);
        reported = 0;
        CHECK_THROWS_WITH(
            runtime.block_on(blitzio::when_all(throw_when_stopped(), throw_after(1ms, "cause"))),
            "cause");
        CHECK(reported == 0);
        auto winner = runtime.block_on(blitzio::race(throw_when_stopped(), after(1ms, 3)));
        CHECK(winner.index() == 1);
        CHECK(reported == 0);
    }
}

TEST_CASE("a loser's exception is reported", "[race]")
{
    auto runtime = simulation(3);
    reported = 0;
    const auto throws_when_stopped = []() -> task<int> {
        static_cast<void>(co_await blitzio::sleep_for(1h));
        throw std::logic_error("a bug on the way out");
    };
    auto winner = runtime.block_on(blitzio::race(throws_when_stopped(), after(1ms, 3)));
    CHECK(std::get<1>(winner) == 3);
    CHECK(reported == 1);
    std::vector<task<int>> many;
    many.push_back(throws_when_stopped());
    many.push_back([]() -> task<int> { co_return 5; }());
    const auto first = runtime.block_on(blitzio::when_any(std::move(many)));
    CHECK(first.index == 1);
    CHECK(first.value == 5);
    CHECK(reported == 2);
}

TEST_CASE("when_any gives index and value of the first", "[when_any]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        auto same = runtime.block_on(blitzio::when_any(after(1h, 1), after(2ms, 2)));
        CHECK(same.index == 1);
        CHECK(same.value == 2);
        auto different = runtime.block_on(blitzio::when_any(after(1h, 1), blitzio::sleep_for(1ms)));
        CHECK(different.index == 1);
        CHECK(std::get<1>(different.value).has_value());
        std::vector<task<result<int>>> many;
        for (int i = 0; i < 10; ++i)
        {
            many.push_back(after(i == 7 ? 1ms : std::chrono::milliseconds(1h), i));
        }
        auto first = runtime.block_on(blitzio::when_any(std::move(many)));
        CHECK(first.index == 7);
        CHECK(first.value == 7);
        CHECK(runtime.metrics().timers_armed == 0);
    });
}

TEST_CASE("combinators take ranges of operations that are not tasks", "[when_all][race]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto sleeps = [](int count) {
            return std::views::iota(0, count) | std::views::transform([](int i) {
                       return blitzio::sleep_for(std::chrono::milliseconds(i));
                   });
        };
        const auto all = runtime.block_on(blitzio::when_all(sleeps(5)));
        CHECK(all.size() == 5);
        const auto first = runtime.block_on(
            blitzio::race(std::views::iota(0, 3) | std::views::transform([](int i) {
                              return blitzio::sleep_for(std::chrono::hours(i));
                          })));
        CHECK(first.index == 0);
        CHECK(first.value.has_value());
        const auto succeeded = runtime.block_on(blitzio::race_ok(sleeps(3)));
        REQUIRE(succeeded.has_value());
        CHECK(succeeded->index < 3);
        CHECK(runtime.metrics().timers_armed == 0);
    });
}

TEST_CASE("a race_ok over a range fails with the first error in order", "[race]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        std::vector<task<result<int>>> failing;
        failing.push_back(fail_after(3ms, std::errc::io_error));
        failing.push_back(fail_after(1ms, std::errc::timed_out));
        CHECK(runtime.block_on(blitzio::race_ok(std::move(failing))).error() ==
              std::errc::io_error);
        std::vector<task<result<int>>> one_good;
        one_good.push_back(fail_after(1ms, std::errc::io_error));
        one_good.push_back(after(5ms, 4));
        one_good.push_back(after(1h, 5));
        const auto winner = runtime.block_on(blitzio::race_ok(std::move(one_good)));
        REQUIRE(winner.has_value());
        CHECK(winner->index == 1);
        CHECK(winner->value == 4);
    });
}

TEST_CASE("a race of nothing is refused", "[race]")
{
    CHECK_THROWS_AS(blitzio::when_any(std::vector<task<int>>{}), std::invalid_argument);
    CHECK_THROWS_AS(blitzio::race_ok(std::vector<task<result<int>>>{}), std::invalid_argument);
}

TEST_CASE("a stop reaches the children of ranges", "[stop]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto waits = []() -> task<result<int>> {
            std::vector<task<result<int>>> many;
            many.push_back(after(1h, 1));
            many.push_back(after(2h, 2));
            const auto all = co_await blitzio::gather(std::move(many));
            co_return blitzio::fail(all[0].error());
        };
        auto handle = runtime.spawn(waits());
        handle.request_stop();
        CHECK(runtime.block_on(std::move(handle)).error() == std::errc::operation_canceled);
        CHECK(runtime.metrics().timers_armed == 0);
    });
}

TEST_CASE("combinators of tasks that end at once do not grow the stack", "[stack]")
{
    blitzio::runtime runtime({.io_threads = 1});
    const auto loop = []() -> task<result<int>> {
        int total = 0;
        for (int i = 0; i < 300'000; ++i)
        {
            total += co_await blitzio::try_(at_once(1));
            total += co_await blitzio::try_(blitzio::timeout(1h, at_once(1)));
            total += co_await blitzio::try_(blitzio::shield(at_once(1)));
            total += co_await blitzio::try_(
                blitzio::transform(at_once(1), [](int value) { return value; }));
            total += co_await blitzio::try_(
                blitzio::and_then(at_once(1), [](int value) { return at_once(value); }));
            auto [one, other] = co_await blitzio::when_all(at_once(1), at_once(1));
            total += *one + *other;
        }
        co_return total;
    };
    CHECK(runtime.block_on(loop()) == 7 * 300'000);
}
