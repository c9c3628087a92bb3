// Mux against a scripted peer: packets in, packets out, no socket, no clock.
#include "channel/mux.h"

#include <gtest/gtest.h>

#include <string>

#include "base/wire.h"
#include "channel/messages.h"
#include "unit/mux_fixture.h"

namespace jump {
namespace {

using test::FakeSink;
using test::Owner;
using test::packet;
using MuxTest = test::MuxTest;

TEST_F(MuxTest, OpensArePipelinedAndAnswersFindTheirChannelInAnyOrder) {
  Owner owners[3];
  std::vector<std::unique_ptr<Channel>> channels;
  std::vector<std::uint32_t> numbers;
  for (Owner& owner : owners) {
    channels.push_back(open(owner));
    numbers.push_back(last_open());
  }
  EXPECT_EQ(sent_count(ssh::kChannelOpen), 3);
  confirm(numbers[2], 72);
  refuse(numbers[1], ssh::kOpenConnectFailed, "Connection refused");
  confirm(numbers[0], 70);
  EXPECT_TRUE(owners[0].opened && owners[2].opened);
  ASSERT_TRUE(owners[1].error);
  EXPECT_EQ(owners[1].error->code, Errc::kUnreachable);
  EXPECT_NE(owners[1].error->message.find("svc:80"), std::string::npos);
  EXPECT_NE(owners[1].error->message.find("Connection refused"), std::string::npos);
  data(numbers[2], "two");
  data(numbers[0], "zero");
  EXPECT_EQ(owners[0].received, "zero");
  EXPECT_EQ(owners[2].received, "two");
  EXPECT_EQ(mux->open_channels(), 2u);
}

TEST_F(MuxTest, TheOpenPacketIsAsRfc4254Has) {
  Owner owner;
  auto channel = open(owner);
  WireReader in(sink.sent.back());
  EXPECT_EQ(in.u8(), ssh::kChannelOpen);
  EXPECT_EQ(in.text(), "direct-tcpip");
  in.u32();
  EXPECT_EQ(in.u32(), WindowBudget::kInitialMax);
  EXPECT_EQ(in.u32(), Mux::kMaxPacket);
  EXPECT_EQ(in.text(), "svc");
  EXPECT_EQ(in.u32(), 80u);
  EXPECT_EQ(in.text(), "127.0.0.1");
  EXPECT_EQ(in.u32(), 1u);
  EXPECT_TRUE(in.at_end());
}

TEST_F(MuxTest, ABlackHoleFailsByItsOwnDeadlineAndHurtsNobody) {
  Owner hole, other;
  auto slow = open(hole, seconds(5));
  std::uint32_t hole_number = last_open();
  auto quick = open(other, seconds(10));
  confirm(last_open(), 7);
  EXPECT_EQ(mux->next_deadline(), start + seconds(5));
  mux->tick(start + milliseconds(4999));
  EXPECT_FALSE(hole.closed);
  mux->tick(start + seconds(5));
  ASSERT_TRUE(hole.error);
  EXPECT_EQ(hole.error->code, Errc::kTimeout);
  EXPECT_TRUE(other.opened);
  EXPECT_EQ(mux->next_deadline(), TimePoint::max());
  // The number stays taken until the peer has answered; what it then opens is closed at once.
  EXPECT_EQ(mux->used_numbers(), 2u);
  sink.sent.clear();
  confirm(hole_number, 99);
  ASSERT_EQ(sent_count(ssh::kChannelClose), 1);
  message(ssh::kChannelClose, hole_number);
  EXPECT_EQ(mux->used_numbers(), 1u);
  EXPECT_EQ(mux->error(), nullptr);
}

TEST_F(MuxTest, BytesWrittenBeforeTheConfirmationGoOutAfterIt) {
  Owner owner;
  auto channel = open(owner);
  EXPECT_EQ(channel->write(as_bytes("early")), 5u);
  channel->shutdown_write();
  mux->pump(start);
  EXPECT_EQ(sent_count(ssh::kChannelData), 0);
  EXPECT_EQ(sent_count(ssh::kChannelEof), 0);
  confirm(last_open(), 5);
  EXPECT_EQ(sent_data(5), "early");
  EXPECT_EQ(sink.sent.back().front(), ssh::kChannelEof);
}

TEST_F(MuxTest, TheWindowOfThePeerLimitsWhatIsSent) {
  Owner owner;
  auto channel = open_and_confirm(owner, 5, 10);
  EXPECT_EQ(channel->write(as_bytes("0123456789abcdef")), 16u);
  mux->pump(start);
  EXPECT_EQ(sent_data(5), "0123456789");
  adjust(0, 4);
  EXPECT_EQ(sent_data(5), "0123456789abcd");
  adjust(0, 100);
  EXPECT_EQ(sent_data(5), "0123456789abcdef");
  EXPECT_GT(mux->counters().window_stalls, 0u);
  EXPECT_EQ(mux->counters().queued_out, 0u);
}

TEST_F(MuxTest, AStuckWindowMakesWritesShortAndOnWritableFollows) {
  Owner owner;
  auto channel = open_and_confirm(owner, 5, 0);
  std::string much(Mux::kSendQueueMax + 1000, 'x');
  EXPECT_EQ(channel->write(as_bytes(much)), Mux::kSendQueueMax);
  EXPECT_EQ(channel->write(as_bytes("more")), 0u);
  EXPECT_EQ(owner.writable, 0);
  adjust(0, 1 << 24);
  EXPECT_EQ(owner.writable, 1);
  EXPECT_EQ(sent_data(5).size(), Mux::kSendQueueMax);
}

TEST_F(MuxTest, CreditIsGivenOnlyForWhatTheOwnerTook) {
  Owner owner;
  auto channel = open_and_confirm(owner, 5);
  owner.appetite = 0;
  std::string block(Mux::kMaxPacket, 'x');
  for (std::uint32_t sent = 0; sent < WindowBudget::kInitialMax; sent += Mux::kMaxPacket) data(0, block);
  EXPECT_EQ(sent_count(ssh::kChannelWindowAdjust), 0);
  EXPECT_EQ(mux->counters().held_in, WindowBudget::kInitialMax);
  EXPECT_EQ(mux->error(), nullptr);
  owner.appetite = SIZE_MAX;
  channel->resume_reading();
  mux->pump(start);
  EXPECT_EQ(owner.received.size(), WindowBudget::kInitialMax);
  std::uint32_t credited = 0;
  for (const Bytes& each : sink.sent) {
    WireReader in(each);
    if (in.u8() != ssh::kChannelWindowAdjust) continue;
    EXPECT_EQ(in.u32(), 5u);
    credited += in.u32();
  }
  EXPECT_EQ(credited, WindowBudget::kInitialMax);
  EXPECT_EQ(mux->counters().held_in, 0u);
}

TEST_F(MuxTest, APeerThatOverrunsTheWindowEndsTheConnection) {
  Owner owner;
  auto channel = open_and_confirm(owner, 5);
  owner.appetite = 0;
  std::string block(Mux::kMaxPacket, 'x');
  for (std::uint32_t sent = 0; sent < WindowBudget::kInitialMax; sent += Mux::kMaxPacket) data(0, block);
  data(0, "x");
  ASSERT_NE(mux->error(), nullptr);
  EXPECT_EQ(mux->error()->code, Errc::kProtocol);
}

TEST_F(MuxTest, HalfCloseIsAnsweredInFull) {
  Owner owner;
  auto channel = open_and_confirm(owner, 5);
  channel->write(as_bytes("question"));
  channel->shutdown_write();
  mux->pump(start);
  EXPECT_EQ(sent_data(5), "question");
  EXPECT_EQ(sent_count(ssh::kChannelEof), 1);
  data(0, "long ");
  data(0, "answer");
  EXPECT_FALSE(owner.eof);
  message(ssh::kChannelEof, 0);
  EXPECT_EQ(owner.received, "long answer");
  EXPECT_TRUE(owner.eof);
  EXPECT_TRUE(owner.closed);
  EXPECT_FALSE(owner.error);
  EXPECT_EQ(sent_count(ssh::kChannelClose), 1);
  EXPECT_EQ(mux->used_numbers(), 1u);
  message(ssh::kChannelClose, 0);
  EXPECT_EQ(mux->used_numbers(), 0u);
}

TEST_F(MuxTest, BytesHeldForASlowOwnerOutliveTheChannelsClose) {
  Owner owner;
  auto channel = open_and_confirm(owner, 5);
  owner.appetite = 3;
  data(0, "abcdef");
  message(ssh::kChannelEof, 0);
  message(ssh::kChannelClose, 0);
  EXPECT_EQ(sent_count(ssh::kChannelClose), 1);
  EXPECT_FALSE(owner.eof || owner.closed);
  owner.appetite = SIZE_MAX;
  channel->resume_reading();
  mux->pump(start);
  EXPECT_EQ(owner.received, "abcdef");
  EXPECT_TRUE(owner.eof && owner.closed);
  EXPECT_FALSE(owner.error);
  EXPECT_EQ(mux->used_numbers(), 0u);
}

TEST_F(MuxTest, DestroyingAChannelClosesItAndFreesItsNumberAfterThePeersClose) {
  Owner owner;
  auto channel = open_and_confirm(owner, 5);
  channel->write(as_bytes("never sent"));
  channel.reset();
  mux->pump(start);
  EXPECT_EQ(sent_count(ssh::kChannelClose), 1);
  EXPECT_FALSE(owner.closed);
  data(0, "late bytes of the peer");
  EXPECT_EQ(owner.received, "");
  message(ssh::kChannelClose, 0);
  EXPECT_EQ(mux->used_numbers(), 0u);
  EXPECT_EQ(mux->counters().queued_out, 0u);
  EXPECT_EQ(mux->error(), nullptr);
}

TEST_F(MuxTest, ANumberIsNotReusedWhileThePeerMayStillUseIt) {
  Owner first, second;
  auto channel = open_and_confirm(first, 5);
  channel.reset();
  mux->pump(start);
  auto next = open(second);
  EXPECT_EQ(last_open(), 1u);
  message(ssh::kChannelClose, 0);
  Owner third;
  auto reuse = open(third);
  EXPECT_EQ(last_open(), 0u);
}

TEST_F(MuxTest, ChannelsTakeTurns) {
  Owner one, two;
  auto first = open_and_confirm(one, 1, 1 << 24);
  auto second = open(two);
  confirm(last_open(), 2, 1 << 24);
  sink.sent.clear();
  sink.room = false;
  std::string bulk(Mux::kSendQueueMax, 'b');
  first->write(as_bytes(bulk));
  second->write(as_bytes(std::string_view("tiny")));
  sink.room = true;
  mux->pump(start);
  std::size_t before_tiny = 0;
  for (const Bytes& each : sink.sent) {
    WireReader in(each);
    if (in.u8() != ssh::kChannelData) continue;
    if (in.u32() == 2) break;
    before_tiny += in.string().size();
  }
  EXPECT_LE(before_tiny, Mux::kQuantum);
  EXPECT_EQ(sent_data(1).size(), bulk.size());
}

TEST_F(MuxTest, ABlockedSinkKeepsOrderAndLosesNothing) {
  Owner owner;
  auto channel = open_and_confirm(owner, 5);
  sink.blocked = true;
  channel->write(as_bytes("abc"));
  channel->shutdown_write();
  mux->pump(start);
  EXPECT_TRUE(sink.sent.empty());
  EXPECT_EQ(channel->write(as_bytes("too late")), 0u);
  sink.blocked = false;
  mux->pump(start);
  EXPECT_EQ(sent_data(5), "abc");
  EXPECT_EQ(sink.sent.back().front(), ssh::kChannelEof);
}

TEST_F(MuxTest, FailTellsEveryOwnerOnceAndLeavesChannelsInert) {
  Owner opening, open_one, ended;
  auto first = open(opening);
  auto second = open(open_one);
  confirm(last_open(), 5);
  auto third = open(ended);
  refuse(last_open(), 1, "no");
  EXPECT_TRUE(ended.closed);
  mux->fail(Error{Errc::kClosed, "the network is gone", {}});
  for (Owner* owner : {&opening, &open_one}) {
    ASSERT_TRUE(owner->error);
    EXPECT_EQ(owner->error->message, "the network is gone");
  }
  EXPECT_EQ(second->write(as_bytes("x")), 0u);
  second->close();
  second->abort();
  EXPECT_FALSE(mux->open(ChannelOpen::direct_streamlocal("/x"), start, nullptr).ok());
  mux.reset();
  EXPECT_EQ(second->write(as_bytes("x")), 0u);
}

TEST_F(MuxTest, AnOwnerMayDestroyAnotherChannelFromItsHandler) {
  Owner one, two;
  auto first = open_and_confirm(one, 5);
  auto second = open(two);
  confirm(last_open(), 6);
  one.on_each_data = [&] { second.reset(); };
  data(0, "go");
  data(1, "nobody home");
  EXPECT_EQ(two.received, "");
  EXPECT_EQ(mux->error(), nullptr);
}

TEST_F(MuxTest, AnOwnerMayAbortItsOwnChannelFromItsHandler) {
  Owner owner;
  auto channel = open_and_confirm(owner, 5);
  owner.on_each_data = [&] { channel->abort(); };
  owner.appetite = 1;
  data(0, "abc");
  EXPECT_TRUE(owner.closed);
  EXPECT_TRUE(owner.error);
  EXPECT_EQ(sent_count(ssh::kChannelClose), 1);
  EXPECT_EQ(mux->counters().held_in, 0u);
}

TEST_F(MuxTest, CloseDeliversWhatWasAcceptedAndDropsWhatComes) {
  Owner owner;
  auto channel = open_and_confirm(owner, 5, 4);
  channel->write(as_bytes("abcdef"));
  channel->close();
  mux->pump(start);
  data(0, "unwanted");
  EXPECT_EQ(owner.received, "");
  EXPECT_EQ(sent_data(5), "abcd");
  EXPECT_FALSE(owner.closed);
  adjust(0, 100);
  EXPECT_EQ(sent_data(5), "abcdef");
  EXPECT_EQ(sent_count(ssh::kChannelEof), 1);
  EXPECT_EQ(sent_count(ssh::kChannelClose), 1);
  EXPECT_TRUE(owner.closed);
  EXPECT_FALSE(owner.error);
}

// Round trips of 100 ms, and a peer that sends a whole window in each.
TEST_F(MuxTest, AWindowThatLimitsGrowsByRoundTripsToItsLimit) {
  Owner owner;
  auto channel = open_and_confirm(owner, 5);
  TimePoint now = start;
  mux->probe(now);
  mux->pump(now);
  mux->handle_packet(Bytes{ssh::kRequestFailure}, now += milliseconds(100));
  EXPECT_EQ(mux->round_trip().base(), Duration(milliseconds(100)));
  std::uint64_t allowed = WindowBudget::kInitialMax, largest = 0;
  std::string block(Mux::kMaxPacket, 'x');
  for (int round = 0; round < 8; ++round) {
    now += milliseconds(100);
    largest = std::max(largest, allowed);
    sink.sent.clear();
    for (; allowed >= block.size(); allowed -= block.size()) {
      WireWriter out;
      out.u8(ssh::kChannelData).u32(0).string(block);
      mux->handle_packet(out.view(), now);
    }
    mux->pump(now);
    for (const Bytes& each : sink.sent) {
      WireReader in(each);
      if (in.u8() == ssh::kChannelWindowAdjust && in.u32() == 5) allowed += in.u32();
    }
  }
  EXPECT_EQ(mux->error(), nullptr);
  EXPECT_GT(largest, 4u * WindowBudget::kInitialMax);
  EXPECT_LE(largest, WindowBudget::kWindowMax);
  EXPECT_GT(mux->counters().window_growths, 2u);
}

TEST_F(MuxTest, AWindowDoesNotGrowForAnOwnerThatDoesNotRead) {
  Owner owner;
  auto channel = open_and_confirm(owner, 5);
  mux->probe(start);
  mux->pump(start);
  mux->handle_packet(Bytes{ssh::kRequestFailure}, start + milliseconds(100));
  owner.appetite = 0;
  std::string block(Mux::kMaxPacket, 'x');
  for (std::uint32_t sent = 0; sent < WindowBudget::kInitialMax; sent += Mux::kMaxPacket) data(0, block);
  EXPECT_EQ(mux->counters().window_growths, 0u);
  EXPECT_EQ(budget.held(), WindowBudget::kInitialMax);
  channel.reset();
  mux->pump(start);
  EXPECT_EQ(budget.held(), 0u);
}

TEST_F(MuxTest, BulkIsGovernedWhileSomebodyTypesAndFreedAfterwards) {
  Owner bulk, typist;
  auto first = open_and_confirm(bulk, 5, 1 << 24);
  auto second = open(typist);
  confirm(last_open(), 6);
  TimePoint now = start;
  std::string block(Mux::kMaxPacket, 'x');
  auto turn = [&] {
    now += milliseconds(20);
    WireWriter out;
    out.u8(ssh::kChannelData).u32(0).string(block);
    for (int i = 0; i < 10; ++i) mux->handle_packet(out.view(), now);
    mux->tick(now);
    mux->pump(now);
    bool asked = mux->probing();
    now += milliseconds(20);
    if (asked) mux->handle_packet(Bytes{ssh::kRequestFailure}, now);
  };
  for (int i = 0; i < 5; ++i) turn();
  EXPECT_FALSE(mux->governed());
  second->write(as_bytes("k"));
  for (int i = 0; i < 5; ++i) turn();
  EXPECT_TRUE(mux->governed());
  for (int i = 0; i < 100; ++i) turn();
  EXPECT_FALSE(mux->governed()) << "three seconds after the last key the path is bulk's again";
  EXPECT_EQ(mux->error(), nullptr);
}

// Two connections to one host mostly share one bottleneck.
TEST_F(MuxTest, BulkIsGovernedWhileSomebodyTypesOnAnotherConnectionToTheHost) {
  Contention contention;
  int met = 0;
  contention.on_met([&] { met++; });
  mux = std::make_unique<Mux>(&sink, &budget, start, &contention);
  FakeSink other_sink;
  Mux other(&other_sink, &budget, start, &contention);
  Owner typist, bulk;
  auto request = ChannelOpen::direct_tcpip("svc", 80, "127.0.0.1", 1);
  auto typing = *other.open(request, start + seconds(10), nullptr);
  typing->set_handler(&typist);
  WireWriter confirmation;
  confirmation.u8(ssh::kChannelOpenConfirmation).u32(0).u32(6).u32(1 << 20).u32(32768);
  other.handle_packet(confirmation.view(), start);
  auto channel = open_and_confirm(bulk, 5, 1 << 24);
  TimePoint now = start;
  WireWriter block;
  block.u8(ssh::kChannelData).u32(0).string(std::string(Mux::kMaxPacket, 'x'));
  auto turn = [&] {
    now += milliseconds(20);
    for (int i = 0; i < 10; ++i) mux->handle_packet(block.view(), now);
    mux->tick(now);
    mux->pump(now);
    bool asked = mux->probing();
    now += milliseconds(20);
    if (asked) mux->handle_packet(Bytes{ssh::kRequestFailure}, now);
  };
  for (int i = 0; i < 5; ++i) turn();
  EXPECT_EQ(mux->bulk_channels(now), 1u);
  EXPECT_EQ(met, 0);
  other.pump(now);
  typing->write(as_bytes("k"));
  for (int i = 0; i < 5; ++i) turn();
  EXPECT_GE(met, 1);
  EXPECT_TRUE(mux->governed());
  EXPECT_FALSE(other.governed()) << "it has no bulk to hold back";
  EXPECT_TRUE(contention.governed());

  // What is opened there now begins small, too.
  other_sink.sent.clear();
  auto next = *other.open(request, now + seconds(10), nullptr);
  other.pump(now);
  WireReader in(other_sink.sent.front());
  in.u8();
  in.string();
  in.u32();
  EXPECT_LT(in.u32(), WindowBudget::kInitialMax / 4);

  for (int i = 0; i < 100; ++i) turn();
  EXPECT_FALSE(mux->governed()) << "three seconds after the last key the path is bulk's again";
  EXPECT_FALSE(contention.governed());
}

TEST_F(MuxTest, AConnectionThatEndsWhileItHoldsBulkBackLeavesNobodyHeldBack) {
  Contention contention;
  mux = std::make_unique<Mux>(&sink, &budget, start, &contention);
  Owner bulk;
  auto channel = open_and_confirm(bulk, 5, 1 << 24);
  WireWriter block;
  block.u8(ssh::kChannelData).u32(0).string(std::string(Mux::kMaxPacket, 'x'));
  for (int i = 0; i < 20; ++i) {
    contention.note_interactive(&contention, start);
    mux->handle_packet(block.view(), start);
    mux->tick(start);
    mux->pump(start);
    if (mux->probing()) mux->handle_packet(Bytes{ssh::kRequestFailure}, start);
  }
  ASSERT_TRUE(contention.governed());
  mux->fail(Error{Errc::kClosed, "gone", {}});
  EXPECT_FALSE(contention.governed());
}

TEST_F(MuxTest, BulkIsCountedWhileItMovesAndNotWhenItsChannelIsGone) {
  Owner one, two;
  auto first = open_and_confirm(one, 5, 1 << 24);
  auto second = open_and_confirm(two, 6, 1 << 24);
  std::string block(Mux::kMaxPacket, 'x');
  for (int i = 0; i < 10; ++i) data(0, block), data(1, block);
  EXPECT_EQ(mux->bulk_channels(start), 2u);
  EXPECT_EQ(mux->bulk_channels(start + seconds(1)), 2u);
  EXPECT_EQ(mux->bulk_channels(start + seconds(2)), 0u);
  first.reset();
  mux->pump(start);
  EXPECT_EQ(mux->bulk_channels(start), 1u);
  data(0, block);  // was under way when its owner let go of it
  message(ssh::kChannelClose, 0);
  Owner three;
  auto third = open_and_confirm(three, 7, 1 << 24);
  EXPECT_EQ(mux->bulk_channels(start), 1u) << "the number is another channel's now";
  for (int i = 0; i < 10; ++i) data(0, block);
  EXPECT_EQ(mux->bulk_channels(start), 2u);
}

TEST_F(MuxTest, UnknownRequestsAreRefusedAndNeverFatal) {
  Owner owner;
  auto channel = open_and_confirm(owner, 5);
  WireWriter global;
  global.u8(ssh::kGlobalRequest).string(std::string_view("hostkeys-00@openssh.com")).boolean(false);
  feed(packet(global));
  EXPECT_TRUE(sink.sent.empty());
  WireWriter asking;
  asking.u8(ssh::kGlobalRequest).string(std::string_view("whatever@example")).boolean(true);
  feed(packet(asking));
  EXPECT_EQ(sent_count(ssh::kRequestFailure), 1);
  WireWriter request;
  request.u8(ssh::kChannelRequest).u32(0).string(std::string_view("odd")).boolean(true);
  feed(packet(request));
  EXPECT_EQ(sent_count(ssh::kChannelFailure), 1);
  WireWriter peer_open;
  peer_open.u8(ssh::kChannelOpen).string(std::string_view("x11")).u32(3).u32(1).u32(1);
  feed(packet(peer_open));
  EXPECT_EQ(sent_count(ssh::kChannelOpenFailure), 1);
  feed(Bytes{126});
  EXPECT_EQ(mux->error(), nullptr);
}

TEST_F(MuxTest, GlobalRepliesComeInOrder) {
  std::string order;
  ASSERT_TRUE(mux->global_request("a", {}, [&](bool ok, ByteView) { order += ok ? "A" : "a"; }));
  ASSERT_TRUE(mux->global_request("b", {}, [&](bool ok, ByteView) { order += ok ? "B" : "b"; }));
  mux->pump(start);
  feed(Bytes{ssh::kRequestFailure});
  feed(Bytes{ssh::kRequestSuccess});
  EXPECT_EQ(order, "aB");
  feed(Bytes{ssh::kRequestSuccess});
  EXPECT_NE(mux->error(), nullptr);
}

struct BadPacket {
  const char* name;
  Bytes bytes;
};

TEST_F(MuxTest, PacketsThatMakeNoSenseAreProtocolErrorsNotCrashes) {
  auto number = [](std::uint8_t type, std::uint32_t channel) {
    WireWriter out;
    out.u8(type).u32(channel);
    return to_bytes(out.view());
  };
  std::vector<BadPacket> bad = {
      {"data for an unknown channel", number(ssh::kChannelData, 1000)},
      {"data cut short", number(ssh::kChannelData, 0)},
      {"type alone", Bytes{ssh::kChannelData}},
      {"close for an unknown channel", number(ssh::kChannelClose, 4294967295u)},
      {"a second confirmation", number(ssh::kChannelOpenConfirmation, 0)},
      {"adjustment cut short", number(ssh::kChannelWindowAdjust, 0)},
      {"an open cut short", Bytes{ssh::kChannelOpen, 0, 0}},
  };
  for (const BadPacket& each : bad) {
    sink.sent.clear();
    mux = std::make_unique<Mux>(&sink, &budget, start);
    Owner owner;
    auto channel = open_and_confirm(owner, 5);
    feed(each.bytes);
    EXPECT_NE(mux->error(), nullptr) << each.name;
  }
}

TEST_F(MuxTest, TheLogSaysWhichConnectionItWas) {
  mux = std::make_unique<Mux>(&sink, &budget, start, nullptr, "bastion#7");
  testing::internal::CaptureStderr();
  feed(Bytes{ssh::kChannelData});
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("bastion#7: the server broke the SSH protocol"), std::string::npos) << log;
}

TEST_F(MuxTest, AWindowBeyondTheLimitIsAProtocolError) {
  Owner owner;
  auto channel = open_and_confirm(owner, 5, 0xffffffff);
  adjust(0, 1);
  EXPECT_NE(mux->error(), nullptr);
}

TEST_F(MuxTest, APeerThatMakesUsAnswerWithoutEndIsCutOff) {
  sink.room = false;  // the network takes nothing more
  WireWriter asking;
  asking.u8(ssh::kGlobalRequest).string(std::string_view("x")).boolean(true);
  Bytes request = packet(asking);
  for (std::size_t i = 0; i <= Mux::kMaxOwed && !mux->error(); ++i) {
    mux->handle_packet(request, start);
    if (i % 100 == 0) mux->pump(start);
  }
  EXPECT_TRUE(sink.sent.empty());
  EXPECT_NE(mux->error(), nullptr);
}

}  // namespace
}  // namespace jump
