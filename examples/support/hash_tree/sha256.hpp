// SHA-256 in pieces, by OpenSSL. Thread rule: one thread at a time per object.
#pragma once

#include "hash_tree/checksum_line.hpp"

#include <cstddef>
#include <memory>
#include <span>

namespace hash_tree
{

/// Reused for one file after the other; looking up the algorithm and allocating its state happen
/// once. Throws std::runtime_error when OpenSSL refuses.
class sha256
{
public:
    sha256();
    ~sha256();
    sha256(sha256&&) noexcept;
    sha256& operator=(sha256&&) noexcept;

    void begin();
    void update(std::span<const std::byte> data);
    [[nodiscard]] digest finish();

private:
    struct state;
    std::unique_ptr<state> state_;
};

} // namespace hash_tree
