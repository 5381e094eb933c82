// The epoll backend. Thread rule: as in the header.
#include "driver/epoll/epoll_backend.hpp"

#include "driver/epoll/epoll_driver.hpp"

#include <new>

namespace blitzio::detail
{

int epoll_system::close(int fd) noexcept
{
    // Before, not after: the number may be in use again as soon as close() has begun.
    static_cast<void>(epoll_driver::forget(table_, fd));
    return posix_system::close(fd);
}

epoll_backend::epoll_backend(const backend_options& options)
    : file_pool_(options.file_pool), read_buffers_(options.read_buffers), system_(table_)
{
}

std::string_view epoll_backend::name() const noexcept
{
    return "epoll";
}

system& epoll_backend::operating_system() noexcept
{
    return system_;
}

result<std::unique_ptr<driver>> epoll_backend::create_driver(unsigned /*worker_index*/)
{
    return epoll_driver::create(table_, file_pool_, read_buffers_);
}

result<std::unique_ptr<backend>> make_epoll_backend(const backend_options& options)
{
    return std::make_unique<epoll_backend>(options);
}

} // namespace blitzio::detail
