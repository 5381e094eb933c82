// Exceptions of every kind out of computations, on the smallest pool and under a host that limits
// oneTBB: one for each awaiter, nothing hangs, the pool goes on.
// Thread rule: each test owns its runtime and pool.
#include "support.hpp"

#include <blitzio/compute/parallel.hpp>

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <array>
#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

namespace bz = blitzio;

namespace
{

/// As a library would have it that knows nothing of std::exception.
struct foreign_error
{
    int code;
    std::string text;
};

/// Cannot be copied without throwing another exception.
struct uncopyable_error
{
    explicit uncopyable_error(int given) : code(given) {}
    uncopyable_error(const uncopyable_error&)
    {
        throw std::runtime_error("copied");
    }

    int code = 0;
};

enum class kind
{
    integer,
    foreign,
    uncopyable,
    standard
};

[[noreturn]] void throw_one(kind which, int number)
{
    switch (which)
    {
    case kind::integer: throw number;
    case kind::foreign: throw foreign_error{number, "foreign"};
    case kind::uncopyable:
        // Never copied: thrown in place, passed on by pointer, caught by reference.
        throw uncopyable_error(number);
    case kind::standard: break;
    }
    throw std::out_of_range(std::to_string(number));
}

/// The number that was thrown, or -1.
int number_of(std::exception_ptr error)
{
    try
    {
        std::rethrow_exception(std::move(error));
    }
    catch (int number)
    {
        return number;
    }
    catch (const foreign_error& thrown)
    {
        return thrown.text == "foreign" ? thrown.code : -1;
    }
    catch (const uncopyable_error& thrown)
    {
        return thrown.code;
    }
    catch (const std::out_of_range& thrown)
    {
        return std::stoi(thrown.what());
    }
    catch (...)
    {
        return -1;
    }
}

constexpr std::array all_kinds{kind::integer, kind::foreign, kind::uncopyable, kind::standard};

bz::task<int> thrown_by_compute_on(bz::compute::pool& pool, kind which, int number)
{
    std::exception_ptr error;
    try
    {
        const auto done = co_await bz::compute_on(pool, [=] { throw_one(which, number); });
        static_cast<void>(done);
    }
    catch (...)
    {
        error = std::current_exception();
    }
    co_return error == nullptr ? -2 : number_of(error);
}

/// Throws at the bottom of three nested loops.
void nest_and_throw(int depth, kind which, int number)
{
    if (depth == 0)
    {
        throw_one(which, number);
    }
    tbb::parallel_for(0, 4, [=](int) { nest_and_throw(depth - 1, which, number); });
}

bz::task<int> thrown_by_nested_loops(bz::compute::pool& pool, kind which, int number)
{
    std::exception_ptr error;
    try
    {
        const auto done = co_await bz::compute_on(pool, [=] { nest_and_throw(3, which, number); });
        static_cast<void>(done);
    }
    catch (...)
    {
        error = std::current_exception();
    }
    co_return error == nullptr ? -2 : number_of(error);
}

bz::task<void> all_of_them(bz::compute::pool& pool)
{
    for (const kind which : all_kinds)
    {
        const int alone = co_await thrown_by_compute_on(pool, which, 17);
        CHECK(alone == 17);
        const int nested = co_await thrown_by_nested_loops(pool, which, 18);
        CHECK(nested == 18);
    }
    constexpr int at_once = 1000;
    std::vector<bz::task<int>> tasks;
    for (int number = 0; number < at_once; ++number)
    {
        const kind which = all_kinds[static_cast<std::size_t>(number) % all_kinds.size()];
        tasks.push_back(thrown_by_compute_on(pool, which, number));
    }
    const std::vector<int> numbers = co_await bz::when_all(std::move(tasks));
    REQUIRE(numbers.size() == at_once);
    for (int number = 0; number < at_once; ++number)
    {
        CHECK(numbers[static_cast<std::size_t>(number)] == number);
    }
    const auto usable = co_await bz::compute_on(pool, [] { return 42; });
    CHECK(usable == 42);
}

} // namespace

TEST_CASE("exceptions of every kind reach their awaiters and nobody else", "[bridge][compute]")
{
    for (const unsigned threads : {1u, 3u})
    {
        bz::compute::pool_config config;
        config.threads = threads;
        config.name = "throws";
        bz::compute::pool pool(std::move(config));
        bz::runtime runtime;
        runtime.block_on(all_of_them(pool));
    }
}

TEST_CASE("the same under a host that allows oneTBB a single thread", "[bridge][compute]")
{
    const tbb::global_control one(tbb::global_control::max_allowed_parallelism, 1);
    bz::compute::pool_config config;
    config.threads = 1;
    config.name = "throws";
    bz::compute::pool pool(std::move(config));
    bz::runtime runtime;
    runtime.block_on(all_of_them(pool));
}
