// The runtime's source of time and of random numbers, injected so that tests can own both.
// Thread rule: clock_source::now() may be called from any thread; a random_source belongs to one.
#pragma once

#include <chrono>
#include <cstdint>

namespace blitzio::detail
{

/// Monotonic time since an arbitrary start.
class clock_source
{
public:
    virtual ~clock_source() = default;
    [[nodiscard]] virtual std::chrono::nanoseconds now() const noexcept = 0;
};

/// xorshift64* (Vigna 2016): statistically sound for picking victims and jitter, never for secrets.
class random_source
{
public:
    explicit random_source(std::uint64_t seed) noexcept
        : state_(seed * 0x9E3779B97F4A7C15u + 0xD1B54A32D192ED03u)
    {
        if (state_ == 0)
        {
            state_ = 1; // zero is the one state that xorshift never leaves
        }
    }

    std::uint64_t next() noexcept
    {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545F4914F6CDD1Du;
    }

    /// Uniform enough in [0, bound) for bounds far below 2^64; bound must not be 0.
    std::uint64_t below(std::uint64_t bound) noexcept
    {
        return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
    }

private:
    std::uint64_t state_;
};

} // namespace blitzio::detail
