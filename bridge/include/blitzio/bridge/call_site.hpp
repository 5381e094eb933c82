// What was measured where computations are handed to a pool: how often, how long, and whether that
// was worth it. Thread rule: any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace blitzio
{

/// What the measurements of a call site say.
enum class call_site_advice : std::uint8_t
{
    /// Not enough calls were measured.
    unknown,
    /// Handing it over costs more than computing it on the spot.
    cheaper_inline,
    /// Handing it over costs about as much as computing it.
    either,
    /// It belongs on the pool.
    pool,
};

/// One place in the program that calls compute_on(), spawn_compute() or one of the awaited parallel
/// algorithms (whole loops are measured then; of parallel_invoke() the types of its callables are
/// the place), in all runtimes and pools of the process. Calls in a simulation are not measured.
struct call_site_report
{
    /// "file:line".
    std::string where;
    /// The function that the call is written in.
    std::string function;
    /// Calls that have begun, and how many of them on the calling thread.
    std::uint64_t calls = 0;
    std::uint64_t calls_inline = 0;
    /// Refused by admission::by_deadline.
    std::uint64_t refused = 0;
    /// Exponentially weighted mean of the calls that were measured: all of those that take 5 us and
    /// more, one in 16 of shorter ones.
    std::chrono::nanoseconds mean{};
    /// The longest of those.
    std::chrono::nanoseconds longest{};
    /// What handing over has cost on the pool that this site has used last; 0: not measured yet.
    std::chrono::nanoseconds hand_off{};
    call_site_advice advice = call_site_advice::unknown;

    /// "runs 0.4 us: cheaper inline", "runs 2 ms: belongs on the pool".
    [[nodiscard]] std::string advice_text() const;
};

/// All call sites that have been reached so far, those with the most time first.
[[nodiscard]] std::vector<call_site_report> compute_call_sites();

/// One line for each: where, how often, how long, and the advice.
[[nodiscard]] std::string explain_call_sites();

/// The same figures in the text exposition format, version 0.0.4; each name begins with `prefix` and
/// an underscore.
[[nodiscard]] std::string call_sites_to_prometheus(std::string_view prefix = "blitzio");

} // namespace blitzio
