// How tasks wait for the permits of a semaphore. Thread rule: guarded by the semaphore's lock.
#pragma once

#include <blitzio/sync/detail/wait_queue.hpp>

#include <cstddef>

namespace blitzio::detail
{

/// A wait for permits.
struct permit_node : wait_node
{
    std::size_t wanted = 1;
};

} // namespace blitzio::detail
