// The parts of semaphore that wake others. Thread rule: any thread.
#include <blitzio/sync/semaphore.hpp>

namespace blitzio::sync
{

bool semaphore::acquire_operation::attempt(detail::attempt_mode mode) noexcept
{
    return wanted_->core_.acquire_or_enqueue(*this, mode);
}

bool semaphore::acquire_operation::withdraw() noexcept
{
    detail::wake_list granted;
    const bool was_waiting = wanted_->core_.withdraw(*this, granted);
    granted.wake_all();
    return was_waiting;
}

void semaphore::release(std::size_t count) noexcept
{
    detail::wake_list granted;
    core_.release(count, granted);
    granted.wake_all();
}

} // namespace blitzio::sync
