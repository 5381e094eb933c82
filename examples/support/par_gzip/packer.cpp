// Files through the runtime's driver, stdin and stdout by calls that may block.
// Thread rule: see the header; pieces are compressed on the pool.
#include "par_gzip/packer.hpp"

#include "write_all.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace par_gzip
{

namespace bz = blitzio;

namespace
{

constexpr std::string_view suffix = ".gz";

std::error_code last_error()
{
    return {errno, std::system_category()};
}

std::string base_name(const std::string& path)
{
    return path.substr(path.rfind('/') + 1);
}

/// Mode, owner where that is allowed, and time of the original.
bz::result<void> copy_metadata(const std::string& path, const bz::fs::file_status& original)
{
    // Others than root may not give files away; then those of the group lose what it is not for.
    std::uint32_t mode = original.permissions & 07777;
    if (chown(path.c_str(), original.user_id, original.group_id) != 0)
    {
        mode &= 0777;
    }
    const auto since = original.modified_at;
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    const timespec modified{seconds.count(), (since - seconds).count()};
    const timespec times[2] = {modified, modified};
    if (chmod(path.c_str(), mode) != 0 || utimensat(AT_FDCWD, path.c_str(), times, 0) != 0)
    {
        return bz::fail(last_error());
    }
    return {};
}

} // namespace

/// Where pieces come from; remembers what went wrong with it.
class packer::input
{
public:
    explicit input(bz::fs::file file, const bz::fs::file_status& status, const std::string& path)
        : file_(std::move(file)), name_(base_name(path))
    {
        const auto seconds = std::chrono::floor<std::chrono::seconds>(status.modified_at).count();
        modified_ = seconds > 0 && seconds <= UINT32_MAX ? static_cast<std::uint32_t>(seconds) : 0;
    }
    /// stdin
    input() = default;

    bz::task<bz::result<std::size_t>> read(std::span<std::byte> room)
    {
        auto got = co_await read_some(room);
        if (got)
        {
            offset_ += *got;
        }
        else
        {
            error = got.error();
        }
        co_return got;
    }

    [[nodiscard]] const std::string& name() const noexcept
    {
        return name_;
    }
    [[nodiscard]] std::uint32_t modified() const noexcept
    {
        return modified_;
    }

    std::error_code error;

private:
    bz::task<bz::result<std::size_t>> read_some(std::span<std::byte> room)
    {
        if (file_.is_open())
        {
            co_return co_await file_.read_at(offset_, room);
        }
        co_return co_await bz::spawn_blocking([room]() -> bz::result<std::size_t> {
            ssize_t got = 0;
            do
            {
                got = ::read(STDIN_FILENO, room.data(), room.size());
            } while (got < 0 && errno == EINTR);
            if (got < 0)
            {
                return bz::fail(last_error());
            }
            return static_cast<std::size_t>(got);
        });
    }

    bz::fs::file file_;
    std::string name_;
    std::uint32_t modified_ = 0;
    std::uint64_t offset_ = 0;
};

class packer::output
{
public:
    explicit output(bz::fs::file* file) noexcept : file_(file) {}
    /// stdout
    output() noexcept = default;

    bz::task<bz::result<void>> write(std::span<const std::byte> bytes)
    {
        const std::uint64_t offset = std::exchange(offset_, offset_ + bytes.size());
        if (file_ != nullptr)
        {
            co_return co_await file_->write_all_at(offset, bytes);
        }
        co_return co_await bz::spawn_blocking([bytes]() -> bz::result<void> {
            const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            if (!example::write_all(STDOUT_FILENO, text))
            {
                return bz::fail(last_error());
            }
            return {};
        });
    }

    [[nodiscard]] std::uint64_t written() const noexcept
    {
        return offset_;
    }

private:
    bz::fs::file* file_ = nullptr;
    std::uint64_t offset_ = 0;
};

packer::packer(const options& wanted, bz::compute::pool& pool)
    : options_(wanted), pool_(pool), maker_(wanted.level, wanted.block_bytes)
{
}

bz::task<bz::result<std::string>> packer::pack(std::string path, figures& told)
{
    const std::string name = path == "-" ? "<stdin>" : path;
    auto outcome =
        co_await (options_.to_stdout || path == "-" ? to_stdout(path, told) : to_file(path, told));
    if (!outcome && outcome.error() != std::errc::operation_canceled)
    {
        co_return bz::describe(outcome.error(), name);
    }
    co_return outcome;
}

bz::generator<buffer> packer::pieces(input& from, figures& told)
{
    for (bool first = true;; first = false)
    {
        buffer piece = maker_.input_buffer();
        while (piece.size < piece.capacity)
        {
            const auto room = piece.room().subspan(piece.size);
            const std::size_t got = co_await bz::try_(from.read(room));
            if (got == 0)
            {
                break;
            }
            piece.size += got;
        }
        told.bytes_in += piece.size;
        const bool at_end = piece.size < piece.capacity;
        if (piece.size != 0 || first) // nothing compressed is a member, too
        {
            co_yield std::move(piece);
        }
        if (at_end)
        {
            co_return;
        }
    }
}

bz::task<bz::result<void>> packer::run(input& from, output& to, figures& told)
{
    struct numbered
    {
        buffer piece;
        bool first;

        [[nodiscard]] std::size_t bytes() const noexcept
        {
            return piece.capacity;
        }
    };
    const auto number = [first = true](buffer piece) mutable {
        return numbered{std::move(piece), std::exchange(first, false)};
    };
    const auto compress = [&](numbered next) {
        const bool named = next.first && !options_.without_name;
        return maker_.compress(std::move(next.piece), named ? from.name() : std::string(),
                               named ? from.modified() : 0);
    };
    const auto write = [&](buffer member) -> bz::task<bz::result<void>> {
        auto written = co_await to.write(member.bytes());
        maker_.give_back(std::move(member));
        co_return written;
    };
    bz::stream_progress progress;
    const std::size_t in_flight = 2 * std::size_t{pool_.threads()} + 2;
    const bz::streams::par_options bounds{.max_in_flight = in_flight,
                                          .max_bytes = in_flight * maker_.block_bytes(),
                                          .progress = &progress};
    auto ended =
        co_await (pieces(from, told) | bz::streams::map(number) |
                  bz::streams::par_map(pool_, compress, bounds) | bz::streams::for_each(write));
    told.bytes_out += to.written();
    told.bytes_peak = std::max(told.bytes_peak, progress.bytes_peak());
    co_return ended;
}

bz::task<bz::result<std::string>> packer::to_stdout(std::string path, figures& told)
{
    input from;
    if (path != "-")
    {
        auto file = co_await bz::try_(bz::fs::file::open(path));
        const auto status = co_await bz::try_(file.stat());
        if (status.type == bz::fs::file_type::directory)
        {
            co_return path + ": is a directory, left alone";
        }
        from = input(std::move(file), status, path);
    }
    output to;
    const auto ended = co_await run(from, to, told);
    if (!ended && ended.error() != std::errc::operation_canceled && !from.error)
    {
        co_return bz::describe(ended.error(), "<stdout>");
    }
    co_await bz::try_(ended);
    co_return std::string();
}

bz::task<bz::result<std::string>> packer::to_file(std::string path, figures& told)
{
    if (path.ends_with(suffix))
    {
        co_return path + ": ends with " + std::string(suffix) + ", left alone";
    }
    bz::fs::open_options how{.non_block = true};
    how.no_follow = !options_.force;
    auto file = co_await bz::fs::file::open(path, how);
    if (!file && file.error() == std::errc::too_many_symbolic_link_levels)
    {
        co_return path + ": is a symbolic link, left alone (-f follows it)";
    }
    if (!file)
    {
        co_return bz::fail(file.error());
    }
    const auto status = co_await bz::try_(file->stat());
    if (status.type != bz::fs::file_type::regular)
    {
        co_return path + ": is not a regular file, left alone";
    }
    const std::string target = path + std::string(suffix);
    if (!options_.force)
    {
        // The rename at the end asks again; this is to know before the work is done.
        const auto there = co_await bz::fs::stat(target, false);
        if (there)
        {
            co_return target + ": exists, left alone (-f replaces it)";
        }
    }

    // Beside the target, so that renaming it is one step; nobody else may read it before its time.
    const std::string unfinished = target + ".part-" + std::to_string(getpid());
    bz::fs::open_options making{.read = false, .write = true, .create = true};
    making.exclusive = true;
    making.mode = 0600;
    auto made = co_await bz::fs::file::open(unfinished, making);
    if (!made)
    {
        co_return bz::describe(made.error(), unfinished);
    }
    input from(*std::move(file), status, path);
    output to(&*made);
    auto ended = co_await run(from, to, told);
    std::string subject = from.error ? path : target;
    if (ended && options_.synchronous)
    {
        ended = co_await made->sync();
    }
    if (const auto closed = co_await made->close(); ended && !closed)
    {
        ended = closed;
    }
    if (ended)
    {
        ended = co_await bz::spawn_blocking([&] { return copy_metadata(unfinished, status); });
    }
    if (ended)
    {
        ended = co_await bz::fs::rename(unfinished, target, options_.force);
    }
    if (!ended)
    {
        static_cast<void>(co_await bz::shield(bz::fs::remove_file(unfinished)));
        if (ended.error() == std::errc::operation_canceled)
        {
            co_return bz::fail(ended.error());
        }
        co_return bz::describe(ended.error(), subject);
    }
    if (!options_.keep)
    {
        const auto removed = co_await bz::shield(bz::fs::remove_file(path));
        if (!removed)
        {
            co_return bz::describe(removed.error(), path);
        }
    }
    co_return std::string();
}

} // namespace par_gzip
