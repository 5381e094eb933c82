// Formatting. Thread rule: pure functions.
#include "log_analytics/report.hpp"

#include <cstdio>

namespace log_analytics
{

namespace
{

void add_number(std::string& text, std::string_view name, std::uint64_t value)
{
    text += name;
    text += ' ';
    text += std::to_string(value);
    text += '\n';
}

void add_milliseconds(std::string& text, std::string_view name, std::uint64_t microseconds)
{
    char line[64];
    const int length =
        std::snprintf(line, sizeof line, " %.3f\n", static_cast<double>(microseconds) / 1000);
    text += name;
    text.append(line, static_cast<std::size_t>(length));
}

} // namespace

std::string to_text(std::string_view title, const summary& sum, const circumstances& about,
                    std::size_t top)
{
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, " %.1f s\n", about.seconds);
    std::string text(title);
    text += seconds;
    add_number(text, "senders", about.senders);
    add_number(text, "connected", about.connected);
    add_number(text, "requests", sum.requests);
    add_number(text, "bytes", sum.bytes);
    add_number(text, "malformed", sum.malformed);
    add_number(text, "unfinished", about.unfinished);
    for (std::size_t each = 1; each < sum.classes.size(); ++each)
    {
        add_number(text, std::string("status_") + static_cast<char>('0' + each) + "xx",
                   sum.classes[each]);
    }
    if (sum.times.count() != 0)
    {
        add_number(text, "timed", sum.times.count());
        add_milliseconds(text, "time_ms_p50", sum.times.quantile(0.5));
        add_milliseconds(text, "time_ms_p99", sum.times.quantile(0.99));
    }
    for (const auto& [path, requests] : sum.top_paths(top))
    {
        text += "path " + std::to_string(requests) + ' ' + path + '\n';
    }
    if (sum.other_paths != 0)
    {
        add_number(text, "requests_for_paths_not_kept", sum.other_paths);
    }
    return text + '\n';
}

} // namespace log_analytics
