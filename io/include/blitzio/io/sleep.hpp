// Waiting for time to pass.
// Thread rule: awaited in tasks; the timer lives on the worker that runs the task at that moment.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/timer.hpp>
#include <blitzio/io/result.hpp>

#include <chrono>

namespace blitzio
{

namespace detail
{

class sleep_operation;
void fire_urgent_sleep(runnable* item) noexcept;

struct sleep_canceller
{
    sleep_operation* target;
    void operator()() const noexcept;
};

class sleep_operation : public awaitable_base<sleep_operation>
{
public:
    explicit sleep_operation(std::chrono::nanoseconds amount, bool absolute) noexcept
        : amount_(amount), absolute_(absolute)
    {
    }

    sleep_operation(sleep_operation&& other) noexcept
        : amount_(other.amount_), absolute_(other.absolute_)
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept;
    [[nodiscard]] result<void> await_resume() noexcept;

    /// Instead of await_resume(): that the time has come has no effect. See choice.hpp.
    void forgo() noexcept
    {
        stop_.disarm();
    }

private:
    friend sleep_canceller;
    friend void fire_urgent_sleep(runnable* item) noexcept;
    friend class tick_operation;
    friend class precise_sleep_operation;

    struct node : timer
    {
        sleep_operation* owner = nullptr;
    };

    static void on_timer(runnable* item) noexcept;
    static void on_cancelled(runnable* item) noexcept;
    void cancel() noexcept;

    std::chrono::nanoseconds amount_;
    bool absolute_;
    bool cancellable_ = false;
    std::error_code outcome_{};
    waiter on_complete_;
    runtime_core* runtime_ = nullptr;
    basic_op_state<> state_;
    node timer_;
    stop_slot<sleep_canceller> stop_;
};

} // namespace detail

/// Completes when at least `duration` has passed; durations of zero or less complete at the next
/// turn of the worker. Never early. Late by up to a millisecond, the resolution, and by as much as
/// the worker is busy: time counts from its next look at the clock, which it takes when its turn
/// ends, or after 61 continuations, three if they are long. For less than that there is precise_sleep.
/// Any duration will do: one beyond the clock's range (292 years) lasts as long as the range.
/// Cancellation: ends at once with operation_canceled.
/// Errors: operation_canceled; io_errc::limit_reached when the runtime's timers are used up.
[[nodiscard]] inline detail::sleep_operation sleep_for(std::chrono::nanoseconds duration) noexcept
{
    return detail::sleep_operation(duration, false);
}

/// Like sleep_for, until the runtime's clock (steady_clock, or the virtual clock) shows `when`.
[[nodiscard]] inline detail::sleep_operation sleep_until(
    std::chrono::steady_clock::time_point when) noexcept
{
    return detail::sleep_operation(
        std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()), true);
}

} // namespace blitzio
