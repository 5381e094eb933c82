// The slots and the task that prints them. Thread rule: see the header.
#include "hash_tree/ordered_output.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

namespace hash_tree
{

namespace bz = blitzio;

ordered_output::slot& ordered_output::append(bz::sync::semaphore::permit room)
{
    const std::lock_guard lock(mutex_);
    slot& added = slots_.emplace_back();
    added.window = std::move(room);
    return added;
}

ordered_output::slot& ordered_output::insert_behind(slot& before)
{
    const std::lock_guard lock(mutex_);
    const auto position =
        std::ranges::find_if(slots_, [&](const slot& each) { return &each == &before; });
    return *slots_.emplace(std::next(position));
}

void ordered_output::finish(slot& ended)
{
    bool at_front = false;
    {
        const std::lock_guard lock(mutex_);
        ended.finished = true;
        at_front = &slots_.front() == &ended;
    }
    if (at_front)
    {
        changed_.set();
    }
}

void ordered_output::close()
{
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }
    changed_.set();
}

bool ordered_output::take_finished(std::list<slot>& taken)
{
    const std::lock_guard lock(mutex_);
    const auto end = std::ranges::find_if(slots_, [](const slot& each) { return !each.finished; });
    taken.splice(taken.end(), slots_, slots_.begin(), end);
    return closed_ && slots_.empty();
}

bz::task<bz::result<void>> ordered_output::write_out()
{
    for (bool at_end = false; !at_end;)
    {
        co_await bz::try_(changed_.wait());
        changed_.reset(); // before looking: what is finished from here on sets it again
        std::list<slot> taken;
        at_end = take_finished(taken);
        std::string lines;
        std::string complaints;
        for (const slot& each : taken)
        {
            lines += each.lines;
            complaints += each.complaints;
        }
        if (lines.empty() && complaints.empty())
        {
            continue;
        }
        // A pipe or a terminal may make the writer wait for as long as it likes.
        co_await bz::try_(bz::spawn_blocking([&]() -> bz::result<void> {
            if (!status_.print(lines, complaints))
            {
                return bz::fail(std::error_code(errno, std::system_category()));
            }
            return {};
        }));
    }
    co_return {};
}

} // namespace hash_tree
