// What the model tests say about an exploration: clean and complete for the shipped code, any
// failure for a mutant. A mutant that survives means that the test cannot fail, and fails the test.
#pragma once

#include "checker.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdlib>
#include <iterator>

namespace model
{

// Bounds for a plain build; BLITZIO_MODEL_EXTRA_PREEMPTIONS in the environment raises them for a
// long run by hand. A build with a sanitizer is slower by a factor of ten and looks for other
// things, so it tries fewer schedules.
[[nodiscard]] inline options adjusted(options bounds)
{
    if (is_sanitized())
    {
        bounds.preemptions = std::min(bounds.preemptions, 2U);
        bounds.old_values = std::min(bounds.old_values, 1U);
    }
    if (const char* const extra = std::getenv("BLITZIO_MODEL_EXTRA_PREEMPTIONS"))
    {
        bounds.preemptions += static_cast<unsigned>(std::strtoul(extra, nullptr, 10));
        bounds.executions = 1'000'000'000;
    }
    return bounds;
}

inline void check_clean(const options& bounds, const scenario_function& set_up)
{
    const report result = explore(adjusted(bounds), set_up);
    UNSCOPED_INFO("after " << result.executions << " executions: " << name_of(result.outcome)
                           << '\n'
                           << result.message);
    CHECK(result.outcome == verdict::clean);
    // A scenario in which nothing can happen in two orders shows nothing.
    CHECK(result.executions > 1);
}

// Whether one of the scenarios fails, as it must for a mutant.
template <class Scenarios>
[[nodiscard]] bool is_caught(const options& bounds, const Scenarios& scenarios)
{
    return std::any_of(std::begin(scenarios), std::end(scenarios), [&](scenario_function body) {
        const verdict outcome = explore(bounds, body).outcome;
        return outcome != verdict::clean && outcome != verdict::incomplete;
    });
}

} // namespace model
