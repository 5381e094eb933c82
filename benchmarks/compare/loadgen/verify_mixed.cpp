// Conformance of a mixed_workload server: values, order of pipelined answers, cut-up requests,
// lengths out of range. Single-threaded, blocking sockets with a receive limit; it measures
// nothing.
#include "mixed_protocol.hpp"
#include "support.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

namespace loadgen
{
namespace
{

int connect_with_limit(std::uint16_t port)
{
    const int descriptor = connect_blocking(port);
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    return descriptor;
}

bool send_all(int descriptor, const unsigned char* bytes, std::size_t length)
{
    std::size_t done = 0;
    while (done < length)
    {
        const ssize_t written = send(descriptor, bytes + done, length - done, MSG_NOSIGNAL);
        if (written <= 0)
        {
            return false;
        }
        done += static_cast<std::size_t>(written);
    }
    return true;
}

bool answer_is(int descriptor, std::uint64_t expected)
{
    std::array<unsigned char, 8> bytes{};
    return recv(descriptor, bytes.data(), bytes.size(), MSG_WAITALL) == 8 &&
           load_le64(bytes.data(), 8) == expected;
}

class verification
{
public:
    explicit verification(std::uint16_t port) : port_(port), bystander_(connect_with_limit(port)) {}

    ~verification()
    {
        close(bystander_);
    }

    verification(const verification&) = delete;
    verification& operator=(const verification&) = delete;

    void check_pipelined()
    {
        std::vector<prepared_request> requests;
        std::vector<unsigned char> stream;
        std::uint64_t seed = 7;
        for (const std::size_t length : {0u, 1u, 7u, 8u, 9u, 15u, 16u, 17u, 1024u, 4099u})
        {
            for (const std::uint32_t work : {0u, 1u, 300u, 0u, 3u})
            {
                requests.push_back(prepare_request(length, work, ++seed));
                stream.insert(stream.end(), requests.back().bytes.begin(),
                              requests.back().bytes.end());
            }
        }
        const int descriptor = connect_with_limit(port_);
        check("pipelined send", send_all(descriptor, stream.data(), stream.size()));
        for (const prepared_request& request : requests)
        {
            check("pipelined answer", answer_is(descriptor, request.answer));
        }
        close(descriptor);
    }

    void check_cut_up()
    {
        const int descriptor = connect_with_limit(port_);
        for (const std::uint32_t work : {0u, 5u})
        {
            const prepared_request request = prepare_request(21, work, work + 50);
            for (const unsigned char& byte : request.bytes)
            {
                check("one byte at a time", send_all(descriptor, &byte, 1));
            }
            check("answer to a cut-up request", answer_is(descriptor, request.answer));
        }
        close(descriptor);
    }

    void check_longest()
    {
        const prepared_request request = prepare_request(request_length_max - 4, 0, 99);
        const int descriptor = connect_with_limit(port_);
        check("longest request", send_all(descriptor, request.bytes.data(), request.bytes.size()));
        check("answer to the longest request", answer_is(descriptor, request.answer));
        close(descriptor);
    }

    // A bad length must close its connection and no other one.
    void check_bad_length(std::uint32_t length)
    {
        const int descriptor = connect_with_limit(port_);
        std::vector<unsigned char> bytes;
        append_le(bytes, length, 4);
        bytes.resize(bytes.size() + 4);
        send_all(descriptor, bytes.data(), bytes.size());
        std::array<unsigned char, 8> answer{};
        const ssize_t got = recv(descriptor, answer.data(), answer.size(), 0);
        check("bad length closes", got == 0 || (got < 0 && errno == ECONNRESET));
        close(descriptor);
        const prepared_request request = prepare_request(33, 2, length);
        check("bystander send", send_all(bystander_, request.bytes.data(), request.bytes.size()));
        check("bystander answer", answer_is(bystander_, request.answer));
    }

    int report() const
    {
        json_object object;
        object.add("mode", std::string("verify_mixed")).add("checks", checks_).add("wrong", wrong_);
        std::printf("%s\n", object.text().c_str());
        return wrong_ == 0 ? 0 : 1;
    }

private:
    void check(const char* what, bool right)
    {
        ++checks_;
        if (!right)
        {
            ++wrong_;
            std::fprintf(stderr, "loadgen: check failed: %s\n", what);
        }
    }

    std::uint16_t port_;
    int bystander_;
    std::uint64_t checks_ = 0;
    std::uint64_t wrong_ = 0;
};

} // namespace

int run_verify_mixed(const options& opts)
{
    verification run(opts.port);
    run.check_pipelined();
    run.check_cut_up();
    run.check_longest();
    for (const std::uint32_t length : {0u, 3u, request_length_max + 1, 0xFFFFFFFFu})
    {
        run.check_bad_length(length);
    }
    return run.report();
}

} // namespace loadgen
