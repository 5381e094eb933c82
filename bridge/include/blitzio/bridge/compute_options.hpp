// How a computation is placed and admitted, and why one may be refused.
// Thread rule: plain values.
#pragma once

#include <blitzio/io/task_env.hpp>

#include <chrono>
#include <cstdint>
#include <system_error>

namespace blitzio
{

/// Where a computation runs.
enum class placement : std::uint8_t
{
    /// On the pool; its duration is measured, and explain_call_sites() says what would be better.
    advise,
    /// On the pool until enough was measured; then on the calling thread for as long as the calls of
    /// this call site take less time than handing them over does.
    automatic,
    /// On the pool, without measuring.
    pool,
    /// At once on the calling thread: everything else on that worker waits meanwhile.
    inline_,
};

/// Whether a computation that will be too late is started.
enum class admission : std::uint8_t
{
    /// Always.
    open,
    /// It is refused at once (compute_errc::deadline_out_of_reach) when the deadline comes before its
    /// end would: when what waits in the pool, at the mean duration of the pool's jobs and shared by
    /// its threads, and the call itself, as measured at its call site, take longer than is left.
    by_deadline,
};

struct compute_options
{
    blitzio::placement placement = blitzio::placement::advise;
    blitzio::admission admission = blitzio::admission::open;
    /// For admission::by_deadline, by the runtime's clock (steady_clock since its epoch): besides the
    /// task's own deadline, which compute_on always knows. It stops nothing.
    std::chrono::nanoseconds deadline = no_deadline;
};

enum class compute_errc : int
{
    /// The computation was not started, because it would have ended after the deadline.
    deadline_out_of_reach = 1,
};

/// The category of compute_errc values; its name is "blitzio.compute".
const std::error_category& compute_category() noexcept;

inline std::error_code make_error_code(compute_errc code) noexcept
{
    return {static_cast<int>(code), compute_category()};
}

} // namespace blitzio

template <>
struct std::is_error_code_enum<blitzio::compute_errc> : std::true_type
{
};
