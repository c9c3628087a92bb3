#include "loop/memory_return.h"

#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/log.h"

namespace jump {

MemoryReturn::MemoryReturn(Io& io) : io_(io) {
#ifdef __GLIBC__
  timer_ = io_.timer([this] { look(); });
  timer_->start(kPeriod);
#endif
}

MemoryReturn::~MemoryReturn() = default;

void MemoryReturn::look() {
#ifdef __GLIBC__
  timer_->start(kPeriod);
  const std::size_t free = mallinfo2().fordblks;
  if (!gauge_.look(free)) return;
  log::debug("{} MiB of free memory go back to the system", free >> 20);
  trimming_ = io_.in_pool([] { malloc_trim(0); }, [] {});
#endif
}

}  // namespace jump
