// The loop of a simulated runtime: workers take turns, and virtual time passes when none has work.
// Thread rule: the simulation's thread only, except what comes in through inject().
#include "driver/sim/sim_backend.hpp"
#include "limits.hpp"
#include "runtime_core.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace blitzio::detail
{

void runtime_core::advance_simulation(std::chrono::nanoseconds until)
{
    simulation_->world().advance_to(until);
    for (const auto& each : workers_)
    {
        each->fire_timers();
    }
}

std::optional<std::chrono::nanoseconds> runtime_core::next_simulated_event() const
{
    auto next = simulation_->world().next_event();
    for (const auto& each : workers_)
    {
        if (const auto expiry = each->timers().next_expiry())
        {
            next = std::min(next.value_or(*expiry), *expiry);
        }
    }
    return next;
}

void runtime_core::simulate_until(const std::function<bool()>& done,
                                  std::optional<std::chrono::nanoseconds> until)
{
    // Work takes time, too: without that, a task that gives way until a timer has fired would go
    // round at the same instant for ever.
    constexpr unsigned turns_per_step = 32;
    constexpr std::chrono::microseconds step(10);
    auto& world = simulation_->world();
    std::vector<unsigned> runnable_workers;
    for (unsigned turn = 1; !done() && (!until || world.now() < *until); ++turn)
    {
        runnable_workers.clear();
        for (unsigned index = 0; index < worker_count_; ++index)
        {
            if (workers_[index]->has_work() || world.driver_has_ready(index))
            {
                runnable_workers.push_back(index);
            }
        }
        // Acquire: partner is the release in end_external_work(): what it has injected is visible.
        const bool outside_works = external_work_.load(std::memory_order_acquire) != 0;
        if (!runnable_workers.empty())
        {
            const auto pick = simulation_random_.below(runnable_workers.size());
            workers_[runnable_workers[pick]]->simulate_turn();
            if (turn % turns_per_step == 0 && !outside_works)
            {
                advance_simulation(world.now() + step);
            }
            continue;
        }
        if (outside_works)
        {
            // No time passes until the answer has come. A test's threads are waited for like this,
            // nothing else, so a poll now and then is good enough.
            std::this_thread::sleep_for(limits::external_work_poll);
            continue;
        }
        if (has_injected())
        {
            continue; // came with the end of the outside work, after the look at the workers
        }
        auto next = next_simulated_event();
        if (!next && !until)
        {
            terminate_with(("simulation with seed " + std::to_string(config_.simulation.seed) +
                            ": nothing can happen any more, yet " + name_live_tasks())
                               .c_str());
        }
        if (until)
        {
            next = std::min(next.value_or(*until), *until);
        }
        advance_simulation(std::max(*next, world.now()));
    }
}

/// Nothing will happen before something comes from outside.
bool runtime_core::is_quiet() const noexcept
{
    return !has_injected() && !workers_[0]->has_work() &&
           !simulation_->world().driver_has_ready(0) && !next_simulated_event();
}

/// Virtual time passes by itself whenever nobody has work: so the descriptor is readable as long as
/// there is anything to come. It stays so, too, while real pools work, whose end tells nobody.
std::size_t runtime_core::run_ready_simulated(std::size_t most)
{
    std::size_t turns = 0;
    const auto is_over = [&] {
        // Acquire: as in simulate_until().
        const bool outside_works = external_work_.load(std::memory_order_acquire) != 0;
        const bool has_work =
            has_injected() || workers_[0]->has_work() || simulation_->world().driver_has_ready(0);
        if (turns == most || (!has_work && (outside_works || !next_simulated_event())))
        {
            return true;
        }
        ++turns;
        return false;
    };
    simulate_until(is_over);
    worker& only = *workers_[0];
    if (only.has_descriptor())
    {
        ready_list none;
        static_cast<void>(only.io().rest(none, std::nullopt));
        if (!is_quiet() || external_work_.load(std::memory_order_acquire) != 0)
        {
            only.io().call_again();
        }
    }
    return turns;
}

void runtime_core::add_simulated_job(runnable& job) noexcept
{
    auto& world = simulation_->world();
    const auto delay = static_cast<std::int64_t>(simulation_random_.below(
        static_cast<std::uint64_t>(config_.simulation.delay_max.count()) + 1));
    world.add_job(job, world.now() + std::chrono::nanoseconds(delay));
}

} // namespace blitzio::detail
