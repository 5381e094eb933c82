// Latency histogram with a bounded relative error, for the load generator.
// One thread owns a histogram; nothing here is synchronised.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace loadgen
{

// Values below 128 are kept exactly; above, every power of two is divided into 64 equal steps, so
// that a reported quantile is at most 1.6 % away from the recorded value. The whole range of 64
// bits fits in 30 KiB.
class histogram
{
public:
    void record(std::uint64_t value) noexcept
    {
        ++counts_[index_of(value)];
        ++total_;
        max_ = std::max(max_, value);
    }

    [[nodiscard]] std::uint64_t total() const noexcept
    {
        return total_;
    }

    [[nodiscard]] std::uint64_t max() const noexcept
    {
        return max_;
    }

    // The smallest recorded step that has at least `fraction` of all values at or below it.
    [[nodiscard]] std::uint64_t quantile(double fraction) const noexcept
    {
        const auto wanted = static_cast<double>(total_) * fraction;
        std::uint64_t seen = 0;
        for (std::size_t index = 0; index < counts_.size(); ++index)
        {
            seen += counts_[index];
            if (counts_[index] != 0 && static_cast<double>(seen) >= wanted)
            {
                return std::min(upper_bound_of(index), max_);
            }
        }
        return max_;
    }

private:
    static constexpr unsigned step_bits = 6;
    static constexpr std::uint64_t steps = 1u << step_bits;

    static std::size_t index_of(std::uint64_t value) noexcept
    {
        if (value < 2 * steps)
        {
            return static_cast<std::size_t>(value);
        }
        const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - (step_bits + 1);
        return static_cast<std::size_t>(shift * steps + (value >> shift));
    }

    static std::uint64_t upper_bound_of(std::size_t index) noexcept
    {
        if (index < 2 * steps)
        {
            return index;
        }
        const auto shift = static_cast<unsigned>(index / steps - 1);
        const std::uint64_t mantissa = index - shift * steps;
        return ((mantissa + 1) << shift) - 1;
    }

    std::array<std::uint64_t, (64 - step_bits + 1) * steps> counts_{};
    std::uint64_t total_ = 0;
    std::uint64_t max_ = 0;
};

} // namespace loadgen
