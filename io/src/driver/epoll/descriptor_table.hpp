// What the epoll driver remembers of each descriptor: who polls it, and which operations wait.
// Thread rule: the table may be used from any thread; of a descriptor everything but the atomics is
// guarded by its mutex.
#pragma once

#include <blitzio/io/detail/op.hpp>

#include "driver/posix_ops.hpp"
#include "limits.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

namespace blitzio::detail
{

class epoll_driver;

/// Operations that wait for the same thing, oldest first, linked through op::next.
class op_queue
{
public:
    void push(op& operation) noexcept;
    /// Takes out `operation`, which must be inside. Linear: many waiters on one direction are rare.
    void remove(op& operation) noexcept;
    void pop_front() noexcept;

    [[nodiscard]] op* front() const noexcept
    {
        return head_;
    }

    [[nodiscard]] bool empty() const noexcept
    {
        return head_ == nullptr;
    }

    [[nodiscard]] static op* next_of(const op& operation) noexcept
    {
        return static_cast<op*>(operation.next);
    }

private:
    op* head_ = nullptr;
    op* tail_ = nullptr;
};

/// Indices of descriptor_state::waiting.
enum class wait_slot : std::uint8_t
{
    read,
    write,
    any,
};

/// Edge-triggered readiness without lost edges. The poller counts each edge under the mutex before
/// it repeats the operations that wait. Whoever wants to wait noted the count *before* the call that
/// would have blocked, and compares it under the mutex: equal means that no edge was delivered since
/// that call, so the next one will find the operation in its queue; different means "try again".
/// Several operations may race for the same edge: each compares its own note, so no edge that one of
/// them has used up is missed by another.
struct alignas(64) descriptor_state
{
    /// Outside the range of edge counts.
    static constexpr std::uint64_t no_edge_count = ~std::uint64_t{0};

    std::mutex mutex;
    std::array<op_queue, 3> waiting;
    /// The driver whose epoll instance delivers the edges; null while not registered.
    epoll_driver* owner = nullptr;
    /// Changes when the descriptor is forgotten. Events carry the generation of their registration,
    /// so one that was fetched before a close cannot reach the next user of the same number.
    std::uint32_t generation = 0;
    /// Edges of each direction; written under the mutex.
    std::array<std::atomic<std::uint32_t>, 2> edges{};
    /// One bit for each non-empty queue; written under the mutex.
    std::atomic<std::uint8_t> waiting_mask{0};
    std::atomic<descriptor_mode> mode{descriptor_mode::unknown};
    /// Where the read edges stood before the last receive that was short, which means that it left
    /// the socket empty; no_edge_count when there was none. See epoll_driver::is_known_empty().
    std::atomic<std::uint64_t> drained_at{no_edge_count};
    /// A short receive proves nothing: not TCP, or urgent data or the end of the stream was seen.
    bool short_read_proves_nothing = true;

    [[nodiscard]] std::uint32_t edge_count(wait_slot slot) const noexcept
    {
        // Acquire: partner is the release in count_edges(). What made the edge is visible to the
        // call that follows.
        const auto at = [this](wait_slot which) {
            return edges[static_cast<std::size_t>(which)].load(std::memory_order_acquire);
        };
        // Every event counts as an edge of at least one direction, so the sum changes with each.
        return slot == wait_slot::any ? at(wait_slot::read) + at(wait_slot::write) : at(slot);
    }

    void count_edge(wait_slot slot) noexcept
    {
        edges[static_cast<std::size_t>(slot)].fetch_add(1, std::memory_order_release);
    }

    [[nodiscard]] op_queue& queue(wait_slot slot) noexcept
    {
        return waiting[static_cast<std::size_t>(slot)];
    }

    /// Any thread, a hint: somebody waits in this slot, so a newcomer belongs behind them.
    [[nodiscard]] bool has_waiting(wait_slot slot) const noexcept
    {
        return (waiting_mask.load(std::memory_order_acquire) & bit(slot)) != 0;
    }

    void update_mask(wait_slot slot) noexcept
    {
        const std::uint8_t seen = waiting_mask.load(std::memory_order_relaxed);
        const std::uint8_t next = queue(slot).empty() ? seen & ~bit(slot) : seen | bit(slot);
        // Release: partner is the acquire in has_waiting().
        waiting_mask.store(next, std::memory_order_release);
    }

    [[nodiscard]] bool has_any_waiting() const noexcept
    {
        return waiting_mask.load(std::memory_order_relaxed) != 0;
    }

private:
    static std::uint8_t bit(wait_slot slot) noexcept
    {
        return static_cast<std::uint8_t>(1u << static_cast<unsigned>(slot));
    }
};

/// All descriptors of the process, found by number. States are created on demand and keep their
/// address until the table goes.
class descriptor_table
{
public:
    descriptor_table();
    ~descriptor_table();
    descriptor_table(const descriptor_table&) = delete;
    descriptor_table& operator=(const descriptor_table&) = delete;

    /// Null when `fd` was never used here.
    [[nodiscard]] descriptor_state* find(int fd) const noexcept;

    /// Null for negative and absurd numbers, and when there is no memory.
    [[nodiscard]] descriptor_state* find_or_create(int fd) noexcept;

    /// Calls `visit(fd, state)` for each state that exists.
    template <class Visit>
    void for_each(Visit visit) noexcept
    {
        for (std::size_t index = 0; index < chunk_count_max; ++index)
        {
            chunk* const part = chunks_[index].load(std::memory_order_acquire);
            if (part == nullptr)
            {
                continue;
            }
            for (std::size_t offset = 0; offset < chunk_length; ++offset)
            {
                visit(static_cast<int>(index * chunk_length + offset), (*part)[offset]);
            }
        }
    }

private:
    static constexpr std::size_t chunk_length = limits::descriptor_chunk_length;
    static constexpr std::size_t chunk_count_max = limits::descriptor_chunks_max;

    using chunk = std::array<descriptor_state, chunk_length>;

    std::unique_ptr<std::atomic<chunk*>[]> chunks_;
};

} // namespace blitzio::detail
