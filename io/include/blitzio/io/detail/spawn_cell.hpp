// The memory of one spawned task: its closure and its coroutine, then its result; and who waits for
// it. Thread rule: the running side and the handle's side meet only in `hand_off`.
//
// A parked task is little else than this and its coroutine's frame, so every word counts: what few
// tasks have lies behind the cell, and what is not needed at the same time shares its place.
#pragma once

#include <blitzio/io/detail/frame_pool.hpp>
#include <blitzio/io/detail/join_state.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>
#include <blitzio/io/task.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <source_location>
#include <type_traits>
#include <utility>

namespace blitzio::detail
{

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
    using value_type = spawn_value_t<Work>;

    Work callable;
    task<value_type> body;

    explicit spawned_body(Work&& work) noexcept(std::is_nothrow_move_constructible_v<Work>)
        : callable(std::move(work))
    {
    }
    explicit spawned_body(const Work& work) noexcept(std::is_nothrow_copy_constructible_v<Work>)
        : callable(work)
    {
    }

    void make()
    {
        body = std::invoke(callable);
    }

    /// After the coroutine's end: destroys its frame, then the callable and all else, and makes
    /// `outcome` in memory that may be the same.
    static void replace(spawned_body& ended, void* outcome) noexcept
    {
        auto taken = ended.body.take_outcome();
        std::destroy_at(&ended);
        ::new (outcome) outcome_slot<value_type>(std::move(taken));
    }
};

template <class T>
struct spawned_body<task<T>>
{
    using value_type = T;

    task<T> body;

    explicit spawned_body(task<T>&& work) noexcept : body(std::move(work)) {}

    void make() const noexcept {}

    static void replace(spawned_body& ended, void* outcome) noexcept
    {
        task<T> frame = std::move(ended.body);
        std::destroy_at(&ended);
        frame.move_outcome_to(outcome);
    }
};

struct known_task;

/// The place of a task in a list of live tasks. Two words: addresses take 48 bits on all platforms
/// with 64, and the rest of one of them tells which list it is. That part does not change while the
/// task is in a list, so list() may be asked without the list's lock, whose holder may be writing
/// the same word: hence an atomic, relaxed.
class live_links
{
public:
    /// What list() says while the task is in none.
    static constexpr unsigned no_list = 0;

    /// Says nothing yet: a spawned task enters a list at once, others set() no_list.
    live_links() noexcept {}

    [[nodiscard]] unsigned list() const noexcept
    {
        return static_cast<unsigned>(following_.load(std::memory_order_relaxed) >> address_bits);
    }

    void set(unsigned list, known_task* following) noexcept
    {
        following_.store(static_cast<std::uint64_t>(list) << address_bits |
                             reinterpret_cast<std::uint64_t>(following),
                         std::memory_order_relaxed);
    }

    [[nodiscard]] known_task* following() const noexcept
    {
        return reinterpret_cast<known_task*>(following_.load(std::memory_order_relaxed) &
                                             ((1ull << address_bits) - 1));
    }

    known_task* previous;

private:
    static constexpr unsigned address_bits = 48;

    std::atomic<std::uint64_t> following_;
};

/// A task that the runtime can find: what runtime::dump() shows.
struct known_task : runnable
{
    /// Directly behind the runnable, whose link await_note uses once the task has begun.
    task_env env;
    live_links links;

    known_task(run_function first, runtime_core& runtime, stop_token stop,
               task_origin origin) noexcept
        : runnable{nullptr, first}, env{.runtime = &runtime, .stop = stop, .origin = origin}
    {
    }
};

static_assert(sizeof(known_task) == sizeof(runnable) + sizeof(task_env) + sizeof(live_links));

/// The size of a cell, with the details of a task that has any behind it.
template <class Cell>
[[nodiscard]] constexpr std::size_t cell_bytes(bool detailed) noexcept
{
    static_assert(sizeof(Cell) % alignof(task_details) == 0);
    return sizeof(Cell) + (detailed ? sizeof(task_details) : 0);
}

/// A cell for a task without details. Throws std::bad_alloc and what the constructor throws.
template <class Cell, class... Arguments>
[[nodiscard]] Cell* create_plain_cell(std::source_location where, Arguments&&... arguments)
{
    static_assert(alignof(Cell) <= alignof(std::max_align_t));
    void* const memory = allocate_frame(cell_bytes<Cell>(false));
    if constexpr (std::is_nothrow_constructible_v<Cell, task_origin, Arguments...>)
    {
        return ::new (memory) Cell(task_origin(where), std::forward<Arguments>(arguments)...);
    }
    else
    {
        try
        {
            return ::new (memory) Cell(task_origin(where), std::forward<Arguments>(arguments)...);
        }
        catch (...)
        {
            deallocate_frame(memory, cell_bytes<Cell>(false));
            throw;
        }
    }
}

/// The same, with details. Apart: few tasks have any.
template <class Cell, class... Arguments>
[[nodiscard, gnu::noinline]] Cell* create_detailed_cell(const task_details& given,
                                                        Arguments&&... arguments)
{
    void* const memory = allocate_frame(cell_bytes<Cell>(true));
    auto* const details =
        ::new (static_cast<std::byte*>(memory) + sizeof(Cell)) task_details(given);
    try
    {
        return ::new (memory) Cell(task_origin(*details), std::forward<Arguments>(arguments)...);
    }
    catch (...)
    {
        deallocate_frame(memory, cell_bytes<Cell>(true));
        throw;
    }
}

template <class Cell>
[[gnu::noinline]] void destroy_detailed_cell(Cell* cell) noexcept
{
    std::destroy_at(cell);
    deallocate_frame(cell, cell_bytes<Cell>(true));
}

template <class Cell>
void destroy_cell(Cell* cell) noexcept
{
    // Two calls, because the pool is fastest with a size that the compiler knows.
    if (cell->env.origin.details() != nullptr) [[unlikely]]
    {
        destroy_detailed_cell(cell);
        return;
    }
    std::destroy_at(cell);
    deallocate_frame(cell, cell_bytes<Cell>(false));
}

/// A task of its own, not of a scope: shutdown reaches it, and waits for it.
struct live_task : known_task
{
    /// The byte of join_cell lies behind its last word.
    [[no_unique_address]] stop_source stop;

    live_task(run_function first, runtime_core& runtime, task_origin origin) noexcept
        : known_task(first, runtime, stop_token(&stop), origin)
    {
    }
};

/// Adds to the runtime's live tasks and schedules the first run.
void launch(runtime_core& runtime, live_task& cell) noexcept;
/// Schedules the first run of a task of a scope; it enters the lists when it first waits.
void launch_child(known_task& cell) noexcept;
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
    /// In the handle, which waits; set before it does.
    waiter* joiner;

    // Only what has to be: a spawned task that ends at once should not cost more stores than that.
    using live_task::live_task;

    /// After the task has finished.
    [[nodiscard]] outcome_slot<T>& outcome() noexcept
    {
        return *std::launder(static_cast<outcome_slot<T>*>(outcome_place()));
    }

    /// By the side that join_state names, after the task has finished.
    void free() noexcept
    {
        this->run(this);
    }

protected:
    /// Behind this, where spawn_cell has what the task runs until it has finished.
    [[nodiscard]] void* outcome_place() noexcept
    {
        constexpr std::size_t alignment = alignof(outcome_slot<T>);
        constexpr std::size_t offset = (sizeof(join_cell) + alignment - 1) / alignment * alignment;
        return reinterpret_cast<std::byte*>(this) + offset;
    }
};

template <class Work>
class spawn_cell final : public join_cell<spawn_value_t<Work>>
{
    using body_type = spawned_body<Work>;

public:
    using value_type = spawn_value_t<Work>;
    using outcome_type = outcome_slot<value_type>;

    template <class Source>
        requires std::constructible_from<body_type, Source>
    spawn_cell(task_origin origin, runtime_core& runtime,
               Source&& work) noexcept(std::is_nothrow_constructible_v<body_type, Source>)
        : join_cell<value_type>(&first_run, runtime, origin)
    {
        ::new (static_cast<void*>(place_)) body_type(std::forward<Source>(work));
    }

private:
    [[nodiscard]] body_type& work() noexcept
    {
        return *std::launder(reinterpret_cast<body_type*>(place_));
    }

    static void destroy(runnable* item) noexcept
    {
        auto* const cell = static_cast<spawn_cell*>(item);
        std::destroy_at(&cell->outcome());
        destroy_cell(cell);
    }

    static void first_run(runnable* item) noexcept
    {
        auto& self = *static_cast<spawn_cell*>(item);
        self.run = &destroy;
        try
        {
            self.work().make();
        }
        catch (...)
        {
            auto thrown = std::current_exception();
            std::destroy_at(&self.work());
            auto* const outcome = ::new (self.outcome_place()) outcome_type;
            outcome->emplace_exception(std::move(thrown));
            resume(self.finish());
            return;
        }
        static_cast<void>(self.work().body.start(self.env, {&on_finished, &self}));
    }

    static std::coroutine_handle<> on_finished(void* context) noexcept
    {
        auto& self = *static_cast<spawn_cell*>(context);
        body_type::replace(self.work(), self.outcome_place());
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
            const waiter who = *this->joiner;
            return who();
        }
        case join_verdict::free_cell:
            if (this->outcome().has_exception())
            {
                report_unobserved(this->env, this->outcome().exception());
            }
            destroy(this);
            break;
        }
        return std::noop_coroutine();
    }

    alignas(std::max(alignof(body_type), alignof(outcome_type)))
        std::byte place_[std::max(sizeof(body_type), sizeof(outcome_type))];
};

} // namespace blitzio::detail
