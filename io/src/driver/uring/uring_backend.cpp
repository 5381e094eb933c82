// Setting up rings, from the best to the plainest form that the kernel accepts.
// Thread rule: see backend.hpp.
#include "driver/backend.hpp"
#include "driver/posix_system.hpp"
#include "driver/uring/prepare.hpp"
#include "driver/uring/uring_driver.hpp"
#include "limits.hpp"

#include <liburing.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

namespace blitzio::detail
{

namespace
{

/// Every form needs SINGLE_ISSUER's promise kept anyway, so each step only drops what an older
/// kernel does not know. R_DISABLED stays: the ring is enabled on its worker's thread.
constexpr std::array<unsigned, 3> setup_ladder{
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED |
        IORING_SETUP_CQSIZE,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL |
        IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE,
    IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE,
};

/// Small rings that fit a tight memlock limit are better than none.
constexpr unsigned entries_min = 16;

/// Setup flags that belong to features which a test may have taken away.
struct removable_flags
{
    std::uint32_t feature;
    unsigned flags;
};

constexpr std::array<removable_flags, 6> removable{{
    // Deferred task work is only for rings with a single issuer.
    {uring_features::single_issuer, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN},
    {uring_features::defer_taskrun, IORING_SETUP_DEFER_TASKRUN},
    {uring_features::coop_taskrun, IORING_SETUP_COOP_TASKRUN},
    {uring_features::taskrun_flag, IORING_SETUP_TASKRUN_FLAG},
    {uring_features::submit_all, IORING_SETUP_SUBMIT_ALL},
    {uring_features::clamp, IORING_SETUP_CLAMP},
}};

unsigned allowed_flags(unsigned flags, std::uint32_t without) noexcept
{
    for (const auto& each : removable)
    {
        if ((without & each.feature) != 0)
        {
            flags &= ~each.flags;
        }
    }
    // Without one of the kinds of cooperative task work the flag is refused.
    constexpr unsigned cooperative = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN;
    return (flags & cooperative) != 0 ? flags : flags & ~IORING_SETUP_TASKRUN_FLAG;
}

/// 0 or the negated errno; `used` becomes the flags of the ring.
int set_up(io_uring& ring, unsigned entries, std::uint32_t without, unsigned& used)
{
    int error = -EINVAL;
    for (const unsigned flags : setup_ladder)
    {
        used = allowed_flags(flags, without);
        for (unsigned size = entries; size >= entries_min || size == entries; size /= 2)
        {
            io_uring_params parameters{};
            parameters.flags = used;
            parameters.cq_entries = size * limits::completions_per_entry;
            error = io_uring_queue_init_params(size, &ring, &parameters);
            if (error != -ENOMEM)
            {
                break;
            }
        }
        if (error != -EINVAL)
        {
            break;
        }
    }
    return error;
}

/// 0, or why this kernel's rings are not enough for the driver.
int check_abilities(io_uring& ring)
{
    constexpr unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_FAST_POLL;
    if ((ring.features & needed) != needed)
    {
        return -ENOSYS;
    }
    io_uring_probe* const probe = io_uring_get_probe_ring(&ring);
    if (probe == nullptr)
    {
        return -ENOSYS;
    }
    int missing = io_uring_opcode_supported(probe, IORING_OP_ASYNC_CANCEL) ? 0 : -ENOSYS;
    for (auto kind = static_cast<int>(op_kind::nop); kind <= static_cast<int>(op_kind::poll);
         ++kind)
    {
        const int opcode = uring::opcode_of(static_cast<op_kind>(kind));
        if (opcode >= 0 && !io_uring_opcode_supported(probe, opcode))
        {
            missing = -ENOSYS;
        }
    }
    io_uring_free_probe(probe);
    return missing;
}

void close_both(int first, int second) noexcept
{
    for (const int fd : {first, second})
    {
        if (fd >= 0)
        {
            ::close(fd);
        }
    }
}

std::uint32_t missing(const backend_options& options) noexcept
{
    return options.uring_seam == nullptr ? 0 : options.uring_seam->without;
}

/// Tells the rings about each close.
class uring_system final : public posix_system
{
public:
    explicit uring_system(file_registry* registry) noexcept : registry_(registry) {}

    int close(int fd) noexcept override
    {
        if (registry_ != nullptr)
        {
            registry_->forget(fd);
        }
        return posix_system::close(fd);
    }

private:
    file_registry* registry_;
};

class uring_backend final : public backend
{
public:
    explicit uring_backend(const backend_options& options)
        : options_(options),
          registry_(options.registered_files_max == 0 ? nullptr
                                                      : std::make_unique<file_registry>()),
          system_(registry_.get())
    {
    }

    [[nodiscard]] std::string_view name() const noexcept override
    {
        return "io_uring";
    }

    [[nodiscard]] system& operating_system() noexcept override
    {
        return system_;
    }

    [[nodiscard]] result<std::unique_ptr<driver>> create_driver(unsigned index) override
    {
        const int event_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        const int idle_event_fd = ::eventfd(0, EFD_CLOEXEC);
        if (event_fd < 0 || idle_event_fd < 0)
        {
            const std::error_code error(errno, std::system_category());
            close_both(event_fd, idle_event_fd);
            return fail(error);
        }
        io_uring ring{};
        const unsigned entries =
            options_.ring_entries != 0 ? options_.ring_entries : limits::ring_entries_default;
        unsigned used = 0;
        if (const int error = set_up(ring, entries, missing(options_), used); error < 0)
        {
            close_both(event_fd, idle_event_fd);
            return fail(error_from_kernel(error));
        }
        return std::make_unique<uring_driver>(
            uring_driver::parts{ring, used, event_fd, idle_event_fd, index, registry_.get()},
            options_, notes());
    }

private:
    backend_options options_;
    std::unique_ptr<file_registry> registry_;
    uring_system system_;
};

} // namespace

result<std::unique_ptr<backend>> make_uring_backend(const backend_options& options)
{
    // A ring of its own for the question: whether the kernel has, allows and masters it.
    io_uring ring{};
    unsigned used = 0;
    int error = set_up(ring, entries_min, missing(options), used);
    if (error >= 0)
    {
        error = check_abilities(ring);
        io_uring_queue_exit(&ring);
    }
    if (error < 0)
    {
        return fail(error_from_kernel(error));
    }
    return std::make_unique<uring_backend>(options);
}

} // namespace blitzio::detail
