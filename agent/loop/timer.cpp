#include "loop/timer.h"

#include <algorithm>
#include <utility>

#include "loop/handle_block.h"

namespace jump {

// `fire` lives in the block: it may destroy the timer that it belongs to.
struct UvTimer::Block : OwnedHandle<uv_timer_t, UvTimer> {
  std::function<void()> fire;
};

UvTimer::UvTimer(Loop& loop, std::function<void()> fire) : block_(std::make_shared<Block>()) {
  block_->fire = std::move(fire);
  block_->owner = this;
  uv_timer_init(loop.raw(), &block_->uv);
  block_->opened(block_);
}

UvTimer::~UvTimer() { block_->release(); }

void UvTimer::start(Duration after) {
  if (!block_->open()) return;
  uv_loop_t* loop = block_->uv.loop;
  using Milliseconds = std::chrono::duration<std::int64_t, std::milli>;
  // Beyond a year is never; the bound keeps the sum below from overflowing.
  Duration bounded = std::clamp<Duration>(after, Duration::zero(), std::chrono::hours(24 * 365));
  TimePoint due = Clock::now() + bounded;
  // libuv's clock is this clock (CLOCK_MONOTONIC), cut to milliseconds. At least one: a timer that restarts
  // itself with 0 would never let libuv's timer loop end.
  std::int64_t left = std::chrono::ceil<Milliseconds>(due.time_since_epoch()).count() -
                      static_cast<std::int64_t>(uv_now(loop));
  uv_timer_start(
      &block_->uv,
      [](uv_timer_t* timer) {
        auto* block = static_cast<Block*>(Block::of(timer));
        if (block->owner) block->fire();
      },
      static_cast<std::uint64_t>(std::max<std::int64_t>(left, 1)), 0);
}

void UvTimer::stop() {
  if (block_->open()) uv_timer_stop(&block_->uv);
}

}  // namespace jump
