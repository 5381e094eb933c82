// Walking trees. Thread rule: as the header says.
#include <blitzio/fs/walk.hpp>

#include "walk_state.hpp"

#include <blitzio/fs/path_operations.hpp>
#include <blitzio/io/this_task.hpp>
#include <blitzio/io/when_all.hpp>

#include <algorithm>

namespace blitzio::fs
{

namespace detail
{

namespace
{

/// What may be read ahead in all, as a multiple of what is read at the same time, and in memory.
constexpr std::size_t ahead_factor = 4;
constexpr std::size_t ahead_bytes_max = std::size_t{1024} * 1024;
constexpr unsigned concurrency_max = 64;

std::error_code canceled() noexcept
{
    return fail(std::errc::operation_canceled).error();
}

} // namespace

walk_state::walk_state(std::string root, const walk_options& options)
    : root_(std::move(root)), options_(options)
{
    options_.concurrency = std::clamp(options.concurrency, 1u, concurrency_max);
}

bool walk_state::try_next(const stop_token& stop, std::optional<walk_entry>& out)
{
    out.reset();
    if (stop.stop_requested() && (!begun_ || single_ || !path_.empty()))
    {
        cancel(out);
        return true;
    }
    if (!begun_)
    {
        return false;
    }
    if (single_)
    {
        out = std::exchange(single_, std::nullopt);
        return true;
    }
    while (!path_.empty() && !out)
    {
        if (!step(*path_.back(), out))
        {
            return false;
        }
    }
    return true;
}

/// One step: gives an entry, or changes the path, or false: something has to be read first.
bool walk_state::step(listing& top, std::optional<walk_entry>& out)
{
    if (top.next_child == top.children.size())
    {
        return leave_or_continue(top, out);
    }
    const listing::child& child = top.children[top.next_child];
    const bool descends = child.type == file_type::directory && child.error == 0 &&
                          top.depth + 1 < options_.depth_max;
    if (descends)
    {
        return enter(top, out);
    }
    ++top.next_child;
    if (child.type == file_type::directory)
    {
        ++top.next_directory;
        if (!options_.directories && child.error == 0)
        {
            return true;
        }
    }
    std::error_code error;
    if (child.error != 0)
    {
        error = std::error_code(child.error, std::system_category());
    }
    out = walk_entry{top.path_of(child), child.type, top.depth + 1, error};
    return true;
}

bool walk_state::leave_or_continue(listing& top, std::optional<walk_entry>& out)
{
    if (top.has_more)
    {
        return false;
    }
    // An unsorted directory that failed after its first portion, which was given out long ago.
    if (top.error)
    {
        out = walk_entry{top.path, file_type::directory, top.depth, top.error};
    }
    path_.pop_back();
    return true;
}

bool walk_state::enter(listing& top, std::optional<walk_entry>& out)
{
    if (top.ahead.empty())
    {
        return false;
    }
    auto entered = std::move(top.ahead.front());
    top.ahead.pop_front();
    --ahead_count_;
    ahead_bytes_ -= entered->bytes();
    ++top.next_child;
    ++top.next_directory;
    const bool loops = options_.follow_links && !entered->error && leads_back(*entered);
    if (loops)
    {
        entered->error = fail(std::errc::too_many_symbolic_link_levels).error();
    }
    const std::error_code error = std::exchange(entered->error, {});
    if (options_.directories || error)
    {
        out = walk_entry{entered->path, file_type::directory, entered->depth, error};
    }
    if (error == std::errc::operation_canceled)
    {
        path_.clear();
    }
    else if (!loops)
    {
        path_.push_back(std::move(entered));
    }
    return true;
}

bool walk_state::leads_back(const listing& entered) const noexcept
{
    return std::ranges::any_of(path_, [&entered](const std::unique_ptr<listing>& above) {
        return above->is_same_directory(entered);
    });
}

void walk_state::cancel(std::optional<walk_entry>& out)
{
    std::string where = path_.empty() ? root_ : path_.back()->path;
    const std::size_t depth = path_.empty() ? 0 : path_.back()->depth;
    out = walk_entry{std::move(where), file_type::directory, depth, canceled()};
    begun_ = true;
    single_.reset();
    path_.clear();
}

task<std::optional<walk_entry>> walk_state::wait_for_next()
{
    const stop_token stop = co_await this_task::stop();
    std::optional<walk_entry> entry;
    while (!try_next(stop, entry))
    {
        if (!begun_)
        {
            co_await read_root();
        }
        else
        {
            co_await read_more();
        }
    }
    co_return entry;
}

task<void> walk_state::read_root()
{
    begun_ = true;
    const auto status = co_await fs::stat(root_);
    if (!status)
    {
        single_ = walk_entry{root_, file_type::unknown, 0, status.error()};
        co_return;
    }
    if (status->type != file_type::directory)
    {
        single_ = walk_entry{root_, status->type, 0, {}};
        co_return;
    }
    if (options_.depth_max == 0)
    {
        co_return;
    }
    auto root = std::make_unique<listing>(root_, 0, true);
    co_await root->load(options_);
    if (root->error && root->children.empty())
    {
        single_ = walk_entry{root_, file_type::directory, 0, root->error};
        co_return;
    }
    path_.push_back(std::move(root));
}

task<void> walk_state::read_more()
{
    listing& top = *path_.back();
    if (top.next_child == top.children.size())
    {
        co_await top.load(options_);
        co_return;
    }
    const auto planned = plan_reads();
    if (planned.size() == 1)
    {
        co_await planned.front()->load(options_);
    }
    else
    {
        std::vector<task<void>> reads;
        reads.reserve(planned.size());
        for (listing* const each : planned)
        {
            reads.push_back(each->load(options_));
        }
        co_await when_all(std::move(reads));
    }
    for (const listing* const each : planned)
    {
        ahead_bytes_ += each->bytes();
    }
}

/// The directory that is needed now and those that will be needed next: first its neighbours, then
/// what comes after the directories above.
std::vector<listing*> walk_state::plan_reads()
{
    std::vector<listing*> planned;
    for (auto level = path_.rbegin(); level != path_.rend(); ++level)
    {
        plan_reads_of(**level, planned);
    }
    return planned;
}

void walk_state::plan_reads_of(listing& parent, std::vector<listing*>& planned)
{
    const std::size_t ahead_max = ahead_factor * options_.concurrency;
    const bool descends = parent.depth + 1 < options_.depth_max;
    for (;;)
    {
        const std::size_t position = parent.next_directory + parent.ahead.size();
        // The first is needed; the others must fit into the bounds.
        const bool wanted =
            planned.empty() || (planned.size() < options_.concurrency && ahead_count_ < ahead_max &&
                                ahead_bytes_ < ahead_bytes_max);
        if (!descends || !wanted || position >= parent.directories.size())
        {
            return;
        }
        const listing::child& child = parent.children[parent.directories[position]];
        auto next =
            std::make_unique<listing>(parent.path_of(child), parent.depth + 1, child.is_link);
        planned.push_back(next.get());
        parent.ahead.push_back(std::move(next));
        ++ahead_count_;
    }
}

bool walk_next_operation::start(const task_env& env, blitzio::detail::waiter who) noexcept
{
    try
    {
        if (state_->try_next(env.stop, entry_))
        {
            return false;
        }
        waiting_ = state_->wait_for_next();
    }
    catch (...)
    {
        failure_ = std::current_exception();
        return false;
    }
    return waiting_.start(env, who);
}

std::optional<walk_entry> walk_next_operation::await_resume()
{
    if (failure_ != nullptr)
    {
        std::rethrow_exception(failure_);
    }
    if (waiting_)
    {
        return waiting_.await_resume();
    }
    return std::move(entry_);
}

} // namespace detail

walk::walk(std::string root, walk_options options)
    : state_(std::make_unique<detail::walk_state>(std::move(root), options))
{
}

walk::walk(walk&&) noexcept = default;
walk& walk::operator=(walk&&) noexcept = default;
walk::~walk() = default;

detail::walk_next_operation walk::next() noexcept
{
    return detail::walk_next_operation(*state_);
}

} // namespace blitzio::fs
