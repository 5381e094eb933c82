// Results that become ready in any order and are printed in one order, while work goes on.
// Thread rule: every member from any task on any worker.
#pragma once

#include "hash_tree/status_line.hpp"

#include <blitzio/io.hpp>
#include <blitzio/sync.hpp>

#include <cstddef>
#include <list>
#include <mutex>
#include <string>

namespace hash_tree
{

/// A sequence of slots. Whoever fills one calls finish(); write_out() prints the finished ones at
/// the front. The window bounds how many there are, so that one slow slot at the front holds up the
/// others before their results fill the memory.
class ordered_output
{
public:
    struct slot
    {
        std::string lines;
        std::string complaints;
        bool finished = false;
        blitzio::sync::semaphore::permit window;
    };

    ordered_output(std::size_t window, status_line& status) : window_(window), status_(status) {}

    /// Waits for room in the window: result<permit>, to be given to append().
    [[nodiscard]] auto room()
    {
        return window_.acquire();
    }

    /// A new slot at the end.
    [[nodiscard]] slot& append(blitzio::sync::semaphore::permit room);

    /// A new slot right behind `before`; outside of the window, because what waits for it may be
    /// what holds the window up.
    [[nodiscard]] slot& insert_behind(slot& before);

    void finish(slot& ended);

    /// No further slots.
    void close();

    /// Prints until it is closed and everything was printed.
    /// Errors: those of stdout.
    [[nodiscard]] blitzio::task<blitzio::result<void>> write_out();

private:
    /// Takes the finished slots at the front; true when nothing is to come after them.
    bool take_finished(std::list<slot>& taken);

    blitzio::sync::semaphore window_;
    status_line& status_;
    std::mutex mutex_;
    std::list<slot> slots_; // guarded by mutex_; a slot's texts belong to whoever fills it
    bool closed_ = false;   // guarded by mutex_
    blitzio::sync::event changed_;
};

} // namespace hash_tree
