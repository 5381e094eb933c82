// Notices that the process was forked. Thread rule: any thread.
#pragma once

#include <cstdint>

namespace blitzio::compute::detail
{

/// A number that differs between a process and the children it forks. The first call registers the
/// handler that makes it so; it returns 0, which is never a generation, when that fails.
[[nodiscard]] std::uint32_t begin_fork_guard() noexcept;

/// The same number, without a system call; valid after begin_fork_guard().
[[nodiscard]] std::uint32_t fork_generation() noexcept;

} // namespace blitzio::compute::detail
