// The thread that looks after the workers: which of them has been in one task for too long.
// Thread rule: construction, start() and stop() by the runtime; attach() and detach() on the worker's
// thread; worker_woke() on any worker; the counters on any thread.
//
// It costs the workers nothing while they work: it compares the counts of what they have run that the
// metrics keep anyway. It looks four times per threshold while any worker is awake. When all have slept
// for a while it sleeps, too, without a timer, and the first worker that wakes then wakes it.
//
// Invariant: it does not sleep while a worker is awake. A worker says that it is awake before it looks
// whether the watch sleeps; the watch says that it sleeps before it looks at the workers; all four
// accesses are seq_cst, so one of the two sees the other.
#pragma once

#include "observe/counters.hpp"
#include "stall_stack.hpp"
#include "threads.hpp"

#include <blitzio/io/result.hpp>
#include <blitzio/io/stall_report.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace blitzio::detail
{

class runtime_core;

class stall_watch
{
public:
    struct options
    {
        std::chrono::nanoseconds threshold{};
        /// Null: print.
        std::function<void(const stall_report&)> handler;
        std::string name;
    };

    stall_watch(runtime_core& core, options configuration);
    ~stall_watch();

    [[nodiscard]] result<void> start();
    /// Before the workers' threads end. Idempotent.
    void stop() noexcept;

    void attach(unsigned worker) noexcept;
    void detach(unsigned worker) noexcept;

    /// After it has said that it is not parked any more.
    void worker_woke() noexcept
    {
        if (asleep_.load(std::memory_order_seq_cst)) [[unlikely]]
        {
            wake();
        }
    }

    [[nodiscard]] std::uint64_t stalls(unsigned worker) const noexcept
    {
        return watched_[worker]->stalls.value();
    }
    [[nodiscard]] std::chrono::nanoseconds longest(unsigned worker) const noexcept
    {
        return std::chrono::nanoseconds(watched_[worker]->longest.load(std::memory_order_relaxed));
    }

    [[nodiscard]] bool is_asleep() const noexcept
    {
        return asleep_.load(std::memory_order_relaxed);
    }

private:
    struct watched
    {
        // Set by attach(), before `attached` is.
        stall_stack_slot stack;
        clockid_t processor_clock{};
        const std::atomic<void*>* running = nullptr;
        std::atomic<bool> attached{false};
        // The watch's own.
        std::uint64_t tasks_run = 0;
        std::chrono::nanoseconds since{};
        /// From the second look at the same task on.
        std::optional<std::chrono::nanoseconds> processor_before;
        std::chrono::nanoseconds processor_since{};
        bool reported = false;
        owner_counter stalls;
        std::atomic<std::int64_t> longest{0};
    };

    void serve() noexcept;
    void wake() noexcept;
    /// False: all of them sleep, and have run nothing since the last look.
    [[nodiscard]] bool look_at_workers() noexcept;
    void look_at(unsigned index) noexcept;
    [[nodiscard]] bool all_parked() const noexcept;
    void help(unsigned index) noexcept;
    void report(unsigned index, std::chrono::nanoseconds held, std::chrono::nanoseconds used,
                stall_cause cause) noexcept;
    void name_task(const watched& from, stall_report& report) const;
    void deliver(const stall_report& report) noexcept;

    runtime_core& core_;
    options options_;
    std::chrono::nanoseconds period_;
    std::vector<std::unique_ptr<watched>> watched_;
    std::chrono::nanoseconds printed_last_{};
    bool has_printed_ = false;
    std::uint64_t not_printed_ = 0;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stopping_ = false; // guarded by mutex_
    std::atomic<bool> asleep_{false};
    std::optional<worker_thread> thread_;
};

} // namespace blitzio::detail
