// What a descriptor is, asked without ever waiting: a file of a network file system whose server hangs is
// told from a terminal by what this machine knows already. fstat() and isatty() would ask that server.
#pragma once

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <optional>

namespace jump {

struct DescriptorKind {
  mode_t mode = 0;   // the type alone: for S_ISREG() and the like
  dev_t device = 0;  // which one, of a character or block device
};

// Nothing, with errno: it is no descriptor.
std::optional<DescriptorKind> descriptor_kind(int fd);

}  // namespace jump
