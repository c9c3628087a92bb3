// FileStream: a file, or a device that cannot be waited for, used in one direction, as a ByteStream. Pool
// threads read, write and close it, one call at a time, as a disk or a file server may take its time.
//
// Bytes go where the owner's descriptor stands, and it moves on with them, so `{ a; b; } > file` appends.
// Invariant: the descriptor is closed when both this object and the last call have let go of it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/byte_queue.h"
#include "base/fd.h"
#include "loop/deferred.h"
#include "loop/loop.h"
#include "stream/byte_stream.h"
#include "stream/io.h"

namespace jump {

class FileStream final : public ByteStream {
 public:
  // One call reads or writes this much; the queue holds two of them, so that one fills while the other is
  // written.
  static constexpr std::size_t kPiece = 128 * 1024;

  static std::unique_ptr<ByteStream> make(Loop& loop, Fd fd, DescriptorUse use, std::string description) {
    return std::unique_ptr<ByteStream>(new FileStream(loop, std::move(fd), use, std::move(description)));
  }

  ~FileStream() override { let_go(loop_, std::move(fd_)); }

  // A pool thread closes it: close() of a file waits for its server to have what was written.
  static void let_go(Loop& loop, std::shared_ptr<Fd> fd);

  void set_handler(StreamHandler* handler) override;
  std::size_t write(ByteView data) override;
  void resume_reading() override;
  void shutdown_write() override;
  void close() override;
  void abort() override;
  std::string describe() const override { return description_; }

 private:
  enum class State { kOpen, kFinishing, kEnding, kClosed };
  // One call of a pool thread, which owns all that it touches.
  struct Call {
    std::shared_ptr<Fd> fd;
    Bytes bytes;
    ssize_t result = 0;
    int code = 0;  // errno, when result < 0
  };

  FileStream(Loop& loop, Fd fd, DescriptorUse use, std::string description);

  void work();
  void begin_read();
  void on_read();
  void begin_write();
  void on_written();
  void offer(ByteView data);
  void end(std::optional<Error> why);

  Loop& loop_;
  std::shared_ptr<Fd> fd_;
  const DescriptorUse use_;
  const std::string description_;
  StreamHandler* handler_ = nullptr;
  State state_ = State::kOpen;
  bool held_back_ = false;
  bool write_was_short_ = false;
  Bytes held_;
  ByteQueue queue_;
  std::shared_ptr<Call> call_;
  std::unique_ptr<Operation> calling_;
  std::optional<Error> end_error_;
  UvDeferred work_soon_;
};

}  // namespace jump
