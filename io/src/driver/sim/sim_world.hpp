// A simulated world: virtual time, descriptors, a loopback network, files in memory, and the
// operations that its drivers have in flight. One seed decides everything that is open.
// Thread rule: one thread for the world and all of its drivers; clock().now() and a driver's wake()
// may be called from any thread.
#pragma once

#include "driver/sim/descriptor_table.hpp"
#include "driver/sim/event_queue.hpp"
#include "driver/sim/sim_options.hpp"

#include <blitzio/io/detail/clock.hpp>
#include <blitzio/io/detail/op.hpp>
#include <blitzio/io/detail/runnable.hpp>
#include <blitzio/io/detail/system.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace blitzio::detail
{

class sim_driver;

namespace sim
{
class file_tree;
class network;
class sim_system;
} // namespace sim

/// Virtual time: moves only when the simulation says so.
class sim_clock final : public clock_source
{
public:
    explicit sim_clock(std::chrono::nanoseconds start) noexcept : now_(start.count()) {}

    [[nodiscard]] std::chrono::nanoseconds now() const noexcept override
    {
        return std::chrono::nanoseconds(now_.load(std::memory_order_relaxed));
    }

    void set(std::chrono::nanoseconds now) noexcept
    {
        now_.store(now.count(), std::memory_order_relaxed);
    }

private:
    // Atomic so that a stray thread reads a whole value; it orders nothing.
    std::atomic<std::int64_t> now_;
};

class sim_world
{
public:
    explicit sim_world(const sim_options& options);
    ~sim_world();
    sim_world(const sim_world&) = delete;
    sim_world& operator=(const sim_world&) = delete;

    // For the simulation's loop: let workers whose driver_has_ready() run; when there is none,
    // advance_to() the earlier of next_event() and the next timer.

    /// The earliest time at which something happens. An event need not complete an operation (a
    /// segment arrives, a handshake goes on). now() when a driver has completions to hand out;
    /// nothing when only a submission, a job or a cancel request could make anything happen.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> next_event() const;
    /// Lets everything up to and including `time` happen, each event at its own time, then makes
    /// it `time`. Jobs run in here. A time in the past only runs what is due now.
    void advance_to(std::chrono::nanoseconds time);
    /// True when wait() of that worker's driver would return at once: completions, a wake-up, or
    /// submissions that were not handed over yet.
    [[nodiscard]] bool driver_has_ready(unsigned worker_index) const;
    /// Runs `job` inside advance_to() once virtual time reaches `at`.
    void add_job(runnable& job, std::chrono::nanoseconds at);
    /// True: `job` was still waiting and will not run.
    bool remove_job(runnable& job);
    /// Switches faults off (or on again) while the world runs: whatever is pending then has to
    /// finish in a bounded virtual time.
    void set_faults(bool enabled);

    [[nodiscard]] std::chrono::nanoseconds now() const noexcept
    {
        return clock_.now();
    }
    [[nodiscard]] clock_source& clock() noexcept
    {
        return clock_;
    }
    /// The world's own source; the scheduler may draw from it as well.
    [[nodiscard]] random_source& random() noexcept
    {
        return random_;
    }
    [[nodiscard]] const sim_options& options() const noexcept
    {
        return options_;
    }
    /// Covers every completion: when, on which worker, what kind, which descriptor, what result.
    [[nodiscard]] std::uint64_t trace_hash() const noexcept
    {
        return trace_hash_;
    }
    [[nodiscard]] const sim_statistics& statistics() const noexcept
    {
        return statistics_;
    }
    [[nodiscard]] std::size_t open_descriptors() const noexcept;

    /// Called when the program under test breaks a rule of the driver interface; without a handler
    /// the message goes to stderr and the process aborts.
    void set_violation_handler(std::function<void(std::string_view)> handler);

    /// To put files there before a run and to look at them afterwards.
    [[nodiscard]] sim::file_tree& files() noexcept
    {
        return *files_;
    }
    [[nodiscard]] system& operating_system() noexcept;
    /// A pipe: fds[0] reads what was written to fds[1]. 0 or -EMFILE.
    int make_pipe(int (&fds)[2]);

    // For the parts of the world.

    [[nodiscard]] sim::descriptor_table& descriptors() noexcept
    {
        return descriptors_;
    }
    [[nodiscard]] sim::network& net() noexcept
    {
        return *network_;
    }
    [[nodiscard]] sim_statistics& counters() noexcept
    {
        return statistics_;
    }
    void schedule(std::chrono::nanoseconds delay, sim::event_queue::action what);
    void schedule_at(std::chrono::nanoseconds at, sim::event_queue::action what);
    /// 0 quite often, otherwise at most options().delay_max, with faults more uneven.
    [[nodiscard]] std::chrono::nanoseconds draw_delay();
    /// True in one of `odds` cases, if the seed has chosen this fault.
    [[nodiscard]] bool draw_fault(bool chosen, std::uint64_t odds);
    /// `length` or, with faults, sometimes less, but at least 1 when `length` is.
    [[nodiscard]] std::size_t draw_transfer(std::size_t length);
    /// The next attempts at an operation of this kind fail with `error` (an errno) in the place of
    /// the kernel, `times` times. What a driver does not let surface is repeated, as it would.
    void inject_failure(op_kind kind, int error, unsigned times = 1);
    /// 0, or the errno that this attempt is to fail with.
    [[nodiscard]] int take_failure(op_kind kind) noexcept;
    [[nodiscard]] bool has_failure(op_kind kind) const noexcept
    {
        return failure_.times != 0 && failure_.kind == kind;
    }
    /// Everything that waits for `what` looks again.
    void wake(sim::description& what);
    /// 0 or -EBADF; reports operations that are still in flight on `fd`.
    int close(int fd, unsigned own_operations);
    void report_violation(std::string_view message);
    void trace(std::uint64_t value) noexcept;
    void attach(unsigned worker_index, sim_driver& driver);
    void detach(unsigned worker_index);

    /// Which faults the seed has chosen; all false while faults are off.
    struct fault_set
    {
        bool short_transfers = false;
        bool uneven_delays = false;
        bool reordered_batches = false;
        bool partial_batches = false;
        bool inline_completions = false;
        bool late_cancels = false;
        bool buffer_shortages = false;
    };

    [[nodiscard]] const fault_set& faults() const noexcept
    {
        return faults_;
    }

private:
    struct job_entry
    {
        std::uint64_t id;
        runnable* job;
    };

    void run_job(std::uint64_t id);

    struct injected_failure
    {
        op_kind kind = op_kind::nop;
        int error = 0;
        unsigned times = 0;
    };

    injected_failure failure_;
    sim_options options_;
    sim_clock clock_;
    random_source random_;
    fault_set chosen_faults_;
    fault_set faults_;
    sim::event_queue events_;
    sim::descriptor_table descriptors_;
    std::unique_ptr<sim::file_tree> files_;
    std::unique_ptr<sim::network> network_;
    std::unique_ptr<sim::sim_system> system_;
    std::vector<sim_driver*> drivers_;
    std::vector<job_entry> jobs_;
    std::uint64_t job_sequence_ = 0;
    std::uint64_t trace_hash_ = 0x9E3779B97F4A7C15u;
    sim_statistics statistics_;
    std::function<void(std::string_view)> violation_handler_;
};

} // namespace blitzio::detail
