// The shapes of the core cells that TooManyCooks has a counterpart for, twins of those in
// ../../blitzio with the same names. What each does is told in ../../README.md.
// Thread rule: run_parked() is called on the main thread; the bodies are tasks on the workers.
#pragma once

#include "support.hpp"

#include <tmc/ex_cpu.hpp>
#include <tmc/ex_cpu_st.hpp>
#include <tmc/task.hpp>

#include <cstdint>

namespace compare
{

using shape_body = tmc::task<void> (*)(std::uint64_t count);

// tasks
tmc::task<void> spawn_join(std::uint64_t count);
tmc::task<void> spawn_join_fork(std::uint64_t count);
tmc::task<void> fan_out(std::uint64_t count);
tmc::task<void> fan_out_fork_group(std::uint64_t count);
tmc::task<void> fan_out_handles(std::uint64_t count);
tmc::task<void> give_way(std::uint64_t count);
tmc::task<void> give_way_lifo(std::uint64_t count);
tmc::task<void> await_in_place(std::uint64_t count);

/// Tasks of one fan-out; its counts are multiples of this.
inline constexpr std::uint64_t fan_out_width = 100'000;

// synchronisation
tmc::task<void> ping_pong(std::uint64_t count);
tmc::task<void> ping_pong_channel(std::uint64_t count);
tmc::task<void> mpmc_1p1c(std::uint64_t count);
tmc::task<void> mpmc_4p4c(std::uint64_t count);
tmc::task<void> mpmc_1p1c_unbounded(std::uint64_t count);
tmc::task<void> mpmc_4p4c_unbounded(std::uint64_t count);
tmc::task<void> mpsc_1p1c(std::uint64_t count);
tmc::task<void> mutex_uncontended(std::uint64_t count);

/// `executor` has been started and nothing runs on it.
void run_parked(tmc::ex_cpu& executor, const char* name);
void run_parked(tmc::ex_cpu_st& executor, const char* name);

} // namespace compare
