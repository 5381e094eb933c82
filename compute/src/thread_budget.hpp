// The process-wide number of threads that oneTBB may run, kept equal to what the pools need.
// Thread rule: any thread.
#pragma once

#include <cstdint>

namespace blitzio::compute::detail
{

/// The most threads that all pools together may have.
[[nodiscard]] unsigned threads_limit() noexcept;

/// Raises the limit of oneTBB so that `threads` more run beside those reserved before. Returns how
/// many were granted: `threads`, or 0 when that would exceed threads_limit(). May throw bad_alloc.
[[nodiscard]] unsigned reserve_threads(unsigned threads);

/// Gives them back.
void return_threads(unsigned threads) noexcept;

/// How many could still be reserved.
[[nodiscard]] unsigned threads_left() noexcept;

} // namespace blitzio::compute::detail
