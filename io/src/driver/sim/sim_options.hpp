// What a simulated world is like, and what it counted.
// Thread rule: plain values.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace blitzio::detail
{

struct sim_options
{
    /// Decides everything: two worlds with equal options that are driven alike behave alike.
    std::uint64_t seed = 1;
    /// Short transfers, long and uneven delays, unordered and partial batches of completions,
    /// operations that complete on the spot, cancel requests that come too late, workers whose own
    /// buffers are used up. The seed picks a
    /// subset of them, so that some seeds are free of each. Every fault is something that a real
    /// kernel is allowed to do; EINTR is none, because no driver lets it surface.
    bool faults = false;
    /// Longest delay of one step (an operation, a segment on its way); most are far shorter.
    std::chrono::nanoseconds delay_max = std::chrono::milliseconds(1);
    /// Open descriptors at the same time; one more fails with EMFILE.
    std::size_t descriptor_limit = 1024;
    /// Number of the first descriptor handed out; the lower ones belong to standard streams.
    int first_descriptor = 3;
    /// Virtual time at which the world begins.
    std::chrono::nanoseconds start_time = std::chrono::seconds(1);
    /// Bytes that a stream holds between a sender and a receiver that does not read.
    std::size_t stream_window = 64 * 1024;
    /// Ports for sockets that name none, both included.
    std::uint16_t ephemeral_first = 32768;
    std::uint16_t ephemeral_last = 60999;
    /// How long the port of the side that closed first stays taken.
    std::chrono::nanoseconds time_wait = std::chrono::seconds(60);
    /// Permission bits are checked as for the owner of every file. False: as for root.
    bool check_permissions = true;
    /// Bytes of all files together, in pages; 0 sets no bound. One more fails with ENOSPC.
    std::uint64_t disk_bytes_max = 0;
    /// Entries of one batch of op_kind::read_directory at the most.
    std::size_t directory_batch_max = 64;
};

/// Counters for tests that want to know what a run has been through.
struct sim_statistics
{
    std::uint64_t submitted = 0;
    std::uint64_t completed_inline = 0;
    std::uint64_t completed_later = 0;
    std::uint64_t short_transfers = 0;
    /// Cancel requests by outcome; they add up to the number of requests that were dealt with.
    std::uint64_t cancel_took_effect = 0;  // result -ECANCELED
    std::uint64_t cancel_met_success = 0;  // found it ready when it looked: the result counts
    std::uint64_t cancel_met_result = 0;   // the result was there, its delivery was not
    std::uint64_t cancel_after_finish = 0; // the operation had already been delivered
    std::uint64_t cancel_not_possible = 0; // in progress and not to be stopped; completes later
    /// Order of the two notices when the request came before the delivery.
    std::uint64_t cancel_notice_first = 0;
    std::uint64_t cancel_notice_last = 0;
    std::uint64_t jobs_run = 0;
    std::uint64_t violations = 0;
};

} // namespace blitzio::detail
