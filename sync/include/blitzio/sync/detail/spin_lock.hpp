// The lock of one synchronisation object: one byte, held for a few instructions.
//
// It guards a handful of fields and never anything that waits or calls out: no waiter is continued,
// no stop callback is registered and no frame is destroyed while it is held. Therefore spinning is
// cheaper than a mutex, and a holder that lost its core gets it offered after a few rounds.
//
// Thread rule: any thread. unlock() is one store and the last access to the object, so whoever
// takes the lock afterwards may destroy what contains it.
#pragma once

#include <blitzio/io/detail/atomics.hpp>

#include <atomic>
#include <cstdint>

namespace blitzio::detail
{

class spin_lock
{
public:
    spin_lock() noexcept = default;
    spin_lock(const spin_lock&) = delete;
    spin_lock& operator=(const spin_lock&) = delete;

    void lock() noexcept
    {
        std::uint32_t round = 0;
        // Acquire: partner is the release in unlock().
        while (locked_.exchange(true, std::memory_order_acquire))
        {
            // Reading spares the holder the loss of its cache line.
            while (locked_.load(std::memory_order_relaxed))
            {
                std_atomics::back_off(round++);
            }
        }
    }

    void unlock() noexcept
    {
        // Release: partner is the acquire in lock().
        locked_.store(false, std::memory_order_release);
    }

private:
    std::atomic<bool> locked_{false};
};

/// Holds a spin_lock for as long as it lives.
class [[nodiscard]] spin_guard
{
public:
    explicit spin_guard(spin_lock& held) noexcept : held_(held)
    {
        held_.lock();
    }

    spin_guard(const spin_guard&) = delete;
    spin_guard& operator=(const spin_guard&) = delete;

    ~spin_guard()
    {
        held_.unlock();
    }

private:
    spin_lock& held_;
};

} // namespace blitzio::detail
