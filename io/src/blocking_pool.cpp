// The elastic pool behind spawn_blocking and behind file operations without io_uring.
// Thread rule: one mutex guards everything; jobs run without it.
//
// Invariant: while jobs are queued at least one thread is alive. A thread ends only with the queue
// empty and the mutex held, and submit() starts the first thread inside the same critical section
// in which it queues the job, so that a failed start can take back exactly its own job.
//
// How it grows: the first few threads come with the first few jobs. Beyond them a burst of short calls
// must not leave hundreds of threads behind, and long ones must not wait: so the next thread, the scout,
// first looks whether the others get on with the queue by themselves. If a job has waited for
// grow_delay, it takes one and starts further threads, twice as many as there were at the most. While
// jobs are queued for which no thread was called and there may be more threads, there is a scout, unless
// the system has refused to start it.
// How it shrinks: the thread that became idle last is called first, so that those that are not needed
// stay idle for all of keep_alive, and end.
#include "blocking_pool.hpp"

#include "observe/counters.hpp"
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
/// Threads that one look of the scout adds: they are started with the mutex held.
constexpr std::size_t growth_max = 32;
/// A scout that finds the queue moving looks less and less often, down to once in so many delays.
constexpr unsigned delays_max = 16;
/// One job in this many is timed while there are idle threads. A power of two.
constexpr std::uint64_t jobs_per_sample = 8;
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
        if (options_.threads_prompt == 0)
        {
            options_.threads_prompt = std::max(2 * usable_processors().count, 4u);
        }
        // "For ever" must not overflow when it is added to a point in time.
        options_.keep_alive = std::clamp<std::chrono::milliseconds>(
            options_.keep_alive, std::chrono::milliseconds(0), keep_alive_max);
    }

    result<void> submit(runnable& job);
    bool try_remove(runnable& job) noexcept;
    void shutdown() noexcept;
    statistics snapshot() const noexcept;

private:
    /// A thread that waits for work; on its own stack, and in the list while nobody has called it.
    struct idle_thread
    {
        std::condition_variable called;
        idle_thread* below = nullptr;
        bool is_called = false;
        /// Looks at look_, and needs no notification.
        bool spins = false;
    };

    static void* thread_entry(void* self) noexcept;
    void serve() noexcept;
    bool wait_for_job(std::unique_lock<std::mutex>& lock) noexcept;
    void stay_awake(idle_thread& self, std::unique_lock<std::mutex>& lock) noexcept;
    int start_thread() noexcept;
    void call_idle_thread() noexcept;
    void leave_idle_list(idle_thread& leaving) noexcept;
    void scout(std::unique_lock<std::mutex>& lock) noexcept;
    void grow() noexcept;
    void begin_sample(runnable& job) noexcept;
    void end_sample(const runnable& job, bool taken) noexcept;
    void take_back_newest() noexcept;

    options options_;
    mutable std::mutex mutex_;
    std::condition_variable scout_wait_;
    std::condition_variable thread_ended_;
    ready_list queue_;
    unsigned threads_ = 0;
    /// The one that became idle last.
    idle_thread* idle_ = nullptr;
    unsigned idle_threads_ = 0;
    /// A single thread at a time spins before it waits.
    bool spinning_ = false;
    unsigned spins_to_skip_ = 0;
    unsigned next_skips_ = 1;
    /// With a single processor there is nothing to spin for, but giving way once may bring the next
    /// job at the price of no sleep and no wake.
    const bool may_spin_ = usable_processors().count > 1;
    /// Set for the spinning thread when it is called. Relaxed: a hint, the mutex decides.
    std::atomic<bool> look_{false};
    /// Were idle, and are on their way to the queue.
    unsigned called_threads_ = 0;
    /// A thread looks whether the queue moves, or is being started for that.
    bool scouting_ = false;
    bool next_is_scout_ = false;
    std::uint64_t submitted_ = 0;
    /// Jobs that have left the queue.
    std::uint64_t taken_ = 0;
    std::uint64_t completed_ = 0;
    std::uint64_t refused_ = 0;
    std::uint64_t thread_start_failures_ = 0;
    unsigned threads_started_ = 0;
    /// The job whose wait is measured; null: none.
    const runnable* sampled_ = nullptr;
    std::chrono::steady_clock::time_point sampled_since_;
    owner_histogram queue_wait_;
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
        ++refused_;
        return fail(io_errc::pool_queue_full);
    }
    queue_.push(job);
    begin_sample(job);
    if (called_threads_ >= queue_.count)
    {
        return {}; // somebody is on the way for each of them
    }
    if (idle_ != nullptr)
    {
        call_idle_thread();
        return {};
    }
    const bool prompt = threads_ < options_.threads_prompt;
    if (threads_ < options_.threads_max && (prompt || !scouting_))
    {
        scouting_ = scouting_ || !prompt;
        next_is_scout_ = next_is_scout_ || !prompt;
        if (const int error = start_thread(); error != 0)
        {
            if (!prompt)
            {
                scouting_ = false;
                next_is_scout_ = false;
            }
            if (threads_ == 0)
            {
                take_back_newest();
                return std::unexpected(std::error_code(error, std::system_category()));
            }
            // Somebody who is alive takes the job later.
        }
    }
    return {};
}

void blocking_pool::implementation::call_idle_thread() noexcept
{
    idle_thread& chosen = *idle_;
    idle_ = chosen.below;
    --idle_threads_;
    ++called_threads_;
    chosen.is_called = true;
    if (chosen.spins)
    {
        look_.store(true, std::memory_order_relaxed);
    }
    else
    {
        chosen.called.notify_one();
    }
}

/// A clock reading for few jobs, and a member for the one that is being measured instead of one in each.
void blocking_pool::implementation::begin_sample(runnable& job) noexcept
{
    if (sampled_ == nullptr && (submitted_++ % jobs_per_sample == 0 || queue_.count > 1))
    {
        sampled_ = &job;
        sampled_since_ = std::chrono::steady_clock::now();
    }
}

void blocking_pool::implementation::end_sample(const runnable& job, bool taken) noexcept
{
    if (sampled_ == &job)
    {
        sampled_ = nullptr;
        if (taken)
        {
            queue_wait_.record(std::chrono::steady_clock::now() - sampled_since_);
        }
    }
}

/// Only called with the job of the running submit() as the newest, and with no thread alive; the
/// invariant then says that it is also the only one.
void blocking_pool::implementation::take_back_newest() noexcept
{
    BLITZIO_ASSERT(queue_.count == 1);
    end_sample(*queue_.pop(), false);
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
        ++taken_;
        item->next = nullptr;
        end_sample(job, false);
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
    else
    {
        ++thread_start_failures_;
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

    if (std::exchange(next_is_scout_, false))
    {
        scout(lock);
    }
    while (wait_for_job(lock))
    {
        runnable* const job = queue_.pop();
        ++taken_;
        end_sample(*job, true);
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

/// Returns when the queue is empty, or when it does not move and there are more threads for it.
void blocking_pool::implementation::scout(std::unique_lock<std::mutex>& lock) noexcept
{
    unsigned delays = 1;
    while (!queue_.empty() && !shutting_down_)
    {
        // All that wait now have gone when so many have.
        const std::uint64_t target = taken_ + queue_.count;
        const auto until = std::chrono::steady_clock::now() + delays * options_.grow_delay;
        scout_wait_.wait_until(lock, until, [this] { return shutting_down_; });
        if (taken_ < target)
        {
            grow();
            return;
        }
        delays = std::min(2 * delays, delays_max);
    }
    scouting_ = false;
}

/// A job has waited for too long. The scout takes one itself afterwards.
void blocking_pool::implementation::grow() noexcept
{
    scouting_ = false;
    const std::size_t room = options_.threads_max - threads_;
    const std::size_t wanted =
        std::min({queue_.count - 1, std::size_t{threads_}, room, growth_max});
    // More than that are waiting: one of the new threads goes on with the scouting.
    next_is_scout_ = wanted > 0 && queue_.count - 1 > wanted && room > wanted;
    scouting_ = next_is_scout_;
    std::size_t started = 0;
    while (started < wanted && start_thread() == 0)
    {
        ++started;
    }
    if (started == 0)
    {
        scouting_ = false;
        next_is_scout_ = false;
    }
}

void blocking_pool::implementation::leave_idle_list(idle_thread& leaving) noexcept
{
    idle_thread** place = &idle_;
    while (*place != &leaving)
    {
        place = &(*place)->below;
    }
    *place = leaving.below;
    --idle_threads_;
}

/// False: this thread is to end. The queue is empty then, and stays so until the lock is released.
bool blocking_pool::implementation::wait_for_job(std::unique_lock<std::mutex>& lock) noexcept
{
    if (!queue_.empty())
    {
        return true;
    }
    const auto idle_until = std::chrono::steady_clock::now() + options_.keep_alive;
    bool idle_for_too_long = false;
    idle_thread self;
    while (queue_.empty())
    {
        if (shutting_down_ || idle_for_too_long)
        {
            return false;
        }
        self.below = idle_;
        self.is_called = false;
        idle_ = &self;
        ++idle_threads_;
        stay_awake(self, lock);
        idle_for_too_long = !self.called.wait_until(
            lock, idle_until, [&] { return self.is_called || shutting_down_; });
        if (self.is_called)
        {
            --called_threads_;
        }
        else
        {
            leave_idle_list(self);
        }
    }
    return true;
}

/// For a thread that is idle already. Returns with the lock held; whoever has called this thread did
/// so under it.
void blocking_pool::implementation::stay_awake(idle_thread& self,
                                               std::unique_lock<std::mutex>& lock) noexcept
{
    if (spinning_)
    {
        return;
    }
    if (spins_to_skip_ != 0)
    {
        --spins_to_skip_;
        return;
    }
    spinning_ = true;
    self.spins = true;
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
    self.spins = false;
    spinning_ = false;
    next_skips_ = self.is_called ? 1 : std::min(2 * next_skips_, skips_max);
    spins_to_skip_ = self.is_called ? 0 : next_skips_;
}

void blocking_pool::implementation::shutdown() noexcept
{
    std::unique_lock lock(mutex_);
    shutting_down_ = true;
    scout_wait_.notify_all();
    for (idle_thread* each = idle_; each != nullptr; each = each->below)
    {
        each->called.notify_one();
    }
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
            .thread_start_failures = thread_start_failures_,
            .threads_started = threads_started_,
            .refused = refused_,
            .queue_wait = queue_wait_.snapshot()};
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
