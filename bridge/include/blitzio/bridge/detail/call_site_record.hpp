// The measurements of one call site, found without a look-up: the type of a lambda belongs to one
// place in the program, so a variable of that type's own holds its record.
// Thread rule: any thread. What each call writes lies on a line of the calling thread's own (up to
// eight threads); what all threads share is written only when a call is measured.
#pragma once

#include <blitzio/bridge/compute_options.hpp>
#include <blitzio/compute/detail/job_times.hpp>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <utility>

namespace blitzio
{
struct call_site_report;
} // namespace blitzio

namespace blitzio::compute
{
class pool;
} // namespace blitzio::compute

namespace blitzio::detail
{

/// Of steady_clock; 0: not measured.
using call_time = std::chrono::nanoseconds;

class call_site_record
{
public:
    constexpr call_site_record() noexcept = default;
    call_site_record(const call_site_record&) = delete;
    call_site_record& operator=(const call_site_record&) = delete;

    /// The record of the calls of `where` among those that share a type; `first` is the type's own.
    [[nodiscard]] static call_site_record& find(call_site_record& first,
                                                std::source_location where) noexcept
    {
        return first.place_.load(std::memory_order_relaxed) == address_of(where)
                   ? first
                   : find_slowly(first, where);
    }

    /// Counts a call that is about to begin. When it has begun, if it is to be measured.
    [[nodiscard]] call_time begin(bool here, bool always) noexcept;
    /// It has ended; how long it took. `threads`: as many were busy with it.
    call_time end(call_time begun, compute::detail::job_times* pool,
                  std::uint32_t threads = 1) noexcept;
    void record(call_time took, compute::detail::job_times* pool,
                std::uint32_t threads = 1) noexcept;

    /// placement::automatic: where the next call is to run.
    [[nodiscard]] bool choose_inline(compute::detail::job_times& pool) noexcept;
    /// Whether a call, started now, would end before `left` has passed. A refusal is counted.
    [[nodiscard]] bool admit(compute::pool& pool, std::chrono::nanoseconds left) noexcept;

    [[nodiscard]] std::chrono::nanoseconds mean() const noexcept
    {
        return mean_.value();
    }
    [[nodiscard]] call_site_report report() const;

    /// Calls `visit(record)` for all that have been used.
    template <class Visit>
    static void for_each(Visit&& visit)
    {
        // Acquire: partner is the release in find_slowly().
        for (const call_site_record* each = newest.load(std::memory_order_acquire); each != nullptr;
             each = each->older_)
        {
            visit(*each);
        }
    }

private:
    static constexpr std::size_t shard_count = 8;

    struct alignas(64) shard
    {
        std::atomic<std::uint64_t> calls{0};
        std::atomic<std::uint64_t> inline_calls{0};
        /// Calls that could have run here, whether they did or not.
        std::atomic<std::uint64_t> choices{0};
    };

    static_assert(sizeof(std::source_location) == sizeof(std::uint64_t));

    [[nodiscard]] static std::uint64_t address_of(std::source_location where) noexcept
    {
        return std::bit_cast<std::uint64_t>(where);
    }
    [[nodiscard]] std::source_location place() const noexcept
    {
        return std::bit_cast<std::source_location>(place_.load(std::memory_order_relaxed));
    }
    [[nodiscard]] static call_site_record& find_slowly(call_site_record& first,
                                                       std::source_location where) noexcept;
    [[nodiscard]] bool is_at(std::source_location where) const noexcept;
    [[nodiscard]] shard& own_shard() noexcept;
    void enter(std::source_location where) noexcept;

    static std::atomic<call_site_record*> newest;

    std::atomic<std::uint64_t> place_{0};
    /// Others of the same type: a function pointer's, say, which is called from many places.
    std::atomic<call_site_record*> sibling_{nullptr};
    call_site_record* older_ = nullptr;
    compute::detail::mean_duration mean_{8};
    std::atomic<std::int64_t> longest_{0};
    std::atomic<std::uint64_t> refused_{0};
    /// Of the pool used last; for reports.
    std::atomic<std::int64_t> hand_off_{0};
    std::atomic<bool> inline_now_{false};
    std::array<shard, shard_count> shards_{};
};

template <class Call>
inline constinit call_site_record own_call_site{};

template <class Call>
[[nodiscard]] call_site_record& call_site_of(std::source_location where) noexcept
{
    return call_site_record::find(own_call_site<Call>, where);
}

/// One call in a while, of those of the calling thread, is timed from the hand-over to the return.
[[nodiscard]] bool is_hand_off_due() noexcept;

[[nodiscard]] call_time call_clock() noexcept;

/// Handing a job to an idle thread of `pool` and going on afterwards has cost that much.
void record_hand_off_cost(compute::detail::job_times& pool, std::chrono::nanoseconds cost) noexcept;

} // namespace blitzio::detail
