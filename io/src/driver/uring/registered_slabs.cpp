// Registering pool memory with a ring. Thread rule: as in the header.
#include "driver/uring/registered_slabs.hpp"

#include "driver/notes.hpp"
#include "limits.hpp"

#include <cerrno>
#include <new>
#include <string>
#include <system_error>

namespace blitzio::detail
{

bool registered_slabs::ensure(io_uring& ring, std::uint32_t number, driver_notes& notes) noexcept
{
    if (pool_ == nullptr || number >= limits::registered_slabs_max)
    {
        return false;
    }
    if (number < registered_.size() && registered_[number])
    {
        return true;
    }
    const int refused = add(ring, number);
    if (refused == 0)
    {
        return true;
    }
    // What is registered already stays so, but is not used any more: one way for all is simpler to
    // reason about than some here and some there.
    pool_ = nullptr;
    notes.degraded(optional_ability::registered_buffers,
                   "registered buffers: off, files use plain reads and writes (" +
                       std::system_category().message(-refused) +
                       "; a larger memlock limit may help)");
    return false;
}

/// 0, or the negated errno.
int registered_slabs::add(io_uring& ring, std::uint32_t number) noexcept
{
    if (registered_.empty())
    {
        try
        {
            registered_.resize(limits::registered_slabs_max);
        }
        catch (const std::bad_alloc&)
        {
            return -ENOMEM;
        }
        const int refused = io_uring_register_buffers_sparse(&ring, limits::registered_slabs_max);
        if (refused < 0)
        {
            return refused;
        }
    }
    const auto slab = pool_->slab_at(number);
    const iovec memory{slab.data, slab.size};
    const __u64 tag = 0;
    const int count = io_uring_register_buffers_update_tag(&ring, number, &memory, &tag, 1);
    if (count != 1)
    {
        return count < 0 ? count : -EIO;
    }
    registered_[number] = true;
    return 0;
}

} // namespace blitzio::detail
