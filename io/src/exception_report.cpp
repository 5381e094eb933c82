// Exceptions that cannot be thrown any more, told to the runtime's handler or to people.
// Thread rule: any thread.
#include "exception_report.hpp"

#include "runtime_core.hpp"

#include <blitzio/io/detail/runtime_access.hpp>

#include <cstdio>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

namespace blitzio::detail
{

namespace
{

std::string text_of(const std::exception_ptr& error)
{
    try
    {
        std::rethrow_exception(error);
    }
    catch (const std::exception& thrown)
    {
        return thrown.what();
    }
    catch (...)
    {
        return "an exception of unknown type";
    }
}

/// True for what or_throw makes of an operation that was stopped.
bool says_cancelled(const std::exception_ptr& error)
{
    try
    {
        std::rethrow_exception(error);
    }
    catch (const std::system_error& thrown)
    {
        return thrown.code() == std::errc::operation_canceled;
    }
    catch (...)
    {
        return false;
    }
}

} // namespace

std::string place_of(const task_env& env)
{
    std::string text = env.spawned_at().file_name();
    if (text.empty())
    {
        text = "unknown place";
    }
    else
    {
        text += ':' + std::to_string(env.spawned_at().line());
    }
    if (*env.name() != '\0')
    {
        text += " (" + std::string(env.name()) + ')';
    }
    return text;
}

void report_unobserved(const task_env& env, std::exception_ptr error) noexcept
{
    const std::string place = place_of(env);
    if (const auto handler = env.runtime->config().on_unobserved_exception)
    {
        handler(std::move(error), place);
        return;
    }
    terminate_with(
        ("unobserved exception in a task spawned at " + place + ": " + text_of(error)).c_str());
}

void report_suppressed(const task_env& env, std::exception_ptr error) noexcept
{
    if (says_cancelled(error))
    {
        return;
    }
    const std::string place = place_of(env);
    if (const auto handler = env.runtime->config().on_unobserved_exception)
    {
        handler(std::move(error), place);
        return;
    }
    // The failure as such is observed, by what is thrown instead; so the process goes on.
    std::fprintf(stderr, "blitzio: a further exception in a task spawned at %s: %s\n",
                 place.c_str(), text_of(error).c_str());
}

} // namespace blitzio::detail
