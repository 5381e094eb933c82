// Starting tasks, waiting for them, giving way.
#include "core.hpp"

#include <utility>
#include <vector>

namespace bz = blitzio;

namespace compare
{

namespace
{

bz::task<std::uint64_t> incremented(std::uint64_t value)
{
    co_return increment(value);
}

bz::task<void> increment_into(std::uint64_t& answer, std::uint64_t value)
{
    answer = increment(value);
    co_return;
}

constexpr std::uint64_t fan_out_sum = fan_out_width * (fan_out_width + 1) / 2;

} // namespace

bz::task<void> spawn_join(bz::runtime& runtime, std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        const std::uint64_t answer = co_await runtime.spawn(incremented(index));
        require(answer == index + 1, "wrong answer from a spawned task");
    }
}

bz::task<void> fan_out(bz::runtime&, std::uint64_t count)
{
    std::vector<std::uint64_t> answers(fan_out_width);
    for (std::uint64_t wave = 0; wave < count / fan_out_width; ++wave)
    {
        co_await bz::scope([&answers](bz::task_group& group) -> bz::task<void> {
            for (std::uint64_t index = 0; index < fan_out_width; ++index)
            {
                group.spawn(increment_into(answers[index], index));
            }
            co_return;
        });
        std::uint64_t sum = 0;
        for (auto& each : answers)
        {
            sum += std::exchange(each, 0);
        }
        require(sum == fan_out_sum, "wrong sum of the fan-out");
    }
}

bz::task<void> fan_out_handles(bz::runtime& runtime, std::uint64_t count)
{
    std::vector<bz::join_handle<std::uint64_t>> tasks;
    tasks.reserve(fan_out_width);
    for (std::uint64_t wave = 0; wave < count / fan_out_width; ++wave)
    {
        for (std::uint64_t index = 0; index < fan_out_width; ++index)
        {
            tasks.push_back(runtime.spawn(incremented(index)));
        }
        std::uint64_t sum = 0;
        for (auto& each : tasks)
        {
            sum += co_await std::move(each);
        }
        require(sum == fan_out_sum, "wrong sum of the fan-out");
        tasks.clear();
    }
}

bz::task<void> give_way(bz::runtime&, std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        co_await bz::yield();
    }
}

bz::task<void> await_in_place(bz::runtime&, std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        const std::uint64_t answer = co_await incremented(index);
        require(answer == index + 1, "wrong answer from an awaited task");
    }
}

} // namespace compare
