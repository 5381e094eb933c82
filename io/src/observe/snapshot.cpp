// Reading the counters of a runtime. Thread rule: any thread.
#include "runtime_core.hpp"

namespace blitzio::detail
{

namespace
{

worker_metrics read_worker(const worker& from)
{
    const auto& stats = from.stats();
    worker_metrics all;
    all.tasks_run = stats.tasks_run.value();
    all.tasks_spawned = stats.tasks_spawned.value();
    all.tasks_finished = stats.tasks_finished.value();
    all.steals = stats.steals.value();
    all.parks = stats.parks.value();
    all.wake_ups = stats.wake_ups.value();
    all.operations_completed = stats.operations_completed.value();
    all.operations_in_flight = from.io().in_flight();
    all.operations_submitted = all.operations_completed + all.operations_in_flight;
    all.driver_entries = from.io().kernel_entries();
    all.timers_armed = from.timers().size();
    all.timers_fired = from.timers().fired_total();
    const auto leases = from.io().read_buffers();
    all.leases = leases.leases;
    all.leases_out = leases.out;
    all.leases_from_pool = leases.from_pool;
    all.lease_refusals = leases.refusals;
    all.provided_buffer_misses = leases.misses;
    all.registered_files = from.io().registered_files();
    all.scheduling_delay = stats.scheduling_delay.snapshot();
    return all;
}

pool_metrics read_pool(const blocking_pool::statistics& from, unsigned threads_max)
{
    return {.threads = from.threads,
            .idle_threads = from.idle_threads,
            .threads_max = threads_max,
            .queued = from.queued,
            .completed = from.completed,
            .thread_start_failures = from.thread_start_failures,
            .threads_started = from.threads_started,
            .refused = from.refused,
            .queue_wait = from.queue_wait};
}

} // namespace

runtime_metrics runtime_core::metrics() const
{
    runtime_metrics all;
    all.workers = worker_count_;
    all.per_worker.reserve(worker_count_);
    for (const auto& each : workers_)
    {
        all.per_worker.push_back(read_worker(*each));
        if (stalls_ != nullptr)
        {
            all.per_worker.back().stalls = stalls_->stalls(each->index());
            all.per_worker.back().longest_stall = stalls_->longest(each->index());
        }
        all += all.per_worker.back();
    }
    all.tasks_spawned += spawned_outside_.load(std::memory_order_relaxed);
    all.live_tasks = live_task_count();
    all.live_frames = live_frames();
    const auto injection = injection_.count();
    all.injected = injection.pushed_total;
    all.injection_queue_length = injection.length;
    const auto pool = buffers_.metrics();
    all.pool_leases_out = pool.buffers_leased;
    all.buffer_pool_bytes = pool.bytes_reserved;
    const auto both = pools();
    all.blocking_pool = read_pool(both.user, config_.blocking_threads_max);
    all.file_pool = read_pool(both.files, config_.file_threads_max);
    all.blocking_threads = all.blocking_pool.threads;
    all.file_threads = all.file_pool.threads;
    all.backend = backend_->name();
    return all;
}

} // namespace blitzio::detail
