// Memory for coroutine frames and spawn cells: size classes cached per thread.
// Thread rule: any thread; memory may be returned on another thread than it came from.
#pragma once

#include <blitzio/io/detail/prefetch.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace blitzio::detail
{

struct free_frame
{
    free_frame* next;
};

/// The free frames of one size that a thread has at hand.
struct frame_list
{
    /// The frame that was freed last, if the place was empty. A child that is awaited in place takes
    /// it and gives it back: nothing of a list has to be read and written for that, whose loads
    /// would each wait for the store before. Written by the owner only, read by live_frames().
    std::atomic<free_frame*> latest{nullptr};
    free_frame* head = nullptr;
    /// How many more it takes until it is a whole batch. Written by the owner only, read by
    /// live_frames(). Zero before the thread's first visit to the depot, so that the fast paths need
    /// no other test.
    std::atomic<std::uint32_t> room{0};
};

/// Small frames come in steps of 16 bytes, because a parked task is little else than its frame;
/// larger ones in coarser steps.
struct frame_classes
{
    static constexpr std::size_t fine_step = 16;
    static constexpr std::size_t fine_max = 1024;
    static constexpr std::size_t coarse_step = 256;
    static constexpr std::size_t coarse_max = 4096;
    static constexpr std::size_t fine_count = fine_max / fine_step;
    static constexpr std::size_t count = fine_count + (coarse_max - fine_max) / coarse_step;

    [[nodiscard]] static constexpr bool has(std::size_t bytes) noexcept
    {
        return bytes != 0 && bytes <= coarse_max;
    }

    [[nodiscard]] static constexpr std::size_t of(std::size_t bytes) noexcept
    {
        return bytes <= fine_max ? (bytes - 1) / fine_step
                                 : fine_count + (bytes - fine_max - 1) / coarse_step;
    }

    [[nodiscard]] static constexpr std::size_t bytes_of(std::size_t index) noexcept
    {
        return index < fine_count ? (index + 1) * fine_step
                                  : fine_max + (index - fine_count + 1) * coarse_step;
    }
};

struct frame_cache
{
    std::array<frame_list, frame_classes::count> lists{};
    /// A whole batch of each size, so that a thread whose need goes up and down by one around a
    /// batch's end does not visit the depot each time. Written by the owner only.
    std::array<std::atomic<free_frame*>, frame_classes::count> spares{};
};

/// Accessed only in functions that do not suspend; its address is never kept across a suspension,
/// which may continue on another thread.
///
/// Defined here and not in the library, so that an executable reaches it at a fixed distance from the
/// thread's base: an address without a register in it is what lets a processor hand the value of the
/// last store to the next load without waiting. An await in place gains 1 ns of 6 by that. A program
/// that has more than one of it, because it hides its symbols from a shared library, is slower but
/// right: the other one has no room, and so each of its calls ends in the library.
inline constinit thread_local frame_cache this_threads_frames;

[[nodiscard]] void* allocate_frame_slowly(std::size_t bytes);
void deallocate_frame_slowly(void* memory, std::size_t bytes) noexcept;

/// Throws std::bad_alloc. The memory is aligned like operator new's.
[[nodiscard]] inline void* allocate_frame(std::size_t bytes)
{
    if (frame_classes::has(bytes)) [[likely]]
    {
        frame_list& list = this_threads_frames.lists[frame_classes::of(bytes)];
        if (free_frame* const taken = list.latest.load(std::memory_order_relaxed); taken != nullptr)
        {
            list.latest.store(nullptr, std::memory_order_relaxed);
            return taken;
        }
        if (free_frame* const first = list.head; first != nullptr) [[likely]]
        {
            list.head = first->next;
            // After a burst of tasks the frames have long left the cache: worth 5 ns a task.
            prefetch_two_lines(list.head);
            list.room.store(list.room.load(std::memory_order_relaxed) + 1,
                            std::memory_order_relaxed);
            return first;
        }
    }
    return allocate_frame_slowly(bytes);
}

inline void deallocate_frame(void* memory, std::size_t bytes) noexcept
{
    if (frame_classes::has(bytes)) [[likely]]
    {
        frame_list& list = this_threads_frames.lists[frame_classes::of(bytes)];
        auto* const freed = static_cast<free_frame*>(memory);
        const std::uint32_t room = list.room.load(std::memory_order_relaxed);
        if (room != 0) [[likely]]
        {
            if (list.latest.load(std::memory_order_relaxed) == nullptr)
            {
                list.latest.store(freed, std::memory_order_relaxed);
                return;
            }
            freed->next = list.head;
            list.head = freed;
            list.room.store(room - 1, std::memory_order_relaxed);
            return;
        }
    }
    deallocate_frame_slowly(memory, bytes);
}

/// Frames allocated and not yet returned in this process; exact only while nothing runs.
[[nodiscard]] std::int64_t live_frames() noexcept;

} // namespace blitzio::detail
