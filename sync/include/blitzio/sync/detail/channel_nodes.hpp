// How senders and receivers wait, and what becomes of an attempt, for all kinds of channels.
// Thread rule: guarded by whatever guards the channel.
#pragma once

#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/detail/wait_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

namespace blitzio::detail
{

/// A send that may wait; its value stays in place until it is taken from there.
template <class T>
struct channel_send_node : wait_node
{
    T* source = nullptr;
};

/// A receive that may wait; a sender puts the value here.
template <class T>
struct channel_receive_node : wait_node
{
    std::optional<T> value;
};

/// How an attempt to pass a value on ended.
enum class channel_transfer : std::uint8_t
{
    done,
    would_wait, // full, or empty
    closed,
    lost, // another case of the select was chosen; only for waits that are cases
};

/// Whether `node` is a case of a select, which has to be claimed before it gets or gives anything.
/// Who only tries is none, and that is known when the attempt is compiled.
[[nodiscard]] inline bool is_case(const wait_node& node, attempt_mode mode) noexcept
{
    return mode != attempt_mode::only_try && node.case_number != 0;
}

/// The decision that an attempt has come to which got or gave nothing.
template <class Atomics = std_atomics>
[[gnu::noinline]] void note_failure(wait_node& node, channel_transfer outcome) noexcept
{
    // A case that found the channel closed may have been claimed before, or not.
    const bool told =
        outcome == channel_transfer::closed &&
        (node.case_number == 0 ||
         choice_of<Atomics>(node).chooses(static_cast<std::size_t>(node.case_number - 1)));
    node.status = told ? wait_status::closed : wait_status::cancelled;
}

/// The decision that an attempt has come to which need not wait.
template <class Atomics = std_atomics>
void note_outcome(wait_node& node, channel_transfer outcome) noexcept
{
    if (outcome == channel_transfer::done) [[likely]]
    {
        node.status = wait_status::granted;
        return;
    }
    note_failure<Atomics>(node, outcome);
}

/// What came of the attempt to bring a sender and a receiver together.
enum class meeting : std::uint8_t
{
    both,       // it takes effect on both sides
    own_lost,   // the select of the one that comes has chosen another case
    other_lost, // the select of the one that waits has
    same,       // both are cases of one select, which does not meet itself
};

/// Claims the one that comes (null: no case of a select) together with the one that waits, with the
/// lock of the channel held.
template <class Atomics = std_atomics>
[[nodiscard]] meeting meet(const wait_node* own, const wait_node& waiting) noexcept
{
    if (waiting.case_number == 0)
    {
        return own == nullptr || claim_case<Atomics>(*own) ? meeting::both : meeting::own_lost;
    }
    if (own == nullptr)
    {
        return claim_case<Atomics>(waiting) ? meeting::both : meeting::other_lost;
    }
    auto& mine = choice_of<Atomics>(*own);
    auto& other = choice_of<Atomics>(waiting);
    if (&mine == &other)
    {
        return meeting::same;
    }
    using pair_result = typename basic_choice<Atomics>::pair_result;
    switch (basic_choice<Atomics>::claim_both(mine, static_cast<std::size_t>(own->case_number - 1),
                                              other,
                                              static_cast<std::size_t>(waiting.case_number - 1)))
    {
    case pair_result::both: return meeting::both;
    case pair_result::own_lost: return meeting::own_lost;
    case pair_result::other_lost: break;
    }
    return meeting::other_lost;
}

/// Whom an attempt met, and whom it took out of the queue: a chain, to be woken.
struct encounter
{
    wait_node* met = nullptr;
    wait_node* woken = nullptr;
    bool own_lost = false;
};

/// Looks for the one in `queue` that waits longest and meets `own`, with selects on either side.
template <class Atomics = std_atomics>
[[nodiscard, gnu::noinline]] encounter meet_cases(wait_node* own, wait_queue& queue) noexcept
{
    wake_list woken;
    for (wait_node* next = queue.front(); next != nullptr;)
    {
        wait_node& waiting = *next;
        next = waiting.following();
        switch (meet<Atomics>(own, waiting))
        {
        case meeting::both:
            queue.remove(waiting, wait_status::granted);
            woken.add(waiting);
            return {&waiting, woken.chain(), false};
        case meeting::other_lost:
            queue.remove(waiting, wait_status::cancelled);
            woken.add(waiting);
            break;
        case meeting::own_lost: return {nullptr, woken.chain(), true};
        case meeting::same: break;
        }
    }
    return {nullptr, woken.chain(), false};
}

/// The same, short for the usual case. The queue is not empty.
template <class Atomics = std_atomics>
[[nodiscard, gnu::always_inline]] inline encounter meet_front(wait_node* own,
                                                              wait_queue& queue) noexcept
{
    if (own == nullptr && queue.front()->case_number == 0) [[likely]]
    {
        wait_node& first = queue.remove_front(wait_status::granted);
        first.next = nullptr;
        return {&first, &first, false};
    }
    return meet_cases<Atomics>(own, queue);
}

/// What a channel carries.
template <class T>
inline constexpr bool is_channel_value = [] {
    static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>,
                  "a channel carries objects; send a pointer or a struct instead");
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                  "values are moved where no exception could be reported");
    return true;
}();

} // namespace blitzio::detail
