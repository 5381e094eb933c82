// parallel_for, parallel_reduce, parallel_scan, parallel_invoke and the in-place maps inside jobs:
// against what one thread computes, in order, nested, stopped, with exceptions of every kind.
// Thread rule: each test owns its pool; the algorithms run inside one job of it.
#include "support.hpp"

#include <blitzio/compute/parallel.hpp>
#include <blitzio/compute/this_compute.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace
{

namespace compute = blitzio::compute;
using blitzio::result;
using blitzio::stop_token;
using compute::pool;
using test::inside;

} // namespace

TEST_CASE("parallel_for calls for every element once", "[compute][parallel_for]")
{
    pool workers({.threads = 3, .name = "for"});
    std::mt19937_64 random(11);
    for (int round = 0; round < 100; ++round)
    {
        const std::size_t count = random() % 5000;
        const std::size_t grain = random() % 100;
        std::vector<std::atomic<int>> calls(count);
        inside(workers, [&] {
            // Indices of mixed types, a range, and a pair of iterators.
            REQUIRE(compute::parallel_for(0, count, [&](std::size_t index) { ++calls[index]; },
                                          {.grain = grain}));
            REQUIRE(compute::parallel_for(calls, [](std::atomic<int>& each) { ++each; },
                                          {.grain = grain}));
            REQUIRE(compute::parallel_for(calls.begin(), calls.end(),
                                          [](std::atomic<int>& each, stop_token token) {
                                              each += token.stop_requested() ? 0 : 1;
                                          }));
        });
        REQUIRE(std::ranges::all_of(calls, [](const auto& each) { return each == 3; }));
    }
    inside(workers, [] {
        bool called = false;
        CHECK(compute::parallel_for(5, 2, [&](int) { called = true; }));
        CHECK_FALSE(called);
        std::list<int> listed(100, 1);
        CHECK(compute::parallel_for(listed.begin(), listed.end(), [](int& each) { each = 2; }));
        CHECK(std::accumulate(listed.begin(), listed.end(), 0) == 200);
    });
}

TEST_CASE("an error that a body of parallel_for returns is that of the loop",
          "[compute][parallel_for]")
{
    pool workers({.threads = 2, .name = "for"});
    inside(workers, [] {
        std::atomic<int> calls{0};
        const auto outcome = compute::parallel_for(0, 1'000'000, [&](int value) -> result<int> {
            ++calls;
            if (value == 400'000 || value == 5)
            {
                return blitzio::fail(std::errc::bad_message);
            }
            return value;
        });
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error() == std::errc::bad_message);
        CHECK(calls < 1'000'000);
        CHECK(compute::parallel_for(0, 1000, [](int) -> result<void> { return {}; },
                                    {.grain = 10, .waits = true}));
    });
}

TEST_CASE("maps in place and into another place", "[compute][parallel]")
{
    pool workers({.threads = 2, .name = "place"});
    inside(workers, [] {
        std::vector<int> values(10'000);
        std::iota(values.begin(), values.end(), 0);
        REQUIRE(compute::parallel_map_in_place(values, [](int value) { return 3 * value; }));
        std::vector<std::string> texts(values.size());
        REQUIRE(compute::parallel_map_into(
            values, texts.begin(), [](int value, stop_token) { return std::to_string(value); }));
        for (std::size_t index = 0; index < values.size(); ++index)
        {
            REQUIRE(texts[index] == std::to_string(3 * index));
        }
        std::list<std::string> listed(500, "a");
        REQUIRE(compute::parallel_map_in_place(
            listed, [](const std::string& text) { return text + "b"; }, {.grain = 9}));
        CHECK(std::ranges::all_of(listed, [](const auto& text) { return text == "ab"; }));
    });
}

TEST_CASE("parallel_reduce combines in input order", "[compute][parallel_reduce]")
{
    pool workers({.threads = 4, .name = "reduce"});
    std::mt19937_64 random(3);
    for (int round = 0; round < 60; ++round)
    {
        const int count = static_cast<int>(random() % 3000);
        const compute::parallel_options options{.grain = random() % 50,
                                                .sequential = random() % 4 == 0,
                                                .deterministic = random() % 2 == 0};
        std::string expected;
        for (int value = 0; value < count; ++value)
        {
            expected += std::to_string(value);
        }
        inside(workers, [&] {
            // Not commutative, and T can be moved only cheaply.
            const auto text = compute::parallel_reduce(
                std::views::iota(0, count), std::string(),
                [](int value) { return std::to_string(value); },
                [](std::string left, std::string right) { return std::move(left) + right; },
                options);
            REQUIRE(text);
            REQUIRE(*text == expected);
        });
    }
    inside(workers, [] {
        std::vector<double> none;
        CHECK(*compute::parallel_reduce(none, 1.5, std::identity(), std::plus<>()) == 1.5);
    });
}

TEST_CASE("a deterministic reduction gives the same bits on any number of threads",
          "[compute][parallel_reduce]")
{
    std::mt19937_64 random(8);
    std::vector<double> values(200'000);
    std::ranges::generate(values,
                          [&] { return 1.0 / static_cast<double>(random() % 1'000'000 + 1); });
    std::vector<double> sums;
    for (const unsigned threads : {1u, 2u, 5u})
    {
        pool workers({.threads = threads, .name = "bits"});
        for (int round = 0; round < 20; ++round)
        {
            inside(workers, [&] {
                sums.push_back(*compute::parallel_reduce(values, 0.0, std::identity(),
                                                         std::plus<>(), {.deterministic = true}));
            });
        }
    }
    inside(*std::make_unique<pool>(compute::pool_config{.threads = 2, .name = "bits"}), [&] {
        sums.push_back(*compute::parallel_reduce(values, 0.0, std::identity(), std::plus<>(),
                                                 {.sequential = true, .deterministic = true}));
    });
    CHECK(std::ranges::all_of(sums, [&](double sum) { return sum == sums.front(); }));
    // And the grouping is not that of one loop, so the test could fail.
    CHECK(std::accumulate(values.begin(), values.end(), 0.0) != sums.front());
}

TEST_CASE("parallel_scan gives what std's scans give", "[compute][parallel_scan]")
{
    pool workers({.threads = 4, .name = "scan"});
    std::mt19937_64 random(5);
    for (int round = 0; round < 80; ++round)
    {
        const compute::parallel_options options{.grain = random() % 300,
                                                .sequential = random() % 4 == 0};
        std::vector<std::uint64_t> input(random() % 20'000);
        std::ranges::generate(input, std::ref(random));
        std::vector<std::uint64_t> inclusive(input.size());
        std::vector<std::uint64_t> exclusive(input.size());
        std::inclusive_scan(input.begin(), input.end(), inclusive.begin());
        std::exclusive_scan(input.begin(), input.end(), exclusive.begin(), std::uint64_t{7});
        inside(workers, [&] {
            std::vector<std::uint64_t> out(input.size());
            REQUIRE(compute::parallel_scan(input, out.begin(), std::uint64_t{0}, std::plus<>(),
                                           compute::scan_kind::inclusive, options));
            REQUIRE(out == inclusive);
            // The identity is used once per block, so it has to be one.
            REQUIRE(compute::parallel_scan(input, out.begin(), std::uint64_t{0}, std::plus<>(),
                                           compute::scan_kind::exclusive, options));
            std::ranges::for_each(out, [](std::uint64_t& each) { each += 7; });
            REQUIRE(out == exclusive);
            REQUIRE(compute::parallel_scan(input, input.begin(), std::uint64_t{0}, std::plus<>()));
            REQUIRE(input == inclusive);
        });
    }
    inside(workers, [] {
        const std::list<std::string> letters(3000, "x");
        std::vector<std::string> words(letters.size());
        REQUIRE(compute::parallel_scan(letters, words.begin(), std::string(), std::plus<>()));
        for (std::size_t index = 0; index < words.size(); index += 97)
        {
            REQUIRE(words[index].size() == index + 1);
        }
    });
}

TEST_CASE("parallel_invoke calls all at the same time and gives what they give",
          "[compute][parallel_invoke]")
{
    pool workers({.threads = 3, .name = "invoke"});
    inside(workers, [] {
        std::latch meeting(3);
        const auto meet = [&] { meeting.arrive_and_wait(); };
        auto all = compute::parallel_invoke(
            [&] {
                meet();
                return std::make_unique<int>(1);
            },
            [&](stop_token token) {
                meet();
                return token.stop_requested();
            },
            meet, [] { return result<int>(blitzio::fail(std::errc::bad_message)); });
        REQUIRE(all);
        CHECK(*std::get<0>(*all) == 1);
        CHECK_FALSE(std::get<1>(*all));
        static_assert(
            std::is_same_v<std::tuple_element_t<2, std::decay_t<decltype(*all)>>, std::monostate>);
        CHECK(std::get<3>(*all).error() == std::errc::bad_message);
    });
}

TEST_CASE("a body that throws stops the others, which are told", "[compute][parallel][throw]")
{
    pool workers({.threads = 2, .name = "told"});
    inside(workers, [] {
        std::atomic<bool> told{false};
        std::latch both(2);
        const auto waits = [&](stop_token token) {
            both.arrive_and_wait();
            while (!token.stop_requested())
            {
                std::this_thread::yield();
            }
            told = blitzio::this_compute::stop().reason() == blitzio::stop_reason::sibling;
        };
        const auto throws = [&] {
            both.arrive_and_wait();
            throw std::range_error("x");
        };
        CHECK_THROWS_AS(compute::parallel_invoke(waits, throws), std::range_error);
        CHECK(told);
    });
}

namespace
{

/// As those of a library that nobody has asked.
struct foreign_error
{
    std::string text;
};

struct refuses_copies
{
    refuses_copies() = default;
    refuses_copies(const refuses_copies&)
    {
        throw std::logic_error("copied");
    }
};

template <class Thrown>
bool throws_one(pool& workers, auto&& make)
{
    bool caught = false;
    try
    {
        inside(workers, [&] {
            // 1,000 at once, as far as there are threads.
            static_cast<void>(compute::parallel_for(0, 1000, [&](int) { throw make(); }));
        });
    }
    catch (const Thrown&)
    {
        caught = true;
    }
    return caught;
}

} // namespace

TEST_CASE("exceptions of every kind: one comes out, the pool goes on", "[compute][parallel][throw]")
{
    pool workers({.threads = 4, .name = "throw"});
    for (int round = 0; round < 50; ++round)
    {
        CHECK(throws_one<int>(workers, [] { return 42; }));
        CHECK(throws_one<foreign_error>(workers, [] { return foreign_error{"foreign"}; }));
        CHECK(throws_one<std::runtime_error>(workers, [] { return std::runtime_error("std"); }));
        try
        {
            inside(workers, [] {
                static_cast<void>(
                    compute::parallel_for(0, 1000, [](int) { throw refuses_copies(); }));
            });
            FAIL("no exception");
        }
        catch (const refuses_copies&)
        {
        }
        inside(workers, [] {
            CHECK_THROWS_AS(compute::parallel_reduce(
                                std::views::iota(0, 1000), 0, [](int value) { return value; },
                                [](int left, int right) {
                                    return left + right > 1000 ? throw 'c' : left + right;
                                }),
                            char);
            std::vector<int> out(1000);
            CHECK_THROWS_AS(compute::parallel_scan(std::views::iota(0, 1000), out.begin(), 0,
                                                   [](int, int) -> int { throw 1.5; }),
                            double);
            CHECK(*compute::parallel_reduce(std::views::iota(0, 1000), 0, std::identity(),
                                            std::plus<>()) == 499'500);
        });
    }
}

TEST_CASE("a pool of one thread, nested three deep", "[compute][parallel]")
{
    for (const unsigned threads : {1u, 2u})
    {
        pool workers({.threads = threads, .name = "nested"});
        inside(workers, [] {
            std::atomic<int> calls{0};
            const auto outer = compute::parallel_reduce(
                std::views::iota(0, 8), 0,
                [&](int first) {
                    const auto middle =
                        compute::parallel_map(std::views::iota(0, 8), [&, first](int second) {
                            const auto inner = compute::parallel_for(0, 8, [&](int) { ++calls; });
                            return inner ? first * second : -1'000;
                        });
                    return std::accumulate(middle->begin(), middle->end(), 0);
                },
                std::plus<>());
            CHECK(*outer == 28 * 28);
            CHECK(calls == 512);
        });
    }
}

TEST_CASE("every algorithm that is stopped gives an error", "[compute][parallel][stop]")
{
    pool workers({.threads = 2, .name = "stop"});
    for (int stop_at = 1; stop_at < 300; stop_at += 23)
    {
        inside(workers, [&] {
            std::atomic<int> calls{0};
            blitzio::stop_source source;
            const auto counted = [&](int value) {
                if (++calls == stop_at)
                {
                    source.request_stop();
                }
                return value;
            };
            const auto sum = [&](int left, int right) { return counted(left) + right; };
            const auto elements = std::views::iota(0, 100'000);
            std::vector<int> out(100'000);
            const auto reduced = compute::parallel_reduce(elements, 0, counted, std::plus<>(), {},
                                                          source.get_token());
            REQUIRE_FALSE(reduced);
            CHECK(reduced.error() == std::errc::operation_canceled);
            calls = stop_at; // requested already: no call at all
            CHECK_FALSE(compute::parallel_for(elements, counted, {}, source.get_token()));
            CHECK(calls == stop_at);

            calls = 0;
            blitzio::stop_source second;
            const auto stops_scan = [&](int left, int right) {
                if (++calls == stop_at * 20)
                {
                    second.request_stop();
                }
                return left + right;
            };
            const auto scanned =
                compute::parallel_scan(elements, out.begin(), 0, stops_scan,
                                       compute::scan_kind::inclusive, {}, second.get_token());
            REQUIRE_FALSE(scanned);
            CHECK(scanned.error() == std::errc::operation_canceled);
            static_cast<void>(sum);
        });
    }
}

TEST_CASE("the stop of the job is that of its loops", "[compute][parallel][stop]")
{
    pool workers({.threads = 2, .name = "inherit"});
    inside(workers, [] {
        blitzio::stop_source of_job;
        blitzio::stop_source given;
        const compute::detail::compute_context context{.stop = of_job.get_token()};
        const compute::detail::context_scope in_job(&context);
        std::atomic<int> calls{0};
        std::atomic<int> wrong_reasons{
            0}; // the bodies run on several threads; only this one checks
        const auto outcome = compute::parallel_for(0, 1000, [&](int) {
            // Two loops deep, and beside another token.
            const auto inner = compute::parallel_for(
                0, 1000,
                [&](int) {
                    if (++calls == 100)
                    {
                        of_job.request_stop(blitzio::stop_reason::shutdown);
                    }
                },
                {}, given.get_token());
            const auto reason = blitzio::this_compute::stop().reason();
            wrong_reasons += !inner && reason != blitzio::stop_reason::shutdown ? 1 : 0;
        });
        CHECK(wrong_reasons == 0);
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error() == std::errc::operation_canceled);
        CHECK(calls < 5000);
    });
}

TEST_CASE("a loop looks at the deadline itself", "[compute][parallel][stop]")
{
    using namespace std::chrono_literals;
    pool workers({.threads = 2, .name = "deadline"});
    inside(workers, [] {
        const auto begin = std::chrono::steady_clock::now();
        const compute::detail::compute_context context{.deadline = begin.time_since_epoch() + 30ms,
                                                       .steady_deadline = true};
        const compute::detail::context_scope in_job(&context);
        // Cheap elements, for ten seconds.
        const auto outcome = compute::parallel_for(std::uint64_t{0}, std::uint64_t{1} << 40,
                                                   [](std::uint64_t value) {
                                                       asm volatile("" : : "r"(value));
                                                   });
        const auto elapsed = std::chrono::steady_clock::now() - begin;
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error() == std::errc::timed_out);
        CHECK(elapsed >= 30ms);
        CHECK(elapsed < 5s);
    });
}
