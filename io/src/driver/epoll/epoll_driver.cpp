// The submitting half of the epoll driver: trying, parking, registering, cancelling, forgetting.
// Thread rule: as in the header.
#include "driver/epoll/epoll_driver.hpp"

#include "driver/epoll/epoll_support.hpp"

#include <blitzio/io/detail/assert.hpp>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace blitzio::detail
{

namespace
{

constexpr std::uint32_t all_events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;

std::int32_t control(int epoll_fd, int command, int fd, std::uint64_t tag) noexcept
{
    epoll_event event{};
    event.events = all_events;
    event.data.u64 = tag;
    return epoll_ctl(epoll_fd, command, fd, &event) == 0 ? 0 : -errno;
}

bool is_tcp(int fd) noexcept
{
    int protocol = 0;
    socklen_t size = sizeof protocol;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
           protocol == IPPROTO_TCP;
}

wait_slot slot_of(op_interest interest) noexcept
{
    BLITZIO_ASSERT(interest != op_interest::none && interest != op_interest::blocking);
    return interest == op_interest::read    ? wait_slot::read
           : interest == op_interest::write ? wait_slot::write
                                            : wait_slot::any;
}

/// These are tried although others wait: a connect must be started by somebody, and waiting for
/// readiness takes nothing away from those who came first.
bool ignores_queue(const op& operation) noexcept
{
    return operation.kind == op_kind::connect || operation.kind == op_kind::poll;
}

/// Finds out once per descriptor whether its calls may block. False: operation.result says why it
/// cannot be used.
bool settle_mode(op& operation, descriptor_state& descriptor) noexcept
{
    const op_kind kind = operation.kind;
    const bool on_socket = kind == op_kind::accept || kind == op_kind::connect;
    if (!on_socket && kind != op_kind::read && kind != op_kind::write)
    {
        return true;
    }
    descriptor_mode mode = descriptor.mode.load(std::memory_order_relaxed);
    if (mode == descriptor_mode::unknown)
    {
        mode = mode_of(operation.fd, operation.result);
        if (mode == descriptor_mode::unknown)
        {
            return false;
        }
    }
    if (on_socket && mode == descriptor_mode::blocking)
    {
        // A socket that the program brought along. Nothing else has a call that does not wait.
        operation.result = make_non_blocking(operation.fd);
        if (operation.result < 0)
        {
            return false;
        }
        mode = descriptor_mode::non_blocking;
    }
    descriptor.mode.store(mode, std::memory_order_relaxed);
    return true;
}

/// The last receive left nothing behind and no edge has come since: another one would only say
/// EAGAIN. The caller holds the mutex. True for TCP only: a receive from other sockets may also be
/// short because of a message boundary, and urgent data makes one there too.
bool is_known_empty(const op& operation, const descriptor_state& descriptor) noexcept
{
    return (operation.kind == op_kind::recv || operation.kind == op_kind::recv_leased) &&
           operation.expect_wait && descriptor.owner != nullptr &&
           !descriptor.short_read_proves_nothing &&
           descriptor.drained_at.load(std::memory_order_relaxed) ==
               descriptor.edge_count(wait_slot::read);
}

/// What a leased read that has just succeeded could have given.
std::size_t leased_length(const op& operation) noexcept
{
    const auto& args = operation.args.lease;
    return args.length == 0 ? args.out->capacity
                            : std::min<std::size_t>(args.length, args.out->capacity);
}

} // namespace

std::int32_t attempt(op& operation, descriptor_state& descriptor, worker_buffers& buffers) noexcept
{
    switch (operation.kind)
    {
    case op_kind::connect:
    {
        if ((operation.driver_flags & flag_connect_started) != 0)
        {
            return continue_connect(operation);
        }
        const std::int32_t result = perform(operation);
        if (result == -EINPROGRESS)
        {
            operation.driver_flags |= flag_connect_started;
        }
        return result;
    }
    case op_kind::read:
    case op_kind::write:
        return descriptor.mode.load(std::memory_order_relaxed) == descriptor_mode::blocking
                   ? perform_gated(operation)
                   : perform(operation);
    case op_kind::recv:
    {
        const std::uint32_t edges = descriptor.edge_count(wait_slot::read);
        const std::int32_t result = perform(operation);
        if (result > 0 && static_cast<std::size_t>(result) < operation.args.transfer.length)
        {
            descriptor.drained_at.store(edges, std::memory_order_relaxed);
        }
        return result;
    }
    case op_kind::recv_leased:
    {
        const std::uint32_t edges = descriptor.edge_count(wait_slot::read);
        const std::int32_t result = perform_leased(operation, buffers);
        if (result > 0 && static_cast<std::size_t>(result) < leased_length(operation))
        {
            descriptor.drained_at.store(edges, std::memory_order_relaxed);
        }
        return result;
    }
    case op_kind::accept:
    case op_kind::send:
    case op_kind::poll: return perform(operation);
    case op_kind::nop:
    case op_kind::read_at:
    case op_kind::write_at:
    case op_kind::sync:
    case op_kind::open:
    case op_kind::close:
    case op_kind::stat:
    case op_kind::read_directory:
    case op_kind::rename:
    case op_kind::unlink:
    case op_kind::make_directory: break;
    }
    BLITZIO_ASSERT(false);
    return -ENOSYS;
}

std::int32_t epoll_driver::step(op& operation, descriptor_state& descriptor) noexcept
{
    count_entry();
    return attempt(operation, descriptor, buffers_);
}

result<std::unique_ptr<epoll_driver>> epoll_driver::create(descriptor_table& table,
                                                           blocking_pool* file_pool,
                                                           const read_buffer_options& read_buffers)
{
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
    {
        return std::unexpected(error_from_kernel(-errno));
    }
    const int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    // Edge-triggered: each write is an edge of its own, so nobody ever has to read the counter.
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = wake_tag;
    if (wake_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &event) != 0)
    {
        const int error = errno;
        ::close(epoll_fd);
        if (wake_fd >= 0)
        {
            ::close(wake_fd);
        }
        return std::unexpected(error_from_kernel(-error));
    }
    return std::unique_ptr<epoll_driver>(
        new epoll_driver(table, file_pool, read_buffers, epoll_fd, wake_fd));
}

epoll_driver::epoll_driver(descriptor_table& table, blocking_pool* file_pool,
                           const read_buffer_options& read_buffers, int epoll_fd,
                           int wake_fd) noexcept
    : table_(table), epoll_fd_(epoll_fd), wake_fd_(wake_fd), buffers_(read_buffers),
      offload_(
          file_pool, [](void* self) noexcept { static_cast<epoll_driver*>(self)->wake(); }, this)
{
}

epoll_driver::~epoll_driver()
{
    BLITZIO_ASSERT(in_flight() == 0);
    // A rest may still be going on, for whose end there was no reason.
    ready_list none;
    offload_.collect(none);
    BLITZIO_ASSERT(none.empty());
    // A pool thread may be about to write to the eventfd that is closed here.
    offload_.await_wakes();
    // Descriptors may live longer than the driver that polls them; the next one that has to wait
    // for them registers them anew.
    table_.for_each([this](int fd, descriptor_state& descriptor) noexcept {
        const std::lock_guard lock(descriptor.mutex);
        if (descriptor.owner == this)
        {
            BLITZIO_ASSERT(!descriptor.has_any_waiting());
            unregister(fd, descriptor);
        }
    });
    ::close(wake_fd_);
    ::close(epoll_fd_);
}

bool epoll_driver::submit(op& operation) noexcept
{
    operation.driver_flags = route_none;
    operation.driver_data = nullptr;
    const op_interest interest = interest_of(operation.kind);
    switch (interest)
    {
    case op_interest::none:
        operation.driver_flags = route_turn;
        turn_list_.push(operation);
        return false;
    case op_interest::blocking: return submit_blocking(operation);
    case op_interest::read:
    case op_interest::write:
    case op_interest::any: return submit_pollable(operation, slot_of(interest));
    }
    operation.result = -ENOSYS;
    return true;
}

bool epoll_driver::submit_blocking(op& operation) noexcept
{
    if (operation.kind == op_kind::read_at)
    {
        // Most reads find their data in memory; then a thread would cost more than the copy.
        count_entry();
        operation.result = read_at_cached(operation);
        if (operation.result == -ESPIPE)
        {
            return submit_stream(operation, op_kind::read);
        }
        if (operation.result != -EAGAIN)
        {
            return true;
        }
    }
    if (operation.kind == op_kind::write_at && is_stream(operation.fd))
    {
        return submit_stream(operation, op_kind::write);
    }
    if (operation.kind == op_kind::close)
    {
        std::int32_t ignored = 0;
        descriptor_mode mode = forget(table_, operation.fd);
        if (mode == descriptor_mode::unknown)
        {
            mode = mode_of(operation.fd, ignored);
        }
        if (mode != descriptor_mode::file)
        {
            count_entry();
            operation.result = perform(operation);
            return true;
        }
    }
    return hand_to_pool(operation);
}

/// A pipe or terminal has no positions: as with a ring, the offset means nothing there. Sockets
/// insist on 0.
bool epoll_driver::submit_stream(op& operation, op_kind kind) noexcept
{
    if (operation.args.transfer.offset != 0 && is_socket(operation.fd))
    {
        operation.result = -ESPIPE;
        return true;
    }
    operation.kind = kind;
    return submit_pollable(operation, slot_of(interest_of(kind)));
}

bool epoll_driver::hand_to_pool(op& operation) noexcept
{
    operation.driver_flags = route_offloaded;
    if (offload_.start(operation))
    {
        return false;
    }
    operation.driver_flags = route_none;
    if (operation.kind == op_kind::close && offload_.has_pool())
    {
        // The pool has refused, but the contract says that the descriptor is gone: better to block
        // here than to leak it.
        operation.result = perform(operation);
    }
    return true;
}

bool epoll_driver::submit_pollable(op& operation, wait_slot slot) noexcept
{
    descriptor_state* const descriptor = table_.find_or_create(operation.fd);
    if (descriptor == nullptr)
    {
        operation.result = operation.fd < 0 ? -EBADF : -ENOMEM;
        return true;
    }
    if (!settle_mode(operation, *descriptor))
    {
        return true;
    }
    if ((operation.kind == op_kind::read || operation.kind == op_kind::write) &&
        descriptor->mode.load(std::memory_order_relaxed) == descriptor_mode::file)
    {
        return hand_to_pool(operation);
    }
    if (operation.expect_wait || (descriptor->has_waiting(slot) && !ignores_queue(operation)))
    {
        return park(operation, *descriptor, slot, false, 0);
    }
    const std::uint32_t edges_seen = descriptor->edge_count(slot);
    const std::int32_t result = step(operation, *descriptor);
    if (is_full_backlog(operation, result))
    {
        retry_later(operation);
        return false;
    }
    if (!would_block(operation.kind, result))
    {
        operation.result = result;
        return true;
    }
    return park(operation, *descriptor, slot, true, edges_seen);
}

/// `tried`: the operation would have blocked when the edges stood at `edges_seen`. Once the mutex is
/// released the operation may be completed, continued and gone: nothing of it is touched after that.
bool epoll_driver::park(op& operation, descriptor_state& descriptor, wait_slot slot, bool tried,
                        std::uint32_t edges_seen) noexcept
{
    const std::lock_guard lock(descriptor.mutex);
    if (!tried && is_known_empty(operation, descriptor))
    {
        tried = true;
        edges_seen = descriptor.edge_count(slot);
    }
    // Under the mutex the edges stand still, so this happens once at the most. Behind others there
    // is nothing to try: the oldest of them has, and waits for the next edge.
    if ((descriptor.queue(slot).empty() || ignores_queue(operation)) &&
        !(tried && edges_seen == descriptor.edge_count(slot)))
    {
        const std::int32_t result = step(operation, descriptor);
        if (!would_block(operation.kind, result))
        {
            operation.result = result;
            return true;
        }
    }
    operation.result = ensure_registered(operation.fd, descriptor, slot);
    if (operation.result < 0)
    {
        return true;
    }
    operation.driver_flags |= route_parked;
    operation.driver_data = this;
    ++parked_;
    descriptor.queue(slot).push(operation);
    descriptor.update_mask(slot);
    return false;
}

/// The mutex is held. Readiness that came before the registration is reported as its first edge.
std::int32_t epoll_driver::ensure_registered(int fd, descriptor_state& descriptor,
                                             wait_slot slot) noexcept
{
    if (descriptor.owner != nullptr)
    {
        if (slot != wait_slot::any)
        {
            return 0;
        }
        // Readiness is asked for on descriptors of other libraries, which close them without a
        // word; the kernel then forgets them, and a new one may have the same number by now.
        // Modifying is how to learn that, and it reports what is ready now as an edge.
        const int epoll_fd = descriptor.owner->epoll_fd_;
        const std::uint64_t tag = event_tag(fd, descriptor.generation);
        count_entry();
        const std::int32_t known = control(epoll_fd, EPOLL_CTL_MOD, fd, tag);
        if (known != -ENOENT)
        {
            return known;
        }
        descriptor.mode.store(descriptor_mode::unknown, std::memory_order_relaxed);
        descriptor.short_read_proves_nothing = true;
        return control(epoll_fd, EPOLL_CTL_ADD, fd, tag);
    }
    const std::uint64_t tag = event_tag(fd, descriptor.generation);
    count_entry();
    const std::int32_t result = control(epoll_fd_, EPOLL_CTL_ADD, fd, tag);
    if (result < 0)
    {
        return result;
    }
    descriptor.owner = this;
    descriptor.short_read_proves_nothing = !is_tcp(fd);
    registered_.fetch_add(1, std::memory_order_relaxed);
    return 0;
}

void epoll_driver::cancel(op& operation, ready_list& ready) noexcept
{
    switch (operation.driver_flags & route_mask)
    {
    case route_parked: cancel_parked(operation, ready); break;
    case route_retry: cancel_retry(operation, ready); break;
    case route_offloaded:
        // A close is never taken back: the descriptor would stay open with nobody to know it.
        if (operation.kind != op_kind::close && offload_.try_cancel(operation))
        {
            finish(operation, -ECANCELED, ready);
        }
        break;
    default: break; // over already, or about to be
    }
    cancel_finish(operation, ready);
}

void epoll_driver::cancel_parked(op& operation, ready_list& ready) noexcept
{
    // An operation that has completed may name a descriptor that is somebody else's by now; the
    // state of that number is still the one whose mutex guards driver_data.
    descriptor_state& descriptor = *table_.find(operation.fd);
    const std::lock_guard lock(descriptor.mutex);
    if (operation.driver_data == nullptr)
    {
        return;
    }
    BLITZIO_ASSERT(operation.driver_data == this);
    const wait_slot slot = slot_of(interest_of(operation.kind));
    descriptor.queue(slot).remove(operation);
    descriptor.update_mask(slot);
    operation.driver_data = nullptr;
    ++unparked_here_;
    finish(operation, -ECANCELED, ready);
}

std::uint64_t epoll_driver::in_flight() const noexcept
{
    const std::uint64_t left = unparked_here_ + unparked_elsewhere_.load(std::memory_order_acquire);
    return parked_ - left + offload_.in_flight() + turn_list_.count + retry_count_;
}

descriptor_mode epoll_driver::forget(descriptor_table& table, int fd) noexcept
{
    descriptor_state* const descriptor = table.find(fd);
    if (descriptor == nullptr)
    {
        return descriptor_mode::unknown;
    }
    const std::lock_guard lock(descriptor->mutex);
    BLITZIO_ASSERT(!descriptor->has_any_waiting());
    if (descriptor->has_any_waiting())
    {
        descriptor->owner->abandon_waiting(*descriptor);
    }
    const bool pollable = descriptor->owner != nullptr;
    if (pollable)
    {
        descriptor->owner->unregister(fd, *descriptor);
    }
    descriptor->drained_at.store(descriptor_state::no_edge_count, std::memory_order_relaxed);
    const descriptor_mode mode =
        descriptor->mode.exchange(descriptor_mode::unknown, std::memory_order_relaxed);
    return pollable && mode == descriptor_mode::unknown ? descriptor_mode::non_blocking : mode;
}

/// The mutex is held.
void epoll_driver::unregister(int fd, descriptor_state& descriptor) noexcept
{
    // The close that follows would do it too, but not while a forked child holds a copy. Failing
    // means that it is not registered, which is all that is asked for.
    static_cast<void>(control(epoll_fd_, EPOLL_CTL_DEL, fd, 0));
    registered_.fetch_sub(1, std::memory_order_relaxed);
    descriptor.owner = nullptr;
    ++descriptor.generation;
    descriptor.short_read_proves_nothing = true;
}

/// The mutex is held, this is the owner. Only reached when the program closes what it waits for.
void epoll_driver::abandon_waiting(descriptor_state& descriptor) noexcept
{
    for (const wait_slot slot : {wait_slot::read, wait_slot::write, wait_slot::any})
    {
        op_queue& queue = descriptor.queue(slot);
        while (!queue.empty())
        {
            op& operation = *queue.front();
            queue.pop_front();
            auto* const home =
                static_cast<epoll_driver*>(std::exchange(operation.driver_data, nullptr));
            home->unparked_elsewhere_.fetch_add(1, std::memory_order_release);
            static_cast<void>(abandoned_.push(&operation));
        }
        descriptor.update_mask(slot);
    }
    wake();
}

} // namespace blitzio::detail
