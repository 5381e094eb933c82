// The protocol of the mixed_workload servers, as a client needs it: encoded requests with their
// right answers. Plain values; any thread.
//
// Request: u32le N, then N bytes: u32le W and N - 4 bytes of payload. Answer: u64le, in the order
// of the requests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace loadgen
{

inline constexpr std::uint32_t request_length_max = 1u << 20;

inline void append_le(std::vector<unsigned char>& bytes, std::uint64_t value, unsigned count)
{
    for (unsigned index = 0; index < count; ++index)
    {
        bytes.push_back(static_cast<unsigned char>(value >> (8 * index)));
    }
}

inline std::uint64_t load_le64(const unsigned char* bytes, std::size_t available)
{
    std::uint64_t value = 0;
    for (std::size_t index = 0; index < 8 && index < available; ++index)
    {
        value |= static_cast<std::uint64_t>(bytes[index]) << (8 * index);
    }
    return value;
}

// Deliberately written byte by byte and not shared with any server: it is the second opinion.
inline std::uint64_t expected_answer(const std::vector<unsigned char>& payload, std::uint32_t work)
{
    constexpr std::uint64_t golden = 0x9E3779B97F4A7C15ULL;
    std::uint64_t h = golden ^ payload.size();
    for (std::uint64_t round = 0; round <= work; ++round)
    {
        for (std::size_t at = 0; at < payload.size(); at += 8)
        {
            const std::uint64_t word = load_le64(payload.data() + at, payload.size() - at);
            h = (h ^ (word + round)) + golden;
            h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9ULL;
            h = (h ^ (h >> 27)) * 0x94D049BB133111EBULL;
            h = h ^ (h >> 31);
        }
    }
    return h;
}

struct prepared_request
{
    std::vector<unsigned char> bytes;
    std::uint64_t answer = 0;
};

inline prepared_request prepare_request(std::size_t payload_length, std::uint32_t work,
                                        std::uint64_t seed)
{
    std::vector<unsigned char> payload(payload_length);
    for (unsigned char& byte : payload)
    {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        byte = static_cast<unsigned char>(seed >> 56);
    }
    prepared_request request;
    append_le(request.bytes, payload_length + 4, 4);
    append_le(request.bytes, work, 4);
    request.bytes.insert(request.bytes.end(), payload.begin(), payload.end());
    request.answer = expected_answer(payload, work);
    return request;
}

} // namespace loadgen
