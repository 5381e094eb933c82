// What only io_uring does: operations that wait on the kernel's own threads, and their cancelling.
// Thread rule: the test's thread.
#include "conformance/stage.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <string>

#include <fcntl.h>
#include <mqueue.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace blitzio::conformance;

namespace
{

std::unique_ptr<world> ring_or_skip()
{
    std::string reason;
    auto ring = make_uring_world({}, reason);
    if (ring == nullptr)
    {
        SKIP("io_uring is not available: " << reason);
    }
    return ring;
}

} // namespace

TEST_CASE("an open that waits in the kernel is cancelled like anything else",
          "[conformance][uring][cancel]")
{
    const auto ring = ring_or_skip();
    for (int round = 0; round < 20; ++round)
    {
        stage scene(*ring);
        const char* const fifo = scene.c_path("fifo");
        REQUIRE(::mkfifo(fifo, 0600) == 0);
        request opening(op_kind::open);
        opening.cancellable = true;
        // With `create` the kernel does not try first whether it would have to wait for a reader.
        stage::on_path(opening, fifo, open_flags::write | open_flags::create, 0600);
        ring->start(opening);
        ring->settle();
        if (round % 2 == 0)
        {
            // Time for the kernel's thread to be inside the call, where a cancel interrupts it.
            ready_list ready;
            ring->io().wait(ready, 2ms);
            ring->take(ready);
        }
        REQUIRE_FALSE(opening.done);
        ring->cancel(opening);
        CHECK(ring->finish(opening) == -ECANCELED);
    }
}

TEST_CASE("a close that the kernel puts off is not taken back by a cancel",
          "[conformance][uring][cancel]")
{
    const auto ring = ring_or_skip();
    // A message queue has to be flushed when it is closed, which the ring leaves to a thread.
    const std::string name = "/blitzio-test-" + std::to_string(::getpid());
    for (int round = 0; round < 50; ++round)
    {
        const int fd =
            static_cast<int>(::mq_open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600, nullptr));
        if (fd < 0)
        {
            SKIP("no message queues here");
        }
        ::mq_unlink(name.c_str());
        request closing(op_kind::close, fd);
        closing.cancellable = true;
        ring->start(closing);
        ring->cancel(closing);
        CHECK(ring->finish(closing) == 0);
        CHECK(::fcntl(fd, F_GETFD) == -1);
        ring->settle();
        CHECK(closing.times_continued == 1);
    }
}
