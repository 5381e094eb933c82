// The values of task_local inside computations.
// Thread rule: on the thread that computes; see blitzio/io/task_local.hpp.
#pragma once

#include <blitzio/compute/this_compute.hpp>
#include <blitzio/io/task_local.hpp>

namespace blitzio::this_compute
{

/// The innermost value that was set for `name` around the awaiting task, or null:
///     if (const std::string* id = this_compute::local(request_id)) ...
/// Null outside of every computation, and in spawn_compute(), which no task need outlive.
/// Lifetime: valid for as long as the computation runs.
template <class T>
[[nodiscard]] const T* local(const task_local<T>& name) noexcept
{
    const auto* const context = compute::detail::current_context();
    if (context == nullptr || context->locals == nullptr)
    {
        return nullptr;
    }
    const task_details details{.locals = context->locals};
    const task_env env{.origin = detail::task_origin(details)};
    return name.find(env);
}

} // namespace blitzio::this_compute
