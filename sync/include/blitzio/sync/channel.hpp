// A bounded queue of values from any number of senders to any number of receivers:
//     auto [sender, receiver] = sync::channel<std::string>(64);
// Thread rule: send() and receive() in tasks; the try_ forms, close() and copying handles on any
// thread. One handle object belongs to one owner at a time; copies are independent.
#pragma once

#include <blitzio/io/result.hpp>
#include <blitzio/sync/detail/channel_state.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <utility>

namespace blitzio::sync
{

template <class T>
struct channel_ends;
template <class T>
[[nodiscard]] channel_ends<T> channel(std::size_t capacity);

namespace channel_operations
{

/// Value is T, kept in the operation, or T&, somebody else's variable.
template <class T, class Value>
class send_operation
    : public detail::wait_operation<send_operation<T, Value>, detail::channel_send_node<T>>
{
public:
    send_operation(detail::channel_state<T>& state, Value&& value) noexcept
        : state_(&state), value_(static_cast<Value&&>(value))
    {
    }

    send_operation(send_operation&& other) noexcept
        : detail::wait_operation<send_operation, detail::channel_send_node<T>>(std::move(other)),
          state_(other.state_), value_(static_cast<Value&&>(other.value_))
    {
    }

    [[nodiscard]] result<void> await_resume() noexcept
    {
        const auto decision = this->conclude();
        if (decision != detail::wait_status::granted)
        {
            return this->error_of(decision);
        }
        return {};
    }

private:
    friend detail::wait_operation<send_operation, detail::channel_send_node<T>>;

    [[nodiscard]] bool attempt(detail::attempt_mode mode) noexcept
    {
        this->source = std::addressof(value_);
        return state_->send(*this, mode);
    }

    [[nodiscard]] bool withdraw() noexcept
    {
        detail::spin_guard held(state_->lock());
        return this->withdraw_from(state_->senders());
    }

    detail::channel_state<T>* state_;
    Value value_;
};

template <class T>
class receive_operation
    : public detail::wait_operation<receive_operation<T>, detail::channel_receive_node<T>>
{
public:
    explicit receive_operation(detail::channel_state<T>& state) noexcept : state_(&state) {}

    [[nodiscard]] result<T> await_resume() noexcept
    {
        const auto decision = this->conclude();
        if (decision != detail::wait_status::granted)
        {
            return this->error_of(decision);
        }
        return *std::move(this->value);
    }

private:
    friend detail::wait_operation<receive_operation, detail::channel_receive_node<T>>;

    [[nodiscard]] bool attempt(detail::attempt_mode mode) noexcept
    {
        return state_->receive(*this, mode);
    }

    [[nodiscard]] bool withdraw() noexcept
    {
        detail::spin_guard held(state_->lock());
        return this->withdraw_from(state_->receivers());
    }

    detail::channel_state<T>* state_;
};

/// The errors of the try_ forms.
[[nodiscard]] inline std::unexpected<std::error_code> error_of(
    detail::channel_transfer outcome) noexcept
{
    if (outcome == detail::channel_transfer::closed)
    {
        return fail(io_errc::closed);
    }
    return fail(std::errc::resource_unavailable_try_again);
}

} // namespace channel_operations

/// A sending end. Copies send into the same channel; when the last one is gone, receivers get what
/// is left and then io_errc::closed.
/// Lifetime: outlives the operations it made.
template <class T>
class [[nodiscard]] channel_sender
{
public:
    channel_sender() noexcept = default;

    channel_sender(const channel_sender& other) noexcept : state_(other.state_)
    {
        if (state_ != nullptr)
        {
            state_->add_sender();
        }
    }

    channel_sender(channel_sender&& other) noexcept : state_(std::exchange(other.state_, nullptr))
    {
    }

    channel_sender& operator=(channel_sender other) noexcept
    {
        std::swap(state_, other.state_);
        return *this;
    }

    ~channel_sender()
    {
        if (state_ != nullptr)
        {
            state_->drop_sender();
        }
    }

    /// Awaited: result<void>. Suspends while the channel is full. No allocation.
    /// Values of one task arrive in the order of its sends, waiting senders are served in order.
    /// Cancellation: operation_canceled, and the value was not sent.
    /// Errors: io_errc::closed, and the value was not sent. A value that was not sent is destroyed
    /// with the operation; use send_from() to keep it.
    [[nodiscard]] auto send(T value) noexcept
    {
        return channel_operations::send_operation<T, T>(*state_, std::move(value));
    }

    /// Like send(), of a variable that is moved from exactly when the send succeeds, and that stays
    /// in place until then.
    [[nodiscard]] auto send_from(T& value) noexcept
    {
        return channel_operations::send_operation<T, T&>(*state_, value);
    }

    /// Sends without waiting, on any thread. `value` is moved from exactly on success.
    /// Errors: resource_unavailable_try_again when full, io_errc::closed.
    result<void> try_send(T&& value) noexcept
    {
        const auto outcome = state_->try_send(value);
        if (outcome != detail::channel_transfer::done)
        {
            return channel_operations::error_of(outcome);
        }
        return {};
    }

    /// Sends a copy.
    result<void> try_send(const T& value)
        requires std::copy_constructible<T>
    {
        T copy(value);
        return try_send(std::move(copy));
    }

    /// Nothing can be sent any more; what was sent can still be received. Whoever waits in send()
    /// gets io_errc::closed. Closing twice is harmless.
    void close() noexcept
    {
        state_->close();
    }

    /// True after close(), and when all receivers are gone: work for them may be skipped.
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

private:
    template <class U>
    friend channel_ends<U> channel(std::size_t capacity);

    explicit channel_sender(detail::channel_state<T>* state) noexcept : state_(state) {}

    detail::channel_state<T>* state_ = nullptr;
};

/// A receiving end. Each value goes to one receiver; copies compete. When the last one is gone, the
/// channel closes and values that nobody received are destroyed.
/// Lifetime: outlives the operations it made.
template <class T>
class [[nodiscard]] channel_receiver
{
public:
    channel_receiver() noexcept = default;

    channel_receiver(const channel_receiver& other) noexcept : state_(other.state_)
    {
        if (state_ != nullptr)
        {
            state_->add_receiver();
        }
    }

    channel_receiver(channel_receiver&& other) noexcept
        : state_(std::exchange(other.state_, nullptr))
    {
    }

    channel_receiver& operator=(channel_receiver other) noexcept
    {
        std::swap(state_, other.state_);
        return *this;
    }

    ~channel_receiver()
    {
        if (state_ != nullptr)
        {
            state_->drop_receiver();
        }
    }

    /// Awaited: result<T>. `while (auto item = co_await receiver.receive())` ends when the channel
    /// is closed and empty. Waiting receivers are served in order. No allocation.
    /// Cancellation: operation_canceled; no value was taken. A value that was handed over before
    /// the stop request is delivered. So timeout() never loses a value; race() drops what its
    /// losers obtained, as it says, so do not race receives whose values matter.
    /// Errors: io_errc::closed when no value is left and none can come.
    [[nodiscard]] auto receive() noexcept
    {
        return channel_operations::receive_operation<T>(*state_);
    }

    /// Receives without waiting, on any thread.
    /// Errors: resource_unavailable_try_again when empty, io_errc::closed.
    [[nodiscard]] result<T> try_receive() noexcept
    {
        std::optional<T> value;
        const auto outcome = state_->try_receive(value);
        if (outcome != detail::channel_transfer::done)
        {
            return channel_operations::error_of(outcome);
        }
        return *std::move(value);
    }

    /// As channel_sender::close().
    void close() noexcept
    {
        state_->close();
    }

    /// True after close(), and when all senders are gone; values may be left.
    [[nodiscard]] bool is_closed() const noexcept
    {
        return state_->is_closed();
    }

    [[nodiscard]] std::size_t size() const noexcept
    {
        return state_->size();
    }

    [[nodiscard]] std::size_t capacity() const noexcept
    {
        return state_->capacity();
    }

private:
    template <class U>
    friend channel_ends<U> channel(std::size_t capacity);

    explicit channel_receiver(detail::channel_state<T>* state) noexcept : state_(state) {}

    detail::channel_state<T>* state_ = nullptr;
};

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
channel_ends<T> channel(std::size_t capacity)
{
    auto* const state = new detail::channel_state<T>(capacity);
    return {channel_sender<T>(state), channel_receiver<T>(state)};
}

} // namespace blitzio::sync
