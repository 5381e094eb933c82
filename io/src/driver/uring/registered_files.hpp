// Descriptors that a ring keeps a reference to, so that operations on them need no look-up.
//
// A ring's table belongs to its worker, descriptors belong to nobody: any worker may use one, any
// thread may close it. What all share is one word for each descriptor with a bit for each ring that
// keeps it. A close clears the word first; from then on no ring takes its slot for that number, which
// may be another descriptor's by then. The rings give their references back as soon as their workers
// can: at once on the closing worker, with their next turn on the others.
// Thread rule: see the classes.
#pragma once

#include <liburing.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace blitzio::detail
{

class driver;
class driver_notes;
class registered_files;

/// Which rings keep which descriptors. Any thread.
///
/// Invariant: a ring uses its slot for a descriptor only while its bit is set, and the bit is only set
/// by the ring's owner when it has registered what the number stands for at that moment.
class file_registry
{
public:
    static constexpr unsigned rings_max = 64;

    file_registry();
    ~file_registry();

    void attach(unsigned ring, registered_files& files) noexcept;
    void detach(unsigned ring) noexcept;

    /// Before the descriptor is closed, with no operation in flight on it.
    void forget(int fd) noexcept;

    [[nodiscard]] bool is_held(int fd, unsigned ring) const noexcept
    {
        // Acquire: partner is the release in forget(); a number that came after the close was made
        // known after it.
        return (words_[static_cast<std::size_t>(fd)].load(std::memory_order_acquire) &
                (std::uint64_t{1} << ring)) != 0;
    }
    void hold(int fd, unsigned ring) noexcept
    {
        words_[static_cast<std::size_t>(fd)].fetch_or(std::uint64_t{1} << ring,
                                                      std::memory_order_relaxed);
    }

private:
    std::unique_ptr<std::atomic<std::uint64_t>[]> words_;
    /// Guards rings_: whoever finds one there may use it until it is let go.
    std::mutex mutex_;
    std::array<registered_files*, rings_max> rings_{};
};

/// The table of one ring. Owner thread only, except let_go().
class registered_files
{
public:
    /// `registry` may be null: nothing is ever kept.
    registered_files(io_uring& ring, driver& owner, file_registry* registry, unsigned index,
                     unsigned count_max, bool allowed, driver_notes& notes) noexcept;
    ~registered_files();
    registered_files(const registered_files&) = delete;
    registered_files& operator=(const registered_files&) = delete;

    /// On the owner's thread, before anything else.
    void start() noexcept
    {
        owner_thread_ = std::this_thread::get_id();
    }

    [[nodiscard]] bool is_on() const noexcept
    {
        return registry_ != nullptr;
    }

    /// The slot by which an operation on `fd` may name it. Counts the use, and registers those that
    /// are used often; a refusal of the kernel ends that for this ring and is told once.
    [[nodiscard]] std::optional<unsigned> slot_for(int fd) noexcept;

    /// The descriptor is about to be closed, by an operation of this ring.
    void forget(int fd) noexcept
    {
        registry_->forget(fd);
    }

    /// The same from the registry. Any thread; the registry's lock is held.
    void let_go(int fd) noexcept;

    /// There are descriptors to be given back.
    [[nodiscard]] bool has_leavers() const noexcept
    {
        return has_leavers_.load(std::memory_order_relaxed);
    }
    void give_back_leavers() noexcept;

    /// Any thread.
    [[nodiscard]] std::uint64_t count() const noexcept
    {
        return count_.load(std::memory_order_relaxed);
    }

private:
    struct entry
    {
        /// One more than the slot; 0: none.
        std::uint16_t slot = 0;
        std::uint16_t uses = 0;
    };

    [[nodiscard]] bool begin() noexcept;
    [[nodiscard]] int update(unsigned slot, int fd) noexcept;
    void drop(int fd) noexcept;
    void refuse(int error) noexcept;

    io_uring& ring_;
    driver& owner_;
    file_registry* registry_;
    const unsigned index_;
    const unsigned count_max_;
    driver_notes& notes_;
    std::thread::id owner_thread_;
    bool has_begun_ = false;
    bool is_refused_ = false;
    std::vector<entry> entries_; // by descriptor
    std::vector<std::uint16_t> free_slots_;
    std::atomic<std::uint64_t> count_{0};
    std::atomic<bool> has_leavers_{false};
    std::mutex leavers_mutex_;
    std::vector<int> leavers_; // guarded by leavers_mutex_
};

} // namespace blitzio::detail
