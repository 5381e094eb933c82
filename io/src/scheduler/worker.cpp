// The worker's loop; see runtime_core.hpp for how workers share work and idle_set.hpp for why no
// wake-up is lost. Thread rule: as the header says.
#include "scheduler/worker.hpp"

#include "limits.hpp"
#include "runtime_core.hpp"
#include "scheduler/urgent.hpp"

#include <blitzio/io/detail/assert.hpp>
#include <blitzio/io/detail/resume.hpp>

#include <algorithm>
#include <utility>

namespace blitzio::detail
{

constinit thread_local worker* this_threads_worker = nullptr;

[[gnu::noinline]] worker* current_worker() noexcept
{
    return this_threads_worker;
}

[[gnu::noinline]] void set_current_worker(worker* which) noexcept
{
    this_threads_worker = which;
}

worker::worker(runtime_core& core, unsigned index, std::unique_ptr<driver> io, std::uint64_t seed,
               std::size_t timers_max)
    : core_(core), index_(index), accompanied_(core.worker_count() > 1),
      shared_(accompanied_ && core.steals_work()), maintenance_tick_(limits::tick_interval),
      interval_(limits::tick_interval), random_(seed), timers_(timers_max),
      tasks_(core.watch(), runtime_core::list_number(index)), driver_(std::move(io))
{
    for (const auto priority : {task_priority::normal, task_priority::high, task_priority::low})
    {
        const auto place = static_cast<unsigned>(priority);
        bound_[place].run = [](runnable* item) noexcept {
            static_cast<bound_lane*>(item)->queue.receive();
        };
        placements_[place] = {.bound = this, .priority = priority};
    }
    taken_.run = [](runnable* item) noexcept { resume(static_cast<taken_item*>(item)->who()); };
}

worker::~worker() = default;

void worker::schedule_next(runnable& item) noexcept
{
    runnable* displaced = nullptr;
    if (shared_)
    {
        // acq_rel: a thief that takes the slot must see the item; we must see what we displace.
        displaced = next_slot_.exchange(&item, std::memory_order_acq_rel);
    }
    else
    {
        displaced = next_slot_.load(std::memory_order_relaxed);
        next_slot_.store(&item, std::memory_order_relaxed);
    }
    if (displaced != nullptr)
    {
        push(*displaced);
    }
}

bool worker::run_now_if_next(runnable& item) noexcept
{
    if (next_slot_.load(std::memory_order_relaxed) != &item ||
        nested_runs_ == limits::nested_runs_max || !consume_budget())
    {
        return false;
    }
    if (shared_)
    {
        // Acquire, as in take_next_slot(). It fails when a thief was faster.
        runnable* expected = &item;
        if (!next_slot_.compare_exchange_strong(expected, nullptr, std::memory_order_acquire,
                                                std::memory_order_relaxed))
        {
            return false;
        }
    }
    else
    {
        next_slot_.store(nullptr, std::memory_order_relaxed);
    }
    ++nested_runs_;
    const runnable* const outer = std::exchange(nested_item_, &item);
    stats_.tasks_run.add();
    item.run(&item);
    nested_item_ = outer;
    --nested_runs_;
    return true;
}

bool worker::goes_on_alone() noexcept
{
    if (next_slot_.load(std::memory_order_relaxed) != nullptr || !queue_is_empty() ||
        tick_ + 1 == maintenance_tick_ || by_priority() ||
        !bound_[static_cast<unsigned>(task_priority::normal)].queue.empty() ||
        core_.is_simulated()) // there the world decides who is next, also among workers
    {
        return false;
    }
    // As if it had been taken from the queue again.
    ++tick_;
    budget_ = limits::completion_budget;
    return true;
}

void worker::push_one(runnable& item) noexcept
{
    if (by_priority() && is_urgent(item)) [[unlikely]]
    {
        lanes_.high.push(waiter_that_runs(item));
        return;
    }
    if (!shared_)
    {
        if (!lone_.push(item))
        {
            item.next = nullptr;
            core_.inject_list(&item, &item, 1);
        }
        return;
    }
    local_.push_back_or_overflow(&item, [this](runnable* first, runnable* last, std::size_t count) {
        core_.inject_list(first, last, count);
    });
}

void worker::push(runnable& item) noexcept
{
    push_one(item);
    if (shared_)
    {
        core_.notify_one();
    }
}

void worker::push_all(ready_list& ready) noexcept
{
    if (ready.empty())
    {
        return;
    }
    std::size_t urgent = 0;
    if (by_priority()) [[unlikely]]
    {
        urgent = sort_out_urgent(ready);
    }
    if (!shared_)
    {
        for (runnable* item = ready.head; item != nullptr;)
        {
            runnable* const following = item->next;
            push_one(*item);
            item = following;
        }
        ready = {};
        return;
    }
    const std::size_t count = ready.count + urgent;
    runnable* const rest = ready.empty() ? nullptr : local_.push_batch(ready.head);
    if (rest != nullptr)
    {
        std::size_t left = 1;
        runnable* last = rest;
        for (; last->next != nullptr; last = last->next)
        {
            ++left;
        }
        core_.inject_list(rest, last, left);
    }
    ready = {};
    if (count > 1)
    {
        core_.notify_one();
    }
}

/// Timers that are due: not behind what has waited for less, if that can be helped. With thieves they
/// stay in the wheel until the queue has room, and are stolen from there.
void worker::push_fired(ready_list& ready) noexcept
{
    if (shared_)
    {
        push_all(ready);
        return;
    }
    if (by_priority()) [[unlikely]]
    {
        sort_out_urgent(ready);
    }
    while (runnable* const item = ready.pop())
    {
        fired_.push(*item);
    }
}

void worker::post(runnable& item) noexcept
{
    if (inbox_.push(&item))
    {
        driver_->wake();
    }
}

void worker::cancel_op(op& operation) noexcept
{
    // A driver belongs to one thread.
    BLITZIO_ASSERT(current_worker() == this);
    ready_list ready;
    if (operation.state.is_terminal())
    {
        // Its own completion came first and waits for this request to be out of the way.
        if (operation.state.cancel_finished())
        {
            ready.push(operation);
        }
    }
    else
    {
        driver_->cancel(operation, ready);
    }
    stats_.operations_completed.add(ready.count);
    push_all(ready);
}

bool worker::has_stealable_work() const noexcept
{
    return !local_.empty() || !lanes_.look_empty();
}

runnable* worker::take_next_slot() noexcept
{
    if (next_slot_.load(std::memory_order_relaxed) == nullptr)
    {
        return nullptr;
    }
    if (shared_)
    {
        // acquire pairs with the exchange in schedule_next() of whoever put it there.
        return next_slot_.exchange(nullptr, std::memory_order_acquire);
    }
    runnable* const item = next_slot_.load(std::memory_order_relaxed);
    next_slot_.store(nullptr, std::memory_order_relaxed);
    return item;
}

void worker::take_inbox() noexcept
{
    if (inbox_.looks_empty())
    {
        return;
    }
    runnable* item = inbox_.take_all();
    while (item != nullptr)
    {
        runnable* const following = item->next;
        // Here and now: in the local queue a neighbour could steal what must run on this thread.
        item->run(item);
        item = following;
    }
}

runnable* worker::take_from_injection() noexcept
{
    if (!core_.has_injected())
    {
        return nullptr;
    }
    // What one push of the queue holds leaves room for what those items wake.
    const auto batch = core_.take_share_of_injected(
        shared_ ? std::min<std::size_t>(local_.capacity / 2, local_.free_slots() + 1)
                : ~std::size_t{0});
    if (batch.first == nullptr)
    {
        return nullptr;
    }
    runnable* const rest = std::exchange(batch.first->next, nullptr);
    if (rest == nullptr)
    {
        return batch.first;
    }
    if (shared_)
    {
        // The share was limited to the free slots, so nothing is left over.
        static_cast<void>(local_.push_batch(rest));
        core_.notify_one();
        return batch.first;
    }
    for (runnable* item = rest; item != nullptr;)
    {
        runnable* const following = item->next;
        push_one(*item);
        item = following;
    }
    return batch.first;
}

runnable* worker::search() noexcept
{
    if (!searching_)
    {
        if (!core_.idle().transition_worker_to_searching())
        {
            return nullptr;
        }
        searching_ = true;
    }
    if (!shared_)
    {
        return take_from_injection();
    }
    const bool prioritised = by_priority();
    if (prioritised)
    {
        if (runnable* const item = steal_prioritised(task_priority::high))
        {
            return item;
        }
    }
    const unsigned count = core_.worker_count();
    const auto first = static_cast<unsigned>(random_.below(count));
    for (unsigned offset = 0; offset < count; ++offset)
    {
        worker& victim = core_.worker_at((first + offset) % count);
        if (&victim == this)
        {
            continue;
        }
        if (runnable* const item = victim.local_.steal_into(local_))
        {
            stats_.steals.add();
            return item;
        }
    }
    // Last resort: what a busy neighbour woke most recently and cannot come to.
    for (unsigned offset = 0; offset < count; ++offset)
    {
        worker& victim = core_.worker_at((first + offset) % count);
        if (&victim == this)
        {
            continue;
        }
        if (runnable* const item = victim.take_next_slot())
        {
            stats_.steals.add();
            return item;
        }
    }
    if (runnable* const item = take_from_injection())
    {
        return item;
    }
    return prioritised ? steal_prioritised(task_priority::low) : nullptr;
}

runnable* worker::next_item() noexcept
{
    if (++tick_ == maintenance_tick_)
    {
        maintain();
        if (runnable* const item = core_.take_one_injected())
        {
            return item;
        }
    }
    if (by_priority()) [[unlikely]]
    {
        if (runnable* const item = next_prioritised())
        {
            return item;
        }
    }
    // In turns with the rest, so that neither side can starve the other.
    if ((tick_ & 1U) != 0)
    {
        if (runnable* const item = take_bound(task_priority::normal))
        {
            return item;
        }
    }
    if (next_streak_ < limits::lifo_streak_max)
    {
        if (runnable* const item = take_next_slot())
        {
            ++next_streak_;
            return item;
        }
    }
    next_streak_ = 0;
    if (runnable* const item = pop_local())
    {
        return item;
    }
    if (runnable* const item = take_next_slot())
    {
        return item;
    }
    take_inbox();
    if (runnable* const item = take_bound(task_priority::normal))
    {
        return item;
    }
    if (timers_.has_due())
    {
        fire_timers();
    }
    if (runnable* const item = pop_local())
    {
        return item;
    }
    if (runnable* const item = take_from_injection())
    {
        return item;
    }
    if (by_priority()) [[unlikely]]
    {
        // Also high: what was added by the messages and timers above.
        for (const auto priority : {task_priority::high, task_priority::low})
        {
            if (runnable* const item = take_prioritised(priority))
            {
                return item;
            }
        }
    }
    return accompanied_ ? search() : nullptr;
}

void worker::execute(runnable& item) noexcept
{
    if (searching_)
    {
        searching_ = false;
        if (core_.idle().transition_from_searching())
        {
            core_.notify_one();
        }
    }
    stats_.tasks_run.add();
    budget_ = limits::completion_budget;
    item.run(&item);
}

void worker::maintain() noexcept
{
    take_inbox();
    ready_list ready;
    if (driver_->has_work())
    {
        driver_->poll(ready);
        stats_.operations_completed.add(ready.count);
    }
    push_all(ready);
    adapt_interval(fire_timers());
}

/// Reads no clock of its own, and one long continuation costs a few looks too many.
void worker::adapt_interval(std::chrono::nanoseconds now) noexcept
{
    const auto taken = now - std::exchange(maintained_at_, now);
    if (taken > limits::tick_period)
    {
        interval_ = std::max(limits::tick_interval_min,
                             static_cast<std::uint32_t>(interval_ * limits::tick_period / taken));
    }
    else
    {
        interval_ = std::min(limits::tick_interval, 2 * interval_);
    }
    maintenance_tick_ = tick_ + interval_;
}

/// The time, also for whoever looks at this worker from outside.
std::chrono::nanoseconds worker::look_at_clock() noexcept
{
    const auto now = core_.now();
    coarse_clock::publish(now);
    last_turn_.store(coarse_clock::units_of(now), std::memory_order_relaxed);
    return now;
}

std::chrono::nanoseconds worker::fire_timers() noexcept
{
    const auto now = look_at_clock();
    if (timers_.size() != 0)
    {
        ready_list ready;
        timers_.advance(now, ready, queue_room());
        push_fired(ready);
    }
    if (!queue_is_empty() && delay_probe_.is_due(now) && !core_.is_simulated())
    {
        // Behind everything that waits here: how long that takes is what the last of them waits.
        delay_probe_.begin(now);
        push_one(delay_probe_);
    }
    return now;
}

/// Fires what is due; until when the driver may sleep then.
std::optional<std::chrono::nanoseconds> worker::advance_timers(std::chrono::nanoseconds now,
                                                               ready_list& ready) noexcept
{
    timers_.advance(now, ready, queue_room());
    return ready.empty() ? timers_.next_expiry() : now;
}

void worker::sleep(ready_list& ready) noexcept
{
    std::optional<std::chrono::nanoseconds> until;
    std::optional<std::chrono::nanoseconds> timeout;
    if (timers_.size() != 0)
    {
        const auto now = look_at_clock();
        until = advance_timers(now, ready);
        if (until)
        {
            timeout = std::max(*until - now, std::chrono::nanoseconds(0));
        }
    }
    if (park_until_) [[unlikely]]
    {
        const auto left = std::max(*park_until_ - core_.now(), std::chrono::nanoseconds(0));
        timeout = std::min(timeout.value_or(left), left);
    }
    const std::size_t fired = ready.count;
    stats_.parks.add();
    if (core_.stopping())
    {
        return;
    }
    parked_.store(true, std::memory_order_relaxed);
    driver_->wait(ready, timeout);
    parked_.store(false, std::memory_order_seq_cst);
    core_.worker_woke();
    const std::size_t completed = ready.count - fired;
    stats_.operations_completed.add(completed);
    if (completed == 0 && (!until || core_.now() < *until))
    {
        stats_.wake_ups.add();
    }
}

void worker::park() noexcept
{
    lone_.shrink();
    if (!inbox_.try_mark_inactive())
    {
        return;
    }
    if (accompanied_ && core_.idle().transition_to_parked(index_, searching_) &&
        core_.has_visible_work())
    {
        // May choose this very worker: then the wait below ends at once.
        core_.notify_one();
    }
    searching_ = false;
    ready_list ready;
    sleep(ready);
    searching_ = accompanied_ && core_.idle().transition_from_parked(index_);
    static_cast<void>(inbox_.mark_active());
    push_all(ready);
    maintained_at_ = fire_timers();
    maintenance_tick_ = tick_ + interval_;
}

void worker::run() noexcept
{
    set_current_worker(this);
    driver_->start();
    while (!core_.stopping())
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
    // All tasks have ended; what may be left is a probe of the queue's delay.
    while (runnable* const left = pop_local())
    {
        left->run(left);
    }
    set_current_worker(nullptr);
}

} // namespace blitzio::detail
