// What templates in headers ask of the runtime, without seeing the scheduler.
// Thread rule: any thread, unless said otherwise.
#pragma once

#include <blitzio/io/detail/clock.hpp>
#include <blitzio/io/detail/runnable.hpp>
#include <blitzio/io/detail/system.hpp>
#include <blitzio/io/detail/waiter.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/task_env.hpp>

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <exception>

namespace blitzio
{
class buffer_pool;
} // namespace blitzio

namespace blitzio::detail
{

class runtime_core;

/// Makes `item` run soon: next on the current worker when that belongs to `runtime`, otherwise
/// through the injection queue, waking a worker if all sleep.
void schedule(runtime_core& runtime, runnable& item) noexcept;

/// Like schedule(), but behind everything that is runnable on this worker already.
void schedule_last(runtime_core& runtime, runnable& item) noexcept;

/// Invokes `who` now if this is where and when `env` may go on, otherwise puts it into the right
/// queue. Only with an `env` that has a placement.
std::coroutine_handle<> come_home(const task_env& env, waiter who) noexcept;
/// Puts `who` into that queue in any case.
void come_home_last(const task_env& env, waiter who) noexcept;

/// If `item` is what the current worker would run next, runs it inside this call; true then. Not
/// when such calls nest too deep or the current task has used up its budget: the caller is about to
/// suspend, which gives others their turn.
[[nodiscard]] bool run_now_if_next(runtime_core& runtime, runnable& item) noexcept;

/// The runtime's buffers for everybody.
[[nodiscard]] buffer_pool& buffers_of(runtime_core& runtime) noexcept;
[[nodiscard]] system& system_of(runtime_core& runtime) noexcept;
[[nodiscard]] std::chrono::nanoseconds now(runtime_core& runtime) noexcept;

/// True when all of `runtime` runs on one thread under a virtual clock; pools then run jobs inline,
/// through run_simulated_job(), if runs_jobs_inline() says so.
[[nodiscard]] bool is_simulated(runtime_core& runtime) noexcept;
/// True when pools must not run jobs on threads of their own: in a simulation, unless it is
/// configured otherwise.
[[nodiscard]] bool runs_jobs_inline(runtime_core& runtime) noexcept;
/// Simulation only: runs `job` at a virtual time that the seed decides.
void run_simulated_job(runtime_core& runtime, runnable& job) noexcept;
/// Simulation only: when such a job runs, on average.
[[nodiscard]] std::chrono::nanoseconds simulated_job_delay(runtime_core& runtime) noexcept;

/// Queues `job` on the pool of spawn_blocking.
[[nodiscard]] result<void> submit_blocking(runtime_core& runtime, runnable& job);
/// True: `job` was still waiting in that pool and will never run.
[[nodiscard]] bool withdraw_blocking(runtime_core& runtime, runnable& job) noexcept;

/// True when the calling thread is a worker of any runtime.
[[nodiscard]] bool on_worker_thread() noexcept;
/// True on a worker whose queues are empty and whose driver holds nothing that is ready or waits to
/// be submitted: when the current task suspends now, the worker parks.
[[nodiscard]] bool about_to_park() noexcept;
/// One unit of the budget that a task may use up without suspending; false: suspend now, so that
/// ready operations of one task do not starve the others.
[[nodiscard]] bool consume_budget() noexcept;
/// A task gives way. True: nothing else waits for a turn on its worker, so it may go on at once.
[[nodiscard]] bool goes_on_alone() noexcept;

/// An exception nobody can observe any more: reports where the task was spawned, then terminates,
/// unless the runtime's configuration names another handler.
void report_unobserved(const task_env& env, std::exception_ptr error) noexcept;

/// An exception that is not thrown again because another one is, or because its task lost: goes to
/// the runtime's handler, and is printed with the place of the spawn when there is none. One that
/// only says operation_canceled is the consequence of a stop and is dropped.
void report_suppressed(const task_env& env, std::exception_ptr error) noexcept;

/// On a worker of `runtime`: at random in [0, bound), bound > 0; decided by the seed in a simulation.
[[nodiscard]] std::uint64_t random_below(runtime_core& runtime, std::uint64_t bound) noexcept;

/// Ends the process with a message; for violated lifetime rules that must not go unnoticed.
[[noreturn]] void terminate_with(const char* message) noexcept;

} // namespace blitzio::detail
