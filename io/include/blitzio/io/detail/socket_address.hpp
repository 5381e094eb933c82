// A socket address in the kernel's own layout, without the kernel's headers.
// Thread rule: a plain value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace blitzio::detail
{

/// As large as the kernel's sockaddr_storage; the sources that fill it check that.
struct socket_address
{
    alignas(8) std::array<std::byte, 128> storage{};
    std::uint32_t size = 0;
};

} // namespace blitzio::detail
