// The atomics policy: everything the lock-free types of blitzio ask of the machine.
//
// The lock-free types are templates over this policy, so that the model checker in tests/model can
// put its own atomics below the shipped code and walk through all schedules. The policy has more in
// it than atomics for the same reason: plain accesses to memory that a protocol hands from thread
// to thread are announced (so that a missing release or acquire shows up as a data race), waiting
// loops tell the checker that they wait, and broken contracts are reported to it instead of
// aborting.
//
// Threading rule: stateless, any thread.
#pragma once

#include <atomic>
#include <cassert>
#include <cstdint>
#include <thread>
#include <type_traits>

namespace blitzio::detail
{

struct std_atomics
{
    template <class T>
    using atomic = std::atomic<T>;

    using thread_id = std::thread::id;

    // Tells the processor that this is a waiting loop; a sibling hardware thread gets the units.
    static void pause() noexcept
    {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
        asm volatile("yield" ::: "memory");
#endif
    }

    // One round of a loop that waits for another thread. The other thread may have lost its core,
    // so after a few rounds the core is offered to it.
    static void back_off(std::uint32_t round) noexcept
    {
        constexpr std::uint32_t rounds_on_core = 32;
        if (round < rounds_on_core)
        {
            pause();
        }
        else
        {
            std::this_thread::yield();
        }
    }

    [[nodiscard]] static thread_id current_thread() noexcept
    {
        return std::this_thread::get_id();
    }

    // Reads and writes plain memory that a protocol hands from one thread to another.
    template <class T>
    [[nodiscard]] static T load_plain(const T& location) noexcept
    {
        return location;
    }

    template <class T>
    static void store_plain(T& location, std::type_identity_t<T> value) noexcept
    {
        location = value;
    }

    // A contract of the type itself; a violation is a bug in blitzio or in its direct caller.
    static void expect([[maybe_unused]] bool condition) noexcept
    {
        assert(condition);
    }
};

} // namespace blitzio::detail
