// Runs operations on the file pool and brings their results home. Thread rule: owner thread only,
// except run_job().
#include "driver/blocking_offload.hpp"

#include "blocking_pool.hpp"
#include "driver/posix_ops.hpp"

#include <blitzio/io/detail/assert.hpp>

#include <cerrno>
#include <new>
#include <utility>

namespace blitzio::detail
{

namespace
{

/// Operations report kernel style; the pool's own reasons take the closest errno.
std::int32_t errno_of(std::error_code reason) noexcept
{
    if (reason == make_error_code(io_errc::pool_queue_full))
    {
        return -EAGAIN;
    }
    if (reason == make_error_code(io_errc::shutting_down))
    {
        return -ESHUTDOWN;
    }
    return -reason.value();
}

} // namespace

blocking_offload::blocking_offload(blocking_pool* pool, wake_function wake, void* context) noexcept
    : pool_(pool), wake_(wake), wake_context_(context)
{
}

blocking_offload::~blocking_offload()
{
    BLITZIO_ASSERT(in_flight_ == 0 && !waiting_marked_);
    await_wakes();
    while (free_jobs_ != nullptr)
    {
        delete std::exchange(free_jobs_, free_jobs_->next_free);
    }
}

void blocking_offload::await_wakes() noexcept
{
    // Acquire: partner is the release in run_job().
    for (std::uint32_t round = 0; wakes_given_.load(std::memory_order_acquire) != wakes_owed_;
         ++round)
    {
        std_atomics::back_off(round);
    }
}

bool blocking_offload::start(op& operation) noexcept
{
    if (pool_ == nullptr)
    {
        operation.result = perform(operation);
        return false;
    }
    job* const taken = take_job();
    if (taken == nullptr)
    {
        operation.result = -ENOMEM;
        return false;
    }
    taken->operation = &operation;
    operation.driver_data = taken;
    // Counted first: the pool may be through with it before submit() returns.
    ++in_flight_;
    const result<void> accepted = pool_->submit(*taken);
    if (accepted)
    {
        return true;
    }
    --in_flight_;
    operation.driver_data = nullptr;
    operation.result = errno_of(accepted.error());
    give_back(*taken);
    return false;
}

void blocking_offload::run_job(runnable* item) noexcept
{
    job& mine = *static_cast<job*>(item);
    mine.result = perform(*mine.operation);
    blocking_offload& owner = *mine.owner;
    // Without a wake to give, nothing of the owner may be touched after push(): it may have
    // collected, completed everything and gone. With one, its destructor waits for us.
    if (owner.finished_.push(&mine))
    {
        owner.wake_(owner.wake_context_);
        // Release: partner is the acquire in the destructor. The last access to the owner.
        owner.wakes_given_.fetch_add(1, std::memory_order_release);
    }
}

bool blocking_offload::try_cancel(op& operation) noexcept
{
    // Null: it has been collected, so the pool is through with it.
    job* const held = static_cast<job*>(operation.driver_data);
    if (held == nullptr || !pool_->try_remove(*held))
    {
        return false;
    }
    operation.driver_data = nullptr;
    give_back(*held);
    --in_flight_;
    return true;
}

std::size_t blocking_offload::collect(ready_list& ready) noexcept
{
    if (std::exchange(waiting_marked_, false) && !finished_.mark_active())
    {
        // Somebody replaced the mark, and is about to wake us or has done so.
        ++wakes_owed_;
    }
    std::size_t count = 0;
    runnable* item = finished_.take_all();
    while (item != nullptr)
    {
        job& done = *static_cast<job*>(std::exchange(item, item->next));
        op& operation = *done.operation;
        const std::int32_t result = done.result;
        give_back(done);
        --in_flight_;
        ++count;
        operation.driver_data = nullptr;
        operation.result = result;
        // The same as driver::finish(): with a cancel request under way that party goes on.
        if (!operation.cancellable || operation.state.complete())
        {
            ready.push(operation);
        }
    }
    return count;
}

bool blocking_offload::prepare_wait() noexcept
{
    BLITZIO_ASSERT(!waiting_marked_);
    waiting_marked_ = finished_.try_mark_inactive();
    return waiting_marked_;
}

blocking_offload::job* blocking_offload::take_job() noexcept
{
    if (free_jobs_ != nullptr)
    {
        return std::exchange(free_jobs_, free_jobs_->next_free);
    }
    job* const fresh = new (std::nothrow) job;
    if (fresh != nullptr)
    {
        fresh->run = &blocking_offload::run_job;
        fresh->owner = this;
    }
    return fresh;
}

void blocking_offload::give_back(job& used) noexcept
{
    used.operation = nullptr;
    used.next_free = std::exchange(free_jobs_, &used);
}

} // namespace blitzio::detail
