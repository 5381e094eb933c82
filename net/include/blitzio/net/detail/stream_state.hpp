// The open socket of a tcp_stream and what its operations remember from one to the next.
// Thread rule: `reading` and `drained` belong to whoever reads, `writing` to whoever writes; the
// two may be different tasks on different workers.
#pragma once

#include <blitzio/io/detail/descriptor.hpp>

namespace blitzio::net::detail
{

struct stream_state
{
    blitzio::detail::descriptor socket;
    /// The last read did not fill its buffer, so the next one will probably have to wait.
    bool drained = false;
    /// An operation of this direction has been started and not finished; for checks only.
    bool reading = false;
    bool writing = false;
};

} // namespace blitzio::net::detail
