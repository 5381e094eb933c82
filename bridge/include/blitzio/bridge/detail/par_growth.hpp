// By how much the results of a parallel stage are larger than their values, as far as is known: what
// a value is granted room for beside itself.
// Thread rule: one thread at a time; it lies under the lock of its par_ring.
#pragma once

#include <algorithm>
#include <cstddef>

namespace blitzio::detail
{

/// The largest growth of late: each result that grew less takes a sixteenth off it. A guess stands in
/// for what is not known at first, and counts half as much with each result.
class par_growth
{
public:
    void begin(std::size_t guess) noexcept
    {
        guess_ = guess;
    }

    void learn(std::size_t growth) noexcept
    {
        guess_ /= 2;
        const std::size_t taken_off = seen_ / fading + (seen_ % fading != 0 ? 1 : 0);
        seen_ = std::max(growth, seen_ - taken_off);
    }

    [[nodiscard]] std::size_t expected() const noexcept
    {
        return std::max(guess_, seen_);
    }

private:
    static constexpr std::size_t fading = 16;

    std::size_t guess_ = 0;
    std::size_t seen_ = 0;
};

} // namespace blitzio::detail
