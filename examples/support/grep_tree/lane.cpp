// Cutting files into pieces of whole lines. Thread rule: see the header.
#include "grep_tree/lane.hpp"

#include "grep_tree/input.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace grep_tree
{

namespace bz = blitzio;

namespace
{

/// A portion with less room than this is handed over instead of getting the beginning of another
/// file, which would have to be moved when the rest does not fit: most files are smaller.
constexpr std::size_t room_least = block_bytes;

class filler
{
public:
    filler(loader& from, bz::sync::channel_sender<portion>& out) : from_(from), out_(out)
    {
        begin_portion();
    }

    /// An error: nobody receives any more, or a stop was requested.
    [[nodiscard]] bz::task<bz::result<void>> add(subject what);

    /// Hands over what is left.
    [[nodiscard]] bz::task<bz::result<void>> finish()
    {
        if (!current_.pieces.empty())
        {
            co_await bz::try_(out_.send(std::move(current_)));
        }
        co_return {};
    }

private:
    void begin_portion()
    {
        current_ = {from_.take(), {}};
        used_ = 0;
    }

    void complain(const subject& about, const std::string& reason)
    {
        piece added;
        added.path = about.path;
        added.complaint = reason;
        current_.pieces.push_back(std::move(added));
    }

    void append_piece(std::size_t length, bool last);
    [[nodiscard]] bz::task<bz::result<bool>> look_at(const subject& what, input& opened);
    [[nodiscard]] bz::task<bz::result<void>> read_all(const subject& what, input& opened);
    [[nodiscard]] bz::task<bz::result<void>> make_room();
    [[nodiscard]] std::span<std::byte> room_to_read() const;

    loader& from_;
    bz::sync::channel_sender<portion>& out_;
    portion current_;
    std::size_t used_ = 0;
    /// The part of the file that is being read which is not yet in current_.pieces: from
    /// piece_.offset to used_.
    piece piece_;
};

bz::task<bz::result<void>> filler::add(subject what)
{
    if (!what.complaint.empty())
    {
        complain(what, what.complaint);
        co_return {};
    }
    if (current_.space.capacity - used_ < room_least)
    {
        co_await bz::try_(out_.send(std::move(current_)));
        begin_portion();
    }
    input opened;
    auto outcome = co_await opened.open(what);
    if (outcome)
    {
        outcome = co_await read_all(what, opened);
    }
    const bool ours = !outcome && (outcome.error() == std::errc::operation_canceled ||
                                   outcome.error() == bz::io_errc::closed);
    if (ours)
    {
        co_return outcome;
    }
    if (!outcome)
    {
        complain(what, outcome.error().message());
    }
    co_return {};
}

/// False: the file is what is printed to.
bz::task<bz::result<bool>> filler::look_at(const subject& what, input& opened)
{
    const auto& output = from_.options().output;
    if (!output || !opened.is_regular())
    {
        co_return true;
    }
    const auto status = co_await bz::try_(opened.status());
    if (file_identity{status.device, status.inode} != *output)
    {
        co_return true;
    }
    complain(what, "input file is also the output");
    co_return false;
}

bz::task<bz::result<void>> filler::read_all(const subject& what, input& opened)
{
    const bool searched = co_await bz::try_(look_at(what, opened));
    if (!searched)
    {
        co_return {};
    }
    piece_ = {};
    piece_.path = what.path;
    piece_.offset = used_;
    piece_.position = what.position;
    piece_.first = what.position == 0;
    for (bool holes_looked_for = !opened.is_regular();;)
    {
        if (used_ == current_.space.capacity)
        {
            co_await bz::try_(make_room());
        }
        const auto got = co_await opened.read(room_to_read());
        if (!got && got.error() == std::errc::operation_canceled)
        {
            co_return bz::fail(got.error());
        }
        used_ += got.value_or(0);
        const bool abandoned = piece_.abandoned != nullptr && piece_.abandoned->load();
        if (!got || *got == 0 || abandoned)
        {
            append_piece(used_ - piece_.offset, true);
            co_return got ? bz::result<void>() : bz::fail(got.error());
        }
        if (!holes_looked_for && piece_.position + (used_ - piece_.offset) >= block_bytes)
        {
            holes_looked_for = true;
            const auto status = co_await bz::try_(opened.status());
            if (status.blocks_512 * 512 < status.size)
            {
                piece_.binary = co_await opened.has_hole(what.path, block_bytes);
            }
        }
    }
}

std::span<std::byte> filler::room_to_read() const
{
    const std::uint64_t position = piece_.position + (used_ - piece_.offset);
    const std::size_t length = length_to_read(position, current_.space.capacity - used_);
    return std::as_writable_bytes(std::span(current_.space.bytes.get() + used_, length));
}

void filler::append_piece(std::size_t length, bool last)
{
    if (!last && piece_.abandoned == nullptr)
    {
        piece_.abandoned = std::make_shared<std::atomic<bool>>(false);
    }
    piece added = piece_;
    added.length = length;
    added.last = last;
    current_.pieces.push_back(std::move(added));
    piece_.offset += length;
    piece_.position += length;
    piece_.first = false;
}

/// Hands over what is whole, and begins a portion with the rest; when nothing is, the portion grows.
bz::task<bz::result<void>> filler::make_room()
{
    const std::string_view unfinished(current_.space.bytes.get() + piece_.offset,
                                      used_ - piece_.offset);
    if (const std::size_t cut = whole_lines(unfinished, piece_.position); cut != 0)
    {
        append_piece(cut, false);
    }
    const std::size_t rest = used_ - piece_.offset;
    const bool grows = current_.pieces.empty();
    buffer next =
        grows ? buffer{std::make_unique_for_overwrite<char[]>(2 * used_), 2 * used_} : from_.take();
    if (rest > next.capacity)
    {
        next = {std::make_unique_for_overwrite<char[]>(2 * rest), 2 * rest};
    }
    std::memcpy(next.bytes.get(), current_.space.bytes.get() + piece_.offset, rest);
    portion full{std::exchange(current_.space, std::move(next)), std::move(current_.pieces)};
    current_.pieces.clear();
    used_ = rest;
    piece_.offset = 0;
    if (!grows)
    {
        co_await bz::try_(out_.send(std::move(full)));
    }
    co_return {};
}

} // namespace

bz::task<void> fill_lane(loader& from, std::vector<subject> files,
                         bz::sync::channel_sender<portion> out)
{
    filler into(from, out);
    for (subject& each : files)
    {
        const auto added = co_await into.add(std::move(each));
        if (!added)
        {
            co_return;
        }
    }
    static_cast<void>(co_await into.finish());
}

} // namespace grep_tree
