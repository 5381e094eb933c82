// The command line of grep_tree. Thread rule: plain values, made by main().
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace grep_tree
{

struct options
{
    /// What to look for: any of its lines, as bytes.
    std::string pattern;
    std::vector<std::string> roots;
    /// -c: for each file the number of lines that match, instead of the lines.
    bool count = false;
    /// -i: the letters A to Z match those from a to z. Other bytes match themselves only, whatever
    /// the locale says.
    bool ignore_case = false;
    bool stats = false;
    /// Threads that search; 0: one per processor.
    unsigned threads = 0;
    /// Bytes of file contents held in memory; a line that is longer is held nevertheless.
    std::size_t bytes_max = 32 * 1024 * 1024;
};

/// Ends the process with a message that names what cannot be used, or with the help text.
[[nodiscard]] options parse(int argc, char** argv);

} // namespace grep_tree
