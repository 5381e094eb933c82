// Starting tasks that run on their own, and waiting for them.
// Thread rule: spawn() from any thread; a join_handle belongs to one owner at a time.
#pragma once

#include <blitzio/io/detail/placement.hpp>
#include <blitzio/io/detail/spawn_cell.hpp>
#include <blitzio/io/spawn_options.hpp>

#include <source_location>
#include <utility>

namespace blitzio
{

/// The right to a spawned task's result: `T value = co_await std::move(handle);`
///
/// Awaiting throws again what the task threw. A stop request of the awaiting task is passed on to
/// the spawned one, which is awaited in any case.
/// Dropping the handle lets the task run on; the runtime still waits for it at its end. If such a
/// task ends with an exception, the runtime's handler for unobserved exceptions is called.
template <class T>
class [[nodiscard]] join_handle : public detail::awaitable_base<join_handle<T>>
{
public:
    join_handle() noexcept = default;

    explicit join_handle(detail::join_cell<T>* cell) noexcept : cell_(cell) {}

    join_handle(join_handle&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}

    join_handle& operator=(join_handle&& other) noexcept
    {
        if (this != &other)
        {
            if (cell_ != nullptr)
            {
                drop();
            }
            cell_ = std::exchange(other.cell_, nullptr);
        }
        return *this;
    }

    ~join_handle()
    {
        if (cell_ != nullptr)
        {
            drop();
        }
    }

    /// False once the result was taken, and for a default-constructed handle.
    [[nodiscard]] bool valid() const noexcept
    {
        return cell_ != nullptr;
    }

    /// True when awaiting would not suspend.
    [[nodiscard]] bool finished() const noexcept
    {
        return cell_->hand_off.is_finished();
    }

    /// Asks the task to stop; its operations end with operation_canceled. Idempotent, any thread.
    void request_stop(stop_reason reason = stop_reason::user) noexcept
    {
        cell_->stop.request_stop(reason);
    }

    [[nodiscard]] bool start(const task_env& env, detail::waiter who) noexcept
    {
        // A task that has not begun and is what this worker would turn to next runs here and now.
        // When it ends without waiting for anything, neither side has to tell the other.
        if (cell_->hand_off.is_finished() ||
            (detail::run_now_if_next(*cell_->env.runtime, *cell_) && cell_->hand_off.is_finished()))
        {
            return false;
        }
        return start_waiting(env, who);
    }

    T await_resume()
    {
        stop_.disarm();
        auto outcome = std::move(cell_->outcome());
        std::exchange(cell_, nullptr)->free();
        return outcome.take();
    }

private:
    struct pass_on
    {
        detail::join_cell<T>* cell;

        void operator()(stop_reason reason) const noexcept
        {
            cell->stop.request_stop(reason);
        }
    };

    /// Apart, like drop(): the way of a task that has ended by the time somebody asks stays short.
    [[nodiscard, gnu::noinline]] bool start_waiting(const task_env& env,
                                                    detail::waiter who) noexcept
    {
        joiner_ = who;
        cell_->joiner = &joiner_;
        if (env.stop.stop_possible())
        {
            stop_.arm(env.stop, pass_on{cell_});
        }
        // Last: once waiting, the result may arrive on another thread.
        return cell_->hand_off.start_waiting();
    }

    [[gnu::noinline]] void drop() noexcept
    {
        detail::join_cell<T>& cell = *std::exchange(cell_, nullptr);
        if (cell.hand_off.drop())
        {
            return; // its own end frees it
        }
        // Finished before the handle went away, and nobody has looked at the exception.
        if (cell.outcome().has_exception())
        {
            detail::report_unobserved(cell.env, cell.outcome().exception());
        }
        cell.free();
    }

    detail::join_cell<T>* cell_ = nullptr;
    detail::waiter joiner_;
    detail::stop_slot<pass_on> stop_;
};

namespace detail
{

/// `home`: the worker to which the task is bound, or null. `locals`: the task-local values that the
/// task sees; `work` keeps them alive.
template <class Work>
[[nodiscard, gnu::always_inline]] inline auto spawn_on(runtime_core& runtime, Work&& work,
                                                       const spawn_options& options,
                                                       std::source_location where,
                                                       worker* home = nullptr,
                                                       const local_binding* locals = nullptr)
{
    using cell_type = spawn_cell<std::remove_cvref_t<Work>>;
    cell_type* cell = nullptr;
    if (options.is_ordinary() && home == nullptr && locals == nullptr) [[likely]]
    {
        cell = create_plain_cell<cell_type>(where, runtime, std::forward<Work>(work));
    }
    else
    {
        cell =
            create_detailed_cell<cell_type>({.name = options.name,
                                             .spawned_at = where,
                                             .locals = locals,
                                             .home = placement_of(runtime, home, options.priority)},
                                            runtime, std::forward<Work>(work));
    }
    // The cell stays at least until the handle goes, even if the task ends before there is one.
    launch(runtime, *cell);
    return join_handle<typename cell_type::value_type>(cell);
}

} // namespace detail

} // namespace blitzio
