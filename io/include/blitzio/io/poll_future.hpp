// Awaiting futures of the polling kind, which other libraries and hand-written state machines bring:
//
//     struct countdown
//     {
//         std::optional<int> poll(waker& wake);     // a value, or nothing and a wake() later
//     };
//     auto value = co_await as_awaitable(countdown{});
//
// Thread rule: poll() is called on workers, never by two at once; a waker may be copied, called and
// destroyed on any thread, once, often or never, also after the future and the runtime are gone.
#pragma once

#include <blitzio/io/detail/frame_pool.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>
#include <blitzio/io/detail/stream_step.hpp>
#include <blitzio/io/detail/waker_state.hpp>
#include <blitzio/io/result.hpp>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio
{

namespace detail
{

/// What wakers share with the operation, and what is left of it when that has gone.
struct waker_cell : runnable
{
    waker_state<> state;
    std::atomic<std::uint32_t> references{1};
    /// Both the operation's; read only by the wake that found it asleep, and by the run it asked for.
    runtime_core* runtime = nullptr;
    void* operation = nullptr;

    void retain() noexcept
    {
        references.fetch_add(1, std::memory_order_relaxed);
    }

    void release() noexcept
    {
        // acq_rel: the last one frees what the others have used.
        if (references.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            this->~waker_cell();
            deallocate_frame(this, sizeof(waker_cell));
        }
    }

    void wake() noexcept
    {
        if (state.wake())
        {
            schedule(*runtime, *this);
        }
    }

    /// Throws std::bad_alloc.
    static waker_cell* create()
    {
        return ::new (allocate_frame(sizeof(waker_cell))) waker_cell;
    }
};

} // namespace detail

/// Says that a future that gave nothing is worth another poll. Copies are equal in every respect.
class waker
{
public:
    waker() noexcept = default;

    waker(const waker& other) noexcept : cell_(other.cell_)
    {
        if (cell_ != nullptr)
        {
            cell_->retain();
        }
    }

    waker(waker&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}

    waker& operator=(waker other) noexcept
    {
        std::swap(cell_, other.cell_);
        return *this;
    }

    ~waker()
    {
        if (cell_ != nullptr)
        {
            cell_->release();
        }
    }

    /// Has the future polled soon, on a worker. Several calls may lead to one poll. Does nothing
    /// when the future has ended, and for an empty waker.
    void wake() const noexcept
    {
        if (cell_ != nullptr)
        {
            cell_->wake();
        }
    }

    /// True when both wake the same future.
    friend bool operator==(const waker&, const waker&) noexcept = default;

private:
    template <class Future>
    friend class poll_operation;

    explicit waker(detail::waker_cell* cell) noexcept : cell_(cell) {}

    detail::waker_cell* cell_ = nullptr;
};

/// `poll(waker&)` gives the value, or nothing; after nothing the future, or a copy that it made of
/// the waker, calls wake() as soon as another poll is worth while. Not polled again after a value.
template <class Future>
concept poll_future = std::move_constructible<Future> && requires(Future& future, waker& wake) {
    requires detail::is_optional<decltype(future.poll(wake))>;
};

/// See as_awaitable().
template <class Future>
class poll_operation : public detail::awaitable_base<poll_operation<Future>>
{
    using value_type =
        typename decltype(std::declval<Future&>().poll(std::declval<waker&>()))::value_type;

public:
    using outcome_type = std::conditional_t<is_result<value_type>, value_type, result<value_type>>;

    explicit poll_operation(Future&& future) : future_(std::move(future)) {}

    /// Only before start().
    poll_operation(poll_operation&& other) noexcept(std::is_nothrow_move_constructible_v<Future>)
        : future_(std::move(other.future_))
    {
    }

    [[nodiscard]] bool start(const task_env& env, detail::waiter who) noexcept
    {
        env_ = &env;
        on_complete_ = who;
        try
        {
            waker_.cell_ = detail::waker_cell::create();
        }
        catch (...)
        {
            outcome_.emplace_exception(std::current_exception());
            return false;
        }
        waker_.cell_->runtime = env.runtime;
        waker_.cell_->operation = this;
        waker_.cell_->run = &on_scheduled;
        if (env.stop.stop_possible())
        {
            // A request is a wake like others; drive() sees why it came.
            stop_.arm(env.stop, on_stop{waker_.cell_});
        }
        return drive();
    }

    outcome_type await_resume()
    {
        stop_.disarm();
        return outcome_.take();
    }

private:
    struct on_stop
    {
        detail::waker_cell* cell;

        void operator()() const noexcept
        {
            cell->wake();
        }
    };

    static void on_scheduled(detail::runnable* item) noexcept
    {
        auto& self =
            *static_cast<poll_operation*>(static_cast<detail::waker_cell*>(item)->operation);
        if (!self.drive())
        {
            detail::resume(self.on_complete_());
        }
    }

    /// Polls until there is an outcome (false), or nothing more to do for now (true).
    [[nodiscard]] bool drive() noexcept
    {
        detail::waker_cell& cell = *waker_.cell_;
        for (;;)
        {
            cell.state.begin_poll();
            // Asked before the poll: a request after it wakes once more.
            const bool stopping = env_->stop.stop_requested();
            if (poll_once())
            {
                cell.state.end();
                return false;
            }
            if (stopping)
            {
                cell.state.end();
                outcome_.emplace_value(fail(std::errc::operation_canceled));
                return false;
            }
            if (cell.state.finish_poll())
            {
                return true;
            }
            if (!detail::consume_budget())
            {
                detail::schedule_last(*cell.runtime, cell); // not asleep: no wake schedules it, too
                return true;
            }
        }
    }

    [[nodiscard]] bool poll_once() noexcept
    {
        try
        {
            if (auto value = future_.poll(waker_))
            {
                outcome_.emplace_value(*std::move(value));
                return true;
            }
            return false;
        }
        catch (...)
        {
            outcome_.emplace_exception(std::current_exception());
            return true;
        }
    }

    Future future_;
    detail::outcome_slot<outcome_type> outcome_;
    const task_env* env_ = nullptr;
    detail::waiter on_complete_;
    waker waker_;
    detail::stop_slot<on_stop> stop_;
};

/// Awaits a future of the polling kind. Awaited: result<T>, or what the future gives if that is a
/// result. The first poll happens in place; no thread waits, and nothing is polled without reason.
/// Cancellation: on a stop request the future is polled once more; if it still has no value, the
/// result is operation_canceled, and the future is destroyed together with the operation.
/// Exceptions of poll() are thrown at the await. One allocation from the pool of frames.
template <poll_future Future>
[[nodiscard]] auto as_awaitable(Future future)
{
    return poll_operation<Future>(std::move(future));
}

} // namespace blitzio
