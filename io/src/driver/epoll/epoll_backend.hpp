// The epoll backend: sockets and pipes through readiness, files through the blocking pool.
// Thread rule: create_driver() before the workers start; the system's calls from any thread.
#pragma once

#include "driver/backend.hpp"
#include "driver/epoll/descriptor_table.hpp"
#include "driver/posix_system.hpp"

namespace blitzio::detail
{

/// Closing has to go through here, or through op_kind::close, for every descriptor that was used
/// with a driver of the backend: what is known of the number is forgotten with it.
class epoll_system final : public posix_system
{
public:
    explicit epoll_system(descriptor_table& table) noexcept : table_(table) {}

    int close(int fd) noexcept override;

private:
    descriptor_table& table_;
};

class epoll_backend final : public backend
{
public:
    explicit epoll_backend(const backend_options& options);

    [[nodiscard]] std::string_view name() const noexcept override;
    [[nodiscard]] system& operating_system() noexcept override;
    [[nodiscard]] result<std::unique_ptr<driver>> create_driver(unsigned worker_index) override;

private:
    blocking_pool* file_pool_;
    read_buffer_options read_buffers_;
    descriptor_table table_;
    epoll_system system_;
};

} // namespace blitzio::detail
