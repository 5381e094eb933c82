// What a simulated world says to those who misuse it or set it up wrongly, and the permissions that
// only a user who is not root meets. Thread rule: the test's thread.
#include "sim_harness.hpp"

#include "driver/sim/file_tree.hpp"
#include "support/dying.hpp"

#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <deque>
#include <string>

using namespace blitzio::detail;
using namespace sim_test;

TEST_CASE("every kind of operation is named when a driver goes with it in flight", "[sim]")
{
    harness sim(sim_options{.seed = 11, .faults = false});
    sim.world().files().add_file("/file", "abc");
    sim.world().files().add_directory("/directory");
    int pair[2];
    REQUIRE(sim.os().socket_pair(pair) == 0);
    const int file = sim.open("/file", open_flags::read | open_flags::write);
    const int directory = sim.open("/directory", open_flags::read);
    const int socket = sim.os().open_socket(socket_family::ipv4, socket_type::stream);
    const int listening = sim.os().open_socket(socket_family::ipv4, socket_type::stream);
    REQUIRE(sim.os().listen(listening, 1) == 0);
    auto address = ipv4(9);
    std::string bytes(64, 'b');
    file_status status;
    directory_batch batch;
    buffer_lease lease;
    std::deque<test_op> all;
    const auto start = [&](op_kind kind, int fd, auto arrange) {
        arrange(all.emplace_back(kind, fd).args);
        sim.start(all.back());
    };
    const auto plainly = [](op::arguments&) {};
    const auto moving = [&](op::arguments& args) { args.transfer = {bytes.data(), 1, 0}; };
    const auto to_path = [&](const char* path, std::uint32_t flags) {
        return [path, flags](op::arguments& args) { args.open = {path, flags, 0755}; };
    };
    start(op_kind::nop, op::no_descriptor, plainly);
    start(op_kind::accept, listening, [](op::arguments& args) { args.peer = {nullptr}; });
    start(op_kind::connect, socket, [&](op::arguments& args) { args.peer = {&address}; });
    for (const auto kind : {op_kind::recv, op_kind::send})
    {
        start(kind, pair[0], moving);
    }
    start(op_kind::recv_leased, pair[1], [&](op::arguments& args) { args.lease = {&lease, 0}; });
    for (const auto kind : {op_kind::read, op_kind::write, op_kind::read_at, op_kind::write_at})
    {
        start(kind, file, moving);
    }
    start(op_kind::sync, file, [](op::arguments& args) { args.sync = {false}; });
    start(op_kind::open, op::no_descriptor, to_path("/file", open_flags::read));
    start(op_kind::close, file, plainly);
    start(op_kind::stat, op::no_descriptor,
          [&](op::arguments& args) { args.stat = {"/file", &status, true}; });
    start(op_kind::read_directory, directory,
          [&](op::arguments& args) { args.directory = {&batch}; });
    start(op_kind::rename, op::no_descriptor,
          [](op::arguments& args) { args.paths = {"/file", "/other", true}; });
    start(op_kind::unlink, op::no_descriptor, to_path("/file", 0));
    start(op_kind::make_directory, op::no_descriptor, to_path("/new", 0));
    start(op_kind::poll, pair[0], [](op::arguments& args) { args.poll = {poll_events::readable}; });
    sim.violations.clear(); // a close with reads in flight is one
    sim.drivers.clear();
    REQUIRE(sim.violations.size() == 1);
    const std::string& said = sim.violations.front();
    INFO(said);
    for (const char* const name :
         {"nop", "accept", "connect", "recv", "recv_leased", "send", "read", "write", "read_at",
          "write_at", "sync", "open", "close", "stat", "read_directory", "rename", "unlink",
          "make_directory", "poll"})
    {
        INFO(name);
        CHECK((said + ' ').find(' ' + std::string(name) + ' ') != std::string::npos);
    }
}

TEST_CASE("a violation that nobody handles ends the process with the seed", "[sim][dying]")
{
    const auto end = blitzio::test::end_of([] {
        harness sim(sim_options{.seed = 4242, .faults = false});
        sim.world().set_violation_handler(nullptr);
        char byte = 0;
        int pair[2];
        static_cast<void>(sim.os().socket_pair(pair));
        auto receiving = transfer(op_kind::recv, pair[0], &byte, 1);
        sim.start(receiving);
        sim.settle();
        byte = 'x';
        static_cast<void>(sim.send(pair[1], "y"));
        static_cast<void>(sim.finish_of(receiving));
    });
    INFO(end.text);
    CHECK(end.signal == SIGABRT);
    CHECK(end.says("blitzio simulation, seed 4242, at "));
    CHECK(end.says("recv on descriptor 3, worker 0: the buffer to be filled was written to"));
}

TEST_CASE("a tree that is set up wrongly is reported by name", "[sim]")
{
    harness sim(sim_options{.seed = 1, .faults = false});
    auto& files = sim.world().files();
    files.add_file("/a/b/file", "x");
    CHECK(files.exists("/a/b"));
    CHECK(sim.violations.empty());
    const auto said_last = [&](std::size_t count, const std::string& text) {
        REQUIRE(sim.violations.size() == count);
        return sim.violations.back().find(text) != std::string::npos;
    };
    files.add_file("/a/b/file", "y");
    CHECK(said_last(1, "cannot set up /a/b/file"));
    CHECK(files.contents("/a/b/file") == "x");
    files.add_directory("/a/b/file/below");
    CHECK(said_last(2, "cannot set up /a/b/file/below"));
    files.add_link("/link", "/missing");
    CHECK(said_last(3, "cannot set up /link"));
    files.add_link("/link", "/a");
    CHECK(said_last(4, "cannot set up /link"));
    CHECK_FALSE(files.exists("/link"));
    files.set_permissions("/missing", 0);
    CHECK(said_last(5, "no such file to set up: /missing"));
    CHECK_FALSE(files.durable_contents("/a/b").has_value());
    CHECK_FALSE(files.durable_contents("/a/missing").has_value());
    CHECK(files.durable_contents("/a/b/file") == "x");
}

namespace
{

std::int32_t run_on_path(harness& sim, op_kind kind, const char* path, std::uint32_t flags = 0)
{
    test_op wanted(kind);
    wanted.args.open = {path, flags, 0755};
    sim.start(wanted);
    return sim.finish_of(wanted);
}

} // namespace

TEST_CASE("without the permission nothing is made, changed, opened or connected to", "[sim]")
{
    harness sim(sim_options{.seed = 2, .faults = false});
    auto& files = sim.world().files();
    files.add_file("/closed/file", "x");
    files.add_file("/open/file", "x");
    files.set_permissions("/open/file", 0200);
    files.set_permissions("/closed", 0500);
    CHECK(run_on_path(sim, op_kind::open, "/open/file", open_flags::read) == -EACCES);
    CHECK(run_on_path(sim, op_kind::open, "/closed/new", open_flags::write | open_flags::create) ==
          -EACCES);
    CHECK(run_on_path(sim, op_kind::make_directory, "/closed/new") == -EACCES);
    CHECK(run_on_path(sim, op_kind::unlink, "/closed/file") == -EACCES);
    test_op renaming(op_kind::rename);
    renaming.args.paths = {"/open/file", "/closed/new", true};
    sim.start(renaming);
    CHECK(sim.finish_of(renaming) == -EACCES);
    CHECK(files.exists("/open/file"));

    auto& os = sim.os();
    const auto unix_socket = [&] {
        return os.open_socket(socket_family::unix_domain, socket_type::stream);
    };
    CHECK(os.bind(unix_socket(), unix_path("/closed/socket")) == -EACCES);
    const int listening = unix_socket();
    REQUIRE(os.bind(listening, unix_path("/open/socket")) == 0);
    REQUIRE(os.listen(listening, 1) == 0);
    files.set_permissions("/open/socket", 0400);
    auto address = unix_path("/open/socket");
    test_op connecting(op_kind::connect, unix_socket());
    connecting.args.peer = {&address};
    sim.start(connecting);
    CHECK(sim.finish_of(connecting) == -EACCES);
    CHECK(sim.violations.empty());
}
