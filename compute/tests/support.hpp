// What the tests of the parallel algorithms share. Thread rule: any thread outside of the pool.
#pragma once

#include <blitzio/compute/pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <exception>
#include <latch>

namespace test
{

/// Runs `function` as one job of `where`, waits for it, and passes its exception on.
template <class Function>
void inside(blitzio::compute::pool& where, Function function)
{
    using blitzio::compute::job;
    struct work : job
    {
        Function& function;
        std::exception_ptr thrown;
        std::latch ended{1};

        explicit work(Function& called) : function(called)
        {
            run = [](job* self) noexcept {
                auto& item = *static_cast<work*>(self);
                try
                {
                    item.function();
                }
                catch (...)
                {
                    item.thrown = std::current_exception();
                }
                item.ended.count_down();
            };
        }
    };
    work item(function);
    REQUIRE(where.enqueue(item));
    item.ended.wait();
    if (item.thrown)
    {
        std::rethrow_exception(item.thrown);
    }
}

} // namespace test
