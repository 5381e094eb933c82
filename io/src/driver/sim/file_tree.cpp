// Nodes, paths and contents of the simulated file system.
// Thread rule: the simulation's thread only.
#include "driver/sim/file_tree.hpp"

#include "driver/sim/sim_world.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

namespace blitzio::detail::sim
{
namespace
{

constexpr unsigned links_followed_max = 40;
constexpr std::size_t name_bytes_max = 255;
constexpr std::size_t path_bytes_max = 4096; // with the terminator
constexpr std::uint64_t file_bytes_max = std::uint64_t{1} << 44;
constexpr std::chrono::nanoseconds epoch_offset = std::chrono::seconds(1'700'000'000);

/// Appends the components of `path` before `to`'s present front; empty ones say nothing.
void push_components(std::string_view path, std::deque<std::string>& to)
{
    std::deque<std::string> parts;
    while (!path.empty())
    {
        const std::size_t end = std::min(path.find('/'), path.size());
        if (end > 0)
        {
            parts.emplace_back(path.substr(0, end));
        }
        path.remove_prefix(std::min(end + 1, path.size()));
    }
    to.insert(to.begin(), parts.begin(), parts.end());
}

} // namespace

struct file_tree::walk_state
{
    std::deque<std::string> left;
    inode_pointer current;
    unsigned links_followed = 0;
};

file_tree::file_tree(sim_world& world)
    : world_(world), pages_used_(std::make_shared<std::uint64_t>(0)),
      order_key_(world.random().next())
{
    root_ = make_node(file_type::directory, 0755);
    root_->parent = root_;
    root_->link_count = 2;
}

file_tree::~file_tree()
{
    // Present and synced entries together can form rings, for example after two directories have
    // been moved into each other's place.
    for (const auto& weak : directories_)
    {
        if (const auto directory = weak.lock())
        {
            directory->entries.clear();
            directory->durable_entries.clear();
        }
    }
}

std::chrono::nanoseconds file_tree::wall_time() const
{
    return epoch_offset + world_.now();
}

std::uint64_t file_tree::order_of(std::string_view name) const noexcept
{
    std::uint64_t hash = order_key_;
    for (const char letter : name)
    {
        hash = (hash ^ static_cast<unsigned char>(letter)) * 0xBF58476D1CE4E5B9u;
        hash ^= hash >> 31;
    }
    // Once more, so that the last letter reaches the upper bits as well.
    hash *= 0x94D049BB133111EBu;
    return hash ^ (hash >> 29);
}

int file_tree::check_access(const inode& node, std::uint32_t wanted) const
{
    if (!world_.options().check_permissions)
    {
        return 0;
    }
    const std::uint32_t owner_bits = (node.permissions >> 6) & 7u;
    return (owner_bits & wanted) == wanted ? 0 : -EACCES;
}

inode_pointer file_tree::make_node(file_type type, std::uint32_t permissions)
{
    auto node = std::make_shared<inode>(pages_used_);
    node->number = inode_sequence_++;
    node->type = type;
    node->permissions = permissions & 07777u;
    node->modified_at = wall_time();
    if (type == file_type::directory)
    {
        directories_.push_back(node);
    }
    return node;
}

void file_tree::link_node(const inode_pointer& directory, const std::string& name,
                          const inode_pointer& node)
{
    directory->entries[name] = node;
    directory->modified_at = wall_time();
    ++node->link_count;
    if (node->is_directory())
    {
        // Its own "." is a link as well, and its ".." is one to the parent.
        node->link_count = 2;
        node->parent = directory;
        ++directory->link_count;
    }
}

void file_tree::unlink_node(const inode_pointer& directory, const std::string& name)
{
    const auto found = directory->entries.find(name);
    const inode_pointer node = found->second;
    directory->entries.erase(found);
    directory->modified_at = wall_time();
    if (node->is_directory())
    {
        node->link_count = 0;
        --directory->link_count;
    }
    else
    {
        --node->link_count;
    }
}

path_lookup file_tree::resolve(const inode_pointer& base, const char* path, last_link mode)
{
    path_lookup found;
    const std::string_view text = path == nullptr ? std::string_view{} : std::string_view(path);
    if (text.empty() || text.size() >= path_bytes_max)
    {
        found.error = text.empty() ? -ENOENT : -ENAMETOOLONG;
        return found;
    }
    walk_state walk;
    walk.current = text[0] == '/' || base == nullptr ? root_ : base;
    push_components(text, walk.left);
    found.trailing_slash = text.back() == '/';
    found.node = walk.current;
    found.directory = walk.current;
    while (found.error == 0 && !walk.left.empty())
    {
        found.error = step(walk, found, mode);
    }
    return found;
}

int file_tree::step(walk_state& walk, path_lookup& found, last_link mode)
{
    const std::string name = std::move(walk.left.front());
    walk.left.pop_front();
    const bool is_last = walk.left.empty();
    if (!walk.current->is_directory())
    {
        return -ENOTDIR;
    }
    if (name.size() > name_bytes_max)
    {
        return -ENAMETOOLONG;
    }
    if (const int error = check_access(*walk.current, 1); error != 0)
    {
        return error;
    }
    if (name == "." || name == "..")
    {
        if (name == "..")
        {
            const auto up = walk.current->parent.lock();
            walk.current = up == nullptr ? root_ : up;
        }
        found.last = name == "." ? path_lookup::ending::dot : path_lookup::ending::dot_dot;
        found.node = walk.current;
        return 0;
    }
    const auto entry = walk.current->entries.find(name);
    const inode_pointer child = entry == walk.current->entries.end() ? nullptr : entry->second;
    if (child == nullptr && !is_last)
    {
        return -ENOENT;
    }
    const bool is_link = child != nullptr && child->type == file_type::symlink;
    const bool follows = !is_last || mode == last_link::follow ||
                         (mode == last_link::follow_before_slash && found.trailing_slash);
    if (is_link && follows)
    {
        if (++walk.links_followed > links_followed_max)
        {
            return -ELOOP;
        }
        const std::string& target = child->link_target;
        found.trailing_slash = found.trailing_slash || (is_last && target.ends_with('/'));
        walk.current = target.starts_with('/') ? root_ : walk.current;
        push_components(target, walk.left);
        found.node = walk.current;
        found.last = path_lookup::ending::root;
        return target.empty() ? -ENOENT : 0;
    }
    found.directory = walk.current;
    found.name = name;
    found.node = child;
    found.last = path_lookup::ending::name;
    walk.current = child == nullptr ? walk.current : child;
    return 0;
}

void file_tree::fill_status(const inode& node, file_status& out) const
{
    out = {};
    out.size = node.contents.size;
    out.blocks_512 = node.contents.pages.size() * (page_bytes / 512);
    if (node.is_directory())
    {
        out.size = page_bytes;
        out.blocks_512 = page_bytes / 512;
    }
    else if (node.type == file_type::symlink)
    {
        out.size = node.link_target.size();
    }
    out.inode = node.number;
    out.device = 1;
    out.link_count = node.link_count;
    out.permissions = node.permissions;
    out.modified_at = node.modified_at;
    out.type = node.type;
}

std::size_t file_tree::read(const file_contents& from, std::uint64_t offset, std::byte* to,
                            std::size_t length) const
{
    if (offset >= from.size)
    {
        return 0;
    }
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(length, from.size - offset));
    std::size_t done = 0;
    while (done < count)
    {
        const std::uint64_t at = offset + done;
        const std::size_t within = at % page_bytes;
        const std::size_t piece = std::min(page_bytes - within, count - done);
        const auto found = from.pages.find(at / page_bytes);
        if (found == from.pages.end())
        {
            std::memset(to + done, 0, piece);
        }
        else
        {
            std::memcpy(to + done, found->second->data() + within, piece);
        }
        done += piece;
    }
    return count;
}

std::int64_t file_tree::write(inode& node, std::uint64_t offset, const std::byte* from,
                              std::size_t length)
{
    if (length == 0)
    {
        return 0;
    }
    if (offset >= file_bytes_max)
    {
        return -EFBIG;
    }
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(length, file_bytes_max - offset));
    const std::uint64_t disk_bytes_max = world_.options().disk_bytes_max;
    std::size_t done = 0;
    while (done < count)
    {
        const std::uint64_t at = offset + done;
        const std::size_t within = at % page_bytes;
        const std::size_t piece = std::min(page_bytes - within, count - done);
        std::shared_ptr<page>& slot = node.contents.pages[at / page_bytes];
        if (slot == nullptr)
        {
            if (disk_bytes_max != 0 && (*pages_used_ + 1) * page_bytes > disk_bytes_max)
            {
                node.contents.pages.erase(at / page_bytes);
                break;
            }
            slot = std::make_shared<page>();
            ++*pages_used_;
        }
        else if (slot.use_count() > 1)
        {
            slot = std::make_shared<page>(*slot); // the synced state keeps the old one
        }
        std::memcpy(slot->data() + within, from + done, piece);
        done += piece;
    }
    if (done == 0)
    {
        return -ENOSPC;
    }
    node.contents.size = std::max(node.contents.size, offset + done);
    node.modified_at = wall_time();
    return static_cast<std::int64_t>(done);
}

void file_tree::truncate_file(inode& node)
{
    *pages_used_ -= node.contents.pages.size();
    node.contents = {};
    node.modified_at = wall_time();
}

void file_tree::sync(inode& node)
{
    node.durable_contents = node.contents;
    node.durable_entries = node.entries;
}

void file_tree::lose_unsynced()
{
    // A file may be reached by several names, a directory only by one: after a crash between two
    // syncs of a rename the first name met keeps it.
    std::set<std::uint64_t> met;
    std::deque<inode_pointer> left{root_};
    root_->link_count = 2;
    while (!left.empty())
    {
        const inode_pointer directory = left.front();
        left.pop_front();
        directory->entries.clear();
        for (const auto& [name, node] : directory->durable_entries)
        {
            const bool is_new = met.insert(node->number).second;
            if (is_new)
            {
                node->link_count = 0;
                *pages_used_ -= node->contents.pages.size();
                node->contents = node->durable_contents;
                *pages_used_ += node->contents.pages.size();
            }
            if (is_new && node->is_directory())
            {
                left.push_back(node);
            }
            if (is_new || !node->is_directory())
            {
                link_node(directory, name, node);
            }
        }
    }
}

std::string file_tree::text_of(const file_contents& contents)
{
    std::string text(contents.size, '\0');
    for (const auto& [index, content] : contents.pages)
    {
        const std::uint64_t at = index * page_bytes;
        if (at < text.size())
        {
            std::memcpy(text.data() + at, content->data(),
                        std::min<std::uint64_t>(page_bytes, text.size() - at));
        }
    }
    return text;
}

std::optional<std::string> file_tree::contents(std::string_view path)
{
    const auto found = resolve(root_, std::string(path).c_str(), last_link::follow);
    if (found.error != 0 || found.node == nullptr || found.node->type != file_type::regular)
    {
        return std::nullopt;
    }
    return text_of(found.node->contents);
}

std::optional<std::string> file_tree::durable_contents(std::string_view path) const
{
    std::deque<std::string> left;
    push_components(path, left);
    inode_pointer node = root_;
    for (const std::string& name : left)
    {
        const auto found = node->durable_entries.find(name);
        if (found == node->durable_entries.end())
        {
            return std::nullopt;
        }
        node = found->second;
    }
    if (node->type != file_type::regular)
    {
        return std::nullopt;
    }
    return text_of(node->durable_contents);
}

} // namespace blitzio::detail::sim
