// Each operation as plain system calls. Thread rule: stateless, any thread.
#include "driver/posix_ops.hpp"

#include "limits.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <new>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

namespace blitzio::detail
{

namespace
{

static_assert(sizeof(sockaddr_storage) == sizeof(socket_address::storage));

constinit std::atomic<fault_hook> installed_fault_hook{nullptr};

/// 0, except in tests: the errno that the next call is to fail with.
int injected_fault() noexcept
{
    // Acquire: partner is the release in set_fault_hook().
    const fault_hook hook = installed_fault_hook.load(std::memory_order_acquire);
    return hook == nullptr ? 0 : hook();
}

/// What `call` gives; in a test maybe a failure in its place.
template <class Call>
auto call_kernel(Call& call) noexcept -> decltype(call())
{
    if (const int injected = injected_fault(); injected != 0) [[unlikely]]
    {
        errno = injected;
        return -1;
    }
    return call();
}

/// Repeats `call` while a signal interrupts it; its result, or the negated errno.
template <class Call>
std::int32_t kernel_result(Call call) noexcept
{
    for (;;)
    {
        const auto outcome = call_kernel(call);
        if (outcome >= 0)
        {
            return static_cast<std::int32_t>(outcome);
        }
        if (errno != EINTR)
        {
            return -errno;
        }
    }
}

std::size_t transfer_length(const op& operation) noexcept
{
    return std::min(operation.args.transfer.length, limits::transfer_bytes_max);
}

std::int32_t perform_accept(op& operation) noexcept
{
    socket_address* const peer = operation.args.peer.address;
    for (int attempt = 1;; ++attempt)
    {
        socklen_t size = sizeof(sockaddr_storage);
        auto call = [&] {
            auto* const room =
                peer == nullptr ? nullptr : reinterpret_cast<sockaddr*>(peer->storage.data());
            return accept4(operation.fd, room, peer == nullptr ? nullptr : &size,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
        };
        const int fd = call_kernel(call);
        if (fd >= 0)
        {
            if (peer != nullptr)
            {
                peer->size = std::min<socklen_t>(size, sizeof(sockaddr_storage));
            }
            return fd;
        }
        // ECONNABORTED: that connection died in the backlog, which is no fault of the listener.
        if (errno == EINTR || (errno == ECONNABORTED && attempt < limits::aborted_connections_max))
        {
            continue;
        }
        return -errno;
    }
}

std::int32_t perform_connect(const op& operation) noexcept
{
    const socket_address& target = *operation.args.peer.address;
    auto call = [&] {
        return connect(operation.fd, reinterpret_cast<const sockaddr*>(target.storage.data()),
                       target.size);
    };
    for (bool was_interrupted = false;; was_interrupted = true)
    {
        if (call_kernel(call) == 0 || (was_interrupted && errno == EISCONN))
        {
            return 0;
        }
        if (errno != EINTR)
        {
            // An interrupted connect goes on by itself, and calling again tells so.
            return was_interrupted && errno == EALREADY ? -EINPROGRESS : -errno;
        }
    }
}

/// write() without its SIGPIPE: the signal is aimed at the writing thread, so blocking it here and
/// taking back the one that this write has caused hides it from the program, and only that one.
std::int32_t write_without_signal(int fd, const void* data, std::size_t length) noexcept
{
    sigset_t pipe_signal;
    sigset_t before;
    sigset_t pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    const bool was_blocked = sigismember(&before, SIGPIPE) == 1;
    // Deliverable before means that none was pending; otherwise an older one must stay.
    const bool was_pending =
        was_blocked && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
    const std::int32_t result = kernel_result([&] { return ::write(fd, data, length); });
    if (result == -EPIPE && !was_pending)
    {
        const timespec at_once{0, 0};
        while (sigtimedwait(&pipe_signal, nullptr, &at_once) < 0 && errno == EINTR)
        {
        }
    }
    if (!was_blocked)
    {
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    return result;
}

short native_poll_events(std::uint32_t events) noexcept
{
    short native = 0;
    if ((events & poll_events::readable) != 0)
    {
        native |= POLLIN | POLLRDHUP;
    }
    if ((events & poll_events::writable) != 0)
    {
        native |= POLLOUT;
    }
    return native;
}

std::int32_t perform_poll(const op& operation) noexcept
{
    const std::uint32_t wanted = operation.args.poll.events;
    pollfd entry{operation.fd, native_poll_events(wanted), 0};
    // poll() ignores negative descriptors instead of refusing them.
    if (operation.fd < 0)
    {
        return -EBADF;
    }
    const std::int32_t count = kernel_result([&] { return ::poll(&entry, 1, 0); });
    if (count <= 0)
    {
        return count == 0 ? -EAGAIN : count;
    }
    if ((entry.revents & POLLNVAL) != 0)
    {
        return -EBADF;
    }
    std::uint32_t ready = 0;
    ready |= (entry.revents & (POLLIN | POLLRDHUP)) != 0 ? poll_events::readable : 0;
    ready |= (entry.revents & POLLOUT) != 0 ? poll_events::writable : 0;
    ready |= (entry.revents & POLLERR) != 0 ? poll_events::error : 0;
    ready |= (entry.revents & POLLHUP) != 0 ? poll_events::hangup : 0;
    return static_cast<std::int32_t>(ready);
}

std::int32_t perform_open(const op& operation) noexcept
{
    const auto& args = operation.args.open;
    return kernel_result([&] {
        return openat(native_directory(operation), args.path, native_open_flags(args.flags),
                      static_cast<mode_t>(args.mode));
    });
}

std::int32_t perform_close(const op& operation) noexcept
{
    // Linux frees the number before anything can fail or be interrupted: never repeated.
    const bool is_closed = ::close(operation.fd) == 0 || errno == EINTR;
    const int injected = injected_fault();
    if (is_closed && (injected == 0 || injected == EINTR))
    {
        return 0;
    }
    return injected == 0 ? -errno : -injected;
}

std::int32_t perform_stat(const op& operation) noexcept
{
    const auto& args = operation.args.stat;
    const char* const path = args.path == nullptr ? "" : args.path;
    int flags = args.follow_links ? 0 : AT_SYMLINK_NOFOLLOW;
    if (path[0] == '\0' && operation.fd >= 0)
    {
        flags |= AT_EMPTY_PATH;
    }
    struct statx status;
    const std::int32_t result = kernel_result([&] {
        return statx(native_directory(operation), path, flags, STATX_BASIC_STATS, &status);
    });
    if (result == 0)
    {
        fill_file_status(status, *args.out);
    }
    return result;
}

file_type type_of_entry(unsigned char type) noexcept
{
    switch (type)
    {
    case DT_REG: return file_type::regular;
    case DT_DIR: return file_type::directory;
    case DT_LNK: return file_type::symlink;
    case DT_FIFO: return file_type::fifo;
    case DT_SOCK: return file_type::socket;
    case DT_CHR: return file_type::character_device;
    case DT_BLK: return file_type::block_device;
    default: return file_type::unknown;
    }
}

void append_entries(const char* buffer, std::size_t bytes, directory_batch& out)
{
    for (std::size_t position = 0; position < bytes;)
    {
        const auto* const item = reinterpret_cast<const dirent64*>(buffer + position);
        position += item->d_reclen;
        const std::string_view name(item->d_name);
        if (name == "." || name == "..")
        {
            continue;
        }
        out.entries.push_back({.name_offset = static_cast<std::uint32_t>(out.names.size()),
                               .name_length = static_cast<std::uint16_t>(name.size()),
                               .type = type_of_entry(item->d_type),
                               .inode = item->d_ino});
        out.names.append(name);
    }
}

std::int32_t perform_read_directory(const op& operation) noexcept
{
    directory_batch& out = *operation.args.directory.out;
    alignas(dirent64) char buffer[limits::directory_buffer_bytes];
    out.names.clear();
    out.entries.clear();
    out.at_end = false;
    try
    {
        while (out.names.size() + limits::directory_buffer_bytes <= limits::directory_names_bytes)
        {
            const std::int32_t bytes = kernel_result(
                [&] { return syscall(SYS_getdents64, operation.fd, buffer, sizeof buffer); });
            if (bytes < 0)
            {
                // What was read is delivered; the failure comes again with the next batch.
                return out.entries.empty() ? bytes : static_cast<std::int32_t>(out.entries.size());
            }
            if (bytes == 0)
            {
                out.at_end = true;
                break;
            }
            append_entries(buffer, static_cast<std::size_t>(bytes), out);
        }
    }
    catch (const std::bad_alloc&)
    {
        return -ENOMEM;
    }
    return static_cast<std::int32_t>(out.entries.size());
}

std::int32_t perform_rename(const op& operation) noexcept
{
    const auto& args = operation.args.paths;
    const int directory = native_directory(operation);
    return kernel_result([&] {
        return renameat2(directory, args.from, directory, args.to,
                         args.replace ? 0 : RENAME_NOREPLACE);
    });
}

std::int32_t perform_transfer(op& operation) noexcept
{
    auto& args = operation.args.transfer;
    const int fd = operation.fd;
    const std::size_t length = transfer_length(operation);
    const auto offset = static_cast<off_t>(args.offset);
    switch (operation.kind)
    {
    case op_kind::recv:
        return kernel_result([&] { return ::recv(fd, args.data, length, MSG_DONTWAIT); });
    case op_kind::send:
        return kernel_result(
            [&] { return ::send(fd, args.data, length, MSG_DONTWAIT | MSG_NOSIGNAL); });
    case op_kind::read: return kernel_result([&] { return ::read(fd, args.data, length); });
    case op_kind::write: return write_without_signal(fd, args.data, length);
    case op_kind::read_at:
        return kernel_result([&] { return ::pread(fd, args.data, length, offset); });
    case op_kind::write_at:
        return kernel_result([&] { return ::pwrite(fd, args.data, length, offset); });
    case op_kind::nop:
    case op_kind::accept:
    case op_kind::connect:
    case op_kind::recv_leased:
    case op_kind::sync:
    case op_kind::open:
    case op_kind::close:
    case op_kind::stat:
    case op_kind::read_directory:
    case op_kind::rename:
    case op_kind::unlink:
    case op_kind::make_directory:
    case op_kind::poll: break;
    }
    return -ENOSYS;
}

} // namespace

void set_fault_hook(fault_hook hook) noexcept
{
    installed_fault_hook.store(hook, std::memory_order_release);
}

op_interest interest_of(op_kind kind) noexcept
{
    switch (kind)
    {
    case op_kind::nop: return op_interest::none;
    case op_kind::accept:
    case op_kind::recv:
    case op_kind::recv_leased:
    case op_kind::read: return op_interest::read;
    case op_kind::connect:
    case op_kind::send:
    case op_kind::write: return op_interest::write;
    case op_kind::poll: return op_interest::any;
    case op_kind::read_at:
    case op_kind::write_at:
    case op_kind::sync:
    case op_kind::open:
    case op_kind::close:
    case op_kind::stat:
    case op_kind::read_directory:
    case op_kind::rename:
    case op_kind::unlink:
    case op_kind::make_directory: return op_interest::blocking;
    }
    return op_interest::none;
}

std::int32_t perform(op& operation) noexcept
{
    switch (operation.kind)
    {
    case op_kind::nop: return 0;
    case op_kind::accept: return perform_accept(operation);
    case op_kind::connect: return perform_connect(operation);
    case op_kind::recv:
    case op_kind::send:
    case op_kind::read:
    case op_kind::write:
    case op_kind::read_at:
    case op_kind::write_at: return perform_transfer(operation);
    case op_kind::sync:
        return kernel_result([&] {
            return operation.args.sync.data_only ? fdatasync(operation.fd) : fsync(operation.fd);
        });
    case op_kind::open: return perform_open(operation);
    case op_kind::close: return perform_close(operation);
    case op_kind::stat: return perform_stat(operation);
    case op_kind::read_directory: return perform_read_directory(operation);
    case op_kind::rename: return perform_rename(operation);
    case op_kind::unlink:
        return kernel_result([&] {
            const auto& args = operation.args.open;
            return unlinkat(native_directory(operation), args.path,
                            (args.flags & open_flags::remove_directory) != 0 ? AT_REMOVEDIR : 0);
        });
    case op_kind::make_directory:
        return kernel_result([&] {
            const auto& args = operation.args.open;
            return mkdirat(native_directory(operation), args.path, static_cast<mode_t>(args.mode));
        });
    case op_kind::poll: return perform_poll(operation);
    case op_kind::recv_leased: break; // needs a buffer: perform_leased()
    }
    return -ENOSYS;
}

std::int32_t perform_leased(op& operation, worker_buffers& buffers) noexcept
{
    auto& args = operation.args.lease;
    buffer_lease lent;
    if (const std::int32_t refused = buffers.lease(lent); refused < 0)
    {
        return refused;
    }
    const std::size_t length =
        args.length == 0 ? lent.capacity : std::min<std::size_t>(args.length, lent.capacity);
    const std::int32_t result =
        kernel_result([&] { return ::recv(operation.fd, lent.data, length, MSG_DONTWAIT); });
    if (result <= 0)
    {
        buffers.take_back(lent);
        return result;
    }
    buffers.count_lease(lent);
    *args.out = lent;
    return result;
}

std::int32_t perform_gated(op& operation) noexcept
{
    const bool reads = operation.kind == op_kind::read;
    pollfd entry{operation.fd, static_cast<short>(reads ? POLLIN : POLLOUT), 0};
    const std::int32_t count = kernel_result([&] { return ::poll(&entry, 1, 0); });
    if (count <= 0)
    {
        return count == 0 ? -EAGAIN : count;
    }
    if (reads)
    {
        return perform(operation);
    }
    // Ready for writing means one page to a pipe; a longer write would wait for the reader.
    return write_without_signal(operation.fd, operation.args.transfer.data,
                                std::min<std::size_t>(transfer_length(operation), PIPE_BUF));
}

std::int32_t read_at_cached(op& operation) noexcept
{
    const auto& args = operation.args.transfer;
    const std::size_t length = transfer_length(operation);
    std::size_t done = 0;
    // A short read may mean the end of the file or the end of what is cached; only the next one
    // tells which, and the caller must not mistake the latter for the former.
    do
    {
        const iovec part{static_cast<std::byte*>(args.data) + done, length - done};
        const std::int32_t result = kernel_result([&] {
            return preadv2(operation.fd, &part, 1, static_cast<off_t>(args.offset + done),
                           RWF_NOWAIT);
        });
        if (result < 0)
        {
            // Some file systems cannot promise not to wait.
            return result == -EOPNOTSUPP || result == -ENOSYS ? -EAGAIN : result;
        }
        if (result == 0)
        {
            break;
        }
        done += static_cast<std::size_t>(result);
    } while (done < length);
    return static_cast<std::int32_t>(done);
}

std::int32_t continue_connect(op& operation) noexcept
{
    // Asking again gives the outcome in one call, and lets the kernel know that it has been told:
    // a connect after a success is EISCONN then, as with a ring.
    const std::int32_t result = perform_connect(operation);
    return result == -EALREADY ? -EINPROGRESS : result == -EISCONN ? 0 : result;
}

bool is_stream(int fd) noexcept
{
    return ::lseek(fd, 0, SEEK_CUR) < 0 && errno == ESPIPE;
}

bool is_socket(int fd) noexcept
{
    int type = 0;
    socklen_t size = sizeof type;
    return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

bool would_block(op_kind kind, std::int32_t result) noexcept
{
    if (kind == op_kind::connect)
    {
        // EAGAIN is an answer here: the backlog of a unix socket is full, or no port is free, and
        // no readiness will ever tell of a change.
        return result == -EINPROGRESS;
    }
    return result == -EAGAIN && interest_of(kind) != op_interest::blocking;
}

descriptor_mode mode_of(int fd, std::int32_t& error) noexcept
{
    struct stat status;
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &status) != 0)
    {
        error = -errno;
        return descriptor_mode::unknown;
    }
    if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode))
    {
        return descriptor_mode::file;
    }
    return (flags & O_NONBLOCK) != 0 ? descriptor_mode::non_blocking : descriptor_mode::blocking;
}

std::int32_t make_non_blocking(int fd) noexcept
{
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    {
        return -errno;
    }
    return 0;
}

int native_open_flags(std::uint32_t flags) noexcept
{
    const auto has = [flags](std::uint32_t flag) { return (flags & flag) != 0; };
    const bool writes = has(open_flags::write) || has(open_flags::append);
    int native = O_CLOEXEC | O_NOCTTY;
    native |= !writes ? O_RDONLY : has(open_flags::read) ? O_RDWR : O_WRONLY;
    native |= has(open_flags::create) ? O_CREAT : 0;
    native |= has(open_flags::truncate) ? O_TRUNC : 0;
    native |= has(open_flags::append) ? O_APPEND : 0;
    native |= has(open_flags::exclusive) ? O_EXCL : 0;
    native |= has(open_flags::directory) ? O_DIRECTORY : 0;
    native |= has(open_flags::no_follow) ? O_NOFOLLOW : 0;
    native |= has(open_flags::non_block) ? O_NONBLOCK : 0;
    return native;
}

int native_directory(const op& operation) noexcept
{
    return operation.fd == op::no_descriptor ? AT_FDCWD : operation.fd;
}

void fill_file_status(const struct statx& from, file_status& to) noexcept
{
    to.size = from.stx_size;
    to.inode = from.stx_ino;
    to.device = (std::uint64_t{from.stx_dev_major} << 32) | from.stx_dev_minor;
    to.blocks_512 = from.stx_blocks;
    to.link_count = from.stx_nlink;
    to.permissions = from.stx_mode & 07777u;
    to.user_id = from.stx_uid;
    to.group_id = from.stx_gid;
    to.modified_at = std::chrono::seconds(from.stx_mtime.tv_sec) +
                     std::chrono::nanoseconds(from.stx_mtime.tv_nsec);
    // The format bits of the mode are the entry types of directories, shifted.
    to.type = type_of_entry(static_cast<unsigned char>((from.stx_mode & S_IFMT) >> 12));
}

} // namespace blitzio::detail
