// What timers cost: arming and withdrawing one, a bound around something that is done in time, and a
// hundred thousand sleeps at once: how late they end, and for how much CPU time.
// Thread rule: the measured task runs on a worker; `workers` is the argument of each benchmark.
#include <blitzio/io.hpp>
#include <blitzio/io/detail/timer.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <utility>
#include <vector>

namespace
{

using namespace blitzio;

/// Operations per entry into the runtime, so that entering it does not count.
constexpr std::int64_t batch = 10'000;

template <class MakeBatch>
void measure(benchmark::State& state, MakeBatch make_batch)
{
    runtime_config config;
    config.io_threads = static_cast<unsigned>(state.range(0));
    runtime rt(std::move(config));
    for (auto _ : state)
    {
        rt.block_on(make_batch());
    }
    state.SetItemsProcessed(state.iterations() * batch);
}

/// An operation that is done at once.
class done_at_once : public detail::awaitable_base<done_at_once>
{
public:
    [[nodiscard]] bool start(const task_env&, detail::waiter) noexcept
    {
        return false;
    }

    int await_resume() noexcept
    {
        return 1;
    }
};

/// A timer armed and withdrawn, the least that any bound costs.
class armed_and_withdrawn : public detail::awaitable_base<armed_and_withdrawn>
{
public:
    [[nodiscard]] bool start(const task_env& env, detail::waiter) noexcept
    {
        armed_ = detail::arm_timer_after(*env.runtime, timer_, std::chrono::seconds(30));
        return false;
    }

    bool await_resume() noexcept
    {
        return armed_ && detail::cancel_timer(timer_);
    }

private:
    detail::timer timer_;
    bool armed_ = false;
};

task<void> arm_and_cancel()
{
    for (std::int64_t i = 0; i < batch; ++i)
    {
        benchmark::DoNotOptimize(co_await armed_and_withdrawn());
    }
}

task<void> bound_in_time()
{
    for (std::int64_t i = 0; i < batch; ++i)
    {
        benchmark::DoNotOptimize(co_await timeout(std::chrono::seconds(30), done_at_once()));
    }
}

/// The bounded operation suspends, so that the wheel has to be asked about the timer.
task<void> bound_around_yield()
{
    for (std::int64_t i = 0; i < batch; ++i)
    {
        benchmark::DoNotOptimize(co_await timeout(std::chrono::seconds(30), yield()));
    }
}

task<void> sleep_nothing()
{
    for (std::int64_t i = 0; i < batch; ++i)
    {
        benchmark::DoNotOptimize(co_await sleep_for(std::chrono::nanoseconds(0)));
    }
}

void time_arm_and_cancel(benchmark::State& state)
{
    measure(state, arm_and_cancel);
}
void time_bound_in_time(benchmark::State& state)
{
    measure(state, bound_in_time);
}
void time_bound_around_yield(benchmark::State& state)
{
    measure(state, bound_around_yield);
}
void time_sleep_nothing(benchmark::State& state)
{
    measure(state, sleep_nothing);
}

BENCHMARK(time_arm_and_cancel)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(time_bound_in_time)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(time_bound_around_yield)->Arg(1)->UseRealTime();
BENCHMARK(time_sleep_nothing)->Arg(1)->UseRealTime();

constexpr std::size_t sleepers = 100'000;

double cpu_seconds()
{
    timespec used{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

task<void> sleeper(std::chrono::nanoseconds duration, std::chrono::nanoseconds& late)
{
    const auto begin = std::chrono::steady_clock::now();
    static_cast<void>(co_await sleep_for(duration));
    late = std::chrono::steady_clock::now() - begin - duration;
}

task<void> all_sleepers(std::vector<std::chrono::nanoseconds>& late)
{
    co_await scope([&late](task_group& group) -> task<void> {
        std::uint64_t state = 0x2545F4914F6CDD1Du;
        for (auto& each : late)
        {
            state = state * 6364136223846793005u + 1442695040888963407u;
            const auto milliseconds = static_cast<std::int64_t>(1 + (state >> 33) % 100);
            group.spawn(sleeper(std::chrono::milliseconds(milliseconds), each));
        }
        co_return;
    });
}

/// Items are sleeps; `late_*` in milliseconds, `cpu_s` for all of them, the process's own start
/// apart.
void time_many_sleeps(benchmark::State& state)
{
    runtime_config config;
    config.io_threads = static_cast<unsigned>(state.range(0));
    runtime rt(std::move(config));
    std::vector<std::chrono::nanoseconds> late(sleepers);
    double cpu = 0;
    for (auto _ : state)
    {
        const double before = cpu_seconds();
        rt.block_on(all_sleepers(late));
        cpu += cpu_seconds() - before;
    }
    std::ranges::sort(late);
    const auto part = [&late](std::size_t thousandth) {
        return static_cast<double>(late[sleepers * thousandth / 1000].count()) * 1e-6;
    };
    if (late.front() < std::chrono::nanoseconds(0))
    {
        state.SkipWithError("a sleep ended early");
    }
    state.counters["late_p50"] = part(500);
    state.counters["late_p99"] = part(990);
    state.counters["late_max"] = part(999);
    state.counters["cpu_s"] = cpu / static_cast<double>(state.iterations());
}

BENCHMARK(time_many_sleeps)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

} // namespace
