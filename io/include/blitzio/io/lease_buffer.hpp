// lease_buffer: memory on loan from the pool of the task's runtime.
// Thread rule: in tasks; the lease may be dropped on any thread.
#pragma once

#include <blitzio/io/buffer_pool.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/runtime_access.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/task_env.hpp>

#include <cstddef>

namespace blitzio
{

namespace detail
{

struct lease_call
{
    std::size_t bytes;

    [[nodiscard]] result<leased_buffer> operator()(const task_env& env) const noexcept
    {
        return buffers_of(*env.runtime).lease(bytes);
    }
};

} // namespace detail

/// `auto room = co_await lease_buffer(64 * 1024);` gives result<leased_buffer>, with at least as much
/// capacity and size 0. Never waits, so there is nothing to cancel. Errors: those of
/// buffer_pool::lease(). Files read into such a buffer and written from it need not have its pages
/// mapped each time, where the backend and the memlock limit allow it.
[[nodiscard]] inline auto lease_buffer(std::size_t bytes) noexcept
{
    return detail::immediate_operation<detail::lease_call>(detail::lease_call{bytes});
}

} // namespace blitzio
