#include "ctl/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

namespace jump::ctl {

void write_out(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void write_err(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

void occupy_standard_descriptors() {
  int fd = open("/dev/null", O_RDONLY);
  while (fd >= 0 && fd < 3) fd = open("/dev/null", O_RDONLY);
  if (fd >= 3) close(fd);
}

}  // namespace jump::ctl
