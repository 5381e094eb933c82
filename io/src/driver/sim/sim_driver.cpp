// Submission, completion and cancellation in virtual time.
// Thread rule: the simulation's thread only, except wake().
#include "driver/sim/sim_driver.hpp"

#include "driver/sim/sim_world.hpp"

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

namespace blitzio::detail
{

sim_driver::sim_driver(sim_world& world, unsigned worker_index,
                       const read_buffer_options& read_buffers)
    : world_(world), worker_index_(worker_index), buffers_(read_buffers),
      self_(std::make_shared<sim_driver*>(this))
{
    world_.attach(worker_index_, *this);
}

sim_driver::~sim_driver()
{
    if (!pending_.empty() || cancels_pending_ != 0)
    {
        std::string message = "the driver of worker " + std::to_string(worker_index_) +
                              " is destroyed with operations or cancel requests in flight:";
        for (const auto& [id, entry] : pending_)
        {
            // The operation itself may be gone, but then the program is lost anyway.
            message += ' ';
            message += sim::operation_name(entry.operation->kind);
        }
        world_.report_violation(message);
    }
    world_.detach(worker_index_);
    if (const int fd = loop_fd_.load(std::memory_order_relaxed); fd >= 0)
    {
        ::close(fd);
    }
}

template <class Action>
void sim_driver::after(std::chrono::nanoseconds delay, Action what)
{
    world_.schedule(delay, [weak = std::weak_ptr(self_), what = std::move(what)] {
        if (const auto self = weak.lock())
        {
            what(**self);
        }
    });
}

sim_driver::pending_operation* sim_driver::find(std::uint64_t id)
{
    const auto found = pending_.find(id);
    return found == pending_.end() ? nullptr : &found->second;
}

void sim_driver::report(const op& operation, std::string_view problem)
{
    if (problem.empty())
    {
        return;
    }
    std::string message(sim::operation_name(operation.kind));
    message += " on descriptor " + std::to_string(operation.fd) + ", worker " +
               std::to_string(worker_index_) + ": ";
    message += problem;
    message += " while the operation was in flight";
    world_.report_violation(message);
}

void sim_driver::trace_completion(const op& operation, std::int32_t result) noexcept
{
    world_.trace(static_cast<std::uint64_t>(world_.now().count()));
    world_.trace((std::uint64_t{worker_index_} << 32) | static_cast<std::uint64_t>(operation.kind));
    world_.trace((static_cast<std::uint64_t>(static_cast<std::uint32_t>(operation.fd)) << 32) |
                 static_cast<std::uint32_t>(result));
}

bool sim_driver::submit(op& operation) noexcept
{
    ++world_.counters().submitted;
    operation.driver_data = nullptr;
    world_.descriptors().add_operation(operation.fd);
    if (try_inline(operation))
    {
        world_.descriptors().remove_operation(operation.fd);
        return true;
    }
    const std::uint64_t id = ++sequence_;
    pending_operation& entry = pending_[id];
    entry.operation = &operation;
    entry.id = id;
    entry.guard.begin(operation, world_.random().next());
    operation.driver_data = &entry;
    // A ring hands over with the next turn, a readiness loop at once.
    if (world_.random().below(2) == 0)
    {
        begin(entry);
    }
    else
    {
        unflushed_.push_back(id);
    }
    return false;
}

bool sim_driver::try_inline(op& operation)
{
    const bool is_suitable = operation.kind != op_kind::nop && operation.kind != op_kind::connect;
    if (!is_suitable || world_.has_failure(operation.kind) ||
        !world_.draw_fault(world_.faults().inline_completions, 4))
    {
        return false;
    }
    const auto target =
        sim::uses_description(operation) ? world_.descriptors().find(operation.fd) : nullptr;
    sim::staged_output output;
    bool connect_begun = false;
    const auto result = sim::perform(world_, operation, target, connect_begun, output, buffers_);
    if (!result.has_value())
    {
        return false;
    }
    output.deliver(operation);
    operation.result = *result;
    ++world_.counters().completed_inline;
    trace_completion(operation, *result);
    return true;
}

void sim_driver::flush()
{
    for (const std::uint64_t id : std::exchange(unflushed_, {}))
    {
        pending_operation* const entry = find(id);
        if (entry != nullptr && entry->now == phase::queued)
        {
            begin(*entry);
        }
    }
}

void sim_driver::begin(pending_operation& entry)
{
    const op& operation = *entry.operation;
    entry.now = phase::started;
    if (sim::uses_description(operation))
    {
        entry.target = world_.descriptors().find(operation.fd);
    }
    const auto delay =
        operation.kind == op_kind::nop ? std::chrono::nanoseconds::zero() : world_.draw_delay();
    if (delay == std::chrono::nanoseconds::zero())
    {
        attempt(entry);
        return;
    }
    after(delay, [id = entry.id](sim_driver& self) {
        if (pending_operation* const found = self.find(id))
        {
            self.attempt(*found);
        }
    });
}

void sim_driver::attempt_later(std::uint64_t id)
{
    after(world_.draw_delay(), [id](sim_driver& self) {
        if (pending_operation* const found = self.find(id))
        {
            self.attempt(*found);
        }
    });
}

/// True: the attempt has failed as a test asked for it.
bool sim_driver::fail_as_injected(pending_operation& entry)
{
    const op_kind kind = entry.operation->kind;
    const int error = world_.take_failure(kind);
    if (error == 0)
    {
        return false;
    }
    if (kind == op_kind::close)
    {
        // The descriptor is gone whatever the result says.
        const std::int32_t closed = world_.close(entry.operation->fd, 1);
        world_.descriptors().remove_operation(entry.operation->fd);
        set_result(entry, closed < 0 || error == EINTR ? closed : -error);
        return true;
    }
    const bool is_interrupted = error == EINTR;
    // A read that memory cannot serve goes to a thread.
    const bool may_wait = sim::may_wait(kind) || kind == op_kind::read_at;
    const bool is_not_ready = error == EAGAIN && may_wait && kind != op_kind::connect;
    const bool is_dead_connection = error == ECONNABORTED && kind == op_kind::accept;
    if (is_interrupted || is_not_ready || is_dead_connection)
    {
        attempt_later(entry.id);
    }
    else
    {
        set_result(entry, -error);
    }
    return true;
}

void sim_driver::attempt(pending_operation& entry)
{
    if (entry.now != phase::started)
    {
        return;
    }
    op& operation = *entry.operation;
    report(operation, entry.guard.stir(operation, world_.random().next()));
    if (fail_as_injected(entry))
    {
        return;
    }
    const auto result =
        sim::perform(world_, operation, entry.target, entry.connect_begun, entry.staged, buffers_);
    if (result.has_value())
    {
        if (operation.kind == op_kind::close)
        {
            // The number may be handed out again before the result is delivered, and whoever gets
            // it may close it: this operation is none of theirs.
            world_.descriptors().remove_operation(operation.fd);
        }
        set_result(entry, *result);
        return;
    }
    entry.now = phase::waiting;
    if (entry.target != nullptr)
    {
        entry.target->waiting.push_back({worker_index_, entry.id});
    }
}

void sim_driver::look_again(std::uint64_t id)
{
    pending_operation* const entry = find(id);
    if (entry == nullptr || entry->now != phase::waiting)
    {
        return;
    }
    entry->now = phase::started;
    // Never at once: this is called from within other operations.
    attempt_later(id);
}

void sim_driver::set_result(pending_operation& entry, std::int32_t result)
{
    entry.now = phase::performed;
    entry.result = result;
    const auto delay = entry.operation->kind == op_kind::nop ? std::chrono::nanoseconds::zero()
                                                             : world_.draw_delay();
    if (delay == std::chrono::nanoseconds::zero())
    {
        due_.push_back({entry.id, nullptr});
        return;
    }
    after(delay, [id = entry.id](sim_driver& self) { self.due_.push_back({id, nullptr}); });
}

void sim_driver::deliver(std::uint64_t id, ready_list& ready)
{
    pending_operation* const entry = find(id);
    if (entry == nullptr)
    {
        return; // went with the cancel request that ended it
    }
    op& operation = *entry->operation;
    const std::int32_t result = entry->result;
    report(operation, entry->guard.check(operation));
    entry->staged.deliver(operation);
    world_.counters().cancel_notice_last += entry->cancel_pending ? 1 : 0;
    ++world_.counters().completed_later;
    trace_completion(operation, result);
    operation.driver_data = nullptr;
    if (operation.kind != op_kind::close)
    {
        world_.descriptors().remove_operation(operation.fd);
    }
    // Letting go of the description may close it, which other operations get to know.
    pending_.erase(id);
    finish(operation, result, ready);
}

void sim_driver::poll(ready_list& ready) noexcept
{
    // acquire pairs with wake(): what was done before it is visible to whoever polled.
    (void)woken_.exchange(false, std::memory_order_acquire);
    flush();
    std::vector<due_notice> batch = std::exchange(due_, {});
    if (world_.faults().reordered_batches)
    {
        for (std::size_t left = batch.size(); left > 1; --left)
        {
            std::swap(batch[left - 1], batch[world_.random().below(left)]);
        }
    }
    if (batch.size() > 1 && world_.draw_fault(world_.faults().partial_batches, 3))
    {
        const auto kept = batch.begin() + 1 +
                          static_cast<std::ptrdiff_t>(world_.random().below(batch.size() - 1));
        due_.assign(kept, batch.end());
        batch.erase(kept, batch.end());
    }
    for (const due_notice& notice : batch)
    {
        if (notice.cancelled != nullptr)
        {
            finish_cancel(*notice.cancelled, ready);
        }
        else
        {
            deliver(notice.id, ready);
        }
    }
}

void sim_driver::wait(ready_list& ready, std::optional<std::chrono::nanoseconds> timeout) noexcept
{
    (void)timeout;
    poll(ready);
}

void sim_driver::wake() noexcept
{
    woken_.store(true, std::memory_order_release); // pairs with poll() and is_woken()
    // Acquire: partner is the release in descriptor(). A wake-up that misses the descriptor comes
    // before it, and then the loop's first call finds what it was for.
    if (loop_fd_.load(std::memory_order_acquire) >= 0)
    {
        call_again();
    }
}

result<int> sim_driver::descriptor() noexcept
{
    if (loop_fd_.load(std::memory_order_relaxed) < 0)
    {
        const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0)
        {
            return fail(error_from_kernel(-errno));
        }
        loop_fd_.store(fd, std::memory_order_release);
    }
    return loop_fd_.load(std::memory_order_relaxed);
}

/// Only makes the descriptor unreadable; what comes after that makes it readable again.
bool sim_driver::rest(ready_list& /*ready*/,
                      std::optional<std::chrono::nanoseconds> /*until*/) noexcept
{
    std::uint64_t count = 0;
    static_cast<void>(::read(loop_fd_.load(std::memory_order_relaxed), &count, sizeof count));
    return !has_work();
}

void sim_driver::end_rest(ready_list& /*ready*/) noexcept {}

void sim_driver::call_again() noexcept
{
    const std::uint64_t one = 1;
    while (::write(loop_fd_.load(std::memory_order_relaxed), &one, sizeof one) < 0 &&
           errno == EINTR)
    {
    }
}

bool sim_driver::has_work() const noexcept
{
    // Woken counts: the simulation gives such a worker turns until it polls, and it polls only when
    // there is work.
    return !due_.empty() || !unflushed_.empty() || is_woken();
}

std::uint64_t sim_driver::in_flight() const noexcept
{
    return pending_.size();
}

void sim_driver::cancel(op& operation, ready_list& ready) noexcept
{
    ++cancels_pending_;
    const auto* const entry = static_cast<const pending_operation*>(operation.driver_data);
    const std::uint64_t id = entry == nullptr ? 0 : entry->id;
    if (world_.draw_fault(world_.faults().late_cancels, 3))
    {
        // The request is under way itself; the operation may end before it is looked at.
        after(world_.draw_delay(),
              [id, &operation](sim_driver& self) { self.process_cancel(id, operation, nullptr); });
        return;
    }
    process_cancel(id, operation, &ready);
}

void sim_driver::process_cancel(std::uint64_t id, op& operation, ready_list* ready)
{
    if (pending_operation* const entry = find(id))
    {
        entry->cancel_pending = true;
        cancel_pending(*entry, ready);
    }
    else
    {
        ++world_.counters().cancel_after_finish;
    }
    end_cancel(operation, ready);
}

bool sim_driver::is_unstoppable(const pending_operation& entry)
{
    switch (entry.operation->kind)
    {
    case op_kind::close: return true; // the descriptor is gone whatever happens
    case op_kind::read_at:
    case op_kind::write_at:
    case op_kind::sync:
    case op_kind::open:
    case op_kind::stat:
    case op_kind::read_directory:
    case op_kind::rename:
    case op_kind::unlink:
    case op_kind::make_directory:
        return entry.now == phase::started && world_.draw_fault(world_.faults().late_cancels, 2);
    case op_kind::nop:
    case op_kind::accept:
    case op_kind::connect:
    case op_kind::recv:
    case op_kind::recv_leased:
    case op_kind::send:
    case op_kind::read:
    case op_kind::write:
    case op_kind::poll: break;
    }
    return false;
}

void sim_driver::cancel_pending(pending_operation& entry, ready_list* ready)
{
    sim_statistics& counters = world_.counters();
    if (entry.now == phase::performed)
    {
        ++counters.cancel_met_result;
        return;
    }
    if (is_unstoppable(entry))
    {
        ++counters.cancel_not_possible;
        return;
    }
    const bool is_under_way = entry.now != phase::queued &&
                              (entry.operation->kind != op_kind::connect || entry.connect_begun);
    if (is_under_way && world_.draw_fault(world_.faults().late_cancels, 2))
    {
        // The operation gets its turn just before the request does.
        const auto result = sim::perform(world_, *entry.operation, entry.target,
                                         entry.connect_begun, entry.staged, buffers_);
        if (result.has_value())
        {
            ++counters.cancel_met_success;
            set_result(entry, *result);
            return;
        }
    }
    ++counters.cancel_took_effect;
    if (ready != nullptr && world_.random().below(3) == 0)
    {
        entry.now = phase::performed;
        entry.result = -ECANCELED;
        deliver(entry.id, *ready);
        return;
    }
    set_result(entry, -ECANCELED);
}

void sim_driver::end_cancel(op& operation, ready_list* ready)
{
    if (ready != nullptr && world_.random().below(2) == 0)
    {
        finish_cancel(operation, *ready);
        return;
    }
    after(world_.draw_delay(),
          [&operation](sim_driver& self) { self.due_.push_back({0, &operation}); });
}

void sim_driver::finish_cancel(op& operation, ready_list& ready)
{
    --cancels_pending_;
    if (auto* const entry = static_cast<pending_operation*>(operation.driver_data))
    {
        entry->cancel_pending = false;
        ++world_.counters().cancel_notice_first;
    }
    world_.trace(static_cast<std::uint64_t>(world_.now().count()));
    cancel_finish(operation, ready);
}

} // namespace blitzio::detail
