// How long the jobs of one pool take, and what handing one over costs: what decides about placement
// and admission. Thread rule: any thread; all of it is measured now and then, never at each job, so
// the writers hardly meet. Two that do may lose one of their measurements, which does no harm.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace blitzio::compute::detail
{

/// An exponentially weighted mean of durations, Mean(n + 1) = Mean(n) + (x - Mean(n)) / weight. Until
/// `weight` measurements have come it is the plain mean of those that have.
class mean_duration
{
public:
    constexpr explicit mean_duration(std::uint32_t weight) noexcept : weight_(weight) {}

    /// `repeats`: for how many jobs this one stands.
    void add(std::chrono::nanoseconds time, std::uint32_t repeats = 1) noexcept
    {
        const auto count = count_.load(std::memory_order_relaxed);
        const auto now_counted = count + repeats < weight_ ? count + repeats : weight_;
        const auto before = static_cast<double>(mean_.load(std::memory_order_relaxed));
        const double part = static_cast<double>(repeats < now_counted ? repeats : now_counted) /
                            static_cast<double>(now_counted);
        mean_.store(
            static_cast<float>(before + (static_cast<double>(time.count()) - before) * part),
            std::memory_order_relaxed);
        count_.store(now_counted, std::memory_order_relaxed);
    }

    /// A little less than before: for a mean that keeps others from being measured.
    void fade() noexcept
    {
        constexpr float kept = 63.0F / 64.0F;
        mean_.store(mean_.load(std::memory_order_relaxed) * kept, std::memory_order_relaxed);
    }

    /// Up to the weight.
    [[nodiscard]] std::uint32_t count() const noexcept
    {
        return count_.load(std::memory_order_relaxed);
    }

    /// 0 when nothing was measured.
    [[nodiscard]] std::chrono::nanoseconds value() const noexcept
    {
        return std::chrono::nanoseconds(
            static_cast<std::int64_t>(mean_.load(std::memory_order_relaxed)));
    }

private:
    const std::uint32_t weight_;
    std::atomic<std::uint32_t> count_{0};
    std::atomic<float> mean_{0};
};

struct job_times
{
    /// Of the jobs that were measured.
    mean_duration job{64};
    /// From handing a job to a pool that has an idle thread until the one who waits for it goes on,
    /// without the job itself.
    mean_duration hand_off{32};
};

} // namespace blitzio::compute::detail
