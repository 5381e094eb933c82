// Chunks are aligned to their size, so a frame's chunk follows from its address. A chunk gives out
// the frames that came back to it before it touches memory that was never used, so that what is
// resident is what was needed at the peak.
#include "memory/frame_depot.hpp"

#include "limits.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace blitzio::detail
{

struct alignas(64) frame_depot::chunk
{
    chunk* previous = nullptr;
    chunk* following = nullptr;
    free_frame* free = nullptr;
    std::size_t size_class = 0;
    std::uint32_t frame_bytes = 0;
    /// How many fit, how many were ever handed out, how many of those are not here now.
    std::uint32_t capacity = 0;
    std::uint32_t carved = 0;
    std::uint32_t outside = 0;

    [[nodiscard]] bool can_give() const noexcept
    {
        return free != nullptr || carved < capacity;
    }

    [[nodiscard]] free_frame* give() noexcept
    {
        ++outside;
        if (free != nullptr)
        {
            free_frame* const given = free;
            free = given->next;
            return given;
        }
        auto* const base = reinterpret_cast<std::byte*>(this) + sizeof(chunk);
        return ::new (base + std::size_t{carved++} * frame_bytes) free_frame;
    }
};

namespace
{

constexpr std::size_t chunk_bytes = limits::frame_chunk_bytes;
static_assert((chunk_bytes & (chunk_bytes - 1)) == 0, "frames find their chunk with a mask");

/// A chunk's memory, aligned to its size.
void* map_chunk()
{
    void* const mapped = ::mmap(nullptr, 2 * chunk_bytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
    {
        throw std::bad_alloc();
    }
    const auto address = reinterpret_cast<std::uintptr_t>(mapped);
    const std::uintptr_t aligned = (address + chunk_bytes - 1) & ~(chunk_bytes - 1);
    const std::size_t before = aligned - address;
    auto* const kept = static_cast<std::byte*>(mapped) + before;
    if (before != 0)
    {
        ::munmap(mapped, before);
    }
    ::munmap(kept + chunk_bytes, chunk_bytes - before);
    return kept;
}

} // namespace

void frame_depot::chunk_list::add(chunk& added) noexcept
{
    added.previous = nullptr;
    added.following = first;
    if (first != nullptr)
    {
        first->previous = &added;
    }
    first = &added;
}

void frame_depot::chunk_list::remove(chunk& removed) noexcept
{
    (removed.previous != nullptr ? removed.previous->following : first) = removed.following;
    if (removed.following != nullptr)
    {
        removed.following->previous = removed.previous;
    }
}

frame_depot& frame_depot::instance() noexcept
{
    static frame_depot* const only = new frame_depot;
    return *only;
}

frame_depot::chunk& frame_depot::chunk_of(free_frame& frame) noexcept
{
    const auto address = reinterpret_cast<std::uintptr_t>(&frame);
    return *reinterpret_cast<chunk*>(address & ~(std::uintptr_t{chunk_bytes} - 1));
}

frame_depot::chunk& frame_depot::new_chunk(std::size_t size_class)
{
    void* memory = nullptr;
    {
        const std::lock_guard lock(chunks_mutex_);
        if (spare_.first != nullptr)
        {
            memory = spare_.first;
            spare_.remove(*spare_.first);
            --spare_count_;
        }
        else
        {
            memory = map_chunk();
            held_ += chunk_bytes;
        }
    }
    auto* const made = ::new (memory) chunk;
    made->size_class = size_class;
    made->frame_bytes = static_cast<std::uint32_t>(frame_classes::bytes_of(size_class));
    made->capacity = static_cast<std::uint32_t>((chunk_bytes - sizeof(chunk)) / made->frame_bytes);
    return *made;
}

void frame_depot::retire_chunk(chunk& empty) noexcept
{
    const std::lock_guard lock(chunks_mutex_);
    if (spare_count_ < limits::frame_chunks_spare_max)
    {
        spare_.add(empty);
        ++spare_count_;
        return;
    }
    held_ -= chunk_bytes;
    ::munmap(&empty, chunk_bytes);
}

frame_chain frame_depot::carve(shelf& here, std::size_t size_class, std::uint32_t wanted)
{
    if (here.available.first == nullptr)
    {
        here.available.add(new_chunk(size_class));
    }
    chunk& source = *here.available.first;
    frame_chain taken;
    while (taken.count < wanted && source.can_give())
    {
        free_frame* const frame = source.give();
        frame->next = taken.head;
        taken.head = frame;
        ++taken.count;
    }
    if (!source.can_give())
    {
        here.available.remove(source);
    }
    return taken;
}

frame_chain frame_depot::take_batch(std::size_t size_class)
{
    shelf& here = shelves_[size_class];
    const std::uint32_t count = batch_frames(size_class);
    const std::lock_guard lock(here.mutex);
    frame_chain taken;
    if (here.batches != nullptr)
    {
        taken = {.head = here.batches, .count = count};
        here.batches = here.batches->following;
        batch_bytes_.fetch_sub(count * frame_classes::bytes_of(size_class),
                               std::memory_order_relaxed);
    }
    else
    {
        taken = carve(here, size_class, count);
    }
    here.outside += taken.count;
    return taken;
}

free_frame* frame_depot::take_one(std::size_t size_class)
{
    shelf& here = shelves_[size_class];
    const std::lock_guard lock(here.mutex);
    const frame_chain taken = carve(here, size_class, 1);
    here.outside += 1;
    return taken.head;
}

void frame_depot::give_batch(std::size_t size_class, free_frame* chain) noexcept
{
    shelf& here = shelves_[size_class];
    const std::uint32_t count = batch_frames(size_class);
    const std::size_t bytes = count * frame_classes::bytes_of(size_class);
    const std::lock_guard lock(here.mutex);
    here.outside -= count;
    if (batch_bytes_.load(std::memory_order_relaxed) + bytes > limits::frame_batch_bytes_max)
    {
        put_back(here, chain);
        return;
    }
    batch_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    free_frame* const second = chain->next;
    auto* const head = ::new (static_cast<void*>(chain)) batch_head;
    head->next = second;
    head->following = here.batches;
    here.batches = head;
}

void frame_depot::give(std::size_t size_class, free_frame* chain) noexcept
{
    shelf& here = shelves_[size_class];
    const std::lock_guard lock(here.mutex);
    for (const free_frame* each = chain; each != nullptr; each = each->next)
    {
        --here.outside;
    }
    put_back(here, chain);
}

void frame_depot::put_back(shelf& here, free_frame* chain) noexcept
{
    while (chain != nullptr)
    {
        free_frame* const frame = chain;
        chain = frame->next;
        chunk& target = chunk_of(*frame);
        if (!target.can_give())
        {
            here.available.add(target);
        }
        frame->next = target.free;
        target.free = frame;
        if (--target.outside == 0)
        {
            here.available.remove(target);
            retire_chunk(target);
        }
    }
}

std::int64_t frame_depot::frames_outside() noexcept
{
    std::int64_t total = 0;
    for (shelf& each : shelves_)
    {
        const std::lock_guard lock(each.mutex);
        total += each.outside;
    }
    return total;
}

std::size_t frame_depot::bytes_held() noexcept
{
    const std::lock_guard lock(chunks_mutex_);
    return held_;
}

} // namespace blitzio::detail
