// Waiting for time to pass, to the microsecond.
// Thread rule: awaited in tasks.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/sleep.hpp>

#include <chrono>

namespace blitzio
{

namespace detail
{

class precise_sleep_operation : public awaitable_base<precise_sleep_operation>
{
public:
    explicit precise_sleep_operation(std::chrono::nanoseconds amount, bool absolute) noexcept
        : amount_(amount), absolute_(absolute)
    {
    }

    precise_sleep_operation(precise_sleep_operation&& other) noexcept
        : amount_(other.amount_), absolute_(other.absolute_)
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept;
    [[nodiscard]] result<void> await_resume() noexcept;

    /// Instead of await_resume(): that the time has come has no effect. See choice.hpp.
    void forgo() noexcept {}

private:
    struct node : runnable
    {
        precise_sleep_operation* owner = nullptr;
    };

    static std::coroutine_handle<> on_coarse_end(void* context) noexcept;
    static void look(runnable* item) noexcept;
    /// True: the time has come, or the task is to stop; false: look() is queued.
    [[nodiscard]] bool arrived_or_queued() noexcept;

    std::chrono::nanoseconds amount_;
    bool absolute_;
    std::error_code outcome_{};
    runtime_core* runtime_ = nullptr;
    stop_token stop_;
    waiter on_complete_;
    node look_;
    sleep_operation coarse_{std::chrono::nanoseconds(0), true};
};

} // namespace detail

/// Completes when at least `duration` has passed, and a few microseconds later at the most unless the
/// worker is busy with other tasks. Never early.
///
/// Cost: the worker stays awake for the last 0.3 to 1.3 ms, instead of sleeping, and looks at the clock
/// between its other tasks; within the last 20 us it does nothing else. So this is for a handful of
/// waits, not for every connection; sleep_for costs nothing while it waits.
/// Cancellation: ends with operation_canceled, within 20 us.
/// Errors: operation_canceled; io_errc::limit_reached when the runtime's timers are used up.
[[nodiscard]] inline detail::precise_sleep_operation precise_sleep(
    std::chrono::nanoseconds duration) noexcept
{
    return detail::precise_sleep_operation(duration, false);
}

/// The same, until the runtime's clock (steady_clock, or the virtual clock) shows `when`.
[[nodiscard]] inline detail::precise_sleep_operation precise_sleep_until(
    std::chrono::steady_clock::time_point when) noexcept
{
    return detail::precise_sleep_operation(
        std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()), true);
}

} // namespace blitzio
