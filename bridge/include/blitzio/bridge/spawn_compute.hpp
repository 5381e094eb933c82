// Starting a computation now and taking its result later.
// Thread rule: spawn_compute() from any thread; a compute_handle belongs to one owner at a time.
#pragma once

#include <blitzio/bridge/compute_on.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <source_location>
#include <utility>

namespace blitzio
{

namespace detail
{

/// The memory shared by the running computation and its handle.
template <class T>
struct compute_state : compute::job
{
    outcome_slot<T> outcome;
    std::error_code refused;
    stop_source stop;
    oneshot_state<> hand_off;
    runtime_core* runtime = nullptr;
    runnable* back = nullptr;
    std::atomic<std::uint32_t> references{2};
    void (*destroy)(compute_state*) noexcept = nullptr;

    void release() noexcept
    {
        // acq_rel: the last one sees what the other did before it frees the memory.
        if (references.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            destroy(this);
        }
    }

    /// On the pool's thread, with the outcome stored.
    void finish() noexcept
    {
        if (hand_off.complete().must_wake_receiver)
        {
            schedule(*runtime, *back);
        }
        release();
    }
};

template <class Call>
class compute_cell final : public compute_state<call_result_t<Call>>
{
    using value_type = call_result_t<Call>;

public:
    template <class Source>
    compute_cell(Source&& call, call_site_record* site)
        : site_(site), call_(std::forward<Source>(call))
    {
        this->run = [](compute::job* item) noexcept {
            static_cast<compute_cell*>(item)->compute();
        };
        this->destroy = [](compute_state<value_type>* self) noexcept {
            delete static_cast<compute_cell*>(self);
        };
    }

    /// `here`: the thread that has called spawn_compute().
    void compute(bool here = false) noexcept
    {
        const auto token = this->stop.get_token();
        if (token.stop_requested())
        {
            this->refused = std::make_error_code(std::errc::operation_canceled);
        }
        else
        {
            const compute::detail::compute_context context{.stop = token};
            const compute::detail::context_scope inside(&context);
            const auto begun = site_ == nullptr ? call_time(0) : site_->begin(here, here);
            store_outcome(this->outcome,
                          [&]() -> value_type { return invoke_with_stop(call_, token); });
            if (begun.count() != 0)
            {
                site_->end(begun, times_);
            }
        }
        this->finish();
    }

    /// The times of the pool that the call is for.
    void use_times(compute::detail::job_times& times) noexcept
    {
        times_ = &times;
    }

private:
    /// Null: not measured.
    call_site_record* site_;
    compute::detail::job_times* times_ = nullptr;
    Call call_;
};

template <class T>
class compute_get_operation;

} // namespace detail

/// The right to the result of a computation that runs already.
///
/// Dropping it asks the computation to stop and lets it end on its own; the pool's destructor waits
/// for it. An exception that nobody takes is dropped with it.
template <class T>
class [[nodiscard]] compute_handle
{
public:
    compute_handle() noexcept = default;
    explicit compute_handle(detail::compute_state<T>* state) noexcept : state_(state) {}
    compute_handle(compute_handle&& other) noexcept : state_(std::exchange(other.state_, nullptr))
    {
    }

    compute_handle& operator=(compute_handle&& other) noexcept
    {
        if (this != &other)
        {
            drop();
            state_ = std::exchange(other.state_, nullptr);
        }
        return *this;
    }

    ~compute_handle()
    {
        drop();
    }

    /// False once get() was called, and for a default-constructed handle.
    [[nodiscard]] bool valid() const noexcept
    {
        return state_ != nullptr;
    }

    /// True when get() would not wait.
    [[nodiscard]] bool finished() const noexcept
    {
        return state_->hand_off.is_finished();
    }

    /// Any thread. A call that has not begun is skipped.
    void request_stop(stop_reason reason = stop_reason::user) noexcept
    {
        state_->stop.request_stop(reason);
    }

    /// Awaited once: gives result<T>, or T itself if it is a result. The handle is empty
    /// afterwards.
    /// Cancellation: a stop request of the awaiting task is passed on; the computation is waited
    /// for in any case.
    /// Errors: as compute_on.
    [[nodiscard]] detail::compute_get_operation<T> get() noexcept
    {
        return detail::compute_get_operation<T>(std::exchange(state_, nullptr));
    }

private:
    void drop() noexcept
    {
        if (state_ != nullptr)
        {
            state_->stop.request_stop();
            static_cast<void>(state_->hand_off.close());
            std::exchange(state_, nullptr)->release();
        }
    }

    detail::compute_state<T>* state_ = nullptr;
};

namespace detail
{

template <class T>
class compute_get_operation : public awaitable_base<compute_get_operation<T>>
{
public:
    explicit compute_get_operation(compute_state<T>* state) noexcept : unstarted_(state) {}

    /// Only before start().
    compute_get_operation(compute_get_operation&& other) noexcept
        : unstarted_(std::move(other.unstarted_))
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        state_ = unstarted_.release();
        on_complete_ = who;
        back_.owner = this;
        back_.run = [](runnable* item) noexcept {
            resume(static_cast<way_back*>(item)->owner->on_complete_());
        };
        state_->runtime = env.runtime;
        state_->back = &back_;
        outside_ = external_work(*env.runtime);
        if (env.stop.stop_possible())
        {
            stop_.arm(env.stop, pass_on{state_});
        }
        // Last: once waiting, this may continue on another worker.
        return state_->hand_off.start_waiting();
    }

    as_result<T> await_resume()
    {
        stop_.disarm();
        outside_.end();
        const auto refused = state_->refused;
        auto outcome = std::move(state_->outcome);
        std::exchange(state_, nullptr)->release();
        if (refused)
        {
            return fail(refused);
        }
        if constexpr (std::is_void_v<T>)
        {
            outcome.take();
            return {};
        }
        else
        {
            return outcome.take();
        }
    }

private:
    struct way_back : runnable
    {
        compute_get_operation* owner = nullptr;
    };
    struct pass_on
    {
        compute_state<T>* state;

        void operator()(stop_reason reason) const noexcept
        {
            state->stop.request_stop(reason);
        }
    };
    /// get() may be called and its operation never awaited: then it counts as dropped.
    struct drop_state
    {
        void operator()(compute_state<T>* state) const noexcept
        {
            const compute_handle<T> dropped(state);
        }
    };

    std::unique_ptr<compute_state<T>, drop_state> unstarted_;
    compute_state<T>* state_ = nullptr;
    waiter on_complete_;
    /// A pool has the job: virtual time must not pass meanwhile.
    external_work outside_;
    way_back back_;
    stop_slot<pass_on> stop_;
};

/// By the clock that all runtimes but simulated ones have.
enum class spawn_verdict : std::uint8_t
{
    to_pool,
    here,
    refused,
};
[[nodiscard]] spawn_verdict decide_spawn(const compute_options& options, call_site_record& site,
                                         compute::pool& pool) noexcept;

template <class Call>
auto spawn_compute(compute::pool* pool, Call&& call, const compute_options& options,
                   std::source_location where)
{
    using call_type = std::decay_t<Call>;
    using cell_type = compute_cell<call_type>;
    using value_type = call_result_t<call_type>;
    auto& site = call_site_of<call_type>(where);
    auto* const cell = new cell_type(
        std::forward<Call>(call), options.placement == blitzio::placement::pool ? nullptr : &site);
    compute_handle<value_type> handle(cell);
    result<void> queued;
    if (pool == nullptr)
    {
        const auto found = compute::find_default_pool();
        pool = found ? *found : nullptr;
        queued = found ? result<void>() : fail(found.error());
    }
    if (queued)
    {
        cell->use_times(pool->times());
        switch (decide_spawn(options, site, *pool))
        {
        case spawn_verdict::to_pool: queued = pool->enqueue(*cell); break;
        case spawn_verdict::here: cell->compute(true); break;
        case spawn_verdict::refused:
            queued = std::unexpected(make_error_code(compute_errc::deadline_out_of_reach));
            break;
        }
    }
    if (!queued)
    {
        cell->refused = queued.error();
        cell->finish(); // nobody waits yet; get() finds the reason
    }
    return handle;
}

} // namespace detail

/// Starts `call()` or `call(stop_token)` on `pool` at once and gives a compute_handle for its
/// result:
///     auto pending = spawn_compute(pool, build_index);
///     ...
///     auto index = co_await pending.get();
/// One allocation. `call` is kept beside the result, so what it refers to must outlive it. The
/// token belongs to the handle. A pool that refuses the work shows as the error of get(), and so does
/// a refusal by admission::by_deadline, for which options.deadline counts. Where placement says so,
/// `call` runs inside of this very call. Not for simulated runtimes: the computation starts before any
/// runtime is known, on a real thread.
template <class Call>
    requires detail::computable<std::decay_t<Call>>
[[nodiscard]] auto spawn_compute(compute::pool& pool, Call&& call, compute_options options = {},
                                 std::source_location where = std::source_location::current())
{
    return detail::spawn_compute(&pool, std::forward<Call>(call), options, where);
}

/// The same on the process's default pool.
template <class Call>
    requires detail::computable<std::decay_t<Call>>
[[nodiscard]] auto spawn_compute(Call&& call, compute_options options = {},
                                 std::source_location where = std::source_location::current())
{
    return detail::spawn_compute(nullptr, std::forward<Call>(call), options, where);
}

} // namespace blitzio
