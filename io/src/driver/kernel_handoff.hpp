// Tells the thread sanitizer what the kernel does: it reads and writes buffers, and it carries
// wake-ups from thread to thread. Without these notes it reports correct hand-offs and misses races
// with buffers in flight. Thread rule: as the code that calls it.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BLITZIO_THREAD_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define BLITZIO_THREAD_SANITIZER 1
#endif

#ifdef BLITZIO_THREAD_SANITIZER
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
extern "C" void __tsan_read_range(void* address, unsigned long size);
extern "C" void __tsan_write_range(void* address, unsigned long size);
#endif

namespace blitzio::detail::kernel_handoff
{

/// The kernel has written `size` bytes for us.
inline void wrote([[maybe_unused]] void* data, [[maybe_unused]] std::size_t size) noexcept
{
#ifdef BLITZIO_THREAD_SANITIZER
    __tsan_write_range(data, size);
#endif
}

/// The kernel reads `size` bytes from us, from now on.
inline void reads([[maybe_unused]] void* data, [[maybe_unused]] std::size_t size) noexcept
{
#ifdef BLITZIO_THREAD_SANITIZER
    __tsan_read_range(data, size);
#endif
}

/// A wake-up through the kernel: all before release() on one thread is seen after acquire() on the
/// other.
inline void release([[maybe_unused]] void* channel) noexcept
{
#ifdef BLITZIO_THREAD_SANITIZER
    __tsan_release(channel);
#endif
}

inline void acquire([[maybe_unused]] void* channel) noexcept
{
#ifdef BLITZIO_THREAD_SANITIZER
    __tsan_acquire(channel);
#endif
}

} // namespace blitzio::detail::kernel_handoff
