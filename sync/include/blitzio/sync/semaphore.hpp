// A number of permits that tasks take and give back, to bound how many do something at once.
// Thread rule: acquire() in tasks; everything else on any thread.
#pragma once

#include <blitzio/io/result.hpp>
#include <blitzio/sync/detail/semaphore_core.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>

#include <cstddef>
#include <optional>
#include <utility>

namespace blitzio::sync
{

/// Fair: permits go to whoever waits longest. One that waits for many is not overtaken by those who
/// want few, try_acquire() included, so it cannot starve.
/// Lifetime: outlives its permits and everybody who waits for it.
class semaphore
{
public:
    class permit;
    class acquire_operation;

    explicit semaphore(std::size_t permits) noexcept : core_(permits) {}

    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;

    /// Awaited: result<permit> for `count` permits at once. No allocation.
    /// More than the semaphore ever gets waits until it is cancelled.
    /// Cancellation: a stop request takes the waiter out of the queue and gives operation_canceled;
    /// permits that were handed over before are delivered all the same.
    [[nodiscard]] acquire_operation acquire(std::size_t count = 1) noexcept;

    /// The permits, if there are enough and nobody waits for some.
    [[nodiscard]] std::optional<permit> try_acquire(std::size_t count = 1) noexcept;

    /// Adds permits to those that can be had: more than at first, or what permit::forget() kept.
    void release(std::size_t count = 1) noexcept;

    /// How many can be had; may be outdated at once.
    [[nodiscard]] std::size_t available() const noexcept
    {
        return core_.available();
    }

private:
    detail::semaphore_core<> core_;
};

/// Permits that were acquired; gives them back when destroyed. May be moved into another task.
class [[nodiscard]] semaphore::permit
{
public:
    permit() noexcept = default;

    permit(permit&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), count_(std::exchange(other.count_, 0))
    {
    }

    permit& operator=(permit&& other) noexcept
    {
        if (this != &other)
        {
            release();
            owner_ = std::exchange(other.owner_, nullptr);
            count_ = std::exchange(other.count_, 0);
        }
        return *this;
    }

    ~permit()
    {
        release();
    }

    /// Gives back early; does nothing when there is nothing to give back.
    void release() noexcept
    {
        if (owner_ != nullptr)
        {
            std::exchange(owner_, nullptr)->release(std::exchange(count_, 0));
        }
    }

    /// Keeps the permits taken beyond this object's life; semaphore::release() brings them back.
    std::size_t forget() noexcept
    {
        owner_ = nullptr;
        return std::exchange(count_, 0);
    }

    [[nodiscard]] std::size_t count() const noexcept
    {
        return count_;
    }

private:
    friend semaphore;

    permit(semaphore& owner, std::size_t count) noexcept : owner_(&owner), count_(count) {}

    semaphore* owner_ = nullptr;
    std::size_t count_ = 0;
};

class semaphore::acquire_operation
    : public detail::wait_operation<semaphore::acquire_operation, detail::permit_node>
{
    using base = detail::wait_operation<acquire_operation, detail::permit_node>;

public:
    using base::join_choice;

    acquire_operation(semaphore& from, std::size_t count) noexcept : wanted_(&from)
    {
        this->wanted = count;
    }

    /// Only before start().
    acquire_operation(acquire_operation&& other) noexcept
        : acquire_operation(*other.wanted_, other.wanted)
    {
    }

    [[nodiscard]] result<permit> await_resume() noexcept
    {
        const auto decision = conclude();
        if (decision != detail::wait_status::granted)
        {
            return error_of(decision);
        }
        return permit(*wanted_, this->wanted);
    }

private:
    friend base;

    [[nodiscard, gnu::always_inline]] bool attempt(detail::attempt_mode mode) noexcept
    {
        return wanted_->core_.acquire_or_enqueue(*this, mode);
    }

    [[nodiscard]] bool withdraw() noexcept;

    semaphore* wanted_;
};

inline semaphore::acquire_operation semaphore::acquire(std::size_t count) noexcept
{
    return {*this, count};
}

inline std::optional<semaphore::permit> semaphore::try_acquire(std::size_t count) noexcept
{
    if (!core_.try_acquire(count))
    {
        return std::nullopt;
    }
    return permit(*this, count);
}

} // namespace blitzio::sync
