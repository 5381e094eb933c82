// One worker: its queue of runnables, its driver, its timers, and the loop that serves them.
// Thread rule: owner thread only, except post(), has_stealable_work() and the statistics.
#pragma once

#include "driver/driver.hpp"
#include "scheduler/growing_queue.hpp"
#include "scheduler/live_tasks.hpp"
#include "scheduler/pinned_queue.hpp"
#include "time/timer_wheel.hpp"

#include <blitzio/io/detail/clock.hpp>
#include <blitzio/io/detail/inbox.hpp>
#include <blitzio/io/detail/ready_list.hpp>
#include <blitzio/io/detail/steal_queue.hpp>

#include <atomic>
#include <cstdint>
#include <memory>

namespace blitzio::detail
{

class runtime_core;

/// Written by the owner only, read by metrics().
class owner_counter
{
public:
    void add(std::uint64_t amount = 1) noexcept
    {
        value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }

    [[nodiscard]] std::uint64_t value() const noexcept
    {
        return value_.load(std::memory_order_relaxed);
    }

private:
    std::atomic<std::uint64_t> value_{0};
};

class worker
{
public:
    worker(runtime_core& core, unsigned index, std::unique_ptr<driver> io, std::uint64_t seed,
           std::size_t timers_max);
    ~worker();
    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;

    /// The loop of a worker thread: returns when the runtime stops.
    void run() noexcept;

    // --- for tasks running on this worker
    [[nodiscard]] random_source& random() noexcept
    {
        return random_;
    }
    /// Runs next, before what is in the queue.
    void schedule_next(runnable& item) noexcept;
    /// Runs `item` inside this call if it is what schedule_next() left and nothing has displaced it.
    [[nodiscard]] bool run_now_if_next(runnable& item) noexcept;
    /// True while `item` is what run_now_if_next() runs, nothing nested into it.
    [[nodiscard]] bool is_nested_run(const runnable& item) const noexcept
    {
        return nested_item_ == &item;
    }
    [[nodiscard]] live_tasks& tasks() noexcept
    {
        return tasks_;
    }
    /// Runs after what is in the queue.
    void push(runnable& item) noexcept;
    [[nodiscard]] bool submit(op& operation) noexcept
    {
        return driver_->submit(operation);
    }
    /// From this worker's inbox: a stop request has reached an operation submitted here.
    void cancel_op(op& operation) noexcept;
    [[nodiscard]] bool consume_budget() noexcept
    {
        return budget_ != 0 && budget_-- != 0;
    }
    [[nodiscard]] timer_wheel& timers() noexcept
    {
        return timers_;
    }

    // --- any thread
    /// Invokes `who` on this worker, behind what else is bound to it.
    void post_bound(waiter who) noexcept;
    /// Runs `item` on this worker between two tasks. It is not a task: it must be short and continue
    /// no coroutine.
    void post(runnable& item) noexcept;
    [[nodiscard]] bool has_stealable_work() const noexcept;
    [[nodiscard]] driver& io() noexcept
    {
        return *driver_;
    }
    [[nodiscard]] unsigned index() const noexcept
    {
        return index_;
    }
    [[nodiscard]] runtime_core& core() noexcept
    {
        return core_;
    }

    struct statistics
    {
        owner_counter tasks_run;
        owner_counter steals;
        owner_counter parks;
    };
    [[nodiscard]] const statistics& stats() const noexcept
    {
        return stats_;
    }

    // --- simulation: one turn at a time
    [[nodiscard]] bool has_work() const noexcept;
    void simulate_turn() noexcept;
    void fire_timers() noexcept;

private:
    [[nodiscard]] runnable* next_item() noexcept;
    [[nodiscard]] runnable* search() noexcept;
    [[nodiscard]] runnable* take_from_injection() noexcept;
    [[nodiscard]] runnable* take_next_slot() noexcept;
    void execute(runnable& item) noexcept;
    void maintain() noexcept;
    void park() noexcept;
    void take_inbox() noexcept;
    void push_all(ready_list& ready) noexcept;
    void push_one(runnable& item) noexcept;
    [[nodiscard]] runnable* pop_local() noexcept
    {
        return shared_ ? local_.pop() : lone_.pop();
    }

    runtime_core& core_;
    const unsigned index_;
    /// There are other workers, which may have to be woken for what is injected.
    const bool accompanied_;
    /// They steal. Otherwise the slot and the queue need no read-modify-writes.
    const bool shared_;
    bool searching_ = false;
    unsigned budget_ = 0;
    unsigned next_streak_ = 0;
    unsigned nested_runs_ = 0;
    const runnable* nested_item_ = nullptr;
    std::uint32_t tick_ = 0;
    random_source random_;
    std::atomic<runnable*> next_slot_{nullptr};
    /// One of the two is used: the second by a worker that is alone.
    steal_queue<> local_;
    growing_queue lone_;
    inbox<> inbox_;
    pinned_queue bound_;
    /// Says that something was added to bound_; in the inbox once at the most.
    struct bound_message : runnable
    {
        worker* receiver = nullptr;
    } bound_message_;
    /// Runs the first of bound_; in no queue.
    struct bound_runner : runnable
    {
        worker* owner = nullptr;
    } bound_runner_;
    timer_wheel timers_;
    statistics stats_;
    live_tasks tasks_;
    std::unique_ptr<driver> driver_;
};

extern constinit thread_local worker* this_threads_worker;

/// The worker that runs on the calling thread, or null. Never keep it across a suspension.
[[nodiscard]] worker* current_worker() noexcept;

/// The same without a call, only for functions that stay out of line themselves: a coroutine that
/// had the access in it could keep the address of one thread's variable across a suspension that
/// moves it to another thread.
[[nodiscard]] inline worker* worker_here() noexcept
{
    return this_threads_worker;
}
void set_current_worker(worker* which) noexcept;

} // namespace blitzio::detail
