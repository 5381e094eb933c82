// Asking the processor for memory ahead of its use. Thread rule: any thread; nothing is accessed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace blitzio::detail
{

inline constexpr std::size_t cache_line_bytes = 64;

/// The first two lines of an object that will be written soon. Any address will do, also null or one
/// whose object has gone: a wrong guess costs a line of the cache and nothing else.
inline void prefetch_two_lines(const void* address) noexcept
{
    // As a number: there may be no object to point into.
    const auto first = reinterpret_cast<std::uintptr_t>(address);
    __builtin_prefetch(reinterpret_cast<const void*>(first), 1);
    __builtin_prefetch(reinterpret_cast<const void*>(first + cache_line_bytes), 1);
}

} // namespace blitzio::detail
