// generator<T>: a coroutine that gives values one by one, and may wait for operations in between.
//
//     generator<std::string> lines(tcp_stream& stream)
//     {
//         while (auto line = co_await try_(read_line(stream)))     // an error ends the generator
//             co_yield *std::move(line);
//     }
//
// It is the simplest source of a stream: `lines(stream) | filter(...) | for_each(...)`.
// Thread rule: belongs to one owner at a time; may continue on any worker after every suspension.
#pragma once

#include <blitzio/io/detail/frame_pool.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/start_gate.hpp>
#include <blitzio/io/detail/stream_step.hpp>
#include <blitzio/io/try.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <system_error>
#include <utility>

namespace blitzio
{

/// Lazy and move-only. Runs only while somebody awaits next(), in the environment of that awaiter,
/// whose stop request reaches the operation in progress; what the generator makes of that is its own
/// affair (with try_ it ends, with operation_canceled).
///
/// The end: `co_return`, or the end of the body. An error: try_, or `co_yield fail(...)`, which does
/// not return. What the body throws is thrown from next(). After any of them next() gives the end.
/// Lifetime: nothing runs between two calls of next(), so a generator may be dropped then; its locals
/// are destroyed. Dropping it while next() is under way ends the process.
template <class T>
class [[nodiscard]] generator
{
public:
    using value_type = T;
    class promise_type;
    class next_operation;

    generator() noexcept = default;

    generator(generator&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}

    generator& operator=(generator&& other) noexcept
    {
        if (this != &other)
        {
            destroy();
            coroutine_ = std::exchange(other.coroutine_, nullptr);
        }
        return *this;
    }

    ~generator()
    {
        destroy();
    }

    /// Awaited: stream_step<T>. No allocation.
    [[nodiscard]] next_operation next() noexcept
    {
        return next_operation(*this);
    }

private:
    explicit generator(std::coroutine_handle<promise_type> coroutine) noexcept
        : coroutine_(coroutine)
    {
    }

    void destroy() noexcept
    {
        if (coroutine_ != nullptr)
        {
            if (coroutine_.promise().running_)
            {
                detail::terminate_with("a generator was destroyed while it was running");
            }
            std::exchange(coroutine_, nullptr).destroy();
        }
    }

    std::coroutine_handle<promise_type> coroutine_;
};

template <class T>
class generator<T>::promise_type
{
    /// Keeps the value in the generator's frame until it goes on.
    struct yield_awaiter
    {
        T value;

        [[nodiscard]] bool await_ready() const noexcept
        {
            return false;
        }

        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> yielding) noexcept
        {
            auto& promise = yielding.promise();
            promise.current_ = std::addressof(value);
            return detail::transfer(promise.hand_over());
        }

        void await_resume() const noexcept {}
    };

    struct end_awaiter
    {
        [[nodiscard]] bool await_ready() const noexcept
        {
            return false;
        }

        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> ended) noexcept
        {
            return detail::transfer(ended.promise().hand_over());
        }

        void await_resume() const noexcept {}
    };

public:
    static void* operator new(std::size_t bytes)
    {
        return detail::allocate_frame(bytes);
    }

    static void operator delete(void* memory, std::size_t bytes) noexcept
    {
        detail::deallocate_frame(memory, bytes);
    }

    generator get_return_object() noexcept
    {
        return generator(std::coroutine_handle<promise_type>::from_promise(*this));
    }

    std::suspend_always initial_suspend() const noexcept
    {
        return {};
    }

    end_awaiter final_suspend() const noexcept
    {
        return {};
    }

    void return_void() const noexcept {}

    void unhandled_exception() noexcept
    {
        exception_ = std::current_exception();
    }

    template <class Value = T>
        requires std::constructible_from<T, Value>
    yield_awaiter yield_value(Value&& value)
    {
        return {T(std::forward<Value>(value))};
    }

    /// `co_yield fail(...)`: the end, with an error.
    end_awaiter yield_value(std::unexpected<std::error_code> error) noexcept
    {
        error_ = error.error();
        return {};
    }

    [[nodiscard]] const task_env& env() const noexcept
    {
        return *env_;
    }

    /// For try_.
    [[nodiscard]] std::coroutine_handle<> end_with_error(std::error_code error) noexcept
    {
        error_ = error;
        return hand_over(&detail::complete_bounded);
    }

private:
    friend generator;
    friend next_operation;

    void prepare(const task_env& env, detail::waiter who, bool gated) noexcept
    {
        env_ = &env;
        on_step_ = who;
        gated_ = gated;
        current_ = nullptr;
        running_ = true;
        if (gated)
        {
            gate_.begin();
        }
    }

    /// A value is there, or the end. The last access to the frame.
    [[nodiscard]] std::coroutine_handle<> hand_over(
        std::coroutine_handle<> (*complete)(detail::waiter) noexcept = &invoke) noexcept
    {
        running_ = false;
        const detail::waiter who = on_step_;
        if (gated_ && !gate_.end())
        {
            return std::noop_coroutine(); // start() goes on by itself
        }
        return complete(who);
    }

    static std::coroutine_handle<> invoke(detail::waiter who) noexcept
    {
        return who();
    }

    const task_env* env_ = nullptr;
    detail::waiter on_step_;
    T* current_ = nullptr;
    std::exception_ptr exception_;
    std::error_code error_;
    detail::start_gate<> gate_;
    bool gated_ = false;
    bool running_ = false;
};

template <class T>
class generator<T>::next_operation
{
public:
    explicit next_operation(generator& source) noexcept : source_(&source) {}

    [[nodiscard]] bool await_ready() const noexcept
    {
        return source_->coroutine_ == nullptr;
    }

    /// A jump, so that a loop does not grow the stack, and without the gate's atomics.
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> awaiting) noexcept
    {
        static_assert(detail::has_environment<Promise>,
                      "blitzio generators are awaited in blitzio coroutines");
        source_->coroutine_.promise().prepare(awaiting.promise().env(),
                                              detail::waiter::of(awaiting), false);
        return detail::transfer(source_->coroutine_);
    }

    [[nodiscard]] bool start(const task_env& env, detail::waiter who) noexcept
    {
        if (source_->coroutine_ == nullptr)
        {
            return false;
        }
        auto& promise = source_->coroutine_.promise();
        promise.prepare(env, who, true);
        detail::resume(source_->coroutine_);
        return promise.gate_.suspend();
    }

    stream_step<T> await_resume()
    {
        if (source_->coroutine_ == nullptr)
        {
            return detail::end_step<T>();
        }
        auto& promise = source_->coroutine_.promise();
        if (promise.current_ != nullptr)
        {
            return detail::make_step<T>(std::move(*promise.current_));
        }
        const auto error = promise.error_;
        auto exception = std::move(promise.exception_);
        source_->destroy();
        if (exception != nullptr)
        {
            std::rethrow_exception(std::move(exception));
        }
        if (error)
        {
            return fail(error);
        }
        return detail::end_step<T>();
    }

private:
    generator* source_;
};

} // namespace blitzio
