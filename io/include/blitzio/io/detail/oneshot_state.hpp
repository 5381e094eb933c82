// The hand-off of one value from one sender to one receiver, in one atomic byte.
//
// It decides who may touch the value and who resumes the receiver; the value and the receiver's
// waiter lie next to it in the object that embeds it (the bridge's in-frame cell, a join handle's
// spawn cell, sync::oneshot's shared state).
//
// Threading rule: the sender's functions from one thread at a time, the receiver's likewise. Of the
// receiver's, cancel_waiting may run on any one thread while the receiver waits.
#pragma once

#include <blitzio/io/detail/atomics.hpp>

#include <atomic>
#include <cstdint>

namespace blitzio::detail
{

// What became of the sender's last word.
struct [[nodiscard]] oneshot_completion
{
    // The sender must resume the waiter, which it may read. When false it must not touch the object
    // again, except to take its value back after a refusal.
    bool must_wake_receiver;
    // False: the receiver had closed before. A value is still the sender's.
    bool accepted;

    constexpr explicit operator bool() const noexcept
    {
        return must_wake_receiver;
    }
};

// The bits, and who may touch what while they are so:
//   value_set         set by the sender, once, never together with sender_gone, never after closed.
//                     Before: the sender alone touches the value. After: the receiver alone.
//   receiver_waiting  set by the receiver, cleared by whoever withdraws the waiter. While it is set
//                     the receiver sleeps and nobody writes the waiter; the one that completes
//                     (value_set or sender_gone) with this bit set owns the waiter and resumes it,
//                     and the one that clears it owns the waiter instead. Never set after a
//                     completion.
//   closed            set by the receiver, once: it will not take a value. A value that was set
//                     before is still the receiver's (to destroy); none is set afterwards.
//   sender_gone       set by the sender, once, instead of value_set: there will be no value.
// value_set, closed and sender_gone are never cleared.
//
// Exactly one resumption: completing and withdrawing are compare-exchanges on one byte that exclude
// each other: a completion with receiver_waiting set makes every later withdrawal fail, a
// withdrawal clears the bit that a later completion would have to see. A wait that starts after the
// completion is refused, so the receiver goes on by itself.
// The value is never touched twice: value_set is set by one compare-exchange that fails on closed,
// so a closing receiver either sees value_set in what its own close() replaced, and owns the value,
// or the sender's completion comes later, is refused, and the sender owns it.
template <class Atomics = std_atomics>
class oneshot_state
{
public:
    oneshot_state() noexcept = default;
    oneshot_state(const oneshot_state&) = delete;
    oneshot_state& operator=(const oneshot_state&) = delete;

    // Sender: the value is in place. Call once, and not together with abandon().
    oneshot_completion complete() noexcept
    {
        return finish(value_set);
    }

    // Sender: it goes without a value. Call once, and not together with complete().
    oneshot_completion abandon() noexcept
    {
        return finish(sender_gone);
    }

    // Sender: whether the receiver has lost interest, so that the work may be skipped. Acquire:
    // partner is the release in close().
    [[nodiscard]] bool closed() const noexcept
    {
        return (bits_.load(std::memory_order_acquire) & closed_bit) != 0;
    }

    // Receiver: the waiter is stored and the receiver is about to sleep. False: the sender has
    // finished already, there will be no wake, go on now. After true the receiver may be running
    // elsewhere before this call returns.
    [[nodiscard]] bool start_waiting() noexcept
    {
        // Acquire, also on failure: partner is the release in finish(); after false the value is
        // read.
        std::uint8_t seen = bits_.load(std::memory_order_acquire);
        for (;;)
        {
            Atomics::expect((seen & (receiver_waiting | closed_bit)) == 0);
            if ((seen & finished) != 0)
            {
                return false;
            }
            // Release: partner is the acquire in finish() and cancel_waiting(): the waiter is
            // stored.
            if (exchange(seen, seen | receiver_waiting, std::memory_order_release,
                         std::memory_order_acquire))
            {
                return true;
            }
        }
    }

    // Any one thread, after start_waiting() returned true: withdraws the waiter. True: it is
    // withdrawn, the caller resumes the receiver or leaves it to itself; the sender will not.
    // False: the sender has finished, and its wake is under way or has been.
    [[nodiscard]] bool cancel_waiting() noexcept
    {
        // Relaxed: a failed withdrawal touches nothing.
        std::uint8_t seen = bits_.load(std::memory_order_relaxed);
        for (;;)
        {
            if ((seen & finished) != 0 || (seen & receiver_waiting) == 0)
            {
                return false;
            }
            // Acquire: partner is the release in start_waiting(): the waiter may be read. Nothing
            // needs to be released: the receiver writes a new waiter only after it was resumed.
            if (exchange(seen, seen & ~unsigned{receiver_waiting}, std::memory_order_acquire,
                         std::memory_order_relaxed))
            {
                return true;
            }
        }
    }

    // Receiver, not waiting: it will take no value any more. True: a value had been set before and
    // belongs to the receiver, who destroys or takes it. Closing twice is harmless.
    bool close() noexcept
    {
        // Acquire: partner is the release in finish(). Release: partner is the acquire in closed()
        // and finish(), so that the sender sees what the receiver did before.
        const std::uint8_t before = bits_.fetch_or(closed_bit, std::memory_order_acq_rel);
        Atomics::expect((before & finished) != 0 || (before & receiver_waiting) == 0);
        return (before & value_set) != 0;
    }

    // Receiver: whether the sender has finished, with a value or without. Acquire, here and below:
    // partner is the release in finish(), so a value that is set may be read.
    [[nodiscard]] bool is_finished() const noexcept
    {
        return (bits_.load(std::memory_order_acquire) & finished) != 0;
    }

    // Receiver: whether there is a value.
    [[nodiscard]] bool has_value() const noexcept
    {
        return (bits_.load(std::memory_order_acquire) & value_set) != 0;
    }

private:
    static constexpr std::uint8_t value_set = 1;
    static constexpr std::uint8_t receiver_waiting = 2;
    static constexpr std::uint8_t closed_bit = 4;
    static constexpr std::uint8_t sender_gone = 8;
    static constexpr std::uint8_t finished = value_set | sender_gone;

    [[nodiscard]] bool exchange(std::uint8_t& seen, unsigned desired, std::memory_order success,
                                std::memory_order failure) noexcept
    {
        return bits_.compare_exchange_weak(seen, static_cast<std::uint8_t>(desired), success,
                                           failure);
    }

    oneshot_completion finish(std::uint8_t outcome) noexcept
    {
        // Acquire on failure: partner is the release in close(), for what a refused sender does
        // next.
        std::uint8_t seen = bits_.load(std::memory_order_acquire);
        for (;;)
        {
            Atomics::expect((seen & finished) == 0);
            if ((seen & closed_bit) != 0 && outcome == value_set)
            {
                return {.must_wake_receiver = false, .accepted = false};
            }
            // Release: partner is the acquire of the receiver's functions: the value is in place.
            // Acquire: partner is the release in start_waiting(): the waiter may be read.
            if (exchange(seen, seen | unsigned{outcome}, std::memory_order_acq_rel,
                         std::memory_order_acquire))
            {
                return {.must_wake_receiver = (seen & receiver_waiting) != 0,
                        .accepted = (seen & closed_bit) == 0};
            }
        }
    }

    typename Atomics::template atomic<std::uint8_t> bits_{0};
};

} // namespace blitzio::detail
