// The switch from fiber to fiber: a few instructions where the processor is known, because an
// exploration makes millions of them, and <ucontext.h>, with two system calls per switch,
// elsewhere.
#include "fiber.hpp"

#include <cstdint>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BLITZIO_MODEL_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define BLITZIO_MODEL_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define BLITZIO_MODEL_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define BLITZIO_MODEL_TSAN 1
#endif

#if defined(BLITZIO_MODEL_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(BLITZIO_MODEL_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

#if defined(BLITZIO_MODEL_ASAN)
// The fake stacks that find a use after return are kept per fiber and frame by frame. Executions
// that are left in the middle never give their frames back, and an exploration would spend its time
// there.
extern "C" const char* __asan_default_options()
{
    return "detect_stack_use_after_return=0";
}
#endif

namespace
{

// What the sanitizers have to be told; without them it is not used.
struct sanitizer_state
{
    const void* bottom = nullptr;
    std::size_t reach = 0;
    void* fake_stack = nullptr;
    void* race_detector = nullptr;
    unsigned starts = 0;
};

} // namespace

#if defined(__x86_64__) && defined(__ELF__)

// void blitzio_model_switch(void** save, void* load): keeps what the calling convention says a
// callee keeps, on the old stack, and fetches the same from the new one.
asm(R"(
    .text
    .p2align 4
    .globl blitzio_model_switch
    .type blitzio_model_switch, @function
blitzio_model_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size blitzio_model_switch, . - blitzio_model_switch
)");
extern "C" void blitzio_model_switch(void** save, void* load) noexcept;

struct model::fiber::machine_context : sanitizer_state
{
    void* stack_pointer = nullptr;

    void prepare(std::byte* stack, std::size_t size, entry_function entry) noexcept
    {
        const auto end = reinterpret_cast<std::uintptr_t>(stack + size) & ~std::uintptr_t{15};
        auto* top = reinterpret_cast<std::uintptr_t*>(end);
        *--top = 0; // nobody to return to
        *--top = reinterpret_cast<std::uintptr_t>(entry);
        for (int saved = 0; saved < 6; ++saved)
        {
            *--top = 0;
        }
        // `entry` finds the stack as after a call: 8 above a multiple of 16.
        stack_pointer = top;
    }

    void switch_to(machine_context& next) noexcept
    {
        blitzio_model_switch(&stack_pointer, next.stack_pointer);
    }
};

#else

#include <ucontext.h>

struct model::fiber::machine_context : sanitizer_state
{
    ucontext_t context{};

    void prepare(std::byte* stack, std::size_t size, entry_function entry) noexcept
    {
        getcontext(&context);
        context.uc_stack.ss_sp = stack;
        context.uc_stack.ss_size = size;
        context.uc_link = nullptr;
        makecontext(&context, entry, 0);
    }

    void switch_to(machine_context& next) noexcept
    {
        swapcontext(&context, &next.context);
    }
};

#endif

namespace model
{

bool is_sanitized() noexcept
{
#if defined(BLITZIO_MODEL_ASAN) || defined(BLITZIO_MODEL_TSAN)
    return true;
#else
    return false;
#endif
}

fiber::fiber() noexcept : context_(std::make_unique<machine_context>())
{
#if defined(BLITZIO_MODEL_TSAN)
    context_->race_detector = __tsan_get_current_fiber();
#endif
}

fiber::fiber(std::size_t stack_size)
    : context_(std::make_unique<machine_context>()),
      stack_(std::make_unique_for_overwrite<std::byte[]>(stack_size)), stack_size_(stack_size)
{
    context_->bottom = stack_.get();
    context_->reach = stack_size;
#if defined(BLITZIO_MODEL_TSAN)
    context_->race_detector = __tsan_create_fiber(0);
#endif
}

fiber::~fiber()
{
#if defined(BLITZIO_MODEL_TSAN)
    if (stack_ != nullptr)
    {
        __tsan_destroy_fiber(context_->race_detector);
    }
#endif
}

void fiber::prepare(entry_function entry) noexcept
{
#if defined(BLITZIO_MODEL_ASAN)
    // Frames of an execution that was left in the middle may have poisoned the stack.
    __asan_unpoison_memory_region(stack_.get(), stack_size_);
#endif
#if defined(BLITZIO_MODEL_TSAN)
    // Calls that never return stay on the detector's own stack of calls, which has an end.
    constexpr unsigned starts_per_detector = 256;
    if (++context_->starts % starts_per_detector == 0)
    {
        __tsan_destroy_fiber(context_->race_detector);
        context_->race_detector = __tsan_create_fiber(0);
    }
#endif
    context_->prepare(stack_.get(), stack_size_, entry);
}

void fiber::switch_to(fiber& next) noexcept
{
#if defined(BLITZIO_MODEL_TSAN)
    __tsan_switch_to_fiber(next.context_->race_detector, 0);
#endif
#if defined(BLITZIO_MODEL_ASAN)
    __sanitizer_start_switch_fiber(&context_->fake_stack, next.context_->bottom,
                                   next.context_->reach);
#endif
    context_->switch_to(*next.context_);
#if defined(BLITZIO_MODEL_ASAN)
    __sanitizer_finish_switch_fiber(context_->fake_stack, nullptr, nullptr);
#endif
}

void fiber::entered([[maybe_unused]] fiber& self, [[maybe_unused]] fiber& root) noexcept
{
#if defined(BLITZIO_MODEL_ASAN)
    const void* bottom = nullptr;
    std::size_t reach = 0;
    // A fiber that starts anew goes on with the fake stack it had, which is dear to make.
    __sanitizer_finish_switch_fiber(self.context_->fake_stack, &bottom, &reach);
    if (root.context_->reach == 0)
    {
        root.context_->bottom = bottom;
        root.context_->reach = reach;
    }
#endif
}

} // namespace model
