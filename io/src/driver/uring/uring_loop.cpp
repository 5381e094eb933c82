// The io_uring driver in somebody else's loop.
//
// That loop waits for an epoll instance in which there are three edges: an eventfd that the kernel
// writes when the ring has completions or work that it has put off (registered with the ring, so it
// needs no request in flight), the eventfd of wake(), and a timerfd. The ring's own descriptor is not
// in there: whether it becomes readable for work that is put off until the ring is entered depends on
// the kernel's version.
//
// No edge is lost: rest() announces itself first (from then on wake() makes an edge), then takes all
// edges out with one system call, then looks at the ring and the announcement once more. Whatever
// happened before the edges were taken is seen by that look, whatever happens later is an edge.
// Thread rule: owner thread only.
#include "driver/kernel_handoff.hpp"
#include "driver/uring/uring_driver.hpp"

#include <array>
#include <cerrno>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace blitzio::detail
{

namespace
{

enum class edge : std::uint64_t
{
    completion,
    wake,
    timer,
};

bool add_edge(int set, int fd, edge what) noexcept
{
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = static_cast<std::uint64_t>(what);
    return ::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0;
}

} // namespace

result<int> uring_driver::descriptor() noexcept
{
    if (loop_set_ < 0)
    {
        if (auto opened = open_loop_set(); !opened)
        {
            close_loop_set();
            return fail(opened.error());
        }
    }
    return loop_set_;
}

result<void> uring_driver::open_loop_set() noexcept
{
    loop_set_ = ::epoll_create1(EPOLL_CLOEXEC);
    completion_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop_set_ < 0 || completion_fd_ < 0)
    {
        return fail(error_from_kernel(-errno));
    }
    if (auto opened = loop_timer_.open(); !opened)
    {
        return opened;
    }
    if (!add_edge(loop_set_, completion_fd_, edge::completion) ||
        !add_edge(loop_set_, idle_event_fd_, edge::wake) ||
        !add_edge(loop_set_, loop_timer_.descriptor(), edge::timer))
    {
        return fail(error_from_kernel(-errno));
    }
    if (const int refused = io_uring_register_eventfd(&ring_, completion_fd_); refused < 0)
    {
        return fail(error_from_kernel(refused));
    }
    return {};
}

void uring_driver::close_loop_set() noexcept
{
    loop_timer_.close();
    for (int* const fd : {&completion_fd_, &loop_set_})
    {
        if (*fd >= 0)
        {
            ::close(*fd);
            *fd = -1;
        }
    }
}

/// Takes the edges, so that the set is unreadable until the next one.
void uring_driver::drain_loop_set() noexcept
{
    std::array<epoll_event, 3> events{};
    count_entry();
    const int count = ::epoll_wait(loop_set_, events.data(), static_cast<int>(events.size()), 0);
    calls_again_ = false;
    for (int index = 0; index < count; ++index)
    {
        if (events[static_cast<std::size_t>(index)].data.u64 ==
            static_cast<std::uint64_t>(edge::timer))
        {
            loop_timer_.expired();
        }
    }
}

/// There is something to do although the rest has been announced.
bool uring_driver::is_called() noexcept
{
    if (defers_silently_)
    {
        // It does not say whether it has put off work.
        count_entry();
        static_cast<void>(io_uring_get_events(&ring_));
        if (io_uring_cq_ready(&ring_) != 0)
        {
            return true;
        }
        return sleep_state_.load(std::memory_order_acquire) != sleep_state::in_event;
    }
    return sleep_state_.load(std::memory_order_acquire) != sleep_state::in_event || has_work();
}

bool uring_driver::rest(ready_list& ready, std::optional<std::chrono::nanoseconds> until) noexcept
{
    if (has_work() || !wake_armed_)
    {
        poll(ready);
    }
    if (!ready.empty() || !early_.empty() || !repeats_.empty() || !starved_cancels_.empty())
    {
        return false;
    }
    if (!announce_sleep(sleep_state::in_event))
    {
        end_rest(ready);
        return false;
    }
    if (offload_.in_flight() != 0)
    {
        offload_rests_ = offload_.prepare_wait();
        if (!offload_rests_)
        {
            end_rest(ready);
            return false;
        }
    }
    drain_loop_set();
    // After the edges were taken: one of the timer that is armed here must stay.
    loop_timer_.arm(until);
    if (is_called())
    {
        end_rest(ready);
        return false;
    }
    return true;
}

void uring_driver::end_rest(ready_list& ready) noexcept
{
    // As at the end of wait(): seq_cst pairs with wake().
    sleep_state_.exchange(sleep_state::awake, std::memory_order_seq_cst);
    kernel_handoff::acquire(&sleep_state_);
    if (offload_rests_)
    {
        offload_rests_ = false;
        collect_offloaded(ready);
    }
    reap(ready);
}

void uring_driver::call_again() noexcept
{
    if (calls_again_)
    {
        return;
    }
    calls_again_ = true;
    const std::uint64_t one = 1;
    while (::write(idle_event_fd_, &one, sizeof one) < 0 && errno == EINTR)
    {
    }
}

} // namespace blitzio::detail
