// How the runtime learns that the calling thread computes for one of its tasks: the pools of such
// threads are built on top of this module.
// Thread rule: any thread.
#pragma once

namespace blitzio::detail
{

class runtime_core;

/// Whether the calling thread is inside a computation that a task of `runtime` waits for.
using computes_for_function = bool (*)(const runtime_core& runtime) noexcept;

/// Who is asked; from the first call on, for ever.
void set_computes_for(computes_for_function asked) noexcept;

/// False as long as nobody is to be asked.
[[nodiscard]] bool computes_for(const runtime_core& runtime) noexcept;

} // namespace blitzio::detail
