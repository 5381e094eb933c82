// The parts of semaphore that wake others. Thread rule: any thread.
#include <blitzio/sync/semaphore.hpp>

namespace blitzio::sync
{

bool semaphore::acquire_operation::withdraw() noexcept
{
    detail::wake_list granted;
    const bool was_waiting = wanted_->core_.withdraw(*this, granted);
    granted.wake_all();
    return was_waiting;
}

void semaphore::release(std::size_t count) noexcept
{
    if (detail::wait_node* const told = core_.release(count))
    {
        detail::wake_list::wake_chain(*told);
    }
}

} // namespace blitzio::sync
