// A bell without a memory longer than one ring: tasks wait for it, others ring it.
// Thread rule: wait() in tasks; everything else on any thread.
#pragma once

#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/detail/wait_queue.hpp>

namespace blitzio::sync
{

/// notify_one() lets the one go on that waits longest; when nobody waits, the next wait() does not
/// suspend. At most one such notification is kept, so this says "look again", not how often.
/// notify_all() lets everybody go on that waits now, and is not kept.
///     while (auto item = queue.take()) { ... }         // the state is elsewhere
///     co_await try_(changed.wait());
/// The behaviour is that of tokio::sync::Notify.
/// Lifetime: outlives everybody who waits for it.
class notify
{
public:
    class wait_operation;

    notify() noexcept = default;
    notify(const notify&) = delete;
    notify& operator=(const notify&) = delete;

    void notify_one() noexcept;
    void notify_all() noexcept;

    /// Awaited: result<void>. No allocation.
    /// Cancellation: gives operation_canceled and has used up no notification. One that was given
    /// before the stop request counts: the wait succeeds. So no notify_one() is lost.
    [[nodiscard]] wait_operation wait() noexcept;

private:
    /// notify_one() with the lock held, when the first that waits is a case of a select. Gives a
    /// chain to wake.
    [[nodiscard, gnu::noinline]] detail::wait_node* notify_case() noexcept;

    // Invariants while lock_ is free:
    //   W1  nobody waits while a notification is kept, but cases of selects that chose another one.
    // W2 to W4 of detail/semaphore_core.hpp hold as they are.
    detail::spin_lock lock_;
    bool kept_ = false;
    detail::wait_queue waiting_;
};

class notify::wait_operation : public detail::wait_operation<notify::wait_operation>
{
public:
    using detail::wait_operation<notify::wait_operation>::join_choice;

    explicit wait_operation(notify& awaited) noexcept : awaited_(&awaited) {}

    [[nodiscard]] result<void> await_resume() noexcept
    {
        const auto decision = conclude();
        if (decision != detail::wait_status::granted)
        {
            return error_of(decision);
        }
        return {};
    }

private:
    friend detail::wait_operation<notify::wait_operation>;

    [[nodiscard]] bool attempt(detail::attempt_mode mode) noexcept;
    [[nodiscard]] bool withdraw() noexcept;

    notify* awaited_;
};

inline notify::wait_operation notify::wait() noexcept
{
    return wait_operation(*this);
}

} // namespace blitzio::sync
