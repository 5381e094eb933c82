// Work of a chosen length, in processor time: a chain of multiplications, counted once per program.
// Thread rule: any thread; calibrate() first, on one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace offload
{

inline std::uint64_t chain(std::uint64_t value, std::uint64_t steps) noexcept
{
    for (std::uint64_t step = 0; step < steps; ++step)
    {
        value = value * 6364136223846793005U + 1442695040888963407U;
    }
    return value;
}

class calibrated_work
{
public:
    /// The fastest of many tries: whatever else ran on the machine only made it slower.
    void calibrate()
    {
        constexpr std::uint64_t steps = 200'000;
        std::uint64_t value = 1;
        double fastest = 1e9;
        for (int round = 0; round < 200; ++round)
        {
            const auto begin = std::chrono::steady_clock::now();
            value = chain(value, steps);
            const std::chrono::duration<double, std::nano> took =
                std::chrono::steady_clock::now() - begin;
            fastest = std::min(fastest, took.count());
        }
        seed_ = value;
        // Or a program that does not ask for it has nothing to calibrate with.
        [[maybe_unused]] const volatile std::uint64_t kept = value;
        steps_per_ns_ = static_cast<double>(steps) / fastest;
    }

    [[nodiscard]] std::uint64_t steps_for(double nanoseconds) const noexcept
    {
        return static_cast<std::uint64_t>(nanoseconds * steps_per_ns_);
    }

    [[nodiscard]] std::uint64_t seed() const noexcept
    {
        return seed_;
    }

private:
    double steps_per_ns_ = 1;
    std::uint64_t seed_ = 1;
};

} // namespace offload
