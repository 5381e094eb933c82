// A bound on how long an operation may take before it is asked to stop.
// Thread rule: awaited in tasks; the operation it bounds may complete on another worker.
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

/// The part of timeout that does not depend on the bounded operation's type.
class timeout_base
{
protected:
    explicit timeout_base(std::chrono::nanoseconds duration) noexcept : duration_(duration) {}

    /// Arms the timer and prepares the child's environment. False: no timer was to be had.
    [[nodiscard]] bool begin(const task_env& env, waiter who) noexcept;
    /// The operation has ended. True: nobody else holds on, continue the waiter.
    [[nodiscard]] bool operation_ended() noexcept;
    void end() noexcept
    {
        stop_.unlink();
    }

    struct node : timer
    {
        timeout_base* owner = nullptr;
    };

    static void on_timer(runnable* item) noexcept;

    std::chrono::nanoseconds duration_;
    task_env child_env_;
    linked_stop stop_;
    node timer_;
    waiter on_complete_;
    /// The operation and, when it could not be withdrawn, the timer.
    std::atomic<int> holders_{0};
    bool expired_ = false;
    bool limit_reached_ = false;
};

template <class Operation>
class timeout_operation : public awaitable_base<timeout_operation<Operation>>, private timeout_base
{
    using inner_type = await_result_t<Operation>;

public:
    using outcome_type = std::conditional_t<is_result<inner_type>, inner_type, result<inner_type>>;

    timeout_operation(std::chrono::nanoseconds duration, Operation&& operation) noexcept
        : timeout_base(duration), operation_(std::move(operation))
    {
    }

    timeout_operation(timeout_operation&& other) noexcept
        : timeout_base(other.duration_), operation_(std::move(other.operation_))
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
                               if (bounded.operation_ended())
                               {
                                   return bounded.on_complete_();
                               }
                               return std::noop_coroutine();
                           },
                           this};
        if (operation_.start(child_env_, ended))
        {
            return true;
        }
        return !operation_ended();
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
            if (!outcome && expired_ && outcome.error() == std::errc::operation_canceled)
            {
                return fail(std::errc::timed_out);
            }
            return outcome;
        }
        else if constexpr (std::is_void_v<inner_type>)
        {
            operation_.await_resume();
            if (expired_)
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
/// Cancellation: a stop request of the awaiting task is passed on. No allocation.
template <awaitable_operation Operation>
    requires(!std::is_lvalue_reference_v<Operation>)
[[nodiscard]] auto timeout(std::chrono::nanoseconds duration, Operation&& operation)
{
    return detail::timeout_operation<std::remove_cvref_t<Operation>>(duration,
                                                                     std::move(operation));
}

} // namespace blitzio
