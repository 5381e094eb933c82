// The command line of par_gzip. Thread rule: plain values, made by main().
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace par_gzip
{

struct options
{
    int level = 6;
    /// Threads that compress; 0: one per processor.
    unsigned threads = 0;
    /// Bytes of input that are compressed as one piece.
    std::size_t block_bytes = std::size_t{512} * 1024;
    bool to_stdout = false;
    bool keep = false;
    bool force = false;
    bool synchronous = false;
    bool without_name = false;
    bool verbose = false;
    /// "-" is stdin; none at all: stdin to stdout.
    std::vector<std::string> files;
};

/// Ends the process with a message that names what cannot be used, or with the help text.
[[nodiscard]] options parse(int argc, char** argv);

} // namespace par_gzip
