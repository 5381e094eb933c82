// One value from one sender to one receiver: auto [sender, receiver] = sync::oneshot<int>();
// Thread rule: each end belongs to one owner at a time; the sender may be on any thread, the
// receiver is awaited in tasks.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/sync/detail/oneshot_cell.hpp>

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

namespace blitzio::sync
{

template <class T>
struct oneshot_ends;
template <class T>
[[nodiscard]] oneshot_ends<T> oneshot();

/// Dropping it without having sent tells the receiver: io_errc::abandoned.
template <class T>
class [[nodiscard]] oneshot_sender
{
public:
    oneshot_sender() noexcept = default;

    oneshot_sender(oneshot_sender&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}

    oneshot_sender& operator=(oneshot_sender&& other) noexcept
    {
        if (this != &other)
        {
            abandon();
            cell_ = std::exchange(other.cell_, nullptr);
        }
        return *this;
    }

    ~oneshot_sender()
    {
        abandon();
    }

    /// Never waits, any thread. Afterwards the sender is empty.
    /// Errors: io_errc::closed when the receiver is gone or this sender is empty; `value` is then
    /// as it was, so nothing is lost.
    result<void> send(T&& value) noexcept
    {
        if (cell_ == nullptr)
        {
            return fail(io_errc::closed);
        }
        auto* const cell = std::exchange(cell_, nullptr);
        if (cell->hand_off.closed())
        {
            // Said all the same, so that the state has seen an end of the sender.
            static_cast<void>(cell->hand_off.abandon());
            cell->release();
            return fail(io_errc::closed);
        }
        cell->put(std::move(value));
        const auto completion = cell->hand_off.complete();
        if (!completion.accepted)
        {
            give_back(value, *cell);
            cell->release();
            return fail(io_errc::closed);
        }
        finish(*cell, completion);
        return {};
    }

    /// Sends a copy.
    result<void> send(const T& value)
        requires std::copy_constructible<T>
    {
        T copy(value);
        return send(std::move(copy));
    }

    /// True once the receiver is gone: work for it may be skipped.
    [[nodiscard]] bool is_closed() const noexcept
    {
        return cell_ == nullptr || cell_->hand_off.closed();
    }

private:
    using cell_type = detail::oneshot_cell<T>;

    template <class U>
    friend oneshot_ends<U> oneshot();

    explicit oneshot_sender(cell_type* cell) noexcept : cell_(cell) {}

    static void give_back(T& value, cell_type& cell) noexcept
    {
        if constexpr (std::is_nothrow_move_assignable_v<T>)
        {
            value = std::move(cell.value());
        }
        else
        {
            std::destroy_at(std::addressof(value));
            std::construct_at(std::addressof(value), std::move(cell.value()));
        }
        cell.destroy_value();
    }

    static void finish(cell_type& cell, detail::oneshot_completion completion) noexcept
    {
        if (completion.must_wake_receiver)
        {
            cell.receiver->sender_finished();
        }
        cell.release();
    }

    void abandon() noexcept
    {
        if (cell_ != nullptr)
        {
            auto& cell = *std::exchange(cell_, nullptr);
            finish(cell, cell.hand_off.abandon());
        }
    }

    cell_type* cell_ = nullptr;
};

/// Awaited itself: `result<T> value = co_await receiver;`, or through receive(). No allocation.
///
/// Cancellation: a stop request gives operation_canceled, and the receiver may be awaited again; a
/// value that was sent before is delivered instead.
/// Errors: io_errc::abandoned when the sender went without sending; io_errc::closed when the value
/// was taken already.
/// Lifetime: not moved or destroyed while it is awaited. Dropping it destroys a value that was sent
/// and not received.
template <class T>
class [[nodiscard]] oneshot_receiver : public detail::awaitable_base<oneshot_receiver<T>>,
                                       private detail::oneshot_wait
{
public:
    class receive_operation;

    oneshot_receiver() noexcept = default;

    oneshot_receiver(oneshot_receiver&& other) noexcept : cell_(std::exchange(other.cell_, nullptr))
    {
    }

    oneshot_receiver& operator=(oneshot_receiver&& other) noexcept
    {
        if (this != &other)
        {
            close();
            cell_ = std::exchange(other.cell_, nullptr);
        }
        return *this;
    }

    ~oneshot_receiver()
    {
        close();
    }

    /// False once the value was taken, and for a default-constructed receiver.
    [[nodiscard]] bool valid() const noexcept
    {
        return cell_ != nullptr;
    }

    /// True when awaiting would not suspend.
    [[nodiscard]] bool finished() const noexcept
    {
        return cell_ == nullptr || cell_->hand_off.is_finished();
    }

    /// The value without waiting, on any thread. Errors: resource_unavailable_try_again when the
    /// sender has not finished, and those of awaiting.
    [[nodiscard]] result<T> try_receive() noexcept
    {
        if (!finished())
        {
            return fail(std::errc::resource_unavailable_try_again);
        }
        return take();
    }

    /// Waits for this receiver without consuming it, for timeout() and the like: when it is cut
    /// short, this receiver may be awaited again. Refers to the receiver.
    [[nodiscard]] receive_operation receive() noexcept
    {
        return receive_operation(*this);
    }

    /// Not interested any more: the sender is refused, a value sent before is destroyed.
    void close() noexcept
    {
        if (cell_ != nullptr)
        {
            auto& cell = *std::exchange(cell_, nullptr);
            if (cell.hand_off.close())
            {
                cell.destroy_value();
            }
            cell.release();
        }
    }

    [[nodiscard]] bool start(const task_env& env, detail::waiter who) noexcept
    {
        if (cell_ == nullptr)
        {
            return false;
        }
        cell_->receiver = this;
        return begin(cell_->hand_off, env, who);
    }

    /// Instead of await_resume(): a value that was sent stays where it is. See choice.hpp.
    void forgo() noexcept
    {
        end();
    }

    [[nodiscard]] result<T> await_resume() noexcept
    {
        end();
        // A value that came after the decision to cancel is delivered as well.
        if (status == detail::wait_status::cancelled && !finished())
        {
            return fail(std::errc::operation_canceled);
        }
        return take();
    }

private:
    template <class U>
    friend oneshot_ends<U> oneshot();

    explicit oneshot_receiver(detail::oneshot_cell<T>* cell) noexcept : cell_(cell) {}

    [[nodiscard]] result<T> take() noexcept
    {
        if (cell_ == nullptr)
        {
            return fail(io_errc::closed);
        }
        if (!cell_->hand_off.has_value())
        {
            return fail(io_errc::abandoned);
        }
        auto& cell = *std::exchange(cell_, nullptr);
        result<T> taken(std::move(cell.value()));
        cell.destroy_value();
        cell.release();
        return taken;
    }

    detail::oneshot_cell<T>* cell_ = nullptr;
};

template <class T>
class oneshot_receiver<T>::receive_operation
    : public detail::awaitable_base<oneshot_receiver<T>::receive_operation>
{
public:
    explicit receive_operation(oneshot_receiver& receiver) noexcept : receiver_(&receiver) {}

    [[nodiscard]] bool start(const task_env& env, detail::waiter who) noexcept
    {
        return receiver_->start(env, who);
    }

    [[nodiscard]] result<T> await_resume() noexcept
    {
        return receiver_->await_resume();
    }

    void forgo() noexcept
    {
        receiver_->forgo();
    }

private:
    oneshot_receiver* receiver_;
};

template <class T>
struct oneshot_ends
{
    oneshot_sender<T> sender;
    oneshot_receiver<T> receiver;
};

/// Both ends of a new oneshot. One allocation, from the pool of coroutine frames.
template <class T>
oneshot_ends<T> oneshot()
{
    auto* const cell = detail::oneshot_cell<T>::create();
    return {oneshot_sender<T>(cell), oneshot_receiver<T>(cell)};
}

} // namespace blitzio::sync
