// Counts calls of operator new, or lets them fail, while a test asks for it. The replacement serves
// the whole test program and does nothing of its own otherwise.
// Thread rule: one object of each kind at a time; it concerns all threads.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BLITZIO_TEST_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BLITZIO_TEST_SANITIZED 1
#endif

namespace blitzio::test
{

/// False under a sanitizer, which brings an operator new of its own.
#ifdef BLITZIO_TEST_SANITIZED
inline constexpr bool counts_allocations = false;
#else
inline constexpr bool counts_allocations = true;
#endif

class allocation_counter
{
public:
    allocation_counter() noexcept;
    ~allocation_counter();
    allocation_counter(const allocation_counter&) = delete;
    allocation_counter& operator=(const allocation_counter&) = delete;

    /// Since this object was made.
    [[nodiscard]] std::uint64_t count() const noexcept;
};

/// While it lives there is no memory for as many bytes as are given, or more, at once. Without
/// effect where counts_allocations is false.
class memory_shortage
{
public:
    explicit memory_shortage(std::size_t bytes) noexcept;
    ~memory_shortage();
    memory_shortage(const memory_shortage&) = delete;
    memory_shortage& operator=(const memory_shortage&) = delete;
};

} // namespace blitzio::test
