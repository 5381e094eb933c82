// From paths to printed checksums: walk | par_chunks(read and hash) | print, all at once and in
// bounded memory.
// Thread rule: run() is awaited by one task; its parts run on any worker.
#pragma once

#include "hash_tree/counters.hpp"
#include "hash_tree/file_hasher.hpp"
#include "hash_tree/options.hpp"
#include "hash_tree/status_line.hpp"

#include <blitzio/blitzio.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace hash_tree
{

/// The walk gives the files in sorted order, the pool hashes runs of them, and the results are
/// printed in that order. Memory is bounded by a buffer for each thread, by how many runs may be in
/// flight, and by the listings of the directories on the walk's path.
class tree_hasher
{
public:
    tree_hasher(const options& wanted, blitzio::compute::pool& pool, status_line& status,
                counters& progress);

    /// Until everything is printed, or `interrupted` asks for a stop (operation_canceled).
    /// Files that cannot be read are counted and reported; other errors are those of stdout.
    [[nodiscard]] blitzio::task<blitzio::result<void>> run(blitzio::stop_token interrupted);

private:
    struct root
    {
        std::string path;
        std::string sorted_as;
        std::string remark;
    };

    [[nodiscard]] blitzio::task<blitzio::result<void>> hash_all();
    [[nodiscard]] blitzio::task<blitzio::result<std::vector<root>>> sorted_roots();
    /// What there is to do, root after root.
    [[nodiscard]] blitzio::generator<item> found();
    /// What becomes of one entry; with neither path nor remark: nothing.
    [[nodiscard]] blitzio::task<blitzio::result<item>> judge(blitzio::fs::walk_entry entry);

    const options& options_;
    blitzio::compute::pool& pool_;
    status_line& status_;
    counters& progress_;
    std::size_t runs_max_;
    file_hasher hasher_;
};

} // namespace hash_tree
