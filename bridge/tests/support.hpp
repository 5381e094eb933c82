// What the bridge's tests share. Thread rule: any thread.
#pragma once

#include <blitzio/bridge.hpp>
#include <blitzio/io.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>

namespace test
{

namespace bz = blitzio;

/// A runtime on the backend that the test run asks for.
inline bz::runtime make_runtime(unsigned threads = 2)
{
    return bz::runtime({.io_threads = threads, .name = "bridge-test"});
}

inline bz::runtime make_simulated(std::uint64_t seed, unsigned threads = 2)
{
    return bz::runtime({.io_threads = threads,
                        .name = "bridge-sim",
                        .backend = bz::backend_choice::sim,
                        .simulation = {.seed = seed}});
}

// A sanitizer brings its own operator new, which has to stay.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BRIDGE_TESTS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BRIDGE_TESTS_SANITIZED 1
#endif
#ifdef BRIDGE_TESTS_SANITIZED
inline constexpr bool counts_allocations = false;
#else
inline constexpr bool counts_allocations = true;
#endif

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BRIDGE_TESTS_THREAD_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define BRIDGE_TESTS_THREAD_SANITIZED 1
#endif
#ifdef BRIDGE_TESTS_THREAD_SANITIZED
inline constexpr bool is_thread_sanitized = true;
#else
inline constexpr bool is_thread_sanitized = false;
#endif

/// Allocations made through operator new since the program began; 0 unless counts_allocations. See
/// allocation_count.cpp.
std::uint64_t allocations() noexcept;

} // namespace test
