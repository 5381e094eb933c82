// Counts the allocations of the test program. Thread rule: any thread.
#include "support.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace
{

std::atomic<std::uint64_t> allocation_count{0};
std::atomic<std::size_t> refused_bytes{SIZE_MAX};

#if !defined(SYNC_TESTS_THREAD_SANITIZER)

void* allocate(std::size_t bytes)
{
    allocation_count.fetch_add(1, std::memory_order_relaxed);
    if (bytes >= refused_bytes.load(std::memory_order_relaxed))
    {
        throw std::bad_alloc();
    }
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
    const std::size_t rounded = (bytes + boundary - 1) / boundary * boundary;
    if (void* const memory = std::aligned_alloc(boundary, rounded == 0 ? boundary : rounded))
    {
        return memory;
    }
    throw std::bad_alloc();
}

#endif

} // namespace

std::uint64_t sync_tests::allocations() noexcept
{
    return allocation_count.load(std::memory_order_relaxed);
}

sync_tests::memory_shortage::memory_shortage(std::size_t bytes) noexcept
{
    refused_bytes.store(bytes, std::memory_order_relaxed);
}

sync_tests::memory_shortage::~memory_shortage()
{
    refused_bytes.store(SIZE_MAX, std::memory_order_relaxed);
}

#if !defined(SYNC_TESTS_THREAD_SANITIZER)

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
