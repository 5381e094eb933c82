// What goes from a sender's task to a thread of the pool. Thread rule: plain values.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace log_analytics
{

/// What is read of a sender before it is handed over; no line can be longer.
inline constexpr std::size_t block_bytes = 64 * 1024;

/// Whole lines of one sender.
struct block
{
    std::unique_ptr<char[]> text;
    std::size_t length = 0;
    /// For messages.
    std::shared_ptr<const std::string> sender;

    /// Its size as a value of a stream.
    [[nodiscard]] std::size_t bytes() const noexcept
    {
        return block_bytes;
    }
};

} // namespace log_analytics
