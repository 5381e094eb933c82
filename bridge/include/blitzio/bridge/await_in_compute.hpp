// The way back: a computation waits for I/O without holding a thread of its pool.
//     const auto sizes = co_await parallel_map(pool, names, [](const std::string& name) {
//         auto bytes = await_in_compute(fs::read_file(name));         // no thread waits here
//         return bytes ? hash(*bytes) : 0;
//     });
// Thread rule: inside compute_on and the awaited parallel algorithms, on whichever thread.
#pragma once

#include <blitzio/compute/detail/context.hpp>
#include <blitzio/io/blocking.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>
#include <blitzio/io/detail/spawn_cell.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/task_env.hpp>

#include <source_location>
#include <type_traits>
#include <utility>

namespace blitzio
{

namespace detail
{

/// The part that does not depend on the operation: the way to a worker, the wait, the way back.
/// Lies on the computation's stack, which stays in place until the operation has ended.
class compute_wait
{
public:
    compute_wait(const compute_wait&) = delete;
    compute_wait& operator=(const compute_wait&) = delete;

protected:
    explicit compute_wait(std::source_location where) noexcept;
    ~compute_wait() = default;

    /// Why it cannot wait here; nothing if it can.
    [[nodiscard]] std::error_code refusal() const noexcept;

    /// Has `start` called on a worker of the runtime and returns when the operation has ended, maybe
    /// on another thread.
    void run(bool (*start)(compute_wait&) noexcept) noexcept;

    /// What the operation invokes when it ends.
    [[nodiscard]] waiter ended() noexcept;

    task_details details_;
    task_env env_;

private:
    struct node : runnable
    {
        compute_wait* owner = nullptr;
    };

    static void on_worker(runnable* item) noexcept;
    void begin_simulated_wait() noexcept;
    void end_simulated_wait() noexcept;
    /// False: not possible here.
    bool run_suspended() noexcept;
    void run_blocked() noexcept;
    void wake() noexcept;

    const compute::detail::compute_context* context_;
    node node_;
    bool (*start_)(compute_wait&) noexcept = nullptr;
    /// The suspended computation, or the thread that is blocked in its stead.
    void* sleeper_ = nullptr;
    /// Null while a thread is blocked.
    void (*resume_)(void* sleeper) noexcept = nullptr;
    bool simulated_ = false;
};

template <class Operation>
class compute_wait_for : private compute_wait
{
    using value_type = await_result_t<Operation>;

public:
    compute_wait_for(Operation& operation, std::source_location where) noexcept
        : compute_wait(where), operation_(operation)
    {
    }

    [[gnu::noinline]] as_result<value_type> get()
    {
        if (const auto code = refusal())
        {
            return fail(code);
        }
        run([](compute_wait& wait) noexcept {
            auto& self = static_cast<compute_wait_for&>(wait);
            return self.operation_.start(self.env_, self.ended());
        });
        if constexpr (std::is_void_v<value_type>)
        {
            operation_.await_resume();
            return {};
        }
        else
        {
            return operation_.await_resume();
        }
    }

private:
    Operation& operation_;
};

} // namespace detail

/// Waits, inside of a computation, for an operation or a task, or for the task that a callable
/// returns, in the runtime of the task that awaits the computation: result<T>, or T itself if it is
/// a result. What a task throws is thrown here.
///
/// Where oneTBB can put a task aside (resumable tasks: glibc, not under a sanitizer) the thread goes
/// on with other work of its pool, and the computation continues later, maybe on another thread:
/// thread-local variables mean nothing across it, and locks that belong to a thread must not be held.
/// Otherwise the thread sleeps. Not inside a catch block, and not in a constructor of a static
/// variable.
/// How many elements of a loop wait at a time depends on how finely it is split: see
/// parallel_options::waits. Each takes a stack of its own meanwhile; of more than 4,096 in a process
/// the rest hold their threads.
///
/// Cancellation: a stop or deadline of the computation (this_compute::stop()) is passed on to the
/// operation; the wait ends when it has ended.
/// Errors: io_errc::not_on_worker outside of a computation that a task awaits (spawn_compute is not
/// one); io_errc::would_deadlock on a worker (parallel_options::inline_max) and in a simulated
/// runtime without real pools, where nobody else could carry out the operation.
template <class Work>
    requires(!std::is_lvalue_reference_v<Work> || detail::spawnable_callable<Work>) &&
            (awaitable_operation<Work> || detail::spawnable_callable<Work>)
auto await_in_compute(Work&& work, std::source_location where = std::source_location::current())
{
    if constexpr (awaitable_operation<Work>)
    {
        std::remove_cvref_t<Work> operation(std::move(work));
        return detail::compute_wait_for<std::remove_cvref_t<Work>>(operation, where).get();
    }
    else
    {
        auto operation = std::invoke(work);
        return detail::compute_wait_for<decltype(operation)>(operation, where).get();
    }
}

/// True where await_in_compute() gives its thread away while it waits.
[[nodiscard]] bool compute_waits_without_thread() noexcept;

} // namespace blitzio
