// Whether a thread of a pool is awake, asleep, or about to be woken: the state of a parking place,
// without the ways of sleeping.
// Thread rule: announce_...(), sleeps() and end_sleep() by the thread that it belongs to; wake()
// from any thread, as often as it likes.
#pragma once

#include <blitzio/io/detail/atomics.hpp>

#include <atomic>
#include <cstdint>
#include <utility>

namespace blitzio::compute::detail
{

/// `Handle` is what keeps a helping thread in its wait: the end of a handle that is not empty ends
/// the wait that it was made for. A default-constructed or moved-from one is empty.
///
/// How the thread sleeps, alone or helping:
///   if (announce_sleep()) while (sleeps()) wait in the kernel while address() is `asleep`;
///   end_sleep();
/// or
///   announce_help(handle); wait until the handle has ended; end_sleep();
///
/// Invariant of word_: its thread turns `awake` into a sleeping value, and a permit or what wake()
/// made of a sleeping value into `awake`; wake() turns whatever it finds into a permit. So
///   - a wake() that finds `awake` leaves a permit that the next sleep takes instead of sleeping,
///   - one that finds a sleeping value, and only that one, ends that very sleep,
///   - one that finds a permit has nothing to do, and what its caller did before is seen by the
///     thread when that permit ends: end_sleep() reads what the last wake() wrote.
/// handle_ belongs to the thread until word_ says sleeping_helping, then to the wake() that turns
/// this into a permit, until it has moved the handle out. Before the end of the moved handle the
/// thread does not come out of its wait, so it does not touch handle_ meanwhile; after it the thread
/// may be asleep again, and wake() touches nothing any more.
template <class Handle, class Atomics = blitzio::detail::std_atomics>
class parking_state
{
public:
    using word = typename Atomics::template atomic<std::uint32_t>;

    /// What whoever has called wake() must do.
    struct wake_order
    {
        /// To wake who waits in the kernel at address().
        bool in_kernel = false;
        /// To let it end.
        Handle helping{};
    };

    /// What is at address() while the thread may wait in the kernel.
    static constexpr std::uint32_t asleep = 2;

    parking_state() noexcept = default;
    parking_state(const parking_state&) = delete;
    parking_state& operator=(const parking_state&) = delete;

    /// False: there was a permit, so do not sleep.
    [[nodiscard]] bool announce_sleep() noexcept
    {
        return announce(asleep);
    }

    [[nodiscard]] bool sleeps() const noexcept
    {
        // Relaxed: end_sleep() acquires.
        return word_.load(std::memory_order_relaxed) == asleep;
    }

    /// When there was a permit, the handle has ended at the return.
    void announce_help(Handle handle) noexcept
    {
        handle_ = std::move(handle);
        if (!announce(sleeping_helping))
        {
            handle_ = Handle{};
        }
    }

    /// The thread is awake, and sees what everybody did who has woken it up to now.
    void end_sleep() noexcept
    {
        // A read-modify-write, because further wakes may have come since the one that ended the
        // sleep: their permits go here, so what they are about has to be seen. Acquire: partner is
        // the release in wake().
        word_.exchange(awake, std::memory_order_acquire);
    }

    [[nodiscard]] wake_order wake() noexcept
    {
        // Release: partner is the acquire in end_sleep(). Acquire: partner is the release in
        // announce(), which hands the handle over.
        switch (word_.exchange(permit, std::memory_order_acq_rel))
        {
        case asleep: return {.in_kernel = true};
        case sleeping_helping: return {.helping = std::move(handle_)};
        default: return {};
        }
    }

    /// For the kernel's comparison.
    [[nodiscard]] word& address() noexcept
    {
        return word_;
    }

private:
    static constexpr std::uint32_t awake = 0;
    static constexpr std::uint32_t permit = 1;
    static constexpr std::uint32_t sleeping_helping = 3;

    [[nodiscard]] bool announce(std::uint32_t kind) noexcept
    {
        std::uint32_t expected = awake;
        // Release: partner is the acquire in wake(). Relaxed: end_sleep() acquires.
        return word_.compare_exchange_strong(expected, kind, std::memory_order_release,
                                             std::memory_order_relaxed);
    }

    word word_{awake};
    Handle handle_{};
};

} // namespace blitzio::compute::detail
