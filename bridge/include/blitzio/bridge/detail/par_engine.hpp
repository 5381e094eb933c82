// Where a parallel stage meets the pool and the runtime: starts workers for the cells of a par_ring,
// lets them compute one after the other, and wakes the two tasks of the stage.
// Thread rule: open() before anything else; the rest as par_ring says. The engine stays in place and
// outlives its workers, because the feeder waits for them.
#pragma once

#include <blitzio/bridge/detail/par_ring.hpp>
#include <blitzio/compute/detail/context.hpp>
#include <blitzio/compute/pool.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/external_work.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <system_error>

namespace blitzio::streams
{

/// What bounds a parallel stage, and who wants to know how far it is.
struct par_options
{
    /// Results in the order of the values; otherwise as they are ready.
    bool ordered = true;
    /// Values that were taken from the stage above and whose results were not taken by the stage
    /// below, at most; so it also bounds how far results run ahead of a slow one before them.
    /// 0: two for each thread of the pool, and two more.
    std::size_t max_in_flight = 0;
    /// The same in bytes, by byte_size() of the values, and of their results where these are larger;
    /// 0: no limit. One value that is larger than the limit passes alone. The next value, which has
    /// been asked for and waits for room, does not count. What this bounds: see par_map.hpp.
    std::size_t max_bytes = 0;
    /// Outlives the await of the pipeline.
    stream_progress* progress = nullptr;
};

} // namespace blitzio::streams

namespace blitzio::detail
{

class par_engine
{
public:
    /// Computes a cell's value, or stores why it is too late for that: `refused`.
    using compute_function = par_verdict (*)(void* stage, par_cell& cell,
                                             std::error_code refused) noexcept;

    /// `pool` null: the process's default pool.
    par_engine(compute::pool* pool, const streams::par_options& options) noexcept
        : pool_(pool), options_(options)
    {
    }

    /// Only before open().
    par_engine(par_engine&& other) noexcept : pool_(other.pool_), options_(other.options_) {}

    /// `resizes`: results may be larger than their values. Returns how many cells there are to be;
    /// the caller adds them. Throws std::bad_alloc.
    [[nodiscard]] std::size_t open(const task_env& env, void* stage, compute_function call,
                                   bool resizes);

    void add_cell(par_cell& cell) noexcept
    {
        ring_.add_cell(cell);
    }

    /// Why nothing can be computed at all, if so.
    [[nodiscard]] std::error_code refused() const noexcept
    {
        return refused_;
    }

    /// Whether anybody wants to know how large results are.
    [[nodiscard]] bool counts_bytes() const noexcept
    {
        return options_.max_bytes != 0 || options_.progress != nullptr;
    }

    [[nodiscard]] stop_token token() const noexcept
    {
        return env_.stop;
    }

    /// For the feeder; awaited: the operation's `granted`.
    class feeder_operation;
    /// A free cell. False: feeding has ended.
    [[nodiscard]] feeder_operation free_cell(par_cell*& cell) noexcept;
    /// Room for `bytes` more in `cell`. False: feeding has ended.
    [[nodiscard]] feeder_operation room(par_cell& cell, std::size_t bytes) noexcept;
    [[nodiscard]] bool try_room(par_cell& cell, std::size_t bytes) noexcept;
    void publish(par_cell& cell) noexcept;
    void end_feeding(std::error_code error, const std::exception_ptr& thrown) noexcept;
    class drained_operation;
    /// Awaited, last: until no worker is left.
    [[nodiscard]] drained_operation drained() noexcept;

    /// For the consumer; see par_ring.
    [[nodiscard]] bool take(par_consumer_wait& wish) noexcept;
    void release(par_cell& cell) noexcept;
    [[nodiscard]] auto failure() noexcept
    {
        return ring_.failure();
    }

    void close() noexcept;

    /// What a stage that goes away has to say of an exception that nobody took.
    void report(const std::exception_ptr& thrown) const noexcept;

private:
    struct worker;
    /// Runs a worker in a simulation.
    struct simulated_turn : runnable
    {
        worker* owner = nullptr;
    };
    struct worker : par_worker, compute::job
    {
        par_engine* engine = nullptr;
        simulated_turn turn;
        /// While a pool has the job: keeps virtual time from passing.
        external_work outside;
    };
    using ring_type = par_ring<>;

    static void wake(runtime_core& runtime, const ring_type::wakes& woken) noexcept;
    void start(worker& idle) noexcept;
    void work(worker& self) noexcept;
    void take_turn(worker& self) noexcept;
    [[nodiscard]] std::error_code too_late(
        std::chrono::steady_clock::time_point now) const noexcept;

    compute::pool* pool_;
    streams::par_options options_;
    bool simulated_ = false;
    /// A copy, without what it waits in.
    task_env env_;
    /// What calls of the function see; `waiting` is each worker's own.
    compute::detail::compute_context context_;
    void* stage_ = nullptr;
    compute_function compute_ = nullptr;
    std::error_code refused_;
    std::unique_ptr<worker[]> workers_;
    ring_type ring_;
};

class par_engine::feeder_operation : public awaitable_base<par_engine::feeder_operation>,
                                     private par_feeder_wait
{
public:
    feeder_operation(par_engine& engine, par_cell*& into) noexcept : engine_(&engine), into_(&into)
    {
        wants_cell = true;
    }

    feeder_operation(par_engine& engine, par_cell& filled, std::size_t more) noexcept
        : engine_(&engine)
    {
        cell = &filled;
        bytes = more;
    }

    /// Only before start().
    feeder_operation(feeder_operation&& other) noexcept
        : par_feeder_wait(other), engine_(other.engine_), into_(other.into_)
    {
    }

    [[nodiscard]] bool start(const task_env&, waiter who) noexcept
    {
        on_complete_ = who;
        this->run = [](runnable* item) noexcept {
            resume(static_cast<feeder_operation*>(static_cast<par_feeder_wait*>(item))
                       ->on_complete_());
        };
        return !engine_->ring_.ask(*this);
    }

    [[nodiscard]] bool await_resume() const noexcept
    {
        if (into_ != nullptr)
        {
            *into_ = cell;
        }
        return granted;
    }

private:
    par_engine* engine_;
    par_cell** into_ = nullptr;
    waiter on_complete_;
};

class par_engine::drained_operation : public awaitable_base<par_engine::drained_operation>,
                                      private runnable
{
public:
    explicit drained_operation(par_engine& engine) noexcept : engine_(&engine) {}
    /// Only before start().
    drained_operation(drained_operation&& other) noexcept : runnable(), engine_(other.engine_) {}

    [[nodiscard]] bool start(const task_env&, waiter who) noexcept
    {
        on_complete_ = who;
        this->run = [](runnable* item) noexcept {
            resume(static_cast<drained_operation*>(item)->on_complete_());
        };
        return !engine_->ring_.wait_for_workers(*this);
    }

    void await_resume() const noexcept {}

private:
    par_engine* engine_;
    waiter on_complete_;
};

inline par_engine::feeder_operation par_engine::free_cell(par_cell*& cell) noexcept
{
    return feeder_operation(*this, cell);
}

inline par_engine::feeder_operation par_engine::room(par_cell& cell, std::size_t bytes) noexcept
{
    return feeder_operation(*this, cell, bytes);
}

inline par_engine::drained_operation par_engine::drained() noexcept
{
    return drained_operation(*this);
}

} // namespace blitzio::detail
