// Makes Catch2's checks fit for coroutines under GCC. Included into every test file by the build.
//
// For the sake of its warnings, Catch2 names a checked expression a second time, in __builtin_constant_p. GCC takes
// a co_await out of that unevaluated operand and runs it: `CHECK(co_await channel.receive())` receives twice.
#pragma once

#include <catch2/catch_test_macros.hpp>

#if defined(__GNUC__) && !defined(__clang__)
#undef CATCH_INTERNAL_IGNORE_BUT_WARN
#define CATCH_INTERNAL_IGNORE_BUT_WARN(...) static_cast<void>(0)
#endif
