// Readers together or one writer alone: shared_mutex, and shared_guarded<T>, a value that is reached
// only with its lock.
// Thread rule: the lock operations in tasks; the try_ forms and unlocking on any thread.
#pragma once

#include <blitzio/io/detail/assert.hpp>
#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/detail/wait_queue.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio::sync
{

/// Fair: whoever waits is served in the order of arrival, readers that stand next to each other
/// together. A waiting writer keeps new readers out, so it cannot starve; the readers behind it go
/// on when it is done or gives up. The try_ forms do not overtake. Not recursive: a reader that
/// reads again behind a waiting writer waits for itself.
/// Lifetime: outlives its guards and everybody who waits for it.
class shared_mutex
{
public:
    class guard;
    class shared_guard;
    class lock_operation;
    class lock_shared_operation;

    shared_mutex() noexcept = default;
    shared_mutex(const shared_mutex&) = delete;
    shared_mutex& operator=(const shared_mutex&) = delete;

    ~shared_mutex()
    {
        BLITZIO_ASSERT(!writing_ && readers_ == 0);
    }

    /// Awaited: result<guard>, alone. No allocation.
    /// Cancellation: a stop request takes the waiter out of the queue and gives operation_canceled;
    /// a lock that was handed over before is delivered all the same. Those behind it go on.
    [[nodiscard]] lock_operation lock() noexcept;

    /// Awaited: result<shared_guard>, with other readers. Otherwise as lock().
    [[nodiscard]] lock_shared_operation lock_shared() noexcept;

    /// The lock alone, if nobody has it.
    [[nodiscard]] std::optional<guard> try_lock() noexcept;

    /// The lock with others, if no writer has it and nobody waits for it.
    [[nodiscard]] std::optional<shared_guard> try_lock_shared() noexcept;

private:
    struct node : detail::wait_node
    {
        bool shared = false;
    };

    [[nodiscard]] bool may_enter(bool shared) const noexcept;
    void enter(bool shared) noexcept;
    [[nodiscard]] bool take_locked(bool shared) noexcept;
    [[nodiscard]] bool acquire_or_enqueue(node& wanting, detail::attempt_mode mode) noexcept;
    [[nodiscard]] bool withdraw(node& wanting) noexcept;
    void grant_locked(detail::wake_list& granted) noexcept;
    void unlock() noexcept;
    void unlock_shared() noexcept;
    void downgrade() noexcept;

    template <class Derived, bool Shared>
    class operation;

    // Invariants while lock_ is free: at most one writer, and none beside readers.
    //   W1  when somebody waits, the first cannot be let in.
    // W2 to W4 of detail/semaphore_core.hpp hold as they are.
    detail::spin_lock lock_;
    bool writing_ = false;
    std::uint32_t readers_ = 0;
    detail::wait_queue waiting_;
};

/// The right to read; gives it back when destroyed. May be moved into another task.
class [[nodiscard]] shared_mutex::shared_guard
{
public:
    shared_guard() noexcept = default;

    shared_guard(shared_guard&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}

    shared_guard& operator=(shared_guard&& other) noexcept
    {
        if (this != &other)
        {
            unlock();
            owner_ = std::exchange(other.owner_, nullptr);
        }
        return *this;
    }

    ~shared_guard()
    {
        unlock();
    }

    /// Unlocks early; does nothing when there is nothing to unlock.
    void unlock() noexcept
    {
        if (owner_ != nullptr)
        {
            std::exchange(owner_, nullptr)->unlock_shared();
        }
    }

    [[nodiscard]] bool owns_lock() const noexcept
    {
        return owner_ != nullptr;
    }

private:
    friend shared_mutex;

    explicit shared_guard(shared_mutex& owner) noexcept : owner_(&owner) {}

    shared_mutex* owner_ = nullptr;
};

/// The right to write; gives it back when destroyed. May be moved into another task.
class [[nodiscard]] shared_mutex::guard
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

    /// Becomes a reader, with no writer in between; readers that wait at the head of the queue come
    /// in as well. This guard has nothing afterwards. It must own the lock.
    [[nodiscard]] shared_guard downgrade() noexcept
    {
        BLITZIO_ASSERT(owns_lock());
        shared_mutex& owner = *std::exchange(owner_, nullptr);
        owner.downgrade();
        return shared_guard(owner);
    }

    [[nodiscard]] bool owns_lock() const noexcept
    {
        return owner_ != nullptr;
    }

private:
    friend shared_mutex;

    explicit guard(shared_mutex& owner) noexcept : owner_(&owner) {}

    shared_mutex* owner_ = nullptr;
};

template <class Derived, bool Shared>
class shared_mutex::operation : public detail::wait_operation<Derived, shared_mutex::node>
{
public:
    using guard_type = std::conditional_t<Shared, shared_guard, guard>;

    using detail::wait_operation<Derived, shared_mutex::node>::join_choice;

    explicit operation(shared_mutex& wanted) noexcept : wanted_(&wanted)
    {
        this->shared = Shared;
    }

    operation(operation&& other) noexcept : operation(*other.wanted_) {}

    [[nodiscard]] result<guard_type> await_resume() noexcept
    {
        const auto decision = this->conclude();
        if (decision != detail::wait_status::granted)
        {
            return this->error_of(decision);
        }
        return guard_type(*wanted_);
    }

private:
    friend detail::wait_operation<Derived, shared_mutex::node>;

    [[nodiscard]] bool attempt(detail::attempt_mode mode) noexcept
    {
        return wanted_->acquire_or_enqueue(*this, mode);
    }

    [[nodiscard]] bool withdraw() noexcept
    {
        return wanted_->withdraw(*this);
    }

    shared_mutex* wanted_;
};

class shared_mutex::lock_operation
    : public shared_mutex::operation<shared_mutex::lock_operation, false>
{
    using operation::operation;
};

class shared_mutex::lock_shared_operation
    : public shared_mutex::operation<shared_mutex::lock_shared_operation, true>
{
    using operation::operation;
};

inline shared_mutex::lock_operation shared_mutex::lock() noexcept
{
    return lock_operation(*this);
}

inline shared_mutex::lock_shared_operation shared_mutex::lock_shared() noexcept
{
    return lock_shared_operation(*this);
}

inline bool shared_mutex::may_enter(bool shared) const noexcept
{
    return !writing_ && (shared || readers_ == 0);
}

inline void shared_mutex::enter(bool shared) noexcept
{
    writing_ = !shared;
    readers_ += shared ? 1 : 0;
}

inline bool shared_mutex::take_locked(bool shared) noexcept
{
    if (!waiting_.empty() || !may_enter(shared))
    {
        return false;
    }
    enter(shared);
    return true;
}

/// A value that many read or one changes:
///     auto config = co_await try_(guarded_config.lock_shared());
///     use(config->limit);
template <class T>
class shared_guarded
{
    template <class Value, class Guard>
    class access_through;
    template <class Access, class Locking>
    class access_operation;

public:
    /// Like a pointer to the value; holds the lock.
    using access = access_through<T, shared_mutex::guard>;
    using shared_access = access_through<const T, shared_mutex::shared_guard>;

    template <class... Args>
        requires std::constructible_from<T, Args...>
    explicit shared_guarded(Args&&... args) : value_(std::forward<Args>(args)...)
    {
    }

    shared_guarded(const shared_guarded&) = delete;
    shared_guarded& operator=(const shared_guarded&) = delete;

    /// Awaited: result<access>. Everything else as shared_mutex::lock().
    [[nodiscard]] auto lock() noexcept
    {
        return access_operation<access, shared_mutex::lock_operation>(value_, mutex_.lock());
    }

    /// Awaited: result<shared_access>. Everything else as shared_mutex::lock_shared().
    [[nodiscard]] auto lock_shared() noexcept
    {
        return access_operation<shared_access, shared_mutex::lock_shared_operation>(
            value_, mutex_.lock_shared());
    }

    [[nodiscard]] std::optional<access> try_lock() noexcept
    {
        auto held = mutex_.try_lock();
        return held ? std::optional<access>(access(value_, *std::move(held))) : std::nullopt;
    }

    [[nodiscard]] std::optional<shared_access> try_lock_shared() noexcept
    {
        auto held = mutex_.try_lock_shared();
        return held ? std::optional<shared_access>(shared_access(value_, *std::move(held)))
                    : std::nullopt;
    }

private:
    shared_mutex mutex_;
    T value_;
};

template <class T>
template <class Value, class Guard>
class [[nodiscard]] shared_guarded<T>::access_through
{
public:
    [[nodiscard]] Value& operator*() const noexcept
    {
        BLITZIO_ASSERT(held_.owns_lock());
        return *value_;
    }

    [[nodiscard]] Value* operator->() const noexcept
    {
        BLITZIO_ASSERT(held_.owns_lock());
        return value_;
    }

    /// Unlocks early; the value must not be touched afterwards.
    void unlock() noexcept
    {
        held_.unlock();
    }

private:
    friend shared_guarded;

    access_through(Value& value, Guard held) noexcept
        : value_(std::addressof(value)), held_(std::move(held))
    {
    }

    Value* value_;
    Guard held_;
};

template <class T>
template <class Access, class Locking>
class shared_guarded<T>::access_operation
    : public detail::awaitable_base<access_operation<Access, Locking>>
{
public:
    access_operation(T& value, Locking locking) noexcept
        : value_(std::addressof(value)), locking_(std::move(locking))
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

    [[nodiscard]] result<Access> await_resume() noexcept
    {
        auto held = locking_.await_resume();
        if (!held)
        {
            return fail(held.error());
        }
        return Access(*value_, *std::move(held));
    }

private:
    T* value_;
    Locking locking_;
};

} // namespace blitzio::sync
