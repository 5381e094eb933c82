// What the two ends of a sync::spsc channel share: a ring without a lock, and who waits.
// Thread rule: the sending functions by the sender's owner, the receiving ones by the receiver's;
// withdraw() by their stop callbacks, close() and the questions on any thread.
#pragma once

#include <blitzio/io/detail/atomics.hpp>
#include <blitzio/sync/detail/channel_nodes.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/detail/waitable_cursor.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace blitzio::detail
{

// tail_ counts the values that entered the ring, head_ those that left it; the sender advances the
// one and waits for the other, the receiver the reverse.
// Invariants:
//   I1  head <= tail <= head + capacity. Each side compares its own position, which it knows, with
//       one of the other's that may be old, which errs on the side of waiting; before it sleeps,
//       park() compares with the newest.
//   I2  the receiver sleeps only while the ring is empty, the sender only while it is full.
//   I3  a slot belongs to the sender while it lies outside of [head, tail), else to the receiver.
//   I4  the closed bit is in tail_, so no value enters after the close() that refused it.
// A value for a receiver that sleeps goes straight to its frame, past the empty ring; one of a
// sender that sleeps is taken into the slot that was just emptied. In both cases the one who
// cleared the waiting bit acts for the sleeping side, which touches nothing meanwhile. So a value
// is in its sender's frame, in the ring, or in its receiver's frame.
// One case of a select takes effect: a side that is one claims its choice (claim_own) as soon as it
// is sure that it need not wait, before it touches anything; a sleeping side is claimed after its
// waiting bit was cleared, and when its select has chosen another case it is told so, and the value
// stays in the ring, or in its frame.
template <class T, class Atomics = std_atomics, template <class> class Cursor = waitable_cursor>
class spsc_state
{
    static_assert(is_channel_value<T>);

    using cursor = Cursor<Atomics>;
    using advance_result = typename cursor::advance_result;
    using park_result = typename cursor::park_result;

public:
    using value_type = T;
    using send_node = channel_send_node<T>;
    using receive_node = channel_receive_node<T>;

    /// Both ends exist. `capacity` is not 0. Throws std::bad_alloc.
    explicit spsc_state(std::size_t capacity)
        : ring_(std::allocator<T>().allocate(capacity)), capacity_(capacity)
    {
    }

    spsc_state(const spsc_state&) = delete;
    spsc_state& operator=(const spsc_state&) = delete;

    ~spsc_state()
    {
        std::allocator<T>().deallocate(ring_, capacity_); // the receiver has emptied it
    }

    /// `woken` is set when a waiting receiver got the value, or its select has chosen another case;
    /// the caller wakes it. `own` is the sender if it is a case of a select.
    [[nodiscard, gnu::always_inline]] channel_transfer try_send(T& value, receive_node*& woken,
                                                                wait_node* own = nullptr) noexcept
    {
        // Who finds a receiver asleep need not go through the ring, which is empty then.
        // A case of a select has to: it must know that there is room before it is claimed.
        if (own == nullptr && tail_.has_waiter() && tail_.claim_waiter() &&
            chosen(*receiver_.waiter, woken))
        {
            return hand_over(value, woken);
        }
        if (sender_.position - sender_.other == capacity_)
        {
            sender_.other = head_.position();
            if (sender_.position - sender_.other == capacity_)
            {
                return tail_.is_closed() ? channel_transfer::closed : channel_transfer::would_wait;
            }
        }
        if (!claim_own(own))
        {
            return channel_transfer::lost;
        }
        T* const slot = ring_ + sender_.slot;
        std::construct_at(slot, std::move(value));
        for (;;)
        {
            switch (tail_.advance(sender_.position))
            {
            case advance_result::advanced: sender_.step(capacity_); return channel_transfer::done;
            case advance_result::closed: give_back(value, slot); return channel_transfer::closed;
            case advance_result::other_waits:
                if (tail_.claim_waiter() && chosen(*receiver_.waiter, woken))
                {
                    const auto done = hand_over(*slot, woken);
                    std::destroy_at(slot);
                    return done;
                }
            }
        }
    }

    /// As try_send().
    [[nodiscard, gnu::always_inline]] channel_transfer try_receive(
        std::optional<T>& value, send_node*& woken, wait_node* own = nullptr) noexcept
    {
        if (receiver_.position == receiver_.other)
        {
            // The closed bit first: after it the position does not change any more.
            const bool closed = tail_.is_closed();
            receiver_.other = tail_.position();
            if (receiver_.position == receiver_.other)
            {
                return closed ? channel_transfer::closed : channel_transfer::would_wait;
            }
        }
        if (!claim_own(own))
        {
            return channel_transfer::lost;
        }
        T* const slot = ring_ + receiver_.slot;
        value.emplace(std::move(*slot));
        std::destroy_at(slot);
        bool claimed = false;
        while (head_.advance_always(receiver_.position) == advance_result::other_waits)
        {
            claimed = head_.claim_waiter() || claimed;
        }
        receiver_.step(capacity_);
        if (claimed && chosen(*sender_.waiter, woken))
        {
            woken = take_over();
        }
        return channel_transfer::done;
    }

    /// The meaning of the result is that of wait_operation's attempt(). `woken` as above.
    [[nodiscard, gnu::always_inline]] bool send(send_node& node, attempt_mode mode,
                                                receive_node*& woken) noexcept
    {
        if (is_case(node, mode)) [[unlikely]]
        {
            return send_case(node, mode, woken);
        }
        return send(node, nullptr, mode, woken);
    }

    [[nodiscard, gnu::always_inline]] bool receive(receive_node& node, attempt_mode mode,
                                                   send_node*& woken) noexcept
    {
        if (is_case(node, mode)) [[unlikely]]
        {
            return receive_case(node, mode, woken);
        }
        return receive(node, nullptr, mode, woken);
    }

    /// For a stop request; as withdraw_node().
    [[nodiscard]] bool withdraw(send_node& node) noexcept
    {
        return note_withdrawal(node, head_.withdraw());
    }

    [[nodiscard]] bool withdraw(receive_node& node) noexcept
    {
        return note_withdrawal(node, tail_.withdraw());
    }

    /// After a wait has ended and its stop callback is gone.
    void sent() noexcept
    {
        head_.forget_withdrawal();
    }

    void received() noexcept
    {
        tail_.forget_withdrawal();
    }

    /// No value enters any more; those inside can be received. The caller wakes those it is given.
    void close(receive_node*& receiver, send_node*& sender) noexcept
    {
        if (tail_.close())
        {
            receiver = receiver_.waiter;
            static_cast<void>(decide<Atomics>(*receiver, wait_status::closed));
        }
        if (head_.close())
        {
            sender = sender_.waiter;
            static_cast<void>(decide<Atomics>(*sender, wait_status::closed));
        }
    }

    [[nodiscard]] bool is_closed() const noexcept
    {
        return tail_.is_closed();
    }

    /// How many it held at some moment during the call, or a few more.
    [[nodiscard]] std::size_t size() const noexcept
    {
        const std::uint64_t left = head_.position();
        return std::min<std::size_t>(tail_.position() - left, capacity_);
    }

    [[nodiscard]] std::size_t capacity() const noexcept
    {
        return capacity_;
    }

private:
    /// What one side knows; it belongs to whoever acts for that side.
    template <class Node>
    struct side
    {
        std::uint64_t position = 0;
        std::uint64_t other = 0; // of the other side, perhaps old
        std::size_t slot = 0;    // position modulo capacity
        Node* waiter = nullptr;

        void step(std::size_t capacity) noexcept
        {
            ++position;
            slot = slot + 1 == capacity ? 0 : slot + 1;
        }
    };

    // Apart, so that plain attempts stay short.
    [[nodiscard, gnu::noinline]] bool send_case(send_node& node, attempt_mode mode,
                                                receive_node*& woken) noexcept
    {
        return send(node, &node, mode, woken);
    }

    [[nodiscard, gnu::noinline]] bool receive_case(receive_node& node, attempt_mode mode,
                                                   send_node*& woken) noexcept
    {
        return receive(node, &node, mode, woken);
    }

    /// `own` is the node if it is a case of a select.
    [[nodiscard, gnu::always_inline]] bool send(send_node& node, wait_node* own, attempt_mode mode,
                                                receive_node*& woken) noexcept
    {
        for (;;)
        {
            const auto outcome = try_send(*node.source, woken, own);
            if (outcome != channel_transfer::would_wait)
            {
                note_outcome<Atomics>(node, outcome);
                return true;
            }
            if (mode != attempt_mode::or_wait)
            {
                return false;
            }
            sender_.waiter = &node;
            node.status = wait_status::queued;
            const auto parked = head_.park(sender_.other);
            if (parked != park_result::moved)
            {
                return note_parking(node, parked);
            }
        }
    }

    [[nodiscard, gnu::always_inline]] bool receive(receive_node& node, wait_node* own,
                                                   attempt_mode mode, send_node*& woken) noexcept
    {
        for (;;)
        {
            const auto outcome = try_receive(node.value, woken, own);
            if (outcome != channel_transfer::would_wait)
            {
                note_outcome<Atomics>(node, outcome);
                return true;
            }
            if (mode != attempt_mode::or_wait)
            {
                return false;
            }
            receiver_.waiter = &node;
            node.status = wait_status::queued;
            const auto parked = tail_.park(receiver_.other);
            // Closed: perhaps with a last value that came before, which the next round finds.
            if (parked == park_result::parked || parked == park_result::withdrawn)
            {
                return note_parking(node, parked);
            }
        }
    }

    [[nodiscard]] static bool claim_own(const wait_node* own) noexcept
    {
        return own == nullptr || claim_case<Atomics>(*own);
    }

    /// The side that waits with `node` belongs to the caller. False: its select has chosen another
    /// case, it gets nothing, and is to be woken.
    template <class Node>
    [[nodiscard]] static bool chosen(Node& node, Node*& woken) noexcept
    {
        if (claim_case<Atomics>(node))
        {
            return true;
        }
        node.status = wait_status::cancelled;
        woken = &node;
        return false;
    }

    /// Whether the attempt is decided. A parked node is not touched: it may be gone.
    [[nodiscard]] static bool note_parking(wait_node& node, park_result parked) noexcept
    {
        if (parked == park_result::parked)
        {
            return false;
        }
        if (parked == park_result::withdrawn)
        {
            node.status = wait_status::cancelled;
        }
        else
        {
            static_cast<void>(decide<Atomics>(node, wait_status::closed));
        }
        return true;
    }

    [[nodiscard]] static bool note_withdrawal(wait_node& node, bool was_waiting) noexcept
    {
        if (was_waiting)
        {
            node.status = wait_status::cancelled;
        }
        return was_waiting;
    }

    /// The receiver sleeps, and belongs to the caller.
    [[nodiscard]] channel_transfer hand_over(T& value, receive_node*& woken) noexcept
    {
        woken = receiver_.waiter;
        woken->value.emplace(std::move(value));
        woken->status = wait_status::granted;
        return channel_transfer::done;
    }

    /// The sender sleeps, the ring was full, and its oldest slot has just been emptied: the value
    /// of the sender goes there.
    [[nodiscard]] send_node* take_over() noexcept
    {
        send_node* const served = sender_.waiter;
        T* const slot = ring_ + sender_.slot;
        std::construct_at(slot, std::move(*served->source));
        served->status = wait_status::granted;
        sender_.other = receiver_.position;
        if (tail_.advance(sender_.position) == advance_result::closed)
        {
            give_back(*served->source, slot);
            served->status = wait_status::closed;
            return served;
        }
        sender_.step(capacity_);
        return served;
    }

    static void give_back(T& value, T* slot) noexcept
    {
        std::destroy_at(std::addressof(value));
        std::construct_at(std::addressof(value), std::move(*slot));
        std::destroy_at(slot);
    }

    static constexpr std::size_t line = 64; // what two cores should not write to at once

    T* const ring_;
    const std::size_t capacity_;
    alignas(line) cursor tail_;
    side<send_node> sender_;
    alignas(line) cursor head_;
    side<receive_node> receiver_;
};

} // namespace blitzio::detail
