// What can be done to files by their paths.
// Thread rule: awaited in tasks; paths may be used by several tasks at a time, as the file system
// allows.
//
// Paths are bytes, as the kernel sees them; std::filesystem::path converts. A path with a null byte
// in it is an invalid_argument. An operation owns its path.
// Cancellation: an operation that the file system has begun is waited for, and its result counts.
// Errors: the kernel's; blitzio::describe(error, path) makes a message that names the file.
#pragma once

#include <blitzio/fs/detail/path_operations.hpp>
#include <blitzio/fs/types.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/task.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace blitzio::fs
{

/// The bound of read_file and read_text where none is given.
inline constexpr std::size_t read_file_limit = std::size_t{64} * 1024 * 1024;

/// result<file_status> of what the path leads to; of a symbolic link itself, unless links are
/// followed.
[[nodiscard]] inline detail::stat_operation stat(std::string path,
                                                 bool follow_links = true) noexcept
{
    return {std::move(path), follow_links};
}

/// result<void>; file_exists when there is anything of that name.
[[nodiscard]] inline detail::make_directory_operation create_directory(
    std::string path, std::uint32_t mode = 0777) noexcept
{
    return {std::move(path), mode};
}

/// Makes the directory and those above it that are missing. Success when it is there already;
/// not_a_directory when something else is.
[[nodiscard]] task<result<void>> create_directories(std::string path, std::uint32_t mode = 0777);

/// result<void>; a symbolic link is removed itself. is_a_directory for a directory.
[[nodiscard]] inline detail::unlink_operation remove_file(std::string path) noexcept
{
    return {std::move(path), false};
}

/// result<void>; directory_not_empty when it is not.
[[nodiscard]] inline detail::unlink_operation remove_directory(std::string path) noexcept
{
    return {std::move(path), true};
}

/// Removes a file, a link or an empty directory.
[[nodiscard]] task<result<void>> remove(std::string path);

/// result<void>, in one step. What `to` names is replaced, or, without `replace`, is the reason for
/// file_exists.
[[nodiscard]] inline detail::rename_operation rename(std::string from, std::string to,
                                                     bool replace = true) noexcept
{
    return {std::move(from), std::move(to), replace};
}

/// The contents of a file. io_errc::limit_reached when there are more than `limit` bytes; the size
/// the file system claims is not believed, so files of /proc work, too.
[[nodiscard]] task<result<std::vector<std::byte>>> read_file(std::string path,
                                                             std::size_t limit = read_file_limit);
/// The same as text; the bytes are not checked.
[[nodiscard]] task<result<std::string>> read_text(std::string path,
                                                  std::size_t limit = read_file_limit);

struct write_file_options
{
    /// Whoever looks sees the old file or the whole new one, even after a power failure: written to
    /// a temporary file in the same directory, flushed to the disk, renamed, and the directory
    /// flushed. A symbolic link is replaced, not followed. Otherwise the file is emptied and
    /// written in place.
    bool atomic = false;
    /// Permissions of a file that is made, less the process's umask. An atomic write always makes
    /// one.
    std::uint32_t mode = 0666;
};

/// Makes or replaces a file. `data` must outlive the operation.
/// Cancellation: an atomic write that is stopped before its rename leaves the old file and removes
/// the temporary one; from the rename on it is completed.
[[nodiscard]] task<result<void>> write_file(std::string path, std::span<const std::byte> data,
                                            write_file_options options = {});
[[nodiscard]] inline task<result<void>> write_file(std::string path, std::string_view text,
                                                   write_file_options options = {})
{
    return write_file(std::move(path), std::as_bytes(std::span(text)), options);
}

} // namespace blitzio::fs
