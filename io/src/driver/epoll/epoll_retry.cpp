// Operations that the kernel turns away without ever telling when to come again: connecting to a
// unix socket whose backlog is full. They are tried again, less and less often.
// Thread rule: owner thread only.
#include "driver/epoll/epoll_driver.hpp"

#include "driver/epoll/epoll_support.hpp"
#include "limits.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/socket.h>

namespace blitzio::detail
{

bool is_full_backlog(const op& operation, std::int32_t result) noexcept
{
    if (operation.kind != op_kind::connect || result != -EAGAIN)
    {
        return false;
    }
    // From other families the same number means that there is no free port, which is an answer.
    const auto& storage = operation.args.peer.address->storage;
    return reinterpret_cast<const sockaddr*>(storage.data())->sa_family == AF_UNIX;
}

void epoll_driver::retry_later(op& operation) noexcept
{
    operation.driver_flags = route_retry;
    operation.driver_data = this;
    retries_.push(operation);
    ++retry_count_;
    retry_delay_ = limits::connect_retry_min;
    next_retry_ = std::chrono::steady_clock::now() + retry_delay_;
}

void epoll_driver::cancel_retry(op& operation, ready_list& ready) noexcept
{
    if (operation.driver_data == nullptr)
    {
        return; // over already
    }
    operation.driver_data = nullptr;
    retries_.remove(operation);
    --retry_count_;
    finish(operation, -ECANCELED, ready);
}

std::optional<std::chrono::nanoseconds> epoll_driver::until_retry(
    std::optional<std::chrono::nanoseconds> timeout) const noexcept
{
    if (retry_count_ == 0)
    {
        return timeout;
    }
    const std::chrono::nanoseconds left =
        std::max<std::chrono::nanoseconds>(next_retry_ - std::chrono::steady_clock::now(), {});
    return timeout ? std::min(*timeout, left) : left;
}

void epoll_driver::run_retries(ready_list& ready) noexcept
{
    if (std::chrono::steady_clock::now() < next_retry_)
    {
        return;
    }
    // The oldest first: when there is room for one, it is theirs.
    for (op* item = retries_.front(); item != nullptr;)
    {
        op& operation = *std::exchange(item, op_queue::next_of(*item));
        count_entry();
        const std::int32_t result = perform(operation);
        if (is_full_backlog(operation, result))
        {
            break;
        }
        retries_.remove(operation);
        --retry_count_;
        operation.driver_data = nullptr;
        finish(operation, result, ready);
    }
    retry_delay_ = std::min(retry_delay_ * 2, limits::connect_retry_max);
    next_retry_ = std::chrono::steady_clock::now() + retry_delay_;
}

} // namespace blitzio::detail
