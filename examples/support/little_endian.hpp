// Numbers in little-endian bytes. Thread rule: pure functions.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace example
{

static_assert(std::endian::native == std::endian::little, "the examples copy numbers as they are");

/// The first four bytes; there must be as many.
inline std::uint32_t load_u32(std::span<const std::byte> bytes)
{
    std::uint32_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

/// The first eight bytes, padded with zeros.
inline std::uint64_t load_u64_padded(std::span<const std::byte> bytes)
{
    std::uint64_t value = 0;
    if (bytes.size() >= sizeof value) [[likely]]
    {
        std::memcpy(&value, bytes.data(), sizeof value); // a constant length: one instruction
    }
    else
    {
        std::memcpy(&value, bytes.data(), bytes.size());
    }
    return value;
}

inline void append_u64(std::vector<std::byte>& bytes, std::uint64_t value)
{
    const std::size_t before = bytes.size();
    bytes.resize(before + sizeof value);
    std::memcpy(bytes.data() + before, &value, sizeof value);
}

} // namespace example
