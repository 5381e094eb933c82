// pdqsort where its header is installed (it does not branch on the comparison of numbers), otherwise
// std::sort. Thread rule: see the header.
#include <blitzio/compute/detail/sort_values.hpp>

#ifdef BLITZIO_WITH_PDQSORT
#include <pdqsort.h>
#else
#include <algorithm>
#endif

namespace blitzio::compute::detail
{

namespace
{

template <class T, class Compare>
void sort_by(T* first, T* last, Compare compare) noexcept
{
#ifdef BLITZIO_WITH_PDQSORT
    pdqsort_branchless(first, last, compare);
#else
    std::sort(first, last, compare);
#endif
}

} // namespace

template <sortable_number T>
void sort_values(T* first, T* last, bool descending) noexcept
{
    if (descending)
    {
        sort_by(first, last, std::greater<T>());
    }
    else
    {
        sort_by(first, last, std::less<T>());
    }
}

template void sort_values(signed char*, signed char*, bool) noexcept;
template void sort_values(unsigned char*, unsigned char*, bool) noexcept;
template void sort_values(short*, short*, bool) noexcept;
template void sort_values(unsigned short*, unsigned short*, bool) noexcept;
template void sort_values(int*, int*, bool) noexcept;
template void sort_values(unsigned*, unsigned*, bool) noexcept;
template void sort_values(long*, long*, bool) noexcept;
template void sort_values(unsigned long*, unsigned long*, bool) noexcept;
template void sort_values(long long*, long long*, bool) noexcept;
template void sort_values(unsigned long long*, unsigned long long*, bool) noexcept;
template void sort_values(float*, float*, bool) noexcept;
template void sort_values(double*, double*, bool) noexcept;

} // namespace blitzio::compute::detail
