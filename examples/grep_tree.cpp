// The lines below directories that contain a text, as `LC_ALL=C grep -rnF` finds them, on all cores
// and in the order of the paths: directories are walked and files read through the runtime's driver,
// searched on the compute pool, and printed while work goes on, in bounded memory.
//
//     grep_tree [-c] [-i] [--threads N] [--max-bytes B] [--stats] [--] PATTERN PATH...
//
// Exit code: 0 when a line matched, 1 when none did, 2 after an error (the rest goes on), as grep;
// 130 after Ctrl-C. Thread rule: main() only; see support/grep_tree for the parts.
#include "support/grep_tree/cached_file.hpp"
#include "support/grep_tree/loader.hpp"
#include "support/grep_tree/options.hpp"
#include "support/grep_tree/printer.hpp"
#include "support/grep_tree/searcher.hpp"
#include "support/interrupt_watch.hpp"

#include <blitzio/blitzio.hpp>
#include <blitzio/bridge/par_map.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <mutex>
#include <utility>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bz = blitzio;
using namespace grep_tree;

namespace
{

/// Half of the memory for what was read ahead, half for what is searched and printed.
struct shares
{
    unsigned lanes;
    std::size_t portions;
};

shares divide(std::size_t bytes_max, unsigned threads)
{
    const std::size_t affordable = std::max<std::size_t>(bytes_max / 2 / portion_bytes, 2);
    return {static_cast<unsigned>(std::clamp<std::size_t>(affordable / 2, 1, 8 * threads)),
            std::min<std::size_t>(affordable, 4 * threads)};
}

search_options how_to_search(const options& wanted)
{
    struct stat status{};
    const bool one_file =
        wanted.roots.size() == 1 &&
        (wanted.roots.front() == "-" ||
         (::stat(wanted.roots.front().c_str(), &status) == 0 && !S_ISDIR(status.st_mode)));
    return {wanted.count, !one_file};
}

loader_options what_to_load(const options& wanted, unsigned lanes)
{
    const auto output = wanted.count ? std::nullopt : identity_of(STDOUT_FILENO);
    return {wanted.roots, output, lanes};
}

/// Everything, from paths to printed lines. `source` outlives the await.
bz::task<bz::result<void>> run(searcher& look, loader& source, printer& out,
                               bz::compute::pool& pool, std::size_t portions,
                               bz::stop_token interrupted)
{
    namespace streams = bz::streams;
    streams::par_options bounds;
    bounds.max_in_flight = portions;
    bounds.max_bytes = portions * portion_bytes;
    const auto search_job = [&look](job work) { return look.run(std::move(work)); };
    const auto print = [&](searched next) -> bz::task<bz::result<void>> {
        for (;;)
        {
            co_await bz::try_(out.print(next.work, std::move(next.found)));
            if (next.work.ended())
            {
                break;
            }
            const auto go_on = [&] { next.found = look.go_on(next.work); };
            co_await bz::try_(bz::compute_on(pool, go_on));
        }
        source.give_back(std::move(next.work.contents().space));
        co_return bz::result<void>();
    };
    auto ended = co_await bz::scope([&](bz::task_group& lanes) -> bz::task<bz::result<void>> {
        const bz::stop_callback on_interrupt(interrupted,
                                             [&lanes]() noexcept { lanes.request_stop(); });
        const auto print_all = [&](searched next) -> bz::task<bz::result<void>> {
            auto left = std::move(next.left);
            co_await bz::try_(print(std::move(next)));
            if (left.empty())
            {
                co_return bz::result<void>();
            }
            // Files that were not in the system's memory, or are too large to be read in one go.
            co_return co_await (source.read_ahead(std::move(left), lanes) |
                                streams::par_map(pool, search_job, bounds) |
                                streams::for_each(print));
        };
        co_return co_await (source.jobs(lanes) | streams::par_map(pool, search_job, bounds) |
                            streams::for_each(print_all));
    });
    if (ended)
    {
        ended = co_await out.flush();
    }
    co_return ended;
}

void print_stats(const totals& sums, std::chrono::duration<double> took)
{
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    std::fprintf(stderr,
                 "grep_tree: %llu files, %llu bytes, %llu lines match; %.3f s, %.2f GB/s; "
                 "peak memory %.1f MiB\n",
                 static_cast<unsigned long long>(sums.files),
                 static_cast<unsigned long long>(sums.bytes),
                 static_cast<unsigned long long>(sums.lines), took.count(),
                 static_cast<double>(sums.bytes) / 1e9 / took.count(),
                 static_cast<double>(used.ru_maxrss) / 1024);
}

int search_trees(const options& wanted)
{
    std::once_flag said;
    const auto say_goodbye = [&said] {
        // The watch's patience may end at the very moment at which the work does.
        std::call_once(said, [] {
            constexpr char text[] = "grep_tree: interrupted\n";
            static_cast<void>(!::write(STDERR_FILENO, text, sizeof text - 1));
        });
    };
    // Before any other thread, so that all of them leave the signals to it.
    const example::interrupt_watch watch(say_goodbye);
    const auto begun = std::chrono::steady_clock::now();
    const patterns looked_for(wanted.pattern, wanted.ignore_case);
    const search_options how = how_to_search(wanted);
    bz::compute::pool pool({.threads = wanted.threads, .name = "search"});
    // No reports of stalls: what is written to stderr is that of the tool this one rivals.
    bz::runtime runtime({.io_threads = pool.threads(),
                         .name = "read",
                         .stall_threshold = std::chrono::milliseconds(0)});
    const shares share = divide(wanted.bytes_max, pool.threads());
    loader source(what_to_load(wanted, share.lanes));
    searcher look(looked_for, how, source);
    printer out(how);
    const auto ended =
        runtime.block_on(run(look, source, out, pool, share.portions, watch.token()));
    if (watch.interrupted())
    {
        say_goodbye();
        return 130;
    }
    if (!ended)
    {
        std::fprintf(stderr, "grep_tree: write error: %s\n", ended.error().message().c_str());
        return 2;
    }
    if (wanted.stats)
    {
        print_stats(out.sums(), std::chrono::steady_clock::now() - begun);
    }
    if (out.sums().complaints != 0)
    {
        return 2;
    }
    return out.sums().matched ? 0 : 1;
}

} // namespace

int main(int argc, char** argv)
{
    const auto wanted = parse(argc, argv);
    try
    {
        return search_trees(wanted);
    }
    catch (const std::exception& error)
    {
        std::fprintf(stderr, "grep_tree: %s\n", error.what());
        return 2;
    }
}
