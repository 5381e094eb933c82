// Between endpoints and the kernel's address structures. Thread rule: stateless.
#include "socket_address.hpp"

#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace blitzio::net::detail
{

using blitzio::detail::socket_address;

namespace
{

template <class Native>
socket_address store(const Native& native) noexcept
{
    socket_address stored;
    static_assert(sizeof native <= sizeof stored.storage);
    std::memcpy(stored.storage.data(), &native, sizeof native);
    stored.size = sizeof native;
    return stored;
}

template <class Native>
Native load(const socket_address& stored) noexcept
{
    Native native;
    std::memcpy(&native, stored.storage.data(), sizeof native);
    return native;
}

} // namespace

socket_address to_socket_address(const endpoint& value) noexcept
{
    if (const ipv4* const from = value.address.as_ipv4())
    {
        sockaddr_in native{};
        native.sin_family = AF_INET;
        native.sin_port = htons(value.port);
        std::memcpy(&native.sin_addr, from->bytes().data(), from->bytes().size());
        return store(native);
    }
    const ipv6& from = *value.address.as_ipv6();
    sockaddr_in6 native{};
    native.sin6_family = AF_INET6;
    native.sin6_port = htons(value.port);
    native.sin6_scope_id = from.scope_id();
    std::memcpy(&native.sin6_addr, from.bytes().data(), from.bytes().size());
    return store(native);
}

result<endpoint> from_socket_address(const socket_address& value) noexcept
{
    const auto family = load<sockaddr>(value).sa_family;
    if (family == AF_INET && value.size >= sizeof(sockaddr_in))
    {
        const auto native = load<sockaddr_in>(value);
        ipv4::bytes_type bytes{};
        std::memcpy(bytes.data(), &native.sin_addr, bytes.size());
        return endpoint{ipv4(bytes), ntohs(native.sin_port)};
    }
    if (family == AF_INET6 && value.size >= sizeof(sockaddr_in6))
    {
        const auto native = load<sockaddr_in6>(value);
        ipv6::bytes_type bytes{};
        std::memcpy(bytes.data(), &native.sin6_addr, bytes.size());
        return endpoint{ipv6(bytes, native.sin6_scope_id), ntohs(native.sin6_port)};
    }
    return fail(std::errc::address_family_not_supported);
}

} // namespace blitzio::net::detail
