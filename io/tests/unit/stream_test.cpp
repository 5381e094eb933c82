// Streams: stages, back-pressure, errors, and that nothing of a pipeline is left when it ends.
#include "support/runtimes.hpp"

#include <blitzio/io.hpp>
#include <blitzio/io/detail/frame_pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using blitzio::generator;
using blitzio::result;
using blitzio::task;
using blitzio::try_;
using blitzio::test::on_every_runtime;
namespace streams = blitzio::streams;

namespace
{

generator<int> count_to(int last)
{
    for (int value = 1; value <= last; ++value)
    {
        co_yield value;
    }
}

/// Counts how many of its kind are between start and end; streams run parts on several workers.
struct presence
{
    static inline std::atomic<int> alive{0};

    presence()
    {
        alive.fetch_add(1);
    }
    presence(const presence&) = delete;
    presence& operator=(const presence&) = delete;
    ~presence()
    {
        alive.fetch_sub(1);
    }
};

generator<int> slowly(int first, int last, std::chrono::milliseconds pause)
{
    const presence here;
    for (int value = first; value <= last; ++value)
    {
        co_await try_(blitzio::sleep_for(pause));
        co_yield value;
    }
}

generator<int> failing_after(int values)
{
    for (int value = 1; value <= values; ++value)
    {
        co_yield value;
    }
    co_yield blitzio::fail(std::errc::io_error);
}

/// A source of the user's: next() gives an optional.
class countdown
{
public:
    explicit countdown(int from) : left_(from) {}

    auto next()
    {
        std::optional<int> value;
        if (left_ > 0)
        {
            value = left_--;
        }
        return blitzio::ready(value);
    }

private:
    int left_;
};

/// Keeps the operation in a frame, which is gone when its result is there.
template <class Operation>
task<blitzio::await_result_t<Operation>> framed(Operation operation)
{
    co_return co_await std::move(operation);
}

template <class Operation>
auto run(blitzio::runtime& runtime, Operation operation)
{
    return runtime.block_on(framed(std::move(operation)));
}

template <class Pipeline>
std::vector<int> collected(blitzio::runtime& runtime, Pipeline pipeline)
{
    auto all = run(runtime, std::move(pipeline) | streams::collect());
    REQUIRE(all.has_value());
    return *std::move(all);
}

const auto is_even = [](const int& value) { return value % 2 == 0; };
const auto square = [](int value) { return value * value; };

} // namespace

TEST_CASE("map, filter, take and chunk", "[stream]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        CHECK(collected(runtime, count_to(6) | streams::filter(is_even) | streams::map(square)) ==
              std::vector{4, 16, 36});
        CHECK(collected(runtime, count_to(100) | streams::take(3)) == std::vector{1, 2, 3});
        CHECK(collected(runtime, count_to(2) | streams::take(0)).empty());
        CHECK(collected(runtime, count_to(2) | streams::take(9)) == std::vector{1, 2});
        const auto chunks = run(runtime, count_to(7) | streams::chunk(3) | streams::collect());
        CHECK(chunks == std::vector<std::vector<int>>{{1, 2, 3}, {4, 5, 6}, {7}});
        const auto single = run(runtime, count_to(2) | streams::chunk(0) | streams::collect());
        CHECK(single == std::vector<std::vector<int>>{{1}, {2}});
    });
}

TEST_CASE("functions of stages may wait and may fail", "[stream]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto slow_square = [](int value) -> task<result<int>> {
            co_await try_(blitzio::sleep_for(1ms));
            co_return value* value;
        };
        const auto slow_even = [](const int& value) -> task<bool> {
            static_cast<void>(co_await blitzio::sleep_for(1ms));
            co_return value % 2 == 0;
        };
        CHECK(collected(runtime, count_to(6) | streams::filter(slow_even) |
                                     streams::map(slow_square)) == std::vector{4, 16, 36});
        const auto refuse = [](int value) -> result<int> {
            if (value == 3)
            {
                return blitzio::fail(std::errc::invalid_argument);
            }
            return value;
        };
        int seen = 0;
        const auto ended = run(runtime, count_to(9) | streams::map(refuse) |
                                            streams::for_each([&](int) { ++seen; }));
        CHECK(ended.error() == std::errc::invalid_argument);
        CHECK(seen == 2);
        const auto throws = [](int value) -> int {
            return value < 3 ? value : throw std::logic_error("on purpose");
        };
        CHECK_THROWS_AS(run(runtime, count_to(9) | streams::map(throws) | streams::collect()),
                        std::logic_error);
        CHECK_THROWS_AS(run(runtime, count_to(9) | streams::map(throws) | streams::buffer(2) |
                                         streams::map(square) | streams::collect()),
                        std::logic_error);
    });
}

TEST_CASE("sources: ranges, operations, optionals, references", "[stream]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        std::vector<std::unique_ptr<int>> owned;
        owned.push_back(std::make_unique<int>(1));
        owned.push_back(std::make_unique<int>(2));
        const auto total = run(
            runtime,
            streams::from_range(std::move(owned)) |
                streams::fold(0, [](int sum, std::unique_ptr<int> next) { return sum + *next; }));
        CHECK(total == 3);
        CHECK(collected(runtime, streams::from_range(std::vector{3, 1, 2})) ==
              std::vector{3, 1, 2});
        int made = 0;
        const auto until_closed = [&]() -> task<result<int>> {
            if (++made > 3)
            {
                co_return blitzio::fail(blitzio::io_errc::closed);
            }
            co_return made;
        };
        CHECK(collected(runtime, streams::repeat(until_closed)) == std::vector{1, 2, 3});
        const auto broken = [] {
            return blitzio::ready(result<int>(blitzio::fail(std::errc::io_error)));
        };
        CHECK(run(runtime, streams::repeat(broken) | streams::collect()).error() ==
              std::errc::io_error);
        CHECK(collected(runtime, countdown(3) | streams::map(square)) == std::vector{9, 4, 1});
        countdown kept(5);
        CHECK(collected(runtime, kept | streams::take(2)) == std::vector{5, 4});
        CHECK(collected(runtime, kept | streams::take(9)) == std::vector{3, 2, 1});
    });
}

TEST_CASE("a buffer keeps the order and runs ahead no further than it may", "[stream]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        std::vector<int> expected(200);
        std::iota(expected.begin(), expected.end(), 1);
        CHECK(collected(runtime, count_to(200) | streams::buffer(3)) == expected);
        CHECK(collected(runtime, count_to(200) | streams::buffer(0) | streams::buffer(1000)) ==
              expected);
        std::atomic<int> produced{0};
        const auto counting = [&]() -> generator<int> {
            for (int value = 1; value <= 50; ++value)
            {
                produced.fetch_add(1);
                co_yield value;
            }
        };
        int ahead_max = 0;
        const auto slow_sink = [&](int value) -> task<void> {
            static_cast<void>(co_await blitzio::sleep_for(1ms));
            ahead_max = std::max(ahead_max, produced.load() - value);
        };
        REQUIRE(run(runtime, counting() | streams::buffer(4) | streams::for_each(slow_sink)));
        // Four in the buffer, and one in the hands of the task that waits for room.
        CHECK(ahead_max <= 5);
        CHECK(ahead_max >= 4);
    });
}

TEST_CASE("merge gives every value once, those of each source in order", "[stream]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto all = collected(
            runtime, slowly(1, 20, 1ms) | streams::merge(slowly(101, 120, 2ms),
                                                         streams::from_range(std::vector{7, 8})));
        CHECK(all.size() == 42);
        std::vector<int> first, second;
        for (const int value : all)
        {
            if (value > 100)
            {
                second.push_back(value);
            }
            else if (value != 7 && value != 8)
            {
                first.push_back(value);
            }
        }
        CHECK(std::ranges::is_sorted(first));
        CHECK(std::ranges::is_sorted(second));
        CHECK(second.size() == 20);
        CHECK(presence::alive == 0);
    });
}

TEST_CASE("an error comes after the values before it, and ends everything", "[stream]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        int seen = 0;
        const auto ended =
            run(runtime, failing_after(5) | streams::buffer(2) | streams::map(square) |
                             streams::buffer(2) | streams::for_each([&](int) { ++seen; }));
        CHECK(ended.error() == std::errc::io_error);
        CHECK(seen == 5);
        const auto merged = run(runtime, slowly(1, 1000, 1h) | streams::merge(failing_after(2)) |
                                             streams::collect());
        CHECK(merged.error() == std::errc::io_error);
        CHECK(presence::alive == 0);
        CHECK(runtime.metrics().timers_armed == 0);
    });
}

TEST_CASE("a consumer that ends early leaves nothing behind", "[stream]")
{
    const auto frames = blitzio::detail::live_frames();
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto endless = [] { return slowly(1, 1'000'000, 1ms) | streams::buffer(3); };
        CHECK(collected(runtime, endless() | streams::take(4)).size() == 4);
        CHECK(presence::alive == 0);
        int seen = 0;
        const auto fussy = [&](int value) -> result<void> {
            if (++seen; value == 3)
            {
                return blitzio::fail(std::errc::no_space_on_device);
            }
            return {};
        };
        CHECK(run(runtime, endless() | streams::merge(endless()) | streams::buffer(2) |
                               streams::for_each(fussy))
                  .error() == std::errc::no_space_on_device);
        CHECK(presence::alive == 0);
        const auto throws = [](int) { throw std::logic_error("on purpose"); };
        CHECK_THROWS_AS(run(runtime, endless() | streams::for_each(throws)), std::logic_error);
        CHECK(presence::alive == 0);
        CHECK(runtime.metrics().timers_armed == 0);
        CHECK(runtime.metrics().live_tasks == 0);
    });
    CHECK(blitzio::detail::live_frames() == frames);
}

TEST_CASE("a pipeline may be pulled by hand", "[stream]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto first_two = [](auto& items) -> task<result<int>> {
            int total = 0;
            for (int round = 0; round < 2; ++round)
            {
                auto item = co_await try_(items.next());
                total += item.value_or(1000);
            }
            co_return total;
        };
        CHECK(run(runtime,
                  streams::consume(slowly(1, 1000, 1ms) | streams::buffer(2), first_two)) == 3);
        CHECK(run(runtime, streams::consume(countdown(9), first_two)) == 17);
        CHECK(presence::alive == 0);
    });
}

TEST_CASE("a stream<T> hides what it is made of", "[stream]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto make = [](bool buffered) -> blitzio::stream<int> {
            if (buffered)
            {
                return slowly(1, 9, 1ms) | streams::buffer(2);
            }
            return count_to(9);
        };
        for (const bool buffered : {true, false})
        {
            CHECK(collected(runtime, make(buffered) | streams::filter(is_even)) ==
                  std::vector{2, 4, 6, 8});
        }
        CHECK(presence::alive == 0);
    });
}

TEST_CASE("a stop ends a pipeline whose values are always there", "[stream][stop]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto endless = []() -> generator<int> {
            for (;;)
            {
                co_yield 1;
            }
        };
        auto dropped = runtime.spawn([&]() -> task<result<void>> {
            co_return co_await (endless() | streams::filter([](const int&) { return false; }) |
                                streams::for_each([](int) {}));
        });
        auto taken = runtime.spawn([&]() -> task<result<void>> {
            co_return co_await (endless() | streams::buffer(4) | streams::for_each([](int) {}));
        });
        const auto stopper = [&]() -> task<void> {
            for (int turn = 0; turn < 20; ++turn)
            {
                co_await blitzio::yield();
            }
            dropped.request_stop();
            taken.request_stop();
        };
        runtime.block_on(stopper());
        CHECK(runtime.block_on(std::move(dropped)).error() == std::errc::operation_canceled);
        CHECK(runtime.block_on(std::move(taken)).error() == std::errc::operation_canceled);
    });
}

TEST_CASE("stages of tasks that end at once do not grow the stack", "[stream][stack]")
{
    blitzio::runtime runtime({.io_threads = 1});
    constexpr int many = 300'000;
    const auto never_task = [](const int& value) -> task<bool> { co_return value == many; };
    const auto same_task = [](int value) -> task<int> { co_return value; };
    const auto last = run(runtime, count_to(many) | streams::map(same_task) |
                                       streams::filter(never_task) | streams::collect());
    CHECK(last == std::vector{many});
}

TEST_CASE("as_completed gives results in the order of their ends", "[as_completed]")
{
    const auto after = [](std::chrono::milliseconds delay, int value) -> task<result<int>> {
        const presence here;
        co_await try_(blitzio::sleep_for(delay));
        co_return value;
    };
    on_every_runtime([&](blitzio::runtime& runtime) {
        const auto make = [&] {
            std::vector<task<result<int>>> many;
            for (const int rank : {5, 1, 4, 2, 3})
            {
                many.push_back(after(std::chrono::milliseconds(20 * rank), rank));
            }
            return many;
        };
        std::vector<int> order;
        std::vector<std::size_t> indices;
        const auto note = [&](blitzio::completed<result<int>> next) {
            order.push_back(next.value.value());
            indices.push_back(next.index);
        };
        REQUIRE(run(runtime, blitzio::as_completed(make()) | streams::for_each(note)));
        if (runtime.metrics().workers == 1)
        {
            CHECK(order == std::vector{1, 2, 3, 4, 5});
            CHECK(indices == std::vector<std::size_t>{1, 3, 4, 2, 0});
        }
        CHECK(order.size() == 5);
        // Not more at once than allowed.
        int running_max = 0;
        const auto watch = [&](blitzio::completed<result<int>>) {
            running_max = std::max(running_max, presence::alive.load());
        };
        REQUIRE(run(runtime, blitzio::as_completed(make(), 2) | streams::for_each(watch)));
        CHECK(running_max <= 2);
        // Left early: those that run are awaited.
        const auto first =
            run(runtime, blitzio::as_completed(make(), 3) | streams::take(1) | streams::collect());
        CHECK(first->size() == 1);
        CHECK(presence::alive == 0);
        std::vector<task<result<int>>> none;
        CHECK(run(runtime, blitzio::as_completed(std::move(none)) | streams::collect())->empty());
        CHECK(runtime.metrics().timers_armed == 0);
    });
}

TEST_CASE("an exception of an operation ends as_completed", "[as_completed]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto throws = []() -> task<int> {
            throw std::logic_error("on purpose");
            co_return 1;
        };
        const auto waits = []() -> task<int> {
            static_cast<void>(co_await blitzio::sleep_for(1h));
            co_return 2;
        };
        std::vector<task<int>> both;
        both.push_back(waits());
        both.push_back(throws());
        CHECK_THROWS_AS(run(runtime, blitzio::as_completed(std::move(both)) |
                                         streams::for_each([](blitzio::completed<int>) {})),
                        std::logic_error);
        CHECK(runtime.metrics().timers_armed == 0);
    });
}
