// The part of a computation that does not depend on what is computed: going to the pool, coming
// back.
// Thread rule: begin() on a worker; the call on a thread of the pool; the result belongs to the
// awaiting side once the waiter was continued.
#pragma once

#include <blitzio/compute/detail/context.hpp>
#include <blitzio/compute/pool.hpp>
#include <blitzio/io/detail/oneshot_state.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/external_work.hpp>

#include <system_error>

namespace blitzio::detail
{

/// Lives in the awaiting frame. The pool's thread and the awaiting worker meet in `hand_off_` only:
/// whichever comes second continues the waiter, so a computation that has ended before the awaiting
/// side has gone to sleep costs no wake-up.
///
/// Why the frame is safe: after `hand_off_.complete()` the pool's thread touches nothing in here,
/// except when it was told to wake the waiter; then the waiter sleeps until schedule() has taken
/// `back_`. oneTBB holds a pointer to `job_` and does not follow it any more once it was run.
class compute_job
{
public:
    compute_job() noexcept = default;
    compute_job(const compute_job&) = delete;
    compute_job& operator=(const compute_job&) = delete;

    /// What this_compute tells inside a call that is made for a task in `env`.
    [[nodiscard]] static compute::detail::compute_context context_of(const task_env& env) noexcept;

protected:
    using call_function = void (*)(compute_job&) noexcept;

    /// `pool` null: the process's default pool. The meaning of the result is that of start().
    [[nodiscard]] bool begin(compute::pool* pool, const task_env& env, waiter who,
                             call_function call) noexcept;

    /// The waiter is continued behind what can run on this worker already: for what has finished at
    /// once, when its task has used up its turn. Always true, as start() gives it.
    [[nodiscard]] bool give_way(const task_env& env, waiter who) noexcept;

    stop_token token_;
    /// Set when the call was not made: stopped before, or refused by the pool.
    std::error_code refused_;

private:
    struct pool_job : compute::job
    {
        compute_job* owner = nullptr;
    };
    struct way_back : runnable
    {
        compute_job* owner = nullptr;
    };

    void make_call() noexcept;
    static void on_pool_thread(compute::job* item) noexcept;
    static void in_simulation(runnable* item) noexcept;
    static void back_on_worker(runnable* item) noexcept;

    pool_job job_;
    way_back back_;
    runtime_core* runtime_ = nullptr;
    /// The awaiting task's, which outlives the await.
    const task_env* env_ = nullptr;
    waiter on_complete_;
    call_function call_ = nullptr;
    /// While a pool has the job: keeps virtual time from passing.
    external_work outside_;
    oneshot_state<> hand_off_;
};

} // namespace blitzio::detail
