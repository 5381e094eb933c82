// How long retry() pauses. Thread rule: pure functions.
#include <blitzio/io/retry.hpp>

#include <algorithm>
#include <cmath>

namespace blitzio::detail
{

std::chrono::nanoseconds retry_delay(const retry_options& options, unsigned failed,
                                     double chance) noexcept
{
    using nanoseconds = std::chrono::duration<double, std::nano>;
    // In floating point, because the power soon exceeds every integer; the bound comes first.
    constexpr double longest = 9e18; // fits into nanoseconds, some 285 years
    const double bound = std::min(nanoseconds(options.delay_max).count(), longest);
    const double full = nanoseconds(options.delay_first).count() *
                        std::pow(options.factor, static_cast<double>(failed) - 1.0);
    const double delay = full < bound ? full : bound; // also when the power is not a number
    const double jitter = std::clamp(options.jitter, 0.0, 1.0);
    const double shortened = delay * (1.0 - jitter * chance);
    return std::chrono::nanoseconds(static_cast<std::int64_t>(std::max(shortened, 0.0)));
}

} // namespace blitzio::detail
