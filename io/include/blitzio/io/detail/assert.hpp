// BLITZIO_ASSERT: states a contract of the library and stops the program where it is broken.
// Active in debug builds and wherever BLITZIO_ASSERTIONS is defined; otherwise the condition is
// compiled but not evaluated. Thread rule: any thread.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace blitzio::detail
{

/// Prints what was broken as one line and aborts. Out of line of the check, which stays small.
[[noreturn]] inline void assertion_failed(const char* condition, const char* file,
                                          int line) noexcept
{
    std::fprintf(stderr, "%s:%d: blitzio assertion failed: %s\n", file, line, condition);
    std::abort();
}

} // namespace blitzio::detail

#if !defined(NDEBUG) || defined(BLITZIO_ASSERTIONS)
#define BLITZIO_ASSERT(condition)       \
    ((condition) ? static_cast<void>(0) \
                 : ::blitzio::detail::assertion_failed(#condition, __FILE__, __LINE__))
#else
#define BLITZIO_ASSERT(condition) static_cast<void>(sizeof((condition) ? 1 : 0))
#endif
