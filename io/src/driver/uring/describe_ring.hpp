// What this kernel's io_uring can do, for people. Thread rule: any thread.
#pragma once

#include <string>

namespace blitzio::detail
{

/// Sets up a small ring, asks the kernel for the features and operation codes that it knows, and
/// takes the ring down again. Lines of text; on failure one with the kernel's reason.
[[nodiscard]] std::string describe_ring();

} // namespace blitzio::detail
