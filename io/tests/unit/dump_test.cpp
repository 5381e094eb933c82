// What a runtime tells about tasks that wait, hang or do not stop.
#include <blitzio/io.hpp>

#include "observe/operation_name.hpp"
#include "support/runtimes.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <source_location>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using blitzio::task;
using blitzio::task_report;
using blitzio::test::on_every_runtime;

namespace
{

/// A line of this file; tasks on several workers may tell the same one.
using line_number = std::atomic<unsigned>;

/// The line below the one that calls this.
unsigned below(std::source_location where = std::source_location::current())
{
    return where.line() + 1;
}

std::string place(unsigned line)
{
    return std::string(std::source_location::current().file_name()) + ':' + std::to_string(line);
}

const task_report* find(const std::vector<task_report>& tasks, std::string_view name)
{
    const auto found = std::ranges::find(tasks, name, &task_report::name);
    return found == tasks.end() ? nullptr : &*found;
}

/// Each tells the line of its await.
task<void> sleeper(line_number& line)
{
    line = below();
    static_cast<void>(co_await blitzio::sleep_for(1h));
}

task<void> bounded_inside(line_number& line)
{
    const auto inner = [](line_number& place) -> task<void> {
        place = below();
        static_cast<void>(co_await blitzio::timeout(1h, blitzio::sleep_for(2h)));
    };
    co_await inner(line);
}

task<void> in_a_scope(line_number& own, line_number& child)
{
    auto body = [&child](blitzio::task_group& group) -> task<void> {
        group.spawn(sleeper(child), "child");
        co_return;
    };
    // In one line: of an await over several GCC names the last one, Clang the first.
    own = below();
    co_await blitzio::scope(std::move(body));
}

/// Lets the runtime go on until `done`, from outside.
template <class Done>
void go_on_until(blitzio::runtime& runtime, Done&& done)
{
    while (!done())
    {
        static_cast<void>(runtime.block_on(blitzio::sleep_for(1ms)));
    }
}

/// True once all of `count` tasks are listed and have come to their awaits.
bool all_wait(const blitzio::runtime& runtime, std::size_t count)
{
    const auto dump = runtime.dump();
    return dump.tasks.size() == count && std::ranges::all_of(dump.tasks, &task_report::has_awaited);
}

} // namespace

TEST_CASE("a dump names each task, what it awaits, and where", "[dump]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        line_number plain_at{0};
        line_number bounded_at{0};
        line_number scope_at{0};
        line_number child_at{0};
        const unsigned spawned_at = below();
        auto plain = runtime.spawn(sleeper(plain_at), {.name = "plain"});
        auto bounded = runtime.spawn(bounded_inside(bounded_at), {.name = "bounded"});
        auto scoped = runtime.spawn(in_a_scope(scope_at, child_at), {.name = "scoped"});
        go_on_until(runtime, [&] { return all_wait(runtime, 4); });

        const auto dump = runtime.dump();
        REQUIRE(dump.task_count == 4);
        const auto* const first = find(dump.tasks, "plain");
        REQUIRE(first != nullptr);
        REQUIRE(first->spawned_at == place(spawned_at));
        REQUIRE(first->operation == "sleep");
        REQUIRE(first->awaits_at == place(plain_at));
        REQUIRE(first->awaits_in.find("sleeper") != std::string::npos);
        REQUIRE(first->stop == blitzio::stop_reason::none);
        const auto* const second = find(dump.tasks, "bounded");
        REQUIRE(second != nullptr);
        REQUIRE(second->operation == "timeout<sleep>");
        REQUIRE(second->awaits_at == place(bounded_at));
        const auto* const third = find(dump.tasks, "scoped");
        REQUIRE(third != nullptr);
        REQUIRE(third->operation.starts_with("scope<"));
        REQUIRE(third->awaits_at == place(scope_at));
        const auto* const fourth = find(dump.tasks, "child");
        REQUIRE(fourth != nullptr);
        REQUIRE(fourth->operation == "sleep");
        REQUIRE(fourth->awaits_at == place(child_at));

        const auto text = dump.to_string();
        for (const auto* const part : {"plain", "timeout<sleep>", "4 tasks", "worker 0"})
        {
            INFO(text);
            REQUIRE(text.find(part) != std::string::npos);
        }
        const auto limited = runtime.dump(1);
        REQUIRE(limited.tasks.size() == 1);
        REQUIRE(limited.task_count == 4);
        REQUIRE(limited.to_string().find("and 3 more") != std::string::npos);

        scoped.request_stop();
        REQUIRE(find(runtime.dump().tasks, "scoped")->stop == blitzio::stop_reason::user);
        plain.request_stop();
        bounded.request_stop();
        runtime.block_on(std::move(plain));
        runtime.block_on(std::move(bounded));
        runtime.block_on(std::move(scoped));
        REQUIRE(runtime.dump().task_count == 0);
    });
}

TEST_CASE("the age of an await grows with the clock", "[dump][sim]")
{
    blitzio::runtime runtime({.io_threads = 1, .backend = blitzio::backend_choice::sim});
    line_number line{0};
    auto handle = runtime.spawn(sleeper(line), {.name = "old"});
    static_cast<void>(runtime.block_on(blitzio::sleep_for(10min)));
    const auto waiting = find(runtime.dump().tasks, "old")->waiting;
    REQUIRE(waiting >= 10min - 50ms);
    REQUIRE(waiting <= 10min + 50ms);
    handle.request_stop();
    runtime.block_on(std::move(handle));
}

TEST_CASE("a runtime whose only worker hangs can be dumped", "[dump]")
{
    blitzio::runtime runtime({.io_threads = 1});
    line_number line{0};
    auto waits = runtime.spawn(sleeper(line), {.name = "waits"});
    while (!all_wait(runtime, 1))
    {
        std::this_thread::yield();
    }
    std::atomic<bool> hangs{false};
    std::atomic<bool> let_go{false};
    auto busy = runtime.spawn(
        [&]() -> task<void> {
            hangs = true;
            while (!let_go)
            {
                std::this_thread::yield();
            }
            co_return;
        },
        {.name = "busy"});
    while (!hangs)
    {
        std::this_thread::yield();
    }
    const auto dump = runtime.dump();
    REQUIRE(dump.task_count == 2);
    REQUIRE_FALSE(dump.workers.at(0).parked);
    REQUIRE_FALSE(find(dump.tasks, "busy")->has_awaited);
    REQUIRE(find(dump.tasks, "waits")->operation == "sleep");
    let_go = true;
    runtime.block_on(std::move(busy));
    waits.request_stop();
    runtime.block_on(std::move(waits));
}

TEST_CASE("dumping while tasks come, wait and go", "[dump][stress]")
{
    blitzio::runtime runtime({.io_threads = 3});
    std::atomic<bool> done{false};
    std::thread watcher([&] {
        while (!done)
        {
            for (const auto& each : runtime.dump(200).tasks)
            {
                if (each.has_awaited && (each.operation.empty() || each.awaits_at.empty()))
                {
                    std::abort();
                }
            }
            static_cast<void>(runtime.metrics());
        }
    });
    const auto restless = []() -> task<void> {
        for (int i = 0; i < 20; ++i)
        {
            co_await blitzio::yield();
            static_cast<void>(co_await blitzio::sleep_for(std::chrono::microseconds(50 * (i % 5))));
        }
    };
    const auto all = [&]() -> task<void> {
        co_await blitzio::scope([&](blitzio::task_group& group) -> task<void> {
            for (int i = 0; i < 300; ++i)
            {
                group.spawn(restless());
                static_cast<void>(runtime.spawn(restless()));
                co_await blitzio::yield();
            }
        });
    };
    runtime.block_on(all());
    runtime.run();
    done = true;
    watcher.join();
    REQUIRE(runtime.dump().task_count == 0);
    const auto metrics = runtime.metrics();
    REQUIRE(metrics.tasks_spawned == 601);
    REQUIRE(metrics.tasks_finished == 601);
}

TEST_CASE("names of operations are short, from either compiler", "[dump]")
{
    using blitzio::detail::readable_operation_name;
    REQUIRE(readable_operation_name("std::string_view blitzio::detail::function_that_names() "
                                    "[Operation = blitzio::detail::sleep_operation]") == "sleep");
    REQUIRE(readable_operation_name(
                "consteval std::string_view blitzio::detail::function_that_names() [with Operation "
                "= blitzio::detail::timeout_operation<blitzio::detail::sleep_operation>; "
                "std::string_view = std::basic_string_view<char>]") == "timeout<sleep>");
    REQUIRE(readable_operation_name("f() [Operation = blitzio::detail::blocking_operation<(lambda "
                                    "at /a/b.cpp:1:2)>]") == "blocking<lambda>");
    REQUIRE(readable_operation_name("f() [Operation = char[3]]") == "char[3]");
}

TEST_CASE("a shutdown in time ends all tasks and says so", "[shutdown]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        line_number line{0};
        line_number other{0};
        for (int i = 0; i < 20; ++i)
        {
            static_cast<void>(runtime.spawn(sleeper(line)));
            static_cast<void>(runtime.spawn(in_a_scope(line, other)));
        }
        const auto report = runtime.shutdown(10s);
        INFO(report.to_string());
        REQUIRE(report.complete);
        REQUIRE(report.asked >= 40);
        REQUIRE(report.remaining.empty());
        REQUIRE(report.to_string().starts_with("all of "));
        // A task that comes later is born with the request.
        auto late = runtime.spawn([]() -> task<blitzio::stop_reason> {
            static_cast<void>(co_await blitzio::sleep_for(1h));
            co_return (co_await blitzio::this_task::stop()).reason();
        });
        REQUIRE(runtime.block_on(std::move(late)) == blitzio::stop_reason::shutdown);
        REQUIRE(runtime.shutdown(0ns).complete);
    });
}

TEST_CASE("a shutdown that runs out of patience names who does not stop", "[shutdown]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        line_number spawned_at{0};
        line_number awaits_at{0};
        std::atomic<bool> give_in{false};
        const auto stubborn = [&]() -> task<void> {
            while (!give_in)
            {
                awaits_at = below();
                co_await blitzio::yield();
            }
        };
        line_number line{0};
        static_cast<void>(runtime.spawn(sleeper(line)));
        spawned_at = below();
        auto handle = runtime.spawn(stubborn, {.name = "stubborn"});
        // A failed check must neither hang nor leave the task behind.
        struct let_go
        {
            blitzio::runtime& runtime;
            std::atomic<bool>& give_in;
            ~let_go()
            {
                give_in = true;
                static_cast<void>(runtime.shutdown(std::chrono::steady_clock::time_point::max()));
            }
        } const guard{runtime, give_in};
        auto report = runtime.shutdown(2ms);
        REQUIRE_FALSE(report.complete);
        REQUIRE(report.took >= 2ms);
        // A busy machine may need longer until the sleeper has heard of it; only one never listens.
        for (int attempt = 0; attempt < 2000 && report.remaining_count > 1; ++attempt)
        {
            report = runtime.shutdown(5ms);
        }
        INFO(report.to_string());
        REQUIRE_FALSE(report.complete);
        REQUIRE(report.remaining_count == 1);
        REQUIRE(report.remaining.at(0).name == "stubborn");
        REQUIRE(report.remaining.at(0).spawned_at == place(spawned_at));
        REQUIRE(report.remaining.at(0).operation == "yield");
        REQUIRE(report.remaining.at(0).stop == blitzio::stop_reason::shutdown);
        REQUIRE(report.to_string().find("stubborn") != std::string::npos);
        give_in = true;
        REQUIRE(runtime.shutdown(std::chrono::steady_clock::time_point::max()).complete);
        runtime.block_on(std::move(handle));
    });
}

TEST_CASE("a simulated shutdown waits for its deadline of virtual time", "[shutdown][sim]")
{
    blitzio::runtime runtime({.io_threads = 1, .backend = blitzio::backend_choice::sim});
    // Never waits in anything that could be stopped.
    const auto deaf = []() -> task<void> {
        const blitzio::task_env* const env = co_await blitzio::this_task::env();
        const auto until = blitzio::detail::now(*env->runtime) + 100ms;
        while (blitzio::detail::now(*env->runtime) < until)
        {
            co_await blitzio::yield();
        }
    };
    auto handle = runtime.spawn(deaf);
    const auto report = runtime.shutdown(20ms);
    REQUIRE_FALSE(report.complete);
    REQUIRE(report.took >= 20ms);
    REQUIRE(report.took < 22ms);
    REQUIRE(runtime.shutdown(2min).complete);
    runtime.block_on(std::move(handle));
}

TEST_CASE("shutdown on a worker fails loudly", "[shutdown]")
{
    blitzio::runtime runtime({.io_threads = 1});
    const auto inside = [&]() -> task<bool> {
        try
        {
            runtime.shutdown(1s);
        }
        catch (const std::system_error& error)
        {
            co_return error.code() == blitzio::io_errc::would_deadlock;
        }
        co_return false;
    };
    REQUIRE(runtime.block_on(inside()));
}
