// Vector clocks: what each thread of a modelled execution knows of the others.
//
// Threading rule: single-threaded, like the whole checker.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace model
{

// Thread 0 is the set-up and the final check; the scenario's threads count from 1.
inline constexpr std::size_t max_threads = 6;

using tick = std::uint32_t;

// at(t) is the latest tick of thread t that happens before the present. Ticks begin at 1, so that 0
// means "nothing yet".
class vector_clock
{
public:
    [[nodiscard]] tick at(std::size_t thread) const noexcept
    {
        return ticks_[thread];
    }

    void advance(std::size_t thread) noexcept
    {
        ++ticks_[thread];
    }

    void join(const vector_clock& other) noexcept
    {
        for (std::size_t thread = 0; thread < max_threads; ++thread)
        {
            ticks_[thread] = std::max(ticks_[thread], other.ticks_[thread]);
        }
    }

    // Whether `thread`'s event at `when` happens before the present; `when` 0 is no event.
    [[nodiscard]] bool covers(std::size_t thread, tick when) const noexcept
    {
        return when <= ticks_[thread];
    }

private:
    std::array<tick, max_threads> ticks_{};
};

} // namespace model
