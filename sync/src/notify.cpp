// Ringing and waiting. Thread rule: any thread.
#include <blitzio/sync/notify.hpp>

namespace blitzio::sync
{

void notify::notify_one() noexcept
{
    detail::wake_list woken;
    {
        detail::spin_guard held(lock_);
        kept_ = woken.grant_front(waiting_) == nullptr || kept_;
    }
    woken.wake_all();
}

void notify::notify_all() noexcept
{
    detail::wake_list released;
    {
        detail::spin_guard held(lock_);
        released.take_all(waiting_, detail::wait_status::granted);
    }
    released.wake_all();
}

bool notify::wait_operation::attempt(detail::attempt_mode mode) noexcept
{
    detail::spin_guard held(awaited_->lock_);
    if (status == detail::wait_status::cancelled)
    {
        return true;
    }
    if (awaited_->kept_)
    {
        awaited_->kept_ = !detail::decide(*this, detail::wait_status::granted);
        return true;
    }
    if (mode == detail::attempt_mode::or_wait)
    {
        awaited_->waiting_.push_back(*this);
    }
    return false;
}

bool notify::wait_operation::withdraw() noexcept
{
    detail::spin_guard held(awaited_->lock_);
    return withdraw_from(awaited_->waiting_);
}

} // namespace blitzio::sync
