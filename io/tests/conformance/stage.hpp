// What one case of the conformance suite plays on: descriptors, buffers and paths that go with it.
// Thread rule: the test's thread.
#pragma once

#include "conformance/world.hpp"

#include <array>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace blitzio::conformance
{

/// A loopback address in the kernel's layout.
[[nodiscard]] socket_address loopback(std::uint16_t port = 0);
[[nodiscard]] socket_address loopback6(std::uint16_t port = 0);
/// A unix socket's path.
[[nodiscard]] socket_address unix_address(std::string_view path);

class stage
{
public:
    explicit stage(world& where);
    /// Closes what is left; nothing may be in flight on it.
    ~stage();
    stage(const stage&) = delete;
    stage& operator=(const stage&) = delete;

    world& w;

    // --- descriptors; all of them are closed at the end
    struct pair
    {
        int near = -1;
        int far = -1;
    };

    [[nodiscard]] int own(int fd);
    [[nodiscard]] int tcp_socket();
    [[nodiscard]] int listener(int backlog = 16);
    /// Connected through a listener; `near` is the side that connected.
    [[nodiscard]] pair tcp();
    [[nodiscard]] pair unix_pair();
    /// `near` is read from, `far` is written to.
    [[nodiscard]] pair pipe();
    [[nodiscard]] int open(std::string_view name, std::uint32_t flags = open_flags::read);
    [[nodiscard]] int closed_number();
    void close(int fd);
    /// Not closed at the end any more: somebody else does it, or has.
    void disown(int fd);
    void reset_peer(int fd);

    // --- files, in a directory of this stage
    [[nodiscard]] std::string path(std::string_view name) const
    {
        return w.path(relative(name));
    }
    /// Lives as long as the stage.
    [[nodiscard]] const char* c_path(std::string_view name);
    [[nodiscard]] const char* c_text(std::string text);
    [[nodiscard]] std::string relative(std::string_view name) const;
    const char* file(std::string_view name, std::string_view contents);
    const char* directory(std::string_view name);
    const char* fifo(std::string_view name);
    const char* symlink(std::string_view name, const std::string& target);
    [[nodiscard]] std::optional<std::string> contents(std::string_view name);

    // --- operations that must succeed
    void send(int fd, std::string_view data);
    void write(int fd, std::string_view data);
    /// As many bytes, in as many steps as it takes.
    [[nodiscard]] std::string recv(int fd, std::size_t length);
    [[nodiscard]] std::string read(int fd, std::size_t length);
    void shut_down_sending(int fd);
    /// Until no more goes in; how many bytes went.
    std::size_t fill(int fd, op_kind kind);

    /// The bytes of a leased read that gave `count`; the buffer goes back.
    [[nodiscard]] static std::string take(const detail::buffer_lease& lease, std::int32_t count);

    // --- filling in requests
    static void transfer(request& wanted, int fd, void* data, std::size_t length,
                         std::uint64_t offset = 0);
    static void leased(request& wanted, int fd, detail::buffer_lease* out, std::size_t length = 0);
    static void peer(request& wanted, int fd, socket_address* address);
    static void on_path(request& wanted, const char* path, std::uint32_t flags = 0,
                        std::uint32_t mode = 0755, int base = detail::op::no_descriptor);
    static void paths(request& wanted, const char* from, const char* to, bool replace = true);
    static void stat(request& wanted, const char* path, detail::file_status* out,
                     bool follow = true, int fd = detail::op::no_descriptor);
    static void wait_for_events(request& wanted, int fd, std::uint32_t events);

    // --- room for arguments
    std::array<char, 4096> buffer{};
    socket_address address;
    detail::file_status status;
    detail::directory_batch batch;
    detail::buffer_lease lease;

private:
    [[nodiscard]] std::string collect(op_kind kind, int fd, std::size_t length);
    void hand_over(op_kind kind, int fd, std::string_view data);

    std::string directory_;
    std::vector<int> owned_;
    std::deque<std::string> texts_;
};

} // namespace blitzio::conformance
