// Loop: the one event loop of the process, over libuv. Owns the uv_loop_t, the queue of deferred work, the
// buffer that all sockets read into, and the meter of the loop's own lag.
//
// A turn is: timers, deferred work, wait, events, deferred work. Everything here is for the loop's thread
// only.
//
// Order of destruction: wrappers first, then UvIo, then Loop. A wrapper that outlives the Loop does no harm:
// its handle is closed with the loop, no callback comes any more, and its methods do nothing. ~Loop runs no
// callback of any owner, kills children that still run, and waits for pool work no longer than kEndMax.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <span>

#include "base/clock.h"
#include "loop/deferred.h"
#include "loop/lag_meter.h"

namespace jump {

class LostEnds;
class Readiness;

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Until stop(), or until nothing is left that could ever happen.
  void run();
  // One turn; waits for an event when there is nothing to do.
  void run_once();
  // Ends run() after this turn. From the loop's thread.
  void stop();

  TimePoint now() const { return Clock::now(); }
  LagStats lag() const { return lag_.stats(now()); }

  // For the files of this folder.
  uv_loop_t* raw() const { return uv_.get(); }
  const std::shared_ptr<DeferredQueue>& deferred_queue() const { return deferred_; }
  // Of descriptors that are not ours alone.
  const std::shared_ptr<Readiness>& readiness();
  // Of connections that were lost.
  LostEnds& lost_ends();
  // The loop has events again: from callbacks that come often, so that the lag is known precisely. (libuv's
  // own meter costs a system call per turn.)
  void woke();
  // Good within one read callback.
  std::span<char> read_buffer() { return {read_buffer_.get(), kReadBufferSize}; }
  // True inside ~Loop. Requests (name lookups, pool work) have no handle to close: their callbacks ask this.
  static bool ending(const uv_loop_t* loop) { return static_cast<const Loop*>(loop->data)->ending_; }

 private:
  // One read of a busy socket on a fast link; also the most that a paused socket holds back.
  static constexpr std::size_t kReadBufferSize = 256 * 1024;
  // Pool threads may be inside a name lookup that takes its resolver's time: exit does not wait for that.
  static constexpr seconds kEndMax{2};

  template <class Handle>
  struct Hook;

  void turn(uv_run_mode mode);
  void measure();
  void before_wait();
  void after_wait();
  void run_deferred();
  void end_all();

  std::unique_ptr<uv_loop_t> uv_;
  std::shared_ptr<DeferredQueue> deferred_;
  std::unique_ptr<char[]> read_buffer_;
  std::shared_ptr<Readiness> readiness_;
  std::shared_ptr<LostEnds> lost_ends_;
  LagMeter lag_;
  bool awake_ = false;
  TimePoint woke_;         // while awake
  TimePoint waits_since_;  // while not
  bool ending_ = false;

  std::shared_ptr<Hook<uv_prepare_t>> prepare_;
  std::shared_ptr<Hook<uv_check_t>> check_;
  std::shared_ptr<Hook<uv_idle_t>> idle_;  // active while deferred work waits, so that libuv does not sleep
};

}  // namespace jump
