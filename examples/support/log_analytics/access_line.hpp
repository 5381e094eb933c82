// Lines of access logs. Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace log_analytics
{

/// Views into the line.
struct access
{
    /// Without the query; "-" when the request was not readable for the server.
    std::string_view path;
    unsigned status = 0;
    std::uint64_t bytes = 0;
    std::optional<std::uint64_t> microseconds;
};

/// Reads
///     host ident user [time] "METHOD path PROTOCOL" status bytes
/// with what may follow: "referer" "user agent", and the request's time in seconds with decimals. A
/// backslash in a quoted field hides the character behind it. Bytes may be "-". Nothing when the line
/// has another form; then `reason` says what is wrong.
[[nodiscard]] std::optional<access> parse_access_line(std::string_view line,
                                                      std::string_view& reason) noexcept;

} // namespace log_analytics
