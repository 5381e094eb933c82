// What is known of many lines.
// Thread rule: one thread at a time.
#pragma once

#include "log_analytics/access_line.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace log_analytics
{

/// How often each duration occurred: exact up to 128 microseconds, above that with an error of at
/// most 1/64.
class durations
{
public:
    void add(std::uint64_t microseconds) noexcept;
    void add(const durations& other) noexcept;

    [[nodiscard]] std::uint64_t count() const noexcept
    {
        return count_;
    }

    /// The least that is not less than `share` of all, rounded up to what is told apart; 0 when there
    /// are none.
    [[nodiscard]] std::uint64_t quantile(double share) const noexcept;

private:
    static constexpr unsigned steps_log2 = 6; // between a power of two and the next
    static constexpr std::size_t slots = std::size_t{65 - steps_log2} << steps_log2;

    std::array<std::uint64_t, slots> slots_{};
    std::uint64_t count_ = 0;
};

class summary
{
public:
    /// Memory for paths that are counted each by itself; requests for others are counted together.
    static constexpr std::size_t path_bytes_max = std::size_t{128} << 20;
    /// Messages about malformed lines that are kept.
    static constexpr std::size_t complaints_max = 5;

    void add(const access& line);
    void add_malformed(std::string_view sender, std::string_view reason, std::string_view line);
    void add(const summary& other);

    /// The most frequent ones, of equal ones the first in the alphabet.
    [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> top_paths(
        std::size_t number) const;

    std::uint64_t requests = 0;
    std::uint64_t bytes = 0;
    std::uint64_t malformed = 0;
    /// By the first digit of the status.
    std::array<std::uint64_t, 6> classes{};
    std::uint64_t other_paths = 0;
    durations times;
    std::vector<std::string> complaints;

private:
    struct hash
    {
        using is_transparent = void;

        [[nodiscard]] std::size_t operator()(std::string_view text) const noexcept
        {
            return std::hash<std::string_view>()(text);
        }
    };

    void count_path(std::string_view path, std::uint64_t times_seen);

    std::unordered_map<std::string, std::uint64_t, hash, std::equal_to<>> paths_;
    std::size_t path_bytes_ = 0;
};

} // namespace log_analytics
