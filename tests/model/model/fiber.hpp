// Fibers for the model checker: a thread of a scenario is a fiber, so a schedule is a list of
// switches.
//
// AddressSanitizer and ThreadSanitizer are told of every switch, so the checker's tests run under
// both. A fiber may be left in the middle for good (that is how a failed execution ends) and
// started anew.
//
// Threading rule: single-threaded.
#pragma once

#include <cstddef>
#include <memory>

namespace model
{

// Whether this program was built with a sanitizer.
[[nodiscard]] bool is_sanitized() noexcept;

class fiber
{
public:
    using entry_function = void (*)();

    // The context that is already running: the one that calls main.
    fiber() noexcept;

    explicit fiber(std::size_t stack_size);

    fiber(const fiber&) = delete;
    fiber& operator=(const fiber&) = delete;

    ~fiber();

    // Makes the next switch to this fiber begin at `entry`, which must never return.
    void prepare(entry_function entry) noexcept;

    // Leaves this fiber, which is the running one, for `next`; returns when somebody switches back.
    void switch_to(fiber& next) noexcept;

    // To be called first of all by an entry function. `root` is the fiber without an own stack.
    static void entered(fiber& self, fiber& root) noexcept;

private:
    struct machine_context;

    std::unique_ptr<machine_context> context_;
    std::unique_ptr<std::byte[]> stack_;
    std::size_t stack_size_ = 0;
};

} // namespace model
