// What changes the tree of the simulated file system, and how a test sets one up.
// Thread rule: the simulation's thread only.
#include "driver/sim/file_tree.hpp"

#include "driver/sim/sim_world.hpp"

#include <cerrno>
#include <string>
#include <utility>

namespace blitzio::detail::sim
{
namespace
{

constexpr std::uint32_t may_read = 4;
constexpr std::uint32_t may_write = 2;

bool has(std::uint32_t flags, std::uint32_t flag) noexcept
{
    return (flags & flag) != 0;
}

bool lies_within(inode_pointer node, const inode_pointer& directory)
{
    while (node != directory)
    {
        const inode_pointer up = node->parent.lock();
        if (up == nullptr || up == node)
        {
            return false;
        }
        node = up;
    }
    return true;
}

} // namespace

int file_tree::open(const inode_pointer& base, const char* path, std::uint32_t flags,
                    std::uint32_t mode, inode_pointer& node)
{
    if (has(flags, open_flags::create) && has(flags, open_flags::directory))
    {
        return -EINVAL;
    }
    const bool is_new_only = has(flags, open_flags::create) && has(flags, open_flags::exclusive);
    const auto linking = has(flags, open_flags::no_follow) || is_new_only
                             ? last_link::follow_before_slash
                             : last_link::follow;
    auto found = resolve(base, path, linking);
    if (found.error != 0)
    {
        return found.error;
    }
    if (has(flags, open_flags::create) && found.trailing_slash)
    {
        return -EISDIR;
    }
    if (found.node == nullptr)
    {
        const int error = has(flags, open_flags::create) ? create_found(found, mode) : -ENOENT;
        node = found.node;
        return error;
    }
    if (is_new_only)
    {
        return -EEXIST;
    }
    node = found.node;
    return open_found(found, flags);
}

int file_tree::create_found(path_lookup& found, std::uint32_t mode)
{
    if (found.directory->link_count == 0)
    {
        return -ENOENT; // the directory itself has been removed
    }
    if (const int error = check_access(*found.directory, may_write); error != 0)
    {
        return error;
    }
    found.node = make_node(file_type::regular, mode);
    link_node(found.directory, found.name, found.node);
    return 0;
}

int file_tree::open_found(const path_lookup& found, std::uint32_t flags)
{
    const inode& node = *found.node;
    if ((has(flags, open_flags::directory) || found.trailing_slash) && !node.is_directory())
    {
        return -ENOTDIR;
    }
    if (node.type == file_type::symlink)
    {
        return -ELOOP;
    }
    const bool changes = has(flags, open_flags::write) || has(flags, open_flags::truncate);
    if (node.is_directory() && (changes || has(flags, open_flags::create)))
    {
        return -EISDIR;
    }
    const bool opens = node.type == file_type::regular || node.type == file_type::fifo;
    if (!node.is_directory() && !opens)
    {
        return -ENXIO;
    }
    const bool reads = has(flags, open_flags::read) || !has(flags, open_flags::write);
    const std::uint32_t wanted = (reads ? may_read : 0) | (changes ? may_write : 0);
    if (const int error = check_access(node, wanted); error != 0)
    {
        return error;
    }
    if (has(flags, open_flags::truncate) && node.type == file_type::regular)
    {
        truncate_file(*found.node);
    }
    return 0;
}

int file_tree::stat(const inode_pointer& base, const char* path, bool follow_links,
                    file_status& out)
{
    const auto found =
        resolve(base, path, follow_links ? last_link::follow : last_link::follow_before_slash);
    if (found.error != 0)
    {
        return found.error;
    }
    if (found.node == nullptr)
    {
        return -ENOENT;
    }
    if (found.trailing_slash && !found.node->is_directory())
    {
        return -ENOTDIR;
    }
    fill_status(*found.node, out);
    return 0;
}

int file_tree::unlink(const inode_pointer& base, const char* path, bool directory)
{
    const auto found = resolve(base, path, last_link::keep);
    if (found.error != 0)
    {
        return found.error;
    }
    switch (found.last)
    {
    case path_lookup::ending::name: break;
    case path_lookup::ending::root: return directory ? -EBUSY : -EISDIR;
    case path_lookup::ending::dot: return directory ? -EINVAL : -EISDIR;
    case path_lookup::ending::dot_dot: return directory ? -ENOTEMPTY : -EISDIR;
    }
    if (found.node == nullptr)
    {
        return -ENOENT;
    }
    const bool is_directory = found.node->is_directory();
    if (!is_directory && (directory || found.trailing_slash))
    {
        return -ENOTDIR;
    }
    if (const int error = check_access(*found.directory, may_write); error != 0)
    {
        return error;
    }
    if (is_directory && !directory)
    {
        return -EISDIR;
    }
    if (is_directory && !found.node->entries.empty())
    {
        return -ENOTEMPTY;
    }
    unlink_node(found.directory, found.name);
    return 0;
}

int file_tree::make_directory(const inode_pointer& base, const char* path, std::uint32_t mode)
{
    const auto found = resolve(base, path, last_link::keep);
    if (found.error != 0)
    {
        return found.error;
    }
    if (found.last != path_lookup::ending::name || found.node != nullptr)
    {
        return -EEXIST;
    }
    if (found.directory->link_count == 0)
    {
        return -ENOENT;
    }
    if (const int error = check_access(*found.directory, may_write); error != 0)
    {
        return error;
    }
    link_node(found.directory, found.name, make_node(file_type::directory, mode));
    return 0;
}

int file_tree::check_rename(const path_lookup& from, const path_lookup& to, bool replace) const
{
    if (from.error != 0 || to.error != 0)
    {
        return from.error != 0 ? from.error : to.error;
    }
    if (from.last != path_lookup::ending::name || to.last != path_lookup::ending::name)
    {
        return -EBUSY;
    }
    if (from.node == nullptr)
    {
        return -ENOENT;
    }
    if (to.node != nullptr && !replace)
    {
        return -EEXIST;
    }
    const bool is_directory = from.node->is_directory();
    if (!is_directory && (from.trailing_slash || to.trailing_slash))
    {
        return -ENOTDIR;
    }
    if (is_directory && to.node != from.node && lies_within(to.directory, from.node))
    {
        return -EINVAL;
    }
    if (to.node != nullptr && to.node != from.node && lies_within(from.directory, to.node))
    {
        return -ENOTEMPTY;
    }
    if (to.node == from.node)
    {
        return 0;
    }
    if (to.directory->link_count == 0)
    {
        return -ENOENT;
    }
    const int from_access = check_access(*from.directory, may_write);
    const int to_access = check_access(*to.directory, may_write);
    if (from_access != 0 || to_access != 0)
    {
        return -EACCES;
    }
    if (to.node == nullptr)
    {
        return 0;
    }
    if (is_directory != to.node->is_directory())
    {
        return is_directory ? -ENOTDIR : -EISDIR;
    }
    return is_directory && !to.node->entries.empty() ? -ENOTEMPTY : 0;
}

int file_tree::rename(const inode_pointer& base, const char* from, const char* to, bool replace)
{
    const auto source = resolve(base, from, last_link::keep);
    const auto target = resolve(base, to, last_link::keep);
    if (const int error = check_rename(source, target, replace); error != 0)
    {
        return error;
    }
    if (source.node == target.node)
    {
        return 0; // two names of one file: nothing happens, as POSIX wants it
    }
    if (target.node != nullptr)
    {
        unlink_node(target.directory, target.name);
    }
    unlink_node(source.directory, source.name);
    link_node(target.directory, target.name, source.node);
    if (source.node->is_directory())
    {
        for (const auto& [name, child] : source.node->entries)
        {
            // link_node() began anew with an empty directory's count.
            source.node->link_count += child->is_directory() ? 1 : 0;
        }
    }
    return 0;
}

int file_tree::make_socket_node(const std::string& path, std::uint64_t& inode_number)
{
    const auto found = resolve(root_, path.c_str(), last_link::keep);
    if (found.error != 0)
    {
        return found.error;
    }
    if (found.last != path_lookup::ending::name || found.node != nullptr)
    {
        return -EEXIST;
    }
    if (const int error = check_access(*found.directory, may_write); error != 0)
    {
        return error;
    }
    const auto node = make_node(file_type::socket, 0755);
    link_node(found.directory, found.name, node);
    inode_number = node->number;
    return 0;
}

int file_tree::find_socket_node(const std::string& path, std::uint64_t& inode_number)
{
    const auto found = resolve(root_, path.c_str(), last_link::follow);
    if (found.error != 0)
    {
        return found.error;
    }
    if (found.node == nullptr)
    {
        return -ENOENT;
    }
    if (const int error = check_access(*found.node, may_write); error != 0)
    {
        return error;
    }
    inode_number = found.node->number;
    return found.node->type == file_type::socket ? 0 : -ECONNREFUSED;
}

inode_pointer file_tree::set_up(std::string_view path, file_type type, std::uint32_t permissions)
{
    const std::string text(path);
    for (std::size_t slash = text.find('/', 1); slash != std::string::npos;
         slash = text.find('/', slash + 1))
    {
        const std::string parent = text.substr(0, slash);
        const auto found = resolve(root_, parent.c_str(), last_link::follow);
        if (found.error == 0 && found.node == nullptr)
        {
            const auto made = make_node(file_type::directory, 0755);
            link_node(found.directory, found.name, made);
            sync(*found.directory);
        }
    }
    const auto found = resolve(root_, text.c_str(), last_link::keep);
    if (found.error != 0 || found.last != path_lookup::ending::name || found.node != nullptr)
    {
        world_.report_violation("cannot set up " + text);
        return make_node(type, permissions);
    }
    const auto made = make_node(type, permissions);
    link_node(found.directory, found.name, made);
    sync(*found.directory);
    return made;
}

void file_tree::add_directory(std::string_view path, std::uint32_t permissions)
{
    (void)set_up(path, file_type::directory, permissions);
}

void file_tree::add_file(std::string_view path, std::string_view contents,
                         std::uint32_t permissions)
{
    const auto node = set_up(path, file_type::regular, permissions);
    (void)write(*node, 0, reinterpret_cast<const std::byte*>(contents.data()), contents.size());
    sync(*node);
}

void file_tree::add_symlink(std::string_view path, std::string_view target)
{
    set_up(path, file_type::symlink, 0777)->link_target = target;
}

void file_tree::add_link(std::string_view path, std::string_view existing)
{
    const auto source = resolve(root_, std::string(existing).c_str(), last_link::keep);
    const auto target = resolve(root_, std::string(path).c_str(), last_link::keep);
    const bool is_possible = source.error == 0 && target.error == 0 && source.node != nullptr &&
                             target.node == nullptr && !source.node->is_directory();
    if (!is_possible)
    {
        world_.report_violation("cannot set up " + std::string(path));
        return;
    }
    link_node(target.directory, target.name, source.node);
    sync(*target.directory);
}

void file_tree::add_special(std::string_view path, file_type type)
{
    (void)set_up(path, type, 0644);
}

void file_tree::add_sparse_file(std::string_view path, std::uint64_t size)
{
    const auto node = set_up(path, file_type::regular, 0644);
    node->contents.size = size;
    sync(*node);
}

void file_tree::set_permissions(std::string_view path, std::uint32_t permissions)
{
    const auto found = resolve(root_, std::string(path).c_str(), last_link::keep);
    if (found.error != 0 || found.node == nullptr)
    {
        world_.report_violation("no such file to set up: " + std::string(path));
        return;
    }
    found.node->permissions = permissions & 07777u;
}

bool file_tree::exists(std::string_view path)
{
    const auto found = resolve(root_, std::string(path).c_str(), last_link::keep);
    return found.error == 0 && found.node != nullptr;
}

} // namespace blitzio::detail::sim
