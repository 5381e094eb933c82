// Work that fails before it is a task: callables that throw instead of giving one, stages and
// handlers that do, values that cannot be moved in. Nothing leaks, nothing hangs, the exception
// arrives; and what a second one becomes. Thread rule: the test's thread.
#include "support/dying.hpp"
#include "support/runtimes.hpp"

#include <blitzio/io.hpp>
#include <blitzio/io/any_stream.hpp>
#include <blitzio/io/detail/frame_pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using blitzio::on;
using blitzio::result;
using blitzio::stream_step;
using blitzio::task;
using blitzio::test::end_of;
using blitzio::test::on_every_runtime;
namespace streams = blitzio::streams;

namespace
{

/// Throws instead of giving a task.
struct no_task
{
    task<int> operator()() const
    {
        throw std::length_error("no task");
    }
};

/// Work that cannot be moved to where it is kept.
struct immovable_work
{
    immovable_work() = default;
    immovable_work(immovable_work&&) // NOLINT(performance-noexcept-move-constructor)
    {
        throw std::length_error("not moved");
    }
    task<int> operator()() const
    {
        co_return 1;
    }
};

/// Reports that came, in a runtime of one's own.
std::atomic<int> reports{0};

blitzio::runtime counting_runtime(std::uint64_t seed)
{
    reports = 0;
    return blitzio::runtime(
        {.io_threads = static_cast<unsigned>(1 + seed % 3),
         .backend = blitzio::backend_choice::sim,
         .simulation = {.seed = seed},
         .on_unobserved_exception = [](std::exception_ptr, std::string_view) { ++reports; }});
}

task<int> throw_after(std::chrono::milliseconds delay)
{
    static_cast<void>(co_await blitzio::sleep_for(delay));
    throw std::logic_error("on purpose");
}

} // namespace

TEST_CASE("a callable that throws instead of giving a task fails like the task", "[failing]")
{
    const auto frames = blitzio::detail::live_frames();
    on_every_runtime([](blitzio::runtime& runtime) {
        CHECK_THROWS_AS(runtime.block_on(no_task()), std::length_error);
        const auto joins = [&]() -> task<bool> {
            auto handle = runtime.spawn(no_task());
            try
            {
                co_return co_await std::move(handle) == 0;
            }
            catch (const std::length_error&)
            {
                co_return true;
            }
        };
        CHECK(runtime.block_on(joins()));

        // In a scope it stops the siblings, and is thrown when they have ended.
        bool was_stopped = false;
        const auto in_scope = [&]() -> task<void> {
            co_await blitzio::scope([&](blitzio::task_group& group) -> task<void> {
                group.spawn([&]() -> task<void> {
                    was_stopped = !(co_await blitzio::sleep_for(1h)).has_value();
                });
                group.spawn(no_task());
                co_return;
            });
        };
        CHECK_THROWS_AS(runtime.block_on(in_scope()), std::length_error);
        CHECK(was_stopped);

        // The body itself.
        const auto no_body = [](blitzio::task_group&) -> task<void> {
            throw std::length_error("no body");
        };
        CHECK_THROWS_AS(runtime.block_on(blitzio::scope(no_body)), std::length_error);
        const auto spawns_first = [&](blitzio::task_group& group) -> task<void> {
            group.spawn([&]() -> task<void> {
                static_cast<void>(co_await blitzio::sleep_for(1ms));
                was_stopped = false;
            });
            throw std::length_error("no body, but a child");
        };
        CHECK_THROWS_AS(runtime.block_on(blitzio::scope(spawns_first)), std::length_error);
        CHECK(runtime.metrics().live_tasks == 0);
    });
    CHECK(blitzio::detail::live_frames() == frames);
}

TEST_CASE("work that cannot be moved in leaves nothing behind", "[failing]")
{
    const auto frames = blitzio::detail::live_frames();
    on_every_runtime([](blitzio::runtime& runtime) {
        CHECK_THROWS_AS(runtime.spawn(immovable_work()), std::length_error);
        const auto in_scope = [&]() -> task<bool> {
            bool threw = false;
            co_await blitzio::scope([&](blitzio::task_group& group) -> task<void> {
                CHECK(group.size() == 0);
                try
                {
                    group.spawn(immovable_work());
                }
                catch (const std::length_error&)
                {
                    threw = true;
                }
                CHECK(group.size() == 0);
                CHECK_FALSE(group.get_stop_token().stop_requested());
                co_return;
            });
            co_return threw;
        };
        CHECK(runtime.block_on(in_scope()));
        CHECK(runtime.metrics().live_tasks == 0);
    });
    CHECK(blitzio::detail::live_frames() == frames);
}

namespace
{

struct immovable_value
{
    immovable_value() = default;
    immovable_value(immovable_value&& other) : moves_left(other.moves_left - 1)
    {
        if (moves_left < 0)
        {
            throw std::length_error("not moved");
        }
    }

    int moves_left = 0;
};

} // namespace

TEST_CASE("a task-local value that cannot be moved in is not set", "[failing][task_local]")
{
    const blitzio::task_local<immovable_value> local;
    const auto frames = blitzio::detail::live_frames();
    const auto use = [&](int moves) {
        immovable_value value;
        value.moves_left = moves;
        static_cast<void>(with_local(local, std::move(value), blitzio::ready(1)));
    };
    CHECK_THROWS_AS(use(0), std::length_error); // into the parameter
    CHECK_THROWS_AS(use(1), std::length_error); // into the binding
    CHECK(blitzio::detail::live_frames() == frames);
    CHECK_NOTHROW(use(5));
    CHECK(blitzio::detail::live_frames() == frames);
}

namespace
{

/// A source of the user's whose next() or open() throws at its third value.
class failing_stage
{
public:
    using value_type = int;

    explicit failing_stage(bool at_open) : fails_at_open_(at_open) {}

    void open(blitzio::stream_scope&)
    {
        if (fails_at_open_)
        {
            throw std::length_error("not opened");
        }
    }
    void close() noexcept {}

    auto next()
    {
        if (++count_ == 3)
        {
            throw std::length_error("no third");
        }
        return blitzio::ready(stream_step<int>(std::optional<int>(count_)));
    }

private:
    bool fails_at_open_;
    int count_ = 0;
};

} // namespace

TEST_CASE("a stage that throws ends the pipeline, bare and behind a stream", "[failing][stream]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        int seen = 0;
        const auto note = [&](int) { ++seen; };
        CHECK_THROWS_AS(runtime.block_on(failing_stage(false) | streams::for_each(note)),
                        std::length_error);
        CHECK(seen == 2);
        CHECK_THROWS_AS(runtime.block_on(failing_stage(true) | streams::for_each(note)),
                        std::length_error);
        CHECK(seen == 2);
        const auto hidden = [](bool at_open) -> blitzio::stream<int> {
            return failing_stage(at_open);
        };
        CHECK_THROWS_AS(runtime.block_on(hidden(false) | streams::for_each(note)),
                        std::length_error);
        CHECK(seen == 4);
        CHECK_THROWS_AS(runtime.block_on(hidden(true) | streams::collect()), std::length_error);
        // With a part of the pipeline running ahead as a task of its own.
        CHECK_THROWS_AS(
            runtime.block_on(hidden(false) | streams::buffer(1) | streams::for_each(note)),
            std::length_error);
        CHECK(seen == 6);
        CHECK(runtime.metrics().live_tasks == 0);
    });
}

TEST_CASE("a stream is what it was made of", "[stream]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto numbers = [](int count) -> blitzio::stream<int> {
            std::vector<int> all;
            for (int number = 1; number <= count; ++number)
            {
                all.push_back(number);
            }
            return streams::from_range(std::move(all));
        };
        const auto squares = [&](int count) -> blitzio::stream<long> {
            return numbers(count) |
                   streams::filter([](const int& value) { return value % 2 == 1; }) |
                   streams::map([](int value) { return static_cast<long>(value) * value; });
        };
        auto all = runtime.block_on(squares(7) | streams::collect());
        REQUIRE(all.has_value());
        CHECK(*all == std::vector<long>{1, 9, 25, 49});
        auto some = runtime.block_on(squares(1'000'000) | streams::take(2) | streams::collect());
        REQUIRE(some.has_value());
        CHECK(*some == std::vector<long>{1, 9});
        auto ahead = runtime.block_on(squares(7) | streams::buffer(2) | streams::collect());
        REQUIRE(ahead.has_value());
        CHECK(*ahead == std::vector<long>{1, 9, 25, 49});
    });
}

TEST_CASE("of several exceptions of handlers the first is thrown, the others are told",
          "[failing][select]")
{
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
    {
        auto runtime = counting_runtime(seed);
        const auto stubborn = []() -> task<int> {
            static_cast<void>(co_await blitzio::sleep_for(1h));
            co_return 1;
        };
        // A handler that would wait, but throws instead of giving a task.
        const auto no_handler = [](int) -> task<void> { throw std::length_error("no handler"); };
        const auto throws = [] { throw std::logic_error("on purpose"); };
        CHECK_THROWS_AS(runtime.block_on(blitzio::select(on(blitzio::ready(1), no_handler))),
                        std::length_error);
        CHECK(reports == 0);
        CHECK_THROWS_AS(runtime.block_on(blitzio::select(on(stubborn(), no_handler),
                                                         on(blitzio::sleep_for(1ms), throws))),
                        std::logic_error);
        CHECK(reports == 1);
    }
}

TEST_CASE("races and groups whose children only throw tell all but the first", "[failing][race]")
{
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
    {
        auto runtime = counting_runtime(seed);
        const auto fails = [](std::chrono::milliseconds delay, bool throws) -> task<result<int>> {
            static_cast<void>(co_await blitzio::sleep_for(delay));
            if (throws)
            {
                throw std::logic_error("on purpose");
            }
            co_return blitzio::fail(std::errc::io_error);
        };
        // No success at all: an exception is more than an error.
        CHECK_THROWS_AS(runtime.block_on(blitzio::race_ok(fails(30ms, true), fails(1ms, false))),
                        std::logic_error);
        CHECK_THROWS_AS(runtime.block_on(blitzio::race_ok(fails(1ms, true), fails(30ms, true))),
                        std::logic_error);
        CHECK(reports == 1);
        std::vector<task<result<int>>> many;
        for (int index = 0; index < 4; ++index)
        {
            many.push_back(fails(std::chrono::milliseconds(10 * index + 1), index != 2));
        }
        CHECK_THROWS_AS(runtime.block_on(blitzio::race_ok(std::move(many))), std::logic_error);
        CHECK(reports == 3);
        std::vector<task<int>> throwing;
        throwing.push_back(throw_after(1ms));
        throwing.push_back([]() -> task<int> {
            static_cast<void>(co_await blitzio::sleep_for(1h));
            co_return 1;
        }());
        const auto begin = std::chrono::steady_clock::now();
        CHECK_THROWS_AS(runtime.block_on(blitzio::when_all(std::move(throwing))), std::logic_error);
        CHECK(std::chrono::steady_clock::now() - begin < 1min);
        CHECK(reports == 3);
    }
}

TEST_CASE("an exception that nobody takes from as_completed is told", "[failing][as_completed]")
{
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
    {
        auto runtime = counting_runtime(seed);
        const auto stubborn = []() -> task<int> {
            static_cast<void>(co_await blitzio::sleep_for(1h));
            throw std::logic_error("stopped");
        };
        const auto at_once = []() -> task<int> { co_return 1; };
        std::vector<task<int>> both;
        both.push_back(stubborn());
        both.push_back(at_once());
        const auto first = runtime.block_on(blitzio::as_completed(std::move(both)) |
                                            streams::take(1) | streams::collect());
        REQUIRE(first.has_value());
        CHECK(first->size() == 1);
        CHECK(reports == 1);
    }
}

TEST_CASE("without a handler a further exception is one line on stderr", "[failing][dying]")
{
    const auto end = end_of([] {
        blitzio::runtime own({.io_threads = 1});
        std::vector<task<int>> both;
        both.push_back(throw_after(1ms));
        both.push_back(throw_after(1ms));
        try
        {
            static_cast<void>(own.block_on(blitzio::gather(std::move(both))));
        }
        catch (const std::logic_error&)
        {
        }
    });
    INFO(end.text);
    CHECK(end.signal == 0);
    CHECK(end.exit_code == 0);
    CHECK(end.says("blitzio: a further exception in a task spawned at "));
    CHECK(end.says("failing_work_test.cpp:"));
    CHECK(end.says(": on purpose\n"));
    // Once: the other one was thrown.
    CHECK(end.text.find("on purpose") == end.text.rfind("on purpose"));
}

TEST_CASE("a handle that is assigned to lets go of its task", "[failing][spawn]")
{
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
    {
        auto runtime = counting_runtime(seed);
        const auto body = [&]() -> task<int> {
            auto handle = runtime.spawn(throw_after(1ms));
            static_cast<void>(co_await blitzio::sleep_for(1s));
            CHECK(handle.finished());
            handle = runtime.spawn([]() -> task<int> { co_return 5; });
            CHECK(reports == 1); // nobody can ask for it any more
            auto& same = handle;
            handle = std::move(same);
            CHECK(handle.valid());
            co_return co_await std::move(handle);
        };
        CHECK(runtime.block_on(body()) == 5);
        runtime.run();
        CHECK(reports == 1);
    }
}
