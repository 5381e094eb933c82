// Who is inside a runtime from outside of it, so that its destructor can wait for them.
// Thread rule: visit on any thread; wait_until_gone() by the destructor.
#pragma once

#include <blitzio/io/detail/atomics.hpp>

#include <array>
#include <atomic>
#include <cstdint>

namespace blitzio::detail
{

/// A thread counts itself in one of several places, the same for all its visits, so that the threads of a pool that
/// hand results back do not fight for one cache line.
///
/// Invariant: a place holds how many visits of its threads there are. A visit begins before the thread makes known what
/// the runtime's end may be waiting for, and that is made known by a release operation; so the destructor, which is
/// behind it, sees the count of that visit or of what came after it.
class callers_inside
{
public:
    class visit
    {
    public:
        explicit visit(callers_inside& all) noexcept : count_(all.places_[my_place()].count)
        {
            // Relaxed: see above.
            count_.fetch_add(1, std::memory_order_relaxed);
        }
        visit(const visit&) = delete;
        visit& operator=(const visit&) = delete;
        ~visit()
        {
            // Release: partner is the acquire in wait_until_gone(). The last access to the runtime.
            count_.fetch_sub(1, std::memory_order_release);
        }

    private:
        std::atomic<std::uint32_t>& count_;
    };

    void wait_until_gone() const noexcept
    {
        for (const place& each : places_)
        {
            for (std::uint32_t round = 0; each.count.load(std::memory_order_acquire) != 0; ++round)
            {
                std_atomics::back_off(round);
            }
        }
    }

private:
    static constexpr std::uint32_t places = 8;

    [[nodiscard]] static std::uint32_t my_place() noexcept
    {
        static std::atomic<std::uint32_t> threads{0};
        thread_local const std::uint32_t mine =
            threads.fetch_add(1, std::memory_order_relaxed) % places;
        return mine;
    }

    struct alignas(64) place
    {
        std::atomic<std::uint32_t> count{0};
    };
    std::array<place, places> places_;
};

} // namespace blitzio::detail
