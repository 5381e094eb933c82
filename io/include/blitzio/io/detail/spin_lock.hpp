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

// Invariant: locked_ is true exactly while one thread is between lock() and unlock(). The exchange
// gives `false` to one thread only, and only after an unlock() whose stores it thereby sees.
template <class Atomics = std_atomics>
class basic_spin_lock
{
public:
    basic_spin_lock() noexcept = default;
    basic_spin_lock(const basic_spin_lock&) = delete;
    basic_spin_lock& operator=(const basic_spin_lock&) = delete;

    void lock() noexcept
    {
        if (!try_enter()) [[unlikely]]
        {
            wait_and_lock();
        }
    }

    void unlock() noexcept
    {
        // Release: partner is the acquire in lock().
        locked_.store(false, std::memory_order_release);
    }

private:
    [[nodiscard]] bool try_enter() noexcept
    {
        // Acquire: partner is the release in unlock().
        return !locked_.exchange(true, std::memory_order_acquire);
    }

    /// Apart: whoever finds the lock free should not save registers for this.
    [[gnu::noinline, gnu::cold]] void wait_and_lock() noexcept
    {
        std::uint32_t round = 0;
        do
        {
            // Reading spares the holder the loss of its cache line.
            while (locked_.load(std::memory_order_relaxed))
            {
                Atomics::back_off(round++);
            }
        } while (!try_enter());
    }

    typename Atomics::template atomic<bool> locked_{false};
};

using spin_lock = basic_spin_lock<>;

/// Holds a spin lock for as long as it lives.
template <class Lock = spin_lock>
class [[nodiscard]] spin_guard
{
public:
    explicit spin_guard(Lock& held) noexcept : held_(held)
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
    Lock& held_;
};

} // namespace blitzio::detail
