// Mutual exclusion between tasks: mutex, and guarded<T>, a value that is reached only with its lock.
// Thread rule: lock() in tasks; try_lock() and unlocking on any thread, tasks and others.
#pragma once

#include <blitzio/io/detail/assert.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/sync/detail/lock_core.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace blitzio::sync
{

/// A lock that tasks may hold across suspensions. Waiting tasks suspend, no thread blocks.
///
/// Fair: an unlock hands the lock to the task that waits longest; nobody overtakes, try_lock()
/// included. Not recursive.
/// Lifetime: outlives its guards and everybody who waits for it.
class mutex
{
public:
    class guard;
    class lock_operation;

    mutex() noexcept = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;

    ~mutex()
    {
        BLITZIO_ASSERT(!core_.is_held());
    }

    /// Awaited: result<guard>. No allocation.
    /// Cancellation: a stop request takes the waiter out of the queue and gives operation_canceled;
    /// a lock that was handed over before is delivered all the same.
    [[nodiscard]] lock_operation lock() noexcept;

    /// The lock, if it is free and nobody waits for it.
    [[nodiscard]] std::optional<guard> try_lock() noexcept;

    /// True while somebody holds the lock; may be outdated at once.
    [[nodiscard]] bool is_locked() const noexcept;

private:
    friend class condition_variable;

    void unlock() noexcept
    {
        if (detail::wait_node* const told = core_.release())
        {
            detail::wake_list::wake_chain(*told);
        }
    }

    detail::lock_core<> core_;
};

/// The right to be inside; gives it back when destroyed. May be moved into another task.
class [[nodiscard]] mutex::guard
{
public:
    guard() noexcept = default;

    guard(guard&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}

    guard& operator=(guard&& other) noexcept
    {
        if (this != &other)
        {
            unlock();
            owner_ = std::exchange(other.owner_, nullptr);
        }
        return *this;
    }

    ~guard()
    {
        unlock();
    }

    /// Unlocks early; does nothing when there is nothing to unlock.
    void unlock() noexcept
    {
        if (owner_ != nullptr)
        {
            std::exchange(owner_, nullptr)->unlock();
        }
    }

    [[nodiscard]] bool owns_lock() const noexcept
    {
        return owner_ != nullptr;
    }

private:
    friend mutex;
    friend class condition_variable;

    explicit guard(mutex& owner) noexcept : owner_(&owner) {}

    /// Another guard stands for the lock.
    void forget() noexcept
    {
        owner_ = nullptr;
    }

    mutex* owner_ = nullptr;
};

class mutex::lock_operation : public detail::wait_operation<mutex::lock_operation>
{
public:
    using wait_operation::join_choice;

    explicit lock_operation(mutex& wanted) noexcept : wanted_(&wanted) {}

    [[nodiscard]] result<guard> await_resume() noexcept
    {
        const auto decision = conclude();
        if (decision != detail::wait_status::granted)
        {
            return error_of(decision);
        }
        return guard(*wanted_);
    }

private:
    friend detail::wait_operation<lock_operation>;

    [[nodiscard]] bool attempt(detail::attempt_mode mode) noexcept
    {
        return wanted_->core_.acquire_or_enqueue(*this, mode);
    }

    [[nodiscard]] bool withdraw() noexcept
    {
        return wanted_->core_.withdraw(*this);
    }

    [[nodiscard]] bool goes_on() noexcept
    {
        return (status == detail::wait_status::granted && !wanted_->core_.charges_budget()) ||
               detail::consume_budget();
    }

    mutex* wanted_;
};

inline mutex::lock_operation mutex::lock() noexcept
{
    return lock_operation(*this);
}

inline std::optional<mutex::guard> mutex::try_lock() noexcept
{
    if (core_.try_acquire())
    {
        return guard(*this);
    }
    return std::nullopt;
}

inline bool mutex::is_locked() const noexcept
{
    return core_.is_held();
}

/// A value and the mutex that protects it: there is no way to the value without the lock.
///     if (auto cache = co_await guarded_cache.lock()) { (*cache)->insert(entry); }
template <class T>
class guarded
{
public:
    class access;
    class lock_operation;

    template <class... Args>
        requires std::constructible_from<T, Args...>
    explicit guarded(Args&&... args) : value_(std::forward<Args>(args)...)
    {
    }

    guarded(const guarded&) = delete;
    guarded& operator=(const guarded&) = delete;

    /// Awaited: result<access>. Everything else as mutex::lock().
    [[nodiscard]] lock_operation lock() noexcept
    {
        return lock_operation(*this);
    }

    [[nodiscard]] std::optional<access> try_lock() noexcept
    {
        auto held = mutex_.try_lock();
        if (!held)
        {
            return std::nullopt;
        }
        return access(*this, std::move(*held));
    }

private:
    mutex mutex_;
    T value_;
};

/// Like a pointer to the value; holds the lock.
template <class T>
class [[nodiscard]] guarded<T>::access
{
public:
    [[nodiscard]] T& operator*() const noexcept
    {
        BLITZIO_ASSERT(held_.owns_lock());
        return *value_;
    }

    [[nodiscard]] T* operator->() const noexcept
    {
        BLITZIO_ASSERT(held_.owns_lock());
        return value_;
    }

    /// Unlocks early; the value must not be touched afterwards.
    void unlock() noexcept
    {
        held_.unlock();
    }

    /// The lock itself, for condition_variable::wait().
    [[nodiscard]] mutex::guard& guard() noexcept
    {
        return held_;
    }

private:
    friend guarded;

    access(guarded& owner, mutex::guard held) noexcept
        : value_(std::addressof(owner.value_)), held_(std::move(held))
    {
    }

    T* value_;
    mutex::guard held_;
};

template <class T>
class guarded<T>::lock_operation : public detail::awaitable_base<guarded<T>::lock_operation>
{
public:
    explicit lock_operation(guarded& wanted) noexcept
        : wanted_(&wanted), locking_(wanted.mutex_.lock())
    {
    }

    [[nodiscard]] bool start(const task_env& env, detail::waiter who) noexcept
    {
        return locking_.start(env, who);
    }

    void join_choice(detail::choice& shared, std::size_t index) noexcept
    {
        locking_.join_choice(shared, index);
    }

    [[nodiscard]] result<access> await_resume() noexcept
    {
        auto held = locking_.await_resume();
        if (!held)
        {
            return fail(held.error());
        }
        return access(*wanted_, *std::move(held));
    }

private:
    guarded* wanted_;
    mutex::lock_operation locking_;
};

} // namespace blitzio::sync
