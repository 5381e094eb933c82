// Arriving, dropping out and giving up. Thread rule: any thread.
#include <blitzio/io/detail/assert.hpp>
#include <blitzio/sync/barrier.hpp>

namespace blitzio::sync
{

bool barrier::arrive_or_enqueue(node& arriving, detail::attempt_mode mode) noexcept
{
    detail::wake_list released;
    {
        detail::spin_guard held(lock_);
        if (arriving.status == detail::wait_status::cancelled)
        {
            return true;
        }
        if (participants_ == 0)
        {
            arriving.status = detail::wait_status::closed;
            return true;
        }
        if (arrived_ + 1 < participants_)
        {
            if (mode == detail::attempt_mode::or_wait)
            {
                ++arrived_;
                waiting_.push_back(arriving);
            }
            return false;
        }
        arrived_ = 0;
        arriving.status = detail::wait_status::granted;
        arriving.chosen = true;
        released.take_all(waiting_, detail::wait_status::granted);
    }
    released.wake_all();
    return true;
}

bool barrier::withdraw(node& arriving) noexcept
{
    detail::spin_guard held(lock_);
    if (!detail::withdraw_node(waiting_, arriving))
    {
        return false;
    }
    --arrived_;
    return true;
}

void barrier::arrive_and_drop() noexcept
{
    detail::wake_list released;
    {
        detail::spin_guard held(lock_);
        BLITZIO_ASSERT(participants_ != 0);
        --participants_;
        if (arrived_ == participants_ && arrived_ != 0)
        {
            arrived_ = 0;
            static_cast<node*>(waiting_.front())->chosen = true;
            released.take_all(waiting_, detail::wait_status::granted);
        }
    }
    released.wake_all();
}

std::size_t barrier::participants() const noexcept
{
    detail::spin_guard held(lock_);
    return participants_;
}

} // namespace blitzio::sync
