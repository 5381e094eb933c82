// Tasks that hold their worker: they are named, and what waits behind them is not held up.
// Thread rule: each test owns its runtime. A stall ends when what is expected has happened, so no test
// depends on how fast the machine is.
#include "process_memory.hpp"
#include "runtime_core.hpp"

#include <blitzio/io/runtime.hpp>
#include <blitzio/io/sleep.hpp>
#include <blitzio/io/yield.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <csignal>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace
{

using namespace std::chrono_literals;
using blitzio::runtime;
using blitzio::runtime_config;
using blitzio::stall_cause;
using blitzio::stall_report;
using blitzio::task;

/// Keeps reports, and lets a task wait for the first of them on the spot.
class reports
{
public:
    void add(const stall_report& report)
    {
        const std::lock_guard lock(mutex_);
        all_.push_back(report);
        ++count_;
    }
    [[nodiscard]] int count() const
    {
        return count_;
    }
    [[nodiscard]] stall_report first() const
    {
        const std::lock_guard lock(mutex_);
        return all_.at(0);
    }

    [[nodiscard]] runtime_config config(unsigned workers = 2)
    {
        runtime_config made;
        made.io_threads = workers;
        made.name = "stalls";
        made.stall_threshold = 20ms;
        made.on_stall = [this](const stall_report& report) { add(report); };
        return made;
    }

private:
    mutable std::mutex mutex_;
    std::vector<stall_report> all_;
    std::atomic<int> count_{0};
};

/// Computes until then; false: half a minute has passed.
template <class Condition>
bool compute_until(Condition condition)
{
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (!condition())
    {
        if (std::chrono::steady_clock::now() > deadline)
        {
            return false;
        }
    }
    return true;
}

bool other_worker_sleeps(const runtime& of, unsigned self)
{
    const auto workers = of.dump(0).workers;
    return workers.at(1 - self).parked;
}

bool contains(const std::string& text, std::string_view part)
{
    return text.find(part) != std::string::npos;
}

TEST_CASE("a task that computes for too long is named, with its stack and the advice", "[stall]")
{
    reports seen;
    runtime busy(seen.config());
    auto hog = busy.spawn(
        [&]() -> task<bool> { co_return compute_until([&] { return seen.count() != 0; }); },
        {.name = "hog"});
    REQUIRE(busy.block_on(std::move(hog)));
    const auto report = seen.first();
    CHECK(report.runtime == "stalls");
    CHECK(report.worker < 2);
    CHECK(report.cause == stall_cause::computes);
    CHECK(report.held >= 20ms);
    CHECK(report.processor_time > 0ns);
    CHECK(report.processor_time <= report.held);
    CHECK(report.task_name == "hog");
    CHECK(contains(report.spawned_at, "stall_test.cpp:"));
    CHECK(report.last_await.empty());
    REQUIRE(report.stack.size() > 3);
    const auto text = report.to_string();
    CHECK(contains(text, "hog"));
    CHECK(contains(text, "compute_on"));
    CHECK(contains(text, report.stack.front()));
    CHECK(busy.metrics().stalls == 1);
    CHECK(busy.metrics().longest_stall >= 20ms);
    CHECK(contains(busy.metrics().to_prometheus(), "blitzio_stalls_total{worker=\"0\"}"));
    CHECK(contains(busy.explain(), "stalls: reported after 20 ms\n"));
}

TEST_CASE("a task that blocks is told apart from one that computes", "[stall]")
{
    reports seen;
    int pipe_ends[2];
    REQUIRE(::pipe(pipe_ends) == 0);
    runtime busy(seen.config());
    auto blocked = busy.spawn([&]() -> task<ssize_t> {
        char byte = 0;
        co_return ::read(pipe_ends[0], &byte, 1);
    });
    CHECK(compute_until([&] { return seen.count() != 0; }));
    REQUIRE(::write(pipe_ends[1], "x", 1) == 1);
    // The signal for the stack has not ended the read.
    CHECK(busy.block_on(std::move(blocked)) == 1);
    const auto report = seen.first();
    CHECK(report.cause == stall_cause::blocks);
    CHECK(contains(report.to_string(), "spawn_blocking"));
    CHECK(contains(report.spawned_at, "stall_test.cpp:"));
    CHECK(report.task_name.empty());
    ::close(pipe_ends[0]);
    ::close(pipe_ends[1]);
}

task<bool> stall_below(reports& seen)
{
    static_cast<void>(co_await blitzio::sleep_for(1ms));
    co_return compute_until([&] { return seen.count() != 0; });
}

TEST_CASE("the task is found in what it awaits, too, with the await that it has left", "[stall]")
{
    reports seen;
    runtime busy(seen.config());
    auto outer = busy.spawn(
        [&]() -> task<bool> {
            static_cast<void>(co_await blitzio::sleep_for(1ms));
            const bool done = co_await stall_below(seen);
            co_return done;
        },
        {.name = "outer"});
    REQUIRE(busy.block_on(std::move(outer)));
    CHECK(seen.first().task_name == "outer");
    CHECK(contains(seen.first().last_await, "stall_test.cpp:"));
}

TEST_CASE("each stall is reported once, and the next one again", "[stall]")
{
    reports seen;
    runtime busy(seen.config(1));
    const bool done = busy.block_on([&]() -> task<bool> {
        const auto begun = std::chrono::steady_clock::now();
        bool ok = compute_until(
            [&] { return seen.count() != 0 && std::chrono::steady_clock::now() - begun > 150ms; });
        ok = ok && seen.count() == 1;
        static_cast<void>(co_await blitzio::sleep_for(60ms));
        co_return ok&& compute_until([&] { return seen.count() == 2; });
    });
    CHECK(done);
    CHECK(busy.metrics().stalls == 2);
    CHECK(busy.metrics().longest_stall >= 100ms);
}

TEST_CASE("what would run next on a held worker runs on another one", "[stall]")
{
    reports seen;
    runtime busy(seen.config());
    std::atomic<bool> next_ran{false};
    auto holder = busy.spawn([&]() -> task<bool> {
        const unsigned self = blitzio::detail::current_worker()->index();
        bool ok = compute_until([&] { return other_worker_sleeps(busy, self); });
        // Into the slot for what runs next: that wakes nobody.
        auto next = busy.spawn([&next_ran]() -> task<void> {
            next_ran = true;
            co_return;
        });
        ok = ok && compute_until([&] { return next_ran.load(); });
        co_await std::move(next);
        co_return ok;
    });
    CHECK(busy.block_on(std::move(holder)));
}

TEST_CASE("all that waits behind a held worker is taken by others", "[stall]")
{
    reports seen;
    runtime busy(seen.config());
    constexpr int count = 600; // more than its queue holds
    std::atomic<int> ran{0};
    auto holder = busy.spawn([&]() -> task<bool> {
        std::vector<blitzio::join_handle<void>> behind;
        for (int index = 0; index < count; ++index)
        {
            behind.push_back(busy.spawn([&ran]() -> task<void> {
                co_await blitzio::yield();
                ++ran;
            }));
        }
        const bool ok = compute_until([&] { return ran == count; });
        for (auto& each : behind)
        {
            co_await std::move(each);
        }
        co_return ok;
    });
    CHECK(busy.block_on(std::move(holder)));
    CHECK(ran == count);
}

TEST_CASE("what is bound to a held worker waits for it", "[stall]")
{
    reports seen;
    runtime busy(seen.config());
    std::atomic<bool> bound_ran{false};
    std::atomic<bool> ran_too_early{false};
    auto holder = busy.spawn_on(0, [&]() -> task<void> {
        auto bound = busy.spawn_on(0, [&]() -> task<unsigned> {
            bound_ran = true;
            co_return blitzio::detail::current_worker()->index();
        });
        static_cast<void>(compute_until([&] { return seen.count() != 0; }));
        ran_too_early = bound_ran.load();
        const unsigned where = co_await std::move(bound);
        CHECK(where == 0);
    });
    busy.block_on(std::move(holder));
    CHECK_FALSE(ran_too_early);
    CHECK(bound_ran);
}

TEST_CASE("a runtime that is idle has an idle watch, which wakes with it", "[stall]")
{
    reports seen;
    runtime busy(seen.config());
    const auto* const watch = busy.core().stalls();
    REQUIRE(watch != nullptr);
    for (int round = 1; round <= 2; ++round)
    {
        REQUIRE(compute_until([&] {
            std::this_thread::sleep_for(1ms);
            return watch->is_asleep();
        }));
        CHECK(busy.block_on([&]() -> task<bool> {
            co_return compute_until([&] { return seen.count() == round; });
        }));
    }
}

TEST_CASE("tasks that give way are not reported, nor is a worker that sleeps", "[stall]")
{
    reports seen;
    runtime busy(seen.config());
    busy.block_on([&]() -> task<void> {
        const auto until = std::chrono::steady_clock::now() + 150ms;
        while (std::chrono::steady_clock::now() < until)
        {
            co_await blitzio::yield();
        }
        static_cast<void>(co_await blitzio::sleep_for(100ms));
    });
    CHECK(seen.count() == 0);
    CHECK(busy.metrics().stalls == 0);
}

std::atomic<int> own_signals{0};

TEST_CASE("a program's own handler of the signal stays", "[stall]")
{
    struct sigaction own{};
    struct sigaction before{};
    own.sa_handler = [](int) { ++own_signals; };
    REQUIRE(::sigaction(SIGURG, &own, &before) == 0);
    {
        reports seen;
        runtime busy(seen.config(1));
        CHECK(busy.block_on(
            [&]() -> task<bool> { co_return compute_until([&] { return seen.count() != 0; }); }));
        CHECK(seen.first().stack.empty());
        CHECK_FALSE(seen.first().spawned_at.empty());
    }
    CHECK(own_signals == 0);
    REQUIRE(::sigaction(SIGURG, &before, nullptr) == 0);
}

TEST_CASE("who is not watched, and says so", "[stall]")
{
    runtime_config config;
    config.io_threads = 1;
    config.stall_threshold = 0ms;
    CHECK(contains(runtime(config).explain(), "stalls: not watched (configured)\n"));
    CHECK(runtime(config).core().stalls() == nullptr);
    config.stall_threshold = 50ms;
    config.backend = blitzio::backend_choice::sim;
    CHECK(contains(runtime(config).explain(), "stalls: not watched (no threads)\n"));
    config.backend = blitzio::backend_choice::automatic;
    config.strategy = blitzio::scheduling_strategy::single_threaded;
    CHECK(contains(runtime(config).explain(), "stalls: not watched (no threads)\n"));
    config.stall_threshold = -1ms;
    const auto refused = runtime::create(config);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().field == "stall_threshold");
}

TEST_CASE("memory that is not there is an error to read", "[stall]")
{
    using blitzio::detail::read_own_memory;
    using blitzio::detail::read_own_text;
    int value = 7;
    int copy = 0;
    CHECK(read_own_memory(&value, &copy, sizeof value));
    CHECK(copy == 7);
    CHECK_FALSE(read_own_memory(reinterpret_cast<const void*>(16), &copy, sizeof copy));
    CHECK(read_own_text(nullptr).empty());
    CHECK(read_own_text(reinterpret_cast<const char*>(16)).empty());
    const std::string longer(300, 'x');
    CHECK(read_own_text(longer.c_str()) == longer);

    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* const memory =
        ::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    auto* const border = static_cast<char*>(memory) + page;
    REQUIRE(::munmap(border, page) == 0);
    border[-3] = 'o';
    border[-2] = 'k';
    CHECK(read_own_text(border - 3) == "ok");
    border[-1] = '!';
    CHECK(read_own_text(border - 3).empty()); // no end before the hole
    REQUIRE(::munmap(memory, page) == 0);
}

} // namespace
