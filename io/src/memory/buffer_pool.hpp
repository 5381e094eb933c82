// The inside of a buffer_pool: size classes, slabs, and the count of what is on loan.
// Thread rule: any thread; slabs keep their address and number until the core ends.
#pragma once

#include <blitzio/io/buffer_pool.hpp>
#include <blitzio/io/detail/buffer_lease.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace blitzio::detail
{

class buffer_pool_core final : public buffer_owner
{
public:
    explicit buffer_pool_core(const buffer_pool_options& options);

    /// The pool has gone: the memory goes with the last lease.
    void end() noexcept;

    /// Kernel style: 0, -EINVAL, -ENOBUFS (the limit) or -ENOMEM. The tag is the slab's number.
    [[nodiscard]] std::int32_t lease(std::size_t bytes, buffer_lease& out) noexcept;
    void give_back(std::byte* data, std::uint32_t tag) noexcept override;

    [[nodiscard]] buffer_pool_metrics metrics() const noexcept;

    struct slab
    {
        std::byte* data = nullptr;
        std::size_t size = 0;
    };
    /// A slab that a lease was taken from, by its number.
    [[nodiscard]] slab slab_at(std::uint32_t number) const noexcept;

private:
    static constexpr std::size_t class_count = 6;
    static constexpr std::size_t smallest_bytes = 1024;

    struct free_buffer
    {
        free_buffer* next;
        std::uint32_t slab;
    };

    struct size_class
    {
        std::size_t bytes = 0;
        /// Returned buffers, the last one first: it is the one that is still in a cache.
        free_buffer* free = nullptr;
        /// The part of the newest slab that was never lent and therefore costs nothing yet.
        std::byte* fresh = nullptr;
        std::size_t fresh_count = 0;
        std::uint32_t fresh_slab = 0;
    };

    struct slab_entry
    {
        slab memory;
        std::uint32_t size_class = 0;
    };

    ~buffer_pool_core();
    [[nodiscard]] std::int32_t grow(size_class& wanted) noexcept;

    const std::size_t bytes_max_;
    mutable std::mutex mutex_;
    std::array<size_class, class_count> classes_;
    std::vector<slab_entry> slabs_;
    buffer_pool_metrics counters_;
    bool ended_ = false;
};

} // namespace blitzio::detail
