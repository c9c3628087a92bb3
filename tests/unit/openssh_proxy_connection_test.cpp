// Two clients of the proxy mode on one Mux with a scripted server: from the clients' bytes to the server's
// packets and back.
#include <gtest/gtest.h>

#include <string>

#include "base/wire.h"
#include "channel/messages.h"
#include "openssh/proxy_connection.h"
#include "unit/mux_fixture.h"

namespace jump {
namespace {

using test::packet;

Bytes framed(const WireWriter& payload) {
  WireWriter padded;
  padded.u8(0).raw(payload.view());
  return WireWriter().string(padded.view()).take();
}
// An answer without data, padded to what ssh(1) takes for a whole packet.
Bytes answer(std::uint8_t type) {
  return WireWriter().u32(5).u8(3).u8(type).u8(0).u8(0).u8(0).take();
}

struct Client {
  explicit Client(Mux* mux) : connection(std::make_unique<ProxyConnection>(mux, [this] { wakes++; })) {
    translator = std::make_unique<ProxyTranslator>(connection.get());
    connection->set_translator(translator.get());
  }
  void feed(const WireWriter& payload) {
    translator->feed(framed(payload));
    turn();
  }
  void turn() {
    while (std::exchange(wakes, 0) > 0) {
      connection->run_deferred();
      translator->resume();
    }
  }
  Bytes sent() {
    turn();
    Bytes out;
    while (!translator->output().empty()) {
      ByteView run = translator->output();
      out.insert(out.end(), run.begin(), run.end());
      translator->consume_output(run.size());
    }
    return out;
  }
  void open(std::uint32_t number) {
    WireWriter out;
    out.u8(ssh::kChannelOpen).string(std::string_view("session")).u32(number).u32(1 << 21).u32(32768);
    feed(out);
  }
  void listen(std::string_view name, std::uint32_t port) {
    WireWriter out;
    out.u8(ssh::kGlobalRequest).string(name).boolean(true).string(std::string_view("localhost")).u32(port);
    feed(out);
  }

  int wakes = 0;
  std::unique_ptr<ProxyConnection> connection;  // the translator goes first
  std::unique_ptr<ProxyTranslator> translator;
};

WireWriter data_of(std::uint32_t number, std::string_view text) {
  WireWriter out;
  out.u8(ssh::kChannelData).u32(number).string(text);
  return out;
}

class ProxyConnectionTest : public test::MuxTest {
 protected:
  void pump() { mux->pump(start); }
  // A client's only channel, whose numbers are 0 at the client and `remote` at the server. Its number here.
  std::uint32_t open(Client& client, std::uint32_t remote) {
    client.open(0);
    pump();
    std::uint32_t number = last_open();
    confirm(number, remote);
    EXPECT_FALSE(client.sent().empty());
    sink.sent.clear();
    return number;
  }
  void reply(bool success, ByteView more = {}) {
    WireWriter out;
    out.u8(success ? ssh::kRequestSuccess : ssh::kRequestFailure).raw(more);
    feed(packet(out));
  }
};

TEST_F(ProxyConnectionTest, TwoClientsWithTheSameNumbersDoNotMeet) {
  Client a(mux.get()), b(mux.get());
  std::uint32_t of_a = open(a, 40), of_b = open(b, 50);
  a.feed(data_of(0, "from a"));
  b.feed(data_of(0, "from b"));
  pump();
  EXPECT_EQ(sent_data(40), "from a");
  EXPECT_EQ(sent_data(50), "from b");
  data(of_b, "to b");
  EXPECT_TRUE(a.sent().empty());
  EXPECT_EQ(b.sent(), framed(data_of(0, "to b")));
  data(of_a, "to a");
  EXPECT_EQ(a.sent(), framed(data_of(0, "to a")));
}

TEST_F(ProxyConnectionTest, AChannelEndsOnBothSidesAndItsNumberIsFree) {
  Client client(mux.get());
  std::uint32_t number = open(client, 40);
  message(ssh::kChannelClose, number);
  EXPECT_EQ(client.sent(), framed(WireWriter().u8(ssh::kChannelClose).u32(0)));
  client.feed(WireWriter().u8(ssh::kChannelClose).u32(0));
  pump();
  EXPECT_EQ(sink.sent.back(), WireWriter().u8(ssh::kChannelClose).u32(40).take());
  EXPECT_EQ(mux->used_numbers(), 0u);
  open(client, 41);
  client.open(1);
  pump();
  refuse(last_open(), ssh::kOpenConnectFailed, "no");
  EXPECT_EQ(client.translator->channels(), 1u);
}

TEST_F(ProxyConnectionTest, AClientThatGoesTakesItsOwnWithItAndNothingElse) {
  auto goes = std::make_unique<Client>(mux.get());
  Client stays(mux.get());
  std::uint32_t number = open(*goes, 40);
  std::uint32_t other = open(stays, 50);
  goes->listen("tcpip-forward", 80);
  pump();
  reply(true);
  goes->feed(
      WireWriter().u8(ssh::kGlobalRequest).string(std::string_view("keepalive@openssh.com")).boolean(true));
  pump();
  sink.sent.clear();
  goes.reset();
  pump();
  EXPECT_EQ(last_sent(ssh::kChannelClose), WireWriter().u8(ssh::kChannelClose).u32(40).take());
  EXPECT_EQ(sent_count(ssh::kChannelClose), 1);
  EXPECT_EQ(sent_count(ssh::kGlobalRequest), 1);  // the cancellation
  reply(false);                                   // to the keepalive
  data(number, "late");
  message(ssh::kChannelClose, number);
  EXPECT_FALSE(mux->error());
  data(other, "x");
  EXPECT_EQ(stays.sent(), framed(data_of(0, "x")));
}

TEST_F(ProxyConnectionTest, WhatConnectsToItsPortReachesTheClient) {
  Client client(mux.get()), other(mux.get());
  client.listen("tcpip-forward", 0);
  other.listen("tcpip-forward", 81);
  pump();
  reply(true, WireWriter().u32(8080).take());
  EXPECT_EQ(client.sent(), framed(WireWriter().u8(ssh::kRequestSuccess).u32(8080)));
  reply(false);
  EXPECT_EQ(other.sent(), answer(ssh::kRequestFailure));
  EXPECT_EQ(other.connection->listeners(), 0u);

  WireWriter specific;
  specific.string(std::string_view("localhost")).u32(8080).string(std::string_view("10.0.0.7")).u32(5);
  WireWriter incoming;
  incoming.u8(ssh::kChannelOpen)
      .string(ForwardedTcpip::kType)
      .u32(60)
      .u32(1000)
      .u32(100)
      .raw(specific.view());
  feed(packet(incoming));
  EXPECT_TRUE(other.sent().empty());
  EXPECT_EQ(client.sent(), framed(WireWriter()
                                      .u8(ssh::kChannelOpen)
                                      .string(ForwardedTcpip::kType)
                                      .u32(0)
                                      .u32(1000)
                                      .u32(100)
                                      .raw(specific.view())));
  client.feed(WireWriter().u8(ssh::kChannelOpenConfirmation).u32(0).u32(9).u32(2000).u32(500));
  pump();
  WireReader confirmed(sink.sent.back());
  EXPECT_EQ(confirmed.u8(), ssh::kChannelOpenConfirmation);
  EXPECT_EQ(confirmed.u32(), 60u);
  data(confirmed.u32(), "hello");
  EXPECT_EQ(client.sent(), framed(data_of(9, "hello")));

  feed(packet(incoming));  // another one, which the client does not want
  client.sent();
  client.feed(WireWriter()
                  .u8(ssh::kChannelOpenFailure)
                  .u32(1)
                  .u32(ssh::kOpenConnectFailed)
                  .string(std::string_view("refused"))
                  .string(std::string_view()));
  pump();
  EXPECT_EQ(sink.sent.back().front(), ssh::kChannelOpenFailure);
  EXPECT_EQ(mux->pending_peer_opens(), 0u);

  client.listen("cancel-tcpip-forward", 9999);
  EXPECT_EQ(client.sent(), answer(ssh::kRequestFailure));
  client.listen("cancel-tcpip-forward", 8080);
  EXPECT_EQ(client.sent(), answer(ssh::kRequestSuccess));
  pump();
  feed(packet(incoming));
  EXPECT_TRUE(client.sent().empty());
  EXPECT_EQ(sink.sent.back().front(), ssh::kChannelOpenFailure);
}

TEST_F(ProxyConnectionTest, APortOfAnotherClientIsRefused) {
  Client a(mux.get()), b(mux.get());
  a.listen("tcpip-forward", 80);
  b.listen("tcpip-forward", 80);
  EXPECT_EQ(b.sent(), answer(ssh::kRequestFailure));
  b.listen("cancel-tcpip-forward", 80);
  EXPECT_EQ(b.sent(), answer(ssh::kRequestFailure));
  EXPECT_EQ(a.connection->listeners(), 1u);
}

TEST_F(ProxyConnectionTest, AListenerThatIsCancelledBeforeItsAnswerIsAnsweredAllTheSame) {
  Client client(mux.get());
  client.listen("tcpip-forward", 80);
  client.listen("cancel-tcpip-forward", 80);
  Bytes both = answer(ssh::kRequestFailure);
  Bytes second = answer(ssh::kRequestSuccess);
  both.insert(both.end(), second.begin(), second.end());
  EXPECT_EQ(client.sent(), both);
}

TEST_F(ProxyConnectionTest, AStuckNetworkStopsTheClientAndRoomLetsItGoOn) {
  Client client(mux.get());
  client.open(0);
  pump();
  confirm(last_open(), 40, 64 << 20, 32768);
  client.sent();
  sink.blocked = true;
  const std::string block(32000, 'x');
  std::size_t fed = 0;
  while (client.translator->wants_input() && fed < 1000) {
    client.feed(data_of(0, block));
    fed++;
  }
  EXPECT_LT(fed, 12u);
  client.feed(data_of(0, "waits here"));
  sink.blocked = false;
  sink.sent.clear();
  pump();
  client.turn();
  pump();
  EXPECT_TRUE(client.translator->wants_input());
  EXPECT_EQ(sent_data(40).size(), fed * block.size() + 10);
}

TEST_F(ProxyConnectionTest, TheEndOfTheConnectionIsTold) {
  Client client(mux.get());
  open(client, 40);
  mux->fail(Error{Errc::kClosed, "gone", {}});
  ASSERT_TRUE(client.connection->lost());
  client.open(1);
  EXPECT_EQ(client.sent().at(5), ssh::kChannelOpenFailure);
  client.listen("tcpip-forward", 80);
  EXPECT_EQ(client.sent(), answer(ssh::kRequestFailure));
  client.feed(data_of(0, "into the void"));
  EXPECT_FALSE(client.translator->error());
}

}  // namespace
}  // namespace jump
