// What the measuring programs of blitzio and TooManyCooks share: command line, clocks, the growing loop, JSON lines.
// Thread rule: called on the main thread; any thread may call require() and increment().
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <initializer_list>
#include <string>

namespace compare
{

struct options
{
    unsigned threads = 1;
    unsigned compute = 1;
    double seconds = 0.3;
    std::string only;

    [[nodiscard]] bool wants(const char* name) const
    {
        return only.empty() || only == name;
    }
};

inline void require(bool condition, const char* what)
{
    if (!condition)
    {
        std::fprintf(stderr, "%s\n", what);
        std::exit(1);
    }
}

inline options parse_options(int argc, char** argv)
{
    options opts;
    for (int index = 1; index < argc; index += 2)
    {
        const std::string name = argv[index];
        require(index + 1 < argc, "an option lacks its value");
        const char* const value = argv[index + 1];
        if (name == "--threads")
        {
            opts.threads = static_cast<unsigned>(std::max(1, std::atoi(value)));
        }
        else if (name == "--compute")
        {
            opts.compute = static_cast<unsigned>(std::max(1, std::atoi(value)));
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
            require(name == "--port", "unknown option");
        }
    }
    return opts;
}

/// Nanoseconds of CPU time of the whole process.
inline double cpu_ns()
{
    std::timespec value{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &value);
    return static_cast<double>(value.tv_sec) * 1e9 + static_cast<double>(value.tv_nsec);
}

/// The compiler must not see through the work of a task, as the peers' must not.
inline std::uint64_t increment(std::uint64_t value)
{
    asm volatile("" : "+r"(value));
    return value + 1;
}

struct figure
{
    const char* name;
    double value;
};

inline void print_line(const char* name, std::initializer_list<figure> figures)
{
    std::printf("{\"name\": \"%s\"", name);
    for (const auto& each : figures)
    {
        std::printf(", \"%s\": %.4g", each.name, each.value);
    }
    std::printf("}\n");
    std::fflush(stdout);
}

struct cost
{
    double wall_ns = 0;
    double cpu_ns = 0;
};

template <class Body>
cost cost_of(Body&& body)
{
    const double cpu_begin = cpu_ns();
    const auto begin = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double, std::nano> elapsed =
        std::chrono::steady_clock::now() - begin;
    return {elapsed.count(), cpu_ns() - cpu_begin};
}

/// Runs body(count) with growing counts, multiples of `unit`, until it lasts long enough, then
/// prints the cost of the last run.
template <class Body>
void measure(const options& opts, const char* name, std::uint64_t unit, Body&& body)
{
    std::uint64_t iterations = std::max<std::uint64_t>(1024 / unit, 1) * unit;
    for (;;)
    {
        const cost spent = cost_of([&] { body(iterations); });
        const auto count = static_cast<double>(iterations);
        if (spent.wall_ns >= opts.seconds * 1e9)
        {
            print_line(name, {{"ns_per_op", spent.wall_ns / count},
                              {"cpu_ns_per_op", spent.cpu_ns / count}});
            return;
        }
        const double growth =
            std::clamp(opts.seconds * 1.2e9 / std::max(spent.wall_ns, 1e3), 1.2, 20.0);
        const auto units = static_cast<std::uint64_t>(count * growth) / unit;
        iterations = std::max(units, iterations / unit + 1) * unit;
    }
}

} // namespace compare
