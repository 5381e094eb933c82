// parallel_sort on every kind of input in every size, and with comparisons that are none: that
// throw, that contradict themselves.
// Thread rule: each test owns its pool; the sort runs inside one job of it.
#include "support.hpp"

#include <blitzio/compute/parallel.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

namespace compute = blitzio::compute;
using compute::pool;
using test::inside;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SORT_TESTS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SORT_TESTS_SANITIZED 1
#endif
#ifdef SORT_TESTS_SANITIZED
constexpr std::size_t most = 140'000;
#else
constexpr std::size_t most = 1'000'000;
#endif

struct record
{
    std::uint64_t key = 0;
    std::uint64_t number = 0;
    std::array<std::uint64_t, 2> more{};
};

struct by_key
{
    bool operator()(const record& left, const record& right) const
    {
        return left.key < right.key;
    }
};

constexpr int kinds = 9;

std::uint64_t number_of_kind(int kind, std::size_t index, std::size_t count,
                             std::mt19937_64& random)
{
    switch (kind)
    {
    case 0: return random();
    case 1: return index;                                        // sorted
    case 2: return count - index;                                // reversed
    case 3: return random() % 8;                                 // few values
    case 4: return std::min(index, count - index);               // organ pipe
    case 5: return 7;                                            // all equal
    case 6: return index % 1000;                                 // saw teeth
    case 7: return (index / 4096 % 2 << 40) + random() % 100000; // the rhythm of the blocks
    default: return index + 1 == count ? 0 : index;              // sorted but for the last
    }
}

template <class T>
T made_of(std::uint64_t number, std::size_t index)
{
    if constexpr (std::is_same_v<T, record>)
    {
        return {number, index, {number, ~number}};
    }
    else if constexpr (std::is_same_v<T, std::string>)
    {
        // Of one length, so that they are in the order of the numbers; beyond the short ones.
        std::string digits = std::to_string(number);
        return std::string(24 - digits.size(), '0') + digits;
    }
    else
    {
        return static_cast<T>(number);
    }
}

template <class T>
std::vector<T> values_of(int kind, std::size_t count)
{
    std::mt19937_64 random(count);
    std::vector<T> values;
    values.reserve(count);
    for (std::size_t index = 0; index < count; ++index)
    {
        values.push_back(made_of<T>(number_of_kind(kind, index, count, random), index));
    }
    return values;
}

std::uint64_t hash_of(const record& value)
{
    const bool whole = value.more[1] == ~value.more[0] && value.more[0] == value.key;
    return whole ? (value.key * 31 + value.number) * 0x9e3779b97f4a7c15u : 0;
}
std::uint64_t hash_of(const std::string& value)
{
    return std::hash<std::string>()(value);
}
std::uint64_t hash_of(double value)
{
    return std::bit_cast<std::uint64_t>(value) * 0x9e3779b97f4a7c15u;
}
std::uint64_t hash_of(std::uint64_t value)
{
    return (value ^ value >> 29) * 0x9e3779b97f4a7c15u;
}

/// The same for all orders of the same elements.
template <class T>
std::uint64_t contents(const std::vector<T>& values)
{
    std::uint64_t sum = 0;
    for (const T& value : values)
    {
        sum += hash_of(value);
    }
    return sum;
}

template <class T, class Compare>
void sorts_everything(pool& workers, Compare compare, std::size_t limit)
{
    constexpr std::array<std::size_t, 15> sizes{
        0, 1, 2, 3, 24, 25, 100, 1000, 4097, 8193, 65536, 65537, 131'075, 200'000, 1'000'000};
    for (const std::size_t count : sizes)
    {
        for (int kind = 0; kind < kinds && count <= limit; ++kind)
        {
            auto values = values_of<T>(kind, count);
            const auto before = contents(values);
            inside(workers, [&] { REQUIRE(compute::parallel_sort(values, compare)); });
            INFO("kind " << kind << ", " << count << " elements");
            REQUIRE(std::ranges::is_sorted(values, compare));
            REQUIRE(contents(values) == before);
        }
    }
}

/// Orders that are none.
struct liar
{
    int kind;
    std::shared_ptr<std::atomic<std::uint64_t>> calls =
        std::make_shared<std::atomic<std::uint64_t>>(0);

    bool operator()(const auto& left, const auto& right) const
    {
        const auto call = calls->fetch_add(1, std::memory_order_relaxed);
        switch (kind)
        {
        case 0: return true;
        case 1: return (call * 0x9e3779b97f4a7c15u >> 60) < 8; // anything
        case 2: return (call * 0x9e3779b97f4a7c15u >> 60) < 15;
        case 3: return !(right < left); // equal ones are less than each other
        case 4: return call % 1000 == 999 ? !(left < right) : left < right;
        case 5: return call < 100'000 ? left < right : !(left < right);
        default: return false;
        }
    }
};
constexpr int lies = 7;

bool operator<(const record& left, const record& right)
{
    return left.key < right.key;
}

template <class T>
void survives_lies(pool& workers)
{
    for (const std::size_t count : {std::size_t{30}, std::size_t{5000}, std::size_t{150'000}})
    {
        for (int kind = 0; kind < lies; ++kind)
        {
            for (const int input : {0, 4})
            {
                auto values = values_of<T>(input, count);
                values.shrink_to_fit(); // so that a sanitizer sees who reads beyond
                const auto before = contents(values);
                inside(workers, [&] { REQUIRE(compute::parallel_sort(values, liar{kind})); });
                INFO("lie " << kind << ", input " << input << ", " << count << " elements");
                REQUIRE(contents(values) == before);
            }
        }
    }
}

template <class T>
void survives_throws(pool& workers)
{
    constexpr std::size_t count = 150'000;
    const auto input = values_of<T>(0, count);
    const auto before = contents(input);
    for (std::uint64_t after = 1; after < 2'000'000; after = after * 5 + 1)
    {
        auto values = input;
        std::atomic<std::uint64_t> calls{0};
        inside(workers, [&] {
            CHECK_THROWS_AS(compute::parallel_sort(values,
                                                   [&](const T& left, const T& right) {
                                                       if (++calls >= after)
                                                       {
                                                           throw std::runtime_error("compare");
                                                       }
                                                       return left < right;
                                                   }),
                            std::runtime_error);
        });
        REQUIRE(contents(values) == before);
    }
}

} // namespace

TEST_CASE("every input in every size is sorted", "[compute][parallel_sort]")
{
    for (const unsigned threads : {1u, 3u})
    {
        pool workers({.threads = threads, .name = "sort"});
        sorts_everything<std::uint64_t>(workers, std::ranges::less(), most);
        sorts_everything<double>(workers, std::greater<>(), most);
        sorts_everything<record>(workers, by_key(), most);
        sorts_everything<std::uint64_t>(
            workers, [](std::uint64_t left, std::uint64_t right) { return left > right; }, most);
        sorts_everything<std::string>(workers, std::ranges::less(), most / 5);
    }
}

TEST_CASE("an order that contradicts itself loses no element", "[compute][parallel_sort]")
{
    for (const unsigned threads : {1u, 3u})
    {
        pool workers({.threads = threads, .name = "sort"});
        survives_lies<std::uint64_t>(workers);
        survives_lies<record>(workers);
        survives_lies<std::string>(workers);
    }
}

TEST_CASE("an order that throws loses no element", "[compute][parallel_sort]")
{
    for (const unsigned threads : {1u, 3u})
    {
        pool workers({.threads = threads, .name = "sort"});
        survives_throws<std::uint64_t>(workers);
        survives_throws<record>(workers);
        survives_throws<std::string>(workers);
    }
}

TEST_CASE("numbers that are none end up anywhere", "[compute][parallel_sort]")
{
    pool workers({.threads = 3, .name = "sort"});
    std::mt19937_64 random(5);
    for (int round = 0; round < 40; ++round)
    {
        const auto count =
            static_cast<std::size_t>(random() % 3000 + (round % 8 == 0 ? 200'000 : 0));
        const std::uint64_t one_in =
            std::array{1, 2, 10, 1000}[static_cast<std::size_t>(round % 4)];
        std::vector<double> values(count);
        for (double& value : values)
        {
            value = random() % one_in == 0 ? std::numeric_limits<double>::quiet_NaN()
                                           : static_cast<double>(random() % 1000);
        }
        const auto before = contents(values);
        inside(workers, [&] { REQUIRE(compute::parallel_sort(values)); });
        REQUIRE(contents(values) == before);
    }
}

TEST_CASE("a slow comparison is stopped within a piece", "[compute][parallel_sort][stop]")
{
    // One thread would sort as many on its own.
    constexpr std::size_t count = 60'000;
    pool workers({.threads = 1, .name = "sort"});
    auto values = values_of<std::uint64_t>(0, count);
    const auto before = contents(values);
    std::uint64_t calls = 0;
    inside(workers, [&] {
        blitzio::stop_source source;
        const auto outcome = compute::parallel_sort(
            values,
            [&](std::uint64_t left, std::uint64_t right) {
                if (++calls == 100'000)
                {
                    source.request_stop();
                }
                return left < right;
            },
            {}, source.get_token());
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error() == std::errc::operation_canceled);
    });
    CHECK(contents(values) == before);
    CHECK(calls < 250'000); // of about a million
}
