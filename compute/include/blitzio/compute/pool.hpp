// The compute pool: threads for work that uses the processor, on oneTBB.
// Thread rule: enqueue() and the questions from any thread; construction, move and destruction by
// one owner, while nobody uses the pool.
#pragma once

#include <blitzio/io/result.hpp>

#include <cstddef>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

namespace blitzio::compute
{

/// The most threads that all pools of a process can have together on an ordinary machine; oneTBB
/// creates no more. With more than 64 processors it is four per processor.
inline constexpr unsigned threads_max = 255;

struct pool_config
{
    /// 0: as many as the affinity mask and the cgroup quota allow.
    unsigned threads = 0;
    /// Prefix of the threads' names. The system shows 15 characters, the number included.
    std::string name = "compute";
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
    void (*run)(job* self) noexcept = nullptr;
};

namespace detail
{
class pool_core;
struct job_times;
} // namespace detail

/// N threads that really run at the same time, whatever the number of processors.
///
/// Jobs start in about the order in which they were enqueued. A job may block, at the price of the
/// thread it occupies; it must not wait for a job of the same pool that has not started. Parallel
/// algorithms of oneTBB inside a job use the pool's other threads.
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

    /// Processors that the process could use when the pool was created. With a single one, waiting
    /// for a job without giving way to its thread is pointless.
    [[nodiscard]] unsigned processors() const noexcept;

    /// Jobs that were enqueued and have not ended; exact only while nobody enqueues.
    [[nodiscard]] std::size_t pending() const noexcept;

    /// True when the calling thread is one of this pool's.
    [[nodiscard]] bool owns_current_thread() const noexcept;

    /// Has `work.run` called once on a thread of the pool. Never blocks. On failure
    /// (no_such_process after fork, not_enough_memory) `work` is not called.
    [[nodiscard]] result<void> enqueue(job& work) noexcept;

    /// For the bridge: what was measured of its jobs.
    [[nodiscard]] detail::job_times& times() noexcept;

private:
    explicit pool(std::unique_ptr<detail::pool_core> core) noexcept;

    std::unique_ptr<detail::pool_core> core_;
};

/// The process's pool, created with the default configuration when it is first asked for; it lives
/// until the process ends. Throws std::system_error when it cannot be created.
[[nodiscard]] pool& default_pool();

/// The same without exceptions; the error is also what enqueue() says after fork().
[[nodiscard]] result<pool*> find_default_pool() noexcept;

} // namespace blitzio::compute
