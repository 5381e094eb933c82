// A table of operations with the result that every driver has to give.
// Thread rule: the test's thread.
#pragma once

#include "conformance/stage.hpp"

#include <span>

namespace blitzio::conformance
{

/// In place of a number: the result is a new descriptor.
inline constexpr std::int32_t new_descriptor = 0x7fffffff;

struct outcome_row
{
    const char* name;
    op_kind kind;
    std::int32_t expected;
    void (*arrange)(stage&, request&);
    /// Looks at what the operation left behind; only after the expected result.
    void (*verify)(stage&, const request&) = nullptr;
};

/// Runs each row on every driver in each of these ways: as it is; with a stop token attached that
/// nobody uses; with a cancel request right behind it (the outcome is then the expected one or
/// -ECANCELED, exactly once); and with a cancel request that comes when all is over.
void check_outcomes(std::span<const outcome_row> rows);

} // namespace blitzio::conformance
