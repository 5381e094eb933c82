// Waiting, with a mutex, for a change of what the mutex protects.
// Thread rule: wait() in tasks that hold the mutex; notifying on any thread, with or without it.
#pragma once

#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/task.hpp>
#include <blitzio/io/task_env.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/detail/wait_queue.hpp>
#include <blitzio/sync/mutex.hpp>

#include <concepts>
#include <coroutine>
#include <utility>

namespace blitzio::sync
{

/// std::condition_variable for tasks. The mutex is held again whenever a wait has ended, also by
/// cancellation: getting it back cannot be cancelled, because the guard must stay true.
/// A notification goes to one that waits; nothing is kept for later (see notify for that).
/// Fair: waiting tasks are notified in order. A wait ends by a notification or a stop request only,
/// never by itself.
/// Lifetime: outlives everybody who waits for it. All waits at one time use the same mutex.
class condition_variable
{
public:
    class wait_operation;

    condition_variable() noexcept = default;
    condition_variable(const condition_variable&) = delete;
    condition_variable& operator=(const condition_variable&) = delete;

    void notify_one() noexcept;
    void notify_all() noexcept;

    /// Awaited: result<void>. Unlocks, waits for a notification, locks. No allocation.
    /// `held` has the lock and is neither moved nor destroyed meanwhile.
    /// Cancellation: operation_canceled, with the lock; no notification was used up, because one
    /// that was given before the stop request makes the wait succeed.
    [[nodiscard]] wait_operation wait(mutex::guard& held) noexcept;

    /// Awaited: result<void>, once `predicate()` is true. It is asked with the lock only, first of
    /// all before waiting; when it throws, the exception arrives here, with the lock.
    /// Cancellation: as above; `predicate` may have become true all the same. A wait whose
    /// predicate is true at the beginning succeeds even after a stop request.
    template <std::predicate Predicate>
    [[nodiscard]] task<result<void>> wait(mutex::guard& held, Predicate predicate);

    /// The same for the access to a guarded<T>.
    template <class Access>
        requires requires(Access& access) {
            { access.guard() } noexcept -> std::same_as<mutex::guard&>;
        }
    [[nodiscard]] wait_operation wait(Access& held) noexcept;

    template <class Access, std::predicate Predicate>
        requires requires(Access& access) {
            { access.guard() } noexcept -> std::same_as<mutex::guard&>;
        }
    [[nodiscard]] task<result<void>> wait(Access& held, Predicate predicate)
    {
        return wait(held.guard(), std::move(predicate));
    }

private:
    class notification;

    // Invariants while lock_ is free: whoever waits has given the mutex away, after it entered the
    // queue, so that who changes the state with the mutex afterwards finds it.
    // W2 and W3 of detail/semaphore_core.hpp hold as they are; there are no cases of selects, since
    // a wait has to get the mutex back before it ends.
    detail::spin_lock lock_;
    detail::wait_queue waiting_;
};

/// The first half of a wait: in the queue, without the mutex.
class condition_variable::notification
    : public detail::wait_operation<condition_variable::notification>
{
public:
    notification(condition_variable& awaited, mutex& lock) noexcept
        : awaited_(&awaited), lock_(&lock)
    {
    }

    /// operation_canceled, or that a notification has come.
    [[nodiscard]] result<void> await_resume() noexcept
    {
        const auto decision = conclude();
        if (decision != detail::wait_status::granted)
        {
            return error_of(decision);
        }
        return {};
    }

    /// False: the wait was cancelled before it gave the mutex away.
    [[nodiscard]] bool gave_mutex_away() const noexcept
    {
        return gave_mutex_away_;
    }

private:
    friend condition_variable;
    friend detail::wait_operation<condition_variable::notification>;

    [[nodiscard]] bool attempt(detail::attempt_mode mode) noexcept;
    [[nodiscard]] bool withdraw() noexcept;

    condition_variable* awaited_;
    mutex* lock_;
    bool gave_mutex_away_ = false;
};

class condition_variable::wait_operation
    : public detail::awaitable_base<condition_variable::wait_operation>
{
public:
    wait_operation(condition_variable& awaited, mutex::guard& held) noexcept;
    wait_operation(wait_operation&& other) noexcept; // only before start()

    [[nodiscard]] bool start(const task_env& env, detail::waiter who) noexcept;

    [[nodiscard]] result<void> await_resume() noexcept;

private:
    /// The second half: getting the mutex back, without a stop token.
    [[nodiscard]] static std::coroutine_handle<> lock_again(void* context) noexcept;

    notification notification_;
    mutex::lock_operation locking_;
    detail::runtime_core* runtime_ = nullptr;
    detail::waiter on_complete_;
    result<void> outcome_{};
    bool suspended_ = false;
};

template <std::predicate Predicate>
task<result<void>> condition_variable::wait(mutex::guard& held, Predicate predicate)
{
    while (!predicate())
    {
        auto notified = co_await wait(held);
        if (!notified)
        {
            co_return notified;
        }
    }
    co_return result<void>{};
}

template <class Access>
    requires requires(Access& access) {
        { access.guard() } noexcept -> std::same_as<mutex::guard&>;
    }
condition_variable::wait_operation condition_variable::wait(Access& held) noexcept
{
    return wait(held.guard());
}

} // namespace blitzio::sync
