// Tasks that are bound to a worker or have a priority: into which queue they go, and when a worker
// takes them from there. Thread rule: as the headers say.
#include "scheduler/urgent.hpp"

#include "limits.hpp"
#include "runtime_core.hpp"

#include <blitzio/io/detail/resume.hpp>

namespace blitzio::detail
{

[[gnu::noinline]] const placement* find_placement(runtime_core& runtime, worker* bound,
                                                  task_priority priority) noexcept
{
    return &runtime.find_placement(bound, priority);
}

const placement& runtime_core::find_placement(worker* bound, task_priority priority) noexcept
{
    // Acquire and release: whoever finds it set, and then wakes a worker for what it has placed, makes
    // that worker see its own flag, too.
    if (priority != task_priority::normal && !uses_priorities_.load(std::memory_order_acquire))
    {
        for (const auto& each : workers_)
        {
            each->begin_priorities();
        }
        uses_priorities_.store(true, std::memory_order_release);
    }
    if (bound != nullptr)
    {
        return bound->placement_of(priority);
    }
    return priority == task_priority::high ? high_anywhere_ : low_anywhere_;
}

void runtime_core::post_placed(const placement& place, waiter who) noexcept
{
    // As in inject(): what is posted may be all that the runtime's end waits for.
    const callers_inside::visit inside(callers_);
    if (place.bound != nullptr)
    {
        place.bound->post_bound(who, place.priority);
    }
    else
    {
        worker* const here = worker_here();
        const bool is_home = here != nullptr && &here->core() == this;
        priority_lanes& lanes = is_home ? here->lanes() : lanes_;
        lanes.of(place.priority == task_priority::high).push(who);
        if (!is_home || here->shares_work())
        {
            notify_one();
        }
    }
}

void runtime_core::start_placed(const placement& place, runnable& item) noexcept
{
    post_placed(place, waiter_that_runs(item));
}

void worker::post_bound(waiter who, task_priority priority) noexcept
{
    bound_lane& lane = bound_[static_cast<unsigned>(priority)];
    if (current_worker() == this)
    {
        lane.queue.push_here(who);
    }
    else if (lane.queue.push(who))
    {
        post(lane);
    }
}

/// `who` as the next thing to run.
runnable* worker::as_item(waiter who) noexcept
{
    taken_.who = who;
    return &taken_;
}

runnable* worker::take_bound(task_priority priority) noexcept
{
    pinned_queue& queue = bound_[static_cast<unsigned>(priority)].queue;
    return queue.empty() ? nullptr : as_item(queue.pop());
}

/// In turns from the three sources of one priority, so that none of them keeps the others waiting.
runnable* worker::take_prioritised(task_priority priority) noexcept
{
    const bool is_high = priority == task_priority::high;
    for (unsigned look = 0; look < 3; ++look)
    {
        lane_turn_ = lane_turn_ == 2 ? 0 : lane_turn_ + 1;
        if (lane_turn_ == 0)
        {
            if (runnable* const item = take_bound(priority))
            {
                return item;
            }
            continue;
        }
        waiter who;
        priority_lanes& lanes = lane_turn_ == 1 ? lanes_ : core_.lanes();
        if (lanes.of(is_high).pop(who))
        {
            return as_item(who);
        }
    }
    return nullptr;
}

/// Out of turn: what goes before the queue, and now and then what would otherwise wait for its end.
runnable* worker::next_prioritised() noexcept
{
    if (high_streak_ < limits::high_streak_max)
    {
        if (runnable* const item = take_prioritised(task_priority::high))
        {
            ++high_streak_;
            return item;
        }
    }
    high_streak_ = 0;
    if (++turns_without_low_ < limits::low_priority_share)
    {
        return nullptr;
    }
    turns_without_low_ = 0;
    return take_prioritised(task_priority::low);
}

runnable* worker::steal_prioritised(task_priority priority) noexcept
{
    const unsigned count = core_.worker_count();
    const auto first = static_cast<unsigned>(random_.below(count));
    for (unsigned offset = 0; offset < count; ++offset)
    {
        worker& victim = core_.worker_at((first + offset) % count);
        waiter who;
        if (&victim != this && victim.lanes_.of(priority == task_priority::high).pop(who))
        {
            stats_.steals.add();
            return as_item(who);
        }
    }
    return nullptr;
}

/// Moves what belongs to tasks of high priority from `ready` to its lane. How many there were.
std::size_t worker::sort_out_urgent(ready_list& ready) noexcept
{
    ready_list others;
    std::size_t count = 0;
    while (runnable* const item = ready.pop())
    {
        if (is_urgent(*item))
        {
            lanes_.high.push(waiter_that_runs(*item));
            ++count;
        }
        else
        {
            others.push(*item);
        }
    }
    ready = others;
    return count;
}

} // namespace blitzio::detail
