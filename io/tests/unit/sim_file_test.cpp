// Files of the simulated world. The expected errors are those of Linux.
#include "sim_harness.hpp"

#include <map>
#include <set>

using namespace sim_test;
using namespace blitzio::detail::open_flags;

namespace
{

/// /f and /ln -> f, /d with /d/e and /ld -> d, /lx -> dang, /loop -> loop.
void set_up(harness& sim)
{
    auto& files = sim.world().files();
    files.add_file("/f", "x");
    files.add_directory("/d/e");
    files.add_symlink("/ln", "f");
    files.add_symlink("/ld", "d");
    files.add_symlink("/lx", "dang");
    files.add_symlink("/loop", "loop");
}

std::string listing_of(harness& sim, const char* path, std::vector<std::string>* order = nullptr)
{
    const int fd = sim.open(path, open_flags::read | open_flags::directory);
    REQUIRE(fd >= 0);
    std::set<std::string> names;
    directory_batch batch;
    do
    {
        test_op listing(op_kind::read_directory, fd);
        listing.args.directory = {&batch};
        const auto listed = sim.run(listing); // before the look at the batch that it fills
        REQUIRE(listed == static_cast<int>(batch.entries.size()));
        for (const auto& entry : batch.entries)
        {
            const std::string name(batch.name(entry));
            REQUIRE(names.insert(name).second);
            if (order != nullptr)
            {
                order->push_back(name);
            }
        }
    } while (!batch.at_end);
    REQUIRE(sim.close(fd) == 0);
    std::string all;
    for (const auto& name : names)
    {
        all += name + ' ';
    }
    return all;
}

} // namespace

TEST_CASE("open, with every flag and every way to fail", "[sim]")
{
    harness sim(1);
    set_up(sim);
    const auto opens = [&](const char* path, std::uint32_t flags) {
        const int fd = sim.open(path, flags);
        if (fd >= 0)
        {
            REQUIRE(sim.close(fd) == 0);
        }
        return fd < 0 ? fd : 0;
    };
    CHECK(opens("/f", open_flags::read) == 0);
    CHECK(opens("f", open_flags::read) == 0);
    CHECK(opens("/d/../f", open_flags::read) == 0);
    CHECK(opens("/ld/../ln", open_flags::read) == 0);
    CHECK(opens("/none", open_flags::read) == -ENOENT);
    CHECK(opens("", open_flags::read) == -ENOENT);
    CHECK(opens("/none/f", open_flags::write | create) == -ENOENT);
    CHECK(opens("/f/x", open_flags::read) == -ENOTDIR);
    CHECK(opens("/f/", open_flags::read) == -ENOTDIR);
    CHECK(opens("/new/", open_flags::write | create) == -EISDIR);
    CHECK(opens("/d", open_flags::read | create) == -EISDIR);
    CHECK(opens("/d/", open_flags::read | create) == -EISDIR);
    CHECK(opens("/d", open_flags::read | open_flags::write) == -EISDIR);
    CHECK(opens("/d", open_flags::read | directory) == 0);
    CHECK(opens("/f", open_flags::read | directory) == -ENOTDIR);
    CHECK(opens("/n", open_flags::read | create | directory) == -EINVAL);
    CHECK(opens("/f", open_flags::write | create | exclusive) == -EEXIST);
    CHECK(opens("/ln", open_flags::write | create | exclusive) == -EEXIST);
    CHECK(opens("/lx", open_flags::write | create | exclusive) == -EEXIST);
    CHECK(opens("/ln", open_flags::read | no_follow) == -ELOOP);
    CHECK(opens("/ld", open_flags::read | no_follow | directory) == -ENOTDIR);
    CHECK(opens("/ld/", open_flags::read | no_follow | directory) == 0);
    CHECK(opens("/loop", open_flags::read) == -ELOOP);
    CHECK(opens("/lx", open_flags::read) == -ENOENT);
    CHECK(opens("/lx", open_flags::write | create) == 0);
    CHECK(sim.world().files().exists("/dang"));
    CHECK(opens(("/" + std::string(256, 'a')).c_str(), open_flags::read) == -ENAMETOOLONG);
    CHECK(opens(std::string(4096, '/').c_str(), open_flags::read) == -ENAMETOOLONG);
    CHECK(opens("/f", open_flags::read | open_flags::truncate) == 0);
    CHECK(sim.world().files().contents("/f") == "");
    sim.world().files().add_special("/fifo", file_type::fifo);
    CHECK(opens("/fifo", open_flags::write | non_block) == -ENXIO);
    CHECK(sim.violations.empty());
}

TEST_CASE("changes of the tree and every way to fail", "[sim]")
{
    harness sim(2);
    set_up(sim);
    CHECK(sim.make_directory("/f/") == -EEXIST);
    CHECK(sim.make_directory("/d") == -EEXIST);
    CHECK(sim.make_directory("/") == -EEXIST);
    CHECK(sim.make_directory("/new/") == 0);
    CHECK(sim.make_directory("/none/x") == -ENOENT);
    CHECK(sim.make_directory("/f/x") == -ENOTDIR);
    CHECK(sim.unlink("/d") == -EISDIR);
    CHECK(sim.unlink("/f/") == -ENOTDIR);
    CHECK(sim.unlink("/none") == -ENOENT);
    CHECK(sim.unlink("/d/.") == -EISDIR);
    CHECK(sim.unlink("/ld/") == -ENOTDIR);
    CHECK(sim.unlink("/f", true) == -ENOTDIR);
    CHECK(sim.unlink("/d", true) == -ENOTEMPTY);
    CHECK(sim.unlink("/d/.", true) == -EINVAL);
    CHECK(sim.unlink("/d/e/..", true) == -ENOTEMPTY);
    CHECK(sim.unlink("/", true) == -EBUSY);
    CHECK(sim.unlink("/ld", true) == -ENOTDIR);
    CHECK(sim.unlink("/ld/", true) == -ENOTDIR);

    CHECK(sim.rename("/d", "/f") == -ENOTDIR);
    CHECK(sim.rename("/f", "/d") == -EISDIR);
    CHECK(sim.rename("/d", "/d/e/x") == -EINVAL);
    CHECK(sim.rename("/d/e", "/d") == -ENOTEMPTY);
    CHECK(sim.rename("/f", "/g/") == -ENOTDIR);
    CHECK(sim.rename("/f", "/f") == 0);
    CHECK(sim.rename("/d/.", "/g") == -EBUSY);
    CHECK(sim.rename("/d/e", "/d/.") == -EBUSY);
    CHECK(sim.rename("/none", "/g") == -ENOENT);
    CHECK(sim.rename("/d", "/d") == 0);
    CHECK(sim.rename("/f", "/new", false) == -EEXIST);
    CHECK(sim.rename("/f", "/g", false) == 0);
    CHECK_FALSE(sim.world().files().exists("/f"));
    CHECK(sim.rename("/d/e", "/new") == 0);
    CHECK(sim.rename("/d", "/new/gg/") == 0);
    CHECK(sim.unlink("/ln") == 0);
    CHECK(listing_of(sim, "/") == "g ld loop lx new ");
    CHECK(listing_of(sim, "/new") == "gg ");
    file_status status;
    CHECK(sim.stat("/new", status) == 0);
    CHECK(status.link_count == 3);
    CHECK(sim.rename("/new", "/moved") == 0);
    CHECK(sim.stat("/moved", status) == 0);
    CHECK(status.link_count == 3);
    CHECK(sim.stat("/moved/gg/..", status) == 0);
    CHECK(status.link_count == 3);
    CHECK(sim.stat("/", status) == 0);
    CHECK(status.link_count == 3);
    CHECK(sim.violations.empty());
}

TEST_CASE("stat: links, sizes, types, by path and by descriptor", "[sim]")
{
    harness sim(3);
    set_up(sim);
    auto& files = sim.world().files();
    files.add_link("/hard", "/f");
    files.add_sparse_file("/sparse", std::uint64_t{4} << 30);
    file_status status;
    REQUIRE(sim.stat("/f", status) == 0);
    CHECK(status.link_count == 2);
    CHECK(status.size == 1);
    CHECK(status.permissions == 0644);
    CHECK(status.type == file_type::regular);
    const auto inode = status.inode;
    REQUIRE(sim.stat("/hard", status) == 0);
    CHECK(status.inode == inode);
    REQUIRE(sim.stat("/d", status) == 0);
    CHECK(status.link_count == 3);
    CHECK(status.type == file_type::directory);
    REQUIRE(sim.stat("/ln", status, false) == 0);
    CHECK(status.type == file_type::symlink);
    CHECK(status.size == 1);
    REQUIRE(sim.stat("/ln", status) == 0);
    CHECK(status.inode == inode);
    REQUIRE(sim.stat("/sparse", status) == 0);
    CHECK(status.size == std::uint64_t{4} << 30);
    CHECK(status.blocks_512 == 0);
    CHECK(sim.stat("/lx", status) == -ENOENT);
    CHECK(sim.stat("/f/", status) == -ENOTDIR);

    const int fd = sim.open("/hard", open_flags::read | open_flags::write);
    REQUIRE(sim.stat("", status, true, fd) == 0);
    CHECK(status.inode == inode);
    REQUIRE(sim.unlink("/hard") == 0);
    REQUIRE(sim.unlink("/f") == 0);
    REQUIRE(sim.stat(nullptr, status, true, fd) == 0);
    CHECK(status.link_count == 0);
    const auto before = status.modified_at;
    sim.world().advance_to(sim.world().now() + 1s);
    REQUIRE(sim.write_at(fd, "z", 0) == 1); // still there while it is open
    REQUIRE(sim.stat("", status, true, fd) == 0);
    CHECK(status.modified_at >= before + 1s);
    CHECK(sim.stat("", status, true, 99) == -EBADF);
}

TEST_CASE("reads and writes: holes, appends, modes, limits", "[sim]")
{
    harness sim(sim_options{.seed = 4, .disk_bytes_max = 4 * 4096});
    set_up(sim);
    std::string got;
    const int both = sim.open("/new", open_flags::read | open_flags::write | create | exclusive);
    REQUIRE(sim.write_at(both, "tail", 10'000) == 4);
    REQUIRE(sim.read_at(both, got, 20'000, 0) == 10'004);
    REQUIRE(got == std::string(10'000, '\0') + "tail");
    REQUIRE(sim.read_at(both, got, 10, 10'004) == 0);
    REQUIRE(sim.read_at(both, got, 10, std::uint64_t{1} << 60) == 0);
    REQUIRE(sim.read_at(both, got, 10, ~std::uint64_t{0}) == -EINVAL);
    REQUIRE(sim.write_at(both, "x", (std::uint64_t{1} << 63) - 2) == -EFBIG);
    REQUIRE(sim.write_at(both, "", 5) == 0);
    // One page is /f's, one is used; two are left.
    REQUIRE(sim.write_at(both, std::string(5 * 4096, 'y'), 20 * 4096) == 2 * 4096);
    REQUIRE(sim.write_at(both, "z", 4096 * 40) == -ENOSPC);
    REQUIRE(sim.write_at(both, "over", 10'000) == 4);
    REQUIRE(sim.close(both) == 0);
    REQUIRE(sim.unlink("/new") == 0);
    const int again = sim.open("/again", open_flags::write | create);
    REQUIRE(sim.write_at(again, std::string(3 * 4096, 'y'), 0) == 3 * 4096);

    const int reading = sim.open("/f", open_flags::read);
    REQUIRE(sim.write_at(reading, "x", 0) == -EBADF);
    const int writing = sim.open("/f", open_flags::write);
    REQUIRE(sim.read_at(writing, got, 1, 0) == -EBADF);
    const int appending = sim.open("/f", open_flags::write | append | open_flags::truncate);
    REQUIRE(sim.write_at(appending, "abc", 0) == 3);
    REQUIRE(sim.write_at(appending, "Z", 0) == 1);
    REQUIRE(sim.world().files().contents("/f") == "abcZ");
    char in[3];
    REQUIRE(sim.run(transfer(op_kind::read, reading, in, 3)) == 3);
    REQUIRE(sim.run(transfer(op_kind::read, reading, in, 3)) == 1);
    REQUIRE(in[0] == 'Z');
    REQUIRE(sim.run(transfer(op_kind::read, reading, in, 3)) == 0);
    REQUIRE(sim.run(transfer(op_kind::recv, reading, in, 3)) == -ENOTSOCK);

    const int folder = sim.open("/d", open_flags::read);
    REQUIRE(sim.read_at(folder, got, 1, 0) == -EISDIR);
    REQUIRE(sim.write_at(folder, "x", 0) == -EBADF);
    REQUIRE(sim.sync(folder) == 0);
    const int socket = sim.os().open_socket(socket_family::ipv4, socket_type::stream);
    REQUIRE(sim.read_at(socket, got, 1, 0) == -ENOTCONN);
    REQUIRE(sim.sync(socket) == -EINVAL);
    REQUIRE(sim.sync(99) == -EBADF);
}

TEST_CASE("paths relative to a directory descriptor, also a removed one", "[sim]")
{
    harness sim(5);
    set_up(sim);
    const int base = sim.open("/d", open_flags::read | directory);
    REQUIRE(sim.open("e", open_flags::read, 0, base) >= 0);
    const int made = sim.open("inside", open_flags::write | create, 0644, base);
    REQUIRE(made >= 0);
    REQUIRE(sim.world().files().exists("/d/inside"));
    REQUIRE(sim.open("/f", open_flags::read, 0, 99) >= 0);
    REQUIRE(sim.open("f", open_flags::read, 0, 99) == -EBADF);
    REQUIRE(sim.open("f", open_flags::read, 0, made) == -ENOTDIR);
    REQUIRE(sim.make_directory("sub", base) == 0);
    REQUIRE(sim.unlink("sub", true, base) == 0);
    REQUIRE(sim.unlink("inside", false, base) == 0);
    REQUIRE(sim.unlink("e", true, base) == 0);
    REQUIRE(sim.unlink("/d", true) == 0);
    REQUIRE(sim.open("q", open_flags::write | create, 0644, base) == -ENOENT);
    REQUIRE(sim.make_directory("q", base) == -ENOENT);
    file_status status;
    REQUIRE(sim.stat("", status, true, base) == 0);
    REQUIRE(status.link_count == 0);
    directory_batch batch;
    test_op listing(op_kind::read_directory, base);
    listing.args.directory = {&batch};
    REQUIRE(sim.run(listing) == -ENOENT); // as a kernel does
    test_op wrong(op_kind::read_directory, made);
    wrong.args.directory = {&batch};
    REQUIRE(sim.run(wrong) == -ENOTDIR);
}

TEST_CASE("permissions of the owner are checked, unless asked otherwise", "[sim]")
{
    for (const bool checks : {true, false})
    {
        harness sim(sim_options{.seed = 6, .check_permissions = checks});
        auto& files = sim.world().files();
        files.add_file("/secret", "x", 0200);
        files.add_file("/fixed", "x", 0400);
        files.add_file("/closed/f", "x");
        files.set_permissions("/closed", 0600);
        files.add_directory("/sealed/d");
        files.set_permissions("/sealed", 0500);
        const int denied = checks ? -EACCES : 0;
        const auto opens = [&](const char* path, std::uint32_t flags) {
            return std::min(sim.open(path, flags), 0);
        };
        CHECK(opens("/secret", open_flags::read) == denied);
        CHECK(opens("/secret", open_flags::write) == 0);
        CHECK(opens("/fixed", open_flags::write) == denied);
        CHECK(opens("/fixed", open_flags::read | open_flags::truncate) == denied);
        CHECK(opens("/closed/f", open_flags::read) == denied);
        CHECK(opens("/sealed/new", open_flags::write | create) == denied);
        CHECK(sim.unlink("/sealed/d", true) == denied);
        // A new file may be written to by who made it, whatever its mode says.
        const int made = sim.open("/made", open_flags::write | create, 0400);
        CHECK(sim.write_at(made, "x", 0) == 1);
    }
}

TEST_CASE("listings: everything once, in batches, in an order of the seed", "[sim]")
{
    std::set<std::vector<std::string>> orders;
    for (std::uint64_t seed = 1; seed <= 50; ++seed)
    {
        INFO("seed " << seed);
        harness sim(sim_options{.seed = seed, .faults = true, .directory_batch_max = 7});
        std::string expected;
        for (char name = 'a'; name <= 'z'; ++name)
        {
            sim.world().files().add_file(std::string("/dir/") + name, "");
            expected += std::string(1, name) + ' ';
        }
        std::vector<std::string> order;
        REQUIRE(listing_of(sim, "/dir", &order) == expected);
        orders.insert(order);
        std::vector<std::string> again;
        (void)listing_of(sim, "/dir", &again);
        REQUIRE(again == order);
    }
    REQUIRE(orders.size() > 45);
}

TEST_CASE("a listing meets every entry that stays, while others come and go", "[sim]")
{
    for (std::uint64_t seed = 1; seed <= 100; ++seed)
    {
        INFO("seed " << seed);
        harness sim(sim_options{.seed = seed, .faults = true, .directory_batch_max = 3});
        auto& files = sim.world().files();
        for (int i = 0; i < 20; ++i)
        {
            files.add_file("/dir/stays" + std::to_string(i), "");
            files.add_file("/dir/goes" + std::to_string(i), "");
        }
        const int fd = sim.open("/dir", open_flags::read | directory);
        std::multiset<std::string> stays;
        directory_batch batch;
        int turn = 0;
        do
        {
            test_op listing(op_kind::read_directory, fd);
            listing.args.directory = {&batch};
            REQUIRE(sim.run(listing) >= 0);
            for (const auto& entry : batch.entries)
            {
                const auto name = batch.name(entry);
                if (name.starts_with("stays"))
                {
                    stays.emplace(name);
                }
            }
            if (turn < 20)
            {
                REQUIRE(sim.unlink(("/dir/goes" + std::to_string(turn)).c_str()) == 0);
                files.add_file("/dir/comes" + std::to_string(turn), "");
                ++turn;
            }
        } while (!batch.at_end);
        REQUIRE(stays.size() == 20);
        REQUIRE(std::set(stays.begin(), stays.end()).size() == 20);
    }
}

TEST_CASE("only what was synced survives a crash", "[sim]")
{
    harness sim(7);
    auto& files = sim.world().files();
    files.add_file("/kept", "old");
    const int kept = sim.open("/kept", open_flags::write);
    REQUIRE(sim.write_at(kept, "new", 0) == 3);
    REQUIRE(files.contents("/kept") == "new");
    REQUIRE(files.durable_contents("/kept") == "old");
    REQUIRE(sim.sync(kept) == 0);
    REQUIRE(files.durable_contents("/kept") == "new");
    REQUIRE(sim.write_at(kept, "!!!", 0) == 3);

    // The usual way to replace a file: every step of it counts.
    const int root = sim.open("/", open_flags::read | directory);
    const int temporary = sim.open("/tmp~", open_flags::write | create | exclusive);
    REQUIRE(sim.write_at(temporary, "v2", 0) == 2);
    REQUIRE(files.durable_contents("/tmp~") == std::nullopt);
    REQUIRE(sim.sync(temporary) == 0);
    REQUIRE(sim.rename("/tmp~", "/target") == 0);
    REQUIRE(files.durable_contents("/target") == std::nullopt);
    REQUIRE(sim.sync(root) == 0);
    REQUIRE(files.durable_contents("/target") == "v2");
    REQUIRE(sim.unlink("/target") == 0);

    files.lose_unsynced();
    REQUIRE(files.contents("/kept") == "new");
    REQUIRE(files.contents("/target") == "v2");
    REQUIRE_FALSE(files.exists("/tmp~"));
    file_status status;
    REQUIRE(sim.stat("/target", status) == 0);
    REQUIRE(status.link_count == 1);
}

TEST_CASE("random file work agrees with a simple model", "[sim]")
{
    for (std::uint64_t seed = 1; seed <= 200; ++seed)
    {
        INFO("seed " << seed);
        harness sim(seed);
        std::map<std::string, std::string> model;
        random_source plan(seed);
        for (int step = 0; step < 60; ++step)
        {
            const std::string path = "/" + std::string(1, static_cast<char>('a' + plan.below(4)));
            const std::string other = "/" + std::string(1, static_cast<char>('a' + plan.below(4)));
            const bool exists = model.contains(path);
            switch (plan.below(4))
            {
            case 0:
            {
                const int fd = sim.open(path.c_str(), open_flags::write | create);
                REQUIRE(fd >= 0);
                std::string& text = model[path];
                const std::uint64_t offset = plan.below(9000);
                const std::string data(1 + plan.below(5000), static_cast<char>('a' + step % 26));
                const auto count = sim.write_at(fd, data, offset);
                REQUIRE(count > 0);
                const auto written = static_cast<std::size_t>(count);
                REQUIRE(written <= data.size());
                text.resize(std::max<std::size_t>(text.size(), offset + written), '\0');
                text.replace(offset, written, data, 0, written);
                REQUIRE(sim.close(fd) == 0);
                break;
            }
            case 1:
                REQUIRE(sim.unlink(path.c_str()) == (exists ? 0 : -ENOENT));
                model.erase(path);
                break;
            case 2:
            {
                const bool replace = plan.below(2) == 0;
                const bool blocked = exists && !replace && model.contains(other);
                const int expected = !exists ? -ENOENT : blocked ? -EEXIST : 0;
                REQUIRE(sim.rename(path.c_str(), other.c_str(), replace) == expected);
                if (expected == 0 && path != other)
                {
                    model[other] = model[path];
                    model.erase(path);
                }
                break;
            }
            default:
            {
                const int fd = sim.open(path.c_str(), open_flags::read);
                REQUIRE((fd >= 0) == exists);
                if (!exists)
                {
                    break;
                }
                std::string all;
                std::string piece;
                while (sim.read_at(fd, piece, 3000, all.size()) > 0)
                {
                    all += piece;
                }
                REQUIRE(all == model[path]);
                REQUIRE(sim.close(fd) == 0);
            }
            }
        }
        REQUIRE(sim.world().open_descriptors() == 0);
        REQUIRE(sim.violations.empty());
    }
}
