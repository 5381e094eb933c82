// Operations that a driver hands to the file pool: results, cancelling, waking a sleeping driver.
// Thread rule: the test's thread.
#include "conformance/stage.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <set>
#include <string>

using namespace blitzio::conformance;

namespace
{

request listing_of(int fd, blitzio::detail::directory_batch& out)
{
    request wanted(op_kind::read_directory, fd);
    wanted.args.directory = {&out};
    return wanted;
}

/// All names below `fd`, in as many batches as it takes.
std::set<std::string> list_all(world& where, int fd)
{
    std::set<std::string> names;
    for (;;)
    {
        blitzio::detail::directory_batch batch;
        const std::int32_t count = where.run(listing_of(fd, batch));
        REQUIRE(count == static_cast<std::int32_t>(batch.entries.size()));
        for (const auto& entry : batch.entries)
        {
            const bool is_new = names.insert(std::string(batch.name(entry))).second;
            CHECK(is_new);
        }
        if (batch.at_end)
        {
            return names;
        }
        REQUIRE(count > 0);
    }
}

} // namespace

TEST_CASE("a large directory is listed completely, every name once", "[conformance][files]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            scene.directory("d");
            std::set<std::string> expected;
            // Long names, so that one batch does not do.
            for (int index = 0; index < 400; ++index)
            {
                const std::string name = std::string(220, 'n') + std::to_string(index);
                scene.file("d/" + name, "");
                expected.insert(name);
            }
            scene.directory("d/sub");
            scene.symlink("d/link", "none");
            expected.insert({"sub", "link"});
            CHECK(list_all(where, scene.open("d")) == expected);
        },
        {.seeds = 4});
}

TEST_CASE("entries tell what they are, if they do", "[conformance][files]")
{
    using blitzio::detail::file_type;
    on_every_driver([](world& where) {
        stage scene(where);
        scene.directory("d");
        scene.file("d/f", "abc");
        scene.directory("d/d");
        scene.symlink("d/l", "f");
        const int fd = scene.open("d");
        bool at_end = false;
        while (!at_end)
        {
            blitzio::detail::directory_batch batch;
            REQUIRE(where.run(listing_of(fd, batch)) >= 0);
            for (const auto& entry : batch.entries)
            {
                const char first = batch.name(entry)[0];
                const auto expected = first == 'd'   ? file_type::directory
                                      : first == 'f' ? file_type::regular
                                                     : file_type::symlink;
                // A file system may leave it open.
                CHECK((entry.type == expected || entry.type == file_type::unknown));
            }
            at_end = batch.at_end;
        }
    });
}

TEST_CASE("many listings at once, some of them cancelled", "[conformance][files][cancel]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            scene.directory("d");
            scene.file("d/f", "");
            constexpr int count = 100;
            std::deque<request> all;
            std::deque<blitzio::detail::directory_batch> batches(count);
            for (int index = 0; index < count; ++index)
            {
                request& wanted = all.emplace_back(op_kind::read_directory, scene.open("d"));
                wanted.args.directory = {&batches[static_cast<std::size_t>(index)]};
                wanted.cancellable = true;
                where.start(wanted);
            }
            for (int index = 0; index < count; index += 2)
            {
                where.cancel(all[static_cast<std::size_t>(index)]);
            }
            for (int index = 0; index < count; ++index)
            {
                const std::int32_t result = where.finish(all[static_cast<std::size_t>(index)]);
                CHECK((result == 1 || (index % 2 == 0 && result == -ECANCELED)));
            }
            where.settle();
            CHECK(std::ranges::all_of(
                all, [](const request& each) { return each.times_continued == 1; }));
        },
        {.seeds = 12, .file_threads = 2});
}

TEST_CASE("a result from the file pool wakes a driver that sleeps", "[conformance][files][wake]")
{
    on_kernel_drivers(
        [](world& where) {
            stage scene(where);
            scene.directory("d");
            for (int round = 0; round < 300; ++round)
            {
                const int fd = scene.open("d");
                blitzio::detail::directory_batch batch;
                request wanted = listing_of(fd, batch);
                where.start(wanted);
                while (!wanted.done)
                {
                    ready_list ready;
                    where.io().wait(ready, std::nullopt); // a lost wake-up hangs here
                    where.take(ready);
                }
                CHECK(wanted.result == 0);
                scene.close(fd);
            }
        },
        {.file_threads = 1});
}

TEST_CASE("files and sockets at the same time do not disturb each other", "[conformance][files]")
{
    on_every_driver([](world& where) {
        stage scene(where);
        scene.directory("d");
        scene.file("d/f", "contents");
        const auto both = scene.unix_pair();
        std::string received(64, '\0');
        std::deque<request> receives;
        std::deque<request> stats;
        std::deque<blitzio::detail::file_status> results(64);
        const char* const path = scene.c_path("d/f");
        for (std::size_t index = 0; index < 64; ++index)
        {
            stage::transfer(receives.emplace_back(op_kind::recv), both.near, &received[index], 1);
            where.start(receives.back());
            stage::stat(stats.emplace_back(op_kind::stat), path, &results[index]);
            where.start(stats.back());
        }
        CHECK(list_all(where, scene.open("d")) == std::set<std::string>{"f"});
        for (std::size_t index = 0; index < 64; ++index)
        {
            CHECK(where.finish(stats[index]) == 0);
            CHECK(results[index].size == 8);
        }
        scene.send(both.far, std::string(64, 'x'));
        for (request& each : receives)
        {
            CHECK(where.finish(each) == 1);
        }
    });
}
