// Figures about a running runtime, and their text for Prometheus.
// Thread rule: plain values; runtime::metrics() makes them on any thread.
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace blitzio
{

/// How often a time fell between two powers of two of microseconds.
struct latency_histogram
{
    /// The last one has no upper bound; the one before ends at a second (2^20 us).
    static constexpr std::size_t bucket_count = 22;

    /// counts[i]: times above bound(i - 1), up to and including bound(i).
    std::array<std::uint64_t, bucket_count> counts{};
    std::chrono::nanoseconds sum{};

    /// 2^index us. Not for the last bucket.
    [[nodiscard]] static constexpr std::chrono::nanoseconds bound(std::size_t index) noexcept
    {
        return std::chrono::microseconds(std::int64_t{1} << index);
    }

    [[nodiscard]] static constexpr std::size_t bucket_of(std::chrono::nanoseconds time) noexcept
    {
        const std::int64_t microseconds = time.count() / 1000 + (time.count() % 1000 > 0 ? 1 : 0);
        if (microseconds <= 1)
        {
            return 0;
        }
        const auto width = std::bit_width(static_cast<std::uint64_t>(microseconds - 1));
        return static_cast<std::size_t>(width) < bucket_count ? static_cast<std::size_t>(width)
                                                              : bucket_count - 1;
    }

    [[nodiscard]] std::uint64_t count() const noexcept;

    /// A bound that `part` (0 to 1) of all times did not exceed; the longest representable time if
    /// that lies in the last bucket, 0 if there is none.
    [[nodiscard]] std::chrono::nanoseconds quantile(double part) const noexcept;

    latency_histogram& operator+=(const latency_histogram& other) noexcept;
};

/// What one worker has done since the start.
struct worker_metrics
{
    /// Runnables it ran: first runs and continuations.
    std::uint64_t tasks_run = 0;
    std::uint64_t tasks_spawned = 0;
    std::uint64_t tasks_finished = 0;
    /// Batches it took from others.
    std::uint64_t steals = 0;
    /// Times it went to sleep, and how often a wake-up ended that instead of a completion or a timer.
    std::uint64_t parks = 0;
    std::uint64_t wake_ups = 0;
    std::uint64_t operations_submitted = 0;
    std::uint64_t operations_completed = 0;
    std::uint64_t operations_in_flight = 0;
    /// Times it entered the kernel for its driver.
    std::uint64_t driver_entries = 0;
    std::uint64_t timers_armed = 0;
    std::uint64_t timers_fired = 0;
    /// Leased reads that have given data, and the buffers of the worker that are on loan for them
    /// (those that other threads have given back count until the worker needs them).
    std::uint64_t leases = 0;
    std::uint64_t leases_out = 0;
    /// Leases for which the worker's own buffers were used up, and reads that failed for want of any.
    std::uint64_t leases_from_pool = 0;
    std::uint64_t lease_refusals = 0;
    /// Reads for which the kernel had no provided buffer left; they were repeated by hand.
    std::uint64_t provided_buffer_misses = 0;
    /// Descriptors that the worker's ring keeps; see runtime_config::registered_files_max.
    std::uint64_t registered_files = 0;
    /// Tasks that have held it for longer than runtime_config::stall_threshold, and the longest of
    /// them. A sum over workers has the longest of all.
    std::uint64_t stalls = 0;
    std::chrono::nanoseconds longest_stall{};
    /// How long what is put at the end of its queue waits until it runs; measured once a millisecond
    /// at the most, and only while there is a queue.
    latency_histogram scheduling_delay;

    worker_metrics& operator+=(const worker_metrics& other) noexcept;
};

/// One of the pools for calls that block.
struct pool_metrics
{
    unsigned threads = 0;
    unsigned idle_threads = 0;
    unsigned threads_max = 0;
    /// Jobs that wait for a thread.
    std::size_t queued = 0;
    std::uint64_t completed = 0;
    std::uint64_t thread_start_failures = 0;
    std::uint64_t threads_started = 0;
    /// Jobs that were refused because too many waited.
    std::uint64_t refused = 0;
    /// How long jobs have waited for a thread; sampled.
    latency_histogram queue_wait;
};

/// Counters of a runtime, each from its own moment; they agree with each other only while nothing
/// runs. The totals of the base are the sums over all workers.
struct runtime_metrics : worker_metrics
{
    unsigned workers = 0;
    /// Tasks that have not ended; those of a scope from their first await on.
    std::size_t live_tasks = 0;
    /// Coroutine frames and cells of the whole process.
    std::int64_t live_frames = 0;
    /// Runnables that came from outside of the workers, or did not fit their queues.
    std::uint64_t injected = 0;
    std::size_t injection_queue_length = 0;
    /// Threads of the pools, as in the two below.
    unsigned blocking_threads = 0;
    unsigned file_threads = 0;
    /// Buffers of the runtime's pool that are on loan, and memory that it has taken for them.
    std::uint64_t pool_leases_out = 0;
    std::uint64_t buffer_pool_bytes = 0;
    pool_metrics blocking_pool;
    pool_metrics file_pool;
    std::string_view backend;
    std::vector<worker_metrics> per_worker;

    /// The text exposition format, version 0.0.4. Each name begins with `prefix` and an underscore;
    /// `prefix` is [a-zA-Z_][a-zA-Z0-9_]*.
    [[nodiscard]] std::string to_prometheus(std::string_view prefix = "blitzio") const;
};

} // namespace blitzio
