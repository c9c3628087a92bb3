#include "loop/memory_return.h"

#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#define JUMP_HAS_MALLINFO2 __GLIBC_PREREQ(2, 33)
#else
#define JUMP_HAS_MALLINFO2 0
#endif

#include "base/log.h"

namespace jump {

MemoryReturn::MemoryReturn(Io& io) : io_(io) {
#if JUMP_HAS_MALLINFO2
  timer_ = io_.timer([this] { look(); });
  timer_->start(kPeriod);
#endif
}

MemoryReturn::~MemoryReturn() = default;

void MemoryReturn::look() {
#if JUMP_HAS_MALLINFO2
  timer_->start(kPeriod);
  const auto free = std::make_shared<std::size_t>(0);
  work_ = io_.in_pool([free] { *free = mallinfo2().fordblks; },
                      [this, free] {
                        if (!gauge_.look(*free)) return;
                        log::debug("what is free of {} MiB goes back to the system", *free >> 20);
                        work_ = io_.in_pool([] { malloc_trim(0); }, [] {});
                      });
#endif
}

}  // namespace jump
