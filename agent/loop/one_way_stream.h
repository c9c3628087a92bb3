// OneWayStream: a pipe, terminal, socket or other device that can be waited for, used in one direction, as a
// ByteStream. A socket is not shut down at its end: it may be the next program's stdout, too.
//
// In (kRead):   reads while the handler takes; the end, or a terminal's hang-up, is on_eof() and on_closed().
// Out (kWrite): hands bytes to the system at once, queues what it does not take, up to kQueueMax;
// shutdown_write() and close() end it when all is written; a reader that has gone is on_closed() with an
// error, also while nothing is being written. Invariant: no call waits.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "base/byte_queue.h"
#include "base/fd.h"
#include "loop/deferred.h"
#include "loop/loop.h"
#include "loop/readiness.h"
#include "stream/byte_stream.h"
#include "stream/io.h"

namespace jump {

class OneWayStream final : public ByteStream, private Readiness::Watcher {
 public:
  // As much as a pipe holds by default.
  static constexpr std::size_t kQueueMax = 64 * 1024;
  // What is read in one turn, so that others get theirs.
  static constexpr std::size_t kReadPerTurn = 256 * 1024;
  // Written in one call where the open file would wait, and the system promises no more room than this.
  static constexpr std::size_t kSmallWrite = 512;

  // kOwn: an open file of our own, non-blocking. kShared: one that its owner may have make calls wait.
  enum class Kind { kOwn, kShared, kSocket };
  // Takes `*fd` unless it fails. Errors: kUnsupported (it cannot be waited for), kLimit.
  static Result<std::unique_ptr<ByteStream>> make(Loop& loop, Fd* fd, DescriptorUse use, Kind kind,
                                                  std::string description);

  void set_handler(StreamHandler* handler) override;
  std::size_t write(ByteView data) override;
  void resume_reading() override;
  void shutdown_write() override;
  void close() override;
  void abort() override;
  std::string describe() const override { return description_; }

 private:
  enum class State {
    kOpen,
    kFinishing,
    kEnding,
    kClosed
  };  // kFinishing: the rest is written. kEnding: told soon

  OneWayStream(Loop& loop, DescriptorUse use, Kind kind, std::string description);

  void on_ready(Readiness::Ready ready) override;
  void work();
  void read_some();
  void offer(ByteView data);
  ssize_t read_now(void* to, std::size_t size);
  ssize_t write_once(ByteView data);
  std::size_t write_now(ByteView data);
  void flush();
  void end(std::optional<Error> why);
  void set_state(State next);

  Loop& loop_;
  Fd fd_;
  const DescriptorUse use_;
  const Kind kind_;
  bool nowait_works_ = true;  // RWF_NOWAIT, as far as we know
  const std::string description_;
  StreamHandler* handler_ = nullptr;
  State state_ = State::kOpen;
  bool ready_ = true;       // until the system says otherwise
  bool hung_up_ = false;    // nobody reads what we write
  bool held_back_ = false;  // the handler took less than it was offered
  bool write_was_short_ = false;
  Bytes held_;
  ByteQueue queue_;
  std::optional<Error> end_error_;
  UvDeferred work_soon_;
  std::unique_ptr<Readiness::Watch> watch_;  // goes before fd_
};

}  // namespace jump
