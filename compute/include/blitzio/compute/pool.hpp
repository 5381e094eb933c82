// The compute pool: threads for work that uses the processor, on oneTBB.
// Thread rule: enqueue() and the questions from any thread; construction, move and destruction by
// one owner, while nobody uses the pool.
#pragma once

#include <blitzio/io/detail/runnable.hpp>
#include <blitzio/io/result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

namespace blitzio::compute
{

/// The most threads that all pools of a process can have together on an ordinary machine; a guard
/// against mistyped numbers. With more than 64 processors it is four per processor.
inline constexpr unsigned threads_max = 255;

/// Which pool gets the processor when several want the same one. It is a difference in nice value,
/// so a low pool is slowed down, never starved.
enum class pool_priority : std::uint8_t
{
    low,
    normal,
    high
};

/// Where the threads may run; what is 0 or negative as it is by default restricts nothing.
struct pool_constraints
{
    /// One of tbb::info::numa_nodes().
    int numa_node = -1;
    /// One of tbb::info::core_types(), which begin with the slowest.
    int core_type = -1;
    /// At most so many hardware threads of each core.
    int max_threads_per_core = 0;
};

/// Whether computations give way to I/O on the processors that both use: the pool's threads raise
/// their nice value, and in a cgroup with a CPU quota they leave the last of it to the I/O workers.
enum class courtesy : std::uint8_t
{
    /// On wherever the system lets it have an effect.
    automatic,
    on,
    off
};

struct pool_config
{
    /// 0: as many as the affinity mask, the cgroup quota and the constraints allow.
    unsigned threads = 0;
    /// Prefix of the threads' names. The system shows 15 characters, the number included.
    std::string name = "compute";
    pool_priority priority = pool_priority::normal;
    pool_constraints constraints{};
    courtesy give_way = courtesy::automatic;
    /// How long a thread without a job stays awake, where staying awake has paid lately, before it sleeps: being woken
    /// on another processor costs 5 to 25 us. A task that awaits a job waits awake for up to 3 us then, too, when its
    /// worker has nothing else to do. 0: nobody does, at no cost in processor time beyond the work itself. At most 10 ms.
    /// With a single usable processor nobody does anyhow.
    std::chrono::nanoseconds idle_spin = std::chrono::microseconds(30);
    /// Called on each thread of the pool, before its first and after its last job, with a number
    /// below threads(). Must not throw.
    std::function<void(unsigned index)> on_thread_start{};
    std::function<void(unsigned index)> on_thread_stop{};
};

/// Why a pool cannot be created: the field that is to blame, what was given, and a code.
struct pool_error
{
    std::string field;
    std::string message;
    std::error_code code;
};

/// Checks every field; the error names the first that cannot be used.
[[nodiscard]] std::expected<void, pool_error> validate(const pool_config& config);

/// One piece of work. It belongs to whoever enqueues it and stays in place until `run` was called;
/// the pool does not touch it from the moment `run` is called, so `run` may end its life.
struct job
{
    /// For the pool's queue; nothing of it is the owner's business.
    blitzio::detail::runnable link{};
    void (*run)(job* self) noexcept = nullptr;
};

/// What a pool has done so far and does now; each figure by itself is right, together they are a
/// moment apart.
struct pool_metrics
{
    unsigned threads = 0;
    /// Threads that run a job, and threads that sleep.
    unsigned busy = 0;
    unsigned sleeping = 0;
    /// Jobs that were enqueued and have not begun.
    std::size_t waiting = 0;
    std::uint64_t jobs_completed = 0;
    /// Sleeping threads that were woken for a job, and jobs that met a thread still awake.
    std::uint64_t wakes = 0;
    std::uint64_t spins_won = 0;
    std::uint64_t spins_lost = 0;
    /// How often, and for how long in all, this process's pools have waited between jobs or chunks
    /// to leave the rest of the CPU quota to I/O.
    std::uint64_t leases_returned = 0;
    std::chrono::nanoseconds leases_returned_for{0};
};

namespace detail
{
class pool_core;
struct job_times;
struct pool_access;
} // namespace detail

/// N threads that really run at the same time, whatever the number of processors, and whatever the
/// host program allows oneTBB: they are the pool's own, and they live in an arena of oneTBB's.
///
/// Jobs start in the order in which they were enqueued. A job may block, at the price of the thread
/// it occupies; it must not wait for a job of the same pool that has not started. Parallel
/// algorithms of oneTBB inside a job use the pool's idle threads, and are isolated: while a job
/// waits for its own parallel parts, its thread takes up nothing else.
/// The destructor waits for every job that was enqueued. It must not run on one of the pool's own
/// threads.
/// Errors: after fork() the threads do not exist in the child; there enqueue() and the creation of
/// further pools fail with no_such_process instead of waiting for ever.
class pool
{
public:
    /// Throws std::system_error when `config` cannot be used; the text names the field.
    explicit pool(pool_config config = {});
    /// The same without exceptions.
    [[nodiscard]] static std::expected<pool, pool_error> create(pool_config config);

    pool(pool&&) noexcept;
    pool& operator=(pool&&) noexcept;
    ~pool();

    [[nodiscard]] unsigned threads() const noexcept;
    [[nodiscard]] std::string_view name() const noexcept;

    /// What pool_config::idle_spin has come to: 0 with a single usable processor, where waiting awake only keeps
    /// from running who is waited for.
    [[nodiscard]] std::chrono::nanoseconds idle_spin() const noexcept;

    /// Jobs that were enqueued and have not ended; exact only while nobody enqueues.
    [[nodiscard]] std::size_t pending() const noexcept;

    /// Whether a job that was enqueued now would begin at once; a guess while others enqueue.
    [[nodiscard]] bool has_idle_thread() const noexcept;

    /// True when the calling thread is one of this pool's.
    [[nodiscard]] bool owns_current_thread() const noexcept;

    /// Has `work.run` called once on a thread of the pool. Never blocks. On failure
    /// (no_such_process after fork, not_enough_memory) `work` is not called.
    [[nodiscard]] result<void> enqueue(job& work) noexcept;

    /// How many threads there are and why, what they were told about giving way to I/O and whether
    /// the system agreed; lines of text for people.
    [[nodiscard]] std::string explain() const;

    [[nodiscard]] pool_metrics metrics() const noexcept;

    /// For the bridge: what was measured of its jobs.
    [[nodiscard]] detail::job_times& times() noexcept;

private:
    friend struct detail::pool_access;
    explicit pool(std::unique_ptr<detail::pool_core> core) noexcept;

    std::unique_ptr<detail::pool_core> core_;
};

/// The process's pool, created with the default configuration when it is first asked for; it lives
/// until the process ends. Throws std::system_error when it cannot be created.
[[nodiscard]] pool& default_pool();

/// The same without exceptions; the error is also what enqueue() says after fork().
[[nodiscard]] result<pool*> find_default_pool() noexcept;

} // namespace blitzio::compute
