// Brings a std::stop_token's request into a blitzio::stop_source, at the edge to code that uses the
// standard's tokens.
//
// Threading rule: construct and destroy on one owner; the request may come from any thread.
#pragma once

#include <blitzio/io/stop_token.hpp>

#include <stop_token>
#include <utility>

namespace blitzio
{

// While it lives, a stop requested through the std::stop_token reaches this adapter's token.
//
// Cancellation: the request runs the blitzio callbacks on the thread that called
// std::stop_source::request_stop. Lifetime: the adapter outlives the use of its tokens; its
// destructor waits for a request that is being handed on by another thread.
class std_stop_adapter
{
public:
    explicit std_stop_adapter(std::stop_token outer, stop_reason reason = stop_reason::user)
        : link_(std::move(outer), forward_request{&source_, reason})
    {
    }

    std_stop_adapter(const std_stop_adapter&) = delete;
    std_stop_adapter& operator=(const std_stop_adapter&) = delete;

    [[nodiscard]] stop_token get_token() const noexcept
    {
        return source_.get_token();
    }

private:
    struct forward_request
    {
        stop_source* target;
        stop_reason reason;

        void operator()() const noexcept
        {
            target->request_stop(reason);
        }
    };

    stop_source source_;
    std::stop_callback<forward_request> link_;
};

} // namespace blitzio
