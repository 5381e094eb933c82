// Values that belong to a task and everything below it, without being passed as arguments:
//
//     const task_local<std::string> request_id;                        // at namespace scope
//     co_await with_local(request_id, "42", handle(connection));
//     ...
//     if (const std::string* id = co_await request_id.get()) ...       // anywhere inside handle()
//
// A value is visible to the operation it was set for and to all that this starts: awaited tasks, the
// children of combinators, the tasks of scopes, streams. A spawned task has surroundings of its own;
// it sees the values of the task that spawns it when it is spawned with this_task::spawn(), and none
// when it is spawned through the runtime.
// Thread rule: get() in tasks. A value is shared by all that see it, on any worker, and is const for
// that reason; what it refers to is the user's to protect.
#pragma once

#include <blitzio/io/detail/child_starter.hpp>
#include <blitzio/io/detail/frame_pool.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/spawn_cell.hpp>
#include <blitzio/io/spawn.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace blitzio
{

template <class T>
class task_local;

namespace detail
{

/// One value that was set. Counted, because a spawned task may outlive the frame that set it; each
/// keeps the one outside of it alive, so that a reference to the innermost keeps all.
struct local_binding
{
    const void* key = nullptr;
    const local_binding* outer = nullptr;
    void (*destroy)(const local_binding*) noexcept = nullptr;
    mutable std::atomic<std::uint32_t> references{1};

    void retain() const noexcept
    {
        references.fetch_add(1, std::memory_order_relaxed); // whoever copies holds one
    }

    static void release(const local_binding* binding) noexcept
    {
        // acq_rel: the last one sees what the others did with the value before it is destroyed.
        while (binding != nullptr &&
               binding->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            const local_binding* const outer = binding->outer;
            binding->destroy(binding);
            binding = outer;
        }
    }
};

/// A counted reference to a chain of bindings.
class local_reference
{
public:
    local_reference() noexcept = default;

    explicit local_reference(const local_binding* shared) noexcept : binding_(shared)
    {
        if (binding_ != nullptr)
        {
            binding_->retain();
        }
    }

    local_reference(local_reference&& other) noexcept
        : binding_(std::exchange(other.binding_, nullptr))
    {
    }

    local_reference& operator=(local_reference other) noexcept
    {
        std::swap(binding_, other.binding_);
        return *this;
    }

    ~local_reference()
    {
        local_binding::release(binding_);
    }

    [[nodiscard]] const local_binding* get() const noexcept
    {
        return binding_;
    }

    /// Takes over the reference that `made` was born with.
    static local_reference adopt(const local_binding* made) noexcept
    {
        local_reference taken;
        taken.binding_ = made;
        return taken;
    }

private:
    const local_binding* binding_ = nullptr;
};

template <class T>
struct local_value final : local_binding
{
    T value;

    explicit local_value(T&& given) : value(std::move(given)) {}

    /// Throws std::bad_alloc and what moving the value throws.
    static local_value* create(const task_local<T>& owner, T&& given)
    {
        static_assert(alignof(local_value) <= alignof(std::max_align_t));
        void* const memory = allocate_frame(sizeof(local_value));
        try
        {
            auto* const made = ::new (memory) local_value(std::move(given));
            made->key = &owner;
            made->destroy = [](const local_binding* binding) noexcept {
                auto* const self =
                    const_cast<local_value*>(static_cast<const local_value*>(binding));
                self->~local_value();
                deallocate_frame(self, sizeof(local_value));
            };
            return made;
        }
        catch (...)
        {
            deallocate_frame(memory, sizeof(local_value));
            throw;
        }
    }
};

template <class T, class Operation>
class local_operation : public awaitable_base<local_operation<T, Operation>>, private child_starter
{
public:
    local_operation(local_value<T>* binding, Operation&& operation) noexcept
        : binding_(binding), reference_(local_reference::adopt(binding)),
          operation_(std::move(operation))
    {
    }

    /// Only before start().
    local_operation(local_operation&& other) noexcept
        : child_starter(), binding_(other.binding_), reference_(std::move(other.reference_)),
          operation_(std::move(other.operation_))
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        details_ = env.details();
        if (details_.locals != nullptr)
        {
            details_.locals->retain();
        }
        binding_->outer = details_.locals;
        details_.locals = binding_;
        env_ = env;
        env_.origin = task_origin(details_);
        return this->start_child(operation_, env_, who);
    }

    auto await_resume()
    {
        return operation_.await_resume();
    }

private:
    local_value<T>* binding_;
    local_reference reference_;
    task_env env_;
    task_details details_;
    Operation operation_;
};

/// Work of a spawned task that sees the values of the task it was spawned by.
template <class Work>
struct inheriting_work
{
    Work work;
    local_reference locals;

    auto operator()()
    {
        if constexpr (spawnable_callable<Work>)
        {
            return std::invoke(work);
        }
        else
        {
            return std::move(work); // a task that exists already
        }
    }
};

} // namespace detail

/// Names a task-local value; itself it holds nothing. Its address is its identity, so it is usually
/// a variable at namespace scope, and outlives every task that has a value for it.
template <class T>
class task_local
{
public:
    constexpr task_local() noexcept = default;
    task_local(const task_local&) = delete;
    task_local& operator=(const task_local&) = delete;

    /// Awaited: `const T*`, the innermost value that was set around this task, or null. Never
    /// suspends; takes a few nanoseconds for each value between here and there.
    /// Lifetime: valid for as long as the task runs.
    [[nodiscard]] auto get() const noexcept
    {
        return detail::immediate_operation(
            [this](const task_env& env) noexcept { return find(env); });
    }

    /// The same for whoever has an environment at hand: operations, and code that a task called.
    [[nodiscard]] const T* find(const task_env& env) const noexcept
    {
        for (const auto* binding = env.locals(); binding != nullptr; binding = binding->outer)
        {
            if (binding->key == this)
            {
                return &static_cast<const detail::local_value<T>*>(binding)->value;
            }
        }
        return nullptr;
    }
};

/// Runs `operation` with a value set for `local`. One allocation from the pool of frames. The value
/// is destroyed when the operation has ended and no task spawned in it sees it any more.
/// Cancellation: that of the operation.
template <class T, awaitable_operation Operation>
    requires(!std::is_lvalue_reference_v<Operation>)
[[nodiscard]] auto with_local(const task_local<T>& local, std::type_identity_t<T> value,
                              Operation&& operation)
{
    return detail::local_operation<T, std::remove_cvref_t<Operation>>(
        detail::local_value<T>::create(local, std::move(value)), std::move(operation));
}

namespace this_task
{

/// Awaited: join_handle<T>. Spawns in this task's runtime, like runtime::spawn, a task that sees the
/// task-local values of this one, and keeps them alive. It has a stop of its own, and no deadline.
/// Never suspends. Throws std::bad_alloc.
template <class Work>
    requires detail::spawnable<Work>
[[nodiscard]] auto spawn(Work&& work, spawn_options options = {},
                         std::source_location where = std::source_location::current())
{
    return detail::immediate_operation(
        [stored = std::remove_cvref_t<Work>(std::forward<Work>(work)), options,
         where](const task_env& env) mutable {
            using work_type = detail::inheriting_work<std::remove_cvref_t<Work>>;
            return detail::spawn_on(
                *env.runtime, work_type{std::move(stored), detail::local_reference(env.locals())},
                options, where, env.home() == nullptr ? nullptr : env.home()->bound, env.locals());
        });
}

} // namespace this_task

} // namespace blitzio
