// The context of the calling thread. Thread rule: see the header.
#include <blitzio/compute/detail/context.hpp>

#include <utility>

namespace blitzio::compute::detail
{

namespace
{

constinit thread_local const compute_context* context_of_this_thread = nullptr;

} // namespace

[[gnu::noinline]] const compute_context* current_context() noexcept
{
    return context_of_this_thread;
}

[[gnu::noinline]] const compute_context* exchange_context(const compute_context* context) noexcept
{
    return std::exchange(context_of_this_thread, context);
}

} // namespace blitzio::compute::detail
