// Socket addresses of the simulated network: between the kernel's layout and plain values.
// Thread rule: plain values.
#pragma once

#include <blitzio/io/detail/socket_address.hpp>
#include <blitzio/io/detail/system.hpp>

#include <array>
#include <compare>
#include <cstdint>
#include <string>

namespace blitzio::detail::sim
{

/// An internet address of either family; an IPv4 address fills the first four bytes.
struct internet_address
{
    socket_family family = socket_family::ipv4;
    std::array<std::uint8_t, 16> bytes{};
    std::uint16_t port = 0;

    [[nodiscard]] bool is_any() const noexcept;
    /// This machine: loopback, or "any", which as a target means loopback.
    [[nodiscard]] bool is_local() const noexcept;
    /// 192.0.2.0/24 and 2001:db8::/32, which documents use: nothing ever answers there.
    [[nodiscard]] bool is_silent() const noexcept;
    /// ::ffff:a.b.c.d as the IPv4 address inside; others as they are.
    [[nodiscard]] internet_address without_mapping() const noexcept;
    /// An IPv4 address as ::ffff:a.b.c.d; others as they are.
    [[nodiscard]] internet_address with_mapping() const noexcept;
    /// The loopback address in place of "any".
    [[nodiscard]] internet_address as_target() const noexcept;
    [[nodiscard]] bool same_host(const internet_address& other) const noexcept;

    [[nodiscard]] static internet_address any(socket_family family) noexcept;
    [[nodiscard]] static internet_address loopback(socket_family family) noexcept;
};

/// 0, or -EINVAL (too short) or -EAFNOSUPPORT (of another family than `family`).
[[nodiscard]] int read_address(const socket_address& from, socket_family family,
                               internet_address& to) noexcept;
void write_address(const internet_address& from, socket_address& to) noexcept;

/// The path without its terminator; a name that begins with a zero byte is abstract; empty: none.
[[nodiscard]] int read_unix_address(const socket_address& from, std::string& to);
void write_unix_address(const std::string& from, socket_address& to) noexcept;

} // namespace blitzio::detail::sim
