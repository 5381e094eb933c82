// What a computation can ask about the task that waits for it: inside compute_on, spawn_compute, the
// stages of streams and every parallel algorithm, on whichever thread a part of it runs.
// Thread rule: on the thread that computes. Task-local values: blitzio/bridge/compute_local.hpp.
#pragma once

#include <blitzio/compute/detail/context.hpp>

#include <chrono>
#include <optional>

namespace blitzio::this_compute
{

/// The stop token of the awaiting task, or of the handle of spawn_compute(); inside a parallel
/// algorithm that of the algorithm, which also stops when another element has thrown. Outside of
/// every computation a token that never stops.
[[nodiscard]] inline stop_token stop() noexcept
{
    const auto* const context = compute::detail::current_context();
    return context == nullptr ? stop_token() : context->stop;
}

/// When the awaiting task will be asked to stop at the latest, by its runtime's clock; nothing when
/// there is no deadline.
[[nodiscard]] inline std::optional<std::chrono::steady_clock::time_point> deadline() noexcept
{
    using time_point = std::chrono::steady_clock::time_point;
    const auto* const context = compute::detail::current_context();
    if (context == nullptr || context->deadline == std::chrono::nanoseconds::max())
    {
        return std::nullopt;
    }
    return time_point(std::chrono::duration_cast<time_point::duration>(context->deadline));
}

} // namespace blitzio::this_compute
