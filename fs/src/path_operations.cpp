// Operations on paths that take several steps. Thread rule: as the header says.
#include <blitzio/fs/path_operations.hpp>

#include <blitzio/fs/directory.hpp>
#include <blitzio/fs/file.hpp>
#include <blitzio/io/detail/runtime_access.hpp>
#include <blitzio/io/this_task.hpp>
#include <blitzio/io/try.hpp>

#include "shielded.hpp"

#include <algorithm>
#include <optional>
#include <type_traits>

namespace blitzio::fs
{

namespace
{

/// First portion of a file whose size nobody has asked for: most files are smaller.
constexpr std::size_t first_read_bytes = std::size_t{32} * 1024;
/// Names that are tried for a temporary file before giving up.
constexpr unsigned temporary_names_max = 100;

/// Everything before the last name, without trailing slashes; "." or "/" where nothing is left.
std::string parent_of(std::string_view path)
{
    const auto name_end = path.find_last_not_of('/');
    if (name_end == std::string_view::npos)
    {
        return path.empty() ? "." : "/";
    }
    const auto slash = path.find_last_of('/', name_end);
    if (slash == std::string_view::npos)
    {
        return ".";
    }
    const auto parent_end = path.find_last_not_of('/', slash);
    return parent_end == std::string_view::npos ? "/" : std::string(path.substr(0, parent_end + 1));
}

task<result<void>> make_unless_there(std::string path, std::uint32_t mode)
{
    const auto made = co_await create_directory(path, mode);
    if (made || made.error() != std::errc::file_exists)
    {
        co_return made;
    }
    const auto status = co_await try_(stat(path));
    if (status.type != file_type::directory)
    {
        co_return fail(std::errc::not_a_directory);
    }
    co_return result<void>();
}

/// How much room the next read of a file gets. The size is asked for only when the first portion
/// was full, because asking costs as much as reading a small file.
task<std::size_t> next_room(const file& from, std::size_t have)
{
    if (have == 0)
    {
        co_return first_read_bytes;
    }
    if (have == first_read_bytes)
    {
        const auto status = co_await from.stat();
        if (status && status->size > have)
        {
            // One byte more: a short read then tells the end without a further one.
            co_return static_cast<std::size_t>(
                std::min<std::uint64_t>(status->size - have, SIZE_MAX / 4) + 1);
        }
    }
    co_return have;
}

template <class Contents>
task<result<Contents>> read_contents(std::string path, std::size_t limit)
{
    using unit = typename Contents::value_type;
    const auto opened = co_await try_(file::open(std::move(path)));
    Contents contents;
    std::size_t have = 0;
    for (;;)
    {
        if (have == contents.size())
        {
            // Room for one byte beyond the limit, which shows that the limit is too small.
            const std::size_t allowed = limit - have + (limit - have < SIZE_MAX ? 1 : 0);
            const std::size_t room = co_await next_room(opened, have);
            contents.resize(have + std::min(room, allowed), unit{});
        }
        const auto tail = std::as_writable_bytes(std::span(contents)).subspan(have);
        const std::size_t got = co_await try_(opened.read_at(have, tail));
        have += got;
        if (have > limit)
        {
            co_return fail(io_errc::limit_reached);
        }
        if (got == 0)
        {
            contents.resize(have);
            co_return contents;
        }
    }
}

task<result<void>> write_in_place(std::string path, std::span<const std::byte> data,
                                  std::uint32_t mode)
{
    const open_options options{
        .read = false, .write = true, .create = true, .truncate = true, .mode = mode};
    auto target = co_await try_(file::open(std::move(path), options));
    co_await try_(target.write_all_at(0, data));
    co_return co_await target.close();
}

struct temporary_file
{
    file opened;
    std::string path;
};

std::string temporary_name(std::uint64_t salt, unsigned attempt)
{
    constexpr std::string_view digits = "0123456789abcdef";
    std::string name = ".blitzio-";
    for (int shift = 60; shift >= 0; shift -= 4)
    {
        name += digits[(salt >> shift) & 15];
    }
    return name + '-' + std::to_string(attempt) + ".tmp";
}

task<result<temporary_file>> make_temporary(const std::string& directory, std::uint32_t mode)
{
    const task_env* const env = co_await this_task::env();
    // The time makes collisions rare; exclusive creation makes them harmless. The name does not
    // contain the target's, which may be as long as a name can be.
    const auto salt = static_cast<std::uint64_t>(blitzio::detail::now(*env->runtime).count());
    const open_options options{
        .read = false, .write = true, .create = true, .exclusive = true, .mode = mode};
    for (unsigned attempt = 0;; ++attempt)
    {
        std::string path = directory + '/' + temporary_name(salt, attempt);
        auto opened = co_await file::open(path, options);
        if (opened)
        {
            co_return temporary_file{std::move(*opened), std::move(path)};
        }
        if (opened.error() != std::errc::file_exists || attempt + 1 == temporary_names_max)
        {
            co_return fail(opened.error());
        }
    }
}

/// Some file systems know no sync of directories, and say so with invalid_argument.
task<result<void>> sync_directory(const std::string& path)
{
    const open_options options{.read = true};
    auto opened = co_await try_(file::open(path, options));
    const auto synced = co_await opened.sync();
    if (!synced && synced.error() != std::errc::invalid_argument)
    {
        co_return synced;
    }
    co_return co_await opened.close();
}

task<result<void>> fill_temporary(temporary_file& temporary, std::span<const std::byte> data)
{
    co_await try_(temporary.opened.write_all_at(0, data));
    co_await try_(temporary.opened.sync());
    co_await try_(temporary.opened.close());
    // The last moment at which the old file can be kept without any doubt.
    const stop_token stop = co_await this_task::stop();
    if (stop.stop_requested())
    {
        co_return fail(std::errc::operation_canceled);
    }
    co_return result<void>();
}

task<result<void>> write_atomically(std::string path, std::span<const std::byte> data,
                                    std::uint32_t mode)
{
    const std::string directory = parent_of(path);
    auto temporary = co_await try_(make_temporary(directory, mode));
    auto done = co_await fill_temporary(temporary, data);
    if (done)
    {
        done = co_await detail::shielded(rename(temporary.path, path));
    }
    if (!done)
    {
        temporary.opened = file();
        static_cast<void>(co_await detail::shielded(remove_file(temporary.path)));
        co_return done;
    }
    co_return co_await detail::shielded(sync_directory(directory));
}

} // namespace

task<result<void>> create_directories(std::string path, std::uint32_t mode)
{
    // Upwards until something can be made or is there, then down again.
    std::vector<std::string> missing;
    for (;;)
    {
        const auto made = co_await make_unless_there(path, mode);
        if (made)
        {
            break;
        }
        std::string parent = parent_of(path);
        if (made.error() != std::errc::no_such_file_or_directory || parent == path || path.empty())
        {
            co_return made;
        }
        missing.push_back(std::exchange(path, std::move(parent)));
    }
    while (!missing.empty())
    {
        co_await try_(make_unless_there(std::move(missing.back()), mode));
        missing.pop_back();
    }
    co_return result<void>();
}

task<result<void>> remove(std::string path)
{
    const auto removed = co_await remove_file(path);
    // POSIX wants operation_not_permitted for directories, Linux says is_a_directory.
    if (removed || (removed.error() != std::errc::is_a_directory &&
                    removed.error() != std::errc::operation_not_permitted))
    {
        co_return removed;
    }
    const auto emptied = co_await remove_directory(std::move(path));
    // It was no directory after all: then the first error is the one that tells something.
    co_return !emptied && emptied.error() == std::errc::not_a_directory ? removed : emptied;
}

task<result<std::vector<std::byte>>> read_file(std::string path, std::size_t limit)
{
    return read_contents<std::vector<std::byte>>(std::move(path), limit);
}

task<result<std::string>> read_text(std::string path, std::size_t limit)
{
    return read_contents<std::string>(std::move(path), limit);
}

task<result<void>> write_file(std::string path, std::span<const std::byte> data,
                              write_file_options options)
{
    return options.atomic ? write_atomically(std::move(path), data, options.mode)
                          : write_in_place(std::move(path), data, options.mode);
}

} // namespace blitzio::fs
