// Stop requests: an in-place stop source, its tokens and its callbacks.
//
// A stop_source lives inside the frame that may want to stop its children; nothing is allocated and
// nothing is reference counted. Tokens are pointers to the source. A stop_callback is a list node
// inside the frame that wants to hear of the request.
//
// Lifetime: a source outlives its tokens' use, its callbacks (including a callback destructor that
// is still running) and every running request_stop().
//
// Threading rule: request_stop, the token's questions and the construction and destruction of
// callbacks may happen on any thread at any time. One callback object is constructed and destroyed
// by one owner. A callback runs on the thread that requests the stop, or on the constructing thread
// when the stop had been requested already.
#pragma once

#include <blitzio/io/detail/atomics.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

namespace blitzio
{

// Why a stop was requested. The first reason given to a source stays.
enum class stop_reason : std::uint8_t
{
    none,     // no stop was requested
    user,     // somebody asked for it
    deadline, // a timeout or a deadline ran out
    sibling,  // another child of the same scope failed or won
    shutdown, // the runtime is going down
};

namespace detail
{

template <class Atomics>
class basic_stop_source;

template <class Atomics>
class basic_stop_token;

// The part of a stop callback that the source links and runs. Every member is guarded by the
// source's lock once the node was handed to it.
template <class Atomics>
class stop_callback_node
{
protected:
    using invoke_function = void (*)(stop_callback_node*) noexcept;

    explicit stop_callback_node(invoke_function invoke) noexcept : invoke_(invoke) {}

    stop_callback_node(const stop_callback_node&) = delete;
    stop_callback_node& operator=(const stop_callback_node&) = delete;
    ~stop_callback_node() = default;

private:
    friend class basic_stop_source<Atomics>;

    invoke_function invoke_;
    stop_callback_node* next_ = nullptr;
    // The pointer that points to this node; null when the node is in no list.
    stop_callback_node** link_ = nullptr;
};

// Invariants, all about what the lock bit of state_ guards:
//   I1  a node is in the list exactly while its link_ is not null. The list begins at first_ until
//       the stop is requested, and from then on behind the drain;
//   I2  first_ names the drain from the request, if there was a callback then, until the list is
//       empty and the last call has returned; after that it is null. The drain is on the stack of
//       request_stop, so nobody looks at it but under the lock, by way of first_;
//   I3  whoever finds the drain, finds in its `running` the callback that request_stop is inside of
//       or is about to return from: it is set together with taking that node off the list;
//   I4  after stop_requested_bit is set no node enters the list.
// Why a destroyed callback is never touched: request_stop touches a node only under the lock while
// it is listed, and then through the one invoke. deregister_callback() leaves only when the node is
// unlisted and `running` does not name it, or when this very thread is inside the callback; in the
// latter case request_stop does not look at the node again. `running` is a pointer that is only
// compared, and no other callback has that address, because this one's owner is still in here.
// Why what first_ leads to in deregister_callback() is the drain: a node that was listed once and
// is not anymore was taken off by request_stop, which is after the request.
// Why no callback is missed: a registration takes the lock either before the stop bit is set (the
// same atomic), and is then in the list that request_stop drains, or sees the bit and runs inline.
template <class Atomics>
class basic_stop_source
{
public:
    using node = stop_callback_node<Atomics>;

    basic_stop_source() noexcept = default;
    basic_stop_source(const basic_stop_source&) = delete;
    basic_stop_source& operator=(const basic_stop_source&) = delete;

    ~basic_stop_source()
    {
        Atomics::expect(first_ == nullptr);
    }

    // Requests the stop and runs all callbacks on this thread, newest first, before it returns.
    // Returns true for the one call that made the request; later calls change nothing, not even the
    // reason. stop_reason::none counts as stop_reason::user.
    bool request_stop(stop_reason reason = stop_reason::user) noexcept
    {
        const std::uint32_t request = stop_requested_bit | encode(reason);
        if (!try_lock(request))
        {
            return false;
        }
        if (Atomics::load_plain(first_) != nullptr)
        {
            run_callbacks();
        }
        unlock();
        return true;
    }

    [[nodiscard]] basic_stop_token<Atomics> get_token() const noexcept;

    // Acquire: partner is the release in request_stop's unlock (and its lock's compare-exchange),
    // so what was written before the request is visible to whoever sees it.
    [[nodiscard]] bool stop_requested() const noexcept
    {
        return (state_.load(std::memory_order_acquire) & stop_requested_bit) != 0;
    }

    // stop_reason::none until a stop is requested. Acquire: as in stop_requested().
    [[nodiscard]] stop_reason reason() const noexcept
    {
        return static_cast<stop_reason>(state_.load(std::memory_order_acquire) >> reason_shift);
    }

    // For callbacks only. Lists the node; false when the stop was requested already, then the
    // caller runs the callback itself.
    [[nodiscard]] bool register_callback(node& added) noexcept
    {
        if (!try_lock(0))
        {
            return false;
        }
        node* const first = Atomics::load_plain(first_);
        Atomics::store_plain(added.next_, first);
        Atomics::store_plain(added.link_, &first_);
        if (first != nullptr)
        {
            Atomics::store_plain(first->link_, &added.next_);
        }
        Atomics::store_plain(first_, &added);
        unlock();
        return true;
    }

    // For callbacks only. Returns when the callback will never run and is not running elsewhere; a
    // callback may deregister itself from within.
    void deregister_callback(node& removed) noexcept
    {
        lock();
        if (Atomics::load_plain(removed.link_) != nullptr)
        {
            unlink(&removed);
            unlock();
            return;
        }
        std::uint32_t round = 0;
        while (is_running_elsewhere(removed))
        {
            // request_stop needs the lock to say that the call has ended.
            unlock();
            Atomics::back_off(round++);
            lock();
        }
        unlock();
    }

private:
    // What only a running request_stop() needs. It stands before the callbacks that are still to
    // be called: its next_ is the first of them.
    struct drain : node
    {
        drain() noexcept : node(nullptr) {}

        const node* running = nullptr;
        typename Atomics::thread_id thread{};
    };

    static constexpr std::uint32_t locked_bit = 1;
    static constexpr std::uint32_t stop_requested_bit = 2;
    static constexpr std::uint32_t reason_shift = 2;

    static constexpr std::uint32_t encode(stop_reason reason) noexcept
    {
        const auto given = reason == stop_reason::none ? stop_reason::user : reason;
        return static_cast<std::uint32_t>(given) << reason_shift;
    }

    void lock() noexcept
    {
        std::uint32_t round = 0;
        std::uint32_t seen = state_.load(std::memory_order_relaxed);
        for (;;)
        {
            // Acquire: partner is the release in unlock().
            if ((seen & locked_bit) == 0 &&
                state_.compare_exchange_weak(seen, seen | locked_bit, std::memory_order_acquire,
                                             std::memory_order_relaxed))
            {
                return;
            }
            if ((seen & locked_bit) != 0)
            {
                Atomics::back_off(round++);
                seen = state_.load(std::memory_order_relaxed);
            }
        }
    }

    // Takes the lock and sets `request` in one step; false, without the lock, after a stop request.
    [[nodiscard]] bool try_lock(std::uint32_t request) noexcept
    {
        std::uint32_t round = 0;
        // Acquire, here and on failure: partner is the release of the call that set the stop bit; a
        // callback that runs inline sees what was written before the request.
        std::uint32_t seen = state_.load(std::memory_order_acquire);
        for (;;)
        {
            if ((seen & stop_requested_bit) != 0)
            {
                return false;
            }
            // Acquire: partner is the release in unlock(). Release: partner is the acquire of
            // stop_requested(), which may see the bit while the lock is still held.
            if ((seen & locked_bit) == 0 &&
                state_.compare_exchange_weak(seen, seen | locked_bit | request,
                                             std::memory_order_acq_rel, std::memory_order_acquire))
            {
                return true;
            }
            if ((seen & locked_bit) != 0)
            {
                Atomics::back_off(round++);
                seen = state_.load(std::memory_order_acquire);
            }
        }
    }

    void unlock() noexcept
    {
        // The holder is the only writer of state_, so a load and a store suffice. Release: partner
        // is the acquire of lock() and try_lock().
        const std::uint32_t held = state_.load(std::memory_order_relaxed);
        state_.store(held & ~locked_bit, std::memory_order_release);
    }

    // Called and left with the lock, which is free during each callback. The list is not empty.
    void run_callbacks() noexcept
    {
        drain now;
        node* const first = Atomics::load_plain(first_);
        Atomics::store_plain(now.next_, first);
        Atomics::store_plain(first->link_, &now.next_);
        Atomics::store_plain(now.thread, Atomics::current_thread());
        Atomics::store_plain(first_, &now);
        while (node* next = Atomics::load_plain(now.next_))
        {
            unlink(next);
            const auto invoke = Atomics::load_plain(next->invoke_);
            Atomics::store_plain(now.running, next);
            unlock();
            invoke(next);
            // `next` may be gone from here on. What the callback did happens before the return of
            // the deregister_callback() that waits for it, because that finds the next callback or
            // no drain, under the lock.
            lock();
        }
        Atomics::store_plain(first_, nullptr);
    }

    // With the lock, about a node that request_stop took off the list.
    [[nodiscard]] bool is_running_elsewhere(const node& asked) const noexcept
    {
        const node* const first = Atomics::load_plain(first_);
        if (first == nullptr)
        {
            return false;
        }
        const auto& now = static_cast<const drain&>(*first);
        return Atomics::load_plain(now.running) == &asked &&
               Atomics::load_plain(now.thread) != Atomics::current_thread();
    }

    void unlink(node* removed) noexcept
    {
        node* const next = Atomics::load_plain(removed->next_);
        node** const link = Atomics::load_plain(removed->link_);
        if (next != nullptr)
        {
            Atomics::store_plain(next->link_, link);
        }
        Atomics::store_plain(*link, next);
        Atomics::store_plain(removed->link_, nullptr);
    }

    // The newest callback, or the drain, or null: see I1 and I2. Guarded by locked_bit.
    node* first_ = nullptr;
    // locked_bit | stop_requested_bit | reason << reason_shift; the upper two never change again.
    // Last, so that what comes after a source may use the bytes behind it.
    typename Atomics::template atomic<std::uint32_t> state_{0};
};

template <class Atomics>
class basic_stop_token
{
public:
    // A token without a source never stops.
    constexpr basic_stop_token() noexcept = default;

    explicit constexpr basic_stop_token(const basic_stop_source<Atomics>* source) noexcept
        : source_(source)
    {
    }

    [[nodiscard]] bool stop_requested() const noexcept
    {
        return source_ != nullptr && source_->stop_requested();
    }

    [[nodiscard]] constexpr bool stop_possible() const noexcept
    {
        return source_ != nullptr;
    }

    [[nodiscard]] stop_reason reason() const noexcept
    {
        return source_ == nullptr ? stop_reason::none : source_->reason();
    }

    // For callbacks only: the source to register with, or null.
    [[nodiscard]] basic_stop_source<Atomics>* source() const noexcept
    {
        return const_cast<basic_stop_source<Atomics>*>(source_);
    }

    friend constexpr bool operator==(basic_stop_token, basic_stop_token) noexcept = default;

private:
    const basic_stop_source<Atomics>* source_ = nullptr;
};

template <class Atomics>
basic_stop_token<Atomics> basic_stop_source<Atomics>::get_token() const noexcept
{
    return basic_stop_token<Atomics>(this);
}

template <class Atomics, class Callback>
class basic_stop_callback : private stop_callback_node<Atomics>
{
    using node = stop_callback_node<Atomics>;

    static constexpr bool wants_reason = std::is_invocable_v<Callback&, stop_reason>;
    static_assert(wants_reason || std::is_invocable_v<Callback&>);

public:
    using callback_type = Callback;

    template <class Init>
        requires std::is_constructible_v<Callback, Init>
    explicit basic_stop_callback(basic_stop_token<Atomics> token, Init&& init) noexcept(
        std::is_nothrow_constructible_v<Callback, Init>)
        : node(&basic_stop_callback::invoke), source_(token.source()),
          callback_(std::forward<Init>(init))
    {
        // Last, because the callback may run on another thread before this constructor returns.
        if (source_ != nullptr && !source_->register_callback(*this))
        {
            const stop_reason reason = source_->reason();
            source_ = nullptr;
            call(reason);
        }
    }

    basic_stop_callback(const basic_stop_callback&) = delete;
    basic_stop_callback& operator=(const basic_stop_callback&) = delete;

    ~basic_stop_callback()
    {
        if (source_ != nullptr)
        {
            source_->deregister_callback(*this);
        }
    }

private:
    static void invoke(node* self) noexcept
    {
        auto* const called = static_cast<basic_stop_callback*>(self);
        called->call(called->source_->reason());
    }

    // noexcept: nobody could receive the exception, so it ends the process where it was thrown.
    void call([[maybe_unused]] stop_reason reason) noexcept
    {
        if constexpr (wants_reason)
        {
            std::forward<Callback>(callback_)(reason);
        }
        else
        {
            std::forward<Callback>(callback_)();
        }
    }

    basic_stop_source<Atomics>* source_;
    [[no_unique_address]] Callback callback_;
};

} // namespace detail

// Owns the decision to stop. Neither copied nor moved: tokens point to it.
class stop_source : public detail::basic_stop_source<detail::std_atomics>
{
};

// Asks whether to stop. It is one pointer: copy it freely, pass it by value. A
// default-constructed token never stops and costs a callback nothing.
using stop_token = detail::basic_stop_token<detail::std_atomics>;

// Runs `callback` once when a stop is requested, for as long as the object lives. It takes the
// stop_reason, or nothing.
//
// The callback may run inside this constructor, before it returns. The destructor waits for a
// callback that is running on another thread, and does not wait when it is called by the callback
// itself. A callback is short, does not throw and does not block: it runs on the thread that asked
// for the stop.
template <class Callback>
class [[nodiscard]] stop_callback
    : public detail::basic_stop_callback<detail::std_atomics, Callback>
{
public:
    using detail::basic_stop_callback<detail::std_atomics, Callback>::basic_stop_callback;
};

template <class Callback>
stop_callback(stop_token, Callback) -> stop_callback<Callback>;

} // namespace blitzio
