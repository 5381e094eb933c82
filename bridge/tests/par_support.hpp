// What the tests of parallel stages share: a source, a value that owns memory, a busy wait.
// Thread rule: a block may be used on any thread, its counts are those of all threads.
#pragma once

#include "support.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

namespace test
{

/// Counts upwards and says how far it was asked.
class counting_source
{
public:
    explicit counting_source(int end, std::atomic<int>* asked = nullptr) : end_(end), asked_(asked)
    {
    }

    auto next()
    {
        return bz::detail::immediate_operation([this](const bz::task_env&) -> std::optional<int> {
            if (next_ == end_)
            {
                return std::nullopt;
            }
            if (asked_ != nullptr)
            {
                asked_->store(next_ + 1);
            }
            return next_++;
        });
    }

private:
    int next_ = 0;
    int end_;
    std::atomic<int>* asked_;
};

/// A value that owns memory, and counts what exists.
class block
{
public:
    static inline std::atomic<std::int64_t> alive{0};
    static inline std::atomic<std::int64_t> peak{0};

    explicit block(int number, std::size_t size) : number_(number), size_(size)
    {
        const auto now =
            alive.fetch_add(static_cast<std::int64_t>(size)) + static_cast<std::int64_t>(size);
        std::int64_t before = peak.load();
        while (before < now && !peak.compare_exchange_weak(before, now))
        {
        }
    }
    block(block&& other) noexcept : number_(other.number_), size_(std::exchange(other.size_, 0)) {}
    block& operator=(block&& other) noexcept
    {
        std::swap(number_, other.number_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~block()
    {
        alive.fetch_sub(static_cast<std::int64_t>(size_));
    }

    [[nodiscard]] int number() const noexcept
    {
        return number_;
    }
    [[nodiscard]] std::size_t bytes() const noexcept
    {
        return size_;
    }

private:
    int number_;
    std::size_t size_;
};

inline void spin_for(std::chrono::nanoseconds time)
{
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end)
    {
    }
}

} // namespace test
