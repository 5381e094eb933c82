// The interface between a worker and what carries out its operations: io_uring, epoll, the
// simulated world. One driver per worker.
// Thread rule: owner thread only, except wake().
#pragma once

#include "memory/worker_buffers.hpp"

#include <blitzio/io/detail/op.hpp>
#include <blitzio/io/detail/ready_list.hpp>
#include <blitzio/io/result.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace blitzio::detail
{

/// Completion rules, the same for every driver:
///  - submit() takes an operation whose arguments stay valid until it completes. It returns true
///    when the operation completed on the spot (operation.result is set); the driver then forgets
///    it and the CALLER calls state.complete(). Otherwise the driver completes it later, exactly
///    once, through finish() below, from poll() or wait() of some worker's driver.
///  - cancel() asks for the end of an operation that was submitted to this worker. When the driver
///    is through with the cancel request (not necessarily with the operation) it calls
///    cancel_finish() exactly once. Success beats cancel: data, bytes or a descriptor already
///    obtained are delivered as the result. An operation that ends because of the cancel has the
///    result -ECANCELED.
///  - poll() never blocks; wait() blocks until something completes, wake() is called, or the
///    time-out has passed. Both append to `ready`.
///  - No operation is lost: before a driver is destroyed all of them have completed.
class driver
{
public:
    virtual ~driver() = default;

    [[nodiscard]] virtual bool submit(op& operation) noexcept = 0;
    virtual void cancel(op& operation, ready_list& ready) noexcept = 0;
    virtual void poll(ready_list& ready) noexcept = 0;
    /// No time-out: waits until something happens.
    virtual void wait(ready_list& ready,
                      std::optional<std::chrono::nanoseconds> timeout) noexcept = 0;
    /// Any thread: ends the current or the next wait(). Cheap to repeat.
    virtual void wake() noexcept = 0;
    /// True when poll() could find completions or has submissions to hand over without a wait.
    [[nodiscard]] virtual bool has_work() const noexcept = 0;
    /// Operations submitted here that have not completed.
    [[nodiscard]] virtual std::uint64_t in_flight() const noexcept = 0;
    /// How often this driver has entered the kernel; any thread.
    [[nodiscard]] virtual std::uint64_t kernel_entries() const noexcept
    {
        return 0;
    }
    /// Leased reads so far; any thread.
    [[nodiscard]] virtual read_buffer_counters read_buffers() const noexcept
    {
        return {};
    }
    /// Descriptors that the kernel keeps for it; any thread.
    [[nodiscard]] virtual std::uint64_t registered_files() const noexcept
    {
        return 0;
    }
    /// Runs once on the owner thread before anything else.
    virtual void start() noexcept {}

    // --- for a worker that runs inside of a loop of the program's
    /// What that loop waits for: readable while the worker has something to do, see rest(). Made by
    /// the first call. Owner thread.
    [[nodiscard]] virtual result<int> descriptor() noexcept = 0;
    /// In place of wait(). True: the driver rests, and the descriptor becomes readable with the next
    /// completion, with wake(), or when the clock shows `until`. False: there is something to do
    /// now, maybe in `ready`. Hands over submissions. Only after descriptor().
    [[nodiscard]] virtual bool rest(ready_list& ready,
                                    std::optional<std::chrono::nanoseconds> until) noexcept = 0;
    /// Must come before anything else after a rest.
    virtual void end_rest(ready_list& ready) noexcept = 0;
    /// Makes the descriptor readable until the next rest(). Only after descriptor().
    virtual void call_again() noexcept = 0;

protected:
    /// The operation's own terminal result has arrived.
    static void finish(op& operation, std::int32_t result, ready_list& ready) noexcept
    {
        operation.result = result;
        if (!operation.cancellable || operation.state.complete())
        {
            ready.push(operation);
        }
    }

    /// The cancel request has been dealt with.
    static void cancel_finish(op& operation, ready_list& ready) noexcept
    {
        if (operation.state.cancel_finished())
        {
            ready.push(operation);
        }
    }
};

} // namespace blitzio::detail
