// Counts forks through the handler that the C library calls in the child.
// Thread rule: any thread; the handler runs while the child has one thread.
#include "fork_guard.hpp"

#include <atomic>

#include <pthread.h>

namespace blitzio::compute::detail
{

namespace
{

std::atomic<std::uint32_t> generation{1};

} // namespace

std::uint32_t begin_fork_guard() noexcept
{
    static const bool registered = pthread_atfork(nullptr, nullptr, [] {
                                       generation.fetch_add(1, std::memory_order_relaxed);
                                   }) == 0;
    return registered ? fork_generation() : 0;
}

std::uint32_t fork_generation() noexcept
{
    // Relaxed: only the child's single thread changes it, before anything else runs there.
    return generation.load(std::memory_order_relaxed);
}

} // namespace blitzio::compute::detail
