// The loop of a server: a task for every connection, and none that is left behind.
// Thread rule: awaited in a task; the connections' tasks run on any worker.
#pragma once

#include <blitzio/io.hpp>
#include <blitzio/net.hpp>

#include <chrono>
#include <utility>

namespace example
{

/// True for errors that concern the connection that was about to be accepted, not the listener.
inline bool is_about_one_connection(const std::error_code& error)
{
    return error == std::errc::connection_aborted || error == std::errc::protocol_error;
}

/// True for shortages that last until some other connection or file is closed.
inline bool is_shortage(const std::error_code& error)
{
    return error == std::errc::too_many_files_open ||
           error == std::errc::too_many_files_open_in_system ||
           error == std::errc::no_buffer_space || error == std::errc::not_enough_memory;
}

/// Accepts until it is stopped or the listener fails. How one connection ends, `serve`'s result,
/// is that connection's business and does not touch the others.
template <class Serve>
blitzio::task<blitzio::result<void>> accept_all(blitzio::net::tcp_listener& listener, Serve serve)
{
    namespace bz = blitzio;
    co_return co_await bz::scope([&](bz::task_group& connections) -> bz::task<bz::result<void>> {
        for (;;)
        {
            auto stream = co_await listener.accept();
            if (stream)
            {
                connections.spawn([serve, peer = *std::move(stream)]() mutable -> bz::task<void> {
                    static_cast<void>(co_await serve(std::move(peer)));
                });
            }
            else if (is_shortage(stream.error()))
            {
                // Trying again at once would only burn the processor.
                co_await bz::try_(bz::sleep_for(std::chrono::milliseconds(10)));
            }
            else if (!is_about_one_connection(stream.error()))
            {
                co_return bz::fail(stream.error());
            }
        }
    });
}

} // namespace example
