// How much memory the process has had at the most. Thread rule: any thread.
#pragma once

#include <fstream>
#include <string>

namespace example
{

/// MiB of resident memory; 0 where the system does not tell. Not from getrusage(), whose peak is that
/// of the program which started this one if that was larger.
inline double peak_memory_mib()
{
    std::ifstream status("/proc/self/status");
    std::string name;
    double kib = 0;
    while (status >> name)
    {
        if (name == "VmHWM:" && status >> kib)
        {
            return kib / 1024;
        }
    }
    return 0;
}

} // namespace example
