// Hierarchical timing wheel of one worker: 4096 slots of one millisecond, and four levels of 64 slots
// above them, which reach 2.1 years ahead.
// Source of the algorithm: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987.
// Thread rule: arming, advance() and next_expiry() by the owning worker; remove() by any thread.
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

/// A timer that expires within the next 4095 ticks lies in the slot of its very tick and is not moved
/// again; further ahead it lies at the lowest level whose slots reach that far, and moves down at most
/// four times. Inserting and removing touch one slot. The lowest level is that wide because moving
/// down is what hurts: with 64 slots there, 100,000 sleeps of up to 100 ms stood still for 8 ms each
/// time the worker went through its list of those that come next.
///
/// A timer that is armed for an amount of time waits in a list of its own until the owner looks at
/// the clock anyway. Most timers are cancelled before that: a request that is answered within the
/// turn never costs a clock reading, nor a place in the wheel.
///
/// Invariant, under mutex_: a timer whose `link` is not null is in exactly one list: due_, unsettled_
/// or a slot; due_end_ is the null at the end of due_; every timer in a slot expires after current_tick_; the bits of occupied_ and of
/// occupied_words_ are set for exactly the slots, and words, that are not empty.
class timer_wheel
{
public:
    /// `limit`: timers that may be armed at once; 0 for no limit.
    explicit timer_wheel(std::size_t limit) noexcept : limit_(limit) {}

    /// False when the limit is reached. A deadline that has passed fires at the next advance().
    [[nodiscard]] bool insert(timer& node, std::chrono::nanoseconds deadline) noexcept;

    /// The same, `duration` after the time that the next advance() is given.
    [[nodiscard]] bool insert_after(timer& node, std::chrono::nanoseconds duration) noexcept;

    /// True: the timer was in the wheel and will not fire.
    [[nodiscard]] bool remove(timer& node) noexcept;

    /// Takes out timers whose time has come, in order of their ticks, `fired_max` at the most; the
    /// others stay armed and due. So that what a burst of timers wakes need not overflow the worker's
    /// queue, which would put it behind all the work that has not begun.
    void advance(std::chrono::nanoseconds now, ready_list& fired,
                 std::size_t fired_max = ~std::size_t{0}) noexcept;

    /// True: there are timers that are due now. Owner only, and a hint: they may have been cancelled.
    [[nodiscard]] bool has_due() const noexcept
    {
        return has_due_;
    }

    /// When advance() has something to do at the earliest; nothing while no timer is armed. May be
    /// earlier than any timer's expiry, because timers move down a level, and is the clock's origin
    /// while timers wait for advance() to look at the clock.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> next_expiry() const noexcept;

    /// Timers that are armed. Any thread; exact for the owner's own timers.
    [[nodiscard]] std::size_t size() const noexcept
    {
        return size_.load(std::memory_order_relaxed);
    }

    /// Timers that have fired since the start. Any thread.
    [[nodiscard]] std::uint64_t fired_total() const noexcept
    {
        return fired_total_.load(std::memory_order_relaxed);
    }

private:
    static constexpr unsigned level_count = 5;
    static constexpr unsigned near_bits = 12;
    static constexpr unsigned near_slots = 1u << near_bits;
    static constexpr unsigned far_slots = 64;
    static constexpr unsigned slot_count = near_slots + (level_count - 1) * far_slots;
    static constexpr std::uint64_t nanoseconds_per_tick = 1'000'000;
    /// Further ahead than 63 slots of the top level (2.1 years) a timer is parked in the last of
    /// them, which serves as the overflow list, and moves on when that is reached.
    static constexpr std::uint64_t reach_ticks = std::uint64_t{far_slots - 1}
                                                 << (near_bits + 6 * (level_count - 2));

    struct expiry_point
    {
        unsigned slot;
        std::uint64_t tick;
    };

    /// How far a tick is shifted to give the number of its slot at that level.
    [[nodiscard]] static constexpr unsigned shift_of(unsigned level) noexcept
    {
        return level == 0 ? 0 : near_bits + 6 * (level - 1);
    }

    [[nodiscard]] bool begin_insert(timer& node) noexcept;
    static void link_at(timer& node, runnable*& head) noexcept;
    void place(timer& node) noexcept;
    void unlink(timer& node) noexcept;
    void mark(unsigned slot) noexcept;
    void unmark(unsigned slot) noexcept;
    [[nodiscard]] std::optional<expiry_point> earliest_at(unsigned level) const noexcept;
    [[nodiscard]] std::uint64_t first_tick_in(const expiry_point& point) const noexcept;
    void make_due(timer& node) noexcept;
    void empty_slot(unsigned slot) noexcept;
    [[nodiscard]] bool step(std::uint64_t last) noexcept;
    void fire_due(ready_list& fired, std::size_t fired_max) noexcept;
    void settle(std::chrono::nanoseconds now) noexcept;

    mutable std::mutex mutex_;
    std::uint64_t current_tick_ = 0;
    /// Written under mutex_.
    std::atomic<std::size_t> size_{0};
    std::atomic<std::uint64_t> fired_total_{0};
    const std::size_t limit_;
    /// Owner only.
    bool has_due_ = false;
    /// In order of their ticks.
    runnable* due_ = nullptr;
    runnable** due_end_ = &due_;
    /// These and the slots have the newest first; advance() turns the order round.
    runnable* unsettled_ = nullptr;
    /// The lowest level's first, then 64 of each level above.
    std::array<runnable*, slot_count> slots_{};
    std::array<std::uint64_t, slot_count / 64> occupied_{};
    /// Which of the lowest level's words in occupied_ are not 0.
    std::uint64_t occupied_words_ = 0;
};

} // namespace blitzio::detail
