// Call sites: what is measured, what is decided by it, who is refused.
// Thread rule: each test owns its runtime and pool. Durations that decide are fed in, not waited for.
#include "support.hpp"

#include <blitzio/bridge/detail/call_site_record.hpp>

#include <algorithm>
#include <atomic>
#include <latch>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace bz = blitzio;
using namespace std::chrono_literals;

namespace
{

using bz::detail::call_site_record;

constexpr bz::compute_options automatic{.placement = bz::placement::automatic};
constexpr bz::compute_options here{.placement = bz::placement::inline_};

void spin_for(std::chrono::nanoseconds time)
{
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end)
    {
    }
}

/// As if that many calls had taken so long.
void feed(call_site_record& site, bz::compute::detail::job_times& pool,
          std::chrono::nanoseconds each, int count = 64)
{
    for (int index = 0; index < count; ++index)
    {
        site.record(each, &pool);
    }
}

/// What the next calls would do; one in 256 goes to the pool in any case.
bool mostly_inline(call_site_record& site, bz::compute::detail::job_times& pool)
{
    const int inline_ones =
        site.choose_inline(pool) + site.choose_inline(pool) + site.choose_inline(pool);
    return inline_ones >= 2;
}

/// The reports of this file's call sites in `function`.
std::vector<bz::call_site_report> sites_in(std::string_view function)
{
    auto sites = bz::compute_call_sites();
    std::erase_if(sites, [&](const auto& each) {
        return each.where.find("call_site_test.cpp") == std::string::npos ||
               each.function.find(function) == std::string::npos;
    });
    return sites;
}

/// Occupies all threads of a pool.
class occupied
{
public:
    explicit occupied(bz::compute::pool& pool) : arrived_(pool.threads()), inside_(pool.threads())
    {
        for (unsigned index = 0; index < pool.threads(); ++index)
        {
            handles_.push_back(bz::spawn_compute(pool,
                                                 [this] {
                                                     arrived_.count_down();
                                                     while (!released_)
                                                     {
                                                         std::this_thread::yield();
                                                     }
                                                     --inside_;
                                                 },
                                                 {.placement = bz::placement::pool}));
        }
        arrived_.wait();
    }
    ~occupied()
    {
        released_ = true;
        while (inside_ != 0)
        {
            std::this_thread::yield();
        }
    }

private:
    std::latch arrived_;
    std::atomic<unsigned> inside_;
    std::atomic<bool> released_{false};
    std::vector<bz::compute_handle<void>> handles_;
};

} // namespace

TEST_CASE("a site goes inline below the cost of handing over, and back well above it",
          "[bridge][call_site]")
{
    static constinit call_site_record site;
    bz::compute::detail::job_times pool;
    for (int index = 0; index < 64; ++index)
    {
        bz::detail::record_hand_off_cost(pool, 10us);
    }
    CHECK_FALSE(site.choose_inline(pool)); // nothing measured
    feed(site, pool, 2us, 7);
    CHECK_FALSE(site.choose_inline(pool)); // too little
    feed(site, pool, 2us);
    CHECK(mostly_inline(site, pool));
    feed(site, pool, 11us);
    CHECK(mostly_inline(site, pool)); // above, but not well above
    feed(site, pool, 14us);
    CHECK_FALSE(site.choose_inline(pool));
    feed(site, pool, 9us);
    CHECK_FALSE(site.choose_inline(pool)); // below, but not well below
    feed(site, pool, 7us);
    CHECK(mostly_inline(site, pool));
    site.record(10ms, &pool); // a single one that is out of all proportion
    CHECK_FALSE(site.choose_inline(pool));
}

TEST_CASE("a site that runs inline is compared with the pool now and then", "[bridge][call_site]")
{
    static constinit call_site_record site;
    bz::compute::detail::job_times pool;
    feed(site, pool, 1us);
    int to_pool = 0;
    for (int call = 0; call < 1024; ++call)
    {
        to_pool += site.choose_inline(pool) ? 0 : 1;
    }
    CHECK(to_pool == 4);
}

TEST_CASE("what handing over costs follows many measurements, not one", "[bridge][call_site]")
{
    bz::compute::detail::job_times pool;
    bz::detail::record_hand_off_cost(pool, 4us);
    bz::detail::record_hand_off_cost(pool, 4us);
    for (int index = 0; index < 30; ++index)
    {
        bz::detail::record_hand_off_cost(pool, 4us);
    }
    bz::detail::record_hand_off_cost(pool, 1s); // the machine did something else
    CHECK(pool.hand_off.value() > 4us - 1ns);
    CHECK(pool.hand_off.value() < 5us);
    for (int index = 0; index < 400; ++index)
    {
        bz::detail::record_hand_off_cost(pool, 8us);
    }
    CHECK(pool.hand_off.value() > 7900ns);
    CHECK(pool.hand_off.value() <= 8us);
}

TEST_CASE("placement::automatic runs what is short on the worker, what is long on the pool",
          "[bridge][call_site]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime(1);
    int short_here = 0;
    int long_here = 0;
    runtime.block_on([&]() -> bz::task<void> {
        constexpr int rounds = 2000;
        for (int round = 0; round < rounds; ++round)
        {
            const auto on_pool = co_await bz::compute_on(
                pool, [&] { return pool.owns_current_thread(); }, automatic);
            short_here += *on_pool ? 0 : 1;
        }
        for (int round = 0; round < 40; ++round)
        {
            const auto on_pool = co_await bz::compute_on(
                pool,
                [&] {
                    spin_for(1ms);
                    return pool.owns_current_thread();
                },
                automatic);
            long_here += *on_pool ? 0 : 1;
        }
    });
    CHECK(short_here > 1000);
    CHECK(short_here < 2000); // never without measuring first
    CHECK(long_here == 0);
    const auto text = bz::explain_call_sites();
    CHECK(text.find("belongs on the pool") != std::string::npos);
    CHECK(text.find("cheaper inline") != std::string::npos);
}

TEST_CASE("advice is given, and nothing is moved, by default", "[bridge][call_site]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime(1);
    std::uint64_t line = 0;
    const auto first = [&]() -> bz::task<int> {
        int on_pool = 0;
        for (int round = 0; round < 100; ++round)
        {
            const auto owns = [&pool] { return pool.owns_current_thread(); };
            line = __LINE__ + 1;
            const auto value = co_await bz::compute_on(pool, owns);
            on_pool += *value ? 1 : 0;
        }
        co_return on_pool;
    };
    CHECK(runtime.block_on(first) == 100);
    const auto all = bz::compute_call_sites();
    const auto site = std::ranges::find_if(all, [&](const auto& each) {
        return each.where.ends_with("call_site_test.cpp:" + std::to_string(line));
    });
    REQUIRE(site != all.end());
    CHECK(site->calls == 100);
    CHECK(site->calls_inline == 0);
    CHECK(site->mean > 0ns);
    CHECK(site->longest >= site->mean);
    CHECK(site->advice != bz::call_site_advice::unknown);
    CHECK(site->hand_off > 0ns);
    const auto samples = bz::call_sites_to_prometheus("app");
    CHECK(samples.find("# TYPE app_compute_calls_total counter") != std::string::npos);
    CHECK(samples.find("call_site_test.cpp:" + std::to_string(line) + "\"") != std::string::npos);
}

namespace
{

int forty_two()
{
    return 42;
}

} // namespace

TEST_CASE("two places that call the same function are two call sites", "[bridge][call_site]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime(1);
    const auto lines = [] {
        std::vector<std::uint64_t> calls;
        for (const auto& each : sites_in(""))
        {
            calls.push_back(each.calls);
        }
        std::ranges::sort(calls);
        return calls;
    };
    const auto before = lines().size();
    runtime.block_on([&]() -> bz::task<void> {
        for (int round = 0; round < 12; ++round)
        {
            const auto value = co_await bz::compute_on(pool, &forty_two);
            CHECK(*value == 42);
        }
        for (int round = 0; round < 7; ++round)
        {
            const auto value = co_await bz::compute_on(pool, &forty_two);
            CHECK(*value == 42);
            const auto again = co_await bz::compute_on(pool, &forty_two);
            CHECK(*again == 42);
        }
    });
    CHECK(lines().size() == before + 3);
}

TEST_CASE("calls of many threads are all counted", "[bridge][call_site]")
{
    constexpr int threads = 12; // more than there are shards
    constexpr int calls = 2000;
    bz::compute::pool pool({.threads = 4, .name = "work"});
    std::atomic<int> unfinished{0};
    {
        std::vector<std::jthread> callers;
        for (int index = 0; index < threads; ++index)
        {
            callers.emplace_back([&pool, &unfinished] {
                for (int call = 0; call < calls; ++call)
                {
                    const auto handle =
                        bz::spawn_compute(pool, [marker = 0x51] { return marker; }, here);
                    unfinished += handle.finished() ? 0 : 1;
                }
            });
        }
    }
    CHECK(unfinished == 0);
    const auto all = bz::compute_call_sites();
    CHECK(std::ranges::any_of(all, [](const auto& each) {
        return each.calls == std::uint64_t{threads} * calls && each.calls_inline == each.calls;
    }));
}

TEST_CASE("a computation that would be too late is refused at once", "[bridge][call_site]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime(1);
    static constinit call_site_record site;
    feed(site, pool.times(), 10ms);
    CHECK(site.admit(pool, 11ms));
    CHECK_FALSE(site.admit(pool, 9ms));
    CHECK_FALSE(site.admit(pool, 0ns));
    {
        const occupied busy(pool);
        CHECK_FALSE(site.admit(pool, 15ms)); // behind one of 10 ms
        CHECK(site.admit(pool, 25ms));
        std::vector<bz::compute_handle<void>> queued;
        for (int index = 0; index < 3; ++index)
        {
            queued.push_back(bz::spawn_compute(pool, [] {}));
        }
        CHECK_FALSE(site.admit(pool, 45ms)); // behind four
        CHECK(site.admit(pool, 55ms));

        // Refused: by the task's own deadline, by that of the options; and through a handle.
        bool called = false;
        const auto outcomes = runtime.block_on([&]() -> bz::task<std::vector<std::error_code>> {
            std::vector<std::error_code> errors;
            const bz::compute_options choosy{.admission = bz::admission::by_deadline};
            auto attempt = bz::compute_on(pool, [&called] { called = true; }, choosy);
            const auto first = co_await bz::timeout(5ms, std::move(attempt));
            errors.push_back(first.error());
            const bz::compute_options until{.admission = bz::admission::by_deadline,
                                            .deadline = bz::detail::call_clock() + 5ms};
            const auto second = co_await bz::compute_on(pool, [&called] { called = true; }, until);
            errors.push_back(second.error());
            auto handle = bz::spawn_compute(pool, [&called] { called = true; }, until);
            const auto third = co_await handle.get();
            errors.push_back(third.error());
            co_return errors;
        });
        for (const auto& error : outcomes)
        {
            CHECK(error == bz::compute_errc::deadline_out_of_reach);
            CHECK(error.message().find("deadline") != std::string::npos);
            CHECK(error.category().name() == std::string("blitzio.compute"));
        }
        CHECK(outcomes.size() == 3);
        CHECK_FALSE(called);
    }
    CHECK(bz::call_sites_to_prometheus().find("blitzio_compute_calls_refused_total") !=
          std::string::npos);
}

TEST_CASE("what is refused for one bad measurement is tried again", "[bridge][call_site]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    static constinit call_site_record site;
    feed(site, pool.times(), 1ms);
    site.record(1s, &pool.times());
    int refused = 0;
    while (!site.admit(pool, 20ms))
    {
        ++refused;
    }
    CHECK(refused > 10);
    CHECK(refused < 300);
}

TEST_CASE("without a deadline nothing is refused", "[bridge][call_site]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime(1);
    pool.times().job.add(1h, 64);
    const auto value = runtime.block_on([&]() -> bz::task<bz::result<int>> {
        const bz::compute_options choosy{.admission = bz::admission::by_deadline};
        co_return co_await bz::compute_on(pool, [] { return 5; }, choosy);
    });
    REQUIRE(value);
    CHECK(*value == 5);
}

TEST_CASE("placement::inline_ runs on the worker, with results, exceptions and stops",
          "[bridge][call_site]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    const auto body = [&](bz::runtime& runtime) {
        runtime.block_on([&]() -> bz::task<void> {
            const auto worker = std::this_thread::get_id();
            const auto where =
                co_await bz::compute_on(pool, [] { return std::this_thread::get_id(); }, here);
            CHECK(*where == worker);
            bool thrown = false;
            try
            {
                static_cast<void>(co_await bz::compute_on(pool, []() -> int { throw 7; }, here));
            }
            catch (int value)
            {
                thrown = value == 7;
            }
            CHECK(thrown);
            bool called = false;
            const auto late =
                co_await bz::timeout(0ns, bz::compute_on(pool, [&called] { called = true; }, here));
            CHECK((!late || called));
        });
    };
    auto runtime = test::make_runtime(1);
    body(runtime);
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
    {
        auto simulated = test::make_simulated(seed, 1);
        body(simulated);
    }
}

TEST_CASE("a task that computes inline in a loop lets others have their turn",
          "[bridge][call_site]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    const auto body = [&](bz::runtime& runtime, bz::compute_options options) {
        bool other_ran = false;
        runtime.block_on([&]() -> bz::task<void> {
            auto other = runtime.spawn([&other_ran]() -> bz::task<void> {
                other_ran = true;
                co_return;
            });
            auto third = runtime.spawn([]() -> bz::task<void> { co_return; });
            while (!other_ran)
            {
                const auto done = co_await bz::compute_on(pool, [] {}, options);
                CHECK(done);
            }
            co_await std::move(other);
            co_await std::move(third);
        });
        CHECK(other_ran);
    };
    for (const auto& options : {here, automatic})
    {
        auto runtime = test::make_runtime(1);
        body(runtime, options);
        for (std::uint64_t seed = 1; seed <= 10; ++seed)
        {
            auto simulated = test::make_simulated(seed, 1);
            body(simulated, options);
        }
    }
}

TEST_CASE("in a simulation the seed decides, not the clock", "[bridge][call_site]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    const auto run = [&](std::uint64_t seed) {
        auto runtime = test::make_simulated(seed, 2);
        std::string outcomes;
        runtime.block_on([&]() -> bz::task<void> {
            for (int round = 0; round < 50; ++round)
            {
                const bz::compute_options options{
                    .placement = bz::placement::automatic,
                    .admission = bz::admission::by_deadline,
                };
                auto call = bz::compute_on(pool, [round] { return round; }, options);
                const auto patience = std::chrono::milliseconds(round % 5);
                const auto before = bz::detail::now(runtime.core());
                const auto value = co_await bz::timeout(patience, std::move(call));
                outcomes += bz::detail::now(runtime.core()) == before ? 'i' : 'p';
                outcomes += value                                                      ? 'y'
                            : value.error() == bz::compute_errc::deadline_out_of_reach ? 'r'
                                                                                       : 'n';
            }
        });
        return outcomes;
    };
    bool refused = false;
    bool done = false;
    for (std::uint64_t seed = 1; seed <= 30; ++seed)
    {
        const auto first = run(seed);
        CHECK(first == run(seed));
        refused = refused || first.find('r') != std::string::npos;
        done = done || first.find('y') != std::string::npos;
    }
    CHECK(refused);
    CHECK(done);
    CHECK(run(1) != run(2));
}

TEST_CASE("measuring and deciding allocate nothing", "[bridge][call_site]")
{
    if (!test::counts_allocations)
    {
        return;
    }
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime(1);
    std::uint64_t allocated = 0;
    runtime.block_on([&]() -> bz::task<void> {
        const bz::compute_options choosy{.placement = bz::placement::automatic,
                                         .admission = bz::admission::by_deadline,
                                         .deadline = bz::detail::call_clock() + 1h};
        for (const int rounds : {100, 2000})
        {
            const auto before = test::allocations();
            for (int round = 0; round < rounds; ++round)
            {
                const auto done = co_await bz::compute_on(pool, [] {}, choosy);
                CHECK(done.has_value());
            }
            allocated = test::allocations() - before;
        }
    });
    // Catch2's checks may allocate; a hundredth of an allocation per call is none.
    CHECK(allocated < 20);
}
