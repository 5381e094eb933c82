// A worker's run queue: a ring that its owner fills and empties, and that other workers rob of
// half.
//
// Threading rule: push_back_or_overflow, push_batch and pop belong to the owner. steal_into is
// called by the owner of `thief` on any other worker's queue. size and empty are for any thread.
#pragma once

#include <blitzio/io/detail/atomics.hpp>
#include <blitzio/io/detail/runnable.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace blitzio::detail
{

// Three indices count up for ever and wrap: steal <= real <= tail (modulo 2^32).
//   [real, tail)   elements that wait
//   [steal, real)  slots that a thief has claimed and is still copying; empty when steal == real
// steal and real share one 64-bit word, head_, so that claiming and finishing are single steps. 32
// bits per index keep the compare-exchange safe: an equal value after a wrap would need 2^32
// operations inside another thread's window of a few instructions.
//
// Invariants:
//   I1  tail - steal <= Capacity. tail_ is written by the owner alone, who reads head_ before each
//       push; steal only grows meanwhile.
//   I2  at most one thief is inside: steal_into leaves at once when steal != real, and its claim is
//       a compare-exchange from a value with steal == real.
//   I3  each element is taken once: every way out (pop, claim, overflow) moves `real` by one
//       compare-exchange on head_.
// Why plain slots suffice: a slot is written by the owner only while it lies outside [steal, tail).
// A reader got it through tail_ (release to acquire), and the next writer learns that the reading
// is over through head_: the thief's release when it moves `steal`, the owner's acquire before it
// pushes. Why a claim is never longer than what was there: the thief reads head_ first and tail_
// after it. The elements below the head it saw were published before that head was (release on
// every change of head_, acquire on the thief's load), so tail - real does not underflow; and if
// the head grew stale in between, the compare-exchange fails.
template <class Atomics = std_atomics, std::uint32_t Capacity = 256>
class steal_queue
{
    static_assert(Capacity >= 2 && (Capacity & (Capacity - 1)) == 0, "a power of two");

public:
    static constexpr std::uint32_t capacity = Capacity;

    steal_queue() noexcept = default;
    steal_queue(const steal_queue&) = delete;
    steal_queue& operator=(const steal_queue&) = delete;

    ~steal_queue()
    {
        Atomics::expect(empty());
    }

    // Owner: appends `item`. When the ring is full, half of it and `item` leave as one chain
    // through overflow(runnable* first, runnable* last, std::size_t count); when a thief is just
    // making room, only `item` leaves.
    template <class Overflow>
    void push_back_or_overflow(runnable* item, Overflow&& overflow)
    {
        const std::uint32_t tail = tail_.load(std::memory_order_relaxed); // own writes only
        for (;;)
        {
            // Acquire: partner is the release in finish_steal(); the thief has read its slots.
            const indices head = unpack(head_.load(std::memory_order_acquire));
            if (tail - head.steal < Capacity)
            {
                write_slot(tail, item);
                // Release: partner is the acquire of tail_ in claim_half() and size().
                tail_.store(tail + 1, std::memory_order_release);
                return;
            }
            if (head.steal != head.real)
            {
                Atomics::store_plain(item->next, nullptr);
                overflow(item, item, std::size_t{1});
                return;
            }
            if (move_half_out(item, head, tail, overflow))
            {
                return;
            }
        }
    }

    // Owner: appends from a chain as many as fit, visible to thieves all at once. Returns the rest
    // of the chain, null when all were taken.
    [[nodiscard]] runnable* push_batch(runnable* chain) noexcept
    {
        const std::uint32_t tail = tail_.load(std::memory_order_relaxed); // own writes only
        // Acquire: partner is the release in finish_steal().
        const indices head = unpack(head_.load(std::memory_order_acquire));
        const std::uint32_t end = head.steal + Capacity;
        std::uint32_t position = tail;
        while (chain != nullptr && position != end)
        {
            write_slot(position, chain);
            chain = Atomics::load_plain(chain->next);
            ++position;
        }
        if (position != tail)
        {
            // Release: partner is the acquire of tail_ in claim_half() and size().
            tail_.store(position, std::memory_order_release);
        }
        return chain;
    }

    // Owner: takes the oldest element, or null.
    [[nodiscard]] runnable* pop() noexcept
    {
        const std::uint32_t tail = tail_.load(std::memory_order_relaxed); // own writes only
        // Relaxed: the slots were written by this thread, and thieves do not change them.
        std::uint64_t seen = head_.load(std::memory_order_relaxed);
        for (;;)
        {
            const indices head = unpack(seen);
            if (head.real == tail)
            {
                return nullptr;
            }
            const std::uint32_t real = head.real + 1;
            // A thief inside keeps its mark; without one both indices move together.
            const std::uint32_t steal = head.steal == head.real ? real : head.steal;
            // Release: partner is the acquire of head_ in claim_half() and size(), which must not
            // see this head with an older tail.
            if (head_.compare_exchange_weak(seen, pack(steal, real), std::memory_order_release,
                                            std::memory_order_relaxed))
            {
                return read_slot(head.real);
            }
        }
    }

    // Moves half of this queue, rounded up, into `thief`, which belongs to the caller and is not
    // this queue. Returns one of the moved elements to run now, or null when there was nothing to
    // take, another thief is inside, or `thief` has not room for half a ring.
    [[nodiscard]] runnable* steal_into(steal_queue& thief) noexcept
    {
        const std::uint32_t tail = thief.tail_.load(std::memory_order_relaxed); // own writes only
        // Acquire: partner is the release in finish_steal() by whoever robbed the thief; its slots
        // are free to be written again.
        const indices own = unpack(thief.head_.load(std::memory_order_acquire));
        if (tail - own.steal > Capacity / 2)
        {
            return nullptr;
        }
        const indices claimed = claim_half();
        const std::uint32_t count = claimed.real - claimed.steal;
        if (count == 0)
        {
            return nullptr;
        }
        // All but the last go into the thief's ring, in order; the last one is run at once.
        for (std::uint32_t moved = 0; moved + 1 < count; ++moved)
        {
            thief.write_slot(tail + moved, read_slot(claimed.steal + moved));
        }
        runnable* const run_now = read_slot(claimed.real - 1);
        finish_steal();
        if (count > 1)
        {
            // Release: partner is the acquire of tail_ in claim_half() and size().
            thief.tail_.store(tail + count - 1, std::memory_order_release);
        }
        return run_now;
    }

    // Any thread: how many elements waited a moment ago; exact for the owner while no thief comes.
    [[nodiscard]] std::uint32_t size() const noexcept
    {
        // Acquire on both: partners are the releases of pop, claim_half, finish_steal and the
        // pushes. Head first, so that the tail is not older than the head and the difference not
        // negative.
        const indices head = unpack(head_.load(std::memory_order_acquire));
        const std::uint32_t tail = tail_.load(std::memory_order_acquire);
        const std::uint32_t length = tail - head.real;
        return length < Capacity ? length : Capacity;
    }

    [[nodiscard]] bool empty() const noexcept
    {
        return size() == 0;
    }

    // Owner: how many pushes surely fit.
    [[nodiscard]] std::uint32_t free_slots() const noexcept
    {
        const std::uint32_t tail = tail_.load(std::memory_order_relaxed); // own writes only
        // Relaxed: only a number; the push itself acquires.
        const indices head = unpack(head_.load(std::memory_order_relaxed));
        return Capacity - (tail - head.steal);
    }

private:
    struct indices
    {
        std::uint32_t steal;
        std::uint32_t real;
    };

    static constexpr std::uint64_t pack(std::uint32_t steal, std::uint32_t real) noexcept
    {
        return (std::uint64_t{steal} << 32) | real;
    }

    static constexpr indices unpack(std::uint64_t head) noexcept
    {
        return {.steal = static_cast<std::uint32_t>(head >> 32),
                .real = static_cast<std::uint32_t>(head)};
    }

    [[nodiscard]] runnable* read_slot(std::uint32_t position) const noexcept
    {
        return Atomics::load_plain(slots_[position % Capacity]);
    }

    void write_slot(std::uint32_t position, runnable* item) noexcept
    {
        Atomics::store_plain(slots_[position % Capacity], item);
    }

    // Owner, ring full and no thief inside: takes the older half out and hands it on with `item` as
    // its end. False when a thief came first.
    template <class Overflow>
    [[nodiscard]] bool move_half_out(runnable* item, indices head, std::uint32_t tail,
                                     Overflow&& overflow)
    {
        constexpr std::uint32_t half = Capacity / 2;
        Atomics::expect(tail - head.real == Capacity);
        std::uint64_t expected = pack(head.real, head.real);
        const std::uint32_t real = head.real + half;
        // Release: partner is the acquire of head_ in claim_half() and size(), as in pop(). The
        // slots were written by this thread, so nothing is to be acquired.
        if (!head_.compare_exchange_strong(expected, pack(real, real), std::memory_order_release,
                                           std::memory_order_relaxed))
        {
            return false;
        }
        runnable* const first = read_slot(head.real);
        runnable* last = first;
        for (std::uint32_t offset = 1; offset < half; ++offset)
        {
            runnable* const following = read_slot(head.real + offset);
            Atomics::store_plain(last->next, following);
            last = following;
        }
        Atomics::store_plain(last->next, item);
        Atomics::store_plain(item->next, nullptr);
        std::forward<Overflow>(overflow)(first, item, std::size_t{half} + 1);
        return true;
    }

    // Thief: claims half of what waits. The claim is [steal, real) of the result; empty when there
    // was nothing or another thief is inside. The victim's pushes stay off the claim until
    // finish_steal().
    [[nodiscard]] indices claim_half() noexcept
    {
        // Acquire, also on failure: partner is the release of every change of head_ (see above).
        std::uint64_t seen = head_.load(std::memory_order_acquire);
        for (;;)
        {
            const indices head = unpack(seen);
            // Acquire: partner is the release of the pushes; the slots below this tail are written.
            const std::uint32_t tail = tail_.load(std::memory_order_acquire);
            if (head.steal != head.real)
            {
                return {.steal = 0, .real = 0};
            }
            const std::uint32_t waiting = tail - head.real;
            const std::uint32_t count = waiting - waiting / 2;
            if (count == 0)
            {
                return {.steal = 0, .real = 0};
            }
            // Release: partner is the acquire of head_ in claim_half() and size(): the tail this
            // thief saw goes along with the head it makes.
            if (head_.compare_exchange_weak(seen, pack(head.steal, head.real + count),
                                            std::memory_order_release, std::memory_order_acquire))
            {
                Atomics::expect(count <= Capacity / 2);
                return {.steal = head.steal, .real = head.real + count};
            }
        }
    }

    // Thief: the claim has been copied; lets go of its slots. `real` may have moved on meanwhile.
    void finish_steal() noexcept
    {
        std::uint64_t seen = head_.load(std::memory_order_relaxed);
        for (;;)
        {
            const std::uint32_t real = unpack(seen).real;
            // Release: partner is the acquire of head_ in the owner's pushes: the slots were read.
            if (head_.compare_exchange_weak(seen, pack(real, real), std::memory_order_release,
                                            std::memory_order_relaxed))
            {
                return;
            }
        }
    }

    // Apart, so that a thief's look at the indices does not disturb the owner's neighbours.
    static constexpr std::size_t line = 64;

    alignas(line) typename Atomics::template atomic<std::uint64_t> head_{0};
    alignas(line) typename Atomics::template atomic<std::uint32_t> tail_{0};
    alignas(line) std::array<runnable*, Capacity> slots_{};
};

} // namespace blitzio::detail
