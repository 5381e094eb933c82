// Every bound of the io module that is not a setting, with its reason. Thread rule: constants.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace blitzio::detail::limits
{

/// Coroutine transfers that may stand on the stack where the compiler does not make them jumps. An
/// unoptimised GCC frame with a sanitizer takes up to 4 KiB for each; 32 of them leave half of a
/// 256 KiB stack to the program.
inline constexpr unsigned transfer_depth_max = 32;

/// Operations that may complete without suspension before a task gives way: ready sockets must not
/// starve the other tasks of a worker.
inline constexpr unsigned completion_budget = 128;

/// Turns after which a worker looks at its driver, its timers and the injection queue although its
/// own queue has work. A prime, so that it does not fall into step with a program's own rhythm.
inline constexpr std::uint32_t tick_interval = 61;

/// It looks sooner when continuations take long: about this often, as Tokio's self-tuning does for its injection queue.
/// Not after one or two of them: what is injected gets that turn, and then the queue or what is bound to the worker
/// would get none.
inline constexpr std::chrono::nanoseconds tick_period{200'000};
inline constexpr std::uint32_t tick_interval_min = 3;

/// Entries of a lone worker's run queue that it keeps after a burst (1 MiB of pointers).
inline constexpr std::size_t run_queue_kept = 128 * 1024;

/// How often the task woken last may run next before the queue gets its turn.
inline constexpr unsigned lifo_streak_max = 3;

/// Continuations of high priority in a row while others wait. Even, so that the turns that are left
/// fall on odd and even ticks: those that a worker gives to what is bound to it, and the rest.
inline constexpr unsigned high_streak_max = 14;

/// Of the turns that high priority leaves, one in this many is for low priority, if need be.
inline constexpr unsigned low_priority_share = 32;

/// Spawned tasks that run inside the call that joins them, one inside the other. A program that
/// divides its work by spawning comes this deep on the stack, as it would with plain calls.
inline constexpr unsigned nested_runs_max = 16;

/// Workers of one runtime: the width of the idle set.
inline constexpr unsigned workers_max = 256;

/// Entries of a worker's submission ring unless configured; more are handed over when it is full.
inline constexpr unsigned ring_entries_default = 256;
inline constexpr unsigned ring_entries_max = 32768;

/// Completion entries for each submission entry. Beyond them the kernel keeps completions in memory
/// of its own (IORING_FEAT_NODROP), which costs an allocation each but loses nothing.
inline constexpr unsigned completions_per_entry = 8;

/// Bytes of one read or write: the kernel's own bound is slightly below 2 GiB.
inline constexpr std::size_t transfer_bytes_max = 0x7ffff000;

/// Frames of one size that a thread keeps for itself, in bytes.
inline constexpr std::size_t frame_cache_bytes = 32 * 1024;

/// Batches of frames that the depot keeps as they came from the threads, over all sizes. What is
/// beyond goes back to the chunks, and from there to the system.
inline constexpr std::size_t frame_batch_bytes_max = std::size_t{64} * 1024 * 1024;

/// What frames are carved from, and how many empty ones (32 MiB) are kept for the next burst.
inline constexpr std::size_t frame_chunk_bytes = 256 * 1024;
inline constexpr std::size_t frame_chunks_spare_max = 128;

/// How long before its end a precise_sleep leaves the wheel: the resolution of a millisecond and a
/// slow wake-up fit in. And how long it then keeps the worker for itself at the very end: a few
/// times what a turn of the worker takes.
inline constexpr std::chrono::nanoseconds precise_sleep_awake{1'300'000};
inline constexpr std::chrono::nanoseconds precise_sleep_spin{20'000};

/// Buffers of leased reads, per worker, unless configured: what one read gives at the most, and how
/// many there can be. Only those that are out at the same time ever use memory.
inline constexpr std::size_t read_buffer_bytes_default = 16 * 1024;
inline constexpr unsigned read_buffers_default = 1024;
inline constexpr unsigned read_buffers_max = 32768;

/// Buffers that the kernel is given to choose from at the beginning. It uses them first in, first
/// out, so more than are needed at once would only push each other out of the cache; when it runs
/// out the number is doubled, and it is halved again when half of them stay unused for a while.
inline constexpr unsigned stocked_buffers_min = 16;
inline constexpr unsigned stock_window = 1024;

/// Memory that a buffer pool takes from the system at once; larger buffers get a slab of their own.
inline constexpr std::size_t buffer_slab_bytes = 256 * 1024;

/// Slabs of the runtime's pool that a ring knows for transfers without mapping the pages each time.
inline constexpr unsigned registered_slabs_max = 1024;

/// Descriptors that a ring may keep: the kernel's own bound for a table. After so many operations on a
/// worker a descriptor is worth it: registering costs a system call, and each use saves some 50 ns.
/// Descriptors with higher numbers than the last are never kept: a program that has so many has few
/// that are used often.
inline constexpr unsigned registered_files_max = 32768;
inline constexpr unsigned registered_file_uses_min = 16;
inline constexpr int registered_file_number_max = 64 * 1024 - 1;

/// Submissions that the kernel may refuse in a row ("take your completions first") before the
/// operation at hand fails with EBUSY. Each refusal is followed by taking completions, so a kernel
/// that works refuses once.
inline constexpr unsigned refused_submissions_max = 64;

/// Edges that the epoll driver fetches in one turn; the rest comes with the next one, after the
/// tasks of these have run.
inline constexpr int epoll_events_per_turn_max = 256;

/// Descriptors that the epoll driver keeps in one piece of memory, 256 x 128 bytes, which is what a
/// program with a handful of descriptors pays; and pieces, for four million descriptors: the
/// kernel's own default bound is one million per process.
inline constexpr std::size_t descriptor_chunk_length = 256;
inline constexpr std::size_t descriptor_chunks_max = 16 * 1024;

/// A connection to a unix socket whose backlog is full is tried again after this long, and later at
/// twice that, up to the second one: no readiness ever tells that there is room.
inline constexpr std::chrono::milliseconds connect_retry_min{1};
inline constexpr std::chrono::milliseconds connect_retry_max{32};

/// A listener whose backlog holds nothing but connections that have died again is given up on after
/// this many, so that a flood of resets cannot keep a worker inside one accept.
inline constexpr int aborted_connections_max = 256;

/// A batch of directory entries: names are collected until less than one further kernel buffer fits.
inline constexpr std::size_t directory_names_bytes = 64 * 1024;
inline constexpr std::size_t directory_buffer_bytes = 32 * 1024;

/// How long a runtime that is being destroyed waits before it names the tasks that did not stop.
inline constexpr int shutdown_report_seconds = 10;

/// How often a simulation looks whether work outside of it has ended.
inline constexpr std::chrono::microseconds external_work_poll{50};

/// Tasks that a report of an incomplete shutdown names one by one.
inline constexpr std::size_t shutdown_names_max = 1000;

/// How often a worker measures how long its queue takes: a probe costs two clock readings.
inline constexpr std::chrono::nanoseconds delay_probe_interval{1'000'000};

} // namespace blitzio::detail::limits
