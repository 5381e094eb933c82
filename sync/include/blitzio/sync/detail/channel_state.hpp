// What the handles of one sync::channel share: the ring of values, and who waits.
// Thread rule: any thread; everything but the handle counts is guarded by one lock per channel,
// under which values are moved, and nothing is destroyed but what was moved from.
#pragma once

#include <blitzio/sync/detail/spin_lock.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/detail/wait_queue.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio::detail
{

/// A send that may wait; its value stays in place until it is taken from there.
template <class T>
struct channel_send_node : wait_node
{
    T* source = nullptr;
};

/// A receive that may wait; a sender puts the value here.
template <class T>
struct channel_receive_node : wait_node
{
    std::optional<T> value;
};

/// How an attempt to pass a value on ended.
enum class channel_transfer : std::uint8_t
{
    done,
    would_wait, // full, or empty
    closed,
};

// Invariants while the lock is free:
//   I1  while a receiver waits, the ring is empty and no sender waits;
//   I2  while a sender waits, the ring is full;
//   I3  after closed_ is set nobody waits and no value enters; what is in the ring can be received.
// They make the order first-in first-out without a comparison of ages: a value goes past the ring
// only when the ring is empty, and a sender's place in the queue is the place of its value.
// No value is lost: a value is in its sender's frame, in the ring, or in its receiver's frame, and
// it moves from one to the next under the lock together with the decision that this has happened.
template <class T>
class channel_state
{
    static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>,
                  "a channel carries objects; send a pointer or a struct instead");
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                  "values are moved where no exception could be reported");

public:
    using send_node = channel_send_node<T>;
    using receive_node = channel_receive_node<T>;

    /// One sender and one receiver exist. Throws std::bad_alloc.
    explicit channel_state(std::size_t capacity)
        : ring_(capacity == 0 ? nullptr : std::allocator<T>().allocate(capacity)),
          capacity_(capacity)
    {
    }

    channel_state(const channel_state&) = delete;
    channel_state& operator=(const channel_state&) = delete;

    ~channel_state()
    {
        if (ring_ != nullptr)
        {
            BLITZIO_ASSERT(count_ == 0); // the last receiver has emptied it
            std::allocator<T>().deallocate(ring_, capacity_);
        }
    }

    /// The meaning of the result is that of wait_operation's attempt().
    [[nodiscard]] bool send(send_node& node, attempt_mode mode) noexcept
    {
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

    [[nodiscard]] bool receive(receive_node& node, attempt_mode mode) noexcept
    {
        send_node* sender = nullptr;
        {
            spin_guard held(lock_);
            if (node.status == wait_status::cancelled)
            {
                return true;
            }
            switch (take(node.value, sender))
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
        {
            spin_guard held(lock_);
            outcome = take(value, sender);
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
        spin_guard held(lock_);
        return count_;
    }

    [[nodiscard]] std::size_t capacity() const noexcept
    {
        return capacity_;
    }

    [[nodiscard]] spin_lock& lock() noexcept
    {
        return lock_;
    }

    [[nodiscard]] wait_queue& senders() noexcept
    {
        return senders_;
    }

    [[nodiscard]] wait_queue& receivers() noexcept
    {
        return receivers_;
    }

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
        if (count_ == capacity_)
        {
            return channel_transfer::would_wait;
        }
        push(value);
        return channel_transfer::done;
    }

    /// Lock held. `sender` is set when its value went into the ring or to the caller, who wakes it.
    [[nodiscard]] channel_transfer take(std::optional<T>& value, send_node*& sender) noexcept
    {
        if (count_ == 0 && senders_.empty())
        {
            return closed_ ? channel_transfer::closed : channel_transfer::would_wait;
        }
        sender = static_cast<send_node*>(senders_.pop_front(wait_status::granted));
        if (count_ == 0) // no capacity: from frame to frame
        {
            value.emplace(std::move(*sender->source));
            return channel_transfer::done;
        }
        pop(value);
        if (sender != nullptr)
        {
            push(*sender->source);
        }
        return channel_transfer::done;
    }

    void push(T& value) noexcept
    {
        std::construct_at(ring_ + tail_, std::move(value));
        tail_ = following(tail_);
        ++count_;
    }

    void pop(std::optional<T>& value) noexcept
    {
        T* const oldest = ring_ + head_;
        value.emplace(std::move(*oldest));
        std::destroy_at(oldest);
        head_ = following(head_);
        --count_;
    }

    [[nodiscard]] std::size_t following(std::size_t position) const noexcept
    {
        return position + 1 == capacity_ ? 0 : position + 1;
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
    T* const ring_;
    const std::size_t capacity_;
    std::size_t head_ = 0;
    std::size_t tail_ = 0;
    std::size_t count_ = 0;
    wait_queue receivers_;
    wait_queue senders_;
    std::atomic<std::size_t> sender_handles_{1};
    std::atomic<std::size_t> receiver_handles_{1};
    std::atomic<std::uint8_t> sides_{2};
};

} // namespace blitzio::detail
