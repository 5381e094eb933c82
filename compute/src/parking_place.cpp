// Sleeping in a futex, or inside of oneTBB. Thread rule: see the header.
#include "parking_place.hpp"

#include <atomic>
#include <cstdint>
#include <utility>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace blitzio::compute::detail
{

namespace
{

// std::atomic::wait of libstdc++ spins and yields before it sleeps; whoever comes here has done so.
#ifdef __linux__

void wait_while(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept
{
    ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT_PRIVATE, value,
              nullptr);
}

void wake_waiter(std::atomic<std::uint32_t>& word) noexcept
{
    ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE_PRIVATE, 1);
}

#else

void wait_while(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept
{
    word.wait(value, std::memory_order_relaxed);
}

void wake_waiter(std::atomic<std::uint32_t>& word) noexcept
{
    word.notify_one();
}

#endif

} // namespace

void parking_place::sleep() noexcept
{
    if (state_.announce_sleep())
    {
        while (state_.sleeps())
        {
            wait_while(state_.address(), state_.asleep);
        }
    }
    state_.end_sleep();
}

void parking_place::sleep_helping(tbb::task_group& group) noexcept
{
    tbb::task_handle unfinished;
    try
    {
        // An unfinished task of the group is what makes wait() wait; it is never run.
        unfinished = group.defer([] {});
    }
    catch (...)
    {
        sleep(); // no memory: the others do without this thread's help
        return;
    }
    state_.announce_help(std::move(unfinished));
    // Also when there was a permit: the group counts references in halves, and without a wait it
    // would keep the one of the task that is gone.
    group.wait();
    state_.end_sleep();
}

void parking_place::wake() noexcept
{
    // The end of the handle in it ends the wait, and with this function. Nothing of this object is
    // touched after that: the thread may be asleep here again.
    const auto order = state_.wake();
    if (order.in_kernel)
    {
        wake_waiter(state_.address());
    }
}

} // namespace blitzio::compute::detail
