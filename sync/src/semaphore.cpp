// The parts of semaphore that look into its queue. Thread rule: any thread.
#include <blitzio/sync/semaphore.hpp>

#include <limits>

namespace blitzio::sync
{

bool semaphore::may_take(std::size_t count) const noexcept
{
    return waiting_.empty() && available_ >= count;
}

bool semaphore::take_locked(std::size_t count) noexcept
{
    if (!may_take(count))
    {
        return false;
    }
    available_ -= count;
    return true;
}

bool semaphore::acquire_or_enqueue(acquire_operation& wanting, detail::attempt_mode mode) noexcept
{
    detail::spin_guard held(lock_);
    if (wanting.status == detail::wait_status::cancelled)
    {
        return true;
    }
    if (may_take(wanting.count_))
    {
        if (detail::decide(wanting, detail::wait_status::granted))
        {
            available_ -= wanting.count_;
        }
        return true;
    }
    if (mode == detail::attempt_mode::or_wait)
    {
        waiting_.push_back(wanting);
    }
    return false;
}

void semaphore::grant_locked(detail::wake_list& granted) noexcept
{
    while (detail::wait_node* const first = waiting_.front())
    {
        const std::size_t wanted = static_cast<acquire_operation*>(first)->count_;
        if (available_ < wanted)
        {
            return;
        }
        if (granted.grant_if_chosen(waiting_, *first))
        {
            available_ -= wanted;
        }
    }
}

bool semaphore::withdraw(acquire_operation& wanting) noexcept
{
    detail::wake_list granted;
    bool was_waiting = false;
    {
        detail::spin_guard held(lock_);
        was_waiting = wanting.withdraw_from(waiting_);
        // It may have been the one that wanted too much for those behind it.
        grant_locked(granted);
    }
    granted.wake_all();
    return was_waiting;
}

void semaphore::release(std::size_t count) noexcept
{
    detail::wake_list granted;
    {
        detail::spin_guard held(lock_);
        BLITZIO_ASSERT(count <= std::numeric_limits<std::size_t>::max() - available_);
        available_ += count;
        grant_locked(granted);
    }
    granted.wake_all();
}

std::size_t semaphore::available() const noexcept
{
    detail::spin_guard held(lock_);
    return available_;
}

} // namespace blitzio::sync
