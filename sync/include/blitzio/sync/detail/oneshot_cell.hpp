// What the two ends of a sync::oneshot share, and how its receiver waits.
// Thread rule: one sender and one receiver, on any threads; they meet in `hand_off`, and in the
// phase of the receiver's wait.
#pragma once

#include <blitzio/io/detail/frame_pool.hpp>
#include <blitzio/io/detail/oneshot_state.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/sync/detail/wait_queue.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace blitzio::detail
{

/// The waiting receiver as sender and canceller see it.
///
/// oneshot_state decides who continues the receiver, but it refuses a cancel that comes before the
/// wait has begun, and the stop callback is registered before. So the receiver stays inside start()
/// until phase_ says that nothing was missed:
///   cancel_bit   set by the stop callback. With started_bit it withdraws the waiter itself;
///                without, it leaves that to start().
///   ended_bit    set by the sender when it found started_bit missing; start() then goes on as if
///                it had never waited, and the sender does not touch the node again.
///   started_bit  set last by start(): from now on whoever ends the wait schedules the receiver.
/// All three come by read-modify-writes of one word, so of start() and each other party, the later
/// one sees the earlier one's bit.
class oneshot_wait : public wait_node
{
public:
    /// The sender, who owns the wake by hand_off's word.
    void sender_finished() noexcept
    {
        // Acquire: partner is the release in settle().
        if ((phase_.load(std::memory_order_acquire) & started_bit) == 0 &&
            (phase_.fetch_or(ended_bit, std::memory_order_acq_rel) & started_bit) == 0)
        {
            return;
        }
        wake();
    }

protected:
    struct canceller
    {
        oneshot_wait* target;
        oneshot_state<>* hand_off;

        void operator()() const noexcept
        {
            // acq_rel: partner is settle().
            const auto before = target->phase_.fetch_or(cancel_bit, std::memory_order_acq_rel);
            if ((before & started_bit) != 0 && hand_off->cancel_waiting())
            {
                target->status = wait_status::cancelled;
                target->wake();
            }
        }
    };

    /// The meaning of the result is that of start().
    [[nodiscard]] bool begin(oneshot_state<>& hand_off, const task_env& env, waiter who) noexcept
    {
        status = wait_status::idle;
        if (hand_off.is_finished())
        {
            return false;
        }
        if (env.stop.stop_requested())
        {
            status = wait_status::cancelled;
            return false;
        }
        if (!env.stop.stop_possible())
        {
            set_waiter(env, who, started_bit);
            return hand_off.start_waiting();
        }
        set_waiter(env, who, 0);
        listen(hand_off, env.stop);
        return hand_off.start_waiting() && settle(hand_off);
    }

    /// Nobody else refers to the wait afterwards.
    void end() noexcept
    {
        stop_.disarm();
    }

    static constexpr std::uint8_t started_bit = 1;
    static constexpr std::uint8_t cancel_bit = 2;
    static constexpr std::uint8_t ended_bit = 4;

    // The steps of begin(), for it and for tests that put something between them.

    void set_waiter(const task_env& env, waiter who, std::uint8_t phase) noexcept
    {
        run = &wait_node::continue_waiter;
        runtime = env.runtime;
        on_complete = who;
        phase_.store(phase, std::memory_order_relaxed); // published by what follows
    }

    void listen(oneshot_state<>& hand_off, stop_token stop) noexcept
    {
        stop_.arm(stop, canceller{this, &hand_off});
    }

    /// True: the receiver sleeps, and may be running elsewhere already.
    [[nodiscard]] bool settle(oneshot_state<>& hand_off) noexcept
    {
        // Acquire, here and on failure: partners are the sender and the canceller.
        auto seen = phase_.load(std::memory_order_acquire);
        for (;;)
        {
            if ((seen & ended_bit) != 0)
            {
                return false;
            }
            if ((seen & cancel_bit) != 0 && hand_off.cancel_waiting())
            {
                status = wait_status::cancelled;
                return false;
            }
            // Release: partner are the acquires of sender_finished() and of the canceller.
            const auto started = static_cast<std::uint8_t>(seen | started_bit);
            if (phase_.compare_exchange_weak(seen, started, std::memory_order_acq_rel,
                                             std::memory_order_acquire))
            {
                return true;
            }
        }
    }

private:
    std::atomic<std::uint8_t> phase_{0};
    stop_slot<canceller> stop_;
};

template <class T>
class oneshot_cell
{
    static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>,
                  "a oneshot carries objects; send a pointer or a struct instead");
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                  "values are moved where no exception could be reported");
    static_assert(alignof(T) <= alignof(std::max_align_t));

public:
    [[nodiscard]] static oneshot_cell* create()
    {
        return ::new (allocate_frame(sizeof(oneshot_cell))) oneshot_cell;
    }

    oneshot_cell(const oneshot_cell&) = delete;
    oneshot_cell& operator=(const oneshot_cell&) = delete;

    /// Each end, once, as the last thing it does. A value is the receiver's to destroy before.
    void release() noexcept
    {
        // acq_rel: the last one must see all that the other did before it frees the memory.
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            this->~oneshot_cell();
            deallocate_frame(this, sizeof(oneshot_cell));
        }
    }

    void put(T&& value) noexcept
    {
        std::construct_at(std::addressof(value_), std::move(value));
    }

    [[nodiscard]] T& value() noexcept
    {
        return value_;
    }

    void destroy_value() noexcept
    {
        std::destroy_at(std::addressof(value_));
    }

    oneshot_state<> hand_off;
    /// Written by the receiver before it waits.
    oneshot_wait* receiver = nullptr;

private:
    oneshot_cell() noexcept {}
    ~oneshot_cell() {}

    std::atomic<std::uint32_t> references_{2};
    union
    {
        T value_;
    };
};

} // namespace blitzio::detail
