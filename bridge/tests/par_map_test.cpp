// Parallel stages of streams: order, results, errors, exceptions, ends, progress.
// Thread rule: each test owns its runtime and pool.
#include "support.hpp"

#include <blitzio/sync.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace bz = blitzio;
namespace streams = blitzio::streams;
using namespace std::chrono_literals;

namespace
{

std::vector<int> iota(int count)
{
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

template <class Pipeline>
auto run(bz::runtime& runtime, Pipeline pipeline)
{
    return runtime.block_on(std::move(pipeline));
}

} // namespace

TEST_CASE("results come in the order of the values", "[bridge][par_map]")
{
    for (const unsigned threads : {1u, 2u, 5u})
    {
        bz::compute::pool pool({.threads = threads, .name = "work"});
        auto runtime = test::make_runtime();
        const auto all =
            run(runtime, streams::from_range(iota(20'000)) | streams::par_map(pool, [&](int value) {
                             if (!pool.owns_current_thread())
                                 std::abort();
                             return std::to_string(value);
                         }) | streams::collect());
        REQUIRE(all);
        REQUIRE(all->size() == 20'000);
        for (int index = 0; index < 20'000; ++index)
        {
            REQUIRE((*all)[static_cast<std::size_t>(index)] == std::to_string(index));
        }
    }
}

TEST_CASE("the default pool, no values, one value, one cell", "[bridge][par_map]")
{
    auto runtime = test::make_runtime();
    const auto twice = [](int value) { return 2 * value; };
    const auto none =
        run(runtime, streams::from_range(iota(0)) | streams::par_map(twice) | streams::collect());
    CHECK((none && none->empty()));
    const auto one = run(runtime, streams::from_range(std::vector{21}) | streams::par_map(twice) |
                                      streams::collect());
    CHECK((one && *one == std::vector{42}));
    const auto narrow = run(
        runtime, streams::from_range(iota(3'000)) | streams::par_map(twice, {.max_in_flight = 1}) |
                     streams::fold(0, [](int sum, int value) { return sum + value; }));
    CHECK(narrow == 3'000 * 2'999);
}

TEST_CASE("unordered results are all there, once", "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 3, .name = "work"});
    auto runtime = test::make_runtime();
    std::atomic<bool> others_done{false};
    std::vector<int> order;
    const auto slow_first = [&](int value) {
        while (value == 0 && !others_done)
        {
            std::this_thread::yield();
        }
        return value;
    };
    const auto sink = [&](int value) {
        order.push_back(value);
        others_done = order.size() == 4'999;
    };
    const auto ended = run(runtime, streams::from_range(iota(5'000)) |
                                        streams::par_map(pool, slow_first, {.ordered = false}) |
                                        streams::for_each(sink));
    REQUIRE(ended);
    REQUIRE(order.size() == 5'000);
    CHECK(order.back() == 0);
    std::ranges::sort(order);
    CHECK(order == iota(5'000));
}

TEST_CASE("results are given on while the source still waits", "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    for (const bool ordered : {true, false})
    {
        const auto seen = runtime.block_on([&]() -> bz::task<int> {
            bz::sync::event answered;
            const auto source = [&]() -> bz::generator<int> {
                for (int value = 0; value < 200; ++value)
                {
                    co_yield value;
                    // Only what comes out of the pipeline lets the source go on.
                    co_await bz::try_(answered.wait());
                    answered.reset();
                }
            };
            int count = 0;
            const auto sink = [&](int) {
                ++count;
                answered.set();
            };
            const streams::par_options options{.ordered = ordered};
            const auto ended = co_await (source() |
                                         streams::par_map(
                                             pool, [](int value) { return value; }, options) |
                                         streams::for_each(sink));
            CHECK(ended);
            co_return count;
        });
        CHECK(seen == 200);
    }
}

TEST_CASE("values are moved through, never copied", "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    std::vector<std::unique_ptr<int>> owners;
    for (int value = 0; value < 100; ++value)
    {
        owners.push_back(std::make_unique<int>(value));
    }
    const auto all = run(
        runtime, streams::from_range(std::move(owners)) |
                     streams::par_map(pool,
                                      [](std::unique_ptr<int> value) {
                                          ++*value;
                                          return value;
                                      }) |
                     streams::par_filter(
                         pool, [](const std::unique_ptr<int>& value) { return *value % 2 == 0; }) |
                     streams::collect());
    REQUIRE(all);
    REQUIRE(all->size() == 50);
    CHECK(*all->front() == 2);
    CHECK(*all->back() == 100);
}

TEST_CASE("stages that wait and stages that compute go together", "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    const auto wait_and_add = [](int value) -> bz::task<bz::result<int>> {
        if (value % 100 == 0)
        {
            co_await bz::try_(bz::sleep_for(100us));
        }
        co_return value + 1;
    };
    long total = 0;
    const auto sink = [&](std::vector<long> values) -> bz::task<void> {
        co_await bz::yield();
        total = std::accumulate(values.begin(), values.end(), total);
    };
    const auto ended =
        run(runtime, streams::from_range(iota(2'000)) | streams::map(wait_and_add) |
                         streams::buffer(8) |
                         streams::par_map(pool, [](int value) { return value * 2; }) |
                         streams::map(wait_and_add) |
                         streams::par_map(pool, [](int value) -> long { return value - 1; }) |
                         streams::chunk(7) | streams::for_each(sink));
    REQUIRE(ended);
    CHECK(total == 2'000L * 2'001);
}

TEST_CASE("par_filter keeps what the predicate holds for, in order", "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    for (const bool ordered : {true, false})
    {
        auto kept =
            run(runtime,
                streams::from_range(iota(10'000)) |
                    streams::par_filter(pool, [](const int& value) { return value % 1000 == 7; },
                                        {.ordered = ordered, .max_in_flight = 5}) |
                    streams::collect());
        REQUIRE(kept);
        std::ranges::sort(*kept);
        CHECK(*kept == std::vector{7, 1007, 2007, 3007, 4007, 5007, 6007, 7007, 8007, 9007});
    }
    const auto refused =
        run(runtime,
            streams::from_range(iota(100)) | streams::par_filter([](int value) -> bz::result<bool> {
                if (value == 50)
                {
                    return bz::fail(std::errc::file_too_large);
                }
                return true;
            }) | streams::collect());
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == std::errc::file_too_large);
}

TEST_CASE("par_chunks computes over stretches of values", "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    const auto sum = [](std::span<int> values) {
        return std::pair(values.size(), std::accumulate(values.begin(), values.end(), 0L));
    };
    const auto sums = run(runtime, streams::from_range(iota(1'003)) |
                                       streams::par_chunks(pool, 100, sum) | streams::collect());
    REQUIRE(sums);
    REQUIRE(sums->size() == 11);
    CHECK((*sums)[0] == std::pair(std::size_t{100}, 4'950L));
    CHECK((*sums)[10] == std::pair(std::size_t{3}, 3'003L));

    // Room for three values only: the chunks are cut short, and nothing waits for ever.
    bz::stream_progress progress;
    const auto cut =
        run(runtime,
            streams::from_range(iota(100)) |
                streams::par_chunks(10,
                                    [](std::span<int> values) {
                                        return std::accumulate(values.begin(), values.end(), 0);
                                    },
                                    {.max_bytes = 3 * sizeof(int), .progress = &progress}) |
                streams::fold(0, std::plus<>()));
    CHECK(cut == 4'950);
    CHECK(progress.bytes_peak() <= 3 * sizeof(int));
    CHECK(progress.bytes_in_flight() == 0);
}

TEST_CASE("an error comes in the place of its value and ends the stream", "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 3, .name = "work"});
    auto runtime = test::make_runtime();
    for (int round = 0; round < 50; ++round)
    {
        std::atomic<int> calls{0};
        std::vector<int> seen;
        const auto ended =
            run(runtime, streams::from_range(iota(100'000)) |
                             streams::par_map(pool,
                                              [&](int value) -> bz::result<int> {
                                                  calls.fetch_add(1);
                                                  if (value >= 500)
                                                  {
                                                      return bz::fail(std::errc::bad_message);
                                                  }
                                                  return value;
                                              }) |
                             streams::for_each([&](int value) { seen.push_back(value); }));
        REQUIRE_FALSE(ended);
        CHECK(ended.error() == std::errc::bad_message);
        CHECK(seen == iota(500));
        CHECK(calls < 600);
    }
}

TEST_CASE("an error of the source comes behind its values", "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    const auto source = []() -> bz::generator<int> {
        for (int value = 0; value < 100; ++value)
        {
            co_yield value;
        }
        co_await bz::try_(
            []() -> bz::task<bz::result<void>> { co_return bz::fail(std::errc::io_error); }());
    };
    int count = 0;
    const auto ended = run(runtime, source() | streams::par_map(pool, [](int value) {
                                        return value;
                                    }) | streams::for_each([&](int) { ++count; }));
    REQUIRE_FALSE(ended);
    CHECK(ended.error() == std::errc::io_error);
    CHECK(count == 100);
    // What is gathered for a chunk came before the error, too.
    long total = 0;
    const auto chunked =
        run(runtime, source() | streams::par_chunks(pool, 64, [](std::span<int> values) {
                         return std::accumulate(values.begin(), values.end(), 0L);
                     }) | streams::for_each([&](long sum) { total += sum; }));
    CHECK(chunked.error() == std::errc::io_error);
    CHECK(total == 4'950);
}

TEST_CASE("what the function or the source throws is thrown at the await", "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    static std::atomic<int> unobserved{0};
    bz::runtime runtime({.io_threads = 2,
                         .name = "throwing",
                         .on_unobserved_exception = [](std::exception_ptr, std::string_view) {
                             unobserved.fetch_add(1);
                         }});
    for (int round = 0; round < 200; ++round)
    {
        std::atomic<int> thrown{0};
        unobserved = 0;
        int count = 0;
        const auto thrower = [&](int value) {
            if (value >= 20)
            {
                thrown.fetch_add(1);
                throw std::runtime_error("value " + std::to_string(value));
            }
            return value;
        };
        std::string text;
        try
        {
            static_cast<void>(run(runtime, streams::from_range(iota(1'000)) |
                                               streams::par_map(pool, thrower) |
                                               streams::for_each([&](int) { ++count; })));
            FAIL("no exception");
        }
        catch (const std::runtime_error& error)
        {
            text = error.what();
        }
        CHECK(text == "value 20");
        CHECK(count == 20);
        // One exception was thrown again; of the others each was reported.
        CHECK(unobserved == thrown - 1);
    }
    const auto source = []() -> bz::generator<int> {
        co_yield 1;
        throw std::logic_error("the source");
    };
    int count = 0;
    CHECK_THROWS_AS(run(runtime, source() |
                                     streams::par_map(pool, [](int value) { return value; }) |
                                     streams::for_each([&](int) { ++count; })),
                    std::logic_error);
    CHECK(count == 1);
}

TEST_CASE("exceptions of foreign kinds pass, and the pool can be used afterwards",
          "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime();
    struct foreign
    {
    };
    CHECK_THROWS_AS(run(runtime, streams::from_range(iota(10)) |
                                     streams::par_map(pool, [](int) -> int { throw 5; }) |
                                     streams::collect()),
                    int);
    CHECK_THROWS_AS(run(runtime, streams::from_range(iota(10)) |
                                     streams::par_map(pool, [](int) -> int { throw foreign(); }) |
                                     streams::collect()),
                    foreign);
    const auto after = run(runtime, streams::from_range(iota(10)) |
                                        streams::par_map(pool, [](int value) { return value; }) |
                                        streams::collect());
    CHECK(after == iota(10));
}

TEST_CASE("an early end of the stage below ends the one that computes", "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    for (const bool ordered : {true, false})
    {
        std::atomic<int> calls{0};
        const auto some =
            run(runtime, streams::from_range(iota(1'000'000)) |
                             streams::par_map(pool,
                                              [&](int value) {
                                                  calls.fetch_add(1);
                                                  return value;
                                              },
                                              {.ordered = ordered}) |
                             streams::buffer(4) | streams::take(10) | streams::collect());
        REQUIRE(some);
        CHECK(some->size() == 10);
        CHECK(calls < 100);
    }
}

TEST_CASE("pipelines within pipelines share a pool of one thread", "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime(1);
    const auto inner = [&](int value) -> bz::task<bz::result<int>> {
        const auto deepest = [&](int more) -> bz::task<bz::result<int>> {
            co_return co_await (streams::from_range(iota(more + 1)) |
                                streams::par_map(pool, [](int each) { return each; }) |
                                streams::fold(0, std::plus<>()));
        };
        co_return co_await (streams::from_range(iota(value)) |
                            streams::par_map(pool, [](int each) { return each; }) |
                            streams::map(deepest) | streams::fold(0, std::plus<>()));
    };
    const auto sum = run(runtime, streams::from_range(iota(12)) |
                                      streams::par_map(pool, [](int value) { return value; }) |
                                      streams::map(inner) |
                                      streams::par_map(pool, [](int value) { return value; }) |
                                      streams::fold(0, std::plus<>()));
    int expected = 0;
    for (int outer = 0; outer < 12; ++outer)
    {
        for (int middle = 0; middle < outer; ++middle)
        {
            expected += middle * (middle + 1) / 2;
        }
    }
    CHECK(sum == expected);
}
