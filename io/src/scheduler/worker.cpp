// The worker's loop; see runtime_core.hpp for how workers share work and idle_set.hpp for why no
// wake-up is lost. Thread rule: as the header says.
#include "scheduler/worker.hpp"

#include "limits.hpp"
#include "runtime_core.hpp"

#include <blitzio/io/detail/assert.hpp>

#include <algorithm>

namespace blitzio::detail
{

namespace
{
constinit thread_local worker* this_threads_worker = nullptr;
} // namespace

// Out of line on purpose: a coroutine that inlined the access could keep the address of one thread's
// variable across a suspension that moves it to another thread.
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
    : core_(core), index_(index), shared_(core.worker_count() > 1), random_(seed),
      timers_(timers_max), driver_(std::move(io))
{
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

void worker::push_one(runnable& item) noexcept
{
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
    const std::size_t count = ready.count;
    runnable* const rest = local_.push_batch(ready.head);
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
    if (shared_ && count > 1)
    {
        core_.notify_one();
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
    push_all(ready);
}

bool worker::has_stealable_work() const noexcept
{
    return !local_.empty();
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
    const std::size_t waiting = core_.injected();
    if (waiting == 0)
    {
        return nullptr;
    }
    // A fair share, bounded so that it fits the local queue with room for what those items wake.
    const std::size_t share =
        std::min<std::size_t>(waiting / core_.worker_count() + 1, local_.capacity / 2);
    auto batch = core_.take_injected(std::min<std::size_t>(share, local_.free_slots() + 1));
    if (batch.first == nullptr)
    {
        return nullptr;
    }
    runnable* const rest = batch.first->next;
    if (rest != nullptr)
    {
        // The share was limited to the free slots, so nothing is left over.
        static_cast<void>(local_.push_batch(rest));
        if (shared_)
        {
            core_.notify_one();
        }
    }
    batch.first->next = nullptr;
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
    return take_from_injection();
}

runnable* worker::next_item() noexcept
{
    if (++tick_ % limits::tick_interval == 0)
    {
        maintain();
        if (runnable* const item = core_.injected() != 0 ? core_.take_injected(1).first : nullptr)
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
    if (runnable* const item = local_.pop())
    {
        return item;
    }
    if (runnable* const item = take_next_slot())
    {
        return item;
    }
    take_inbox();
    if (runnable* const item = local_.pop())
    {
        return item;
    }
    if (runnable* const item = take_from_injection())
    {
        return item;
    }
    return shared_ ? search() : nullptr;
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
    }
    if (timers_.size() != 0)
    {
        timers_.advance(core_.now(), ready);
    }
    push_all(ready);
}

void worker::fire_timers() noexcept
{
    ready_list ready;
    timers_.advance(core_.now(), ready);
    push_all(ready);
}

void worker::park() noexcept
{
    if (!inbox_.try_mark_inactive())
    {
        return;
    }
    if (shared_ && core_.idle().transition_to_parked(index_, searching_) &&
        core_.has_visible_work())
    {
        // May choose this very worker: then the wait below ends at once.
        core_.notify_one();
    }
    searching_ = false;
    ready_list ready;
    std::optional<std::chrono::nanoseconds> timeout;
    if (const auto expiry = timers_.next_expiry())
    {
        timeout = std::max(*expiry - core_.now(), std::chrono::nanoseconds(0));
    }
    stats_.parks.add();
    if (!core_.stopping())
    {
        driver_->wait(ready, timeout);
    }
    searching_ = shared_ && core_.idle().transition_from_parked(index_);
    static_cast<void>(inbox_.mark_active());
    if (timers_.size() != 0)
    {
        timers_.advance(core_.now(), ready);
    }
    push_all(ready);
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
    set_current_worker(nullptr);
}

bool worker::has_work() const noexcept
{
    return next_slot_.load(std::memory_order_relaxed) != nullptr || !local_.empty() ||
           !inbox_.looks_empty() || core_.injected() != 0 || driver_->has_work();
}

void worker::simulate_turn() noexcept
{
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
        push_all(ready);
        item = next_item();
    }
    if (item != nullptr)
    {
        execute(*item);
    }
    set_current_worker(nullptr);
}

} // namespace blitzio::detail
