// Values that every receiver sees:
//     auto [sender, receiver] = sync::broadcast<event>(256);
//     auto another = sender.subscribe();
// Thread rule: receive() in tasks; everything else on any thread. One end object belongs to one
// owner at a time.
#pragma once

#include <blitzio/io/result.hpp>
#include <blitzio/sync/detail/broadcast_state.hpp>
#include <blitzio/sync/detail/channel_ends.hpp>
#include <blitzio/sync/detail/shared_value.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <new>
#include <system_error>
#include <utility>

namespace blitzio::sync
{

/// The category of the error of a receiver that lagged behind; the code is the number of values it
/// missed (at most the largest int), and is part of the message. Its name is "blitzio.lagged".
[[nodiscard]] const std::error_category& lagged_category() noexcept;

/// How many values the receiver missed that got `error`; 0 for any other error.
[[nodiscard]] std::size_t missed_values(std::error_code error) noexcept;

namespace broadcast_detail
{
[[nodiscard]] std::error_code lagged_error(std::uint64_t missed) noexcept;
} // namespace broadcast_detail

template <class T>
class broadcast_receiver;

template <class T>
struct broadcast_ends;

/// Copies send to the same receivers. When the last one is gone, receivers get what is left for
/// them and then io_errc::closed.
template <class T>
class [[nodiscard]] broadcast_sender
{
    using state_type = detail::broadcast_state<T>;

public:
    broadcast_sender() noexcept = default;

    broadcast_sender(const broadcast_sender& other) noexcept : state_(other.state_)
    {
        if (state_ != nullptr)
        {
            state_->add_sender();
        }
    }

    broadcast_sender(broadcast_sender&& other) noexcept
        : state_(std::exchange(other.state_, nullptr))
    {
    }

    broadcast_sender& operator=(broadcast_sender other) noexcept
    {
        std::swap(state_, other.state_);
        return *this;
    }

    ~broadcast_sender()
    {
        if (state_ != nullptr)
        {
            state_->drop_sender();
        }
    }

    /// Never waits, any thread: a full queue displaces its oldest value. Gives the number of
    /// receivers that will see the value unless they lag behind. Memory for the value comes from
    /// the pool of coroutine frames. When it fails, `value` is as it was.
    /// Errors: io_errc::closed when closed or when there is no receiver now; not_enough_memory.
    result<std::size_t> send(T&& value) noexcept
    {
        detail::value_reference<T> sent;
        try
        {
            sent = detail::value_reference<T>(detail::shared_value_cell<T>::make(std::move(value)));
        }
        catch (const std::bad_alloc&)
        {
            return fail(std::errc::not_enough_memory);
        }
        const std::size_t audience = state_->send(sent);
        if (audience == 0)
        {
            std::destroy_at(std::addressof(value));
            std::construct_at(std::addressof(value), std::move(sent.get()->value()));
            return fail(io_errc::closed);
        }
        return audience;
    }

    /// Sends a copy.
    result<std::size_t> send(const T& value)
    {
        T copy(value);
        return send(std::move(copy));
    }

    /// A receiver of all values sent from now on. After close() it gets io_errc::closed at once.
    [[nodiscard]] broadcast_receiver<T> subscribe() const noexcept
    {
        return {state_, state_->add_receiver()};
    }

    /// Nothing can be sent any more; what was sent can still be received. Closing twice is harmless.
    void close() noexcept
    {
        state_->close();
    }

    [[nodiscard]] bool is_closed() const noexcept
    {
        return state_->is_closed();
    }

    /// How many receivers there are; may be outdated at once.
    [[nodiscard]] std::size_t receivers() const noexcept
    {
        return state_->receivers();
    }

    [[nodiscard]] std::size_t capacity() const noexcept
    {
        return state_->capacity();
    }

private:
    template <class U>
    friend broadcast_ends<U> broadcast(std::size_t capacity);

    explicit broadcast_sender(state_type* state) noexcept : state_(state) {}

    state_type* state_ = nullptr;
};

/// Sees every value that is sent while it exists, in order, or learns how many it missed. Moved,
/// not copied; not moved while it is awaited.
template <class T>
class [[nodiscard]] broadcast_receiver
{
    using state_type = detail::broadcast_state<T>;

public:
    class receive_operation;

    broadcast_receiver() noexcept = default;

    broadcast_receiver(broadcast_receiver&& other) noexcept
        : state_(std::exchange(other.state_, nullptr)), position_(other.position_)
    {
    }

    broadcast_receiver& operator=(broadcast_receiver&& other) noexcept
    {
        broadcast_receiver taken(std::move(other));
        std::swap(state_, taken.state_);
        std::swap(position_, taken.position_);
        return *this;
    }

    ~broadcast_receiver()
    {
        if (state_ != nullptr)
        {
            state_->drop_receiver(position_);
        }
    }

    /// Awaited: result<T>, a copy of the next value. No allocation but what copying a T does; the
    /// last receiver of a value gets it without a copy.
    /// Cancellation: operation_canceled, and the value will be seen by the next receive(); one that
    /// was handed over before the stop request is delivered.
    /// Errors: io_errc::closed when no value is left and none can come. Once after values were
    /// displaced that this receiver had not seen: an error for which missed_values() tells how many;
    /// the next receive() goes on with the oldest value that is left.
    [[nodiscard]] receive_operation receive() noexcept;

    /// Receives without waiting, on any thread.
    /// Errors: resource_unavailable_try_again when there is nothing new, and those of receive().
    [[nodiscard]] result<T> try_receive()
    {
        detail::value_reference<T> value;
        std::uint64_t missed = 0;
        const auto outcome = detail::result_of(state_->try_receive(position_, value, missed));
        if (!outcome)
        {
            return fail(outcome.error());
        }
        return delivered(value, missed);
    }

    /// Another receiver, of the values sent from now on.
    [[nodiscard]] broadcast_receiver subscribe() const noexcept
    {
        return {state_, state_->add_receiver()};
    }

    /// Values that can be received now, without those that were displaced.
    [[nodiscard]] std::size_t size() const noexcept
    {
        return state_->unread_at(position_);
    }

    [[nodiscard]] bool is_closed() const noexcept
    {
        return state_->is_closed();
    }

private:
    friend broadcast_sender<T>;
    template <class U>
    friend broadcast_ends<U> broadcast(std::size_t capacity);

    broadcast_receiver(state_type* state, std::uint64_t position) noexcept
        : state_(state), position_(position)
    {
    }

    [[nodiscard]] static result<T> delivered(detail::value_reference<T>& value,
                                             std::uint64_t missed)
    {
        if (missed != 0)
        {
            return fail(broadcast_detail::lagged_error(missed));
        }
        return value.take();
    }

    state_type* state_ = nullptr;
    std::uint64_t position_ = 0;
};

template <class T>
class broadcast_receiver<T>::receive_operation
    : public detail::wait_operation<broadcast_receiver<T>::receive_operation,
                                    detail::broadcast_node<T>>
{
    using base = detail::wait_operation<receive_operation, detail::broadcast_node<T>>;

public:
    using base::join_choice;

    explicit receive_operation(broadcast_receiver& receiver) noexcept : receiver_(&receiver) {}

    receive_operation(receive_operation&& other) noexcept
        : base(std::move(other)), receiver_(other.receiver_)
    {
    }

    [[nodiscard]] result<T> await_resume()
    {
        const auto decision = this->conclude();
        if (decision != detail::wait_status::granted)
        {
            return this->error_of(decision);
        }
        return delivered(this->value, this->missed);
    }

private:
    friend base;

    [[nodiscard]] bool attempt(detail::attempt_mode mode) noexcept
    {
        this->position = &receiver_->position_;
        return receiver_->state_->receive(*this, mode);
    }

    [[nodiscard]] bool withdraw() noexcept
    {
        return receiver_->state_->withdraw(*this);
    }

    broadcast_receiver* receiver_;
};

template <class T>
typename broadcast_receiver<T>::receive_operation broadcast_receiver<T>::receive() noexcept
{
    return receive_operation(*this);
}

template <class T>
struct broadcast_ends
{
    broadcast_sender<T> sender;
    broadcast_receiver<T> receiver;
};

/// A sender and a first receiver; the last `capacity` values are kept for receivers that are
/// behind. 0 counts as 1. Throws std::bad_alloc. T is copied for each receiver but the last.
template <class T>
[[nodiscard]] broadcast_ends<T> broadcast(std::size_t capacity)
{
    static_assert(std::copy_constructible<T>, "every receiver gets a copy");
    auto* const state = new detail::broadcast_state<T>(std::max<std::size_t>(capacity, 1));
    return {broadcast_sender<T>(state), broadcast_receiver<T>(state, 0)};
}

} // namespace blitzio::sync
