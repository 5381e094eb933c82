// Opening and listing directories. Thread rule: as the header says.
#include <blitzio/fs/directory.hpp>

#include <blitzio/io/detail/runtime_access.hpp>
#include <blitzio/io/try.hpp>

#include <algorithm>

namespace blitzio::fs
{

namespace flags = blitzio::detail::open_flags;

void detail::open_directory_operation::prepare(blitzio::detail::op& operation,
                                               const task_env& env) noexcept
{
    system_ = &blitzio::detail::system_of(*env.runtime);
    const std::uint32_t wanted =
        flags::read | flags::directory | (follow_links_ ? 0 : flags::no_follow);
    operation.args.open = {path(), wanted, 0};
}

task<result<std::vector<directory_entry>>> directory::list()
{
    std::vector<directory_entry> all;
    directory_batch batch;
    do
    {
        const std::size_t count = co_await try_(next_batch(batch));
        if (count == 0)
        {
            break;
        }
        all.reserve(all.size() + count);
        for (const auto& entry : batch.entries)
        {
            all.push_back({std::string(batch.name(entry)), entry.type});
        }
    } while (!batch.at_end);
    std::ranges::sort(all, {}, &directory_entry::name);
    co_return all;
}

} // namespace blitzio::fs
