// Files and whatever else can be read. Thread rule: see the header.
#include "grep_tree/input.hpp"

#include <cerrno>
#include <string>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace grep_tree
{

namespace bz = blitzio;

namespace
{

std::error_code last_error() noexcept
{
    return {errno, std::system_category()};
}

} // namespace

input::~input()
{
    if (descriptor_ >= 0)
    {
        ::close(descriptor_);
    }
}

bz::task<bz::result<void>> input::open(const subject& what)
{
    position_ = what.position;
    if (!what.special)
    {
        // What the walk has seen may be another file by now, and that a FIFO: opening must not wait
        // for its other end.
        bz::fs::open_options without_waiting;
        without_waiting.non_block = true;
        file_ = co_await bz::try_(bz::fs::file::open(what.path, without_waiting));
        co_return {};
    }
    const auto opened = co_await bz::spawn_blocking([&what]() -> bz::result<int> {
        const int descriptor = what.standard_input
                                   ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                   : ::open(what.path.c_str(), O_RDONLY | O_CLOEXEC);
        if (descriptor < 0)
        {
            return bz::fail(last_error());
        }
        return descriptor;
    });
    descriptor_ = co_await bz::try_(opened);
    co_return {};
}

bz::task<bz::result<std::size_t>> input::read(std::span<std::byte> into)
{
    if (descriptor_ < 0)
    {
        const std::size_t got = co_await bz::try_(file_.read_at(position_, into));
        position_ += got;
        co_return got;
    }
    const auto read = co_await bz::spawn_blocking([&]() -> bz::result<std::size_t> {
        for (;;)
        {
            const ssize_t got = ::read(descriptor_, into.data(), into.size());
            if (got >= 0)
            {
                return static_cast<std::size_t>(got);
            }
            if (errno != EINTR)
            {
                return bz::fail(last_error());
            }
        }
    });
    co_return read;
}

bz::task<bz::result<bz::fs::file_status>> input::status()
{
    auto known = co_await file_.stat();
    co_return known;
}

bz::task<bool> input::has_hole(std::string path, std::uint64_t offset) const
{
    const auto found = co_await bz::spawn_blocking([&]() -> bool {
        const int descriptor = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (descriptor < 0)
        {
            return false;
        }
        const off_t end = ::lseek(descriptor, 0, SEEK_END);
        const off_t hole = ::lseek(descriptor, static_cast<off_t>(offset), SEEK_HOLE);
        ::close(descriptor);
        return hole >= 0 && hole < end;
    });
    co_return found.value_or(false);
}

} // namespace grep_tree
