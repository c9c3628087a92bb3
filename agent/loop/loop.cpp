#include "loop/loop.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "base/log.h"
#include "loop/handle_block.h"
#include "loop/lost_ends.h"
#include "loop/readiness.h"
#include "loop/uv_error.h"

namespace jump {
namespace {

// Four threads, libuv's default, are gone when four keys wait for a touch.
constexpr const char* kPoolThreads = "16";

}  // namespace

template <class Handle>
struct Loop::Hook : OwnedHandle<Handle, Loop> {};

Loop::Loop() : uv_(std::make_unique<uv_loop_t>()), read_buffer_(std::make_unique<char[]>(kReadBufferSize)) {
  setenv("UV_THREADPOOL_SIZE", kPoolThreads, 0);
  int status = uv_loop_init(uv_.get());
  // Without a loop there is no program: the one failure here that cannot be a value.
  if (status < 0) throw std::runtime_error("cannot make an event loop: " + uv_text(status));
  uv_->data = this;

  prepare_ = std::make_shared<Hook<uv_prepare_t>>();
  check_ = std::make_shared<Hook<uv_check_t>>();
  idle_ = std::make_shared<Hook<uv_idle_t>>();
  uv_prepare_init(raw(), &prepare_->uv);
  uv_check_init(raw(), &check_->uv);
  uv_idle_init(raw(), &idle_->uv);
  prepare_->opened(prepare_);
  check_->opened(check_);
  idle_->opened(idle_);

  uv_prepare_start(&prepare_->uv, [](uv_prepare_t* h) { static_cast<Loop*>(h->loop->data)->before_wait(); });
  uv_check_start(&check_->uv, [](uv_check_t* h) { static_cast<Loop*>(h->loop->data)->after_wait(); });
  uv_unref(reinterpret_cast<uv_handle_t*>(&prepare_->uv));
  uv_unref(reinterpret_cast<uv_handle_t*>(&check_->uv));
  deferred_ = std::make_shared<DeferredQueue>([this] { uv_idle_start(&idle_->uv, [](uv_idle_t*) {}); });
}

Loop::~Loop() {
  ending_ = true;
  deferred_->close();
  end_all();
  if (uv_loop_close(uv_.get()) == 0) return;
  // A pool thread is still at work and will report to the uv_loop_t: that one memory block must stay.
  log::debug("a pool thread is still busy at exit");
  uv_.release();
}

void Loop::end_all() {
  uv_walk(
      raw(), [](uv_handle_t* handle, void*) { HandleBlock::of(handle)->on_loop_end(); }, nullptr);
  uv_timer_t limit;
  uv_timer_init(raw(), &limit);
  bool expired = false;
  limit.data = &expired;
  uv_timer_start(
      &limit, [](uv_timer_t* h) { *static_cast<bool*>(h->data) = true; },
      static_cast<std::uint64_t>(std::chrono::duration_cast<milliseconds>(kEndMax).count()), 0);
  uv_unref(reinterpret_cast<uv_handle_t*>(&limit));
  while (!expired && uv_run(raw(), UV_RUN_ONCE) != 0) {
  }
  // Without the timer in it the loop's alive check stays meaningful; its close needs one more turn.
  bool closed = false;
  limit.data = &closed;
  uv_close(reinterpret_cast<uv_handle_t*>(&limit),
           [](uv_handle_t* h) { *static_cast<bool*>(h->data) = true; });
  while (!closed) uv_run(raw(), UV_RUN_NOWAIT);
}

void Loop::run() { turn(UV_RUN_DEFAULT); }

void Loop::run_once() { turn(UV_RUN_ONCE); }

void Loop::turn(uv_run_mode mode) {
  woke();
  uv_run(raw(), mode);
  measure();
}

LostEnds& Loop::lost_ends() {
  if (!lost_ends_) lost_ends_ = std::make_shared<LostEnds>(*this);
  return *lost_ends_;
}

const std::shared_ptr<Readiness>& Loop::readiness() {
  if (!readiness_) readiness_ = Readiness::make(*this);
  return readiness_;
}

void Loop::stop() { uv_stop(raw()); }

void Loop::woke() {
  if (awake_) return;
  awake_ = true;
  woke_ = now();
  // A callback that did not say so may have worked before: libuv read its clock when the wait ended.
  const TimePoint waited(milliseconds(uv_now(raw())));
  if (woke_ - waited > milliseconds(2)) woke_ = std::max(waits_since_, waited);
}

// A turn ends where the loop is about to wait, or returns: what it did since it woke was work, and lag.
void Loop::measure() {
  waits_since_ = now();
  if (std::exchange(awake_, false)) lag_.record(waits_since_, waits_since_ - woke_);
}

void Loop::before_wait() {
  run_deferred();
  measure();
}

void Loop::after_wait() {
  // Of events whose callbacks do not call woke(), libuv knows the time, in milliseconds.
  if (!std::exchange(awake_, true)) woke_ = std::max(waits_since_, TimePoint(milliseconds(uv_now(raw()))));
  run_deferred();
}

void Loop::run_deferred() {
  deferred_->run();
  if (deferred_->empty() && idle_->open()) uv_idle_stop(&idle_->uv);
}

}  // namespace jump
