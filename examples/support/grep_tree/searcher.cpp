// Contents that were read, and files that need not be waited for. Thread rule: see the header.
#include "grep_tree/searcher.hpp"

#include "grep_tree/cached_file.hpp"

#include <cstring>
#include <iterator>
#include <span>
#include <utility>

namespace grep_tree
{

namespace
{

/// Of one run of a search; a line that makes it more is printed nevertheless.
constexpr std::size_t text_bytes_max = std::size_t{1} << 20;

/// What one job reads of a file; more is for several threads.
constexpr std::uint64_t cached_bytes_max = std::uint64_t{32} << 20;

} // namespace

searched searcher::run(job work)
{
    if (!work.files.empty())
    {
        return run_cached(std::move(work.files));
    }
    search one(*wanted_, how_, std::move(work.contents));
    findings found;
    one.run(found, text_bytes_max);
    return {std::move(one), std::move(found), {}};
}

findings searcher::go_on(search& begun) const
{
    findings found;
    begun.run(found, text_bytes_max);
    return found;
}

/// One file after the other in the same memory, which stays in the processor's cache.
searched searcher::run_cached(std::vector<subject> files)
{
    searched into{search(*wanted_, how_, {source_->take(), {}}), {}, {}};
    auto next = files.begin();
    auto reached = progress::ended;
    for (; next != files.end() && into.work.ended(); ++next)
    {
        reached = search_cached(*next, into);
        if (reached != progress::ended)
        {
            break;
        }
    }
    source_->note_cached(reached != progress::uncached);
    into.left.assign(std::make_move_iterator(next), std::make_move_iterator(files.end()));
    if (into.work.ended())
    {
        source_->give_back(std::exchange(into.work.contents().space, {}));
    }
    return into;
}

searcher::progress searcher::search_cached(subject& what, searched& into) const
{
    piece part;
    part.path = what.path;
    if (!what.complaint.empty())
    {
        part.complaint = what.complaint;
        into.work.add(std::move(part));
        into.work.run(into.found, text_bytes_max);
        return progress::ended;
    }
    if (what.special)
    {
        return progress::behind;
    }
    const cached_file file(what.path);
    const auto& output = source_->options().output;
    if (!file.is_open() || (output && file.is(*output)))
    {
        return progress::uncached;
    }
    const std::span<char> space(into.work.contents().space.bytes.get(), portion_bytes);
    std::size_t used = 0; // of the space, from part.position on
    for (;;)
    {
        if (used == space.size() || part.position > cached_bytes_max)
        {
            what.position = part.position;
            return progress::behind; // a long line, or something for several threads
        }
        const std::uint64_t position = part.position + used;
        const auto got =
            file.read(position, space.subspan(used, length_to_read(position, space.size() - used)));
        if (!got)
        {
            what.position = part.position;
            return progress::uncached;
        }
        used += *got;
        part.last = *got == 0;
        if (position < block_bytes && position + *got >= block_bytes)
        {
            part.binary = file.has_hole(block_bytes);
        }
        if (!part.last && used < space.size() - block_bytes)
        {
            continue;
        }
        part.length = part.last ? used : whole_lines({space.data(), used}, part.position);
        if (part.length == 0 && !part.last)
        {
            continue;
        }
        into.work.add(part);
        into.work.run(into.found, text_bytes_max);
        part.first = false;
        part.position += part.length;
        if (part.last)
        {
            return progress::ended;
        }
        if (!into.work.ended())
        {
            what.position = part.position;
            return progress::behind;
        }
        used -= part.length;
        std::memmove(space.data(), space.data() + part.length, used);
    }
}

} // namespace grep_tree
