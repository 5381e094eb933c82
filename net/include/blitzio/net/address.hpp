// IP addresses: ipv4, ipv6, and address, which is one of the two.
// Thread rule: plain values.
#pragma once

#include <blitzio/net/parse_error.hpp>

#include <array>
#include <compare>
#include <cstdint>
#include <expected>
#include <iosfwd>
#include <string>
#include <string_view>
#include <variant>
#include <version>

#if defined(__cpp_lib_format)
#include <format>
#endif

namespace blitzio::net
{

/// An IPv4 address. Ordered as its bytes are.
class ipv4
{
public:
    using bytes_type = std::array<std::uint8_t, 4>;

    /// 0.0.0.0
    constexpr ipv4() noexcept = default;
    explicit constexpr ipv4(bytes_type bytes) noexcept : bytes_(bytes) {}

    constexpr ipv4(std::uint8_t first, std::uint8_t second, std::uint8_t third,
                   std::uint8_t fourth) noexcept
        : bytes_{first, second, third, fourth}
    {
    }

    /// 0.0.0.0: all local addresses, for listeners.
    [[nodiscard]] static constexpr ipv4 any() noexcept
    {
        return {};
    }
    /// 127.0.0.1
    [[nodiscard]] static constexpr ipv4 loopback() noexcept
    {
        return {127, 0, 0, 1};
    }

    /// Four decimal octets without leading zeros, "192.0.2.1"; what inet_pton accepts.
    [[nodiscard]] static std::expected<ipv4, parse_error> parse(std::string_view text);

    [[nodiscard]] constexpr const bytes_type& bytes() const noexcept
    {
        return bytes_;
    }
    [[nodiscard]] constexpr bool is_any() const noexcept
    {
        return *this == any();
    }
    [[nodiscard]] constexpr bool is_loopback() const noexcept
    {
        return bytes_[0] == 127;
    }

    friend constexpr auto operator<=>(const ipv4&, const ipv4&) noexcept = default;

private:
    bytes_type bytes_{};
};

/// An IPv6 address with the scope that link-local addresses need. Ordered by bytes, then scope.
class ipv6
{
public:
    using bytes_type = std::array<std::uint8_t, 16>;

    /// ::
    constexpr ipv6() noexcept = default;
    explicit constexpr ipv6(bytes_type bytes, std::uint32_t scope_id = 0) noexcept
        : bytes_(bytes), scope_id_(scope_id)
    {
    }

    /// ::, all local addresses, for listeners.
    [[nodiscard]] static constexpr ipv6 any() noexcept
    {
        return {};
    }
    /// ::1
    [[nodiscard]] static constexpr ipv6 loopback() noexcept
    {
        return ipv6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
    }

    /// What inet_pton accepts, and after it optionally "%" and a scope: the number of an interface,
    /// or the name of one that this machine has ("fe80::1%eth0").
    [[nodiscard]] static std::expected<ipv6, parse_error> parse(std::string_view text);

    [[nodiscard]] constexpr const bytes_type& bytes() const noexcept
    {
        return bytes_;
    }
    /// The number of an interface; 0 when the address is not bound to one.
    [[nodiscard]] constexpr std::uint32_t scope_id() const noexcept
    {
        return scope_id_;
    }
    [[nodiscard]] constexpr bool is_any() const noexcept
    {
        return bytes_ == bytes_type{};
    }
    [[nodiscard]] constexpr bool is_loopback() const noexcept
    {
        return bytes_ == loopback().bytes_;
    }
    /// ::ffff:a.b.c.d, an IPv4 peer as a dual-stack socket sees it.
    [[nodiscard]] constexpr bool is_ipv4_mapped() const noexcept
    {
        for (std::size_t index = 0; index < 10; ++index)
        {
            if (bytes_[index] != 0)
            {
                return false;
            }
        }
        return bytes_[10] == 0xff && bytes_[11] == 0xff;
    }

    friend constexpr auto operator<=>(const ipv6&, const ipv6&) noexcept = default;

private:
    bytes_type bytes_{};
    std::uint32_t scope_id_ = 0;
};

/// An IPv4 or an IPv6 address. All IPv4 addresses order before all IPv6 addresses.
class address
{
public:
    /// 0.0.0.0
    constexpr address() noexcept = default;
    // Implicit: wherever an address is asked for, either kind will do.
    constexpr address(ipv4 value) noexcept : value_(value) {}
    constexpr address(ipv6 value) noexcept : value_(value) {}

    /// Either form; a text with a colon is read as IPv6.
    [[nodiscard]] static std::expected<address, parse_error> parse(std::string_view text);

    [[nodiscard]] constexpr bool is_ipv4() const noexcept
    {
        return std::holds_alternative<ipv4>(value_);
    }
    [[nodiscard]] constexpr bool is_ipv6() const noexcept
    {
        return std::holds_alternative<ipv6>(value_);
    }
    /// Null when it is the other kind.
    [[nodiscard]] constexpr const ipv4* as_ipv4() const noexcept
    {
        return std::get_if<ipv4>(&value_);
    }
    /// Null when it is the other kind.
    [[nodiscard]] constexpr const ipv6* as_ipv6() const noexcept
    {
        return std::get_if<ipv6>(&value_);
    }
    [[nodiscard]] constexpr bool is_any() const noexcept
    {
        return std::visit([](const auto& held) { return held.is_any(); }, value_);
    }
    [[nodiscard]] constexpr bool is_loopback() const noexcept
    {
        return std::visit([](const auto& held) { return held.is_loopback(); }, value_);
    }

    friend constexpr auto operator<=>(const address&, const address&) noexcept = default;

private:
    std::variant<ipv4, ipv6> value_;
};

/// The usual text, which parse() reads back: IPv6 as RFC 5952 asks for, the scope as a number.
[[nodiscard]] std::string to_string(const ipv4& value);
[[nodiscard]] std::string to_string(const ipv6& value);
[[nodiscard]] std::string to_string(const address& value);

std::ostream& operator<<(std::ostream& out, const ipv4& value);
std::ostream& operator<<(std::ostream& out, const ipv6& value);
std::ostream& operator<<(std::ostream& out, const address& value);

} // namespace blitzio::net

#if defined(__cpp_lib_format)

namespace blitzio::net::detail
{

/// Formats like the text of the value, with the fill, width and precision of a string.
template <class T>
struct text_formatter : std::formatter<std::string>
{
    template <class Context>
    auto format(const T& value, Context& context) const
    {
        return std::formatter<std::string>::format(to_string(value), context);
    }
};

} // namespace blitzio::net::detail

template <>
struct std::formatter<blitzio::net::ipv4> : blitzio::net::detail::text_formatter<blitzio::net::ipv4>
{
};
template <>
struct std::formatter<blitzio::net::ipv6> : blitzio::net::detail::text_formatter<blitzio::net::ipv6>
{
};
template <>
struct std::formatter<blitzio::net::address>
    : blitzio::net::detail::text_formatter<blitzio::net::address>
{
};

#endif
