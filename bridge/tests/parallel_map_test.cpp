// parallel_map as an operation: order, borrowing, stops, exceptions, inline inputs, nesting.
// Thread rule: each test owns its runtime and pool.
#include "support.hpp"

#include <algorithm>
#include <atomic>
#include <list>
#include <memory>
#include <numeric>
#include <random>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace bz = blitzio;

TEST_CASE("parallel_map keeps the input order for random sizes and grains",
          "[bridge][parallel_map]")
{
    bz::compute::pool pool({.threads = 3, .name = "map"});
    auto runtime = test::make_runtime();
    std::mt19937_64 random(4);
    runtime.block_on([&]() -> bz::task<void> {
        for (int round = 0; round < 200; ++round)
        {
            std::vector<std::uint64_t> input(random() % 2000);
            std::ranges::generate(input, std::ref(random));
            const bz::parallel_map_options options{.grain = random() % 100,
                                                   .inline_max = random() % 50};
            const auto texts = co_await bz::parallel_map(
                pool, input, [](std::uint64_t value) { return std::to_string(value); }, options);
            REQUIRE(texts);
            REQUIRE(texts->size() == input.size());
            for (std::size_t index = 0; index < input.size(); ++index)
            {
                REQUIRE((*texts)[index] == std::to_string(input[index]));
            }
        }
    });
}

TEST_CASE("ranges are borrowed, or live in the frame", "[bridge][parallel_map]")
{
    bz::compute::pool pool({.threads = 2, .name = "map"});
    auto runtime = test::make_runtime();
    runtime.block_on([&]() -> bz::task<void> {
        std::list<std::string> borrowed(500, "a");
        const auto appended =
            co_await bz::parallel_map(pool, borrowed, [](std::string& text) { text += 'b'; });
        CHECK(appended);
        CHECK(std::ranges::all_of(borrowed, [](const auto& text) { return text == "ab"; }));

        std::vector<std::unique_ptr<int>> owned;
        for (int index = 0; index < 500; ++index)
        {
            owned.push_back(std::make_unique<int>(index));
        }
        const bz::parallel_map_options by_eight{.grain = 8};
        auto taken = co_await bz::parallel_map(
            pool, std::move(owned), [](std::unique_ptr<int>& item) { return std::move(item); },
            by_eight);
        REQUIRE(taken);
        CHECK(*taken->at(499) == 499);

        const auto on_default = co_await bz::parallel_map(std::views::iota(0, 100),
                                                          [](int value) { return value + 1; });
        REQUIRE(on_default);
        CHECK(std::accumulate(on_default->begin(), on_default->end(), 0) == 5050);
    });
}

TEST_CASE("small inputs are computed on the worker when asked for", "[bridge][parallel_map]")
{
    bz::compute::pool pool({.threads = 1, .name = "map"});
    auto runtime = test::make_runtime(1);
    runtime.block_on([&]() -> bz::task<void> {
        const std::vector<int> four(4);
        const bz::parallel_map_options up_to_four{.inline_max = 4};
        const bz::parallel_map_options up_to_three{.inline_max = 3};
        const auto where = [&](int) { return pool.owns_current_thread() ? 1 : 0; };
        const auto here = co_await bz::parallel_map(pool, four, where, up_to_four);
        CHECK(*here == std::vector<int>{0, 0, 0, 0});
        const auto there = co_await bz::parallel_map(pool, four, where, up_to_three);
        CHECK(*there == std::vector<int>{1, 1, 1, 1});
        try
        {
            static_cast<void>(co_await bz::parallel_map(
                pool, four, [](int) -> int { throw std::runtime_error("inline"); }, up_to_four));
            FAIL("no exception");
        }
        catch (const std::runtime_error& error)
        {
            CHECK(std::string(error.what()) == "inline");
        }
    });
}

TEST_CASE("an exception in one element ends the whole map", "[bridge][parallel_map]")
{
    bz::compute::pool pool({.threads = 2, .name = "map"});
    auto runtime = test::make_runtime();
    runtime.block_on([&]() -> bz::task<void> {
        for (int bad = 0; bad < 300; bad += 13)
        {
            try
            {
                static_cast<void>(
                    co_await bz::parallel_map(pool, std::views::iota(0, 300), [bad](int value) {
                        if (value == bad)
                        {
                            throw std::out_of_range("bad element");
                        }
                        return std::make_unique<int>(value);
                    }));
                FAIL("no exception");
            }
            catch (const std::out_of_range& error)
            {
                CHECK(std::string(error.what()) == "bad element");
            }
        }
    });
}

TEST_CASE("a stop in the middle gives an error, never half a result",
          "[bridge][parallel_map][stop]")
{
    bz::compute::pool pool({.threads = 2, .name = "map"});
    auto runtime = test::make_runtime();
    for (int round = 0; round < 100; ++round)
    {
        std::atomic<int> seen{0};
        // The second half cannot be done before the stop, however slow the stopping thread is.
        const auto element = [&](int value, bz::stop_token token) {
            while (value >= 500'000 && !token.stop_requested())
            {
                std::this_thread::yield();
            }
            seen.fetch_add(1);
            return std::make_unique<int>(value);
        };
        using outcome_type = bz::result<std::vector<std::unique_ptr<int>>>;
        auto mapping = runtime.spawn([&]() -> bz::task<outcome_type> {
            const bz::parallel_map_options options{.grain = 16};
            co_return co_await bz::parallel_map(pool, std::views::iota(0, 1'000'000), element,
                                                options);
        });
        while (seen < round * 10 + 1)
        {
            std::this_thread::yield();
        }
        mapping.request_stop();
        const auto outcome = runtime.block_on(std::move(mapping));
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error() == std::errc::operation_canceled);
        CHECK(seen < 1'000'000);
    }
}

TEST_CASE("a map inside a computation is isolated from other computations",
          "[bridge][parallel_map]")
{
    bz::compute::pool pool({.threads = 2, .name = "map"});
    auto runtime = test::make_runtime(2);
    static thread_local int depth = 0;
    std::atomic<int> deepest{0};
    std::atomic<int> wrong{0}; // the tasks run on several threads; only this one checks
    const auto nested = [&](int base) {
        ++depth;
        int seen = deepest.load();
        while (depth > seen && !deepest.compare_exchange_weak(seen, depth))
        {
        }
        const auto values = bz::compute::parallel_map(std::views::iota(0, 200), [&](int value) {
            std::this_thread::yield();
            return value * base;
        });
        --depth;
        return std::accumulate(values->begin(), values->end(), 0);
    };
    runtime.block_on([&]() -> bz::task<void> {
        co_return co_await bz::scope([&](bz::task_group& group) -> bz::task<void> {
            for (int index = 0; index < 200; ++index)
            {
                group.spawn([&, index]() -> bz::task<void> {
                    const auto sum = co_await bz::compute_on(pool, [&] { return nested(index); });
                    wrong.fetch_add(sum == index * 199 * 200 / 2 ? 0 : 1);
                });
            }
            co_return;
        });
    });
    CHECK(wrong == 0);
    CHECK(deepest == 1);
}
