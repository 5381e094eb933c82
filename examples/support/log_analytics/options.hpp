// The command line of log_analytics. Thread rule: plain values, made by main().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace log_analytics
{

struct options
{
    std::uint16_t port = 0;
    /// Senders on other machines, too.
    bool any_address = false;
    /// Threads that parse; 0: one per processor.
    unsigned threads = 0;
    std::chrono::milliseconds interval{1000};
    /// Paths that are listed.
    std::size_t top = 10;
    /// Longer lines are malformed.
    std::size_t line_bytes_max = 16 * 1024;
    /// Ends when nothing has come for that long; 0: never.
    std::chrono::milliseconds idle_max{0};
    /// Ends when somebody has sent, and all senders are gone.
    bool once = false;
};

/// Ends the process with a message that names what cannot be used, or with the help text.
[[nodiscard]] options parse(int argc, char** argv);

} // namespace log_analytics
