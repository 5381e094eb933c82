// Where the frames are that no thread has at hand, and where all of them come from: chunks of one
// size class each, carved on demand and given back to the system when they are empty.
// Thread rule: any thread; a mutex per size class, and one for chunks that change owner.
#pragma once

#include "limits.hpp"

#include <blitzio/io/detail/frame_pool.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace blitzio::detail
{

/// A chain of frames on its way between a thread and the depot; `next` of the last is null.
struct frame_chain
{
    free_frame* head = nullptr;
    std::uint32_t count = 0;
};

class frame_depot
{
public:
    /// The only one. Never destroyed: threads may end after static destruction has begun.
    [[nodiscard]] static frame_depot& instance() noexcept;

    /// How many frames a thread gives and takes at a time.
    [[nodiscard]] static constexpr std::uint32_t batch_frames(std::size_t size_class) noexcept
    {
        return static_cast<std::uint32_t>(std::max<std::size_t>(
            4, limits::frame_cache_bytes / 2 / frame_classes::bytes_of(size_class)));
    }

    /// A batch, or as many as the next chunk has. Throws std::bad_alloc.
    [[nodiscard]] frame_chain take_batch(std::size_t size_class);
    [[nodiscard]] free_frame* take_one(std::size_t size_class);
    /// `chain` has batch_frames() frames.
    void give_batch(std::size_t size_class, free_frame* chain) noexcept;
    /// Any number of frames.
    void give(std::size_t size_class, free_frame* chain) noexcept;

    /// Frames that were taken and not given back, those in the threads' caches included.
    [[nodiscard]] std::int64_t frames_outside() noexcept;
    /// Bytes held from the system, used or not.
    [[nodiscard]] std::size_t bytes_held() noexcept;

private:
    struct chunk;

    /// A doubly linked list of chunks.
    struct chunk_list
    {
        chunk* first = nullptr;

        void add(chunk& added) noexcept;
        void remove(chunk& removed) noexcept;
    };

    /// The first frame of a batch, while the depot has it.
    struct batch_head : free_frame
    {
        batch_head* following = nullptr;
    };

    struct shelf
    {
        std::mutex mutex;
        /// Batches as they came: handing one on touches one of its frames.
        batch_head* batches = nullptr;
        /// Chunks that have a frame to give.
        chunk_list available;
        std::int64_t outside = 0;
    };

    [[nodiscard]] static chunk& chunk_of(free_frame& frame) noexcept;
    [[nodiscard]] chunk& new_chunk(std::size_t size_class);
    [[nodiscard]] frame_chain carve(shelf& here, std::size_t size_class, std::uint32_t wanted);
    void put_back(shelf& here, free_frame* chain) noexcept;
    void retire_chunk(chunk& empty) noexcept;

    std::array<shelf, frame_classes::count> shelves_;
    /// In the batches of all shelves; a limit, so it need not be exact.
    std::atomic<std::size_t> batch_bytes_{0};
    std::mutex chunks_mutex_;
    chunk_list spare_;          // guarded by chunks_mutex_
    std::size_t spare_count_{}; // guarded by chunks_mutex_
    std::size_t held_{};        // guarded by chunks_mutex_
};

} // namespace blitzio::detail
