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
#include <cstdint>
#include <memory>

#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define BLITZIO_MODEL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BLITZIO_MODEL_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define BLITZIO_MODEL_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BLITZIO_MODEL_TSAN 1
#endif
#endif

#if defined(BLITZIO_MODEL_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(BLITZIO_MODEL_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace model
{

class fiber
{
public:
    using entry_function = void (*)();

    // The context that is already running: the one that calls main.
    fiber() noexcept
    {
#if defined(BLITZIO_MODEL_TSAN)
        tsan_fiber_ = __tsan_get_current_fiber();
#endif
    }

    explicit fiber(std::size_t stack_size)
        : stack_(std::make_unique_for_overwrite<std::byte[]>(stack_size)), stack_size_(stack_size)
    {
#if defined(BLITZIO_MODEL_TSAN)
        tsan_fiber_ = __tsan_create_fiber(0);
#endif
    }

    fiber(const fiber&) = delete;
    fiber& operator=(const fiber&) = delete;

    ~fiber()
    {
#if defined(BLITZIO_MODEL_TSAN)
        if (stack_ != nullptr)
        {
            __tsan_destroy_fiber(tsan_fiber_);
        }
#endif
    }

    // Makes the next switch to this fiber begin at `entry`, which must never return.
    void prepare(entry_function entry) noexcept
    {
#if defined(BLITZIO_MODEL_ASAN)
        // Frames of an execution that was left in the middle may have poisoned the stack.
        __asan_unpoison_memory_region(stack_.get(), stack_size_);
        fake_stack_ = nullptr;
#endif
#if defined(BLITZIO_MODEL_TSAN)
        __tsan_destroy_fiber(tsan_fiber_);
        tsan_fiber_ = __tsan_create_fiber(0);
#endif
        getcontext(&context_);
        context_.uc_stack.ss_sp = stack_.get();
        context_.uc_stack.ss_size = stack_size_;
        context_.uc_link = nullptr;
        makecontext(&context_, entry, 0);
    }

    // Leaves this fiber, which is the running one, for `next`; returns when somebody switches back.
    void switch_to(fiber& next) noexcept
    {
#if defined(BLITZIO_MODEL_TSAN)
        __tsan_switch_to_fiber(next.tsan_fiber_, 0);
#endif
#if defined(BLITZIO_MODEL_ASAN)
        __sanitizer_start_switch_fiber(&fake_stack_, next.bottom_, next.reach_);
#endif
        swapcontext(&context_, &next.context_);
        arrived(*this, next);
    }

    // To be called first of all by an entry function.
    static void entered([[maybe_unused]] fiber& self, [[maybe_unused]] fiber& root) noexcept
    {
#if defined(BLITZIO_MODEL_ASAN)
        const void* bottom = nullptr;
        std::size_t reach = 0;
        __sanitizer_finish_switch_fiber(nullptr, &bottom, &reach);
        if (root.reach_ == 0)
        {
            root.bottom_ = bottom;
            root.reach_ = reach;
        }
#endif
    }

    // Lets the sanitizer know where the own stack is; once after construction.
    void announce() noexcept
    {
        bottom_ = stack_.get();
        reach_ = stack_size_;
    }

private:
    static void arrived([[maybe_unused]] fiber& self, [[maybe_unused]] fiber& other) noexcept
    {
#if defined(BLITZIO_MODEL_ASAN)
        __sanitizer_finish_switch_fiber(self.fake_stack_, nullptr, nullptr);
#endif
    }

    ucontext_t context_{};
    std::unique_ptr<std::byte[]> stack_;
    std::size_t stack_size_ = 0;
    const void* bottom_ = nullptr;
    std::size_t reach_ = 0;
    [[maybe_unused]] void* fake_stack_ = nullptr;
    [[maybe_unused]] void* tsan_fiber_ = nullptr;
};

} // namespace model
