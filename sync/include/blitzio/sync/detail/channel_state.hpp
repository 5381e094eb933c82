// What the handles of one locked channel share: the values, and who waits.
// Thread rule: any thread; everything but the handle counts is guarded by one lock per channel,
// under which values are moved, and nothing is destroyed but what was moved from.
#pragma once

#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/sync/detail/channel_nodes.hpp>
#include <blitzio/sync/detail/channel_store.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/detail/wait_queue.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace blitzio::detail
{

// Invariants while the lock is free:
//   I1  while a receiver waits, the ring is empty and no sender waits;
//   I2  while a sender waits, the ring is full;
//   I3  after closed_ is set nobody waits and no value enters; what is in the ring can be received.
// They make the order first-in first-out without a comparison of ages: a value goes past the ring
// only when the ring is empty, and a sender's place in the queue is the place of its value.
// No value is lost: a value is in its sender's frame, in the ring, or in its receiver's frame, and
// it moves from one to the next under the lock together with the decision that this has happened.
template <class T, class Store = ring_store<T>>
class channel_state
{
    static_assert(is_channel_value<T>);

public:
    using value_type = T;
    using send_node = channel_send_node<T>;
    using receive_node = channel_receive_node<T>;

    /// One sender and one receiver exist. Throws std::bad_alloc.
    template <class... Args>
    explicit channel_state(Args... store_arguments) : store_(store_arguments...)
    {
    }

    channel_state(const channel_state&) = delete;
    channel_state& operator=(const channel_state&) = delete;

    ~channel_state()
    {
        BLITZIO_ASSERT(count() == 0); // the last receiver has emptied it
    }

    /// The meaning of the result is that of wait_operation's attempt().
    [[nodiscard]] bool send(send_node& node, attempt_mode mode) noexcept
    {
        if (mode == attempt_mode::only_try && seems_full())
        {
            return false; // another attempt follows, which does not go by the looks
        }
        receive_node* receiver = nullptr;
        {
            spin_guard held(lock_);
            if (node.status == wait_status::cancelled)
            {
                return true;
            }
            switch (offer(*node.source, receiver))
            {
            case channel_transfer::done: node.status = wait_status::granted; break;
            case channel_transfer::closed: node.status = wait_status::closed; break;
            case channel_transfer::would_wait:
                if (mode == attempt_mode::or_wait)
                {
                    senders_.push_back(node);
                }
                return false;
            }
        }
        wake(receiver);
        return true;
    }

    [[nodiscard]] channel_transfer try_send(T& value) noexcept
    {
        receive_node* receiver = nullptr;
        channel_transfer outcome;
        {
            spin_guard held(lock_);
            outcome = offer(value, receiver);
        }
        wake(receiver);
        return outcome;
    }

    /// Never waits, for stores without a bound. Throws std::bad_alloc, with the value as it was.
    [[nodiscard]] channel_transfer send_growing(T& value)
        requires requires { typename Store::block; }
    {
        receive_node* receiver = nullptr;
        channel_transfer outcome = channel_transfer::would_wait;
        typename Store::block* added = nullptr;
        typename Store::leftover surplus;
        for (;;)
        {
            {
                spin_guard held(lock_);
                if (added != nullptr)
                {
                    store_.give(added, surplus);
                }
                if (closed_ || !receivers_.empty() || store_.has_room())
                {
                    outcome = offer(value, receiver);
                    break;
                }
            }
            added = Store::block::make();
        }
        wake(receiver);
        return outcome;
    }

    [[nodiscard]] bool receive(receive_node& node, attempt_mode mode) noexcept
    {
        if (mode == attempt_mode::only_try && count() == 0)
        {
            return false; // as above
        }
        send_node* sender = nullptr;
        typename Store::leftover left;
        {
            spin_guard held(lock_);
            if (node.status == wait_status::cancelled)
            {
                return true;
            }
            switch (take(node.value, sender, left))
            {
            case channel_transfer::done: node.status = wait_status::granted; break;
            case channel_transfer::closed: node.status = wait_status::closed; break;
            case channel_transfer::would_wait:
                if (mode == attempt_mode::or_wait)
                {
                    receivers_.push_back(node);
                }
                return false;
            }
        }
        wake(sender);
        return true;
    }

    [[nodiscard]] channel_transfer try_receive(std::optional<T>& value) noexcept
    {
        send_node* sender = nullptr;
        channel_transfer outcome;
        typename Store::leftover left;
        {
            spin_guard held(lock_);
            outcome = take(value, sender, left);
        }
        wake(sender);
        return outcome;
    }

    /// No value enters any more; those inside can be received. Whoever waits is told.
    void close() noexcept
    {
        wake_list told;
        {
            spin_guard held(lock_);
            closed_ = true;
            told.take_all(receivers_, wait_status::closed);
            told.take_all(senders_, wait_status::closed);
        }
        told.wake_all();
    }

    [[nodiscard]] bool is_closed() const noexcept
    {
        spin_guard held(lock_);
        return closed_;
    }

    [[nodiscard]] std::size_t size() const noexcept
    {
        return count();
    }

    [[nodiscard]] std::size_t capacity() const noexcept
    {
        return store_.capacity();
    }

    /// For a stop request; as withdraw_node().
    [[nodiscard]] bool withdraw(send_node& node) noexcept
    {
        spin_guard held(lock_);
        return withdraw_node(senders_, node);
    }

    [[nodiscard]] bool withdraw(receive_node& node) noexcept
    {
        spin_guard held(lock_);
        return withdraw_node(receivers_, node);
    }

    /// After a wait has ended: nothing is left of a stop request.
    void sent() noexcept {}
    void received() noexcept {}

    void add_sender() noexcept
    {
        sender_handles_.fetch_add(1, std::memory_order_relaxed); // the copied handle keeps it > 0
    }

    void add_receiver() noexcept
    {
        receiver_handles_.fetch_add(1, std::memory_order_relaxed);
    }

    /// The handle is gone; the channel may be as well.
    void drop_sender() noexcept
    {
        // acq_rel, here and below: the last one sees all that the others did.
        if (sender_handles_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            close();
            drop_side();
        }
    }

    void drop_receiver() noexcept
    {
        if (receiver_handles_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            close();
            // Now rather than with the channel: a value may hold on to what somebody waits for.
            std::optional<T> left_over;
            while (try_receive(left_over) == channel_transfer::done)
            {
                left_over.reset();
            }
            drop_side();
        }
    }

private:
    template <class Waiter>
    static void wake(Waiter* woken) noexcept
    {
        if (woken != nullptr)
        {
            woken->wake();
        }
    }

    /// Lock held. `receiver` is set when the value went straight to it; the caller wakes it.
    [[nodiscard]] channel_transfer offer(T& value, receive_node*& receiver) noexcept
    {
        if (closed_)
        {
            return channel_transfer::closed;
        }
        if (wait_node* const first = receivers_.pop_front(wait_status::granted))
        {
            receiver = static_cast<receive_node*>(first);
            receiver->value.emplace(std::move(value));
            return channel_transfer::done;
        }
        if (count() == store_.capacity())
        {
            return channel_transfer::would_wait;
        }
        push(value);
        return channel_transfer::done;
    }

    /// Lock held. `sender` is set when its value went into the store or to the caller, who wakes it.
    [[nodiscard]] channel_transfer take(std::optional<T>& value, send_node*& sender,
                                        typename Store::leftover& left) noexcept
    {
        if (count() == 0 && senders_.empty())
        {
            return closed_ ? channel_transfer::closed : channel_transfer::would_wait;
        }
        sender = static_cast<send_node*>(senders_.pop_front(wait_status::granted));
        if (count() == 0) // no capacity: from frame to frame
        {
            value.emplace(std::move(*sender->source));
            return channel_transfer::done;
        }
        store_.pop(value, left);
        set_count(count() - 1);
        if (sender != nullptr)
        {
            push(*sender->source);
        }
        return channel_transfer::done;
    }

    void push(T& value) noexcept
    {
        store_.push(value);
        set_count(count() + 1);
    }

    /// Without the lock it says how things looked.
    [[nodiscard]] std::size_t count() const noexcept
    {
        return count_.load(std::memory_order_relaxed);
    }

    void set_count(std::size_t count) noexcept
    {
        count_.store(count, std::memory_order_relaxed);
    }

    [[nodiscard]] bool seems_full() const noexcept
    {
        return store_.capacity() != 0 && count() == store_.capacity();
    }

    void drop_side() noexcept
    {
        if (sides_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            delete this;
        }
    }

    mutable spin_lock lock_;
    bool closed_ = false;
    Store store_;
    std::atomic<std::size_t> count_{0}; // changed under the lock only
    wait_queue receivers_;
    wait_queue senders_;
    std::atomic<std::size_t> sender_handles_{1};
    std::atomic<std::size_t> receiver_handles_{1};
    std::atomic<std::uint8_t> sides_{2};
};

} // namespace blitzio::detail
