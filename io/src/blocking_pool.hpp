// An elastic pool of threads for calls that block. The runtime has two: one for users
// (spawn_blocking), one for files, so that neither starves the other; neither is the compute pool.
// Thread rule: every member may be called from any thread; shutdown() from one.
#pragma once

#include <blitzio/io/detail/runnable.hpp>
#include <blitzio/io/metrics.hpp>
#include <blitzio/io/result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace blitzio::detail
{

class blocking_pool
{
public:
    struct options
    {
        unsigned threads_max = 512;
        /// Up to so many, a job for which there is no idle thread gets one of its own at once. 0:
        /// chosen by the number of processors.
        unsigned threads_prompt = 0;
        /// Beyond that, threads are added when a job has waited for so long.
        std::chrono::microseconds grow_delay{500};
        std::chrono::milliseconds keep_alive{10'000};
        /// Jobs waiting for a thread; beyond it submit() fails with io_errc::pool_queue_full.
        std::size_t queue_length_max = 1'000'000;
        /// Prefix of the threads' names.
        std::string name = "blocking";
        /// 0: the system's default.
        std::size_t stack_bytes = 0;
    };

    struct statistics
    {
        unsigned threads = 0;
        unsigned idle_threads = 0;
        std::size_t queued = 0;
        std::uint64_t completed = 0;
        std::uint64_t thread_start_failures = 0;
        std::uint64_t threads_started = 0;
        /// Jobs for which the queue was too long.
        std::uint64_t refused = 0;
        /// How long jobs have waited for a thread; of one in eight, or of one at a time while they
        /// queue.
        latency_histogram queue_wait;
    };

    explicit blocking_pool(options configuration);
    ~blocking_pool();
    blocking_pool(const blocking_pool&) = delete;
    blocking_pool& operator=(const blocking_pool&) = delete;

    /// Queues `job`; its run function is called once on a pool thread. Fails with
    /// io_errc::shutting_down, io_errc::pool_queue_full, or the reason why not even one thread could
    /// be started. With at least one thread alive a failed thread start only means waiting longer.
    [[nodiscard]] result<void> submit(runnable& job);

    /// True: the job was still waiting and will never run.
    [[nodiscard]] bool try_remove(runnable& job) noexcept;

    /// Takes no new jobs, runs the queued ones, joins the threads. Idempotent.
    void shutdown() noexcept;

    [[nodiscard]] statistics snapshot() const noexcept;

private:
    class implementation;
    std::unique_ptr<implementation> implementation_;
};

} // namespace blitzio::detail
