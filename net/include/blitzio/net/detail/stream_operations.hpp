// The operations of tcp_stream: objects in the awaiting frame, without any memory of their own.
// Thread rule: started on a worker; a read and a write of one stream may be in flight together.
#pragma once

#include <blitzio/io/buffer_pool.hpp>
#include <blitzio/io/detail/assert.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/repeated_operation.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/net/detail/stream_state.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace blitzio::net::detail
{

/// The most that is asked of the kernel at once: results have 31 bits.
inline constexpr std::size_t transfer_max = std::size_t{1} << 30;

constexpr std::int32_t kernel_error(std::errc code) noexcept
{
    return -static_cast<std::int32_t>(code);
}

inline void set_receive(blitzio::detail::op& step, const stream_state& stream, std::byte* data,
                        std::size_t length) noexcept
{
    step.kind = blitzio::detail::op_kind::recv;
    step.fd = stream.socket.get();
    step.expect_wait = stream.drained;
    step.args.transfer = {data, std::min(length, transfer_max), 0};
}

inline void set_send(blitzio::detail::op& step, const stream_state& stream, const std::byte* data,
                     std::size_t length) noexcept
{
    step.kind = blitzio::detail::op_kind::send;
    step.fd = stream.socket.get();
    // The driver only reads through this pointer.
    step.args.transfer = {const_cast<std::byte*>(data), std::min(length, transfer_max), 0};
}

class read_some_operation : public blitzio::detail::driver_operation<read_some_operation>
{
    using base = blitzio::detail::driver_operation<read_some_operation>;

public:
    read_some_operation(stream_state& stream, std::span<std::byte> buffer) noexcept
        : base(blitzio::detail::op_kind::recv), stream_(&stream), buffer_(buffer)
    {
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        BLITZIO_ASSERT(!stream_->reading);
        stream_->reading = true;
        if (!stream_->socket.is_open() || buffer_.empty())
        {
            op_.result = kernel_error(buffer_.empty() ? std::errc::invalid_argument
                                                      : std::errc::bad_file_descriptor);
            return false;
        }
        set_receive(op_, *stream_, buffer_.data(), buffer_.size());
        return base::start(env, who);
    }

    result<std::size_t> finish(std::int32_t outcome) noexcept
    {
        stream_->reading = false;
        if (outcome < 0)
        {
            return fail(blitzio::detail::error_from_kernel(outcome));
        }
        stream_->drained = static_cast<std::size_t>(outcome) < buffer_.size();
        return static_cast<std::size_t>(outcome);
    }

private:
    stream_state* stream_;
    std::span<std::byte> buffer_;
};

class read_leased_operation : public blitzio::detail::driver_operation<read_leased_operation>
{
    using base = blitzio::detail::driver_operation<read_leased_operation>;

public:
    read_leased_operation(stream_state& stream, std::size_t length) noexcept
        : base(blitzio::detail::op_kind::recv_leased), stream_(&stream), length_(length)
    {
    }

    read_leased_operation(read_leased_operation&& other) noexcept
        : base(std::move(other)), stream_(other.stream_), length_(other.length_)
    {
    }

    ~read_leased_operation()
    {
        // A buffer that came and that nobody has asked for.
        if (op_.result > 0)
        {
            leased_buffer(lease_, 0).release();
        }
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        BLITZIO_ASSERT(!stream_->reading);
        stream_->reading = true;
        if (!stream_->socket.is_open())
        {
            op_.result = kernel_error(std::errc::bad_file_descriptor);
            return false;
        }
        op_.fd = stream_->socket.get();
        op_.expect_wait = stream_->drained;
        op_.args.lease = {&lease_, length_};
        return base::start(env, who);
    }

    result<leased_buffer> finish(std::int32_t outcome) noexcept
    {
        stream_->reading = false;
        op_.result = 0;
        if (outcome < 0)
        {
            return fail(blitzio::detail::error_from_kernel(outcome));
        }
        if (outcome == 0)
        {
            return leased_buffer();
        }
        const auto received = static_cast<std::size_t>(outcome);
        stream_->drained = received < lease_.capacity && received != length_;
        return leased_buffer(lease_, received);
    }

private:
    stream_state* stream_;
    std::size_t length_;
    blitzio::detail::buffer_lease lease_;
};

class write_some_operation : public blitzio::detail::driver_operation<write_some_operation>
{
    using base = blitzio::detail::driver_operation<write_some_operation>;

public:
    write_some_operation(stream_state& stream, std::span<const std::byte> data) noexcept
        : base(blitzio::detail::op_kind::send), stream_(&stream), data_(data)
    {
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        BLITZIO_ASSERT(!stream_->writing);
        stream_->writing = true;
        if (!stream_->socket.is_open() || data_.empty())
        {
            op_.result = data_.empty() ? 0 : kernel_error(std::errc::bad_file_descriptor);
            return false;
        }
        set_send(op_, *stream_, data_.data(), data_.size());
        return base::start(env, who);
    }

    result<std::size_t> finish(std::int32_t outcome) noexcept
    {
        stream_->writing = false;
        if (outcome < 0)
        {
            return fail(blitzio::detail::error_from_kernel(outcome));
        }
        return static_cast<std::size_t>(outcome);
    }

private:
    stream_state* stream_;
    std::span<const std::byte> data_;
};

class write_all_operation : public blitzio::detail::repeated_operation<write_all_operation>
{
public:
    write_all_operation(stream_state& stream, std::span<const std::byte> data) noexcept
        : stream_(&stream), left_(data)
    {
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        BLITZIO_ASSERT(!stream_->writing);
        stream_->writing = true;
        if (!left_.empty() && !stream_->socket.is_open())
        {
            error_ =
                blitzio::detail::error_from_kernel(kernel_error(std::errc::bad_file_descriptor));
            return false;
        }
        return repeated_operation::start(env, who);
    }

    [[nodiscard]] bool next_step(blitzio::detail::op& step) noexcept
    {
        if (left_.empty() || error_)
        {
            return false;
        }
        set_send(step, *stream_, left_.data(), left_.size());
        return true;
    }

    void step_ended(std::int32_t outcome) noexcept
    {
        if (outcome < 0)
        {
            error_ = blitzio::detail::error_from_kernel(outcome);
            return;
        }
        left_ = left_.subspan(static_cast<std::size_t>(outcome));
    }

    result<void> finish() noexcept
    {
        stream_->writing = false;
        if (error_)
        {
            return fail(error_);
        }
        return {};
    }

private:
    stream_state* stream_;
    std::span<const std::byte> left_;
    std::error_code error_;
};

class read_exactly_operation : public blitzio::detail::repeated_operation<read_exactly_operation>
{
public:
    read_exactly_operation(stream_state& stream, std::span<std::byte> buffer) noexcept
        : stream_(&stream), left_(buffer)
    {
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        BLITZIO_ASSERT(!stream_->reading);
        stream_->reading = true;
        if (!left_.empty() && !stream_->socket.is_open())
        {
            error_ =
                blitzio::detail::error_from_kernel(kernel_error(std::errc::bad_file_descriptor));
            return false;
        }
        return repeated_operation::start(env, who);
    }

    [[nodiscard]] bool next_step(blitzio::detail::op& step) noexcept
    {
        if (left_.empty() || error_)
        {
            return false;
        }
        set_receive(step, *stream_, left_.data(), left_.size());
        return true;
    }

    void step_ended(std::int32_t outcome) noexcept
    {
        if (outcome < 0)
        {
            error_ = blitzio::detail::error_from_kernel(outcome);
            return;
        }
        if (outcome == 0)
        {
            error_ = make_error_code(io_errc::end_of_stream);
            return;
        }
        const auto received = static_cast<std::size_t>(outcome);
        stream_->drained = received < left_.size();
        left_ = left_.subspan(received);
    }

    result<void> finish() noexcept
    {
        stream_->reading = false;
        if (error_)
        {
            return fail(error_);
        }
        return {};
    }

private:
    stream_state* stream_;
    std::span<std::byte> left_;
    std::error_code error_;
};

class read_until_operation : public blitzio::detail::repeated_operation<read_until_operation>
{
public:
    read_until_operation(stream_state& stream, std::string& buffer, std::string_view delimiter,
                         std::size_t limit) noexcept
        : stream_(&stream), buffer_(&buffer), delimiter_(delimiter), limit_(limit)
    {
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        BLITZIO_ASSERT(!stream_->reading);
        stream_->reading = true;
        received_ = buffer_->size();
        if (delimiter_.empty())
        {
            error_ = blitzio::detail::error_from_kernel(kernel_error(std::errc::invalid_argument));
        }
        else if (!stream_->socket.is_open())
        {
            error_ =
                blitzio::detail::error_from_kernel(kernel_error(std::errc::bad_file_descriptor));
        }
        return repeated_operation::start(env, who);
    }

    [[nodiscard]] bool next_step(blitzio::detail::op& step) noexcept;
    void step_ended(std::int32_t outcome) noexcept;
    result<std::size_t> finish() noexcept;

private:
    stream_state* stream_;
    std::string* buffer_;
    std::string_view delimiter_;
    std::size_t limit_;
    /// Bytes of the buffer that have arrived; behind them lies the room of the step under way.
    std::size_t received_ = 0;
    /// Where the delimiter can begin at the earliest: what lies before was looked through.
    std::size_t search_from_ = 0;
    /// Length up to and including the delimiter, once found.
    std::size_t found_ = 0;
    std::error_code error_;
};

} // namespace blitzio::net::detail
