// The files of a simulated world: a tree in memory with the semantics and errors of a Linux file
// system, and, kept apart from it, what would be left of it after a crash.
// Thread rule: the simulation's thread only.
#pragma once

#include <blitzio/io/detail/file_types.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace blitzio::detail
{
class sim_world;
} // namespace blitzio::detail

namespace blitzio::detail::sim
{

inline constexpr std::size_t page_bytes = 4096;
using page = std::array<std::byte, page_bytes>;

/// Contents with holes. Copies share their pages until one of them is written to, which makes
/// keeping the state of the last sync cheap.
struct file_contents
{
    std::map<std::uint64_t, std::shared_ptr<page>> pages;
    std::uint64_t size = 0;
};

struct inode
{
    explicit inode(std::shared_ptr<std::uint64_t> pages_in_use)
        : pages_used(std::move(pages_in_use))
    {
    }

    inode(const inode&) = delete;
    inode& operator=(const inode&) = delete;

    /// Space is given back when the last name and the last open descriptor are gone.
    ~inode()
    {
        *pages_used -= contents.pages.size();
    }

    std::uint64_t number = 0;
    file_type type = file_type::regular;
    std::uint32_t permissions = 0;
    std::uint32_t link_count = 0;
    std::chrono::nanoseconds modified_at{};
    file_contents contents;
    std::map<std::string, std::shared_ptr<inode>, std::less<>> entries;
    std::weak_ptr<inode> parent;
    std::string link_target;

    /// Shared by all files of a tree.
    std::shared_ptr<std::uint64_t> pages_used;

    // As of the last sync; a file that was never synced is empty, a directory without entries.
    file_contents durable_contents;
    std::map<std::string, std::shared_ptr<inode>, std::less<>> durable_entries;

    [[nodiscard]] bool is_directory() const noexcept
    {
        return type == file_type::directory;
    }
};

using inode_pointer = std::shared_ptr<inode>;

/// Where a path leads.
struct path_lookup
{
    enum class ending : std::uint8_t
    {
        name,
        root,
        dot,
        dot_dot,
    };

    int error = 0; // negated errno; the rest counts only when it is 0
    inode_pointer directory;
    std::string name;
    inode_pointer node; // nullptr: `name` is not in `directory`
    ending last = ending::root;
    bool trailing_slash = false;
};

class file_tree
{
public:
    explicit file_tree(sim_world& world);
    ~file_tree();

    // To set up and to inspect a world. Paths are absolute; missing parents are made. A path that
    // cannot be made (its parent is a file, it exists as something else) is a violation. What is
    // set up counts as synced.

    void add_directory(std::string_view path, std::uint32_t permissions = 0755);
    void add_file(std::string_view path, std::string_view contents,
                  std::uint32_t permissions = 0644);
    void add_symlink(std::string_view path, std::string_view target);
    /// A hard link.
    void add_link(std::string_view path, std::string_view existing);
    /// A FIFO or a device: can be seen, not opened.
    void add_special(std::string_view path, file_type type);
    /// A regular file without contents of the given size.
    void add_sparse_file(std::string_view path, std::uint64_t size);
    void set_permissions(std::string_view path, std::uint32_t permissions);
    [[nodiscard]] bool exists(std::string_view path);
    [[nodiscard]] std::optional<std::string> contents(std::string_view path);
    /// What a crash would leave: only what was synced, reached only through synced directories.
    [[nodiscard]] std::optional<std::string> durable_contents(std::string_view path) const;
    /// The crash itself: forgets everything that was not synced. Open files keep what they have.
    void lose_unsynced();

    // Operations; results are 0 or a negated errno.

    /// The file to open, made or emptied if that was asked for.
    [[nodiscard]] int open(const inode_pointer& base, const char* path, std::uint32_t flags,
                           std::uint32_t mode, inode_pointer& node);
    [[nodiscard]] int stat(const inode_pointer& base, const char* path, bool follow_links,
                           file_status& out);
    void fill_status(const inode& node, file_status& out) const;
    [[nodiscard]] int unlink(const inode_pointer& base, const char* path, bool directory);
    [[nodiscard]] int make_directory(const inode_pointer& base, const char* path,
                                     std::uint32_t mode);
    [[nodiscard]] int rename(const inode_pointer& base, const char* from, const char* to,
                             bool replace);
    [[nodiscard]] int make_socket_node(const std::string& path, std::uint64_t& inode_number);
    [[nodiscard]] int find_socket_node(const std::string& path, std::uint64_t& inode_number);

    // Contents.

    [[nodiscard]] std::size_t read(const file_contents& from, std::uint64_t offset, std::byte* to,
                                   std::size_t length) const;
    /// Bytes written, fewer when the disk is full, or -ENOSPC.
    [[nodiscard]] std::int64_t write(inode& node, std::uint64_t offset, const std::byte* from,
                                     std::size_t length);
    void truncate_file(inode& node);
    void sync(inode& node);

    [[nodiscard]] const inode_pointer& root() const noexcept
    {
        return root_;
    }
    [[nodiscard]] std::chrono::nanoseconds wall_time() const;
    [[nodiscard]] std::uint64_t order_of(std::string_view name) const noexcept;

private:
    struct walk_state;

    enum class last_link : std::uint8_t
    {
        follow,
        follow_before_slash, // "link/" means the directory, "link" the link
        keep,
    };

    [[nodiscard]] path_lookup resolve(const inode_pointer& base, const char* path, last_link mode);
    [[nodiscard]] int step(walk_state& walk, path_lookup& found, last_link mode);
    [[nodiscard]] int check_access(const inode& node, std::uint32_t wanted) const;
    [[nodiscard]] inode_pointer make_node(file_type type, std::uint32_t permissions);
    void link_node(const inode_pointer& directory, const std::string& name,
                   const inode_pointer& node);
    void unlink_node(const inode_pointer& directory, const std::string& name);
    [[nodiscard]] int open_found(const path_lookup& found, std::uint32_t flags);
    [[nodiscard]] int create_found(path_lookup& found, std::uint32_t mode);
    [[nodiscard]] int check_rename(const path_lookup& from, const path_lookup& to,
                                   bool replace) const;
    [[nodiscard]] inode_pointer set_up(std::string_view path, file_type type,
                                       std::uint32_t permissions);
    [[nodiscard]] static std::string text_of(const file_contents& contents);

    sim_world& world_;
    inode_pointer root_;
    std::uint64_t inode_sequence_ = 1;
    std::shared_ptr<std::uint64_t> pages_used_;
    std::uint64_t order_key_;
    /// All that were ever made, to take the tree apart at the end.
    std::vector<std::weak_ptr<inode>> directories_;
};

} // namespace blitzio::detail::sim
