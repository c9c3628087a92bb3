// What a process has in its memory, for those who must not find a secret there. Root's to look.
#pragma once

#include <sys/types.h>

#include <string>

namespace jump::test {

// In any readable and writable part of it.
bool memory_has(pid_t pid, const std::string& text);

}  // namespace jump::test
