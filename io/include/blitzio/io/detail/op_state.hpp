// The life of one submitted operation as a set of bits, shared by the thread that completes it and a
// thread that asks for its cancellation.
#pragma once

#include <blitzio/io/detail/atomics.hpp>

#include <cstdint>

namespace blitzio::detail
{

/// Two parties may hold on to an operation: its own completion and one cancel request. The frame
/// that contains the operation may go on only after both have let go, otherwise a late cancel could
/// reach a new operation at the same address.
///
/// Invariant: of complete() and cancel_finished(), exactly one call per operation returns true, and
/// that call is the last access to the operation by either party.
///   - No cancel was accepted: complete() is the only party and returns true.
///   - A cancel was accepted (request_cancel() returned true before terminal_ was set): both
///     complete() and cancel_finished() happen, each sets its bit with one read-modify-write on the
///     same word, and only the later one sees the other's bit.
///   - A cancel that comes after terminal_ is refused and touches nothing afterwards.
template <class Atomics = std_atomics>
class basic_op_state
{
public:
    /// Before submission, owner only: forgets a previous life.
    void reset() noexcept
    {
        // Published to other threads by the submission that follows.
        bits_.store(0, std::memory_order_relaxed);
    }

    /// The submitting thread, once, after a stop callback may already have run. False: a cancel came
    /// first, the operation must not be submitted and nobody else will touch it.
    [[nodiscard]] bool begin() noexcept
    {
        // acq_rel pairs with request_cancel(): either it sees submitted_, or we see its request.
        return (bits_.fetch_or(submitted, std::memory_order_acq_rel) & cancel_requested) == 0;
    }

    /// Any thread, at most once. True: the caller now owes a cancel_finished(), after having tried
    /// to cancel at the driver. False: too early (begin() will see it) or too late.
    [[nodiscard]] bool request_cancel() noexcept
    {
        auto seen = bits_.load(std::memory_order_relaxed);
        while ((seen & terminal) == 0)
        {
            // acq_rel pairs with begin() and complete().
            if (bits_.compare_exchange_weak(seen, seen | cancel_requested,
                                            std::memory_order_acq_rel, std::memory_order_relaxed))
            {
                return (seen & submitted) != 0;
            }
        }
        return false;
    }

    /// The driver, once: the operation's own terminal result is stored. True: continue its waiter.
    [[nodiscard]] bool complete() noexcept
    {
        // acq_rel pairs with cancel_finished(): the later of the two sees all the other did.
        const auto before = bits_.fetch_or(terminal, std::memory_order_acq_rel);
        return (before & cancel_requested) == 0 || (before & cancel_done) != 0;
    }

    /// The party whose request_cancel() returned true, once. True: continue the waiter.
    [[nodiscard]] bool cancel_finished() noexcept
    {
        // acq_rel pairs with complete().
        return (bits_.fetch_or(cancel_done, std::memory_order_acq_rel) & terminal) != 0;
    }

    /// True once complete() has happened.
    [[nodiscard]] bool is_terminal() const noexcept
    {
        // acquire pairs with complete().
        return (bits_.load(std::memory_order_acquire) & terminal) != 0;
    }

    /// True once a cancel was asked for.
    [[nodiscard]] bool is_cancel_requested() const noexcept
    {
        return (bits_.load(std::memory_order_relaxed) & cancel_requested) != 0;
    }

private:
    static constexpr std::uint32_t submitted = 1;
    static constexpr std::uint32_t cancel_requested = 2;
    static constexpr std::uint32_t terminal = 4;
    static constexpr std::uint32_t cancel_done = 8;

    typename Atomics::template atomic<std::uint32_t> bits_{0};
};

} // namespace blitzio::detail
