// PassingSocket: a connected socket as a ByteStream that can be passed descriptors, and that may itself have
// been passed to us: no flag of it is changed, each call says by itself that it must not block.
//
//   recvmsg ─► bytes and descriptors ─► the handler        write() ─► the kernel, and a bounded queue
//
// It differs from StreamSocket in what it tells of the end: a peer that has closed its socket is told from
// one that has only shut down its sending side, as nothing can reach it any more: on_closed() follows
// on_eof(). And a Unix socket's peer that reads no more (EPIPE) is an error, as with StreamSocket.
// Invariants: descriptors that the handler did not take with the bytes they came with are closed; at most one
// read is held here for a handler that pauses.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_queue.h"
#include "base/bytes.h"
#include "base/fd.h"
#include "loop/deferred.h"
#include "loop/loop.h"
#include "loop/readiness.h"
#include "loop/timer.h"
#include "stream/byte_stream.h"

namespace jump {

class PassingSocket final : public ByteStream, private Readiness::Watcher {
 public:
  // Bytes accepted by write() and not yet taken by the kernel.
  static constexpr std::size_t kWriteQueueMax = 256 * 1024;
  // What is read in one turn, so that others get theirs.
  static constexpr std::size_t kReadPerTurn = 512 * 1024;
  // Descriptors that come with one message; the kernel closes what is beyond.
  static constexpr std::size_t kDescriptorsMax = 8;
  // How long close() waits for the peer to close, once the kernel has all that we accepted.
  static constexpr seconds kLingerMax{10};
  // A peer that goes on sending this much after it got our last byte will not stop by itself.
  static constexpr std::uint64_t kDiscardMax = 4 * 1024 * 1024;

  struct Options {
    bool takes_descriptors = false;
    bool wipe_input = false;  // what is read may be secret: it is wiped once it was offered
  };
  // Errors: kInvalid (not a connected stream socket), kLimit.
  static Result<std::unique_ptr<ByteStream>> adopt(Loop& loop, Fd fd, Options options,
                                                   std::string description);
  ~PassingSocket() override;

  void set_handler(StreamHandler* handler) override;
  std::size_t write(ByteView data) override;
  void resume_reading() override;
  void shutdown_write() override;
  void close() override;
  void abort() override;
  std::vector<Fd> take_descriptors() override { return std::move(passed_); }
  bool leads_to_same_listener(int fd) const override;
  int peer_process() const override { return peer_process_; }
  std::string describe() const override { return description_; }

 private:
  enum class State { kOpen, kLingering, kEnding, kClosed };  // kEnding: on_closed() is due
  enum class Input { kFlowing, kHeld, kEnded };              // kHeld: a short take, until resume_reading()
  enum class Output { kOpen, kEndWanted, kEnded };

  PassingSocket(Loop& loop, Fd fd, Options options, std::string description);

  void on_ready(Readiness::Ready ready) override;
  void work();
  void read_some();
  ssize_t receive();
  void offer(ByteView data);
  void offer_held();
  void read_end();
  void flush();
  std::size_t send_now(ByteView data);
  void step_end();
  void end(std::optional<Error> why);
  void set_state(State next);
  void drop_held();

  Loop& loop_;
  Fd fd_;
  const Options options_;
  const std::string description_;
  int peer_process_ = 0;
  StreamHandler* handler_ = nullptr;
  State state_ = State::kOpen;
  Input input_ = Input::kFlowing;
  Output output_ = Output::kOpen;
  bool readable_ = true, writable_ = true;  // until the system says otherwise
  bool peer_gone_ = false, gone_told_ = false;
  bool write_was_short_ = false;  // on_writable() is owed
  Bytes held_;                    // read, not taken
  std::vector<Fd> passed_;        // with the bytes that are being offered
  ByteQueue queue_;               // accepted, not sent
  std::optional<Error> end_error_;
  std::uint64_t discarded_ = 0;  // since close()
  UvDeferred work_soon_;
  std::unique_ptr<UvTimer> linger_;
  std::unique_ptr<Readiness::Watch> watch_;  // goes before fd_
};

}  // namespace jump
