// The error category of blitzio and error messages. Thread rule: any thread.
#include <blitzio/io/result.hpp>

namespace blitzio
{

namespace
{

class io_error_category final : public std::error_category
{
public:
    [[nodiscard]] const char* name() const noexcept override
    {
        return "blitzio";
    }

    [[nodiscard]] std::string message(int value) const override
    {
        switch (static_cast<io_errc>(value))
        {
        case io_errc::end_of_stream: return "end of stream";
        case io_errc::closed: return "closed";
        case io_errc::abandoned: return "the sender went away without sending";
        case io_errc::limit_reached: return "a limit of the runtime is reached";
        case io_errc::not_on_worker: return "not on a worker thread";
        case io_errc::would_deadlock:
            return "waiting here would block the thread that has to make progress";
        case io_errc::shutting_down: return "shutting down";
        case io_errc::invalid_format: return "invalid format";
        case io_errc::wrong_thread: return "another thread runs this runtime";
        case io_errc::pool_queue_full:
            return "too many calls wait for a thread of the pool (blocking_queue_max)";
        }
        return "unknown blitzio error " + std::to_string(value);
    }
};

} // namespace

const std::error_category& io_category() noexcept
{
    static const io_error_category category;
    return category;
}

std::string describe(std::error_code code, std::string_view subject)
{
    std::string text(subject);
    if (!text.empty())
    {
        text += ": ";
    }
    return text + code.message();
}

} // namespace blitzio
