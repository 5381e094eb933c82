// How a parallel algorithm splits its input.
// Thread rule: plain values.
#pragma once

#include <cstddef>

namespace blitzio::compute
{

struct parallel_options
{
    /// The fewest elements worth handing to another thread; not more than that many are computed
    /// without any splitting. 0: one element, or what the algorithm holds to be right.
    std::size_t grain = 0;
    /// One thread, in input order. For simulations and for debugging.
    bool sequential = false;
    /// The callables wait (await_in_compute()): every `grain` elements are a piece of their own, so
    /// that as many may wait at the same time. Otherwise only as many pieces are made as are good
    /// for the threads. parallel_for and the maps.
    bool waits = false;
    /// parallel_reduce: split, and so combine, in a way that depends on the number of elements and
    /// on `grain` only, not on which threads were free. Floating-point sums are then the same every
    /// time and on every machine.
    bool deterministic = false;
};

} // namespace blitzio::compute
