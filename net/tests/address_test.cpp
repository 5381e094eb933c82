// Addresses and endpoints as text: what is accepted, what is refused and where, and that inet_pton
// and inet_ntop agree. Thread rule: one thread.
#include <blitzio/net/endpoint.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <array>
#include <cstring>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <net/if.h>

namespace net = blitzio::net;
using namespace std::string_literals;

namespace
{

struct accepted
{
    std::string_view text;
    std::string_view printed;
};

struct refused
{
    std::string text;
    std::size_t position;
    std::string_view reason;
};

bool kernel_accepts(int family, const std::string& text)
{
    std::array<unsigned char, 16> bytes{};
    // A text with a null byte inside is another text for inet_pton.
    return text.find('\0') == std::string::npos &&
           ::inet_pton(family, text.c_str(), bytes.data()) == 1;
}

std::string kernel_text(const net::ipv6& value)
{
    std::array<char, INET6_ADDRSTRLEN> text{};
    REQUIRE(::inet_ntop(AF_INET6, value.bytes().data(), text.data(), text.size()) != nullptr);
    return text.data();
}

} // namespace

TEST_CASE("IPv4 addresses that are accepted read back as they were written")
{
    for (const std::string text :
         {"0.0.0.0", "127.0.0.1", "255.255.255.255", "1.2.3.4", "10.0.200.30"})
    {
        CAPTURE(text);
        const auto parsed = net::ipv4::parse(text);
        REQUIRE(parsed);
        CHECK(to_string(*parsed) == text);
        CHECK(kernel_accepts(AF_INET, text));
        CHECK(net::address::parse(text) == net::address(*parsed));
    }
}

TEST_CASE("IPv4 addresses that are refused name the place and the reason")
{
    const refused table[] = {
        {"", 0, "expected a decimal octet"},
        {"1.2.3", 5, "an IPv4 address has four octets with dots between them"},
        {"1.2.3.", 6, "expected a decimal octet"},
        {"1.2.3.4.5", 7, "unexpected text after the address"},
        {"1.2.3.4 ", 7, "unexpected text after the address"},
        {" 1.2.3.4", 0, "expected a decimal octet"},
        {"256.2.3.4", 0, "octet is larger than 255"},
        {"1.2.3.999", 6, "octet is larger than 255"},
        {"1.2.3.1000", 6, "octet is larger than 255"},
        {"01.2.3.4", 0, "leading zero"},
        {"1.2.00.4", 4, "leading zero"},
        {"1..3.4", 2, "expected a decimal octet"},
        {"-1.2.3.4", 0, "expected a decimal octet"},
        {"+1.2.3.4", 0, "expected a decimal octet"},
        {"0x1.2.3.4", 1, "an IPv4 address has four octets with dots between them"},
        {"a.b.c.d", 0, "expected a decimal octet"},
        {"1.2.3.4\0"s, 7, "unexpected text after the address"},
    };
    for (const refused& row : table)
    {
        CAPTURE(row.text);
        const auto parsed = net::ipv4::parse(row.text);
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().input == row.text);
        CHECK(parsed.error().position == row.position);
        CHECK(parsed.error().reason == row.reason);
        CHECK_FALSE(kernel_accepts(AF_INET, row.text));
    }
}

TEST_CASE("IPv6 addresses that are accepted are printed in the recommended form")
{
    const accepted table[] = {
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"1::8", "1::8"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
        {"2001:DB8::ABCD", "2001:db8::abcd"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"1:0:0:2:0:0:0:3", "1:0:0:2::3"},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
        {"::ffff:c000:201", "::ffff:192.0.2.1"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"fe80::1", "fe80::1"},
    };
    for (const accepted& row : table)
    {
        CAPTURE(row.text);
        const auto parsed = net::ipv6::parse(row.text);
        REQUIRE(parsed);
        CHECK(to_string(*parsed) == row.printed);
        std::array<unsigned char, 16> expected{};
        REQUIRE(::inet_pton(AF_INET6, std::string(row.text).c_str(), expected.data()) == 1);
        CHECK(std::memcmp(expected.data(), parsed->bytes().data(), 16) == 0);
        CHECK(net::address::parse(row.text) == net::address(*parsed));
    }
}

TEST_CASE("IPv6 addresses that are refused name the place and the reason")
{
    const refused table[] = {
        {"", 0, "expected a group of hexadecimal digits"},
        {":", 0, "expected a group of hexadecimal digits"},
        {":::", 2, "expected a group of hexadecimal digits"},
        {"::::", 2, "expected a group of hexadecimal digits"},
        {":1", 0, "expected a group of hexadecimal digits"},
        {"1:", 2, "expected a group of hexadecimal digits"},
        {"1::2::3", 4, "\"::\" may appear once"},
        {"::1::", 3, "\"::\" may appear once"},
        {"1:2:3:4:5:6:7", 13, "fewer than eight groups and no \"::\""},
        {"1:2:3:4:5:6:7:8:9", 16, "more than eight groups"},
        {"1:2:3:4:5:6:7:8::", 17, "\"::\" stands for at least one group"},
        {"::1:2:3:4:5:6:7:8", 17, "\"::\" stands for at least one group"},
        {"12345::", 0, "group has more than four digits"},
        {"00000::", 0, "group has more than four digits"},
        {"g::", 0, "expected a group of hexadecimal digits"},
        {"::1 ", 3, "expected \":\" between groups"},
        {"::1.2.3", 7, "an IPv4 address has four octets with dots between them"},
        {"::1.2.3.256", 8, "octet is larger than 255"},
        {"::01.2.3.4", 2, "leading zero"},
        {"::1.2.3.4:5", 9, "unexpected text after the address"},
        {"1:2:3:4:5:6:7:1.2.3.4", 14, "more than eight groups"},
        {"1.2.3.4", 7, "fewer than eight groups and no \"::\""},
        {"[::1]", 0, "expected a group of hexadecimal digits"},
        {"::1\0"s, 3, "expected \":\" between groups"},
    };
    for (const refused& row : table)
    {
        CAPTURE(row.text);
        const auto parsed = net::ipv6::parse(row.text);
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().input == row.text);
        CHECK(parsed.error().position == row.position);
        CHECK(parsed.error().reason == row.reason);
        CHECK_FALSE(kernel_accepts(AF_INET6, row.text));
    }
}

TEST_CASE("random texts are accepted exactly when inet_pton accepts them")
{
    const auto seed = GENERATE(1u, 2u, 3u);
    std::mt19937 random(seed);
    const auto pick = [&random](std::string_view from) { return from[random() % from.size()]; };
    std::size_t accepted_count = 0;
    for (int round = 0; round < 100'000; ++round)
    {
        std::string text;
        const bool six = random() % 2 == 0;
        const std::size_t length = random() % (six ? 24 : 12);
        while (text.size() < length)
        {
            text += six ? pick("00:::::1af4.") : pick("0012579....");
        }
        CAPTURE(text);
        const bool ours =
            six ? net::ipv6::parse(text).has_value() : net::ipv4::parse(text).has_value();
        const bool theirs = kernel_accepts(six ? AF_INET6 : AF_INET, text);
        if (ours != theirs)
        {
            FAIL("blitzio " << ours << ", inet_pton " << theirs);
        }
        accepted_count += ours ? 1 : 0;
    }
    CHECK(accepted_count > 100);
}

TEST_CASE("random IPv6 addresses are printed as inet_ntop does, and read back")
{
    std::mt19937 random(7);
    for (int round = 0; round < 20'000; ++round)
    {
        net::ipv6::bytes_type bytes{};
        for (std::size_t group = 0; group < 8; ++group)
        {
            if (random() % 2 == 0)
            {
                bytes[2 * group] = random() % 2 == 0 ? 0 : static_cast<std::uint8_t>(random());
                bytes[2 * group + 1] = static_cast<std::uint8_t>(random());
            }
        }
        bytes[0] |= 0x20; // not ::a.b.c.d, which inet_ntop prints in the deprecated mixed form
        const net::ipv6 value(bytes);
        if (to_string(value) != kernel_text(value) || net::ipv6::parse(to_string(value)) != value)
        {
            FAIL(to_string(value) << " instead of " << kernel_text(value));
        }
    }
}

TEST_CASE("a scope is a number or the name of an interface")
{
    const auto numbered = net::ipv6::parse("fe80::1%7");
    REQUIRE(numbered);
    CHECK(numbered->scope_id() == 7);
    CHECK(to_string(*numbered) == "fe80::1%7");
    CHECK(*numbered != *net::ipv6::parse("fe80::1"));
    CHECK(net::endpoint::parse("[fe80::1%7]:80")->address == net::address(*numbered));

    std::array<char, IF_NAMESIZE> name{};
    if (::if_indextoname(1, name.data()) != nullptr)
    {
        const auto named = net::ipv6::parse("fe80::1%" + std::string(name.data()));
        REQUIRE(named);
        CHECK(named->scope_id() == 1);
    }

    const refused table[] = {
        {"fe80::1%", 8, "expected a scope after \"%\""},
        {"fe80::1%4294967296", 8, "scope does not fit into 32 bits"},
        {"fe80::1%99999999999", 8, "scope does not fit into 32 bits"},
        {"fe80::1%longer-than-a-name", 8, "no interface can have this name"},
        {"fe80::1%nosuch0", 8, "this machine has no interface of this name"},
        {"fe80::1%1]", 9, "unexpected text after the address"},
    };
    for (const refused& row : table)
    {
        CAPTURE(row.text);
        const auto parsed = net::ipv6::parse(row.text);
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().position == row.position);
        CHECK(parsed.error().reason == row.reason);
    }
}

TEST_CASE("endpoints that are accepted read back as they were written")
{
    for (const std::string text : {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535",
                                   "[::1]:8080", "[::]:0", "[2001:db8::1]:1", "[fe80::1%3]:80"})
    {
        CAPTURE(text);
        const auto parsed = net::endpoint::parse(text);
        REQUIRE(parsed);
        CHECK(to_string(*parsed) == text);
        std::ostringstream out;
        out << *parsed;
        CHECK(out.str() == text);
    }
}

TEST_CASE("endpoints that are refused name the place and the reason")
{
    constexpr std::string_view names = "expected a numeric address: host names are not looked up";
    constexpr std::string_view brackets =
        "an IPv6 address needs brackets before a port: \"[::1]:80\"";
    const refused table[] = {
        {"", 0, "expected a decimal octet"},
        {":80", 0, "expected an address before \":\""},
        {"127.0.0.1", 9, "expected \":\" and a port after the address"},
        {"127.0.0.1:", 10, "expected a port in decimal"},
        {"127.0.0.1:-1", 10, "expected a port in decimal"},
        {"127.0.0.1: 80", 10, "expected a port in decimal"},
        {"127.0.0.1:http", 10, "expected a port in decimal"},
        {"127.0.0.1:080", 10, "leading zero"},
        {"127.0.0.1:65536", 10, "port is larger than 65535"},
        {"127.0.0.1:123456", 10, "port is larger than 65535"},
        {"127.0.0.1:80x", 12, "unexpected text after the port"},
        {"127.0.0.1:80\n", 12, "unexpected text after the port"},
        {"10.0.0.300:80", 7, "octet is larger than 255"},
        {"localhost:80", 0, names},
        {"cafe:80", 0, names},
        {"example.org:80", 0, names},
        {"::1:80", 0, "expected an address before \":\""},
        {"2001:db8::1:80", 0, brackets},
        {"[::1]", 5, "expected \":\" and a port after the address"},
        {"[::1]80", 5, "expected \":\" and a port after the address"},
        {"[::1:80", 7, "expected \"]\" after the IPv6 address"},
        {"[]:80", 1, "expected a group of hexadecimal digits"},
        {"[127.0.0.1]:80", 10, "fewer than eight groups and no \"::\""},
        {"[::1]:", 6, "expected a port in decimal"},
        {"127.0.0.1:80:90", 0, brackets},
    };
    for (const refused& row : table)
    {
        CAPTURE(row.text);
        const auto parsed = net::endpoint::parse(row.text);
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().input == row.text);
        CHECK(parsed.error().position == row.position);
        CHECK(parsed.error().reason == row.reason);
    }
}

TEST_CASE("a parse error is an error code and a message that names the input")
{
    const auto parsed = net::endpoint::parse("10.0.0.300:80");
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().message() == "\"10.0.0.300:80\": octet is larger than 255, at position 7");
    const std::error_code code = parsed.error();
    CHECK(code == blitzio::io_errc::invalid_format);
    const blitzio::result<net::endpoint> handed_on = parsed;
    REQUIRE_FALSE(handed_on);
    CHECK(handed_on.error() == blitzio::io_errc::invalid_format);
    const auto strange = net::endpoint::parse("1\"\\\n\x80");
    REQUIRE_FALSE(strange);
    CHECK(strange.error().message().starts_with(R"("1\"\\\x0a\x80": )"));
}

TEST_CASE("addresses compare by kind, then by bytes, then by scope")
{
    CHECK(net::ipv4(1, 2, 3, 4) < net::ipv4(1, 2, 4, 0));
    CHECK(net::ipv4(9, 0, 0, 0) < net::ipv4(10, 0, 0, 0));
    CHECK(net::ipv4(200, 0, 0, 0) > net::ipv4(100, 0, 0, 0));
    CHECK(net::address(net::ipv4(255, 255, 255, 255)) < net::address(net::ipv6::any()));
    CHECK(net::ipv6(net::ipv6::loopback().bytes(), 1) > net::ipv6::loopback());
    CHECK(net::endpoint{net::ipv4::loopback(), 2} > net::endpoint{net::ipv4::loopback(), 1});
    CHECK(net::endpoint{net::ipv4::any(), 9} < net::endpoint{net::ipv4::loopback(), 1});
    CHECK(net::ipv4::any().is_any());
    CHECK(net::ipv4(127, 9, 9, 9).is_loopback());
    CHECK_FALSE(net::ipv4(128, 0, 0, 1).is_loopback());
    CHECK(net::address(net::ipv6::any()).is_any());
    CHECK(net::address(net::ipv6::loopback()).is_loopback());
    CHECK_FALSE(net::ipv6::any().is_loopback());
    CHECK(net::address().as_ipv6() == nullptr);
}
