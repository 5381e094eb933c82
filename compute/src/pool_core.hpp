// What a pool consists of: an arena, the names of its threads, the count of its jobs.
// Thread rule: enqueue() and the questions from any thread; construction and destruction by one.
#pragma once

#include <blitzio/compute/detail/job_times.hpp>
#include <blitzio/compute/pool.hpp>

#include <tbb/task_arena.h>
#include <tbb/task_scheduler_observer.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace blitzio::compute::detail
{

/// Gives the threads of one arena their names, and lets them know whose they are.
class thread_observer final : public tbb::task_scheduler_observer
{
public:
    thread_observer(tbb::task_arena& arena, const pool_core& core, const std::string& name);
    ~thread_observer() override;

    void on_scheduler_entry(bool is_worker) override;
    void on_scheduler_exit(bool is_worker) override;

    /// Until no thread is in the arena any more; oneTBB's threads linger there for about a
    /// millisecond after the last job.
    void wait_until_left();

private:
    const pool_core& core_;
    const std::string& name_;
    std::uint64_t pool_number_;
    std::mutex mutex_;
    std::condition_variable left_;
    unsigned inside_ = 0; // guarded by mutex_
};

class pool_core
{
public:
    /// The threads are reserved already; they belong to the pool from here on.
    pool_core(unsigned threads, std::string name, std::uint32_t generation);
    ~pool_core();
    pool_core(const pool_core&) = delete;
    pool_core& operator=(const pool_core&) = delete;

    [[nodiscard]] result<void> enqueue(job& work) noexcept;

    [[nodiscard]] unsigned threads() const noexcept
    {
        return threads_;
    }

    [[nodiscard]] unsigned processors() const noexcept
    {
        return processors_;
    }

    [[nodiscard]] std::string_view name() const noexcept
    {
        return name_;
    }

    [[nodiscard]] std::size_t pending() const noexcept
    {
        return pending_.load(std::memory_order_relaxed) & ~closing_bit;
    }

    [[nodiscard]] bool forked_away() const noexcept;

    [[nodiscard]] job_times& times() noexcept
    {
        return times_;
    }

private:
    /// Set by the destructor: whoever ends the last job then has to wake it.
    static constexpr std::size_t closing_bit = std::size_t{1} << (sizeof(std::size_t) * 8 - 1);

    void give_way_if_idle() noexcept;
    void job_ended() noexcept;
    void wait_for_jobs() noexcept;

    unsigned threads_;
    unsigned processors_;
    std::string name_;
    std::uint32_t generation_;
    std::atomic<std::size_t> pending_{0};
    job_times times_;
    std::mutex mutex_;
    std::condition_variable all_ended_;
    bool ended_ = false; // guarded by mutex_
    tbb::task_arena arena_;
    thread_observer observer_;
};

/// The pool whose thread this is, or null.
[[nodiscard]] const pool_core* current_pool() noexcept;

} // namespace blitzio::compute::detail
