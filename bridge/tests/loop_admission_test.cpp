// The awaited parallel algorithms as call sites: measured, explained, and refused when they would
// be too late.
// Thread rule: each test owns its runtime and pool.
#include "support.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace bz = blitzio;
using namespace std::chrono_literals;

namespace
{

constexpr bz::parallel_options choosy{.grain = 1, .admission = bz::admission::by_deadline};

/// About so long on one thread.
void spin_for(std::chrono::nanoseconds time)
{
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end)
    {
    }
}

std::error_code error_of(const bz::result<void>& outcome)
{
    return outcome ? std::error_code() : outcome.error();
}

template <class Result>
bz::result<void> without_value(const Result& outcome)
{
    if (!outcome)
    {
        return std::unexpected(outcome.error());
    }
    return {};
}

/// The reports of this file's call sites in this line.
std::vector<bz::call_site_report> sites_at(std::uint64_t line)
{
    auto sites = bz::compute_call_sites();
    const std::string place = "loop_admission_test.cpp:" + std::to_string(line);
    std::erase_if(sites, [&](const auto& each) { return !each.where.ends_with(place); });
    return sites;
}

/// What is wrong with an algorithm: `attempt(options)` awaits it from one place, always the same,
/// with a body that takes some milliseconds and counts in `called`.
template <class Attempt>
bz::task<std::string> refuses_late(Attempt attempt, std::atomic<int>& called)
{
    // Unknown: it is tried, however late.
    const bz::result<void> first_outcome = co_await bz::timeout(1h, attempt(choosy));
    const std::error_code first = error_of(first_outcome);
    if (first || called == 0)
    {
        co_return "not admitted without a measurement: " + first.message();
    }
    for (int round = 0; round < 3; ++round)
    {
        const bz::result<void> next_outcome = co_await bz::timeout(1h, attempt(choosy));
        const std::error_code next = error_of(next_outcome);
        if (next)
        {
            co_return "not admitted with much time left: " + next.message();
        }
    }
    called = 0;
    const bz::result<void> late_outcome = co_await bz::timeout(100us, attempt(choosy));
    const std::error_code late = error_of(late_outcome);
    if (late != bz::compute_errc::deadline_out_of_reach || called != 0)
    {
        co_return "admitted too late: " + late.message();
    }
    auto until = choosy;
    until.deadline = bz::detail::call_clock() + 100us;
    const bz::result<void> by_option_outcome = co_await attempt(until);
    const std::error_code by_option = error_of(by_option_outcome);
    if (by_option != bz::compute_errc::deadline_out_of_reach || called != 0)
    {
        co_return "admitted beyond the deadline of the options: " + by_option.message();
    }
    // Whoever does not ask for it is started.
    bz::parallel_options open = choosy;
    open.admission = bz::admission::open;
    open.deadline = bz::detail::call_clock();
    const bz::result<void> started_outcome = co_await attempt(open);
    const std::error_code started = error_of(started_outcome);
    if (started || called == 0)
    {
        co_return "not started: " + started.message();
    }
    co_return "";
}

} // namespace

TEST_CASE("a loop that would be too late is refused at once", "[bridge][parallel][call_site]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime(1);
    std::atomic<int> called{0};
    std::vector<int> values(8);
    std::vector<int> sums(8);
    const auto body = [&](int value) {
        ++called;
        spin_for(2ms);
        return value;
    };
    const auto combine = [&](int left, int right) { return left + body(right); };
    const auto less = [&](int left, int right) { return left < body(right); };
    const auto wrong = runtime.block_on([&]() -> bz::task<std::vector<std::string>> {
        std::vector<std::string> texts;
        texts.push_back(co_await refuses_late(
            [&](bz::parallel_options options) -> bz::task<bz::result<void>> {
                const auto done = co_await bz::parallel_for(pool, values, body, options);
                co_return without_value(done);
            },
            called));
        texts.push_back(co_await refuses_late(
            [&](bz::parallel_options options) -> bz::task<bz::result<void>> {
                const auto done = co_await bz::parallel_for(pool, 0, 8, body, options);
                co_return without_value(done);
            },
            called));
        texts.push_back(co_await refuses_late(
            [&](bz::parallel_options options) -> bz::task<bz::result<void>> {
                const auto done = co_await bz::parallel_map(pool, values, body, options);
                co_return without_value(done);
            },
            called));
        texts.push_back(co_await refuses_late(
            [&](bz::parallel_options options) -> bz::task<bz::result<void>> {
                const auto done =
                    co_await bz::parallel_reduce(pool, values, 0, body, std::plus<>(), options);
                co_return without_value(done);
            },
            called));
        texts.push_back(co_await refuses_late(
            [&](bz::parallel_options options) -> bz::task<bz::result<void>> {
                const auto done = co_await bz::parallel_scan(pool, values, sums.begin(), 0, combine,
                                                             bz::scan_kind::inclusive, options);
                co_return without_value(done);
            },
            called));
        texts.push_back(co_await refuses_late(
            [&](bz::parallel_options options) -> bz::task<bz::result<void>> {
                const auto done = co_await bz::parallel_sort(pool, values, less, options);
                co_return without_value(done);
            },
            called));
        texts.push_back(co_await refuses_late(
            [&](bz::parallel_options options) -> bz::task<bz::result<void>> {
                const auto done = co_await bz::parallel_invoke(
                    pool, options, [&] { return body(1); }, [&] { return body(2); });
                co_return without_value(done);
            },
            called));
        co_return texts;
    });
    CHECK(wrong == std::vector<std::string>(7));
}

TEST_CASE("loops are call sites, one for each place", "[bridge][parallel][call_site]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime(1);
    std::vector<int> values(100);
    constexpr auto line = static_cast<std::uint64_t>(__LINE__) + 5;
    runtime.block_on([&]() -> bz::task<void> {
        for (int round = 0; round < 20; ++round)
        {
            const auto add = [](int& value) { ++value; };
            const auto one = co_await bz::parallel_for(pool, values, add);
            const auto two = co_await bz::parallel_for(pool, values, add);
            CHECK((one && two));
        }
    });
    for (const auto each : {line, line + 1})
    {
        const auto sites = sites_at(each);
        REQUIRE(sites.size() == 1);
        CHECK(sites[0].calls == 20);
        CHECK(sites[0].refused == 0);
        CHECK(sites[0].mean > 0ns);
        CHECK(sites[0].advice != bz::call_site_advice::unknown);
    }
    CHECK(std::ranges::count(values, 40) == 100);
}

TEST_CASE("who is queued behind a loop waits for all of its threads",
          "[bridge][parallel][call_site]")
{
    bz::compute::pool pool({.threads = 4, .name = "work"});
    auto runtime = test::make_runtime(1);
    runtime.block_on([&]() -> bz::task<void> {
        for (int round = 0; round < 4; ++round)
        {
            const auto done = co_await bz::parallel_for(pool, 0, 4, [](int) { spin_for(1ms); });
            CHECK(done);
        }
    });
    // In processor time: of a loop that lasts a millisecond, four.
    CHECK(pool.times().job.value() >= 4ms);
}

TEST_CASE("a loop on the worker itself is neither measured nor refused",
          "[bridge][parallel][call_site]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime(1);
    std::vector<int> values(10);
    constexpr auto line = static_cast<std::uint64_t>(__LINE__) + 7;
    runtime.block_on([&]() -> bz::task<void> {
        const bz::parallel_options small{.inline_max = 10,
                                         .admission = bz::admission::by_deadline,
                                         .deadline = std::chrono::nanoseconds(1)};
        const auto add = [](int& value) { ++value; };
        const auto done = co_await bz::parallel_for(pool, values, add, small);
        CHECK(done);
    });
    CHECK(std::ranges::count(values, 1) == 10);
    for (const auto& site : sites_at(line))
    {
        CHECK(site.calls == 0);
        CHECK(site.refused == 0);
    }
}

TEST_CASE("in a simulation the seed decides which loops are refused",
          "[bridge][parallel][call_site]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    const auto run = [&](std::uint64_t seed) {
        auto runtime = test::make_simulated(seed, 2);
        std::string outcomes;
        runtime.block_on([&]() -> bz::task<void> {
            for (int round = 0; round < 30; ++round)
            {
                auto loop = bz::parallel_for(pool, 0, 10, [](int) {}, choosy);
                const auto patience = std::chrono::milliseconds(round % 5);
                const auto done = co_await bz::timeout(patience, std::move(loop));
                outcomes += done                                                      ? 'y'
                            : done.error() == bz::compute_errc::deadline_out_of_reach ? 'r'
                                                                                      : 'n';
            }
        });
        return outcomes;
    };
    std::string all;
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
    {
        const auto first = run(seed);
        CHECK(first == run(seed));
        all += first;
    }
    CHECK(all.find('r') != std::string::npos);
    CHECK(all.find('y') != std::string::npos);
}
