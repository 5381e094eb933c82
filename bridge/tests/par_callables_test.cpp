// Every kind of callable through every bridge: a plain function, a pointer to one, something that can
// only be moved, something const.
// Thread rule: each test owns its runtime and pool.
#include "par_support.hpp"

#include <array>
#include <functional>
#include <memory>
#include <numeric>
#include <ranges>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace bz = blitzio;
namespace streams = blitzio::streams;
using test::counting_source;

namespace
{

int answer()
{
    return 42;
}

int answer_unless_stopped(bz::stop_token stop)
{
    return stop.stop_requested() ? 0 : 42;
}

int twice(int value)
{
    return 2 * value;
}

bool is_even(const int& value)
{
    return value % 2 == 0;
}

int total(std::span<int> values)
{
    return std::accumulate(values.begin(), values.end(), 0);
}

int sum(int left, int right)
{
    return left + right;
}

void add_one(int& value)
{
    ++value;
}

/// Cannot be copied; `Result` of its one function is what a pointer leads to.
struct move_only_answer
{
    std::unique_ptr<int> value = std::make_unique<int>(42);

    int operator()()
    {
        return *value;
    }
};

struct move_only_factor
{
    std::unique_ptr<int> factor = std::make_unique<int>(2);

    int operator()(int value) const
    {
        return *factor * value;
    }
};

/// What is const must be called, or copied, as it is.
struct only_const_copy
{
    int factor = 2;

    int operator()() const
    {
        return 21 * factor;
    }
    int operator()(int value) const
    {
        return factor * value;
    }
};

} // namespace

TEST_CASE("one call: plain functions, pointers, move-only and const callables",
          "[bridge][callables]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    const only_const_copy constant;
    runtime.block_on([&]() -> bz::task<void> {
        std::array<bz::result<int>, 15> given{};
        given[0] = co_await bz::compute_on(pool, answer);
        given[1] = co_await bz::compute_on(pool, &answer);
        given[2] = co_await bz::compute_on(pool, answer_unless_stopped);
        given[3] = co_await bz::compute_on(pool, move_only_answer());
        given[4] = co_await bz::compute_on(pool, constant);
        given[5] =
            co_await bz::compute_on(pool, std::move(constant)); // NOLINT: const and an rvalue
        given[6] = co_await bz::compute_on(answer);

        auto plain = bz::spawn_compute(pool, answer);
        auto stoppable = bz::spawn_compute(pool, answer_unless_stopped);
        auto moved = bz::spawn_compute(pool, move_only_answer());
        auto copied = bz::spawn_compute(pool, constant);
        auto by_default = bz::spawn_compute(answer);
        given[7] = co_await plain.get();
        given[8] = co_await stoppable.get();
        given[9] = co_await moved.get();
        given[10] = co_await copied.get();
        given[11] = co_await by_default.get();

        given[12] = co_await bz::spawn_blocking(answer);
        given[13] = co_await bz::spawn_blocking(move_only_answer());
        given[14] = co_await bz::spawn_blocking(constant);
        for (const auto& each : given)
        {
            CHECK(each == 42);
        }
    });
}

TEST_CASE("parallel algorithms: plain functions, move-only and const callables",
          "[bridge][callables]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    const only_const_copy constant;
    const std::vector expected{0, 2, 4, 6};
    runtime.block_on([&]() -> bz::task<void> {
        const auto some = std::views::iota(0, 4);
        const auto plain = co_await bz::parallel_map(pool, some, twice);
        CHECK(plain == expected);
        const auto moved = co_await bz::parallel_map(pool, some, move_only_factor());
        CHECK(moved == expected);
        const auto copied = co_await bz::parallel_map(pool, some, constant);
        CHECK(copied == expected);
        const auto by_default = co_await bz::parallel_map(some, twice);
        CHECK(by_default == expected);

        std::vector<int> values{0, 1, 2, 3};
        const auto in_place = co_await bz::parallel_map_in_place(pool, values, twice);
        CHECK(in_place);
        CHECK(values == expected);
        const auto each = co_await bz::parallel_for(pool, values, add_one);
        CHECK(each);
        CHECK(values == std::vector{1, 3, 5, 7});
        const auto reduced = co_await bz::parallel_reduce(pool, values, 0, twice, sum);
        CHECK(reduced == 32);
        const auto both = co_await bz::parallel_invoke(pool, answer, move_only_answer());
        CHECK(both == std::tuple(42, 42));
    });
}

TEST_CASE("stages of streams: plain functions, move-only and const callables",
          "[bridge][callables][par_map]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    const only_const_copy constant;
    const auto add = [](auto pipeline) { return std::move(pipeline) | streams::fold(0, sum); };
    const auto all = [&](auto... where) {
        const auto plain = runtime.block_on(
            add(counting_source(100) | streams::par_map(where..., twice) |
                streams::par_filter(where..., is_even) | streams::par_chunks(where..., 7, total)));
        CHECK(plain == 9'900);
        const auto pointer =
            runtime.block_on(add(counting_source(100) | streams::par_map(where..., &twice)));
        CHECK(pointer == 9'900);
        const auto moved = runtime.block_on(
            add(counting_source(100) | streams::par_map(where..., move_only_factor()) |
                streams::par_filter(where..., [kept = std::make_unique<int>(100)](int value) {
                    return value < *kept;
                })));
        CHECK(moved == 2'450);
        const auto copied = runtime.block_on(
            add(counting_source(100) | streams::par_map(where..., constant) |
                streams::par_chunks(
                    where..., 9, [most = std::make_unique<int>(9)](std::span<int> values) {
                        return static_cast<int>(values.size()) <= *most ? total(values) : 0;
                    })));
        CHECK(copied == 9'900);
    };
    all();
    all(std::ref(pool));
}
