// Sums of counters, and their text for Prometheus. Thread rule: plain values.
#include <blitzio/io/metrics.hpp>

#include <algorithm>
#include <charconv>
#include <concepts>
#include <functional>
#include <utility>

namespace blitzio
{

std::uint64_t latency_histogram::count() const noexcept
{
    std::uint64_t total = 0;
    for (const auto each : counts)
    {
        total += each;
    }
    return total;
}

std::chrono::nanoseconds latency_histogram::quantile(double part) const noexcept
{
    const std::uint64_t total = count();
    if (total == 0)
    {
        return {};
    }
    std::uint64_t seen = 0;
    for (std::size_t index = 0; index + 1 < bucket_count; ++index)
    {
        seen += counts[index];
        if (static_cast<double>(seen) >= part * static_cast<double>(total))
        {
            return bound(index);
        }
    }
    return std::chrono::nanoseconds::max();
}

latency_histogram& latency_histogram::operator+=(const latency_histogram& other) noexcept
{
    for (std::size_t index = 0; index < bucket_count; ++index)
    {
        counts[index] += other.counts[index];
    }
    sum += other.sum;
    return *this;
}

worker_metrics& worker_metrics::operator+=(const worker_metrics& other) noexcept
{
    tasks_run += other.tasks_run;
    tasks_spawned += other.tasks_spawned;
    tasks_finished += other.tasks_finished;
    steals += other.steals;
    parks += other.parks;
    wake_ups += other.wake_ups;
    operations_submitted += other.operations_submitted;
    operations_completed += other.operations_completed;
    operations_in_flight += other.operations_in_flight;
    driver_entries += other.driver_entries;
    timers_armed += other.timers_armed;
    timers_fired += other.timers_fired;
    leases += other.leases;
    leases_out += other.leases_out;
    leases_from_pool += other.leases_from_pool;
    lease_refusals += other.lease_refusals;
    provided_buffer_misses += other.provided_buffer_misses;
    registered_files += other.registered_files;
    stalls += other.stalls;
    longest_stall = std::max(longest_stall, other.longest_stall);
    scheduling_delay += other.scheduling_delay;
    return *this;
}

namespace
{

/// Writes families of samples in the text exposition format.
class exposition
{
public:
    explicit exposition(std::string_view prefix) : prefix_(prefix) {}

    void family(std::string_view name, std::string_view type, std::string_view help)
    {
        name_ = std::string(prefix_) + '_' + std::string(name);
        text_ += "# HELP " + name_ + ' ' + std::string(help) + '\n';
        text_ += "# TYPE " + name_ + ' ' + std::string(type) + '\n';
    }

    template <class Number>
    void sample(Number value, std::string_view labels = {}, std::string_view suffix = {})
    {
        text_ += name_;
        text_ += suffix;
        if (!labels.empty())
        {
            text_ += '{';
            text_ += labels;
            text_ += '}';
        }
        text_ += ' ' + number(value) + '\n';
    }

    void histogram(const latency_histogram& times, const std::string& labels)
    {
        std::uint64_t below = 0;
        for (std::size_t index = 0; index < latency_histogram::bucket_count; ++index)
        {
            below += times.counts[index];
            const bool last = index + 1 == latency_histogram::bucket_count;
            const std::string bound =
                last ? "+Inf" : number(seconds(latency_histogram::bound(index)));
            sample(below, labels + ",le=\"" + bound + '"', "_bucket");
        }
        sample(seconds(times.sum), labels, "_sum");
        sample(below, labels, "_count");
    }

    [[nodiscard]] std::string take() noexcept
    {
        return std::move(text_);
    }

private:
    static double seconds(std::chrono::nanoseconds time) noexcept
    {
        return static_cast<double>(time.count()) * 1e-9;
    }

    /// Without the locale, which may have a comma for the point.
    static std::string number(double value)
    {
        char buffer[64];
        const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
        return {buffer, end};
    }
    template <std::integral Integer>
    static std::string number(Integer value)
    {
        return std::to_string(value);
    }

    std::string_view prefix_;
    std::string name_;
    std::string text_;
};

struct worker_family
{
    std::string_view name;
    std::string_view type;
    std::string_view help;
    std::uint64_t worker_metrics::* value;
};

constexpr std::array<worker_family, 19> worker_families{{
    {"runnables_run_total", "counter", "First runs and continuations of tasks.",
     &worker_metrics::tasks_run},
    {"tasks_spawned_total", "counter", "Tasks started.", &worker_metrics::tasks_spawned},
    {"tasks_finished_total", "counter", "Tasks that have ended.", &worker_metrics::tasks_finished},
    {"steals_total", "counter", "Batches taken from other workers.", &worker_metrics::steals},
    {"parks_total", "counter", "Times a worker went to sleep.", &worker_metrics::parks},
    {"wake_ups_total", "counter", "Sleeps that a wake-up ended.", &worker_metrics::wake_ups},
    {"operations_submitted_total", "counter", "Operations given to the driver.",
     &worker_metrics::operations_submitted},
    {"operations_completed_total", "counter", "Operations that have ended.",
     &worker_metrics::operations_completed},
    {"operations_in_flight", "gauge", "Operations that the driver holds.",
     &worker_metrics::operations_in_flight},
    {"driver_entries_total", "counter", "System calls of the driver.",
     &worker_metrics::driver_entries},
    {"timers_armed", "gauge", "Timers that wait.", &worker_metrics::timers_armed},
    {"timers_fired_total", "counter", "Timers whose time has come.", &worker_metrics::timers_fired},
    {"leases_total", "counter", "Leased reads that have given data.", &worker_metrics::leases},
    {"leases_out", "gauge", "Buffers of workers on loan.", &worker_metrics::leases_out},
    {"leases_from_pool_total", "counter", "Leases beyond a worker's own buffers.",
     &worker_metrics::leases_from_pool},
    {"lease_refusals_total", "counter", "Leased reads that failed for want of a buffer.",
     &worker_metrics::lease_refusals},
    {"provided_buffer_misses_total", "counter", "Reads for which the kernel had no buffer.",
     &worker_metrics::provided_buffer_misses},
    {"registered_files", "gauge", "Descriptors that the ring keeps.",
     &worker_metrics::registered_files},
    {"stalls_total", "counter", "Tasks that have held a worker for too long.",
     &worker_metrics::stalls},
}};

std::string worker_label(std::size_t index)
{
    return "worker=\"" + std::to_string(index) + '"';
}

void write_pools(exposition& out, const pool_metrics& blocking, const pool_metrics& files)
{
    const auto both = [&](std::string_view name, std::string_view type, std::string_view help,
                          auto member) {
        out.family(name, type, help);
        out.sample(std::invoke(member, blocking), "pool=\"blocking\"");
        out.sample(std::invoke(member, files), "pool=\"file\"");
    };
    both("pool_threads", "gauge", "Threads for calls that block.", &pool_metrics::threads);
    both("pool_idle_threads", "gauge", "Threads of them without work.",
         &pool_metrics::idle_threads);
    both("pool_threads_max", "gauge", "The most that there may be.", &pool_metrics::threads_max);
    both("pool_queue_length", "gauge", "Calls that wait for a thread.", &pool_metrics::queued);
    both("pool_completed_total", "counter", "Calls that have ended.", &pool_metrics::completed);
    both("pool_thread_start_failures_total", "counter", "Threads that could not be started.",
         &pool_metrics::thread_start_failures);
    both("pool_threads_started_total", "counter", "Threads that were started.",
         &pool_metrics::threads_started);
    both("pool_refused_total", "counter", "Calls refused because too many waited.",
         &pool_metrics::refused);
    out.family("pool_queue_wait_seconds", "histogram",
               "How long calls have waited for a thread, sampled.");
    out.histogram(blocking.queue_wait, "pool=\"blocking\"");
    out.histogram(files.queue_wait, "pool=\"file\"");
}

} // namespace

std::string runtime_metrics::to_prometheus(std::string_view prefix) const
{
    exposition out(prefix);
    out.family("info", "gauge", "The backend in use.");
    out.sample(1, "backend=\"" + std::string(backend) + '"');
    out.family("workers", "gauge", "Worker threads.");
    out.sample(workers);
    out.family("tasks_live", "gauge", "Tasks that have not ended.");
    out.sample(live_tasks);
    out.family("frames_live", "gauge", "Coroutine frames and task cells of the process.");
    out.sample(live_frames);
    out.family("injected_total", "counter", "Runnables through the shared queue.");
    out.sample(injected);
    out.family("injection_queue_length", "gauge", "Runnables in the shared queue.");
    out.sample(injection_queue_length);
    out.family("pool_leases_out", "gauge", "Buffers of the runtime's pool on loan.");
    out.sample(pool_leases_out);
    out.family("buffer_pool_bytes", "gauge", "Memory of the runtime's buffer pool.");
    out.sample(buffer_pool_bytes);
    for (const auto& each : worker_families)
    {
        out.family(each.name, each.type, each.help);
        for (std::size_t index = 0; index < per_worker.size(); ++index)
        {
            out.sample(per_worker[index].*each.value, worker_label(index));
        }
    }
    out.family("longest_stall_seconds", "gauge", "The longest of those tasks.");
    for (std::size_t index = 0; index < per_worker.size(); ++index)
    {
        out.sample(static_cast<double>(per_worker[index].longest_stall.count()) * 1e-9,
                   worker_label(index));
    }
    out.family("scheduling_delay_seconds", "histogram",
               "How long the end of a worker's queue waits, sampled.");
    for (std::size_t index = 0; index < per_worker.size(); ++index)
    {
        out.histogram(per_worker[index].scheduling_delay, worker_label(index));
    }
    write_pools(out, blocking_pool, file_pool);
    return out.take();
}

} // namespace blitzio
