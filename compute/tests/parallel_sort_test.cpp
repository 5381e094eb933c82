// parallel_sort inside jobs: orderly and hostile inputs, every number type, comparisons, stops.
// Thread rule: each test owns its pool; the sort runs inside one job of it.
#include "support.hpp"

#include <blitzio/compute/parallel.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace
{

namespace compute = blitzio::compute;
using compute::pool;
using test::inside;

constexpr std::size_t many = 300'000;

template <class T>
std::vector<T> pattern(int kind, std::size_t count)
{
    std::mt19937_64 random(kind);
    std::vector<T> values(count);
    for (std::size_t index = 0; index < count; ++index)
    {
        switch (kind)
        {
        case 0: values[index] = static_cast<T>(random()); break;
        case 1: values[index] = static_cast<T>(index); break;                          // sorted
        case 2: values[index] = static_cast<T>(count - index); break;                  // reversed
        case 3: values[index] = static_cast<T>(7); break;                              // all equal
        case 4: values[index] = static_cast<T>(random() % 3); break;                   // few values
        case 5: values[index] = static_cast<T>(std::min(index, count - index)); break; // organ pipe
        case 6: values[index] = static_cast<T>(index % 1000); break;                   // saw teeth
        case 7: values[index] = static_cast<T>(index % 2 ? index : random()); break;
        default: values[index] = static_cast<T>(index ^ (index >> 1)); break;
        }
    }
    return values;
}

constexpr int kinds = 9;

template <class T>
void sorts_all_patterns(pool& workers)
{
    for (int kind = 0; kind < kinds; ++kind)
    {
        for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{2000}, many})
        {
            const auto input = pattern<T>(kind, count);
            auto expected = input;
            std::ranges::sort(expected);
            auto ascending = input;
            auto descending = input;
            inside(workers, [&] {
                REQUIRE(compute::parallel_sort(ascending));
                REQUIRE(compute::parallel_sort(descending, std::greater<>(), {.grain = 1000}));
            });
            REQUIRE(ascending == expected);
            std::ranges::reverse(expected);
            REQUIRE(descending == expected);
        }
    }
}

struct record
{
    std::uint32_t key;
    std::uint32_t number;
};

} // namespace

TEST_CASE("orderly and hostile inputs of numbers", "[compute][parallel_sort]")
{
    pool workers({.threads = 3, .name = "sort"});
    sorts_all_patterns<std::uint64_t>(workers);
    sorts_all_patterns<std::int32_t>(workers);
    sorts_all_patterns<float>(workers);
}

TEST_CASE("every type of number", "[compute][parallel_sort]")
{
    pool workers({.threads = 2, .name = "sort"});
    const auto one = [&]<class T>(T) {
        auto values = pattern<T>(0, 100'000);
        auto expected = values;
        std::ranges::sort(expected);
        inside(workers, [&] { REQUIRE(compute::parallel_sort(values, std::less<T>())); });
        REQUIRE(values == expected);
    };
    one(static_cast<signed char>(0));
    one(static_cast<unsigned char>(0));
    one(short{});
    one(static_cast<unsigned short>(0));
    one(0);
    one(0u);
    one(0l);
    one(0ul);
    one(0ll);
    one(0ull);
    one(0.0);
    one('a'); // by the general way
}

TEST_CASE("comparisons, elements and ranges of all kinds", "[compute][parallel_sort]")
{
    pool workers({.threads = 3, .name = "sort"});
    std::mt19937_64 random(6);
    inside(workers, [&] {
        std::vector<record> records(many);
        for (std::uint32_t index = 0; index < many; ++index)
        {
            records[index] = {static_cast<std::uint32_t>(random() % 1000), index};
        }
        const auto by_key = [](const record& left, const record& right) {
            return std::pair(left.key, left.number) < std::pair(right.key, right.number);
        };
        REQUIRE(compute::parallel_sort(records, by_key));
        CHECK(std::ranges::is_sorted(records, by_key));
        std::vector<bool> there(many);
        std::ranges::for_each(records, [&](const record& each) { there[each.number] = true; });
        CHECK(std::ranges::find(there, false) == there.end());

        std::deque<std::string> texts(many / 3);
        std::ranges::generate(texts, [&] { return std::to_string(random()); });
        auto expected = texts;
        std::ranges::sort(expected);
        REQUIRE(compute::parallel_sort(texts));
        CHECK(texts == expected);

        std::vector<std::unique_ptr<int>> owners(many / 3);
        std::ranges::generate(owners,
                              [&] { return std::make_unique<int>(static_cast<int>(random())); });
        const auto by_value = [](const auto& left, const auto& right) { return *left < *right; };
        REQUIRE(compute::parallel_sort(owners, by_value));
        CHECK(std::ranges::is_sorted(owners, by_value));
    });
}

TEST_CASE("a sort that is stopped or throws keeps all elements", "[compute][parallel_sort][stop]")
{
    pool workers({.threads = 2, .name = "sort"});
    const auto input = pattern<std::uint64_t>(0, many);
    const auto sum = std::accumulate(input.begin(), input.end(), std::uint64_t{0});
    int stopped = 0;
    for (int after = 1; after < 1'000'000; after *= 3)
    {
        auto values = input;
        std::atomic<int> calls{0};
        inside(workers, [&] {
            blitzio::stop_source source;
            const auto counting = [&](std::uint64_t left, std::uint64_t right) {
                if (++calls == after)
                {
                    source.request_stop();
                }
                return left < right;
            };
            const auto outcome = compute::parallel_sort(values, counting, {}, source.get_token());
            stopped += outcome ? 0 : 1;
            CHECK((outcome || outcome.error() == std::errc::operation_canceled));
            CHECK((!outcome || std::ranges::is_sorted(values)));
        });
        CHECK(std::accumulate(values.begin(), values.end(), std::uint64_t{0}) == sum);

        auto thrown = input;
        calls = 0;
        inside(workers, [&] {
            CHECK_THROWS_AS(compute::parallel_sort(thrown,
                                                   [&](std::uint64_t left, std::uint64_t right) {
                                                       if (++calls == after)
                                                       {
                                                           throw std::runtime_error("compare");
                                                       }
                                                       return left < right;
                                                   }),
                            std::runtime_error);
        });
    }
    CHECK(stopped >= 10);
}

TEST_CASE("a comparison that is made to be slow does not make it quadratic",
          "[compute][parallel_sort]")
{
    // The adversary of McIlroy, "A killer adversary for quicksort" (1999): it decides what an element
    // is when it is compared.
    constexpr int count = 100'000;
    pool workers({.threads = 1, .name = "sort"});
    std::vector<int> values(count);
    std::vector<int> order(count);
    std::iota(order.begin(), order.end(), 0);
    const int gas = count;
    std::ranges::fill(values, gas);
    // Neither ascending nor descending, or it would be over at once.
    values[0] = 1;
    values[1] = 0;
    values[2] = 2;
    int solid = 3;
    int candidate = 0;
    std::size_t comparisons = 0;
    const auto adversary = [&](int left, int right) {
        ++comparisons;
        const auto at = [&](int index) -> int& { return values[static_cast<std::size_t>(index)]; };
        if (at(left) == gas && at(right) == gas)
        {
            at(left == candidate ? left : right) = solid++;
        }
        if (at(left) == gas)
        {
            candidate = left;
        }
        else if (at(right) == gas)
        {
            candidate = right;
        }
        return at(left) < at(right);
    };
    inside(workers, [&] { REQUIRE(compute::parallel_sort(order, adversary, {.grain = 1})); });
    CHECK(comparisons > std::size_t{count} * 10); // it was sorted, not looked at
    CHECK(comparisons < std::size_t{count} * 200);
    CHECK(std::ranges::is_sorted(
        order, {}, [&](int index) { return values[static_cast<std::size_t>(index)]; }));
}
