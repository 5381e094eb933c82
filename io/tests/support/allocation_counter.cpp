// The replaced operator new. Thread rule: any thread.
#include "support/allocation_counter.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace
{

std::atomic<bool> counting{false};
std::atomic<std::uint64_t> allocations{0};
std::atomic<std::size_t> refused_bytes{SIZE_MAX};

} // namespace

#ifndef BLITZIO_TEST_SANITIZED

namespace
{

void* counted(std::size_t bytes, std::size_t alignment) noexcept
{
    if (counting.load(std::memory_order_relaxed))
    {
        allocations.fetch_add(1, std::memory_order_relaxed);
    }
    if (bytes >= refused_bytes.load(std::memory_order_relaxed))
    {
        return nullptr;
    }
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    return std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
}

void* counted_or_throw(std::size_t bytes, std::size_t alignment)
{
    if (void* const memory = counted(bytes, alignment))
    {
        return memory;
    }
    throw std::bad_alloc();
}

} // namespace

// The forms for arrays and those that do not throw call these.
void* operator new(std::size_t bytes)
{
    return counted_or_throw(bytes, alignof(std::max_align_t));
}

void* operator new(std::size_t bytes, std::align_val_t alignment)
{
    return counted_or_throw(bytes, static_cast<std::size_t>(alignment));
}

void operator delete(void* memory) noexcept
{
    std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept
{
    std::free(memory);
}

void operator delete(void* memory, std::align_val_t) noexcept
{
    std::free(memory);
}

void operator delete(void* memory, std::size_t, std::align_val_t) noexcept
{
    std::free(memory);
}

#endif

namespace blitzio::test
{

allocation_counter::allocation_counter() noexcept
{
    allocations.store(0, std::memory_order_relaxed);
    counting.store(true, std::memory_order_relaxed);
}

allocation_counter::~allocation_counter()
{
    counting.store(false, std::memory_order_relaxed);
}

std::uint64_t allocation_counter::count() const noexcept
{
    return allocations.load(std::memory_order_relaxed);
}

memory_shortage::memory_shortage(std::size_t bytes) noexcept
{
    refused_bytes.store(bytes, std::memory_order_relaxed);
}

memory_shortage::~memory_shortage()
{
    refused_bytes.store(SIZE_MAX, std::memory_order_relaxed);
}

} // namespace blitzio::test
