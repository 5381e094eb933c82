// Reading the command line. Thread rule: main() only.
#include "hash_tree/options.hpp"

#include "arguments.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace hash_tree
{

namespace
{

constexpr const char* help_text =
    "usage: hash_tree [--threads N] [--jobs M] [--max-bytes B] [--follow] [--quiet] [--stats]\n"
    "                 PATH...\n"
    "Prints the SHA-256 of every file below each PATH, sorted, as `sha256sum -c` reads it.\n"
    "  --threads N    threads that hash (default: one per processor)\n"
    "  --jobs M       runs of 32 files in flight, until they are printed (default: 1024)\n"
    "  --max-bytes B  file contents in memory, with K, M or G behind it (default: 16M)\n"
    "  --follow       follow symbolic links\n"
    "  --quiet        no progress bar, no notices about skipped files\n"
    "  --stats        files, bytes and the peak of memory to stderr at the end\n";

constexpr std::size_t bytes_least = 16 * 1024;

constexpr const char* program = "hash_tree";

[[noreturn]] void refuse(const std::string& message)
{
    example::refuse_with_hint(program, message);
}

} // namespace

options parse(int argc, char** argv)
{
    options parsed;
    bool only_paths = false;
    for (int index = 1; index < argc; ++index)
    {
        const std::string given = argv[index];
        const auto value = [&]() -> std::string_view {
            if (++index == argc)
            {
                refuse(given + " needs a value");
            }
            return argv[index];
        };
        if (only_paths || given.empty() || given.front() != '-')
        {
            parsed.roots.push_back(given);
        }
        else if (given == "--")
        {
            only_paths = true;
        }
        else if (given == "--threads")
        {
            parsed.threads =
                static_cast<unsigned>(example::number(program, given, value(), 1, 255));
        }
        else if (given == "--jobs")
        {
            parsed.jobs = static_cast<unsigned>(example::number(program, given, value(), 1, 1024));
        }
        else if (given == "--max-bytes")
        {
            parsed.bytes_max =
                example::byte_count(program, given, value(), bytes_least, std::uint64_t{1} << 40);
        }
        else if (given == "--follow")
        {
            parsed.follow_links = true;
        }
        else if (given == "--quiet")
        {
            parsed.quiet = true;
        }
        else if (given == "--stats")
        {
            parsed.stats = true;
        }
        else if (given == "--help")
        {
            std::fputs(help_text, stdout);
            std::exit(0);
        }
        else
        {
            refuse("unknown option '" + given + '\'');
        }
    }
    if (parsed.roots.empty())
    {
        refuse("no PATH given");
    }
    return parsed;
}

} // namespace hash_tree
