// Starting tasks, waiting for them, giving way.
#include "core.hpp"

#include <tmc/aw_yield.hpp>
#include <tmc/fork_group.hpp>
#include <tmc/spawn.hpp>
#include <tmc/spawn_many.hpp>
#include <tmc/utils.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace compare
{

namespace
{

tmc::task<std::uint64_t> incremented(std::uint64_t value)
{
    co_return increment(value);
}

tmc::task<void> increment_into(std::uint64_t& answer, std::uint64_t value)
{
    answer = increment(value);
    co_return;
}

constexpr std::uint64_t fan_out_sum = fan_out_width * (fan_out_width + 1) / 2;

void take_answers(std::vector<std::uint64_t>& answers)
{
    std::uint64_t sum = 0;
    for (auto& each : answers)
    {
        sum += std::exchange(each, 0);
    }
    require(sum == fan_out_sum, "wrong sum of the fan-out");
}

using forked_task = decltype(tmc::spawn(incremented(0)).fork());

/// Memory for the forked tasks of one fan-out: they hold pointers to themselves, so that no
/// container can take them in.
class forked_tasks
{
public:
    forked_tasks() : memory_(std::allocator<forked_task>().allocate(fan_out_width)) {}

    ~forked_tasks()
    {
        std::allocator<forked_task>().deallocate(memory_, fan_out_width);
    }

    forked_tasks(const forked_tasks&) = delete;
    forked_tasks& operator=(const forked_tasks&) = delete;

    void start(std::size_t index)
    {
        ::new (static_cast<void*>(memory_ + index))
            forked_task(tmc::spawn(incremented(index)).fork());
    }

    forked_task& operator[](std::size_t index)
    {
        return memory_[index];
    }

    void end(std::size_t index)
    {
        memory_[index].~forked_task();
    }

private:
    forked_task* memory_;
};

} // namespace

tmc::task<void> spawn_join(std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        const std::uint64_t answer = co_await tmc::spawn(incremented(index));
        require(answer == index + 1, "wrong answer from a spawned task");
    }
}

/// Started before it is awaited, as the handle of another runtime's spawn would have it.
tmc::task<void> spawn_join_fork(std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        auto started = tmc::spawn(incremented(index)).fork();
        const std::uint64_t answer = co_await std::move(started);
        require(answer == index + 1, "wrong answer from a forked task");
    }
}

tmc::task<void> fan_out(std::uint64_t count)
{
    std::vector<std::uint64_t> answers(fan_out_width);
    for (std::uint64_t wave = 0; wave < count / fan_out_width; ++wave)
    {
        tmc::iter_adapter tasks(std::uint64_t{0}, [&answers](std::uint64_t index) {
            return increment_into(answers[index], index);
        });
        co_await tmc::spawn_many(std::move(tasks), fan_out_width);
        take_answers(answers);
    }
}

tmc::task<void> fan_out_fork_group(std::uint64_t count)
{
    std::vector<std::uint64_t> answers(fan_out_width);
    for (std::uint64_t wave = 0; wave < count / fan_out_width; ++wave)
    {
        auto group = tmc::fork_group();
        for (std::uint64_t index = 0; index < fan_out_width; ++index)
        {
            group.fork(increment_into(answers[index], index));
        }
        co_await std::move(group);
        take_answers(answers);
    }
}

tmc::task<void> fan_out_handles(std::uint64_t count)
{
    forked_tasks tasks;
    for (std::uint64_t wave = 0; wave < count / fan_out_width; ++wave)
    {
        for (std::uint64_t index = 0; index < fan_out_width; ++index)
        {
            tasks.start(index);
        }
        std::uint64_t sum = 0;
        for (std::uint64_t index = 0; index < fan_out_width; ++index)
        {
            sum += co_await std::move(tasks[index]);
            tasks.end(index);
        }
        require(sum == fan_out_sum, "wrong sum of the fan-out");
    }
}

/// tmc::yield() only gives way to tasks of higher priority; the one that others of the same
/// priority get their turn by is reschedule().
tmc::task<void> give_way(std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        co_await tmc::reschedule();
    }
}

tmc::task<void> give_way_lifo(std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        co_await tmc::yield();
    }
}

tmc::task<void> await_in_place(std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        const std::uint64_t answer = co_await incremented(index);
        require(answer == index + 1, "wrong answer from an awaited task");
    }
}

} // namespace compare
