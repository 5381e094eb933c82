// Tells the address sanitizer which memory of a pool nobody may use at the moment.
// Thread rule: as the memory.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BLITZIO_ADDRESS_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define BLITZIO_ADDRESS_SANITIZER 1
#endif

#ifdef BLITZIO_ADDRESS_SANITIZER
extern "C" void __asan_poison_memory_region(const volatile void* address, std::size_t size);
extern "C" void __asan_unpoison_memory_region(const volatile void* address, std::size_t size);
#endif

namespace blitzio::detail
{

/// Until unpoison(), touching it is an error. The kernel may all the same.
inline void poison([[maybe_unused]] const void* data, [[maybe_unused]] std::size_t size) noexcept
{
#ifdef BLITZIO_ADDRESS_SANITIZER
    __asan_poison_memory_region(data, size);
#endif
}

inline void unpoison([[maybe_unused]] const void* data, [[maybe_unused]] std::size_t size) noexcept
{
#ifdef BLITZIO_ADDRESS_SANITIZER
    __asan_unpoison_memory_region(data, size);
#endif
}

} // namespace blitzio::detail
