// Jobs for a blocking pool, and waiting for what its threads do. Thread rule: a job is run by one thread of the pool.
#pragma once

#include <blitzio/io/detail/runnable.hpp>

#include <chrono>
#include <thread>
#include <utility>

namespace blitzio::test
{

template <class Body>
struct job : detail::runnable
{
    explicit job(Body given) : body(std::move(given))
    {
        run = [](detail::runnable* self) noexcept { static_cast<job*>(self)->body(); };
    }

    Body body;
};

/// False: `condition` did not become true within 20 s.
template <class Condition>
bool eventually(Condition condition)
{
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition())
    {
        if (std::chrono::steady_clock::now() > deadline)
        {
            return false;
        }
        std::this_thread::yield();
    }
    return true;
}

} // namespace blitzio::test
