// ChannelProbe: asks a connection for one channel and waits for the server's answer, which Mux::open() does
// not. Then the channel is the asker's, or there is the server's reason.
//
//   Mux::open() ─► confirmed ─► done(the channel)
//              └─► refused, timed out, the connection ended ─► done(error)
//
// Invariants: done() is called once, from the loop, and may destroy the probe; destroying it gives the
// channel up. The Mux may end before it.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "channel/mux.h"
#include "stream/io.h"

namespace jump {

class ChannelProbe final : public Operation, private ChannelEvents, private StreamHandler {
 public:
  using Done = std::function<void(Result<std::unique_ptr<ByteStream>>)>;
  // Errors: kRefused, kUnreachable (the server could not connect), kTimeout, kClosed, kLimit; see
  // forbids_forwarding().
  ChannelProbe(Io& io, Mux& mux, const ChannelOpen& request, Duration timeout, Done done);
  ~ChannelProbe() override;
  ChannelProbe(const ChannelProbe&) = delete;
  ChannelProbe& operator=(const ChannelProbe&) = delete;

 private:
  void on_opened() override;
  std::size_t on_data(ByteView) override { return 0; }  // kept for whoever takes it
  void on_eof() override {}
  void on_writable() override {}
  void on_closed(const Error* error) override;
  void tell();

  std::unique_ptr<Deferred> tell_soon_;
  std::unique_ptr<Channel> channel_;
  std::optional<Error> error_;
  Done done_;
};

// The server's answer to the open was that it is administratively prohibited (RFC 4254 section 5.1), or that
// it has no such channels at all.
bool forbids_forwarding(const Error& error);

}  // namespace jump
