// How large the things are of which programs have millions; docs/adr/0002-sizes.md says why.
// Thread rule: none.
#include <blitzio/sync.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

using namespace blitzio;

namespace
{

/// Bytes that one value of an unbounded channel takes when its block is full.
template <class T>
constexpr double bytes_per_value =
    static_cast<double>(sizeof(typename detail::block_store<T>::block)) /
    static_cast<double>(detail::block_store<T>::block::capacity);

} // namespace

TEST_CASE("a slot of a channel is at most eight bytes larger than its value", "[size]")
{
    // A ring is an array of values, so its slot is the value; see ring_store and spsc_state. A block
    // has one pointer for all of its values.
    CHECK(bytes_per_value<std::uint8_t> <= 1 + 8);
    CHECK(bytes_per_value<std::uint64_t> <= 8 + 8);
    CHECK(bytes_per_value<std::array<std::byte, 300>> <= 300 + 8);
    CHECK(bytes_per_value<std::array<std::byte, 5000>> <= 5000 + 8);
}

TEST_CASE("what both ends of a oneshot share is 32 bytes", "[size]")
{
    CHECK(sizeof(detail::oneshot_cell<std::uint8_t>) <= 32);
    CHECK(sizeof(detail::oneshot_cell<std::uint64_t>) <= 32);
    CHECK(sizeof(sync::oneshot_sender<int>) == sizeof(void*));
}

TEST_CASE("locks are small, and a wait is a part of the frame", "[size]")
{
    CHECK(sizeof(sync::mutex) <= 24);
    CHECK(sizeof(sync::shared_mutex) <= 24);
    CHECK(sizeof(sync::event) <= 24);
    CHECK(sizeof(sync::notify) <= 24);
    CHECK(sizeof(sync::semaphore) <= 32);
    CHECK(sizeof(detail::wait_node) <= 56); // that it may be a case of a select costs nothing
    CHECK(sizeof(sync::mutex::lock_operation) <= 104);
    using receiving = decltype(std::declval<sync::channel_receiver<std::uint64_t>&>().receive());
    CHECK(sizeof(receiving) <= 120);
}
