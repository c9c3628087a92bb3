#include "base/descriptor_kind.h"

#include <fcntl.h>

namespace jump {

std::optional<DescriptorKind> descriptor_kind(int fd) {
  struct statx info {};
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &info) != 0) return std::nullopt;
  return DescriptorKind{static_cast<mode_t>(info.stx_mode & S_IFMT),
                        makedev(info.stx_rdev_major, info.stx_rdev_minor)};
}

}  // namespace jump
