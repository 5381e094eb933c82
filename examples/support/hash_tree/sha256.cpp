// The EVP interface of OpenSSL. Thread rule: see the header.
#include "hash_tree/sha256.hpp"

#include <stdexcept>

#include <openssl/evp.h>

namespace hash_tree
{

namespace
{

void require(bool succeeded, const char* what)
{
    if (!succeeded)
    {
        throw std::runtime_error(std::string("OpenSSL: ") + what + " failed");
    }
}

/// Fetching goes through locks and string comparisons, so the process does it once.
const EVP_MD* algorithm()
{
    static const std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> fetched(
        EVP_MD_fetch(nullptr, "SHA256", nullptr), &EVP_MD_free);
    require(fetched != nullptr, "EVP_MD_fetch");
    return fetched.get();
}

} // namespace

struct sha256::state
{
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                    &EVP_MD_CTX_free};
};

sha256::sha256() : state_(std::make_unique<state>())
{
    require(state_->context != nullptr, "EVP_MD_CTX_new");
}

sha256::~sha256() = default;
sha256::sha256(sha256&&) noexcept = default;
sha256& sha256::operator=(sha256&&) noexcept = default;

void sha256::begin()
{
    require(EVP_DigestInit_ex2(state_->context.get(), algorithm(), nullptr) == 1, "EVP_DigestInit");
}

void sha256::update(std::span<const std::byte> data)
{
    require(EVP_DigestUpdate(state_->context.get(), data.data(), data.size()) == 1,
            "EVP_DigestUpdate");
}

digest sha256::finish()
{
    digest value{};
    unsigned length = 0;
    require(EVP_DigestFinal_ex(state_->context.get(), value.data(), &length) == 1 &&
                length == value.size(),
            "EVP_DigestFinal");
    return value;
}

} // namespace hash_tree
