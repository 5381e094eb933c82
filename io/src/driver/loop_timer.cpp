// A timerfd. Thread rule: see the header.
#include "driver/loop_timer.hpp"

#include <blitzio/io/detail/assert.hpp>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include <sys/timerfd.h>
#include <unistd.h>

namespace blitzio::detail
{

loop_timer::~loop_timer()
{
    close();
}

void loop_timer::close() noexcept
{
    if (fd_ >= 0)
    {
        ::close(std::exchange(fd_, -1));
    }
}

result<void> loop_timer::open() noexcept
{
    fd_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd_ < 0)
    {
        return fail(error_from_kernel(-errno));
    }
    return {};
}

void loop_timer::arm(std::optional<std::chrono::nanoseconds> until) noexcept
{
    if (!until || (armed_ && *armed_ <= *until))
    {
        return;
    }
    armed_ = until;
    // Zero would disarm it. A time that has passed expires at once.
    const auto when = std::max(*until, std::chrono::nanoseconds(1));
    itimerspec setting{};
    setting.it_value.tv_sec = static_cast<std::time_t>(when.count() / 1'000'000'000);
    setting.it_value.tv_nsec = static_cast<long>(when.count() % 1'000'000'000);
    const int refused = ::timerfd_settime(fd_, TFD_TIMER_ABSTIME, &setting, nullptr);
    BLITZIO_ASSERT(refused == 0);
    static_cast<void>(refused);
}

} // namespace blitzio::detail
