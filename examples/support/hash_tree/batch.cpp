// Reading through the driver and hashing on the pool, one stage ahead.
// Thread rule: see the header. fill() and hash() run at the same time, on different stages; hash()
// touches only items that fill() has already ended or leaves alone (their lines).
#include "hash_tree/batch.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace hash_tree
{

namespace bz = blitzio;

namespace
{

/// A stage with less room than this goes to the pool instead of reading crumbs into it.
constexpr std::size_t room_least = 4096;

} // namespace

std::string complaint(std::string_view path, std::string_view reason)
{
    return "hash_tree: " + printable(path) + ": " + std::string(reason) + '\n';
}

workspace::workspace(std::size_t bytes_per_stage) : capacity(bytes_per_stage)
{
    for (stage& each : stages)
    {
        each.bytes = std::make_unique_for_overwrite<std::byte[]>(capacity);
    }
}

bz::task<bz::result<void>> batch::run(workspace& space, bz::compute::pool& pool,
                                      std::function<void(std::vector<item>)> split)
{
    std::size_t current = 0;
    co_await bz::try_(fill(space.stages[current], space.capacity));
    while (!space.stages[current].pieces.empty())
    {
        if (file_.is_open() && offset_ >= space.capacity && next_ + 1 < items_.size())
        {
            // One large file may take as long as a thousand small ones: let others have those.
            const auto rest = items_.begin() + static_cast<std::ptrdiff_t>(next_ + 1);
            split({std::make_move_iterator(rest), std::make_move_iterator(items_.end())});
            items_.erase(rest, items_.end());
        }
        const stage& full = space.stages[current];
        current = 1 - current;
        auto both = co_await bz::when_all(bz::compute_on(pool, [&] { hash(full, space.hasher); }),
                                          fill(space.stages[current], space.capacity));
        co_await bz::try_(std::move(std::get<0>(both)));
        co_await bz::try_(std::move(std::get<1>(both)));
    }
    deliver();
    co_return {};
}

bz::task<bz::result<void>> batch::fill(stage& into, std::size_t capacity)
{
    into.used = 0;
    into.pieces.clear();
    while (next_ < items_.size() && capacity - into.used >= room_least)
    {
        if (!file_.is_open())
        {
            co_await bz::try_(open_next());
            continue;
        }
        const std::span<std::byte> room(into.bytes.get() + into.used, capacity - into.used);
        const auto got = co_await file_.read_at(offset_, room);
        if (!got)
        {
            if (got.error() == std::errc::operation_canceled)
            {
                co_return bz::fail(got.error());
            }
            end_file(got.error());
            continue;
        }
        const bool at_end = *got == 0;
        if (!into.pieces.empty() && into.pieces.back().item == next_)
        {
            into.pieces.back().length += *got;
            into.pieces.back().last = at_end;
        }
        else
        {
            into.pieces.push_back({next_, into.used, *got, offset_ == 0, at_end});
        }
        into.used += *got;
        offset_ += *got;
        if (at_end)
        {
            end_file({});
        }
    }
    co_return {};
}

bz::task<bz::result<void>> batch::open_next()
{
    item& wanted = items_[next_];
    if (!wanted.remark.empty())
    {
        ++next_;
        co_return {};
    }
    // What the walk has seen may be another file by now, and that a FIFO: then opening must not
    // wait for a writer, and there is nothing to hash.
    constexpr bz::fs::open_options without_waiting{.non_block = true};
    auto opened = co_await bz::fs::file::open(wanted.path, without_waiting);
    std::error_code error = opened ? std::error_code() : opened.error();
    if (opened)
    {
        const auto status = co_await opened->stat();
        error = status ? std::error_code() : status.error();
        if (status && status->type == bz::fs::file_type::fifo)
        {
            error = std::make_error_code(std::errc::invalid_seek);
        }
    }
    if (error == std::errc::operation_canceled)
    {
        co_return bz::fail(error);
    }
    if (error)
    {
        end_file(error);
        co_return {};
    }
    file_ = *std::move(opened);
    offset_ = 0;
    co_return {};
}

void batch::end_file(std::error_code error)
{
    if (error)
    {
        items_[next_].failed = true;
        items_[next_].remark = complaint(items_[next_].path, error.message());
        progress_->failures.fetch_add(1, std::memory_order_relaxed);
    }
    file_ = {};
    ++next_;
}

void batch::hash(const stage& from, sha256& hasher)
{
    for (const piece& each : from.pieces)
    {
        if (each.first)
        {
            hasher.begin();
        }
        hasher.update({from.bytes.get() + each.offset, each.length});
        progress_->bytes_done.fetch_add(each.length, std::memory_order_relaxed);
        if (each.last)
        {
            items_[each.item].line = checksum_line(hasher.finish(), items_[each.item].path);
            progress_->files_done.fetch_add(1, std::memory_order_relaxed);
        }
    }
}

void batch::deliver()
{
    for (const item& each : items_)
    {
        out_->complaints += each.remark;
        if (!each.failed)
        {
            out_->lines += each.line;
        }
    }
}

} // namespace hash_tree
