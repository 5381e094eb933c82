// Walks: the order of all paths, errors on the way, bounds, and stopping.
// Thread rule: the test's thread.
#include "support.hpp"

#include <blitzio/fs.hpp>
#include <blitzio/io/task_group.hpp>
#include <blitzio/io/timeout.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

using namespace fs_tests;

namespace
{

bz::task<std::vector<fs::walk_entry>> collect(std::string root, fs::walk_options options)
{
    std::vector<fs::walk_entry> all;
    fs::walk walker(std::move(root), options);
    while (auto entry = co_await walker.next())
    {
        all.push_back(*std::move(entry));
    }
    EXPECT(!co_await walker.next());
    co_return all;
}

std::vector<std::string> paths_of(const std::vector<fs::walk_entry>& entries)
{
    std::vector<std::string> paths;
    for (const auto& entry : entries)
    {
        paths.push_back(entry.path);
    }
    return paths;
}

/// What the walk has to give: all paths, a directory's with a slash behind it while sorting.
std::vector<std::string> expected_paths(const std::string& root)
{
    std::vector<std::string> paths;
    for (const auto& each : std::filesystem::recursive_directory_iterator(root))
    {
        paths.push_back(each.path().native() +
                        (each.is_directory() && !each.is_symlink() ? "/" : ""));
    }
    std::ranges::sort(paths);
    for (std::string& each : paths)
    {
        if (each.ends_with('/'))
        {
            each.pop_back();
        }
    }
    return paths;
}

void touch(const std::string& path)
{
    std::ofstream(path) << path;
}

/// Directories and files whose names sort around the slash, and worse.
bz::task<void> make_nasty_tree(std::string root)
{
    const std::string names[] = {"a",   "a b", "a!",    "a-",    "a.",       "a.txt", "a0", "aa",
                                 "a\n", "a\\", "a\x01", "a\xff", "\xc3\xa4", " ",     "-",  "...",
                                 "a\t", "\n",  "*",     "'",     "\"",       "a,b",   "a+", "A"};
    bool as_directory = false;
    for (const std::string& name : names)
    {
        as_directory = !as_directory;
        const std::string path = root + '/' + name;
        if (!as_directory)
        {
            EXPECT((co_await fs::write_file(path, name)).has_value());
            continue;
        }
        EXPECT((co_await fs::create_directory(path)).has_value());
        for (const std::string_view inner : {"b.c", "b/", "b/x", "z", "-"})
        {
            const std::string below = path + '/' + std::string(inner);
            const bool is_directory = inner.ends_with('/');
            EXPECT(is_directory ? (co_await fs::create_directory(below)).has_value()
                                : (co_await fs::write_file(below, inner)).has_value());
        }
    }
}

/// True when each path is smaller than the next, a directory's counted with a slash.
bool is_in_order(const std::vector<fs::walk_entry>& entries)
{
    const auto key = [](const fs::walk_entry& entry) {
        return entry.path + (entry.type == fs::file_type::directory ? "/" : "");
    };
    return std::ranges::is_sorted(entries, {}, key);
}

} // namespace

TEST_CASE("a walk gives all paths in the order that sorting them gives")
{
    for (const unsigned concurrency : {1u, 2u, 16u, 1000u})
    {
        on_kernel_runtimes([concurrency](std::string root) -> bz::task<void> {
            co_await make_nasty_tree(root);
            const fs::walk_options options{.concurrency = concurrency};
            const auto entries = co_await collect(root, options);
            EXPECT(paths_of(entries) == expected_paths(root));
            EXPECT(is_in_order(entries));
            for (const auto& entry : entries)
            {
                const auto status = std::filesystem::symlink_status(entry.path);
                EXPECT(!entry.error);
                EXPECT((entry.type == fs::file_type::directory) ==
                       std::filesystem::is_directory(status));
                EXPECT(entry.depth == static_cast<std::size_t>(
                                          std::ranges::count(entry.path.substr(root.size()), '/')));
            }
        });
    }
}

TEST_CASE("a walk in a simulated world gives the same order with every seed")
{
    std::vector<std::string> first;
    on_every_runtime(
        [&first](std::string root) -> bz::task<void> {
            const std::string top = root + "/tree";
            EXPECT((co_await fs::create_directory(top)).has_value());
            co_await make_nasty_tree(top);
            const fs::walk_options options{.concurrency = 3};
            const auto entries = co_await collect(top, options);
            EXPECT(is_in_order(entries));
            auto paths = paths_of(entries);
            for (std::string& path : paths)
            {
                path.erase(0, root.size());
            }
            if (first.empty())
            {
                first = paths;
            }
            EXPECT(paths.size() > 50);
            EXPECT(paths == first);
        },
        30);
}

TEST_CASE("a random tree is walked as std::filesystem and sort would")
{
    for (unsigned seed = 1; seed <= 3; ++seed)
    {
        const scratch_directory scratch;
        std::mt19937 random(seed);
        std::vector<std::string> directories = {scratch.path()};
        const std::string original = scratch.path() + "/original";
        touch(original);
        for (int count = 0; count < 1000; ++count)
        {
            const std::string parent = directories[random() % directories.size()];
            std::string name;
            do
            {
                name += "ab.-/\n~"[random() % 7];
            } while (random() % 3 != 0);
            std::ranges::replace(name, '/', '0');
            const std::string path = parent + '/' + name;
            if (name == "." || name == ".." || std::filesystem::exists(path))
            {
                continue;
            }
            if (random() % 3 == 0)
            {
                std::filesystem::create_directory(path);
                directories.push_back(path);
            }
            else
            {
                // Cheaper than a file of its own.
                std::filesystem::create_hard_link(original, path);
            }
        }
        bz::runtime_config config;
        config.io_threads = 1 + seed % 3;
        bz::runtime runtime(std::move(config));
        const auto expected = expected_paths(scratch.path());
        REQUIRE(expected.size() > 300);
        const auto sorted = runtime.block_on(collect(scratch.path(), {}));
        CHECK(paths_of(sorted) == expected);

        auto any_order = paths_of(runtime.block_on(collect(scratch.path(), {.sorted = false})));
        std::ranges::sort(any_order);
        auto every_path = expected;
        std::ranges::sort(every_path);
        CHECK(any_order == every_path);

        const auto files = runtime.block_on(collect(scratch.path(), {.directories = false}));
        CHECK(std::ranges::none_of(files, [](const fs::walk_entry& entry) {
            return entry.type == fs::file_type::directory;
        }));
        CHECK(static_cast<std::size_t>(std::ranges::count_if(expected, [](const auto& path) {
                  return !std::filesystem::is_directory(path);
              })) == files.size());
        report_failures("seed " + std::to_string(seed));
    }
}

TEST_CASE("the depth of a walk can be bounded")
{
    on_every_runtime(
        [](std::string root) -> bz::task<void> {
            const std::string top = root + "/t";
            EXPECT((co_await fs::create_directories(top + "/a/b/c")).has_value());
            EXPECT((co_await fs::write_file(top + "/f", "")).has_value());
            const auto walk_to = [&](std::size_t depth) -> bz::task<std::vector<std::string>> {
                const fs::walk_options options{.depth_max = depth};
                co_return paths_of(co_await collect(top, options));
            };
            EXPECT((co_await walk_to(0)).empty());
            EXPECT(are(co_await walk_to(1), top + "/a", top + "/f"));
            EXPECT(are(co_await walk_to(2), top + "/a", top + "/a/b", top + "/f"));
            EXPECT((co_await walk_to(9)).size() == 4);
        },
        5);
}

TEST_CASE("the root may be a file, a link, have a slash, or be missing")
{
    on_kernel_runtimes([](std::string root) -> bz::task<void> {
        std::filesystem::create_directory(root + "/d");
        touch(root + "/d/f");
        std::filesystem::create_directory_symlink("d", root + "/link");

        const auto file = co_await collect(root + "/d/f", fs::walk_options());
        EXPECT(file.size() == 1 && file[0].path == root + "/d/f" && file[0].depth == 0);
        EXPECT(file.size() == 1 && file[0].type == fs::file_type::regular && !file[0].error);

        const auto slash = co_await collect(root + "/d/", fs::walk_options());
        EXPECT(slash.size() == 1 && slash[0].path == root + "/d/f");
        const auto link = co_await collect(root + "/link", fs::walk_options());
        EXPECT(link.size() == 1 && link[0].path == root + "/link/f");

        const auto missing = co_await collect(root + "/missing", fs::walk_options());
        EXPECT(missing.size() == 1 && missing[0].path == root + "/missing");
        EXPECT(missing.size() == 1 && missing[0].error == std::errc::no_such_file_or_directory);
        const auto below = co_await collect(root + "/d/f/g", fs::walk_options());
        EXPECT(below.size() == 1 && below[0].error == std::errc::not_a_directory);
        const auto empty = co_await collect("", fs::walk_options());
        EXPECT(empty.size() == 1 && empty[0].error == std::errc::no_such_file_or_directory);
    });
}

TEST_CASE("links are entries, unless they are to be followed")
{
    on_kernel_runtimes([](std::string root) -> bz::task<void> {
        std::filesystem::create_directories(root + "/real/inner");
        touch(root + "/real/file");
        std::filesystem::create_directory_symlink("real", root + "/to_directory");
        std::filesystem::create_symlink("real/file", root + "/to_file");
        std::filesystem::create_symlink("nowhere", root + "/dangling");
        std::filesystem::create_directory_symlink("..", root + "/real/inner/up");

        const auto kept = co_await collect(root, fs::walk_options());
        EXPECT(paths_of(kept) == expected_paths(root));
        std::map<std::string, fs::walk_entry> by_path;
        for (const auto& entry : kept)
        {
            by_path[entry.path.substr(root.size())] = entry;
        }
        EXPECT(by_path["/to_directory"].type == fs::file_type::symlink);
        EXPECT(by_path["/to_file"].type == fs::file_type::symlink);
        EXPECT(by_path["/dangling"].type == fs::file_type::symlink);
        EXPECT(!by_path["/dangling"].error);

        by_path.clear();
        const fs::walk_options follow{.follow_links = true};
        const auto followed = co_await collect(root, follow);
        EXPECT(is_in_order(followed));
        for (const auto& entry : followed)
        {
            by_path[entry.path.substr(root.size())] = entry;
        }
        EXPECT(by_path.contains("/to_directory/file"));
        EXPECT(by_path["/to_directory"].type == fs::file_type::directory);
        EXPECT(by_path["/to_file"].type == fs::file_type::regular);
        EXPECT(by_path["/dangling"].error == std::errc::no_such_file_or_directory);
        EXPECT(by_path["/real/inner/up"].error == std::errc::too_many_symbolic_link_levels);
        EXPECT(by_path["/to_directory/inner/up"].error == std::errc::too_many_symbolic_link_levels);
    });
}

TEST_CASE("a directory that cannot be read is an entry with its reason")
{
    on_every_runtime(
        [](std::string root) -> bz::task<void> {
            const std::string top = root + "/t";
            EXPECT((co_await fs::create_directories(top + "/before")).has_value());
            EXPECT((co_await fs::create_directory(top + "/closed", 0)).has_value());
            EXPECT((co_await fs::write_file(top + "/file", "x")).has_value());
            for (const bool directories : {true, false})
            {
                const fs::walk_options options{.directories = directories};
                const auto entries = co_await collect(top, options);
                // Root may read everything in the real file system.
                const bool readable = !root.empty() && ::geteuid() == 0;
                std::size_t errors = 0;
                for (const auto& entry : entries)
                {
                    if (entry.error)
                    {
                        ++errors;
                        EXPECT(entry.path == top + "/closed");
                        EXPECT(entry.type == fs::file_type::directory);
                        EXPECT(entry.error == std::errc::permission_denied);
                    }
                }
                EXPECT(errors == (readable ? 0u : 1u));
                EXPECT(entries.back().path == top + "/file");
            }
            EXPECT((co_await fs::remove(top + "/closed")).has_value());
        },
        10);
}

TEST_CASE("directories that vanish under a walk are entries, and the walk goes on")
{
    on_every_runtime(
        [](std::string root) -> bz::task<void> {
            const std::string top = root + "/t";
            constexpr int count = 170;
            for (int index = 0; index < count; ++index)
            {
                const auto path = top + "/d" + std::to_string(1000 + index);
                EXPECT((co_await fs::create_directories(path)).has_value());
            }
            const fs::walk_options options{.concurrency = 2};
            fs::walk walker(top, options);
            const auto first = co_await walker.next();
            EXPECT(first && first->path == top + "/d1000" && !first->error);
            // Far behind what has been read ahead.
            EXPECT((co_await fs::remove(top + "/d1150")).has_value());
            // Something else takes a directory's place.
            EXPECT((co_await fs::remove(top + "/d1160")).has_value());
            EXPECT((co_await fs::write_file(top + "/d1160", "")).has_value());
            int seen = 1;
            while (const auto entry = co_await walker.next())
            {
                ++seen;
                if (entry->path == top + "/d1150")
                {
                    EXPECT(entry->error == std::errc::no_such_file_or_directory);
                }
                else if (entry->path == top + "/d1160")
                {
                    EXPECT(entry->error == std::errc::not_a_directory);
                }
                else
                {
                    EXPECT(!entry->error);
                }
            }
            EXPECT(seen == count);
        },
        10);
}

TEST_CASE("a walk that is stopped says so and ends")
{
    on_every_runtime(
        [](std::string root) -> bz::task<void> {
            const std::string top = root + "/t";
            for (int index = 0; index < 30; ++index)
            {
                const auto path = top + "/d" + std::to_string(index) + "/e";
                EXPECT((co_await fs::create_directories(path)).has_value());
            }
            for (std::size_t after = 0; after < 70; after += 7)
            {
                fs::walk walker(top);
                std::vector<fs::walk_entry> entries;
                co_await bz::scope([&](bz::task_group& group) -> bz::task<void> {
                    while (auto entry = co_await walker.next())
                    {
                        entries.push_back(*std::move(entry));
                        if (entries.size() == after + 1)
                        {
                            group.request_stop();
                        }
                    }
                });
                const bool was_stopped = after + 1 < 60;
                EXPECT(entries.size() == (was_stopped ? after + 2 : 60));
                EXPECT((entries.back().error == std::errc::operation_canceled) == was_stopped);
                // It has ended for good.
                EXPECT(!co_await walker.next());
            }
        },
        10);
}

TEST_CASE("a walk may be dropped or moved at any time")
{
    const std::size_t before = open_descriptors();
    on_kernel_runtimes([](std::string root) -> bz::task<void> {
        co_await make_nasty_tree(root);
        for (const bool sorted : {true, false})
        {
            for (int steps = 0; steps < 80; ++steps)
            {
                const fs::walk_options options{.sorted = sorted};
                fs::walk first(root, options);
                for (int step = 0; step < steps; ++step)
                {
                    static_cast<void>(co_await first.next());
                }
                fs::walk second(std::move(first));
                static_cast<void>(second.next()); // never awaited
                static_cast<void>(co_await second.next());
            }
        }
    });
    CHECK(open_descriptors() == before);
}

TEST_CASE("fifty thousand entries in one directory need little memory")
{
    const scratch_directory scratch;
    constexpr std::size_t count = 50'000;
    for (std::size_t index = 0; index < count; ++index)
    {
        // Hard links are cheaper than files.
        const std::string path = scratch.path() + "/entry-" + std::to_string(index);
        if (index % 10'000 == 0)
        {
            touch(path);
        }
        else
        {
            const auto first = index - index % 10'000;
            std::filesystem::create_hard_link(scratch.path() + "/entry-" + std::to_string(first),
                                              path);
        }
    }
    const auto peak_kilobytes = [] {
        rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        return usage.ru_maxrss;
    };
    bz::runtime_config config;
    config.io_threads = 2;
    bz::runtime runtime(std::move(config));
    const auto before = peak_kilobytes();
    for (const bool sorted : {true, false})
    {
        std::size_t seen = 0;
        std::string previous;
        bool in_order = true;
        runtime.block_on([&]() -> bz::task<void> {
            const fs::walk_options options{.sorted = sorted};
            fs::walk walker(scratch.path(), options);
            while (const auto entry = co_await walker.next())
            {
                ++seen;
                in_order = in_order && (!sorted || previous < entry->path);
                previous = entry->path;
            }
        });
        CHECK(seen == count);
        CHECK(in_order);
    }
    // Names and their places: some three megabytes while sorting. A sanitizer keeps freed memory and
    // needs shadow for it, so its peak says nothing about the walk.
    if (!fs_tests::is_sanitized)
    {
        CHECK(peak_kilobytes() - before < 12 * 1024);
    }
}
