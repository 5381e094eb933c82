// How far the work is.
// Thread rule: any thread; each number is exact, together they are approximate.
#pragma once

#include <atomic>
#include <cstdint>

namespace hash_tree
{

struct counters
{
    std::atomic<std::uint64_t> files_done{0};
    std::atomic<std::uint64_t> bytes_done{0};
    std::atomic<std::uint64_t> failures{0};
    /// What a count of the tree has found so far, and whether it has come to its end.
    std::atomic<std::uint64_t> bytes_found{0};
    std::atomic<bool> all_found{false};
};

} // namespace hash_tree
