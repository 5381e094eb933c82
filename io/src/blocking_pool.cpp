// The elastic pool behind spawn_blocking and behind file operations without io_uring.
// Thread rule: one mutex guards everything; jobs run without it.
//
// Invariant: while jobs are queued at least one thread is alive. A thread ends only with the queue
// empty and the mutex held, and submit() starts the first thread inside the same critical section
// in which it queues the job, so that a failed start can take back exactly its own job.
#include "blocking_pool.hpp"

#include "signal_blocker.hpp"

#include <blitzio/io/detail/assert.hpp>
#include <blitzio/io/detail/atomics.hpp>
#include <blitzio/io/detail/ready_list.hpp>
#include <blitzio/io/processors.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <csignal>
#include <pthread.h>

namespace blitzio::detail
{

namespace
{

/// Directory reading keeps 32 KiB on the stack, and libraries called by users' jobs need room too.
constexpr std::size_t stack_bytes_min = 128 * 1024;
constexpr std::chrono::milliseconds keep_alive_max = std::chrono::hours(24 * 365);

/// How long a thread without a job stays awake: calls often follow each other, and being woken on
/// another processor costs 5 to 25 us. In vain it doubles how often that is not tried.
constexpr std::chrono::microseconds spin_time{20};
constexpr int looks_per_yield = 256;
constexpr unsigned skips_max = 1024;

} // namespace

class blocking_pool::implementation
{
public:
    explicit implementation(options configuration) : options_(std::move(configuration))
    {
        options_.threads_max = std::max(options_.threads_max, 1u);
        // "For ever" must not overflow when it is added to a point in time.
        options_.keep_alive = std::clamp<std::chrono::milliseconds>(
            options_.keep_alive, std::chrono::milliseconds(0), keep_alive_max);
    }

    result<void> submit(runnable& job);
    bool try_remove(runnable& job) noexcept;
    void shutdown() noexcept;
    statistics snapshot() const noexcept;

private:
    static void* thread_entry(void* self) noexcept;
    void serve() noexcept;
    bool wait_for_job(std::unique_lock<std::mutex>& lock) noexcept;
    void stay_awake(std::unique_lock<std::mutex>& lock) noexcept;
    int start_thread() noexcept;
    void take_back_newest() noexcept;

    options options_;
    mutable std::mutex mutex_;
    std::condition_variable job_queued_;
    std::condition_variable thread_ended_;
    ready_list queue_;
    unsigned threads_ = 0;
    /// Threads inside the wait, including those that were notified and have not woken yet.
    unsigned idle_threads_ = 0;
    /// A single thread at a time spins before it waits; it counts as idle and needs no notification.
    bool spinning_ = false;
    unsigned spins_to_skip_ = 0;
    unsigned next_skips_ = 1;
    /// With a single processor there is nothing to spin for, but giving way once may bring the next
    /// job at the price of no sleep and no wake.
    const bool may_spin_ = usable_processors().count > 1;
    /// Set by submit() for the spinning thread, which then looks at the queue. Relaxed: a hint, the
    /// mutex decides.
    std::atomic<bool> look_{false};
    std::uint64_t completed_ = 0;
    std::uint64_t thread_start_failures_ = 0;
    unsigned threads_started_ = 0;
    bool shutting_down_ = false;
    /// The thread that ended last. The next one to end joins it, shutdown() joins the very last, so
    /// every thread is joined although nobody keeps a list of them.
    pthread_t last_ended_{};
    bool has_last_ended_ = false;
};

result<void> blocking_pool::implementation::submit(runnable& job)
{
    const std::lock_guard lock(mutex_);
    if (shutting_down_)
    {
        return fail(io_errc::shutting_down);
    }
    if (queue_.count >= options_.queue_length_max)
    {
        return fail(io_errc::limit_reached);
    }
    queue_.push(job);
    if (idle_threads_ >= queue_.count)
    {
        // There is a waiting thread for each queued job; those before were notified already.
        if (spinning_ && queue_.count == 1)
        {
            look_.store(true, std::memory_order_relaxed);
        }
        else
        {
            job_queued_.notify_one();
        }
        return {};
    }
    if (threads_ < options_.threads_max)
    {
        if (const int error = start_thread(); error != 0)
        {
            ++thread_start_failures_;
            if (threads_ == 0)
            {
                take_back_newest();
                return std::unexpected(std::error_code(error, std::system_category()));
            }
            // Somebody who is alive takes the job later; an idle one may be among them.
            job_queued_.notify_one();
        }
    }
    return {};
}

/// Only called with the job of the running submit() as the newest, and with no thread alive; the
/// invariant then says that it is also the only one.
void blocking_pool::implementation::take_back_newest() noexcept
{
    BLITZIO_ASSERT(queue_.count == 1);
    static_cast<void>(queue_.pop());
}

bool blocking_pool::implementation::try_remove(runnable& job) noexcept
{
    const std::lock_guard lock(mutex_);
    runnable* previous = nullptr;
    for (runnable* item = queue_.head; item != nullptr; previous = item, item = item->next)
    {
        if (item != &job)
        {
            continue;
        }
        (previous == nullptr ? queue_.head : previous->next) = item->next;
        if (queue_.tail == item)
        {
            queue_.tail = previous;
        }
        --queue_.count;
        item->next = nullptr;
        return true;
    }
    return false;
}

/// The mutex is held: that serialises submitters while the pool grows, which is rare, and is what
/// makes "no thread alive" a fact instead of a guess. Returns 0 or the errno of the failure.
int blocking_pool::implementation::start_thread() noexcept
{
    pthread_attr_t attributes;
    if (const int error = pthread_attr_init(&attributes); error != 0)
    {
        return error;
    }
    int error = 0;
    if (options_.stack_bytes != 0)
    {
        error =
            pthread_attr_setstacksize(&attributes, std::max(options_.stack_bytes, stack_bytes_min));
    }
    if (error == 0)
    {
        pthread_t thread;
        const signal_blocker blocker;
        error = pthread_create(&thread, &attributes, &implementation::thread_entry, this);
    }
    pthread_attr_destroy(&attributes);
    if (error == 0)
    {
        ++threads_;
    }
    return error;
}

void* blocking_pool::implementation::thread_entry(void* self) noexcept
{
    static_cast<implementation*>(self)->serve();
    return nullptr;
}

void blocking_pool::implementation::serve() noexcept
{
    std::unique_lock lock(mutex_);
    // The kernel keeps 15 characters; the number is what tells the threads apart, so the prefix
    // gives way.
    char name[16];
    char number[12];
    const int digits = std::snprintf(number, sizeof number, "-%u", threads_started_++);
    std::snprintf(name, sizeof name, "%.*s%s", 15 - digits, options_.name.c_str(), number);
    pthread_setname_np(pthread_self(), name);

    while (wait_for_job(lock))
    {
        runnable* const job = queue_.pop();
        lock.unlock();
        job->run(job);
        lock.lock();
        ++completed_;
    }

    const bool joins = has_last_ended_;
    const pthread_t predecessor = last_ended_;
    last_ended_ = pthread_self();
    has_last_ended_ = true;
    --threads_;
    if (threads_ == 0)
    {
        thread_ended_.notify_all();
    }
    lock.unlock();
    // From here on only locals: shutdown() may go on as soon as it has joined this thread.
    if (joins)
    {
        pthread_join(predecessor, nullptr);
    }
}

/// False: this thread is to end. The queue is empty then, and stays so until the lock is released.
bool blocking_pool::implementation::wait_for_job(std::unique_lock<std::mutex>& lock) noexcept
{
    if (queue_.empty() && !spinning_ && !shutting_down_)
    {
        stay_awake(lock);
    }
    const auto idle_until = std::chrono::steady_clock::now() + options_.keep_alive;
    bool idle_for_too_long = false;
    while (queue_.empty())
    {
        if (shutting_down_ || idle_for_too_long)
        {
            return false;
        }
        ++idle_threads_;
        idle_for_too_long = job_queued_.wait_until(lock, idle_until) == std::cv_status::timeout;
        --idle_threads_;
    }
    return true;
}

/// Returns with the lock held, whether or not there is a job: whoever has relied on this thread has
/// queued its job before, so the look at the queue that follows finds it.
void blocking_pool::implementation::stay_awake(std::unique_lock<std::mutex>& lock) noexcept
{
    if (spins_to_skip_ != 0)
    {
        --spins_to_skip_;
        return;
    }
    spinning_ = true;
    ++idle_threads_;
    look_.store(false, std::memory_order_relaxed);
    lock.unlock();
    const auto end = std::chrono::steady_clock::now() + spin_time;
    const int looks = may_spin_ ? looks_per_yield : 1;
    bool found = false;
    do
    {
        // Whoever is to submit the next job may have been put onto this very processor.
        std::this_thread::yield();
        for (int look = 0; look < looks && !found; ++look)
        {
            std_atomics::pause();
            found = look_.load(std::memory_order_relaxed);
        }
    } while (may_spin_ && !found && std::chrono::steady_clock::now() < end);
    lock.lock();
    --idle_threads_;
    spinning_ = false;
    next_skips_ = found ? 1 : std::min(2 * next_skips_, skips_max);
    spins_to_skip_ = found ? 0 : next_skips_;
}

void blocking_pool::implementation::shutdown() noexcept
{
    std::unique_lock lock(mutex_);
    shutting_down_ = true;
    job_queued_.notify_all();
    thread_ended_.wait(lock, [this] { return threads_ == 0; });
    BLITZIO_ASSERT(queue_.empty());
    if (std::exchange(has_last_ended_, false))
    {
        const pthread_t last = last_ended_;
        lock.unlock();
        BLITZIO_ASSERT(pthread_equal(last, pthread_self()) == 0);
        pthread_join(last, nullptr);
    }
}

blocking_pool::statistics blocking_pool::implementation::snapshot() const noexcept
{
    const std::lock_guard lock(mutex_);
    return {.threads = threads_,
            .idle_threads = idle_threads_,
            .queued = queue_.count,
            .completed = completed_,
            .thread_start_failures = thread_start_failures_};
}

blocking_pool::blocking_pool(options configuration)
    : implementation_(std::make_unique<implementation>(std::move(configuration)))
{
}

blocking_pool::~blocking_pool()
{
    shutdown();
}

result<void> blocking_pool::submit(runnable& job)
{
    return implementation_->submit(job);
}

bool blocking_pool::try_remove(runnable& job) noexcept
{
    return implementation_->try_remove(job);
}

void blocking_pool::shutdown() noexcept
{
    implementation_->shutdown();
}

blocking_pool::statistics blocking_pool::snapshot() const noexcept
{
    return implementation_->snapshot();
}

} // namespace blitzio::detail
