// Memory for coroutine frames and spawn cells: size classes cached per thread.
// Thread rule: any thread; memory may be returned on another thread than it came from.
#pragma once

#include <cstddef>
#include <cstdint>

namespace blitzio::detail
{

/// Throws std::bad_alloc. The memory is aligned like operator new's.
[[nodiscard]] void* allocate_frame(std::size_t bytes);
void deallocate_frame(void* memory, std::size_t bytes) noexcept;

/// Frames allocated and not yet returned in this process; exact only while nothing runs.
[[nodiscard]] std::int64_t live_frames() noexcept;

} // namespace blitzio::detail
