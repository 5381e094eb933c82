// What only io_uring does: operations that wait on the kernel's own threads, and their cancelling.
// Thread rule: the test's thread.
#include "conformance/stage.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

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

namespace
{

/// A kernel that answers submissions with "take your completions first", so often.
struct refusing_kernel
{
    int refusals_left = 0;
    int refused = 0;

    static int before_submission(void* context) noexcept
    {
        auto& self = *static_cast<refusing_kernel*>(context);
        if (self.refusals_left == 0)
        {
            return 0;
        }
        --self.refusals_left;
        ++self.refused;
        return -EBUSY;
    }
};

struct refused_world
{
    refused_world()
    {
        seam.before_submission = &refusing_kernel::before_submission;
        seam.context = &kernel;
        std::string reason;
        world_options options{.ring_entries = 16};
        options.seam = &seam;
        ring = make_uring_world(options, reason);
        if (ring == nullptr)
        {
            SKIP("io_uring is not available: " << reason);
        }
    }

    refusing_kernel kernel;
    blitzio::detail::uring_test_seam seam;
    std::unique_ptr<world> ring;
};

} // namespace

TEST_CASE("a kernel that refuses submissions for a while delays them", "[conformance][uring]")
{
    refused_world setting;
    std::vector<std::unique_ptr<request>> all;
    setting.kernel.refusals_left = 10;
    for (int index = 0; index < 100; ++index)
    {
        all.push_back(std::make_unique<request>(op_kind::nop));
        setting.ring->start(*all.back());
    }
    CHECK(setting.kernel.refused == 10);
    for (auto& each : all)
    {
        CHECK(setting.ring->finish(*each) == 0);
    }
    CHECK(setting.ring->in_flight() == 0);
}

TEST_CASE("a kernel that refuses submissions for ever is an error, not a loop",
          "[conformance][uring]")
{
    refused_world setting;
    stage scene(*setting.ring);
    const auto both = scene.unix_pair();
    std::array<char, 8> room{};
    request waiting(op_kind::recv);
    waiting.cancellable = true;
    stage::transfer(waiting, both.near, room.data(), room.size());
    setting.ring->start(waiting);
    setting.ring->settle();

    setting.kernel.refusals_left = 1'000'000;
    std::vector<std::unique_ptr<request>> all;
    std::size_t refused = 0;
    for (int index = 0; index < 40; ++index)
    {
        all.push_back(std::make_unique<request>(op_kind::nop));
        if (setting.ring->start(*all.back()))
        {
            CHECK(all.back()->result == -EBUSY);
            ++refused;
        }
    }
    CHECK(refused == 40 - 16);
    // A cancel request finds no room either, and is kept for later.
    setting.ring->cancel(waiting);
    CHECK(setting.kernel.refused >= 25);
    CHECK(setting.kernel.refused < 10'000);

    setting.kernel.refusals_left = 0;
    CHECK(setting.ring->finish(waiting) == -ECANCELED);
    for (auto& each : all)
    {
        static_cast<void>(setting.ring->finish(*each));
    }
    CHECK(setting.ring->in_flight() == 0);
}

TEST_CASE("an interruption by nobody in particular is not told", "[conformance][uring]")
{
    static int interruptions = 0;
    interruptions = 5;
    blitzio::detail::uring_test_seam seam;
    seam.on_result = [](void*, int, std::int32_t result) noexcept -> std::int32_t {
        return result == -ENOENT && interruptions-- > 0 ? -EINTR : result;
    };
    std::string reason;
    world_options options;
    options.seam = &seam;
    const auto ring = make_uring_world(options, reason);
    if (ring == nullptr)
    {
        SKIP("io_uring is not available: " << reason);
    }
    stage scene(*ring);
    request stating(op_kind::stat);
    stage::stat(stating, scene.c_path("missing"), &scene.status);
    CHECK(ring->run(stating) == -ENOENT);
    CHECK(interruptions == -1);
    CHECK(ring->in_flight() == 0);
}
