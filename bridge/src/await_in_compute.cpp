// Waiting in a computation, by oneTBB's resumable tasks or with the thread. Thread rule: see the
// header.
#include <blitzio/bridge/await_in_compute.hpp>

#include <blitzio/compute/detail/suspension.hpp>

#include <blitzio/io/detail/runtime_access.hpp>
#include <blitzio/io/external_work.hpp>

#include <tbb/task.h>

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <mutex>
#include <utility>

// Sanitizers follow a thread's one stack.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define BLITZIO_ONE_STACK_PER_THREAD 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BLITZIO_ONE_STACK_PER_THREAD 1
#endif
#if __TBB_RESUMABLE_TASKS && !defined(BLITZIO_ONE_STACK_PER_THREAD)
#define BLITZIO_RESUMABLE_TASKS 1
#else
#define BLITZIO_RESUMABLE_TASKS 0
#endif

namespace blitzio
{

namespace detail
{

compute_wait::compute_wait(std::source_location where) noexcept
    : context_(compute::detail::current_context())
{
    details_.name = "await_in_compute";
    details_.spawned_at = where;
    env_.origin = task_origin(details_);
    if (context_ != nullptr)
    {
        env_.runtime = context_->runtime;
        env_.stop = context_->stop;
        details_.deadline = context_->deadline;
        details_.locals = context_->locals;
    }
}

std::error_code compute_wait::refusal() const noexcept
{
    if (env_.runtime == nullptr)
    {
        return make_error_code(io_errc::not_on_worker);
    }
    if (on_worker_thread() || runs_jobs_inline(*env_.runtime))
    {
        return make_error_code(io_errc::would_deadlock);
    }
    return {};
}

waiter compute_wait::ended() noexcept
{
    return {[](void* self) noexcept -> std::coroutine_handle<> {
                static_cast<compute_wait*>(self)->wake();
                return std::noop_coroutine();
            },
            this};
}

void compute_wait::on_worker(runnable* item) noexcept
{
    auto& self = *static_cast<node*>(item)->owner;
    if (self.simulated_)
    {
        self.begin_simulated_wait();
    }
    if (!self.start_(self))
    {
        self.wake();
    }
    // Otherwise the computation may have gone on already.
}

namespace
{

struct sleeping_thread
{
    std::mutex mutex;
    std::condition_variable changed;
    bool woken = false;
};

} // namespace

namespace
{

/// Of all simulated runtimes; guards compute_context::waiting.
std::mutex simulated_waits;

} // namespace

/// A job on a real thread keeps the virtual clock from running, which it must not do while it waits
/// for something that may be a matter of time.
void compute_wait::begin_simulated_wait() noexcept
{
    const std::lock_guard lock(simulated_waits);
    if ((*context_->waiting)++ == 0)
    {
        end_external_work(*env_.runtime);
    }
}

void compute_wait::end_simulated_wait() noexcept
{
    const std::lock_guard lock(simulated_waits);
    if (--*context_->waiting == 0)
    {
        static_cast<void>(begin_external_work(*env_.runtime));
    }
}

void compute_wait::run(bool (*start)(compute_wait&) noexcept) noexcept
{
    start_ = start;
    node_.owner = this;
    node_.run = &compute_wait::on_worker;
    simulated_ = is_simulated(*env_.runtime);
    if (!run_suspended())
    {
        run_blocked();
    }
}

void compute_wait::run_blocked() noexcept
{
    sleeping_thread here;
    sleeper_ = &here;
    schedule(*env_.runtime, node_);
    std::unique_lock lock(here.mutex);
    here.changed.wait(lock, [&] { return here.woken; });
}

#if BLITZIO_RESUMABLE_TASKS

namespace
{

/// Each takes a stack and some of the mappings that a process may have (65,530 unless the system is
/// told otherwise); beyond this many threads wait in the computations' stead.
constexpr int suspended_max = 4096;
std::atomic<int> suspended{0};

} // namespace

[[gnu::noinline]] bool compute_wait::run_suspended() noexcept
{
    // Relaxed, here and below: a number, nothing is published with it.
    if (suspended.fetch_add(1, std::memory_order_relaxed) >= suspended_max)
    {
        suspended.fetch_sub(1, std::memory_order_relaxed);
        return false;
    }
    resume_ = [](void* sleeper) noexcept {
        tbb::task::resume(static_cast<tbb::task::suspend_point>(sleeper));
    };
    // This thread takes up something else, which must not find this computation's context.
    compute::detail::exchange_context(nullptr);
    const compute::detail::suspension waiting;
    tbb::task::suspend([this](tbb::task::suspend_point here) {
        sleeper_ = here;
        schedule(*env_.runtime, node_);
    });
    compute::detail::exchange_context(context_);
    suspended.fetch_sub(1, std::memory_order_relaxed);
    return true;
}

#else

bool compute_wait::run_suspended() noexcept
{
    return false;
}

#endif

void compute_wait::wake() noexcept
{
    if (simulated_)
    {
        end_simulated_wait();
    }
    if (resume_ != nullptr)
    {
        resume_(sleeper_);
        return;
    }
    auto& sleeper = *static_cast<sleeping_thread*>(sleeper_);
    // Notified under the mutex: the sleeper cannot leave before this thread has let go.
    const std::lock_guard lock(sleeper.mutex);
    sleeper.woken = true;
    sleeper.changed.notify_one();
}

} // namespace detail

bool compute_waits_without_thread() noexcept
{
    return BLITZIO_RESUMABLE_TASKS != 0;
}

} // namespace blitzio
