// An operation that no stop request reaches: for cleaning up, and for steps that must not be left
// half done. Thread rule: as the operation inside.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/task_env.hpp>

#include <type_traits>
#include <utility>

namespace blitzio::fs::detail
{

template <class Operation>
class shielded_operation : public blitzio::detail::awaitable_base<shielded_operation<Operation>>
{
public:
    explicit shielded_operation(Operation&& operation) noexcept : operation_(std::move(operation))
    {
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        env_ = env;
        env_.stop = {};
        return operation_.start(env_, who);
    }

    auto await_resume()
    {
        return operation_.await_resume();
    }

private:
    Operation operation_;
    task_env env_;
};

template <awaitable_operation Operation>
    requires(!std::is_lvalue_reference_v<Operation>)
[[nodiscard]] auto shielded(Operation&& operation)
{
    return shielded_operation<std::remove_cvref_t<Operation>>(std::move(operation));
}

} // namespace blitzio::fs::detail
