// MemoryReturn: gives the system back what a burst has left. glibc keeps what was freed below anything that
// is still in use, for good: an afternoon of slow readers would cost a day of their buffers.
//
//   timer ─► mallinfo2(), in the pool: free bytes ─► FreeGauge: many, and at rest ─► malloc_trim(), there too
//
// The loop may wait for the allocator meanwhile: some milliseconds for a hundred MiB. Elsewhere than on glibc
// 2.33 and later it does nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>

#include "base/clock.h"
#include "stream/io.h"

namespace jump {

// Whether a trim is worth its time. Pure.
class FreeGauge {
 public:
  static constexpr std::size_t kWorth = std::size_t{16} << 20;
  // That much more or less from one look to the next is no burst.
  static constexpr std::size_t kRest = std::size_t{1} << 20;

  // `free`: bytes that the allocator has and nobody uses, those that were given back included. True: to be
  // trimmed now.
  bool look(std::size_t free) {
    const bool rests = free <= last_ + kRest && last_ <= free + kRest;
    last_ = free;
    low_ = std::min(low_, free);
    if (!rests || free < low_ + kWorth) return false;
    low_ = free;
    return true;
  }

 private:
  std::size_t last_ = 0;
  std::size_t low_ = 0;  // since the last trim: what is beyond it was in use meanwhile, and has pages
};

class MemoryReturn {
 public:
  static constexpr seconds kPeriod{5};

  // `io` outlives it.
  explicit MemoryReturn(Io& io);
  ~MemoryReturn();
  MemoryReturn(const MemoryReturn&) = delete;
  MemoryReturn& operator=(const MemoryReturn&) = delete;

 private:
  void look();

  Io& io_;
  FreeGauge gauge_;
  std::unique_ptr<Timer> timer_;
  std::unique_ptr<Operation> work_;
};

}  // namespace jump
