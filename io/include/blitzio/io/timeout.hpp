// Bounds on how long an operation may take before it is asked to stop: timeout() counts from now,
// with_deadline() ends at a point in time. Both are inherited by everything below.
// Thread rule: awaited in tasks; the operation that is bounded may complete on another worker.
#pragma once

#include <blitzio/io/detail/linked_stop.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/timer.hpp>
#include <blitzio/io/result.hpp>

#include <atomic>
#include <chrono>
#include <utility>

namespace blitzio
{

namespace detail
{

/// What a bound is counted from.
enum class bound_kind : unsigned char
{
    from_start,
    absolute,
};

/// The part of timeout that does not depend on the bounded operation's type.
///
/// Up to three hold on to the frame: the loop that starts the operation, the operation, and the
/// timer. Whoever lets go last continues the awaiting coroutine (or, for the starter, lets it go
/// on). A timer that was withdrawn is let go of by the operation's end.
class timeout_base
{
protected:
    timeout_base(std::chrono::nanoseconds bound, bound_kind kind) noexcept
        : bound_(bound), kind_(kind)
    {
    }

    timeout_base(timeout_base&& other) noexcept : bound_(other.bound_), kind_(other.kind_) {}

    /// Prepares the child's environment and arms the timer, unless a bound further out comes first
    /// in any case. False: no timer was to be had.
    [[nodiscard]] bool begin(const task_env& env, waiter who) noexcept;

    /// The operation has ended; `holders` of the caller let go. True: they were the last.
    [[nodiscard]] bool operation_ended(int holders) noexcept;

    /// The starter is through, and the operation ends, or has ended, by its waiter. True: continue.
    [[nodiscard]] bool starter_ended() noexcept
    {
        // acq_rel, here and below: whoever is last sees what the others have stored.
        return holders_.fetch_sub(1, std::memory_order_acq_rel) == 1;
    }

    /// True when the operation was asked to stop because its time was over.
    [[nodiscard]] bool expired() const noexcept
    {
        return reason_ == stop_reason::deadline;
    }

    void end() noexcept
    {
        stop_.unlink();
        reason_ = stop_.source().reason();
    }

    struct node : timer
    {
        timeout_base* owner = nullptr;
    };

    static void on_timer(runnable* item) noexcept;

    std::chrono::nanoseconds bound_;
    task_env child_env_;
    task_details child_details_;
    linked_stop stop_;
    node timer_;
    waiter on_complete_;
    std::atomic<int> holders_{0};
    bound_kind kind_;
    bool armed_ = false;
    bool limit_reached_ = false;
    stop_reason reason_ = stop_reason::none;
};

template <class Operation>
class timeout_operation : public awaitable_base<timeout_operation<Operation>>, private timeout_base
{
    using inner_type = await_result_t<Operation>;

public:
    using outcome_type = std::conditional_t<is_result<inner_type>, inner_type, result<inner_type>>;

    timeout_operation(std::chrono::nanoseconds bound, bound_kind kind,
                      Operation&& operation) noexcept
        : timeout_base(bound, kind), operation_(std::move(operation))
    {
    }

    timeout_operation(timeout_operation&& other) noexcept
        : timeout_base(std::move(other)), operation_(std::move(other.operation_))
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        if (!begin(env, who))
        {
            return false;
        }
        const waiter ended{[](void* self) noexcept -> std::coroutine_handle<> {
                               auto& bounded = *static_cast<timeout_operation*>(self);
                               return bounded.operation_ended(1) ? bounded.on_complete_()
                                                                 : std::noop_coroutine();
                           },
                           this};
        if (operation_.start(child_env_, ended))
        {
            return !starter_ended();
        }
        return !operation_ended(2);
    }

    outcome_type await_resume()
    {
        end();
        if (limit_reached_)
        {
            return fail(io_errc::limit_reached);
        }
        if constexpr (is_result<inner_type>)
        {
            inner_type outcome = operation_.await_resume();
            if (!outcome && expired() && outcome.error() == std::errc::operation_canceled)
            {
                return fail(std::errc::timed_out);
            }
            return outcome;
        }
        else if constexpr (std::is_void_v<inner_type>)
        {
            operation_.await_resume();
            if (expired())
            {
                return fail(std::errc::timed_out);
            }
            return {};
        }
        else
        {
            return operation_.await_resume();
        }
    }

private:
    Operation operation_;
};

} // namespace detail

/// Runs `operation` and asks it to stop when `duration` has passed; the result is then timed_out.
///
/// An operation that ends with a value is never turned into an error: success beats the deadline.
/// The deadline bounds when the stop is REQUESTED: an operation that cannot be cancelled (a disk
/// read in progress) is waited for, because the kernel still uses its buffer.
/// For a task<void>, which cannot say whether it was cut short, expiry gives timed_out.
/// An earlier deadline of the awaiting task stays in force; when it passes, this gives timed_out,
/// too, and no timer is used. this_task::deadline() tells which of them counts.
/// Cancellation: a stop request of the awaiting task is passed on. No allocation.
template <awaitable_operation Operation>
    requires(!std::is_lvalue_reference_v<Operation>)
[[nodiscard]] auto timeout(std::chrono::nanoseconds duration, Operation&& operation)
{
    return detail::timeout_operation<std::remove_cvref_t<Operation>>(
        duration, detail::bound_kind::from_start, std::move(operation));
}

/// Like timeout(), until the runtime's clock (steady_clock, or the virtual clock) shows `when`.
/// Children can only shorten it. time_point::max() is no bound. With a time that has passed the
/// operation is started all the same, and asked to stop at the worker's next turn.
template <awaitable_operation Operation>
    requires(!std::is_lvalue_reference_v<Operation>)
[[nodiscard]] auto with_deadline(std::chrono::steady_clock::time_point when, Operation&& operation)
{
    return detail::timeout_operation<std::remove_cvref_t<Operation>>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()),
        detail::bound_kind::absolute, std::move(operation));
}

} // namespace blitzio
