// Counters with one writer. Thread rule: add() and record() by the owner; value() on any thread.
#pragma once

#include <blitzio/io/metrics.hpp>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>

namespace blitzio::detail
{

/// Needs no read-modify-write, because nobody else writes.
class owner_counter
{
public:
    void add(std::uint64_t amount = 1) noexcept
    {
        value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }

    [[nodiscard]] std::uint64_t value() const noexcept
    {
        return value_.load(std::memory_order_relaxed);
    }

private:
    std::atomic<std::uint64_t> value_{0};
};

/// How often a time fell into each of the buckets of latency_histogram.
class owner_histogram
{
public:
    void record(std::chrono::nanoseconds time) noexcept
    {
        const auto nanoseconds = static_cast<std::uint64_t>(time.count() > 0 ? time.count() : 0);
        counts_[latency_histogram::bucket_of(time)].add();
        sum_.add(nanoseconds);
    }

    [[nodiscard]] latency_histogram snapshot() const noexcept
    {
        latency_histogram all;
        for (std::size_t index = 0; index < counts_.size(); ++index)
        {
            all.counts[index] = counts_[index].value();
        }
        all.sum = std::chrono::nanoseconds(sum_.value());
        return all;
    }

private:
    std::array<owner_counter, latency_histogram::bucket_count> counts_{};
    owner_counter sum_;
};

} // namespace blitzio::detail
