// openat2() with RESOLVE_CACHED and preadv2() with RWF_NOWAIT. Kernels and file systems that lack
// them make every file one that would have to be waited for. Thread rule: see the header.
#include "grep_tree/cached_file.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

namespace grep_tree
{

namespace
{

int open_cached(const char* path) noexcept
{
    open_how how{};
    how.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    how.resolve = RESOLVE_CACHED;
    return static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how));
}

} // namespace

std::optional<file_identity> identity_of(int descriptor) noexcept
{
    struct stat status{};
    if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode))
    {
        return std::nullopt;
    }
    // The device as fs::file_status has it.
    const std::uint64_t device = (std::uint64_t{major(status.st_dev)} << 32) | minor(status.st_dev);
    return file_identity{device, status.st_ino};
}

cached_file::cached_file(const std::string& path) noexcept : descriptor_(open_cached(path.c_str()))
{
}

cached_file::~cached_file()
{
    if (is_open())
    {
        ::close(descriptor_);
    }
}

bool cached_file::has_hole(std::uint64_t offset) const noexcept
{
    struct stat status{};
    if (::fstat(descriptor_, &status) != 0 ||
        status.st_blocks * std::int64_t{512} >= status.st_size)
    {
        return false;
    }
    const off_t hole = ::lseek(descriptor_, static_cast<off_t>(offset), SEEK_HOLE);
    return hole >= 0 && hole < status.st_size;
}

std::optional<std::size_t> cached_file::read(std::uint64_t offset,
                                             std::span<char> into) const noexcept
{
    const iovec room{into.data(), into.size()};
    const ssize_t got = ::preadv2(descriptor_, &room, 1, static_cast<off_t>(offset), RWF_NOWAIT);
    return got < 0 ? std::nullopt : std::optional(static_cast<std::size_t>(got));
}

} // namespace grep_tree
