// What a pool has to know of a computation that waits without holding its thread.
// Thread rule: made and ended on threads of the pool.
#pragma once

namespace blitzio::compute::detail
{

class pool_core;

/// Exists while a computation waits in oneTBB's sense: its thread runs other tasks of the arena
/// meanwhile. The jobs of a pool are no such tasks, so the pool has to offer them there, or a
/// computation that waits for another one of its own pool would wait for ever.
class suspension
{
public:
    suspension() noexcept;
    suspension(const suspension&) = delete;
    suspension& operator=(const suspension&) = delete;
    ~suspension();

private:
    /// Null on threads of no pool.
    pool_core* const pool_;
};

} // namespace blitzio::compute::detail
