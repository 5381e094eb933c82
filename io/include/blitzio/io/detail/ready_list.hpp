// A first-in first-out list of runnables. Thread rule: one thread at a time.
#pragma once

#include <blitzio/io/detail/runnable.hpp>

#include <cstddef>

namespace blitzio::detail
{

/// Collects what became runnable, so that it can be handed on in one step.
struct ready_list
{
    runnable* head = nullptr;
    runnable* tail = nullptr;
    std::size_t count = 0;

    void push(runnable& item) noexcept
    {
        item.next = nullptr;
        if (tail == nullptr)
        {
            head = &item;
        }
        else
        {
            tail->next = &item;
        }
        tail = &item;
        ++count;
    }

    runnable* pop() noexcept
    {
        runnable* const item = head;
        if (item != nullptr)
        {
            head = item->next;
            if (head == nullptr)
            {
                tail = nullptr;
            }
            item->next = nullptr;
            --count;
        }
        return item;
    }

    [[nodiscard]] bool empty() const noexcept
    {
        return head == nullptr;
    }
};

} // namespace blitzio::detail
