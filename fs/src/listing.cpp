// Reading and ordering one directory of a walk. Thread rule: as the header says.
#include "listing.hpp"

#include <blitzio/fs/path_operations.hpp>

#include <algorithm>
#include <cstring>

namespace blitzio::fs::detail
{

namespace
{

/// The order of all paths below the two names: as if a directory's name ended with a slash. Names
/// contain neither a slash nor a null byte, so two different names are never equal in it.
bool comes_before(std::string_view first, bool first_is_directory, std::string_view second,
                  bool second_is_directory) noexcept
{
    const std::size_t common = std::min(first.size(), second.size());
    if (const int order = std::memcmp(first.data(), second.data(), common); order != 0)
    {
        return order < 0;
    }
    // What follows the common part: the rest of the name, the slash, or the end of the path.
    const auto following = [common](std::string_view name, bool is_directory) -> int {
        if (name.size() > common)
        {
            return static_cast<unsigned char>(name[common]);
        }
        return is_directory ? '/' : -1;
    };
    return following(first, first_is_directory) < following(second, second_is_directory);
}

} // namespace

listing::listing(std::string path_given, std::size_t depth_given, bool reached_by_link)
    : path(std::move(path_given)), depth(depth_given), by_link(reached_by_link)
{
}

std::string listing::path_of(const child& which) const
{
    const bool has_slash = path.ends_with('/');
    std::string full;
    full.reserve(path.size() + 1 + which.name_length);
    full = path;
    if (!has_slash)
    {
        full += '/';
    }
    full += name(which);
    return full;
}

task<void> listing::load(const walk_options& options)
{
    if (!opened_.is_open())
    {
        co_await open(options);
    }
    if (opened_.is_open())
    {
        co_await read_batches(options.sorted);
        co_await resolve_types(options.follow_links);
        put_in_order(options.sorted);
    }
    has_more = opened_.is_open();
}

task<void> listing::open(const walk_options& options)
{
    auto directory = co_await fs::directory::open(path, by_link);
    if (!directory)
    {
        error = directory.error();
        co_return;
    }
    opened_ = std::move(*directory);
    if (options.follow_links)
    {
        // By path: good enough to find a link that leads back.
        const auto status = co_await fs::stat(path);
        if (!status)
        {
            error = status.error();
            static_cast<void>(opened_.close());
            co_return;
        }
        device = status->device;
        inode = status->inode;
    }
}

task<void> listing::read_batches(bool all)
{
    names.clear();
    children.clear();
    directory_batch batch;
    do
    {
        const auto count = co_await opened_.next_batch(batch);
        if (!count)
        {
            error = count.error();
        }
        if (!count || *count == 0)
        {
            static_cast<void>(opened_.close());
            co_return;
        }
        take(batch);
    } while (all && !batch.at_end);
    if (batch.at_end)
    {
        static_cast<void>(opened_.close());
    }
}

void listing::take(const directory_batch& batch)
{
    const auto base = static_cast<std::uint32_t>(names.size());
    names += batch.names;
    children.reserve(children.size() + batch.entries.size());
    for (const auto& entry : batch.entries)
    {
        children.push_back({.name_offset = base + entry.name_offset,
                            .name_length = entry.name_length,
                            .type = entry.type,
                            .is_link = false,
                            .error = 0});
    }
}

task<void> listing::resolve_types(bool follow_links)
{
    for (child& each : children)
    {
        const bool through_link = follow_links && each.type == file_type::symlink;
        if (each.type != file_type::unknown && !through_link)
        {
            continue;
        }
        auto status = co_await fs::stat(path_of(each), false);
        const bool is_link = status && status->type == file_type::symlink;
        if (is_link && follow_links)
        {
            status = co_await fs::stat(path_of(each), true);
        }
        if (!status)
        {
            each.error = status.error().value();
            continue;
        }
        each.type = status->type;
        each.is_link = is_link && follow_links;
    }
}

void listing::put_in_order(bool sorted)
{
    if (sorted)
    {
        std::ranges::sort(children, [this](const child& first, const child& second) {
            return comes_before(name(first), first.type == file_type::directory, name(second),
                                second.type == file_type::directory);
        });
    }
    next_child = 0;
    next_directory = 0;
    directories.clear();
    for (std::size_t index = 0; index < children.size(); ++index)
    {
        if (children[index].type == file_type::directory)
        {
            directories.push_back(static_cast<std::uint32_t>(index));
        }
    }
}

} // namespace blitzio::fs::detail
