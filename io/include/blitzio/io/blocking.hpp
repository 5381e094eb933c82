// Calls that block, away from the workers.
// Thread rule: awaited in tasks; the call runs on a thread of the runtime's blocking pool.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>
#include <blitzio/io/external_work.hpp>
#include <blitzio/io/result.hpp>

#include <functional>
#include <type_traits>
#include <utility>

namespace blitzio
{

namespace detail
{

void return_urgent_call(runnable* item) noexcept;

/// The part that does not depend on the call: queueing, withdrawing, coming back.
class blocking_job
{
public:
    blocking_job() noexcept = default;
    blocking_job(const blocking_job&) = delete;
    blocking_job& operator=(const blocking_job&) = delete;

protected:
    /// The meaning of the result is that of start().
    [[nodiscard]] bool begin(const task_env& env, waiter who,
                             void (*call)(blocking_job&) noexcept) noexcept;
    void end() noexcept
    {
        stop_.disarm();
    }

    stop_token token_;
    std::error_code refused_;

private:
    friend void return_urgent_call(runnable* item) noexcept;

    struct node : runnable
    {
        blocking_job* owner = nullptr;
    };

    struct canceller
    {
        blocking_job* target;
        void operator()() const noexcept;
    };

    static void on_pool_thread(runnable* item) noexcept;
    static void back_on_worker(runnable* item) noexcept;
    void withdraw() noexcept;
    void come_back() noexcept;

    node node_;
    runtime_core* runtime_ = nullptr;
    waiter on_complete_;
    void (*call_)(blocking_job&) noexcept = nullptr;
    bool cancellable_ = false;
    /// For a task of high priority.
    bool urgent_ = false;
    external_work outside_;
    basic_op_state<> state_;
    stop_slot<canceller> stop_;
};

template <class Call>
concept takes_stop_token = std::invocable<Call&, stop_token>;

template <class Call>
struct call_result
{
    using type = std::invoke_result_t<Call&>;
};
template <takes_stop_token Call>
struct call_result<Call>
{
    using type = std::invoke_result_t<Call&, stop_token>;
};

/// What a callable gives that may or may not take a stop_token.
template <class Call>
using call_result_t = typename call_result<Call>::type;

/// result<T> for a T, and result<T> itself unchanged.
template <class T>
using as_result = std::conditional_t<is_result<T>, T, result<T>>;

template <class Call>
decltype(auto) invoke_with_stop(Call& call, [[maybe_unused]] stop_token token)
{
    if constexpr (takes_stop_token<Call>)
    {
        return std::invoke(call, token);
    }
    else
    {
        return std::invoke(call);
    }
}

template <class Call>
class blocking_operation : public awaitable_base<blocking_operation<Call>>, private blocking_job
{
    using value_type = call_result_t<Call>;

public:
    explicit blocking_operation(Call&& call) : call_(std::move(call)) {}
    explicit blocking_operation(const Call& call) : call_(call) {}
    blocking_operation(blocking_operation&& other) : call_(std::move(other.call_)) {}

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        return begin(env, who, [](blocking_job& job) noexcept {
            auto& self = static_cast<blocking_operation&>(job);
            store_outcome(self.outcome_, [&self]() -> value_type {
                return invoke_with_stop(self.call_, self.token_);
            });
        });
    }

    as_result<value_type> await_resume()
    {
        end();
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

private:
    Call call_;
    outcome_slot<value_type> outcome_;
};

} // namespace detail

/// Runs `call` on a thread where blocking is allowed and gives result<R> (or R itself, if `call`
/// returns a result already). The pool grows up to runtime_config::blocking_threads_max threads and
/// is shared with nothing else: neither files nor computing use it.
///
/// `call` lives in the awaiting frame, so it may refer to the frame's variables. No allocation.
/// Cancellation: a call that has not begun is withdrawn (operation_canceled); one that runs is waited
/// for, and is given a stop_token if it takes one.
/// Errors: io_errc::pool_queue_full, io_errc::shutting_down, or the reason why no thread could be
/// started. What `call` throws is thrown again here.
template <class Call>
[[nodiscard]] auto spawn_blocking(Call&& call)
{
    return detail::blocking_operation<std::decay_t<Call>>(std::forward<Call>(call));
}

} // namespace blitzio
