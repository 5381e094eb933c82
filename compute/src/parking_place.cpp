// Sleeping in a futex, or inside of oneTBB. Thread rule: see the header.
#include "parking_place.hpp"

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
    std::uint32_t expected = awake;
    // Acquire, here and below: partner is the release in wake().
    if (state_.compare_exchange_strong(expected, sleeping, std::memory_order_acq_rel,
                                       std::memory_order_acquire))
    {
        while (state_.load(std::memory_order_acquire) == sleeping)
        {
            wait_while(state_, sleeping);
        }
    }
    state_.store(awake, std::memory_order_relaxed);
}

void parking_place::sleep_helping(tbb::task_group& group) noexcept
{
    try
    {
        // An unfinished task of the group is what makes wait() wait; it is never run.
        handle_ = group.defer([] {});
    }
    catch (...)
    {
        sleep(); // no memory: the others do without this thread's help
        return;
    }
    std::uint32_t expected = awake;
    // Release: partner is the acquire in wake(), which takes the handle over.
    if (state_.compare_exchange_strong(expected, sleeping_helping, std::memory_order_acq_rel,
                                       std::memory_order_acquire))
    {
        group.wait();
        static_cast<void>(state_.load(std::memory_order_acquire));
    }
    else
    {
        handle_ = {};
        // The group counts references in halves: without a wait it would keep this one.
        group.wait();
    }
    state_.store(awake, std::memory_order_relaxed);
}

void parking_place::wake() noexcept
{
    switch (state_.exchange(permit, std::memory_order_acq_rel))
    {
    case sleeping:
        wake_waiter(state_);
        break;
    case sleeping_helping:
    {
        // The end of the handle ends the wait. Nothing of this object is touched after that: the
        // thread may be asleep here again.
        const tbb::task_handle ended = std::move(handle_);
        break;
    }
    default:
        break;
    }
}

} // namespace blitzio::compute::detail
