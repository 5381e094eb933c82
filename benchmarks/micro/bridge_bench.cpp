// What it costs to compute elsewhere, so that a program can tell from which size on it pays.
// Thread rule: the measured tasks run on one worker, the computations on a pool of the argument's size.
#include <blitzio/bridge.hpp>
#include <blitzio/compute.hpp>
#include <blitzio/io.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <numeric>
#include <vector>

namespace
{

using namespace blitzio;

constexpr std::int64_t batch = 1'000;

template <class Body>
void measure(benchmark::State& state, std::int64_t items, Body body)
{
    runtime_config settings;
    settings.io_threads = 1;
    runtime rt(std::move(settings));
    compute::pool_config size;
    size.threads = static_cast<unsigned>(state.range(0));
    compute::pool pool(size);
    for (auto _ : state)
    {
        rt.block_on(body(pool));
    }
    state.SetItemsProcessed(state.iterations() * items);
}

task<void> one_at_a_time(compute::pool& pool)
{
    for (std::int64_t i = 0; i < batch; ++i)
    {
        benchmark::DoNotOptimize(co_await compute_on(pool, [i] { return i + 1; }));
    }
}

task<void> sixty_four_in_flight(compute::pool& pool)
{
    std::vector<task<void>> lanes;
    for (int lane = 0; lane < 64; ++lane)
    {
        lanes.push_back(one_at_a_time(pool));
    }
    co_await when_all(std::move(lanes));
}

task<void> map_a_million(compute::pool& pool)
{
    std::vector<std::uint64_t> numbers(1'000'000);
    std::iota(numbers.begin(), numbers.end(), 0u);
    benchmark::DoNotOptimize(
        co_await parallel_map(pool, numbers, [](std::uint64_t number) { return number * number; }));
}

void bridge_compute_on(benchmark::State& state)
{
    measure(state, batch, one_at_a_time);
}
void bridge_compute_on_64_in_flight(benchmark::State& state)
{
    measure(state, 64 * batch, sixty_four_in_flight);
}
void bridge_parallel_map_per_element(benchmark::State& state)
{
    measure(state, 1'000'000, map_a_million);
}

BENCHMARK(bridge_compute_on)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(bridge_compute_on_64_in_flight)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(bridge_parallel_map_per_element)->Arg(1)->Arg(2)->UseRealTime();

} // namespace
