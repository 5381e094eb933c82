// The base of the operations that wait in a wait_queue: registration, cancellation, continuation.
// Thread rule: as io/detail/operation.hpp says; a stop request may come on any thread at any time.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/sync/detail/wait_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <system_error>
#include <type_traits>

namespace blitzio::detail
{

/// Whether an attempt that cannot be granted at once may enter the queue.
enum class attempt_mode : std::uint8_t
{
    only_try, // not yet; the wait is no case of a select, and no stop request can have met it
    try_case, // not yet; the wait is a case
    or_wait,  // it may be a case
};

/// `Derived` has
///     bool attempt(attempt_mode) noexcept   Takes the object's lock. True: decided, see status. It
///                                           must not decide otherwise when status is `cancelled`
///                                           already. False with or_wait: queued, and the operation
///                                           may be gone.
///     bool withdraw() noexcept              For a stop request; see withdraw_from().
/// and may have its own goes_on().
///
/// Who may touch the operation, and why nothing is lost:
///   - The decision is made once, under the object's lock, and whoever takes the node out of the
///     queue (the granting side or the stop callback) is the only one that schedules it.
///   - The stop callback is registered before the node enters the queue, because afterwards the
///     frame may already run elsewhere. If it runs before that, it leaves `cancelled` in the
///     status, which the entering attempt sees under the same lock.
///   - A callback that is still running when the frame continues is waited for in conclude(),
///     which await_resume() calls first. So neither the frame nor the object can go away under it.
///   - A grant that meets a stop request stands: success beats cancellation.
///   - A case of a select is granted only by who has claimed its choice (see io/detail/choice.hpp),
///     under the same lock; who is refused decides `cancelled` and goes on to the next. Derived
///     makes join_choice() public if all who grant it, and its own attempt, ask before.
/// `Node` is a wait_node with what the granting side needs to know.
template <class Derived, class Node = wait_node>
class wait_operation : public awaitable_base<Derived>, protected Node
{
    static_assert(std::is_base_of_v<wait_node, Node>);

public:
    /// Short, so that it becomes part of the coroutine: most attempts end here, with a decision and
    /// without paying for a stop callback.
    [[nodiscard, gnu::always_inline]] bool start(const task_env& env, waiter who) noexcept
    {
        if (env.stop.stop_requested())
        {
            this->status = wait_status::cancelled;
            return false;
        }
        if (this->case_number != 0) [[unlikely]]
        {
            return start_case(env, who);
        }
        if (derived().attempt(attempt_mode::only_try))
        {
            return !derived().goes_on() && give_way(env, who);
        }
        return start_waiting(env, who);
    }

protected:
    wait_operation() noexcept = default;
    ~wait_operation() = default;

    /// Only before start(): what is waited for moves with the derived class, no wait has begun.
    wait_operation(wait_operation&&) noexcept {}

    /// See choosable in io/detail/choice.hpp.
    void join_choice(choice& among, std::size_t index) noexcept
    {
        this->on_complete.context = &among;
        this->case_number = static_cast<std::uint8_t>(index + 1);
    }

    /// The decision; nobody else refers to the operation afterwards.
    [[nodiscard]] wait_status conclude() noexcept
    {
        stop_.disarm();
        BLITZIO_ASSERT(this->status != wait_status::idle && this->status != wait_status::queued);
        return this->status;
    }

    /// Takes the operation out of `queue`, or keeps it from entering. True: it was waiting, and
    /// must now be continued. False: it never waited, or was granted before.
    [[nodiscard]] bool withdraw_from(wait_queue& queue) noexcept
    {
        return withdraw_node(queue, *this);
    }

    /// Decided without waiting: whether the task may go on at once. Derived may have its own.
    [[nodiscard]] bool goes_on() noexcept
    {
        return consume_budget();
    }

    /// The error of a decision that is not `granted`.
    [[nodiscard]] static std::unexpected<std::error_code> error_of(wait_status decision) noexcept
    {
        if (decision == wait_status::closed)
        {
            return fail(io_errc::closed);
        }
        return fail(std::errc::operation_canceled);
    }

private:
    struct canceller
    {
        wait_operation* target;

        void operator()() const noexcept
        {
            if (target->derived().withdraw())
            {
                target->wake();
            }
        }
    };

    [[nodiscard]] Derived& derived() noexcept
    {
        return static_cast<Derived&>(*this);
    }

    /// Apart, so that plain waits do not carry what only selects need.
    [[gnu::noinline]] bool start_case(const task_env& env, waiter who) noexcept
    {
        if (derived().attempt(attempt_mode::try_case))
        {
            return !derived().goes_on() && give_way(env, who);
        }
        return start_waiting(env, who);
    }

    [[gnu::noinline]] bool start_waiting(const task_env& env, waiter who) noexcept
    {
        prepare_to_wait(env, who);
        if (env.stop.stop_possible())
        {
            stop_.arm(env.stop, canceller{this});
        }
        // Queued: the operation may be gone, so nothing of it is touched after that.
        return !derived().attempt(attempt_mode::or_wait) ||
               (!derived().goes_on() && give_way(env, who));
    }

    /// The task has gone on long enough at one stretch: it continues, with its decision made,
    /// behind the others.
    [[gnu::noinline]] bool give_way(const task_env& env, waiter who) noexcept
    {
        prepare_to_wait(env, who);
        schedule_last(*env.runtime, *this);
        return true;
    }

    void prepare_to_wait(const task_env& env, waiter who) noexcept
    {
        this->run = &wait_node::continue_waiter;
        this->runtime = env.runtime;
        this->on_complete = who;
    }

    stop_slot<canceller> stop_;
};

} // namespace blitzio::detail
