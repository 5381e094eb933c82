// generator<T>: values, waiting in between, errors, exceptions, lifetime, bounded stack.
#include "support/runtimes.hpp"

#include <blitzio/io.hpp>
#include <blitzio/io/detail/frame_pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using blitzio::generator;
using blitzio::result;
using blitzio::task;
using blitzio::try_;
using blitzio::test::on_every_runtime;

namespace
{

generator<int> count_to(int last)
{
    for (int value = 1; value <= last; ++value)
    {
        co_yield value;
    }
}

generator<int> slowly(int last, std::chrono::milliseconds pause)
{
    for (int value = 1; value <= last; ++value)
    {
        co_await try_(blitzio::sleep_for(pause));
        co_yield value;
    }
}

generator<int> with_error(int values)
{
    for (int value = 0; value < values; ++value)
    {
        co_yield value;
    }
    co_yield blitzio::fail(std::errc::io_error);
    co_yield 1000; // never reached
}

generator<int> with_exception(int values)
{
    for (int value = 0; value < values; ++value)
    {
        co_yield value;
    }
    throw std::logic_error("on purpose");
}

task<result<int>> sum(generator<int> values)
{
    int total = 0;
    while (auto value = co_await try_(values.next()))
    {
        total += *value;
    }
    // The end stays the end.
    if ((co_await try_(values.next())).has_value())
    {
        co_return -1;
    }
    co_return total;
}

} // namespace

TEST_CASE("a generator gives its values and then the end", "[generator]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        CHECK(runtime.block_on(sum(count_to(100))) == 5050);
        CHECK(runtime.block_on(sum(count_to(0))) == 0);
        CHECK(runtime.block_on(sum(slowly(5, 1ms))) == 15);
        CHECK(runtime.block_on(sum(generator<int>())) == 0);
    });
}

TEST_CASE("a generator ends with an error or an exception", "[generator]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        CHECK(runtime.block_on(sum(with_error(3))).error() == std::errc::io_error);
        CHECK_THROWS_AS(runtime.block_on(sum(with_exception(3))), std::logic_error);
        const auto after_failure = [](generator<int> values) -> task<bool> {
            const auto failed = co_await values.next();
            const auto ended = co_await values.next();
            co_return !failed && ended && !ended->has_value();
        };
        CHECK(runtime.block_on(after_failure(with_error(0))));
    });
}

TEST_CASE("a generator moves what it yields and copies what it is to keep", "[generator]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto owned = []() -> generator<std::unique_ptr<int>> {
            auto made = std::make_unique<int>(7);
            co_yield std::move(made);
        };
        const auto named = []() -> generator<std::string> {
            std::string kept = "kept for longer than a small string";
            co_yield kept;
            co_yield kept;
            co_yield "literal";
        };
        const auto use = [&]() -> task<result<std::string>> {
            auto pointers = owned();
            auto pointer = co_await try_(pointers.next());
            std::string all = std::to_string(**pointer);
            auto strings = named();
            while (auto next = co_await try_(strings.next()))
            {
                all += '|' + *next;
            }
            co_return all;
        };
        CHECK(runtime.block_on(use()) == "7|kept for longer than a small string|kept for longer "
                                         "than a small string|literal");
    });
}

TEST_CASE("a stop or a timeout reaches the operation inside a generator", "[generator][stop]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        auto handle = runtime.spawn(sum(slowly(1000, 10min)));
        handle.request_stop();
        CHECK(runtime.block_on(std::move(handle)).error() == std::errc::operation_canceled);
        const auto bounded = []() -> task<result<int>> {
            auto values = slowly(10, 1h);
            const auto step = co_await blitzio::timeout(1ms, values.next());
            co_return step ? result<int>(1) : blitzio::fail(step.error());
        };
        CHECK(runtime.block_on(bounded()).error() == std::errc::timed_out);
        CHECK(runtime.metrics().timers_armed == 0);
    });
}

TEST_CASE("a generator that is dropped early destroys its locals", "[generator]")
{
    const auto frames = blitzio::detail::live_frames();
    on_every_runtime([](blitzio::runtime& runtime) {
        bool destroyed = false;
        struct guard
        {
            bool* flag;
            ~guard()
            {
                *flag = true;
            }
        };
        const auto endless = [&]() -> generator<int> {
            const guard here{&destroyed};
            for (;;)
            {
                co_yield 1;
            }
        };
        const auto take_two = [&]() -> task<result<int>> {
            auto values = endless();
            const auto first = co_await try_(values.next());
            const auto second = co_await try_(values.next());
            co_return *first + *second;
        };
        CHECK(runtime.block_on(take_two()) == 2);
        CHECK(destroyed);
    });
    CHECK(blitzio::detail::live_frames() == frames);
}

TEST_CASE("a generator goes on when it was moved, and through another generator", "[generator]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto doubled = [](generator<int> inner) -> generator<int> {
            while (auto value = co_await try_(inner.next()))
            {
                co_yield 2 * *value;
            }
        };
        CHECK(runtime.block_on(sum(doubled(doubled(slowly(4, 1ms))))) == 40);
        CHECK(runtime.block_on(sum(doubled(with_error(2)))).error() == std::errc::io_error);
    });
}

TEST_CASE("millions of values do not grow the stack", "[generator][stack]")
{
    blitzio::runtime runtime({.io_threads = 1});
    constexpr int many = 1'000'000;
    const auto direct = [](generator<int> values) -> task<int> {
        int seen = 0;
        for (;;)
        {
            const auto step = co_await values.next();
            if (!step || !step->has_value())
            {
                co_return seen;
            }
            ++seen;
        }
    };
    CHECK(runtime.block_on(direct(count_to(many))) == many);
    const auto through_try = [](generator<int> values) -> task<result<int>> {
        int seen = 0;
        while (co_await try_(values.next()))
        {
            ++seen;
        }
        co_return seen;
    };
    CHECK(runtime.block_on(through_try(count_to(many))) == many);
}
