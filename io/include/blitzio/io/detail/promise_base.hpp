// What the promise of every blitzio coroutine has: environment, continuation, frame memory.
// Thread rule: belongs to whoever runs the coroutine.
#pragma once

#include <blitzio/io/detail/frame_pool.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>
#include <blitzio/io/detail/resume.hpp>
#include <blitzio/io/detail/waiter.hpp>
#include <blitzio/io/task_env.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <utility>

namespace blitzio::detail
{

class promise_base
{
public:
    static void* operator new(std::size_t bytes)
    {
        return allocate_frame(bytes);
    }

    static void operator delete(void* memory, std::size_t bytes) noexcept
    {
        deallocate_frame(memory, bytes);
    }

    [[nodiscard]] const task_env& env() const noexcept
    {
        return *env_;
    }

    void set_environment(const task_env& env, waiter continuation) noexcept
    {
        env_ = &env;
        continuation_ = continuation;
    }

    [[nodiscard]] bool started() const noexcept
    {
        return env_ != nullptr;
    }

    /// True after mark_failed(). After mark_finished() the coroutine's handle says done().
    [[nodiscard]] bool failed() const noexcept
    {
        return !continuation_;
    }

    std::suspend_always initial_suspend() const noexcept
    {
        return {};
    }

    /// The result is stored: whoever waits may have it. Returns the coroutine to go on with.
    [[nodiscard]] std::coroutine_handle<> mark_finished() noexcept
    {
        return continuation_();
    }

    /// The same for a coroutine that ends at a try_, whose waiters may be a long chain of those.
    [[nodiscard]] std::coroutine_handle<> mark_failed() noexcept
    {
        // Not at its final suspension: this is how destroying it is known to be right.
        return complete_bounded(std::exchange(continuation_, {}));
    }

    struct final_awaiter
    {
        [[nodiscard]] bool await_ready() const noexcept
        {
            return false;
        }

        template <class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) const noexcept
        {
            return transfer(ended.promise().mark_finished());
        }

        void await_resume() const noexcept {}
    };

    final_awaiter final_suspend() const noexcept
    {
        return {};
    }

private:
    const task_env* env_ = nullptr;
    waiter continuation_;
};

/// Adds the result of type T.
template <class T>
class result_promise : public promise_base
{
public:
    using value_type = T;

    template <class Value = T>
        requires std::constructible_from<T, Value>
    void return_value(Value&& value)
    {
        outcome_.emplace_value(std::forward<Value>(value));
    }

    void unhandled_exception() noexcept
    {
        outcome_.emplace_exception(std::current_exception());
    }

    [[nodiscard]] outcome_slot<T>& outcome() noexcept
    {
        return outcome_;
    }

private:
    outcome_slot<T> outcome_;
};

template <>
class result_promise<void> : public promise_base
{
public:
    using value_type = void;

    void return_void() noexcept
    {
        outcome_.emplace_value();
    }

    void unhandled_exception() noexcept
    {
        outcome_.emplace_exception(std::current_exception());
    }

    [[nodiscard]] outcome_slot<void>& outcome() noexcept
    {
        return outcome_;
    }

private:
    outcome_slot<void> outcome_;
};

} // namespace blitzio::detail
