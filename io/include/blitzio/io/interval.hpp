// Ticks at a fixed period.
// Thread rule: an interval belongs to one task at a time; tick() is awaited in tasks.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/sleep.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace blitzio
{

class interval;

/// What an interval does about ticks whose time passed before anybody waited for them. The names and
/// the meaning are Tokio's.
enum class missed_ticks : std::uint8_t
{
    /// They come one after another without a pause, until the schedule is caught up with.
    burst,
    /// The schedule starts anew: the next tick comes one period after the late one was taken.
    delay,
    /// They are left out; the next one is the next that the schedule has.
    skip,
};

namespace detail
{

class tick_operation : public awaitable_base<tick_operation>
{
public:
    explicit tick_operation(interval& owner) noexcept : owner_(&owner) {}

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept;
    [[nodiscard]] result<std::chrono::steady_clock::time_point> await_resume() noexcept;

    /// Instead of await_resume(): the tick was not delivered. See choice.hpp.
    void forgo() noexcept
    {
        sleep_.forgo();
    }

private:
    interval* owner_;
    runtime_core* runtime_ = nullptr;
    sleep_operation sleep_{std::chrono::nanoseconds(0), true};
};

} // namespace detail

/// Ticks at a fixed period on the runtime's clock (steady_clock, or the virtual clock). The first
/// tick is due as soon as it is waited for, the second one period later. Nothing runs between two
/// waits, and nothing is allocated.
///
///     blitzio::interval every(std::chrono::seconds(1));
///     while (co_await every.tick()) { ... }
class interval
{
public:
    /// A tick counts as late beyond this: the wheel's resolution and a busy worker stay below it.
    static constexpr std::chrono::nanoseconds tolerance = std::chrono::milliseconds(5);

    /// Throws std::invalid_argument that names the period unless it is positive.
    explicit interval(std::chrono::nanoseconds period, missed_ticks missed = missed_ticks::burst);

    /// The same, with the first tick at `first`.
    interval(std::chrono::steady_clock::time_point first, std::chrono::nanoseconds period,
             missed_ticks missed = missed_ticks::burst);

    /// Waits for the next tick and gives the time for which it was scheduled.
    ///
    /// Cancellation: ends at once with operation_canceled. A tick that was not delivered is not
    /// lost: the next tick() gives it.
    /// Errors: operation_canceled; io_errc::limit_reached when the runtime's timers are used up.
    /// Lifetime: the interval outlives the await. One tick() at a time.
    [[nodiscard]] detail::tick_operation tick() noexcept
    {
        return detail::tick_operation(*this);
    }

    /// The next tick comes `amount` from now, at once if that is not positive.
    [[nodiscard]] auto reset_after(std::chrono::nanoseconds amount) noexcept
    {
        return detail::immediate_operation([this, amount](const task_env& env) noexcept {
            next_ = detail::add_saturated(detail::now(*env.runtime), amount);
        });
    }

    /// The next tick comes one period from now; in a simulation, of virtual time.
    /// Thread rule: as tick(), in a task. Never suspends.
    [[nodiscard]] auto reset() noexcept
    {
        return reset_after(period_);
    }

    /// The next tick comes at `when`.
    void reset_at(std::chrono::steady_clock::time_point when) noexcept
    {
        next_ = not_negative(when);
    }

    [[nodiscard]] std::chrono::nanoseconds period() const noexcept
    {
        return period_;
    }

    [[nodiscard]] missed_ticks missed() const noexcept
    {
        return missed_;
    }

    /// From the next tick on.
    void set_missed(missed_ticks missed) noexcept
    {
        missed_ = missed;
    }

private:
    friend detail::tick_operation;

    /// The clock shows nothing below 0; a time far below could overflow a subtraction.
    [[nodiscard]] static std::chrono::nanoseconds not_negative(
        std::chrono::steady_clock::time_point when) noexcept
    {
        return std::max(std::chrono::nanoseconds(when.time_since_epoch()),
                        std::chrono::nanoseconds(0));
    }

    void schedule_next(std::chrono::nanoseconds due, std::chrono::nanoseconds now) noexcept;

    std::chrono::nanoseconds period_;
    missed_ticks missed_;
    /// Empty until the first tick is waited for.
    std::optional<std::chrono::nanoseconds> next_;
};

} // namespace blitzio
