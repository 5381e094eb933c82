// One task for each sender. Thread rule: see the header.
#include "log_analytics/receiver.hpp"

#include "accept_all.hpp"

#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace log_analytics
{

namespace bz = blitzio;

/// Reads from one sender and cuts at line ends.
class receiver::connection
{
public:
    connection(receiver& owner, bz::net::tcp_stream& stream, blocks& out)
        : owner_(owner), stream_(stream), out_(out)
    {
        const auto peer = stream.peer_endpoint();
        name_ = std::make_shared<const std::string>(peer ? to_string(*peer) : "a sender");
        begin_block();
    }

    [[nodiscard]] bz::task<bz::result<void>> read_all();

private:
    void begin_block()
    {
        gathered_ = {std::make_unique_for_overwrite<char[]>(block_bytes), 0, name_};
    }

    [[nodiscard]] std::string_view text() const noexcept
    {
        return {gathered_.text.get(), gathered_.length};
    }

    /// Hands over the first `length` bytes; the rest begins the next block.
    [[nodiscard]] bz::task<bz::result<void>> hand_over(std::size_t length);
    void take(std::size_t received);

    receiver& owner_;
    bz::net::tcp_stream& stream_;
    blocks& out_;
    std::shared_ptr<const std::string> name_;
    block gathered_;
    /// Up to the next newline, everything belongs to a line that was too long.
    bool skipping_ = false;
};

bz::task<bz::result<void>> receiver::connection::read_all()
{
    for (;;)
    {
        const std::size_t room = block_bytes - gathered_.length;
        const std::span free(gathered_.text.get() + gathered_.length, room);
        const auto received = co_await stream_.read_some(std::as_writable_bytes(free));
        if (received && *received != 0)
        {
            owner_.receipts_.fetch_add(1, std::memory_order_relaxed);
            take(*received);
        }
        const bool at_end = received && *received == 0;
        const auto last_newline = text().rfind('\n');
        const std::size_t whole = at_end                        ? gathered_.length
                                  : last_newline == text().npos ? 0
                                                                : last_newline + 1;
        // A sender that goes on sending fills the block first.
        const bool has_paused = !received || *received < room;
        if (whole != 0 && (has_paused || gathered_.length == block_bytes))
        {
            co_await bz::try_(hand_over(whole));
        }
        if (at_end)
        {
            co_return {};
        }
        if (!received)
        {
            const bool in_a_line = gathered_.length != 0 || skipping_;
            owner_.unfinished_.fetch_add(in_a_line ? 1 : 0, std::memory_order_relaxed);
            co_return bz::fail(received.error());
        }
        if (gathered_.length == block_bytes)
        {
            owner_.overlong_->add_overlong(*name_, text());
            gathered_.length = 0;
            skipping_ = true;
        }
    }
}

void receiver::connection::take(std::size_t received)
{
    if (!skipping_)
    {
        gathered_.length += received;
        return;
    }
    // Nothing was gathered meanwhile.
    const std::string_view arrived(gathered_.text.get(), received);
    const auto end = arrived.find('\n');
    if (end != arrived.npos)
    {
        skipping_ = false;
        gathered_.length = received - (end + 1);
        std::memmove(gathered_.text.get(), gathered_.text.get() + end + 1, gathered_.length);
    }
}

bz::task<bz::result<void>> receiver::connection::hand_over(std::size_t length)
{
    block full = std::move(gathered_);
    begin_block();
    gathered_.length = full.length - length;
    std::memcpy(gathered_.text.get(), full.text.get() + length, gathered_.length);
    full.length = length;
    const auto sent = co_await out_.send_from(full);
    if (!sent && sent.error() == std::errc::operation_canceled)
    {
        // What came before the stop counts; the read that follows ends because of it.
        const std::lock_guard lock(owner_.mutex_);
        owner_.left_over_.push_back(std::move(full));
        co_return {};
    }
    co_return sent;
}

bz::task<bz::result<void>> receiver::serve(bz::net::tcp_stream stream, blocks out)
{
    senders_.fetch_add(1, std::memory_order_relaxed);
    connected_.fetch_add(1, std::memory_order_relaxed);
    connection from(*this, stream, out);
    const auto outcome = co_await from.read_all();
    if (connected_.fetch_sub(1, std::memory_order_relaxed) == 1 && options_.once)
    {
        ended_.set();
    }
    co_return outcome;
}

bz::task<bz::result<void>> receiver::watch_idleness()
{
    if (options_.idle_max.count() == 0)
    {
        co_return co_await ended_.wait();
    }
    for (auto seen = ~std::uint64_t{0}; seen != receipts_.load(std::memory_order_relaxed);)
    {
        seen = receipts_.load(std::memory_order_relaxed);
        const auto ended = co_await bz::timeout(options_.idle_max, ended_.wait());
        if (ended || ended.error() != std::errc::timed_out)
        {
            co_return ended;
        }
    }
    co_return {};
}

bz::task<bz::result<void>> receiver::run(bz::net::tcp_listener& listener, blocks out)
{
    auto accepting = example::accept_all(listener, [this, out](bz::net::tcp_stream stream) {
        return serve(std::move(stream), out);
    });
    // Whoever ends first stops the other, which is waited for.
    auto first = co_await bz::race(watch_idleness(), std::move(accepting));
    const auto ended = first.index() == 0 ? std::get<0>(first) : std::get<1>(first);
    if (!ended && ended.error() == std::errc::operation_canceled)
    {
        co_return {};
    }
    co_return ended;
}

} // namespace log_analytics
