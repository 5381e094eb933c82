// The operations of fs::file: objects in the awaiting frame.
// Thread rule: started on a worker; any number may be in flight on one file.
#pragma once

#include <blitzio/fs/detail/path_operations.hpp>
#include <blitzio/fs/types.hpp>
#include <blitzio/io/buffer_pool.hpp>
#include <blitzio/io/detail/descriptor.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/repeated_operation.hpp>
#include <blitzio/io/detail/runtime_access.hpp>
#include <blitzio/io/result.hpp>

#include <algorithm>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

namespace blitzio::fs::detail
{

/// The most that is asked of the kernel at once: results have 31 bits.
inline constexpr std::size_t transfer_max = std::size_t{1} << 30;
/// Offsets are signed in the kernel; a larger one would even mean "the current position" to it.
inline constexpr std::uint64_t offset_max = INT64_MAX;

/// Kernel style: what is wrong with a transfer before the kernel is asked; 0 for nothing.
constexpr std::int32_t check_transfer(int fd, std::uint64_t offset, std::size_t length) noexcept
{
    if (fd < 0)
    {
        return kernel_error(std::errc::bad_file_descriptor);
    }
    return offset > offset_max || length > offset_max - offset
               ? kernel_error(std::errc::invalid_argument)
               : 0;
}

inline void set_transfer(blitzio::detail::op& step, std::uint64_t offset, const std::byte* data,
                         std::size_t length) noexcept
{
    // A driver only reads through the pointer when it writes to the file.
    step.args.transfer = {const_cast<std::byte*>(data), std::min(length, transfer_max), offset};
}

class transfer_operation : public blitzio::detail::driver_operation<transfer_operation>
{
    using base = blitzio::detail::driver_operation<transfer_operation>;

public:
    transfer_operation(blitzio::detail::op_kind kind, int fd, std::uint64_t offset,
                       std::span<const std::byte> bytes) noexcept
        : base(kind, fd)
    {
        set_transfer(op_, offset, bytes.data(), bytes.size());
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        const auto& transfer = op_.args.transfer;
        op_.result = check_transfer(op_.fd, transfer.offset, transfer.length);
        if (op_.result == 0 && transfer.length == 0 &&
            op_.kind == blitzio::detail::op_kind::read_at)
        {
            // 0 means the end of the file, and nothing else.
            op_.result = kernel_error(std::errc::invalid_argument);
        }
        if (op_.result < 0 || transfer.length == 0)
        {
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
};

/// Between a file and memory of a pool, which a driver may know already.
class leased_transfer_operation : public transfer_operation
{
public:
    leased_transfer_operation(blitzio::detail::op_kind kind, int fd, std::uint64_t offset,
                              leased_buffer* buffer, std::span<const std::byte> bytes) noexcept
        : transfer_operation(kind, fd, offset, bytes), buffer_(buffer)
    {
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        op_.pool_slab = blitzio::detail::pool_slab_of(blitzio::detail::buffers_of(*env.runtime),
                                                      buffer_->lease());
        return transfer_operation::start(env, who);
    }

    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept
    {
        return start(awaiting.promise().env(), blitzio::detail::waiter::of(awaiting));
    }

    result<std::size_t> await_resume() noexcept
    {
        const auto moved = transfer_operation::await_resume();
        if (op_.kind != blitzio::detail::op_kind::write_at && moved)
        {
            buffer_->resize(*moved);
        }
        return moved;
    }

private:
    leased_buffer* buffer_;
};

class transfer_all_operation : public blitzio::detail::repeated_operation<transfer_all_operation>
{
public:
    transfer_all_operation(blitzio::detail::op_kind kind, int fd, std::uint64_t offset,
                           std::span<const std::byte> bytes) noexcept
        : left_(bytes), offset_(offset)
    {
        op_.kind = kind;
        op_.fd = fd;
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        if (const auto wrong = check_transfer(op_.fd, offset_, left_.size()); wrong < 0)
        {
            error_ = blitzio::detail::error_from_kernel(wrong);
        }
        return repeated_operation::start(env, who);
    }

    [[nodiscard]] bool next_step(blitzio::detail::op& step) noexcept
    {
        if (left_.empty() || error_)
        {
            return false;
        }
        set_transfer(step, offset_, left_.data(), left_.size());
        return true;
    }

    void step_ended(std::int32_t outcome) noexcept
    {
        if (outcome < 0)
        {
            error_ = blitzio::detail::error_from_kernel(outcome);
        }
        else if (outcome == 0)
        {
            // A write that takes nothing would do so for ever.
            error_ = op_.kind == blitzio::detail::op_kind::read_at
                         ? make_error_code(io_errc::end_of_stream)
                         : blitzio::detail::error_from_kernel(kernel_error(std::errc::io_error));
        }
        else
        {
            left_ = left_.subspan(static_cast<std::size_t>(outcome));
            offset_ += static_cast<std::uint64_t>(outcome);
        }
    }

    result<void> finish() noexcept
    {
        if (error_)
        {
            return fail(error_);
        }
        return {};
    }

private:
    std::span<const std::byte> left_;
    std::uint64_t offset_;
    std::error_code error_;
};

class sync_operation : public blitzio::detail::driver_operation<sync_operation>
{
public:
    sync_operation(int fd, bool data_only) noexcept
        : driver_operation(blitzio::detail::op_kind::sync, fd)
    {
        op_.args.sync = {data_only};
    }

    result<void> finish(std::int32_t outcome) noexcept
    {
        return to_result(outcome);
    }
};

class close_operation : public blitzio::detail::driver_operation<close_operation>
{
    using base = blitzio::detail::driver_operation<close_operation>;

public:
    /// Takes the descriptor over. An operation that is never awaited closes it all the same.
    explicit close_operation(blitzio::detail::descriptor closing) noexcept
        : base(blitzio::detail::op_kind::close, closing.get()), closing_(std::move(closing))
    {
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        if (!closing_.is_open())
        {
            op_.result = 0;
            return false;
        }
        // A close is never taken back: the descriptor would stay open with nobody to know it.
        env_ = env;
        env_.stop = {};
        static_cast<void>(closing_.release());
        return base::start(env_, who);
    }

    result<void> finish(std::int32_t outcome) noexcept
    {
        return to_result(outcome);
    }

private:
    blitzio::detail::descriptor closing_;
    task_env env_;
};

class file_status_operation : public blitzio::detail::driver_operation<file_status_operation>
{
    using base = blitzio::detail::driver_operation<file_status_operation>;

public:
    explicit file_status_operation(int fd) noexcept : base(blitzio::detail::op_kind::stat, fd) {}

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        if (op_.fd < 0)
        {
            op_.result = kernel_error(std::errc::bad_file_descriptor);
            return false;
        }
        return base::start(env, who);
    }

    void prepare(blitzio::detail::op& operation, const task_env&) noexcept
    {
        operation.args.stat = {"", &status_, true};
    }

    result<file_status> finish(std::int32_t outcome) noexcept
    {
        if (outcome < 0)
        {
            return fail(blitzio::detail::error_from_kernel(outcome));
        }
        return status_;
    }

private:
    file_status status_;
};

} // namespace blitzio::fs::detail
