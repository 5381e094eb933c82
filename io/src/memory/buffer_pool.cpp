// Size classes over slabs. Thread rule: any thread, one mutex: the pool is behind the workers' own
// buffers and serves whole buffers, so that it is rarely asked.
#include "memory/buffer_pool.hpp"

#include "limits.hpp"
#include "memory/poison.hpp"

#include <blitzio/io/detail/assert.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <new>
#include <utility>

namespace blitzio
{

namespace detail
{

namespace
{

constexpr std::align_val_t page{4096};

} // namespace

buffer_pool_core::buffer_pool_core(const buffer_pool_options& options)
    : bytes_max_(options.bytes_max)
{
    std::size_t bytes = smallest_bytes;
    for (size_class& each : classes_)
    {
        each.bytes = bytes;
        bytes *= 4;
    }
    static_assert(smallest_bytes << (2 * (class_count - 1)) == buffer_pool::buffer_bytes_max);
}

buffer_pool_core::~buffer_pool_core()
{
    for (const slab_entry& each : slabs_)
    {
        unpoison(each.memory.data, each.memory.size);
        ::operator delete(each.memory.data, page);
    }
}

void buffer_pool_core::end() noexcept
{
    bool is_last = false;
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        is_last = counters_.buffers_leased == 0;
    }
    if (is_last)
    {
        delete this;
    }
}

/// The mutex is held.
std::int32_t buffer_pool_core::grow(size_class& wanted) noexcept
{
    const std::size_t left = bytes_max_ - std::min(bytes_max_, counters_.bytes_reserved);
    const std::size_t most = std::min(std::max(limits::buffer_slab_bytes, wanted.bytes), left);
    const std::size_t count = most / wanted.bytes;
    if (count == 0)
    {
        return -ENOBUFS;
    }
    const std::size_t size = count * wanted.bytes;
    try
    {
        slabs_.reserve(slabs_.size() + 1);
    }
    catch (const std::bad_alloc&)
    {
        return -ENOMEM;
    }
    auto* const data = static_cast<std::byte*>(::operator new(size, page, std::nothrow));
    if (data == nullptr)
    {
        return -ENOMEM;
    }
    poison(data, size);
    wanted.fresh = data;
    wanted.fresh_count = count;
    wanted.fresh_slab = static_cast<std::uint32_t>(slabs_.size());
    slabs_.push_back({{data, size}, static_cast<std::uint32_t>(&wanted - classes_.data())});
    counters_.bytes_reserved += size;
    return 0;
}

std::int32_t buffer_pool_core::lease(std::size_t bytes, buffer_lease& out) noexcept
{
    if (bytes == 0 || bytes > buffer_pool::buffer_bytes_max)
    {
        return -EINVAL;
    }
    const std::lock_guard lock(mutex_);
    size_class& wanted =
        *std::ranges::find_if(classes_, [bytes](const auto& each) { return each.bytes >= bytes; });
    if (wanted.free == nullptr && wanted.fresh_count == 0)
    {
        if (const std::int32_t grown = grow(wanted); grown < 0)
        {
            ++counters_.refusals;
            return grown;
        }
    }
    out.owner = this;
    out.capacity = static_cast<std::uint32_t>(wanted.bytes);
    if (wanted.free != nullptr)
    {
        unpoison(wanted.free, wanted.bytes);
        out.data = reinterpret_cast<std::byte*>(wanted.free);
        out.tag = wanted.free->slab;
        wanted.free = wanted.free->next;
    }
    else
    {
        out.data = std::exchange(wanted.fresh, wanted.fresh + wanted.bytes);
        out.tag = wanted.fresh_slab;
        --wanted.fresh_count;
        unpoison(out.data, wanted.bytes);
    }
    ++counters_.leases;
    ++counters_.buffers_leased;
    counters_.bytes_leased += wanted.bytes;
    counters_.bytes_leased_peak = std::max(counters_.bytes_leased_peak, counters_.bytes_leased);
    return 0;
}

void buffer_pool_core::give_back(std::byte* data, std::uint32_t tag) noexcept
{
    bool is_last = false;
    {
        const std::lock_guard lock(mutex_);
        size_class& home = classes_[slabs_[tag].size_class];
        home.free = ::new (static_cast<void*>(data)) free_buffer{home.free, tag};
        poison(data, home.bytes);
        --counters_.buffers_leased;
        counters_.bytes_leased -= home.bytes;
        is_last = ended_ && counters_.buffers_leased == 0;
    }
    if (is_last)
    {
        delete this;
    }
}

buffer_pool_metrics buffer_pool_core::metrics() const noexcept
{
    const std::lock_guard lock(mutex_);
    return counters_;
}

buffer_pool_core::slab buffer_pool_core::slab_at(std::uint32_t number) const noexcept
{
    const std::lock_guard lock(mutex_);
    return slabs_[number].memory;
}

std::uint16_t pool_slab_of(buffer_pool& pool, const buffer_lease& lease) noexcept
{
    const bool is_ours = lease.owner == &pool.core() && lease.tag < UINT16_MAX;
    return is_ours ? static_cast<std::uint16_t>(lease.tag + 1) : std::uint16_t{0};
}

} // namespace detail

buffer_pool::buffer_pool(buffer_pool_options options) : core_(new detail::buffer_pool_core(options))
{
}

buffer_pool::~buffer_pool()
{
    core_->end();
}

result<leased_buffer> buffer_pool::lease(std::size_t bytes) noexcept
{
    detail::buffer_lease lent;
    const std::int32_t outcome = core_->lease(bytes, lent);
    if (outcome == -ENOBUFS)
    {
        return fail(io_errc::limit_reached);
    }
    if (outcome < 0)
    {
        return fail(detail::error_from_kernel(outcome));
    }
    return leased_buffer(lent, 0);
}

buffer_pool_metrics buffer_pool::metrics() const noexcept
{
    return core_->metrics();
}

} // namespace blitzio
