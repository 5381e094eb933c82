// Setting an event and waiting for it. Thread rule: any thread.
#include <blitzio/sync/event.hpp>

namespace blitzio::sync
{

void event::set() noexcept
{
    detail::wake_list released;
    {
        detail::spin_guard held(lock_);
        set_ = true;
        released.take_all(waiting_, detail::wait_status::granted);
    }
    // The event is not touched any more: those that go on may destroy it.
    released.wake_all();
}

bool event::wait_operation::attempt(detail::attempt_mode mode) noexcept
{
    // The lock is needed even to see that the flag is set: whoever goes on may destroy the event,
    // and set() must have left it by then.
    detail::spin_guard held(awaited_->lock_);
    if (status == detail::wait_status::cancelled)
    {
        return true;
    }
    if (awaited_->set_)
    {
        static_cast<void>(detail::decide(*this, detail::wait_status::granted));
        return true;
    }
    if (mode == detail::attempt_mode::or_wait)
    {
        awaited_->waiting_.push_back(*this);
    }
    return false;
}

bool event::wait_operation::withdraw() noexcept
{
    detail::spin_guard held(awaited_->lock_);
    return withdraw_from(awaited_->waiting_);
}

} // namespace blitzio::sync
