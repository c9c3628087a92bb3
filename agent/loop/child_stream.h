// ChildStream: a child process as a ByteStream, for ProxyCommand. Its stdin and stdout are one end of a
// socket pair, the other end is a StreamSocket of ours; its stderr is read, logged, and the last of it kept.
//
// Whoever reads an end of the stream wants to know why, and only the process knows: so an end that was not
// asked for waits for the child's exit, kStoryMax at most, and becomes an on_closed() that tells it. The
// other way round, the child's exit ends the stream, though a grandchild may hold the pipe: what is there to
// be read by then is read.
//
// Invariant: the process group does not outlive the stream by more than kGoodbyeMax and the process's own
// grace, whether its leader is there or not.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "loop/loop.h"
#include "loop/spawned_process.h"
#include "loop/stream_socket.h"
#include "loop/timer.h"
#include "stream/io.h"

namespace jump {

class ChildStream final : public ByteStream, private StreamHandler {
 public:
  // From the end of its output to the child's exit and the end of its stderr: a moment, but for grandchildren
  // that hold on to them.
  static constexpr milliseconds kStoryMax{500};
  // From the child's exit to the end of the stream: what it wrote is there already.
  static constexpr milliseconds kLastBytesMax{100};
  // So long after its exit whoever pauses is waited for at each pause; a grandchild may write for ever.
  static constexpr seconds kPausesMax{10};
  // After close(): time for the child to pass on what it was sent.
  static constexpr milliseconds kGoodbyeMax{500};
  // Of stderr: enough for the last lines, which are the ones that say why.
  static constexpr std::size_t kLastWordsMax = 2048;
  static constexpr std::size_t kLastLines = 3;

  static Result<std::unique_ptr<ByteStream>> start(Loop& loop, const StreamCommand& command);
  ~ChildStream() override;

  void set_handler(StreamHandler* handler) override;
  std::size_t write(ByteView data) override { return socket_->write(data); }
  void resume_reading() override {
    paused_ = false;
    if (handler_ && Clock::now() < resumed_until_) last_bytes_timer_.start(kLastBytesMax);  // not read yet
    socket_->resume_reading();
  }
  void shutdown_write() override;
  void close() override;
  void abort() override;
  std::string describe() const override { return description_; }

 private:
  enum class Asked { kNothing, kEnd, kClose, kAbort };            // what the owner has asked for
  enum class Pending { kNothing, kEof, kEofAndClosed, kClosed };  // what the handler is still to be told

  ChildStream(Loop& loop, const StreamCommand& command);
  Status run(const StreamCommand& command);

  // StreamHandler: our end of the socket pair
  std::size_t on_data(ByteView data) override;
  void on_eof() override;
  void on_writable() override { handler_->on_writable(); }
  void on_closed(const Error* error) override;

  void on_stderr(std::string_view text);
  void on_exit(int status);
  void end_after_exit();
  void tell_if_known();
  void tell();
  std::optional<Error> story() const;
  std::string last_words() const;

  Loop& loop_;
  const std::string description_;
  std::unique_ptr<StreamSocket> socket_;
  std::shared_ptr<SpawnedProcess> process_;
  std::shared_ptr<OutputPipe> stderr_;  // nullptr from its end on
  StreamHandler* handler_ = nullptr;
  Asked asked_ = Asked::kNothing;
  Pending pending_ = Pending::kNothing;
  std::optional<Error> socket_error_;
  std::optional<int> exit_status_;
  TimePoint resumed_until_ = kLongAgo;  // from the exit on
  std::string last_words_;
  bool said_anything_ = false;
  bool paused_ = false;  // the handler has not taken all yet
  UvTimer story_timer_;
  UvTimer last_bytes_timer_;  // from the child's exit on
};

}  // namespace jump
