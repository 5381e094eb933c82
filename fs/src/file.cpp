// Opening files. Thread rule: as the header says.
#include <blitzio/fs/file.hpp>

namespace blitzio::fs::detail
{

namespace flags = blitzio::detail::open_flags;

namespace
{

bool is_consistent(const open_options& options) noexcept
{
    if (!options.read && !options.write)
    {
        return false;
    }
    if ((options.truncate || options.append) && !options.write)
    {
        return false;
    }
    return options.create || !options.exclusive;
}

std::uint32_t flags_of(const open_options& options) noexcept
{
    std::uint32_t all = 0;
    all |= options.read ? flags::read : 0;
    all |= options.non_block ? flags::non_block : 0;
    all |= options.write ? flags::write : 0;
    all |= options.create ? flags::create : 0;
    all |= options.truncate ? flags::truncate : 0;
    all |= options.append ? flags::append : 0;
    all |= options.exclusive ? flags::exclusive : 0;
    all |= options.no_follow ? flags::no_follow : 0;
    return all;
}

} // namespace

bool open_operation::start(const task_env& env, blitzio::detail::waiter who) noexcept
{
    if (!is_consistent(options_))
    {
        op_.result = kernel_error(std::errc::invalid_argument);
        return false;
    }
    return path_operation::start(env, who);
}

void open_operation::prepare(blitzio::detail::op& operation, const task_env& env) noexcept
{
    system_ = &blitzio::detail::system_of(*env.runtime);
    operation.args.open = {path(), flags_of(options_), options_.mode};
}

} // namespace blitzio::fs::detail
