// The pipeline. Thread rule: see the header.
#include "hash_tree/tree_hasher.hpp"

#include "hash_tree/progress.hpp"

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

namespace hash_tree
{

namespace bz = blitzio;

namespace
{

/// Enough small files to pay for the way to the pool and back, few enough to share a directory's
/// files among all threads.
constexpr std::size_t run_files = 32;
/// Runs that are in progress, wait, or wait to be printed, unless told otherwise: while one thread is
/// busy with a large file, the others have something to do.
constexpr std::size_t runs_in_flight = 1024;
/// Stays in a processor's cache beside what hashing needs; of larger ones, reading costs more.
constexpr std::size_t buffer_bytes_best = 64 * 1024;
constexpr std::size_t buffer_bytes_least = 8 * 1024;
/// Paths and lines of what is in flight.
constexpr std::size_t text_bytes_max = 16 * 1024 * 1024;

/// No more run at the same time than buffers are affordable.
std::size_t choose_runs(const options& wanted)
{
    const std::size_t runs = wanted.jobs != 0 ? wanted.jobs : runs_in_flight;
    return std::clamp<std::size_t>(wanted.bytes_max / buffer_bytes_least, 1, runs);
}

std::size_t choose_buffer(const options& wanted, unsigned threads, std::size_t runs)
{
    const std::size_t at_once = std::min<std::size_t>(threads, runs);
    return std::clamp(wanted.bytes_max / at_once, buffer_bytes_least, buffer_bytes_best);
}

std::string_view name_of(bz::fs::file_type type)
{
    using bz::fs::file_type;
    switch (type)
    {
    case file_type::fifo: return "a FIFO";
    case file_type::socket: return "a socket";
    case file_type::character_device: return "a character device";
    case file_type::block_device: return "a block device";
    case file_type::unknown: return "of an unknown type";
    case file_type::regular:
    case file_type::directory:
    case file_type::symlink: break;
    }
    return {};
}

} // namespace

tree_hasher::tree_hasher(const options& wanted, bz::compute::pool& pool, status_line& status,
                         counters& progress)
    : options_(wanted), pool_(pool), status_(status), progress_(progress),
      runs_max_(choose_runs(wanted)),
      hasher_(choose_buffer(wanted, pool.threads(), runs_max_), progress)
{
}

bz::task<bz::result<void>> tree_hasher::run(bz::stop_token interrupted)
{
    co_return co_await bz::scope([&](bz::task_group& all) -> bz::task<bz::result<void>> {
        const bz::stop_callback on_interrupt(interrupted,
                                             [&all]() noexcept { all.request_stop(); });
        bz::sync::event ended;
        if (status_.enabled())
        {
            all.spawn(count_tree(options_, progress_, ended));
            all.spawn(show_progress(status_, progress_, ended));
        }
        auto outcome = co_await hash_all();
        ended.set();
        co_return outcome;
    });
}

bz::task<bz::result<void>> tree_hasher::hash_all()
{
    const auto hash = [this](std::span<item> items, bz::stop_token stop) {
        return hasher_.hash(items, stop);
    };
    // A pipe or a terminal may make the writer wait for as long as it likes.
    const auto print = [this](hashed made) -> bz::task<bz::result<void>> {
        co_return co_await bz::spawn_blocking([&]() -> bz::result<void> {
            if (!status_.print(made.lines, made.complaints))
            {
                return bz::fail(std::error_code(errno, std::system_category()));
            }
            return {};
        });
    };
    const bz::streams::par_options bounds{.max_in_flight = runs_max_, .max_bytes = text_bytes_max};
    co_return co_await (found() | bz::streams::par_chunks(pool_, run_files, hash, bounds) |
                        bz::streams::for_each(print));
}

bz::task<bz::result<std::vector<tree_hasher::root>>> tree_hasher::sorted_roots()
{
    std::vector<root> roots;
    for (const std::string& path : options_.roots)
    {
        root next{path, path, {}};
        const auto status = co_await bz::fs::stat(path);
        if (!status)
        {
            next.remark = complaint(path, status.error().message());
            progress_.failures.fetch_add(1, std::memory_order_relaxed);
        }
        else if (status->type == bz::fs::file_type::directory && !path.ends_with('/'))
        {
            next.sorted_as += '/'; // as its files will be
        }
        roots.push_back(std::move(next));
    }
    std::ranges::sort(roots, {}, &root::sorted_as);
    co_return roots;
}

bz::generator<item> tree_hasher::found()
{
    const auto roots = co_await bz::try_(sorted_roots());
    for (const root& each : roots)
    {
        if (!each.remark.empty())
        {
            co_yield item{{}, each.remark};
            continue;
        }
        bz::fs::walk_options how;
        how.follow_links = options_.follow_links;
        how.directories = false;
        bz::fs::walk walker(each.path, how);
        while (auto entry = co_await walker.next())
        {
            if (!entry->error && entry->type == bz::fs::file_type::regular)
            {
                co_yield item{std::move(entry->path), {}};
                continue;
            }
            item judged = co_await bz::try_(judge(*std::move(entry)));
            if (!judged.path.empty() || !judged.remark.empty())
            {
                co_yield std::move(judged);
            }
        }
    }
}

bz::task<bz::result<item>> tree_hasher::judge(bz::fs::walk_entry entry)
{
    using bz::fs::file_type;
    auto type = entry.type;
    auto error = entry.error;
    if (!error && type == file_type::unknown)
    {
        const auto status = co_await bz::fs::stat(entry.path, options_.follow_links);
        error = status ? std::error_code() : status.error();
        type = status ? status->type : type;
    }
    if (error == std::errc::operation_canceled)
    {
        co_return bz::fail(error);
    }
    if (error)
    {
        progress_.failures.fetch_add(1, std::memory_order_relaxed);
        co_return item{{}, complaint(entry.path, error.message())};
    }
    if (type == file_type::regular)
    {
        co_return item{std::move(entry.path), {}};
    }
    if (type == file_type::directory || type == file_type::symlink || options_.quiet)
    {
        co_return item();
    }
    co_return item{{}, complaint(entry.path, "skipped, it is " + std::string(name_of(type)))};
}

} // namespace hash_tree
