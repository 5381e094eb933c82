// What the model tests say about an exploration: clean and complete for the shipped code, any
// failure for a mutant. A mutant that survives means that the test cannot fail, and fails the test.
#pragma once

#include "checker.hpp"

#include <catch2/catch_test_macros.hpp>

namespace model
{

inline void check_clean(const options& bounds, const scenario_function& set_up)
{
    const report result = explore(bounds, set_up);
    UNSCOPED_INFO("after " << result.executions << " executions: " << name_of(result.outcome)
                           << '\n'
                           << result.message);
    CHECK(result.outcome == verdict::clean);
    // A scenario in which nothing can happen in two orders shows nothing.
    CHECK(result.executions > 1);
}

inline void check_caught(const options& bounds, const scenario_function& set_up)
{
    const report result = explore(bounds, set_up);
    UNSCOPED_INFO("after " << result.executions << " executions: " << name_of(result.outcome));
    CHECK(result.outcome != verdict::clean);
    CHECK(result.outcome != verdict::incomplete);
}

} // namespace model
