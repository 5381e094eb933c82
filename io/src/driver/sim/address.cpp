// Socket addresses of the simulated network.
// Thread rule: plain values.
#include "driver/sim/address.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace blitzio::detail::sim
{
namespace
{

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

bool is_mapped(const internet_address& address) noexcept
{
    return address.family == socket_family::ipv6 &&
           std::equal(mapped_prefix.begin(), mapped_prefix.end(), address.bytes.begin());
}

sa_family_t family_of(const socket_address& address) noexcept
{
    sa_family_t family = AF_UNSPEC;
    std::memcpy(&family, address.storage.data() + offsetof(sockaddr, sa_family), sizeof family);
    return family;
}

} // namespace

static_assert(sizeof(socket_address::storage) == sizeof(sockaddr_storage));

bool internet_address::is_any() const noexcept
{
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

bool internet_address::is_local() const noexcept
{
    const internet_address plain = without_mapping();
    return plain.is_any() || plain.same_host(loopback(plain.family)) ||
           (plain.family == socket_family::ipv4 && plain.bytes[0] == 127);
}

bool internet_address::is_silent() const noexcept
{
    const internet_address plain = without_mapping();
    if (plain.family == socket_family::ipv4)
    {
        return plain.bytes[0] == 192 && plain.bytes[1] == 0 && plain.bytes[2] == 2;
    }
    return plain.bytes[0] == 0x20 && plain.bytes[1] == 0x01 && plain.bytes[2] == 0x0D &&
           plain.bytes[3] == 0xB8;
}

internet_address internet_address::without_mapping() const noexcept
{
    if (!is_mapped(*this))
    {
        return *this;
    }
    internet_address plain{socket_family::ipv4, {}, port};
    std::copy(bytes.begin() + 12, bytes.end(), plain.bytes.begin());
    return plain;
}

internet_address internet_address::with_mapping() const noexcept
{
    if (family != socket_family::ipv4)
    {
        return *this;
    }
    internet_address mapped{socket_family::ipv6, {}, port};
    std::copy(mapped_prefix.begin(), mapped_prefix.end(), mapped.bytes.begin());
    std::copy(bytes.begin(), bytes.begin() + 4, mapped.bytes.begin() + 12);
    return mapped;
}

internet_address internet_address::as_target() const noexcept
{
    internet_address target = without_mapping();
    if (target.is_any())
    {
        target = loopback(target.family);
        target.port = port;
    }
    return target;
}

bool internet_address::same_host(const internet_address& other) const noexcept
{
    return family == other.family && bytes == other.bytes;
}

internet_address internet_address::any(socket_family family) noexcept
{
    return {family, {}, 0};
}

internet_address internet_address::loopback(socket_family family) noexcept
{
    internet_address address{family, {}, 0};
    if (family == socket_family::ipv4)
    {
        address.bytes[0] = 127;
        address.bytes[3] = 1;
    }
    else
    {
        address.bytes[15] = 1;
    }
    return address;
}

int read_address(const socket_address& from, socket_family family, internet_address& to) noexcept
{
    const bool is_ipv4 = family == socket_family::ipv4;
    const std::size_t needed =
        is_ipv4 ? sizeof(sockaddr_in) : offsetof(sockaddr_in6, sin6_scope_id);
    if (from.size < sizeof(sa_family_t))
    {
        return -EINVAL;
    }
    if (family_of(from) != (is_ipv4 ? AF_INET : AF_INET6))
    {
        return -EAFNOSUPPORT;
    }
    if (from.size < needed)
    {
        return -EINVAL;
    }
    to = {family, {}, 0};
    if (is_ipv4)
    {
        sockaddr_in raw;
        std::memcpy(&raw, from.storage.data(), sizeof raw);
        std::memcpy(to.bytes.data(), &raw.sin_addr, sizeof raw.sin_addr);
        to.port = ntohs(raw.sin_port);
    }
    else
    {
        sockaddr_in6 raw;
        std::memcpy(&raw, from.storage.data(), sizeof raw);
        std::memcpy(to.bytes.data(), &raw.sin6_addr, sizeof raw.sin6_addr);
        to.port = ntohs(raw.sin6_port);
    }
    return 0;
}

void write_address(const internet_address& from, socket_address& to) noexcept
{
    to = {};
    if (from.family == socket_family::ipv4)
    {
        sockaddr_in raw{};
        raw.sin_family = AF_INET;
        raw.sin_port = htons(from.port);
        std::memcpy(&raw.sin_addr, from.bytes.data(), sizeof raw.sin_addr);
        std::memcpy(to.storage.data(), &raw, sizeof raw);
        to.size = sizeof raw;
        return;
    }
    sockaddr_in6 raw{};
    raw.sin6_family = AF_INET6;
    raw.sin6_port = htons(from.port);
    std::memcpy(&raw.sin6_addr, from.bytes.data(), sizeof raw.sin6_addr);
    std::memcpy(to.storage.data(), &raw, sizeof raw);
    to.size = sizeof raw;
}

int read_unix_address(const socket_address& from, std::string& to)
{
    constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);
    if (from.size < path_offset || from.size > sizeof(sockaddr_un))
    {
        return -EINVAL;
    }
    if (family_of(from) != AF_UNIX)
    {
        return -EINVAL;
    }
    const char* const text = reinterpret_cast<const char*>(from.storage.data()) + path_offset;
    const std::size_t length = from.size - path_offset;
    const bool is_abstract = length > 0 && text[0] == '\0';
    to.assign(text, is_abstract ? length : strnlen(text, length));
    return 0;
}

void write_unix_address(const std::string& from, socket_address& to) noexcept
{
    to = {};
    constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);
    const sa_family_t family = AF_UNIX;
    std::memcpy(to.storage.data(), &family, sizeof family);
    const std::size_t length = std::min(from.size(), sizeof(sockaddr_un) - path_offset);
    std::memcpy(to.storage.data() + path_offset, from.data(), length);
    // The size of a path counts its terminator, the size of an abstract name has none.
    const bool has_terminator = !from.empty() && from[0] != '\0';
    to.size = static_cast<std::uint32_t>(path_offset + length + (has_terminator ? 1 : 0));
}

} // namespace blitzio::detail::sim
