// What the ends of one sync::broadcast share: the last values, and who waits for the next.
// Thread rule: any thread; everything but the counts of ends is guarded by one lock, under which
// values are neither copied nor destroyed.
#pragma once

#include <blitzio/io/detail/assert.hpp>
#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/sync/detail/channel_nodes.hpp>
#include <blitzio/sync/detail/shared_value.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/detail/wait_queue.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace blitzio::detail
{

/// A receive that may wait. One of `value` and `missed` is set when it is granted.
template <class T>
struct broadcast_node : wait_node
{
    std::uint64_t* position = nullptr; // of the receiver
    value_reference<T> value;
    std::uint64_t missed = 0;
};

// Values are numbered from 0; tail_ is the number of the next one. Value n is in slot n % capacity
// until value n + capacity comes, or until all receivers that were there when it was sent have
// taken it or gone, whom `unread` counts.
// Invariants while the lock is free:
//   I1  a waiting receiver's position is tail_, and closed_ is not set (W1 of semaphore_core.hpp,
//       whose W2 to W4 hold as they are), but for cases of selects that chose another one;
//   I2  unread of value n is the number of receivers whose position is at most n and who subscribed
//       before it was sent; the slot has a value exactly while that is not 0.
template <class T>
class broadcast_state
{
public:
    using node = broadcast_node<T>;
    using cell = shared_value_cell<T>;

    /// One sender and one receiver exist. Throws std::bad_alloc.
    explicit broadcast_state(std::size_t capacity)
        : slots_(std::make_unique<slot[]>(capacity)), capacity_(capacity)
    {
    }

    broadcast_state(const broadcast_state&) = delete;
    broadcast_state& operator=(const broadcast_state&) = delete;

    /// The number of receivers that will see the value; 0 when it was refused, and `sent` then
    /// still has it.
    [[nodiscard]] std::size_t send(value_reference<T>& sent) noexcept
    {
        wake_list woken;
        value_reference<T> displaced; // destroyed without the lock
        std::size_t audience = 0;
        {
            spin_guard held(lock_);
            if (closed_ || receivers_ == 0)
            {
                return 0;
            }
            audience = receivers_;
            slot& last = slots_[tail_++ % capacity_];
            displaced = std::move(last.value);
            last.unread = receivers_;
            while (wait_node* const first = woken.grant_front(waiting_))
            {
                auto& waiting = *static_cast<node*>(first);
                waiting.value = sent;
                *waiting.position = tail_;
                --last.unread;
            }
            if (last.unread != 0)
            {
                last.value = std::move(sent);
            }
        }
        woken.wake_all();
        return audience;
    }

    /// The meaning of the result is that of wait_operation's attempt().
    [[nodiscard]] bool receive(node& wanting, attempt_mode mode) noexcept
    {
        spin_guard held(lock_);
        if (wanting.status == wait_status::cancelled)
        {
            return true;
        }
        if (*wanting.position != tail_)
        {
            if (decide(wanting, wait_status::granted))
            {
                static_cast<void>(take(*wanting.position, wanting.value, wanting.missed));
            }
            return true;
        }
        if (closed_)
        {
            static_cast<void>(decide(wanting, wait_status::closed));
            return true;
        }
        if (mode == attempt_mode::or_wait)
        {
            waiting_.push_back(wanting);
        }
        return false;
    }

    /// When done, either `value` is set, or `missed`.
    [[nodiscard]] channel_transfer try_receive(std::uint64_t& position, value_reference<T>& value,
                                               std::uint64_t& missed) noexcept
    {
        spin_guard held(lock_);
        return take(position, value, missed);
    }

    /// For a stop request; as withdraw_node().
    [[nodiscard]] bool withdraw(node& wanting) noexcept
    {
        spin_guard held(lock_);
        return withdraw_node(waiting_, wanting);
    }

    void close() noexcept
    {
        wake_list told;
        {
            spin_guard held(lock_);
            closed_ = true;
            told.take_all(waiting_, wait_status::closed);
        }
        told.wake_all();
    }

    [[nodiscard]] bool is_closed() const noexcept
    {
        spin_guard held(lock_);
        return closed_;
    }

    /// How many values a receiver at `position` has before it; those it missed do not count.
    [[nodiscard]] std::size_t unread_at(std::uint64_t position) const noexcept
    {
        spin_guard held(lock_);
        return std::min<std::size_t>(tail_ - position, capacity_);
    }

    [[nodiscard]] std::size_t receivers() const noexcept
    {
        spin_guard held(lock_);
        return receivers_;
    }

    [[nodiscard]] std::size_t capacity() const noexcept
    {
        return capacity_;
    }

    /// The position of a new receiver, which will see what is sent from now on.
    [[nodiscard]] std::uint64_t add_receiver() noexcept
    {
        ends_.fetch_add(1, std::memory_order_relaxed); // the caller's end keeps it > 0
        spin_guard held(lock_);
        ++receivers_;
        return tail_;
    }

    /// The state may be gone afterwards.
    void drop_receiver(std::uint64_t position) noexcept
    {
        std::uint64_t end = 0;
        {
            spin_guard held(lock_);
            --receivers_; // what is sent from now on does not count it
            end = tail_;
        }
        // One at a time: a long queue must not keep the lock from the others.
        while (position < end)
        {
            value_reference<T> unwanted;
            spin_guard held(lock_);
            position = std::max(position, oldest());
            if (position < end)
            {
                unwanted = take_slot(position++);
            }
        }
        drop_end();
    }

    void add_sender() noexcept
    {
        senders_.fetch_add(1, std::memory_order_relaxed); // the caller's end keeps both > 0
        ends_.fetch_add(1, std::memory_order_relaxed);
    }

    void drop_sender() noexcept
    {
        // acq_rel, here and below: the last one sees all that the others did.
        if (senders_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            close();
        }
        drop_end();
    }

private:
    struct slot
    {
        value_reference<T> value;
        std::size_t unread = 0;
    };

    /// Lock held: the oldest value that may still be there.
    [[nodiscard]] std::uint64_t oldest() const noexcept
    {
        return tail_ - std::min<std::uint64_t>(tail_, capacity_);
    }

    /// Lock held, for a receiver that passes this value.
    [[nodiscard]] value_reference<T> take_slot(std::uint64_t position) noexcept
    {
        slot& passed = slots_[position % capacity_];
        BLITZIO_ASSERT(passed.unread != 0 && passed.value);
        if (--passed.unread == 0)
        {
            return std::move(passed.value);
        }
        return passed.value;
    }

    [[nodiscard]] channel_transfer take(std::uint64_t& position, value_reference<T>& value,
                                        std::uint64_t& missed) noexcept
    {
        if (position < oldest())
        {
            missed = oldest() - position;
            position = oldest();
            return channel_transfer::done;
        }
        if (position == tail_)
        {
            return closed_ ? channel_transfer::closed : channel_transfer::would_wait;
        }
        value = take_slot(position++);
        return channel_transfer::done;
    }

    void drop_end() noexcept
    {
        if (ends_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            delete this;
        }
    }

    mutable spin_lock lock_;
    bool closed_ = false;
    const std::unique_ptr<slot[]> slots_;
    const std::size_t capacity_;
    std::uint64_t tail_ = 0;
    std::size_t receivers_ = 1;
    wait_queue waiting_;
    std::atomic<std::size_t> senders_{1};
    std::atomic<std::size_t> ends_{2};
};

} // namespace blitzio::detail
