// An open file, read and written at given offsets.
// Thread rule: any number of tasks may read and write one file at the same time; opening, closing
// and moving the object needs that none does.
#pragma once

#include <blitzio/fs/detail/file_operations.hpp>
#include <blitzio/fs/types.hpp>
#include <blitzio/io/detail/descriptor.hpp>
#include <blitzio/io/detail/runtime_access.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/task_env.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace blitzio::fs
{

/// How a file is opened. At least one of read and write; truncate and append need write, exclusive
/// needs create: anything else is an invalid_argument.
struct open_options
{
    bool read = true;
    bool write = false;
    /// Makes the file if it is missing.
    bool create = false;
    /// Empties the file.
    bool truncate = false;
    /// Every write goes to the end of the file, whatever its offset.
    bool append = false;
    /// With create: file_exists if it is not missing.
    bool exclusive = false;
    /// A symbolic link is not followed: too_many_symbolic_link_levels.
    bool no_follow = false;
    /// A FIFO is opened without waiting for its other end (for writing: no_such_device_or_address
    /// when nobody reads it). Says nothing about files of other types. Whoever opens paths that may
    /// change under them sets this, and looks at stat() of what was opened: a check of the path
    /// before may have been of another file.
    bool non_block = false;
    /// Permissions of a file that is made, less the process's umask.
    std::uint32_t mode = 0666;
};

namespace detail
{
class open_operation;
} // namespace detail

/// Owns an open file; the destructor closes it, on the spot.
///
/// Lifetime: buffers, and the file itself, stay in place until the operation has ended. The runtime
/// must outlive the file.
/// Cancellation: a transfer that the disk has begun is waited for, and its result counts; one that
/// waits its turn ends with operation_canceled.
/// Errors: the kernel's; blitzio::describe(error, path) makes a message that names the file.
class file
{
public:
    /// No file yet.
    file() noexcept = default;

    /// result<file>. Opening a FIFO waits for its other end, unless `non_block` is set, and with the
    /// epoll backend it cannot be stopped meanwhile: set it where paths come from outside.
    /// Errors: no_such_file_or_directory, permission_denied, is_a_directory (for writing), ...
    [[nodiscard]] static detail::open_operation open(std::string path,
                                                     open_options options = {}) noexcept;

    /// Reads up to the buffer's size: result<std::size_t>, 0 at the end of the file. An empty
    /// buffer is an invalid_argument. is_a_directory for a directory.
    [[nodiscard]] detail::transfer_operation read_at(std::uint64_t offset,
                                                     std::span<std::byte> buffer) const noexcept
    {
        return {blitzio::detail::op_kind::read_at, fd(), offset, buffer};
    }

    /// As read_at, into a lease (see lease_buffer.hpp) whose size becomes what was read; at most its
    /// capacity. The lease stays in place until the operation has ended.
    [[nodiscard]] detail::leased_transfer_operation read_at(std::uint64_t offset,
                                                            leased_buffer& into) const noexcept
    {
        return {blitzio::detail::op_kind::read_at, fd(), offset, &into, into.room()};
    }

    /// Fills the buffer: result<void>. io_errc::end_of_stream when the file ends before that.
    [[nodiscard]] detail::transfer_all_operation read_exactly_at(
        std::uint64_t offset, std::span<std::byte> buffer) const noexcept
    {
        return {blitzio::detail::op_kind::read_at, fd(), offset, buffer};
    }

    /// Writes up to the data's size: result<std::size_t>.
    [[nodiscard]] detail::transfer_operation write_at(
        std::uint64_t offset, std::span<const std::byte> data) const noexcept
    {
        return {blitzio::detail::op_kind::write_at, fd(), offset, data};
    }
    /// The bytes of a lease.
    [[nodiscard]] detail::leased_transfer_operation write_at(std::uint64_t offset,
                                                             leased_buffer& from) const noexcept
    {
        return {blitzio::detail::op_kind::write_at, fd(), offset, &from, from.bytes()};
    }
    [[nodiscard]] detail::transfer_operation write_at(std::uint64_t offset,
                                                      std::string_view text) const noexcept
    {
        return write_at(offset, std::as_bytes(std::span(text)));
    }

    /// Writes everything: result<void>.
    [[nodiscard]] detail::transfer_all_operation write_all_at(
        std::uint64_t offset, std::span<const std::byte> data) const noexcept
    {
        return {blitzio::detail::op_kind::write_at, fd(), offset, data};
    }
    [[nodiscard]] detail::transfer_all_operation write_all_at(std::uint64_t offset,
                                                              std::string_view text) const noexcept
    {
        return write_all_at(offset, std::as_bytes(std::span(text)));
    }

    /// result<void>: what was written is on the disk; with `data_only`, without metadata that is
    /// not needed to read it back.
    [[nodiscard]] detail::sync_operation sync(bool data_only = false) const noexcept
    {
        return {fd(), data_only};
    }

    /// result<file_status>
    [[nodiscard]] detail::file_status_operation stat() const noexcept
    {
        return detail::file_status_operation(fd());
    }

    /// Closes off the worker: result<void>, which can tell of an earlier write that failed. The
    /// object is empty at once, also when the operation is not awaited. Never cancelled.
    [[nodiscard]] detail::close_operation close() noexcept
    {
        return detail::close_operation(std::move(handle_));
    }

    [[nodiscard]] bool is_open() const noexcept
    {
        return handle_.is_open();
    }

private:
    friend detail::open_operation;

    explicit file(blitzio::detail::descriptor handle) noexcept : handle_(std::move(handle)) {}

    [[nodiscard]] int fd() const noexcept
    {
        return handle_.get();
    }

    blitzio::detail::descriptor handle_;
};

namespace detail
{

class open_operation : public path_operation<open_operation>
{
public:
    open_operation(std::string path, const open_options& options) noexcept
        : path_operation(blitzio::detail::op_kind::open, std::move(path)), options_(options)
    {
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept;
    void prepare(blitzio::detail::op& operation, const task_env& env) noexcept;

    result<file> finish(std::int32_t outcome) noexcept
    {
        if (outcome < 0)
        {
            return fail(blitzio::detail::error_from_kernel(outcome));
        }
        return file(blitzio::detail::descriptor(*system_, outcome));
    }

private:
    open_options options_;
    blitzio::detail::system* system_ = nullptr;
};

} // namespace detail

inline detail::open_operation file::open(std::string path, open_options options) noexcept
{
    return {std::move(path), options};
}

} // namespace blitzio::fs
