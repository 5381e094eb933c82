// What return_list.hpp links, and what it answers.
// Thread rule: plain values.
#pragma once

#include <cstdint>

namespace blitzio::detail
{

struct return_node
{
    return_node* next = nullptr;
};

/// What came of a give_back().
enum class return_outcome : std::uint8_t
{
    queued, // the owner finds it with take_all()
    gone,   // the owner has ended, and others are still out
    last,   // the owner has ended and this was the last: the caller frees everything
};

} // namespace blitzio::detail
