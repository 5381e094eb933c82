// The slow paths of the frame pool: a thread's cache meets the depot.
// Thread rule: any thread. A cache is touched by its thread only.
//
// Frames die on other threads than they were born on whenever tasks are stolen, so a thread that has
// two whole batches hands one to the depot, and a thread that has none takes one from there; nobody
// walks through a batch. With a sanitizer every frame goes to the system, so that use after free shows:
// then no cache ever has room, and the fast paths always end here.
#include <blitzio/io/detail/frame_pool.hpp>

#include "limits.hpp"
#include "memory/frame_depot.hpp"

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

/// Frames that went to the system directly.
std::atomic<std::int64_t> system_frames{0};

/// Links a thread's cache for live_frames(), and empties it when the thread ends.
class cache_registration
{
public:
    cache_registration() noexcept : cache_(this_threads_frames)
    {
        for (std::size_t index = 0; index < frame_classes::count; ++index)
        {
            cache_.lists[index].room.store(frame_depot::batch_frames(index),
                                           std::memory_order_relaxed);
        }
        const std::lock_guard lock(mutex());
        following_ = first;
        if (first != nullptr)
        {
            first->previous_ = this;
        }
        first = this;
    }

    cache_registration(const cache_registration&) = delete;
    cache_registration& operator=(const cache_registration&) = delete;

    ~cache_registration()
    {
        {
            const std::lock_guard lock(mutex());
            (previous_ != nullptr ? previous_->following_ : first) = following_;
            if (following_ != nullptr)
            {
                following_->previous_ = previous_;
            }
        }
        for (std::size_t index = 0; index < frame_classes::count; ++index)
        {
            auto& list = cache_.lists[index];
            // What the thread's remaining destructors free goes to the depot one by one.
            list.room.store(0, std::memory_order_relaxed);
            if (free_frame* const latest = list.latest.exchange(nullptr, std::memory_order_relaxed))
            {
                latest->next = list.head;
                list.head = latest;
            }
            if (list.head != nullptr)
            {
                frame_depot::instance().give(index, list.head);
                list.head = nullptr;
            }
            if (free_frame* const spare =
                    cache_.spares[index].exchange(nullptr, std::memory_order_relaxed))
            {
                frame_depot::instance().give_batch(index, spare);
            }
        }
        has_ended = true;
    }

    /// Registers this thread on its first call. False: the thread is ending and caches nothing.
    static bool ensure()
    {
        if (has_ended)
        {
            return false;
        }
        thread_local cache_registration registration;
        static_cast<void>(&registration);
        return true;
    }

    /// Frames in the caches of all threads.
    static std::int64_t cached_frames() noexcept
    {
        const std::lock_guard lock(mutex());
        std::int64_t total = 0;
        for (const auto* entry = first; entry != nullptr; entry = entry->following_)
        {
            for (std::size_t index = 0; index < frame_classes::count; ++index)
            {
                const auto& list = entry->cache_.lists[index];
                const std::int64_t batch = frame_depot::batch_frames(index);
                const bool has_spare =
                    entry->cache_.spares[index].load(std::memory_order_relaxed) != nullptr;
                total += batch - list.room.load(std::memory_order_relaxed) +
                         (list.latest.load(std::memory_order_relaxed) != nullptr ? 1 : 0) +
                         (has_spare ? batch : 0);
            }
        }
        return total;
    }

private:
    static std::mutex& mutex() noexcept
    {
        // Never destroyed: threads may end after static destruction has begun.
        static auto* const only = new std::mutex;
        return *only;
    }

    static inline cache_registration* first = nullptr; // guarded by mutex()
    static inline constinit thread_local bool has_ended = false;

    frame_cache& cache_;
    cache_registration* previous_ = nullptr;
    cache_registration* following_ = nullptr;
};

/// Called with an empty list.
void* refill(std::size_t size_class)
{
    if (!cache_registration::ensure())
    {
        return frame_depot::instance().take_one(size_class);
    }
    auto& list = this_threads_frames.lists[size_class];
    frame_chain batch{
        .head = this_threads_frames.spares[size_class].exchange(nullptr, std::memory_order_relaxed),
        .count = frame_depot::batch_frames(size_class)};
    if (batch.head == nullptr)
    {
        batch = frame_depot::instance().take_batch(size_class);
    }
    list.head = batch.head->next;
    list.room.store(frame_depot::batch_frames(size_class) - (batch.count - 1),
                    std::memory_order_relaxed);
    return batch.head;
}

/// Called with a list that has no room: because it is full, or because there is no cache.
void spill(std::size_t size_class, free_frame& freed) noexcept
{
    if (!cache_registration::ensure())
    {
        freed.next = nullptr;
        frame_depot::instance().give(size_class, &freed);
        return;
    }
    auto& list = this_threads_frames.lists[size_class];
    std::uint32_t room = list.room.load(std::memory_order_relaxed);
    if (room == 0)
    {
        auto& spare = this_threads_frames.spares[size_class];
        if (free_frame* const older = spare.load(std::memory_order_relaxed); older != nullptr)
        {
            frame_depot::instance().give_batch(size_class, older);
        }
        spare.store(std::exchange(list.head, nullptr), std::memory_order_relaxed);
        room = frame_depot::batch_frames(size_class);
    }
    freed.next = list.head;
    list.head = &freed;
    list.room.store(room - 1, std::memory_order_relaxed);
}

constexpr bool is_pooled(std::size_t bytes) noexcept
{
    return BLITZIO_POOL_FRAMES != 0 && frame_classes::has(bytes);
}

} // namespace

[[gnu::noinline]] void* allocate_frame_slowly(std::size_t bytes)
{
    if (is_pooled(bytes))
    {
        return refill(frame_classes::of(bytes));
    }
    void* const memory = ::operator new(bytes);
    system_frames.fetch_add(1, std::memory_order_relaxed);
    return memory;
}

[[gnu::noinline]] void deallocate_frame_slowly(void* memory, std::size_t bytes) noexcept
{
    if (is_pooled(bytes))
    {
        spill(frame_classes::of(bytes), *static_cast<free_frame*>(memory));
        return;
    }
    system_frames.fetch_sub(1, std::memory_order_relaxed);
    ::operator delete(memory);
}

std::int64_t live_frames() noexcept
{
    return system_frames.load(std::memory_order_relaxed) +
           frame_depot::instance().frames_outside() - cache_registration::cached_frames();
}

} // namespace blitzio::detail
