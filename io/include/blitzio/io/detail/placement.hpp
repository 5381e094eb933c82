// Where, and in which order, a task runs that does not simply run anywhere.
// Thread rule: constants; they live as long as their runtime.
#pragma once

#include <blitzio/io/spawn_options.hpp>

namespace blitzio::detail
{

class runtime_core;
class worker;

/// One object for each kind, so that an environment needs one pointer for it, which is null for
/// ordinary tasks.
struct placement
{
    /// The only worker that may run the task; null: any.
    worker* bound = nullptr;
    task_priority priority = task_priority::normal;
};

/// The placement with these members, not the ordinary one.
[[nodiscard]] const placement* find_placement(runtime_core& runtime, worker* bound,
                                              task_priority priority) noexcept;

/// Null for the ordinary one.
[[nodiscard]] inline const placement* placement_of(runtime_core& runtime, worker* bound,
                                                   task_priority priority) noexcept
{
    return bound == nullptr && priority == task_priority::normal
               ? nullptr
               : find_placement(runtime, bound, priority);
}

/// For what a task with placement `parent` spawns: bound to the same worker, with a priority of its
/// own.
[[nodiscard]] inline const placement* placement_below(runtime_core& runtime,
                                                      const placement* parent,
                                                      task_priority priority) noexcept
{
    return placement_of(runtime, parent == nullptr ? nullptr : parent->bound, priority);
}

} // namespace blitzio::detail
