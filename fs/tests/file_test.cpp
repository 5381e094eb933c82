// Files: every operation, and the errors that name what is wrong. Each body runs on the kernel's
// backend in a scratch directory and in simulated worlds. Thread rule: the test's thread.
#include "support.hpp"

#include <blitzio/fs.hpp>
#include <blitzio/io/lease_buffer.hpp>
#include <blitzio/io/task_group.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/when_all.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include <sys/stat.h>

using namespace fs_tests;
using namespace std::chrono_literals;

namespace
{

std::span<std::byte> writable(std::string& text)
{
    return std::as_writable_bytes(std::span(text));
}

constexpr fs::open_options create_new{.write = true, .create = true, .exclusive = true};

bz::task<void> put(std::string path, std::string_view text)
{
    EXPECT((co_await fs::write_file(std::move(path), text)).has_value());
}

/// Names in the directory, sorted.
bz::task<std::vector<std::string>> names_in(std::string path)
{
    auto directory = bz::or_throw(co_await fs::directory::open(path.empty() ? "/" : path), path);
    const auto entries = bz::or_throw(co_await directory.list(), path);
    std::vector<std::string> names;
    for (const auto& entry : entries)
    {
        names.push_back(entry.name);
    }
    co_return names;
}

} // namespace

TEST_CASE("what is written at an offset is read there")
{
    on_every_runtime([](std::string root) -> bz::task<void> {
        auto file = bz::or_throw(co_await fs::file::open(root + "/file", create_new), "open");
        EXPECT((co_await file.write_all_at(0, "0123456789")).has_value());
        EXPECT((co_await file.write_all_at(4, "abc")).has_value());
        std::string text(10, '\0');
        EXPECT((co_await file.read_exactly_at(0, writable(text))).has_value());
        EXPECT(text == "0123abc789");

        // A hole reads as zeros.
        EXPECT((co_await file.write_all_at(20, "end")).has_value());
        std::string tail(13, 'x');
        EXPECT((co_await file.read_exactly_at(10, writable(tail))).has_value());
        EXPECT(tail == std::string(10, '\0') + "end");

        std::array<std::byte, 64> buffer;
        const auto some = co_await file.read_at(21, buffer);
        EXPECT(some.has_value() && *some >= 1 && *some <= 2);
        EXPECT(co_await file.read_at(23, buffer) == 0u);
        EXPECT(co_await file.read_at(1'000'000, buffer) == 0u);
        const auto cut = co_await file.read_exactly_at(21, buffer);
        EXPECT(!cut && cut.error() == bz::io_errc::end_of_stream);
        EXPECT(co_await file.write_at(0, "") == 0u);
        EXPECT((co_await file.write_all_at(0, "")).has_value());
        EXPECT((co_await file.read_exactly_at(0, std::span<std::byte>())).has_value());

        const auto status = bz::or_throw(co_await file.stat(), "stat");
        EXPECT(status.size == 23);
        EXPECT(status.type == fs::file_type::regular);
        EXPECT((co_await file.sync()).has_value());
        EXPECT((co_await file.sync(true)).has_value());
        EXPECT((co_await file.close()).has_value());
        EXPECT(!file.is_open());
        EXPECT((co_await file.close()).has_value());
    });
}

TEST_CASE("large files are written and read in as many steps as it takes")
{
    on_every_runtime(
        [](std::string root) -> bz::task<void> {
            const std::string data = pattern(root.empty() ? 200'000 : 9'000'001);
            co_await put(root + "/large", data);
            auto file = bz::or_throw(co_await fs::file::open(root + "/large"), "open");
            std::string read(data.size(), '\0');
            EXPECT((co_await file.read_exactly_at(0, writable(read))).has_value());
            EXPECT(read == data);
            EXPECT(co_await fs::read_text(root + "/large") == data);
            const auto bytes = co_await fs::read_file(root + "/large");
            EXPECT(bytes.has_value() && std::ranges::equal(*bytes, std::as_bytes(std::span(data))));
        },
        10);
}

TEST_CASE("many tasks write one file at different places")
{
    on_every_runtime(
        [](std::string root) -> bz::task<void> {
            auto file = bz::or_throw(co_await fs::file::open(root + "/shared", create_new));
            const std::string data = pattern(40'000);
            co_await bz::scope([&](bz::task_group& group) -> bz::task<void> {
                for (std::size_t at = 0; at < data.size(); at += 1000)
                {
                    group.spawn([&file, &data, at]() -> bz::task<bz::result<void>> {
                        co_return co_await file.write_all_at(
                            at, std::string_view(data).substr(at, 1000));
                    });
                }
                co_return;
            });
            EXPECT(co_await fs::read_text(root + "/shared") == data);
        },
        10);
}

TEST_CASE("the options of open mean what they say")
{
    on_every_runtime([](std::string root) -> bz::task<void> {
        const std::string path = root + "/file";
        EXPECT(is(co_await fs::file::open(path), std::errc::no_such_file_or_directory));
        EXPECT((co_await fs::file::open(path, create_new)).has_value());
        EXPECT(is(co_await fs::file::open(path, create_new), std::errc::file_exists));
        co_await put(path, "contents");

        const fs::open_options append{.write = true, .append = true};
        auto appending = bz::or_throw(co_await fs::file::open(path, append), "append");
        EXPECT((co_await appending.write_all_at(0, "!")).has_value());
        EXPECT(co_await fs::read_text(path) == "contents!");

        const fs::open_options truncate{.write = true, .truncate = true};
        EXPECT((co_await fs::file::open(path, truncate)).has_value());
        EXPECT(co_await fs::read_text(path) == "");

        auto reading = bz::or_throw(co_await fs::file::open(path), "read");
        EXPECT(is(co_await reading.write_at(0, "x"), std::errc::bad_file_descriptor));
        const fs::open_options write_only{.read = false, .write = true};
        auto writing = bz::or_throw(co_await fs::file::open(path, write_only), "write");
        std::array<std::byte, 4> buffer;
        EXPECT(is(co_await writing.read_at(0, buffer), std::errc::bad_file_descriptor));
    });
}

TEST_CASE("calls that make no sense are refused before the kernel sees them")
{
    on_every_runtime(
        [](std::string root) -> bz::task<void> {
            const std::string path = root + "/file";
            co_await put(path, "text");
            const fs::open_options nonsense[] = {
                {.read = false},
                {.truncate = true},
                {.append = true},
                {.write = true, .exclusive = true},
            };
            for (const auto& options : nonsense)
            {
                EXPECT(is(co_await fs::file::open(path, options), std::errc::invalid_argument));
            }
            EXPECT(co_await fs::read_text(path) == "text");

            auto file = bz::or_throw(co_await fs::file::open(path), "open");
            std::array<std::byte, 4> buffer;
            EXPECT(
                is(co_await file.read_at(0, std::span<std::byte>()), std::errc::invalid_argument));
            // To the kernel, these offsets would be negative; one of them means "where you are".
            for (const std::uint64_t offset : {UINT64_MAX, UINT64_MAX / 2 + 1, UINT64_MAX / 2})
            {
                EXPECT(is(co_await file.read_at(offset, buffer), std::errc::invalid_argument));
                EXPECT(is(co_await file.write_all_at(offset, "xyz"), std::errc::invalid_argument));
            }

            fs::file none;
            EXPECT(is(co_await none.read_at(0, buffer), std::errc::bad_file_descriptor));
            EXPECT(is(co_await none.write_all_at(0, "x"), std::errc::bad_file_descriptor));
            EXPECT(is(co_await none.stat(), std::errc::bad_file_descriptor));
            EXPECT(is(co_await none.sync(), std::errc::bad_file_descriptor));
            fs::directory no_directory;
            fs::directory_batch batch;
            EXPECT(is(co_await no_directory.next_batch(batch), std::errc::bad_file_descriptor));

            const std::string hidden("/file\0tail", 10);
            EXPECT(is(co_await fs::file::open(root + hidden), std::errc::invalid_argument));
            EXPECT(is(co_await fs::stat(root + hidden), std::errc::invalid_argument));
            EXPECT(is(co_await fs::remove(root + hidden), std::errc::invalid_argument));
            EXPECT(is(co_await fs::rename(path, root + hidden), std::errc::invalid_argument));
            EXPECT(is(co_await fs::directory::open(root + hidden), std::errc::invalid_argument));
            EXPECT(is(co_await fs::create_directories(root + hidden), std::errc::invalid_argument));
            EXPECT(is(co_await fs::file::open(""), std::errc::no_such_file_or_directory));
            EXPECT(is(co_await fs::create_directories(""), std::errc::no_such_file_or_directory));
            EXPECT(co_await fs::read_text(path) == "text");
        },
        3);
}

TEST_CASE("errors are the kernel's, and describe() names the file")
{
    on_every_runtime(
        [](std::string root) -> bz::task<void> {
            const std::string missing = root + "/missing/file";
            const auto read = co_await fs::read_file(missing);
            EXPECT(is(read, std::errc::no_such_file_or_directory));
            EXPECT(bz::describe(read.error(), missing) == missing + ": No such file or directory");
            EXPECT(is(co_await fs::stat(missing), std::errc::no_such_file_or_directory));
            EXPECT(is(co_await fs::write_file(missing, "x"), std::errc::no_such_file_or_directory));
            const fs::write_file_options atomic{.atomic = true};
            EXPECT(is(co_await fs::write_file(missing, "x", atomic),
                      std::errc::no_such_file_or_directory));
            EXPECT(is(co_await fs::create_directory(root + "/missing/directory"),
                      std::errc::no_such_file_or_directory));
            EXPECT(is(co_await fs::rename(missing, root + "/other"),
                      std::errc::no_such_file_or_directory));
            EXPECT(is(co_await fs::directory::open(root + "/missing"),
                      std::errc::no_such_file_or_directory));

            EXPECT((co_await fs::create_directory(root + "/directory")).has_value());
            EXPECT(is(co_await fs::read_file(root + "/directory"), std::errc::is_a_directory));
            EXPECT(
                is(co_await fs::write_file(root + "/directory", "x"), std::errc::is_a_directory));
            EXPECT(is(co_await fs::write_file(root + "/directory", "x", atomic),
                      std::errc::is_a_directory));
            EXPECT(is(co_await fs::remove_file(root + "/directory"), std::errc::is_a_directory));
            EXPECT(is(co_await fs::create_directory(root + "/directory"), std::errc::file_exists));

            co_await put(root + "/file", "x");
            EXPECT(is(co_await fs::directory::open(root + "/file"), std::errc::not_a_directory));
            EXPECT(is(co_await fs::read_file(root + "/file/below"), std::errc::not_a_directory));
            EXPECT(is(co_await fs::create_directories(root + "/file"), std::errc::not_a_directory));
            EXPECT(is(co_await fs::create_directories(root + "/file/below"),
                      std::errc::not_a_directory));
            EXPECT(is(co_await fs::remove_directory(root + "/file"), std::errc::not_a_directory));
            const auto long_name = root + '/' + std::string(300, 'n');
            EXPECT(is(co_await fs::write_file(long_name, "x"), std::errc::filename_too_long));

            // Failed writes have left nothing behind.
            EXPECT(are(co_await names_in(root), "directory", "file"));
            EXPECT((co_await names_in(root + "/directory")).empty());
        },
        10);
}

TEST_CASE("read_file keeps to its limit")
{
    on_every_runtime(
        [](std::string root) -> bz::task<void> {
            for (const std::size_t size : {0u, 1u, 100u, 32u * 1024u, 32u * 1024u + 1, 70'000u})
            {
                const std::string data = pattern(size);
                co_await put(root + "/file", data);
                EXPECT(co_await fs::read_text(root + "/file", size) == data);
                EXPECT(co_await fs::read_text(root + "/file", size + 1) == data);
                EXPECT(co_await fs::read_text(root + "/file", SIZE_MAX) == data);
                if (size > 0)
                {
                    const auto over = co_await fs::read_text(root + "/file", size - 1);
                    EXPECT(!over && over.error() == bz::io_errc::limit_reached);
                }
            }
        },
        10);
}

TEST_CASE("files that claim to be empty are read all the same")
{
    on_kernel_runtimes([](std::string) -> bz::task<void> {
        const auto status = co_await fs::read_text("/proc/self/status");
        EXPECT(status.has_value() && status->starts_with("Name:"));
    });
}

TEST_CASE("directories are made, listed, renamed and removed")
{
    on_every_runtime([](std::string root) -> bz::task<void> {
        const std::string deep = root + "/a/b/c";
        EXPECT((co_await fs::create_directories(deep)).has_value());
        EXPECT((co_await fs::create_directories(deep)).has_value());
        EXPECT((co_await fs::create_directories(deep + "/d/")).has_value());
        EXPECT((co_await fs::stat(deep + "/d"))->type == fs::file_type::directory);

        co_await put(root + "/a/one", "1");
        co_await put(root + "/a/two", "22");
        EXPECT(are(co_await names_in(root + "/a"), "b", "one", "two"));

        EXPECT(is(co_await fs::rename(root + "/a/one", root + "/a/two", false),
                  std::errc::file_exists));
        EXPECT((co_await fs::rename(root + "/a/one", root + "/a/two")).has_value());
        EXPECT(co_await fs::read_text(root + "/a/two") == "1");
        EXPECT((co_await fs::rename(root + "/a/b", root + "/moved")).has_value());
        EXPECT(are(co_await names_in(root + "/a"), "two"));

        EXPECT(is(co_await fs::remove(root + "/moved"), std::errc::directory_not_empty));
        EXPECT((co_await fs::remove(root + "/moved/c/d")).has_value());
        EXPECT((co_await fs::remove(root + "/moved/c")).has_value());
        EXPECT((co_await fs::remove_directory(root + "/moved")).has_value());
        EXPECT((co_await fs::remove(root + "/a/two")).has_value());
        EXPECT(is(co_await fs::remove(root + "/a/two"), std::errc::no_such_file_or_directory));
        EXPECT((co_await fs::remove(root + "/a")).has_value());
        EXPECT((co_await names_in(root)).empty());
    });
}

TEST_CASE("a listing comes in batches that use their memory again")
{
    on_every_runtime(
        [](std::string root) -> bz::task<void> {
            const std::size_t count = root.empty() ? 150 : 1300;
            EXPECT((co_await fs::create_directory(root + "/many")).has_value());
            for (std::size_t index = 0; index < count; ++index)
            {
                const auto path =
                    root + "/many/file " + std::string(50, '-') + std::to_string(index);
                EXPECT((co_await fs::file::open(path, create_new)).has_value());
            }
            auto directory = bz::or_throw(co_await fs::directory::open(root + "/many"));
            fs::directory_batch batch;
            std::size_t seen = 0;
            std::size_t batches = 0;
            for (;;)
            {
                const auto got = bz::or_throw(co_await directory.next_batch(batch));
                EXPECT(got == batch.entries.size());
                if (got == 0)
                {
                    EXPECT(batch.at_end);
                    break;
                }
                ++batches;
                for (const auto& entry : batch.entries)
                {
                    EXPECT(batch.name(entry).starts_with("file "));
                }
                seen += got;
            }
            EXPECT(seen == count);
            EXPECT(batches > 1);
            EXPECT((co_await names_in(root + "/many")).size() == count);
        },
        5);
}

TEST_CASE("an atomic write replaces the whole file and leaves nothing else")
{
    on_every_runtime([](std::string root) -> bz::task<void> {
        EXPECT((co_await fs::create_directory(root + "/d")).has_value());
        const std::string path = root + "/d/file";
        const fs::write_file_options atomic{.atomic = true, .mode = 0600};
        EXPECT((co_await fs::write_file(path, "first and longer", atomic)).has_value());
        EXPECT(co_await fs::read_text(path) == "first and longer");
        EXPECT(((co_await fs::stat(path))->permissions & 0777) == 0600);

        // Whoever has the old file open keeps it.
        auto old = bz::or_throw(co_await fs::file::open(path), "open");
        const std::string second = pattern(100'000);
        EXPECT((co_await fs::write_file(path, second, atomic)).has_value());
        EXPECT(co_await fs::read_text(path) == second);
        std::string kept(16, '\0');
        EXPECT((co_await old.read_exactly_at(0, writable(kept))).has_value());
        EXPECT(kept == "first and longer");
        EXPECT(are(co_await names_in(root + "/d"), "file"));

        // As long as a name can be: the temporary one has to be shorter.
        const std::string long_name = root + "/d/" + std::string(255, 'n');
        EXPECT((co_await fs::write_file(long_name, "x", atomic)).has_value());
        EXPECT(co_await fs::read_text(long_name) == "x");
    });
}

TEST_CASE("many atomic writes of one file leave one of them, whole")
{
    on_every_runtime(
        [](std::string root) -> bz::task<void> {
            EXPECT((co_await fs::create_directory(root + "/d")).has_value());
            const std::string path = root + "/d/file";
            co_await bz::scope([&](bz::task_group& group) -> bz::task<void> {
                for (char writer = 'a'; writer < 'i'; ++writer)
                {
                    group.spawn([&path, writer]() -> bz::task<bz::result<void>> {
                        const std::string text(5000, writer);
                        const fs::write_file_options atomic{.atomic = true};
                        co_return co_await fs::write_file(path, text, atomic);
                    });
                }
                co_return;
            });
            const auto text = bz::or_throw(co_await fs::read_text(path), "read");
            EXPECT(text.size() == 5000 && text == std::string(5000, text[0]));
            EXPECT(are(co_await names_in(root + "/d"), "file"));
        },
        20);
}

TEST_CASE("an atomic write that is stopped leaves the old file or the new one, and no other")
{
    on_every_runtime(
        [](std::string root) -> bz::task<void> {
            EXPECT((co_await fs::create_directory(root + "/d")).has_value());
            const std::string path = root + "/d/file";
            const std::string old_text(3000, 'o');
            const std::string new_text(30'000, 'n');
            const fs::write_file_options atomic{.atomic = true};
            std::size_t stopped = 0;
            std::size_t completed = 0;
            for (int step = 0; step < 40; ++step)
            {
                EXPECT((co_await fs::write_file(path, old_text)).has_value());
                const auto time = std::chrono::microseconds(root.empty() ? 700 * step : 40 * step);
                const auto written =
                    co_await bz::timeout(time, fs::write_file(path, new_text, atomic));
                if (!written)
                {
                    EXPECT(is(written, std::errc::timed_out));
                }
                ++(written ? completed : stopped);
                EXPECT(co_await fs::read_text(path) == (written ? new_text : old_text));
                EXPECT(are(co_await names_in(root + "/d"), "file"));
            }
            EXPECT(stopped + completed == 40);
        },
        25);
}

TEST_CASE("stopped file operations do nothing, and no descriptor is left behind")
{
    const std::size_t before = open_descriptors();
    on_kernel_runtimes([](std::string root) -> bz::task<void> {
        const std::string path = root + "/file";
        co_await put(path, "text");
        const std::size_t at_start = open_descriptors();
        co_await bz::scope([&](bz::task_group& group) -> bz::task<void> {
            auto file = bz::or_throw(co_await fs::file::open(path), "open");
            group.request_stop();
            std::array<std::byte, 4> buffer;
            EXPECT(is(co_await file.read_at(0, buffer), std::errc::operation_canceled));
            EXPECT(is(co_await fs::file::open(path), std::errc::operation_canceled));
            EXPECT(is(co_await fs::write_file(path, "x"), std::errc::operation_canceled));
            EXPECT(is(co_await fs::remove(path), std::errc::operation_canceled));
            // Closing is clean-up.
            EXPECT((co_await file.close()).has_value());
        });
        for (int round = 0; round < 50; ++round)
        {
            static_cast<void>(
                co_await bz::timeout(std::chrono::microseconds(round), fs::file::open(path)));
            auto file = bz::or_throw(co_await fs::file::open(path), "open");
            auto moved = std::move(file);
            file = std::move(moved);
            if (round % 2 == 0)
            {
                static_cast<void>(file.close()); // never awaited
            }
        }
        EXPECT(co_await fs::read_text(path) == "text");
        EXPECT(open_descriptors() == at_start);
    });
    CHECK(open_descriptors() == before);
}

TEST_CASE("files are read into leases and written from them")
{
    on_every_runtime([](std::string root) -> bz::task<void> {
        auto file = bz::or_throw(co_await fs::file::open(root + "/file", create_new), "open");
        auto lease = bz::or_throw(co_await bz::lease_buffer(10'000), "lease");
        const std::string data = pattern(10'000);
        std::memcpy(lease.room().data(), data.data(), data.size());
        lease.resize(data.size());
        for (std::size_t done = 0; done < data.size();)
        {
            // Simulated worlds write in parts.
            lease.resize(data.size() - done);
            std::memcpy(lease.room().data(), data.data() + done, data.size() - done);
            const auto count = co_await file.write_at(done, lease);
            EXPECT(count.has_value() && *count > 0);
            if (!count)
            {
                co_return;
            }
            EXPECT(lease.size() == data.size() - done);
            done += *count;
        }
        std::string received;
        for (;;)
        {
            const auto count = co_await file.read_at(received.size(), lease);
            EXPECT(count.has_value());
            if (!count || *count == 0)
            {
                break;
            }
            EXPECT(lease.size() == *count);
            received.append(reinterpret_cast<const char*>(lease.bytes().data()), lease.size());
        }
        EXPECT(received == data);
        EXPECT(lease.empty());
    });
}

TEST_CASE("a lease of another pool does for a file, too")
{
    on_kernel_runtimes([](std::string root) -> bz::task<void> {
        bz::buffer_pool own;
        auto lease = bz::or_throw(own.lease(4096), "lease");
        auto file = bz::or_throw(co_await fs::file::open(root + "/file", create_new), "open");
        std::memset(lease.room().data(), 'o', 100);
        lease.resize(100);
        EXPECT((co_await file.write_at(0, lease)).has_value());
        const auto count = co_await file.read_at(0, lease);
        EXPECT(count.has_value() && *count == 100);
    });
}

TEST_CASE("a FIFO that took a file's place does not make an open wait")
{
    on_kernel_runtimes([](std::string root) -> bz::task<void> {
        const std::string path = root + "/was_a_file";
        EXPECT(::mkfifo(path.c_str(), 0600) == 0);
        constexpr fs::open_options without_waiting{.non_block = true};
        auto opened = co_await bz::timeout(10s, fs::file::open(path, without_waiting));
        EXPECT(opened.has_value());
        if (opened)
        {
            const auto status = co_await opened->stat();
            EXPECT(status && status->type == fs::file_type::fifo);
            EXPECT((co_await opened->close()).has_value());
        }
        constexpr fs::open_options for_writing{.read = false, .write = true, .non_block = true};
        const auto refused = co_await bz::timeout(10s, fs::file::open(path, for_writing));
        EXPECT(is(refused, std::errc::no_such_device_or_address));
    });
}
