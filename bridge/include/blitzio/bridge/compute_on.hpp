// Computing away from the workers: co_await compute_on(pool, f).
// Thread rule: awaited in tasks; the callable runs on a thread of the pool.
#pragma once

#include <blitzio/bridge/detail/compute_job.hpp>
#include <blitzio/io/blocking.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>

#include <type_traits>
#include <utility>

namespace blitzio
{

namespace detail
{

template <class Call>
concept computable = std::is_invocable_v<Call&> || std::is_invocable_v<Call&, stop_token>;

/// The call, its result and the hand-off, all in the awaiting frame.
template <class Call>
class compute_operation : public awaitable_base<compute_operation<Call>>, protected compute_job
{
    using value_type = call_result_t<Call>;

public:
    compute_operation(compute::pool* pool, Call&& call) : pool_(pool), call_(std::move(call)) {}
    compute_operation(compute::pool* pool, const Call& call) : pool_(pool), call_(call) {}

    /// Only before start().
    compute_operation(compute_operation&& other) : pool_(other.pool_), call_(std::move(other.call_))
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        return begin(pool_, env, who, [](compute_job& job) noexcept {
            auto& self = static_cast<compute_operation&>(job);
            store_outcome(self.outcome_, [&self]() -> value_type {
                return invoke_with_stop(self.call_, self.token_);
            });
        });
    }

    as_result<value_type> await_resume()
    {
        if (refused_)
        {
            return fail(refused_);
        }
        if constexpr (std::is_void_v<value_type>)
        {
            outcome_.take();
            return {};
        }
        else
        {
            return outcome_.take();
        }
    }

protected:
    Call& call() noexcept
    {
        return call_;
    }

private:
    compute::pool* pool_;
    Call call_;
    outcome_slot<value_type> outcome_;
};

} // namespace detail

/// Runs `call()` or `call(stop_token)` on a thread of `pool` and gives result<R>, or R itself if
/// `call` returns a result already. R is a value and is moved, never copied.
///
/// `call` and its result live in the awaiting frame, so `call` may refer to the frame's variables;
/// `pool` outlives the await. No allocation of blitzio's.
/// Cancellation: when a stop is requested before `call` has begun, it is skipped and the result is
/// operation_canceled. A running `call` is waited for; it is given the task's stop token if it
/// takes one, and what it returns is what the await gives.
/// Errors: no_such_process in a forked child, not_enough_memory. What `call` throws is thrown again
/// where it is awaited.
template <class Call>
    requires detail::computable<std::remove_cvref_t<Call>>
[[nodiscard]] auto compute_on(compute::pool& pool, Call&& call)
{
    return detail::compute_operation<std::remove_cvref_t<Call>>(&pool, std::forward<Call>(call));
}

/// The same on the process's default pool, compute::default_pool().
template <class Call>
    requires detail::computable<std::remove_cvref_t<Call>>
[[nodiscard]] auto compute_on(Call&& call)
{
    return detail::compute_operation<std::remove_cvref_t<Call>>(nullptr, std::forward<Call>(call));
}

} // namespace blitzio
