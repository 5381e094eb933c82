// What a runtime is built on: one operating system view and a driver for each worker.
// Thread rule: create_driver() is called before the workers start; the rest as said by its parts.
#pragma once

#include "driver/driver.hpp"
#include "driver/notes.hpp"
#include "memory/worker_buffers.hpp"

#include <blitzio/io/detail/system.hpp>
#include <blitzio/io/result.hpp>

#include <memory>
#include <string_view>

namespace blitzio::detail
{

class blocking_pool;

class backend
{
public:
    virtual ~backend() = default;

    /// "io_uring", "epoll" or "sim".
    [[nodiscard]] virtual std::string_view name() const noexcept = 0;
    [[nodiscard]] virtual system& operating_system() noexcept = 0;
    /// The driver of worker `worker_index`. It is started and used on that worker's thread, and
    /// must be destroyed before the backend.
    [[nodiscard]] virtual result<std::unique_ptr<driver>> create_driver(unsigned worker_index) = 0;

    /// What turned out while the drivers ran: abilities that the kernel refused. Any thread.
    [[nodiscard]] driver_notes& notes() noexcept
    {
        return notes_;
    }

private:
    driver_notes notes_;
};

struct uring_test_seam;

struct backend_options
{
    unsigned worker_count = 1;
    /// Submission entries of a ring; 0 lets the backend choose.
    unsigned ring_entries = 0;
    /// Operations that no driver can do without blocking run here.
    blocking_pool* file_pool = nullptr;
    /// For leased reads.
    read_buffer_options read_buffers{};
    /// Descriptors that a ring may keep; 0 for none.
    unsigned registered_files_max = 0;
    /// Tests only: a kernel that can do less, or misbehaves; see uring_features.hpp. Null otherwise.
    uring_test_seam* uring_seam = nullptr;
};

/// Fails with the kernel's reason when io_uring is not there or not allowed.
[[nodiscard]] result<std::unique_ptr<backend>> make_uring_backend(const backend_options& options);
[[nodiscard]] result<std::unique_ptr<backend>> make_epoll_backend(const backend_options& options);

} // namespace blitzio::detail
