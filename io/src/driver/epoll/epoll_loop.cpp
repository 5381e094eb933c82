// The epoll driver in somebody else's loop, which waits for the epoll instance: everything that the
// driver waits for is in there as an edge, so it is readable exactly while an edge was not taken.
// Thread rule: as in the header of the driver.
#include "driver/epoll/epoll_driver.hpp"
#include "driver/epoll/epoll_support.hpp"

#include <algorithm>
#include <cerrno>

#include <sys/epoll.h>

namespace blitzio::detail
{

result<int> epoll_driver::descriptor() noexcept
{
    if (loop_timer_.descriptor() < 0)
    {
        if (auto opened = loop_timer_.open(); !opened)
        {
            return fail(opened.error());
        }
        epoll_event event{};
        event.events = EPOLLIN | EPOLLET;
        event.data.u64 = timer_tag;
        if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, loop_timer_.descriptor(), &event) != 0)
        {
            const int error = errno;
            loop_timer_.close();
            return fail(error_from_kernel(-error));
        }
    }
    return epoll_fd_;
}

bool epoll_driver::rest(ready_list& ready, std::optional<std::chrono::nanoseconds> until) noexcept
{
    // What becomes an edge after this stays in the epoll instance and makes it readable.
    turn(ready, std::chrono::nanoseconds(0));
    if (!ready.empty() || !turn_list_.empty() || !abandoned_.looks_empty())
    {
        return false;
    }
    auto expected = sleep_state::awake;
    // As in wait(): either wake() comes first and this fails, or it finds us asleep and makes an edge.
    if (!sleep_state_.compare_exchange_strong(
            expected, sleep_state::asleep, std::memory_order_acq_rel, std::memory_order_acquire) ||
        !offload_.prepare_wait())
    {
        sleep_state_.exchange(sleep_state::awake, std::memory_order_acquire);
        return false;
    }
    if (retry_count_ != 0)
    {
        const auto retry = std::chrono::nanoseconds(next_retry_.time_since_epoch());
        until = std::min(until.value_or(retry), retry);
    }
    loop_timer_.arm(until);
    return true;
}

void epoll_driver::end_rest(ready_list& ready) noexcept
{
    // Acquire: partner is the release in wake(), as in wait().
    sleep_state_.exchange(sleep_state::awake, std::memory_order_acquire);
    collect_local(ready);
}

void epoll_driver::call_again() noexcept
{
    if (!calls_again_)
    {
        calls_again_ = true;
        signal_wake();
    }
}

} // namespace blitzio::detail
