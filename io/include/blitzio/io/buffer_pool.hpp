// Buffers on loan: leased_buffer gives its memory back when it is destroyed, buffer_pool lends it.
// Thread rule: a pool may be used from any thread; a lease belongs to one owner at a time, who may
// hand it to another thread and drop it there.
#pragma once

#include <blitzio/io/detail/buffer_lease.hpp>
#include <blitzio/io/result.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace blitzio
{

/// Memory on loan, with the number of bytes in it that mean something. What a leased read gives and
/// what buffer_pool::lease() gives.
///
/// Lifetime: the memory goes back when the object is destroyed, assigned to or release()d, from any
/// thread. A lease may outlive the pool, the stream and the runtime that it came from: the memory
/// stays until the last lease has gone.
class leased_buffer
{
public:
    /// No memory.
    leased_buffer() noexcept = default;

    leased_buffer(leased_buffer&& other) noexcept
        : lease_(std::exchange(other.lease_, {})), size_(std::exchange(other.size_, 0))
    {
    }

    leased_buffer& operator=(leased_buffer&& other) noexcept
    {
        if (this != &other)
        {
            release();
            lease_ = std::exchange(other.lease_, {});
            size_ = std::exchange(other.size_, 0);
        }
        return *this;
    }

    ~leased_buffer()
    {
        release();
    }

    /// Gives the memory back now.
    void release() noexcept
    {
        if (lease_.owner != nullptr)
        {
            size_ = 0;
            const detail::buffer_lease ended = std::exchange(lease_, {});
            ended.owner->give_back(ended.data, ended.tag);
        }
    }

    /// The bytes that mean something.
    [[nodiscard]] std::span<std::byte> bytes() noexcept
    {
        return {lease_.data, size_};
    }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept
    {
        return {lease_.data, size_};
    }
    /// All of the memory.
    [[nodiscard]] std::span<std::byte> room() noexcept
    {
        return {lease_.data, lease_.capacity};
    }
    [[nodiscard]] std::size_t size() const noexcept
    {
        return size_;
    }
    [[nodiscard]] std::size_t capacity() const noexcept
    {
        return lease_.capacity;
    }
    /// True without bytes; a leased read that gives this has met the end of the stream.
    [[nodiscard]] bool empty() const noexcept
    {
        return size_ == 0;
    }
    /// True when it holds memory.
    explicit operator bool() const noexcept
    {
        return lease_.owner != nullptr;
    }

    /// Says how many bytes mean something; never more than capacity().
    void resize(std::size_t size) noexcept
    {
        size_ = size < lease_.capacity ? static_cast<std::uint32_t>(size) : lease_.capacity;
    }

    /// For the modules built on this one: takes over a lease.
    leased_buffer(detail::buffer_lease lease, std::size_t size) noexcept : lease_(lease)
    {
        resize(size);
    }
    [[nodiscard]] const detail::buffer_lease& lease() const noexcept
    {
        return lease_;
    }

private:
    detail::buffer_lease lease_;
    std::uint32_t size_ = 0;
};

struct buffer_pool_options
{
    /// Memory that the pool takes from the system at the most, whether on loan or not.
    std::size_t bytes_max = std::size_t{64} << 20;
};

struct buffer_pool_metrics
{
    /// Taken from the system; untouched parts of it cost no memory.
    std::size_t bytes_reserved = 0;
    /// On loan now, counted by capacity, and the most that ever was.
    std::size_t bytes_leased = 0;
    std::size_t bytes_leased_peak = 0;
    std::size_t buffers_leased = 0;
    std::uint64_t leases = 0;
    /// Refused because of bytes_max, or because the system had no memory.
    std::uint64_t refusals = 0;
};

namespace detail
{
class buffer_pool_core;
} // namespace detail

/// Buffers of six sizes, from 1 KiB to 1 MiB, each four times the one before. Memory is taken from
/// the system when it is needed, in slabs, and is kept for the next lease until the pool ends.
class buffer_pool
{
public:
    static constexpr std::size_t buffer_bytes_max = std::size_t{1} << 20;

    /// Throws std::bad_alloc.
    explicit buffer_pool(buffer_pool_options options = {});
    ~buffer_pool();
    buffer_pool(const buffer_pool&) = delete;
    buffer_pool& operator=(const buffer_pool&) = delete;

    /// At least `bytes` of memory that nobody else uses, with size 0; what is in it is undefined.
    /// Never waits. Errors: invalid_argument for 0 and for more than buffer_bytes_max;
    /// io_errc::limit_reached when bytes_max is on loan; not_enough_memory.
    [[nodiscard]] result<leased_buffer> lease(std::size_t bytes) noexcept;

    [[nodiscard]] buffer_pool_metrics metrics() const noexcept;

    /// For the modules built on this one.
    [[nodiscard]] detail::buffer_pool_core& core() noexcept
    {
        return *core_;
    }

private:
    detail::buffer_pool_core* core_;
};

namespace detail
{

/// What op::pool_slab is for this memory: 0 when it does not belong to `pool`.
[[nodiscard]] std::uint16_t pool_slab_of(buffer_pool& pool, const buffer_lease& lease) noexcept;

} // namespace detail

} // namespace blitzio
