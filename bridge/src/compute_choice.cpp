// Where a computation runs, and whether it does. Thread rule: decide() and turn_is_over() on the
// awaiting worker, record_hand_off() on the one that goes on.
#include <blitzio/bridge/compute_on.hpp>
#include <blitzio/bridge/spawn_compute.hpp>

#include <algorithm>
#include <chrono>

namespace blitzio::detail
{

namespace
{

using std::chrono::nanoseconds;

/// A unit of a task's turn for each microsecond on its worker, so that calls that are worth making
/// there do not add up to something that others notice.
bool consume_time(nanoseconds time) noexcept
{
    constexpr std::int64_t units_max = 32;
    const auto units = std::min(time.count() / 1000 + 1, units_max);
    for (std::int64_t unit = 0; unit < units; ++unit)
    {
        if (!consume_budget())
        {
            return false;
        }
    }
    return true;
}

} // namespace

/// No clock but the virtual one, and nothing that was measured: the same seed, the same run.
compute_choice::verdict compute_choice::decide_simulated(const task_env& env) const noexcept
{
    auto& runtime = *env.runtime;
    const auto deadline = std::min(env.deadline(), options_.deadline);
    if (options_.admission == blitzio::admission::by_deadline && deadline != no_deadline &&
        deadline - now(runtime) < simulated_job_delay(runtime))
    {
        return verdict::refused;
    }
    const bool here =
        options_.placement == blitzio::placement::inline_ ||
        (options_.placement == blitzio::placement::automatic && random_below(runtime, 2) == 0);
    return here ? verdict::here : verdict::to_pool;
}

compute_choice::verdict compute_choice::decide(compute::pool*& pool, const task_env& env) noexcept
{
    if (site_ == nullptr)
    {
        return verdict::to_pool;
    }
    if (runs_jobs_inline(*env.runtime))
    {
        const auto decided = decide_simulated(env);
        site_ = nullptr;
        return decided;
    }
    if (pool == nullptr)
    {
        pool = compute::find_default_pool().value_or(nullptr);
    }
    if (pool == nullptr)
    {
        return verdict::to_pool; // where the reason is found again
    }
    times_ = &pool->times();
    threads_ = is_loop_ ? pool->threads() : 1;
    const auto deadline = std::min(env.deadline(), options_.deadline);
    if (options_.admission == blitzio::admission::by_deadline && deadline != no_deadline &&
        !site_->admit(*pool, deadline - now(*env.runtime)))
    {
        return verdict::refused;
    }
    switch (options_.placement)
    {
    case blitzio::placement::inline_: return verdict::here;
    case blitzio::placement::pool: site_ = nullptr; return verdict::to_pool;
    case blitzio::placement::automatic:
        if (site_->choose_inline(*times_) && consume_time(site_->mean()))
        {
            return verdict::here;
        }
        break;
    case blitzio::placement::advise: break;
    }
    // With an idle thread in the pool: waiting for one is no part of what handing over costs.
    const bool measures = options_.placement == blitzio::placement::automatic || is_hand_off_due();
    if (measures && pool->pending() < pool->threads())
    {
        handed_over_ = call_clock();
    }
    return verdict::to_pool;
}

bool compute_choice::turn_is_over() const noexcept
{
    // What is automatic has asked before, and has gone to the pool if it is.
    return options_.placement != blitzio::placement::automatic && !consume_budget();
}

spawn_verdict decide_spawn(const compute_options& options, call_site_record& site,
                           compute::pool& pool) noexcept
{
    if (options.admission == blitzio::admission::by_deadline && options.deadline != no_deadline &&
        !site.admit(pool, options.deadline - call_clock()))
    {
        return spawn_verdict::refused;
    }
    const bool here =
        options.placement == blitzio::placement::inline_ ||
        (options.placement == blitzio::placement::automatic && site.choose_inline(pool.times()));
    return here ? spawn_verdict::here : spawn_verdict::to_pool;
}

void compute_choice::record_hand_off() noexcept
{
    const auto cost = call_clock() - handed_over_ - took_;
    handed_over_ = call_time(0);
    // 0: the call was not made.
    if (took_.count() != 0)
    {
        record_hand_off_cost(*times_, cost);
    }
}

} // namespace blitzio::detail
