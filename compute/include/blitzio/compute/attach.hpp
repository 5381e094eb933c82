// A pool on an arena that the program has already.
// Thread rule: one owner, as for pool.hpp; the arena outlives the pool.
#pragma once

#include <blitzio/compute/pool.hpp>

#include <tbb/task_arena.h>

#include <expected>
#include <string>

namespace blitzio::compute
{

/// A pool whose jobs run in `arena`, as tasks enqueued there, beside whatever else the program does
/// in it. oneTBB and the program decide how many threads come and when; blitzio never changes them:
/// no names, no nice value, no observers. What pool.hpp says of N threads that really run does not
/// hold here; threads() is the arena's concurrency, and owns_current_thread() is true inside of jobs
/// only.
/// Errors: `name` as for pool_config; no_such_process in a forked child.
[[nodiscard]] std::expected<pool, pool_error> attach(tbb::task_arena& arena,
                                                     std::string name = "attached");

} // namespace blitzio::compute
