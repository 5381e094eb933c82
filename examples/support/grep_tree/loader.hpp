// From paths to portions: the trees are walked and the files read, ahead of whoever searches.
// Thread rule: portions() belongs to one task; the lanes that it starts run on any worker;
// give_back() from any thread.
#pragma once

#include "grep_tree/portion.hpp"

#include <blitzio/blitzio.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace grep_tree
{

/// Which file standard output is, when it is an ordinary one: it must not be searched, too.
struct file_identity
{
    std::uint64_t device;
    std::uint64_t inode;
};

struct loader_options
{
    std::vector<std::string> roots;
    std::optional<file_identity> output;
    /// Groups of files that are read at the same time, and so at most two portions each.
    unsigned lanes = 16;
};

/// Something to be searched, or only complained about.
struct subject
{
    std::string path;
    std::string complaint;
    /// Neither a regular file nor a directory: it is read as it comes.
    bool special = false;
    bool standard_input = false;
};

/// Files are taken from the walk in groups; each group is read by a lane of its own, a task that
/// hands over one portion at a time; lanes are emptied in the order of the walk.
class loader
{
public:
    explicit loader(loader_options options) : options_(std::move(options)) {}

    /// All of it, in the order of the paths. The lanes are tasks of `group`; they end when the
    /// generator is gone. The loader outlives them.
    /// Errors: operation_canceled only; what is wrong with a file is a complaint.
    [[nodiscard]] blitzio::generator<portion> portions(blitzio::task_group& group);

    /// Where the memory of a portion is used again.
    void give_back(buffer used);

    [[nodiscard]] buffer take();

    [[nodiscard]] const loader_options& options() const noexcept
    {
        return options_;
    }

private:
    using lane = blitzio::sync::channel_receiver<portion>;

    /// The next files of the walk; none at its end.
    [[nodiscard]] blitzio::task<blitzio::result<std::vector<subject>>> next_group();
    [[nodiscard]] blitzio::task<blitzio::result<std::optional<subject>>> to_subject(
        blitzio::fs::walk_entry entry);

    loader_options options_;
    std::optional<blitzio::fs::walk> walker_;
    std::size_t next_root_ = 0;
    std::mutex mutex_;
    std::vector<buffer> idle_; // guarded by mutex_
};

} // namespace grep_tree
