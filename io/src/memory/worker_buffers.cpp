// A worker's source of buffers. Thread rule: as in the header.
#include "memory/worker_buffers.hpp"

#include "limits.hpp"

#include <cerrno>

namespace blitzio::detail
{

worker_buffers::worker_buffers(const read_buffer_options& options) noexcept : options_(options)
{
    if (options_.bytes == 0)
    {
        options_.bytes = limits::read_buffer_bytes_default;
    }
    if (options_.count_max == 0)
    {
        options_.count_max = limits::read_buffers_default;
    }
}

worker_buffers::~worker_buffers()
{
    if (buffer_shelf* const own = shelf_.load(std::memory_order_relaxed); own != nullptr)
    {
        own->end();
    }
}

buffer_shelf* worker_buffers::shelf() noexcept
{
    if (!has_asked_)
    {
        has_asked_ = true;
        buffer_shelf* const made = buffer_shelf::create(options_.bytes, options_.count_max);
        if (made != nullptr)
        {
            made->adopt();
        }
        // Release: partner is the acquire in counters().
        shelf_.store(made, std::memory_order_release);
    }
    return shelf_.load(std::memory_order_relaxed);
}

bool worker_buffers::lease_from_pool(buffer_lease& out) noexcept
{
    return options_.pool != nullptr && options_.pool->lease(options_.bytes, out) == 0;
}

bool worker_buffers::lease_from_shelf(buffer_lease& out) noexcept
{
    buffer_shelf* const own = shelf();
    const auto slot = own == nullptr ? std::nullopt : own->take();
    if (!slot)
    {
        return false;
    }
    out = own->lend(*slot);
    return true;
}

std::int32_t worker_buffers::lease(buffer_lease& out, bool pool_first) noexcept
{
    const bool found = pool_first ? lease_from_pool(out) || lease_from_shelf(out)
                                  : lease_from_shelf(out) || lease_from_pool(out);
    if (!found)
    {
        add(refusals_);
    }
    return found ? 0 : -ENOBUFS;
}

void worker_buffers::take_back(const buffer_lease& unused) noexcept
{
    unused.owner->give_back(unused.data, unused.tag);
}

void worker_buffers::count_lease(const buffer_lease& handed_out) noexcept
{
    add(leases_);
    if (handed_out.owner != shelf_.load(std::memory_order_relaxed))
    {
        add(from_pool_);
    }
}

read_buffer_counters worker_buffers::counters() const noexcept
{
    // Acquire: partner is the release in shelf().
    const buffer_shelf* const own = shelf_.load(std::memory_order_acquire);
    return {.leases = leases_.load(std::memory_order_relaxed),
            .from_pool = from_pool_.load(std::memory_order_relaxed),
            .refusals = refusals_.load(std::memory_order_relaxed),
            .misses = misses_.load(std::memory_order_relaxed),
            .out = own == nullptr ? 0 : own->out()};
}

} // namespace blitzio::detail
