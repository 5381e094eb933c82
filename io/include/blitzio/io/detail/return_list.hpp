// Things on loan that come back from other threads, until their owner ends, and after it: whoever
// is last learns that everything may go.
// Thread rule: give_back() and looks_empty() from any thread; the rest from the owner only.
#pragma once

#include <blitzio/io/detail/atomics.hpp>
#include <blitzio/io/detail/return_node.hpp>

#include <atomic>
#include <cstdint>

namespace blitzio::detail
{

// newest_ is one of: null, the newest node, whose chain of `next` leads to the oldest, or &ended_.
// Invariants:
//   R1  &ended_ is final: end() puts it there once, and a push never replaces it;
//   R2  a node is either on loan, in the chain, or with the owner; every node on loan when the owner
//       ended is given back exactly once afterwards, because a push either succeeds before the
//       owner's exchange, which takes it out, or finds &ended_;
//   R3  out_ counts down from 0 with each node given back after the end, and end() adds how many
//       were out, so it reaches 0 exactly once after that addition: exactly one of the owner and
//       the givers learns that it is the last, and nobody touches the list after it.
// There is no ABA: the push does not follow the pointer it compares, and take_all() takes the whole
// chain.
template <class Atomics = std_atomics>
class return_list
{
public:
    return_list() noexcept = default;
    return_list(const return_list&) = delete;
    return_list& operator=(const return_list&) = delete;

    // After `queued` and `gone` the list may cease to exist at any time.
    [[nodiscard]] return_outcome give_back(return_node& node) noexcept
    {
        return_node* seen = newest_.load(std::memory_order_relaxed);
        while (seen != &ended_)
        {
            Atomics::store_plain(node.next, seen);
            // Release: partner is the acquire in take_all(): the owner reuses what was on loan.
            if (newest_.compare_exchange_weak(seen, &node, std::memory_order_release,
                                              std::memory_order_relaxed))
            {
                return return_outcome::queued;
            }
        }
        // Release: what this thread did with the thing comes before the last one frees it. Acquire:
        // the last one sees what all others did.
        return out_.fetch_sub(1, std::memory_order_acq_rel) == 1 ? return_outcome::last
                                                                 : return_outcome::gone;
    }

    // Owner: everything that came back, newest first, or null.
    [[nodiscard]] return_node* take_all() noexcept
    {
        // Relaxed: only a hint that spares the exchange.
        if (newest_.load(std::memory_order_relaxed) == nullptr)
        {
            return nullptr;
        }
        // Acquire: partner is the release in give_back().
        return newest_.exchange(nullptr, std::memory_order_acquire);
    }

    // Owner, the first half of its end: what came back last; nothing can be taken after it.
    [[nodiscard]] return_node* take_last() noexcept
    {
        return newest_.exchange(&ended_, std::memory_order_acquire);
    }

    // Owner, the second half: `out` are still on loan. True: all of those are back meanwhile, and
    // the caller frees everything. False: the last giver will, or has.
    [[nodiscard]] bool end(std::int64_t out) noexcept
    {
        // As in give_back().
        return out_.fetch_add(out, std::memory_order_acq_rel) + out == 0;
    }

    // Any thread: whether there was nothing inside a moment ago.
    [[nodiscard]] bool looks_empty() const noexcept
    {
        return newest_.load(std::memory_order_relaxed) == nullptr;
    }

private:
    // Only its address is used: the mark of an owner that has ended.
    return_node ended_{};
    typename Atomics::template atomic<return_node*> newest_{nullptr};
    typename Atomics::template atomic<std::int64_t> out_{0};
};

} // namespace blitzio::detail
