// task<T>: a coroutine that starts when it is awaited and gives its result to whoever awaits it.
// Thread rule: a task object belongs to one owner at a time; its coroutine may continue on any worker
// of its runtime after every suspension.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/promise_base.hpp>
#include <blitzio/io/detail/runtime_access.hpp>

#include <coroutine>
#include <new>
#include <utility>

namespace blitzio
{

/// Lazy, move-only, awaited at most once, as an rvalue: `co_await f();` or `co_await std::move(t);`.
///
/// Cancellation: a task inherits the stop token of its awaiter; every operation inside it reacts.
/// Errors: what the coroutine throws is thrown again where it is awaited.
/// Lifetime: the frame is destroyed before the awaiting coroutine continues. Destroying a task that
/// was started and has not finished ends the process: its operations still refer to the frame.
/// Parameters of the coroutine are copied into the frame; references must outlive the await.
template <class T = void>
class [[nodiscard]] task
{
public:
    using value_type = T;

    class promise_type : public detail::result_promise<T>
    {
    public:
        task get_return_object() noexcept
        {
            return task(std::coroutine_handle<promise_type>::from_promise(*this));
        }
    };

    task() noexcept = default;

    task(task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}

    task& operator=(task&& other) noexcept
    {
        if (this != &other)
        {
            destroy();
            coroutine_ = std::exchange(other.coroutine_, nullptr);
        }
        return *this;
    }

    ~task()
    {
        destroy();
    }

    /// False for a default-constructed or moved-from task.
    explicit operator bool() const noexcept
    {
        return coroutine_ != nullptr;
    }

    class awaiter
    {
    public:
        explicit awaiter(task&& awaited) noexcept : awaited_(std::move(awaited)) {}

        [[nodiscard]] bool await_ready() const noexcept
        {
            return false;
        }

        template <class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept
        {
            static_assert(detail::has_environment<Promise>,
                          "blitzio tasks are awaited in blitzio::task coroutines");
            return detail::transfer(
                awaited_.begin(awaiting.promise().env(), detail::waiter::of(awaiting)));
        }

        T await_resume()
        {
            return awaited_.await_resume();
        }

    private:
        task awaited_;
    };

    awaiter operator co_await() && noexcept
    {
        return awaiter(std::move(*this));
    }

    /// The operation protocol, for combinators: runs until the first suspension.
    [[nodiscard]] bool start(const task_env& env, detail::waiter who) noexcept
    {
        detail::resume(begin(env, who));
        return true;
    }

    /// start() for an awaiter that can transfer: returns the coroutine to go on with.
    [[nodiscard]] std::coroutine_handle<> begin(const task_env& env, detail::waiter who) noexcept
    {
        coroutine_.promise().set_environment(env, who);
        return coroutine_;
    }

    /// The result of a finished task; destroys the frame first.
    T await_resume()
    {
        if (!coroutine_.promise().outcome().has_value()) [[unlikely]]
        {
            return rethrow();
        }
        // Straight from the frame to the caller.
        const frame_end after_return{coroutine_};
        if constexpr (!std::is_void_v<T>)
        {
            return std::move(coroutine_.promise().outcome().value());
        }
    }

    /// Like await_resume(), with the exception as a value.
    [[nodiscard]] detail::outcome_slot<T> take_outcome() noexcept
    {
        detail::outcome_slot<T> outcome(std::move(coroutine_.promise().outcome()));
        std::exchange(coroutine_, nullptr).destroy();
        return outcome;
    }

    /// The same into memory for a slot.
    void move_outcome_to(void* memory) noexcept
    {
        ::new (memory) detail::outcome_slot<T>(std::move(coroutine_.promise().outcome()));
        std::exchange(coroutine_, nullptr).destroy();
    }

private:
    /// What await_resume() does for a task that threw; apart, so that the rest is short enough to be
    /// a part of the awaiting coroutine.
    [[gnu::noinline]] T rethrow()
    {
        auto outcome = take_outcome();
        return outcome.take();
    }

    /// Destroys a finished frame.
    struct frame_end
    {
        std::coroutine_handle<promise_type>& coroutine;

        ~frame_end()
        {
            coroutine.destroy();
            // Last: the compiler, which cannot know what destroy() does, sees it in ~task().
            coroutine = nullptr;
        }
    };

    explicit task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}

    void destroy() noexcept
    {
        if (coroutine_ != nullptr)
        {
            if (!coroutine_.done()) [[unlikely]]
            {
                const auto& promise = coroutine_.promise();
                if (promise.started() && !promise.failed())
                {
                    detail::terminate_with("a task was destroyed while it was running");
                }
            }
            std::exchange(coroutine_, nullptr).destroy();
        }
    }

    std::coroutine_handle<promise_type> coroutine_;
};

} // namespace blitzio
