// Parallel stages when something fails: an error or an exception of each part of a pipeline, at each
// position, alone and while a stop comes.
// Thread rule: each test owns its runtime and pool.
#include "par_support.hpp"

#include <blitzio/io/detail/frame_pool.hpp>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace bz = blitzio;
namespace streams = blitzio::streams;
using namespace std::chrono_literals;
using test::block;

namespace
{

enum class part
{
    source,
    waiting_stage,
    map,
    filter,
    chunks,
    sink,
    none,
};

constexpr part all_parts[] = {part::source, part::waiting_stage, part::map,
                              part::filter, part::chunks,        part::sink};
constexpr int values = 14;

/// Which part fails, at which value, and how.
struct fault
{
    part where = part::none;
    int position = 0;
    bool throws = false;

    [[nodiscard]] bool is_at(part here, int number) const noexcept
    {
        return where == here && number == position;
    }
};

struct planned_exception
{
    int position;
};

/// In the function of a part.
bz::result<void> pass(const fault& planned, part here, int number)
{
    if (!planned.is_at(here, number))
    {
        return {};
    }
    if (planned.throws)
    {
        throw planned_exception{number};
    }
    return bz::fail(std::errc::bad_message);
}

bz::generator<block> numbers(fault planned)
{
    for (int number = 0; number < values; ++number)
    {
        if (number % 3 == 1)
        {
            co_await bz::try_(bz::sleep_for(1us));
        }
        bz::result<void> passed = pass(planned, part::source, number);
        co_await bz::try_(std::move(passed));
        co_yield block(number, 50);
    }
}

/// All parts, one behind the other; `sums` gets what each chunk adds up to, in order.
bz::task<bz::result<void>> pipeline(bz::compute::pool* pool, fault planned,
                                    streams::par_options options, std::vector<int>& sums)
{
    const auto wait = [planned](block value) -> bz::task<bz::result<block>> {
        if (value.number() % 4 == 2)
        {
            co_await bz::try_(bz::sleep_for(1us));
        }
        bz::result<void> passed = pass(planned, part::waiting_stage, value.number());
        co_await bz::try_(std::move(passed));
        co_return std::move(value);
    };
    const auto grow = [planned](block value) -> bz::result<block> {
        const auto passed = pass(planned, part::map, value.number());
        if (!passed)
        {
            return bz::fail(passed.error());
        }
        return block(value.number(), 200);
    };
    const auto keep = [planned](const block& value) -> bz::result<bool> {
        const auto passed = pass(planned, part::filter, value.number());
        if (!passed)
        {
            return bz::fail(passed.error());
        }
        return true;
    };
    const auto add = [planned](std::span<block> gathered) -> bz::result<int> {
        int sum = 0;
        for (const block& each : gathered)
        {
            const auto passed = pass(planned, part::chunks, each.number());
            if (!passed)
            {
                return bz::fail(passed.error());
            }
            sum += each.number();
        }
        return sum;
    };
    const auto sink = [planned, &sums](int sum) -> bz::task<bz::result<void>> {
        // Chunks of two: the sum of the pair that begins with a number tells the number.
        bz::result<void> passed = pass(planned, part::sink, 2 * static_cast<int>(sums.size()));
        co_await bz::try_(std::move(passed));
        if (sums.size() % 3 == 1)
        {
            co_await bz::try_(bz::sleep_for(1us));
        }
        sums.push_back(sum);
        co_return bz::result<void>();
    };
    const auto through = [&](auto... where) {
        return numbers(planned) | streams::map(wait) | streams::par_map(where..., grow, options) |
               streams::buffer(2) | streams::par_filter(where..., keep, options) |
               streams::par_chunks(where..., 2, add, options) | streams::for_each(sink);
    };
    if (pool != nullptr)
    {
        co_return co_await through(std::ref(*pool));
    }
    co_return co_await through();
}

std::atomic<int> unobserved{0};

void count_unobserved(std::exception_ptr, std::string_view)
{
    unobserved.fetch_add(1);
}

/// How a pipeline has ended.
struct ending
{
    std::optional<bz::result<void>> outcome;
    int thrown_at = -1;
    std::vector<int> sums;
};

template <class Run>
ending observe(Run&& run)
{
    ending seen;
    try
    {
        seen.outcome = std::forward<Run>(run)(seen.sums);
    }
    catch (const planned_exception& error)
    {
        seen.thrown_at = error.position;
    }
    return seen;
}

/// The fault itself and nothing else came out.
bool is_planned(const ending& seen, const fault& planned)
{
    if (planned.where == part::none)
    {
        return seen.outcome && *seen.outcome;
    }
    if (planned.throws)
    {
        return seen.thrown_at == planned.position;
    }
    return seen.outcome && !*seen.outcome && seen.outcome->error() == std::errc::bad_message;
}

/// What the sink has to have seen in an ordered pipeline that nobody stopped: all before the fault.
std::vector<int> expected_sums(const fault& planned)
{
    std::vector<int> sums;
    int whole = values;
    if (planned.where != part::none)
    {
        whole = planned.position;
    }
    for (int number = 0; number + 1 < whole; number += 2)
    {
        sums.push_back(2 * number + 1);
    }
    // One that is left over is a chunk of its own, unless it is in the chunk that fails.
    if (whole % 2 == 1 && planned.where != part::chunks)
    {
        sums.push_back(whole - 1);
    }
    return sums;
}

bool is_sensible(const fault& planned)
{
    // The sink counts chunks.
    return planned.where != part::sink || planned.position % 2 == 0;
}

template <class Check>
void for_each_fault(Check&& check)
{
    for (const part where : all_parts)
    {
        for (int position = 0; position < values; ++position)
        {
            for (const bool throws : {false, true})
            {
                const fault planned{where, position, throws};
                if (is_sensible(planned))
                {
                    check(planned);
                }
            }
        }
    }
    check(fault{});
}

} // namespace

TEST_CASE("simulated stages: an error or exception of each part at each position",
          "[bridge][par_map][faults][sim]")
{
    for (std::uint64_t seed = 1; seed <= 12; ++seed)
    {
        const streams::par_options options{.ordered = seed % 3 != 0,
                                           .max_in_flight = 2 + seed % 4,
                                           .max_bytes = seed % 2 == 0 ? std::size_t{450} : 0};
        for_each_fault([&](const fault& planned) {
            INFO("seed " << seed << ", part " << static_cast<int>(planned.where) << ", position "
                         << planned.position << ", throws " << planned.throws);
            const std::int64_t frames_before = bz::detail::live_frames();
            unobserved = 0;
            {
                bz::runtime runtime({.io_threads = 1 + static_cast<unsigned>(seed % 3),
                                     .name = "faults",
                                     .backend = bz::backend_choice::sim,
                                     .simulation = {.seed = seed},
                                     .on_unobserved_exception = &count_unobserved});
                const auto seen = observe([&](std::vector<int>& sums) {
                    return runtime.block_on(pipeline(nullptr, planned, options, sums));
                });
                REQUIRE(is_planned(seen, planned));
                // A limit in bytes may cut chunks short.
                if (options.ordered && options.max_bytes == 0)
                {
                    REQUIRE(seen.sums == expected_sums(planned));
                }
                REQUIRE(runtime.metrics().live_tasks == 0);
            }
            REQUIRE(unobserved == 0);
            REQUIRE(block::alive == 0);
            REQUIRE(bz::detail::live_frames() == frames_before);
        });
    }
}

TEST_CASE("simulated stages: a stop at each turn while a part fails",
          "[bridge][par_map][faults][stop][sim]")
{
    for (std::uint64_t seed = 1; seed <= 6; ++seed)
    {
        const streams::par_options options{.ordered = seed % 2 == 0,
                                           .max_in_flight = 3,
                                           .max_bytes = seed % 3 == 0 ? std::size_t{450} : 0};
        for (int index = 0; index <= static_cast<int>(part::none); ++index)
        {
            const auto where = static_cast<part>(index);
            const fault planned{where, 8, seed % 2 == 1};
            int canceled = 0;
            int failed = 0;
            bool ended = false;
            for (int turns = 0; !ended; turns += 1 + turns / 32)
            {
                INFO("seed " << seed << ", part " << static_cast<int>(where) << ", stopped after "
                             << turns << " turns");
                const std::int64_t frames_before = bz::detail::live_frames();
                unobserved = 0;
                {
                    bz::runtime runtime({.io_threads = 2,
                                         .name = "faults",
                                         .backend = bz::backend_choice::sim,
                                         .simulation = {.seed = seed},
                                         .on_unobserved_exception = &count_unobserved});
                    const auto seen = observe([&](std::vector<int>& sums) {
                        auto program = runtime.spawn(pipeline(nullptr, planned, options, sums));
                        runtime.block_on([&]() -> bz::task<void> {
                            for (int turn = 0; turn < turns && !program.finished(); ++turn)
                            {
                                if (turn % 4 == 3)
                                {
                                    static_cast<void>(co_await bz::sleep_for(1us));
                                }
                                co_await bz::yield();
                            }
                        });
                        ended = program.finished();
                        program.request_stop();
                        return runtime.block_on(std::move(program));
                    });
                    if (is_planned(seen, planned))
                    {
                        ++failed;
                    }
                    else
                    {
                        REQUIRE(seen.outcome);
                        REQUIRE_FALSE(*seen.outcome);
                        REQUIRE(seen.outcome->error() == std::errc::operation_canceled);
                        ++canceled;
                    }
                    REQUIRE(runtime.metrics().live_tasks == 0);
                }
                // One that was thrown while the stop came may have nobody who takes it.
                REQUIRE(unobserved <= 1);
                REQUIRE(block::alive == 0);
                REQUIRE(bz::detail::live_frames() == frames_before);
                REQUIRE(turns < 20'000);
            }
            CHECK(canceled > 5);
            CHECK(failed > 0);
        }
    }
}

TEST_CASE("an error or exception of each part at each position, on threads",
          "[bridge][par_map][faults]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    bz::runtime runtime(
        {.io_threads = 2, .name = "faults", .on_unobserved_exception = &count_unobserved});
    const std::int64_t frames_before = bz::detail::live_frames();
    for (const bool ordered : {true, false})
    {
        for (const std::size_t max_bytes : {std::size_t{0}, std::size_t{450}})
        {
            const streams::par_options options{.ordered = ordered, .max_bytes = max_bytes};
            for_each_fault([&](const fault& planned) {
                INFO("ordered " << ordered << ", bytes " << max_bytes << ", part "
                                << static_cast<int>(planned.where) << ", position "
                                << planned.position << ", throws " << planned.throws);
                unobserved = 0;
                const auto seen = observe([&](std::vector<int>& sums) {
                    return runtime.block_on(pipeline(&pool, planned, options, sums));
                });
                REQUIRE(is_planned(seen, planned));
                if (ordered && max_bytes == 0)
                {
                    REQUIRE(seen.sums == expected_sums(planned));
                }
                REQUIRE(unobserved == 0);
                REQUIRE(block::alive == 0);
            });
        }
    }
    CHECK(bz::detail::live_frames() == frames_before);
    CHECK(pool.metrics().waiting == 0);
}

TEST_CASE("a thousand calls that throw at the same time give one exception",
          "[bridge][par_map][faults]")
{
    bz::compute::pool pool({.threads = 4, .name = "work"});
    bz::runtime runtime(
        {.io_threads = 2, .name = "faults", .on_unobserved_exception = &count_unobserved});
    for (const bool ordered : {true, false})
    {
        for (int round = 0; round < 100; ++round)
        {
            unobserved = 0;
            std::atomic<int> inside{0};
            std::atomic<int> thrown{0};
            const auto fail_together = [&](int value) -> int {
                inside.fetch_add(1);
                while (inside < 4)
                {
                    std::this_thread::yield();
                }
                thrown.fetch_add(1);
                throw planned_exception{value};
            };
            const streams::par_options options{.ordered = ordered, .max_in_flight = 1'000};
            int delivered = 0;
            int caught = 0;
            try
            {
                static_cast<void>(runtime.block_on(test::counting_source(1'000) |
                                                   streams::par_map(pool, fail_together, options) |
                                                   streams::for_each([&](int) { ++delivered; })));
            }
            catch (const planned_exception& error)
            {
                caught = 1;
                CHECK((!ordered || error.position == 0));
            }
            REQUIRE(caught == 1);
            REQUIRE(delivered == 0);
            REQUIRE(thrown >= 1);
            REQUIRE(unobserved == thrown - 1);
        }
    }
}
