// A worker that somebody else gives its turns: a runtime without threads, a loop of the program's, the
// simulation. Thread rule: the thread that runs the worker.
#include "scheduler/worker.hpp"

#include "runtime_core.hpp"

#include <algorithm>
#include <utility>

namespace blitzio::detail
{

void worker::run_until(bool (*is_over)(void*) noexcept, void* context,
                       std::optional<std::chrono::nanoseconds> until) noexcept
{
    worker* const outer = current_worker();
    set_current_worker(this);
    end_rest();
    park_until_ = until;
    while (!is_over(context) && (!until || core_.now() < *until))
    {
        if (runnable* const item = next_item())
        {
            execute(*item);
        }
        else
        {
            park();
        }
    }
    park_until_.reset();
    if (has_descriptor_)
    {
        driver_->call_again();
    }
    set_current_worker(outer);
}

result<int> worker::descriptor() noexcept
{
    auto made = driver_->descriptor();
    if (made && !std::exchange(has_descriptor_, true))
    {
        driver_->call_again();
    }
    return made;
}

std::size_t worker::run_ready(std::size_t most) noexcept
{
    worker* const outer = current_worker();
    set_current_worker(this);
    end_rest();
    maintain();
    std::size_t count = 0;
    for (bool more = true; more;)
    {
        runnable* item = nullptr;
        while (count < most && (item = next_item()) != nullptr)
        {
            execute(*item);
            ++count;
        }
        if (count == most)
        {
            // Not to be left lying until the next call: what was submitted.
            maintain();
            if (has_descriptor_)
            {
                driver_->call_again();
            }
            more = false;
        }
        else if (has_descriptor_)
        {
            more = !rest();
        }
        else
        {
            maintain();
            more = has_local_work();
        }
    }
    set_current_worker(outer);
    return count;
}

/// What park() does, but whoever waits for the descriptor sleeps. False: there is more to do.
bool worker::rest() noexcept
{
    lone_.shrink();
    if (!inbox_.try_mark_inactive())
    {
        return false;
    }
    ready_list ready;
    std::optional<std::chrono::nanoseconds> until;
    if (timers_.size() != 0)
    {
        until = advance_timers(look_at_clock(), ready);
    }
    const std::size_t fired = ready.count;
    resting_ = ready.empty() && driver_->rest(ready, until);
    if (resting_)
    {
        parked_.store(true, std::memory_order_relaxed);
        stats_.parks.add();
        return true;
    }
    stats_.operations_completed.add(ready.count - fired);
    static_cast<void>(inbox_.mark_active());
    push_all(ready);
    return false;
}

void worker::end_rest() noexcept
{
    if (!std::exchange(resting_, false))
    {
        return;
    }
    parked_.store(false, std::memory_order_relaxed);
    ready_list ready;
    driver_->end_rest(ready);
    stats_.operations_completed.add(ready.count);
    static_cast<void>(inbox_.mark_active());
    push_all(ready);
}

bool worker::has_placed_work() const noexcept
{
    return !lanes_.look_empty() || (core_.uses_priorities() && !core_.lanes().look_empty()) ||
           std::ranges::any_of(bound_, [](const auto& lane) { return !lane.queue.empty(); });
}

bool worker::has_local_work() const noexcept
{
    return next_slot_.load(std::memory_order_relaxed) != nullptr || !queue_is_empty() ||
           has_placed_work() || timers_.has_due();
}

bool worker::has_work() const noexcept
{
    return next_slot_.load(std::memory_order_relaxed) != nullptr || !local_.empty() ||
           !lone_.empty() || !fired_.empty() || has_placed_work() || !inbox_.looks_empty() ||
           core_.has_injected() || driver_->has_work();
}

void worker::simulate_turn() noexcept
{
    worker* const outer = current_worker();
    set_current_worker(this);
    if (random_.below(4) == 0)
    {
        maintain();
    }
    runnable* item = next_item();
    if (item == nullptr)
    {
        // What a real worker does before it sleeps; takes up wake-ups as well, and never blocks here.
        ready_list ready;
        driver_->wait(ready, std::chrono::nanoseconds(0));
        stats_.operations_completed.add(ready.count);
        push_all(ready);
        item = next_item();
    }
    if (item != nullptr)
    {
        execute(*item);
    }
    set_current_worker(outer);
}

} // namespace blitzio::detail
