// Each operation as a plain system call: results, errors, and what must not happen on the way.
#include "driver/posix_ops.hpp"
#include "driver/posix_system.hpp"

#include "unit/op_builders.hpp"
#include "unit/test_directory.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

namespace
{

using namespace blitzio::detail;
using namespace blitzio::detail::testing;

struct pipe_ends
{
    explicit pipe_ends(int flags = 0)
    {
        if (pipe2(fds, O_CLOEXEC | flags) != 0)
        {
            throw std::runtime_error("pipe2");
        }
    }

    ~pipe_ends()
    {
        close_read();
        close_write();
    }

    void close_read()
    {
        ::close(std::exchange(fds[0], -1));
    }

    void close_write()
    {
        ::close(std::exchange(fds[1], -1));
    }

    int fds[2];
};

struct socket_ends
{
    socket_ends()
    {
        if (posix_system{}.socket_pair(fds) != 0)
        {
            throw std::runtime_error("socketpair");
        }
    }

    ~socket_ends()
    {
        ::close(fds[0]);
        ::close(fds[1]);
    }

    int fds[2];
};

socket_address loopback(std::uint16_t port = 0)
{
    socket_address address;
    sockaddr_in native{};
    native.sin_family = AF_INET;
    native.sin_port = htons(port);
    native.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::memcpy(address.storage.data(), &native, sizeof native);
    address.size = sizeof native;
    return address;
}

std::int32_t transfer(op_kind kind, int fd, void* data, std::size_t length,
                      std::uint64_t offset = 0)
{
    op operation;
    return perform(make_transfer(operation, kind, fd, data, length, offset));
}

std::int32_t with_path(op_kind kind, const std::string& path, std::uint32_t flags = 0,
                       std::uint32_t mode = 0755)
{
    op operation;
    return perform(make_path(operation, kind, path.c_str(), flags, mode));
}

TEST_CASE("posix_ops: every kind has an interest", "[posix_ops]")
{
    CHECK(interest_of(op_kind::nop) == op_interest::none);
    CHECK(interest_of(op_kind::accept) == op_interest::read);
    CHECK(interest_of(op_kind::recv) == op_interest::read);
    CHECK(interest_of(op_kind::connect) == op_interest::write);
    CHECK(interest_of(op_kind::send) == op_interest::write);
    CHECK(interest_of(op_kind::poll) == op_interest::any);
    CHECK(interest_of(op_kind::read_at) == op_interest::blocking);
    CHECK(interest_of(op_kind::close) == op_interest::blocking);
}

TEST_CASE("posix_ops: would_block depends on the operation", "[posix_ops]")
{
    CHECK(would_block(op_kind::recv, -EAGAIN));
    CHECK(would_block(op_kind::accept, -EAGAIN));
    CHECK_FALSE(would_block(op_kind::recv, 0));
    CHECK_FALSE(would_block(op_kind::recv, -ECONNRESET));
    CHECK(would_block(op_kind::connect, -EINPROGRESS));
    CHECK_FALSE(would_block(op_kind::connect, -EAGAIN)); // a unix socket whose backlog is full
    CHECK_FALSE(would_block(op_kind::connect, 0));
    CHECK_FALSE(would_block(op_kind::open, -EAGAIN)); // a lease conflict: nothing to wait for
}

TEST_CASE("posix_ops: sockets", "[posix_ops]")
{
    socket_ends pair;
    std::array<char, 16> buffer{};
    CHECK(transfer(op_kind::recv, pair.fds[0], buffer.data(), buffer.size()) == -EAGAIN);
    CHECK(transfer(op_kind::send, pair.fds[1], const_cast<char*>("hello"), 5) == 5);
    CHECK(transfer(op_kind::recv, pair.fds[0], buffer.data(), buffer.size()) == 5);
    CHECK(std::string_view(buffer.data(), 5) == "hello");

    SECTION("waiting is refused even by a blocking socket")
    {
        REQUIRE(fcntl(pair.fds[0], F_SETFL, 0) == 0);
        CHECK(transfer(op_kind::recv, pair.fds[0], buffer.data(), buffer.size()) == -EAGAIN);
    }
    SECTION("end of stream, then EPIPE without a signal")
    {
        REQUIRE(::shutdown(pair.fds[1], SHUT_RDWR) == 0);
        CHECK(transfer(op_kind::recv, pair.fds[0], buffer.data(), buffer.size()) == 0);
        CHECK(transfer(op_kind::send, pair.fds[0], buffer.data(), 1) == -EPIPE);
        CHECK(transfer(op_kind::write, pair.fds[0], buffer.data(), 1) == -EPIPE);
    }
    SECTION("errors")
    {
        pipe_ends pipe;
        CHECK(transfer(op_kind::recv, -1, buffer.data(), 1) == -EBADF);
        CHECK(transfer(op_kind::recv, 100'000, buffer.data(), 1) == -EBADF);
        CHECK(transfer(op_kind::recv, pipe.fds[0], buffer.data(), 1) == -ENOTSOCK);
        CHECK(transfer(op_kind::send, pipe.fds[1], buffer.data(), 1) == -ENOTSOCK);
    }
}

TEST_CASE("posix_ops: connect and accept", "[posix_ops]")
{
    posix_system os;
    const int listener = os.open_socket(socket_family::ipv4, socket_type::stream);
    REQUIRE(listener >= 0);
    REQUIRE(os.bind(listener, loopback()) == 0);
    REQUIRE(os.listen(listener, 8) == 0);
    socket_address where;
    REQUIRE(os.local_address(listener, where) == 0);

    op accepting;
    socket_address peer;
    make_peer(accepting, op_kind::accept, listener, &peer);
    CHECK(perform(accepting) == -EAGAIN);

    const int client = os.open_socket(socket_family::ipv4, socket_type::stream);
    op connecting;
    make_peer(connecting, op_kind::connect, client, &where);
    const std::int32_t started = perform(connecting);
    CHECK((started == 0 || started == -EINPROGRESS));
    CHECK((started == 0 || continue_connect(connecting) == 0));
    CHECK(perform(connecting) == -EISCONN); // it was told already

    const std::int32_t served = perform(accepting);
    REQUIRE(served >= 0);
    CHECK((fcntl(served, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((fcntl(served, F_GETFL) & O_NONBLOCK) != 0);
    socket_address local;
    REQUIRE(os.local_address(client, local) == 0);
    CHECK(peer.size == local.size);
    CHECK(std::memcmp(peer.storage.data(), local.storage.data(), local.size) == 0);
    REQUIRE(os.peer_address(served, local) == 0);
    CHECK(std::memcmp(peer.storage.data(), local.storage.data(), local.size) == 0);

    SECTION("nobody listens")
    {
        REQUIRE(os.close(listener) == 0);
        const int refused = os.open_socket(socket_family::ipv4, socket_type::stream);
        op again;
        make_peer(again, op_kind::connect, refused, &where);
        std::int32_t result = perform(again);
        if (result == -EINPROGRESS)
        {
            result = continue_connect(again);
        }
        CHECK(result == -ECONNREFUSED);
        REQUIRE(os.close(refused) == 0);
    }
    SECTION("no descriptor left")
    {
        const int next = os.open_socket(socket_family::ipv4, socket_type::stream);
        op another;
        make_peer(another, op_kind::connect, next, &where);
        const std::int32_t begun = perform(another);
        REQUIRE((begun == 0 || continue_connect(another) == 0));
        rlimit before{};
        REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
        rlimit tight = before;
        tight.rlim_cur = static_cast<rlim_t>(next) + 1;
        REQUIRE(setrlimit(RLIMIT_NOFILE, &tight) == 0);
        const std::int32_t full = perform(accepting);
        REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
        CHECK(full == -EMFILE);
        const std::int32_t then = perform(accepting); // the connection has waited
        CHECK(then >= 0);
        ::close(then);
        ::close(next);
        ::close(listener);
    }
    ::close(served);
    ::close(client);
}

TEST_CASE("posix_ops: a broken pipe is an error and nothing else", "[posix_ops]")
{
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigset_t mask;
    sigset_t pending;
    pipe_ends pipe;
    pipe.close_read();
    char byte = 0;

    SECTION("with the signal deliverable")
    {
        // The default action would end the process.
        CHECK(transfer(op_kind::write, pipe.fds[1], &byte, 1) == -EPIPE);
        pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        CHECK(sigismember(&mask, SIGPIPE) == 0);
        sigpending(&pending);
        CHECK(sigismember(&pending, SIGPIPE) == 0);
    }
    SECTION("with the signal blocked, none is left behind")
    {
        pthread_sigmask(SIG_BLOCK, &pipe_signal, &mask);
        CHECK(transfer(op_kind::write, pipe.fds[1], &byte, 1) == -EPIPE);
        sigpending(&pending);
        CHECK(sigismember(&pending, SIGPIPE) == 0);
        pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    }
    SECTION("with one pending already, it stays")
    {
        pthread_sigmask(SIG_BLOCK, &pipe_signal, &mask);
        pthread_kill(pthread_self(), SIGPIPE);
        CHECK(transfer(op_kind::write, pipe.fds[1], &byte, 1) == -EPIPE);
        sigpending(&pending);
        CHECK(sigismember(&pending, SIGPIPE) == 1);
        const timespec at_once{0, 0};
        CHECK(sigtimedwait(&pipe_signal, nullptr, &at_once) == SIGPIPE);
        pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    }
}

TEST_CASE("posix_ops: gated transfers never wait on blocking descriptors", "[posix_ops]")
{
    pipe_ends pipe;
    op operation;
    std::string buffer(256 * 1024, 'x');
    CHECK(perform_gated(make_transfer(operation, op_kind::read, pipe.fds[0], buffer.data(), 8)) ==
          -EAGAIN);
    // More than the pipe holds: a plain write would hang this test.
    std::size_t written = 0;
    for (;;)
    {
        op writing;
        const std::int32_t result = perform_gated(
            make_transfer(writing, op_kind::write, pipe.fds[1], buffer.data(), buffer.size()));
        if (result == -EAGAIN)
        {
            break;
        }
        REQUIRE(result > 0);
        written += static_cast<std::size_t>(result);
    }
    CHECK(written >= 4096);
    op reading;
    CHECK(perform_gated(make_transfer(reading, op_kind::read, pipe.fds[0], buffer.data(), 8)) == 8);
    std::int32_t error = 0;
    CHECK(mode_of(pipe.fds[0], error) == descriptor_mode::blocking);
    CHECK(make_non_blocking(pipe.fds[0]) == 0);
    CHECK(mode_of(pipe.fds[0], error) == descriptor_mode::non_blocking);
    CHECK(mode_of(-1, error) == descriptor_mode::unknown);
    CHECK(error == -EBADF);
    CHECK(make_non_blocking(-1) == -EBADF);
}

TEST_CASE("posix_ops: poll names what is ready", "[posix_ops]")
{
    socket_ends pair;
    const auto poll_now = [](int fd, std::uint32_t events) {
        op operation;
        return perform(make_poll(operation, fd, events));
    };
    using namespace poll_events;
    CHECK(poll_now(pair.fds[0], readable) == -EAGAIN);
    CHECK(poll_now(pair.fds[0], readable | writable) == writable);
    REQUIRE(::send(pair.fds[1], "x", 1, 0) == 1);
    CHECK(poll_now(pair.fds[0], readable) == readable);
    CHECK(poll_now(pair.fds[0], readable | writable) == (readable | writable));
    REQUIRE(::shutdown(pair.fds[1], SHUT_RDWR) == 0);
    CHECK((poll_now(pair.fds[0], readable) & hangup) != 0);
    CHECK(poll_now(-1, readable) == -EBADF);
    CHECK(poll_now(100'000, readable) == -EBADF);
    pipe_ends pipe;
    pipe.close_read();
    CHECK((poll_now(pipe.fds[1], writable) & error) != 0);
}

TEST_CASE("posix_ops: files", "[posix_ops]")
{
    test_directory directory;
    using namespace open_flags;
    const std::string path = directory.path("file");
    const int fd =
        with_path(op_kind::open, path, open_flags::read | open_flags::write | create, 0640);
    REQUIRE(fd >= 0);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    std::string text = "0123456789";
    CHECK(transfer(op_kind::write_at, fd, text.data(), 10, 5) == 10);
    std::array<char, 32> buffer{};
    CHECK(transfer(op_kind::read_at, fd, buffer.data(), 32, 7) == 8);
    CHECK(std::string_view(buffer.data(), 8) == "23456789");
    CHECK(transfer(op_kind::read_at, fd, buffer.data(), 32, 15) == 0);
    CHECK(transfer(op_kind::read, fd, buffer.data(), 6) == 6);
    CHECK(std::string_view(buffer.data(), 6) == std::string_view("\0\0\0\0\0000", 6));
    CHECK(transfer(op_kind::read, fd, buffer.data(), 1) == 1);
    CHECK(buffer[0] == '1');

    op syncing;
    CHECK(perform(make_simple(syncing, op_kind::sync, fd)) == 0);
    syncing.args.sync.data_only = true;
    CHECK(perform(syncing) == 0);

    file_status status;
    op asking;
    CHECK(perform(make_stat(asking, path.c_str(), &status)) == 0);
    CHECK(status.size == 15);
    CHECK(status.type == file_type::regular);
    CHECK(status.link_count == 1);
    CHECK((status.permissions & 0600) == 0600);
    struct stat native{};
    REQUIRE(::fstat(fd, &native) == 0);
    CHECK(status.inode == native.st_ino);
    CHECK(status.user_id == native.st_uid);
    CHECK(status.modified_at.count() ==
          native.st_mtim.tv_sec * 1'000'000'000 + native.st_mtim.tv_nsec);
    file_status by_descriptor;
    op asking_descriptor;
    CHECK(perform(make_stat(asking_descriptor, "", &by_descriptor, true, fd)) == 0);
    CHECK(by_descriptor.inode == status.inode);

    op closing;
    CHECK(perform(make_simple(closing, op_kind::close, fd)) == 0);
    CHECK(fcntl(fd, F_GETFD) == -1);
    op closing_again;
    CHECK(perform(make_simple(closing_again, op_kind::close, fd)) == -EBADF);

    CHECK(with_path(op_kind::open, path, open_flags::write | create | exclusive) == -EEXIST);
    CHECK(with_path(op_kind::open, path, open_flags::read | open_flags::directory) == -ENOTDIR);
    CHECK(with_path(op_kind::open, directory.path("none"), open_flags::read) == -ENOENT);
    CHECK(with_path(op_kind::open, directory.path(), open_flags::write) == -EISDIR);
    CHECK(with_path(op_kind::open, path + "/below", open_flags::read) == -ENOTDIR);
    CHECK(with_path(op_kind::open, directory.path(std::string(300, 'n')), open_flags::read) ==
          -ENAMETOOLONG);
    const int appending = with_path(op_kind::open, path, append);
    REQUIRE(appending >= 0);
    CHECK(transfer(op_kind::write, appending, text.data(), 1) == 1);
    CHECK(::lseek(appending, 0, SEEK_CUR) == 16);
    CHECK(transfer(op_kind::read_at, appending, buffer.data(), 1) == -EBADF); // not for reading
    ::close(appending);
    const int truncating = with_path(op_kind::open, path, open_flags::write | open_flags::truncate);
    REQUIRE(truncating >= 0);
    CHECK(::lseek(truncating, 0, SEEK_END) == 0);
    ::close(truncating);
}

TEST_CASE("posix_ops: cached reads are whole or not at all", "[posix_ops]")
{
    test_directory directory;
    const std::string contents(100'000, 'c');
    const int fd = ::open(directory.file("f", contents).c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    std::string buffer(200'000, '\0');
    op operation;
    const auto cached = [&](std::uint64_t offset, std::size_t length) {
        return read_at_cached(
            make_transfer(operation, op_kind::read_at, fd, buffer.data(), length, offset));
    };
    const std::int32_t whole = cached(0, buffer.size());
    // A file system that cannot promise not to wait says EAGAIN; a part would be wrong.
    CHECK((whole == 100'000 || whole == -EAGAIN));
    if (whole > 0)
    {
        CHECK(buffer.substr(0, 100'000) == contents);
        CHECK(cached(99'990, 100) == 10);
        CHECK(cached(100'000, 100) == 0);
        CHECK(cached(50, 100) == 100);
    }
    // With only the beginning in memory a short result would look like the end of the file.
    REQUIRE(::fsync(fd) == 0);
    REQUIRE(::posix_fadvise(fd, 49'152, 0, POSIX_FADV_DONTNEED) == 0);
    const std::int32_t partly = cached(0, buffer.size());
    CHECK((partly == 100'000 || partly == -EAGAIN));
    ::close(fd);
    CHECK(cached(0, 10) == -EBADF);
    pipe_ends pipe;
    op on_pipe;
    CHECK(read_at_cached(make_transfer(on_pipe, op_kind::read_at, pipe.fds[0], buffer.data(), 1)) ==
          -ESPIPE);
}

TEST_CASE("posix_ops: paths", "[posix_ops]")
{
    test_directory directory;
    const std::string first = directory.file("first", "1");
    const std::string second = directory.file("second", "22");
    const auto rename_to = [](const std::string& from, const std::string& to, bool replace) {
        op operation;
        return perform(make_rename(operation, from.c_str(), to.c_str(), replace));
    };
    CHECK(rename_to(first, second, false) == -EEXIST);
    CHECK(rename_to(first, directory.path("third"), false) == 0);
    CHECK(rename_to(directory.path("third"), second, true) == 0);
    CHECK(rename_to(first, second, true) == -ENOENT);

    CHECK(with_path(op_kind::make_directory, directory.path("sub"), 0, 0700) == 0);
    CHECK(with_path(op_kind::make_directory, directory.path("sub")) == -EEXIST);
    CHECK(with_path(op_kind::unlink, directory.path("sub")) == -EISDIR);
    directory.file("sub/inside", "");
    CHECK(with_path(op_kind::unlink, directory.path("sub"), open_flags::remove_directory) ==
          -ENOTEMPTY);
    CHECK(with_path(op_kind::unlink, directory.path("sub/inside")) == 0);
    CHECK(with_path(op_kind::unlink, directory.path("sub/inside")) == -ENOENT);
    CHECK(with_path(op_kind::unlink, second, open_flags::remove_directory) == -ENOTDIR);
    CHECK(with_path(op_kind::unlink, directory.path("sub"), open_flags::remove_directory) == 0);

    REQUIRE(::symlink(second.c_str(), directory.path("link").c_str()) == 0);
    REQUIRE(::mkfifo(directory.path("fifo").c_str(), 0600) == 0);
    file_status status;
    op through;
    CHECK(perform(make_stat(through, directory.path("link").c_str(), &status, true)) == 0);
    CHECK(status.type == file_type::regular);
    op itself;
    CHECK(perform(make_stat(itself, directory.path("link").c_str(), &status, false)) == 0);
    CHECK(status.type == file_type::symlink);
    op fifo;
    CHECK(perform(make_stat(fifo, directory.path("fifo").c_str(), &status)) == 0);
    CHECK(status.type == file_type::fifo);
    op missing;
    CHECK(perform(make_stat(missing, "", &status)) == -ENOENT);
    CHECK(with_path(op_kind::open, directory.path("link"),
                    open_flags::read | open_flags::no_follow) == -ELOOP);

    const int base = ::open(directory.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    op relative;
    CHECK(perform(make_stat(relative, "second", &status, true, base)) == 0);
    CHECK(status.size == 1);
    ::close(base);
}

TEST_CASE("posix_ops: a directory in portions", "[posix_ops]")
{
    test_directory directory;
    std::map<std::string, file_type> expected;
    for (int index = 0; index < 3000; ++index)
    {
        const std::string name = std::to_string(index) + std::string(40, 'n');
        ::close(::open(directory.path(name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        expected[name] = file_type::regular;
    }
    REQUIRE(::mkdir(directory.path("sub").c_str(), 0700) == 0);
    expected["sub"] = file_type::directory;
    const int fd = ::open(directory.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(fd >= 0);

    std::map<std::string, file_type> found;
    directory_batch batch;
    int batches = 0;
    do
    {
        op operation;
        const std::int32_t count = perform(make_read_directory(operation, fd, &batch));
        REQUIRE(count == static_cast<std::int32_t>(batch.entries.size()));
        REQUIRE((count > 0 || batch.at_end));
        CHECK(batch.names.size() <= 64 * 1024);
        for (const auto& entry : batch.entries)
        {
            CHECK(entry.inode != 0);
            REQUIRE(found.emplace(batch.name(entry), entry.type).second); // none twice
        }
        ++batches;
    } while (!batch.at_end);
    CHECK(batches > 1);
    CHECK(found == expected);
    ::close(fd);

    op gone;
    CHECK(perform(make_read_directory(gone, fd, &batch)) == -EBADF);
    CHECK(batch.entries.empty());
    const int file = ::open(directory.path(expected.begin()->first).c_str(), O_RDONLY | O_CLOEXEC);
    op not_a_directory;
    CHECK(perform(make_read_directory(not_a_directory, file, &batch)) == -ENOTDIR);
    ::close(file);
}

TEST_CASE("posix_system: options", "[posix_ops]")
{
    posix_system os;
    const int fd = os.open_socket(socket_family::ipv4, socket_type::stream);
    REQUIRE(fd >= 0);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    int value = 0;
    CHECK(os.get_option(fd, socket_option::linger_seconds, value) == 0);
    CHECK(value == -1);
    CHECK(os.set_option(fd, socket_option::linger_seconds, 7) == 0);
    CHECK(os.get_option(fd, socket_option::linger_seconds, value) == 0);
    CHECK(value == 7);
    CHECK(os.set_option(fd, socket_option::linger_seconds, 0) == 0);
    CHECK(os.get_option(fd, socket_option::linger_seconds, value) == 0);
    CHECK(value == 0);
    CHECK(os.set_option(fd, socket_option::linger_seconds, -1) == 0);
    CHECK(os.get_option(fd, socket_option::linger_seconds, value) == 0);
    CHECK(value == -1);
    for (const auto option : {socket_option::reuse_address, socket_option::reuse_port,
                              socket_option::no_delay, socket_option::keep_alive})
    {
        CHECK(os.set_option(fd, option, 1) == 0);
        CHECK(os.get_option(fd, option, value) == 0);
        CHECK(value == 1);
        CHECK(os.set_option(fd, option, 0) == 0);
        CHECK(os.get_option(fd, option, value) == 0);
        CHECK(value == 0);
    }
    CHECK(os.set_option(fd, socket_option::send_buffer_size, 50'000) == 0);
    CHECK(os.get_option(fd, socket_option::send_buffer_size, value) == 0);
    CHECK(value >= 50'000);
    CHECK(os.get_option(fd, socket_option::pending_error, value) == 0);
    CHECK(value == 0);
    CHECK(os.set_option(fd, socket_option::pending_error, 0) < 0);
    CHECK(os.shutdown(fd, shutdown_direction::both) == -ENOTCONN);
    CHECK(os.close(fd) == 0);
    CHECK(os.close(fd) == -EBADF);
    CHECK(os.set_option(fd, socket_option::no_delay, 1) == -EBADF);
    socket_address address;
    CHECK(os.local_address(fd, address) == -EBADF);
    CHECK(os.listen(fd, 1) == -EBADF);
    CHECK(os.bind(fd, loopback()) == -EBADF);
}

TEST_CASE("posix_system: a port in use is an error", "[posix_ops]")
{
    posix_system os;
    const int first = os.open_socket(socket_family::ipv4, socket_type::stream);
    const int second = os.open_socket(socket_family::ipv4, socket_type::stream);
    REQUIRE(os.bind(first, loopback()) == 0);
    REQUIRE(os.listen(first, 1) == 0);
    socket_address taken;
    REQUIRE(os.local_address(first, taken) == 0);
    CHECK(os.bind(second, taken) == -EADDRINUSE);
    CHECK(os.close(first) == 0);
    CHECK(os.close(second) == 0);
}

} // namespace
