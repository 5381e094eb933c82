// Who waits for a synchronisation object: an intrusive first-in first-out queue with removal in the
// middle. The nodes live in the awaiting frames, so waiting allocates nothing.
// Thread rule: a queue and the status of its nodes are guarded by the lock of the object they
// belong to. A node taken out belongs to the thread that took it out, which continues it.
#pragma once

#include <blitzio/io/detail/assert.hpp>
#include <blitzio/io/detail/atomics.hpp>
#include <blitzio/io/detail/choice.hpp>
#include <blitzio/io/detail/resume.hpp>
#include <blitzio/io/detail/runnable.hpp>
#include <blitzio/io/detail/runtime_access.hpp>
#include <blitzio/io/detail/waiter.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace blitzio::detail
{

/// How far a wait has come. Only `idle` and `queued` ever change; the others are decisions.
enum class wait_status : std::uint8_t
{
    idle,      // not in a queue and nothing decided
    queued,    // in a queue
    granted,   // has what was waited for
    cancelled, // a stop was requested first, or a select chose another case; nothing was obtained
    closed,    // the object was closed first; nothing was obtained
};

/// One waiting operation. The base runnable continues it on its own runtime.
struct wait_node : runnable
{
    // Left as they are: most waits are decided at once and never use the rest.
    wait_node() noexcept {}

    wait_node* previous;
    runtime_core* runtime;
    waiter on_complete;
    wait_status status = wait_status::idle;
    /// 0, or one more than the number of the select's case that waits here; the waiter's context is
    /// then the choice. A byte instead of a pointer, so that nodes do not grow.
    std::uint8_t case_number = 0;

    /// The next one in the same queue, or in a list of those that were taken out; the link of the
    /// runnable, which is used when the node is in neither any more.
    [[nodiscard]] wait_node* following() const noexcept
    {
        return static_cast<wait_node*>(next);
    }

    /// The runnable's function.
    static void continue_waiter(runnable* item) noexcept
    {
        resume(static_cast<wait_node*>(item)->on_complete());
    }

    /// Only after the node was taken out, and not with the object's lock held: afterwards the node,
    /// and whatever its frame kept alive, may be gone.
    void wake() noexcept
    {
        schedule(*runtime, *this);
    }
};

template <class Atomics>
[[nodiscard]] basic_choice<Atomics>& choice_of(const wait_node& node) noexcept
{
    return *static_cast<basic_choice<Atomics>*>(node.on_complete.context);
}

/// Apart, so that those who call claim_case() stay short.
template <class Atomics>
[[nodiscard, gnu::noinline]] bool claim_choice(const wait_node& node) noexcept
{
    return choice_of<Atomics>(node).claim(static_cast<std::size_t>(node.case_number - 1));
}

/// To be asked before `node` gets anything, with the lock of the object held. False: a select has
/// chosen another case. True: this one, if it is a case. Costs a plain wait a look at a byte.
template <class Atomics = std_atomics>
[[nodiscard]] bool claim_case(const wait_node& node) noexcept
{
    return node.case_number == 0 || claim_choice<Atomics>(node);
}

/// For an attempt that need not wait: decides on `why` unless a select has chosen another case, and
/// tells whether it has.
template <class Atomics = std_atomics>
[[nodiscard]] bool decide(wait_node& node, wait_status why) noexcept
{
    const bool chosen = claim_case<Atomics>(node);
    node.status = chosen ? why : wait_status::cancelled;
    return chosen;
}

/// Links `added`, whose own link is null, behind `last`.
inline void append(wait_node*& first, wait_node*& last, wait_node& added) noexcept
{
    if (last == nullptr)
    {
        first = &added;
    }
    else
    {
        last->next = &added;
    }
    last = &added;
}

class wait_queue
{
public:
    wait_queue() noexcept = default;
    wait_queue(const wait_queue&) = delete;
    wait_queue& operator=(const wait_queue&) = delete;

    ~wait_queue()
    {
        BLITZIO_ASSERT(empty()); // an object must outlive those that wait for it
    }

    [[nodiscard]] bool empty() const noexcept
    {
        return head_ == nullptr;
    }

    /// The one that waits longest, or null.
    [[nodiscard]] wait_node* front() const noexcept
    {
        return head_;
    }

    void push_back(wait_node& added) noexcept
    {
        BLITZIO_ASSERT(added.status == wait_status::idle);
        added.status = wait_status::queued;
        added.previous = tail_;
        added.next = nullptr;
        append(head_, tail_, added);
    }

    /// Takes `removed` out, which must be in this queue, and records why.
    void remove(wait_node& removed, wait_status why) noexcept
    {
        BLITZIO_ASSERT(removed.status == wait_status::queued);
        wait_node* const following = removed.following();
        if (removed.previous == nullptr)
        {
            head_ = following;
        }
        else
        {
            removed.previous->next = following;
        }
        (following == nullptr ? tail_ : following->previous) = removed.previous;
        removed.status = why;
    }

    /// As remove(), for the one that waits longest. The queue is not empty.
    wait_node& remove_front(wait_status why) noexcept
    {
        wait_node& first = *head_;
        BLITZIO_ASSERT(first.status == wait_status::queued && first.previous == nullptr);
        head_ = first.following();
        (head_ == nullptr ? tail_ : head_->previous) = nullptr;
        first.status = why;
        return first;
    }

    /// The same, or null when nobody waits.
    [[nodiscard]] wait_node* pop_front(wait_status why) noexcept
    {
        return empty() ? nullptr : &remove_front(why);
    }

private:
    wait_node* head_ = nullptr;
    wait_node* tail_ = nullptr;
};

/// For a stop request, with the lock of `queue` held: takes `node` out, or keeps it from entering.
/// True: it was waiting, and whoever asked must now continue it. False: it has not waited yet, or
/// was granted before.
[[nodiscard]] inline bool withdraw_node(wait_queue& queue, wait_node& node) noexcept
{
    if (node.status == wait_status::queued)
    {
        queue.remove(node, wait_status::cancelled);
        return true;
    }
    if (node.status == wait_status::idle)
    {
        node.status = wait_status::cancelled;
    }
    return false;
}

/// Nodes taken out under the lock, to be continued after it was let go.
class wake_list
{
public:
    wake_list() noexcept = default;
    wake_list(const wake_list&) = delete;
    wake_list& operator=(const wake_list&) = delete;

    void add(wait_node& taken) noexcept
    {
        taken.next = nullptr;
        append(first_, last_, taken);
    }

    /// Takes all out, for `why`, or because their select has chosen another case.
    template <class Atomics = std_atomics>
    void take_all(wait_queue& from, wait_status why) noexcept
    {
        while (wait_node* const first = from.front())
        {
            from.remove(*first, claim_case<Atomics>(*first) ? why : wait_status::cancelled);
            add(*first);
        }
    }

    /// The one that waits longest and can still be granted; null when nobody can. It is taken out
    /// and added, as are those before it whose select has chosen another case.
    template <class Atomics = std_atomics>
    [[nodiscard, gnu::always_inline]] wait_node* grant_front(wait_queue& from) noexcept
    {
        while (wait_node* const first = from.front())
        {
            if (grant_if_chosen<Atomics>(from, *first)) [[likely]]
            {
                return first;
            }
        }
        return nullptr;
    }

    /// Takes `first`, the one that waits longest, out and adds it. False: its select has chosen
    /// another case, it gets nothing.
    template <class Atomics = std_atomics>
    [[nodiscard, gnu::always_inline]] bool grant_if_chosen(wait_queue& from,
                                                           wait_node& first) noexcept
    {
        const bool chosen = claim_case<Atomics>(first);
        from.remove_front(chosen ? wait_status::granted : wait_status::cancelled);
        add(first);
        return chosen;
    }

    /// The first of a chain that ends with null, for wake_chain(); null when nobody was added.
    [[nodiscard]] wait_node* chain() const noexcept
    {
        return first_;
    }

    /// Continues all of them, in order; without the lock.
    void wake_all() noexcept
    {
        if (first_ != nullptr)
        {
            wake_chain(*std::exchange(first_, nullptr));
            last_ = nullptr;
        }
    }

    static void wake_chain(wait_node& first) noexcept
    {
        if (first.following() == nullptr) [[likely]]
        {
            first.wake();
            return;
        }
        wake_several(first);
    }

private:
    [[gnu::noinline]] static void wake_several(wait_node& first) noexcept
    {
        for (wait_node* node = &first; node != nullptr;)
        {
            wait_node* const following = node->following(); // the node is gone once scheduled
            // Not as "next": each would overtake the one before.
            schedule_last(*node->runtime, *node);
            node = following;
        }
    }

    wait_node* first_ = nullptr;
    wait_node* last_ = nullptr;
};

} // namespace blitzio::detail
