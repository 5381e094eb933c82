// Trying again: an operation that fails is carried out anew, after a growing and random pause.
// Thread rule: awaited in tasks.
#pragma once

#include <blitzio/io/detail/runtime_access.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/sleep.hpp>
#include <blitzio/io/task.hpp>
#include <blitzio/io/this_task.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

namespace blitzio
{

/// When and how often retry() tries again.
struct retry_options
{
    /// Attempts in all, the first included; at least one is made.
    unsigned attempts_max = 5;
    /// The pause before the second attempt; each further one is `factor` times as long.
    std::chrono::nanoseconds delay_first = std::chrono::milliseconds(50);
    double factor = 2.0;
    std::chrono::nanoseconds delay_max = std::chrono::seconds(10);
    /// The share of a pause that is left to chance, from 0 to 1. With 1 it is anything from nothing
    /// to its full length ("full jitter": Brooker, Exponential Backoff And Jitter, 2015), so that
    /// many that failed together do not come back together.
    double jitter = 1.0;
};

/// The default of retry(): every error but operation_canceled is worth another attempt.
struct retry_every_error
{
    bool operator()(const std::error_code&) const noexcept
    {
        return true;
    }
};

namespace detail
{

/// The pause after `failed` attempts; `chance` is in [0, 1).
[[nodiscard]] std::chrono::nanoseconds retry_delay(const retry_options& options, unsigned failed,
                                                   double chance) noexcept;

} // namespace detail

/// Awaits `make()`, which makes an operation or a task that gives result<T>, until one succeeds:
///
///     auto stream = co_await retry({.attempts_max = 8}, [&] { return tcp_stream::connect(where); });
///
/// An error for which `is_worth(error)` does not hold is the result at once, and so is the error of
/// the last attempt. Exceptions are not caught.
/// Deadline: when the next attempt could begin only after this_task::deadline(), the last error is
/// given at once instead of waiting for a time-out that is certain.
/// Cancellation: that of the attempt in progress; during a pause at once, with operation_canceled.
/// One coroutine frame for all attempts. `make` is kept in it.
template <class Make, class IsWorth = retry_every_error>
    requires awaitable_operation<std::invoke_result_t<Make&>>
[[nodiscard]] auto retry(retry_options options, Make make, IsWorth is_worth = {})
    -> task<await_result_t<std::invoke_result_t<Make&>>>
{
    static_assert(is_result<await_result_t<std::invoke_result_t<Make&>>>,
                  "retry takes operations that give a result<T>");
    const task_env& env = *co_await this_task::env();
    for (unsigned failed = 1;; ++failed)
    {
        auto outcome = co_await std::invoke(make);
        if (outcome || failed >= options.attempts_max || env.stop.stop_requested() ||
            outcome.error() == std::errc::operation_canceled || !is_worth(outcome.error()))
        {
            co_return outcome;
        }
        constexpr std::uint64_t steps = 1u << 20;
        const double chance = static_cast<double>(detail::random_below(*env.runtime, steps)) /
                              static_cast<double>(steps);
        const auto delay = detail::retry_delay(options, failed, chance);
        if (env.deadline() != no_deadline && delay >= env.deadline() - detail::now(*env.runtime))
        {
            co_return outcome;
        }
        const auto slept = co_await sleep_for(delay);
        if (!slept)
        {
            co_return fail(slept.error());
        }
    }
}

} // namespace blitzio
