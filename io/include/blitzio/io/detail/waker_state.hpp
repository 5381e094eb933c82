// Who polls a foreign future, and who has to see to it that it is polled again, in one atomic byte.
// Thread rule: begin_poll(), finish_poll() and end() by whoever runs the operation, one at a time;
// wake() by anybody, at any time, any number of times, also after the end.
#pragma once

#include <blitzio/io/detail/atomics.hpp>

#include <cstdint>

namespace blitzio::detail
{

/// Bits:
///   waiting   set by finish_poll(), cleared by begin_poll(): nobody polls, the operation sleeps.
///   notified  set by every wake(), cleared by begin_poll(): a poll has to follow.
///   ended     set by end(): there will be no more polls.
/// Invariant: while the operation sleeps (waiting), exactly the wake() that turns `notified` from off
/// to on returns true, and its caller schedules the one poll that clears both bits. So the operation
/// is on a queue at most once, and a late or repeated wake() touches nothing but this byte.
/// No wake is lost: begin_poll() and wake() are read-modify-writes of one byte. A wake() before
/// begin_poll() is acquired by it, so that poll sees what was written before the wake; one after it
/// leaves `notified`, which makes finish_poll() fail, or finds `waiting`, and schedules.
template <class Atomics = std_atomics>
class waker_state
{
public:
    void begin_poll() noexcept
    {
        // Acquire: partner is the release in wake(). Release: keeps the chain for the wakes before.
        bits_.exchange(0, std::memory_order_acq_rel);
    }

    /// The poll gave nothing. True: the operation sleeps; a wake may have continued it already, so
    /// the caller touches nothing more. False: there was a wake meanwhile, poll again.
    [[nodiscard]] bool finish_poll() noexcept
    {
        std::uint8_t expected = 0;
        // Release: partner is the acquire in wake(), whose caller schedules the operation.
        return bits_.compare_exchange_strong(expected, waiting, std::memory_order_release,
                                             std::memory_order_relaxed);
    }

    /// No poll will follow.
    void end() noexcept
    {
        bits_.store(ended, std::memory_order_relaxed);
    }

    /// True: the caller schedules the operation, which is there until then.
    [[nodiscard]] bool wake() noexcept
    {
        // Release: partner is the acquire in begin_poll(). Acquire: partner is finish_poll().
        return bits_.fetch_or(notified, std::memory_order_acq_rel) == waiting;
    }

private:
    static constexpr std::uint8_t notified = 1;
    static constexpr std::uint8_t waiting = 2;
    static constexpr std::uint8_t ended = 4;

    typename Atomics::template atomic<std::uint8_t> bits_{0};
};

} // namespace blitzio::detail
