// From paths to printed checksums: walk, read, hash, print, all at once and in bounded memory.
// Thread rule: run() is awaited by one task; its parts run on any worker.
#pragma once

#include "hash_tree/batch.hpp"
#include "hash_tree/counters.hpp"
#include "hash_tree/options.hpp"
#include "hash_tree/ordered_output.hpp"
#include "hash_tree/status_line.hpp"

#include <blitzio/blitzio.hpp>

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <vector>

namespace hash_tree
{

/// The walk cuts the sorted files into batches; at most `jobs` batches are in progress, each with
/// two stages of memory; finished batches are printed in order. So memory is bounded by the stages,
/// the window of the output, and the listings of the directories on the walk's path.
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

    [[nodiscard]] blitzio::task<blitzio::result<std::vector<root>>> sorted_roots();
    [[nodiscard]] blitzio::task<blitzio::result<void>> hash_all(blitzio::task_group& batches);
    [[nodiscard]] blitzio::task<blitzio::result<void>> walk(const root& where,
                                                            blitzio::task_group& batches);
    [[nodiscard]] blitzio::task<blitzio::result<void>> add(blitzio::fs::walk_entry entry,
                                                           blitzio::task_group& batches);
    [[nodiscard]] blitzio::task<blitzio::result<void>> add(item found,
                                                           blitzio::task_group& batches);
    [[nodiscard]] blitzio::task<blitzio::result<void>> start_batch(blitzio::task_group& batches);
    [[nodiscard]] blitzio::task<blitzio::result<void>> run_batch(batch work,
                                                                 blitzio::task_group& batches);

    /// A workspace for as long as it lives.
    class loan;

    options options_;
    blitzio::compute::pool& pool_;
    status_line& status_;
    counters& progress_;
    unsigned jobs_;
    std::size_t stage_bytes_;
    blitzio::sync::semaphore in_progress_;
    ordered_output output_;
    std::vector<item> collected_; // of the batch that the walk is filling
    std::mutex mutex_;
    std::list<workspace> idle_; // guarded by mutex_
};

} // namespace hash_tree
