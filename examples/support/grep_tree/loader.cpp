// Walking and lanes. Thread rule: see the header.
#include "grep_tree/loader.hpp"

#include "grep_tree/lane.hpp"

#include <algorithm>
#include <utility>

namespace grep_tree
{

namespace bz = blitzio;

namespace
{

/// Enough small files to fill a portion, few enough to share a directory among the lanes.
constexpr std::size_t group_files_max = 16;
/// Groups that are read by lanes before the short way is tried again, at most.
constexpr unsigned pause_most = 1024;

} // namespace

buffer loader::take()
{
    {
        const std::lock_guard lock(mutex_);
        if (!idle_.empty())
        {
            buffer taken = std::move(idle_.back());
            idle_.pop_back();
            return taken;
        }
    }
    return {std::make_unique_for_overwrite<char[]>(portion_bytes), portion_bytes};
}

void loader::give_back(buffer used)
{
    if (used.capacity == portion_bytes) // not one that has grown for a long line
    {
        const std::lock_guard lock(mutex_);
        idle_.push_back(std::move(used));
    }
}

void loader::note_cached(bool was) noexcept
{
    const unsigned misses = misses_.load(std::memory_order_relaxed);
    if (was)
    {
        misses_.store(misses / 2, std::memory_order_relaxed);
        return;
    }
    // A single miss says little; when the next group is missed, too, more and more are read ahead.
    groups_to_read_.store(misses, std::memory_order_relaxed);
    misses_.store(std::clamp(2 * misses, 1u, pause_most), std::memory_order_relaxed);
}

bool loader::expect_cached() noexcept
{
    const unsigned left = groups_to_read_.load(std::memory_order_relaxed);
    if (left != 0)
    {
        groups_to_read_.store(left - 1, std::memory_order_relaxed);
    }
    return left == 0;
}

loader::lane loader::read(std::vector<subject> files, bz::task_group& group)
{
    auto [sender, receiver] = bz::sync::channel<portion>(1);
    group.spawn(fill_lane(*this, std::move(files), std::move(sender)));
    return std::move(receiver);
}

bz::generator<job> loader::read_ahead(std::vector<subject> files, bz::task_group& group)
{
    lane from = read(std::move(files), group);
    for (;;)
    {
        auto next = co_await from.receive();
        if (!next && next.error() == bz::io_errc::closed)
        {
            co_return;
        }
        co_yield job{co_await bz::try_(std::move(next)), {}};
    }
}

bz::generator<job> loader::jobs(bz::task_group& group)
{
    std::deque<lane> lanes;
    std::vector<subject> waiting; // for the lanes to be empty: groups keep their order
    for (bool all_found = false;;)
    {
        while (!all_found && waiting.empty() && lanes.size() < options_.lanes)
        {
            auto files = co_await bz::try_(next_group());
            all_found = files.empty();
            if (all_found)
            {
                break;
            }
            if (expect_cached())
            {
                waiting = std::move(files);
            }
            else
            {
                lanes.push_back(read(std::move(files), group));
            }
        }
        if (lanes.empty())
        {
            if (waiting.empty())
            {
                break;
            }
            co_yield job{{}, std::exchange(waiting, {})};
            continue;
        }
        auto next = co_await lanes.front().receive();
        if (!next && next.error() == bz::io_errc::closed)
        {
            lanes.pop_front();
            continue;
        }
        co_yield job{co_await bz::try_(std::move(next)), {}};
    }
}

bz::task<bz::result<std::vector<subject>>> loader::next_group()
{
    std::vector<subject> files;
    while (files.size() < group_files_max)
    {
        if (!walker_)
        {
            if (next_root_ == options_.roots.size())
            {
                break;
            }
            const std::string& root = options_.roots[next_root_++];
            if (root == "-")
            {
                files.push_back({"(standard input)", {}, true, true});
                continue;
            }
            bz::fs::walk_options how;
            how.directories = false;
            walker_.emplace(root, how);
        }
        auto entry = co_await walker_->next();
        if (!entry)
        {
            walker_.reset();
            continue;
        }
        auto found = co_await bz::try_(to_subject(*std::move(entry)));
        if (found)
        {
            files.push_back(*std::move(found));
        }
    }
    co_return files;
}

bz::task<bz::result<std::optional<subject>>> loader::to_subject(bz::fs::walk_entry entry)
{
    using bz::fs::file_type;
    if (!entry.error && entry.type == file_type::unknown)
    {
        const auto status = co_await bz::fs::stat(entry.path, false);
        entry.error = status ? std::error_code() : status.error();
        entry.type = status ? status->type : entry.type;
    }
    if (entry.error == std::errc::operation_canceled)
    {
        co_return bz::fail(entry.error);
    }
    subject found{std::move(entry.path), {}, false, false};
    if (entry.error)
    {
        found.complaint = entry.error.message();
        co_return found;
    }
    if (entry.type == file_type::regular)
    {
        co_return found;
    }
    // Below a directory only regular files are searched; what was named is read whatever it is.
    if (entry.depth != 0 || entry.type == file_type::directory)
    {
        co_return std::nullopt;
    }
    found.special = true;
    co_return found;
}

} // namespace grep_tree
