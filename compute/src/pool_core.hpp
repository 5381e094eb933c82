// What a pool consists of, whoever owns its threads.
// Thread rule: enqueue() and the questions from any thread; construction and destruction by one.
#pragma once

#include <blitzio/compute/detail/job_times.hpp>
#include <blitzio/compute/pool.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace blitzio::compute::detail
{

class pool_core
{
public:
    pool_core(unsigned threads, std::string name, std::uint32_t generation,
              std::chrono::nanoseconds idle_spin);
    /// Waits for every job. What derives from this calls refuse_own_thread() first.
    virtual ~pool_core() = default;
    pool_core(const pool_core&) = delete;
    pool_core& operator=(const pool_core&) = delete;

    [[nodiscard]] result<void> enqueue(job& work) noexcept;
    [[nodiscard]] virtual std::size_t pending() const noexcept = 0;
    [[nodiscard]] virtual bool has_idle_thread() const noexcept = 0;
    [[nodiscard]] virtual std::string explain() const = 0;
    [[nodiscard]] virtual pool_metrics metrics() const noexcept = 0;

    /// See detail/suspension.hpp. For pools whose jobs are tasks of their arena nothing is to do.
    virtual void begin_suspension() noexcept {}
    virtual void end_suspension() noexcept {}

    [[nodiscard]] unsigned threads() const noexcept
    {
        return threads_;
    }

    [[nodiscard]] unsigned processors() const noexcept
    {
        return processors_;
    }

    [[nodiscard]] std::chrono::nanoseconds idle_spin() const noexcept
    {
        return idle_spin_;
    }

    [[nodiscard]] const std::string& name() const noexcept
    {
        return name_;
    }

    [[nodiscard]] bool forked_away() const noexcept;

    [[nodiscard]] job_times& times() noexcept
    {
        return times_;
    }

protected:
    /// False: no memory, and the job will never run.
    [[nodiscard]] virtual bool start(job& work) noexcept = 0;
    /// Calls the job in isolation: while it waits inside of oneTBB, this thread takes up nothing
    /// that does not belong to it.
    static void call(job& work) noexcept;
    /// A pool cannot wait for the job that destroys it.
    void refuse_own_thread() const noexcept;

private:
    unsigned threads_;
    unsigned processors_;
    std::chrono::nanoseconds idle_spin_;
    std::string name_;
    std::uint32_t generation_;
    job_times times_;
};

/// The pool whose thread this is, or null.
[[nodiscard]] const pool_core* current_pool() noexcept;
/// Returns what it was before.
const pool_core* set_current_pool(const pool_core* core) noexcept;

/// What pool_config::idle_spin may be at most: a thread that spins for longer should not have slept at all.
inline constexpr std::chrono::nanoseconds idle_spin_max{10'000'000};

/// Makes pools of cores.
struct pool_access
{
    [[nodiscard]] static pool make(std::unique_ptr<pool_core> core) noexcept;
    /// The number of this process, or why pools are refused in it.
    [[nodiscard]] static std::expected<std::uint32_t, pool_error> begin();
    [[nodiscard]] static std::expected<void, pool_error> check_name(const std::string& name);
};

} // namespace blitzio::compute::detail
