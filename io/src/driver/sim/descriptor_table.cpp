// Descriptor numbers of a simulated world.
// Thread rule: the simulation's thread only.
#include "driver/sim/descriptor_table.hpp"

#include <cerrno>
#include <utility>

namespace blitzio::detail::sim
{

int descriptor_table::add(std::shared_ptr<description> what)
{
    if (!has_room())
    {
        return -EMFILE;
    }
    ++open_count_;
    if (free_.empty())
    {
        slots_.push_back(std::move(what));
        return first_ + static_cast<int>(slots_.size() - 1);
    }
    const int fd = *free_.begin();
    free_.erase(free_.begin());
    slots_[index_of(fd)] = std::move(what);
    return fd;
}

std::shared_ptr<description> descriptor_table::find(int fd) const
{
    if (fd < first_ || index_of(fd) >= slots_.size())
    {
        return nullptr;
    }
    return slots_[index_of(fd)];
}

std::shared_ptr<description> descriptor_table::remove(int fd)
{
    auto what = find(fd);
    if (what != nullptr)
    {
        slots_[index_of(fd)] = nullptr;
        free_.insert(fd);
        --open_count_;
    }
    return what;
}

void descriptor_table::clear()
{
    // One by one: what goes may look at its peers, which are then still in a defined state.
    for (auto& slot : slots_)
    {
        const auto doomed = std::exchange(slot, nullptr);
    }
    slots_.clear();
    free_.clear();
    open_count_ = 0;
}

unsigned descriptor_table::operations_on(int fd) const noexcept
{
    return fd >= first_ && index_of(fd) < operations_.size() ? operations_[index_of(fd)] : 0;
}

void descriptor_table::add_operation(int fd)
{
    // A number that was never handed out is answered with EBADF, and needs no count.
    if (fd >= first_ && index_of(fd) < limit_)
    {
        if (operations_.size() <= index_of(fd))
        {
            operations_.resize(index_of(fd) + 1, 0);
        }
        ++operations_[index_of(fd)];
    }
}

void descriptor_table::remove_operation(int fd)
{
    if (operations_on(fd) > 0)
    {
        --operations_[index_of(fd)];
    }
}

} // namespace blitzio::detail::sim
