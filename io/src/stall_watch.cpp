// Looking after the workers. Thread rule: see the header.
#include "stall_watch.hpp"

#include "process_memory.hpp"
#include "running_coroutine.hpp"
#include "runtime_core.hpp"

#include <blitzio/io/detail/promise_base.hpp>

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstdio>
#include <utility>

#include <pthread.h>

namespace blitzio::detail
{

namespace
{

using std::chrono::nanoseconds;

constexpr int looks_per_threshold = 4;
constexpr nanoseconds period_min{1'000'000};
constexpr nanoseconds period_max{25'000'000};
/// Looks that find everybody asleep before the watch sleeps, too: traffic that comes several times a
/// second does not have to wake it each time.
constexpr int quiet_looks_max = 32;
/// Without a handler: what is printed in between is only counted.
constexpr nanoseconds print_interval{1'000'000'000};
constexpr std::size_t stack_bytes = std::size_t{256} * 1024;

nanoseconds processor_time(clockid_t clock) noexcept
{
    timespec time{};
    if (::clock_gettime(clock, &time) != 0)
    {
        return {};
    }
    return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

/// True while the thread wants a processor, whether it has one or not.
bool is_runnable(pid_t thread) noexcept
{
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", static_cast<int>(thread));
    std::FILE* const file = std::fopen(path, "re");
    if (file == nullptr)
    {
        return true;
    }
    char text[256];
    const std::size_t length = std::fread(text, 1, sizeof text - 1, file);
    std::fclose(file);
    text[length] = '\0';
    // "number (name) state": the name may have parentheses of its own.
    const std::string_view line(text, length);
    const auto name_end = line.rfind(')');
    return name_end == line.npos || name_end + 2 >= line.size() || line[name_end + 2] == 'R';
}

std::string place_text(std::uint64_t location)
{
    const auto where = std::bit_cast<std::source_location>(location);
    // What it points to: two texts and two numbers.
    constexpr std::size_t location_bytes = 2 * sizeof(char*) + 2 * sizeof(std::uint32_t);
    std::byte probe[location_bytes];
    if (location == 0 ||
        !read_own_memory(reinterpret_cast<const void*>(location), probe, sizeof probe))
    {
        return {};
    }
    const auto file = read_own_text(where.file_name());
    return file.empty() ? std::string() : file + ':' + std::to_string(where.line());
}

} // namespace

stall_watch::stall_watch(runtime_core& core, options configuration)
    : core_(core), options_(std::move(configuration)),
      period_(std::clamp(options_.threshold / looks_per_threshold, period_min, period_max))
{
    for (unsigned index = 0; index < core.worker_count(); ++index)
    {
        watched_.push_back(std::make_unique<watched>());
    }
}

stall_watch::~stall_watch()
{
    stop();
}

result<void> stall_watch::start()
{
    auto started = start_thread(options_.name + "-watch", stack_bytes, [this] { serve(); });
    if (!started)
    {
        return fail(started.error());
    }
    thread_.emplace(std::move(*started));
    return {};
}

void stall_watch::stop() noexcept
{
    if (!thread_)
    {
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        changed_.notify_one();
    }
    thread_->join();
    thread_.reset();
}

void stall_watch::attach(unsigned worker) noexcept
{
    watched& own = *watched_[worker];
    own.stack.attach();
    own.running = &running_coroutine();
    const bool has_clock = ::pthread_getcpuclockid(::pthread_self(), &own.processor_clock) == 0;
    // Release: partner is the acquire in look_at().
    own.attached.store(has_clock, std::memory_order_release);
}

void stall_watch::detach(unsigned worker) noexcept
{
    watched_[worker]->stack.detach();
}

void stall_watch::wake() noexcept
{
    const std::lock_guard lock(mutex_);
    asleep_.store(false, std::memory_order_relaxed);
    changed_.notify_one();
}

bool stall_watch::all_parked() const noexcept
{
    for (unsigned index = 0; index < core_.worker_count(); ++index)
    {
        if (!core_.worker_at(index).is_parked())
        {
            return false;
        }
    }
    return true;
}

void stall_watch::serve() noexcept
{
    int quiet_looks = 0;
    std::unique_lock lock(mutex_);
    while (!stopping_)
    {
        if (quiet_looks < quiet_looks_max)
        {
            changed_.wait_for(lock, period_);
        }
        else
        {
            asleep_.store(true, std::memory_order_seq_cst);
            if (all_parked())
            {
                changed_.wait(
                    lock, [this] { return stopping_ || !asleep_.load(std::memory_order_relaxed); });
            }
            asleep_.store(false, std::memory_order_relaxed);
            quiet_looks = 0;
            continue; // a whole period before the next look
        }
        if (stopping_)
        {
            break;
        }
        lock.unlock();
        quiet_looks = look_at_workers() ? 0 : quiet_looks + 1;
        lock.lock();
    }
}

bool stall_watch::look_at_workers() noexcept
{
    bool awake = false;
    for (unsigned index = 0; index < core_.worker_count(); ++index)
    {
        const worker& each = core_.worker_at(index);
        const auto ran_before = watched_[index]->tasks_run;
        look_at(index);
        awake = awake || !each.is_parked() || watched_[index]->tasks_run != ran_before;
    }
    return awake;
}

void stall_watch::look_at(unsigned index) noexcept
{
    const worker& each = core_.worker_at(index);
    watched& known = *watched_[index];
    // Acquire: partner is the release in attach().
    if (!known.attached.load(std::memory_order_acquire))
    {
        return;
    }
    const auto now = core_.now();
    const auto tasks_run = each.stats().tasks_run.value();
    if (each.is_parked() || tasks_run != known.tasks_run)
    {
        known.tasks_run = tasks_run;
        known.since = now;
        known.processor_before.reset();
        known.reported = false;
        return;
    }
    // It is in the task that it was in at the last look.
    help(index);
    const auto used_so_far = processor_time(known.processor_clock);
    if (!known.processor_before)
    {
        known.processor_before = used_so_far;
        known.processor_since = now;
        return;
    }
    const auto held = now - known.since;
    if (known.reported)
    {
        known.longest.store(
            std::max<std::int64_t>(known.longest.load(std::memory_order_relaxed), held.count()),
            std::memory_order_relaxed);
        return;
    }
    if (held < options_.threshold)
    {
        return;
    }
    const auto used = used_so_far - *known.processor_before;
    const bool computes = 2 * used >= now - known.processor_since || used >= options_.threshold;
    if (!computes && is_runnable(known.stack.thread_id()))
    {
        return; // the system runs something else; that is not the task's doing
    }
    report(index, held, used, computes ? stall_cause::computes : stall_cause::blocks);
}

/// What waits for the worker can be had by others, but nobody may have been told: a task that is to run
/// next wakes nobody, because usually it does so at once.
void stall_watch::help(unsigned index) noexcept
{
    const worker& each = core_.worker_at(index);
    if (each.shares_work() && (each.has_next() || each.has_stealable_work()))
    {
        core_.notify_one();
    }
}

void stall_watch::name_task(const watched& from, stall_report& report) const
{
    void* const frame = from.running->load(std::memory_order_relaxed);
    if (frame == nullptr)
    {
        return;
    }
    // The frame may have ended, and its memory may be gone or be something else by now: so it is read
    // through the kernel, and believed if it leads to an environment of this runtime.
    const void* const promise = &std::coroutine_handle<promise_base>::from_address(frame).promise();
    const task_env* env = nullptr; // the promise's first member
    // A note looks at what lies before its environment in a cell, too: here, at zeros.
    constexpr std::size_t before = sizeof(runnable);
    static_assert(before % alignof(task_env) == 0);
    alignas(task_env) std::byte room[before + sizeof(task_env)]{};
    std::byte* const copy = room + before;
    if (!read_own_memory(promise, &env, sizeof env) || env == nullptr ||
        !read_own_memory(env, copy, sizeof(task_env)))
    {
        return;
    }
    const auto& seen = *reinterpret_cast<const task_env*>(copy);
    if (seen.runtime != &core_)
    {
        return;
    }
    alignas(task_details) std::byte details_copy[sizeof(task_details)];
    auto spawned_at = std::bit_cast<std::uint64_t>(std::source_location());
    if (const auto* const details = seen.origin.details(); details == nullptr)
    {
        spawned_at = std::bit_cast<std::uint64_t>(seen.origin.where());
    }
    else if (read_own_memory(details, details_copy, sizeof details_copy))
    {
        const auto& known = *reinterpret_cast<const task_details*>(details_copy);
        report.task_name = read_own_text(known.name);
        spawned_at = std::bit_cast<std::uint64_t>(known.spawned_at);
    }
    report.spawned_at = place_text(spawned_at);
    if (const auto note = seen.awaiting.read(seen); note.has_awaited)
    {
        report.last_await = place_text(std::bit_cast<std::uint64_t>(note.where));
    }
}

void stall_watch::report(unsigned index, nanoseconds held, nanoseconds used,
                         stall_cause cause) noexcept
{
    watched& known = *watched_[index];
    known.reported = true;
    known.stalls.add();
    known.longest.store(
        std::max<std::int64_t>(known.longest.load(std::memory_order_relaxed), held.count()),
        std::memory_order_relaxed);
    const auto now = core_.now();
    if (!options_.handler && has_printed_ && now - printed_last_ < print_interval)
    {
        ++not_printed_;
        return;
    }
    try
    {
        stall_report report;
        report.runtime = options_.name;
        report.worker = index;
        report.held = held;
        report.processor_time = std::min(used, held);
        report.cause = cause;
        name_task(known, report);
        report.stack = known.stack.capture();
        deliver(report);
    }
    catch (const std::bad_alloc&)
    {
        // Counted, at least.
    }
}

void stall_watch::deliver(const stall_report& report) noexcept
{
    if (options_.handler)
    {
        options_.handler(report);
        return;
    }
    has_printed_ = true;
    printed_last_ = core_.now();
    std::fputs(report.to_string().c_str(), stderr);
    if (const auto left_out = std::exchange(not_printed_, 0); left_out != 0)
    {
        std::fprintf(stderr, "%s: %llu further stalls were not printed\n", options_.name.c_str(),
                     static_cast<unsigned long long>(left_out));
    }
}

} // namespace blitzio::detail

namespace blitzio
{

std::string stall_report::to_string() const
{
    const auto milliseconds = [](std::chrono::nanoseconds time) {
        return std::to_string(time.count() / 1'000'000) + " ms";
    };
    std::string text = runtime + ": worker " + std::to_string(worker) +
                       " has been in one task for " + milliseconds(held) + " (" +
                       milliseconds(processor_time) + " of processor time)\n  task: ";
    text += spawned_at.empty() ? "unknown" : "spawned at " + spawned_at;
    text += task_name.empty() ? "" : " (" + task_name + ')';
    text += last_await.empty() ? "" : ", after its await at " + last_await;
    text += cause == stall_cause::computes
                ? "\n  advice: it computes; hand it to a pool: co_await compute_on(pool, f)\n"
                : "\n  advice: it waits in a blocking call; co_await spawn_blocking(f)\n";
    for (const auto& each : stack)
    {
        text += "    " + each + '\n';
    }
    return text;
}

} // namespace blitzio
