// The memory of one spawned task: its closure, its coroutine, its result and who waits for it.
// Thread rule: the running side and the handle's side meet only in `hand_off`.
#pragma once

#include <blitzio/io/detail/frame_pool.hpp>
#include <blitzio/io/detail/join_state.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>
#include <blitzio/io/task.hpp>

#include <functional>
#include <new>
#include <source_location>
#include <type_traits>
#include <utility>

namespace blitzio::detail
{

class live_tasks;

template <class>
struct task_value
{
};
template <class T>
struct task_value<task<T>>
{
    using type = T;
};

/// A task, or something that returns one when called.
template <class Work>
concept spawnable_callable =
    requires(Work& work) { typename task_value<std::invoke_result_t<Work&>>::type; };

template <class Work>
struct spawn_value;
template <class T>
struct spawn_value<task<T>>
{
    using type = T;
};
template <spawnable_callable Work>
struct spawn_value<Work>
{
    using type = typename task_value<std::invoke_result_t<Work&>>::type;
};

/// What a spawned task gives.
template <class Work>
using spawn_value_t = typename spawn_value<std::remove_cvref_t<Work>>::type;

/// Anything that may be given to spawn().
template <class Work>
concept spawnable = requires { typename spawn_value<std::remove_cvref_t<Work>>::type; };

/// What a spawned task runs: a coroutine, and the callable that made it, if one did. The callable
/// lives as long as the coroutine: a coroutine lambda's captures are in the closure, not in the
/// frame.
template <class Work>
struct spawned_body
{
    Work callable;
    task<spawn_value_t<Work>> body;

    explicit spawned_body(Work&& work) : callable(std::move(work)) {}
    explicit spawned_body(const Work& work) : callable(work) {}

    void make()
    {
        body = std::invoke(callable);
    }
};

template <class T>
struct spawned_body<task<T>>
{
    task<T> body;

    explicit spawned_body(task<T>&& work) noexcept : body(std::move(work)) {}

    void make() const noexcept {}
};

/// A task that the runtime can find: what runtime::dump() shows.
struct known_task : runnable
{
    task_env env;
    /// Null while it is in no list.
    live_tasks* registry = nullptr;
    known_task* registry_previous = nullptr;
    known_task* registry_following = nullptr;
};

/// A task of its own, not of a scope: shutdown reaches it, and waits for it.
struct live_task : known_task
{
    /// The byte of join_cell lies behind its last word.
    [[no_unique_address]] stop_source stop;
};

/// Adds to the runtime's live tasks and schedules the first run.
void launch(runtime_core& runtime, live_task& cell) noexcept;
/// Schedules the first run of a task of a scope; it enters the lists when it first waits.
void launch_child(runtime_core& runtime, known_task& cell) noexcept;
/// Takes a task off again that was launched. True: all of this happens inside the join of the task, on
/// the same thread.
[[nodiscard]] bool remove_live(live_task& cell) noexcept;
/// The same for a task of a scope, which may be in no list.
void remove_child(known_task& cell) noexcept;

/// The parts of a spawn cell that a join handle touches; they depend on the result only. `run` is
/// the first run until that begins, and from then on frees the cell.
template <class T>
struct join_cell : live_task
{
    join_state<> hand_off;
    waiter joiner;
    outcome_slot<T> outcome;

    /// By the side that join_state names, after the task has finished.
    void free() noexcept
    {
        this->run(this);
    }
};

template <class Work>
class spawn_cell final : public join_cell<spawn_value_t<Work>>
{
public:
    using value_type = spawn_value_t<Work>;

    template <class Source>
    static spawn_cell* create(Source&& work)
    {
        void* const memory = allocate_frame(sizeof(spawn_cell));
        try
        {
            return ::new (memory) spawn_cell(std::forward<Source>(work));
        }
        catch (...)
        {
            deallocate_frame(memory, sizeof(spawn_cell));
            throw;
        }
    }

private:
    static_assert(alignof(Work) <= alignof(std::max_align_t));

    template <class Source>
    explicit spawn_cell(Source&& work) : work_(std::forward<Source>(work))
    {
        this->run = &first_run;
    }

    static void destroy(runnable* item) noexcept
    {
        auto* const cell = static_cast<spawn_cell*>(item);
        cell->~spawn_cell();
        deallocate_frame(cell, sizeof(spawn_cell));
    }

    static void first_run(runnable* item) noexcept
    {
        auto& self = *static_cast<spawn_cell*>(item);
        self.run = &destroy;
        try
        {
            self.work_.make();
        }
        catch (...)
        {
            self.outcome.emplace_exception(std::current_exception());
            resume(self.finish());
            return;
        }
        static_cast<void>(self.work_.body.start(self.env, {&on_finished, &self}));
    }

    static std::coroutine_handle<> on_finished(void* context) noexcept
    {
        auto& self = *static_cast<spawn_cell*>(context);
        self.work_.body.move_outcome(self.outcome);
        return self.finish();
    }

    std::coroutine_handle<> finish() noexcept
    {
        if (remove_live(*this))
        {
            this->hand_off.finish_inside_join();
            return std::noop_coroutine();
        }
        switch (this->hand_off.finish())
        {
        case join_verdict::left_to_handle: break;
        case join_verdict::wake_joiner:
        {
            const waiter who = this->joiner;
            return who();
        }
        case join_verdict::free_cell:
            if (this->outcome.has_exception())
            {
                report_unobserved(this->env, this->outcome.exception());
            }
            destroy(this);
            break;
        }
        return std::noop_coroutine();
    }

    spawned_body<Work> work_;
};

} // namespace blitzio::detail
