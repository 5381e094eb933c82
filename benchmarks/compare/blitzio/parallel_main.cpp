// The shapes of the parallel cells: whole loops over large inputs, awaited by a task. Twins with the
// same names: peers/raw/parallel.cpp (bare oneTBB) and peers/tokio's parallel (Tokio and rayon).
// What each does is told in ../README.md.
// Thread rule: everything is started on the main thread; the tasks run on the workers.
#include "support.hpp"

#include <blitzio/bridge.hpp>
#include <blitzio/io.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace bz = blitzio;

namespace
{

constexpr std::size_t many = 100'000'000;
constexpr std::size_t many_to_sort = 10'000'000;
constexpr std::size_t handed_over = 200'000;
constexpr int repetitions_min = 3;
constexpr std::size_t handovers_min = 200;

// Not functions: a pointer to one would not be inlined.
constexpr auto stir = [](std::uint64_t value) {
    return value * 6364136223846793005u + 1442695040888963407u;
};
constexpr auto weigh = [](std::uint64_t value) { return value ^ (value >> 33); };

double median_of(std::vector<double>& values)
{
    std::ranges::sort(values);
    return values[values.size() / 2];
}

/// The median of `loop`, which gives its time in ns, as milliseconds.
template <class Loop>
void print_median(const compare::options& opts, const char* name, Loop&& loop)
{
    std::vector<double> times;
    double total = 0;
    loop(); // the first one touches the memory and wakes the pool
    while (std::size(times) < repetitions_min || total < opts.seconds * 1e9)
    {
        times.push_back(loop());
        total += times.back();
    }
    compare::print_line(name, {{"ms", median_of(times) / 1e6}});
}

std::vector<std::uint64_t> numbers(std::size_t count)
{
    std::vector<std::uint64_t> made(count);
    std::uint64_t value = 1;
    for (auto& each : made)
    {
        each = value = stir(value);
    }
    return made;
}

struct setup
{
    bz::runtime runtime;
    bz::compute::pool pool;

    explicit setup(const compare::options& opts)
        : runtime({.io_threads = opts.threads}), pool({.threads = opts.threads})
    {
    }

    /// How long the task takes from within, in ns.
    template <class Body>
    double time(Body body)
    {
        return runtime.block_on([&]() -> bz::task<double> {
            const auto begin = std::chrono::steady_clock::now();
            co_await body();
            co_return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() -
                                                               begin)
                .count();
        });
    }
};

void parallel_map(const compare::options& opts, const char* name)
{
    setup here(opts);
    auto values = numbers(many);
    print_median(opts, name, [&] {
        return here.time([&]() -> bz::task<void> {
            const auto done = co_await bz::parallel_map_in_place(here.pool, values, stir);
            compare::require(done.has_value(), "parallel_map");
        });
    });
}

void parallel_reduce(const compare::options& opts, const char* name)
{
    setup here(opts);
    const auto values = numbers(many);
    std::uint64_t expected = 0;
    for (const auto value : values)
    {
        expected += weigh(value);
    }
    print_median(opts, name, [&] {
        return here.time([&]() -> bz::task<void> {
            const auto sum = co_await bz::parallel_reduce(here.pool, values, std::uint64_t{0},
                                                          weigh, std::plus<>());
            compare::require(sum && *sum == expected, "parallel_reduce");
        });
    });
}

void parallel_sort(const compare::options& opts, const char* name)
{
    setup here(opts);
    const auto values = numbers(many_to_sort);
    std::vector<std::uint64_t> sorted;
    print_median(opts, name, [&] {
        sorted = values;
        const double time = here.time([&]() -> bz::task<void> {
            const auto done = co_await bz::parallel_sort(here.pool, sorted);
            compare::require(done.has_value(), "parallel_sort");
        });
        compare::require(std::ranges::is_sorted(sorted), "parallel_sort: not sorted");
        return time;
    });
}

/// What it costs more to await a loop than to call it on a thread of the pool.
void loop_handover(const compare::options& opts, const char* name)
{
    setup here(opts);
    auto values = numbers(handed_over);
    std::vector<double> direct;
    std::vector<double> awaited;
    double total = 0;
    while (total < opts.seconds * 1e9 || direct.size() < handovers_min)
    {
        double inside = 0;
        const double outside = here.runtime.block_on([&]() -> bz::task<double> {
            const auto timed = co_await bz::compute_on(here.pool, [&] {
                return compare::cost_of([&] {
                           compare::require(
                               bz::compute::parallel_map_in_place(values, stir).has_value(),
                               "loop_handover");
                       })
                    .wall_ns;
            });
            inside = timed.value_or(0);
            const auto begin = std::chrono::steady_clock::now();
            const auto done = co_await bz::parallel_map_in_place(here.pool, values, stir);
            compare::require(done.has_value(), "loop_handover");
            co_return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() -
                                                               begin)
                .count();
        });
        direct.push_back(inside);
        awaited.push_back(outside);
        total += inside + outside;
    }
    const double loop = median_of(direct);
    const double whole = median_of(awaited);
    compare::print_line(name, {{"us", std::max(whole - loop, 0.0) / 1e3}, {"loop_us", loop / 1e3}});
}

struct shape
{
    const char* name;
    void (*run)(const compare::options&, const char* name);
};

constexpr shape shapes[] = {
    {"parallel_map", parallel_map},
    {"parallel_reduce", parallel_reduce},
    {"parallel_sort", parallel_sort},
    {"loop_handover", loop_handover},
};

} // namespace

int main(int argc, char** argv)
{
    const auto opts = compare::parse_options(argc, argv);
    bool known = opts.only.empty();
    for (const auto& each : shapes)
    {
        if (opts.wants(each.name))
        {
            known = true;
            each.run(opts, each.name);
        }
    }
    compare::require(known, "there is no shape of that name");
    return 0;
}
