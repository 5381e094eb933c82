// What a driver gives its leased reads: the worker's own shelf, and the runtime's pool when that is
// empty. Nothing is allocated before the first leased read.
// Thread rule: owner thread only, except the counters.
#pragma once

#include "memory/buffer_pool.hpp"
#include "memory/buffer_shelf.hpp"

#include <blitzio/io/detail/buffer_lease.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace blitzio::detail
{

struct read_buffer_options
{
    /// Bytes of a leased read at the most.
    std::size_t bytes = 0;
    /// Buffers of a worker: a power of two.
    unsigned count_max = 0;
    /// Used when a worker's own are all on loan; may be null.
    buffer_pool_core* pool = nullptr;
};

/// Leases handed out by one worker; any thread may read them.
struct read_buffer_counters
{
    std::uint64_t leases = 0;
    /// Those for which the worker's own buffers were used up.
    std::uint64_t from_pool = 0;
    /// Reads that failed because nothing was left.
    std::uint64_t refusals = 0;
    /// Reads for which the kernel had no provided buffer left and which were repeated by hand.
    std::uint64_t misses = 0;
    /// Buffers of the worker that are on loan, as far as it knows: those that other threads have given
    /// back count until it needs them.
    std::uint64_t out = 0;
};

class worker_buffers
{
public:
    explicit worker_buffers(const read_buffer_options& options) noexcept;
    ~worker_buffers();
    worker_buffers(const worker_buffers&) = delete;
    worker_buffers& operator=(const worker_buffers&) = delete;

    /// The shelf, made when it is asked for the first time; null without memory.
    [[nodiscard]] buffer_shelf* shelf() noexcept;

    /// Kernel style: 0, or -ENOBUFS. `pool_first`: as if the shelf were nearly empty.
    [[nodiscard]] std::int32_t lease(buffer_lease& out, bool pool_first = false) noexcept;
    /// A lease that lease() made and nobody has seen.
    void take_back(const buffer_lease& unused) noexcept;
    /// A lease is on its way to the program.
    void count_lease(const buffer_lease& handed_out) noexcept;

    void count_miss() noexcept
    {
        add(misses_);
    }

    [[nodiscard]] read_buffer_counters counters() const noexcept;

private:
    [[nodiscard]] bool lease_from_shelf(buffer_lease& out) noexcept;
    [[nodiscard]] bool lease_from_pool(buffer_lease& out) noexcept;
    static void add(std::atomic<std::uint64_t>& counter) noexcept
    {
        counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

    read_buffer_options options_;
    /// Atomic for the counters.
    std::atomic<buffer_shelf*> shelf_{nullptr};
    bool has_asked_ = false;
    std::atomic<std::uint64_t> leases_{0};
    std::atomic<std::uint64_t> from_pool_{0};
    std::atomic<std::uint64_t> refusals_{0};
    std::atomic<std::uint64_t> misses_{0};
};

} // namespace blitzio::detail
