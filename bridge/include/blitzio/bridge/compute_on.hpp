// Computing away from the workers: co_await compute_on(pool, f).
// Thread rule: awaited in tasks; the callable runs on a thread of the pool.
#pragma once

#include <blitzio/bridge/compute_options.hpp>
#include <blitzio/bridge/detail/call_site_record.hpp>
#include <blitzio/bridge/detail/compute_job.hpp>
#include <blitzio/io/blocking.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>

#include <cstdint>
#include <source_location>
#include <type_traits>
#include <utility>

namespace blitzio
{

namespace detail
{

template <class Call>
concept computable = std::is_invocable_v<Call&> || std::is_invocable_v<Call&, stop_token>;

/// What is decided about a call before it is made, and measured of it. Lives in the awaiting frame.
class compute_choice
{
public:
    compute_choice() noexcept = default;
    /// `site` null: nothing is measured, and everything else is as with placement::pool.
    compute_choice(compute_options options, call_site_record* site) noexcept
        : site_(site), options_(options)
    {
    }

    /// A call that uses all threads of the pool.
    [[nodiscard]] static compute_choice for_loop(compute_options options,
                                                 call_site_record* site) noexcept
    {
        compute_choice made(options, site);
        made.is_loop_ = true;
        return made;
    }

    enum class verdict : std::uint8_t
    {
        to_pool,
        here,
        refused,
    };

    /// On the awaiting worker, before anything else. `pool` is found when it is null.
    [[nodiscard]] verdict decide(compute::pool*& pool, const task_env& env) noexcept;
    /// After a call on the awaiting worker: true when the task has to let others have their turn.
    [[nodiscard]] bool turn_is_over() const noexcept;

    /// Around the call, on the thread that makes it.
    [[nodiscard]] call_time begin(bool here) noexcept
    {
        return site_ == nullptr ? call_time(0)
                                : site_->begin(here, here || handed_over_.count() != 0);
    }
    void end(call_time begun) noexcept
    {
        if (begun.count() != 0)
        {
            took_ = site_->end(begun, times_, threads_);
        }
    }

    /// The awaiting side has its result.
    void came_back() noexcept
    {
        if (handed_over_.count() != 0)
        {
            record_hand_off();
        }
    }

private:
    [[nodiscard]] verdict decide_simulated(const task_env& env) const noexcept;
    void record_hand_off() noexcept;

    call_site_record* site_ = nullptr;
    compute::detail::job_times* times_ = nullptr;
    /// When, if this hand-off is measured.
    call_time handed_over_{0};
    call_time took_{0};
    compute_options options_{.placement = blitzio::placement::pool};
    bool is_loop_ = false;
    /// That the call keeps busy.
    std::uint32_t threads_ = 1;
};

/// The call, its result and the hand-off, all in the awaiting frame.
template <class Call>
class compute_operation : public awaitable_base<compute_operation<Call>>, protected compute_job
{
    using value_type = call_result_t<Call>;

public:
    compute_operation(compute::pool* pool, Call&& call, compute_choice chosen = {})
        : pool_(pool), choice_(chosen), call_(std::move(call))
    {
    }
    compute_operation(compute::pool* pool, const Call& call, compute_choice chosen = {})
        : pool_(pool), choice_(chosen), call_(call)
    {
    }

    /// Only before start().
    compute_operation(compute_operation&& other)
        : pool_(other.pool_), choice_(other.choice_), call_(std::move(other.call_))
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        switch (choice_.decide(pool_, env))
        {
        case compute_choice::verdict::refused:
            refused_ = make_error_code(compute_errc::deadline_out_of_reach);
            return false;
        case compute_choice::verdict::here: return run_here(env, who);
        case compute_choice::verdict::to_pool: break;
        }
        return begin(pool_, env, who, [](compute_job& job) noexcept {
            static_cast<compute_operation&>(job).make_call(false);
        });
    }

    as_result<value_type> await_resume()
    {
        choice_.came_back();
        if (refused_)
        {
            return fail(refused_);
        }
        if constexpr (std::is_void_v<value_type>)
        {
            outcome_.take();
            return {};
        }
        else
        {
            return outcome_.take();
        }
    }

protected:
    Call& call() noexcept
    {
        return call_;
    }

private:
    void make_call(bool here) noexcept
    {
        const auto begun = choice_.begin(here);
        store_outcome(outcome_, [this]() -> value_type { return invoke_with_stop(call_, token_); });
        choice_.end(begun);
    }

    [[nodiscard]] bool run_here(const task_env& env, waiter who) noexcept
    {
        token_ = env.stop;
        if (token_.stop_requested())
        {
            refused_ = std::make_error_code(std::errc::operation_canceled);
            return false;
        }
        {
            const auto context = context_of(env);
            const compute::detail::context_scope inside(&context);
            make_call(true);
        }
        return choice_.turn_is_over() && give_way(env, who);
    }

    compute::pool* pool_;
    compute_choice choice_;
    Call call_;
    outcome_slot<value_type> outcome_;
};

} // namespace detail

/// Runs `call()` or `call(stop_token)` on a thread of `pool` and gives result<R>, or R itself if
/// `call` returns a result already. R is a value and is moved, never copied.
///
/// `call` and its result live in the awaiting frame, so `call` may refer to the frame's variables;
/// `pool` outlives the await. No allocation of blitzio's.
/// `options` may leave it to measurements whether the pool is worth it (placement::automatic), or
/// have refused what would be too late (admission::by_deadline). How long the calls take is measured
/// per call site, the place in the program that this is called from: see call_site.hpp.
/// Cancellation: when a stop is requested before `call` has begun, it is skipped and the result is
/// operation_canceled. A running `call` is waited for; it is given the task's stop token if it
/// takes one, and what it returns is what the await gives.
/// Errors: no_such_process in a forked child, not_enough_memory, compute_errc. What `call` throws is
/// thrown again where it is awaited.
/// In a simulation nothing is measured: the seed decides what is automatic, and refused is what has
/// less time left than simulated jobs wait on average.
template <class Call>
    requires detail::computable<std::decay_t<Call>>
[[nodiscard]] auto compute_on(compute::pool& pool, Call&& call, compute_options options = {},
                              std::source_location where = std::source_location::current())
{
    using call_type = std::decay_t<Call>;
    return detail::compute_operation<call_type>(
        &pool, std::forward<Call>(call),
        detail::compute_choice(options, &detail::call_site_of<call_type>(where)));
}

/// The same on the process's default pool, compute::default_pool().
template <class Call>
    requires detail::computable<std::decay_t<Call>>
[[nodiscard]] auto compute_on(Call&& call, compute_options options = {},
                              std::source_location where = std::source_location::current())
{
    using call_type = std::decay_t<Call>;
    return detail::compute_operation<call_type>(
        nullptr, std::forward<Call>(call),
        detail::compute_choice(options, &detail::call_site_of<call_type>(where)));
}

} // namespace blitzio
