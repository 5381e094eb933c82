// compute::pool: constraints, priorities, courtesy, observers, attached arenas, a host that limits
// oneTBB, what explain() and metrics() say.
// Thread rule: each test owns its pools; jobs synchronise through barriers and latches only.
#include "support/function_job.hpp"

#include <blitzio/compute/attach.hpp>
#include <blitzio/compute/parallel.hpp>
#include <blitzio/compute/pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <ctime>
#include <latch>
#include <mutex>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include <pthread.h>
#include <sys/resource.h>

namespace
{

using namespace blitzio::compute;
using compute_test::function_job;
using compute_test::meet_at_barrier;
using compute_test::run_all;

int nice_of_this_thread()
{
    return getpriority(PRIO_PROCESS, 0);
}

/// The nice values of all threads of a pool.
std::multiset<int> nice_values(pool& where)
{
    std::multiset<int> values;
    std::mutex mutex;
    std::barrier meeting(static_cast<std::ptrdiff_t>(where.threads()));
    run_all(where, where.threads(), [&] {
        meeting.arrive_and_wait();
        const std::lock_guard lock(mutex);
        values.insert(nice_of_this_thread());
    });
    return values;
}

std::chrono::nanoseconds thread_time()
{
    std::timespec value{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &value);
    return std::chrono::seconds(value.tv_sec) + std::chrono::nanoseconds(value.tv_nsec);
}

void burn(std::chrono::nanoseconds time)
{
    const auto end = thread_time() + time;
    while (thread_time() < end)
    {
    }
}

pool_config named(const char* name, unsigned threads)
{
    pool_config config;
    config.name = name;
    config.threads = threads;
    return config;
}

/// The sanitizers refuse the way in which oneTBB loads the library that knows the machine.
constexpr bool topology_can_be_asked =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    false;
#else
    true;
#endif
#else
    true;
#endif

/// Calls itself in parallel `depth` deep and counts the leaves; they are fewer when a loop fails.
void nest(int depth, std::atomic<int>& leaves)
{
    if (depth == 0)
    {
        leaves.fetch_add(1);
        return;
    }
    const std::array<int, 4> four{};
    static_cast<void>(parallel_map(four, [&](int) { nest(depth - 1, leaves); }));
}

} // namespace

TEST_CASE("threads give way from their start when told to, by priority",
          "[compute][pool][courtesy]")
{
    const int mine = nice_of_this_thread();
    const auto raised = [mine](int steps) { return std::min(mine + steps, 19); };
    struct expectation
    {
        pool_priority priority;
        courtesy give_way;
        int steps;
    };
    for (const auto& [priority, give_way, steps] :
         {expectation{pool_priority::normal, courtesy::on, 10},
          expectation{pool_priority::high, courtesy::on, 5},
          expectation{pool_priority::low, courtesy::on, 19},
          expectation{pool_priority::normal, courtesy::off, 0},
          expectation{pool_priority::high, courtesy::off, 0},
          expectation{pool_priority::low, courtesy::off, 5},
          expectation{pool_priority::normal, courtesy::automatic, 0}})
    {
        pool_config config = named("nice", 2);
        config.priority = priority;
        config.give_way = give_way;
        pool workers(std::move(config));
        CHECK(nice_values(workers) == std::multiset<int>{raised(steps), raised(steps)});
        CHECK(nice_of_this_thread() == mine);
        if (give_way == courtesy::off)
        {
            CHECK(workers.explain().find("switched off") != std::string::npos);
        }
    }
}

TEST_CASE("an automatic pool gives way once it has had long jobs, and never for tiny ones",
          "[compute][pool][courtesy]")
{
    const int mine = nice_of_this_thread();
    if (mine > 9)
    {
        SKIP("this process's nice value is high already");
    }
    pool workers(named("auto", 1));
    run_all(workers, 20'000, [] {});
    CHECK(nice_values(workers) == std::multiset<int>{mine});
    CHECK(workers.explain().find("have had no job of more than") != std::string::npos);
    run_all(workers, 4, [] { burn(std::chrono::milliseconds(2)); });
    CHECK(nice_values(workers) == std::multiset<int>{mine + 10});
    CHECK(workers.explain().find("raised from " + std::to_string(mine)) != std::string::npos);
}

TEST_CASE("constraints that cannot be met name the field and the value", "[compute][pool]")
{
    const auto refused = [](pool_constraints where) {
        pool_config config = named("x", 1);
        config.constraints = where;
        const auto made = pool::create(std::move(config));
        REQUIRE_FALSE(made);
        CHECK(made.error().code == std::errc::invalid_argument);
        return made.error();
    };
    if (topology_can_be_asked)
    {
        const auto node = refused({.numa_node = 4711});
        CHECK(node.field == "constraints.numa_node");
        CHECK(node.message.find("4711") != std::string::npos);
        CHECK(refused({.core_type = 99}).field == "constraints.core_type");
    }
    CHECK(refused({.numa_node = -2}).field == "constraints.numa_node");
    CHECK(refused({.core_type = -7}).message.find("-7") != std::string::npos);
    const auto per_core = refused({.max_threads_per_core = -3});
    CHECK(per_core.field == "constraints.max_threads_per_core");
    CHECK(per_core.message.find("-3") != std::string::npos);

    pool_config odd = named("x", 1);
    odd.priority = static_cast<pool_priority>(77);
    CHECK(pool::create(odd).error().field == "priority");
    odd = named("x", 1);
    odd.give_way = static_cast<courtesy>(78);
    CHECK(pool::create(odd).error().field == "give_way");
    for (const auto spin : {std::chrono::nanoseconds(-1), std::chrono::nanoseconds(10'000'001)})
    {
        odd = named("x", 1);
        odd.idle_spin = spin;
        CHECK(pool::create(odd).error().field == "idle_spin");
        CHECK(pool::create(odd).error().message.find(std::to_string(spin.count())) !=
              std::string::npos);
    }
}

TEST_CASE("without idle_spin no thread waits awake", "[compute][pool]")
{
    pool_config config = named("sleeps", 2);
    config.idle_spin = {};
    pool sleeps(config);
    CHECK(sleeps.idle_spin() == std::chrono::nanoseconds(0));
    for (int round = 0; round < 200; ++round)
    {
        run_all(sleeps, 1, [] {});
    }
    CHECK(sleeps.metrics().spins_won == 0);
    CHECK(sleeps.metrics().spins_lost == 0);
    CHECK((sleeps.explain().find("sleeps (idle_spin is 0)") != std::string::npos ||
           sleeps.explain().find("one processor") != std::string::npos));
    pool awake(named("awake", 2));
    for (int round = 0; round < 200; ++round)
    {
        run_all(awake, 1, [] {});
    }
    const auto spins = awake.metrics().spins_won + awake.metrics().spins_lost;
    CHECK((spins != 0) == (awake.idle_spin() != std::chrono::nanoseconds(0)));
}

TEST_CASE("a pool with constraints that can be met runs", "[compute][pool]")
{
    if (!topology_can_be_asked)
    {
        SKIP("oneTBB cannot load its topology library in this build");
    }
    pool_config config = named("one-per-core", 0);
    config.constraints.max_threads_per_core = 1;
    pool workers(std::move(config));
    CHECK(workers.threads() >= 1);
    meet_at_barrier(workers, workers.threads());
    CHECK(workers.explain().find("threads per core 1") != std::string::npos);
}

TEST_CASE("observers are called on each thread, before its first and after its last job",
          "[compute][pool]")
{
    std::mutex mutex;
    std::vector<std::string> events;
    const auto note = [&](const char* what, unsigned index) {
        std::array<char, 16> name{};
        pthread_getname_np(pthread_self(), name.data(), name.size());
        const std::lock_guard lock(mutex);
        events.push_back(std::string(what) + std::to_string(index) + " on " + name.data());
    };
    {
        pool_config config = named("seen", 3);
        config.on_thread_start = [&](unsigned index) { note("start ", index); };
        config.on_thread_stop = [&](unsigned index) { note("stop ", index); };
        pool workers(std::move(config));
        CHECK(events.size() == 3); // the constructor has waited for them
        meet_at_barrier(workers, 3);
        CHECK(events.size() == 3);
    }
    REQUIRE(events.size() == 6);
    std::sort(events.begin(), events.end());
    CHECK(events == std::vector<std::string>{"start 0 on seen-0", "start 1 on seen-1",
                                             "start 2 on seen-2", "stop 0 on seen-0",
                                             "stop 1 on seen-1", "stop 2 on seen-2"});
}

TEST_CASE("a host that allows oneTBB a single thread takes none of a pool's", "[compute][pool]")
{
    const tbb::global_control one(tbb::global_control::max_allowed_parallelism, 1);
    for (const unsigned threads : {1u, 2u, 4u})
    {
        pool workers(named("limited", threads));
        meet_at_barrier(workers, threads);
        std::atomic<int> leaves{0};
        run_all(workers, 2 * threads, [&] { nest(3, leaves); });
        CHECK(leaves == static_cast<int>(2 * threads * 64));
    }
}

TEST_CASE("idle threads take part in a job's parallel algorithms", "[compute][pool]")
{
    pool workers(named("helps", 3));
    std::atomic<int> foreign{0}; // the iterations run on several threads; only this one checks
    for (int round = 0; round < 20; ++round)
    {
        // Three iterations that all have to be inside at once, so all three threads must come.
        std::barrier meeting(3);
        run_all(workers, 1, [&] {
            tbb::parallel_for(
                0, 3,
                [&](int) {
                    foreign += workers.owns_current_thread() ? 0 : 1;
                    meeting.arrive_and_wait();
                },
                tbb::simple_partitioner{});
        });
    }
    CHECK(foreign == 0);
    meet_at_barrier(workers, 3);
}

TEST_CASE("a job that waits for its parallel parts takes up no other job's", "[compute][pool]")
{
    pool workers(named("isolated", 2));
    std::atomic<int> mixed{0};
    run_all(workers, 200, [&] {
        static thread_local int inside = 0;
        const int depth = inside++;
        mixed += depth;
        tbb::parallel_for(0, 8, [](int) { burn(std::chrono::microseconds(5)); });
        --inside;
    });
    CHECK(mixed == 0);
}

TEST_CASE("jobs on an arena of the program's", "[compute][pool][attach]")
{
    const int mine = nice_of_this_thread();
    tbb::task_arena arena(2, 1);
    std::atomic<int> ran{0};
    std::atomic<bool> owned{true};
    std::atomic<bool> nice{true};
    {
        auto attached = attach(arena, "theirs");
        REQUIRE(attached);
        CHECK(attached->threads() == 2);
        CHECK(attached->name() == "theirs");
        CHECK_FALSE(attached->owns_current_thread());
        run_all(*attached, 1000, [&] {
            owned = owned && attached->owns_current_thread();
            nice = nice && nice_of_this_thread() == mine;
            ran.fetch_add(1);
        });
        CHECK(attached->explain().find("blitzio changes nothing") != std::string::npos);
        std::vector<std::unique_ptr<function_job<std::function<void()>>>> last;
        for (int index = 0; index < 100; ++index)
        {
            last.push_back(std::make_unique<function_job<std::function<void()>>>([&] { ++ran; }));
            REQUIRE(attached->enqueue(*last.back()));
        }
        // The jobs belong to this scope, so the pool must end before they do.
        auto ended = std::move(*attached);
    }
    CHECK(ran == 1100);
    CHECK(owned);
    CHECK(nice);
    int used = 0;
    arena.execute([&] { used = 1; }); // still the program's
    CHECK(used == 1);
    CHECK(attach(arena, "").error().field == "name");
}

TEST_CASE("metrics add up", "[compute][pool]")
{
    pool workers(named("counted", 2));
    const auto before = workers.metrics();
    CHECK(before.threads == 2);
    CHECK(before.jobs_completed == 0);
    run_all(workers, 500, [] {});
    {
        std::latch arrived(2);
        std::latch go(1);
        const auto body = [&] {
            arrived.count_down();
            go.wait();
        };
        function_job first(body), second(body);
        function_job third([] {});
        REQUIRE(workers.enqueue(first));
        REQUIRE(workers.enqueue(second));
        arrived.wait();
        REQUIRE(workers.enqueue(third));
        const auto now = workers.metrics();
        CHECK(now.busy == 2);
        CHECK(now.waiting == 1);
        CHECK(now.sleeping == 0);
        CHECK_FALSE(workers.has_idle_thread());
        go.count_down();
        while (workers.pending() != 0)
        {
            std::this_thread::yield();
        }
    }
    const auto after = workers.metrics();
    CHECK(after.jobs_completed == 503);
    CHECK(after.busy == 0);
    CHECK(after.waiting == 0);
    CHECK(workers.explain().find("pool counted: 2 threads of its own, as configured") == 0);
}

TEST_CASE("an idle pool sleeps", "[compute][pool]")
{
    pool workers(named("idle", 4));
    meet_at_barrier(workers, 4);
    while (workers.metrics().sleeping != 4)
    {
        std::this_thread::yield();
    }
    // oneTBB's own waits give up after some milliseconds; from then on nobody may wake by himself.
    const auto process_time = [] {
        std::timespec value{};
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &value);
        return std::chrono::seconds(value.tv_sec) + std::chrono::nanoseconds(value.tv_nsec);
    };
    std::chrono::nanoseconds least = std::chrono::hours(1);
    for (int attempt = 0; attempt < 20 && least > std::chrono::milliseconds(1); ++attempt)
    {
        const auto cpu = process_time();
        std::timespec pause{.tv_sec = 0, .tv_nsec = 50'000'000};
        nanosleep(&pause, nullptr);
        least = std::min<std::chrono::nanoseconds>(least, process_time() - cpu);
    }
    CHECK(least <= std::chrono::milliseconds(1));
}
