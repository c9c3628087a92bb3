// Channels that the peer opens: who is asked, the answers, and what becomes of them, against a scripted peer.
#include <gtest/gtest.h>

#include <deque>
#include <string>

#include "channel/incoming_channel.h"
#include "unit/mux_fixture.h"

namespace jump {
namespace {

using test::Owner;
using test::packet;

constexpr std::uint32_t kPeerWindow = 1 << 20;

class MuxPeerOpen : public test::MuxTest {
 protected:
  void SetUp() override { take_all(); }

  void take_all() {
    mux->set_peer_open_handler("x11", [this](IncomingChannel each) { asked.push_back(std::move(each)); });
  }
  Bytes open_packet(std::string_view type, std::uint32_t remote, ByteView specific = {},
                    std::uint32_t window = kPeerWindow, std::uint32_t max_packet = 32768) {
    WireWriter out;
    out.u8(ssh::kChannelOpen).string(type).u32(remote).u32(window).u32(max_packet).raw(specific);
    return packet(out);
  }
  IncomingChannel peer_opens(std::uint32_t remote, std::uint32_t window = kPeerWindow) {
    feed(open_packet("x11", remote, {}, window));
    IncomingChannel out = std::move(asked.back());
    asked.pop_back();
    return out;
  }
  // Accepted, with the owner's handler; the number that the peer was told.
  std::unique_ptr<Channel> accepted(Owner& owner, std::uint32_t remote, std::uint32_t* number,
                                    std::uint32_t window = kPeerWindow) {
    auto channel = peer_opens(remote, window).accept(&owner);
    EXPECT_TRUE(channel.ok());
    (*channel)->set_handler(&owner);
    mux->pump(start);
    *number = confirmed_number();
    sink.sent.clear();
    return *std::move(channel);
  }
  std::uint32_t confirmed_number() {
    Bytes sent = last_sent(ssh::kChannelOpenConfirmation);
    WireReader in(sent);
    in.u8();
    in.u32();
    return in.u32();
  }
  // Why the last open was refused; 0: none was.
  std::uint32_t refusal() {
    Bytes sent = last_sent(ssh::kChannelOpenFailure);
    WireReader in(sent);
    in.u8();
    in.u32();
    return in.u32();
  }

  std::deque<IncomingChannel> asked;
};

TEST_F(MuxPeerOpen, TheConfirmationIsAsRfc4254HasAndComesOnlyWithTheAnswer) {
  IncomingChannel incoming = peer_opens(77);
  EXPECT_TRUE(sink.sent.empty());
  EXPECT_TRUE(incoming.is_open());
  EXPECT_EQ(mux->pending_peer_opens(), 1u);
  Owner owner;
  auto channel = incoming.accept(&owner);
  ASSERT_TRUE(channel.ok());
  EXPECT_FALSE(incoming.is_open());
  EXPECT_FALSE(owner.opened) << "no handler from inside a method";
  (*channel)->set_handler(&owner);
  mux->pump(start);
  EXPECT_TRUE(owner.opened);
  ASSERT_EQ(sink.sent.size(), 1u);
  WireReader in(sink.sent.back());
  EXPECT_EQ(in.u8(), ssh::kChannelOpenConfirmation);
  EXPECT_EQ(in.u32(), 77u);
  in.u32();
  EXPECT_EQ(in.u32(), WindowBudget::kInitialMax);
  EXPECT_EQ(in.u32(), Mux::kMaxPacket);
  EXPECT_TRUE(in.at_end());
  EXPECT_EQ(mux->pending_peer_opens(), 0u);
  EXPECT_EQ(mux->open_channels(), 1u);
  EXPECT_EQ(mux->counters().peer_opens_accepted, 1u);
}

TEST_F(MuxPeerOpen, BytesGoBothWaysWithinBothWindows) {
  Owner owner;
  std::uint32_t number = 0;
  auto channel = accepted(owner, 77, &number, 4);
  EXPECT_EQ(channel->write(as_bytes("abcdef")), 6u);
  mux->pump(start);
  EXPECT_EQ(sent_data(77), "abcd");
  adjust(number, 10);
  EXPECT_EQ(sent_data(77), "abcdef");
  data(number, "hello");
  EXPECT_EQ(owner.received, "hello");
  owner.appetite = 0;
  const std::string block(Mux::kMaxPacket, 'x');
  for (std::uint32_t left = WindowBudget::kInitialMax - 5; left >= block.size();
       left -= static_cast<std::uint32_t>(block.size()))
    data(number, block);
  EXPECT_EQ(sent_count(ssh::kChannelWindowAdjust), 0) << "credit for what nobody took";
  EXPECT_EQ(mux->error(), nullptr);
  data(number, block);
  EXPECT_NE(mux->error(), nullptr) << "more than the window";
}

TEST_F(MuxPeerOpen, BytesWrittenRightAfterAcceptFollowTheConfirmation) {
  auto channel = peer_opens(5).accept(nullptr);
  ASSERT_TRUE(channel.ok());
  (*channel)->write(as_bytes("first"));
  mux->pump(start);
  ASSERT_EQ(sink.sent.size(), 2u);
  EXPECT_EQ(sink.sent[0].front(), ssh::kChannelOpenConfirmation);
  EXPECT_EQ(sink.sent[1].front(), ssh::kChannelData);
}

TEST_F(MuxPeerOpen, HalfCloseAndTheNumberReusedAfterBothCloses) {
  Owner owner;
  std::uint32_t number = 0;
  auto channel = accepted(owner, 77, &number);
  message(ssh::kChannelEof, number);
  EXPECT_TRUE(owner.eof);
  EXPECT_FALSE(owner.closed);
  channel->write(as_bytes("still"));
  mux->pump(start);
  EXPECT_EQ(sent_data(77), "still");
  channel->shutdown_write();
  mux->pump(start);
  EXPECT_EQ(sent_count(ssh::kChannelEof), 1);
  EXPECT_EQ(sent_count(ssh::kChannelClose), 1);
  EXPECT_TRUE(owner.closed);
  EXPECT_FALSE(owner.error);
  EXPECT_EQ(mux->used_numbers(), 1u);
  message(ssh::kChannelClose, number);
  EXPECT_EQ(mux->used_numbers(), 0u);
}

TEST_F(MuxPeerOpen, WindowsGrowAsOurOwnChannelsDo) {
  Owner owner;
  std::uint32_t number = 0;
  auto channel = accepted(owner, 77, &number);
  mux->probe(start);
  mux->pump(start);
  mux->handle_packet(Bytes{ssh::kRequestFailure}, start + milliseconds(100));
  WireWriter out;
  out.u8(ssh::kChannelData).u32(number).string(std::string(Mux::kMaxPacket, 'x'));
  for (std::uint32_t sent = 0; sent < WindowBudget::kInitialMax; sent += Mux::kMaxPacket)
    mux->handle_packet(packet(out), start + milliseconds(150));
  EXPECT_EQ(mux->counters().window_growths, 1u);
  EXPECT_EQ(mux->bulk_channels(start + milliseconds(150)), 1u);
}

TEST_F(MuxPeerOpen, ARefusalCarriesReasonAndText) {
  peer_opens(9).refuse(ssh::kOpenResourceShortage, std::string(1000, 'x'));
  mux->pump(start);
  Bytes sent = last_sent(ssh::kChannelOpenFailure);
  WireReader in(sent);
  in.u8();
  EXPECT_EQ(in.u32(), 9u);
  EXPECT_EQ(in.u32(), ssh::kOpenResourceShortage);
  EXPECT_EQ(in.text(), std::string(256, 'x'));
  EXPECT_EQ(in.text(), "");
  EXPECT_TRUE(in.at_end());
  EXPECT_EQ(mux->counters().peer_opens_refused, 1u);
  EXPECT_EQ(mux->used_numbers(), 0u);
}

TEST_F(MuxPeerOpen, LetGoOfUnansweredItIsRefusedOnce) {
  { IncomingChannel incoming = peer_opens(9); }
  mux->pump(start);
  EXPECT_EQ(refusal(), ssh::kOpenConnectFailed);
  sink.sent.clear();
  IncomingChannel first = peer_opens(10);
  IncomingChannel second = peer_opens(11);
  first = std::move(second);  // lets go of 10
  EXPECT_TRUE(first.is_open());
  mux->pump(start);
  EXPECT_EQ(sent_count(ssh::kChannelOpenFailure), 1);
  EXPECT_EQ(mux->pending_peer_opens(), 1u);
}

TEST_F(MuxPeerOpen, AnAnswerIsGivenOnce) {
  IncomingChannel incoming = peer_opens(9);
  incoming.refuse(ssh::kOpenConnectFailed, "no");
  incoming.refuse(ssh::kOpenConnectFailed, "no");
  auto late = incoming.accept(nullptr);
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, Errc::kClosed);
  mux->pump(start);
  EXPECT_EQ(sink.sent.size(), 1u);
  EXPECT_EQ(mux->pending_peer_opens(), 0u);
}

TEST_F(MuxPeerOpen, TheEndOfTheConnectionLeavesThemInert) {
  IncomingChannel one = peer_opens(9);
  IncomingChannel two = peer_opens(10);
  mux->fail(Error{Errc::kClosed, "the network is gone", {}});
  EXPECT_FALSE(one.is_open());
  EXPECT_EQ(one.accept(nullptr).error().code, Errc::kClosed);
  EXPECT_EQ(mux->pending_peer_opens(), 0u);
  mux.reset();
  two.refuse(ssh::kOpenConnectFailed, "no");
  EXPECT_FALSE(two.is_open());
  mux = std::make_unique<Mux>(&sink, &budget, start);
  take_all();
  IncomingChannel three = peer_opens(11);
  mux.reset();
  EXPECT_FALSE(three.accept(nullptr).ok());
  EXPECT_TRUE(sink.sent.empty());
}

TEST_F(MuxPeerOpen, FailTellsTheOwnersOfAcceptedChannels) {
  Owner owner;
  std::uint32_t number = 0;
  auto channel = accepted(owner, 77, &number);
  mux->fail(Error{Errc::kClosed, "the network is gone", {}});
  ASSERT_TRUE(owner.error);
  EXPECT_EQ(owner.error->message, "the network is gone");
}

TEST_F(MuxPeerOpen, TypesThatNobodyTakesAreRefused) {
  feed(open_packet("auth-agent@openssh.com", 3));
  EXPECT_EQ(refusal(), ssh::kOpenAdministrativelyProhibited);
  EXPECT_EQ(mux->error(), nullptr);
  mux->set_peer_open_handler("x11", nullptr);
  feed(open_packet("x11", 4));
  EXPECT_EQ(sent_count(ssh::kChannelOpenFailure), 2);
  EXPECT_TRUE(asked.empty());
  EXPECT_EQ(mux->counters().peer_opens_refused, 2u);
}

TEST_F(MuxPeerOpen, AHandlerMayTakeItselfAway) {
  int calls = 0;
  mux->set_peer_open_handler("x11", [&](IncomingChannel incoming) {
    mux->set_peer_open_handler("x11", nullptr);
    calls += incoming.is_open();
  });
  feed(open_packet("x11", 4));
  feed(open_packet("x11", 5));
  EXPECT_EQ(calls, 1);
}

TEST_F(MuxPeerOpen, PendingOnesAreBoundedAndTheRestIsRefused) {
  for (std::uint32_t i = 0; i < Mux::kMaxPeerOpens; ++i) feed(open_packet("x11", i));
  EXPECT_TRUE(sink.sent.empty());
  feed(open_packet("x11", 9999));
  EXPECT_EQ(refusal(), ssh::kOpenResourceShortage);
  EXPECT_EQ(asked.size(), Mux::kMaxPeerOpens);
  asked.pop_front();
  feed(open_packet("x11", 9999));
  EXPECT_EQ(asked.size(), Mux::kMaxPeerOpens);
}

TEST_F(MuxPeerOpen, TheyCountTowardsTheChannelsOfTheConnection) {
  std::vector<std::unique_ptr<Channel>> channels;
  for (std::size_t i = 0; i + 1 < Mux::kMaxChannels; ++i)
    channels.push_back(*mux->open(ChannelOpen::direct_streamlocal("/x"), start + seconds(9), nullptr));
  mux->pump(start);
  IncomingChannel last = peer_opens(7);
  auto own = mux->open(ChannelOpen::direct_streamlocal("/x"), start, nullptr);
  ASSERT_FALSE(own.ok());
  EXPECT_EQ(own.error().code, Errc::kLimit);
  feed(open_packet("x11", 8));
  EXPECT_EQ(refusal(), ssh::kOpenResourceShortage);
  EXPECT_TRUE(last.accept(nullptr).ok());
}

TEST_F(MuxPeerOpen, WhatBelongsToAConfirmedChannelIsAProtocolErrorBefore) {
  for (std::uint8_t type : {ssh::kChannelEof, ssh::kChannelClose, ssh::kChannelData}) {
    mux = std::make_unique<Mux>(&sink, &budget, start);
    take_all();
    IncomingChannel incoming = peer_opens(0);
    WireWriter out;
    out.u8(type).u32(0).string(std::string_view("early"));
    feed(packet(out));
    EXPECT_NE(mux->error(), nullptr) << static_cast<int>(type);
  }
}

TEST_F(MuxPeerOpen, OpensThatMakeNoSenseAreProtocolErrors) {
  Bytes no_port = WireWriter().string("a").u32(0).string("b").u32(1).take();
  Bytes large_port = WireWriter().string("a").u32(65536).string("b").u32(1).take();
  Bytes cut = WireWriter().string("a").u32(80).string("b").take();
  const std::vector<Bytes> bad = {
      open_packet("x11", 1, {}, 1, 0),
      Bytes{ssh::kChannelOpen, 0, 0, 0, 1, 'x', 0, 0, 0, 1},
      open_packet("forwarded-tcpip", 1, no_port),
      open_packet("forwarded-tcpip", 1, large_port),
      open_packet("forwarded-tcpip", 1, cut),
      open_packet("forwarded-streamlocal@openssh.com", 1, WireWriter().string("/x").take()),
  };
  for (const Bytes& each : bad) {
    mux = std::make_unique<Mux>(&sink, &budget, start);
    feed(each);
    EXPECT_NE(mux->error(), nullptr) << testing::PrintToString(each);
  }
}

TEST_F(MuxPeerOpen, APeerThatOpensAndClosesWithoutReadingIsCutOff) {
  mux->set_peer_open_handler("x11", [](IncomingChannel incoming) { (void)incoming.accept(nullptr); });
  sink.room = false;
  Bytes open = open_packet("x11", 1);
  for (std::size_t i = 0; i <= Mux::kMaxOwed && !mux->error(); ++i) {
    mux->handle_packet(open, start);
    mux->pump(start);
    WireWriter close;
    close.u8(ssh::kChannelClose).u32(0);
    mux->handle_packet(packet(close), start);
    mux->pump(start);
  }
  EXPECT_NE(mux->error(), nullptr);
}

TEST(PeerOpen, ParsesWhatOpenSshSends) {
  Bytes tcpip = WireWriter().string("localhost").u32(8080).string("10.0.0.7").u32(51234).take();
  auto open = PeerOpen::parse("forwarded-tcpip", tcpip);
  ASSERT_TRUE(open);
  const auto& forwarded = std::get<ForwardedTcpip>(open->specific);
  EXPECT_EQ(forwarded.address, "localhost");
  EXPECT_EQ(forwarded.port, 8080);
  EXPECT_EQ(forwarded.origin_address, "10.0.0.7");
  EXPECT_EQ(forwarded.origin_port, 51234);
  EXPECT_EQ(open->describe(), "localhost:8080 from 10.0.0.7:51234");

  Bytes streamlocal = WireWriter().string("/run/app.sock").string("").take();
  open = PeerOpen::parse("forwarded-streamlocal@openssh.com", streamlocal);
  ASSERT_TRUE(open);
  EXPECT_EQ(std::get<ForwardedStreamlocal>(open->specific).path, "/run/app.sock");
  EXPECT_EQ(open->describe(), "/run/app.sock");

  open = PeerOpen::parse("x11", WireWriter().string("127.0.0.1").u32(6010).take());
  ASSERT_TRUE(open);
  EXPECT_EQ(std::get<Bytes>(open->specific).size(), 17u);
  EXPECT_EQ(open->describe(), "x11");
}

TEST(PeerOpen, AnOriginThatIsNoPortIsNotHeldAgainstIt) {
  Bytes tcpip = WireWriter().string("").u32(80).string("::1").u32(0xffffffff).take();
  auto open = PeerOpen::parse("forwarded-tcpip", tcpip);
  ASSERT_TRUE(open);
  EXPECT_EQ(std::get<ForwardedTcpip>(open->specific).origin_port, 0);
  EXPECT_EQ(open->describe(), "*:80 from [::1]:0");
}

TEST(PeerOpen, WhatThePeerSaysIsMadePrintable) {
  auto open = PeerOpen::parse("x\033[2J11", {});
  ASSERT_TRUE(open);
  EXPECT_EQ(open->describe(), "x?[2J11");
}

}  // namespace
}  // namespace jump
