// Size classes of 64 bytes with a cache per thread and a shared depot.
// Thread rule: any thread. A cache is touched by its thread only; the depot has a mutex per class.
//
// Frames die on other threads than they were born on whenever tasks are stolen, so a thread whose
// cache is full hands half of it to the depot in one step, and a thread whose cache is empty takes a
// batch from there. With a sanitizer every frame goes to the system, so that use after free shows.
#include <blitzio/io/detail/frame_pool.hpp>

#include "limits.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <new>
#include <utility>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BLITZIO_POOL_FRAMES 0
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BLITZIO_POOL_FRAMES 0
#endif
#ifndef BLITZIO_POOL_FRAMES
#define BLITZIO_POOL_FRAMES 1
#endif

namespace blitzio::detail
{

namespace
{

constexpr std::size_t class_bytes = 64;
constexpr std::size_t class_count = limits::pooled_frame_bytes_max / class_bytes;

struct free_frame
{
    free_frame* next;
};

struct free_list
{
    free_frame* head = nullptr;
    std::size_t count = 0;

    void push(free_frame* frame) noexcept
    {
        frame->next = head;
        head = frame;
        ++count;
    }

    free_frame* pop() noexcept
    {
        free_frame* const frame = head;
        head = frame->next;
        --count;
        return frame;
    }
};

constexpr std::size_t cached_max(std::size_t size_class) noexcept
{
    return std::max<std::size_t>(8, limits::frame_cache_bytes / ((size_class + 1) * class_bytes));
}

/// Frames beyond the threads' caches. Trivially destructible: it outlives every thread.
struct depot
{
    struct shelf
    {
        std::mutex mutex;
        free_list frames;
    };
    std::array<shelf, class_count> shelves;
    /// Of threads that have ended.
    std::atomic<std::int64_t> retired_live{0};
    std::mutex threads_mutex;
    struct thread_cache* threads = nullptr;
};

depot& shared_depot() noexcept
{
    // Never destroyed: threads may end after static destruction has begun.
    static depot* const instance = new depot;
    return *instance;
}

struct thread_cache
{
    std::array<free_list, class_count> lists{};
    /// Frames taken minus frames given back here; written by the owner, read by anyone.
    std::atomic<std::int64_t> live{0};
    thread_cache* previous = nullptr;
    thread_cache* following = nullptr;
    bool registered = false;
};

constinit thread_local thread_cache cache;

void retire_cache() noexcept;

/// Exists only to be destroyed with its thread.
struct cache_retirement
{
    bool armed = false;
    ~cache_retirement()
    {
        if (armed)
        {
            retire_cache();
        }
    }
};

thread_local cache_retirement retirement;

void register_cache() noexcept
{
    retirement.armed = true;
    cache.registered = true;
    auto& shared = shared_depot();
    const std::lock_guard lock(shared.threads_mutex);
    cache.following = shared.threads;
    if (shared.threads != nullptr)
    {
        shared.threads->previous = &cache;
    }
    shared.threads = &cache;
}

/// Moves up to `count` frames of one class between two lists.
void move_frames(free_list& from, free_list& to, std::size_t count) noexcept
{
    for (; count > 0 && from.head != nullptr; --count)
    {
        to.push(from.pop());
    }
}

void retire_cache() noexcept
{
    auto& shared = shared_depot();
    for (std::size_t index = 0; index < class_count; ++index)
    {
        auto& shelf = shared.shelves[index];
        const std::lock_guard lock(shelf.mutex);
        move_frames(cache.lists[index], shelf.frames, cache.lists[index].count);
    }
    const std::lock_guard lock(shared.threads_mutex);
    (cache.previous != nullptr ? cache.previous->following : shared.threads) = cache.following;
    if (cache.following != nullptr)
    {
        cache.following->previous = cache.previous;
    }
    shared.retired_live.fetch_add(cache.live.load(std::memory_order_relaxed),
                                  std::memory_order_relaxed);
    cache.live.store(0, std::memory_order_relaxed);
    cache.registered = false;
}

void count_live(std::int64_t change) noexcept
{
    if (!cache.registered)
    {
        register_cache();
    }
    // One writer: a load and a store instead of a read-modify-write.
    cache.live.store(cache.live.load(std::memory_order_relaxed) + change,
                     std::memory_order_relaxed);
}

[[gnu::noinline]] void* refill(std::size_t size_class)
{
    auto& shelf = shared_depot().shelves[size_class];
    auto& mine = cache.lists[size_class];
    {
        const std::lock_guard lock(shelf.mutex);
        move_frames(shelf.frames, mine, cached_max(size_class) / 2);
    }
    return mine.head != nullptr ? mine.pop() : ::operator new((size_class + 1) * class_bytes);
}

[[gnu::noinline]] void spill(std::size_t size_class) noexcept
{
    auto& shelf = shared_depot().shelves[size_class];
    auto& mine = cache.lists[size_class];
    free_list surplus;
    {
        const std::lock_guard lock(shelf.mutex);
        // The depot keeps as much as four threads would; what is beyond goes back to the system.
        auto& target = shelf.frames.count < 4 * cached_max(size_class) ? shelf.frames : surplus;
        move_frames(mine, target, cached_max(size_class) / 2);
    }
    while (surplus.head != nullptr)
    {
        ::operator delete(surplus.pop());
    }
}

constexpr bool is_pooled(std::size_t bytes) noexcept
{
    return BLITZIO_POOL_FRAMES != 0 && bytes <= limits::pooled_frame_bytes_max && bytes != 0;
}

} // namespace

void* allocate_frame(std::size_t bytes)
{
    void* memory = nullptr;
    if (is_pooled(bytes))
    {
        const std::size_t size_class = (bytes - 1) / class_bytes;
        auto& list = cache.lists[size_class];
        memory = list.head != nullptr ? list.pop() : refill(size_class);
    }
    else
    {
        memory = ::operator new(bytes);
    }
    count_live(1);
    return memory;
}

void deallocate_frame(void* memory, std::size_t bytes) noexcept
{
    count_live(-1);
    if (!is_pooled(bytes))
    {
        ::operator delete(memory);
        return;
    }
    const std::size_t size_class = (bytes - 1) / class_bytes;
    auto& list = cache.lists[size_class];
    list.push(static_cast<free_frame*>(memory));
    if (list.count > cached_max(size_class))
    {
        spill(size_class);
    }
}

std::int64_t live_frames() noexcept
{
    auto& shared = shared_depot();
    const std::lock_guard lock(shared.threads_mutex);
    std::int64_t total = shared.retired_live.load(std::memory_order_relaxed);
    for (const thread_cache* entry = shared.threads; entry != nullptr; entry = entry->following)
    {
        total += entry->live.load(std::memory_order_relaxed);
    }
    return total;
}

} // namespace blitzio::detail
