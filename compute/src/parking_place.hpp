// Where one thread of a pool sleeps until somebody wakes it.
// Thread rule: sleep...() by the thread that it belongs to; wake() from any thread, at most once for
// each sleep that was announced in the idle set, and once more at the pool's end.
#pragma once

#include <tbb/task_group.h>

#include <atomic>
#include <cstdint>

namespace blitzio::compute::detail
{

// Invariant of state_: its own thread turns `awake` into a sleeping value and a permit into `awake`,
// wake() turns whatever it finds into a permit. So a wake() that finds `awake` leaves a permit that
// the next sleep takes instead of sleeping, one that finds a sleeping value ends that very sleep.
// handle_ belongs to the thread until state_ says sleeping_helping, then to the wake() that ends it.
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
    static constexpr std::uint32_t awake = 0;
    static constexpr std::uint32_t permit = 1;
    static constexpr std::uint32_t sleeping = 2;
    static constexpr std::uint32_t sleeping_helping = 3;

    std::atomic<std::uint32_t> state_{awake};
    tbb::task_handle handle_;
};

} // namespace blitzio::compute::detail
