// The protocol between awaiting code and everything that can be awaited, and its base classes.
//
// An operation is an object with
//     bool start(const task_env&, waiter) noexcept   true: the waiter is invoked exactly once, maybe
//                                                     already; false: finished, it never is
//     T    await_resume()                             the result, once
// Coroutines await it through await_suspend; combinators and blocking threads call start() directly.
// An operation may be moved until it is started and must then stay in place until its waiter runs.
// Thread rule: start() runs on a worker of the runtime in the environment; the waiter may run on
// another one.
#pragma once

#include <blitzio/io/detail/op.hpp>
#include <blitzio/io/detail/resume.hpp>
#include <blitzio/io/detail/runtime_access.hpp>
#include <blitzio/io/detail/waiter.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/stop_token.hpp>
#include <blitzio/io/task_env.hpp>

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <source_location>
#include <type_traits>
#include <utility>

namespace blitzio
{

namespace detail
{

/// A coroutine promise that knows its environment.
template <class Promise>
concept has_environment = requires(Promise& promise) {
    { promise.env() } noexcept -> std::same_as<const task_env&>;
};

template <class Operation>
concept startable = requires(Operation& operation, const task_env& env, waiter who) {
    { operation.start(env, who) } noexcept -> std::same_as<bool>;
    operation.await_resume();
};

/// A task: whoever awaits it goes on with its coroutine instead of starting it on top of its own.
template <class Operation>
concept transferable = requires(Operation& operation, const task_env& env, waiter who) {
    { operation.begin(env, who) } noexcept -> std::same_as<std::coroutine_handle<>>;
};

} // namespace detail

/// Anything a blitzio task can co_await and a combinator can run: operations and tasks.
template <class T>
concept awaitable_operation = detail::startable<std::remove_cvref_t<T>>;

/// What `co_await operation` gives.
template <class Operation>
using await_result_t = decltype(std::declval<std::remove_cvref_t<Operation>&>().await_resume());

namespace detail
{

/// The waiter that continues `awaiting`, where and when its task may run.
template <class Promise>
waiter waiter_of(std::coroutine_handle<Promise> awaiting) noexcept
{
    if (awaiting.promise().env().home() == nullptr) [[likely]]
    {
        return waiter::of(awaiting);
    }
    return {[](void* address) noexcept {
                const auto bound = std::coroutine_handle<Promise>::from_address(address);
                return come_home(bound.promise().env(), waiter::of(bound));
            },
            awaiting.address()};
}

/// Gives a derived class with start() and await_resume() the coroutine interface.
template <class Derived>
class awaitable_base
{
public:
    [[nodiscard]] bool await_ready() const noexcept
    {
        return false;
    }

    /// `where` is the place of the await.
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting,
                       std::source_location where = std::source_location::current()) noexcept
    {
        static_assert(has_environment<Promise>,
                      "blitzio operations are awaited in blitzio::task coroutines");
        const task_env& env = awaiting.promise().env();
        env.awaiting.record(env, operation_type<Derived>, where);
        // Last statement: once started, the awaiting frame may already run elsewhere.
        return static_cast<Derived*>(this)->start(env, waiter_of(awaiting));
    }
};

/// A stop callback that exists only while it is needed and whose construction never writes to its
/// own storage after the callback became visible to other threads.
template <class Callback>
class stop_slot
{
public:
    stop_slot() noexcept
    {
        clear();
    }

    stop_slot(const stop_slot&) = delete;
    stop_slot& operator=(const stop_slot&) = delete;

    ~stop_slot()
    {
        disarm();
    }

    /// The callback may run before this returns.
    template <class Init>
    void arm(stop_token token, Init&& init) noexcept
    {
        // The last write to this object, and made before anybody else sees the callback: afterwards
        // the frame may belong to another thread.
        ::new (static_cast<void*>(storage_))
            stop_callback<Callback>(token, std::forward<Init>(init));
    }

    /// Waits for a callback that is running on another thread.
    void disarm() noexcept
    {
        if (first_word() != 0)
        {
            std::destroy_at(std::launder(reinterpret_cast<stop_callback<Callback>*>(storage_)));
            clear();
        }
    }

private:
    [[nodiscard]] std::uintptr_t first_word() const noexcept
    {
        std::uintptr_t word = 0;
        std::memcpy(&word, storage_, sizeof(word));
        return word;
    }

    void clear() noexcept
    {
        constexpr std::uintptr_t none = 0;
        std::memcpy(storage_, &none, sizeof(none));
    }

    // A callback begins with the function that is to be called, which tells whether there is one.
    alignas(stop_callback<Callback>) unsigned char storage_[sizeof(stop_callback<Callback>)];
};

/// Asks for the cancellation of an op, from whichever thread requests the stop.
struct op_canceller
{
    op* target;
    void operator()() const noexcept;
};

using op_stop_slot = stop_slot<op_canceller>;

/// Hands `operation` to the current worker's driver; the meaning of the result is that of start().
[[nodiscard]] bool start_op(op& operation, op_stop_slot& stop, const task_env& env,
                            waiter who) noexcept;

/// Base of the operations that a driver carries out. `Derived` has
///     void prepare(op&) noexcept           sets arguments that point into Derived itself
///     T finish(std::int32_t) noexcept      turns the kernel style result into a result<T>
template <class Derived>
class driver_operation : public awaitable_base<Derived>
{
public:
    explicit driver_operation(op_kind kind, int fd = op::no_descriptor) noexcept
    {
        op_.kind = kind;
        op_.fd = fd;
    }

    /// Only before start().
    driver_operation(driver_operation&& other) noexcept : op_(std::move(other.op_)) {}

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        static_cast<Derived*>(this)->prepare(op_, env);
        return start_op(op_, stop_, env, who);
    }

    auto await_resume() noexcept
    {
        stop_.disarm();
        return static_cast<Derived*>(this)->finish(op_.result);
    }

protected:
    void prepare(op&, const task_env&) noexcept {}

    op op_;

private:
    friend Derived;
    op_stop_slot stop_;
};

/// An operation that finishes inside start(): a call that needs the environment but never waits.
template <class Call>
class immediate_operation : public awaitable_base<immediate_operation<Call>>
{
public:
    using value_type = std::invoke_result_t<Call&, const task_env&>;

    explicit immediate_operation(Call call) noexcept : call_(std::move(call)) {}

    [[nodiscard]] bool start(const task_env& env, waiter) noexcept
    {
        env_ = &env;
        return false;
    }

    value_type await_resume()
    {
        return call_(*env_);
    }

private:
    Call call_;
    const task_env* env_ = nullptr;
};

} // namespace detail

} // namespace blitzio
