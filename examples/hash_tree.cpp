// SHA-256 of every file in directory trees, as fast as the machine can: directories are walked through
// the runtime's driver, files are hashed on the compute pool, and printed in sorted order while work
// goes on, in bounded memory. The output is what `sha256sum -c` reads. One pipeline:
// walk | par_chunks(hash) | print.
//
//     hash_tree [--threads N] [--jobs M] [--max-bytes B] [--follow] [--quiet] [--stats] PATH...
//
// Exit code: 0; 1 when a file could not be read (it is reported, the rest goes on); 2 for a wrong
// command line; 130 after Ctrl-C. Thread rule: main() only; see support/hash_tree for the parts.
#include "support/hash_tree/options.hpp"
#include "support/hash_tree/tree_hasher.hpp"
#include "support/interrupt_watch.hpp"
#include "support/peak_memory.hpp"

#include <blitzio/blitzio.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <mutex>
#include <string>

#include <unistd.h>

namespace bz = blitzio;

namespace
{

/// Directory reading and file reading need little beside hashing: one worker feeds several threads.
unsigned io_threads_for(unsigned hashing_threads)
{
    return std::clamp(hashing_threads / 4, 1u, 8u);
}

int hash_trees(const hash_tree::options& wanted)
{
    hash_tree::status_line status(!wanted.quiet && isatty(STDERR_FILENO) == 1);
    hash_tree::counters progress;
    std::once_flag said;
    const auto say_goodbye = [&] {
        // The watch's patience may end at the very moment at which the work does.
        std::call_once(said, [&] {
            const auto text = "hash_tree: interrupted after " +
                              std::to_string(progress.files_done.load()) + " files\n";
            status.print_last_words(text);
        });
    };
    // Before any other thread, so that all of them leave the signals to it.
    const example::interrupt_watch watch(say_goodbye);

    bz::compute::pool pool({.threads = wanted.threads, .name = "hash"});
    // No reports of stalls: what is written to stderr is that of the tool this one rivals.
    bz::runtime runtime({.io_threads = io_threads_for(pool.threads()),
                         .name = "walk",
                         .stall_threshold = std::chrono::milliseconds(0)});
    hash_tree::tree_hasher hasher(wanted, pool, status, progress);
    const auto outcome = runtime.block_on(hasher.run(watch.token()));
    if (watch.interrupted())
    {
        say_goodbye();
        return 130;
    }
    if (!outcome)
    {
        std::fprintf(stderr, "hash_tree: cannot write: %s\n", outcome.error().message().c_str());
        return 1;
    }
    if (wanted.stats)
    {
        std::fprintf(stderr, "hash_tree: %llu files, %llu bytes; %.1f MiB of memory\n",
                     static_cast<unsigned long long>(progress.files_done.load()),
                     static_cast<unsigned long long>(progress.bytes_done.load()),
                     example::peak_memory_mib());
    }
    return progress.failures.load() == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv)
{
    const auto wanted = hash_tree::parse(argc, argv);
    try
    {
        return hash_trees(wanted);
    }
    catch (const std::exception& error)
    {
        std::fprintf(stderr, "hash_tree: %s\n", error.what());
        return 1;
    }
}
