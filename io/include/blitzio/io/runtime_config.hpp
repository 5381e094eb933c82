// How a runtime is set up. Thread rule: plain values.
#pragma once

#include <blitzio/io/stall_report.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>

namespace blitzio
{

/// What carries out the operations.
enum class backend_choice : std::uint8_t
{
    /// io_uring when the kernel has it and allows it, otherwise epoll. The environment variable
    /// BLITZIO_BACKEND (io_uring, epoll) decides instead, if it is set.
    automatic,
    io_uring,
    epoll,
    /// A simulated world on one thread, with virtual time, decided by a seed. For tests.
    sim,
};

/// How the workers share the tasks.
enum class scheduling_strategy : std::uint8_t
{
    /// work_stealing.
    automatic,
    /// A task stays on the worker that spawned it, unless it comes back from another thread (a pool,
    /// a thread of the program): then any worker may take it. Workers pay nothing for each other.
    thread_per_core,
    /// A worker without work takes half of another one's.
    work_stealing,
    /// One worker and no thread for it: tasks run on the program's thread, while that is inside of
    /// block_on(), run() or run_ready(); see runtime. For one worker with a thread of its own, set
    /// io_threads to 1 with any other strategy.
    single_threaded,
};

/// On which processors the workers run.
enum class affinity_choice : std::uint8_t
{
    /// sequential with thread_per_core when there are as many workers as processors, otherwise none.
    automatic,
    /// Wherever the system puts them.
    none,
    /// The first worker on the first processor that the process may use, the second on the second,
    /// and so on, from the first again when there are more workers.
    sequential,
};

/// A setting that cannot be used: which one, what was given, and why not.
struct config_error
{
    std::string field;
    std::string message;
    std::error_code code;
};

/// "auto", "io_uring", "epoll" or "sim"; anything else is an error that names the text.
[[nodiscard]] std::expected<backend_choice, config_error> parse_backend(std::string_view text);
[[nodiscard]] std::string_view to_string(backend_choice choice) noexcept;

/// What a simulated runtime does by chance, decided by `seed` alone.
struct simulation_config
{
    std::uint64_t seed = 1;
    /// Short reads and writes, delays, late cancels: all that a kernel may legally do.
    bool faults = true;
    /// The longest virtual time that an operation takes.
    std::chrono::nanoseconds delay_max = std::chrono::milliseconds(5);
    /// False: compute and blocking jobs run on the simulation's thread at a virtual time that the
    /// seed decides, so a run can be repeated. True: they run on their real pools; virtual time
    /// stands still until they have ended, and the order in which they end is not the seed's.
    bool real_pools = false;
    /// Descriptors that the simulated process may have open.
    std::size_t descriptor_limit = 1024;
};

struct runtime_config
{
    /// Worker threads; 0: as many as the affinity mask and the cgroup quota allow.
    unsigned io_threads = 0;
    /// Prefix of the threads' names and of messages.
    std::string name = "blitzio";
    backend_choice backend = backend_choice::automatic;
    /// single_threaded goes with io_threads 0 or 1, and has no affinity.
    scheduling_strategy strategy = scheduling_strategy::automatic;
    affinity_choice affinity = affinity_choice::automatic;
    /// Submission entries of each worker's ring, a power of two; 0: chosen by the library.
    unsigned ring_entries = 0;
    /// Threads that spawn_blocking may use.
    unsigned blocking_threads_max = 512;
    /// Calls that may wait for a thread in each of the two pools; beyond it io_errc::pool_queue_full
    /// (files: resource_unavailable_try_again).
    std::size_t blocking_queue_max = 1'000'000;
    /// Threads for file operations that the backend cannot do without blocking.
    unsigned file_threads_max = 64;
    /// Memory of the pool that lease_buffer() takes from, and that leased reads fall back to.
    std::size_t buffer_pool_bytes_max = std::size_t{64} << 20;
    /// Leased reads: bytes that one gives at the most, and buffers of each worker (a power of two).
    /// Memory is used for as many as are out at the same time. 0: chosen by the library.
    std::size_t read_buffer_bytes = 0;
    unsigned read_buffers_max = 0;
    /// Descriptors that each worker's ring keeps a reference to, so that operations on sockets and
    /// files that are used often spare the kernel a look-up (some 50 ns each); 0: none. Only io_uring
    /// has it. With it, whoever closes a descriptor that the runtime has used does so through the
    /// runtime's types: after a plain ::close() the connection would stay open, and its number could
    /// be taken for the next descriptor's. A socket that several workers have used is only really
    /// closed when each of them has had a turn.
    unsigned registered_files_max = 0;
    /// How long an idle thread of either pool stays.
    std::chrono::milliseconds blocking_keep_alive{10'000};
    /// Timers that may be armed at once on one worker; 0: no limit.
    std::size_t timers_max = 0;
    /// Stack of the workers' threads; 0: the system's default.
    std::size_t thread_stack_bytes = 0;
    /// A task that keeps its worker from everything else for longer than this is reported: where it
    /// was spawned, where it is, and what to do about it. 0: nobody watches. It costs the workers
    /// nothing; a thread looks at their counters some times per threshold, and sleeps while they do.
    /// What the system, not the task, keeps from running is not reported. Nothing is reported of
    /// simulations and of single_threaded.
    /// For the stack the worker's thread is interrupted by SIGURG, once per report; a handler for it is
    /// installed with the first one, unless the program has its own: then there is no stack. Calls
    /// that a signal ends early even with SA_RESTART (nanosleep, poll) give EINTR.
    std::chrono::milliseconds stall_threshold{50};
    /// Called with each such report, on the thread that watches; must not throw. Null: print to
    /// stderr, once a second at the most.
    std::function<void(const stall_report&)> on_stall{};
    simulation_config simulation{};
    /// Called with an exception that nobody can observe any more and where its task was spawned.
    /// Null: print both and terminate.
    void (*on_unobserved_exception)(std::exception_ptr, std::string_view spawned_at) = nullptr;
};

/// Checks every field; the error names the first that cannot be used.
[[nodiscard]] std::expected<void, config_error> validate(const runtime_config& config);

} // namespace blitzio
