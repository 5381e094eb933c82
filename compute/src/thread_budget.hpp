// How many threads all pools of the process have together. Thread rule: any thread.
#pragma once

namespace blitzio::compute::detail
{

/// The most threads that all pools together may have.
[[nodiscard]] unsigned threads_limit() noexcept;

/// Returns how many were granted: `threads`, or 0 when that would exceed threads_limit().
[[nodiscard]] unsigned reserve_threads(unsigned threads) noexcept;

/// Gives them back.
void return_threads(unsigned threads) noexcept;

/// How many could still be reserved.
[[nodiscard]] unsigned threads_left() noexcept;

} // namespace blitzio::compute::detail
