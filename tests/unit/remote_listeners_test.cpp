// What the server listens on for us, against a scripted server: requests, answers, channels, ends.
#include "channel/remote_listeners.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "unit/mux_fixture.h"

namespace jump {
namespace {

using test::packet;

struct Listening final : RemoteListenHandler {
  std::vector<std::uint16_t> ports;
  std::vector<Error> refused, lost;
  std::vector<IncomingChannel> incoming;
  std::function<void()> on_any;

  void on_listening(Result<std::uint16_t> port) override {
    EXPECT_TRUE(ports.empty() && refused.empty());
    if (port) {
      ports.push_back(*port);
    } else {
      refused.push_back(port.error());
    }
    if (on_any) on_any();
  }
  void on_incoming(IncomingChannel each) override {
    EXPECT_FALSE(ports.empty());
    incoming.push_back(std::move(each));
    if (on_any) on_any();
  }
  void on_lost(const Error& error) override {
    EXPECT_FALSE(ports.empty());
    lost.push_back(error);
    if (on_any) on_any();
  }
};

class RemoteListenersTest : public test::MuxTest {
 protected:
  RemoteListeners& remote() { return mux->remote_listeners(); }

  std::unique_ptr<RemoteListener> listen(const RemoteListen& at, Listening& handler) {
    auto out = remote().listen(at, &handler);
    EXPECT_TRUE(out.ok()) << out.error().message;
    mux->pump(start);
    return *std::move(out);
  }
  std::unique_ptr<RemoteListener> listening(const RemoteListen& at, Listening& handler) {
    auto out = listen(at, handler);
    succeed();
    EXPECT_EQ(handler.ports.size(), 1u);
    sink.sent.clear();
    return out;
  }
  void succeed(ByteView data = {}) {
    WireWriter out;
    out.u8(ssh::kRequestSuccess).raw(data);
    feed(packet(out));
  }
  void chose(std::uint32_t port) { succeed(WireWriter().u32(port).take()); }
  void fail() { feed(Bytes{ssh::kRequestFailure}); }

  void tcp_open(std::string_view address, std::uint16_t port) {
    WireWriter out;
    out.u8(ssh::kChannelOpen).string("forwarded-tcpip").u32(1).u32(1 << 20).u32(32768);
    out.string(address).u32(port).string("10.0.0.7").u32(51234);
    feed(packet(out));
  }
  void unix_open(std::string_view path) {
    WireWriter out;
    out.u8(ssh::kChannelOpen).string("forwarded-streamlocal@openssh.com").u32(1).u32(1 << 20).u32(32768);
    out.string(path).string("");
    feed(packet(out));
  }
  // "tcpip-forward localhost:8080" for each request that was sent.
  std::vector<std::string> requests() {
    std::vector<std::string> out;
    for (const Bytes& each : sink.sent) {
      WireReader in(each);
      if (in.u8() != ssh::kGlobalRequest) continue;
      std::string line(in.text());
      EXPECT_TRUE(in.boolean()) << "without an answer the order of answers would be lost";
      if (line.find("-forward") != std::string::npos) line += " " + std::string(in.text());
      if (line.find("tcpip") != std::string::npos) line += ":" + std::to_string(in.u32());
      EXPECT_TRUE(in.at_end());
      out.push_back(line);
    }
    return out;
  }
  using Lines = std::vector<std::string>;
};

TEST_F(RemoteListenersTest, RequestsAreAsTheProtocolHasThem) {
  Listening one, two, three, four;
  auto first = listen(RemoteListen::tcp("localhost", 8080), one);
  auto second = listen(RemoteListen::tcp("*", 8081), two);
  auto third = listen(RemoteListen::tcp("::1", 0), three);
  auto fourth = listen(RemoteListen::unix_socket("/run/app.sock"), four);
  EXPECT_EQ(requests(), (Lines{"tcpip-forward localhost:8080", "tcpip-forward :8081", "tcpip-forward ::1:0",
                               "streamlocal-forward@openssh.com /run/app.sock"}));
  succeed();
  succeed();
  chose(40001);
  succeed();
  EXPECT_EQ(one.ports, std::vector<std::uint16_t>{8080});
  EXPECT_EQ(two.ports, std::vector<std::uint16_t>{8081});
  EXPECT_EQ(three.ports, std::vector<std::uint16_t>{40001});
  EXPECT_EQ(four.ports, std::vector<std::uint16_t>{0});
  sink.sent.clear();
  first.reset();
  second.reset();
  third.reset();
  fourth.reset();
  mux->pump(start);
  EXPECT_EQ(requests(), (Lines{"cancel-tcpip-forward localhost:8080", "cancel-tcpip-forward :8081",
                               "cancel-tcpip-forward ::1:40001",
                               "cancel-streamlocal-forward@openssh.com /run/app.sock"}));
  EXPECT_EQ(remote().size(), 0u);
}

TEST_F(RemoteListenersTest, ChannelsReachTheListenerTheyAreFor) {
  Listening one, two, three;
  auto first = listening(RemoteListen::tcp("localhost", 8080), one);
  auto second = listening(RemoteListen::tcp("10.0.0.1", 8080), two);
  auto third = listening(RemoteListen::unix_socket("/run/app.sock"), three);
  tcp_open("10.0.0.1", 8080);
  EXPECT_EQ(two.incoming.size(), 1u);
  tcp_open("localhost", 8080);
  EXPECT_EQ(one.incoming.size(), 1u);
  unix_open("/run/app.sock");
  EXPECT_EQ(three.incoming.size(), 1u);
  EXPECT_TRUE(sink.sent.empty());
  ASSERT_TRUE(one.incoming[0].accept(nullptr).ok());
  mux->pump(start);
  EXPECT_EQ(sent_count(ssh::kChannelOpenConfirmation), 1);
}

TEST_F(RemoteListenersTest, WhatNobodyListensOnIsRefusedAndCounted) {
  Listening one;
  auto first = listening(RemoteListen::tcp("localhost", 8080), one);
  tcp_open("localhost", 8081);
  tcp_open("192.0.2.1", 8080);
  unix_open("localhost");
  EXPECT_TRUE(one.incoming.empty());
  EXPECT_EQ(remote().unknown_opens(), 3u);
  EXPECT_EQ(mux->counters().peer_opens_refused, 3u);
  Bytes sent = last_sent(ssh::kChannelOpenFailure);
  WireReader in(sent);
  in.u8();
  in.u32();
  EXPECT_EQ(in.u32(), ssh::kOpenAdministrativelyProhibited);
}

struct Naming {
  const char* asked;
  const char* said;
  bool matches;
};

TEST_F(RemoteListenersTest, ServersMayNameTheAddressInTheirOwnWay) {
  const std::vector<Naming> table = {
      {"localhost", "localhost", true},
      {"localhost", "127.0.0.1", true},
      {"localhost", "::1", true},
      {"localhost", "", false},
      {"127.0.0.1", "localhost", true},
      {"127.0.0.1", "10.0.0.1", false},
      {"", "", true},
      {"", "*", true},
      {"*", "", true},
      {"*", "0.0.0.0", true},
      {"", "::", true},
      {"", "10.0.0.1", true},
      {"", "localhost", true},
      {"0.0.0.0", "", true},
      {"10.0.0.1", "10.0.0.1", true},
      {"10.0.0.1", "10.0.0.2", false},
      {"10.0.0.1", "", false},
  };
  for (const Naming& each : table) {
    Listening one;
    auto first = listening(RemoteListen::tcp(each.asked, 8080), one);
    tcp_open(each.said, 8080);
    EXPECT_EQ(one.incoming.size(), each.matches ? 1u : 0u) << each.asked << " said as " << each.said;
    tcp_open(each.said, 8079);
    EXPECT_LE(one.incoming.size(), 1u);
    one.incoming.clear();
    first.reset();
    mux->pump(start);
    succeed();
  }
}

TEST_F(RemoteListenersTest, TheExactAddressGoesFirst) {
  Listening all, one;
  auto first = listening(RemoteListen::tcp("", 8080), all);
  auto second = listening(RemoteListen::tcp("127.0.0.1", 8080), one);
  tcp_open("127.0.0.1", 8080);
  tcp_open("localhost", 8080);
  EXPECT_EQ(one.incoming.size(), 2u);
  tcp_open("10.0.0.9", 8080);
  EXPECT_EQ(all.incoming.size(), 1u);
}

TEST_F(RemoteListenersTest, PortZeroMatchesByTheChosenPort) {
  Listening one, two;
  auto first = listen(RemoteListen::tcp("localhost", 0), one);
  auto second = listen(RemoteListen::tcp("localhost", 0), two);
  chose(40001);
  chose(40002);
  tcp_open("localhost", 40002);
  tcp_open("localhost", 0x1234);
  EXPECT_EQ(one.incoming.size(), 0u);
  EXPECT_EQ(two.incoming.size(), 1u);
}

TEST_F(RemoteListenersTest, AnswersWithoutAPortWhereOneIsWantedAreErrors) {
  for (const Bytes& answer : {Bytes{}, WireWriter().u32(0).take(), WireWriter().u32(65536).take()}) {
    Listening one;
    auto first = listen(RemoteListen::tcp("localhost", 0), one);
    succeed(answer);
    ASSERT_EQ(one.refused.size(), 1u);
    EXPECT_EQ(one.refused[0].code, Errc::kProtocol);
    EXPECT_EQ(remote().size(), 0u);
  }
}

TEST_F(RemoteListenersTest, APortThatIsTakenByAnotherListenerIsNotGivenTwice) {
  Listening one, two, three;
  auto first = listening(RemoteListen::tcp("localhost", 5000), one);
  auto second = listen(RemoteListen::tcp("localhost", 0), two);
  chose(5000);
  ASSERT_EQ(two.refused.size(), 1u);
  EXPECT_EQ(two.refused[0].code, Errc::kProtocol);
  // The server chooses what the next request, on its way already, asks for by number.
  Listening four, five;
  auto fourth = listen(RemoteListen::tcp("localhost", 0), four);
  auto fifth = listen(RemoteListen::tcp("localhost", 5001), five);
  chose(5001);
  fail();
  EXPECT_EQ(four.ports, std::vector<std::uint16_t>{5001});
  EXPECT_EQ(five.refused.size(), 1u);
  tcp_open("localhost", 5001);
  EXPECT_EQ(four.incoming.size(), 1u);
}

TEST_F(RemoteListenersTest, ARefusalSaysWhatAndWhy) {
  Listening tcp, low, local, chosen;
  auto first = listen(RemoteListen::tcp("*", 8080), tcp);
  auto second = listen(RemoteListen::tcp("localhost", 80), low);
  auto third = listen(RemoteListen::unix_socket("/run/app.sock"), local);
  auto fourth = listen(RemoteListen::tcp("localhost", 0), chosen);
  for (int i = 0; i < 4; ++i) fail();
  ASSERT_EQ(tcp.refused.size(), 1u);
  EXPECT_EQ(tcp.refused[0].code, Errc::kRefused);
  EXPECT_EQ(tcp.refused[0].message, "the server refused to listen on *:8080");
  for (const char* cause : {"taken", "AllowTcpForwarding", "PermitListen", "GatewayPorts"})
    EXPECT_NE(tcp.refused[0].hint.find(cause), std::string::npos) << cause;
  ASSERT_EQ(low.refused.size(), 1u);
  EXPECT_NE(low.refused[0].hint.find("1024"), std::string::npos);
  ASSERT_EQ(local.refused.size(), 1u);
  EXPECT_EQ(local.refused[0].message, "the server refused to listen on /run/app.sock");
  for (const char* cause : {"StreamLocalBindUnlink", "AllowStreamLocalForwarding"})
    EXPECT_NE(local.refused[0].hint.find(cause), std::string::npos) << cause;
  ASSERT_EQ(chosen.refused.size(), 1u);
  EXPECT_EQ(chosen.refused[0].hint.find("taken"), std::string::npos);
  // Nothing is left to cancel.
  sink.sent.clear();
  first.reset();
  fourth.reset();
  mux->pump(start);
  EXPECT_TRUE(requests().empty());
}

TEST_F(RemoteListenersTest, TwoForTheSameAddressAndPortAreRefusedHere) {
  Listening one, two;
  auto first = listen(RemoteListen::tcp("*", 8080), one);
  auto again = remote().listen(RemoteListen{"", 8080, {}}, &two);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, Errc::kInUse);
  EXPECT_NE(again.error().message.find("*:8080"), std::string::npos);
  EXPECT_FALSE(again.error().hint.empty());
  EXPECT_EQ(requests().size(), 1u);
  auto path = listen(RemoteListen::unix_socket("/x"), two);
  EXPECT_EQ(remote().listen(RemoteListen::unix_socket("/x"), &one).error().code, Errc::kInUse);
  // Once it is given back it can be had again, and the server hears of it in that order.
  first.reset();
  Listening three;
  auto third = listen(RemoteListen::tcp("", 8080), three);
  Lines sent = requests();
  EXPECT_EQ(Lines(sent.end() - 2, sent.end()), (Lines{"cancel-tcpip-forward :8080", "tcpip-forward :8080"}));
  for (int i = 0; i < 4; ++i) succeed();
  EXPECT_TRUE(one.ports.empty());
  EXPECT_EQ(three.ports.size(), 1u);
}

TEST_F(RemoteListenersTest, NonsenseIsRefusedHere) {
  Listening one;
  EXPECT_EQ(remote().listen(RemoteListen::unix_socket(std::string("/a\0b", 4)), &one).error().code,
            Errc::kInvalid);
  EXPECT_EQ(remote().listen(RemoteListen::tcp(std::string(5000, 'a'), 1), &one).error().code, Errc::kInvalid);
  EXPECT_EQ(remote().size(), 0u);
}

TEST_F(RemoteListenersTest, WithdrawnBeforeTheAnswerItIsCancelledAndNobodyIsCalled) {
  Listening fixed, chosen, refused;
  auto first = listen(RemoteListen::tcp("localhost", 8080), fixed);
  auto second = listen(RemoteListen::tcp("localhost", 0), chosen);
  auto third = listen(RemoteListen::tcp("localhost", 0), refused);
  sink.sent.clear();
  first.reset();
  second.reset();
  third.reset();
  mux->pump(start);
  EXPECT_EQ(requests(), Lines{"cancel-tcpip-forward localhost:8080"});
  succeed();
  chose(40001);
  fail();
  EXPECT_EQ(requests(),
            (Lines{"cancel-tcpip-forward localhost:8080", "cancel-tcpip-forward localhost:40001"}));
  EXPECT_TRUE(fixed.ports.empty() && chosen.ports.empty() && refused.refused.empty());
  tcp_open("localhost", 8080);
  EXPECT_EQ(remote().unknown_opens(), 1u);
}

TEST_F(RemoteListenersTest, AcceptedChannelsOutliveTheirListener) {
  Listening one;
  auto first = listening(RemoteListen::tcp("localhost", 8080), one);
  tcp_open("localhost", 8080);
  test::Owner owner;
  auto channel = one.incoming[0].accept(&owner);
  (*channel)->set_handler(&owner);
  first.reset();
  mux->pump(start);
  data(0, "still here");
  EXPECT_EQ(owner.received, "still here");
}

TEST_F(RemoteListenersTest, TheEndOfTheConnectionIsHeardByEach) {
  Listening up, gone, late;
  auto first = listening(RemoteListen::tcp("localhost", 8080), up);
  auto second = listening(RemoteListen::tcp("localhost", 8082), gone);
  auto third = listen(RemoteListen::tcp("localhost", 8083), late);
  second.reset();
  mux->fail(Error{Errc::kTimeout, "the network is gone", {}});
  ASSERT_EQ(up.lost.size(), 1u);
  EXPECT_EQ(up.lost[0].message, "the network is gone");
  ASSERT_EQ(late.refused.size(), 1u);
  EXPECT_EQ(late.refused[0].code, Errc::kTimeout);
  EXPECT_TRUE(gone.lost.empty());
  EXPECT_EQ(remote().size(), 0u);
  EXPECT_EQ(remote().listen(RemoteListen::tcp("localhost", 1), &late).error().code, Errc::kClosed);
  mux.reset();
  first.reset();  // inert
}

TEST_F(RemoteListenersTest, ADestroyedMuxLeavesListenersInertAndCallsNobody) {
  Listening one;
  auto first = listening(RemoteListen::tcp("localhost", 8080), one);
  mux.reset();
  first.reset();
  EXPECT_TRUE(one.lost.empty());
}

TEST_F(RemoteListenersTest, AHandlerMayDestroyItsListenerAndOthers) {
  Listening one, two, three;
  std::unique_ptr<RemoteListener> first, second, third;
  first = listen(RemoteListen::tcp("localhost", 8080), one);
  second = listen(RemoteListen::tcp("localhost", 8081), two);
  one.on_any = [&] {
    first.reset();
    second.reset();
  };
  succeed();
  succeed();
  EXPECT_EQ(one.ports.size(), 1u);
  EXPECT_TRUE(two.ports.empty());
  third = listen(RemoteListen::tcp("localhost", 8082), three);
  for (int i = 0; i < 3; ++i) succeed();
  EXPECT_EQ(three.ports.size(), 1u);
  three.on_any = [&] { third.reset(); };
  tcp_open("localhost", 8082);
  EXPECT_EQ(three.incoming.size(), 1u);
  EXPECT_EQ(remote().size(), 0u);

  Listening four, five;
  succeed();  // the cancel of 8082
  auto fourth = listening(RemoteListen::tcp("localhost", 1), four);
  auto fifth = listening(RemoteListen::tcp("localhost", 2), five);
  four.on_any = [&] {
    fourth.reset();
    fifth.reset();
  };
  mux->fail(Error{Errc::kClosed, "gone", {}});
  EXPECT_EQ(four.lost.size(), 1u);
  EXPECT_TRUE(five.lost.empty());
}

TEST_F(RemoteListenersTest, AnswersStayInOrderWithKeepalivesAndOtherRequests) {
  Listening one, two;
  bool other = false;
  auto first = listen(RemoteListen::tcp("localhost", 0), one);
  mux->probe(start);
  ASSERT_TRUE(mux->global_request("x@y", {}, [&](bool ok, ByteView) { other = ok; }));
  auto second = listen(RemoteListen::tcp("localhost", 8081), two);
  chose(40001);
  fail();  // keepalive@openssh.com
  EXPECT_TRUE(mux->round_trip().known());
  EXPECT_FALSE(other);
  succeed();
  EXPECT_TRUE(other);
  succeed();
  EXPECT_EQ(one.ports, std::vector<std::uint16_t>{40001});
  EXPECT_EQ(two.ports, std::vector<std::uint16_t>{8081});
  EXPECT_EQ(mux->error(), nullptr);
}

TEST_F(RemoteListenersTest, ManyAreAskedForInTurnAndKeepalivesFindRoom) {
  constexpr std::uint16_t kMany = 500;
  std::vector<Listening> handlers(kMany);
  std::vector<std::unique_ptr<RemoteListener>> listeners;
  for (std::uint16_t i = 0; i < kMany; ++i)
    listeners.push_back(
        listen(RemoteListen::tcp("localhost", static_cast<std::uint16_t>(2000 + i)), handlers[i]));
  EXPECT_EQ(mux->awaited_replies(), RemoteListeners::kMaxAsked);
  EXPECT_EQ(remote().waiting(), kMany - RemoteListeners::kMaxAsked);
  mux->probe(start);
  EXPECT_TRUE(mux->probing());
  // The last ones change their mind before they were asked for.
  sink.sent.clear();
  for (std::uint16_t i = kMany - 10; i < kMany; ++i) listeners[i].reset();
  for (int i = 0; i < kMany && mux->awaited_replies() > 0; ++i) succeed();
  for (std::uint16_t i = 0; i < kMany - 10; ++i) ASSERT_EQ(handlers[i].ports.size(), 1u) << i;
  for (const std::string& line : requests()) EXPECT_EQ(line.find("cancel"), std::string::npos);
  EXPECT_TRUE(handlers[kMany - 1].ports.empty());
  EXPECT_EQ(remote().waiting(), 0u);
  EXPECT_EQ(mux->error(), nullptr);
}

TEST_F(RemoteListenersTest, RequestsThatOthersLeaveNoRoomForGoOnWhenTheyAreAnswered) {
  for (std::size_t i = 0; i < Mux::kMaxGlobalRequests; ++i)
    ASSERT_TRUE(mux->global_request("x@y", {}, [](bool, ByteView) {}));
  Listening one;
  auto first = listen(RemoteListen::tcp("localhost", 8080), one);
  EXPECT_EQ(remote().waiting(), 1u);
  fail();
  EXPECT_EQ(remote().waiting(), 0u);
  for (std::size_t i = 1; i < Mux::kMaxGlobalRequests; ++i) fail();
  succeed();
  EXPECT_EQ(one.ports.size(), 1u);
}

TEST_F(RemoteListenersTest, TheirNumberIsBounded) {
  Listening one;
  std::vector<std::unique_ptr<RemoteListener>> listeners;
  for (std::size_t i = 0; i < RemoteListeners::kMaxListeners; ++i) {
    auto each = remote().listen(RemoteListen::tcp("localhost", 0), &one);
    ASSERT_TRUE(each.ok());
    listeners.push_back(*std::move(each));
  }
  EXPECT_EQ(remote().listen(RemoteListen::tcp("localhost", 0), &one).error().code, Errc::kLimit);
}

}  // namespace
}  // namespace jump
