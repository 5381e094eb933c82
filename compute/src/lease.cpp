// Keeping the threads of pools within the cgroup's CPU quota, so that the I/O workers never meet its
// end: a process that has used up its quota stands still, I/O and all, until the next period.
// Thread rule: see the headers.
#include "lease_holder.hpp"

#include <blitzio/compute/detail/lease.hpp>
#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/io/processors.hpp>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <thread>

namespace blitzio::compute::detail
{

std::atomic<bool> leases_are_limited{false};

namespace
{

using clock = std::chrono::steady_clock;
using ns = std::chrono::nanoseconds;

/// What computations leave of the quota, in the long run and at once. The kernel counts by periods
/// of 100 ms as a rule, whose beginnings nobody tells: so the whole must fit into any of them.
constexpr double share_used = 0.96;
constexpr ns burst{2'000'000};
/// How long a lease is, and the longest wait between two looks.
constexpr ns lease_time{500'000};
constexpr ns wait_max{5'000'000};

/// A token bucket (Turner 1986: leaky bucket as a meter) that is filled by the clock and emptied by
/// the CPU time of the whole process, I/O included; only computations wait for it.
class quota_meter
{
public:
    void begin(double processors) noexcept
    {
        const blitzio::detail::spin_guard guard(lock_);
        rate_ = processors * share_used;
        full_ = processors * static_cast<double>(burst.count());
        level_ = full_;
        looked_at_ = clock::now();
        used_ = process_time();
    }

    /// How long computations have to wait; 0: go on.
    [[nodiscard]] ns to_wait(clock::time_point now) noexcept
    {
        const ns used = process_time();
        const blitzio::detail::spin_guard guard(lock_);
        if (now > looked_at_)
        {
            level_ += rate_ * static_cast<double>(ns(now - looked_at_).count());
            looked_at_ = now;
        }
        if (used > used_)
        {
            level_ -= static_cast<double>(ns(used - used_).count());
            used_ = used;
        }
        level_ = std::min(level_, full_);
        return level_ >= 0 ? ns(0) : ns(static_cast<std::int64_t>(-level_ / rate_) + 1);
    }

    static ns process_time() noexcept
    {
        std::timespec value{};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &value);
        return std::chrono::seconds(value.tv_sec) + ns(value.tv_nsec);
    }

private:
    blitzio::detail::spin_lock lock_;
    double rate_ = 1;  // guarded by lock_, as is the rest
    double full_ = 0;  // nanoseconds of CPU time
    double level_ = 0; // the same
    clock::time_point looked_at_{};
    ns used_{0};
};

quota_meter meter;
double quota = 0; // written once, before leases_are_limited
std::atomic<std::uint64_t> returned{0};
std::atomic<std::uint64_t> waited_ns{0};

struct lease
{
    bool held = false;
    clock::time_point until{};
};
constinit thread_local lease mine;

} // namespace

void limit_leases_by_quota()
{
    static std::once_flag once;
    std::call_once(once, [] {
        const auto usable = usable_processors();
        const double granted = processor_quota();
        // A quota of as many processors as the affinity mask allows can never be used up.
        if (granted > 0 &&
            (usable.reason == "cgroup CPU quota" || granted < static_cast<double>(usable.count)))
        {
            quota = granted;
            meter.begin(granted);
            // Release: partner is the acquire in describe_leases().
            leases_are_limited.store(true, std::memory_order_release);
        }
    });
}

void hold_lease(bool gives_way) noexcept
{
    mine.held = gives_way;
}

bool is_lease_over(clock::time_point now) noexcept
{
    return mine.held && now >= mine.until;
}

void renew_lease() noexcept
{
    if (!mine.held)
    {
        return;
    }
    auto now = clock::now();
    if (now < mine.until)
    {
        return;
    }
    ns wait = meter.to_wait(now);
    if (wait > ns(0))
    {
        const auto began = now;
        // Relaxed: figures for people.
        returned.fetch_add(1, std::memory_order_relaxed);
        do
        {
            std::this_thread::sleep_for(std::min(wait, wait_max));
            now = clock::now();
            wait = meter.to_wait(now);
        } while (wait > ns(0));
        waited_ns.fetch_add(static_cast<std::uint64_t>(ns(now - began).count()),
                            std::memory_order_relaxed);
    }
    mine.until = now + lease_time;
}

lease_totals leases_so_far() noexcept
{
    return {returned.load(std::memory_order_relaxed),
            ns(static_cast<std::int64_t>(waited_ns.load(std::memory_order_relaxed)))};
}

std::string describe_leases(bool gives_way)
{
    // Acquire: partner is the release in limit_leases_by_quota().
    if (!gives_way)
    {
        return "leases: none, these threads never wait for I/O";
    }
    if (!leases_are_limited.load(std::memory_order_acquire))
    {
        return "leases: without limit, there is no CPU quota below the number of processors";
    }
    char text[160];
    std::snprintf(text, sizeof text,
                  "leases: of 0.5 ms, within %.2f of the cgroup's quota of %.2f processors; "
                  "the rest is for I/O",
                  share_used * quota, quota);
    return text;
}

} // namespace blitzio::compute::detail
