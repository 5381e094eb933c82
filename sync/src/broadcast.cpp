// The error of a receiver that lagged behind. Thread rule: any thread.
#include <blitzio/sync/broadcast.hpp>

#include <algorithm>
#include <limits>
#include <string>

namespace blitzio::sync
{

namespace
{

class lagged_category_type final : public std::error_category
{
public:
    [[nodiscard]] const char* name() const noexcept override
    {
        return "blitzio.lagged";
    }

    [[nodiscard]] std::string message(int missed) const override
    {
        return "the receiver lagged behind and missed " + std::to_string(missed) +
               (missed == 1 ? " value" : " values");
    }
};

} // namespace

const std::error_category& lagged_category() noexcept
{
    static const lagged_category_type instance;
    return instance;
}

std::size_t missed_values(std::error_code error) noexcept
{
    return error.category() == lagged_category() ? static_cast<std::size_t>(error.value()) : 0;
}

std::error_code broadcast_detail::lagged_error(std::uint64_t missed) noexcept
{
    constexpr std::uint64_t most = std::numeric_limits<int>::max();
    return {static_cast<int>(std::min(missed, most)), lagged_category()};
}

} // namespace blitzio::sync
