// The pipeline. Thread rule: see the header.
#include "hash_tree/tree_hasher.hpp"

#include "hash_tree/progress.hpp"

#include <algorithm>
#include <utility>

namespace hash_tree
{

namespace bz = blitzio;

namespace
{

/// Enough small files to pay for the way to the pool and back, few enough to share a directory's
/// files among all threads.
constexpr std::size_t batch_files_max = 64;
/// Two stages of this size per job stay in a processor's cache; larger ones only need more memory.
constexpr std::size_t stage_bytes_best = 256 * 1024;
constexpr std::size_t stage_bytes_least = 8 * 1024;
/// Batches that are in progress, wait, or wait to be printed, per job.
constexpr std::size_t window_per_job = 8;

unsigned choose_jobs(const options& wanted, unsigned threads)
{
    const auto affordable = static_cast<unsigned>(
        std::min<std::size_t>(wanted.bytes_max / (2 * stage_bytes_least), 1024));
    return std::clamp(wanted.jobs != 0 ? wanted.jobs : 2 * threads + 2, 1u, affordable);
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

class tree_hasher::loan
{
public:
    explicit loan(tree_hasher& owner) : owner_(owner)
    {
        const std::lock_guard lock(owner_.mutex_);
        if (owner_.idle_.empty())
        {
            lent_.emplace_back(owner_.stage_bytes_);
        }
        else
        {
            lent_.splice(lent_.end(), owner_.idle_, owner_.idle_.begin());
        }
    }

    ~loan()
    {
        const std::lock_guard lock(owner_.mutex_);
        owner_.idle_.splice(owner_.idle_.begin(), lent_);
    }

    loan(const loan&) = delete;
    loan& operator=(const loan&) = delete;

    [[nodiscard]] workspace& get() noexcept
    {
        return lent_.front();
    }

private:
    tree_hasher& owner_;
    std::list<workspace> lent_;
};

tree_hasher::tree_hasher(const options& wanted, bz::compute::pool& pool, status_line& status,
                         counters& progress)
    : options_(wanted), pool_(pool), status_(status), progress_(progress),
      jobs_(choose_jobs(wanted, pool.threads())),
      stage_bytes_(std::min(wanted.bytes_max / (2 * std::size_t{jobs_}), stage_bytes_best)),
      in_progress_(jobs_), output_(window_per_job * jobs_, status)
{
}

bz::task<bz::result<void>> tree_hasher::run(bz::stop_token interrupted)
{
    co_return co_await bz::scope([&](bz::task_group& all) -> bz::task<bz::result<void>> {
        const bz::stop_callback on_interrupt(interrupted,
                                             [&all]() noexcept { all.request_stop(); });
        all.spawn(output_.write_out());
        bz::sync::event ended;
        if (status_.enabled())
        {
            all.spawn(count_tree(options_, progress_, ended));
            all.spawn(show_progress(status_, progress_, ended));
        }
        auto outcome =
            co_await bz::scope([&](bz::task_group& batches) { return hash_all(batches); });
        output_.close();
        ended.set();
        co_return outcome;
    });
}

bz::task<bz::result<std::vector<tree_hasher::root>>> tree_hasher::sorted_roots()
{
    std::vector<root> roots;
    for (const std::string& path : options_.roots)
    {
        root found{path, path, {}};
        const auto status = co_await bz::fs::stat(path);
        if (!status)
        {
            found.remark = complaint(path, status.error().message());
            progress_.failures.fetch_add(1, std::memory_order_relaxed);
        }
        else if (status->type == bz::fs::file_type::directory && !path.ends_with('/'))
        {
            found.sorted_as += '/'; // as its files will be
        }
        roots.push_back(std::move(found));
    }
    std::ranges::sort(roots, {}, &root::sorted_as);
    co_return roots;
}

bz::task<bz::result<void>> tree_hasher::hash_all(bz::task_group& batches)
{
    const auto roots = co_await bz::try_(sorted_roots());
    for (const root& each : roots)
    {
        if (each.remark.empty())
        {
            co_await bz::try_(walk(each, batches));
        }
        else
        {
            item missing;
            missing.remark = each.remark;
            co_await bz::try_(add(std::move(missing), batches));
        }
    }
    co_return co_await start_batch(batches);
}

bz::task<bz::result<void>> tree_hasher::walk(const root& where, bz::task_group& batches)
{
    bz::fs::walk_options how;
    how.follow_links = options_.follow_links;
    how.directories = false;
    bz::fs::walk walker(where.path, how);
    while (auto entry = co_await walker.next())
    {
        co_await bz::try_(add(*std::move(entry), batches));
    }
    co_return {};
}

bz::task<bz::result<void>> tree_hasher::add(bz::fs::walk_entry entry, bz::task_group& batches)
{
    using bz::fs::file_type;
    item found;
    found.path = std::move(entry.path);
    auto type = entry.type;
    auto error = entry.error;
    if (!error && type == file_type::unknown)
    {
        const auto status = co_await bz::fs::stat(found.path, options_.follow_links);
        error = status ? std::error_code() : status.error();
        type = status ? status->type : type;
    }
    if (error == std::errc::operation_canceled)
    {
        co_return bz::fail(error);
    }
    if (error)
    {
        found.remark = complaint(found.path, error.message());
        progress_.failures.fetch_add(1, std::memory_order_relaxed);
    }
    else if (type == file_type::directory || type == file_type::symlink)
    {
        co_return {};
    }
    else if (type != file_type::regular)
    {
        if (options_.quiet)
        {
            co_return {};
        }
        found.remark = complaint(found.path, "skipped, it is " + std::string(name_of(type)));
    }
    co_return co_await add(std::move(found), batches);
}

bz::task<bz::result<void>> tree_hasher::add(item found, bz::task_group& batches)
{
    collected_.push_back(std::move(found));
    if (collected_.size() == batch_files_max)
    {
        co_await bz::try_(start_batch(batches));
    }
    co_return {};
}

bz::task<bz::result<void>> tree_hasher::start_batch(bz::task_group& batches)
{
    if (!collected_.empty())
    {
        auto room = co_await bz::try_(output_.room());
        batch work(std::exchange(collected_, {}), output_.append(std::move(room)), progress_);
        batches.spawn(run_batch(std::move(work), batches));
    }
    co_return {};
}

bz::task<bz::result<void>> tree_hasher::run_batch(batch work, bz::task_group& batches)
{
    const auto turn = co_await bz::try_(in_progress_.acquire());
    loan space(*this);
    co_await bz::try_(work.run(space.get(), pool_, [&](std::vector<item> rest) {
        batch others(std::move(rest), output_.insert_behind(work.out()), progress_);
        batches.spawn(run_batch(std::move(others), batches));
    }));
    output_.finish(work.out());
    co_return {};
}

} // namespace hash_tree
