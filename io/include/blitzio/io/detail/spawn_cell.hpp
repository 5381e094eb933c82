// The memory of one spawned task: its closure, its coroutine, its result and who waits for it.
// Thread rule: the running side and the handle's side meet only in `hand_off_` and the reference
// count.
#pragma once

#include <blitzio/io/detail/frame_pool.hpp>
#include <blitzio/io/detail/oneshot_state.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>
#include <blitzio/io/task.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
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

struct no_closure
{
};

/// Keeps a callable alive for as long as the coroutine it made: a coroutine lambda's captures live
/// in the closure, not in the frame.
template <class Work>
struct closure_storage
{
    Work callable;

    explicit closure_storage(Work&& work) : callable(std::move(work)) {}
    explicit closure_storage(const Work& work) : callable(work) {}

    auto make_task()
    {
        return std::invoke(callable);
    }
};

template <class T>
struct closure_storage<task<T>>
{
    task<T> made;

    explicit closure_storage(task<T>&& work) noexcept : made(std::move(work)) {}

    task<T> make_task() noexcept
    {
        return std::move(made);
    }
};

/// A task that the runtime knows: shutdown reaches it, and waits for it.
struct live_task : runnable
{
    task_env env;
    stop_source stop;
    live_tasks* registry = nullptr;
    live_task* registry_previous = nullptr;
    live_task* registry_following = nullptr;
};

/// Adds to the runtime's live tasks and schedules the first run.
void launch(runtime_core& runtime, live_task& cell) noexcept;
void remove_live(live_task& cell) noexcept;

/// The parts of a spawn cell that a join handle touches; they depend on the result only.
template <class T>
struct join_state : live_task
{
    outcome_slot<T> outcome;
    waiter joiner;
    oneshot_state<> hand_off;
    std::atomic<std::uint32_t> references{2};
    void (*destroy)(join_state*) noexcept = nullptr;

    void release() noexcept
    {
        // acq_rel: the last one must see all that the other did before it frees the memory.
        if (references.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            destroy(this);
        }
    }
};

template <class Work>
class spawn_cell final : public join_state<spawn_value_t<Work>>
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
    explicit spawn_cell(Source&& work) : closure_(std::forward<Source>(work))
    {
        this->run = &first_run;
        this->destroy = [](join_state<value_type>* self) noexcept {
            auto* const cell = static_cast<spawn_cell*>(self);
            cell->~spawn_cell();
            deallocate_frame(cell, sizeof(spawn_cell));
        };
    }

    static void first_run(runnable* item) noexcept
    {
        auto& self = *static_cast<spawn_cell*>(item);
        try
        {
            self.body_ = self.closure_.make_task();
        }
        catch (...)
        {
            self.outcome.emplace_exception(std::current_exception());
            resume(self.finish());
            return;
        }
        static_cast<void>(self.body_.start(self.env, {&on_finished, &self}));
    }

    static std::coroutine_handle<> on_finished(void* context) noexcept
    {
        auto& self = *static_cast<spawn_cell*>(context);
        self.outcome = self.body_.take_outcome();
        return self.finish();
    }

    std::coroutine_handle<> finish() noexcept
    {
        remove_live(*this);
        std::coroutine_handle<> continuation = std::noop_coroutine();
        const auto completion = this->hand_off.complete();
        if (completion.must_wake_receiver)
        {
            continuation = this->joiner();
        }
        else if (!completion.accepted && this->outcome.has_exception())
        {
            report_unobserved(this->env, this->outcome.exception());
        }
        this->release();
        return continuation;
    }

    [[no_unique_address]] closure_storage<Work> closure_;
    task<value_type> body_;
};

} // namespace blitzio::detail
