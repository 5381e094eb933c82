// select: which handler runs, fairness, that nothing is lost, errors, stops. Cases over channels are
// in sync's tests.
#include "support/runtimes.hpp"

#include <blitzio/io.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using blitzio::on;
using blitzio::on_if;
using blitzio::otherwise;
using blitzio::ready;
using blitzio::result;
using blitzio::select;
using blitzio::sleep_for;
using blitzio::task;
using blitzio::test::on_every_runtime;

namespace
{

task<result<int>> after(std::chrono::milliseconds delay, int value)
{
    co_await blitzio::try_(sleep_for(delay));
    co_return value;
}

/// Ends with a value although it is asked to stop, as something does that cannot be cancelled.
task<int> stubborn(int value)
{
    static_cast<void>(co_await sleep_for(1h));
    co_return value;
}

} // namespace

TEST_CASE("select runs the handler of the first case", "[select]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        std::string log;
        const auto first = runtime.block_on(
            select(on(after(1h, 1), [&](result<int>) { log += "slow"; }),
                   on(after(2ms, 2), [&](result<int> value) { log += std::to_string(*value); }),
                   on(sleep_for(2h), [&] { log += "time"; })));
        CHECK(first == 1u);
        CHECK(log == "2");
        CHECK(runtime.metrics().timers_armed == 0);
        // One case, and a case that gives nothing. Tokio: one_branch, sync_one_lit_expr.
        int seen = 0;
        CHECK(runtime.block_on(select(on(ready(3), [&](int value) { seen = value; }))) == 0u);
        CHECK(runtime.block_on(select(on(ready(), [&] { ++seen; }))) == 0u);
        CHECK(seen == 4);
    });
}

TEST_CASE("an error of a case goes to its handler", "[select]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        std::error_code seen;
        const auto failing = []() -> task<result<int>> {
            co_return blitzio::fail(std::errc::connection_reset);
        };
        const auto first = runtime.block_on(
            select(on(blitzio::never(), [] {}),
                   on(failing(), [&](result<int> outcome) { seen = outcome.error(); })));
        CHECK(first == 1u);
        CHECK(seen == std::errc::connection_reset);
    });
}

TEST_CASE("of several ready cases exactly one is taken, each as likely as the others", "[select]")
{
    // Go: TestSelectFairness, TestPseudoRandomSend. Tokio: the order of branches is random.
    on_every_runtime(
        [](blitzio::runtime& runtime) {
            std::array<int, 4> taken{};
            const auto loop = [&]() -> task<void> {
                for (int round = 0; round < 2000; ++round)
                {
                    const auto first = co_await select(on(ready(0), [&](int i) { ++taken[i]; }),
                                                       on(ready(1), [&](int i) { ++taken[i]; }),
                                                       on(ready(2), [&](int i) { ++taken[i]; }),
                                                       on(ready(3), [&](int i) { ++taken[i]; }));
                    CHECK(first.has_value());
                }
            };
            runtime.block_on(loop());
            int total = 0;
            for (const int count : taken)
            {
                CHECK(count > 350); // 500 expected, with a deviation of about 20
                CHECK(count < 650);
                total += count;
            }
            CHECK(total == 2000);
        },
        5);
}

TEST_CASE("a case that is switched off is as if it were not there", "[select]")
{
    // Go: a nil channel never proceeds. Tokio: a branch with a false condition.
    on_every_runtime([](blitzio::runtime& runtime) {
        int seen = 0;
        for (int round = 0; round < 20; ++round)
        {
            const auto first =
                runtime.block_on(select(on_if(false, ready(1), [&](int) { seen = -1000; }),
                                        on_if(true, ready(2), [&](int) { ++seen; })));
            CHECK(first == 1u);
        }
        CHECK(seen == 20);
        CHECK(runtime.block_on(select(on_if(false, ready(1), [](int) {}))).error() ==
              std::errc::invalid_argument);
    });
}

TEST_CASE("otherwise runs when nothing is ready, and only then", "[select]")
{
    // Go: select with default.
    on_every_runtime([](blitzio::runtime& runtime) {
        std::string log;
        for (int round = 0; round < 10; ++round)
        {
            CHECK(runtime.block_on(select(otherwise([&] { log += "none "; }),
                                          on(blitzio::never(), [&] { log += "never "; }),
                                          on(sleep_for(1h), [&] { log += "time "; }))) == 0u);
            CHECK(runtime.block_on(select(otherwise([&] { log += "none "; }),
                                          on(ready(1), [&](int) { log += "value "; }))) == 1u);
        }
        std::string expected;
        for (int round = 0; round < 10; ++round)
        {
            expected += "none value ";
        }
        CHECK(log == expected);
        CHECK(runtime.metrics().timers_armed == 0);
    });
}

TEST_CASE("what a loser obtains all the same is handled after the winner", "[select]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        std::string log;
        const auto first = runtime.block_on(
            select(on(stubborn(7), [&](int value) { log += std::to_string(value); }),
                   on(sleep_for(1ms), [&] { log += "time "; }),
                   on(after(1h, 1), [&](result<int>) { log += "cancelled"; })));
        CHECK(first == 1u);
        CHECK(log == "time 7");
    });
}

TEST_CASE("handlers may wait, one after the other, out of reach of the select's stop", "[select]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        std::string log;
        const auto slow = [&](const char* name) -> task<result<void>> {
            log += name;
            co_await blitzio::try_(sleep_for(1ms));
            log += std::string(name) + "! ";
            co_return {};
        };
        const auto first =
            runtime.block_on(select(on(sleep_for(1ms), [&]() { return slow("a"); }),
                                    on(stubborn(1), [&](int) { return slow("b"); })));
        CHECK(first == 0u);
        CHECK(log == "aa! bb! ");
        const auto fails = []() -> task<result<void>> {
            co_return blitzio::fail(std::errc::io_error);
        };
        CHECK(runtime.block_on(select(on(ready(), fails), on(blitzio::never(), [] {}))).error() ==
              std::errc::io_error);
        const auto refuses = [](int) -> result<void> {
            return blitzio::fail(std::errc::bad_message);
        };
        CHECK(runtime.block_on(select(on(ready(1), refuses))).error() == std::errc::bad_message);
        const auto void_task = [&]() -> task<void> {
            log.clear();
            co_return;
        };
        CHECK(runtime.block_on(select(on(sleep_for(0ms), void_task))) == 0u);
        CHECK(log.empty());
    });
}

TEST_CASE("an exception is thrown after the handlers of all that succeeded", "[select]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        bool handled = false;
        const auto throws = []() -> task<int> {
            static_cast<void>(co_await sleep_for(1ms));
            throw std::logic_error("on purpose");
        };
        CHECK_THROWS_AS(runtime.block_on(select(on(throws(), [](int) {}),
                                                on(stubborn(1), [&](int) { handled = true; }))),
                        std::logic_error);
        CHECK(handled);
        const auto throwing_handler = [](int) { throw std::logic_error("on purpose"); };
        CHECK_THROWS_AS(runtime.block_on(select(on(ready(1), throwing_handler))), std::logic_error);
        const auto throwing_task = [](int) -> task<void> {
            static_cast<void>(co_await sleep_for(1ms));
            throw std::logic_error("on purpose");
        };
        CHECK_THROWS_AS(runtime.block_on(select(on(ready(1), throwing_task))), std::logic_error);
    });
}

TEST_CASE("a stop from outside runs no handler", "[select][stop]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        int handled = 0;
        const auto waits = [&]() -> task<result<std::size_t>> {
            co_return co_await select(on(sleep_for(1h), [&] { ++handled; }),
                                      on(blitzio::never<int>(), [&](result<int>) { ++handled; }),
                                      on(after(2h, 1), [&](result<int>) { ++handled; }));
        };
        auto handle = runtime.spawn(waits());
        const auto stopper = [&]() -> task<void> {
            static_cast<void>(co_await sleep_for(1ms));
            handle.request_stop();
        };
        runtime.block_on(stopper());
        CHECK(runtime.block_on(std::move(handle)).error() == std::errc::operation_canceled);
        CHECK(handled == 0);
        CHECK(runtime.block_on(blitzio::timeout(1ms, waits())).error() == std::errc::timed_out);
        CHECK(runtime.metrics().timers_armed == 0);
    });
}

TEST_CASE("selects nest, and loops of ready ones do not grow the stack", "[select][stack]")
{
    blitzio::runtime runtime({.io_threads = 1});
    int total = 0;
    const auto at_once = [](int value) -> task<int> { co_return value; };
    const auto add = [&](int value) -> task<void> {
        total += value;
        co_return;
    };
    const auto loop = [&]() -> task<void> {
        for (int round = 0; round < 200'000; ++round)
        {
            const auto first =
                co_await select(on(at_once(1), add), on(select(on(blitzio::never(), [] {})),
                                                        [](result<std::size_t>) {}));
            if (!first)
            {
                co_return;
            }
        }
    };
    runtime.block_on(loop());
    CHECK(total > 0);
}
