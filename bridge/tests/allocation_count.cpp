// Counts allocations by replacing operator new. Thread rule: any thread.
#include "support.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

#ifdef BRIDGE_TESTS_SANITIZED

std::uint64_t test::allocations() noexcept
{
    return 0;
}

#else

namespace
{

std::atomic<std::uint64_t> allocation_count{0};

void* allocate(std::size_t bytes)
{
    allocation_count.fetch_add(1, std::memory_order_relaxed);
    if (void* const memory = std::malloc(bytes == 0 ? 1 : bytes))
    {
        return memory;
    }
    throw std::bad_alloc();
}

void* allocate_aligned(std::size_t bytes, std::align_val_t alignment)
{
    allocation_count.fetch_add(1, std::memory_order_relaxed);
    const auto boundary = static_cast<std::size_t>(alignment);
    if (void* const memory =
            std::aligned_alloc(boundary, (bytes + boundary - 1) / boundary * boundary))
    {
        return memory;
    }
    throw std::bad_alloc();
}

} // namespace

std::uint64_t test::allocations() noexcept
{
    return allocation_count.load(std::memory_order_relaxed);
}

void* operator new(std::size_t bytes)
{
    return allocate(bytes);
}
void* operator new[](std::size_t bytes)
{
    return allocate(bytes);
}
void* operator new(std::size_t bytes, std::align_val_t alignment)
{
    return allocate_aligned(bytes, alignment);
}
void* operator new[](std::size_t bytes, std::align_val_t alignment)
{
    return allocate_aligned(bytes, alignment);
}
void operator delete(void* memory) noexcept
{
    std::free(memory);
}
void operator delete[](void* memory) noexcept
{
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept
{
    std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept
{
    std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept
{
    std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept
{
    std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept
{
    std::free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept
{
    std::free(memory);
}

#endif
