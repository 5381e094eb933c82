// The descriptors of the epoll driver. Thread rule: as in the header.
#include "driver/epoll/descriptor_table.hpp"

#include <blitzio/io/detail/assert.hpp>

#include <new>

namespace blitzio::detail
{

void op_queue::push(op& operation) noexcept
{
    operation.next = nullptr;
    if (tail_ == nullptr)
    {
        head_ = &operation;
    }
    else
    {
        tail_->next = &operation;
    }
    tail_ = &operation;
}

void op_queue::remove(op& operation) noexcept
{
    op* previous = nullptr;
    op* item = head_;
    while (item != &operation)
    {
        BLITZIO_ASSERT(item != nullptr);
        previous = item;
        item = next_of(*item);
    }
    if (previous == nullptr)
    {
        head_ = next_of(operation);
    }
    else
    {
        previous->next = operation.next;
    }
    if (tail_ == &operation)
    {
        tail_ = previous;
    }
    operation.next = nullptr;
}

void op_queue::pop_front() noexcept
{
    op& first = *head_;
    head_ = next_of(first);
    if (head_ == nullptr)
    {
        tail_ = nullptr;
    }
    first.next = nullptr;
}

descriptor_table::descriptor_table()
    : chunks_(std::make_unique<std::atomic<chunk*>[]>(chunk_count_max))
{
}

descriptor_table::~descriptor_table()
{
    for (std::size_t index = 0; index < chunk_count_max; ++index)
    {
        delete chunks_[index].load(std::memory_order_relaxed);
    }
}

descriptor_state* descriptor_table::find(int fd) const noexcept
{
    const auto number = static_cast<std::size_t>(fd);
    if (fd < 0 || number >= chunk_length * chunk_count_max)
    {
        return nullptr;
    }
    // Acquire: partner is the release in find_or_create().
    chunk* const part = chunks_[number / chunk_length].load(std::memory_order_acquire);
    return part == nullptr ? nullptr : &(*part)[number % chunk_length];
}

descriptor_state* descriptor_table::find_or_create(int fd) noexcept
{
    if (descriptor_state* const known = find(fd); known != nullptr)
    {
        return known;
    }
    const auto number = static_cast<std::size_t>(fd);
    if (fd < 0 || number >= chunk_length * chunk_count_max)
    {
        return nullptr;
    }
    chunk* fresh = new (std::nothrow) chunk;
    if (fresh == nullptr)
    {
        return nullptr;
    }
    chunk* seen = nullptr;
    // Release: partner is the acquire in find(). Acquire on failure: the winner's chunk is used.
    if (!chunks_[number / chunk_length].compare_exchange_strong(
            seen, fresh, std::memory_order_release, std::memory_order_acquire))
    {
        delete fresh;
        fresh = seen;
    }
    return &(*fresh)[number % chunk_length];
}

} // namespace blitzio::detail
