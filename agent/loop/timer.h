// UvTimer: a one-shot timer over uv_timer_t. It never fires before its time, though libuv counts in whole
// milliseconds of a clock that it reads once per turn.
#pragma once

#include <functional>
#include <memory>

#include "loop/loop.h"
#include "stream/io.h"

namespace jump {

class UvTimer final : public Timer {
 public:
  UvTimer(Loop& loop, std::function<void()> fire);
  ~UvTimer() override;

  void start(Duration after) override;
  void stop() override;

 private:
  struct Block;
  std::shared_ptr<Block> block_;
};

}  // namespace jump
