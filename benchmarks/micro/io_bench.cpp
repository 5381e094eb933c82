// What the parts of io cost: awaiting, spawning, yielding, timers, an operation that does nothing.
// Thread rule: the measured task runs on a worker; `workers` is the argument of each benchmark.
#include <blitzio/io.hpp>
#include <blitzio/io/detail/op.hpp>

#include <benchmark/benchmark.h>

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <utility>

namespace
{

using namespace blitzio;

/// Operations per entry into the runtime, so that entering it does not count.
constexpr std::int64_t batch = 10'000;

template <class MakeBatch>
void measure(benchmark::State& state, MakeBatch make_batch, std::int64_t items = batch)
{
    runtime_config config;
    config.io_threads = static_cast<unsigned>(state.range(0));
    runtime rt(std::move(config));
    for (auto _ : state)
    {
        rt.block_on(make_batch(rt));
    }
    state.SetItemsProcessed(state.iterations() * items);
}

task<std::int64_t> give(std::int64_t value)
{
    co_return value;
}

task<void> await_in_place(runtime&)
{
    std::int64_t total = 0;
    for (std::int64_t i = 0; i < batch; ++i)
    {
        total += co_await give(i);
    }
    benchmark::DoNotOptimize(total);
}

task<void> spawn_and_join(runtime& rt)
{
    for (std::int64_t i = 0; i < batch; ++i)
    {
        auto handle = rt.spawn(give(i));
        benchmark::DoNotOptimize(co_await std::move(handle));
    }
}

constexpr std::int64_t fan = 100'000;

task<void> fan_out(runtime&)
{
    co_await scope([](task_group& group) -> task<void> {
        for (std::int64_t i = 0; i < fan; ++i)
        {
            group.spawn(give(i));
        }
        co_return;
    });
}

task<void> give_way(runtime&)
{
    for (std::int64_t i = 0; i < batch; ++i)
    {
        co_await yield();
    }
}

/// Where tasks wait for nothing in particular: a list of waiters.
struct parking_place
{
    class operation : public detail::awaitable_base<operation>
    {
    public:
        explicit operation(parking_place& place) noexcept : place_(place) {}

        [[nodiscard]] bool start(const task_env&, detail::waiter who) noexcept
        {
            who_ = who;
            following_ = std::exchange(place_.first, this);
            return true;
        }

        void await_resume() const noexcept {}

    private:
        friend parking_place;

        parking_place& place_;
        detail::waiter who_;
        operation* following_ = nullptr;
    };

    [[nodiscard]] operation park() noexcept
    {
        return operation(*this);
    }

    void release_all() noexcept
    {
        while (first != nullptr)
        {
            operation& waiting = *std::exchange(first, first->following_);
            detail::resume(waiting.who_());
        }
    }

    operation* first = nullptr;
};

std::int64_t resident_bytes()
{
    std::ifstream status("/proc/self/statm");
    std::int64_t pages = 0;
    status >> pages >> pages;
    return pages * ::sysconf(_SC_PAGESIZE);
}

/// The memory of a million tasks that wait, beyond what they hold in locals of their own: the
/// operation that each of them awaits.
void io_parked_task(benchmark::State& state)
{
    constexpr std::int64_t tasks = 1'000'000;
    runtime_config config;
    config.io_threads = 1;
    runtime rt(std::move(config));
    for (auto _ : state)
    {
        parking_place place;
        std::int64_t before = 0;
        std::int64_t after = 0;
        rt.block_on([&]() -> task<void> {
            before = resident_bytes();
            for (std::int64_t i = 0; i < tasks; ++i)
            {
                static_cast<void>(rt.spawn([&place]() -> task<void> { co_await place.park(); }));
                co_await yield();
            }
            after = resident_bytes();
            place.release_all();
        });
        rt.run();
        const auto locals = static_cast<std::int64_t>(sizeof(parking_place::operation));
        state.counters["bytes_per_task"] = static_cast<double>((after - before) / tasks);
        state.counters["beyond_locals"] = static_cast<double>((after - before) / tasks - locals);
    }
    state.SetItemsProcessed(state.iterations() * tasks);
}

/// The usual life of a timer: armed around something that is done in time.
task<void> timeout_in_time(runtime&)
{
    for (std::int64_t i = 0; i < batch; ++i)
    {
        benchmark::DoNotOptimize(co_await timeout(std::chrono::hours(1), give(i)));
    }
}

task<void> all_of_two(runtime&)
{
    for (std::int64_t i = 0; i < batch; ++i)
    {
        benchmark::DoNotOptimize(co_await when_all(give(i), give(i)));
    }
}

/// The whole way of an operation through the driver and back, with nothing for the kernel to do.
class nothing : public detail::driver_operation<nothing>
{
public:
    nothing() noexcept : detail::driver_operation<nothing>(detail::op_kind::nop) {}

    std::int32_t finish(std::int32_t outcome) noexcept
    {
        return outcome;
    }
};

task<void> empty_operation(runtime&)
{
    for (std::int64_t i = 0; i < batch; ++i)
    {
        benchmark::DoNotOptimize(co_await nothing());
    }
}

void io_await_in_place(benchmark::State& state)
{
    measure(state, await_in_place);
}
void io_spawn_and_join(benchmark::State& state)
{
    measure(state, spawn_and_join);
}
void io_fan_out(benchmark::State& state)
{
    measure(state, fan_out, fan);
}
void io_yield(benchmark::State& state)
{
    measure(state, give_way);
}
void io_timeout_in_time(benchmark::State& state)
{
    measure(state, timeout_in_time);
}
void io_when_all_of_two(benchmark::State& state)
{
    measure(state, all_of_two);
}
void io_empty_operation(benchmark::State& state)
{
    measure(state, empty_operation);
}

BENCHMARK(io_parked_task)->Iterations(1)->UseRealTime();
BENCHMARK(io_await_in_place)->Arg(1)->UseRealTime();
BENCHMARK(io_spawn_and_join)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(io_fan_out)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(io_yield)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(io_timeout_in_time)->Arg(1)->UseRealTime();
BENCHMARK(io_when_all_of_two)->Arg(1)->UseRealTime();
BENCHMARK(io_empty_operation)->Arg(1)->UseRealTime();

} // namespace
