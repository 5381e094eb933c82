// Hierarchical timing wheel of one worker: six levels of 64 slots, one millisecond a tick.
// Source of the algorithm: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987.
// Thread rule: insert(), advance() and next_expiry() by the owning worker; remove() by any thread.
#pragma once

#include <blitzio/io/detail/ready_list.hpp>
#include <blitzio/io/detail/timer.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

namespace blitzio::detail
{

/// A timer sits at the level of the highest six-bit digit in which its expiry differs from the
/// current tick, so it moves down at most five times; inserting and removing touch one slot.
///
/// Invariant, under mutex_: a timer whose `link` is not null is in exactly the slot list it names;
/// every timer in the wheel expires after current_tick_; occupied_ has a bit for exactly the slots
/// that are not empty.
class timer_wheel
{
public:
    /// `limit`: timers that may be armed at once; 0 for no limit.
    explicit timer_wheel(std::size_t limit) noexcept : limit_(limit) {}

    /// False when the limit is reached. A deadline that has passed fires at the next advance().
    [[nodiscard]] bool insert(timer& node, std::chrono::nanoseconds deadline) noexcept;

    /// True: the timer was in the wheel and will not fire.
    [[nodiscard]] bool remove(timer& node) noexcept;

    /// Takes out all timers whose time has come, in order of their ticks.
    void advance(std::chrono::nanoseconds now, ready_list& fired) noexcept;

    /// When advance() has something to do at the earliest; nothing while no timer is armed. May be
    /// earlier than any timer's expiry: timers move down a level, and removed ones leave a trace.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> next_expiry() const noexcept
    {
        if (size() == 0)
        {
            return std::nullopt;
        }
        return std::chrono::nanoseconds(next_tick_ * nanoseconds_per_tick);
    }

    [[nodiscard]] std::size_t size() const noexcept
    {
        return size_.load(std::memory_order_relaxed);
    }

private:
    static constexpr unsigned level_count = 6;
    static constexpr unsigned slot_bits = 6;
    static constexpr unsigned slots_per_level = 1u << slot_bits;
    static constexpr std::uint64_t nanoseconds_per_tick = 1'000'000;
    /// Further ahead than 63 slots of the top level (2.1 years) a timer is parked there and moves on
    /// when it is reached.
    static constexpr std::uint64_t reach_ticks = std::uint64_t{slots_per_level - 1}
                                                 << (slot_bits * (level_count - 1));

    struct expiry_point
    {
        unsigned level;
        unsigned slot;
        std::uint64_t tick;
    };

    void place(timer& node) noexcept;
    void unlink(timer& node) noexcept;
    [[nodiscard]] std::optional<expiry_point> earliest() const noexcept;
    void empty_slot(const expiry_point& point, ready_list& fired) noexcept;
    void update_next_tick() noexcept;

    mutable std::mutex mutex_;
    std::uint64_t current_tick_ = 0;
    /// Written by the owner only; a removal on another thread leaves it too early at the worst.
    std::uint64_t next_tick_ = ~std::uint64_t{0};
    std::atomic<std::size_t> size_{0};
    const std::size_t limit_;
    std::array<std::uint64_t, level_count> occupied_{};
    /// Newest first; advance() turns the order round.
    std::array<std::array<timer*, slots_per_level>, level_count> slots_{};
};

} // namespace blitzio::detail
