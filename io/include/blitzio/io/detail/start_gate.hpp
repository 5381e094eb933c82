// Tells a child that ends while it is being started from one that ends later.
//
// A task runs inside its start(). When it ends there and continued its parent on the spot, the parent
// would go on above the frame that is still starting the child, one level deeper with every round of
// a loop. With the gate the parent goes on when start() has returned.
//
// Thread rule: begin() and suspend() by whoever starts the child; end() by whoever ends it, on any
// thread, also before suspend().
#pragma once

#include <blitzio/io/detail/atomics.hpp>

#include <cstdint>

namespace blitzio::detail
{

/// Invariant: of suspend() and end(), exactly one finds that the other came first, because both are
/// read-modify-writes of one word (or suspend() has read `ended`). That one continues the parent:
///   - suspend() returned false: the child has ended, the parent goes on by itself;
///   - end() returned true: the parent sleeps, the caller continues it.
/// Whoever was first does not touch the gate again, so the parent may be gone at once.
template <class Atomics = std_atomics>
class start_gate
{
public:
    /// Before the child is started.
    void begin() noexcept
    {
        // Relaxed: whoever ends the child has it from whoever starts it.
        phase_.store(starting, std::memory_order_relaxed);
    }

    /// After the child's start said that it ends through its waiter. True: the parent is suspended.
    /// False: the child has ended meanwhile, go on.
    [[nodiscard]] bool suspend() noexcept
    {
        // Acquire, here and below: partner is the release in end(), the outcome is in place.
        if (phase_.load(std::memory_order_acquire) == ended)
        {
            return false; // the usual case, without a read-modify-write
        }
        // Release: partner is the acquire in end(), which continues the parent.
        return phase_.exchange(suspended, std::memory_order_acq_rel) != ended;
    }

    /// The child's outcome is in place. True: continue the parent.
    [[nodiscard]] bool end() noexcept
    {
        return phase_.exchange(ended, std::memory_order_acq_rel) == suspended;
    }

private:
    static constexpr std::uint8_t starting = 0;
    static constexpr std::uint8_t suspended = 1;
    static constexpr std::uint8_t ended = 2;

    typename Atomics::template atomic<std::uint8_t> phase_{starting};
};

} // namespace blitzio::detail
