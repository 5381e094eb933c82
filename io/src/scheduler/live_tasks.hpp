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
};

class live_tasks
{
public:
    explicit live_tasks(live_tasks_watch& watch) noexcept : watch_(watch) {}

    void add(known_task& added) noexcept
    {
        added.registry = this;
        added.registry_previous = nullptr;
        const std::lock_guard lock(mutex_);
        added.registry_following = first_;
        if (first_ != nullptr)
        {
            first_->registry_previous = &added;
        }
        first_ = &added;
        ++size_;
    }

    void remove(known_task& removed) noexcept
    {
        {
            const std::lock_guard lock(mutex_);
            (removed.registry_previous != nullptr ? removed.registry_previous->registry_following
                                                  : first_) = removed.registry_following;
            if (removed.registry_following != nullptr)
            {
                removed.registry_following->registry_previous = removed.registry_previous;
            }
            --size_;
        }
        // A watcher counts itself in before it looks at the lists under their mutexes; if it looked
        // before this removal, the mutex has made its count visible here.
        if (watch_.watchers.load(std::memory_order_relaxed) != 0)
        {
            const std::lock_guard lock(watch_.mutex);
            watch_.changed.notify_all();
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
        for (known_task* entry = first_; entry != nullptr; entry = entry->registry_following)
        {
            visit(*entry);
        }
    }

private:
    live_tasks_watch& watch_;
    mutable spin_lock mutex_;
    known_task* first_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace blitzio::detail
