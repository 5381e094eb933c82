// What this_compute tells, for as long as calls are made for a task. Thread rule: on the stack of the thread that calls.
#pragma once

#include <blitzio/compute/detail/context.hpp>

namespace blitzio::detail
{

/// `context` with a count of its own of what waits, which belongs to one stack.
class call_scope
{
public:
    explicit call_scope(const compute::detail::compute_context& context) noexcept
        : context_(context)
    {
        context_.waiting = &waiting_;
    }

private:
    int waiting_ = 0;
    compute::detail::compute_context context_;
    compute::detail::context_scope inside_{&context_};
};

} // namespace blitzio::detail
