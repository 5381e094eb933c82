// A flag that tasks wait for. It stays set until it is reset.
// Thread rule: wait() in tasks; everything else on any thread.
#pragma once

#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/detail/wait_queue.hpp>

namespace blitzio::sync
{

/// set() lets everybody go on who waits at that moment, even if reset() follows at once, and
/// everybody who waits later, until reset().
/// Lifetime: outlives everybody who waits for it. After a wait() that succeeded the event may be
/// destroyed if no further call is to come; that is_set() said true is not enough, because the
/// call to set() may still be under way.
class event
{
public:
    class wait_operation;

    explicit event(bool initially_set = false) noexcept : set_(initially_set) {}

    event(const event&) = delete;
    event& operator=(const event&) = delete;

    /// Setting twice is harmless.
    void set() noexcept;

    void reset() noexcept
    {
        detail::spin_guard held(lock_);
        set_ = false;
    }

    [[nodiscard]] bool is_set() const noexcept
    {
        detail::spin_guard held(lock_);
        return set_;
    }

    /// Awaited: result<void>. No allocation.
    /// Cancellation: gives operation_canceled; a set() that came before counts all the same.
    [[nodiscard]] wait_operation wait() noexcept;

private:
    // Invariants while lock_ is free:
    //   W1  nobody waits while set_ is true.
    // W2 to W4 of detail/semaphore_core.hpp hold as they are.
    mutable detail::spin_lock lock_;
    bool set_;
    detail::wait_queue waiting_;
};

class event::wait_operation : public detail::wait_operation<event::wait_operation>
{
public:
    using detail::wait_operation<event::wait_operation>::join_choice;

    explicit wait_operation(event& awaited) noexcept : awaited_(&awaited) {}

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
    friend detail::wait_operation<event::wait_operation>;

    [[nodiscard]] bool attempt(detail::attempt_mode mode) noexcept;
    [[nodiscard]] bool withdraw() noexcept;

    event* awaited_;
};

inline event::wait_operation event::wait() noexcept
{
    return wait_operation(*this);
}

} // namespace blitzio::sync
