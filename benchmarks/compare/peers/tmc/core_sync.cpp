// Queues, channels, mutex. Bounded queues hold `capacity` values, in every twin.
#include "core.hpp"

#include <tmc/channel.hpp>
#include <tmc/fork_group.hpp>
#include <tmc/mutex.hpp>
#include <tmc/qu_mpsc_bounded.hpp>
#include <tmc/qu_spsc_bounded.hpp>
#include <tmc/semaphore.hpp>
#include <tmc/spawn.hpp>

#include <cstddef>
#include <optional>
#include <utility>

namespace compare
{

namespace
{

constexpr std::size_t capacity = 64;

using one_to_one = tmc::qu_spsc_bounded<std::uint64_t>;
using many_to_one = tmc::qu_mpsc_bounded<std::uint64_t>;
using many_to_many = tmc::chan_tok<std::uint64_t>;

constexpr std::uint64_t sum_below(std::uint64_t count)
{
    return count * (count - 1) / 2;
}

tmc::task<void> echo_values(one_to_one& in, one_to_one& out)
{
    for (;;)
    {
        std::uint64_t value = 0;
        {
            auto received = co_await in.pull();
            if (!received)
            {
                co_return;
            }
            value = *received;
        }
        co_await out.push(value + 1);
    }
}

tmc::task<void> echo_values_by_channel(many_to_many in, many_to_many out)
{
    for (;;)
    {
        auto value = co_await in.pull();
        if (!value)
        {
            co_return;
        }
        require(out.post(*value + 1), "the way back is closed");
    }
}

/// Where it is not null, `places` is what bounds the channel, which has no bound of its own.
tmc::task<void> produce(many_to_many sender, tmc::semaphore* places, std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        if (places != nullptr)
        {
            co_await *places;
        }
        const bool sent = co_await sender.push(index);
        require(sent, "the channel is closed");
    }
}

tmc::task<std::uint64_t> consume(many_to_many receiver, tmc::semaphore* places)
{
    std::uint64_t sum = 0;
    for (;;)
    {
        auto value = co_await receiver.pull();
        if (!value)
        {
            co_return sum;
        }
        sum += *value;
        if (places != nullptr)
        {
            places->release();
        }
    }
}

/// `count` values from `pairs` producers to as many consumers.
tmc::task<void> through_channel(std::uint64_t count, std::uint64_t pairs, tmc::semaphore* places)
{
    auto channel = tmc::make_channel<std::uint64_t>();
    auto producers = tmc::fork_group();
    auto consumers = tmc::fork_group<std::uint64_t>(pairs);
    for (std::uint64_t index = 0; index < pairs; ++index)
    {
        producers.fork(produce(channel, places, count / pairs));
        consumers.fork(consume(channel, places));
    }
    co_await std::move(producers);
    channel.close();
    const auto sums = co_await std::move(consumers);
    std::uint64_t sum = 0;
    for (const std::uint64_t each : sums)
    {
        sum += each;
    }
    require(sum == pairs * sum_below(count / pairs), "wrong sum of the values received");
}

tmc::task<void> through_bounded_channel(std::uint64_t count, std::uint64_t pairs)
{
    tmc::semaphore places(capacity);
    co_await through_channel(count, pairs, &places);
}

tmc::task<void> produce_for_one(many_to_one& queue, std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        const bool sent = co_await queue.push(index);
        require(sent, "the queue is closed");
    }
    queue.close();
}

tmc::task<std::uint64_t> consume_all(many_to_one& queue)
{
    std::uint64_t sum = 0;
    for (;;)
    {
        auto value = co_await queue.pull();
        if (!value)
        {
            co_return sum;
        }
        sum += *value;
    }
}

} // namespace

tmc::task<void> ping_pong(std::uint64_t count)
{
    one_to_one there(1);
    one_to_one back(1);
    auto echo = tmc::spawn(echo_values(there, back)).fork();
    for (std::uint64_t index = 0; index < count; ++index)
    {
        co_await there.push(index);
        auto value = co_await back.pull();
        require(value && *value == index + 1, "wrong value from the queue");
    }
    there.close();
    co_await std::move(echo);
}

tmc::task<void> ping_pong_channel(std::uint64_t count)
{
    auto there = tmc::make_channel<std::uint64_t>();
    auto back = tmc::make_channel<std::uint64_t>();
    auto echo = tmc::spawn(echo_values_by_channel(there, back)).fork();
    for (std::uint64_t index = 0; index < count; ++index)
    {
        require(there.post(index), "the way there is closed");
        auto value = co_await back.pull();
        require(value && *value == index + 1, "wrong value from the channel");
    }
    there.close();
    co_await std::move(echo);
}

tmc::task<void> mpmc_1p1c(std::uint64_t count)
{
    return through_bounded_channel(count, 1);
}

tmc::task<void> mpmc_4p4c(std::uint64_t count)
{
    return through_bounded_channel(count, 4);
}

tmc::task<void> mpmc_1p1c_unbounded(std::uint64_t count)
{
    return through_channel(count, 1, nullptr);
}

tmc::task<void> mpmc_4p4c_unbounded(std::uint64_t count)
{
    return through_channel(count, 4, nullptr);
}

tmc::task<void> mpsc_1p1c(std::uint64_t count)
{
    many_to_one queue(capacity);
    auto producer = tmc::spawn(produce_for_one(queue, count)).fork();
    auto consumer = tmc::spawn(consume_all(queue)).fork();
    co_await std::move(producer);
    const std::uint64_t sum = co_await std::move(consumer);
    require(sum == sum_below(count), "wrong sum of the values received");
}

tmc::task<void> mutex_uncontended(std::uint64_t count)
{
    tmc::mutex lock;
    std::uint64_t value = 0;
    for (std::uint64_t index = 0; index < count; ++index)
    {
        co_await lock;
        value = increment(value);
        lock.unlock();
    }
    require(value == count, "wrong count under the mutex");
}

} // namespace compare
