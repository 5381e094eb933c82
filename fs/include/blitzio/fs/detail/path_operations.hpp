// Operations on paths: objects in the awaiting frame that own their paths.
// Thread rule: started on a worker.
#pragma once

#include <blitzio/fs/types.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/result.hpp>

#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

namespace blitzio::fs::detail
{

constexpr std::int32_t kernel_error(std::errc code) noexcept
{
    return -static_cast<std::int32_t>(code);
}

/// Kernel style: what is wrong with a path before the kernel is asked; 0 for nothing. For the
/// kernel a path ends at the first null byte, which would name another file, and to some of its
/// calls an empty one means the descriptor next to it.
inline std::int32_t check_path(const std::string& path) noexcept
{
    if (path.empty())
    {
        return kernel_error(std::errc::no_such_file_or_directory);
    }
    return path.find('\0') == std::string::npos ? 0 : kernel_error(std::errc::invalid_argument);
}

inline result<void> to_result(std::int32_t outcome) noexcept
{
    if (outcome < 0)
    {
        return fail(blitzio::detail::error_from_kernel(outcome));
    }
    return {};
}

/// `Derived` sets the arguments in prepare(), when path() has its final place.
template <class Derived>
class path_operation : public blitzio::detail::driver_operation<Derived>
{
    using base = blitzio::detail::driver_operation<Derived>;

public:
    path_operation(blitzio::detail::op_kind kind, std::string path) noexcept
        : base(kind), path_(std::move(path))
    {
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        if (const std::int32_t wrong = check_path(path_); wrong != 0)
        {
            this->op_.result = wrong;
            return false;
        }
        return base::start(env, who);
    }

protected:
    [[nodiscard]] const char* path() const noexcept
    {
        return path_.c_str();
    }

private:
    std::string path_;
};

class stat_operation : public path_operation<stat_operation>
{
public:
    stat_operation(std::string path, bool follow_links) noexcept
        : path_operation(blitzio::detail::op_kind::stat, std::move(path)),
          follow_links_(follow_links)
    {
    }

    void prepare(blitzio::detail::op& operation, const task_env&) noexcept
    {
        operation.args.stat = {path(), &status_, follow_links_};
    }

    result<file_status> finish(std::int32_t outcome) noexcept
    {
        if (outcome < 0)
        {
            return fail(blitzio::detail::error_from_kernel(outcome));
        }
        return status_;
    }

private:
    bool follow_links_;
    file_status status_;
};

class make_directory_operation : public path_operation<make_directory_operation>
{
public:
    make_directory_operation(std::string path, std::uint32_t mode) noexcept
        : path_operation(blitzio::detail::op_kind::make_directory, std::move(path)), mode_(mode)
    {
    }

    void prepare(blitzio::detail::op& operation, const task_env&) noexcept
    {
        operation.args.open = {path(), 0, mode_};
    }

    result<void> finish(std::int32_t outcome) noexcept
    {
        return to_result(outcome);
    }

private:
    std::uint32_t mode_;
};

class unlink_operation : public path_operation<unlink_operation>
{
public:
    unlink_operation(std::string path, bool is_directory) noexcept
        : path_operation(blitzio::detail::op_kind::unlink, std::move(path)),
          is_directory_(is_directory)
    {
    }

    void prepare(blitzio::detail::op& operation, const task_env&) noexcept
    {
        operation.args.open = {
            path(), is_directory_ ? blitzio::detail::open_flags::remove_directory : 0, 0};
    }

    result<void> finish(std::int32_t outcome) noexcept
    {
        return to_result(outcome);
    }

private:
    bool is_directory_;
};

class rename_operation : public path_operation<rename_operation>
{
public:
    rename_operation(std::string from, std::string to, bool replace) noexcept
        : path_operation(blitzio::detail::op_kind::rename, std::move(from)), to_(std::move(to)),
          replace_(replace)
    {
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        if (const std::int32_t wrong = check_path(to_); wrong != 0)
        {
            op_.result = wrong;
            return false;
        }
        return path_operation::start(env, who);
    }

    void prepare(blitzio::detail::op& operation, const task_env&) noexcept
    {
        operation.args.paths = {path(), to_.c_str(), replace_};
    }

    result<void> finish(std::int32_t outcome) noexcept
    {
        return to_result(outcome);
    }

private:
    std::string to_;
    bool replace_;
};

} // namespace blitzio::fs::detail
