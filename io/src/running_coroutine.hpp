// Which coroutine a thread has continued last. Thread rule: the slot is written by its thread, and may
// be read by any while that thread lives.
#pragma once

#include <atomic>

namespace blitzio::detail
{

/// The calling thread's slot: the frame that the innermost resume() has continued; null outside of it.
/// That frame may have ended since, when its task goes on in another one.
[[nodiscard]] const std::atomic<void*>& running_coroutine() noexcept;

} // namespace blitzio::detail
