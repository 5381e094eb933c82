// The one element that every queue of the scheduler carries.
//
// An operation, a spawn cell, a timer, a cancel node and a remote wake all begin with a runnable,
// so that one pointer is all a queue has to move. A runnable is on at most one queue at a time.
//
// Threading rule: whoever holds the runnable (its creator, the queue that took it, the worker that
// popped it) owns `next`; handing it on is the queue's business.
#pragma once

namespace blitzio::detail
{

struct runnable
{
    using run_function = void (*)(runnable*) noexcept;

    runnable* next = nullptr;
    run_function run = nullptr;
};

} // namespace blitzio::detail
