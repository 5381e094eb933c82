// The meeting of a spawned task and its join handle, in one atomic byte.
//
// It decides who reads the result and who frees the cell that both share. There is no reference
// count: each side says its last word here once, and the second one knows that it is the second.
//
// Threading rule: finish() by whoever runs the task, once; the other functions by the owner of the
// handle, at the same time as that.
#pragma once

#include <blitzio/io/detail/atomics.hpp>

#include <atomic>
#include <cstdint>

namespace blitzio::detail
{

// What the task's side does after its result is stored.
enum class join_verdict : std::uint8_t
{
    left_to_handle, // nothing: the cell is the handle's from here on
    wake_joiner,    // invoke the joiner, to whom the cell belongs then
    free_cell,      // nobody wants the result; the cell is the task's
};

// The value moves once, from running to one of the others, and then to nothing else:
//   running   the task goes on, the handle does not wait
//   joined    the joiner is stored; nobody but the task's side looks at the byte again
//   dropped   the handle is gone; likewise
//   finished  the result is stored; nobody but the handle's side looks at the byte again
// The two sides leave `running` by compare-exchanges, so exactly one of them is first. The second
// one sees what the first has left (release to acquire) and is the only one who may free the cell:
//   handle first, then finish() answers wake_joiner or free_cell. It needs no read-modify-write,
//   because a joiner does not withdraw and a dropped handle does not come back;
//   task first, then start_waiting() or drop() answers false, or is_finished() true.
// A joiner that has been invoked comes after finish() in any case and frees the cell.
template <class Atomics = std_atomics>
class join_state
{
public:
    join_state() noexcept = default;
    join_state(const join_state&) = delete;
    join_state& operator=(const join_state&) = delete;

    // Task: the result is stored.
    [[nodiscard]] join_verdict finish() noexcept
    {
        // Acquire, here and on failure: partner is the release in start_waiting() and drop(): the
        // joiner may be read, or the cell freed.
        std::uint8_t seen = state_.load(std::memory_order_acquire);
        // Release: partner is the acquire in start_waiting(), drop() and is_finished(): the result
        // may be read.
        if (seen == running &&
            state_.compare_exchange_strong(seen, finished, std::memory_order_release,
                                           std::memory_order_acquire))
        {
            return join_verdict::left_to_handle;
        }
        Atomics::expect(seen == joined || seen == dropped);
        return seen == joined ? join_verdict::wake_joiner : join_verdict::free_cell;
    }

    // Task, on the thread that is inside a function of the handle's owner and has asked nothing here
    // since: the two cannot meet, so a store is enough.
    void finish_inside_join() noexcept
    {
        Atomics::expect(state_.load(std::memory_order_relaxed) == running);
        state_.store(finished, std::memory_order_release);
    }

    // Handle: the joiner is stored and about to sleep. False: the task has finished, go on now.
    // After true the joiner may be running elsewhere before this call returns.
    [[nodiscard]] bool start_waiting() noexcept
    {
        return leave(joined);
    }

    // Handle: it goes away. True: the task's side frees the cell. False: the task had finished, and
    // result and cell are the handle's.
    [[nodiscard]] bool drop() noexcept
    {
        return leave(dropped);
    }

    // Handle: whether the result is there.
    [[nodiscard]] bool is_finished() const noexcept
    {
        // Acquire: partner is the release in finish().
        return state_.load(std::memory_order_acquire) == finished;
    }

private:
    static constexpr std::uint8_t running = 0;
    static constexpr std::uint8_t joined = 1;
    static constexpr std::uint8_t dropped = 2;
    static constexpr std::uint8_t finished = 3;

    [[nodiscard]] bool leave(std::uint8_t into) noexcept
    {
        std::uint8_t seen = running;
        // Release: partner is the acquire in finish(): the joiner is stored, and what was done
        // with the cell is done. Acquire on failure: partner is the release in finish().
        if (state_.compare_exchange_strong(seen, into, std::memory_order_release,
                                           std::memory_order_acquire))
        {
            return true;
        }
        Atomics::expect(seen == finished);
        return false;
    }

    typename Atomics::template atomic<std::uint8_t> state_{running};
};

} // namespace blitzio::detail
