// One worker: its queue of runnables, its driver, its timers, and the loop that serves them.
// Thread rule: owner thread only, except post(), has_stealable_work() and the statistics.
#pragma once

#include "driver/driver.hpp"
#include "observe/counters.hpp"
#include "observe/delay_probe.hpp"
#include "scheduler/growing_queue.hpp"
#include "scheduler/live_tasks.hpp"
#include "scheduler/pinned_queue.hpp"
#include "scheduler/priority_lane.hpp"
#include "time/timer_wheel.hpp"

#include <blitzio/io/detail/clock.hpp>
#include <blitzio/io/detail/inbox.hpp>
#include <blitzio/io/detail/placement.hpp>
#include <blitzio/io/detail/ready_list.hpp>
#include <blitzio/io/detail/steal_queue.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

namespace blitzio::detail
{

class runtime_core;

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

    // --- without a thread of its own: the thread that runs it, always the same one
    /// The loop on the calling thread, until `is_over(context)`, which is asked between two tasks, or
    /// the clock shows `until`.
    void run_until(bool (*is_over)(void*) noexcept, void* context,
                   std::optional<std::chrono::nanoseconds> until) noexcept;
    /// What can run without waiting, `most` runnables at the most; how many have run. If the driver
    /// has made a descriptor, it tells from then on whether there is more to do.
    std::size_t run_ready(std::size_t most) noexcept;
    /// The driver's descriptor, for run_ready() in somebody else's loop; readable at first.
    [[nodiscard]] result<int> descriptor() noexcept;
    [[nodiscard]] bool has_descriptor() const noexcept
    {
        return has_descriptor_;
    }

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
    [[nodiscard]] const live_tasks& tasks() const noexcept
    {
        return tasks_;
    }
    /// Runs after what is in the queue.
    void push(runnable& item) noexcept;
    [[nodiscard]] bool submit(op& operation) noexcept
    {
        const bool at_once = driver_->submit(operation);
        if (at_once)
        {
            stats_.operations_completed.add();
        }
        return at_once;
    }
    /// From this worker's inbox: a stop request has reached an operation submitted here.
    void cancel_op(op& operation) noexcept;
    /// A task gives way. True: nothing waits for a turn here, so it may go on at once.
    [[nodiscard]] bool goes_on_alone() noexcept;
    [[nodiscard]] bool consume_budget() noexcept
    {
        return budget_ != 0 && budget_-- != 0;
    }
    [[nodiscard]] timer_wheel& timers() noexcept
    {
        return timers_;
    }
    [[nodiscard]] const timer_wheel& timers() const noexcept
    {
        return timers_;
    }

    // --- any thread
    /// Invokes `who` on this worker, behind what else is bound to it with that priority.
    void post_bound(waiter who, task_priority priority) noexcept;
    [[nodiscard]] const placement& placement_of(task_priority priority) const noexcept
    {
        return placements_[static_cast<unsigned>(priority)];
    }
    /// What has a priority and is not bound. The worker itself adds, all workers take.
    [[nodiscard]] priority_lanes& lanes() noexcept
    {
        return lanes_;
    }
    /// There is some task with a priority, from now on.
    void begin_priorities() noexcept
    {
        by_priority_.store(true, std::memory_order_relaxed);
    }
    [[nodiscard]] bool shares_work() const noexcept
    {
        return shared_;
    }
    /// Runs `item` on this worker between two tasks. It is not a task: it must be short and continue
    /// no coroutine.
    void post(runnable& item) noexcept;
    [[nodiscard]] bool has_stealable_work() const noexcept;
    [[nodiscard]] driver& io() noexcept
    {
        return *driver_;
    }
    [[nodiscard]] const driver& io() const noexcept
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
        /// Parks that ended because somebody sent a wake-up.
        owner_counter wake_ups;
        owner_counter operations_completed;
        owner_counter tasks_spawned;
        owner_counter tasks_finished;
        owner_histogram scheduling_delay;
    };
    [[nodiscard]] const statistics& stats() const noexcept
    {
        return stats_;
    }
    /// Owner only.
    [[nodiscard]] statistics& own_stats() noexcept
    {
        return stats_;
    }

    /// When its loop has looked at the clock last, in units of coarse_clock.
    [[nodiscard]] std::uint32_t last_turn() const noexcept
    {
        return last_turn_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] bool is_parked() const noexcept
    {
        // seq_cst: see stall_watch.hpp.
        return parked_.load(std::memory_order_seq_cst);
    }
    /// Something is to run here next. For whoever looks from outside.
    [[nodiscard]] bool has_next() const noexcept
    {
        return next_slot_.load(std::memory_order_relaxed) != nullptr;
    }

    // --- simulation: one turn at a time
    [[nodiscard]] bool has_work() const noexcept;
    [[nodiscard]] bool has_local_work() const noexcept;
    void simulate_turn() noexcept;
    /// Gives the time.
    std::chrono::nanoseconds fire_timers() noexcept;

private:
    [[nodiscard]] std::chrono::nanoseconds look_at_clock() noexcept;
    [[nodiscard]] runnable* next_item() noexcept;
    [[nodiscard]] runnable* search() noexcept;
    [[nodiscard]] runnable* take_from_injection() noexcept;
    [[nodiscard]] runnable* take_next_slot() noexcept;
    // In placing.cpp.
    [[nodiscard]] runnable* as_item(waiter who) noexcept;
    [[nodiscard]] runnable* take_bound(task_priority priority) noexcept;
    [[nodiscard]] runnable* take_prioritised(task_priority priority) noexcept;
    [[nodiscard]] runnable* next_prioritised() noexcept;
    [[nodiscard]] runnable* steal_prioritised(task_priority priority) noexcept;
    std::size_t sort_out_urgent(ready_list& ready) noexcept;
    [[nodiscard]] bool has_placed_work() const noexcept;
    [[nodiscard]] bool by_priority() const noexcept
    {
        return by_priority_.load(std::memory_order_relaxed);
    }
    void execute(runnable& item) noexcept;
    void maintain() noexcept;
    void adapt_interval(std::chrono::nanoseconds now) noexcept;
    void park() noexcept;
    void sleep(ready_list& ready) noexcept;
    [[nodiscard]] bool rest() noexcept;
    void end_rest() noexcept;
    [[nodiscard]] std::optional<std::chrono::nanoseconds> advance_timers(
        std::chrono::nanoseconds now, ready_list& ready) noexcept;
    void take_inbox() noexcept;
    void push_all(ready_list& ready) noexcept;
    void push_one(runnable& item) noexcept;
    void push_fired(ready_list& ready) noexcept;
    [[nodiscard]] runnable* pop_lone() noexcept
    {
        if (!fired_.empty() && (tick_ & 2U) != 0)
        {
            return fired_.pop();
        }
        runnable* const item = lone_.pop();
        return item != nullptr ? item : fired_.pop();
    }
    [[nodiscard]] runnable* pop_local() noexcept
    {
        return shared_ ? local_.pop() : pop_lone();
    }

    /// How many more runnables do not push older ones into the shared queue.
    [[nodiscard]] std::size_t queue_room() const noexcept
    {
        return shared_ ? local_.free_slots() : ~std::size_t{0};
    }
    [[nodiscard]] bool queue_is_empty() const noexcept
    {
        return shared_ ? local_.empty() : lone_.empty() && fired_.empty();
    }

    runtime_core& core_;
    const unsigned index_;
    /// There are other workers, which may have to be woken for what is injected.
    const bool accompanied_;
    /// They steal. Otherwise the slot and the queue need no read-modify-writes.
    const bool shared_;
    bool searching_ = false;
    /// run_ready() has left the driver to its descriptor.
    bool resting_ = false;
    bool has_descriptor_ = false;
    unsigned budget_ = 0;
    unsigned next_streak_ = 0;
    /// Here for the hot path, which looks at it at each step.
    std::atomic<bool> by_priority_{false};
    unsigned nested_runs_ = 0;
    const runnable* nested_item_ = nullptr;
    std::uint32_t tick_ = 0;
    /// The tick at which the loop looks around next, how many there are between two, and when it looked last.
    std::uint32_t maintenance_tick_ = 0;
    std::uint32_t interval_ = 0;
    std::chrono::nanoseconds maintained_at_{0};
    random_source random_;
    std::atomic<runnable*> next_slot_{nullptr};
    /// One of the two is used: the second by a worker that is alone.
    steal_queue<> local_;
    growing_queue lone_;
    /// Without thieves: timers that are due, taken in turns with the queue, which may be long.
    ready_list fired_;
    inbox<> inbox_;
    /// What is bound here. The runnable says that something was added from elsewhere; in the inbox
    /// once at the most.
    struct bound_lane : runnable
    {
        pinned_queue queue;
    };
    /// By priority.
    std::array<bound_lane, 3> bound_;
    std::array<placement, 3> placements_;
    priority_lanes lanes_;
    unsigned high_streak_ = 0;
    unsigned turns_without_low_ = 0;
    unsigned lane_turn_ = 0;
    /// What was taken from one of the lanes, for execute(); in no queue.
    struct taken_item : runnable
    {
        waiter who;
    } taken_;
    timer_wheel timers_;
    statistics stats_;
    /// No park lasts longer.
    std::optional<std::chrono::nanoseconds> park_until_;
    delay_probe delay_probe_;
    /// Written by the owner, for whoever looks from outside.
    std::atomic<std::uint32_t> last_turn_{0};
    std::atomic<bool> parked_{false};
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
