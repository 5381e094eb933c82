// A stop source that also listens to a parent token.
// Thread rule: link() and unlink() by the owner; the source as stop_source says.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/stop_token.hpp>

namespace blitzio::detail
{

/// Used by every combinator that may stop its children for reasons of its own.
class linked_stop
{
public:
    void link(stop_token parent) noexcept
    {
        if (parent.stop_possible())
        {
            link_.arm(parent, forward{&source_});
        }
    }

    /// Waits for a request of the parent that is being passed on right now.
    void unlink() noexcept
    {
        link_.disarm();
    }

    [[nodiscard]] stop_source& source() noexcept
    {
        return source_;
    }

private:
    struct forward
    {
        stop_source* target;

        void operator()(stop_reason reason) const noexcept
        {
            target->request_stop(reason);
        }
    };

    stop_source source_;
    stop_slot<forward> link_;
};

} // namespace blitzio::detail
