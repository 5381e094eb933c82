// The slabs of the runtime's buffer pool that a ring has mapped, so that transfers between files and
// leased buffers need not map the pages each time.
// Thread rule: owner thread only.
#pragma once

#include "memory/buffer_pool.hpp"

#include <liburing.h>

#include <cstdint>
#include <vector>

namespace blitzio::detail
{

class driver_notes;

class registered_slabs
{
public:
    /// `pool` may be null: then nothing is ever registered.
    registered_slabs(buffer_pool_core* pool, bool allowed) noexcept
        : pool_(allowed ? pool : nullptr)
    {
    }

    /// True: a transfer may name slab `number` as the ring's buffer of that index. Registers it when
    /// it is asked for the first time; a refusal of the kernel (no ability, memlock) ends all
    /// registering on this ring and is told once.
    [[nodiscard]] bool ensure(io_uring& ring, std::uint32_t number, driver_notes& notes) noexcept;

private:
    [[nodiscard]] int add(io_uring& ring, std::uint32_t number) noexcept;

    buffer_pool_core* pool_;
    std::vector<bool> registered_;
};

} // namespace blitzio::detail
