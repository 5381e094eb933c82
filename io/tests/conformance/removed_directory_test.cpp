// Paths that begin in a directory which is gone, and files that are no files: the same answers on
// every driver. Thread rule: the test's thread.
#include "conformance/stage.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <string>

using namespace blitzio::conformance;
using blitzio::detail::file_type;
using blitzio::detail::op;

namespace
{

const world_options few{.seeds = 6, .each_feature_missing = false};

std::int32_t on_path(stage& scene, op_kind kind, const char* path, std::uint32_t flags, int base)
{
    request wanted(kind);
    stage::on_path(wanted, path, flags, 0755, base);
    return scene.w.run(wanted);
}

} // namespace

TEST_CASE("nothing is made in a directory that was removed", "[conformance][files]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            const char* const gone = scene.directory("d");
            const int base = scene.open("d");
            const char* const file = scene.file("f", "abc");
            REQUIRE(on_path(scene, op_kind::unlink, gone, open_flags::remove_directory,
                            op::no_descriptor) == 0);
            CHECK(on_path(scene, op_kind::make_directory, "new", 0, base) == -ENOENT);
            CHECK(on_path(scene, op_kind::open, "new", open_flags::write | open_flags::create,
                          base) == -ENOENT);
            CHECK(on_path(scene, op_kind::open, "new", open_flags::read, base) == -ENOENT);
            CHECK(on_path(scene, op_kind::unlink, "new", 0, base) == -ENOENT);
            request renaming(op_kind::rename, base);
            stage::paths(renaming, file, "new");
            CHECK(where.run(renaming) == -ENOENT);
            CHECK(scene.contents("f") == "abc");
            // The directory itself is still there for who holds it.
            request looking(op_kind::stat);
            stage::stat(looking, "", &scene.status, true, base);
            CHECK(where.run(looking) == 0);
            CHECK(scene.status.type == file_type::directory);
        },
        few);
}

TEST_CASE("a path below what is no directory", "[conformance][files]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            scene.file("f", "abc");
            const int file = scene.open("f");
            CHECK(on_path(scene, op_kind::make_directory, "x", 0, file) == -ENOTDIR);
            CHECK(on_path(scene, op_kind::unlink, "x", 0, file) == -ENOTDIR);
            CHECK(on_path(scene, op_kind::open, "x", open_flags::read, file) == -ENOTDIR);
            const int closed = scene.closed_number();
            CHECK(on_path(scene, op_kind::make_directory, "x", 0, closed) == -EBADF);
            CHECK(on_path(scene, op_kind::unlink, "x", 0, closed) == -EBADF);
        },
        few);
}

TEST_CASE("the socket of a listener is not opened as a file, and is told apart",
          "[conformance][files]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            auto& os = where.os();
            const int listening = scene.own(os.open_socket(
                blitzio::detail::socket_family::unix_domain, blitzio::detail::socket_type::stream));
            REQUIRE(os.bind(listening, unix_address(scene.path("s"))) == 0);
            const char* const path = scene.c_path("s");
            CHECK(on_path(scene, op_kind::open, path, open_flags::read, op::no_descriptor) ==
                  -ENXIO);
            request looking(op_kind::stat);
            stage::stat(looking, path, &scene.status);
            CHECK(where.run(looking) == 0);
            CHECK(scene.status.type == file_type::socket);
            CHECK(on_path(scene, op_kind::make_directory, path, 0, op::no_descriptor) == -EEXIST);
            CHECK(on_path(scene, op_kind::unlink, path, 0, op::no_descriptor) == 0);
        },
        few);
}

TEST_CASE("an empty path names nothing", "[conformance][files]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            request looking(op_kind::stat);
            stage::stat(looking, "", &scene.status);
            CHECK(where.run(looking) == -ENOENT);
            CHECK(on_path(scene, op_kind::open, "", open_flags::read, op::no_descriptor) ==
                  -ENOENT);
            CHECK(on_path(scene, op_kind::make_directory, "", 0, op::no_descriptor) == -ENOENT);
            CHECK(on_path(scene, op_kind::unlink, "", 0, op::no_descriptor) == -ENOENT);
        },
        few);
}
