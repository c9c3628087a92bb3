// Loopback: a Transport and a TestServer joined in memory, and the steps that most tests begin with.
#pragma once

#include <string>

#include "transport/transport.h"
#include "transport_test_server.h"

namespace jump::test {

class Loopback : public PacketHandler {
 public:
  static constexpr std::size_t kAll = static_cast<std::size_t>(-1);

  explicit Loopback(TestServerOptions server_options = {}, const TransportOptions& options = {})
      : server(std::move(server_options)) {
    auto made = Transport::create(options, this);
    EXPECT_TRUE(made.ok());
    transport = std::move(made).value();
    transport->advance();
  }

  void on_packet(ByteView payload) override { packets.emplace_back(payload.begin(), payload.end()); }

  // Passes bytes both ways until nothing moves; to the transport in pieces of `piece` bytes.
  Transport::State pump(std::size_t piece = kAll) {
    for (bool moved = true; moved;) {
      moved = false;
      for (ByteView out = transport->output().front(); !out.empty(); out = transport->output().front()) {
        server.feed(out);
        transport->output().consume(out.size());
        moved = true;
      }
      const Bytes in = server.take_output();
      for (std::size_t at = 0; at < in.size(); at += std::min(piece, in.size() - at)) {
        transport->feed(ByteView(in).subspan(at, std::min(piece, in.size() - at)));
        transport->advance();
        moved = true;
      }
    }
    return transport->state();
  }

  // Through the key exchange and past the host key.
  void reach_userauth() {
    ASSERT_EQ(pump(), Transport::State::kHostKey) << transport->error().message;
    transport->accept_host_key();
    ASSERT_EQ(transport->advance(), Transport::State::kUserauth);
  }

  // Logged in by "none".
  void reach_connection() {
    reach_userauth();
    transport->start_none("alice");
    transport->advance();
    pump();
    server.take_message();
    server.send_text("\x34");
    ASSERT_EQ(pump(), Transport::State::kConnection) << transport->error().message;
  }

  const std::string& error() const { return transport->error().message; }
  Errc code() const { return transport->error().code; }

  TestServer server;
  std::unique_ptr<Transport> transport;
  std::vector<Bytes> packets;  // that the transport delivered
};

// A connection-protocol packet: CHANNEL_DATA with that text.
inline Bytes channel_data(std::string_view text) { return WireWriter().u8(94).u32(0).string(text).take(); }

inline Bytes userauth_failure(std::string_view methods, bool partial = false) {
  return WireWriter().u8(51).string(methods).boolean(partial).take();
}

}  // namespace jump::test
