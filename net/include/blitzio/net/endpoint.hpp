// An address with a port: what sockets bind and connect to.
// Thread rule: a plain value.
#pragma once

#include <blitzio/net/address.hpp>
#include <blitzio/net/parse_error.hpp>

#include <compare>
#include <cstdint>
#include <expected>
#include <iosfwd>
#include <string>
#include <string_view>

namespace blitzio::net
{

struct endpoint
{
    net::address address;
    /// 0 lets the system choose when a listener is bound.
    std::uint16_t port = 0;

    /// "192.0.2.1:80" or "[2001:db8::1]:80"; the address in numbers, the port in decimal without
    /// leading zeros. Host names are refused: looking them up may block, parsing must not.
    [[nodiscard]] static std::expected<endpoint, parse_error> parse(std::string_view text);

    friend constexpr auto operator<=>(const endpoint&, const endpoint&) noexcept = default;
};

/// What endpoint::parse() reads back.
[[nodiscard]] std::string to_string(const endpoint& value);
std::ostream& operator<<(std::ostream& out, const endpoint& value);

} // namespace blitzio::net

#if defined(__cpp_lib_format)

template <>
struct std::formatter<blitzio::net::endpoint>
    : blitzio::net::detail::text_formatter<blitzio::net::endpoint>
{
};

#endif
