#include "loop/sleep_watch.h"

#include <ctime>
#include <utility>

#include "loop/handle_block.h"
#include "loop/timer.h"

#ifdef __linux__
#include <sys/timerfd.h>
#include <unistd.h>
#endif

namespace jump {
namespace {

Duration clock_now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::chrono::duration_cast<Duration>(seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

// How long the machine was suspended since it booted.
Duration suspended_so_far() {
#ifdef CLOCK_BOOTTIME
  return clock_now(CLOCK_BOOTTIME) - clock_now(CLOCK_MONOTONIC);
#else
  return {};
#endif
}

}  // namespace

struct SleepWatch::Block : OwnedHandle<uv_poll_t, SleepWatch> {};

SleepWatch::SleepWatch(Loop& loop, std::function<void(Duration)> woke_up)
    : loop_(loop), woke_up_(std::move(woke_up)) {
  if (!start_boot_timer()) timer_ = std::make_unique<UvTimer>(loop, [this] { look(); });
  look();
}

SleepWatch::~SleepWatch() {
  if (block_) block_->release();
}

#ifdef __linux__
bool SleepWatch::start_boot_timer() {
  Fd fd(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  const itimerspec each{{std::chrono::seconds(kPeriod).count(), 0},
                        {std::chrono::seconds(kPeriod).count(), 0}};
  auto block = std::make_shared<Block>();
  if (!fd || timerfd_settime(fd.get(), 0, &each, nullptr) != 0 ||
      uv_poll_init(loop_.raw(), &block->uv, fd.get()) < 0)
    return false;
  boot_timer_ = std::move(fd);
  block->opened(block);
  block->owner = this;
  block_ = std::move(block);
  uv_poll_start(&block_->uv, UV_READABLE, [](uv_poll_t* handle, int, int) {
    SleepWatch* self = static_cast<Block*>(Block::of(handle))->owner;
    std::uint64_t expirations = 0;
    if (self && read(self->boot_timer_.get(), &expirations, sizeof(expirations)) > 0) self->look();
  });
  uv_unref(reinterpret_cast<uv_handle_t*>(&block_->uv));
  return true;
}
#else
bool SleepWatch::start_boot_timer() { return false; }
#endif

void SleepWatch::pretend(Duration slept) {
  pretended_ += slept;
  look();
}

void SleepWatch::look() {
  const Duration slept = gauge_.look(loop_.now(), suspended_so_far() + pretended_, kPeriod);
  if (timer_) timer_->start(kPeriod);
  if (slept > Duration::zero()) woke_up_(slept);
}

}  // namespace jump
