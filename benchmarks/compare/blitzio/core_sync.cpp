// Channels, oneshot, mutex, select. Bounded queues hold `capacity` values, in every twin.
#include "core.hpp"

#include <blitzio/sync.hpp>

#include <utility>
#include <vector>

namespace bz = blitzio;

namespace compare
{

namespace
{

constexpr std::size_t capacity = 64;

template <class Receiver, class Sender>
bz::task<void> echo_values(Receiver in, Sender out)
{
    for (;;)
    {
        auto value = co_await in.receive();
        if (!value)
        {
            co_return;
        }
        auto sent = co_await out.send(*value + 1);
        require(sent.has_value(), "the way back is closed");
    }
}

template <class Sender>
bz::task<void> produce(Sender sender, std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        auto sent = co_await sender.send(index);
        require(sent.has_value(), "the channel is closed");
    }
}

template <class Receiver>
bz::task<std::uint64_t> consume(Receiver receiver)
{
    std::uint64_t sum = 0;
    for (;;)
    {
        auto value = co_await receiver.receive();
        if (!value)
        {
            co_return sum;
        }
        sum += *value;
    }
}

constexpr std::uint64_t sum_below(std::uint64_t count)
{
    return count * (count - 1) / 2;
}

/// `count` values from `pairs` producers to as many consumers.
bz::task<void> through_channel(bz::runtime& runtime, std::uint64_t count, std::uint64_t pairs)
{
    std::vector<bz::join_handle<void>> producers;
    std::vector<bz::join_handle<std::uint64_t>> consumers;
    {
        auto [sender, receiver] = bz::sync::channel<std::uint64_t>(capacity);
        for (std::uint64_t index = 0; index < pairs; ++index)
        {
            producers.push_back(runtime.spawn(produce(sender, count / pairs)));
            consumers.push_back(runtime.spawn(consume(receiver)));
        }
    }
    for (auto& each : producers)
    {
        co_await std::move(each);
    }
    std::uint64_t sum = 0;
    for (auto& each : consumers)
    {
        sum += co_await std::move(each);
    }
    require(sum == pairs * sum_below(count / pairs), "wrong sum of the values received");
}

} // namespace

bz::task<void> ping_pong(bz::runtime& runtime, std::uint64_t count)
{
    auto [to_echo, from_main] = bz::sync::channel<std::uint64_t>(1);
    auto [to_main, from_echo] = bz::sync::channel<std::uint64_t>(1);
    auto echo = runtime.spawn(echo_values(std::move(from_main), std::move(to_main)));
    for (std::uint64_t index = 0; index < count; ++index)
    {
        auto sent = co_await to_echo.send(index);
        require(sent.has_value(), "the way there is closed");
        auto value = co_await from_echo.receive();
        require(value && *value == index + 1, "wrong value from the channel");
    }
    to_echo.close();
    co_await std::move(echo);
}

bz::task<void> mpmc_1p1c(bz::runtime& runtime, std::uint64_t count)
{
    return through_channel(runtime, count, 1);
}

bz::task<void> mpmc_4p4c(bz::runtime& runtime, std::uint64_t count)
{
    return through_channel(runtime, count, 4);
}

bz::task<void> mpsc_1p1c(bz::runtime& runtime, std::uint64_t count)
{
    auto [sender, receiver] = bz::sync::mpsc<std::uint64_t>(capacity);
    auto producer = runtime.spawn(produce(std::move(sender), count));
    auto consumer = runtime.spawn(consume(std::move(receiver)));
    co_await std::move(producer);
    const std::uint64_t sum = co_await std::move(consumer);
    require(sum == sum_below(count), "wrong sum of the values received");
}

bz::task<void> oneshot(bz::runtime&, std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        auto [sender, receiver] = bz::sync::oneshot<std::uint64_t>();
        auto sent = sender.send(increment(index));
        require(sent.has_value(), "the receiver is gone");
        auto value = co_await receiver;
        require(value && *value == index + 1, "wrong value from the oneshot");
    }
}

bz::task<void> mutex_uncontended(bz::runtime&, std::uint64_t count)
{
    bz::sync::mutex lock;
    std::uint64_t value = 0;
    for (std::uint64_t index = 0; index < count; ++index)
    {
        auto held = co_await lock.lock();
        require(held.has_value(), "the lock was refused");
        value = increment(value);
    }
    require(value == count, "wrong count under the mutex");
}

bz::task<void> select_two(bz::runtime& runtime, std::uint64_t count)
{
    auto [left_sender, left] = bz::sync::channel<std::uint64_t>(capacity);
    auto [right_sender, right] = bz::sync::channel<std::uint64_t>(capacity);
    // Copies of the senders: the ends that stay here keep both channels open.
    auto left_task = runtime.spawn(produce(left_sender, count / 2));
    auto right_task = runtime.spawn(produce(right_sender, count / 2));
    std::uint64_t received = 0;
    std::uint64_t sum = 0;
    const auto take = [&](bz::result<std::uint64_t> value) {
        require(value.has_value(), "a channel of the select is closed");
        ++received;
        sum += *value;
    };
    while (received < count)
    {
        auto first =
            co_await bz::select(bz::on(left.receive(), take), bz::on(right.receive(), take));
        require(first.has_value(), "the select failed");
    }
    co_await std::move(left_task);
    co_await std::move(right_task);
    require(sum == 2 * sum_below(count / 2), "wrong sum of the values selected");
}

} // namespace compare
