// Operations made of operations: ready, never, transform, and_then, or_else, capture, shield.
// Thread rule: awaited in tasks; functions given run on the worker that continues the awaiting task.
#pragma once

#include <blitzio/io/detail/child_starter.hpp>
#include <blitzio/io/detail/choice.hpp>
#include <blitzio/io/detail/late_value.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>
#include <blitzio/io/detail/start_gate.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/task.hpp>

#include <cstddef>
#include <exception>
#include <expected>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio
{

namespace detail
{

template <class T>
class ready_operation : public awaitable_base<ready_operation<T>>
{
public:
    explicit ready_operation(stored_type<T>&& value) noexcept(
        std::is_nothrow_move_constructible_v<stored_type<T>>)
        : value_(std::move(value))
    {
    }

    [[nodiscard]] bool start(const task_env&, waiter) noexcept
    {
        return false;
    }

    T await_resume()
    {
        if constexpr (!std::is_void_v<T>)
        {
            return std::move(value_);
        }
    }

private:
    [[no_unique_address]] stored_type<T> value_;
};

/// Ends by a stop request only; the request's callback schedules the continuation.
template <class T>
class never_operation : public awaitable_base<never_operation<T>>
{
public:
    never_operation() noexcept = default;
    never_operation(never_operation&&) noexcept {}

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        on_complete_ = who;
        runtime_ = env.runtime;
        node_.owner = this;
        node_.run = [](runnable* item) noexcept {
            resume(static_cast<node*>(item)->owner->on_complete_());
        };
        // Last: the callback may run inside, and the frame may then go on elsewhere.
        stop_.arm(env.stop, on_stop{this});
        return true;
    }

    [[nodiscard]] result<T> await_resume() noexcept
    {
        stop_.disarm();
        return fail(std::errc::operation_canceled);
    }

private:
    struct node : runnable
    {
        never_operation* owner = nullptr;
    };

    struct on_stop
    {
        never_operation* target;

        void operator()() const noexcept
        {
            schedule(*target->runtime_, target->node_);
        }
    };

    waiter on_complete_;
    runtime_core* runtime_ = nullptr;
    node node_;
    stop_slot<on_stop> stop_;
};

/// What f gives for the value of an operation that gives T.
template <class Function, class T>
struct applied
{
    using type = std::invoke_result_t<Function&, T>;
};
template <class Function>
struct applied<Function, void>
{
    using type = std::invoke_result_t<Function&>;
};
template <class Function, class T>
using applied_t = typename applied<Function, T>::type;

/// R as a result: itself if it is one.
template <class R>
using as_result_t = std::conditional_t<is_result<R>, R, result<R>>;

template <class Operation, class Function>
class transform_operation : public awaitable_base<transform_operation<Operation, Function>>,
                            private child_starter
{
    using inner_type = await_result_t<Operation>;

public:
    transform_operation(Operation&& operation, Function function)
        : operation_(std::move(operation)), function_(std::move(function))
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        return this->start_child(operation_, env, who);
    }

    void join_choice(choice& shared, std::size_t index) noexcept
        requires choosable<Operation>
    {
        operation_.join_choice(shared, index);
    }

    void forgo() noexcept
        requires revocable<Operation>
    {
        operation_.forgo();
    }

    auto await_resume()
    {
        if constexpr (is_result<inner_type>)
        {
            using value_type = typename inner_type::value_type;
            using mapped = applied_t<Function, value_type>;
            using outcome_type = as_result_t<mapped>;
            inner_type outcome = operation_.await_resume();
            if (!outcome)
            {
                return outcome_type(fail(outcome.error()));
            }
            return apply<outcome_type>(std::move(outcome));
        }
        else if constexpr (std::is_void_v<inner_type>)
        {
            operation_.await_resume();
            return std::invoke(function_);
        }
        else
        {
            return std::invoke(function_, operation_.await_resume());
        }
    }

private:
    template <class Outcome>
    Outcome apply(inner_type&& given)
    {
        const auto call = [&]() -> decltype(auto) {
            if constexpr (std::is_void_v<typename inner_type::value_type>)
            {
                return std::invoke(function_);
            }
            else
            {
                return std::invoke(function_, *std::move(given));
            }
        };
        if constexpr (std::is_void_v<decltype(call())>)
        {
            call();
            return {};
        }
        else
        {
            return call();
        }
    }

    Operation operation_;
    Function function_;
};

/// Which outcome of the first operation leads to the second.
enum class chain_on : unsigned char
{
    value,
    error,
};

/// A first operation and, depending on its outcome, a second one that a function makes, or whose
/// result a function gives.
template <chain_on Branch, class First, class Function>
class chain_operation : public awaitable_base<chain_operation<Branch, First, Function>>
{
    using first_type = await_result_t<First>;
    static_assert(is_result<first_type>,
                  "and_then and or_else take operations that give result<T>");
    using value_type = typename first_type::value_type;

    static consteval auto next_type_of()
    {
        if constexpr (Branch == chain_on::value)
        {
            return std::type_identity<applied_t<Function, value_type>>{};
        }
        else
        {
            return std::type_identity<std::invoke_result_t<Function&, std::error_code>>{};
        }
    }
    using next_type = typename decltype(next_type_of())::type;
    static constexpr bool waits = awaitable_operation<next_type>;

    static consteval auto last_type_of()
    {
        if constexpr (waits)
        {
            return std::type_identity<await_result_t<next_type>>{};
        }
        else
        {
            return std::type_identity<next_type>{};
        }
    }
    using last_type = typename decltype(last_type_of())::type;

public:
    using outcome_type = as_result_t<last_type>;
    static_assert(Branch == chain_on::value || std::is_same_v<outcome_type, first_type>,
                  "the function of or_else gives, or makes an operation that gives, the same "
                  "result<T> as the first operation");

    chain_operation(First&& first, Function function)
        : first_(std::move(first)), function_(std::move(function))
    {
    }

    chain_operation(chain_operation&& other) noexcept(
        std::is_nothrow_move_constructible_v<Function>)
        : first_(std::move(other.first_)), function_(std::move(other.function_))
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        env_ = &env;
        on_complete_ = who;
        gate_.begin();
        if (first_.start(env, {&on_first_ended, this}))
        {
            return gate_.suspend();
        }
        return go_on() && gate_.suspend();
    }

    outcome_type await_resume()
    {
        return outcome_.take();
    }

private:
    static std::coroutine_handle<> on_first_ended(void* context) noexcept
    {
        auto& self = *static_cast<chain_operation*>(context);
        return self.go_on() ? std::noop_coroutine() : self.all_ended();
    }

    static std::coroutine_handle<> on_second_ended(void* context) noexcept
    {
        auto& self = *static_cast<chain_operation*>(context);
        self.take_second();
        return self.all_ended();
    }

    [[nodiscard]] std::coroutine_handle<> all_ended() noexcept
    {
        return gate_.end() ? on_complete_() : std::noop_coroutine();
    }

    /// The first has ended. True: the second ends through its waiter, or has done so.
    [[nodiscard]] bool go_on() noexcept
    {
        bool pending = false;
        try
        {
            first_type first = first_.await_resume();
            if (first.has_value() != (Branch == chain_on::value))
            {
                if constexpr (Branch == chain_on::value)
                {
                    outcome_.emplace_value(fail(first.error()));
                }
                else
                {
                    outcome_.emplace_value(std::move(first));
                }
                return false;
            }
            pending = begin_second(std::move(first));
        }
        catch (...)
        {
            outcome_.emplace_exception(std::current_exception());
        }
        return pending;
    }

    bool begin_second(first_type&& first)
    {
        const auto call = [&]() -> next_type {
            if constexpr (Branch == chain_on::error)
            {
                return std::invoke(function_, first.error());
            }
            else if constexpr (std::is_void_v<value_type>)
            {
                return std::invoke(function_);
            }
            else
            {
                return std::invoke(function_, *std::move(first));
            }
        };
        if constexpr (waits)
        {
            second_.emplace_from(call);
            if (second_->start(*env_, {&on_second_ended, this}))
            {
                return true;
            }
            take_second();
        }
        else if constexpr (std::is_void_v<next_type>)
        {
            call();
            outcome_.emplace_value();
        }
        else
        {
            outcome_.emplace_value(call());
        }
        return false;
    }

    void take_second() noexcept
    {
        if constexpr (waits)
        {
            store_outcome(outcome_, [this]() -> outcome_type {
                if constexpr (std::is_void_v<last_type>)
                {
                    second_->await_resume();
                    return {};
                }
                else
                {
                    return second_->await_resume();
                }
            });
        }
    }

    struct nothing
    {
    };

    First first_;
    Function function_;
    late_value<std::conditional_t<waits, next_type, nothing>> second_;
    outcome_slot<outcome_type> outcome_;
    const task_env* env_ = nullptr;
    waiter on_complete_;
    start_gate<> gate_;
};

template <class Operation>
class capture_operation : public awaitable_base<capture_operation<Operation>>, private child_starter
{
    using inner_type = await_result_t<Operation>;

public:
    using outcome_type = std::expected<inner_type, std::exception_ptr>;

    explicit capture_operation(Operation&& operation) noexcept : operation_(std::move(operation)) {}

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        return this->start_child(operation_, env, who);
    }

    void join_choice(choice& shared, std::size_t index) noexcept
        requires choosable<Operation>
    {
        operation_.join_choice(shared, index);
    }

    void forgo() noexcept
        requires revocable<Operation>
    {
        operation_.forgo();
    }

    outcome_type await_resume() noexcept
    {
        try
        {
            if constexpr (std::is_void_v<inner_type>)
            {
                operation_.await_resume();
                return {};
            }
            else
            {
                return outcome_type(operation_.await_resume());
            }
        }
        catch (...)
        {
            return std::unexpected(std::current_exception());
        }
    }

private:
    Operation operation_;
};

template <class Operation>
class shield_operation : public awaitable_base<shield_operation<Operation>>, private child_starter
{
public:
    explicit shield_operation(Operation&& operation) noexcept : operation_(std::move(operation)) {}

    shield_operation(shield_operation&& other) noexcept : operation_(std::move(other.operation_)) {}

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        env_ = env;
        env_.stop = {};
        if (env.deadline() != no_deadline)
        {
            details_ = env.details();
            details_.deadline = no_deadline;
            env_.origin = task_origin(details_);
        }
        return this->start_child(operation_, env_, who);
    }

    auto await_resume()
    {
        return operation_.await_resume();
    }

private:
    task_env env_;
    task_details details_;
    Operation operation_;
};

} // namespace detail

/// An operation that is finished already, with `value`. Never suspends. No allocation.
template <class T>
[[nodiscard]] auto ready(T value)
{
    return detail::ready_operation<T>(std::move(value));
}

[[nodiscard]] inline auto ready() noexcept
{
    return detail::ready_operation<void>({});
}

/// An operation without an end of its own: waits for the stop request of the awaiting task, and
/// gives operation_canceled. In a task that cannot be stopped it waits for ever. No allocation.
template <class T = void>
[[nodiscard]] auto never() noexcept
{
    return detail::never_operation<T>();
}

/// The operation with its value put through `function`. Errors of an operation that gives
/// result<T> pass by; when `function` gives a result itself, that is the result. What it throws is
/// thrown at the await. No allocation.
template <awaitable_operation Operation, class Function>
    requires(!std::is_lvalue_reference_v<Operation>)
[[nodiscard]] auto transform(Operation&& operation, Function function)
{
    return detail::transform_operation<std::remove_cvref_t<Operation>, Function>(
        std::move(operation), std::move(function));
}

/// The operation, which gives result<T>, and then what `function` makes of its value: another
/// operation, which is carried out, or a result. An error of the first is the result.
/// Cancellation: that of the operation in progress. No allocation.
template <awaitable_operation Operation, class Function>
    requires(!std::is_lvalue_reference_v<Operation>)
[[nodiscard]] auto and_then(Operation&& operation, Function function)
{
    return detail::chain_operation<detail::chain_on::value, std::remove_cvref_t<Operation>,
                                   Function>(std::move(operation), std::move(function));
}

/// The operation, which gives result<T>; when that is an error, what `function` makes of the error:
/// another operation, which is carried out, or a result, of the same type.
template <awaitable_operation Operation, class Function>
    requires(!std::is_lvalue_reference_v<Operation>)
[[nodiscard]] auto or_else(Operation&& operation, Function function)
{
    return detail::chain_operation<detail::chain_on::error, std::remove_cvref_t<Operation>,
                                   Function>(std::move(operation), std::move(function));
}

/// The operation with what it throws as a value: std::expected<T, std::exception_ptr>. For gather()
/// and the like, where one exception is not to hide the other results.
template <awaitable_operation Operation>
    requires(!std::is_lvalue_reference_v<Operation>)
[[nodiscard]] auto capture(Operation&& operation)
{
    return detail::capture_operation<std::remove_cvref_t<Operation>>(std::move(operation));
}

/// The operation, out of reach of stop requests and deadlines of the awaiting task, for work that
/// must not be left half done. The await waits for it in any case, so a stop or a timeout() takes
/// effect after it. Task-locals stay visible. No allocation.
template <awaitable_operation Operation>
    requires(!std::is_lvalue_reference_v<Operation>)
[[nodiscard]] auto shield(Operation&& operation)
{
    return detail::shield_operation<std::remove_cvref_t<Operation>>(std::move(operation));
}

} // namespace blitzio
