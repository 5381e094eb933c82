// The open descriptors of a simulated world. The lowest free number is reused at once, as a kernel
// does, because that is what makes a late use of a closed descriptor hit something else.
// Thread rule: the simulation's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <vector>

namespace blitzio::detail::sim
{

class stream_socket;
class open_file;

/// An operation that waits for a description to change.
struct waiting_operation
{
    unsigned worker;
    std::uint64_t id;
};

/// What a descriptor stands for. Operations in flight share the ownership, so that closing the
/// descriptor under them changes nothing for them: a kernel does the same.
class description
{
public:
    description() = default;
    description(const description&) = delete;
    description& operator=(const description&) = delete;
    virtual ~description() = default;

    [[nodiscard]] virtual stream_socket* as_socket() noexcept
    {
        return nullptr;
    }
    [[nodiscard]] virtual open_file* as_file() noexcept
    {
        return nullptr;
    }
    /// Bits of poll_events that hold now.
    [[nodiscard]] virtual std::uint32_t ready_events() const = 0;

    std::vector<waiting_operation> waiting;
};

class descriptor_table
{
public:
    descriptor_table(int first, std::size_t limit) : first_(first), limit_(limit) {}

    /// False: a further descriptor would fail with EMFILE.
    [[nodiscard]] bool has_room() const noexcept
    {
        return open_count_ < limit_;
    }
    /// The lowest free number, or -EMFILE.
    [[nodiscard]] int add(std::shared_ptr<description> what);
    [[nodiscard]] std::shared_ptr<description> find(int fd) const;
    /// Takes the description out; nullptr when `fd` is not open.
    [[nodiscard]] std::shared_ptr<description> remove(int fd);
    [[nodiscard]] std::size_t open_count() const noexcept
    {
        return open_count_;
    }
    void clear();

    /// Operations that name `fd` and have not completed.
    [[nodiscard]] unsigned operations_on(int fd) const noexcept;
    void add_operation(int fd);
    void remove_operation(int fd);

private:
    [[nodiscard]] std::size_t index_of(int fd) const noexcept
    {
        return static_cast<std::size_t>(fd - first_);
    }

    int first_;
    std::size_t limit_;
    std::size_t open_count_ = 0;
    std::vector<std::shared_ptr<description>> slots_;
    std::vector<unsigned> operations_;
    std::set<int> free_;
};

} // namespace blitzio::detail::sim
