// Which spawned tasks have not ended, so that shutdown reaches each of them and waits for all.
// Thread rule: any thread. Sharded: a task is added to the list of the worker that spawns it, so
// spawning on different workers never meets; only a task that ends elsewhere meets its home list.
// Each list has a spin lock, because it is held for a few instructions, twice in every task's life.
#pragma once

#include <blitzio/io/detail/spawn_cell.hpp>
#include <blitzio/io/detail/spin_lock.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace blitzio::detail
{

/// Lets a thread wait until something was removed from any list. A remover pays one load while
/// nobody watches.
class live_tasks_watch
{
public:
    std::mutex mutex;
    std::condition_variable changed;
    std::atomic<unsigned> watchers{0};

    [[gnu::noinline, gnu::cold]] void notify() noexcept
    {
        const std::lock_guard lock(mutex);
        changed.notify_all();
    }
};

class live_tasks
{
public:
    /// `number` tells the lists of a runtime apart; not live_links::no_list.
    live_tasks(live_tasks_watch& watch, unsigned number) noexcept : watch_(watch), number_(number)
    {
    }

    [[nodiscard]] unsigned number() const noexcept
    {
        return number_;
    }

    void add(known_task& added) noexcept
    {
        added.links.previous = nullptr;
        const std::lock_guard lock(mutex_);
        added.links.set(number_, first_);
        if (first_ != nullptr)
        {
            first_->links.previous = &added;
        }
        first_ = &added;
        ++size_;
    }

    void remove(known_task& removed) noexcept
    {
        {
            const std::lock_guard lock(mutex_);
            known_task* const previous = removed.links.previous;
            known_task* const following = removed.links.following();
            if (previous != nullptr)
            {
                previous->links.set(number_, following);
            }
            else
            {
                first_ = following;
            }
            if (following != nullptr)
            {
                following->links.previous = previous;
            }
            --size_;
        }
        // A watcher counts itself in before it looks at the lists under their mutexes; if it looked
        // before this removal, the mutex has made its count visible here.
        if (watch_.watchers.load(std::memory_order_relaxed) != 0) [[unlikely]]
        {
            watch_.notify();
        }
    }

    [[nodiscard]] std::size_t size() const noexcept
    {
        const std::lock_guard lock(mutex_);
        return size_;
    }

    /// Calls `visit(task)` for each under the lock; `visit` must not add or remove.
    template <class Visit>
    void for_each(Visit&& visit) const
    {
        const std::lock_guard lock(mutex_);
        for (known_task* entry = first_; entry != nullptr; entry = entry->links.following())
        {
            visit(*entry);
        }
    }

private:
    live_tasks_watch& watch_;
    unsigned number_;
    mutable spin_lock mutex_;
    known_task* first_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace blitzio::detail
