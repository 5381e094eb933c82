// A directory of its own for a test, removed with all that is in it. Thread rule: one test.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace blitzio::detail::testing
{

class test_directory
{
public:
    test_directory()
    {
        std::string name =
            (std::filesystem::temp_directory_path() / "blitzio-test-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr)
        {
            throw std::runtime_error("cannot make a directory for the test");
        }
        path_ = name;
    }

    ~test_directory()
    {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    test_directory(const test_directory&) = delete;
    test_directory& operator=(const test_directory&) = delete;

    [[nodiscard]] std::string path(std::string_view name = {}) const
    {
        return name.empty() ? path_.string() : (path_ / name).string();
    }

    std::string file(std::string_view name, std::string_view contents) const
    {
        std::ofstream(path(name), std::ios::binary) << contents;
        return path(name);
    }

private:
    std::filesystem::path path_;
};

} // namespace blitzio::detail::testing
