// Awaitable operations on bare descriptors, for tests of the runtime that must not depend on the
// modules built on it. Thread rule: as detail::driver_operation.
#pragma once

#include <blitzio/io/detail/descriptor.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/runtime_access.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace blitzio::test
{

/// recv, send, read, write, read_at or write_at; gives the number of bytes.
class raw_transfer : public detail::driver_operation<raw_transfer>
{
public:
    raw_transfer(detail::op_kind kind, int fd, void* data, std::size_t length,
                 std::uint64_t offset = 0) noexcept
        : driver_operation(kind, fd)
    {
        op_.args.transfer = {data, length, offset};
    }

    [[nodiscard]] result<std::size_t> finish(std::int32_t outcome) noexcept
    {
        if (outcome < 0)
        {
            return fail(detail::error_from_kernel(outcome));
        }
        return static_cast<std::size_t>(outcome);
    }
};

/// Waits for readiness; gives the poll_events.
class raw_poll : public detail::driver_operation<raw_poll>
{
public:
    raw_poll(int fd, std::uint32_t events) noexcept : driver_operation(detail::op_kind::poll, fd)
    {
        op_.args.poll = {events};
    }

    [[nodiscard]] result<std::uint32_t> finish(std::int32_t outcome) noexcept
    {
        if (outcome < 0)
        {
            return fail(detail::error_from_kernel(outcome));
        }
        return static_cast<std::uint32_t>(outcome);
    }
};

/// Opens or accepts; the descriptor closes itself when nobody takes it.
class raw_opening : public detail::driver_operation<raw_opening>
{
public:
    raw_opening(const char* path, std::uint32_t flags) noexcept
        : driver_operation(detail::op_kind::open)
    {
        op_.args.open = {path, flags, 0644};
    }

    explicit raw_opening(int listener) noexcept
        : driver_operation(detail::op_kind::accept, listener)
    {
        op_.args.peer = {nullptr};
    }

    void prepare(detail::op&, const task_env& env) noexcept
    {
        owner_ = &detail::system_of(*env.runtime);
    }

    [[nodiscard]] result<detail::descriptor> finish(std::int32_t outcome) noexcept
    {
        if (outcome < 0)
        {
            return fail(detail::error_from_kernel(outcome));
        }
        return detail::descriptor(*owner_, outcome);
    }

private:
    detail::system* owner_ = nullptr;
};

/// Operations that give nothing but success: connect, nop.
class raw_step : public detail::driver_operation<raw_step>
{
public:
    raw_step() noexcept : driver_operation(detail::op_kind::nop) {}

    raw_step(int fd, detail::socket_address& target) noexcept
        : driver_operation(detail::op_kind::connect, fd)
    {
        op_.args.peer = {&target};
    }

    [[nodiscard]] result<void> finish(std::int32_t outcome) noexcept
    {
        if (outcome < 0)
        {
            return fail(detail::error_from_kernel(outcome));
        }
        return {};
    }
};

} // namespace blitzio::test
