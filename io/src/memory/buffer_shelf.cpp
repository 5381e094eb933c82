// A worker's buffers. Thread rule: as in the header.
#include "memory/buffer_shelf.hpp"

#include "memory/poison.hpp"

#include <blitzio/io/detail/assert.hpp>

#include <atomic>
#include <new>
#include <utility>

#include <sys/mman.h>

namespace blitzio::detail
{

namespace
{

constinit thread_local std::uint64_t this_threads_number = 0;
constinit std::atomic<std::uint64_t> numbers_given{0};

} // namespace

// Out of line, like current_worker(): no coroutine may keep the address across a suspension.
[[gnu::noinline]] std::uint64_t thread_number() noexcept
{
    return this_threads_number;
}

[[gnu::noinline]] std::uint64_t claim_thread_number() noexcept
{
    if (this_threads_number == 0)
    {
        this_threads_number = numbers_given.fetch_add(1, std::memory_order_relaxed) + 1;
    }
    return this_threads_number;
}

buffer_shelf* buffer_shelf::create(std::size_t buffer_bytes, unsigned count) noexcept
{
    const std::size_t bytes = buffer_bytes * count;
    void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
    {
        return nullptr;
    }
    auto* const slots = new (std::nothrow) slot[count];
    auto* const shelf = slots == nullptr ? nullptr
                                         : new (std::nothrow)
                                               buffer_shelf(static_cast<std::byte*>(memory), slots,
                                                            buffer_bytes, count);
    if (shelf == nullptr)
    {
        delete[] slots;
        ::munmap(memory, bytes);
        return nullptr;
    }
    poison(memory, bytes);
    return shelf;
}

buffer_shelf::~buffer_shelf()
{
    unpoison(memory_, buffer_bytes_ * count_);
    ::munmap(memory_, buffer_bytes_ * count_);
    delete[] slots_;
}

/// How many there were.
std::size_t buffer_shelf::take_in(return_node* chain) noexcept
{
    std::size_t count = 0;
    while (chain != nullptr)
    {
        slot& back = *static_cast<slot*>(std::exchange(chain, chain->next));
        back.next_free = std::exchange(free_, &back);
        ++count;
    }
    return count;
}

void buffer_shelf::end() noexcept
{
    // From here on nobody is the owner: whoever gives back takes the way of the other threads.
    owner_thread_.store(0, std::memory_order_relaxed);
    change_out(-static_cast<std::ptrdiff_t>(take_in(returned_.take_last())));
    if (returned_.end(static_cast<std::int64_t>(out())))
    {
        delete this;
    }
}

void buffer_shelf::collect() noexcept
{
    change_out(-static_cast<std::ptrdiff_t>(take_in(returned_.take_all())));
}

std::optional<unsigned> buffer_shelf::take() noexcept
{
    if (free_ == nullptr)
    {
        collect();
    }
    if (free_ != nullptr)
    {
        slot& taken = *std::exchange(free_, free_->next_free);
        return static_cast<unsigned>(&taken - slots_);
    }
    if (fresh_ == count_)
    {
        return std::nullopt;
    }
    return fresh_++;
}

void buffer_shelf::put(unsigned index) noexcept
{
    slots_[index].next_free = std::exchange(free_, &slots_[index]);
}

buffer_lease buffer_shelf::lend(unsigned index) noexcept
{
    change_out(1);
    unpoison(data_of(index), buffer_bytes_);
    return {this, data_of(index), static_cast<std::uint32_t>(buffer_bytes_), index};
}

void buffer_shelf::give_back(std::byte* data, std::uint32_t index) noexcept
{
    BLITZIO_ASSERT(data == data_of(index));
    poison(data, buffer_bytes_);
    // A thread other than the owner reads a number that is not its own, or 0.
    const std::uint64_t here = thread_number();
    if (here != 0 && here == owner_thread_.load(std::memory_order_relaxed))
    {
        change_out(-1);
        put(index);
        return;
    }
    if (returned_.give_back(slots_[index]) == return_outcome::last)
    {
        delete this;
    }
}

} // namespace blitzio::detail
