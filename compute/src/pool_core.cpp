// What all pools have in common. Thread rule: see the header.
#include "pool_core.hpp"

#include "fork_guard.hpp"

#include <blitzio/compute/detail/suspension.hpp>
#include <blitzio/io/processors.hpp>

#include <tbb/task_arena.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace blitzio::compute::detail
{

namespace
{

constinit thread_local const pool_core* owner_of_this_thread = nullptr;

} // namespace

const pool_core* current_pool() noexcept
{
    return owner_of_this_thread;
}

const pool_core* set_current_pool(const pool_core* core) noexcept
{
    return std::exchange(owner_of_this_thread, core);
}

pool_core::pool_core(unsigned threads, std::string name, std::uint32_t generation,
                     std::chrono::nanoseconds idle_spin)
    : threads_(threads), processors_(usable_processors().count),
      idle_spin_(processors_ < 2 ? std::chrono::nanoseconds(0) : idle_spin), name_(std::move(name)),
      generation_(generation)
{
}

bool pool_core::forked_away() const noexcept
{
    return fork_generation() != generation_;
}

result<void> pool_core::enqueue(job& work) noexcept
{
    if (forked_away()) [[unlikely]]
    {
        return fail(std::errc::no_such_process);
    }
    if (!start(work)) [[unlikely]]
    {
        return fail(std::errc::not_enough_memory);
    }
    return {};
}

void pool_core::call(job& work) noexcept
{
    tbb::this_task_arena::isolate([&work] { work.run(&work); });
}

// A pool is never const; who asks whose thread this is has no business with more.
suspension::suspension() noexcept : pool_(const_cast<pool_core*>(current_pool()))
{
    if (pool_ != nullptr)
    {
        pool_->begin_suspension();
    }
}

suspension::~suspension()
{
    if (pool_ != nullptr)
    {
        pool_->end_suspension();
    }
}

void pool_core::refuse_own_thread() const noexcept
{
    if (owner_of_this_thread == this)
    {
        std::fputs("blitzio: a compute pool was destroyed by one of its own jobs\n", stderr);
        std::abort();
    }
}

} // namespace blitzio::compute::detail
