// What combinators, selects and streams allocate in a warm runtime: nothing for a child, a case or a
// value. Thread rule: one worker, so that the count belongs to what is measured.
#include "support/allocation_counter.hpp"
#include "support/raw_operations.hpp"

#include <blitzio/io.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstdint>

using namespace std::chrono_literals;
using blitzio::task;
using blitzio::test::allocation_counter;
using blitzio::test::raw_step;

namespace
{

constexpr int rounds = 200;

/// `body()` gives a task<bool>, whether all was as expected; it runs often, and the second half of the
/// times is counted.
template <class Body>
void expect_no_allocations(Body body)
{
    if (!blitzio::test::counts_allocations)
    {
        SKIP("the sanitizer brings its own operator new");
    }
    blitzio::runtime runtime({.io_threads = 1});
    INFO(runtime.backend_name());
    bool all_right = true;
    std::uint64_t counted = 0;
    runtime.block_on([&]() -> task<void> {
        for (int round = 0; round < rounds; ++round)
        {
            all_right = co_await body() && all_right;
        }
        const allocation_counter counter;
        for (int round = 0; round < rounds; ++round)
        {
            all_right = co_await body() && all_right;
        }
        counted = counter.count();
    });
    CHECK(all_right);
    CHECK(counted == 0);
}

blitzio::generator<int> count_to(int last)
{
    for (int value = 1; value <= last; ++value)
    {
        co_yield value;
    }
}

} // namespace

TEST_CASE("gather and when_any of operations allocate nothing", "[counting]")
{
    expect_no_allocations([]() -> task<bool> {
        auto [first, second] = co_await blitzio::gather(raw_step(), blitzio::sleep_for(0ms));
        const auto any = co_await blitzio::when_any(blitzio::never(), raw_step());
        co_return first.has_value() && second.has_value() && any.index == 1;
    });
}

TEST_CASE("select allocates nothing", "[counting]")
{
    expect_no_allocations([]() -> task<bool> {
        int handled = 0;
        const auto waited = co_await blitzio::select(
            blitzio::on(blitzio::never(), [&] { handled = 100; }),
            blitzio::on(raw_step(), [&](blitzio::result<void>) { ++handled; }),
            blitzio::on(blitzio::sleep_for(1h), [&] { handled = 100; }));
        const auto at_once =
            co_await blitzio::select(blitzio::on(blitzio::ready(1), [&](int) { ++handled; }),
                                     blitzio::otherwise([&] { handled = 100; }));
        co_return waited == 1u && at_once == 0u && handled == 2;
    });
}

TEST_CASE("deadlines, shields and adaptors allocate nothing", "[counting]")
{
    expect_no_allocations([]() -> task<bool> {
        const auto when = std::chrono::steady_clock::now() + 1h;
        const auto bounded = co_await blitzio::with_deadline(
            when, blitzio::timeout(2h, blitzio::shield(raw_step())));
        const auto chained = co_await blitzio::and_then(
            blitzio::transform(raw_step(), [] { return 1; }),
            [](int value) { return blitzio::ready(blitzio::result<int>(value + 1)); });
        const auto late = co_await blitzio::with_deadline(when - 2h, blitzio::never());
        co_return bounded.has_value() && chained == 2 && late.error() == std::errc::timed_out;
    });
}

TEST_CASE("task-local values and foreign futures come from the pool", "[counting]")
{
    static const blitzio::task_local<int> local;
    struct two_polls
    {
        bool polled = false;

        std::optional<int> poll(blitzio::waker& wake)
        {
            wake.wake();
            return std::exchange(polled, true) ? std::optional(3) : std::nullopt;
        }
    };
    expect_no_allocations([]() -> task<bool> {
        const auto read = []() -> task<int> { co_return *co_await local.get(); };
        const int seen = co_await blitzio::with_local(local, 4, read());
        const auto polled = co_await blitzio::as_awaitable(two_polls());
        co_return seen == 4 && polled == 3;
    });
}

TEST_CASE("a value on its way through a stream allocates nothing", "[counting]")
{
    if (!blitzio::test::counts_allocations)
    {
        SKIP("the sanitizer brings its own operator new");
    }
    blitzio::runtime runtime({.io_threads = 1});
    const auto count_for = [&](int values) {
        std::uint64_t counted = 0;
        runtime.block_on([&]() -> task<void> {
            namespace streams = blitzio::streams;
            const auto drop_odd = [](const int& value) { return value % 2 == 0; };
            const auto wait = [](int value) {
                return blitzio::transform(raw_step(), [value] { return value; });
            };
            for (int round = 0; round < 3; ++round)
            {
                const allocation_counter counter;
                const auto ended =
                    co_await (count_to(values) | streams::filter(drop_odd) | streams::map(wait) |
                              streams::buffer(8) | streams::merge(count_to(values)) |
                              streams::for_each([](int) {}));
                CHECK(ended.has_value());
                counted = counter.count();
            }
        });
        return counted;
    };
    CHECK(count_for(1000) == count_for(10));
}
