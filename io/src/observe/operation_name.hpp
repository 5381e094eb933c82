// The readable name of an operation's type. Thread rule: any thread.
#pragma once

#include <string>
#include <string_view>

namespace blitzio::detail
{

/// From the compiler's text of function_that_names<Operation>: "timeout<sleep>" for
/// "... [Operation = blitzio::detail::timeout_operation<blitzio::detail::sleep_operation>]".
[[nodiscard]] std::string readable_operation_name(std::string_view function);

} // namespace blitzio::detail
