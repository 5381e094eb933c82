// Reading and writing addresses. Thread rule: stateless.
#include <blitzio/net/address.hpp>

#include "address_reader.hpp"

#include <array>
#include <optional>
#include <ostream>
#include <string>

#include <net/if.h>

namespace blitzio::net
{

namespace detail
{

std::optional<ipv4> read_ipv4(text_reader& reader) noexcept
{
    ipv4::bytes_type bytes{};
    for (std::size_t index = 0; index < bytes.size(); ++index)
    {
        if (index > 0 && !reader.accept('.'))
        {
            return reader.refuse("an IPv4 address has four octets with dots between them");
        }
        const auto octet = reader.number({.maximum = 255,
                                          .digits_max = 3,
                                          .missing = "expected a decimal octet",
                                          .too_large = "octet is larger than 255"});
        if (!octet)
        {
            return std::nullopt;
        }
        bytes[index] = static_cast<std::uint8_t>(*octet);
    }
    return ipv4(bytes);
}

namespace
{

constexpr std::size_t group_count = 8;

/// The groups read so far, and where "::" stands for the ones left out.
struct ipv6_groups
{
    std::array<std::uint16_t, group_count> values{};
    std::size_t count = 0;
    std::optional<std::size_t> gap;

    void add(std::uint32_t value) noexcept
    {
        values[count++] = static_cast<std::uint16_t>(value);
    }

    [[nodiscard]] ipv6::bytes_type bytes() const noexcept
    {
        std::array<std::uint16_t, group_count> all{};
        const std::size_t head = gap.value_or(count);
        for (std::size_t index = 0; index < head; ++index)
        {
            all[index] = values[index];
        }
        for (std::size_t index = head; index < count; ++index)
        {
            all[group_count - count + index] = values[index];
        }
        ipv6::bytes_type bytes{};
        for (std::size_t index = 0; index < group_count; ++index)
        {
            bytes[2 * index] = static_cast<std::uint8_t>(all[index] >> 8);
            bytes[2 * index + 1] = static_cast<std::uint8_t>(all[index] & 0xff);
        }
        return bytes;
    }
};

/// True when a dotted IPv4 tail begins here: digits, then a dot.
bool ipv4_tail_follows(const text_reader& reader) noexcept
{
    const auto rest = reader.rest();
    const auto digits = rest.find_first_not_of("0123456789");
    return digits != std::string_view::npos && digits > 0 && rest[digits] == '.';
}

/// One group, or an IPv4 tail, which makes two.
bool read_group(text_reader& reader, ipv6_groups& groups, bool& tail) noexcept
{
    tail = ipv4_tail_follows(reader);
    if (groups.count + (tail ? 2 : 1) > group_count)
    {
        static_cast<void>(reader.refuse("more than eight groups"));
        return false;
    }
    if (tail)
    {
        const auto embedded = read_ipv4(reader);
        if (!embedded)
        {
            return false;
        }
        const auto& bytes = embedded->bytes();
        groups.add(static_cast<std::uint32_t>(bytes[0] << 8 | bytes[1]));
        groups.add(static_cast<std::uint32_t>(bytes[2] << 8 | bytes[3]));
        return true;
    }
    const auto group = reader.number({.base = 16,
                                      .maximum = 0xffff,
                                      .digits_max = 4,
                                      .leading_zeros = true,
                                      .missing = "expected a group of hexadecimal digits",
                                      .too_large = "group has more than four digits"});
    if (group)
    {
        groups.add(*group);
    }
    return group.has_value();
}

bool read_groups(text_reader& reader, ipv6_groups& groups) noexcept
{
    bool tail = false;
    if (reader.next_are("::"))
    {
        reader.skip(2);
        groups.gap = 0;
    }
    else if (!read_group(reader, groups, tail))
    {
        return false;
    }
    while (!tail && !reader.at_end() && !reader.next_is('%') && !reader.next_is(']'))
    {
        const bool first_after_gap = groups.gap == groups.count && groups.count == 0;
        if (reader.next_are("::") && !first_after_gap)
        {
            if (groups.gap)
            {
                static_cast<void>(reader.refuse("\"::\" may appear once"));
                return false;
            }
            reader.skip(2);
            groups.gap = groups.count;
            if (reader.at_end() || reader.next_is('%') || reader.next_is(']'))
            {
                break;
            }
        }
        else if (groups.gap != groups.count && !reader.accept(':'))
        {
            static_cast<void>(reader.refuse("expected \":\" between groups"));
            return false;
        }
        if (!read_group(reader, groups, tail))
        {
            return false;
        }
    }
    return true;
}

/// The scope behind "%": a number, or the name of an interface of this machine.
std::optional<std::uint32_t> read_scope(text_reader& reader) noexcept
{
    const std::size_t start = reader.position();
    const auto scope = reader.rest().substr(0, reader.rest().find(']'));
    if (scope.empty())
    {
        return reader.refuse("expected a scope after \"%\"");
    }
    if (scope.find_first_not_of("0123456789") == std::string_view::npos)
    {
        return reader.number({.maximum = UINT32_MAX,
                              .digits_max = 10,
                              .missing = "expected a scope after \"%\"",
                              .too_large = "scope does not fit into 32 bits"});
    }
    std::array<char, IF_NAMESIZE> name{};
    if (scope.size() >= name.size() || scope.find('\0') != std::string_view::npos)
    {
        return reader.refuse("no interface can have this name");
    }
    scope.copy(name.data(), scope.size());
    const unsigned index = ::if_nametoindex(name.data());
    if (index == 0)
    {
        return reader.refuse_at(start, "this machine has no interface of this name");
    }
    reader.skip(scope.size());
    return index;
}

} // namespace

std::optional<ipv6> read_ipv6(text_reader& reader) noexcept
{
    ipv6_groups groups;
    if (!read_groups(reader, groups))
    {
        return std::nullopt;
    }
    if (!groups.gap && groups.count < group_count)
    {
        return reader.refuse("fewer than eight groups and no \"::\"");
    }
    if (groups.gap && groups.count == group_count)
    {
        return reader.refuse("\"::\" stands for at least one group");
    }
    std::uint32_t scope_id = 0;
    if (reader.accept('%'))
    {
        const auto scope = read_scope(reader);
        if (!scope)
        {
            return std::nullopt;
        }
        scope_id = *scope;
    }
    return ipv6(groups.bytes(), scope_id);
}

namespace
{

/// `read` has to use up the whole text.
template <class T, class Read>
std::expected<T, parse_error> parse_all(std::string_view text, Read read)
{
    text_reader reader(text);
    const auto value = read(reader);
    if (!value)
    {
        return std::unexpected(reader.error());
    }
    if (!reader.at_end())
    {
        static_cast<void>(reader.refuse("unexpected text after the address"));
        return std::unexpected(reader.error());
    }
    return T(*value);
}

/// Where the longest run of zero groups lies; shorter than two groups is not worth "::".
struct zero_run
{
    std::size_t begin = 0;
    std::size_t length = 0;
};

zero_run longest_zero_run(const ipv6::bytes_type& bytes) noexcept
{
    zero_run best;
    zero_run current;
    for (std::size_t index = 0; index < group_count; ++index)
    {
        if (bytes[2 * index] != 0 || bytes[2 * index + 1] != 0)
        {
            current = {};
            continue;
        }
        if (current.length++ == 0)
        {
            current.begin = index;
        }
        if (current.length > best.length)
        {
            best = current;
        }
    }
    return best.length < 2 ? zero_run{} : best;
}

void append_hex(std::string& text, unsigned value)
{
    constexpr std::string_view digits = "0123456789abcdef";
    bool begun = false;
    for (int shift = 12; shift >= 0; shift -= 4)
    {
        const unsigned digit = (value >> shift) & 15;
        begun = begun || digit != 0 || shift == 0;
        if (begun)
        {
            text += digits[digit];
        }
    }
}

} // namespace

} // namespace detail

std::expected<ipv4, parse_error> ipv4::parse(std::string_view text)
{
    return detail::parse_all<ipv4>(text, detail::read_ipv4);
}

std::expected<ipv6, parse_error> ipv6::parse(std::string_view text)
{
    return detail::parse_all<ipv6>(text, detail::read_ipv6);
}

std::expected<address, parse_error> address::parse(std::string_view text)
{
    if (text.find(':') != std::string_view::npos)
    {
        return detail::parse_all<address>(text, detail::read_ipv6);
    }
    return detail::parse_all<address>(text, detail::read_ipv4);
}

std::string to_string(const ipv4& value)
{
    std::string text;
    for (const std::uint8_t octet : value.bytes())
    {
        if (!text.empty())
        {
            text += '.';
        }
        text += std::to_string(octet);
    }
    return text;
}

std::string to_string(const ipv6& value)
{
    const auto& bytes = value.bytes();
    std::string text;
    if (value.is_ipv4_mapped())
    {
        text = "::ffff:" + to_string(ipv4(bytes[12], bytes[13], bytes[14], bytes[15]));
    }
    else
    {
        const auto run = detail::longest_zero_run(bytes);
        for (std::size_t index = 0; index < detail::group_count;)
        {
            if (run.length > 0 && index == run.begin)
            {
                text += "::";
                index += run.length;
                continue;
            }
            if (!text.empty() && text.back() != ':')
            {
                text += ':';
            }
            detail::append_hex(text,
                               static_cast<unsigned>(bytes[2 * index] << 8 | bytes[2 * index + 1]));
            ++index;
        }
    }
    if (value.scope_id() != 0)
    {
        text += '%' + std::to_string(value.scope_id());
    }
    return text;
}

std::string to_string(const address& value)
{
    return value.is_ipv4() ? to_string(*value.as_ipv4()) : to_string(*value.as_ipv6());
}

std::ostream& operator<<(std::ostream& out, const ipv4& value)
{
    return out << to_string(value);
}

std::ostream& operator<<(std::ostream& out, const ipv6& value)
{
    return out << to_string(value);
}

std::ostream& operator<<(std::ostream& out, const address& value)
{
    return out << to_string(value);
}

} // namespace blitzio::net
