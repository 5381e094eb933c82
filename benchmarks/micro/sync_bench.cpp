// What the primitives of sync cost when nobody is in the way, and when two tasks take turns.
// Thread rule: the measured tasks run on the workers; `workers` is the argument of each benchmark.
#include <blitzio/io/runtime.hpp>
#include <blitzio/io/select.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/io/yield.hpp>
#include <blitzio/sync.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <utility>

namespace
{

using namespace blitzio;

/// Operations per entry into the runtime, so that entering it does not count.
constexpr std::int64_t batch = 10'000;

runtime make_runtime(const benchmark::State& state)
{
    runtime_config config;
    config.io_threads = static_cast<unsigned>(state.range(0));
    return runtime(std::move(config));
}

/// Runs `make_batch()`, a task of `batch` operations, once per iteration.
template <class MakeBatch>
void measure(benchmark::State& state, MakeBatch make_batch)
{
    auto rt = make_runtime(state);
    for (auto _ : state)
    {
        rt.block_on(make_batch);
    }
    state.SetItemsProcessed(state.iterations() * batch);
}

void mutex_uncontended(benchmark::State& state)
{
    sync::mutex lock;
    measure(state, [&]() -> task<void> {
        for (std::int64_t turn = 0; turn < batch; ++turn)
        {
            auto held = co_await lock.lock();
            benchmark::DoNotOptimize(held);
        }
    });
}
BENCHMARK(mutex_uncontended)->Arg(1)->UseRealTime();

void mutex_two_tasks(benchmark::State& state)
{
    sync::mutex lock;
    const auto side = [&]() -> task<void> {
        for (std::int64_t turn = 0; turn < batch / 2; ++turn)
        {
            auto held = co_await lock.lock();
            co_await yield();
        }
    };
    measure(state, [&]() -> task<void> { co_await when_all(side(), side()); });
}
BENCHMARK(mutex_two_tasks)->Arg(1)->UseRealTime();

void semaphore_uncontended(benchmark::State& state)
{
    sync::semaphore slots(1);
    measure(state, [&]() -> task<void> {
        for (std::int64_t turn = 0; turn < batch; ++turn)
        {
            auto held = co_await slots.acquire();
            benchmark::DoNotOptimize(held);
        }
    });
}
BENCHMARK(semaphore_uncontended)->Arg(1)->UseRealTime();

void oneshot_create_send_receive(benchmark::State& state)
{
    measure(state, []() -> task<void> {
        for (std::int64_t turn = 0; turn < batch; ++turn)
        {
            auto [sender, receiver] = sync::oneshot<std::int64_t>();
            benchmark::DoNotOptimize(sender.send(turn));
            auto value = co_await receiver;
            benchmark::DoNotOptimize(value);
        }
    });
}
BENCHMARK(oneshot_create_send_receive)->Arg(1)->UseRealTime();

void shared_mutex_uncontended(benchmark::State& state)
{
    sync::shared_mutex lock;
    measure(state, [&]() -> task<void> {
        for (std::int64_t turn = 0; turn < batch; ++turn)
        {
            auto held = co_await lock.lock_shared();
            benchmark::DoNotOptimize(held);
        }
    });
}
BENCHMARK(shared_mutex_uncontended)->Arg(1)->UseRealTime();

template <class Ends>
void send_receive_in_one_task(benchmark::State& state, Ends ends)
{
    measure(state, [&]() -> task<void> {
        for (std::int64_t turn = 0; turn < batch; ++turn)
        {
            auto sent = co_await ends.sender.send(turn);
            auto value = co_await ends.receiver.receive();
            benchmark::DoNotOptimize(sent);
            benchmark::DoNotOptimize(value);
        }
    });
}

void channel_send_receive_in_one_task(benchmark::State& state)
{
    send_receive_in_one_task(state, sync::channel<std::int64_t>(64));
}
BENCHMARK(channel_send_receive_in_one_task)->Arg(1)->UseRealTime();

void spsc_send_receive_in_one_task(benchmark::State& state)
{
    send_receive_in_one_task(state, sync::spsc<std::int64_t>(64));
}
BENCHMARK(spsc_send_receive_in_one_task)->Arg(1)->UseRealTime();

void unbounded_send_receive_in_one_task(benchmark::State& state)
{
    auto ends = sync::unbounded_channel<std::int64_t>();
    measure(state, [&]() -> task<void> {
        for (std::int64_t turn = 0; turn < batch; ++turn)
        {
            benchmark::DoNotOptimize(ends.sender.send(turn));
            auto value = co_await ends.receiver.receive();
            benchmark::DoNotOptimize(value);
        }
    });
}
BENCHMARK(unbounded_send_receive_in_one_task)->Arg(1)->UseRealTime();

void broadcast_send_receive_in_one_task(benchmark::State& state)
{
    auto ends = sync::broadcast<std::int64_t>(64);
    measure(state, [&]() -> task<void> {
        for (std::int64_t turn = 0; turn < batch; ++turn)
        {
            benchmark::DoNotOptimize(ends.sender.send(turn));
            auto value = co_await ends.receiver.receive();
            benchmark::DoNotOptimize(value);
        }
    });
}
BENCHMARK(broadcast_send_receive_in_one_task)->Arg(1)->UseRealTime();

void watch_send_changed_borrow_in_one_task(benchmark::State& state)
{
    auto ends = sync::watch<std::int64_t>(0);
    measure(state, [&]() -> task<void> {
        for (std::int64_t turn = 0; turn < batch; ++turn)
        {
            benchmark::DoNotOptimize(ends.sender.send(turn));
            auto changed = co_await ends.receiver.changed();
            benchmark::DoNotOptimize(changed);
            auto value = *ends.receiver.borrow();
            benchmark::DoNotOptimize(value);
        }
    });
}
BENCHMARK(watch_send_changed_borrow_in_one_task)->Arg(1)->UseRealTime();

/// One item is a round trip: two messages, two suspensions, two wake-ups. Both sides are spawned.
template <class Ends>
void ping_pong(benchmark::State& state, Ends there, Ends back)
{
    auto rt = make_runtime(state);
    for (auto _ : state)
    {
        auto echo = rt.spawn([&]() -> task<void> {
            for (std::int64_t turn = 0; turn < batch; ++turn)
            {
                auto value = co_await there.receiver.receive();
                benchmark::DoNotOptimize(co_await back.sender.send(*value));
            }
        });
        rt.block_on([&]() -> task<void> {
            for (std::int64_t turn = 0; turn < batch; ++turn)
            {
                benchmark::DoNotOptimize(co_await there.sender.send(turn));
                auto value = co_await back.receiver.receive();
                benchmark::DoNotOptimize(value);
            }
            co_await std::move(echo);
        });
    }
    state.SetItemsProcessed(state.iterations() * batch);
}

void channel_ping_pong(benchmark::State& state)
{
    ping_pong(state, sync::channel<std::int64_t>(1), sync::channel<std::int64_t>(1));
}
BENCHMARK(channel_ping_pong)->Arg(1)->Arg(2)->UseRealTime();

void spsc_ping_pong(benchmark::State& state)
{
    ping_pong(state, sync::spsc<std::int64_t>(1), sync::spsc<std::int64_t>(1));
}
BENCHMARK(spsc_ping_pong)->Arg(1)->Arg(2)->UseRealTime();

/// One item is a round trip of two notifications.
void notify_ping_pong(benchmark::State& state)
{
    auto rt = make_runtime(state);
    sync::notify there;
    sync::notify back;
    for (auto _ : state)
    {
        auto echo = rt.spawn([&]() -> task<void> {
            for (std::int64_t turn = 0; turn < batch; ++turn)
            {
                benchmark::DoNotOptimize(co_await there.wait());
                back.notify_one();
            }
        });
        rt.block_on([&]() -> task<void> {
            for (std::int64_t turn = 0; turn < batch; ++turn)
            {
                there.notify_one();
                benchmark::DoNotOptimize(co_await back.wait());
            }
            co_await std::move(echo);
        });
    }
    state.SetItemsProcessed(state.iterations() * batch);
}
BENCHMARK(notify_ping_pong)->Arg(1)->Arg(2)->UseRealTime();

/// One item is a value that goes from a sender to a receiver; as many of each as the second argument
/// says.
template <class Ends>
void throughput(benchmark::State& state, std::int64_t pairs, Ends ends)
{
    const auto per_task = batch / pairs;
    auto rt = make_runtime(state);
    for (auto _ : state)
    {
        for (std::int64_t index = 0; index < pairs; ++index)
        {
            static_cast<void>(rt.spawn([&, per_task]() -> task<void> {
                for (std::int64_t turn = 0; turn < per_task; ++turn)
                {
                    benchmark::DoNotOptimize(co_await ends.sender.send(turn));
                }
            }));
            static_cast<void>(rt.spawn([&, per_task]() -> task<void> {
                for (std::int64_t turn = 0; turn < per_task; ++turn)
                {
                    auto value = co_await ends.receiver.receive();
                    benchmark::DoNotOptimize(value);
                }
            }));
        }
        rt.run();
    }
    state.SetItemsProcessed(state.iterations() * per_task * pairs);
}

void channel_throughput(benchmark::State& state)
{
    throughput(state, state.range(1), sync::channel<std::int64_t>(64));
}
BENCHMARK(channel_throughput)
    ->Args({1, 1})
    ->Args({1, 4})
    ->Args({2, 1})
    ->Args({2, 4})
    ->UseRealTime();

void spsc_throughput(benchmark::State& state)
{
    throughput(state, 1, sync::spsc<std::int64_t>(64));
}
BENCHMARK(spsc_throughput)->Arg(1)->Arg(2)->UseRealTime();

/// One item is a value received by a select over two channels that a task each fills.
void select_two_channels(benchmark::State& state)
{
    auto rt = make_runtime(state);
    auto left = sync::channel<std::int64_t>(64);
    auto right = sync::channel<std::int64_t>(64);
    const auto fill = [](sync::channel_sender<std::int64_t>& sender) -> task<void> {
        for (std::int64_t turn = 0; turn < batch / 2; ++turn)
        {
            benchmark::DoNotOptimize(co_await sender.send(turn));
        }
    };
    for (auto _ : state)
    {
        static_cast<void>(rt.spawn(fill(left.sender)));
        static_cast<void>(rt.spawn(fill(right.sender)));
        rt.block_on([&]() -> task<void> {
            std::int64_t received = 0;
            const auto take = [&received](result<std::int64_t> value) {
                benchmark::DoNotOptimize(value);
                ++received;
            };
            while (received < batch)
            {
                auto first = co_await select(on(left.receiver.receive(), take),
                                             on(right.receiver.receive(), take));
                benchmark::DoNotOptimize(first);
            }
        });
        rt.run();
    }
    state.SetItemsProcessed(state.iterations() * batch);
}
BENCHMARK(select_two_channels)->Arg(1)->Arg(2)->UseRealTime();

} // namespace
