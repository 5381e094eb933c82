// The timing wheel; see the header for its invariant and thread rule.
#include "time/timer_wheel.hpp"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

namespace blitzio::detail
{

namespace
{

/// How far ahead of `here`, on a ring of 64, the next set bit is; `here` itself is the last.
constexpr unsigned bits_ahead(std::uint64_t bits, unsigned here) noexcept
{
    const auto turned = std::rotr(bits, static_cast<int>((here + 1) % 64));
    return static_cast<unsigned>(std::countr_zero(turned)) + 1;
}

constexpr std::uint64_t nanoseconds_of(std::chrono::nanoseconds time) noexcept
{
    return static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0));
}

/// The list from the oldest element on.
runnable* turned_round(runnable* newest_first) noexcept
{
    runnable* oldest_first = nullptr;
    while (newest_first != nullptr)
    {
        runnable* const node = std::exchange(newest_first, newest_first->next);
        node->next = std::exchange(oldest_first, node);
    }
    return oldest_first;
}

runnable** link_of_next(runnable* item) noexcept
{
    return &item->next;
}

} // namespace

void timer_wheel::link_at(timer& node, runnable*& head) noexcept
{
    node.next = head;
    node.link = &head;
    if (head != nullptr)
    {
        static_cast<timer*>(head)->link = link_of_next(&node);
    }
    head = &node;
}

void timer_wheel::mark(unsigned slot) noexcept
{
    occupied_[slot / 64] |= std::uint64_t{1} << (slot % 64);
    if (slot < near_slots)
    {
        occupied_words_ |= std::uint64_t{1} << (slot / 64);
    }
}

void timer_wheel::unmark(unsigned slot) noexcept
{
    std::uint64_t& word = occupied_[slot / 64];
    word &= ~(std::uint64_t{1} << (slot % 64));
    if (slot < near_slots && word == 0)
    {
        occupied_words_ &= ~(std::uint64_t{1} << (slot / 64));
    }
}

void timer_wheel::place(timer& node) noexcept
{
    const std::uint64_t tick =
        std::clamp(node.expiry, current_tick_ + 1, current_tick_ + reach_ticks);
    unsigned slot = static_cast<unsigned>(tick % near_slots);
    if (tick - current_tick_ >= near_slots)
    {
        unsigned level = 1;
        while ((tick >> shift_of(level)) - (current_tick_ >> shift_of(level)) >= far_slots)
        {
            ++level;
        }
        slot = near_slots + (level - 1) * far_slots +
               static_cast<unsigned>(tick >> shift_of(level)) % far_slots;
    }
    link_at(node, slots_[slot]);
    mark(slot);
}

void timer_wheel::make_due(timer& node) noexcept
{
    node.next = nullptr;
    node.link = due_end_;
    *due_end_ = &node;
    due_end_ = &node.next;
}

void timer_wheel::unlink(timer& node) noexcept
{
    runnable** const link = std::exchange(node.link, nullptr);
    *link = node.next;
    if (node.next != nullptr)
    {
        static_cast<timer*>(node.next)->link = link;
        return;
    }
    if (due_end_ == &node.next)
    {
        due_end_ = link;
        return;
    }
    // The total order of std::less: the link may lie in a timer anywhere.
    if (!std::less<>()(link, slots_.data()) && std::less<>()(link, slots_.data() + slot_count))
    {
        unmark(static_cast<unsigned>(link - slots_.data()));
    }
}

bool timer_wheel::begin_insert(timer& node) noexcept
{
    const std::size_t count = size();
    if (limit_ != 0 && count >= limit_)
    {
        return false;
    }
    node.wheel = this;
    size_.store(count + 1, std::memory_order_relaxed);
    return true;
}

bool timer_wheel::insert(timer& node, std::chrono::nanoseconds deadline) noexcept
{
    const std::uint64_t nanoseconds = nanoseconds_of(deadline);
    const std::lock_guard lock(mutex_);
    if (!begin_insert(node))
    {
        return false;
    }
    node.expiry =
        nanoseconds / nanoseconds_per_tick + (nanoseconds % nanoseconds_per_tick != 0 ? 1 : 0);
    if (node.expiry <= current_tick_)
    {
        make_due(node);
        has_due_ = true;
    }
    else
    {
        place(node);
    }
    return true;
}

bool timer_wheel::insert_after(timer& node, std::chrono::nanoseconds duration) noexcept
{
    const std::lock_guard lock(mutex_);
    if (!begin_insert(node))
    {
        return false;
    }
    node.expiry = nanoseconds_of(duration);
    if (node.expiry == 0)
    {
        make_due(node);
        has_due_ = true;
    }
    else
    {
        link_at(node, unsettled_);
    }
    return true;
}

bool timer_wheel::remove(timer& node) noexcept
{
    const std::lock_guard lock(mutex_);
    if (node.link == nullptr)
    {
        return false;
    }
    unlink(node);
    size_.store(size() - 1, std::memory_order_relaxed);
    return true;
}

std::optional<timer_wheel::expiry_point> timer_wheel::earliest_at(unsigned level) const noexcept
{
    if (level != 0)
    {
        const unsigned first_slot = near_slots + (level - 1) * far_slots;
        const std::uint64_t bits = occupied_[first_slot / 64];
        if (bits == 0)
        {
            return std::nullopt;
        }
        const std::uint64_t here = current_tick_ >> shift_of(level);
        const std::uint64_t there = here + bits_ahead(bits, static_cast<unsigned>(here % 64));
        return expiry_point{first_slot + static_cast<unsigned>(there % far_slots),
                            there << shift_of(level)};
    }
    if (occupied_words_ == 0)
    {
        return std::nullopt;
    }
    const auto here = static_cast<unsigned>(current_tick_ % near_slots);
    // The part of the current word that lies ahead; its other part comes round last.
    const std::uint64_t ahead = here % 64 == 63 ? 0 : occupied_[here / 64] >> (here % 64 + 1);
    std::uint64_t distance = 0;
    if (ahead != 0)
    {
        distance = static_cast<std::uint64_t>(std::countr_zero(ahead)) + 1;
    }
    else
    {
        const unsigned word = (here / 64 + bits_ahead(occupied_words_, here / 64)) % 64;
        const unsigned slot = word * 64 + static_cast<unsigned>(std::countr_zero(occupied_[word]));
        distance = (slot + near_slots - here) % near_slots;
    }
    return expiry_point{static_cast<unsigned>((here + distance) % near_slots),
                        current_tick_ + distance};
}

/// The first expiry in the slot when that is quickly found, otherwise the slot's start: a worker
/// with a handful of timers is not woken merely to move them down a level.
std::uint64_t timer_wheel::first_tick_in(const expiry_point& point) const noexcept
{
    constexpr int looks_max = 16;
    std::uint64_t first = ~std::uint64_t{0};
    if (point.slot < near_slots)
    {
        return point.tick;
    }
    int looks = 0;
    for (const runnable* item = slots_[point.slot]; item != nullptr; item = item->next)
    {
        if (++looks > looks_max)
        {
            return point.tick;
        }
        first = std::min(first, static_cast<const timer*>(item)->expiry);
    }
    // A parked timer from beyond the reach moves on when its slot is reached.
    return std::min(first, current_tick_ + reach_ticks);
}

std::optional<std::chrono::nanoseconds> timer_wheel::next_expiry() const noexcept
{
    const std::lock_guard lock(mutex_);
    if (due_ != nullptr || unsettled_ != nullptr)
    {
        return std::chrono::nanoseconds(0);
    }
    std::optional<std::uint64_t> first;
    for (unsigned level = 0; level < level_count; ++level)
    {
        if (const auto point = earliest_at(level))
        {
            first = std::min(first.value_or(~std::uint64_t{0}), first_tick_in(*point));
        }
    }
    if (!first)
    {
        return std::nullopt;
    }
    constexpr std::uint64_t last_tick =
        static_cast<std::uint64_t>(std::chrono::nanoseconds::max().count()) / nanoseconds_per_tick;
    return std::chrono::nanoseconds(std::min(*first, last_tick) * nanoseconds_per_tick);
}

void timer_wheel::empty_slot(unsigned slot) noexcept
{
    runnable* item = turned_round(std::exchange(slots_[slot], nullptr));
    unmark(slot);
    while (item != nullptr)
    {
        timer& node = static_cast<timer&>(*std::exchange(item, item->next));
        if (node.expiry <= current_tick_)
        {
            make_due(node);
        }
        else
        {
            place(node);
        }
    }
}

/// Makes the next tick at which a slot begins the current one; false when that is after `last`. The
/// slots of all levels that begin there are emptied at once: afterwards they stand for the next
/// round. From the top, because what moves down may belong to this very tick.
bool timer_wheel::step(std::uint64_t last) noexcept
{
    std::uint64_t tick = ~std::uint64_t{0};
    for (unsigned level = 0; level < level_count; ++level)
    {
        if (const auto point = earliest_at(level))
        {
            tick = std::min(tick, point->tick);
        }
    }
    if (tick > last)
    {
        return false;
    }
    current_tick_ = tick;
    for (unsigned level = level_count - 1; level != 0; --level)
    {
        const std::uint64_t number = tick >> shift_of(level);
        if (number << shift_of(level) == tick)
        {
            empty_slot(near_slots + (level - 1) * far_slots +
                       static_cast<unsigned>(number % far_slots));
        }
    }
    empty_slot(static_cast<unsigned>(tick % near_slots));
    return true;
}

void timer_wheel::fire_due(ready_list& fired, std::size_t fired_max) noexcept
{
    std::size_t count = 0;
    runnable* item = due_;
    for (; item != nullptr && count < fired_max; ++count)
    {
        timer& node = static_cast<timer&>(*std::exchange(item, item->next));
        node.link = nullptr;
        fired.push(node);
    }
    due_ = item;
    if (item == nullptr)
    {
        due_end_ = &due_;
    }
    else
    {
        static_cast<timer*>(item)->link = &due_;
    }
    has_due_ = item != nullptr;
    size_.store(size() - count, std::memory_order_relaxed);
    fired_total_.store(fired_total() + count, std::memory_order_relaxed);
}

/// Gives the timers that were armed since the last look at the clock their places.
void timer_wheel::settle(std::chrono::nanoseconds now) noexcept
{
    runnable* item = turned_round(std::exchange(unsettled_, nullptr));
    while (item != nullptr)
    {
        timer& node = static_cast<timer&>(*std::exchange(item, item->next));
        // Both are at most 2^63 - 1.
        const std::uint64_t deadline = nanoseconds_of(now) + node.expiry;
        node.expiry = deadline / nanoseconds_per_tick + (deadline % nanoseconds_per_tick != 0);
        place(node);
    }
}

void timer_wheel::advance(std::chrono::nanoseconds now, ready_list& fired,
                          std::size_t fired_max) noexcept
{
    const std::uint64_t now_tick = nanoseconds_of(now) / nanoseconds_per_tick;
    const std::lock_guard lock(mutex_);
    while (step(now_tick))
    {
    }
    current_tick_ = std::max(current_tick_, now_tick);
    settle(now);
    fire_due(fired, fired_max);
}

bool cancel_timer(timer& node) noexcept
{
    return node.wheel->remove(node);
}

} // namespace blitzio::detail
