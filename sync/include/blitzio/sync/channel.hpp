// Queues of values between tasks, all with a sending and a receiving end:
//     auto [sender, receiver] = sync::channel<std::string>(64);      bounded, any number of both
//     auto [sender, receiver] = sync::unbounded_channel<event>();    no bound, any number of both
//     auto [sender, receiver] = sync::mpsc<job>(64);                 bounded, one receiver
// See spsc.hpp for one sender and one receiver, broadcast.hpp for values that everybody sees.
// Thread rule: send() and receive() in tasks; the try_ forms, close() and copying ends on any
// thread. One end object belongs to one owner at a time; copies are independent.
#pragma once

#include <blitzio/io/result.hpp>
#include <blitzio/sync/detail/channel_ends.hpp>
#include <blitzio/sync/detail/channel_state.hpp>
#include <blitzio/sync/detail/channel_store.hpp>

#include <concepts>
#include <cstddef>
#include <new>
#include <utility>

namespace blitzio::sync
{

/// Copies send into the same channel. See detail::bounded_sender for its functions: send(),
/// send_from(), try_send(), close(), is_closed(), size(), capacity().
template <class T>
using channel_sender =
    detail::bounded_sender<T, detail::channel_state<T>, detail::channel_owners::many>;

/// Copies compete for the values. See detail::any_receiver for its functions: receive(),
/// try_receive(), close(), is_closed(), size(), capacity().
template <class T>
using channel_receiver =
    detail::any_receiver<T, detail::channel_state<T>, detail::channel_owners::many>;

template <class T>
struct channel_ends
{
    channel_sender<T> sender;
    channel_receiver<T> receiver;
};

/// Both ends of a new channel that holds up to `capacity` values; with 0 each send waits for its
/// receive. The ring is allocated here, and nothing afterwards. Throws std::bad_alloc and
/// std::bad_array_new_length.
template <class T>
[[nodiscard]] channel_ends<T> channel(std::size_t capacity)
{
    auto* const state = new detail::channel_state<T>(capacity);
    return {channel_sender<T>(state), channel_receiver<T>(state)};
}

/// The only receiver of its channel; it can be moved, not copied.
template <class T>
using mpsc_receiver =
    detail::any_receiver<T, detail::channel_state<T>, detail::channel_owners::one>;

template <class T>
struct mpsc_ends
{
    channel_sender<T> sender;
    mpsc_receiver<T> receiver;
};

/// As channel(), with one receiver, who sees all values, in order.
template <class T>
[[nodiscard]] mpsc_ends<T> mpsc(std::size_t capacity)
{
    auto* const state = new detail::channel_state<T>(capacity);
    return {channel_sender<T>(state), mpsc_receiver<T>(state)};
}

/// A sending end of an unbounded channel. Copies send into the same channel; when the last one is
/// gone, receivers get what is left and then io_errc::closed.
template <class T>
class [[nodiscard]] unbounded_sender
    : public detail::channel_end<detail::channel_state<T, detail::block_store<T>>,
                                 detail::channel_side::sending, detail::channel_owners::many>
{
public:
    using detail::channel_end<detail::channel_state<T, detail::block_store<T>>,
                              detail::channel_side::sending,
                              detail::channel_owners::many>::channel_end;

    /// Never waits, any thread. When it fails, `value` is as it was.
    /// Errors: io_errc::closed, not_enough_memory.
    result<void> send(T&& value) noexcept
    {
        try
        {
            return detail::result_of(this->state().send_growing(value));
        }
        catch (const std::bad_alloc&)
        {
            return fail(std::errc::not_enough_memory);
        }
    }

    /// Sends a copy.
    result<void> send(const T& value)
        requires std::copy_constructible<T>
    {
        T copy(value);
        return send(std::move(copy));
    }
};

template <class T>
using unbounded_receiver = detail::any_receiver<T, detail::channel_state<T, detail::block_store<T>>,
                                                detail::channel_owners::many>;

template <class T>
struct unbounded_ends
{
    unbounded_sender<T> sender;
    unbounded_receiver<T> receiver;
};

/// Both ends of a new channel without a bound: for senders that cannot wait. Whoever sends faster
/// than others receive fills the memory. Memory comes from the pool of coroutine frames, in blocks
/// of about 1 KiB. Throws std::bad_alloc.
template <class T>
[[nodiscard]] unbounded_ends<T> unbounded_channel()
{
    auto* const state = new detail::channel_state<T, detail::block_store<T>>();
    return {unbounded_sender<T>(state), unbounded_receiver<T>(state)};
}

} // namespace blitzio::sync
