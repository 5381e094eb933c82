// A descriptor that closes itself, through the operating system it came from.
// Thread rule: belongs to one owner at a time.
#pragma once

#include <blitzio/io/detail/system.hpp>
#include <blitzio/io/result.hpp>

#include <utility>

namespace blitzio::detail
{

/// Closing is synchronous and cancels nothing: no operation may be in flight on the descriptor.
/// The runtime whose system it names must outlive it.
class descriptor
{
public:
    descriptor() noexcept = default;
    descriptor(system& owner, int fd) noexcept : system_(&owner), fd_(fd) {}

    descriptor(descriptor&& other) noexcept
        : system_(std::exchange(other.system_, nullptr)), fd_(std::exchange(other.fd_, -1))
    {
    }

    descriptor& operator=(descriptor&& other) noexcept
    {
        if (this != &other)
        {
            static_cast<void>(close());
            system_ = std::exchange(other.system_, nullptr);
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }

    ~descriptor()
    {
        static_cast<void>(close());
    }

    [[nodiscard]] bool is_open() const noexcept
    {
        return fd_ >= 0;
    }

    /// Negative when there is none.
    [[nodiscard]] int get() const noexcept
    {
        return fd_;
    }

    /// Only while is_open().
    [[nodiscard]] system& owner() const noexcept
    {
        return *system_;
    }

    /// The caller closes it from now on.
    [[nodiscard]] int release() noexcept
    {
        return std::exchange(fd_, -1);
    }

    /// The descriptor is gone whatever the result says. Success when there is none.
    result<void> close() noexcept
    {
        if (!is_open())
        {
            return {};
        }
        if (const int closed = system_->close(release()); closed < 0)
        {
            return fail(error_from_kernel(closed));
        }
        return {};
    }

private:
    system* system_ = nullptr;
    int fd_ = -1;
};

} // namespace blitzio::detail
