// ByteStream: the one interface for bytes both ways. A TCP or Unix socket, an SSH channel, a child's stdio
// and a test's pipe are all ByteStreams; nobody above needs to know which, and there may be no descriptor
// behind it.
//
// Contract
//   * Handlers are called from the owner's event processing only, never from inside a method of the same
//   stream,
//     so a caller's own state is settled when a handler runs. A handler may call any method of any stream and
//     may destroy other streams; it must not destroy the stream that is calling it (hand it to
//     Io::dispose()).
//   * Flow control: on_data() says how many bytes it took. If fewer than offered, the stream keeps the rest,
//   stops
//     reading its source, and offers again only after resume_reading(). write() takes what there is room for;
//     after a short write on_writable() is called once when there is room again.
//   * Ends: on_eof() comes after the last byte was taken; shutdown_write() takes effect after the last
//   accepted byte.
//     When both directions have ended, or something broke, on_closed() is the last call ever made. Until then
//     the owner keeps the stream; destroying it earlier aborts it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace jump {

class StreamHandler {
 public:
  // Bytes arrived; returns how many were taken, 0..data.size(). The view is good until the call returns.
  virtual std::size_t on_data(ByteView data) = 0;
  // The same for several runs of bytes that follow one another: for handlers that can take them in one go.
  virtual std::size_t on_data_parts(std::span<const ByteView> parts) {
    std::size_t taken = 0;
    for (ByteView part : parts) {
      const std::size_t count = on_data(part);
      taken += count;
      if (count < part.size()) break;
    }
    return taken;
  }
  // The other side will send no more, and everything it sent has been taken.
  virtual void on_eof() = 0;
  // There is room to write again after a short write().
  virtual void on_writable() = 0;
  // Nobody is there to receive anything any more, although bytes may wait that were sent before. Streams that
  // cannot tell that from on_eof() never call it; on_closed() still follows.
  virtual void on_peer_gone() {}
  // The stream has ended: nullptr after an orderly end of both directions, else why. Last call.
  virtual void on_closed(const Error* error) = 0;

 protected:
  ~StreamHandler() = default;
};

// In packets since the stream was made, modulo 2^32: how many have left this machine, and how many the other
// one has said that it has, in whatever order. Owed: there are some that it has not, or that have not left.
// Stalled: it takes no more now, and answers when it is asked whether it does. Round trip: with what waits on
// the way; zero: not known.
struct Delivery {
  std::uint32_t sent = 0;
  std::uint32_t acknowledged = 0;
  bool owed = false;
  bool stalled = false;
  Duration round_trip{};
};

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  // Begins delivery to `handler`, which outlives the stream or the next set_handler(). nullptr pauses
  // delivery.
  virtual void set_handler(StreamHandler* handler) = 0;

  // Accepts up to data.size() bytes and returns how many; fewer means: wait for on_writable(). After
  // shutdown_write(), close() or the end it accepts (and drops) nothing: returns 0.
  virtual std::size_t write(ByteView data) = 0;
  // The same for several runs of bytes that follow one another.
  virtual std::size_t write_parts(std::span<const ByteView> parts) {
    std::size_t accepted = 0;
    for (ByteView part : parts) {
      const std::size_t count = write(part);
      accepted += count;
      if (count < part.size()) break;
    }
    return accepted;
  }
  // Offers again after on_data() took fewer bytes than it was given. Harmless otherwise.
  virtual void resume_reading() = 0;
  // Ends our direction, after all accepted bytes. The other direction goes on.
  virtual void shutdown_write() = 0;
  // Ends both directions in good order: accepted bytes are still sent, nothing more is read. on_closed()
  // follows; when the peer has paused, not before it goes on: bound it with abort() where that matters.
  virtual void close() = 0;
  // Ends it now, so that the peer can tell that it is incomplete (TCP: RST). on_closed() follows.
  virtual void abort() = 0;

  // Descriptors that the other side passed with the last of the bytes that are being offered (SCM_RIGHTS: a
  // read ends with the message that brought some, and may begin with others that did not); to be asked for
  // from within on_data(). Those that nobody takes are closed.
  virtual std::vector<Fd> take_descriptors() { return {}; }

  // Of a Unix socket that takes descriptors: `fd` is the connecting end of this or of another connection that
  // the same listener accepted.
  virtual bool leads_to_same_listener(int fd) const {
    (void)fd;
    return false;
  }

  // The process that connected or was connected to, of a Unix socket that takes descriptors; 0: not known.
  virtual int peer_process() const { return 0; }

  // For logs and status: "127.0.0.1:40112", "svc:80 via prod".
  virtual std::string describe() const = 0;
  // Of a peer that is silent, for the log: whether the path or the peer is at fault, as far as this side
  // knows. Empty: it knows nothing.
  virtual std::string condition() const { return {}; }
  // Whether what is written arrives, of a stream whose other machine acknowledges it; else nullopt.
  virtual std::optional<Delivery> delivery() const { return std::nullopt; }
};

}  // namespace jump
