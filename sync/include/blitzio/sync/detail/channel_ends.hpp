// The sending and receiving ends that all kinds of channels have in common, over the state they
// share. Thread rule: one end object belongs to one owner at a time.
//
// `State` has value_type, send_node, receive_node and
//     bool send(send_node&, attempt_mode), bool receive(receive_node&, attempt_mode)
//     bool withdraw(send_node&), bool withdraw(receive_node&), void sent(), void received()
//     channel_transfer try_send(T&), channel_transfer try_receive(std::optional<T>&)
//     void close(), bool is_closed(), std::size_t size(), std::size_t capacity()
//     void add_sender(), void drop_sender(), void add_receiver(), void drop_receiver()
#pragma once

#include <blitzio/io/result.hpp>
#include <blitzio/sync/detail/channel_nodes.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace blitzio::detail
{

/// Value is T, kept in the operation, or T&, somebody else's variable.
template <class State, class Value>
class channel_send_operation
    : public wait_operation<channel_send_operation<State, Value>, typename State::send_node>
{
    using base = wait_operation<channel_send_operation, typename State::send_node>;

public:
    using base::join_choice;

    channel_send_operation(State& state, Value&& value) noexcept
        : state_(&state), value_(static_cast<Value&&>(value))
    {
    }

    channel_send_operation(channel_send_operation&& other) noexcept
        : base(std::move(other)), state_(other.state_), value_(static_cast<Value&&>(other.value_))
    {
    }

    [[nodiscard]] result<void> await_resume() noexcept
    {
        const auto decision = this->conclude();
        state_->sent();
        if (decision != wait_status::granted)
        {
            return this->error_of(decision);
        }
        return {};
    }

private:
    friend base;

    [[nodiscard, gnu::always_inline]] bool attempt(attempt_mode mode) noexcept
    {
        this->source = std::addressof(value_);
        return state_->send(*this, mode);
    }

    [[nodiscard]] bool withdraw() noexcept
    {
        return state_->withdraw(static_cast<typename State::send_node&>(*this));
    }

    State* state_;
    Value value_;
};

template <class State>
class channel_receive_operation
    : public wait_operation<channel_receive_operation<State>, typename State::receive_node>
{
    using base = wait_operation<channel_receive_operation, typename State::receive_node>;

public:
    using base::join_choice;

    explicit channel_receive_operation(State& state) noexcept : state_(&state) {}

    [[nodiscard]] result<typename State::value_type> await_resume() noexcept
    {
        const auto decision = this->conclude();
        state_->received();
        if (decision != wait_status::granted)
        {
            return this->error_of(decision);
        }
        return *std::move(this->value);
    }

private:
    friend base;

    [[nodiscard, gnu::always_inline]] bool attempt(attempt_mode mode) noexcept
    {
        return state_->receive(*this, mode);
    }

    [[nodiscard]] bool withdraw() noexcept
    {
        return state_->withdraw(static_cast<typename State::receive_node&>(*this));
    }

    State* state_;
};

/// The result of a try_ form.
[[nodiscard]] inline result<void> result_of(channel_transfer outcome) noexcept
{
    switch (outcome)
    {
    case channel_transfer::done: return {};
    case channel_transfer::would_wait: return fail(std::errc::resource_unavailable_try_again);
    case channel_transfer::closed:
    case channel_transfer::lost: break; // the try_ forms are no cases
    }
    return fail(io_errc::closed);
}

enum class channel_side : std::uint8_t
{
    sending,
    receiving,
};

/// Whether an end may be copied.
enum class channel_owners : std::uint8_t
{
    one,
    many,
};

/// What the last end of a side does is the state's business.
template <class State, channel_side Side, channel_owners Owners>
class channel_end
{
public:
    channel_end() noexcept = default;

    explicit channel_end(State* state) noexcept : state_(state) {}

    channel_end(const channel_end& other) noexcept
        requires(Owners == channel_owners::many)
        : state_(other.state_)
    {
        if (state_ != nullptr)
        {
            if constexpr (Side == channel_side::sending)
            {
                state_->add_sender();
            }
            else
            {
                state_->add_receiver();
            }
        }
    }

    channel_end(channel_end&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}

    channel_end& operator=(const channel_end& other) noexcept
        requires(Owners == channel_owners::many)
    {
        return *this = channel_end(other);
    }

    channel_end& operator=(channel_end&& other) noexcept
    {
        channel_end taken(std::move(other));
        std::swap(state_, taken.state_);
        return *this;
    }

    ~channel_end()
    {
        if (state_ != nullptr)
        {
            if constexpr (Side == channel_side::sending)
            {
                state_->drop_sender();
            }
            else
            {
                state_->drop_receiver();
            }
        }
    }

    /// No value enters any more; what is inside can still be received. Whoever waits to send gets
    /// io_errc::closed, whoever waits to receive as well. Closing twice is harmless.
    void close() noexcept
    {
        state_->close();
    }

    /// True after close(), and when all ends of one side are gone; values may be left.
    [[nodiscard]] bool is_closed() const noexcept
    {
        return state_->is_closed();
    }

    /// Values that were sent and not received; may be outdated at once.
    [[nodiscard]] std::size_t size() const noexcept
    {
        return state_->size();
    }

    [[nodiscard]] std::size_t capacity() const noexcept
    {
        return state_->capacity();
    }

protected:
    [[nodiscard]] State& state() const noexcept
    {
        return *state_;
    }

private:
    State* state_ = nullptr;
};

/// A sending end of a channel with a bound. When the last one is gone, receivers get what is left
/// and then io_errc::closed. Lifetime: outlives the operations it made.
template <class T, class State, channel_owners Owners>
class [[nodiscard]] bounded_sender : public channel_end<State, channel_side::sending, Owners>
{
public:
    using channel_end<State, channel_side::sending, Owners>::channel_end;

    /// Awaited: result<void>. Suspends while the channel is full. No allocation.
    /// Values of one task arrive in the order of its sends, waiting senders are served in order.
    /// Cancellation: operation_canceled, and the value was not sent.
    /// Errors: io_errc::closed, and the value was not sent. A value that was not sent is destroyed
    /// with the operation; use send_from() to keep it.
    [[nodiscard]] auto send(T value) noexcept
    {
        return channel_send_operation<State, T>(this->state(), std::move(value));
    }

    /// Like send(), of a variable that is moved from exactly when the send succeeds, and that stays
    /// in place until then.
    [[nodiscard]] auto send_from(T& value) noexcept
    {
        return channel_send_operation<State, T&>(this->state(), value);
    }

    /// Sends without waiting, on any thread. When it fails, `value` is as it was.
    /// Errors: resource_unavailable_try_again when full, io_errc::closed.
    result<void> try_send(T&& value) noexcept
    {
        return result_of(this->state().try_send(value));
    }

    /// Sends a copy.
    result<void> try_send(const T& value)
        requires std::copy_constructible<T>
    {
        T copy(value);
        return try_send(std::move(copy));
    }
};

/// A receiving end. Each value goes to one receiver. When the last one is gone, the channel closes
/// and values that nobody received are destroyed. Lifetime: outlives the operations it made.
template <class T, class State, channel_owners Owners>
class [[nodiscard]] any_receiver : public channel_end<State, channel_side::receiving, Owners>
{
public:
    using channel_end<State, channel_side::receiving, Owners>::channel_end;

    /// Awaited: result<T>. `while (auto item = co_await receiver.receive())` ends when the channel
    /// is closed and empty. Waiting receivers are served in order. No allocation.
    /// Cancellation: operation_canceled; no value was taken. A value that was handed over before
    /// the stop request is delivered. So timeout() never loses a value; race() drops what its
    /// losers obtained, as it says, so do not race receives whose values matter.
    /// Errors: io_errc::closed when no value is left and none can come.
    [[nodiscard]] auto receive() noexcept
    {
        return channel_receive_operation<State>(this->state());
    }

    /// Receives without waiting, on any thread.
    /// Errors: resource_unavailable_try_again when empty, io_errc::closed.
    [[nodiscard]] result<T> try_receive() noexcept
    {
        std::optional<T> value;
        if (const auto outcome = result_of(this->state().try_receive(value)); !outcome)
        {
            return fail(outcome.error());
        }
        return *std::move(value);
    }
};

} // namespace blitzio::detail
