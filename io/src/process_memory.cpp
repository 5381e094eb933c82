// Reading by way of the kernel. Thread rule: see the header.
#include "process_memory.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include <sys/uio.h>
#include <unistd.h>

namespace blitzio::detail
{

namespace
{

/// No piece crosses a border of pages, behind which there may be nothing.
constexpr std::size_t piece_bytes = 64;
constexpr std::size_t text_bytes_max = 512;

} // namespace

bool read_own_memory(const void* from, void* to, std::size_t bytes) noexcept
{
    iovec local{to, bytes};
    iovec remote{const_cast<void*>(from), bytes};
    return ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(bytes);
}

std::string read_own_text(const char* from)
{
    std::string text;
    std::array<char, piece_bytes> piece{};
    while (from != nullptr && text.size() < text_bytes_max)
    {
        const auto address = reinterpret_cast<std::uintptr_t>(from);
        const std::size_t length = piece_bytes - address % piece_bytes;
        if (!read_own_memory(from, piece.data(), length))
        {
            return {};
        }
        const auto* const end = static_cast<const char*>(std::memchr(piece.data(), 0, length));
        const auto used = end == nullptr ? length : static_cast<std::size_t>(end - piece.data());
        text.append(piece.data(), used);
        if (end != nullptr)
        {
            break;
        }
        from += length;
    }
    return text;
}

} // namespace blitzio::detail
