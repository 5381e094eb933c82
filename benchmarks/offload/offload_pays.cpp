// When does handing a computation over pay? Prints a line of JSON for each measurement:
//   {"kind":"job","length_ns":L,"in_flight":N,"mode":"inline|pool|automatic","ns_per_job":T}
//   {"kind":"loop","element_ns":E,"grain":G,"elements":N,"ns_per_element":T}   grain 0: one thread
// Usage: offload_pays [rounds]. Each round measures everything once, so that the rounds are interleaved.
#include "work.hpp"

#include <blitzio/blitzio.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <vector>

namespace
{

using namespace blitzio;
using clock_type = std::chrono::steady_clock;

constexpr unsigned pool_threads = 2;
constexpr double cell_ns = 25e6;
constexpr std::array<double, 15> job_lengths{100,     200,     500,    1'000,  2'000,
                                             5'000,   10'000,  20'000, 50'000, 100'000,
                                             200'000, 500'000, 1e6,    2e6,    1e7};
constexpr std::array<double, 5> element_lengths{2, 20, 200, 2'000, 20'000};
constexpr std::array<std::size_t, 7> grains{1, 8, 64, 512, 4'096, 32'768, 262'144};

/// A call site of its own for each length and number in flight: automatic goes by call sites, and one
/// that does something else each time has no length.
struct job
{
    std::uint64_t seed;
    std::uint64_t steps;
    std::uint64_t operator()() const noexcept
    {
        return offload::chain(seed, steps);
    }
};
template <int Cell>
struct job_of : job
{
};

volatile std::uint64_t sink = 0;

template <int Cell>
task<void> lane(compute::pool& pool, job work, std::int64_t count, compute_options options)
{
    for (std::int64_t round = 0; round < count; ++round)
    {
        const auto value = co_await compute_on(pool, job_of<Cell>{work}, options);
        sink = value.value_or(0);
    }
}

task<void> lane_inline(job work, std::int64_t count)
{
    for (std::int64_t round = 0; round < count; ++round)
    {
        sink = work();
    }
    co_return;
}

template <int Cell>
double time_jobs(runtime& rt, compute::pool& pool, job work, int in_flight, std::int64_t jobs,
                 const char* mode)
{
    const auto each = std::max<std::int64_t>(jobs / in_flight, 1);
    compute_options options;
    options.placement = mode[0] == 'a' ? placement::automatic : placement::advise;
    const auto begin = clock_type::now();
    rt.block_on([&]() -> task<void> {
        std::vector<task<void>> lanes;
        for (int index = 0; index < in_flight; ++index)
        {
            lanes.push_back(mode[0] == 'i' ? lane_inline(work, each)
                                           : lane<Cell>(pool, work, each, options));
        }
        co_await when_all(std::move(lanes));
    });
    const std::chrono::duration<double, std::nano> took = clock_type::now() - begin;
    return took.count() / static_cast<double>(each * in_flight);
}

template <int Cell>
void measure_length(runtime& rt, compute::pool& pool, const offload::calibrated_work& work)
{
    const double length = job_lengths[static_cast<std::size_t>(Cell / 2)];
    const int in_flight = Cell % 2 == 0 ? 1 : 64;
    const job what{work.seed(), work.steps_for(length)};
    const auto jobs =
        std::clamp<std::int64_t>(static_cast<std::int64_t>(cell_ns / (length + 1'000)), 64, 20'000);
    for (const char* const mode : {"inline", "pool", "automatic"})
    {
        const double time = time_jobs<Cell>(rt, pool, what, in_flight, jobs, mode);
        std::printf("{\"kind\":\"job\",\"length_ns\":%.0f,\"in_flight\":%d,\"mode\":\"%s\","
                    "\"ns_per_job\":%.1f}\n",
                    length, in_flight, mode, time);
    }
}

template <int... Cells>
void measure_lengths(runtime& rt, compute::pool& pool, const offload::calibrated_work& work,
                     std::integer_sequence<int, Cells...>)
{
    (measure_length<Cells>(rt, pool, work), ...);
}

void measure_loops(runtime& rt, compute::pool& pool, const offload::calibrated_work& work)
{
    for (const double length : element_lengths)
    {
        const auto count =
            static_cast<std::size_t>(std::clamp(2 * cell_ns / (length + 1), 1'000.0, 1'000'000.0));
        std::vector<std::uint64_t> elements(count);
        std::iota(elements.begin(), elements.end(), work.seed());
        const auto steps = work.steps_for(length);
        const auto body = [steps](std::uint64_t value) { return offload::chain(value, steps); };
        const auto print = [&](std::size_t grain, clock_type::time_point begin) {
            const std::chrono::duration<double, std::nano> took = clock_type::now() - begin;
            std::printf("{\"kind\":\"loop\",\"element_ns\":%.0f,\"grain\":%zu,\"elements\":%zu,"
                        "\"ns_per_element\":%.3f}\n",
                        length, grain, count, took.count() / static_cast<double>(count));
        };
        const auto begin = clock_type::now();
        std::vector<std::uint64_t> results;
        results.reserve(count);
        for (const auto each : elements)
        {
            results.push_back(body(each));
        }
        print(0, begin);
        sink = results.back();
        for (const std::size_t grain : grains)
        {
            const auto from = clock_type::now();
            rt.block_on([&]() -> task<void> {
                parallel_map_options options;
                options.grain = grain;
                const auto mapped = co_await parallel_map(pool, elements, body, options);
                sink = mapped->back();
            });
            print(grain, from);
        }
    }
}

} // namespace

int main(int count, char** arguments)
{
    const int rounds = count > 1 ? std::atoi(arguments[1]) : 5;
    if (rounds < 1)
    {
        std::fprintf(stderr, "usage: %s [rounds], not \"%s\"\n", arguments[0], arguments[1]);
        return 2;
    }
    offload::calibrated_work work;
    work.calibrate();
    runtime_config settings;
    settings.io_threads = 1;
    settings.stall_threshold = std::chrono::milliseconds(0); // inline computing is what is measured
    runtime rt(std::move(settings));
    compute::pool_config size;
    size.threads = pool_threads;
    compute::pool pool(size);
    for (int round = 0; round < rounds; ++round)
    {
        measure_lengths(
            rt, pool, work,
            std::make_integer_sequence<int, 2 * static_cast<int>(job_lengths.size())>());
        measure_loops(rt, pool, work);
    }
    std::fputs(explain_call_sites().c_str(), stderr);
    return 0;
}
