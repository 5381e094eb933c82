// The intrusive queue on its own. Thread rule: one thread.
#include <blitzio/sync/detail/wait_queue.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

using blitzio::detail::wait_node;
using blitzio::detail::wait_queue;
using blitzio::detail::wait_status;

namespace
{

std::vector<std::size_t> drain(wait_queue& queue, const std::array<wait_node, 4>& nodes)
{
    std::vector<std::size_t> order;
    while (wait_node* const node = queue.pop_front(wait_status::granted))
    {
        order.push_back(static_cast<std::size_t>(node - nodes.data()));
    }
    return order;
}

} // namespace

TEST_CASE("a wait queue gives its nodes back in the order they came")
{
    std::array<wait_node, 4> nodes;
    wait_queue queue;
    REQUIRE(queue.empty());
    REQUIRE(queue.pop_front(wait_status::granted) == nullptr);
    for (auto& node : nodes)
    {
        queue.push_back(node);
        REQUIRE(node.status == wait_status::queued);
    }
    REQUIRE(queue.front() == &nodes[0]);
    REQUIRE(drain(queue, nodes) == std::vector<std::size_t>{0, 1, 2, 3});
    REQUIRE(queue.empty());
    REQUIRE(std::ranges::all_of(
        nodes, [](const wait_node& node) { return node.status == wait_status::granted; }));
}

TEST_CASE("a node leaves a wait queue from any place and the others keep their order")
{
    for (std::size_t first = 0; first < 4; ++first)
    {
        for (std::size_t second = 0; second < 4; ++second)
        {
            std::array<wait_node, 4> nodes;
            wait_queue queue;
            for (auto& node : nodes)
            {
                queue.push_back(node);
            }
            std::vector<std::size_t> expected{0, 1, 2, 3};
            queue.remove(nodes[first], wait_status::cancelled);
            std::erase(expected, first);
            if (second != first)
            {
                queue.remove(nodes[second], wait_status::cancelled);
                std::erase(expected, second);
            }
            CAPTURE(first, second);
            REQUIRE(nodes[first].status == wait_status::cancelled);
            REQUIRE(drain(queue, nodes) == expected);
        }
    }
}

TEST_CASE("a wait queue can be used again after its last node has left from the middle")
{
    std::array<wait_node, 4> nodes;
    wait_queue queue;
    queue.push_back(nodes[0]);
    queue.remove(nodes[0], wait_status::cancelled);
    REQUIRE(queue.empty());
    queue.push_back(nodes[1]);
    queue.push_back(nodes[2]);
    REQUIRE(drain(queue, nodes) == std::vector<std::size_t>{1, 2});
}
