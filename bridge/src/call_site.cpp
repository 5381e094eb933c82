// Measuring calls and deciding by what was measured. Thread rule: see the headers.
#include <blitzio/bridge/call_site.hpp>
#include <blitzio/bridge/detail/call_site_record.hpp>
#include <blitzio/compute/pool.hpp>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <string>

namespace blitzio
{

namespace detail
{

namespace
{

using std::chrono::nanoseconds;

/// A call this long is always measured: two looks at the clock are nothing beside it.
constexpr nanoseconds long_call{5000};
/// Of shorter ones one in this many. A power of two.
constexpr std::uint64_t calls_per_measurement = 16;
/// Measurements before a site's mean says anything.
constexpr std::uint32_t trusted = 8;

/// A hand-over costs this until it was measured, and is believed to cost no more than the upper bound,
/// however busy the machine was: what runs on a worker for longer is felt by its other tasks.
constexpr nanoseconds hand_off_assumed{5000};
constexpr nanoseconds hand_off_max{20'000};
constexpr nanoseconds hand_off_min{200};
/// A measurement counts for no more than this many times what was believed before: beside it, the
/// system may have run another program.
constexpr int hand_off_jump = 4;

/// Two bounds instead of one, so that a site near the crossover does not change sides all the time.
constexpr double go_inline_below = 0.8;
constexpr double leave_inline_above = 1.25;
/// One in this many calls of a site that runs inline goes to the pool all the same: nothing else
/// would ever tell that handing over has become cheaper. A power of two.
constexpr std::uint64_t inline_calls_per_check = 256;

constinit std::mutex finding;

nanoseconds believed_hand_off(const compute::detail::job_times& pool) noexcept
{
    const auto measured = pool.hand_off.count() == 0 ? hand_off_assumed : pool.hand_off.value();
    return std::clamp(measured, hand_off_min, hand_off_max);
}

/// Out of line, like all that uses it: code that a coroutine inlines must not keep the address of a
/// thread's variable across a suspension.
[[gnu::noinline]] std::size_t number_of_this_thread() noexcept
{
    static constinit std::atomic<std::size_t> threads{0};
    constinit static thread_local std::size_t number = 0;
    if (number == 0)
    {
        number = threads.fetch_add(1, std::memory_order_relaxed) + 1;
    }
    return number;
}

} // namespace

constinit std::atomic<call_site_record*> call_site_record::newest{nullptr};

[[gnu::noinline]] call_time call_clock() noexcept
{
    return std::chrono::steady_clock::now().time_since_epoch();
}

[[gnu::noinline]] bool is_hand_off_due() noexcept
{
    constinit static thread_local std::uint32_t calls = 0;
    return calls++ % calls_per_measurement == 0;
}

void record_hand_off_cost(compute::detail::job_times& pool, nanoseconds cost) noexcept
{
    pool.hand_off.add(
        std::clamp(cost, hand_off_min, nanoseconds(hand_off_jump * believed_hand_off(pool))));
}

bool call_site_record::is_at(std::source_location where) const noexcept
{
    const auto own = place();
    return own.line() == where.line() && own.column() == where.column() &&
           std::strcmp(own.file_name(), where.file_name()) == 0;
}

/// With the mutex held.
void call_site_record::enter(std::source_location where) noexcept
{
    place_.store(address_of(where), std::memory_order_relaxed);
    older_ = newest.load(std::memory_order_relaxed);
    // Release: partner is the acquire in for_each().
    newest.store(this, std::memory_order_release);
}

call_site_record& call_site_record::find_slowly(call_site_record& first,
                                                std::source_location where) noexcept
{
    if (first.place_.load(std::memory_order_relaxed) == 0)
    {
        const std::lock_guard lock(finding);
        if (first.place_.load(std::memory_order_relaxed) == 0)
        {
            first.enter(where);
            return first;
        }
    }
    call_site_record* last = &first;
    for (call_site_record* each = &first; each != nullptr;
         // Acquire: partner is the release below.
         each = each->sibling_.load(std::memory_order_acquire))
    {
        if (each->place_.load(std::memory_order_relaxed) == address_of(where) || each->is_at(where))
        {
            return *each;
        }
        last = each;
    }
    const std::lock_guard lock(finding);
    while (call_site_record* const next = last->sibling_.load(std::memory_order_relaxed))
    {
        last = next;
        if (last->is_at(where))
        {
            return *last;
        }
    }
    // Once for a place in the program, and for as long as that runs.
    auto* const added = new (std::nothrow) call_site_record();
    if (added == nullptr)
    {
        return first;
    }
    added->enter(where);
    // Release: partner is the acquire above.
    last->sibling_.store(added, std::memory_order_release);
    return *added;
}

call_site_record::shard& call_site_record::own_shard() noexcept
{
    return shards_[number_of_this_thread() % shard_count];
}

call_time call_site_record::begin(bool here, bool always) noexcept
{
    // Read-modify-writes, but of a line that this thread has to itself, as long as there are not more
    // than eight; so that the counts are right with more, too.
    shard& own = own_shard();
    const auto before = own.calls.fetch_add(1, std::memory_order_relaxed);
    if (here)
    {
        own.inline_calls.fetch_add(1, std::memory_order_relaxed);
    }
    const bool measures = always || before % calls_per_measurement == 0 ||
                          mean_.count() < trusted || mean_.value() >= long_call;
    return measures ? call_clock() : call_time(0);
}

call_time call_site_record::end(call_time begun, compute::detail::job_times* pool,
                                std::uint32_t threads) noexcept
{
    const call_time took = call_clock() - begun;
    record(took, pool, threads);
    return took;
}

void call_site_record::record(call_time took, compute::detail::job_times* pool,
                              std::uint32_t threads) noexcept
{
    mean_.add(took);
    if (took.count() > longest_.load(std::memory_order_relaxed))
    {
        auto seen = longest_.load(std::memory_order_relaxed);
        while (took.count() > seen &&
               !longest_.compare_exchange_weak(seen, took.count(), std::memory_order_relaxed))
        {
        }
    }
    if (pool != nullptr)
    {
        // In what it cost the pool: who is queued behind a loop waits for all of its threads.
        pool->job.add(took * threads, took >= long_call ? 1 : calls_per_measurement);
        hand_off_.store(believed_hand_off(*pool).count(), std::memory_order_relaxed);
    }
}

bool call_site_record::choose_inline(compute::detail::job_times& pool) noexcept
{
    if (mean_.count() < trusted)
    {
        return false;
    }
    const auto hand_off = static_cast<double>(believed_hand_off(pool).count());
    const auto call = static_cast<double>(mean_.value().count());
    const bool was_inline = inline_now_.load(std::memory_order_relaxed);
    const bool is_inline =
        was_inline ? call <= leave_inline_above * hand_off : call < go_inline_below * hand_off;
    if (is_inline != was_inline)
    {
        inline_now_.store(is_inline, std::memory_order_relaxed);
    }
    return is_inline &&
           own_shard().choices.fetch_add(1, std::memory_order_relaxed) % inline_calls_per_check !=
               inline_calls_per_check - 1;
}

bool call_site_record::admit(compute::pool& pool, nanoseconds left) noexcept
{
    auto& times = pool.times();
    const std::size_t threads = pool.threads();
    const std::size_t pending = pool.pending();
    const std::size_t ahead = pending < threads ? 0 : pending - threads + 1;
    const double queue = static_cast<double>(ahead) *
                         static_cast<double>(times.job.value().count()) /
                         static_cast<double>(threads);
    const double call = static_cast<double>(mean_.value().count());
    if (left.count() > 0 && queue + call <= static_cast<double>(left.count()))
    {
        return true;
    }
    refused_.fetch_add(1, std::memory_order_relaxed);
    if (left.count() > 0)
    {
        // What is refused is not measured. One bad measurement must not shut the door for ever.
        mean_.fade();
        if (ahead != 0)
        {
            times.job.fade();
        }
    }
    return false;
}

call_site_report call_site_record::report() const
{
    call_site_report report;
    const auto where = place();
    report.where = std::string(where.file_name()) + ':' + std::to_string(where.line());
    report.function = where.function_name();
    for (const auto& each : shards_)
    {
        report.calls += each.calls.load(std::memory_order_relaxed);
        report.calls_inline += each.inline_calls.load(std::memory_order_relaxed);
    }
    report.refused = refused_.load(std::memory_order_relaxed);
    report.mean = mean_.value();
    report.longest = nanoseconds(longest_.load(std::memory_order_relaxed));
    report.hand_off = nanoseconds(hand_off_.load(std::memory_order_relaxed));
    if (mean_.count() >= trusted)
    {
        const auto hand_off = static_cast<double>(
            (report.hand_off.count() == 0 ? hand_off_assumed : report.hand_off).count());
        const auto call = static_cast<double>(report.mean.count());
        report.advice = call < go_inline_below * hand_off       ? call_site_advice::cheaper_inline
                        : call <= leave_inline_above * hand_off ? call_site_advice::either
                                                                : call_site_advice::pool;
    }
    return report;
}

} // namespace detail

namespace
{

class compute_error_category final : public std::error_category
{
public:
    [[nodiscard]] const char* name() const noexcept override
    {
        return "blitzio.compute";
    }

    [[nodiscard]] std::string message(int value) const override
    {
        switch (static_cast<compute_errc>(value))
        {
        case compute_errc::deadline_out_of_reach:
            return "the computation would end after its deadline and was not started";
        }
        return "unknown compute error " + std::to_string(value);
    }
};

} // namespace

const std::error_category& compute_category() noexcept
{
    static const compute_error_category category;
    return category;
}

} // namespace blitzio
