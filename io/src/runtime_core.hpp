// The inside of a runtime: its workers, the queue they share, its pools and its live tasks.
//
// A runnable that becomes ready on a worker goes to that worker's queue; one that becomes ready
// elsewhere goes to the injection queue. Idle workers steal. Operations stay with the worker that
// submitted them until they complete; the tasks that wait for them may then be stolen.
//
// Thread rule: any thread, except where said.
#pragma once

#include "blocking_pool.hpp"
#include "driver/backend.hpp"
#include "scheduler/callers_inside.hpp"
#include "scheduler/live_tasks.hpp"
#include "scheduler/priority_lane.hpp"
#include "scheduler/worker.hpp"
#include "stall_watch.hpp"
#include "threads.hpp"

#include <blitzio/io/buffer_pool.hpp>
#include <blitzio/io/detail/clock.hpp>
#include <blitzio/io/detail/idle_set.hpp>
#include <blitzio/io/detail/injection_queue.hpp>
#include <blitzio/io/detail/placement.hpp>
#include <blitzio/io/detail/spawn_cell.hpp>
#include <blitzio/io/metrics.hpp>
#include <blitzio/io/runtime_config.hpp>
#include <blitzio/io/task_report.hpp>

#include <atomic>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace blitzio::detail
{

class sim_backend;

class runtime_core
{
public:
    /// Builds everything and starts the workers.
    static std::expected<std::unique_ptr<runtime_core>, config_error> create(runtime_config config);
    ~runtime_core();
    runtime_core(const runtime_core&) = delete;
    runtime_core& operator=(const runtime_core&) = delete;

    // --- work
    void inject(runnable& item) noexcept;
    /// For the first run of `item`.
    void start_placed(const placement& place, runnable& item) noexcept;
    /// Into the queue for what is so placed.
    void post_placed(const placement& place, waiter who) noexcept;
    [[nodiscard]] const placement& find_placement(worker* bound, task_priority priority) noexcept;
    /// Some task has, or had, another priority than the normal one.
    [[nodiscard]] bool uses_priorities() const noexcept
    {
        return uses_priorities_.load(std::memory_order_relaxed);
    }
    /// From outside of the workers.
    [[nodiscard]] const priority_lanes& lanes() const noexcept
    {
        return lanes_;
    }
    [[nodiscard]] priority_lanes& lanes() noexcept
    {
        return lanes_;
    }
    void inject_list(runnable* first, runnable* last, std::size_t count) noexcept;
    [[nodiscard]] bool has_injected() const noexcept
    {
        return !injection_.empty();
    }
    [[nodiscard]] runnable* take_one_injected() noexcept
    {
        return injection_.pop();
    }
    /// A worker's fair share, but at most `limit`.
    [[nodiscard]] runnable_list take_share_of_injected(std::size_t limit) noexcept
    {
        return injection_.pop_share(worker_count_, limit);
    }
    /// Wakes a sleeping worker for work that was pushed before, unless somebody searches already.
    void notify_one() noexcept;
    [[nodiscard]] bool has_visible_work() const noexcept;
    [[nodiscard]] idle_set<>& idle() noexcept
    {
        return idle_;
    }
    [[nodiscard]] unsigned worker_count() const noexcept
    {
        return worker_count_;
    }
    /// There is no thread: the worker runs on the thread that calls, see caller_turn.
    [[nodiscard]] bool runs_on_caller() const noexcept
    {
        return config_.strategy == scheduling_strategy::single_threaded;
    }
    /// The calling thread begins to run the worker of a runtime without threads, and becomes the only
    /// one that may. Throws std::system_error when another one is, or when this one does already.
    void begin_turn(const char* what);
    void end_turn() noexcept;
    /// In a turn.
    void run_here_until(const std::function<bool()>& done,
                        std::optional<std::chrono::nanoseconds> until = std::nullopt);
    [[nodiscard]] std::size_t run_ready(std::size_t most);
    [[nodiscard]] result<int> descriptor() noexcept;
    /// Workers take each other's tasks.
    [[nodiscard]] bool steals_work() const noexcept
    {
        return config_.strategy != scheduling_strategy::thread_per_core;
    }
    [[nodiscard]] worker& worker_at(unsigned index) noexcept
    {
        return *workers_[index];
    }
    [[nodiscard]] const worker& worker_at(unsigned index) const noexcept
    {
        return *workers_[index];
    }
    [[nodiscard]] bool stopping() const noexcept
    {
        // acquire pairs with the release in stop_workers().
        return stopping_.load(std::memory_order_acquire);
    }

    /// A worker does not sleep any more.
    void worker_woke() noexcept
    {
        if (stalls_ != nullptr)
        {
            stalls_->worker_woke();
        }
    }
    /// Null: nobody watches.
    [[nodiscard]] const stall_watch* stalls() const noexcept
    {
        return stalls_.get();
    }

    // --- tasks
    void launch(live_task& cell) noexcept;
    /// A task of a scope waits for the first time, ends. On a worker.
    static void register_child(known_task& cell) noexcept;
    static void remove_child(known_task& cell) noexcept;
    [[nodiscard]] bool remove_live(live_task& cell) noexcept;
    /// Calls `visit(task)` for each task, under the lock of the list it is in.
    template <class Visit>
    void for_each_task(Visit&& visit) const
    {
        outside_tasks_.for_each(visit);
        for (const auto& each : workers_)
        {
            each->tasks().for_each(visit);
        }
    }
    [[nodiscard]] live_tasks_watch& watch() noexcept
    {
        return watch_;
    }
    /// Numbers of the lists of live tasks.
    static constexpr unsigned outside_list = live_links::no_list + 1;
    [[nodiscard]] static constexpr unsigned list_number(unsigned worker_index) noexcept
    {
        return outside_list + 1 + worker_index;
    }
    /// Waits until no spawned task is left. Never on a worker.
    void wait_until_idle();
    /// Asks all tasks to stop, those to come as well. Any thread.
    void ask_to_end() noexcept;
    /// Asks all tasks to stop and waits until the clock shows `deadline` at the latest. Never on a
    /// worker. The runtime goes on living: what has not ended may still do so.
    [[nodiscard]] shutdown_report shutdown(std::chrono::nanoseconds deadline);

    // --- surroundings
    [[nodiscard]] system& operating_system() noexcept
    {
        return backend_->operating_system();
    }
    [[nodiscard]] std::chrono::nanoseconds now() const noexcept
    {
        return clock_->now();
    }
    [[nodiscard]] buffer_pool& buffers() noexcept
    {
        return buffers_;
    }
    [[nodiscard]] blocking_pool& user_pool() noexcept
    {
        return *user_pool_;
    }
    [[nodiscard]] bool is_simulated() const noexcept
    {
        return simulation_ != nullptr;
    }
    [[nodiscard]] sim_backend& simulation() noexcept
    {
        return *simulation_;
    }
    /// Simulation only: runs everything until `done` says so, what the calling thread waits for, or
    /// the virtual clock shows `until`.
    void simulate_until(const std::function<bool()>& done,
                        std::optional<std::chrono::nanoseconds> until = std::nullopt);
    void add_simulated_job(runnable& job) noexcept;
    /// Work outside of a simulated runtime: see external_work.hpp.
    void begin_external_work() noexcept
    {
        external_work_.fetch_add(1, std::memory_order_relaxed);
    }
    void end_external_work() noexcept
    {
        // Release: partner is the acquire in simulate_until() and in the destructor. The last access.
        external_work_.fetch_sub(1, std::memory_order_release);
    }

    [[nodiscard]] const runtime_config& config() const noexcept
    {
        return config_;
    }
    [[nodiscard]] backend& io_backend() noexcept
    {
        return *backend_;
    }
    [[nodiscard]] std::string explain() const;
    struct pool_statistics
    {
        blocking_pool::statistics user;
        blocking_pool::statistics files;
    };
    [[nodiscard]] pool_statistics pools() const noexcept;
    [[nodiscard]] std::size_t live_task_count() const noexcept;
    [[nodiscard]] runtime_metrics metrics() const;

private:
    explicit runtime_core(runtime_config config);
    void advance_simulation(std::chrono::nanoseconds until);
    [[nodiscard]] std::optional<std::chrono::nanoseconds> next_simulated_event() const;
    std::expected<void, config_error> build();
    result<void> choose_backend(backend_choice wanted);
    result<void> start_workers();
    result<void> start_threads();
    [[nodiscard]] std::size_t run_ready_simulated(std::size_t most);
    [[nodiscard]] bool is_quiet() const noexcept;
    void run_to_the_end();
    void stop_workers() noexcept;
    void stop_tasks() noexcept;
    /// True: no task is left; false: the clock shows `deadline`.
    [[nodiscard]] bool wait_until_idle_or(std::chrono::nanoseconds deadline);
    void launch_from_outside(live_task& cell) noexcept;
    [[nodiscard]] std::string name_live_tasks() const;
    /// `here`: the calling worker, where it is looked for first.
    [[nodiscard]] live_tasks& list_with(unsigned number, worker& here) noexcept;
    [[nodiscard]] std::string describe_sizes() const;
    [[nodiscard]] std::string describe_surroundings() const;

    runtime_config config_;
    /// Before worker_count_, whose choice it explains.
    std::string explanation_;
    unsigned worker_count_;
    std::unique_ptr<blocking_pool> user_pool_;
    std::unique_ptr<blocking_pool> file_pool_;
    /// Lent to tasks and drivers; leases may outlive the runtime.
    buffer_pool buffers_;
    std::unique_ptr<backend> backend_;
    sim_backend* simulation_ = nullptr;
    std::unique_ptr<clock_source> own_clock_;
    clock_source* clock_ = nullptr;
    random_source simulation_random_{1};
    /// Mutable: to count what it has, it puts it in order.
    mutable injection_queue injection_;
    priority_lanes lanes_;
    std::atomic<bool> uses_priorities_{false};
    /// Of tasks that may run anywhere.
    const placement high_anywhere_{.priority = task_priority::high};
    const placement low_anywhere_{.priority = task_priority::low};
    /// Threads that are inside inject().
    callers_inside callers_;
    idle_set<> idle_;
    live_tasks_watch watch_;
    std::vector<std::unique_ptr<worker>> workers_;
    std::vector<worker_thread> threads_;
    std::unique_ptr<stall_watch> stalls_;
    /// Number of the thread that runs a worker without a thread; 0: none has so far.
    std::atomic<std::uint64_t> owner_{0};
    /// It is at it. Owner's thread only.
    bool in_turn_ = false;
    std::atomic<bool> stopping_{false};
    /// Set by the destructor: tasks spawned from now on are born with a stop request.
    std::atomic<bool> ending_{false};
    /// Simulation only.
    std::atomic<std::uint32_t> external_work_{0};
    std::atomic<std::uint64_t> spawned_outside_{0};
    /// Those that were spawned by other threads than the workers.
    live_tasks outside_tasks_{watch_, outside_list};
};

} // namespace blitzio::detail
