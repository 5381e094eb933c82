// Reading a group of files, one after the other, into portions.
// Thread rule: one task, on any worker.
#pragma once

#include "grep_tree/loader.hpp"

#include <blitzio/blitzio.hpp>

#include <cstddef>
#include <vector>

namespace grep_tree
{

/// Until all files are read, or nobody receives any more, or a stop is requested.
[[nodiscard]] blitzio::task<void> fill_lane(loader& from, std::vector<subject> files,
                                            blitzio::sync::channel_sender<portion> out);

} // namespace grep_tree
