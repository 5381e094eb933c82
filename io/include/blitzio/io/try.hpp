// co_await try_(x): the value of x, or the end of the coroutine with x's error.
// Thread rule: as the coroutine that uses it.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/task.hpp>

#include <coroutine>
#include <type_traits>
#include <utility>

namespace blitzio
{

namespace detail
{

/// Ends `coroutine` as if it had returned the error: no exception is involved; its locals are
/// destroyed together with the frame, before the awaiting coroutine continues.
template <class Promise>
std::coroutine_handle<> finish_with_error(std::coroutine_handle<Promise> coroutine,
                                          std::error_code error) noexcept
{
    if constexpr (requires { coroutine.promise().end_with_error(error); })
    {
        return coroutine.promise().end_with_error(error); // a generator
    }
    else
    {
        static_assert(is_result<typename Promise::value_type>,
                      "try_ needs a coroutine that returns task<result<T>>, or a generator");
        coroutine.promise().outcome().emplace_value(std::unexpected<std::error_code>(error));
        return coroutine.promise().mark_failed();
    }
}

/// try_ of a result that is there already.
template <class T>
class try_value_awaiter
{
public:
    explicit try_value_awaiter(result<T>&& outcome) noexcept(
        std::is_nothrow_move_constructible_v<result<T>>)
        : outcome_(std::move(outcome))
    {
    }

    [[nodiscard]] bool await_ready() const noexcept
    {
        return outcome_.has_value();
    }

    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept
    {
        return transfer(finish_with_error(awaiting, outcome_.error()));
    }

    T await_resume()
    {
        if constexpr (!std::is_void_v<T>)
        {
            return *std::move(outcome_);
        }
    }

private:
    result<T> outcome_;
};

/// try_ of an operation or a task whose result is result<T>.
template <class Operation>
class try_operation_awaiter
{
    using outcome_type = await_result_t<Operation>;
    static_assert(is_result<outcome_type>, "try_ needs something that gives a result<T>");

public:
    explicit try_operation_awaiter(Operation&& operation) noexcept
        : operation_(std::move(operation))
    {
    }

    [[nodiscard]] bool await_ready() const noexcept
    {
        return false;
    }

    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept
    {
        awaiting_ = awaiting;
        const task_env& env = awaiting.promise().env();
        const waiter finished{
            env.home() == nullptr ? &finish_anywhere<Promise> : &finish_at_home<Promise>, this};
        if constexpr (transferable<Operation>)
        {
            return transfer(operation_.begin(env, finished));
        }
        else
        {
            if (operation_.start(env, finished))
            {
                return std::noop_coroutine();
            }
            return transfer(on_finished<Promise>());
        }
    }

    auto await_resume()
    {
        auto outcome = outcome_.take(); // throws what an awaited task threw
        if constexpr (!std::is_void_v<typename outcome_type::value_type>)
        {
            return *std::move(outcome);
        }
    }

private:
    template <class Promise>
    static std::coroutine_handle<> finish_anywhere(void* self) noexcept
    {
        return static_cast<try_operation_awaiter*>(self)->template on_finished<Promise>();
    }

    template <class Promise>
    static std::coroutine_handle<> finish_at_home(void* self) noexcept
    {
        const auto address = static_cast<try_operation_awaiter*>(self)->awaiting_.address();
        const auto awaiting = std::coroutine_handle<Promise>::from_address(address);
        return come_home(awaiting.promise().env(), {&finish_anywhere<Promise>, self});
    }

    template <class Promise>
    std::coroutine_handle<> on_finished() noexcept
    {
        store_outcome(outcome_, [this] { return operation_.await_resume(); });
        auto awaiting = std::coroutine_handle<Promise>::from_address(awaiting_.address());
        if (outcome_.has_exception() || outcome_.value().has_value())
        {
            return awaiting;
        }
        return finish_with_error(awaiting, outcome_.value().error());
    }

    Operation operation_;
    outcome_slot<outcome_type> outcome_;
    std::coroutine_handle<> awaiting_;
};

} // namespace detail

/// Inside a coroutine that returns task<result<U>>, or in a generator:
///     auto stream = co_await try_(listener.accept());
/// gives the value, or ends the coroutine with the error of the operation, without an exception.
/// What an awaited task throws is thrown here.
/// Cancellation: that of the operation.
template <awaitable_operation Operation>
    requires(!std::is_lvalue_reference_v<Operation>)
[[nodiscard]] auto try_(Operation&& operation)
{
    return detail::try_operation_awaiter<std::remove_cvref_t<Operation>>(std::move(operation));
}

template <class T>
[[nodiscard]] auto try_(result<T> outcome)
{
    return detail::try_value_awaiter<T>(std::move(outcome));
}

} // namespace blitzio
