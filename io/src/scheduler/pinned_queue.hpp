// What has to continue on one particular worker: the tasks of spawn_on() and spawn_local().
// Thread rule: push() from any thread; the rest by the worker.
#pragma once

#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/io/detail/waiter.hpp>

#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

namespace blitzio::detail
{

/// Two arrays: others add to the one, the worker works off the other. Between bursts they keep their
/// memory, so that a task that comes home again and again does not allocate.
///
/// No waiter is left behind: push() answers true for the first one since receive(), and its caller
/// sends the worker a message, in whose turn the worker calls receive(). So `incoming_` is empty, or
/// a message is on its way.
class pinned_queue
{
public:
    /// True: tell the worker. Ends the process when there is no memory: the waiter cannot be lost.
    [[nodiscard]] bool push(waiter who) noexcept
    {
        const std::lock_guard lock(lock_);
        incoming_.push_back(who);
        return incoming_.size() == 1;
    }

    /// The worker itself: behind everything that waits.
    void push_here(waiter who) noexcept
    {
        waiting_.push_back(who);
    }

    /// In the turn of the message.
    void receive() noexcept
    {
        const std::lock_guard lock(lock_);
        waiting_.insert(waiting_.end(), incoming_.begin(), incoming_.end());
        incoming_.clear();
    }

    /// Only when not empty().
    [[nodiscard]] waiter pop() noexcept
    {
        const waiter taken = waiting_[next_++];
        if (next_ == waiting_.size())
        {
            waiting_.clear();
            next_ = 0;
        }
        else if (next_ >= compact_at && next_ * 2 >= waiting_.size())
        {
            waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(next_));
            next_ = 0;
        }
        return taken;
    }

    [[nodiscard]] bool empty() const noexcept
    {
        return waiting_.empty();
    }

private:
    static constexpr std::size_t compact_at = 64;

    spin_lock lock_;
    std::vector<waiter> incoming_; // guarded by lock_
    std::vector<waiter> waiting_;
    std::size_t next_ = 0;
};

} // namespace blitzio::detail
