// The shapes of the parallel cells on bare oneTBB, called on the thread that waits: the floor.
// Thread rule: everything is called on the main thread.
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_reduce.h>
#include <tbb/parallel_sort.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace
{

constexpr std::size_t many = 100'000'000;
constexpr std::size_t many_to_sort = 10'000'000;
constexpr std::size_t repetitions_min = 3;

using block = tbb::blocked_range<std::size_t>;

struct options
{
    int threads = 1;
    double seconds = 0.3;
    std::string only;
};

void require(bool condition, const char* what)
{
    if (!condition)
    {
        std::fprintf(stderr, "tbb_parallel: %s\n", what);
        std::exit(1);
    }
}

options parse(int argc, char** argv)
{
    options opts;
    for (int index = 1; index < argc; index += 2)
    {
        const std::string name = argv[index];
        require(index + 1 < argc, "an option lacks its value");
        const char* const value = argv[index + 1];
        if (name == "--threads")
        {
            opts.threads = std::max(1, std::atoi(value));
        }
        else if (name == "--seconds")
        {
            opts.seconds = std::atof(value);
        }
        else if (name == "--only")
        {
            opts.only = value;
        }
        else
        {
            require(name == "--port" || name == "--compute", "unknown option");
        }
    }
    return opts;
}

std::uint64_t stir(std::uint64_t value)
{
    return value * 6364136223846793005u + 1442695040888963407u;
}

std::uint64_t weigh(std::uint64_t value)
{
    return value ^ (value >> 33);
}

std::vector<std::uint64_t> numbers(std::size_t count)
{
    std::vector<std::uint64_t> made(count);
    std::uint64_t value = 1;
    for (auto& each : made)
    {
        each = value = stir(value);
    }
    return made;
}

template <class Body>
double time_of(Body&& body)
{
    const auto begin = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin)
        .count();
}

/// The median of `loop`, which gives its time in ns, as milliseconds.
template <class Loop>
void print_median(const options& opts, const char* name, Loop&& loop)
{
    std::vector<double> times;
    double total = 0;
    loop(); // the first one touches the memory and wakes the pool
    while (times.size() < repetitions_min || total < opts.seconds * 1e9)
    {
        times.push_back(loop());
        total += times.back();
    }
    std::ranges::sort(times);
    std::printf("{\"name\": \"%s\", \"ms\": %.4g}\n", name, times[times.size() / 2] / 1e6);
}

void parallel_map(const options& opts)
{
    auto values = numbers(many);
    print_median(opts, "parallel_map", [&] {
        return time_of([&] {
            tbb::parallel_for(block(0, many), [&](const block& part) {
                for (std::size_t index = part.begin(); index != part.end(); ++index)
                {
                    values[index] = stir(values[index]);
                }
            });
        });
    });
}

void parallel_reduce(const options& opts)
{
    const auto values = numbers(many);
    std::uint64_t expected = 0;
    for (const auto value : values)
    {
        expected += weigh(value);
    }
    print_median(opts, "parallel_reduce", [&] {
        return time_of([&] {
            const auto sum = tbb::parallel_reduce(
                block(0, many), std::uint64_t{0},
                [&](const block& part, std::uint64_t before) {
                    for (std::size_t index = part.begin(); index != part.end(); ++index)
                    {
                        before += weigh(values[index]);
                    }
                    return before;
                },
                std::plus<>());
            require(sum == expected, "parallel_reduce");
        });
    });
}

void parallel_sort(const options& opts)
{
    const auto values = numbers(many_to_sort);
    std::vector<std::uint64_t> sorted;
    print_median(opts, "parallel_sort", [&] {
        sorted = values;
        return time_of([&] { tbb::parallel_sort(sorted.begin(), sorted.end()); });
    });
    require(std::ranges::is_sorted(sorted), "parallel_sort: not sorted");
}

} // namespace

int main(int argc, char** argv)
{
    const options opts = parse(argc, argv);
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                    static_cast<std::size_t>(opts.threads));
    tbb::task_arena arena(opts.threads, 1);
    const auto wants = [&](const char* name) { return opts.only.empty() || opts.only == name; };
    bool known = false;
    const auto run = [&](const char* name, void (*shape)(const options&)) {
        if (wants(name))
        {
            known = true;
            arena.execute([&] { shape(opts); });
        }
    };
    run("parallel_map", parallel_map);
    run("parallel_reduce", parallel_reduce);
    run("parallel_sort", parallel_sort);
    require(known, "there is no shape of that name");
    return 0;
}
