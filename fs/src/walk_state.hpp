// The state of a walk between two entries.
// Thread rule: one task at a time.
#pragma once

#include "listing.hpp"

#include <blitzio/fs/walk.hpp>
#include <blitzio/io/stop_token.hpp>
#include <blitzio/io/task.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace blitzio::fs::detail
{

/// The directories on the current path form a stack; each knows what it has left to give. A
/// directory that is reached must have been read before its entry is given out, because the entry
/// tells whether that worked.
class walk_state
{
public:
    walk_state(std::string root, const walk_options& options);

    /// True: `out` is the answer, nothing at the end. False: a directory has to be read first.
    [[nodiscard]] bool try_next(const stop_token& stop, std::optional<walk_entry>& out);
    /// The same, reading what has to be read.
    [[nodiscard]] task<std::optional<walk_entry>> wait_for_next();

private:
    [[nodiscard]] bool step(listing& top, std::optional<walk_entry>& out);
    [[nodiscard]] bool enter(listing& top, std::optional<walk_entry>& out);
    [[nodiscard]] bool leave_or_continue(listing& top, std::optional<walk_entry>& out);
    [[nodiscard]] bool leads_back(const listing& entered) const noexcept;
    void cancel(std::optional<walk_entry>& out);

    [[nodiscard]] task<void> read_root();
    [[nodiscard]] task<void> read_more();
    [[nodiscard]] std::vector<listing*> plan_reads();
    void plan_reads_of(listing& parent, std::vector<listing*>& planned);

    std::string root_;
    walk_options options_;
    bool begun_ = false;
    /// The only entry of a walk whose root is no directory or cannot be read.
    std::optional<walk_entry> single_;
    std::vector<std::unique_ptr<listing>> path_;
    /// Listings that were read ahead and not entered yet, and what they hold.
    std::size_t ahead_count_ = 0;
    std::size_t ahead_bytes_ = 0;
};

} // namespace blitzio::fs::detail
