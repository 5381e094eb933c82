// Summaries as text. Thread rule: pure functions.
#pragma once

#include "log_analytics/summary.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace log_analytics
{

/// What is told beside the lines.
struct circumstances
{
    double seconds = 0;
    std::uint64_t senders = 0;
    std::uint64_t connected = 0;
    std::uint64_t unfinished = 0;
};

/// A line "<title> <seconds> s", one line for each number, one for each of the `top` paths, and an
/// empty one.
[[nodiscard]] std::string to_text(std::string_view title, const summary& sum,
                                  const circumstances& about, std::size_t top);

} // namespace log_analytics
