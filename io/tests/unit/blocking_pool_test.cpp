// The elastic pool: every job runs once, threads come and go, refusals are never silent.
#include "blocking_pool.hpp"
#include "support/blocking_jobs.hpp"

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <latch>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace
{

using blitzio::io_errc;
using blitzio::detail::blocking_pool;
using blitzio::detail::runnable;
using namespace std::chrono_literals;

using blitzio::test::eventually;
using blitzio::test::job;

TEST_CASE("blocking_pool runs every job once", "[blocking_pool]")
{
    std::atomic<int> count{0};
    auto body = [&count] { count.fetch_add(1); };
    std::deque<job<decltype(body)>> jobs;
    {
        blocking_pool pool({.threads_max = 4});
        for (int index = 0; index < 10'000; ++index)
        {
            REQUIRE(pool.submit(jobs.emplace_back(body)));
        }
        pool.shutdown();
        CHECK(pool.snapshot().completed == 10'000);
        CHECK(pool.snapshot().queued == 0);
        CHECK(pool.snapshot().threads == 0);
    }
    CHECK(count.load() == 10'000);
}

TEST_CASE("blocking_pool with one thread keeps the order", "[blocking_pool]")
{
    std::vector<int> order;
    std::vector<int> expected;
    auto body = [](std::vector<int>& out, int number) { out.push_back(number); };
    auto bound = [&](int number) { return [&order, body, number] { body(order, number); }; };
    std::deque<job<decltype(bound(0))>> jobs;
    blocking_pool pool({.threads_max = 1});
    for (int index = 0; index < 1000; ++index)
    {
        REQUIRE(pool.submit(jobs.emplace_back(bound(index))));
        expected.push_back(index);
    }
    pool.shutdown();
    CHECK(order == expected);
}

TEST_CASE("blocking_pool grows to its bound and no further", "[blocking_pool]")
{
    constexpr unsigned threads = 6;
    std::latch all_inside(threads);
    std::latch release(1);
    std::atomic<unsigned> inside{0};
    auto body = [&] {
        inside.fetch_add(1);
        all_inside.count_down();
        release.wait();
    };
    auto extra_body = [&] { inside.fetch_add(1); };
    std::deque<job<decltype(body)>> jobs;
    job<decltype(extra_body)> extra(extra_body);
    blocking_pool pool({.threads_max = threads});
    for (unsigned index = 0; index < threads; ++index)
    {
        REQUIRE(pool.submit(jobs.emplace_back(body)));
    }
    all_inside.wait(); // only with all of them inside at once
    REQUIRE(pool.submit(extra));
    CHECK(pool.snapshot().threads == threads);
    CHECK(pool.snapshot().queued == 1);
    CHECK(inside.load() == threads);
    release.count_down();
    pool.shutdown();
    CHECK(inside.load() == threads + 1);
}

TEST_CASE("blocking_pool reuses an idle thread", "[blocking_pool]")
{
    blocking_pool pool({.threads_max = 8, .keep_alive = 60s});
    std::set<std::thread::id> seen;
    std::mutex mutex;
    auto body = [&] {
        const std::lock_guard lock(mutex);
        seen.insert(std::this_thread::get_id());
    };
    std::deque<job<decltype(body)>> jobs;
    for (unsigned index = 1; index <= 50; ++index)
    {
        REQUIRE(pool.submit(jobs.emplace_back(body)));
        // Idle again, not merely notified and still idle.
        REQUIRE(eventually([&] {
            const auto statistics = pool.snapshot();
            return statistics.completed == index && statistics.idle_threads == 1;
        }));
    }
    CHECK(seen.size() == 1);
    CHECK(pool.snapshot().threads == 1);
}

TEST_CASE("blocking_pool lets idle threads go", "[blocking_pool]")
{
    blocking_pool pool({.threads_max = 4, .keep_alive = 1ms});
    std::atomic<int> count{0};
    auto body = [&count] { count.fetch_add(1); };
    std::deque<job<decltype(body)>> jobs;
    for (int round = 0; round < 3; ++round)
    {
        for (int index = 0; index < 20; ++index)
        {
            REQUIRE(pool.submit(jobs.emplace_back(body)));
        }
        REQUIRE(eventually([&] { return pool.snapshot().threads == 0; }));
        CHECK(count.load() == 20 * (round + 1));
    }
}

TEST_CASE("blocking_pool names its threads and keeps signals from them", "[blocking_pool]")
{
    std::string name;
    sigset_t mask;
    auto body = [&] {
        char buffer[32] = {};
        pthread_getname_np(pthread_self(), buffer, sizeof buffer);
        name = buffer;
        pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    };
    job<decltype(body)> asked(body);
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    blocking_pool pool({.name = "a-rather-long-name"});
    REQUIRE(pool.submit(asked));
    pool.shutdown();
    CHECK(name == "a-rather-long-0");
    CHECK(name.size() <= 15);
    CHECK(sigismember(&mask, SIGINT) == 1);
    CHECK(sigismember(&mask, SIGPIPE) == 1);
    CHECK(sigismember(&mask, SIGSEGV) == 0);
    sigset_t after;
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    CHECK(sigismember(&after, SIGINT) == sigismember(&before, SIGINT));
}

TEST_CASE("blocking_pool refuses with a reason", "[blocking_pool]")
{
    std::latch inside(1);
    std::latch release(1);
    auto body = [&] {
        inside.count_down();
        release.wait();
    };
    auto nothing = [] {};
    job<decltype(body)> blocker(body);
    job<decltype(nothing)> first(nothing);
    job<decltype(nothing)> second(nothing);
    blocking_pool pool({.threads_max = 1, .queue_length_max = 1});
    REQUIRE(pool.submit(blocker));
    inside.wait();
    REQUIRE(pool.submit(first));
    const auto refused = pool.submit(second);
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == make_error_code(io_errc::pool_queue_full));
    CHECK(refused.error().message().find("blocking_queue_max") != std::string::npos);
    CHECK(pool.snapshot().refused == 1);
    release.count_down();
    pool.shutdown();
    pool.shutdown(); // may be repeated
    const auto late = pool.submit(second);
    REQUIRE_FALSE(late);
    CHECK(late.error() == make_error_code(io_errc::shutting_down));
    CHECK(pool.snapshot().completed == 2);
}

TEST_CASE("blocking_pool gives back a job that waits", "[blocking_pool]")
{
    std::latch inside(1);
    std::latch release(1);
    auto body = [&] {
        inside.count_down();
        release.wait();
    };
    std::vector<int> ran;
    auto noted = [&ran](int number) { return [&ran, number] { ran.push_back(number); }; };
    job<decltype(body)> blocker(body);
    std::deque<job<decltype(noted(0))>> jobs;
    blocking_pool pool({.threads_max = 1});
    REQUIRE(pool.submit(blocker));
    inside.wait();
    for (int index = 0; index < 5; ++index)
    {
        REQUIRE(pool.submit(jobs.emplace_back(noted(index))));
    }
    CHECK_FALSE(pool.try_remove(blocker)); // it runs
    CHECK(pool.try_remove(jobs[2]));       // from the middle
    CHECK(pool.try_remove(jobs[0]));       // the oldest
    CHECK(pool.try_remove(jobs[4]));       // the newest
    CHECK_FALSE(pool.try_remove(jobs[4]));
    REQUIRE(pool.submit(jobs.emplace_back(noted(5)))); // behind what is left
    release.count_down();
    pool.shutdown();
    CHECK(ran == std::vector<int>{1, 3, 5});
}

TEST_CASE("blocking_pool reports that not even one thread could be started", "[blocking_pool]")
{
    bool ran = false;
    auto body = [&ran] { ran = true; };
    job<decltype(body)> asked(body);
    blocking_pool pool({.stack_bytes = std::size_t{1} << 56});
    for (int attempt = 0; attempt < 2; ++attempt)
    {
        const auto refused = pool.submit(asked);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().category() == std::system_category());
        CHECK_FALSE(pool.try_remove(asked)); // it was given back
    }
    CHECK(pool.snapshot().thread_start_failures == 2);
    CHECK(pool.snapshot().queued == 0);
    pool.shutdown();
    CHECK_FALSE(ran);
}

unsigned threads_of_this_process()
{
    std::ifstream status("/proc/self/status");
    std::string line;
    while (std::getline(status, line))
    {
        if (line.starts_with("Threads:"))
        {
            return static_cast<unsigned>(std::stoul(line.substr(8)));
        }
    }
    return 0;
}

/// Runs in a child process whose user may have one thread more than there are: a user of its own,
/// so that nothing else counts. (A sanitizer has threads too.)
int jobs_with_one_thread_allowed()
{
    const rlimit one_more{threads_of_this_process() + 1, threads_of_this_process() + 1};
    const auto user = static_cast<uid_t>(60'000'000 + getpid());
    if (setrlimit(RLIMIT_NPROC, &one_more) != 0 || setresuid(user, user, user) != 0)
    {
        return 10;
    }
    std::latch release(1);
    std::latch inside(1);
    std::atomic<int> count{0};
    auto body = [&] {
        count.fetch_add(1);
        if (count.load() == 1)
        {
            inside.count_down();
            release.wait();
        }
    };
    std::deque<job<decltype(body)>> jobs;
    blocking_pool pool({.threads_max = 8});
    if (!pool.submit(jobs.emplace_back(body)))
    {
        return 11;
    }
    inside.wait();
    for (int index = 0; index < 100; ++index)
    {
        if (!pool.submit(jobs.emplace_back(body)))
        {
            return 12; // one thread is alive: that it gets no help is no reason to refuse
        }
    }
    const auto statistics = pool.snapshot();
    if (statistics.threads != 1 || statistics.thread_start_failures != 100)
    {
        return 13;
    }
    release.count_down();
    pool.shutdown();
    return count.load() == 101 ? 0 : 14;
}

TEST_CASE("blocking_pool loses no job when further threads cannot be started", "[blocking_pool]")
{
    if (getuid() != 0)
    {
        SKIP("needs the right to change to a user without processes");
    }
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0)
    {
        _exit(jobs_with_one_thread_allowed());
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("blocking_pool under submitters while threads come and go", "[blocking_pool][stress]")
{
    constexpr int submitters = 4;
    constexpr int rounds = 2'000;
    std::atomic<int> count{0};
    std::atomic<int> removed{0};
    auto body = [&count] { count.fetch_add(1); };
    {
        blocking_pool pool({.threads_max = 3, .keep_alive = 0ms});
        std::vector<std::deque<job<decltype(body)>>> jobs(submitters);
        std::vector<std::thread> threads;
        for (int index = 0; index < submitters; ++index)
        {
            threads.emplace_back([&, index] {
                auto& mine = jobs[static_cast<std::size_t>(index)];
                for (int round = 0; round < rounds; ++round)
                {
                    auto& fresh = mine.emplace_back(body);
                    if (!pool.submit(fresh))
                    {
                        std::abort();
                    }
                    if (round % 7 == 0 && pool.try_remove(fresh))
                    {
                        removed.fetch_add(1);
                    }
                }
            });
        }
        for (auto& thread : threads)
        {
            thread.join();
        }
        pool.shutdown();
        CHECK(pool.snapshot().threads == 0);
    }
    CHECK(count.load() + removed.load() == submitters * rounds);
}

} // namespace
