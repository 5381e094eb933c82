// The life of a pool's threads. Thread rule: see crew.hpp.
#include "crew.hpp"

#include "lease_holder.hpp"
#include "thread_budget.hpp"

#include <blitzio/compute/detail/lease.hpp>
#include <blitzio/io/processors.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <system_error>
#include <utility>

#include <pthread.h>

namespace blitzio::compute::detail
{

namespace
{

using blitzio::detail::std_atomics;
using clock = std::chrono::steady_clock;
using ns = std::chrono::nanoseconds;

constexpr int looks_per_yield = 512;
constexpr unsigned skips_max = 1024;
/// A job that lasts longer keeps I/O waiting. Shorter ones do not, and a thread with a raised nice
/// value loses its processor to whom it wakes at once: with tiny jobs that is two changes of
/// threads for each (64 in flight on one core: 4.3 us instead of 0.4 each).
constexpr ns long_job{200'000};
constexpr unsigned jobs_to_measure = 16;

ns thread_time() noexcept
{
    std::timespec value{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &value);
    return std::chrono::seconds(value.tv_sec) + ns(value.tv_nsec);
}

/// A program's signal handlers run on the program's own threads.
class signals_blocked
{
public:
    signals_blocked() noexcept
    {
        sigset_t blocked;
        sigfillset(&blocked);
        for (const int kept : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF})
        {
            sigdelset(&blocked, kept);
        }
        pthread_sigmask(SIG_BLOCK, &blocked, &before_);
    }

    ~signals_blocked()
    {
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }

    signals_blocked(const signals_blocked&) = delete;
    signals_blocked& operator=(const signals_blocked&) = delete;

private:
    sigset_t before_;
};

/// The kernel keeps 15 characters; the number tells the threads apart, so the prefix gives way.
void name_this_thread(const std::string& prefix, unsigned index) noexcept
{
    char number[12];
    char name[16];
    const int digits = std::snprintf(number, sizeof number, "-%u", index);
    std::snprintf(name, sizeof name, "%.*s%s", 15 - digits, prefix.c_str(), number);
    pthread_setname_np(pthread_self(), name);
}

tbb::task_arena::constraints to_tbb(const pool_constraints& given, unsigned threads)
{
    tbb::task_arena::constraints wanted;
    wanted.set_max_concurrency(static_cast<int>(threads));
    if (given.numa_node >= 0)
    {
        wanted.set_numa_id(given.numa_node);
    }
    if (given.core_type >= 0)
    {
        wanted.set_core_type(given.core_type);
    }
    if (given.max_threads_per_core > 0)
    {
        wanted.set_max_threads_per_core(given.max_threads_per_core);
    }
    return wanted;
}

void count(std::atomic<std::uint64_t>& counter) noexcept
{
    // Relaxed and no read-modify-write: one writer, and readers want a figure only.
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

} // namespace

crew::crew(unsigned threads, pool_config config, std::uint32_t generation)
    : pool_core(threads, config.name, generation, config.idle_spin), config_(std::move(config)),
      nice_steps_(nice_steps(config_.priority, config_.give_way)),
      // All places are for threads that come from outside of oneTBB.
      arena_(to_tbb(config_.constraints, threads), threads), members_(threads),
      started_(static_cast<std::ptrdiff_t>(threads)), idle_(threads)
{
    arena_.initialize();
    ownership_.emplace(*this);
    offer_->owner.store(this, std::memory_order_relaxed);
    start_threads();
    if (config_.give_way != courtesy::off)
    {
        limit_leases_by_quota();
    }
}

crew::~crew()
{
    refuse_own_thread();
    stop_threads();
    // Sequentially consistent: partner is the count in offer_jobs(). Whoever was counted before may
    // have seen the owner, and has no job any more, so it is through soon.
    offer_->owner.store(nullptr, std::memory_order_seq_cst);
    while (offer_->users.load(std::memory_order_seq_cst) != 0)
    {
        std::this_thread::yield();
    }
    return_threads(threads());
}

void crew::start_threads()
{
    const signals_blocked no_signals;
    try
    {
        for (unsigned index = 0; index < threads(); ++index)
        {
            members_[index].thread = std::thread([this, index] { thread_main(index); });
        }
    }
    catch (...)
    {
        stop_threads();
        throw;
    }
    started_.wait();
}

void crew::stop_threads() noexcept
{
    // Release: partner is the acquire in serve(). Who has looked before finds a permit instead.
    stopping_.store(true, std::memory_order_release);
    for (member& each : members_)
    {
        each.place.wake();
    }
    for (member& each : members_)
    {
        if (each.thread.joinable())
        {
            each.thread.join();
        }
    }
}

void crew::thread_main(unsigned index) noexcept
{
    member& me = members_[index];
    set_current_pool(this);
    name_this_thread(name(), index);
    if (config_.give_way != courtesy::automatic)
    {
        give_way_from_now_on(me);
    }
    hold_lease(config_.give_way != courtesy::off);
    arena_.execute([this, index] {
        if (config_.on_thread_start)
        {
            config_.on_thread_start(index);
        }
        started_.count_down();
        serve(index);
        if (config_.on_thread_stop)
        {
            config_.on_thread_stop(index);
        }
    });
}

void crew::serve(unsigned index) noexcept
{
    member& me = members_[index];
    bool searching = false;
    bool in_a_row = false;
    for (;;)
    {
        if (job* const next = queue_.pop())
        {
            // Whoever relied on this thread's search relies on the next searcher now.
            if (std::exchange(searching, false) && idle_.transition_from_searching() &&
                !queue_.looks_empty())
            {
                wake_one();
            }
            if (!std::exchange(in_a_row, true))
            {
                me.mark = clock::now();
            }
            run(me, *next);
            continue;
        }
        in_a_row = false;
        // Acquire: partner is the release in stop_threads().
        if (stopping_.load(std::memory_order_acquire))
        {
            // A job may have come between the look above and the stop.
            if (!queue_.is_empty())
            {
                continue;
            }
            return;
        }
        if (!searching)
        {
            searching = idle_.transition_worker_to_searching();
        }
        if (searching && stay_awake(me))
        {
            continue;
        }
        searching = park(index, searching);
    }
}

void crew::run(member& me, job& work) noexcept
{
    const ns cpu_before = me.to_measure != 0 ? thread_time() : ns(0);
    count(me.begun);
    call(work);
    // `work` may be gone.
    count(me.ended);
    // Relaxed: written by this thread.
    if (!me.nice_applied.load(std::memory_order_relaxed))
    {
        look_for_long_jobs(me, cpu_before);
    }
    lease_point();
}

/// A job that seems long may have lost its processor meanwhile, and CPU time costs a system call:
/// so a job that seems long only makes the next ones be measured.
void crew::look_for_long_jobs(member& me, std::chrono::nanoseconds cpu_before) noexcept
{
    if (me.to_measure != 0)
    {
        --me.to_measure;
        if (thread_time() - cpu_before > long_job)
        {
            give_way_from_now_on(me);
            return;
        }
    }
    const auto now = clock::now();
    if (now - std::exchange(me.mark, now) > long_job)
    {
        me.to_measure = jobs_to_measure;
    }
}

void crew::give_way_from_now_on(member& me) noexcept
{
    me.nice = apply_nice(nice_steps_);
    // Release: partner is the acquire in explain_courtesy().
    me.nice_applied.store(true, std::memory_order_release);
}

/// True: there seems to be a job.
bool crew::stay_awake(member& me) noexcept
{
    if (processors() < 2)
    {
        // Whoever the last job has woken waits for this very processor, and the next job may be
        // what it is about to do: a turn for it costs less than to sleep and to be woken.
        std::this_thread::yield();
        return !queue_.looks_empty();
    }
    if (idle_spin() == ns(0))
    {
        return false;
    }
    if (me.spins_to_skip != 0)
    {
        --me.spins_to_skip;
        return false;
    }
    const auto end = clock::now() + idle_spin();
    do
    {
        // Whoever is to bring the next job may have been put onto this very processor.
        std::this_thread::yield();
        for (int look = 0; look < looks_per_yield; ++look)
        {
            if (!queue_.looks_empty())
            {
                me.next_skips = 1;
                count(me.spins_won);
                return true;
            }
            std_atomics::pause();
        }
    } while (clock::now() < end);
    count(me.spins_lost);
    me.spins_to_skip = me.next_skips;
    me.next_skips = std::min(2 * me.next_skips, skips_max);
    return false;
}

/// True: woken for a job, so this thread searches.
bool crew::park(unsigned index, bool searching) noexcept
{
    member& me = members_[index];
    if (idle_.transition_to_parked(index, searching) && !queue_.is_empty())
    {
        wake_one();
    }
    // See crew.hpp. Nobody can have become awake without waking thread 0 first after nobody was.
    // Sequentially consistent: partner is the increment in begin_suspension(), which wakes thread 0
    // afterwards: somebody has to be there when a computation is to go on.
    const bool is_last = threads() == 1 || (index == 0 && idle_.unparked() == 0);
    if (is_last && suspended_.load(std::memory_order_seq_cst) == 0)
    {
        me.place.sleep();
    }
    else
    {
        tbb::task_group unfinished;
        me.place.sleep_helping(unfinished);
    }
    count(me.slept);
    return idle_.transition_from_parked(index);
}

void crew::wake_one() noexcept
{
    if (const auto chosen = idle_.worker_to_notify())
    {
        members_[*chosen].place.wake();
    }
}

bool crew::start(job& work) noexcept
{
    // Relaxed: a figure for people, and for has_idle_thread().
    enqueued_.fetch_add(1, std::memory_order_relaxed);
    queue_.push(work);
    wake_one();
    // Sequentially consistent, with the exchange in push() before it: partner is the increment in
    // begin_suspension(), which looks at the queue afterwards.
    if (suspended_.load(std::memory_order_seq_cst) != 0) [[unlikely]]
    {
        offer_jobs();
    }
    return true;
}

void crew::begin_suspension() noexcept
{
    if (suspended_.fetch_add(1, std::memory_order_seq_cst) == 0)
    {
        members_[0].place.wake();
    }
    if (!queue_.is_empty())
    {
        offer_jobs();
    }
}

void crew::end_suspension() noexcept
{
    suspended_.fetch_sub(1, std::memory_order_relaxed);
}

void crew::offer_jobs() noexcept
{
    // acq_rel: partner is the exchange in the task; whoever finds one pending knows that it has yet
    // to look at the queue.
    if (offer_->pending.exchange(true, std::memory_order_acq_rel))
    {
        return;
    }
    try
    {
        arena_.enqueue([shared = offer_] {
            static_cast<void>(shared->pending.exchange(false, std::memory_order_acq_rel));
            shared->users.fetch_add(1, std::memory_order_seq_cst);
            if (crew* const owner = shared->owner.load(std::memory_order_seq_cst))
            {
                owner->run_offered_job();
            }
            shared->users.fetch_sub(1, std::memory_order_release);
        });
    }
    catch (...)
    {
        // No memory: the threads take the jobs up when their computations have waited.
        offer_->pending.store(false, std::memory_order_release);
    }
}

void crew::run_offered_job() noexcept
{
    // One after the other, so that several suspended threads share what there is.
    if (job* const next = queue_.pop())
    {
        if (!queue_.looks_empty())
        {
            offer_jobs();
        }
        offered_begun_.fetch_add(1, std::memory_order_relaxed);
        call(*next);
        offered_ended_.fetch_add(1, std::memory_order_relaxed);
        lease_point();
    }
}

std::size_t crew::pending() const noexcept
{
    std::uint64_t ended = offered_ended_.load(std::memory_order_relaxed);
    for (const member& each : members_)
    {
        ended += each.ended.load(std::memory_order_relaxed);
    }
    const std::uint64_t enqueued = enqueued_.load(std::memory_order_relaxed);
    return enqueued > ended ? static_cast<std::size_t>(enqueued - ended) : 0;
}

bool crew::has_idle_thread() const noexcept
{
    return idle_.searching() != 0 || idle_.unparked() < threads();
}

pool_metrics crew::metrics() const noexcept
{
    pool_metrics now;
    now.threads = threads();
    std::uint64_t begun = offered_begun_.load(std::memory_order_relaxed);
    now.jobs_completed = offered_ended_.load(std::memory_order_relaxed);
    now.busy = static_cast<unsigned>(begun > now.jobs_completed ? begun - now.jobs_completed : 0);
    for (const member& each : members_)
    {
        const std::uint64_t ended = each.ended.load(std::memory_order_relaxed);
        const std::uint64_t started = each.begun.load(std::memory_order_relaxed);
        begun += started;
        now.jobs_completed += ended;
        now.busy += started > ended ? 1 : 0;
        now.wakes += each.slept.load(std::memory_order_relaxed);
        now.spins_won += each.spins_won.load(std::memory_order_relaxed);
        now.spins_lost += each.spins_lost.load(std::memory_order_relaxed);
    }
    const std::uint32_t unparked = std::min(idle_.unparked(), threads());
    now.sleeping = threads() - unparked;
    const std::uint64_t enqueued = enqueued_.load(std::memory_order_relaxed);
    now.waiting = enqueued > begun ? static_cast<std::size_t>(enqueued - begun) : 0;
    const lease_totals leases = leases_so_far();
    now.leases_returned = leases.returned;
    now.leases_returned_for = leases.waited;
    return now;
}

std::string crew::explain_courtesy() const
{
    std::string text = "  courtesy to I/O: ";
    const bool off = config_.give_way == courtesy::off;
    text += off ? "switched off\n" : config_.give_way == courtesy::on ? "on\n" : "automatic\n";
    unsigned applied = 0;
    const member* example = nullptr;
    for (const member& each : members_)
    {
        // Acquire: partner is the release in give_way_from_now_on().
        if (each.nice_applied.load(std::memory_order_acquire))
        {
            ++applied;
            example = &each;
        }
    }
    if (example != nullptr)
    {
        text += "  " + std::to_string(applied) + " of " + std::to_string(threads()) +
                " threads: " + describe(example->nice, nice_steps_) + "\n";
    }
    if (applied < threads())
    {
        text += "  " + std::to_string(threads() - applied) +
                " threads have had no job of more than 0.2 ms, and run like any other thread\n";
    }
    return text + "  " + describe_leases(!off) + "\n";
}

std::string crew::explain_waiting() const
{
    if (processors() < 2)
    {
        return "gives way once, then sleeps (one processor)";
    }
    if (idle_spin() == ns(0))
    {
        return "sleeps (idle_spin is 0)";
    }
    return "spins for up to " + std::to_string(idle_spin() / std::chrono::microseconds(1)) +
           " us where that has paid, then sleeps";
}

std::string crew::explain() const
{
    const auto budget = usable_processors();
    std::string text = "pool " + name() + ": " + std::to_string(threads()) + " threads of its own";
    text += config_.threads == 0 ? ", as many as can be used (" + std::string(budget.reason) + ")"
                                 : ", as configured";
    text += "\n  processors: " + std::to_string(processors()) + " when the pool was made\n";
    text += explain_courtesy();
    const pool_constraints& where = config_.constraints;
    if (where.numa_node >= 0 || where.core_type >= 0 || where.max_threads_per_core > 0)
    {
        text += "  constraints: NUMA node " + std::to_string(where.numa_node) + ", core type " +
                std::to_string(where.core_type) + ", threads per core " +
                std::to_string(where.max_threads_per_core) + " (none: -1, -1, 0)\n";
    }
    text += "  waiting for a job: " + explain_waiting() + '\n';
    return text;
}

} // namespace blitzio::compute::detail
