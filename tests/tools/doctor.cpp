// Prints what a runtime makes of this machine: `./dev doctor` shows it. Thread rule: main only.
#include <blitzio/io.hpp>

#include <cstdio>
#include <string>

int main()
{
    auto runtime = blitzio::runtime::create({});
    if (!runtime)
    {
        std::fprintf(stderr, "doctor: no runtime can be started: %s\n",
                     runtime.error().message.c_str());
        return 1;
    }
    std::fputs(runtime->explain().c_str(), stdout);
    return 0;
}
