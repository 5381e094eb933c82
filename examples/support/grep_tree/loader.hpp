// From paths to jobs: the trees are walked, and files read ahead of whoever searches.
// Thread rule: jobs() belongs to one task; the lanes that it starts run on any worker; take(),
// give_back() and note_cached() from any thread.
#pragma once

#include "grep_tree/portion.hpp"

#include <blitzio/blitzio.hpp>

#include <atomic>
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

    friend bool operator==(const file_identity&, const file_identity&) = default;
};

struct loader_options
{
    std::vector<std::string> roots;
    std::optional<file_identity> output;
    /// Groups of files that are read at the same time, and so at most two portions each.
    unsigned lanes = 16;
};

/// Files are taken from the walk in groups. What the system has in memory is best read where it is
/// searched: a group becomes a job as it is. As soon as that turns out to be impossible, the groups
/// that follow are read ahead, each by a lane of its own, a task that hands over one portion at a
/// time; lanes are emptied in the order of the walk. After a while the short way is tried again.
class loader
{
public:
    explicit loader(loader_options options) : options_(std::move(options)) {}

    /// All of it, in the order of the paths. The lanes are tasks of `group`; they end when the
    /// generator is gone. The loader outlives them.
    /// Errors: operation_canceled only; what is wrong with a file is a complaint.
    [[nodiscard]] blitzio::generator<job> jobs(blitzio::task_group& group);

    /// These files only, by a lane.
    [[nodiscard]] blitzio::generator<job> read_ahead(std::vector<subject> files,
                                                     blitzio::task_group& group);

    /// Whether a group that was to be read where it was searched could be. Any thread.
    void note_cached(bool was) noexcept;

    /// Where the memory of a portion is used again.
    void give_back(buffer used);

    [[nodiscard]] buffer take();

    [[nodiscard]] const loader_options& options() const noexcept
    {
        return options_;
    }

private:
    using lane = blitzio::sync::channel_receiver<portion>;

    /// Starts a lane.
    [[nodiscard]] lane read(std::vector<subject> files, blitzio::task_group& group);
    /// Whether the next group goes the short way.
    [[nodiscard]] bool expect_cached() noexcept;

    /// The next files of the walk; none at its end.
    [[nodiscard]] blitzio::task<blitzio::result<std::vector<subject>>> next_group();
    [[nodiscard]] blitzio::task<blitzio::result<std::optional<subject>>> to_subject(
        blitzio::fs::walk_entry entry);

    loader_options options_;
    std::optional<blitzio::fs::walk> walker_;
    std::size_t next_root_ = 0;
    /// Groups that go to lanes before the short way is tried again, and how many it will be after
    /// the next miss. Hints: it does not matter when an update is lost.
    std::atomic<unsigned> groups_to_read_{0};
    std::atomic<unsigned> misses_{0};
    std::mutex mutex_;
    std::vector<buffer> idle_; // guarded by mutex_
};

} // namespace grep_tree
