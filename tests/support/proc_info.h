// What /proc says about a process that is not ours to wait for.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <vector>

namespace jump::test {

// Alive: there, and not a zombie.
bool process_alive(pid_t pid);
std::size_t resident_bytes(pid_t pid);  // VmRSS
std::size_t open_descriptors(pid_t pid);
// The same once none comes or goes: those of clients that have just ended are there for a moment.
std::size_t settled_descriptors(pid_t pid);
// Children, their children and so on, as of now.
std::vector<pid_t> process_descendants(pid_t pid);

}  // namespace jump::test
