// The runtime: workers, their drivers, and the pools for calls that block.
// Thread rule: every member function may be called from any thread that is not a worker, unless it
// says otherwise; the destructor from one thread, when no other member is in use.
#pragma once

#include <blitzio/io/detail/spawn_cell.hpp>
#include <blitzio/io/metrics.hpp>
#include <blitzio/io/runtime_config.hpp>
#include <blitzio/io/spawn.hpp>
#include <blitzio/io/task.hpp>
#include <blitzio/io/task_report.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

namespace blitzio
{

namespace detail
{

/// A thread outside the runtime that waits for one task.
class blocking_waiter
{
public:
    /// Waits until `finish` was called; in a simulated runtime, runs the simulation meanwhile.
    void wait(runtime_core& runtime);
    [[nodiscard]] waiter as_waiter() noexcept;

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool finished_ = false;
};

void require_no_worker(const char* what);

/// While the calling thread waits for a runtime from outside. If the runtime has no thread, this one
/// runs it meanwhile; otherwise nothing.
class caller_turn
{
public:
    /// Throws std::system_error: would_deadlock on a worker, wrong_thread.
    caller_turn(runtime_core& runtime, const char* what);
    caller_turn(const caller_turn&) = delete;
    caller_turn& operator=(const caller_turn&) = delete;
    ~caller_turn();

private:
    runtime_core* taken_ = nullptr;
};
void require_caller_runs(runtime_core& runtime, const char* what);
[[nodiscard]] worker& require_worker(runtime_core& runtime, unsigned index);
[[nodiscard]] worker& require_this_worker(runtime_core& runtime);

} // namespace detail

/// Owns its threads; with scheduling_strategy::single_threaded it has none for its tasks, which run
/// only while block_on(), run(), shutdown(), run_ready() or the destructor do: all of these, and fd(),
/// on one and the same thread. Everything else may be called from any thread in any case.
///
/// The destructor asks all tasks to stop (reason: shutdown), waits for every task
/// and every operation, then joins the threads: nothing is abandoned.
class runtime
{
public:
    /// Throws std::system_error when `config` cannot be used; the text names the field.
    explicit runtime(runtime_config config = {});
    /// The same without exceptions.
    [[nodiscard]] static std::expected<runtime, config_error> create(runtime_config config);

    runtime(runtime&&) noexcept;
    runtime& operator=(runtime&&) noexcept;
    ~runtime();

    /// Starts `work` (a task, or a callable that returns one; the callable is kept alive until the
    /// task has ended). Any thread, workers included.
    template <class Work>
        requires detail::spawnable<Work>
    [[nodiscard]] auto spawn(Work&& work, spawn_options options = {},
                             std::source_location where = std::source_location::current())
    {
        return detail::spawn_on(*core_, std::forward<Work>(work), options, where);
    }

    /// The same on the worker `index` and on no other: the task, what it awaits and the tasks of its
    /// scopes run there, however often they wait. For things that belong to one thread.
    /// Throws std::system_error when there is no such worker; the text names the index.
    template <class Work>
        requires detail::spawnable<Work>
    [[nodiscard]] auto spawn_on(unsigned index, Work&& work, spawn_options options = {},
                                std::source_location where = std::source_location::current())
    {
        return detail::spawn_on(*core_, std::forward<Work>(work), options, where,
                                &detail::require_worker(*core_, index));
    }

    /// spawn_on() the calling worker. Only in tasks of this runtime: elsewhere it throws
    /// std::system_error(io_errc::not_on_worker).
    template <class Work>
        requires detail::spawnable<Work>
    [[nodiscard]] auto spawn_local(Work&& work, spawn_options options = {},
                                   std::source_location where = std::source_location::current())
    {
        return detail::spawn_on(*core_, std::forward<Work>(work), options, where,
                                &detail::require_this_worker(*core_));
    }

    /// How many workers there are; their indices begin at 0.
    [[nodiscard]] unsigned worker_count() const noexcept;

    /// Runs `work` (an operation, a task, or a callable that returns a task) and waits for its
    /// result on the calling thread; throws again what it throws.
    /// On a worker thread it fails at once with std::system_error(io_errc::would_deadlock), and so
    /// it does inside a computation that a task of this runtime awaits, which would hold a thread of
    /// its pool meanwhile: await_in_compute() does not. With scheduling_strategy::single_threaded
    /// the calling thread runs all tasks meanwhile, and another thread than the one that has run
    /// them before gets std::system_error(io_errc::wrong_thread).
    template <class Work>
    auto block_on(Work&& work, std::source_location where = std::source_location::current())
    {
        const detail::caller_turn turn(*core_, "runtime::block_on");
        if constexpr (detail::spawnable<Work>)
        {
            return wait_for(spawn(std::forward<Work>(work), {.name = "block_on"}, where));
        }
        else
        {
            static_assert(awaitable_operation<Work>, "block_on takes an operation or a task");
            return wait_for(spawn(
                [operation = std::move(work)]() mutable -> task<await_result_t<Work>> {
                    co_return co_await std::move(operation);
                },
                {.name = "block_on"}, where));
        }
    }

    /// Waits until no spawned task is left. Errors as with block_on().
    void run();

    // --- in a loop of the program's own, with scheduling_strategy::single_threaded
    //
    //     pollfd waits{runtime.fd(), POLLIN, 0};     // beside what the program waits for itself
    //     while (...)
    //     {
    //         poll(&waits, 1, -1);
    //         runtime.run_ready();
    //     }

    /// A descriptor that is readable while run_ready() has something to do: tasks that can go on,
    /// operations that have completed, timers that are due (so the loop needs no time-out for this
    /// runtime), wake-ups from other threads. For poll(), epoll (level- or edge-triggered) and the
    /// like; never read it, never close it: it belongs to the runtime and stays the same. Readable at
    /// first. An idle runtime's never is. With io_uring the waiting call may also end with EINTR.
    /// Throws std::system_error: operation_not_supported with another strategy, wrong_thread, or the
    /// kernel's reason.
    [[nodiscard]] int fd();

    /// Runs what can run without waiting, on the calling thread, but no more than `most`
    /// continuations, so that the program's loop gets its turn; then fd() stays readable. How many
    /// have run; 0 means that there was nothing to do. Call it whenever fd() is readable. A task that
    /// computes or blocks holds up the program's loop, as it would a worker.
    /// The calling thread may be a worker of another runtime, whose task must then be bound to it
    /// (spawn_on). Throws std::system_error: operation_not_supported with another strategy,
    /// wrong_thread, would_deadlock inside of itself.
    std::size_t run_ready(std::size_t most = run_ready_default);
    static constexpr std::size_t run_ready_default = 512;

    /// Asks all tasks to stop (reason: shutdown), and those that are spawned from now on, and waits
    /// until they have ended, but not beyond `deadline` of the runtime's clock (steady_clock, or the
    /// virtual clock). The report names those that have not: nothing is abandoned, they go on, and
    /// the destructor, or another call, waits for them.
    /// On a worker thread it fails with std::system_error(io_errc::would_deadlock).
    shutdown_report shutdown(std::chrono::steady_clock::time_point deadline);
    /// The same, with `patience` from now.
    shutdown_report shutdown(std::chrono::nanoseconds patience);

    /// What every task waits in, at most `tasks_max` of them one by one. Stops nobody, needs no
    /// worker, and so tells something about a runtime that hangs, too. Any thread, workers included.
    [[nodiscard]] runtime_dump dump(std::size_t tasks_max = 10'000) const;

    /// "io_uring", "epoll" or "sim".
    [[nodiscard]] std::string_view backend_name() const noexcept;
    /// Why that backend and not another one, what else was chosen or degraded, the sizes in use, and
    /// what the machine allows: quota, limits, each feature and operation code of its io_uring, asked
    /// for now. Lines of "what: value"; `./dev doctor` prints it. Any thread; sets up rings for a moment.
    [[nodiscard]] std::string explain() const;
    /// Counters and histograms; to_prometheus() makes a text of them. Any thread.
    [[nodiscard]] runtime_metrics metrics() const;
    /// Simulation only: a hash over all that happened, equal for equal seeds and programs.
    [[nodiscard]] std::uint64_t simulation_trace_hash() const noexcept;

    /// For the modules built on this one.
    [[nodiscard]] detail::runtime_core& core() noexcept
    {
        return *core_;
    }

private:
    struct core_deleter
    {
        void operator()(detail::runtime_core* core) const noexcept;
    };

    explicit runtime(std::unique_ptr<detail::runtime_core, core_deleter> core) noexcept;

    template <class T>
    T wait_for(join_handle<T> handle)
    {
        detail::blocking_waiter blocked;
        const task_env env{core_.get(), {}, "block_on", {}};
        if (handle.start(env, blocked.as_waiter()))
        {
            blocked.wait(*core_);
        }
        return handle.await_resume();
    }

    std::unique_ptr<detail::runtime_core, core_deleter> core_;
};

} // namespace blitzio
