// Blocks of lines become numbers, on any number of threads at once.
// Thread rule: every member from any thread.
#pragma once

#include "log_analytics/block.hpp"
#include "log_analytics/summary.hpp"

#include <cstddef>
#include <mutex>
#include <string_view>
#include <vector>

namespace log_analytics
{

/// Each thread adds to a part of its own as long as there are enough, so that threads do not wait for
/// each other; whoever wants the sum collects it from the parts.
class aggregator
{
public:
    aggregator(std::size_t parts, std::size_t line_bytes_max)
        : parts_(parts), line_bytes_max_(line_bytes_max)
    {
    }

    /// Counts the lines of a block; the last one may lack its newline.
    void add(const block& lines);

    /// A line that was too long to be kept; `beginning` is the part that was.
    void add_overlong(std::string_view sender, std::string_view beginning);

    /// Moves what the parts have to the total.
    /// One task at a time.
    [[nodiscard]] const summary& collect();

private:
    struct alignas(64) part
    {
        std::mutex mutex;
        summary sum; // guarded by mutex
    };

    /// A part that is free, or the thread's own when none is.
    [[nodiscard]] std::unique_lock<std::mutex> choose(part*& chosen);
    void add_line(summary& to, std::string_view sender, std::string_view line) const;

    std::vector<part> parts_;
    std::size_t line_bytes_max_;
    summary total_;
};

} // namespace log_analytics
