// Mux's raw channels against a scripted peer: what goes through, in which order, and when a number is free.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/wire.h"
#include "channel/messages.h"
#include "channel/mux.h"
#include "unit/mux_fixture.h"

namespace jump {
namespace {

using test::Owner;
using test::packet;

struct RawOwner final : RawChannelHandler {
  std::vector<std::pair<std::uint8_t, Bytes>> packets;
  std::unique_ptr<RawChannel> channel;
  int rooms = 0;
  bool lets_go = false;  // destroys the channel in each call
  std::optional<Error> lost;

  void on_raw_packet(std::uint8_t type, ByteView rest) override {
    packets.emplace_back(type, to_bytes(rest));
    if (lets_go) channel.reset();
  }
  void on_raw_room() override { rooms++; }
  void on_raw_lost(const Error& error) override {
    EXPECT_FALSE(lost);
    lost = error;
    if (lets_go) channel.reset();
  }
};

class MuxRawTest : public test::MuxTest {
 protected:
  void open_raw(RawOwner& owner, RawGrant grant = {1000, 32768}) {
    auto opened = mux->open_raw("session", grant, as_bytes("xyz"), &owner);
    ASSERT_TRUE(opened.ok());
    owner.channel = *std::move(opened);
    mux->pump(start);
  }
  void open_and_confirm_raw(RawOwner& owner, std::uint32_t remote) {
    open_raw(owner);
    confirm(owner.channel->number(), remote);
    ASSERT_EQ(owner.packets.size(), 1u);
    owner.packets.clear();
    sink.sent.clear();
  }
  static Bytes text(std::string_view data) { return WireWriter().string(data).take(); }
};

TEST_F(MuxRawTest, TheOpenIsTheCallersButForItsNumberAndTheLargestPacket) {
  RawOwner owner;
  open_raw(owner, {0x01020304, 1u << 20});
  EXPECT_EQ(sink.sent.back(), WireWriter()
                                  .u8(ssh::kChannelOpen)
                                  .string(std::string_view("session"))
                                  .u32(owner.channel->number())
                                  .u32(0x01020304)
                                  .u32(Mux::kMaxPacket)
                                  .raw(as_bytes("xyz"))
                                  .take());
  EXPECT_EQ(mux->open_channels(), 1u);  // the connection is in use
}

TEST_F(MuxRawTest, PacketsGoThroughBothWaysAsTheyAre) {
  RawOwner owner;
  open_raw(owner);
  std::uint32_t number = owner.channel->number();
  owner.channel->send(ssh::kChannelData, text("too early"));
  confirm(number, 77, 5000, 1234);
  ASSERT_EQ(owner.packets.size(), 1u);
  EXPECT_EQ(owner.packets[0].first, ssh::kChannelOpenConfirmation);
  EXPECT_EQ(owner.packets[0].second, WireWriter().u32(5000).u32(1234).take());
  sink.sent.clear();

  owner.channel->send(ssh::kChannelData, text("hi"));
  owner.channel->send(ssh::kChannelWindowAdjust, WireWriter().u32(9).take());
  mux->pump(start);
  ASSERT_EQ(sink.sent.size(), 2u);
  EXPECT_EQ(sink.sent[0], WireWriter().u8(ssh::kChannelData).u32(77).string(std::string_view("hi")).take());
  EXPECT_EQ(sink.sent[1], WireWriter().u8(ssh::kChannelWindowAdjust).u32(77).u32(9).take());

  data(number, "there");
  adjust(number, 12);
  message(ssh::kChannelEof, number);
  ASSERT_EQ(owner.packets.size(), 4u);
  EXPECT_EQ(owner.packets[1].second, text("there"));
  EXPECT_EQ(owner.packets[2].second, WireWriter().u32(12).take());
  EXPECT_EQ(owner.packets[3].first, ssh::kChannelEof);
  EXPECT_FALSE(mux->error());
  EXPECT_EQ(mux->counters().bytes_in, 5u);
  EXPECT_EQ(mux->counters().bytes_out, 2u);
}

TEST_F(MuxRawTest, ANumberIsFreeAfterBothClosesWhoeverIsFirst) {
  for (bool peer_first : {true, false}) {
    RawOwner owner;
    open_and_confirm_raw(owner, 7);
    std::uint32_t number = owner.channel->number();
    if (peer_first) message(ssh::kChannelClose, number);
    EXPECT_EQ(mux->used_numbers(), 1u);
    EXPECT_TRUE(owner.channel->is_open());
    owner.channel->send(ssh::kChannelClose, {});
    owner.channel->send(ssh::kChannelData, text("after the end"));
    mux->pump(start);
    if (!peer_first) message(ssh::kChannelClose, number);
    EXPECT_EQ(owner.packets.back().first, ssh::kChannelClose);
    EXPECT_EQ(mux->used_numbers(), 0u);
    EXPECT_EQ(mux->open_channels(), 0u);
    EXPECT_FALSE(owner.channel->is_open());
    EXPECT_EQ(sink.sent.size(), 1u);
    EXPECT_FALSE(mux->error());
  }
}

TEST_F(MuxRawTest, ARefusedOpenFreesTheNumber) {
  RawOwner owner;
  open_raw(owner);
  refuse(owner.channel->number(), ssh::kOpenConnectFailed, "no");
  ASSERT_EQ(owner.packets.size(), 1u);
  EXPECT_EQ(owner.packets[0].first, ssh::kChannelOpenFailure);
  EXPECT_EQ(WireReader(owner.packets[0].second).u32(), ssh::kOpenConnectFailed);
  EXPECT_FALSE(owner.channel->is_open());
  EXPECT_EQ(mux->used_numbers(), 0u);
}

TEST_F(MuxRawTest, AnOwnerThatGoesLeavesACloseAndDeafEars) {
  RawOwner owner;
  open_and_confirm_raw(owner, 7);
  std::uint32_t number = owner.channel->number();
  sink.blocked = true;
  owner.channel->send(ssh::kChannelData, text("never sent"));
  owner.channel.reset();
  sink.blocked = false;
  mux->pump(start);
  ASSERT_EQ(sink.sent.size(), 1u);
  EXPECT_EQ(sink.sent[0], WireWriter().u8(ssh::kChannelClose).u32(7).take());
  EXPECT_EQ(mux->counters().queued_out, 0u);
  EXPECT_EQ(mux->open_channels(), 0u);
  data(number, "late");
  EXPECT_TRUE(owner.packets.empty());
  EXPECT_EQ(mux->used_numbers(), 1u);
  message(ssh::kChannelClose, number);
  EXPECT_EQ(mux->used_numbers(), 0u);
  EXPECT_EQ(sink.sent.size(), 1u);
  EXPECT_FALSE(mux->error());
}

TEST_F(MuxRawTest, AnOpenThatIsGivenUpIsClosedOnceItIsConfirmed) {
  RawOwner owner;
  open_raw(owner);
  std::uint32_t number = owner.channel->number();
  owner.channel.reset();
  mux->pump(start);
  EXPECT_EQ(sent_count(ssh::kChannelClose), 0);
  confirm(number, 8);
  EXPECT_EQ(sent_count(ssh::kChannelClose), 1);
  EXPECT_TRUE(owner.packets.empty());
  message(ssh::kChannelClose, number);
  EXPECT_EQ(mux->used_numbers(), 0u);
}

TEST_F(MuxRawTest, ACloseThatWaitsInTheQueueSurvivesItsOwner) {
  RawOwner owner;
  open_and_confirm_raw(owner, 7);
  std::uint32_t number = owner.channel->number();
  sink.blocked = true;
  owner.channel->send(ssh::kChannelData, text("void"));
  owner.channel->send(ssh::kChannelClose, {});
  owner.channel.reset();
  sink.blocked = false;
  message(ssh::kChannelClose, number);
  mux->pump(start);
  EXPECT_EQ(sent_count(ssh::kChannelClose), 1);
  EXPECT_EQ(mux->used_numbers(), 0u);
}

TEST_F(MuxRawTest, BulkTakesTurnsWithOtherChannelsAndTellsOfRoom) {
  RawOwner bulk;
  open_and_confirm_raw(bulk, 7);
  Owner other;
  auto channel = open_and_confirm(other, 8);
  sink.blocked = true;
  const Bytes block = text(std::string(30000, 'x'));
  while (bulk.channel->queued() <= Mux::kSendQueueMax) bulk.channel->send(ssh::kChannelData, block);
  EXPECT_EQ(mux->counters().queued_out, bulk.channel->queued());
  channel->write(as_bytes("key"));
  sink.blocked = false;
  sink.sent.clear();
  mux->pump(start);
  // The other channel's turn comes after one quantum of bulk, not after all of it.
  std::size_t before = 0;
  while (WireReader(ByteView(sink.sent[before]).subspan(1)).u32() != 8) before++;
  EXPECT_LE(before, 2u);
  EXPECT_EQ(bulk.rooms, 1);
  EXPECT_EQ(bulk.channel->queued(), 0u);
  EXPECT_EQ(mux->counters().queued_out, 0u);
}

// Somebody types in a client of the proxy mode: bulk on the same connection is held back as for anybody else.
TEST_F(MuxRawTest, TypingHoldsBulkBackAndItsOwnBulkIsNobodysTyping) {
  RawOwner raw;
  open_and_confirm_raw(raw, 7);
  Owner bulk;
  auto channel = open(bulk);
  const std::uint32_t number = last_open();
  confirm(number, 8, 1 << 24);
  TimePoint now = start;
  const std::string block(Mux::kMaxPacket, 'x');
  const auto turn = [&](std::uint32_t to) {
    now += milliseconds(20);
    WireWriter out;
    out.u8(ssh::kChannelData).u32(to).string(block);
    for (int i = 0; i < 10; ++i) mux->handle_packet(out.view(), now);
    mux->tick(now);
    mux->pump(now);
    const bool asked = mux->probing();
    now += milliseconds(20);
    if (asked) mux->handle_packet(Bytes{ssh::kRequestFailure}, now);
  };
  for (int i = 0; i < 5; ++i) turn(number);
  for (int i = 0; i < 5; ++i) turn(raw.channel->number());
  EXPECT_FALSE(mux->governed()) << "nobody types";
  EXPECT_EQ(mux->bulk_channels(now), 1u) << "windows between ssh and the server cannot be held back";
  raw.channel->send(ssh::kChannelData, text("k"));
  for (int i = 0; i < 5; ++i) turn(number);
  EXPECT_FALSE(mux->governed()) << "what is said in the second of its bulk is a part of that";
  now += seconds(2);
  raw.channel->send(ssh::kChannelWindowAdjust, WireWriter().u32(5).take());
  for (int i = 0; i < 10; ++i) turn(number);
  EXPECT_FALSE(mux->governed()) << "an acknowledgement is nobody's typing";
  raw.channel->send(ssh::kChannelData, text("k"));
  for (int i = 0; i < 5; ++i) turn(number);
  EXPECT_TRUE(mux->governed());
  EXPECT_EQ(mux->error(), nullptr);
}

TEST_F(MuxRawTest, WhatThePeerOpensMayBeTakenRaw) {
  RawOwner owner;
  mux->set_peer_open_handler(ForwardedTcpip::kType, [&](IncomingChannel incoming) {
    EXPECT_EQ(incoming.grant().window, 4000u);
    EXPECT_EQ(incoming.grant().max_packet, 3000u);
    WireWriter specific;
    specific.string(std::string_view("localhost")).u32(80).string(std::string_view("10.0.0.7")).u32(5);
    EXPECT_EQ(incoming.request().encode(), specific.take());
    owner.channel = *incoming.accept_raw({2000, 1000}, as_bytes("z"), &owner);
    EXPECT_FALSE(incoming.is_open());
  });
  WireWriter out;
  out.u8(ssh::kChannelOpen).string(ForwardedTcpip::kType).u32(55).u32(4000).u32(3000);
  out.string(std::string_view("localhost")).u32(80).string(std::string_view("10.0.0.7")).u32(5);
  feed(packet(out));
  ASSERT_TRUE(owner.channel);
  std::uint32_t number = owner.channel->number();
  EXPECT_EQ(sink.sent.back(), WireWriter()
                                  .u8(ssh::kChannelOpenConfirmation)
                                  .u32(55)
                                  .u32(number)
                                  .u32(2000)
                                  .u32(1000)
                                  .raw(as_bytes("z"))
                                  .take());
  owner.channel->send(ssh::kChannelEof, {});
  mux->pump(start);
  EXPECT_EQ(sink.sent.back(), WireWriter().u8(ssh::kChannelEof).u32(55).take());
  data(number, "in");
  EXPECT_EQ(owner.packets.back().second, text("in"));
  EXPECT_EQ(mux->pending_peer_opens(), 0u);
}

TEST_F(MuxRawTest, OwnersMayLetGoFromInsideEachCall) {
  RawOwner owner, refused, lost;
  owner.lets_go = refused.lets_go = lost.lets_go = true;
  open_raw(owner);
  confirm(owner.channel->number(), 7);
  EXPECT_FALSE(owner.channel);
  EXPECT_EQ(sent_count(ssh::kChannelClose), 1);
  open_raw(refused);
  refuse(refused.channel->number(), ssh::kOpenConnectFailed, "no");
  EXPECT_FALSE(refused.channel);
  open_raw(lost);
  mux->fail(Error{Errc::kClosed, "gone", {}});
  EXPECT_FALSE(lost.channel);
  ASSERT_TRUE(lost.lost);
  EXPECT_EQ(lost.lost->code, Errc::kClosed);
  EXPECT_FALSE(mux->open_raw("session", {}, {}, &lost).ok());
}

TEST_F(MuxRawTest, TheOwnerMayOutliveTheMux) {
  RawOwner owner;
  open_and_confirm_raw(owner, 7);
  mux.reset();
  EXPECT_FALSE(owner.channel->is_open());
  owner.channel->send(ssh::kChannelEof, {});
  EXPECT_EQ(owner.channel->queued(), 0u);
}

TEST_F(MuxRawTest, APeerThatBreaksTheProtocolIsNotPassedOn) {
  const Bytes wrong[] = {
      WireWriter().u8(ssh::kChannelOpenConfirmation).u32(0).u32(1).u32(1).u32(1).take(),  // a second one
      WireWriter().u8(ssh::kChannelOpenFailure).u32(0).u32(1).take(),
      WireWriter().u8(ssh::kChannelData).u32(0).u32(10).take(),
      WireWriter().u8(ssh::kChannelExtendedData).u32(0).u32(1).take(),
      WireWriter().u8(ssh::kChannelWindowAdjust).u32(0).take(),
      WireWriter().u8(ssh::kChannelRequest).u32(0).string(std::string_view("x")).take(),
  };
  for (const Bytes& each : wrong) {
    mux = std::make_unique<Mux>(&sink, &budget, start);
    RawOwner owner;
    open_and_confirm_raw(owner, 7);
    ASSERT_EQ(owner.channel->number(), 0u);
    feed(each);
    EXPECT_TRUE(mux->error()) << static_cast<int>(each[0]);
    EXPECT_TRUE(owner.packets.empty());
  }
  mux = std::make_unique<Mux>(&sink, &budget, start);
  RawOwner early;
  open_raw(early);
  data(early.channel->number(), "before the confirmation");
  EXPECT_TRUE(mux->error());
}

TEST_F(MuxRawTest, NothingComesAfterThePeersClose) {
  RawOwner owner;
  open_and_confirm_raw(owner, 7);
  std::uint32_t number = owner.channel->number();
  message(ssh::kChannelClose, number);
  message(ssh::kChannelClose, number);
  EXPECT_TRUE(mux->error());
  EXPECT_EQ(owner.packets.size(), 1u);
}

}  // namespace
}  // namespace jump
