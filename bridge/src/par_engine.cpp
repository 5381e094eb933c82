// Workers of parallel stages. Thread rule: see the header.
#include <blitzio/bridge/detail/par_engine.hpp>

#include "call_scope.hpp"

#include <blitzio/bridge/detail/compute_job.hpp>
#include <blitzio/compute/detail/lease.hpp>
#include <blitzio/io/detail/runtime_access.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace blitzio::detail
{

namespace
{

using work_clock = std::chrono::steady_clock;

/// Whoever computes for less than this is expected to do so again, and the consumer is woken for
/// several results at once: waking a sleeping thread costs some microseconds.
constexpr std::chrono::microseconds brief{10};
/// After this time a worker goes to the end of the pool's queue, because others want to compute, too.
constexpr std::chrono::microseconds slice{250};
/// What a simulation computes with when no pool was named: the same on every machine.
constexpr unsigned simulated_threads = 4;
/// As long as nobody knows how large results are, about so many values are in flight for each
/// worker: enough to keep it busy.
constexpr std::size_t first_values_per_worker = 2;

} // namespace

std::size_t par_engine::open(const task_env& env, void* stage, compute_function call, bool resizes)
{
    env_ = env;
    context_ = compute_job::context_of(env_);
    stage_ = stage;
    compute_ = call;
    simulated_ = runs_jobs_inline(*env.runtime);
    if (pool_ == nullptr && !simulated_)
    {
        const auto found = compute::find_default_pool();
        pool_ = found ? *found : nullptr;
        refused_ = found ? std::error_code() : found.error();
    }
    const unsigned threads = pool_ != nullptr ? pool_->threads() : simulated_threads;
    const std::size_t cells =
        options_.max_in_flight != 0 ? options_.max_in_flight : 2 * std::size_t{threads} + 2;
    const std::size_t workers = std::min<std::size_t>(threads, cells);
    ring_.open(
        {.ordered = options_.ordered,
         .bytes_max = options_.max_bytes,
         .first_growth = resizes ? options_.max_bytes / (first_values_per_worker * workers) : 0},
        options_.progress);
    workers_ = std::make_unique<worker[]>(workers);
    for (std::size_t index = 0; index < workers; ++index)
    {
        worker& each = workers_[index];
        each.engine = this;
        each.turn.owner = &each;
        static_cast<compute::job&>(each).run = [](compute::job* item) noexcept {
            auto& self = *static_cast<worker*>(item);
            self.engine->work(self);
        };
        each.turn.run = [](runnable* item) noexcept {
            worker& self = *static_cast<simulated_turn*>(item)->owner;
            self.engine->take_turn(self);
        };
        ring_.add_worker(each);
    }
    return cells;
}

void par_engine::wake(runtime_core& runtime, const ring_type::wakes& woken) noexcept
{
    if (woken.feeder != nullptr)
    {
        schedule(runtime, *woken.feeder);
    }
    if (woken.consumer != nullptr)
    {
        schedule(runtime, *woken.consumer);
    }
}

bool par_engine::try_room(par_cell& cell, std::size_t bytes) noexcept
{
    par_feeder_wait wish;
    wish.cell = &cell;
    wish.bytes = bytes;
    return ring_.try_ask(wish);
}

void par_engine::publish(par_cell& cell) noexcept
{
    ring_type::wakes woken;
    par_worker* const idle = ring_.publish(cell, woken);
    wake(*env_.runtime, woken);
    if (idle != nullptr)
    {
        start(*static_cast<worker*>(idle));
    }
}

void par_engine::start(worker& idle) noexcept
{
    if (simulated_)
    {
        run_simulated_job(*env_.runtime, idle.turn);
        return;
    }
    idle.outside = external_work(*env_.runtime);
    if (const auto queued = pool_->enqueue(idle); !queued)
    {
        idle.outside.end();
        ring_type::wakes woken;
        ring_.cannot_start(idle, queued.error(), woken);
        wake(*env_.runtime, woken);
    }
}

void par_engine::end_feeding(std::error_code error, const std::exception_ptr& thrown) noexcept
{
    ring_type::wakes woken;
    if (!ring_.end_feeding(error, thrown, woken) && thrown != nullptr)
    {
        report(thrown);
    }
    wake(*env_.runtime, woken);
}

bool par_engine::take(par_consumer_wait& wish) noexcept
{
    ring_type::wakes woken;
    runtime_core& runtime = *env_.runtime; // after false the stage may be gone
    const bool taken = ring_.take(wish, woken);
    wake(runtime, woken);
    return taken;
}

void par_engine::release(par_cell& cell) noexcept
{
    ring_type::wakes woken;
    ring_.release(cell, woken);
    wake(*env_.runtime, woken);
}

void par_engine::close() noexcept
{
    ring_type::wakes woken;
    ring_.close(woken);
    wake(*env_.runtime, woken);
}

void par_engine::report(const std::exception_ptr& thrown) const noexcept
{
    report_suppressed(env_, thrown);
}

std::error_code par_engine::too_late(work_clock::time_point now) const noexcept
{
    if (env_.stop.stop_requested())
    {
        return std::make_error_code(std::errc::operation_canceled);
    }
    // The runtime's timer requests a stop, too, and is late where the workers have no processor.
    if (context_.steady_deadline && now.time_since_epoch() >= context_.deadline)
    {
        return std::make_error_code(std::errc::timed_out);
    }
    return {};
}

void par_engine::work(worker& self) noexcept
{
    // Apart from the engine, which may be gone after the last step. Ends after the wake-up.
    runtime_core& runtime = *env_.runtime;
    external_work outside = std::move(self.outside);
    const call_scope inside(context_);
    auto began = work_clock::now();
    const auto slice_end = began + slice;
    auto step = ring_.begin(self);
    wake(runtime, step.woken);
    while (step.cell != nullptr)
    {
        const par_verdict verdict = compute_(stage_, *step.cell, too_late(began));
        const auto ended = work_clock::now();
        // Whoever has to give its processor back does so between jobs, where nothing waits for it.
        const bool must_pause = ended >= slice_end || compute::detail::lease_ended(ended);
        step = ring_.finish(self, *step.cell, verdict, ended - began < brief, must_pause);
        wake(runtime, step.woken);
        began = ended;
        if (step.again)
        {
            self.outside = std::move(outside);
            if (pool_->enqueue(self))
            {
                return;
            }
            // Then the others have to wait.
            outside = std::move(self.outside);
            compute::detail::lease_point();
            step = ring_.begin(self);
            wake(runtime, step.woken);
        }
    }
}

void par_engine::take_turn(worker& self) noexcept
{
    runtime_core& runtime = *env_.runtime;
    auto step = ring_.begin(self);
    wake(runtime, step.woken);
    if (step.cell == nullptr)
    {
        return;
    }
    par_verdict verdict = par_verdict::none;
    {
        const call_scope inside(context_);
        verdict = compute_(stage_, *step.cell, too_late({}));
    }
    // Each value is computed in a turn of its own, so that the seed decides on the order.
    step = ring_.finish(self, *step.cell, verdict, false, true);
    wake(runtime, step.woken);
    if (step.again)
    {
        run_simulated_job(runtime, self.turn);
    }
}

} // namespace blitzio::detail
