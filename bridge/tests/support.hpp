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

/// Allocations made through operator new since the program began; see allocation_count.cpp.
std::uint64_t allocations() noexcept;

} // namespace test
