// Both halves of a wait. Thread rule: any thread.
#include <blitzio/sync/condition_variable.hpp>

#include <blitzio/io/detail/assert.hpp>

namespace blitzio::sync
{

void condition_variable::notify_one() noexcept
{
    detail::wait_node* woken = nullptr;
    {
        detail::spin_guard held(lock_);
        woken = waiting_.pop_front(detail::wait_status::granted);
    }
    if (woken != nullptr)
    {
        woken->wake();
    }
}

void condition_variable::notify_all() noexcept
{
    detail::wake_list released;
    {
        detail::spin_guard held(lock_);
        released.take_all(waiting_, detail::wait_status::granted);
    }
    released.wake_all();
}

bool condition_variable::notification::attempt(detail::attempt_mode mode) noexcept
{
    if (mode == detail::attempt_mode::only_try)
    {
        return false; // there is nothing to have without waiting
    }
    mutex* const lock = lock_; // once queued, this object may be gone
    {
        detail::spin_guard held(awaited_->lock_);
        if (status == detail::wait_status::cancelled)
        {
            return true;
        }
        gave_mutex_away_ = true;
        awaited_->waiting_.push_back(*this);
    }
    // After entering the queue: who changes the state afterwards, with the mutex, notifies us.
    lock->unlock();
    return false;
}

bool condition_variable::notification::withdraw() noexcept
{
    detail::spin_guard held(awaited_->lock_);
    return withdraw_from(awaited_->waiting_);
}

condition_variable::wait_operation::wait_operation(condition_variable& awaited,
                                                   mutex::guard& held) noexcept
    : notification_(awaited, *held.owner_), locking_(held.owner_->lock())
{
    BLITZIO_ASSERT(held.owns_lock());
}

condition_variable::wait_operation::wait_operation(wait_operation&& other) noexcept
    : notification_(std::move(other.notification_)), locking_(std::move(other.locking_))
{
}

condition_variable::wait_operation condition_variable::wait(mutex::guard& held) noexcept
{
    return {*this, held};
}

bool condition_variable::wait_operation::start(const task_env& env, detail::waiter who) noexcept
{
    runtime_ = env.runtime;
    on_complete_ = who;
    return notification_.start(env, {&wait_operation::lock_again, this});
}

std::coroutine_handle<> condition_variable::wait_operation::lock_again(void* context) noexcept
{
    auto& self = *static_cast<wait_operation*>(context);
    self.outcome_ = self.notification_.await_resume();
    self.suspended_ = true;
    if (!self.notification_.gave_mutex_away())
    {
        return self.on_complete_();
    }
    // No stop token: whoever waited has to have the lock in any case.
    const task_env uncancelled{.runtime = self.runtime_};
    const detail::waiter who = self.on_complete_;
    if (self.locking_.start(uncancelled, who))
    {
        return std::noop_coroutine();
    }
    return who();
}

result<void> condition_variable::wait_operation::await_resume() noexcept
{
    if (!suspended_)
    {
        return notification_.await_resume(); // decided inside start(), the mutex was kept
    }
    if (notification_.gave_mutex_away())
    {
        // The waiter's own guard stands for the lock again.
        locking_.await_resume()->forget();
    }
    return outcome_;
}

} // namespace blitzio::sync
