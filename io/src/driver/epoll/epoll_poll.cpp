// The polling half of the epoll driver: fetching edges, repeating what waits for them, sleeping and
// waking. Thread rule: as in the header of the driver.
#include "driver/epoll/epoll_driver.hpp"

#include "driver/epoll/epoll_support.hpp"
#include "limits.hpp"

#include <blitzio/io/detail/assert.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>
#include <utility>

#include <sys/epoll.h>
#include <unistd.h>

namespace blitzio::detail
{

namespace
{

constexpr std::uint32_t read_edges = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLERR | EPOLLHUP;
constexpr std::uint32_t write_edges = EPOLLOUT | EPOLLERR | EPOLLHUP;
/// After these a receive may be short although more is to be had: the end of the stream, an error,
/// what lies behind urgent data.
constexpr std::uint32_t boundary_events = EPOLLRDHUP | EPOLLPRI | EPOLLERR | EPOLLHUP;

/// Rounded up: a timer must not be asked for before its time.
int milliseconds_of(std::chrono::nanoseconds timeout) noexcept
{
    const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
    return static_cast<int>(std::clamp<std::int64_t>(rounded, 0, INT_MAX));
}

} // namespace

void epoll_driver::poll(ready_list& ready) noexcept
{
    if (registered_.load(std::memory_order_relaxed) != 0)
    {
        turn(ready, std::chrono::nanoseconds(0));
    }
    else
    {
        collect_local(ready);
    }
}

void epoll_driver::wait(ready_list& ready, std::optional<std::chrono::nanoseconds> timeout) noexcept
{
    auto expected = sleep_state::awake;
    // Either wake() comes first, then this fails and nobody sleeps; or it finds us asleep and writes
    // the eventfd. Acquire: partner is the release in wake(). Release: partner is its acquire.
    const bool may_sleep = turn_list_.empty() && abandoned_.looks_empty() &&
                           sleep_state_.compare_exchange_strong(expected, sleep_state::asleep,
                                                                std::memory_order_acq_rel,
                                                                std::memory_order_acquire) &&
                           offload_.prepare_wait();
    turn(ready, may_sleep ? until_retry(timeout) : std::chrono::nanoseconds(0));
    // Acquire: partner is the release in wake(). What was announced with a wake that meets us here
    // is visible to our caller, so swallowing it is right.
    sleep_state_.exchange(sleep_state::awake, std::memory_order_acquire);
}

void epoll_driver::wake() noexcept
{
    // Release and acquire: partners are in wait().
    if (sleep_state_.exchange(sleep_state::notified, std::memory_order_acq_rel) ==
        sleep_state::asleep)
    {
        signal_wake();
    }
}

void epoll_driver::signal_wake() noexcept
{
    const std::uint64_t one = 1;
    while (::write(wake_fd_, &one, sizeof one) < 0 && errno == EINTR)
    {
    }
}

bool epoll_driver::has_work() const noexcept
{
    return !turn_list_.empty() || offload_.has_results() || !abandoned_.looks_empty() ||
           retry_count_ != 0 || registered_.load(std::memory_order_relaxed) != 0;
}

void epoll_driver::turn(ready_list& ready, std::optional<std::chrono::nanoseconds> timeout) noexcept
{
    std::array<epoll_event, limits::epoll_events_per_turn_max> events;
    const int count = fetch_events(events.data(), limits::epoll_events_per_turn_max, timeout);
    for (int index = 0; index < count; ++index)
    {
        dispatch(events[static_cast<std::size_t>(index)], ready);
    }
    collect_local(ready);
}

/// Interrupted by a signal counts as no events: the caller has timers to look at.
int epoll_driver::fetch_events(epoll_event* events, int events_max,
                               std::optional<std::chrono::nanoseconds> timeout) noexcept
{
    count_entry();
    int count = 0;
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 35)
    if (has_precise_wait_ && timeout && timeout->count() > 0)
    {
        const auto seconds = std::chrono::floor<std::chrono::seconds>(*timeout);
        const timespec precise{static_cast<std::time_t>(seconds.count()),
                               static_cast<long>((*timeout - seconds).count())};
        count = epoll_pwait2(epoll_fd_, events, events_max, &precise, nullptr);
        // Before Linux 5.11 it is missing; filters that do not know it yet say EPERM.
        if (count >= 0 || (errno != ENOSYS && errno != EPERM))
        {
            BLITZIO_ASSERT(count >= 0 || errno == EINTR);
            return std::max(count, 0);
        }
        has_precise_wait_ = false;
    }
#endif
    count = epoll_wait(epoll_fd_, events, events_max, timeout ? milliseconds_of(*timeout) : -1);
    BLITZIO_ASSERT(count >= 0 || errno == EINTR);
    return std::max(count, 0);
}

/// What completes without an edge.
void epoll_driver::collect_local(ready_list& ready) noexcept
{
    while (runnable* const item = turn_list_.pop())
    {
        finish(*static_cast<op*>(item), 0, ready);
    }
    for (runnable* item = abandoned_.take_all(); item != nullptr;)
    {
        op& operation = *static_cast<op*>(std::exchange(item, item->next));
        finish(operation, -ECANCELED, ready);
    }
    offload_.collect(ready);
    if (retry_count_ != 0)
    {
        run_retries(ready);
    }
}

void epoll_driver::dispatch(const epoll_event& event, ready_list& ready) noexcept
{
    if (event.data.u64 == wake_tag)
    {
        calls_again_ = false;
        return;
    }
    if (event.data.u64 == timer_tag)
    {
        loop_timer_.expired();
        return;
    }
    descriptor_state& descriptor = *table_.find(tagged_fd(event.data.u64));
    const std::lock_guard lock(descriptor.mutex);
    if (descriptor.owner != this || descriptor.generation != tagged_generation(event.data.u64))
    {
        // Fetched before a close: the number may be another descriptor's by now.
        return;
    }
    const bool writable = (event.events & write_edges) != 0;
    const bool readable = (event.events & read_edges) != 0 || !writable;
    if ((event.events & boundary_events) != 0)
    {
        descriptor.short_read_proves_nothing = true;
    }
    if (readable)
    {
        descriptor.count_edge(wait_slot::read);
        run_queue(descriptor, wait_slot::read, ready);
    }
    if (writable)
    {
        descriptor.count_edge(wait_slot::write);
        run_queue(descriptor, wait_slot::write, ready);
    }
    run_pollers(descriptor, ready);
}

/// The mutex is held. Goes on until the oldest would block or nobody waits: in both cases whoever
/// comes next either queues behind it or tries by itself.
void epoll_driver::run_queue(descriptor_state& descriptor, wait_slot slot,
                             ready_list& ready) noexcept
{
    op_queue& queue = descriptor.queue(slot);
    while (!queue.empty())
    {
        op& oldest = *queue.front();
        const std::int32_t result = step(oldest, descriptor);
        if (would_block(oldest.kind, result))
        {
            break;
        }
        queue.pop_front();
        finish_parked(oldest, result, ready);
    }
    descriptor.update_mask(slot);
}

/// The mutex is held. Those who wait for readiness only do not take it from each other.
void epoll_driver::run_pollers(descriptor_state& descriptor, ready_list& ready) noexcept
{
    op_queue& queue = descriptor.queue(wait_slot::any);
    for (op* item = queue.front(); item != nullptr;)
    {
        op& operation = *std::exchange(item, op_queue::next_of(*item));
        const std::int32_t result = step(operation, descriptor);
        if (!would_block(operation.kind, result))
        {
            queue.remove(operation);
            finish_parked(operation, result, ready);
        }
    }
    descriptor.update_mask(wait_slot::any);
}

/// The mutex is held and the operation is out of its queue. It may belong to another worker; it
/// continues here all the same.
void epoll_driver::finish_parked(op& operation, std::int32_t result, ready_list& ready) noexcept
{
    auto* const home = static_cast<epoll_driver*>(std::exchange(operation.driver_data, nullptr));
    if (home == this)
    {
        ++unparked_here_;
    }
    else
    {
        // Release: partner is the acquire in in_flight(). Before finish(): afterwards the home may
        // be gone.
        home->unparked_elsewhere_.fetch_add(1, std::memory_order_release);
    }
    finish(operation, result, ready);
}

} // namespace blitzio::detail
