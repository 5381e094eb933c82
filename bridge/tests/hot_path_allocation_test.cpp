// What costs no allocation: handing a job to a pool, and sorting, however much. What else is on the
// hot paths is counted where it is tested.
// Thread rule: each test owns its pool and runtime.
#include "support.hpp"

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace bz = blitzio;

namespace
{

struct counted_job : bz::compute::job
{
    std::atomic<std::uint64_t>* ended = nullptr;
    bz::compute::pool* again = nullptr;
    std::uint64_t repeats = 0;

    counted_job()
    {
        run = [](bz::compute::job* self) noexcept {
            auto& item = *static_cast<counted_job*>(self);
            auto* const count = item.ended; // the job may be running again below
            if (item.repeats != 0)
            {
                --item.repeats;
                if (!item.again->enqueue(item))
                {
                    std::abort();
                }
            }
            ++*count;
        };
    }
};

/// Enqueues `count` jobs from here, of which each enqueues itself `repeats` times more, and waits.
void run_jobs(bz::compute::pool& pool, std::vector<counted_job>& jobs, std::uint64_t repeats)
{
    std::atomic<std::uint64_t> ended{0};
    for (auto& each : jobs)
    {
        each.ended = &ended;
        each.again = &pool;
        each.repeats = repeats;
        if (!pool.enqueue(each))
        {
            std::abort();
        }
    }
    while (ended != jobs.size() * (repeats + 1))
    {
        std::this_thread::yield();
    }
}

} // namespace

TEST_CASE("a job that is enqueued costs no allocation", "[bridge][pool][allocation]")
{
    if (!test::counts_allocations)
    {
        SKIP("the sanitizer brings its own operator new");
    }
    for (const unsigned threads : {1u, 3u})
    {
        bz::compute::pool pool({.threads = threads, .name = "work"});
        std::vector<counted_job> jobs(1000);
        run_jobs(pool, jobs, 3);
        const auto before = test::allocations();
        for (int round = 0; round < 20; ++round)
        {
            run_jobs(pool, jobs, 0); // from a thread that is none of the pool's
            run_jobs(pool, jobs, 3); // and from within
        }
        CHECK(test::allocations() == before);

        // From a worker of a runtime.
        auto runtime = test::make_runtime(1);
        const auto allocated = runtime.block_on([&]() -> bz::task<std::uint64_t> {
            const auto first = test::allocations();
            for (int round = 0; round < 20; ++round)
            {
                run_jobs(pool, jobs, 0);
            }
            co_return test::allocations() - first;
        });
        CHECK(allocated == 0);
    }
}

TEST_CASE("sorting allocates nothing, however much", "[bridge][parallel][allocation]")
{
    if (!test::counts_allocations)
    {
        SKIP("the sanitizer brings its own operator new");
    }
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    std::uint64_t seed = 1;
    const auto next = [&seed] { return seed = seed * 6364136223846793005u + 1442695040888963407u; };
    std::vector<std::uint64_t> numbers(1'000'000);
    std::vector<std::string> texts(200'000);
    for (auto& each : numbers)
    {
        each = next();
    }
    for (auto& each : texts)
    {
        each = "beyond what a string holds on its own " + std::to_string(next());
    }
    const auto allocated = runtime.block_on([&]() -> bz::task<std::uint64_t> {
        const auto by_low_bits = [](std::uint64_t left, std::uint64_t right) {
            return (left & 0xffff) < (right & 0xffff);
        };
        std::uint64_t before = 0;
        for (int round = 0; round < 2; ++round) // the first one for what is kept from then on
        {
            before = test::allocations();
            const auto plain = co_await bz::parallel_sort(pool, numbers);
            const auto low = co_await bz::parallel_sort(pool, numbers, by_low_bits);
            const auto words = co_await bz::parallel_sort(pool, texts);
            if (!plain || !low || !words)
            {
                throw std::logic_error("a sort failed");
            }
            if (round == 0)
            {
                std::ranges::reverse(numbers);
                std::ranges::rotate(texts, texts.begin() + 1000);
            }
        }
        co_return test::allocations() - before;
    });
    CHECK(allocated == 0);
}
