// What the package must be able to do wherever it is installed: run a task, and have it compute on the pool.
// Thread rule: main thread, one worker, one compute thread.
#include <blitzio/bridge/compute_on.hpp>
#include <blitzio/compute/pool.hpp>
#include <blitzio/io/runtime.hpp>
#include <blitzio/io/try.hpp>

#include <cstdio>

namespace
{

blitzio::task<blitzio::result<int>> answer(blitzio::compute::pool& pool)
{
    const int six = co_await blitzio::try_(blitzio::compute_on(pool, [] { return 6; }));
    co_return six * 7;
}

} // namespace

int main()
{
    blitzio::runtime runtime{{.io_threads = 1}};
    blitzio::compute::pool pool{{.threads = 1}};
    const auto outcome = runtime.block_on(answer(pool));
    std::printf("blitzio on %.*s computed %d\n", static_cast<int>(runtime.backend_name().size()),
                runtime.backend_name().data(), outcome.value_or(-1));
    return outcome == 42 ? 0 : 1;
}
