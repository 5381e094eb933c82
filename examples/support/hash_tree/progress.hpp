// The progress bar: how much there is, how much is done, how long it will take.
// Thread rule: tasks; they read counters that others change.
#pragma once

#include "hash_tree/counters.hpp"
#include "hash_tree/options.hpp"
#include "hash_tree/status_line.hpp"

#include <blitzio/blitzio.hpp>

#include <chrono>
#include <string>

namespace hash_tree
{

/// Adds up the sizes of all files while the work is under way, until `ended`.
[[nodiscard]] blitzio::task<blitzio::result<void>> count_tree(const options& wanted,
                                                              counters& progress,
                                                              blitzio::sync::event& ended);

/// Shows the bar ten times a second until `ended`, then takes it away.
[[nodiscard]] blitzio::task<blitzio::result<void>> show_progress(status_line& status,
                                                                 const counters& progress,
                                                                 blitzio::sync::event& ended);

/// What is shown at one moment; `rate` in bytes per second.
[[nodiscard]] std::string progress_text(const counters& progress, double rate, unsigned columns);

} // namespace hash_tree
