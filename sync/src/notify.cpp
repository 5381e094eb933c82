// Ringing and waiting. Thread rule: any thread.
#include <blitzio/sync/notify.hpp>

namespace blitzio::sync
{

void notify::notify_one() noexcept
{
    detail::wait_node* told = nullptr;
    {
        detail::spin_guard held(lock_);
        if (waiting_.empty())
        {
            kept_ = true;
            return;
        }
        told = waiting_.front();
        if (told->case_number == 0) [[likely]]
        {
            waiting_.remove_front(detail::wait_status::granted);
            told->next = nullptr;
        }
        else
        {
            told = notify_case();
        }
    }
    detail::wake_list::wake_chain(*told);
}

detail::wait_node* notify::notify_case() noexcept
{
    detail::wake_list woken;
    kept_ = woken.grant_front(waiting_) == nullptr || kept_;
    return woken.chain();
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
