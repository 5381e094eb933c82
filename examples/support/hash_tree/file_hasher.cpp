// Plain reads, and reading ahead where they would wait. Thread rule: see the header.
#include "hash_tree/file_hasher.hpp"

#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

namespace hash_tree
{

namespace
{

/// Closes on the spot.
class open_file
{
public:
    open_file() noexcept = default;
    open_file(const open_file&) = delete;
    open_file& operator=(const open_file&) = delete;
    ~open_file()
    {
        if (fd_ >= 0)
        {
            close(fd_);
        }
    }

    /// 0 or errno. What the walk has seen may be another file by now, and that a FIFO: then opening
    /// must not wait for a writer. Reading it at an offset will say that it is none of ours.
    int open_for_reading(const std::string& path) noexcept
    {
        if (fd_ < 0)
        {
            fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        }
        return fd_ < 0 ? errno : 0;
    }

    [[nodiscard]] int fd() const noexcept
    {
        return fd_;
    }

private:
    int fd_ = -1;
};

} // namespace

std::string complaint(std::string_view path, std::string_view reason)
{
    return "hash_tree: " + printable(path) + ": " + std::string(reason) + '\n';
}

/// What a thread needs; looking up the algorithm and making the buffer happen once for each.
struct file_hasher::workspace
{
    explicit workspace(std::size_t bytes)
        : buffer(std::make_unique_for_overwrite<std::byte[]>(bytes))
    {
    }

    std::unique_ptr<std::byte[]> buffer;
    sha256 hasher;
};

class file_hasher::loan
{
public:
    explicit loan(file_hasher& owner) : owner_(owner)
    {
        const std::lock_guard lock(owner_.mutex_);
        if (!owner_.idle_.empty())
        {
            lent_ = std::move(owner_.idle_.back());
            owner_.idle_.pop_back();
        }
        else
        {
            lent_ = std::make_unique<workspace>(owner_.buffer_bytes_);
        }
    }
    ~loan()
    {
        const std::lock_guard lock(owner_.mutex_);
        owner_.idle_.push_back(std::move(lent_));
    }
    loan(const loan&) = delete;
    loan& operator=(const loan&) = delete;

    workspace& operator*() const noexcept
    {
        return *lent_;
    }

private:
    file_hasher& owner_;
    std::unique_ptr<workspace> lent_;
};

/// One call of hash().
class file_hasher::run
{
public:
    run(file_hasher& owner, std::span<item> items, workspace& space, blitzio::stop_token stop)
        : owner_(owner), items_(items), space_(space), stop_(stop)
    {
    }

    hashed all()
    {
        hashed made;
        for (std::size_t index = 0; index < items_.size() && !stop_.stop_requested(); ++index)
        {
            const item& each = items_[index];
            if (!each.remark.empty())
            {
                made.complaints += each.remark;
                continue;
            }
            if (const int error = hash_file(index); error != 0)
            {
                made.complaints += complaint(each.path, std::system_category().message(error));
                owner_.progress_.failures.fetch_add(1, std::memory_order_relaxed);
                continue;
            }
            if (!stop_.stop_requested())
            {
                made.lines += checksum_line(space_.hasher.finish(), each.path);
                owner_.progress_.files_done.fetch_add(1, std::memory_order_relaxed);
            }
        }
        return made;
    }

private:
    /// 0 or errno.
    int hash_file(std::size_t index)
    {
        open_file opened_now;
        open_file& file = ahead_.empty() ? opened_now : ahead_[index];
        if (const int error = file.open_for_reading(items_[index].path); error != 0)
        {
            return error;
        }
        space_.hasher.begin();
        for (std::uint64_t offset = 0; !stop_.stop_requested();)
        {
            const ssize_t got = read_at(index, file.fd(), offset);
            if (got < 0 && errno != EINTR)
            {
                return errno;
            }
            if (got == 0)
            {
                break;
            }
            if (got > 0)
            {
                const auto length = static_cast<std::size_t>(got);
                space_.hasher.update({space_.buffer.get(), length});
                offset += length;
                owner_.progress_.bytes_done.fetch_add(length, std::memory_order_relaxed);
            }
        }
        return 0;
    }

    ssize_t read_at(std::size_t index, int fd, std::uint64_t offset)
    {
        const auto where = static_cast<off_t>(offset);
        if (ahead_.empty() && asks_first_)
        {
            const iovec room{space_.buffer.get(), owner_.buffer_bytes_};
            const ssize_t got = preadv2(fd, &room, 1, where, RWF_NOWAIT);
            if (got >= 0 || errno == ESPIPE || errno == EISDIR)
            {
                return got;
            }
            if (errno == EAGAIN)
            {
                read_ahead(index + 1);
            }
            asks_first_ = false; // or the file system cannot tell
        }
        return pread(fd, space_.buffer.get(), owner_.buffer_bytes_, where);
    }

    /// The disk gets to know of all that is wanted, so that it does not do one after the other.
    void read_ahead(std::size_t first)
    {
        ahead_ = std::vector<open_file>(items_.size());
        for (std::size_t index = first; index < items_.size(); ++index)
        {
            if (items_[index].remark.empty() &&
                ahead_[index].open_for_reading(items_[index].path) == 0)
            {
                // As much as a few reads take; the kernel goes on from there by itself.
                constexpr off_t enough = 1024 * 1024;
                posix_fadvise(ahead_[index].fd(), 0, enough, POSIX_FADV_WILLNEED);
            }
        }
    }

    file_hasher& owner_;
    std::span<item> items_;
    workspace& space_;
    blitzio::stop_token stop_;
    /// Empty while everything has been in memory.
    std::vector<open_file> ahead_;
    bool asks_first_ = true;
};

file_hasher::file_hasher(std::size_t buffer_bytes, counters& progress)
    : buffer_bytes_(buffer_bytes), progress_(progress)
{
}

file_hasher::~file_hasher() = default;

hashed file_hasher::hash(std::span<item> items, blitzio::stop_token stop)
{
    const loan space(*this);
    return run(*this, items, *space, stop).all();
}

} // namespace hash_tree
