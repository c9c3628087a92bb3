// ProxyClient: the client's end of a dynamic forward, until it is carried. It hears what the client asks for
// (SOCKS or HTTP CONNECT), says so once, and tells the client what came of it.
//
//   stream ─► ProxyHandshake ─► requested(target) ─► grant(): the stream, to be spliced
//                                                └─► deny(): the refusal in the client's protocol, then
//                                                `over`
//
// Invariants: not a byte behind the handshake is taken; a client that dawdles, or leaves without taking its
// refusal, is ended in bounded time. Callbacks come from the loop and may destroy this through Io::dispose().
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "forward/proxy_handshake.h"
#include "stream/byte_stream.h"
#include "stream/io.h"

namespace jump {

class ProxyClient final : private StreamHandler {
 public:
  // From its arrival until it has said where to. A browser that keeps a spare connection waits so long, too.
  static constexpr Duration kHandshakeTimeout = seconds(60);

  // Once: the target, or why there is none (it was denied by then, and `over` follows). An error without a
  // message: the client left before it said anything that matters.
  using Requested = std::function<void(Result<Endpoint> target)>;
  // The stream has ended. Not called after grant().
  using Over = std::function<void()>;
  ProxyClient(Io& io, std::unique_ptr<ByteStream> stream, Requested requested, Over over);

  void start();
  // Both only after a target was requested, and one of them once.
  std::unique_ptr<ByteStream> grant();
  void deny(const Error& error);

 private:
  enum class State { kReading, kRequested, kEnding };

  std::size_t on_data(ByteView data) override;
  void on_eof() override;
  void on_writable() override {}
  void on_closed(const Error* error) override;

  void say(const Bytes& answer);
  void end(const Bytes& last_words);
  void on_timeout();

  std::unique_ptr<ByteStream> stream_;
  Requested requested_;
  Over over_;
  ProxyHandshake handshake_;
  State state_ = State::kReading;
  std::unique_ptr<Timer> timer_;
};

}  // namespace jump
