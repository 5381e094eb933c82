// A field after the other, from left to right. Thread rule: pure functions.
#include "log_analytics/access_line.hpp"

#include <charconv>
#include <limits>
#include <system_error>

namespace log_analytics
{

namespace
{

/// Takes fields from the front of a line; each is followed by a space or the end.
class fields
{
public:
    explicit fields(std::string_view line) noexcept : rest_(line) {}

    [[nodiscard]] bool at_end() const noexcept
    {
        return rest_.empty();
    }

    [[nodiscard]] bool at(char first) const noexcept
    {
        return !rest_.empty() && rest_.front() == first;
    }

    /// Up to the next space; nothing when that is empty.
    [[nodiscard]] std::optional<std::string_view> word() noexcept
    {
        const auto length = rest_.find(' ');
        const std::string_view taken = rest_.substr(0, length);
        rest_.remove_prefix(length == rest_.npos ? rest_.size() : length + 1);
        return taken.empty() ? std::nullopt : std::optional(taken);
    }

    [[nodiscard]] std::optional<std::string_view> bracketed() noexcept
    {
        return at('[') ? take_until(rest_.find(']', 1)) : std::nullopt;
    }

    [[nodiscard]] std::optional<std::string_view> quoted() noexcept
    {
        if (!at('"'))
        {
            return std::nullopt;
        }
        std::size_t end = rest_.find('"', 1);
        while (end != rest_.npos && is_hidden(end))
        {
            end = rest_.find('"', end + 1);
        }
        return take_until(end);
    }

private:
    /// An odd number of backslashes stands before it.
    [[nodiscard]] bool is_hidden(std::size_t position) const noexcept
    {
        std::size_t begin = position;
        while (begin > 1 && rest_[begin - 1] == '\\')
        {
            --begin;
        }
        return (position - begin) % 2 == 1;
    }

    /// What stands between the first character and `end`.
    [[nodiscard]] std::optional<std::string_view> take_until(std::size_t end) noexcept
    {
        if (end == rest_.npos || (end + 1 < rest_.size() && rest_[end + 1] != ' '))
        {
            return std::nullopt;
        }
        const std::string_view taken = rest_.substr(1, end - 1);
        rest_.remove_prefix(end + 2 < rest_.size() ? end + 2 : rest_.size());
        return taken;
    }

    std::string_view rest_;
};

bool to_number(std::string_view text, std::uint64_t& value) noexcept
{
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

/// "12.345678" as microseconds; further decimals are dropped.
std::optional<std::uint64_t> to_microseconds(std::string_view text) noexcept
{
    constexpr std::size_t decimals = 6;
    const auto point = text.find('.');
    std::uint64_t seconds = 0;
    if (point == text.npos || !to_number(text.substr(0, point), seconds) ||
        seconds > std::numeric_limits<std::uint32_t>::max())
    {
        return std::nullopt;
    }
    const std::string_view digits = text.substr(point + 1);
    if (digits.empty() || digits.find_first_not_of("0123456789") != digits.npos)
    {
        return std::nullopt;
    }
    std::uint64_t fraction = 0;
    for (std::size_t index = 0; index < decimals; ++index)
    {
        const char digit = index < digits.size() ? digits[index] : '0';
        fraction = 10 * fraction + static_cast<std::uint64_t>(digit - '0');
    }
    return 1'000'000 * seconds + fraction;
}

/// The second word of a request, without its query.
std::string_view path_of(std::string_view request) noexcept
{
    const auto first = request.find(' ');
    if (first == request.npos)
    {
        return "-";
    }
    const std::string_view behind = request.substr(first + 1);
    const std::string_view path = behind.substr(0, behind.find(' '));
    const std::string_view plain = path.substr(0, path.find('?'));
    return plain.empty() ? "-" : plain;
}

} // namespace

std::optional<access> parse_access_line(std::string_view line, std::string_view& reason) noexcept
{
    access found;
    fields rest(line);
    reason = "no host, identity and user";
    if (!rest.word() || !rest.word() || !rest.word())
    {
        return std::nullopt;
    }
    reason = "no time in brackets";
    if (!rest.bracketed())
    {
        return std::nullopt;
    }
    reason = "no request in quotes";
    const auto request = rest.quoted();
    if (!request)
    {
        return std::nullopt;
    }
    found.path = path_of(*request);
    reason = "no status from 100 to 599";
    const auto status = rest.word();
    std::uint64_t number = 0;
    if (!status || status->size() != 3 || !to_number(*status, number) || number < 100 ||
        number > 599)
    {
        return std::nullopt;
    }
    found.status = static_cast<unsigned>(number);
    reason = "no number of bytes";
    const auto bytes = rest.word();
    if (!bytes || (*bytes != "-" && !to_number(*bytes, found.bytes)))
    {
        return std::nullopt;
    }
    reason = "something else behind the number of bytes";
    if (rest.at('"') && (!rest.quoted() || !rest.quoted()))
    {
        return std::nullopt;
    }
    if (!rest.at_end())
    {
        found.microseconds = to_microseconds(rest.word().value_or(""));
        if (!found.microseconds || !rest.at_end())
        {
            return std::nullopt;
        }
    }
    return found;
}

} // namespace log_analytics
