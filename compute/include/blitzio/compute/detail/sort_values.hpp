// Sorting plain numbers on one thread, compiled once, with the best sort that the build found.
// Thread rule: any thread; the numbers belong to the caller.
#pragma once

#include <concepts>
#include <functional>
#include <iterator>
#include <memory>
#include <type_traits>

namespace blitzio::compute::detail
{

template <class T>
concept sortable_number =
    std::same_as<T, signed char> || std::same_as<T, unsigned char> || std::same_as<T, short> ||
    std::same_as<T, unsigned short> || std::same_as<T, int> || std::same_as<T, unsigned> ||
    std::same_as<T, long> || std::same_as<T, unsigned long> || std::same_as<T, long long> ||
    std::same_as<T, unsigned long long> || std::same_as<T, float> || std::same_as<T, double>;

/// Ascending by `<`, or descending by `>`.
template <sortable_number T>
void sort_values(T* first, T* last, bool descending) noexcept;

template <class Compare, class T>
inline constexpr bool is_plain_less =
    std::is_same_v<Compare, std::ranges::less> || std::is_same_v<Compare, std::less<>> ||
    std::is_same_v<Compare, std::less<T>>;
template <class Compare, class T>
inline constexpr bool is_plain_greater =
    std::is_same_v<Compare, std::ranges::greater> || std::is_same_v<Compare, std::greater<>> ||
    std::is_same_v<Compare, std::greater<T>>;

template <class Iterator, class Compare>
concept sorts_numbers =
    std::contiguous_iterator<Iterator> && sortable_number<std::iter_value_t<Iterator>> &&
    (is_plain_less<Compare, std::iter_value_t<Iterator>> ||
     is_plain_greater<Compare, std::iter_value_t<Iterator>>);

} // namespace blitzio::compute::detail
