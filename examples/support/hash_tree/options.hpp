// The command line of hash_tree. Thread rule: plain values, made by main().
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace hash_tree
{

struct options
{
    /// Threads that hash; 0: one per processor.
    unsigned threads = 0;
    /// Runs of files that are hashed, or wait for that or to be printed, at most; 0: 1024.
    unsigned jobs = 0;
    /// Bytes of file contents held in memory.
    std::size_t bytes_max = 16 * 1024 * 1024;
    bool follow_links = false;
    bool quiet = false;
    bool stats = false;
    std::vector<std::string> roots;
};

/// Ends the process with a message that names what cannot be used, or with the help text.
[[nodiscard]] options parse(int argc, char** argv);

} // namespace hash_tree
