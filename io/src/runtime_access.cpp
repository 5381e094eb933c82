// What the templates in headers ask of the runtime. Thread rule: see runtime_access.hpp.
#include <blitzio/io/detail/runtime_access.hpp>
#include <blitzio/io/external_work.hpp>

#include "driver/sim/sim_backend.hpp"
#include "runtime_core.hpp"

#include <cstddef>
#include <cstdio>
#include <exception>
#include <utility>

namespace blitzio::detail
{

[[gnu::noinline]] void schedule(runtime_core& runtime, runnable& item) noexcept
{
    worker* const here = worker_here();
    if (here != nullptr && &here->core() == &runtime)
    {
        here->schedule_next(item);
    }
    else
    {
        runtime.inject(item);
    }
}

std::coroutine_handle<> come_home(const task_env& env, waiter who) noexcept
{
    const placement& place = *env.home();
    // What low priority waits for has come in the order of the others: now it lets them go first.
    if (place.priority != task_priority::low &&
        (place.bound == nullptr || current_worker() == place.bound))
    {
        return who();
    }
    env.runtime->post_placed(place, who);
    return std::noop_coroutine();
}

void come_home_last(const task_env& env, waiter who) noexcept
{
    env.runtime->post_placed(*env.home(), who);
}

[[gnu::noinline]] void schedule_last(runtime_core& runtime, runnable& item) noexcept
{
    worker* const here = worker_here();
    if (here != nullptr && &here->core() == &runtime)
    {
        here->push(item);
    }
    else
    {
        runtime.inject(item);
    }
}

[[gnu::noinline]] bool run_now_if_next(runtime_core& runtime, runnable& item) noexcept
{
    worker* const here = worker_here();
    return here != nullptr && &here->core() == &runtime && here->run_now_if_next(item);
}

buffer_pool& buffers_of(runtime_core& runtime) noexcept
{
    return runtime.buffers();
}

system& system_of(runtime_core& runtime) noexcept
{
    return runtime.operating_system();
}

std::chrono::nanoseconds now(runtime_core& runtime) noexcept
{
    return runtime.now();
}

bool is_simulated(runtime_core& runtime) noexcept
{
    return runtime.is_simulated();
}

void run_simulated_job(runtime_core& runtime, runnable& job) noexcept
{
    runtime.add_simulated_job(job);
}

std::chrono::nanoseconds simulated_job_delay(runtime_core& runtime) noexcept
{
    return runtime.config().simulation.delay_max / 2;
}

bool runs_jobs_inline(runtime_core& runtime) noexcept
{
    return runtime.is_simulated() && !runtime.config().simulation.real_pools;
}

bool begin_external_work(runtime_core& runtime) noexcept
{
    if (!runtime.is_simulated())
    {
        return false;
    }
    runtime.begin_external_work();
    return true;
}

void end_external_work(runtime_core& runtime) noexcept
{
    runtime.end_external_work();
}

result<void> submit_blocking(runtime_core& runtime, runnable& job)
{
    if (runs_jobs_inline(runtime))
    {
        runtime.add_simulated_job(job);
        return {};
    }
    return runtime.user_pool().submit(job);
}

bool withdraw_blocking(runtime_core& runtime, runnable& job) noexcept
{
    if (runs_jobs_inline(runtime))
    {
        return runtime.simulation().world().remove_job(job);
    }
    return runtime.user_pool().try_remove(job);
}

bool on_worker_thread() noexcept
{
    return current_worker() != nullptr;
}

bool about_to_park() noexcept
{
    worker* const here = current_worker();
    return here != nullptr && !here->has_work();
}

[[gnu::noinline]] bool consume_budget() noexcept
{
    worker* const here = worker_here();
    return here != nullptr && here->consume_budget();
}

[[gnu::noinline]] bool goes_on_alone() noexcept
{
    worker* const here = worker_here();
    return here != nullptr && here->goes_on_alone();
}

void launch(runtime_core& runtime, live_task& cell) noexcept
{
    runtime.launch(cell); // a jump
}

[[gnu::noinline]] void launch_child(known_task& cell) noexcept
{
    cell.env.awaiting.enable(await_note::phase::not_registered);
    cell.links.set(live_links::no_list, nullptr);
    worker& here = *worker_here();
    here.own_stats().tasks_spawned.add();
    if (cell.env.home() != nullptr) [[unlikely]]
    {
        cell.env.runtime->start_placed(*cell.env.home(), cell);
        return;
    }
    here.schedule_next(cell);
}

void register_at_first_await(const task_env& env) noexcept
{
    // offsetof is conditionally supported for non-standard-layout types; clang and GCC do.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
    const auto offset = offsetof(known_task, env);
#pragma GCC diagnostic pop
    auto* const bytes = reinterpret_cast<std::byte*>(const_cast<task_env*>(&env));
    runtime_core::register_child(*reinterpret_cast<known_task*>(bytes - offset));
}

void remove_child(known_task& cell) noexcept
{
    runtime_core::remove_child(cell);
}

bool remove_live(live_task& cell) noexcept
{
    return cell.env.runtime->remove_live(cell);
}

void terminate_with(const char* message) noexcept
{
    std::fprintf(stderr, "blitzio: %s\n", message);
    std::terminate();
}

} // namespace blitzio::detail
