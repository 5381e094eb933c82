// The error vocabulary of blitzio: result<T>, the library's own error codes and or_throw.
// Thread rule: plain values, usable on any thread.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace blitzio
{

/// What every fallible operation returns: the value, or the reason as a std::error_code.
/// Operating system errors arrive in std::system_category (compare them with std::errc),
/// the library's own in io_category(). No exception crosses an I/O operation.
template <class T>
using result = std::expected<T, std::error_code>;

/// Conditions that no errno value describes.
enum class io_errc : int
{
    /// The peer closed the stream before the bytes that were asked for had arrived.
    end_of_stream = 1,
    /// The channel, handle or pool on the other side has been closed.
    closed,
    /// The sender of a oneshot went away without sending a value.
    abandoned,
    /// A bound of the library (timers, waiting operations, bytes) would have been exceeded.
    limit_reached,
    /// The operation needs a task that runs on a blitzio worker.
    not_on_worker,
    /// Waiting here would block the worker that has to make progress.
    would_deadlock,
    /// The runtime is shutting down and takes no new work.
    shutting_down,
    /// The text given is not in the form that was expected.
    invalid_format,
    /// Only the thread that runs the runtime already may do this.
    wrong_thread,
    /// As many calls wait for a thread of the pool as its configuration allows.
    pool_queue_full,
};

/// The category of io_errc values; its name is "blitzio".
const std::error_category& io_category() noexcept;

inline std::error_code make_error_code(io_errc code) noexcept
{
    return {static_cast<int>(code), io_category()};
}

} // namespace blitzio

template <>
struct std::is_error_code_enum<blitzio::io_errc> : std::true_type
{
};

namespace blitzio
{

/// An error result from a std::errc, an io_errc or an error_code: `return fail(std::errc::timed_out);`
inline std::unexpected<std::error_code> fail(std::error_code code) noexcept
{
    return std::unexpected<std::error_code>(code);
}

inline std::unexpected<std::error_code> fail(std::errc code) noexcept
{
    // The system category makes errors raised by the library equal to those of the kernel.
    return std::unexpected<std::error_code>(
        std::error_code(static_cast<int>(code), std::system_category()));
}

inline std::unexpected<std::error_code> fail(io_errc code) noexcept
{
    return std::unexpected<std::error_code>(make_error_code(code));
}

/// "subject: reason", for messages that have to name the input they are about.
std::string describe(std::error_code code, std::string_view subject);

/// The value of `outcome`, or a std::system_error that names `subject`.
template <class T>
T or_throw(result<T>&& outcome, std::string_view subject = {})
{
    if (!outcome)
    {
        throw std::system_error(outcome.error(), std::string(subject));
    }
    if constexpr (!std::is_void_v<T>)
    {
        return std::move(*outcome);
    }
}

/// True for result<T> of any T.
template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<std::expected<T, std::error_code>> = true;

namespace detail
{
/// Turns a kernel-style return value (negative errno on failure) into an error code.
inline std::error_code error_from_kernel(int negative_errno) noexcept
{
    return {-negative_errno, std::system_category()};
}
} // namespace detail

} // namespace blitzio
