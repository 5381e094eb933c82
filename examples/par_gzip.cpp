// gzip on all processors: each piece of the input is compressed on the compute pool while the ones
// behind it are read and the ones before it are written, in order and in bounded memory. What comes
// out is a gzip file of one member for each piece.
//
//     par_gzip [-1..-9] [-p N] [-b K] [-cfknvY] [FILE...]
//
// Exit code: 0; 1 when a file was left alone or failed (it is reported, the rest goes on); 2 for a
// wrong command line; 130 after Ctrl-C. Thread rule: main() only; see support/par_gzip.
#include "par_gzip/options.hpp"
#include "par_gzip/packer.hpp"
#include "support/interrupt_watch.hpp"
#include "support/peak_memory.hpp"

#include <blitzio/blitzio.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>

#include <unistd.h>

namespace bz = blitzio;

namespace
{

void print_figures(const std::string& path, const par_gzip::figures& told)
{
    const double saved = told.bytes_in == 0
                             ? 0.0
                             : 100.0 * (1.0 - static_cast<double>(told.bytes_out) /
                                                  static_cast<double>(told.bytes_in));
    std::fprintf(stderr,
                 "%s: %llu -> %llu bytes, %.1f%% saved; at most %.1f MiB of input in flight, "
                 "%.1f MiB of memory\n",
                 path.c_str(), static_cast<unsigned long long>(told.bytes_in),
                 static_cast<unsigned long long>(told.bytes_out), saved,
                 static_cast<double>(told.bytes_peak) / (1024 * 1024), example::peak_memory_mib());
}

bz::task<bz::result<int>> pack_all(const par_gzip::options& wanted, bz::compute::pool& pool)
{
    par_gzip::packer packer(wanted, pool);
    int code = 0;
    for (const std::string& path : wanted.files)
    {
        par_gzip::figures told;
        const std::string complaint = co_await bz::try_(packer.pack(path, told));
        if (!complaint.empty())
        {
            std::fprintf(stderr, "par_gzip: %s\n", complaint.c_str());
            code = 1;
        }
        else if (wanted.verbose)
        {
            print_figures(path, told);
        }
    }
    co_return code;
}

int run(const par_gzip::options& wanted)
{
    const bool prints = wanted.to_stdout || wanted.files.front() == "-";
    if (prints && !wanted.force && isatty(STDOUT_FILENO) == 1)
    {
        std::fputs("par_gzip: compressed data is not written to a terminal (-f does it)\n", stderr);
        return 2;
    }
    // Before any other thread, so that all of them leave the signals to it.
    const example::interrupt_watch watch([] {});
    bz::compute::pool pool({.threads = wanted.threads, .name = "gzip"});
    // No reports of stalls: what is written to stderr is that of the tool this one rivals.
    bz::runtime runtime(
        {.io_threads = 1, .name = "files", .stall_threshold = std::chrono::milliseconds(0)});
    const auto code = runtime.block_on([&]() -> bz::task<bz::result<int>> {
        co_return co_await bz::scope([&](bz::task_group& all) -> bz::task<bz::result<int>> {
            const bz::stop_callback on_interrupt(watch.token(),
                                                 [&all]() noexcept { all.request_stop(); });
            co_return co_await pack_all(wanted, pool);
        });
    });
    return watch.interrupted() || !code ? 130 : *code;
}

} // namespace

int main(int argc, char** argv)
{
    const auto wanted = par_gzip::parse(argc, argv);
    try
    {
        return run(wanted);
    }
    catch (const std::exception& error)
    {
        std::fprintf(stderr, "par_gzip: %s\n", error.what());
        return 1;
    }
}
