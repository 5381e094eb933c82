// Keeping descriptors, and giving them back in time. Thread rule: as in the header.
#include "driver/uring/registered_files.hpp"

#include "driver/driver.hpp"
#include "driver/notes.hpp"
#include "limits.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <new>
#include <string>
#include <system_error>
#include <utility>

namespace blitzio::detail
{

namespace
{

constexpr std::size_t number_count = limits::registered_file_number_max + 1;

bool is_in_range(int fd) noexcept
{
    return fd >= 0 && fd <= limits::registered_file_number_max;
}

} // namespace

file_registry::file_registry()
    : words_(std::make_unique<std::atomic<std::uint64_t>[]>(number_count))
{
}

file_registry::~file_registry() = default;

void file_registry::attach(unsigned ring, registered_files& files) noexcept
{
    const std::lock_guard lock(mutex_);
    rings_[ring] = &files;
}

void file_registry::detach(unsigned ring) noexcept
{
    const std::lock_guard lock(mutex_);
    rings_[ring] = nullptr;
}

void file_registry::forget(int fd) noexcept
{
    if (!is_in_range(fd) ||
        words_[static_cast<std::size_t>(fd)].load(std::memory_order_relaxed) == 0)
    {
        return;
    }
    const std::lock_guard lock(mutex_);
    // Release: partner is the acquire in is_held().
    std::uint64_t holders =
        words_[static_cast<std::size_t>(fd)].exchange(0, std::memory_order_acq_rel);
    while (holders != 0)
    {
        const auto ring = static_cast<unsigned>(std::countr_zero(holders));
        holders &= holders - 1;
        if (rings_[ring] != nullptr)
        {
            rings_[ring]->let_go(fd);
        }
    }
}

registered_files::registered_files(io_uring& ring, driver& owner, file_registry* registry,
                                   unsigned index, unsigned count_max, bool allowed,
                                   driver_notes& notes) noexcept
    : ring_(ring), owner_(owner),
      registry_(count_max != 0 && index < file_registry::rings_max ? registry : nullptr),
      index_(index), count_max_(count_max), notes_(notes), is_refused_(!allowed)
{
    if (registry_ != nullptr)
    {
        registry_->attach(index_, *this);
    }
}

registered_files::~registered_files()
{
    if (registry_ != nullptr)
    {
        registry_->detach(index_);
    }
}

void registered_files::refuse(int error) noexcept
{
    is_refused_ = true;
    notes_.degraded(optional_ability::registered_files,
                    "registered files: off, operations look their descriptors up (" +
                        std::system_category().message(-error) + ")");
}

/// With the first descriptor that is worth it.
bool registered_files::begin() noexcept
{
    if (has_begun_)
    {
        return true;
    }
    try
    {
        free_slots_.reserve(count_max_);
        for (unsigned slot = count_max_; slot != 0; --slot)
        {
            free_slots_.push_back(static_cast<std::uint16_t>(slot - 1));
        }
    }
    catch (const std::bad_alloc&)
    {
        refuse(-ENOMEM);
        return false;
    }
    if (const int refused = io_uring_register_files_sparse(&ring_, count_max_); refused < 0)
    {
        refuse(refused);
        return false;
    }
    has_begun_ = true;
    return true;
}

/// 0, or the negated errno.
int registered_files::update(unsigned slot, int fd) noexcept
{
    const int count = io_uring_register_files_update(&ring_, slot, &fd, 1);
    return count == 1 ? 0 : count < 0 ? count : -EIO;
}

std::optional<unsigned> registered_files::slot_for(int fd) noexcept
{
    if (!is_in_range(fd))
    {
        return std::nullopt;
    }
    if (static_cast<std::size_t>(fd) >= entries_.size())
    {
        try
        {
            entries_.resize(
                std::min(number_count, std::bit_ceil(static_cast<std::size_t>(fd) + 1)));
        }
        catch (const std::bad_alloc&)
        {
            return std::nullopt;
        }
    }
    entry& known = entries_[static_cast<std::size_t>(fd)];
    if (known.slot != 0)
    {
        if (registry_->is_held(fd, index_))
        {
            return known.slot - 1u;
        }
        // Closed since, and the number is in use again: it has to earn its slot anew.
        drop(fd);
    }
    if (is_refused_)
    {
        if (std::exchange(known.uses, limits::registered_file_uses_min) == 0)
        {
            refuse(-EOPNOTSUPP);
        }
        return std::nullopt;
    }
    if (++known.uses < limits::registered_file_uses_min || !begin() || free_slots_.empty())
    {
        known.uses = std::min<std::uint16_t>(known.uses, limits::registered_file_uses_min);
        return std::nullopt;
    }
    const unsigned slot = free_slots_.back();
    if (const int refused = update(slot, fd); refused < 0)
    {
        // A descriptor that is none is the operation's business to tell.
        if (refused != -EBADF)
        {
            refuse(refused);
        }
        return std::nullopt;
    }
    free_slots_.pop_back();
    known = {.slot = static_cast<std::uint16_t>(slot + 1), .uses = 0};
    registry_->hold(fd, index_);
    count_.store(count() + 1, std::memory_order_relaxed);
    return slot;
}

/// Its bit is not set any more.
void registered_files::drop(int fd) noexcept
{
    if (static_cast<std::size_t>(fd) >= entries_.size())
    {
        return;
    }
    entry& known = entries_[static_cast<std::size_t>(fd)];
    if (known.slot == 0 || registry_->is_held(fd, index_))
    {
        return;
    }
    const unsigned slot = known.slot - 1u;
    known = {};
    count_.store(count() - 1, std::memory_order_relaxed);
    if (const int refused = update(slot, -1); refused < 0)
    {
        refuse(refused); // and the slot is never used again
        return;
    }
    free_slots_.push_back(static_cast<std::uint16_t>(slot)); // within what begin() has reserved
}

void registered_files::let_go(int fd) noexcept
{
    if (std::this_thread::get_id() == owner_thread_)
    {
        drop(fd);
        return;
    }
    {
        const std::lock_guard lock(leavers_mutex_);
        leavers_.push_back(fd);
    }
    has_leavers_.store(true, std::memory_order_relaxed);
    // Orders the store before the owner's next turn.
    owner_.wake();
}

void registered_files::give_back_leavers() noexcept
{
    std::vector<int> leaving;
    {
        const std::lock_guard lock(leavers_mutex_);
        leaving.swap(leavers_);
        has_leavers_.store(false, std::memory_order_relaxed);
    }
    for (const int fd : leaving)
    {
        drop(fd);
    }
}

} // namespace blitzio::detail
