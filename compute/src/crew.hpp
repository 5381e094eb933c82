// A pool's own threads: who runs, who sleeps, and where.
// Thread rule: see pool_core.hpp; serve() and what it calls, on the thread that it speaks of.
#pragma once

#include "courtesy.hpp"
#include "job_queue.hpp"
#include "parking_place.hpp"
#include "pool_core.hpp"

#include <blitzio/io/detail/idle_set.hpp>

#include <tbb/task_arena.h>
#include <tbb/task_scheduler_observer.h>

#include <atomic>
#include <latch>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

namespace blitzio::compute::detail
{

/// The threads enter the arena once and for all, as external ones, and leave it at their end: they
/// need no worker of oneTBB's, so no limit of the host's concerns them, and what is done to them
/// (names, nice values) meets nobody else. The arena has no place for anybody else.
///
/// A thread without a job sleeps in one of two places. As a rule that is a wait inside of oneTBB,
/// where it helps with the parallel algorithms of the jobs that run. But waking somebody there
/// costs more, and while no job runs there is nothing to help with: so thread 0 sleeps in a place of
/// its own whenever everybody else sleeps, and is the first to be woken (the idle set prefers low
/// numbers). When thread 0 has gone to sleep so, the next job always goes to it; so a job never
/// runs while a thread sleeps where it could not help.
class crew final : public pool_core
{
public:
    static constexpr std::uint32_t threads_possible = 1024;

    /// The threads are reserved already; they belong to the pool from here on, when nothing is
    /// thrown. Returns when all threads run.
    crew(unsigned threads, pool_config config, std::uint32_t generation);
    ~crew() override;

    [[nodiscard]] std::size_t pending() const noexcept override;
    [[nodiscard]] bool has_idle_thread() const noexcept override;
    [[nodiscard]] std::string explain() const override;
    [[nodiscard]] pool_metrics metrics() const noexcept override;

    void begin_suspension() noexcept override;
    void end_suspension() noexcept override;

private:
    /// What one thread writes, on cache lines of its own. Counters: relaxed, one writer.
    struct alignas(64) member
    {
        parking_place place;
        std::atomic<std::uint64_t> begun{0};
        std::atomic<std::uint64_t> ended{0};
        std::atomic<std::uint64_t> slept{0};
        std::atomic<std::uint64_t> spins_won{0};
        std::atomic<std::uint64_t> spins_lost{0};
        /// Spinning in vain doubles how often it is not tried after that.
        unsigned spins_to_skip = 0;
        unsigned next_skips = 1;
        /// When the last job ended, or the current one was found.
        std::chrono::steady_clock::time_point mark{};
        /// How many of the next jobs are to be measured by the thread's CPU time.
        unsigned to_measure = 0;
        /// Written once by the thread, when nice_applied says so.
        nice_outcome nice;
        std::atomic<bool> nice_applied{false};
        std::thread thread;
    };

    bool start(job& work) noexcept override;
    void start_threads();
    void stop_threads() noexcept;
    void thread_main(unsigned index) noexcept;
    void serve(unsigned index) noexcept;
    void run(member& me, job& work) noexcept;
    void offer_jobs() noexcept;
    void run_offered_job() noexcept;
    void look_for_long_jobs(member& me, std::chrono::nanoseconds cpu_before) noexcept;
    void give_way_from_now_on(member& me) noexcept;
    [[nodiscard]] std::string explain_courtesy() const;
    [[nodiscard]] std::string explain_waiting() const;
    [[nodiscard]] bool stay_awake(member& me) noexcept;
    [[nodiscard]] bool park(unsigned index, bool searching) noexcept;
    void wake_one() noexcept;

    const pool_config config_;
    const int nice_steps_;
    tbb::task_arena arena_;
    std::vector<member> members_;
    std::latch started_;
    job_queue queue_;
    blitzio::detail::idle_set<blitzio::detail::std_atomics, threads_possible> idle_;
    alignas(64) std::atomic<std::uint64_t> enqueued_{0};
    std::atomic<bool> stopping_{false};

    /// Computations that wait in the arena. While there are any, a task in the arena stands for the
    /// jobs in the queue, so that a suspended thread takes them up; such a task may be run by a thread
    /// of oneTBB's. It may also be left when the pool has gone: then it finds no crew.
    struct offer
    {
        /// Null when the pool is gone. Whoever reads it counts itself in before.
        std::atomic<crew*> owner{nullptr};
        std::atomic<int> users{0};
        std::atomic<bool> pending{false};
    };
    /// A thread of oneTBB's that runs such a task is one of the pool's meanwhile. A computation that
    /// waited may go on on another thread, so this cannot be set around its job.
    class ownership final : public tbb::task_scheduler_observer
    {
    public:
        explicit ownership(crew& owner) : tbb::task_scheduler_observer(owner.arena_), owner_(owner)
        {
            observe(true);
        }
        ~ownership() override
        {
            observe(false);
        }
        ownership(const ownership&) = delete;
        ownership& operator=(const ownership&) = delete;

        void on_scheduler_entry(bool) override
        {
            set_current_pool(&owner_);
        }
        void on_scheduler_exit(bool) override
        {
            set_current_pool(nullptr);
        }

    private:
        crew& owner_;
    };
    std::atomic<unsigned> suspended_{0};
    std::shared_ptr<offer> offer_ = std::make_shared<offer>();
    std::optional<ownership> ownership_;
    std::atomic<std::uint64_t> offered_begun_{0};
    std::atomic<std::uint64_t> offered_ended_{0};
};

} // namespace blitzio::compute::detail
