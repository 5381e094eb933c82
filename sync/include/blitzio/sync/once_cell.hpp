// A value that is made when it is first needed, by one task, while the others wait for it.
// Thread rule: get_or_init() in tasks; everything else on any thread.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/task.hpp>
#include <blitzio/sync/mutex.hpp>

#include <atomic>
#include <concepts>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio::sync
{

/// Written once, read for ever: after that the value is reached without a lock.
///     sync::once_cell<connection_pool> pool;
///     auto& ready = *co_await try_(pool.get_or_init([&] { return open_pool(config); }));
/// Lifetime: outlives everybody who waits for it and uses the value.
template <class T>
class once_cell
{
public:
    template <class Initialiser>
    class init_operation;

    once_cell() noexcept = default;
    once_cell(const once_cell&) = delete;
    once_cell& operator=(const once_cell&) = delete;

    ~once_cell() = default;

    /// The value, or null when it has not been made.
    [[nodiscard]] T* get() noexcept
    {
        // Acquire: partner is the release in store().
        return ready_.load(std::memory_order_acquire) ? std::addressof(*value_) : nullptr;
    }

    [[nodiscard]] const T* get() const noexcept
    {
        return ready_.load(std::memory_order_acquire) ? std::addressof(*value_) : nullptr;
    }

    /// Gives the value without an initialiser. False, and `value` is as it was: there is one, or
    /// one is being made.
    [[nodiscard]] bool set(T&& value)
    {
        auto held = lock_.try_lock();
        if (!held || get() != nullptr)
        {
            return false;
        }
        store(std::move(value));
        return true;
    }

    /// Awaited: result<T*>, never null on success. When there is no value, `initialise()` is called
    /// and what it returns is awaited: a task<T>, a task<result<T>> or another operation. Others
    /// who come meanwhile wait, in order.
    /// Cancellation and errors: one who waits gets operation_canceled. An initialiser that fails,
    /// throws or is cancelled ends its own call with that error or exception, and the one who
    /// waits longest calls its own. A value that is there is given even after a stop request.
    /// No allocation when the value is there or is waited for, but for a frame from the pool.
    template <std::invocable Initialiser>
    [[nodiscard]] init_operation<Initialiser> get_or_init(Initialiser initialise)
    {
        return {*this, std::move(initialise)};
    }

private:
    template <class Value>
    void store(Value&& value)
    {
        value_.emplace(std::forward<Value>(value));
        // Release: partner is the acquire in get().
        ready_.store(true, std::memory_order_release);
    }

    template <class Initialiser>
    task<result<T*>> make(Initialiser initialise)
    {
        auto held = co_await lock_.lock();
        if (T* const made = get())
        {
            co_return made; // by the one before, even when this one was told to stop meanwhile
        }
        if (!held)
        {
            co_return fail(held.error());
        }
        using outcome_type = await_result_t<std::invoke_result_t<Initialiser>>;
        auto outcome = co_await std::invoke(initialise);
        if constexpr (is_result<outcome_type> && !std::constructible_from<T, outcome_type>)
        {
            if (!outcome)
            {
                co_return fail(outcome.error());
            }
            store(*std::move(outcome));
        }
        else
        {
            store(std::move(outcome));
        }
        co_return get();
    }

    // Invariants: value_ is written once, by who holds lock_ and has seen ready_ false with it, and
    // before ready_ is set, which is for good. All waiting is that for lock_ (see lock_core.hpp).
    mutex lock_; // held by the one that makes the value
    std::atomic<bool> ready_{false};
    std::optional<T> value_;
};

template <class T>
template <class Initialiser>
class once_cell<T>::init_operation
    : public detail::awaitable_base<once_cell<T>::init_operation<Initialiser>>
{
public:
    init_operation(once_cell& cell, Initialiser initialise) noexcept(
        std::is_nothrow_move_constructible_v<Initialiser>)
        : cell_(&cell), initialise_(std::move(initialise))
    {
    }

    [[nodiscard]] bool start(const task_env& env, detail::waiter who) noexcept
    {
        if (cell_->get() != nullptr)
        {
            return false;
        }
        try
        {
            making_.emplace(cell_->make(std::move(initialise_)));
        }
        catch (...)
        {
            no_frame_ = std::current_exception();
            return false;
        }
        return making_->start(env, who);
    }

    [[nodiscard]] result<T*> await_resume()
    {
        if (no_frame_ != nullptr)
        {
            std::rethrow_exception(no_frame_);
        }
        if (making_)
        {
            return making_->await_resume();
        }
        return cell_->get();
    }

private:
    once_cell* cell_;
    Initialiser initialise_;
    std::optional<task<result<T*>>> making_;
    std::exception_ptr no_frame_;
};

} // namespace blitzio::sync
