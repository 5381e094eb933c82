// The timing wheel; see the header for its invariant and thread rule.
#include "time/timer_wheel.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace blitzio::detail
{

namespace
{

constexpr unsigned digit(std::uint64_t tick, unsigned level) noexcept
{
    return static_cast<unsigned>(tick >> (6 * level)) & 63u;
}

/// The level of the highest digit in which the ticks differ.
constexpr unsigned level_between(std::uint64_t current, std::uint64_t expiry) noexcept
{
    const std::uint64_t difference = (current ^ expiry) | 63u;
    return std::min(static_cast<unsigned>(63 - std::countl_zero(difference)) / 6, 5u);
}

} // namespace

void timer_wheel::place(timer& node) noexcept
{
    const std::uint64_t tick =
        std::clamp(node.expiry_tick, current_tick_ + 1, current_tick_ + reach_ticks);
    const unsigned level = level_between(current_tick_, tick);
    const unsigned position = digit(tick, level);
    timer*& head = slots_[level][position];
    node.level = static_cast<std::uint8_t>(level);
    node.slot = static_cast<std::uint8_t>(position);
    node.following = head;
    node.link = &head;
    if (head != nullptr)
    {
        head->link = &node.following;
    }
    head = &node;
    occupied_[level] |= std::uint64_t{1} << position;
}

void timer_wheel::unlink(timer& node) noexcept
{
    *node.link = node.following;
    if (node.following != nullptr)
    {
        node.following->link = node.link;
    }
    node.link = nullptr;
    if (slots_[node.level][node.slot] == nullptr)
    {
        occupied_[node.level] &= ~(std::uint64_t{1} << node.slot);
    }
}

bool timer_wheel::insert(timer& node, std::chrono::nanoseconds deadline) noexcept
{
    const auto count = std::max<std::int64_t>(deadline.count(), 0);
    const auto nanoseconds = static_cast<std::uint64_t>(count);
    const std::lock_guard lock(mutex_);
    if (limit_ != 0 && size() >= limit_)
    {
        return false;
    }
    node.wheel = this;
    node.expiry_tick =
        nanoseconds / nanoseconds_per_tick + (nanoseconds % nanoseconds_per_tick != 0 ? 1 : 0);
    place(node);
    size_.store(size() + 1, std::memory_order_relaxed);
    update_next_tick();
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

std::optional<timer_wheel::expiry_point> timer_wheel::earliest() const noexcept
{
    for (unsigned level = 0; level < level_count; ++level)
    {
        if (occupied_[level] == 0)
        {
            continue;
        }
        // Lower levels expire before higher ones: they lie within the current slot of those.
        const unsigned here = digit(current_tick_, level);
        const auto turned = std::rotr(occupied_[level], static_cast<int>(here));
        const unsigned ahead = static_cast<unsigned>(std::countr_zero(turned));
        const std::uint64_t slot_ticks = std::uint64_t{1} << (slot_bits * level);
        const std::uint64_t slot_start = (current_tick_ / slot_ticks + ahead) * slot_ticks;
        return expiry_point{level, (here + ahead) % slots_per_level, slot_start};
    }
    return std::nullopt;
}

void timer_wheel::update_next_tick() noexcept
{
    const auto point = earliest();
    next_tick_ = point ? point->tick : ~std::uint64_t{0};
}

void timer_wheel::empty_slot(const expiry_point& point, ready_list& fired) noexcept
{
    timer* newest_first = std::exchange(slots_[point.level][point.slot], nullptr);
    occupied_[point.level] &= ~(std::uint64_t{1} << point.slot);
    timer* oldest_first = nullptr;
    while (newest_first != nullptr)
    {
        timer* const node = std::exchange(newest_first, newest_first->following);
        node->following = std::exchange(oldest_first, node);
    }
    while (oldest_first != nullptr)
    {
        timer& node = *std::exchange(oldest_first, oldest_first->following);
        node.link = nullptr;
        if (node.expiry_tick <= current_tick_)
        {
            size_.store(size() - 1, std::memory_order_relaxed);
            fired.push(node);
        }
        else
        {
            place(node);
        }
    }
}

void timer_wheel::advance(std::chrono::nanoseconds now, ready_list& fired) noexcept
{
    const std::uint64_t now_tick =
        static_cast<std::uint64_t>(std::max<std::int64_t>(now.count(), 0)) / nanoseconds_per_tick;
    const std::lock_guard lock(mutex_);
    while (const auto point = earliest())
    {
        if (point->tick > now_tick)
        {
            break;
        }
        current_tick_ = std::max(current_tick_, point->tick);
        empty_slot(*point, fired);
    }
    current_tick_ = std::max(current_tick_, now_tick);
    update_next_tick();
}

bool cancel_timer(timer& node) noexcept
{
    return node.wheel->remove(node);
}

} // namespace blitzio::detail
