// What the handles of one locked channel share: the values, and who waits.
// Thread rule: any thread; everything but the handle counts is guarded by one lock per channel,
// under which values are moved, and nothing is destroyed but what was moved from.
#pragma once

#include <blitzio/io/detail/atomics.hpp>
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

// Invariants while the lock is free, for those who wait and whose select, if they are a case of one,
// has not chosen another case (the others get nothing and are taken out when they are found):
//   I1  while a receiver waits, the store is empty and no sender waits, unless both are cases of
//       one select, which does not meet itself;
//   I2  while a sender waits, the store is full;
//   I3  after closed_ is set nobody waits and no value enters; what is in the store can be received.
// They make the order first-in first-out without a comparison of ages: a value goes past the store
// only when that is empty, and a sender's place in the queue is the place of its value.
// No value is lost: a value is in its sender's frame, in the store, or in its receiver's frame, and
// it moves from one to the next under the lock together with the decision that this has happened.
// One case of a select takes effect: whoever moves a value has claimed the choices of both sides
// before (claim_case, meet), under the lock.
template <class T, class Store = ring_store<T>, class Atomics = std_atomics>
class channel_state
{
    static_assert(is_channel_value<T>);

    using lock_guard = spin_guard<basic_spin_lock<Atomics>>;

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
    /// A part of its caller, for which `mode` is a constant, as all that follows from it.
    [[nodiscard, gnu::always_inline]] bool send(send_node& node, attempt_mode mode) noexcept
    {
        wait_node* woken = nullptr;
        const bool decided = send(node, mode, woken);
        wake(woken);
        return decided;
    }

    /// The caller wakes the chain `woken`, here and below; see wake_list.
    [[nodiscard, gnu::always_inline]] bool send(send_node& node, attempt_mode mode,
                                                wait_node*& woken) noexcept
    {
        if (is_case(node, mode)) [[unlikely]]
        {
            return send_case(node, mode, woken);
        }
        return send(node, nullptr, mode, woken);
    }

    [[nodiscard]] channel_transfer try_send(T& value) noexcept
    {
        wait_node* woken = nullptr;
        channel_transfer outcome;
        {
            lock_guard held(lock_);
            outcome = offer(value, nullptr, woken);
        }
        wake(woken);
        return outcome;
    }

    /// Never waits, for stores without a bound. Throws std::bad_alloc, with the value as it was.
    [[nodiscard]] channel_transfer send_growing(T& value)
        requires requires { typename Store::block; }
    {
        typename Store::block* added = nullptr;
        typename Store::leftover surplus;
        for (;;)
        {
            wait_node* woken = nullptr;
            channel_transfer outcome;
            {
                lock_guard held(lock_);
                if (added != nullptr)
                {
                    store_.give(added, surplus);
                }
                outcome = offer(value, nullptr, woken);
            }
            wake(woken);
            if (outcome != channel_transfer::would_wait)
            {
                return outcome;
            }
            added = Store::block::make();
        }
    }

    [[nodiscard, gnu::always_inline]] bool receive(receive_node& node, attempt_mode mode) noexcept
    {
        typename Store::leftover left;
        wait_node* woken = nullptr;
        const bool decided = receive(node, mode, woken, left);
        wake(woken);
        return decided;
    }

    [[nodiscard, gnu::always_inline]] bool receive(receive_node& node, attempt_mode mode,
                                                   wait_node*& woken,
                                                   typename Store::leftover& left) noexcept
    {
        if (is_case(node, mode)) [[unlikely]]
        {
            return receive_case(node, mode, woken, left);
        }
        return receive(node, nullptr, mode, woken, left);
    }

    [[nodiscard]] channel_transfer try_receive(std::optional<T>& value) noexcept
    {
        wait_node* woken = nullptr;
        channel_transfer outcome;
        typename Store::leftover left;
        {
            lock_guard held(lock_);
            outcome = take(value, nullptr, woken, left);
        }
        wake(woken);
        return outcome;
    }

    /// No value enters any more; those inside can be received. Whoever waits is told.
    void close() noexcept
    {
        wake_list told;
        close(told);
        told.wake_all();
    }

    void close(wake_list& told) noexcept
    {
        lock_guard held(lock_);
        closed_ = true;
        told.take_all<Atomics>(receivers_, wait_status::closed);
        told.take_all<Atomics>(senders_, wait_status::closed);
    }

    [[nodiscard]] bool is_closed() const noexcept
    {
        lock_guard held(lock_);
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
        lock_guard held(lock_);
        return withdraw_node(senders_, node);
    }

    [[nodiscard]] bool withdraw(receive_node& node) noexcept
    {
        lock_guard held(lock_);
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
    // Apart, so that plain attempts stay short.
    [[nodiscard, gnu::noinline]] bool send_case(send_node& node, attempt_mode mode,
                                                wait_node*& woken) noexcept
    {
        return send(node, &node, mode, woken);
    }

    [[nodiscard, gnu::noinline]] bool receive_case(receive_node& node, attempt_mode mode,
                                                   wait_node*& woken,
                                                   typename Store::leftover& left) noexcept
    {
        return receive(node, &node, mode, woken, left);
    }

    /// `own` is the node if it is a case of a select, here and below.
    [[nodiscard, gnu::always_inline]] bool send(send_node& node, wait_node* own, attempt_mode mode,
                                                wait_node*& woken) noexcept
    {
        if (mode != attempt_mode::or_wait && seems_full())
        {
            return false; // another attempt follows, which does not go by the looks
        }
        lock_guard held(lock_);
        if (mode == attempt_mode::or_wait && node.status == wait_status::cancelled)
        {
            return true;
        }
        const auto outcome = offer(*node.source, own, woken);
        if (outcome == channel_transfer::would_wait)
        {
            if (mode == attempt_mode::or_wait)
            {
                senders_.push_back(node);
            }
            return false;
        }
        note_outcome<Atomics>(node, outcome);
        return true;
    }

    [[nodiscard, gnu::always_inline]] bool receive(receive_node& node, wait_node* own,
                                                   attempt_mode mode, wait_node*& woken,
                                                   typename Store::leftover& left) noexcept
    {
        if (mode != attempt_mode::or_wait && count() == 0)
        {
            return false; // as above
        }
        lock_guard held(lock_);
        if (mode == attempt_mode::or_wait && node.status == wait_status::cancelled)
        {
            return true;
        }
        const auto outcome = take(node.value, own, woken, left);
        if (outcome == channel_transfer::would_wait)
        {
            if (mode == attempt_mode::or_wait)
            {
                receivers_.push_back(node);
            }
            return false;
        }
        note_outcome<Atomics>(node, outcome);
        return true;
    }

    static void wake(wait_node* woken) noexcept
    {
        if (woken != nullptr)
        {
            wake_list::wake_chain(*woken);
        }
    }

    /// Lock held.
    [[nodiscard, gnu::always_inline]] channel_transfer offer(T& value, wait_node* own,
                                                             wait_node*& woken) noexcept
    {
        if (closed_)
        {
            return channel_transfer::closed;
        }
        if (!receivers_.empty())
        {
            const auto [met, told, own_lost] = meet_front<Atomics>(own, receivers_);
            woken = told;
            if (met != nullptr)
            {
                static_cast<receive_node*>(met)->value.emplace(std::move(value));
                return channel_transfer::done;
            }
            if (own_lost)
            {
                return channel_transfer::lost;
            }
        }
        if (!has_room())
        {
            return channel_transfer::would_wait;
        }
        if (own != nullptr && !claim_case<Atomics>(*own))
        {
            return channel_transfer::lost;
        }
        push(value);
        return channel_transfer::done;
    }

    /// Lock held.
    [[nodiscard, gnu::always_inline]] channel_transfer take(std::optional<T>& value, wait_node* own,
                                                            wait_node*& woken,
                                                            typename Store::leftover& left) noexcept
    {
        if (count() == 0)
        {
            return take_from_frame(value, own, woken);
        }
        if (own != nullptr && !claim_case<Atomics>(*own))
        {
            return channel_transfer::lost;
        }
        store_.pop(value, left);
        set_count(count() - 1);
        if (!senders_.empty())
        {
            const auto [met, told, own_lost] = meet_front<Atomics>(nullptr, senders_);
            woken = told;
            if (met != nullptr)
            {
                push(*static_cast<send_node*>(met)->source);
            }
        }
        return channel_transfer::done;
    }

    /// Lock held, nothing is stored. Somebody can wait to send only if there is no capacity.
    [[nodiscard, gnu::always_inline]] channel_transfer take_from_frame(std::optional<T>& value,
                                                                       wait_node* own,
                                                                       wait_node*& woken) noexcept
    {
        if (!senders_.empty())
        {
            const auto [met, told, own_lost] = meet_front<Atomics>(own, senders_);
            woken = told;
            if (met != nullptr)
            {
                value.emplace(std::move(*static_cast<send_node*>(met)->source));
                return channel_transfer::done;
            }
            if (own_lost)
            {
                return channel_transfer::lost;
            }
        }
        return closed_ ? channel_transfer::closed : channel_transfer::would_wait;
    }

    /// Lock held.
    [[nodiscard]] bool has_room() const noexcept
    {
        if constexpr (requires { store_.has_room(); })
        {
            return store_.has_room();
        }
        else
        {
            return count() != store_.capacity();
        }
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

    mutable basic_spin_lock<Atomics> lock_;
    bool closed_ = false;
    Store store_;
    typename Atomics::template atomic<std::size_t> count_{0}; // changed under the lock only
    wait_queue receivers_;
    wait_queue senders_;
    typename Atomics::template atomic<std::size_t> sender_handles_{1};
    typename Atomics::template atomic<std::size_t> receiver_handles_{1};
    typename Atomics::template atomic<std::uint8_t> sides_{2};
};

} // namespace blitzio::detail
