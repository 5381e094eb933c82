// What scenarios are made of: modelled atomics, plain cells, and a sleeping place. The policy
// `model::atomics` puts the atomics below blitzio's lock-free types.
//
// Threading rule: used by the threads of a scenario, which are fibers of one thread.
#pragma once

#include "checker.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace model
{

[[nodiscard]] constexpr bool acquires(std::memory_order order) noexcept
{
    return order == std::memory_order_acquire || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
}

[[nodiscard]] constexpr bool releases(std::memory_order order) noexcept
{
    return order == std::memory_order_release || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
}

// One atomic object: its last few values, who has seen which of them, and what each one publishes.
class location
{
public:
    explicit location(std::uint64_t initial)
    {
        checker& run = checker::instance();
        record& first = records_[0];
        first = {};
        first.value = initial;
        first.seen[run.current()] = run.clock().at(run.current());
    }

    [[nodiscard]] std::uint64_t load(std::memory_order order)
    {
        checker& run = begin();
        const std::size_t floor = oldest_readable(order == std::memory_order_seq_cst);
        const std::size_t index = newest_ - run.choose_age(newest_ - floor);
        const std::uint64_t value = see(index, order);
        run.trace(index == newest_ ? "load" : "load of an old value", this, value);
        run.advance();
        return value;
    }

    void store(std::uint64_t value, std::memory_order order)
    {
        checker& run = begin();
        append(value, order, {});
        run.trace("store", this, value);
        run.advance();
    }

    // Replaces the newest value by change(value); returns the value before.
    template <class Change>
    std::uint64_t modify(std::memory_order order, Change change)
    {
        checker& run = begin();
        const std::uint64_t before = see(newest_, order);
        // A read-modify-write continues the release sequence it found.
        append(change(before), order, at(newest_).published);
        run.trace("modify", this, at(newest_).value);
        run.advance();
        return before;
    }

    [[nodiscard]] bool exchange_if(std::uint64_t& expected, std::uint64_t desired,
                                   std::memory_order success, std::memory_order failure)
    {
        checker& run = begin();
        if (at(newest_).value != expected)
        {
            expected = see(newest_, failure);
            run.trace("compare-exchange fails on", this, expected);
            run.advance();
            return false;
        }
        see(newest_, success);
        append(desired, success, at(newest_).published);
        run.trace("compare-exchange", this, desired);
        run.advance();
        return true;
    }

    // What the kernel sees below its lock: the newest value, without a step or an ordering.
    [[nodiscard]] std::uint64_t newest() noexcept
    {
        checker::instance().check_alive(this);
        return at(newest_).value;
    }

private:
    static constexpr std::size_t depth = 8;

    struct record
    {
        std::uint64_t value = 0;
        vector_clock published;
        std::array<tick, max_threads> seen{}; // when each thread first knew this value
    };

    [[nodiscard]] checker& begin()
    {
        checker& run = checker::instance();
        run.schedule_point();
        run.check_alive(this);
        return run;
    }

    [[nodiscard]] record& at(std::size_t index) noexcept
    {
        return records_[index % depth];
    }

    // Coherence: whoever knows that somebody has seen a value cannot see an older one.
    [[nodiscard]] std::size_t oldest_readable(bool sequential) noexcept
    {
        const vector_clock& now = checker::instance().clock();
        const std::size_t remembered = newest_ < depth ? 0 : newest_ - depth + 1;
        for (std::size_t index = newest_; index > remembered; --index)
        {
            if (sequential && index <= sequential_)
            {
                return index;
            }
            for (std::size_t thread = 0; thread < max_threads; ++thread)
            {
                const tick when = at(index).seen[thread];
                if (when != 0 && now.covers(thread, when))
                {
                    return index;
                }
            }
        }
        return remembered;
    }

    std::uint64_t see(std::size_t index, std::memory_order order) noexcept
    {
        checker& run = checker::instance();
        record& seen = at(index);
        if (seen.seen[run.current()] == 0)
        {
            seen.seen[run.current()] = run.clock().at(run.current());
        }
        if (acquires(order))
        {
            run.clock().join(seen.published);
        }
        note_sequential(index, order);
        return seen.value;
    }

    void append(std::uint64_t value, std::memory_order order, vector_clock published)
    {
        checker& run = checker::instance();
        if (releases(order))
        {
            published.join(run.clock());
        }
        ++newest_;
        at(newest_) = {.value = value, .published = published, .seen = {}};
        at(newest_).seen[run.current()] = run.clock().at(run.current());
        note_sequential(newest_, order);
        run.note_change();
    }

    void note_sequential(std::size_t index, std::memory_order order) noexcept
    {
        if (order == std::memory_order_seq_cst && index > sequential_)
        {
            sequential_ = index;
        }
    }

    std::array<record, depth> records_;
    std::size_t newest_ = 0;
    std::size_t sequential_ = 0; // the newest value that a seq_cst operation wrote or saw
};

// How a mutant weakens the code under test; this one leaves it as it is written.
struct as_written
{
    static constexpr std::memory_order load(std::memory_order order) noexcept
    {
        return order;
    }
    static constexpr std::memory_order store(std::memory_order order) noexcept
    {
        return order;
    }
    static constexpr std::memory_order modify(std::memory_order order) noexcept
    {
        return order;
    }
    static constexpr bool torn = false;             // a read-modify-write is a load and a store
    static constexpr bool add_zero_is_load = false; // fetch_add(0) is a load
};

template <class T, class Weakening = as_written>
class atomic
{
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));

public:
    atomic() : atomic(T{}) {}
    atomic(T initial) : location_(encode(initial)) {} // implicit, like std::atomic's
    atomic(const atomic&) = delete;
    atomic& operator=(const atomic&) = delete;

    [[nodiscard]] T load(std::memory_order order = std::memory_order_seq_cst) const
    {
        return decode(location_.load(Weakening::load(order)));
    }

    void store(T value, std::memory_order order = std::memory_order_seq_cst)
    {
        location_.store(encode(value), Weakening::store(order));
    }

    [[nodiscard]] T newest() const noexcept
    {
        return decode(location_.newest());
    }

    T exchange(T value, std::memory_order order = std::memory_order_seq_cst)
    {
        return modify(order, [value](T) { return value; });
    }

    T fetch_add(T operand, std::memory_order order = std::memory_order_seq_cst)
    {
        if (Weakening::add_zero_is_load && operand == T{})
        {
            return decode(location_.load(std::memory_order_seq_cst));
        }
        return modify(order, [operand](T value) { return static_cast<T>(value + operand); });
    }

    T fetch_sub(T operand, std::memory_order order = std::memory_order_seq_cst)
    {
        return modify(order, [operand](T value) { return static_cast<T>(value - operand); });
    }

    T fetch_or(T operand, std::memory_order order = std::memory_order_seq_cst)
    {
        return modify(order, [operand](T value) { return static_cast<T>(value | operand); });
    }

    T fetch_and(T operand, std::memory_order order = std::memory_order_seq_cst)
    {
        return modify(order, [operand](T value) { return static_cast<T>(value & operand); });
    }

    bool compare_exchange_strong(T& expected, T desired, std::memory_order success,
                                 std::memory_order failure)
    {
        if constexpr (Weakening::torn)
        {
            const T seen = load(success);
            if (encode(seen) != encode(expected))
            {
                expected = seen;
                return false;
            }
            store(desired, success);
            return true;
        }
        std::uint64_t bits = encode(expected);
        const bool done = location_.exchange_if(bits, encode(desired), Weakening::modify(success),
                                                Weakening::load(failure));
        expected = decode(bits);
        return done;
    }

    bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                               std::memory_order failure)
    {
        return compare_exchange_strong(expected, desired, success, failure);
    }

private:
    [[nodiscard]] static std::uint64_t encode(T value) noexcept
    {
        std::uint64_t bits = 0;
        std::memcpy(&bits, &value, sizeof(T));
        return bits;
    }

    [[nodiscard]] static T decode(std::uint64_t bits) noexcept
    {
        T value;
        std::memcpy(&value, &bits, sizeof(T));
        return value;
    }

    template <class Change>
    T modify(std::memory_order order, Change change)
    {
        if constexpr (Weakening::torn)
        {
            const T before = load(order);
            store(change(before), order);
            return before;
        }
        return decode(location_.modify(Weakening::modify(order), [change](std::uint64_t bits) {
            return encode(change(decode(bits)));
        }));
    }

    mutable location location_;
};

// Plain memory that the scenario's threads hand to each other.
template <class T>
class cell
{
public:
    cell() = default;
    explicit cell(T value) : value_(value) {}

    [[nodiscard]] T get() const
    {
        checker::instance().plain_read(&value_);
        return value_;
    }

    void set(T value)
    {
        checker::instance().plain_write(&value_);
        value_ = value;
    }

private:
    T value_{};
};

// Where one thread sleeps until another wakes it; a wake that comes first is kept. It stands for
// the driver's wait and its eventfd.
class sleeping_place
{
public:
    void sleep()
    {
        checker& run = checker::instance();
        run.schedule_point();
        if (!permit_)
        {
            sleeper_ = run.current();
            run.trace("sleeps", this, 0);
            run.sleep(sleeping_);
        }
        permit_ = false;
        run.clock().join(published_);
    }

    void wake()
    {
        checker& run = checker::instance();
        run.schedule_point();
        run.trace("wakes", this, 0);
        permit_ = true;
        published_.join(run.clock());
        run.advance();
        run.note_change();
        if (sleeping_)
        {
            sleeping_ = false;
            run.wake(sleeper_);
        }
    }

private:
    bool permit_ = false;
    bool sleeping_ = false;
    std::size_t sleeper_ = 0;
    vector_clock published_;
};

// Where the kernel keeps one thread asleep while a word has a value, like a futex: comparing and
// going to sleep are one step, a wake that finds nobody is lost, and nothing is ordered by either.
class kernel_queue
{
public:
    template <class Word, class T>
    void wait_while(const Word& word, T value)
    {
        checker& run = checker::instance();
        run.schedule_point();
        if (word.newest() == value)
        {
            sleeper_ = run.current();
            run.trace("waits in the kernel", this, 0);
            run.sleep(sleeping_);
        }
    }

    void wake()
    {
        checker& run = checker::instance();
        run.schedule_point();
        run.trace("wakes in the kernel", this, 0);
        if (sleeping_)
        {
            sleeping_ = false;
            run.wake(sleeper_);
        }
    }

private:
    bool sleeping_ = false;
    std::size_t sleeper_ = 0;
};

// The atomics policy of blitzio's lock-free types, on modelled memory.
template <class Weakening = as_written>
struct atomics
{
    template <class T>
    using atomic = model::atomic<T, Weakening>;

    struct thread_id
    {
        std::size_t value = max_threads; // no thread
        friend bool operator==(thread_id, thread_id) = default;
    };

    static void pause()
    {
        checker::instance().wait_round();
    }
    static void back_off(std::uint32_t)
    {
        checker::instance().wait_round();
    }
    static thread_id current_thread()
    {
        return {checker::instance().current()};
    }

    template <class T>
    [[nodiscard]] static T load_plain(const T& where)
    {
        checker::instance().plain_read(&where);
        return where;
    }

    template <class T>
    static void store_plain(T& where, std::type_identity_t<T> value)
    {
        checker::instance().plain_write(&where);
        where = value;
    }

    static void expect(bool condition)
    {
        checker::instance().expect(condition, "a contract of the type under test");
    }
};

// Weakenings that every lock-free type should notice.
struct relaxed_stores : as_written
{
    static constexpr std::memory_order store(std::memory_order) noexcept
    {
        return std::memory_order_relaxed;
    }
};

struct relaxed_loads : as_written
{
    static constexpr std::memory_order load(std::memory_order) noexcept
    {
        return std::memory_order_relaxed;
    }
};

// Read-modify-writes that acquire as written, but publish nothing.
struct unreleased_modifications : as_written
{
    static constexpr std::memory_order modify(std::memory_order order) noexcept
    {
        return acquires(order) ? std::memory_order_acquire : std::memory_order_relaxed;
    }
};

// Read-modify-writes that publish as written, but acquire nothing.
struct unacquired_modifications : as_written
{
    static constexpr std::memory_order modify(std::memory_order order) noexcept
    {
        return releases(order) ? std::memory_order_release : std::memory_order_relaxed;
    }
};

struct torn_modifications : as_written
{
    static constexpr bool torn = true;
};

struct add_zero_as_load : as_written
{
    static constexpr bool add_zero_is_load = true;
};

} // namespace model
