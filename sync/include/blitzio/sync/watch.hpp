// The latest of a value that changes:
//     auto [sender, receiver] = sync::watch<config>(initial);
//     while (co_await receiver.changed()) { apply(*receiver.borrow_and_update()); }
// Thread rule: changed() and wait_for() in tasks; everything else on any thread. One end object
// belongs to one owner at a time; copies are independent.
#pragma once

#include <blitzio/io/result.hpp>
#include <blitzio/io/task.hpp>
#include <blitzio/sync/detail/shared_value.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/detail/watch_state.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

namespace blitzio::sync
{

template <class T>
struct watch_ends;
template <class T>
[[nodiscard]] watch_ends<T> watch(T initial);
template <class T>
class watch_receiver;

/// What the value was when it was borrowed. Keeps that value alive and keeps nobody from sending
/// the next. Copies refer to the same value. Any thread.
template <class T>
class [[nodiscard]] watched
{
public:
    [[nodiscard]] const T& operator*() const noexcept
    {
        return held_.get()->value();
    }

    [[nodiscard]] const T* operator->() const noexcept
    {
        return std::addressof(held_.get()->value());
    }

private:
    template <class U>
    friend class watch_sender;
    friend watch_receiver<T>;

    explicit watched(detail::value_reference<T> held) noexcept : held_(std::move(held)) {}

    detail::value_reference<T> held_;
};

/// Copies send to the same receivers. When the last one is gone, receivers get a change they have
/// not seen and then io_errc::closed; they may borrow the last value for ever.
template <class T>
class [[nodiscard]] watch_sender
{
    using state_type = detail::watch_state<T>;

public:
    watch_sender() noexcept = default;

    watch_sender(const watch_sender& other) noexcept : state_(other.state_)
    {
        if (state_ != nullptr)
        {
            state_->add_sender();
        }
    }

    watch_sender(watch_sender&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}

    watch_sender& operator=(watch_sender other) noexcept
    {
        std::swap(state_, other.state_);
        return *this;
    }

    ~watch_sender()
    {
        if (state_ != nullptr)
        {
            state_->drop_sender();
        }
    }

    /// Never waits, any thread. The value is kept for later receivers when there is none now.
    /// Memory for it comes from the pool of coroutine frames.
    /// Errors: io_errc::closed after close(), not_enough_memory; `value` is then as it was.
    result<void> send(T&& value) noexcept
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
        if (!state_->replace(sent))
        {
            std::destroy_at(std::addressof(value));
            std::construct_at(std::addressof(value), std::move(sent.get()->value()));
            return fail(io_errc::closed);
        }
        return {};
    }

    /// Sends a copy.
    result<void> send(const T& value)
        requires std::copy_constructible<T>
    {
        T copy(value);
        return send(std::move(copy));
    }

    /// Sends what `change(T&)` makes of a copy of the latest value. Nothing that others send is
    /// lost: when somebody was faster, `change` is called again with a copy of the newer value.
    /// What `change` or the copy throws is thrown here, and nothing was sent.
    /// Errors: as send().
    template <std::invocable<T&> Change>
        requires std::copy_constructible<T>
    result<void> modify(Change change)
    {
        for (;;)
        {
            std::uint64_t version = 0;
            const detail::value_reference<T> before = state_->latest(version);
            T copy(std::as_const(before.get()->value()));
            change(copy);
            detail::value_reference<T> sent(detail::shared_value_cell<T>::make(std::move(copy)));
            switch (state_->replace_version(sent, version))
            {
            case detail::channel_transfer::done: return {};
            case detail::channel_transfer::closed: return fail(io_errc::closed);
            case detail::channel_transfer::lost: // not of a send
            case detail::channel_transfer::would_wait: break;
            }
        }
    }

    [[nodiscard]] watched<T> borrow() const noexcept
    {
        std::uint64_t version = 0;
        return watched<T>(state_->latest(version));
    }

    /// A receiver that has seen the latest value.
    [[nodiscard]] watch_receiver<T> subscribe() const noexcept
    {
        std::uint64_t version = 0;
        static_cast<void>(state_->latest(version));
        state_->add_receiver();
        return {state_, version};
    }

    /// No further value; receivers see the last one. Closing twice is harmless.
    void close() noexcept
    {
        state_->close();
    }

    /// True when nobody listens now: work for receivers may be skipped.
    [[nodiscard]] bool has_no_receivers() const noexcept
    {
        return state_->receivers() == 0;
    }

private:
    template <class U>
    friend watch_ends<U> watch(U initial);

    explicit watch_sender(state_type* state) noexcept : state_(state) {}

    state_type* state_ = nullptr;
};

/// Copies have seen what the original has seen, and go on by themselves. Not moved while awaited.
template <class T>
class [[nodiscard]] watch_receiver
{
    using state_type = detail::watch_state<T>;

public:
    class changed_operation;

    watch_receiver() noexcept = default;

    watch_receiver(const watch_receiver& other) noexcept : state_(other.state_), seen_(other.seen_)
    {
        if (state_ != nullptr)
        {
            state_->add_receiver();
        }
    }

    watch_receiver(watch_receiver&& other) noexcept
        : state_(std::exchange(other.state_, nullptr)), seen_(other.seen_)
    {
    }

    watch_receiver& operator=(watch_receiver other) noexcept
    {
        std::swap(state_, other.state_);
        std::swap(seen_, other.seen_);
        return *this;
    }

    ~watch_receiver()
    {
        if (state_ != nullptr)
        {
            state_->drop_receiver();
        }
    }

    /// Awaited: result<void>, once there is a value that this receiver has not seen, which then
    /// counts as seen. Values in between are skipped. No allocation.
    /// Cancellation: operation_canceled, and nothing counts as seen; a change before the stop
    /// request counts.
    /// Errors: io_errc::closed when no further value can come.
    [[nodiscard]] changed_operation changed() noexcept;

    /// Awaited: result<watched<T>>, once `predicate(value)` is true; the latest value is asked first.
    /// Cancellation and errors: as changed().
    template <std::predicate<const T&> Predicate>
    [[nodiscard]] task<result<watched<T>>> wait_for(Predicate predicate)
    {
        for (;;)
        {
            watched<T> latest = borrow_and_update();
            if (predicate(*latest))
            {
                co_return latest;
            }
            if (const auto outcome = co_await changed(); !outcome)
            {
                co_return fail(outcome.error());
            }
        }
    }

    /// The latest value. Never waits.
    [[nodiscard]] watched<T> borrow() const noexcept
    {
        std::uint64_t version = 0;
        return watched<T>(state_->latest(version));
    }

    /// The latest value, which counts as seen.
    [[nodiscard]] watched<T> borrow_and_update() noexcept
    {
        return watched<T>(state_->latest(seen_));
    }

    /// True when changed() would find something; may be outdated at once.
    [[nodiscard]] bool has_changed() const noexcept
    {
        std::uint64_t version = 0;
        static_cast<void>(state_->latest(version));
        return version != seen_;
    }

    /// True after close(), and when all senders are gone.
    [[nodiscard]] bool is_closed() const noexcept
    {
        return state_->is_closed();
    }

private:
    friend watch_sender<T>;
    template <class U>
    friend watch_ends<U> watch(U initial);

    watch_receiver(state_type* state, std::uint64_t seen) noexcept : state_(state), seen_(seen) {}

    state_type* state_ = nullptr;
    std::uint64_t seen_ = 0;
};

template <class T>
class watch_receiver<T>::changed_operation
    : public detail::wait_operation<watch_receiver<T>::changed_operation, detail::watch_node>
{
    using base = detail::wait_operation<changed_operation, detail::watch_node>;

public:
    using base::join_choice;

    explicit changed_operation(watch_receiver& receiver) noexcept : receiver_(&receiver) {}

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
    friend base;

    [[nodiscard]] bool attempt(detail::attempt_mode mode) noexcept
    {
        this->seen = &receiver_->seen_;
        return receiver_->state_->await_change(*this, mode);
    }

    [[nodiscard]] bool withdraw() noexcept
    {
        return receiver_->state_->withdraw(*this);
    }

    watch_receiver* receiver_;
};

template <class T>
typename watch_receiver<T>::changed_operation watch_receiver<T>::changed() noexcept
{
    return changed_operation(*this);
}

template <class T>
struct watch_ends
{
    watch_sender<T> sender;
    watch_receiver<T> receiver;
};

/// A sender and a first receiver, which has seen `initial`. Throws std::bad_alloc.
template <class T>
watch_ends<T> watch(T initial)
{
    auto* const state = new detail::watch_state<T>(std::move(initial));
    return {watch_sender<T>(state), watch_receiver<T>(state, 0)};
}

} // namespace blitzio::sync
