// Reading memory of this process that may not be there. Thread rule: any thread; what is read may be
// written at the same time, and then is neither old nor new.
#pragma once

#include <cstddef>
#include <string>

namespace blitzio::detail
{

/// Copies `bytes` bytes; false when they cannot all be read. By way of the kernel, so that an address
/// which leads nowhere is an error and no fault.
[[nodiscard]] bool read_own_memory(const void* from, void* to, std::size_t bytes) noexcept;

/// The text that ends with a zero byte; empty when it is unreadable. Cut after some hundred characters.
[[nodiscard]] std::string read_own_text(const char* from);

} // namespace blitzio::detail
