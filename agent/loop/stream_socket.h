// StreamSocket: a connected TCP or Unix socket as a ByteStream.
//
// In:  bytes are read into the loop's one read buffer and offered to the handler; what it does not take is
// held here
//      (at most one read), and reading stops until resume_reading().
// Out: write() hands bytes to the kernel at once; what the kernel does not take is queued, up to
// kWriteQueueMax. End: EOF taken and our shutdown sent; or close(), which sends what was accepted and then
// reads and drops input
//      until the peer closes too, because closing a socket with unread input would reset the connection and
//      destroy bytes that are still on their way; or abort(); or an error. Each ends in exactly one
//      on_closed().
// When writing fails the peer may have said its last words before: they are still delivered, then
// on_closed(error); there is no on_eof() then, as the end of input is not known to be orderly. Destroying it
// before on_closed() is abort(), silently.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "loop/deferred.h"
#include "loop/loop.h"
#include "loop/read_coalescer.h"
#include "loop/socket_handle.h"
#include "loop/timer.h"
#include "stream/byte_stream.h"

namespace jump {

class StreamSocket final : public ByteStream {
 public:
  // Bytes accepted by write() and not yet taken by the kernel. As much as one turn of a fast link moves.
  static constexpr std::size_t kWriteQueueMax = 256 * 1024;
  // Runs of bytes that one system call writes.
  static constexpr std::size_t kPartsMax = 16;
  // How long close() waits for the peer to close, once the kernel has all we accepted.
  static constexpr seconds kLingerMax{10};
  // A peer that goes on sending this much after it got our last byte will not stop by itself.
  static constexpr std::uint64_t kDiscardMax = 4 * 1024 * 1024;
  // Reads of this size and more are not acknowledged by hand: the kernel does it anyway, and each costs a
  // call.
  static constexpr std::size_t kBulkRead = 16 * 1024;

  // `handle` is connected. `description` is what describe() says.
  StreamSocket(Loop& loop, std::shared_ptr<SocketHandle> handle, std::string description);
  ~StreamSocket() override;

  void set_handler(StreamHandler* handler) override;
  std::size_t write(ByteView data) override { return write_parts({&data, 1}); }
  std::size_t write_parts(std::span<const ByteView> parts) override;
  void resume_reading() override;
  void shutdown_write() override;
  void close() override;
  void abort() override;
  std::string describe() const override { return description_; }
  std::string condition() const override;
  std::optional<Delivery> delivery() const override;

  // See DialOptions::quick_ack. The kernel forgets it again by itself, so it is said after each read.
  void acknowledge_quickly() { quick_ack_ = true; }
  // See DialOptions::persistent_end.
  void end_persistently();
  // What is read may be secret: it is wiped once it was offered, in the loop's buffer and here.
  void wipe_input() { wipe_input_ = true; }
  // The descriptor, for options and credentials; -1 when closed. Not to be read, written or closed.
  int fd() const { return handle_->fd(); }

 private:
  enum class State { kOpen, kLingering, kEnding, kClosed };  // kEnding: on_closed() is due
  enum class Input { kFlowing, kHeld, kEnded };              // kHeld: a short take, until resume_reading()
  enum class Output { kOpen, kEndWanted, kEnding, kEnded, kBroken };

  void set_state(State next);
  bool usable() const { return handle_->open(); }
  std::size_t queued() const { return handle_->sending.size() + waiting_.size(); }

  static void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer);
  void read_bytes(ByteView data);
  void read_end(int status);
  void discard(std::size_t count);
  // Offers `data`; how many were taken, or nothing when the handler destroyed this object.
  std::optional<std::size_t> offer(ByteView data);
  void reset_if_killed(bool on);
  void update_reading();
  // What is due to the handler and did not come from libuv just now. Runs deferred.
  void deliver();

  std::size_t write_now(std::span<const ByteView> parts);
  std::size_t queue(ByteView data);
  void send_waiting();
  void written(int status);
  void tell_writable();
  void output_broke(int status);
  void step_output();
  void linger_expired();
  std::uint64_t unsent() const;
  void end(std::optional<Error> why, bool reset = false);
  Error failure(int status) const;

  Loop& loop_;
  std::shared_ptr<SocketHandle> handle_;
  const std::string description_;
  StreamHandler* handler_ = nullptr;
  State state_ = State::kOpen;
  Input input_ = Input::kFlowing;
  Output output_ = Output::kOpen;
  Bytes held_;                    // read, not taken
  Bytes waiting_;                 // accepted, goes after handle_->sending
  bool write_was_short_ = false;  // on_writable() is owed
  bool quick_ack_ = false;
  bool wipe_input_ = false;
  std::optional<ReadCoalescer> coalescer_;  // TCP has one
  std::optional<Error> end_error_;
  std::uint64_t discarded_ = 0;  // since close()
  std::uint64_t last_unsent_ = 0;
  UvDeferred deliver_;
  std::unique_ptr<UvTimer> linger_;
};

}  // namespace jump
