// The pool on top of a tbb::task_arena.
// Thread rule: see pool.hpp. Each job is one enqueued task of oneTBB; what oneTBB allocates for it
// comes from its own per-thread pools.
#include <blitzio/compute/pool.hpp>

#include "fork_guard.hpp"
#include "pool_core.hpp"
#include "thread_budget.hpp"

#include <blitzio/io/processors.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

#include <pthread.h>

namespace blitzio::compute
{

namespace detail
{

namespace
{

thread_local const pool_core* owner_of_this_thread = nullptr;
/// The number of the pool after which this thread is named. A thread leaves the arena whenever it
/// is idle; coming back to the same one must not cost a system call.
thread_local std::uint64_t named_after = 0;
std::atomic<std::uint64_t> pools_created{0};

/// oneTBB must not be used in a child that was forked after the parent had used it, because its
/// threads do not exist there. Null while no pool was ever created.
std::atomic<std::uint32_t> first_generation{0};

pool_error forked_error()
{
    return {"process",
            "the process was forked after its parent had created a compute pool; the threads exist "
            "only in the parent",
            std::make_error_code(std::errc::no_such_process)};
}

} // namespace

const pool_core* current_pool() noexcept
{
    return owner_of_this_thread;
}

thread_observer::thread_observer(tbb::task_arena& arena, const pool_core& core,
                                 const std::string& name)
    : tbb::task_scheduler_observer(arena), core_(core), name_(name),
      pool_number_(pools_created.fetch_add(1, std::memory_order_relaxed) + 1)
{
    observe(true);
}

thread_observer::~thread_observer()
{
    observe(false);
}

void thread_observer::on_scheduler_entry(bool is_worker)
{
    owner_of_this_thread = &core_;
    {
        const std::lock_guard lock(mutex_);
        ++inside_;
    }
    if (!is_worker || named_after == pool_number_)
    {
        return;
    }
    named_after = pool_number_;
    // The kernel keeps 15 characters; the number tells the threads apart, so the prefix gives way.
    char number[12];
    char name[16];
    const int digits =
        std::snprintf(number, sizeof number, "-%d", tbb::this_task_arena::current_thread_index());
    std::snprintf(name, sizeof name, "%.*s%s", 15 - digits, name_.c_str(), number);
    pthread_setname_np(pthread_self(), name);
}

void thread_observer::on_scheduler_exit(bool)
{
    owner_of_this_thread = nullptr;
    // Notified under the mutex: whoever waits cannot go on before this thread has let go.
    const std::lock_guard lock(mutex_);
    --inside_;
    left_.notify_all();
}

void thread_observer::wait_until_left()
{
    std::unique_lock lock(mutex_);
    left_.wait(lock, [this] { return inside_ == 0; });
}

pool_core::pool_core(unsigned threads, std::string name, std::uint32_t generation)
    : threads_(threads), processors_(usable_processors().count), name_(std::move(name)),
      generation_(generation),
      // No slot is reserved for callers: nobody but oneTBB's own threads enters the arena.
      arena_(static_cast<int>(threads), 0), observer_(arena_, *this, name_)
{
}

pool_core::~pool_core()
{
    wait_for_jobs();
    // In this order: the arena's end makes its threads leave, and the observer hears of it.
    arena_.terminate();
    observer_.wait_until_left();
    observer_.observe(false);
    return_threads(threads_);
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
    pending_.fetch_add(1, std::memory_order_relaxed);
    try
    {
        arena_.enqueue([this, &work] {
            work.run(&work);
            // `work` may be gone.
            give_way_if_idle();
            job_ended();
        });
    }
    catch (...)
    {
        job_ended();
        return fail(std::errc::not_enough_memory);
    }
    return {};
}

void pool_core::give_way_if_idle() noexcept
{
    // Whoever the job woke may be waiting for this very processor, which oneTBB would now keep for
    // some microseconds, looking for work that is not there.
    if (pending_.load(std::memory_order_relaxed) == 1)
    {
        std::this_thread::yield();
    }
}

void pool_core::job_ended() noexcept
{
    // Release: partner is the acquire in wait_for_jobs(), so what the job did happens before the
    // destructor goes on.
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == (closing_bit | 1)) [[unlikely]]
    {
        // Notified under the mutex: the destructor cannot leave before this thread has let go.
        const std::lock_guard lock(mutex_);
        ended_ = true;
        all_ended_.notify_one();
    }
}

void pool_core::wait_for_jobs() noexcept
{
    // Acquire: partner is the release in job_ended().
    if ((pending_.fetch_or(closing_bit, std::memory_order_acq_rel) & ~closing_bit) == 0)
    {
        return;
    }
    if (owner_of_this_thread == this)
    {
        std::fputs("blitzio: a compute pool was destroyed by one of its own jobs\n", stderr);
        std::abort();
    }
    std::unique_lock lock(mutex_);
    all_ended_.wait(lock, [this] { return ended_; });
}

} // namespace detail

std::expected<void, pool_error> validate(const pool_config& config)
{
    const unsigned limit = detail::threads_limit();
    if (config.threads > limit)
    {
        return std::unexpected(pool_error{"threads",
                                          "threads: " + std::to_string(config.threads) +
                                              " is more than the limit of " + std::to_string(limit),
                                          std::make_error_code(std::errc::invalid_argument)});
    }
    if (config.name.empty() || config.name.find('\0') != std::string::npos)
    {
        return std::unexpected(pool_error{"name", "name: must not be empty or contain a zero byte",
                                          std::make_error_code(std::errc::invalid_argument)});
    }
    return {};
}

std::expected<pool, pool_error> pool::create(pool_config config)
{
    if (auto checked = validate(config); !checked)
    {
        return std::unexpected(std::move(checked).error());
    }
    const std::uint32_t generation = detail::begin_fork_guard();
    std::uint32_t first = 0;
    if (generation == 0)
    {
        return std::unexpected(pool_error{"process", "the fork handler cannot be registered",
                                          std::make_error_code(std::errc::not_enough_memory)});
    }
    // Relaxed: a number, nothing is published with it.
    if (!detail::first_generation.compare_exchange_strong(first, generation,
                                                          std::memory_order_relaxed) &&
        first != generation)
    {
        return std::unexpected(detail::forked_error());
    }
    unsigned threads = config.threads;
    if (threads == 0)
    {
        threads = std::clamp(usable_processors().count, 1u, std::max(detail::threads_left(), 1u));
    }
    if (detail::reserve_threads(threads) == 0)
    {
        return std::unexpected(
            pool_error{"threads",
                       "threads: " + std::to_string(threads) +
                           " together with the other pools' are more than " +
                           std::to_string(detail::threads_limit()),
                       std::make_error_code(std::errc::resource_unavailable_try_again)});
    }
    try
    {
        return pool(
            std::make_unique<detail::pool_core>(threads, std::move(config.name), generation));
    }
    catch (const std::exception& error)
    {
        detail::return_threads(threads);
        return std::unexpected(pool_error{
            "threads", "threads: " + std::to_string(threads) + " cannot be set up: " + error.what(),
            std::make_error_code(std::errc::not_enough_memory)});
    }
}

pool::pool(pool_config config) : core_(nullptr)
{
    auto created = create(std::move(config));
    if (!created)
    {
        throw std::system_error(created.error().code,
                                "compute::pool_config::" + created.error().message);
    }
    core_ = std::move(created->core_);
}

pool::pool(std::unique_ptr<detail::pool_core> core) noexcept : core_(std::move(core)) {}

pool::pool(pool&& other) noexcept = default;

pool& pool::operator=(pool&& other) noexcept
{
    if (this != &other)
    {
        const pool ended(std::move(*this));
        core_ = std::move(other.core_);
    }
    return *this;
}

pool::~pool()
{
    // In a forked child neither the threads nor a consistent oneTBB exist: leave all of it alone.
    if (core_ != nullptr && core_->forked_away())
    {
        static_cast<void>(core_.release());
    }
}

unsigned pool::threads() const noexcept
{
    return core_->threads();
}

unsigned pool::processors() const noexcept
{
    return core_->processors();
}

std::string_view pool::name() const noexcept
{
    return core_->name();
}

std::size_t pool::pending() const noexcept
{
    return core_->pending();
}

bool pool::owns_current_thread() const noexcept
{
    return detail::current_pool() == core_.get();
}

result<void> pool::enqueue(job& work) noexcept
{
    return core_->enqueue(work);
}

detail::job_times& pool::times() noexcept
{
    return core_->times();
}

namespace
{

/// Created once per process and never destroyed: jobs may still run while main() returns.
std::expected<pool, pool_error>& process_pool()
{
    static auto* const the_one = new std::expected<pool, pool_error>(pool::create({}));
    return *the_one;
}

} // namespace

pool& default_pool()
{
    auto& created = process_pool();
    if (!created)
    {
        throw std::system_error(created.error().code,
                                "the default compute pool: " + created.error().message);
    }
    return *created;
}

result<pool*> find_default_pool() noexcept
{
    try
    {
        auto& created = process_pool();
        if (!created)
        {
            return std::unexpected(created.error().code);
        }
        return &*created;
    }
    catch (...)
    {
        return fail(std::errc::not_enough_memory);
    }
}

} // namespace blitzio::compute
