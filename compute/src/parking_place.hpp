// Where one thread of a pool sleeps until somebody wakes it.
// Thread rule: sleep...() by the thread that it belongs to; wake() from any thread.
#pragma once

#include "parking_state.hpp"

#include <tbb/task_group.h>

namespace blitzio::compute::detail
{

/// A wake() that comes before the sleep is kept. The rules are in parking_state.hpp; here is how to
/// sleep and how to end it.
class parking_place
{
public:
    parking_place() noexcept = default;
    parking_place(const parking_place&) = delete;
    parking_place& operator=(const parking_place&) = delete;

    /// Sleeps, and nothing else.
    void sleep() noexcept;

    /// Takes part in the parallel algorithms of the arena that this thread is in, and sleeps while
    /// there are none. `group` is empty and this thread's own.
    void sleep_helping(tbb::task_group& group) noexcept;

    void wake() noexcept;

private:
    parking_state<tbb::task_handle> state_;
};

} // namespace blitzio::compute::detail
