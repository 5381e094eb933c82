// compute::pool: thread counts, configuration, exceptions, destruction, fork.
// Thread rule: each test owns its pools; jobs synchronise through barriers and latches only.
#include "support/function_job.hpp"

#include <blitzio/compute/pool.hpp>

#include <blitzio/io/processors.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <atomic>
#include <barrier>
#include <cerrno>
#include <latch>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

namespace
{

using blitzio::compute::job;
using blitzio::compute::pool;
using compute_test::function_job;
using compute_test::meet_at_barrier;
using compute_test::run_all;

std::string current_thread_name()
{
    std::array<char, 16> name{};
    pthread_getname_np(pthread_self(), name.data(), name.size());
    return name.data();
}

/// Runs `body` in a forked child and gives its exit code; 255 when the child had to be killed.
template <class Body>
int exit_code_of_child(Body body)
{
    const pid_t child = fork();
    if (child == 0)
    {
        alarm(20); // a hang ends the child, and shows as a signal
        _exit(body());
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

} // namespace

TEST_CASE("N threads asked for are N threads that run at the same time", "[compute][pool]")
{
    for (const unsigned threads : {1u, 2u, 3u, 4u, 8u})
    {
        pool workers({.threads = threads, .name = "meet"});
        CHECK(workers.threads() == threads);
        for (int round = 0; round < 20; ++round)
        {
            meet_at_barrier(workers, threads);
        }
    }
}

TEST_CASE("pools do not take each other's threads", "[compute][pool]")
{
    pool first({.threads = 2, .name = "first"});
    pool second({.threads = 3, .name = "second"});
    std::barrier meeting(5);
    std::latch ended(5);
    const auto body = [&] {
        meeting.arrive_and_wait();
        ended.count_down();
    };
    std::vector<std::unique_ptr<function_job<decltype(body)>>> jobs;
    for (int index = 0; index < 5; ++index)
    {
        jobs.push_back(std::make_unique<function_job<decltype(body)>>(body));
        REQUIRE((index < 2 ? first : second).enqueue(*jobs.back()));
    }
    ended.wait();
}

TEST_CASE("a pool keeps its threads when another one goes", "[compute][pool]")
{
    pool stays({.threads = 4, .name = "stays"});
    for (int round = 0; round < 10; ++round)
    {
        {
            pool goes({.threads = 2, .name = "goes"});
            meet_at_barrier(goes, 2);
        }
        meet_at_barrier(stays, 4);
    }
}

TEST_CASE("no more than N jobs run at once", "[compute][pool]")
{
    pool workers({.threads = 3, .name = "few"});
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    run_all(workers, 2000, [&] {
        const int now = inside.fetch_add(1) + 1;
        int seen = most.load();
        while (now > seen && !most.compare_exchange_weak(seen, now))
        {
        }
        std::this_thread::yield();
        inside.fetch_sub(1);
    });
    CHECK(most <= 3);
}

TEST_CASE("threads are named after their pool", "[compute][pool]")
{
    pool workers({.threads = 2, .name = "a-rather-long-pool-name"});
    CHECK_FALSE(workers.owns_current_thread());
    std::set<std::string> names;
    std::atomic<bool> owned{true};
    std::mutex mutex;
    std::barrier meeting(2);
    run_all(workers, 2, [&] {
        meeting.arrive_and_wait();
        owned = owned && workers.owns_current_thread();
        const std::lock_guard lock(mutex);
        names.insert(current_thread_name());
    });
    CHECK(owned);
    CHECK(names == std::set<std::string>{"a-rather-long-0", "a-rather-long-1"});

    pool others({.threads = 1, .name = "other"});
    std::string name;
    run_all(others, 1, [&] {
        name = current_thread_name();
        owned = workers.owns_current_thread();
    });
    CHECK(name == "other-0");
    CHECK_FALSE(owned);
}

TEST_CASE("the destructor waits for every job", "[compute][pool]")
{
    for (int round = 0; round < 50; ++round)
    {
        std::atomic<int> ended{0};
        const auto body = [&] {
            std::this_thread::yield();
            ended.fetch_add(1);
        };
        std::vector<std::unique_ptr<function_job<decltype(body)>>> jobs;
        {
            pool workers({.threads = 2, .name = "short"});
            for (int index = 0; index < 100; ++index)
            {
                jobs.push_back(std::make_unique<function_job<decltype(body)>>(body));
                REQUIRE(workers.enqueue(*jobs.back()));
            }
        }
        CHECK(ended == 100);
    }
}

TEST_CASE("a job may end the life of its own memory", "[compute][pool]")
{
    struct self_owned : job
    {
        std::atomic<int>& ended;

        explicit self_owned(std::atomic<int>& counter) : ended(counter)
        {
            run = [](job* self) noexcept {
                auto* const owned = static_cast<self_owned*>(self);
                auto& count = owned->ended;
                delete owned;
                count.fetch_add(1);
            };
        }
    };
    std::atomic<int> ended{0};
    {
        pool workers({.threads = 2, .name = "own"});
        for (int index = 0; index < 10'000; ++index)
        {
            REQUIRE(workers.enqueue(*new self_owned(ended)));
        }
    }
    CHECK(ended == 10'000);
}

TEST_CASE("pools are moved with their jobs", "[compute][pool]")
{
    pool source({.threads = 2, .name = "moved"});
    pool target(std::move(source));
    meet_at_barrier(target, 2);
    pool replaced({.threads = 1, .name = "old"});
    replaced = std::move(target);
    CHECK(replaced.name() == "moved");
    meet_at_barrier(replaced, 2);
    CHECK(replaced.pending() <= 2);
}

TEST_CASE("configurations that cannot be used are named", "[compute][pool]")
{
    const auto too_many = pool::create({.threads = 1'000'000, .name = "x"});
    REQUIRE_FALSE(too_many);
    CHECK(too_many.error().field == "threads");
    CHECK(too_many.error().message.find("1000000") != std::string::npos);
    CHECK(too_many.error().code == std::errc::invalid_argument);

    const auto nameless = pool::create({.threads = 1, .name = ""});
    REQUIRE_FALSE(nameless);
    CHECK(nameless.error().field == "name");

    CHECK_THROWS_AS(pool({.threads = 1'000'000, .name = "x"}), std::system_error);
    CHECK(blitzio::compute::validate({}));
}

TEST_CASE("all pools together stay below the limit of the process", "[compute][pool]")
{
    std::vector<pool> pools;
    std::expected<pool, blitzio::compute::pool_error> last =
        pool::create({.threads = 100, .name = "big"});
    while (last)
    {
        REQUIRE(pools.size() < 1000);
        pools.push_back(*std::move(last));
        last = pool::create({.threads = 100, .name = "big"});
    }
    CHECK(pools.size() >= 2);
    CHECK(last.error().field == "threads");
    CHECK(last.error().code == std::errc::resource_unavailable_try_again);
    pools.clear();
    CHECK(pool::create({.threads = 100, .name = "big"}));
}

TEST_CASE("threads = 0 takes what the process may use", "[compute][pool]")
{
    const pool workers({.threads = 0, .name = "auto"});
    CHECK(workers.threads() == blitzio::usable_processors().count);
    CHECK(workers.threads() >= 1);
}

TEST_CASE("there is one default pool", "[compute][pool]")
{
    pool& first = blitzio::compute::default_pool();
    const auto found = blitzio::compute::find_default_pool();
    REQUIRE(found);
    CHECK(*found == &first);
    meet_at_barrier(first, first.threads());
}

TEST_CASE("a forked child is refused and never hangs", "[compute][pool]")
{
    pool workers({.threads = 2, .name = "parent"});
    meet_at_barrier(workers, 2);
    static_cast<void>(blitzio::compute::default_pool());
    CHECK(exit_code_of_child([&] {
              function_job work([] {});
              const auto refused = workers.enqueue(work);
              return !refused && refused.error() == std::errc::no_such_process ? 0 : 1;
          }) == 0);
    CHECK(exit_code_of_child([&] {
              const auto refused = pool::create({.threads = 1, .name = "child"});
              return !refused && refused.error().field == "process" &&
                             refused.error().code == std::errc::no_such_process
                         ? 0
                         : 1;
          }) == 0);
    CHECK(exit_code_of_child([&] {
              function_job work([] {});
              const auto refused = blitzio::compute::default_pool().enqueue(work);
              return !refused && refused.error() == std::errc::no_such_process ? 0 : 1;
          }) == 0);
    CHECK(exit_code_of_child([&] {
              const pool inherited(std::move(workers));
              return 0; // its destructor leaves the parent's threads alone
          }) == 0);
    meet_at_barrier(workers, 2); // the parent's pool is untouched
}
