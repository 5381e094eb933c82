// What it costs to begin and to end a runtime, and to hold a handle for each of many tasks.
// Thread rule: runtimes begin and end on the main thread; `workers` is the argument of each benchmark.
#include <blitzio/io.hpp>

#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

namespace
{

using namespace blitzio;
using namespace std::chrono_literals;

runtime make_runtime(const benchmark::State& state)
{
    runtime_config config;
    config.io_threads = static_cast<unsigned>(state.range(0));
    return runtime(std::move(config));
}

task<void> sleep_long(std::atomic<std::int64_t>& begun)
{
    begun.fetch_add(1, std::memory_order_relaxed);
    benchmark::DoNotOptimize(co_await sleep_for(1h));
}

/// Returns when `count` tasks sleep.
void start_sleepers(runtime& rt, std::int64_t count, std::atomic<std::int64_t>& begun)
{
    rt.block_on([&]() -> task<void> {
        for (std::int64_t index = 0; index < count; ++index)
        {
            static_cast<void>(rt.spawn(sleep_long(begun)));
        }
        while (begun.load(std::memory_order_relaxed) != count)
        {
            co_await yield();
        }
    });
}

/// A runtime with 30 sleeping tasks, from its construction to its destruction.
void lifecycle_start_and_stop(benchmark::State& state)
{
    for (auto _ : state)
    {
        std::atomic<std::int64_t> begun{0};
        auto rt = make_runtime(state);
        start_sleepers(rt, 30, begun);
        if (!rt.shutdown(10s).complete)
        {
            state.SkipWithError("the runtime did not stop");
        }
    }
}

/// Only the shutdown is timed; items are the operations that it ends.
void lifecycle_shutdown_of_sleepers(benchmark::State& state)
{
    constexpr std::int64_t operations = 10'000;
    for (auto _ : state)
    {
        std::atomic<std::int64_t> begun{0};
        auto rt = make_runtime(state);
        start_sleepers(rt, operations, begun);
        const auto begin = std::chrono::steady_clock::now();
        if (!rt.shutdown(30s).complete)
        {
            state.SkipWithError("the runtime did not stop");
        }
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
        state.SetIterationTime(took.count());
    }
    state.SetItemsProcessed(state.iterations() * operations);
}

task<std::int64_t> give(std::int64_t value)
{
    co_return value;
}

/// As io_fan_out, with a handle for each task that its result is taken from.
void lifecycle_fan_out_with_handles(benchmark::State& state)
{
    constexpr std::int64_t fan = 100'000;
    auto rt = make_runtime(state);
    std::vector<join_handle<std::int64_t>> handles;
    handles.reserve(fan);
    for (auto _ : state)
    {
        rt.block_on([&]() -> task<void> {
            for (std::int64_t index = 0; index < fan; ++index)
            {
                handles.push_back(rt.spawn(give(index)));
            }
            for (auto& each : handles)
            {
                benchmark::DoNotOptimize(co_await std::move(each));
            }
            handles.clear();
        });
    }
    state.SetItemsProcessed(state.iterations() * fan);
}

BENCHMARK(lifecycle_start_and_stop)->Arg(1)->Arg(2)->Unit(benchmark::kMicrosecond)->UseRealTime();
BENCHMARK(lifecycle_shutdown_of_sleepers)
    ->Arg(1)
    ->Arg(2)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(20)
    ->UseManualTime();
BENCHMARK(lifecycle_fan_out_with_handles)->Arg(1)->Arg(2)->UseRealTime();

} // namespace
