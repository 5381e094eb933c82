// A lock for a few instructions: one read-modify-write to take it, a store to let go.
// Threading rule: any thread. Whoever waits gives the core away after a few rounds, because the
// holder may have lost its own.
#pragma once

#include <blitzio/io/detail/atomics.hpp>

#include <atomic>
#include <cstdint>

namespace blitzio::detail
{

// Invariant: locked_ is true exactly while one thread is between lock() and unlock(): the exchange
// that turns false into true is the only way in.
template <class Atomics = std_atomics>
class spin_lock
{
public:
    spin_lock() noexcept = default;
    spin_lock(const spin_lock&) = delete;
    spin_lock& operator=(const spin_lock&) = delete;

    void lock() noexcept
    {
        // Acquire: partner is the release in unlock().
        for (std::uint32_t round = 0; locked_.exchange(true, std::memory_order_acquire);)
        {
            // Relaxed: only a look, so that waiting does not take the line from the holder.
            do
            {
                Atomics::back_off(round++);
            } while (locked_.load(std::memory_order_relaxed));
        }
    }

    void unlock() noexcept
    {
        // Release: partner is the acquire in lock().
        locked_.store(false, std::memory_order_release);
    }

private:
    typename Atomics::template atomic<bool> locked_{false};
};

} // namespace blitzio::detail
