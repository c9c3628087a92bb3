#include "loop/read_coalescer.h"

#include <sys/socket.h>

#include "loop/loop.h"

namespace jump {

void ReadCoalescer::on_read(std::size_t size) {
  const TimePoint now = loop_.now();
  const bool gap = now - last_ > kGap;
  last_ = now;
  if (on_) return;
  flow_ = gap ? size : flow_ + size;
  if (flow_ >= kBulk) begin();
}

void ReadCoalescer::begin() {
  on_ = true;
  set_low_water(kLowWater);
  if (!timer_) timer_ = std::make_unique<UvTimer>(loop_, [this] { check(); });
  timer_->start(kPatience);
}

void ReadCoalescer::check() {
  const Duration quiet = loop_.now() - last_;
  if (quiet < kPatience) return timer_->start(kPatience - quiet);
  on_ = false;
  flow_ = 0;
  set_low_water(1);
}

void ReadCoalescer::set_low_water(int bytes) const {
  setsockopt(fd_, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

}  // namespace jump
