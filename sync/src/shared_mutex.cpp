// The parts of shared_mutex that look into its queue. Thread rule: any thread.
#include <blitzio/sync/shared_mutex.hpp>

namespace blitzio::sync
{

std::optional<shared_mutex::guard> shared_mutex::try_lock() noexcept
{
    detail::spin_guard held(lock_);
    return take_locked(false) ? std::optional<guard>(guard(*this)) : std::nullopt;
}

std::optional<shared_mutex::shared_guard> shared_mutex::try_lock_shared() noexcept
{
    detail::spin_guard held(lock_);
    return take_locked(true) ? std::optional<shared_guard>(shared_guard(*this)) : std::nullopt;
}

bool shared_mutex::acquire_or_enqueue(node& wanting, detail::attempt_mode mode) noexcept
{
    detail::spin_guard held(lock_);
    if (wanting.status == detail::wait_status::cancelled)
    {
        return true;
    }
    if (waiting_.empty() && may_enter(wanting.shared))
    {
        if (detail::decide(wanting, detail::wait_status::granted))
        {
            enter(wanting.shared);
        }
        return true;
    }
    if (mode == detail::attempt_mode::or_wait)
    {
        waiting_.push_back(wanting);
    }
    return false;
}

void shared_mutex::grant_locked(detail::wake_list& granted) noexcept
{
    while (detail::wait_node* const first = waiting_.front())
    {
        const bool shared = static_cast<node*>(first)->shared;
        if (!may_enter(shared))
        {
            return;
        }
        if (granted.grant_if_chosen(waiting_, *first))
        {
            enter(shared);
        }
    }
}

bool shared_mutex::withdraw(node& wanting) noexcept
{
    detail::wake_list granted;
    bool was_waiting = false;
    {
        detail::spin_guard held(lock_);
        was_waiting = detail::withdraw_node(waiting_, wanting);
        // It may have been the writer that kept the readers behind it out.
        grant_locked(granted);
    }
    granted.wake_all();
    return was_waiting;
}

void shared_mutex::unlock() noexcept
{
    detail::wake_list granted;
    {
        detail::spin_guard held(lock_);
        BLITZIO_ASSERT(writing_);
        writing_ = false;
        grant_locked(granted);
    }
    granted.wake_all();
}

void shared_mutex::unlock_shared() noexcept
{
    detail::wake_list granted;
    {
        detail::spin_guard held(lock_);
        BLITZIO_ASSERT(readers_ != 0);
        if (--readers_ == 0)
        {
            grant_locked(granted);
        }
    }
    granted.wake_all();
}

void shared_mutex::downgrade() noexcept
{
    detail::wake_list granted;
    {
        detail::spin_guard held(lock_);
        BLITZIO_ASSERT(writing_);
        writing_ = false;
        readers_ = 1;
        grant_locked(granted);
    }
    granted.wake_all();
}

} // namespace blitzio::sync
