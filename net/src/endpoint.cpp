// Reading and writing endpoints. Thread rule: stateless.
#include <blitzio/net/endpoint.hpp>

#include "address_reader.hpp"

#include <optional>
#include <ostream>

namespace blitzio::net
{

namespace
{

constexpr std::string_view numeric_only =
    "expected a numeric address: host names are not looked up";

bool looks_like_a_name(std::string_view host) noexcept
{
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return host.find_first_of(letters) != std::string_view::npos;
}

std::optional<address> read_bracketed(detail::text_reader& reader) noexcept
{
    const auto inner = detail::read_ipv6(reader);
    if (!inner)
    {
        return std::nullopt;
    }
    if (!reader.accept(']'))
    {
        return reader.refuse("expected \"]\" after the IPv6 address");
    }
    return address(*inner);
}

std::optional<address> read_host(detail::text_reader& reader) noexcept
{
    if (reader.accept('['))
    {
        return read_bracketed(reader);
    }
    const auto text = reader.rest();
    const auto colon = text.find(':');
    if (colon == 0)
    {
        return reader.refuse("expected an address before \":\"");
    }
    if (colon != std::string_view::npos && text.find(':', colon + 1) != std::string_view::npos)
    {
        return reader.refuse("an IPv6 address needs brackets before a port: \"[::1]:80\"");
    }
    if (looks_like_a_name(text.substr(0, colon)))
    {
        return reader.refuse(numeric_only);
    }
    const auto plain = detail::read_ipv4(reader);
    return plain ? std::optional<address>(*plain) : std::nullopt;
}

std::optional<endpoint> read_endpoint(detail::text_reader& reader) noexcept
{
    const auto host = read_host(reader);
    if (!host)
    {
        return std::nullopt;
    }
    if (!reader.accept(':'))
    {
        return reader.refuse("expected \":\" and a port after the address");
    }
    const auto port = reader.number({.maximum = 65535,
                                     .digits_max = 5,
                                     .missing = "expected a port in decimal",
                                     .too_large = "port is larger than 65535"});
    if (!port)
    {
        return std::nullopt;
    }
    if (!reader.at_end())
    {
        return reader.refuse("unexpected text after the port");
    }
    return endpoint{*host, static_cast<std::uint16_t>(*port)};
}

} // namespace

std::expected<endpoint, parse_error> endpoint::parse(std::string_view text)
{
    detail::text_reader reader(text);
    const auto value = read_endpoint(reader);
    if (!value)
    {
        return std::unexpected(reader.error());
    }
    return *value;
}

std::string to_string(const endpoint& value)
{
    std::string text = to_string(value.address);
    if (value.address.is_ipv6())
    {
        text = '[' + text + ']';
    }
    return text + ':' + std::to_string(value.port);
}

std::ostream& operator<<(std::ostream& out, const endpoint& value)
{
    return out << to_string(value);
}

} // namespace blitzio::net
