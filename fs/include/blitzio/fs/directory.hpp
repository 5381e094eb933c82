// Reading directories.
// Thread rule: one task reads a directory at a time.
#pragma once

#include <blitzio/fs/detail/path_operations.hpp>
#include <blitzio/fs/types.hpp>
#include <blitzio/io/detail/descriptor.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/task.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::fs
{

struct directory_entry
{
    std::string name;
    /// unknown where the file system does not say; fs::stat does then.
    file_type type = file_type::unknown;
};

namespace detail
{
class open_directory_operation;
class read_directory_operation;
} // namespace detail

/// Owns an open directory; the destructor closes it.
///
/// Lifetime: the directory and the batch stay in place until the operation has ended. The runtime
/// must outlive the directory.
/// Cancellation: a read that the file system has begun is waited for, and its result counts.
/// Errors: the kernel's; blitzio::describe(error, path) makes a message that names the directory.
class directory
{
public:
    /// No directory yet.
    directory() noexcept = default;

    /// result<directory>. Without `follow_links`, a path whose last part is a symbolic link is
    /// not_a_directory.
    [[nodiscard]] static detail::open_directory_operation open(std::string path,
                                                               bool follow_links = true) noexcept;

    /// Reads the next portion into `batch`, in the file system's order and without "." and "..":
    /// result<std::size_t>, the number of entries, 0 at the end; batch.at_end may say so before.
    /// A file made or removed meanwhile may or may not appear. The batch's memory is reused.
    [[nodiscard]] detail::read_directory_operation next_batch(directory_batch& batch) noexcept;

    /// All that is left, sorted bytewise by name. Needs memory for all of it.
    [[nodiscard]] task<result<std::vector<directory_entry>>> list();

    [[nodiscard]] bool is_open() const noexcept
    {
        return handle_.is_open();
    }

    /// Closes it now. The object is empty afterwards, whatever the result says.
    result<void> close() noexcept
    {
        return handle_.close();
    }

private:
    friend detail::open_directory_operation;

    explicit directory(blitzio::detail::descriptor handle) noexcept : handle_(std::move(handle)) {}

    blitzio::detail::descriptor handle_;
};

namespace detail
{

class open_directory_operation : public path_operation<open_directory_operation>
{
public:
    open_directory_operation(std::string path, bool follow_links) noexcept
        : path_operation(blitzio::detail::op_kind::open, std::move(path)),
          follow_links_(follow_links)
    {
    }

    void prepare(blitzio::detail::op& operation, const task_env& env) noexcept;

    result<directory> finish(std::int32_t outcome) noexcept
    {
        if (outcome < 0)
        {
            return fail(blitzio::detail::error_from_kernel(outcome));
        }
        return directory(blitzio::detail::descriptor(*system_, outcome));
    }

private:
    bool follow_links_;
    blitzio::detail::system* system_ = nullptr;
};

class read_directory_operation : public blitzio::detail::driver_operation<read_directory_operation>
{
    using base = blitzio::detail::driver_operation<read_directory_operation>;

public:
    read_directory_operation(int fd, directory_batch& batch) noexcept
        : base(blitzio::detail::op_kind::read_directory, fd), batch_(&batch)
    {
        op_.args.directory = {&batch};
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        batch_->names.clear();
        batch_->entries.clear();
        batch_->at_end = false;
        if (op_.fd < 0)
        {
            op_.result = kernel_error(std::errc::bad_file_descriptor);
            return false;
        }
        return base::start(env, who);
    }

    result<std::size_t> finish(std::int32_t outcome) noexcept
    {
        if (outcome < 0)
        {
            return fail(blitzio::detail::error_from_kernel(outcome));
        }
        return static_cast<std::size_t>(outcome);
    }

private:
    directory_batch* batch_;
};

} // namespace detail

inline detail::open_directory_operation directory::open(std::string path,
                                                        bool follow_links) noexcept
{
    return {std::move(path), follow_links};
}

inline detail::read_directory_operation directory::next_batch(directory_batch& batch) noexcept
{
    return {handle_.get(), batch};
}

} // namespace blitzio::fs
