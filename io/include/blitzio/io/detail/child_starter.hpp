// Starting the one child of an operation that wraps it.
// Thread rule: as the operation that does so.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/start_gate.hpp>

#include <coroutine>

namespace blitzio::detail
{

/// Starts one child so that `who` is never continued inside the start, whatever the child is.
class child_starter
{
protected:
    child_starter() noexcept = default;
    /// Only before start().
    child_starter(child_starter&&) noexcept {}

    template <class Child>
    [[nodiscard]] bool start_child(Child& child, const task_env& env, waiter who) noexcept
    {
        if constexpr (transferable<Child>)
        {
            on_complete_ = who;
            gate_.begin();
            const waiter ended{[](void* self) noexcept {
                                   auto& starter = *static_cast<child_starter*>(self);
                                   return starter.gate_.end() ? starter.on_complete_()
                                                              : std::noop_coroutine();
                               },
                               this};
            return child.start(env, ended) && gate_.suspend();
        }
        else
        {
            return child.start(env, who);
        }
    }

private:
    waiter on_complete_;
    start_gate<> gate_;
};

} // namespace blitzio::detail
