// A bounded queue from one sender to one receiver, without a lock:
//     auto [sender, receiver] = sync::spsc<packet>(256);
// Thread rule: each end belongs to one owner at a time; the owners may be on different threads.
// send() and receive() in tasks, the try_ forms on any thread.
#pragma once

#include <blitzio/sync/detail/channel_ends.hpp>
#include <blitzio/sync/detail/spsc_state.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace blitzio::sync
{

template <class T>
class spsc_shared;

/// The only sender; it can be moved, not copied. As channel_sender otherwise. Only its owner calls
/// it, close() included.
template <class T>
using spsc_sender = detail::bounded_sender<T, spsc_shared<T>, detail::channel_owners::one>;

/// The only receiver; it can be moved, not copied. As channel_receiver otherwise. Only its owner
/// calls it, close() included.
template <class T>
using spsc_receiver = detail::any_receiver<T, spsc_shared<T>, detail::channel_owners::one>;

/// The state of one spsc channel: what spsc_state decides, and waking those it names.
template <class T>
class spsc_shared : private detail::spsc_state<T>
{
    using core = detail::spsc_state<T>;

public:
    using value_type = T;
    using send_node = detail::channel_send_node<T>;
    using receive_node = detail::channel_receive_node<T>;

    explicit spsc_shared(std::size_t slots) : core(slots) {}

    using core::capacity;
    using core::is_closed;
    using core::received;
    using core::sent;
    using core::size;
    using core::withdraw;

    [[nodiscard, gnu::always_inline]] bool send(send_node& node, detail::attempt_mode mode) noexcept
    {
        receive_node* woken = nullptr;
        const bool decided = core::send(node, mode, woken);
        wake(woken);
        return decided;
    }

    [[nodiscard, gnu::always_inline]] bool receive(receive_node& node,
                                                   detail::attempt_mode mode) noexcept
    {
        send_node* woken = nullptr;
        const bool decided = core::receive(node, mode, woken);
        wake(woken);
        return decided;
    }

    [[nodiscard]] detail::channel_transfer try_send(T& value) noexcept
    {
        receive_node* woken = nullptr;
        const auto outcome = core::try_send(value, woken);
        wake(woken);
        return outcome;
    }

    [[nodiscard]] detail::channel_transfer try_receive(std::optional<T>& value) noexcept
    {
        send_node* woken = nullptr;
        const auto outcome = core::try_receive(value, woken);
        wake(woken);
        return outcome;
    }

    void close() noexcept
    {
        receive_node* receiver = nullptr;
        send_node* sender = nullptr;
        core::close(receiver, sender);
        wake(receiver);
        wake(sender);
    }

    void drop_sender() noexcept
    {
        close();
        drop_side();
    }

    void drop_receiver() noexcept
    {
        close();
        // Now rather than with the channel: a value may hold on to what somebody waits for.
        std::optional<T> left_over;
        while (try_receive(left_over) == detail::channel_transfer::done)
        {
            left_over.reset();
        }
        drop_side();
    }

private:
    template <class Waiter>
    static void wake(Waiter* woken) noexcept
    {
        if (woken != nullptr)
        {
            woken->wake();
        }
    }

    void drop_side() noexcept
    {
        // acq_rel: the last one sees all that the other did.
        if (sides_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            delete this;
        }
    }

    std::atomic<std::uint8_t> sides_{2};
};

template <class T>
struct spsc_ends
{
    spsc_sender<T> sender;
    spsc_receiver<T> receiver;
};

/// Both ends of a new channel that holds up to `capacity` values; 0 counts as 1. The ring is
/// allocated here, and nothing afterwards. Throws std::bad_alloc and std::bad_array_new_length.
template <class T>
[[nodiscard]] spsc_ends<T> spsc(std::size_t capacity)
{
    auto* const state = new spsc_shared<T>(std::max<std::size_t>(capacity, 1));
    return {spsc_sender<T>(state), spsc_receiver<T>(state)};
}

} // namespace blitzio::sync
