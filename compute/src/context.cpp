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

[[gnu::noinline]] context_scope::context_scope(const compute_context* context) noexcept
    : before_(std::exchange(context_of_this_thread, context)), thread_(&context_of_this_thread)
{
}

[[gnu::noinline]] context_scope::~context_scope()
{
    context_of_this_thread = thread_ == &context_of_this_thread ? before_ : nullptr;
}

} // namespace blitzio::compute::detail
