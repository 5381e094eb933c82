// Everything below a directory, as a stream.
// Thread rule: one task uses a walk at a time; it may continue on any worker.
#pragma once

#include <blitzio/fs/types.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/task.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

namespace blitzio::fs
{

struct walk_options
{
    /// Bytewise by full path, as sorting all paths would give: a directory counts as its name with
    /// a slash behind it, so "a.txt" comes before "a/b". Unsorted is the file system's order.
    bool sorted = true;
    /// Symbolic links to directories are walked into, others tell the type of what they lead to. A
    /// link that leads back to a directory above is too_many_symbolic_link_levels.
    bool follow_links = false;
    /// Directories appear themselves, before what they contain. Those that cannot be read appear in
    /// any case.
    bool directories = true;
    /// How many levels below the root appear; those deeper are left out.
    std::size_t depth_max = static_cast<std::size_t>(-1);
    /// Directories that are read at the same time; at least 1, at most 64.
    unsigned concurrency = 16;
};

struct walk_entry
{
    /// Begins with the root as it was given.
    std::string path;
    file_type type = file_type::unknown;
    /// 1 for what the root contains; 0 for the root itself.
    std::size_t depth = 0;
    /// Why a directory could not be read, or a type not be told. The walk goes on, except after
    /// operation_canceled.
    std::error_code error;
};

namespace detail
{
class walk_state;
class walk_next_operation;
} // namespace detail

/// Walks a tree:
///
///     fs::walk walker("/usr/share");
///     while (auto entry = co_await walker.next())
///         ...
///
/// A root that is a directory does not appear itself; any other file is the only entry. A symbolic
/// link given as the root is followed.
///
/// Memory: the listings of the directories on the current path (when unsorted, one portion of
/// each), plus at most 4 * concurrency directories that were read ahead; once those hold a
/// megabyte, nothing more is read ahead. Descriptors: at most `concurrency` at a time; when
/// unsorted, one per large directory on the path or read ahead.
/// A tree that changes meanwhile: what vanishes between being listed and being read appears with
/// no_such_file_or_directory.
/// Lifetime: nothing runs between two calls of next(), so a walk may be dropped at any time. It may
/// be moved when no next() is under way. The runtime must outlive it.
class walk
{
public:
    explicit walk(std::string root, walk_options options = {});
    walk(walk&&) noexcept;
    walk& operator=(walk&&) noexcept;
    ~walk();

    /// std::optional<walk_entry>: the next one, or nothing at the end. Errors are entries, too.
    /// Suspends only when a directory has to be read.
    /// Cancellation: an entry with the error operation_canceled, and the end after it.
    [[nodiscard]] detail::walk_next_operation next() noexcept;

private:
    std::unique_ptr<detail::walk_state> state_;
};

namespace detail
{

class walk_next_operation : public blitzio::detail::awaitable_base<walk_next_operation>
{
public:
    explicit walk_next_operation(walk_state& state) noexcept : state_(&state) {}
    /// Only before start().
    walk_next_operation(walk_next_operation&& other) noexcept : state_(other.state_) {}

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept;
    std::optional<walk_entry> await_resume();

private:
    walk_state* state_;
    task<std::optional<walk_entry>> waiting_;
    std::optional<walk_entry> entry_;
    std::exception_ptr failure_;
};

} // namespace detail

} // namespace blitzio::fs
