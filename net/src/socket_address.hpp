// Between endpoints and the kernel's address structures. Thread rule: stateless.
#pragma once

#include <blitzio/io/detail/socket_address.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/net/endpoint.hpp>

namespace blitzio::net::detail
{

[[nodiscard]] blitzio::detail::socket_address to_socket_address(const endpoint& value) noexcept;
/// Fails with address_family_not_supported for anything but IPv4 and IPv6.
[[nodiscard]] result<endpoint> from_socket_address(
    const blitzio::detail::socket_address& value) noexcept;

} // namespace blitzio::net::detail
