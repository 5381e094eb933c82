// A position that one side advances and for whose advance the other side can wait, in one word.
// Thread rule: the advance functions and claim_waiter() by the advancing side, park() and forget_withdrawal()
// by the waiting side, each from one thread at a time; withdraw() by the waiting side's stop callback on
// any thread; close() by anybody.
#pragma once

#include <blitzio/io/detail/atomics.hpp>

#include <atomic>
#include <cstdint>

namespace blitzio::detail
{

// Bits below the position, and who may touch the waiter, which lies beside this object:
//   waiting_bit    set by park() after the waiter was stored. While it is set, the waiting side
//                  sleeps. Whoever clears it (claim_waiter, withdraw, close), by one
//                  read-modify-write each, owns the waiter and ends its wait.
//   withdrawn_bit  set by withdraw() when nobody waits: the park() that was about to follow is
//                  refused. Cleared by forget_withdrawal() when the wait is over.
//   closed_bit     set once by close(); advance() and park() are refused from then on.
// No wake-up is lost: the position advances by a compare-exchange from a value without waiting_bit,
// and park() sets that bit by one from the position that the waiting side knows. Of the two, the
// second fails, sees the first, and acts on it.
// One resumption: the bit is cleared once for each time it was set.
template <class Atomics = std_atomics>
class waitable_cursor
{
public:
    enum class advance_result : std::uint8_t
    {
        advanced,
        other_waits, // not advanced; see claim_waiter()
        closed,      // not advanced
    };

    enum class park_result : std::uint8_t
    {
        parked, // the waiter, and the frame around it, may be gone
        moved,  // the position is not what the waiting side thought
        withdrawn,
        closed,
    };

    waitable_cursor() noexcept = default;
    waitable_cursor(const waitable_cursor&) = delete;
    waitable_cursor& operator=(const waitable_cursor&) = delete;

    /// From `position`, which the advancing side knows because nobody else changes it.
    [[nodiscard]] advance_result advance(std::uint64_t position) noexcept
    {
        return advance_unless(position, waiting_bit | closed_bit);
    }

    /// Closing does not keep it from advancing.
    [[nodiscard]] advance_result advance_always(std::uint64_t position) noexcept
    {
        return advance_unless(position, waiting_bit);
    }

    /// Whether claim_waiter() is worth a try.
    [[nodiscard]] bool has_waiter() const noexcept
    {
        return (word_.load(std::memory_order_relaxed) & waiting_bit) != 0;
    }

    /// True: the waiter is the caller's, to be given something and continued.
    [[nodiscard]] bool claim_waiter() noexcept
    {
        std::uint64_t seen = word_.load(std::memory_order_relaxed);
        while ((seen & waiting_bit) != 0)
        {
            // Acquire: partner is the release in park(): the waiter may be read.
            if (word_.compare_exchange_weak(seen, seen & ~waiting_bit, std::memory_order_acquire,
                                            std::memory_order_relaxed))
            {
                return true;
            }
        }
        return false;
    }

    /// The waiter is stored. Sleeps, unless there is a reason not to.
    [[nodiscard]] park_result park(std::uint64_t position) noexcept
    {
        std::uint64_t seen = position * one;
        // Release: partner are the acquires of whoever clears the bit. Acquire on failure: partner
        // is the release in advance() and in close().
        while (!word_.compare_exchange_weak(seen, seen | waiting_bit, std::memory_order_release,
                                            std::memory_order_acquire))
        {
            if (seen / one != position)
            {
                return park_result::moved;
            }
            if ((seen & withdrawn_bit) != 0)
            {
                return park_result::withdrawn;
            }
            if ((seen & closed_bit) != 0)
            {
                return park_result::closed;
            }
        }
        return park_result::parked;
    }

    /// True: the waiter is the caller's, to be told and continued. False: the wait has not begun,
    /// and will not, or has ended.
    [[nodiscard]] bool withdraw() noexcept
    {
        std::uint64_t seen = word_.load(std::memory_order_relaxed);
        for (;;)
        {
            const bool waits = (seen & waiting_bit) != 0;
            const std::uint64_t wanted = waits ? seen & ~waiting_bit : seen | withdrawn_bit;
            // Acquire: partner is the release in park().
            if (word_.compare_exchange_weak(seen, wanted, std::memory_order_acquire,
                                            std::memory_order_relaxed))
            {
                return waits;
            }
        }
    }

    /// After the stop callback is gone. Costs a read unless a stop request came.
    void forget_withdrawal() noexcept
    {
        if ((word_.load(std::memory_order_relaxed) & withdrawn_bit) != 0)
        {
            word_.fetch_and(~withdrawn_bit, std::memory_order_relaxed);
        }
    }

    /// True: somebody was waiting and is the caller's, to be told and continued.
    [[nodiscard]] bool close() noexcept
    {
        std::uint64_t seen = word_.load(std::memory_order_relaxed);
        // Acquire: partner is the release in park(). Release: partner is the acquire in is_closed()
        // and in park().
        while (!word_.compare_exchange_weak(seen, (seen | closed_bit) & ~waiting_bit,
                                            std::memory_order_acq_rel, std::memory_order_relaxed))
        {
        }
        return (seen & waiting_bit) != 0;
    }

    /// Acquire: partner is the release in advance(): what lies before the position may be read.
    [[nodiscard]] std::uint64_t position() const noexcept
    {
        return word_.load(std::memory_order_acquire) / one;
    }

    /// Acquire: partner is the release in close().
    [[nodiscard]] bool is_closed() const noexcept
    {
        return (word_.load(std::memory_order_acquire) & closed_bit) != 0;
    }

private:
    static constexpr std::uint64_t waiting_bit = 1;
    static constexpr std::uint64_t withdrawn_bit = 2;
    static constexpr std::uint64_t closed_bit = 4;
    static constexpr std::uint64_t one = 8; // 2^61 positions do not run out

    [[nodiscard]] advance_result advance_unless(std::uint64_t position,
                                                std::uint64_t refusing_bits) noexcept
    {
        std::uint64_t seen = position * one;
        // Release: partner is the acquire in position() and park(): what lies at the position is
        // complete.
        while (!word_.compare_exchange_weak(seen, seen + one, std::memory_order_release,
                                            std::memory_order_relaxed))
        {
            if ((seen & refusing_bits) != 0)
            {
                return (seen & waiting_bit) != 0 ? advance_result::other_waits
                                                 : advance_result::closed;
            }
        }
        return advance_result::advanced;
    }

    typename Atomics::template atomic<std::uint64_t> word_{0};
};

} // namespace blitzio::detail
