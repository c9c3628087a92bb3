// SocketHandle: a libuv TCP or pipe handle with the requests and the bytes that libuv may hold on to. It is
// made by whoever connects or accepts, and handed to a StreamSocket when it is connected.
#pragma once

#include <uv.h>

#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "loop/handle_block.h"
#include "loop/loop.h"

namespace jump {

class LostEnds;
class StreamSocket;

class SocketHandle final : public HandleBlock {
 public:
  enum class Kind { kTcp, kUnix };

  static std::shared_ptr<SocketHandle> make(Loop& loop, Kind kind);
  // Takes over a connected descriptor: closes it when it fails.
  static Result<std::shared_ptr<SocketHandle>> adopt(Loop& loop, Kind kind, int fd);

  Kind kind() const { return kind_; }
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&uv_); }
  uv_tcp_t* tcp() { return &uv_.tcp; }
  uv_pipe_t* pipe() { return &uv_.pipe; }
  // -1 when there is none (yet, or any more).
  int fd() const;

  // TCP: the peer will see a reset, whatever is still queued; unless resets is false (see
  // DialOptions::persistent_end). A Unix socket has no such thing.
  void close_with_reset();
  void on_loop_end() override;

  static SocketHandle* of(uv_stream_t* stream) {
    return static_cast<SocketHandle*>(HandleBlock::of(reinterpret_cast<uv_handle_t*>(stream)));
  }

  StreamSocket* owner = nullptr;
  bool resets = true;
  // Of one that is not to be reset: who tells the peer of the end when it can be reached again.
  LostEnds* lost_ends = nullptr;
  uv_connect_t connect{};  // data: the dialer's attempt, or nullptr
  uv_write_t write{};
  uv_shutdown_t shutdown{};
  Bytes sending;  // under uv_write(); empty when none is under way

 private:
  SocketHandle(Kind kind) : kind_(kind) {}

  const Kind kind_;
  union {
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } uv_{};
};

}  // namespace jump
