// The shapes of the core cells, each measured in a process of its own; twins in peers/tokio and
// peers/go have the same names. What each does is told in ../README.md.
// Thread rule: run_* are called on the main thread; the bodies are tasks on the workers.
#pragma once

#include "support.hpp"

#include <blitzio/io.hpp>

#include <cstdint>

namespace compare
{

using shape_body = blitzio::task<void> (*)(blitzio::runtime&, std::uint64_t count);

// tasks
blitzio::task<void> spawn_join(blitzio::runtime& runtime, std::uint64_t count);
blitzio::task<void> fan_out(blitzio::runtime& runtime, std::uint64_t count);
blitzio::task<void> fan_out_handles(blitzio::runtime& runtime, std::uint64_t count);
blitzio::task<void> give_way(blitzio::runtime& runtime, std::uint64_t count);
blitzio::task<void> await_in_place(blitzio::runtime& runtime, std::uint64_t count);

/// Tasks of one fan-out; its counts are multiples of this.
inline constexpr std::uint64_t fan_out_width = 100'000;

// synchronisation
blitzio::task<void> ping_pong(blitzio::runtime& runtime, std::uint64_t count);
blitzio::task<void> mpmc_1p1c(blitzio::runtime& runtime, std::uint64_t count);
blitzio::task<void> mpmc_4p4c(blitzio::runtime& runtime, std::uint64_t count);
blitzio::task<void> mpsc_1p1c(blitzio::runtime& runtime, std::uint64_t count);
blitzio::task<void> oneshot(blitzio::runtime& runtime, std::uint64_t count);
blitzio::task<void> mutex_uncontended(blitzio::runtime& runtime, std::uint64_t count);
blitzio::task<void> select_two(blitzio::runtime& runtime, std::uint64_t count);

// time
blitzio::task<void> timer_cancel(blitzio::runtime& runtime, std::uint64_t count);
blitzio::task<void> timeout_yield(blitzio::runtime& runtime, std::uint64_t count);
void run_sleeps(const options& opts, const char* name);

// life of a runtime
void run_parked(const options& opts, const char* name);
void run_idle(const options& opts, const char* name);
void run_shutdown(const options& opts, const char* name);
void run_start_stop(const options& opts, const char* name);

} // namespace compare
