// The buffers of one worker, all of one size: lent by the worker, given back from any thread.
// Thread rule: owner thread only (the thread that called adopt()), except give_back(), which is for
// any thread.
#pragma once

#include <blitzio/io/detail/buffer_lease.hpp>
#include <blitzio/io/detail/return_list.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace blitzio::detail
{

/// The number of the calling thread, given out once and never again; 0 for threads that never asked
/// for one with claim_thread_number().
[[nodiscard]] std::uint64_t thread_number() noexcept;
std::uint64_t claim_thread_number() noexcept;

/// Address space for all buffers is taken at once, memory only as they are used: the buffer that
/// came back last is lent first, so the shelf uses no more of them than are out at the same time.
///
/// Invariant: each slot is free, with the owner (taken), on loan, or in the list of those that came
/// back from other threads. out_ counts those on loan and in the list.
class buffer_shelf final : public buffer_owner
{
public:
    /// Null without memory. Ends with end(), never by delete.
    [[nodiscard]] static buffer_shelf* create(std::size_t buffer_bytes, unsigned count) noexcept;

    /// The calling thread is the owner from now on.
    void adopt() noexcept
    {
        owner_thread_.store(claim_thread_number(), std::memory_order_relaxed);
    }

    /// The owner has gone (any thread, with nothing else going on): the memory goes with the last
    /// lease.
    void end() noexcept;

    /// A slot for the owner's own use; nothing when all are in use.
    [[nodiscard]] std::optional<unsigned> take() noexcept;
    /// Back from the owner, never lent.
    void put(unsigned index) noexcept;
    /// A slot that the owner has becomes a lease.
    [[nodiscard]] buffer_lease lend(unsigned index) noexcept;

    /// Any thread. The memory of the shelf may be gone afterwards, when the owner has ended.
    void give_back(std::byte* data, std::uint32_t index) noexcept override;

    /// Makes what came back from other threads free again.
    void collect() noexcept;

    [[nodiscard]] std::byte* data_of(unsigned index) const noexcept
    {
        return memory_ + std::size_t{index} * buffer_bytes_;
    }
    [[nodiscard]] std::size_t buffer_bytes() const noexcept
    {
        return buffer_bytes_;
    }
    [[nodiscard]] unsigned count() const noexcept
    {
        return count_;
    }
    /// On loan, as far as the owner knows. Any thread.
    [[nodiscard]] std::size_t out() const noexcept
    {
        return out_.load(std::memory_order_relaxed);
    }
    /// How many were ever used at once.
    [[nodiscard]] unsigned used() const noexcept
    {
        return fresh_;
    }

private:
    struct slot : return_node
    {
        slot* next_free = nullptr;
    };

    buffer_shelf(std::byte* memory, slot* slots, std::size_t buffer_bytes, unsigned count) noexcept
        : memory_(memory), slots_(slots), buffer_bytes_(buffer_bytes), count_(count)
    {
    }
    ~buffer_shelf();

    [[nodiscard]] std::size_t take_in(return_node* chain) noexcept;
    void change_out(std::ptrdiff_t by) noexcept
    {
        out_.store(out() + static_cast<std::size_t>(by), std::memory_order_relaxed);
    }

    std::byte* memory_;
    slot* slots_;
    std::size_t buffer_bytes_;
    unsigned count_;
    /// Slots from here on were never used.
    unsigned fresh_ = 0;
    slot* free_ = nullptr;
    /// Written by the owner.
    std::atomic<std::size_t> out_{0};
    /// Relaxed: only the owner ever reads its own number here.
    std::atomic<std::uint64_t> owner_thread_{0};
    return_list<> returned_;
};

} // namespace blitzio::detail
