// Splice: the one copy loop. It joins two ByteStreams until both directions have ended, passing on bytes,
// half-closes and breaks, and owns both meanwhile.
//
//   left.on_data → right.write      right.on_data → left.write
//   left.on_eof  → right.shutdown_write, and the other way round
//   a break of one → abort of the other, so that a cut stream is never taken for a complete one
//
// Nothing is buffered here: what one side does not take, the other side keeps and stops reading.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "stream/byte_stream.h"
#include "stream/io.h"

namespace jump {

class Splice {
 public:
  // A side whose other end has gone gets this long to take what it was sent; then it is aborted. Long, as a
  // person may have paused the reader; finite, as one that never reads must not be kept for ever.
  static constexpr Duration kLinger = seconds(600);

  // `done` is called once, when both streams have ended, with the first break or null; then the owner
  // destroys the splice (through Io::dispose(), as it is being called by one of its streams).
  // Splice::broke_left() tells which side that was.
  using Done = std::function<void(const Error* error)>;
  Splice(Io& io, std::unique_ptr<ByteStream> left, std::unique_ptr<ByteStream> right, Done done);

  void start();
  // Breaks both sides now; `done` follows.
  void abort();

  bool broke_left() const { return broke_left_; }
  std::uint64_t bytes_left_to_right() const { return left_.sent_on; }
  std::uint64_t bytes_right_to_left() const { return right_.sent_on; }

 private:
  struct Side final : StreamHandler {
    Splice* splice = nullptr;
    Side* other = nullptr;
    std::unique_ptr<ByteStream> stream;
    std::uint64_t sent_on = 0;  // bytes this side gave that the other took
    bool held = false;          // this side waits for the other's on_writable()
    bool ended = false;

    std::size_t on_data(ByteView data) override { return on_data_parts({&data, 1}); }
    std::size_t on_data_parts(std::span<const ByteView> parts) override;
    void on_eof() override;
    void on_writable() override;
    void on_closed(const Error* error) override;
  };

  void side_ended(Side& side, const Error* error);

  Io& io_;
  Side left_, right_;
  Done done_;
  std::optional<Error> error_;
  bool broke_left_ = false;        // with error_: the left side did
  std::unique_ptr<Timer> linger_;  // made when it is needed: idle connections are to be small
};

}  // namespace jump
