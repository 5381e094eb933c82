// The places of a parallel stage, and who waits for what: which value is computed next, which result
// is given on next, when the stage above may be asked for more. Knows nothing of values, pools and
// runtimes: it decides, and its caller runs, starts and wakes what it is told to.
// Thread rule: the feeder's functions by one task, the consumer's by one at a time, the workers' by
// any threads; close() by whoever closes the stream.
//
// A cell goes round: free -> filled by the feeder -> ready -> computed by a worker -> done -> with
// the consumer -> free. It is on one list at a time, except that an ordered ring also keeps all
// published cells in their order. Everything is under one lock, held for a few instructions: three
// times for a value.
#pragma once

#include <blitzio/bridge/detail/par_growth.hpp>
#include <blitzio/bridge/stream_progress.hpp>
#include <blitzio/io/detail/atomics.hpp>
#include <blitzio/io/detail/runnable.hpp>
#include <blitzio/io/detail/spin_lock.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <system_error>
#include <utility>

namespace blitzio::detail
{

/// What became of a value.
enum class par_verdict : unsigned char
{
    none,    // not computed yet
    value,   // there is a result for the consumer
    dropped, // there is none, and nothing failed
    failed,  // an error or an exception, which ends the stream
    stopped, // likewise: the function was not called, because a stop was requested
};

/// The place of one value while it is in flight; the value itself is in a derived class.
struct par_cell
{
    par_cell* next = nullptr;     // in the list of free, ready or (unordered) done cells
    par_cell* next_out = nullptr; // in the order of delivery of an ordered ring
    std::uint64_t number = 0;
    std::size_t bytes = 0;
    std::size_t reserved = 0;                // for what its result may be larger
    std::size_t result_bytes = 0;            // set by the worker before finish()
    par_verdict verdict = par_verdict::none; // under the ring's lock, until the consumer has it
};

/// First in, first out; `Link` is the member that joins the elements.
template <class Node, Node* Node::* Link>
class linked_queue
{
public:
    [[nodiscard]] Node* front() const noexcept
    {
        return first_;
    }

    void push(Node& node) noexcept
    {
        node.*Link = nullptr;
        (first_ == nullptr ? first_ : last_->*Link) = &node;
        last_ = &node;
    }

    [[nodiscard]] Node* pop() noexcept
    {
        Node* const node = first_;
        if (node != nullptr)
        {
            first_ = node->*Link;
        }
        return node;
    }

private:
    Node* first_ = nullptr;
    Node* last_ = nullptr;
};

/// One of the threads that may compute for a ring at the same time; the memory is the stage's.
struct par_worker
{
    par_worker* next_idle = nullptr;
};

/// What the feeder waits for. With `wants_cell` a free cell, else room for `bytes`.
struct par_feeder_wait : runnable
{
    bool wants_cell = false;
    bool granted = false;
    std::size_t bytes = 0;
    par_cell* cell = nullptr;
};

struct par_consumer_wait : runnable
{
    /// What it gets; null at the end.
    par_cell* cell = nullptr;
};

struct par_limits
{
    bool ordered = true;
    /// 0: none.
    std::size_t bytes_max = 0;
    /// By how much a result is expected to be larger than its value while none is known.
    std::size_t first_growth = 0;
};

/// Invariants while the lock is free, W being the workers that are not idle:
///   I1  while the consumer waits, it is not at the end, and no result is deliverable, except some
///       that were held back, and then W is not 0: one of W is about to end its present value;
///   I2  while the feeder waits, what it waits for is not to be had, and feeding has not ended;
///   I3  while a cell is ready, W is not 0;
///   I4  bytes_ is the sum over the cells that are charged and not delivered, reserved_ over those
///       that are charged and not computed. When room was granted, both together were at most the
///       limit, or those of one value; a result that was larger than reserved adds to bytes_ later.
/// A worker that was told to go (null) touches the ring no more: the feeder, which waits for W to
/// become 0, may have ended the stage by then.
template <class Atomics = std_atomics>
class par_ring
{
public:
    /// Whom the caller has to schedule, without the lock.
    struct wakes
    {
        runnable* consumer = nullptr;
        runnable* feeder = nullptr;
    };

    /// What a worker does next: compute `cell`; or, without one, come back later (`again`), or go.
    struct next_step
    {
        par_cell* cell = nullptr;
        bool again = false;
        wakes woken{};
    };

    par_ring() noexcept = default;
    par_ring(const par_ring&) = delete;
    par_ring& operator=(const par_ring&) = delete;

    void open(const par_limits& limits, stream_progress* progress) noexcept
    {
        limits_ = limits;
        growth_.begin(limits.first_growth);
        progress_ = progress;
        if (progress_ != nullptr)
        {
            stream_progress::set(progress_->taken_, std::uint64_t{0});
            stream_progress::set(progress_->finished_, std::uint64_t{0});
            stream_progress::set(progress_->delivered_, std::uint64_t{0});
            stream_progress::set(progress_->bytes_in_flight_, std::size_t{0});
            stream_progress::set(progress_->bytes_peak_, std::size_t{0});
        }
    }

    /// Before the first use.
    void add_cell(par_cell& cell) noexcept
    {
        free_.push(cell);
    }

    void add_worker(par_worker& worker) noexcept
    {
        worker.next_idle = std::exchange(idle_, &worker);
    }

    /// The feeder. False: it waits, and is woken when it was granted, or refused because feeding has
    /// ended; `wish` says which, also after true.
    [[nodiscard]] bool ask(par_feeder_wait& wish) noexcept
    {
        const spin_guard held(lock_);
        if (is_cut() || grant(wish))
        {
            return true;
        }
        feeder_ = &wish;
        return false;
    }

    /// The same without waiting; false also when feeding has ended.
    [[nodiscard]] bool try_ask(par_feeder_wait& wish) noexcept
    {
        const spin_guard held(lock_);
        return !is_cut() && grant(wish);
    }

    /// The feeder: `cell` is filled, and its bytes were granted. Returns a worker to start, or null.
    [[nodiscard]] par_worker* publish(par_cell& cell, wakes& woken) noexcept
    {
        const spin_guard held(lock_);
        cell.number = published_++;
        cell.verdict = par_verdict::none;
        ++outstanding_;
        ready_.push(cell);
        if (limits_.ordered)
        {
            order_.push(cell);
        }
        if (progress_ != nullptr)
        {
            stream_progress::set(progress_->taken_, published_);
        }
        // The feeder runs anyhow, so telling the consumer of what was held back is cheap now.
        deliver(woken);
        par_worker* const started = idle_;
        if (started != nullptr)
        {
            idle_ = started->next_idle;
            ++working_;
        }
        return started;
    }

    /// The feeder: nothing more is published. The failure comes after everything before it. Returns
    /// false when it never will, because something failed before, or nobody wants anything more.
    bool end_feeding(std::error_code error, const std::exception_ptr& thrown, wakes& woken) noexcept
    {
        const spin_guard held(lock_);
        fed_ = true;
        const bool counts = !is_cut() && !failure_known();
        if (counts)
        {
            error_ = error;
            exception_ = thrown;
        }
        deliver(woken);
        return counts;
    }

    /// The feeder, last. False: it waits until no worker is left.
    [[nodiscard]] bool wait_for_workers(runnable& node) noexcept
    {
        const spin_guard held(lock_);
        if (working_ == 0)
        {
            return true;
        }
        waits_for_workers_ = &node;
        return false;
    }

    /// A worker begins.
    [[nodiscard]] next_step begin(par_worker& worker) noexcept
    {
        next_step step;
        const spin_guard held(lock_);
        take_ready(worker, step);
        if (step.cell == nullptr)
        {
            deliver(step.woken);
        }
        return step;
    }

    /// A worker has computed `cell`. It may be given another one unless `must_pause`; `brief`: that
    /// one will probably not take long, so the consumer may be woken afterwards, together with what
    /// has been done by then.
    [[nodiscard]] next_step finish(par_worker& worker, par_cell& cell, par_verdict verdict,
                                   bool brief, bool must_pause) noexcept
    {
        next_step step;
        const spin_guard held(lock_);
        if (progress_ != nullptr && verdict != par_verdict::stopped)
        {
            stream_progress::set(progress_->finished_, ++finished_);
        }
        complete(cell, verdict, step.woken);
        if (must_pause && ready_.front() != nullptr)
        {
            step.again = true;
        }
        else
        {
            take_ready(worker, step);
        }
        const bool goes_on = step.cell != nullptr;
        if (!goes_on || !brief || ++held_back_ >= held_back_max)
        {
            deliver(step.woken);
        }
        return step;
    }

    /// The worker that publish() gave cannot be started because of `error`. When others are at work
    /// they do its part, else the stream fails.
    void cannot_start(par_worker& worker, std::error_code error, wakes& woken) noexcept
    {
        const spin_guard held(lock_);
        if (working_ == 1)
        {
            cut_ = 0;
            if (!failure_known())
            {
                error_ = error;
            }
        }
        next_step step;
        if (working_ == 1)
        {
            take_ready(worker, step);
        }
        else
        {
            retire(worker, step);
        }
        woken = step.woken;
        deliver(woken);
    }

    /// The consumer. True: `wish` has a cell, or null at the end. False: it waits.
    [[nodiscard]] bool take(par_consumer_wait& wish, wakes& woken) noexcept
    {
        const spin_guard held(lock_);
        wish.cell = pop_deliverable(woken);
        if (wish.cell != nullptr || is_at_end())
        {
            return true;
        }
        consumer_ = &wish;
        return false;
    }

    /// The consumer, with a cell that it has taken and emptied.
    void release(par_cell& cell, wakes& woken) noexcept
    {
        const spin_guard held(lock_);
        recycle(cell, woken);
    }

    /// After the end was taken: why, if something failed.
    [[nodiscard]] std::pair<std::error_code, std::exception_ptr> failure() noexcept
    {
        const spin_guard held(lock_);
        return {error_, exception_};
    }

    /// Nobody wants results any more.
    void close(wakes& woken) noexcept
    {
        const spin_guard held(lock_);
        closed_ = true;
        cut_ = 0;
        refuse_feeder(woken);
        deliver(woken);
    }

private:
    static constexpr std::uint64_t no_cut = std::numeric_limits<std::uint64_t>::max();
    /// Results that wait for the consumer to be woken, at most; each took a worker microseconds.
    static constexpr unsigned held_back_max = 16;

    [[nodiscard]] bool is_cut() const noexcept
    {
        return closed_ || cut_ != no_cut;
    }

    [[nodiscard]] bool failure_known() const noexcept
    {
        return error_ || exception_ != nullptr;
    }

    [[nodiscard]] bool fits(std::size_t bytes, std::size_t reserved) const noexcept
    {
        const std::size_t limit = limits_.bytes_max;
        if (limit == 0 || bytes_ == 0)
        {
            return true;
        }
        // One after the other, because sums might overflow.
        std::size_t room = limit;
        for (const std::size_t part : {bytes_, reserved_, bytes, reserved})
        {
            if (part > room)
            {
                return false;
            }
            room -= part;
        }
        return true;
    }

    void charge(par_cell& cell, std::size_t bytes) noexcept
    {
        bytes_ += bytes;
        cell.bytes += bytes;
        if (progress_ != nullptr)
        {
            stream_progress::set(progress_->bytes_in_flight_, bytes_);
            stream_progress::set(progress_->bytes_peak_, std::max(bytes_, progress_->bytes_peak()));
        }
    }

    void discharge(std::size_t bytes) noexcept
    {
        bytes_ -= bytes;
        if (progress_ != nullptr)
        {
            stream_progress::set(progress_->bytes_in_flight_, bytes_);
        }
    }

    [[nodiscard]] bool grant(par_feeder_wait& wish) noexcept
    {
        if (wish.wants_cell)
        {
            wish.cell = free_.pop();
            wish.granted = wish.cell != nullptr;
        }
        else
        {
            // Once for a cell, however many values are gathered in it.
            const std::size_t reserved = wish.cell->reserved == 0 ? growth_.expected() : 0;
            if (fits(wish.bytes, reserved))
            {
                charge(*wish.cell, wish.bytes);
                wish.cell->reserved += reserved;
                reserved_ += reserved;
                wish.granted = true;
            }
        }
        return wish.granted;
    }

    void grant_waiting(wakes& woken) noexcept
    {
        if (feeder_ != nullptr && grant(*feeder_))
        {
            woken.feeder = std::exchange(feeder_, nullptr);
        }
    }

    void refuse_feeder(wakes& woken) noexcept
    {
        if (feeder_ != nullptr)
        {
            woken.feeder = std::exchange(feeder_, nullptr);
        }
    }

    void recycle(par_cell& cell, wakes& woken) noexcept
    {
        discharge(std::exchange(cell.bytes, 0));
        cell.result_bytes = 0;
        free_.push(cell);
        if (progress_ != nullptr)
        {
            stream_progress::set(progress_->delivered_, ++delivered_);
        }
        grant_waiting(woken);
    }

    /// True: nothing of what comes behind a failure is computed.
    [[nodiscard]] bool is_behind_cut(const par_cell& cell) const noexcept
    {
        return cell.number >= cut_;
    }

    void complete(par_cell& cell, par_verdict verdict, wakes& woken) noexcept
    {
        cell.verdict = verdict;
        if (verdict >= par_verdict::failed)
        {
            cut_ = limits_.ordered ? std::min(cut_, cell.number + 1) : 0;
            refuse_feeder(woken);
        }
        if (!limits_.ordered)
        {
            done_.push(cell);
        }
        settle(cell, woken);
    }

    /// Its result is known: what it takes counts in place of what was expected.
    void settle(par_cell& cell, wakes& woken) noexcept
    {
        const std::size_t growth =
            cell.result_bytes > cell.bytes ? cell.result_bytes - cell.bytes : 0;
        if (growth != 0)
        {
            charge(cell, growth);
        }
        if (cell.verdict < par_verdict::failed)
        {
            growth_.learn(growth);
        }
        if (cell.reserved != 0)
        {
            reserved_ -= std::exchange(cell.reserved, 0);
            grant_waiting(woken);
        }
    }

    void take_ready(par_worker& worker, next_step& step) noexcept
    {
        while (par_cell* const cell = ready_.pop())
        {
            if (!is_behind_cut(*cell))
            {
                step.cell = cell;
                return;
            }
            complete(*cell, par_verdict::dropped, step.woken);
        }
        retire(worker, step);
    }

    void retire(par_worker& worker, next_step& step) noexcept
    {
        worker.next_idle = std::exchange(idle_, &worker);
        --working_;
        if (working_ == 0 && waits_for_workers_ != nullptr)
        {
            step.woken.feeder = std::exchange(waits_for_workers_, nullptr);
        }
    }

    [[nodiscard]] par_cell* pop_deliverable(wakes& woken) noexcept
    {
        for (;;)
        {
            par_cell* const cell = limits_.ordered ? order_.front() : done_.front();
            if (cell == nullptr || cell->verdict == par_verdict::none)
            {
                return nullptr;
            }
            static_cast<void>(limits_.ordered ? order_.pop() : done_.pop());
            --outstanding_;
            if (cell->verdict != par_verdict::dropped)
            {
                return cell;
            }
            recycle(*cell, woken);
        }
    }

    [[nodiscard]] bool is_at_end() const noexcept
    {
        return closed_ || (outstanding_ == 0 && (fed_ || failure_known()));
    }

    /// The consumer, if it waits, gets what there is.
    void deliver(wakes& woken) noexcept
    {
        held_back_ = 0;
        if (consumer_ == nullptr)
        {
            return;
        }
        consumer_->cell = pop_deliverable(woken);
        if (consumer_->cell != nullptr || is_at_end())
        {
            woken.consumer = std::exchange(consumer_, nullptr);
        }
    }

    basic_spin_lock<Atomics> lock_;
    linked_queue<par_cell, &par_cell::next> free_;
    linked_queue<par_cell, &par_cell::next> ready_;
    linked_queue<par_cell, &par_cell::next> done_; // unordered only
    linked_queue<par_cell, &par_cell::next_out> order_;
    par_worker* idle_ = nullptr;
    unsigned working_ = 0;
    unsigned held_back_ = 0;
    std::size_t outstanding_ = 0;
    std::size_t bytes_ = 0;
    std::size_t reserved_ = 0;
    par_growth growth_;
    std::uint64_t published_ = 0;
    std::uint64_t finished_ = 0;
    std::uint64_t delivered_ = 0;
    /// Cells from this number on are not computed.
    std::uint64_t cut_ = no_cut;
    par_limits limits_;
    stream_progress* progress_ = nullptr;
    par_feeder_wait* feeder_ = nullptr;
    runnable* waits_for_workers_ = nullptr;
    par_consumer_wait* consumer_ = nullptr;
    bool fed_ = false;
    bool closed_ = false;
    std::error_code error_;
    std::exception_ptr exception_;
};

} // namespace blitzio::detail
