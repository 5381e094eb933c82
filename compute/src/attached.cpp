// Jobs as tasks of an arena that belongs to the program.
// Thread rule: see pool_core.hpp.
#include <blitzio/compute/attach.hpp>

#include "pool_core.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace blitzio::compute
{

namespace detail
{

namespace
{

class attached_core final : public pool_core
{
public:
    attached_core(tbb::task_arena& arena, std::string name, std::uint32_t generation)
        : pool_core(static_cast<unsigned>(arena.max_concurrency()), std::move(name), generation,
                    pool_config().idle_spin),
          arena_(arena)
    {
    }

    ~attached_core() override
    {
        refuse_own_thread();
        wait_for_jobs();
    }

    [[nodiscard]] std::size_t pending() const noexcept override
    {
        return pending_.load(std::memory_order_relaxed) & ~closing_bit;
    }

    [[nodiscard]] bool has_idle_thread() const noexcept override
    {
        return pending() <= threads();
    }

    [[nodiscard]] std::string explain() const override
    {
        return "pool " + name() + ": attached to an arena of the program's with room for " +
               std::to_string(threads()) +
               " threads\n  threads: oneTBB's and the program's; blitzio changes nothing of them\n"
               "  courtesy: off, because it would change threads that are not blitzio's\n";
    }

    [[nodiscard]] pool_metrics metrics() const noexcept override
    {
        pool_metrics now;
        now.threads = threads();
        now.busy = busy_.load(std::memory_order_relaxed);
        const std::size_t all = pending();
        now.waiting = all > now.busy ? all - now.busy : 0;
        now.jobs_completed = completed_.load(std::memory_order_relaxed);
        return now;
    }

private:
    /// Set by the destructor: whoever ends the last job then has to wake it.
    static constexpr std::size_t closing_bit = std::size_t{1} << (sizeof(std::size_t) * 8 - 1);

    bool start(job& work) noexcept override
    {
        pending_.fetch_add(1, std::memory_order_relaxed);
        try
        {
            arena_.enqueue([this, &work] { run(work); });
            return true;
        }
        catch (...)
        {
            job_ended();
            return false;
        }
    }

    void run(job& work) noexcept
    {
        const pool_core* const before = set_current_pool(this);
        busy_.fetch_add(1, std::memory_order_relaxed);
        call(work);
        busy_.fetch_sub(1, std::memory_order_relaxed);
        completed_.fetch_add(1, std::memory_order_relaxed);
        set_current_pool(before);
        job_ended();
    }

    void job_ended() noexcept
    {
        // Release: partner is the acquire in wait_for_jobs(), so what the job did happens before
        // the destructor goes on.
        if (pending_.fetch_sub(1, std::memory_order_acq_rel) == (closing_bit | 1)) [[unlikely]]
        {
            // Notified under the mutex: the destructor cannot leave before this thread let go.
            const std::lock_guard lock(mutex_);
            ended_ = true;
            all_ended_.notify_one();
        }
    }

    void wait_for_jobs() noexcept
    {
        // Acquire: partner is the release in job_ended().
        if ((pending_.fetch_or(closing_bit, std::memory_order_acq_rel) & ~closing_bit) != 0)
        {
            std::unique_lock lock(mutex_);
            all_ended_.wait(lock, [this] { return ended_; });
        }
    }

    tbb::task_arena& arena_;
    std::atomic<std::size_t> pending_{0};
    std::atomic<unsigned> busy_{0};
    std::atomic<std::uint64_t> completed_{0};
    std::mutex mutex_;
    std::condition_variable all_ended_;
    bool ended_ = false; // guarded by mutex_
};

} // namespace

} // namespace detail

std::expected<pool, pool_error> attach(tbb::task_arena& arena, std::string name)
{
    if (auto checked = detail::pool_access::check_name(name); !checked)
    {
        return std::unexpected(std::move(checked).error());
    }
    auto generation = detail::pool_access::begin();
    if (!generation)
    {
        return std::unexpected(std::move(generation).error());
    }
    try
    {
        return detail::pool_access::make(
            std::make_unique<detail::attached_core>(arena, std::move(name), *generation));
    }
    catch (const std::exception& error)
    {
        return std::unexpected(pool_error{"arena",
                                          std::string("arena: cannot be used: ") + error.what(),
                                          std::make_error_code(std::errc::not_enough_memory)});
    }
}

} // namespace blitzio::compute
