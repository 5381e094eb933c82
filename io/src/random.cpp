// Chance for operations: from the worker they run on, which the seed of a simulation decides.
// Thread rule: on a worker.
#include "scheduler/worker.hpp"

#include <blitzio/io/detail/assert.hpp>
#include <blitzio/io/detail/runtime_access.hpp>

namespace blitzio::detail
{

std::uint64_t random_below([[maybe_unused]] runtime_core& runtime, std::uint64_t bound) noexcept
{
    worker* const here = current_worker();
    BLITZIO_ASSERT(here != nullptr && &here->core() == &runtime);
    return here->random().below(bound);
}

} // namespace blitzio::detail
