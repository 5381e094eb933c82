// Runs one test body on every kind of runtime: the kernel backend that the environment chooses, with
// one worker and with several, and the simulated world with many seeds.
// Thread rule: the test's thread.
#pragma once

#include <blitzio/io/runtime.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <string>

namespace blitzio::test
{

inline constexpr std::uint64_t seeds_default = 40;

/// Calls `body(runtime&)`; a failing simulation names its seed.
template <class Body>
void on_every_runtime(Body&& body, std::uint64_t seeds = seeds_default)
{
    for (const unsigned workers : {1u, 4u})
    {
        runtime kernel({.io_threads = workers});
        INFO("backend " << kernel.backend_name() << ", workers " << workers);
        body(kernel);
    }
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        const auto workers = static_cast<unsigned>(1 + seed % 3);
        runtime simulated(
            {.io_threads = workers, .backend = backend_choice::sim, .simulation = {.seed = seed}});
        INFO("simulation, seed " << seed << ", workers " << workers);
        body(simulated);
    }
}

} // namespace blitzio::test
