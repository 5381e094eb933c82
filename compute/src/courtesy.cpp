// Nice values of single threads, which Linux has. Thread rule: see the header.
#include "courtesy.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

#ifdef __linux__
#include <sched.h>
#include <sys/resource.h>
#endif

namespace blitzio::compute::detail
{

namespace
{

/// One step is a quarter more or less of the processor against somebody with the same value. Ten
/// was measured to cut the cheap requests' p99 by ten (docs/adr/0001-courtesy.md).
constexpr int steps_of_normal = 10;
constexpr int steps_of_high = 5;
constexpr int steps_of_low = 19;
/// Between pools that do not give way to I/O.
constexpr int steps_below_equal = 5;
constexpr int nice_max = 19;

} // namespace

int nice_steps(pool_priority priority, courtesy give_way) noexcept
{
    if (give_way == courtesy::off)
    {
        return priority == pool_priority::low ? steps_below_equal : 0;
    }
    switch (priority)
    {
    case pool_priority::low:
        return steps_of_low;
    case pool_priority::high:
        return steps_of_high;
    case pool_priority::normal:
        break;
    }
    return steps_of_normal;
}

#ifdef __linux__

nice_outcome apply_nice(int steps) noexcept
{
    nice_outcome outcome;
    const int policy = sched_getscheduler(0);
    outcome.without_effect = policy != SCHED_OTHER && policy != SCHED_BATCH;
    // Linux: of a thread when it is asked with 0 or a thread's number, whatever POSIX says.
    outcome.before = getpriority(PRIO_PROCESS, 0);
    outcome.after = outcome.before;
    const int wanted = std::min(outcome.before + steps, nice_max);
    if (outcome.without_effect || wanted <= outcome.before)
    {
        return outcome;
    }
    if (setpriority(PRIO_PROCESS, 0, wanted) != 0)
    {
        outcome.error = errno;
        return outcome;
    }
    outcome.after = getpriority(PRIO_PROCESS, 0);
    return outcome;
}

#else

nice_outcome apply_nice(int) noexcept
{
    nice_outcome outcome;
    outcome.without_effect = true;
    return outcome;
}

#endif

std::string describe(const nice_outcome& outcome, int steps)
{
    if (steps == 0)
    {
        return "nice value " + std::to_string(outcome.before) + ", as whoever made the pool";
    }
    if (outcome.without_effect)
    {
        return "nice value unchanged: the scheduling policy of these threads knows none";
    }
    if (outcome.error != 0)
    {
        return "nice value " + std::to_string(outcome.before) + ": raising it by " +
               std::to_string(steps) +
               " was refused: " + std::generic_category().message(outcome.error);
    }
    return "nice value " + std::to_string(outcome.after) + ", raised from " +
           std::to_string(outcome.before);
}

} // namespace blitzio::compute::detail
