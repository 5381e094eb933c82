// What each operation on files, directories and pipes gives; the same on every driver.
// Thread rule: the test's thread.
#include "conformance/outcome_table.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <string>
#include <string_view>

using namespace blitzio::conformance;
using blitzio::detail::file_type;
using blitzio::detail::op;
using namespace open_flags;

namespace
{

constexpr std::uint32_t reading = open_flags::read;
constexpr std::uint32_t writing = open_flags::write;

constexpr std::uint64_t offset_beyond_range = 1ull << 63;

void into_buffer(stage& scene, request& wanted, int fd, std::size_t length = 4096,
                 std::uint64_t offset = 0)
{
    stage::transfer(wanted, fd, scene.buffer.data(), length, offset);
}

void one_byte(stage& scene, request& wanted, int fd, std::uint64_t offset = 0)
{
    scene.buffer[0] = 'n';
    stage::transfer(wanted, fd, scene.buffer.data(), 1, offset);
}

std::string_view head(const stage& scene, std::size_t length)
{
    return {scene.buffer.data(), length};
}

const outcome_row read_rows[] = {
    {"read a file from its start", op_kind::read, 1,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         into_buffer(scene, wanted, scene.open("f"), 1);
     },
     [](stage& scene, const request& done) {
         CHECK(scene.buffer[0] == 'a');
         CHECK(scene.read(done.fd, 2) == "bc"); // the position has moved
     }},
    {"read a file at its end", op_kind::read, 0,
     [](stage& scene, request& wanted) {
         scene.file("f", "");
         into_buffer(scene, wanted, scene.open("f"));
     }},
    {"read a pipe", op_kind::read, 1,
     [](stage& scene, request& wanted) {
         const auto both = scene.pipe();
         scene.write(both.far, "b");
         into_buffer(scene, wanted, both.near);
     },
     [](stage& scene, const request&) { CHECK(scene.buffer[0] == 'b'); }},
    {"read a pipe without writer", op_kind::read, 0,
     [](stage& scene, request& wanted) {
         const auto both = scene.pipe();
         scene.close(both.far);
         into_buffer(scene, wanted, both.near);
     }},
    {"read what was written before the writer went", op_kind::read, 1,
     [](stage& scene, request& wanted) {
         const auto both = scene.pipe();
         scene.write(both.far, "b");
         scene.close(both.far);
         into_buffer(scene, wanted, both.near);
     }},
    {"read a socket", op_kind::read, 1,
     [](stage& scene, request& wanted) {
         const auto both = scene.unix_pair();
         scene.send(both.far, "b");
         into_buffer(scene, wanted, both.near);
     }},
    {"read the writing end of a pipe", op_kind::read, -EBADF,
     [](stage& scene, request& wanted) { into_buffer(scene, wanted, scene.pipe().far); }},
    {"read a file opened for writing", op_kind::read, -EBADF,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         into_buffer(scene, wanted, scene.open("f", writing));
     }},
    {"read a directory", op_kind::read, -EISDIR,
     [](stage& scene, request& wanted) {
         scene.directory("d");
         into_buffer(scene, wanted, scene.open("d"));
     }},
    {"read a closed number", op_kind::read, -EBADF,
     [](stage& scene, request& wanted) { into_buffer(scene, wanted, scene.closed_number()); }},
};

const outcome_row write_rows[] = {
    {"write a file", op_kind::write, 1,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         one_byte(scene, wanted, scene.open("f", writing));
     },
     [](stage& scene, const request& done) {
         CHECK(scene.contents("f") == "nbc");
         scene.write(done.fd, "o"); // the position has moved
         CHECK(scene.contents("f") == "noc");
     }},
    {"write at the end in append mode", op_kind::write, 1,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         one_byte(scene, wanted, scene.open("f", writing | append));
     },
     [](stage& scene, const request&) { CHECK(scene.contents("f") == "abcn"); }},
    {"write a pipe", op_kind::write, 1,
     [](stage& scene, request& wanted) { one_byte(scene, wanted, scene.pipe().far); }},
    {"write a pipe without reader", op_kind::write, -EPIPE,
     [](stage& scene, request& wanted) {
         const auto both = scene.pipe();
         scene.close(both.near);
         one_byte(scene, wanted, both.far);
     }},
    {"write a socket", op_kind::write, 1,
     [](stage& scene, request& wanted) { one_byte(scene, wanted, scene.unix_pair().near); }},
    {"write the reading end of a pipe", op_kind::write, -EBADF,
     [](stage& scene, request& wanted) { one_byte(scene, wanted, scene.pipe().near); }},
    {"write a file opened for reading", op_kind::write, -EBADF,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         one_byte(scene, wanted, scene.open("f"));
     }},
    {"write a closed number", op_kind::write, -EBADF,
     [](stage& scene, request& wanted) { one_byte(scene, wanted, scene.closed_number()); }},
};

const outcome_row read_at_rows[] = {
    {"read_at", op_kind::read_at, 1,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         into_buffer(scene, wanted, scene.open("f"), 1, 1);
     },
     [](stage& scene, const request& done) {
         CHECK(scene.buffer[0] == 'b');
         CHECK(scene.read(done.fd, 1) == "a"); // the position stays
     }},
    {"read_at on a pipe, which has no positions", op_kind::read_at, 1,
     [](stage& scene, request& wanted) {
         const auto both = scene.pipe();
         scene.write(both.far, "b");
         into_buffer(scene, wanted, both.near, 4096, 77);
     },
     [](stage& scene, const request&) { CHECK(scene.buffer[0] == 'b'); }},
    {"read_at on a socket", op_kind::read_at, -ESPIPE,
     [](stage& scene, request& wanted) {
         const auto both = scene.unix_pair();
         scene.send(both.far, "b");
         into_buffer(scene, wanted, both.near, 4096, 77);
     }},
    {"read_at on a socket, at 0", op_kind::read_at, 1,
     [](stage& scene, request& wanted) {
         const auto both = scene.unix_pair();
         scene.send(both.far, "b");
         into_buffer(scene, wanted, both.near);
     },
     [](stage& scene, const request&) { CHECK(scene.buffer[0] == 'b'); }},
    {"read_at across the end", op_kind::read_at, 1,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         into_buffer(scene, wanted, scene.open("f"), 4096, 2);
     },
     [](stage& scene, const request&) { CHECK(head(scene, 1) == "c"); }},
    {"read_at at the end", op_kind::read_at, 0,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         into_buffer(scene, wanted, scene.open("f"), 4096, 3);
     }},
    {"read_at far beyond the end", op_kind::read_at, 0,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         into_buffer(scene, wanted, scene.open("f"), 4096, 1ull << 40);
     }},
    {"read_at nothing", op_kind::read_at, 0,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         into_buffer(scene, wanted, scene.open("f"), 0, 0);
     }},
    {"read_at an offset out of range", op_kind::read_at, -EINVAL,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         into_buffer(scene, wanted, scene.open("f"), 1, offset_beyond_range);
     }},
    {"read_at a file opened for writing", op_kind::read_at, -EBADF,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         into_buffer(scene, wanted, scene.open("f", writing));
     }},
    {"read_at a directory", op_kind::read_at, -EISDIR,
     [](stage& scene, request& wanted) {
         scene.directory("d");
         into_buffer(scene, wanted, scene.open("d"));
     }},
    {"read_at a closed number", op_kind::read_at, -EBADF,
     [](stage& scene, request& wanted) { into_buffer(scene, wanted, scene.closed_number()); }},
};

const outcome_row write_at_rows[] = {
    {"write_at on a pipe, which has no positions", op_kind::write_at, 1,
     [](stage& scene, request& wanted) { one_byte(scene, wanted, scene.pipe().far, 77); }},
    {"write_at on a socket", op_kind::write_at, -ESPIPE,
     [](stage& scene, request& wanted) { one_byte(scene, wanted, scene.unix_pair().far, 77); }},
    {"write_at on a pipe without reader", op_kind::write_at, -EPIPE,
     [](stage& scene, request& wanted) {
         const auto both = scene.pipe();
         scene.close(both.near);
         one_byte(scene, wanted, both.far, 77);
     }},
    {"write_at", op_kind::write_at, 1,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         one_byte(scene, wanted, scene.open("f", writing), 1);
     },
     [](stage& scene, const request&) { CHECK(scene.contents("f") == "anc"); }},
    {"write_at beyond the end leaves a hole", op_kind::write_at, 1,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         one_byte(scene, wanted, scene.open("f", writing), 5);
     },
     [](stage& scene, const request&) {
         CHECK(scene.contents("f") == std::string("abc\0\0n", 6));
     }},
    {"write_at in append mode goes to the end", op_kind::write_at, 1,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         one_byte(scene, wanted, scene.open("f", writing | append), 0);
     },
     [](stage& scene, const request&) { CHECK(scene.contents("f") == "abcn"); }},
    {"write_at nothing", op_kind::write_at, 0,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         stage::transfer(wanted, scene.open("f", writing), scene.buffer.data(), 0, 9);
     },
     [](stage& scene, const request&) { CHECK(scene.contents("f") == "abc"); }},
    {"write_at an offset out of range", op_kind::write_at, -EINVAL,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         one_byte(scene, wanted, scene.open("f", writing), offset_beyond_range);
     }},
    {"write_at a file opened for reading", op_kind::write_at, -EBADF,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         one_byte(scene, wanted, scene.open("f"));
     }},
    {"write_at a closed number", op_kind::write_at, -EBADF,
     [](stage& scene, request& wanted) { one_byte(scene, wanted, scene.closed_number()); }},
};

void sync_of(request& wanted, int fd, bool data_only)
{
    wanted.fd = fd;
    wanted.args.sync = {data_only};
}

const outcome_row sync_rows[] = {
    {"sync a file", op_kind::sync, 0,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         sync_of(wanted, scene.open("f", writing), false);
     }},
    {"sync a file's data", op_kind::sync, 0,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         sync_of(wanted, scene.open("f"), true);
     }},
    {"sync a directory", op_kind::sync, 0,
     [](stage& scene, request& wanted) {
         scene.directory("d");
         sync_of(wanted, scene.open("d"), false);
     }},
    {"sync a pipe", op_kind::sync, -EINVAL,
     [](stage& scene, request& wanted) { sync_of(wanted, scene.pipe().far, false); }},
    {"sync a socket", op_kind::sync, -EINVAL,
     [](stage& scene, request& wanted) { sync_of(wanted, scene.unix_pair().near, false); }},
    {"sync a closed number", op_kind::sync, -EBADF,
     [](stage& scene, request& wanted) { sync_of(wanted, scene.closed_number(), false); }},
};

template <std::uint32_t Flags>
void open_file(stage& scene, request& wanted)
{
    stage::on_path(wanted, scene.file("f", "abc"), Flags, 0644);
}

template <std::uint32_t Flags>
void open_missing(stage& scene, request& wanted)
{
    stage::on_path(wanted, scene.c_path("none"), Flags, 0640);
}

template <std::uint32_t Flags>
void open_directory(stage& scene, request& wanted)
{
    stage::on_path(wanted, scene.directory("d"), Flags, 0644);
}

const outcome_row open_rows[] = {
    {"open a FIFO for reading without waiting", op_kind::open, new_descriptor,
     [](stage& scene, request& wanted) {
         stage::on_path(wanted, scene.fifo("p"), reading | open_flags::non_block);
     },
     [](stage& scene, const request& done) {
         request stating(op_kind::stat);
         stage::stat(stating, "", &scene.status, true, done.result);
         REQUIRE(scene.w.run(stating) == 0);
         CHECK(scene.status.type == file_type::fifo);
         // Nobody writes: the end of the stream.
         request read_from(op_kind::read);
         into_buffer(scene, read_from, done.result);
         CHECK(scene.w.run(read_from) == 0);
     }},
    {"open a FIFO for writing without waiting", op_kind::open, -ENXIO,
     [](stage& scene, request& wanted) {
         stage::on_path(wanted, scene.fifo("p"), writing | open_flags::non_block);
     }},
    {"open a file that could wait without waiting", op_kind::open, new_descriptor,
     open_file<reading | open_flags::non_block>,
     [](stage& scene, const request& done) { CHECK(scene.read(done.result, 3) == "abc"); }},
    {"open a file", op_kind::open, new_descriptor, open_file<reading>},
    {"open a file for both", op_kind::open, new_descriptor, open_file<reading | writing>},
    {"open and empty a file", op_kind::open, new_descriptor,
     open_file<writing | open_flags::truncate>,
     [](stage& scene, const request&) { CHECK(scene.contents("f") == ""); }},
    {"open with create what is there", op_kind::open, new_descriptor, open_file<writing | create>,
     [](stage& scene, const request&) { CHECK(scene.contents("f") == "abc"); }},
    {"open with create what is missing", op_kind::open, new_descriptor,
     open_missing<writing | create>,
     [](stage& scene, const request&) {
         CHECK(scene.contents("none") == "");
         request asking(op_kind::stat);
         stage::stat(asking, scene.c_path("none"), &scene.status);
         CHECK(scene.w.run(asking) == 0);
         CHECK((scene.status.permissions & 0640) == 0640);
         CHECK((scene.status.permissions & ~0640u) == 0);
     }},
    {"open exclusively what is missing", op_kind::open, new_descriptor,
     open_missing<writing | create | exclusive>},
    {"open exclusively what is there", op_kind::open, -EEXIST,
     open_file<writing | create | exclusive>},
    {"open what is missing", op_kind::open, -ENOENT, open_missing<reading>},
    {"open in a directory that is missing", op_kind::open, -ENOENT,
     [](stage& scene, request& wanted) {
         stage::on_path(wanted, scene.c_path("none/f"), writing | create);
     }},
    {"open below a file", op_kind::open, -ENOTDIR,
     [](stage& scene, request& wanted) {
         scene.file("f", "x");
         stage::on_path(wanted, scene.c_path("f/g"), reading);
     }},
    {"open an empty path", op_kind::open, -ENOENT,
     [](stage& scene, request& wanted) { stage::on_path(wanted, scene.c_text(""), reading); }},
    {"open a name that is too long", op_kind::open, -ENAMETOOLONG,
     [](stage& scene, request& wanted) {
         stage::on_path(wanted, scene.c_path(std::string(256, 'n')), reading);
     }},
    {"open a directory", op_kind::open, new_descriptor, open_directory<reading | directory>},
    {"open a directory for writing", op_kind::open, -EISDIR, open_directory<writing>},
    {"open a file as a directory", op_kind::open, -ENOTDIR, open_file<reading | directory>},
    {"open through a link", op_kind::open, new_descriptor,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         stage::on_path(wanted, scene.symlink("l", "f"), reading);
     },
     [](stage& scene, const request& done) { CHECK(scene.read(done.result, 3) == "abc"); }},
    {"open a link that must not be followed", op_kind::open, -ELOOP,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         stage::on_path(wanted, scene.symlink("l", "f"), reading | no_follow);
     }},
    {"open a link that leads nowhere", op_kind::open, -ENOENT,
     [](stage& scene, request& wanted) {
         stage::on_path(wanted, scene.symlink("l", "none"), reading);
     }},
    {"open a link to itself", op_kind::open, -ELOOP,
     [](stage& scene, request& wanted) {
         stage::on_path(wanted, scene.symlink("l", "l"), reading);
     }},
    {"open relative to a directory", op_kind::open, new_descriptor,
     [](stage& scene, request& wanted) {
         scene.directory("d");
         scene.file("d/f", "abc");
         stage::on_path(wanted, scene.c_text("f"), reading, 0, scene.open("d"));
     }},
    {"open relative to a file", op_kind::open, -ENOTDIR,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         stage::on_path(wanted, scene.c_text("g"), reading, 0, scene.open("f"));
     }},
    {"open relative to a closed number", op_kind::open, -EBADF,
     [](stage& scene, request& wanted) {
         stage::on_path(wanted, scene.c_text("g"), reading, 0, scene.closed_number());
     }},
};

const outcome_row close_rows[] = {
    {"close a file", op_kind::close, 0,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         wanted.fd = scene.open("f");
         scene.disown(wanted.fd);
     },
     [](stage& scene, const request& done) { CHECK(scene.w.os().close(done.fd) == -EBADF); }},
    {"close a socket", op_kind::close, 0,
     [](stage& scene, request& wanted) {
         wanted.fd = scene.unix_pair().near;
         scene.disown(wanted.fd);
     },
     [](stage& scene, const request& done) { CHECK(scene.w.os().close(done.fd) == -EBADF); }},
    {"close a pipe", op_kind::close, 0,
     [](stage& scene, request& wanted) {
         wanted.fd = scene.pipe().far;
         scene.disown(wanted.fd);
     },
     [](stage& scene, const request& done) { CHECK(scene.w.os().close(done.fd) == -EBADF); }},
    {"close a closed number", op_kind::close, -EBADF,
     [](stage& scene, request& wanted) { wanted.fd = scene.closed_number(); }},
    {"close a negative number", op_kind::close, -EBADF,
     [](stage&, request& wanted) { wanted.fd = -1; }},
};

const outcome_row stat_rows[] = {
    {"stat a file", op_kind::stat, 0,
     [](stage& scene, request& wanted) {
         stage::stat(wanted, scene.file("f", "abc"), &scene.status);
     },
     [](stage& scene, const request&) {
         CHECK(scene.status.type == file_type::regular);
         CHECK(scene.status.size == 3);
         CHECK(scene.status.link_count == 1);
         CHECK(scene.status.inode != 0);
         CHECK(scene.status.modified_at.count() != 0);
     }},
    {"stat a directory", op_kind::stat, 0,
     [](stage& scene, request& wanted) {
         stage::stat(wanted, scene.directory("d"), &scene.status);
     },
     [](stage& scene, const request&) { CHECK(scene.status.type == file_type::directory); }},
    {"stat through a link", op_kind::stat, 0,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         stage::stat(wanted, scene.symlink("l", "f"), &scene.status);
     },
     [](stage& scene, const request&) { CHECK(scene.status.type == file_type::regular); }},
    {"stat a link", op_kind::stat, 0,
     [](stage& scene, request& wanted) {
         stage::stat(wanted, scene.symlink("l", "f"), &scene.status, false);
     },
     [](stage& scene, const request&) {
         CHECK(scene.status.type == file_type::symlink);
         CHECK(scene.status.size == 1);
     }},
    {"stat a descriptor", op_kind::stat, 0,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         stage::stat(wanted, nullptr, &scene.status, true, scene.open("f"));
     },
     [](stage& scene, const request&) { CHECK(scene.status.size == 3); }},
    {"stat a pipe", op_kind::stat, 0,
     [](stage& scene, request& wanted) {
         stage::stat(wanted, "", &scene.status, true, scene.pipe().near);
     },
     [](stage& scene, const request&) { CHECK(scene.status.type == file_type::fifo); }},
    {"stat a socket", op_kind::stat, 0,
     [](stage& scene, request& wanted) {
         stage::stat(wanted, "", &scene.status, true, scene.unix_pair().near);
     },
     [](stage& scene, const request&) { CHECK(scene.status.type == file_type::socket); }},
    {"stat relative to a directory", op_kind::stat, 0,
     [](stage& scene, request& wanted) {
         scene.directory("d");
         scene.file("d/f", "abcd");
         stage::stat(wanted, "f", &scene.status, true, scene.open("d"));
     },
     [](stage& scene, const request&) { CHECK(scene.status.size == 4); }},
    {"stat what is missing", op_kind::stat, -ENOENT,
     [](stage& scene, request& wanted) {
         stage::stat(wanted, scene.c_path("none"), &scene.status);
     }},
    {"stat a link that leads nowhere", op_kind::stat, -ENOENT,
     [](stage& scene, request& wanted) {
         stage::stat(wanted, scene.symlink("l", "none"), &scene.status);
     }},
    {"stat below a file", op_kind::stat, -ENOTDIR,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         stage::stat(wanted, scene.c_path("f/g"), &scene.status);
     }},
    {"stat a closed number", op_kind::stat, -EBADF,
     [](stage& scene, request& wanted) {
         stage::stat(wanted, nullptr, &scene.status, true, scene.closed_number());
     }},
};

void list(stage& scene, request& wanted, int fd)
{
    wanted.fd = fd;
    wanted.args.directory = {&scene.batch};
}

const outcome_row read_directory_rows[] = {
    {"list a directory", op_kind::read_directory, 1,
     [](stage& scene, request& wanted) {
         scene.directory("d");
         scene.file("d/f", "abc");
         list(scene, wanted, scene.open("d", reading | directory));
     },
     [](stage& scene, const request&) {
         REQUIRE(scene.batch.entries.size() == 1);
         CHECK(scene.batch.name(scene.batch.entries[0]) == "f");
         CHECK(scene.batch.entries[0].inode != 0);
     }},
    {"list an empty directory", op_kind::read_directory, 0,
     [](stage& scene, request& wanted) {
         scene.directory("d");
         list(scene, wanted, scene.open("d"));
     },
     [](stage& scene, const request&) {
         CHECK(scene.batch.at_end);
         CHECK(scene.batch.entries.empty());
     }},
    {"list a directory that was removed", op_kind::read_directory, -ENOENT,
     [](stage& scene, request& wanted) {
         const char* const path = scene.directory("d");
         list(scene, wanted, scene.open("d"));
         request removing(op_kind::unlink);
         stage::on_path(removing, path, open_flags::remove_directory);
         REQUIRE(scene.w.run(removing) == 0);
     }},
    {"list a file", op_kind::read_directory, -ENOTDIR,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         list(scene, wanted, scene.open("f"));
     }},
    {"list a pipe", op_kind::read_directory, -ENOTDIR,
     [](stage& scene, request& wanted) { list(scene, wanted, scene.pipe().near); }},
    {"list a closed number", op_kind::read_directory, -EBADF,
     [](stage& scene, request& wanted) { list(scene, wanted, scene.closed_number()); }},
};

const outcome_row rename_rows[] = {
    {"rename", op_kind::rename, 0,
     [](stage& scene, request& wanted) {
         stage::paths(wanted, scene.file("f", "abc"), scene.c_path("g"));
     },
     [](stage& scene, const request&) {
         CHECK(scene.contents("f") == std::nullopt);
         CHECK(scene.contents("g") == "abc");
     }},
    {"rename over a file", op_kind::rename, 0,
     [](stage& scene, request& wanted) {
         stage::paths(wanted, scene.file("f", "abc"), scene.file("g", "old"));
     },
     [](stage& scene, const request&) { CHECK(scene.contents("g") == "abc"); }},
    {"rename without replacing", op_kind::rename, 0,
     [](stage& scene, request& wanted) {
         stage::paths(wanted, scene.file("f", "abc"), scene.c_path("g"), false);
     }},
    {"rename over a file that must stay", op_kind::rename, -EEXIST,
     [](stage& scene, request& wanted) {
         stage::paths(wanted, scene.file("f", "abc"), scene.file("g", "old"), false);
     },
     [](stage& scene, const request&) {
         CHECK(scene.contents("f") == "abc");
         CHECK(scene.contents("g") == "old");
     }},
    {"rename to itself", op_kind::rename, 0,
     [](stage& scene, request& wanted) {
         const char* const path = scene.file("f", "abc");
         stage::paths(wanted, path, path);
     },
     [](stage& scene, const request&) { CHECK(scene.contents("f") == "abc"); }},
    {"rename what is missing", op_kind::rename, -ENOENT,
     [](stage& scene, request& wanted) {
         stage::paths(wanted, scene.c_path("none"), scene.c_path("g"));
     }},
    {"rename into a directory that is missing", op_kind::rename, -ENOENT,
     [](stage& scene, request& wanted) {
         stage::paths(wanted, scene.file("f", "abc"), scene.c_path("none/g"));
     }},
    {"rename a file over a directory", op_kind::rename, -EISDIR,
     [](stage& scene, request& wanted) {
         stage::paths(wanted, scene.file("f", "abc"), scene.directory("d"));
     }},
    {"rename a directory over a file", op_kind::rename, -ENOTDIR,
     [](stage& scene, request& wanted) {
         stage::paths(wanted, scene.directory("d"), scene.file("f", "abc"));
     }},
    {"rename a directory over an empty one", op_kind::rename, 0,
     [](stage& scene, request& wanted) {
         stage::paths(wanted, scene.directory("d"), scene.directory("e"));
     }},
    {"rename a directory over a full one", op_kind::rename, -ENOTEMPTY,
     [](stage& scene, request& wanted) {
         scene.directory("e");
         scene.file("e/f", "abc");
         stage::paths(wanted, scene.directory("d"), scene.c_path("e"));
     }},
    {"rename a directory into itself", op_kind::rename, -EINVAL,
     [](stage& scene, request& wanted) {
         stage::paths(wanted, scene.directory("d"), scene.c_path("d/e"));
     }},
};

const outcome_row unlink_rows[] = {
    {"unlink a file", op_kind::unlink, 0,
     [](stage& scene, request& wanted) { stage::on_path(wanted, scene.file("f", "abc")); },
     [](stage& scene, const request&) { CHECK(scene.contents("f") == std::nullopt); }},
    {"unlink a link", op_kind::unlink, 0,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         stage::on_path(wanted, scene.symlink("l", "f"));
     },
     [](stage& scene, const request&) { CHECK(scene.contents("f") == "abc"); }},
    {"unlink what is open", op_kind::unlink, 0,
     [](stage& scene, request& wanted) {
         stage::on_path(wanted, scene.file("f", "abc"));
         static_cast<void>(scene.open("f"));
     }},
    {"unlink a directory", op_kind::unlink, -EISDIR,
     [](stage& scene, request& wanted) { stage::on_path(wanted, scene.directory("d")); }},
    {"unlink what is missing", op_kind::unlink, -ENOENT,
     [](stage& scene, request& wanted) { stage::on_path(wanted, scene.c_path("none")); }},
    {"unlink below a file", op_kind::unlink, -ENOTDIR,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         stage::on_path(wanted, scene.c_path("f/g"));
     }},
    {"remove a directory", op_kind::unlink, 0,
     [](stage& scene, request& wanted) {
         stage::on_path(wanted, scene.directory("d"), remove_directory);
     }},
    {"remove a directory that is full", op_kind::unlink, -ENOTEMPTY,
     [](stage& scene, request& wanted) {
         scene.directory("d");
         scene.file("d/f", "abc");
         stage::on_path(wanted, scene.c_path("d"), remove_directory);
     }},
    {"remove a file as a directory", op_kind::unlink, -ENOTDIR,
     [](stage& scene, request& wanted) {
         stage::on_path(wanted, scene.file("f", "abc"), remove_directory);
     }},
};

const outcome_row make_directory_rows[] = {
    {"make a directory", op_kind::make_directory, 0,
     [](stage& scene, request& wanted) { stage::on_path(wanted, scene.c_path("d")); },
     [](stage& scene, const request&) {
         request asking(op_kind::stat);
         stage::stat(asking, scene.c_path("d"), &scene.status);
         CHECK(scene.w.run(asking) == 0);
         CHECK(scene.status.type == file_type::directory);
     }},
    {"make a directory relative to another", op_kind::make_directory, 0,
     [](stage& scene, request& wanted) {
         scene.directory("d");
         stage::on_path(wanted, "e", 0, 0755, scene.open("d"));
     }},
    {"make a directory that is there", op_kind::make_directory, -EEXIST,
     [](stage& scene, request& wanted) { stage::on_path(wanted, scene.directory("d")); }},
    {"make a directory where a file is", op_kind::make_directory, -EEXIST,
     [](stage& scene, request& wanted) { stage::on_path(wanted, scene.file("f", "abc")); }},
    {"make a directory where a link is", op_kind::make_directory, -EEXIST,
     [](stage& scene, request& wanted) { stage::on_path(wanted, scene.symlink("l", "none")); }},
    {"make a directory in a missing one", op_kind::make_directory, -ENOENT,
     [](stage& scene, request& wanted) { stage::on_path(wanted, scene.c_path("none/d")); }},
    {"make a directory below a file", op_kind::make_directory, -ENOTDIR,
     [](stage& scene, request& wanted) {
         scene.file("f", "abc");
         stage::on_path(wanted, scene.c_path("f/d"));
     }},
    {"make a directory with a name too long", op_kind::make_directory, -ENAMETOOLONG,
     [](stage& scene, request& wanted) {
         stage::on_path(wanted, scene.c_path(std::string(256, 'n')));
     }},
};

} // namespace

TEST_CASE("outcomes of read are the same on every driver", "[conformance]")
{
    check_outcomes(read_rows);
}

TEST_CASE("outcomes of write are the same on every driver", "[conformance]")
{
    check_outcomes(write_rows);
}

TEST_CASE("outcomes of read_at are the same on every driver", "[conformance]")
{
    check_outcomes(read_at_rows);
}

TEST_CASE("outcomes of write_at are the same on every driver", "[conformance]")
{
    check_outcomes(write_at_rows);
}

TEST_CASE("outcomes of sync are the same on every driver", "[conformance]")
{
    check_outcomes(sync_rows);
}

TEST_CASE("outcomes of open are the same on every driver", "[conformance]")
{
    check_outcomes(open_rows);
}

TEST_CASE("outcomes of close are the same on every driver", "[conformance]")
{
    check_outcomes(close_rows);
}

TEST_CASE("outcomes of stat are the same on every driver", "[conformance]")
{
    check_outcomes(stat_rows);
}

TEST_CASE("outcomes of read_directory are the same on every driver", "[conformance]")
{
    check_outcomes(read_directory_rows);
}

TEST_CASE("outcomes of rename are the same on every driver", "[conformance]")
{
    check_outcomes(rename_rows);
}

TEST_CASE("outcomes of unlink are the same on every driver", "[conformance]")
{
    check_outcomes(unlink_rows);
}

TEST_CASE("outcomes of make_directory are the same on every driver", "[conformance]")
{
    check_outcomes(make_directory_rows);
}
