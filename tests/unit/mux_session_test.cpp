// What sessions need of Mux: requests both ways, and extended data under the window of the stream.
#include <gtest/gtest.h>

#include "unit/mux_fixture.h"

namespace jump::test {
namespace {

struct SessionOwner final : StreamHandler, ChannelEvents {
  std::string out, err;
  std::size_t err_appetite = SIZE_MAX;
  std::vector<std::string> requests;
  bool opened = false, eof = false, closed = false;

  std::size_t on_data(ByteView data) override {
    out += as_text(data);
    return data.size();
  }
  void on_eof() override { eof = true; }
  void on_writable() override {}
  void on_closed(const Error*) override { closed = true; }
  void on_opened() override { opened = true; }
  bool on_request(std::string_view name, ByteView data) override {
    requests.push_back(std::string(name) + " " + std::to_string(data.size()));
    return name == "exit-status";
  }
  std::size_t on_extended_data(std::uint32_t type, ByteView data) override {
    EXPECT_EQ(type, 1U);
    const std::size_t count = std::min(err_appetite, data.size());
    err += as_text(data.first(count));
    if (err_appetite != SIZE_MAX) err_appetite -= count;
    return count;
  }
};

class MuxSession : public MuxTest {
 protected:
  MuxSession() {
    auto opened = mux->open(ChannelOpen::session(), start + seconds(10), &owner);
    EXPECT_TRUE(opened.ok());
    channel = *std::move(opened);
    channel->set_handler(&owner);
    mux->pump(start);
    number = last_open();
    confirm(number, 7);
    EXPECT_TRUE(owner.opened);
    sink.sent.clear();
  }
  void extended(std::string_view text) {
    feed(packet(WireWriter().u8(ssh::kChannelExtendedData).u32(number).u32(1).string(text)));
  }
  void request(std::string_view name, bool want_reply, std::string_view data = {}) {
    feed(packet(WireWriter()
                    .u8(ssh::kChannelRequest)
                    .u32(number)
                    .string(name)
                    .boolean(want_reply)
                    .raw(as_bytes(data))));
  }
  std::uint64_t credited() {
    std::uint64_t sum = 0;
    for (const Bytes& each : sink.sent) {
      WireReader in(each);
      if (in.u8() != ssh::kChannelWindowAdjust) continue;
      in.u32();
      sum += in.u32();
    }
    return sum;
  }

  SessionOwner owner;
  std::unique_ptr<Channel> channel;
  std::uint32_t number = 0;
};

// sshd would end the connection, and everybody's sessions with it.
TEST_F(MuxSession, WhatNoServerTakesIsNotSent) {
  const std::string null("a\0b", 3), large(300000, 'x'), fits(255 * 1024, 'x');
  const auto data = [](std::initializer_list<std::string> strings) {
    WireWriter all;
    for (const std::string& each : strings) all.string(each);
    return all.take();
  };
  const std::vector<std::pair<const char*, Bytes>> bad = {
      {"exec", data({null})},     {"exec", data({large})},    {"subsystem", data({null})},
      {"env", data({null, "b"})}, {"env", data({"a", null})}, {"env", data({"a", large})},
      {"pty-req", data({null})},  {"signal", data({null})},   {"of-the-future", data({large})}};
  for (const auto& [name, bytes] : bad) {
    const Status asked = channel->request(name, bytes);
    ASSERT_FALSE(asked.ok()) << name;
    EXPECT_EQ(asked.error().code, Errc::kInvalid) << name;
  }
  for (const std::string& text : {null, large}) {
    EXPECT_FALSE(
        mux->open(ChannelOpen::direct_tcpip(text, 22, "127.0.0.1", 0), start + seconds(10), nullptr).ok());
    EXPECT_FALSE(mux->open(ChannelOpen::direct_streamlocal("/" + text), start + seconds(10), nullptr).ok());
    EXPECT_FALSE(mux->global_request("tcpip-forward", data({text}), [](bool, ByteView) {}).ok());
  }
  mux->pump(start);
  EXPECT_TRUE(sink.sent.empty());
  EXPECT_TRUE(channel->request("exec", data({fits})).ok());
  EXPECT_TRUE(channel->request("of-the-future", data({null})).ok()) << "it may be no text";
  mux->pump(start);
  EXPECT_EQ(sink.sent.size(), 2U);
}

TEST_F(MuxSession, RepliesComeInTheOrderOfTheRequests) {
  std::string heard;
  ASSERT_TRUE(
      channel->request("pty-req", {}, [&](bool success) { heard += success ? "pty " : "no pty "; }).ok());
  ASSERT_TRUE(channel->request("env", {}).ok());
  ASSERT_TRUE(
      channel->request("exec", {}, [&](bool success) { heard += success ? "exec " : "no exec "; }).ok());
  mux->pump(start);
  EXPECT_EQ(sent_count(ssh::kChannelRequest), 3);
  message(ssh::kChannelFailure, number);
  EXPECT_EQ(heard, "no pty ");
  message(ssh::kChannelSuccess, number);
  EXPECT_EQ(heard, "no pty exec ");
  message(ssh::kChannelSuccess, number);
  EXPECT_NE(mux->error(), nullptr) << "a reply to nothing is a broken protocol";
}

TEST_F(MuxSession, NoReplyComesAfterTheEnd) {
  bool heard = false;
  ASSERT_TRUE(channel->request("exec", {}, [&](bool) { heard = true; }).ok());
  channel.reset();
  mux->pump(start);
  message(ssh::kChannelSuccess, number);
  EXPECT_FALSE(heard);
  EXPECT_EQ(mux->error(), nullptr);
}

TEST_F(MuxSession, RequestsThatWaitAreBounded) {
  Status last;
  int made = 0;
  for (; made < 100'000 && last.ok(); ++made) last = channel->request("x", {}, [](bool) {});
  ASSERT_FALSE(last.ok());
  EXPECT_EQ(last.error().code, Errc::kLimit);
  EXPECT_TRUE(channel->request("x", {}).ok()) << "without a reply there is nothing to keep";
}

TEST_F(MuxSession, ThePeersRequestsAreAnsweredWhereAnAnswerIsWanted) {
  request("exit-status", false, std::string_view("\0\0\0\3", 4));
  EXPECT_EQ(sent_count(ssh::kChannelSuccess) + sent_count(ssh::kChannelFailure), 0);
  request("keepalive@openssh.com", true);
  EXPECT_EQ(sent_count(ssh::kChannelFailure), 1);
  request("exit-status", true, std::string_view("\0\0\0\3", 4));
  EXPECT_EQ(sent_count(ssh::kChannelSuccess), 1);
  EXPECT_EQ(owner.requests,
            (std::vector<std::string>{"exit-status 4", "keepalive@openssh.com 0", "exit-status 4"}));
}

TEST_F(MuxSession, ExtendedDataThatIsNotTakenIsNotCredited) {
  owner.err_appetite = 0;
  const std::string block(32'000, 'e');
  for (int i = 0; i < 20; ++i) extended(block);
  EXPECT_EQ(owner.err, "");
  EXPECT_EQ(credited(), 0U);
  data(number, "out");  // the other one goes on
  EXPECT_EQ(owner.out, "out");
  owner.err_appetite = SIZE_MAX;
  channel->resume_extended();
  mux->pump(start);
  EXPECT_EQ(owner.err.size(), 20 * block.size());
  for (int i = 0; i < 40; ++i) extended(block);
  EXPECT_GT(credited(), 0U);
}

TEST_F(MuxSession, ExtendedDataKeepsItsOrderOverPauses) {
  owner.err_appetite = 3;
  extended("abcd");
  extended("ef");
  EXPECT_EQ(owner.err, "abc");
  owner.err_appetite = 2;
  channel->resume_extended();
  mux->pump(start);
  EXPECT_EQ(owner.err, "abcde");
  owner.err_appetite = SIZE_MAX;
  channel->resume_extended();
  mux->pump(start);
  EXPECT_EQ(owner.err, "abcdef");
}

TEST_F(MuxSession, TheChannelDoesNotEndBeforeExtendedDataIsTaken) {
  owner.err_appetite = 0;
  extended("late");
  message(ssh::kChannelEof, number);
  message(ssh::kChannelClose, number);
  EXPECT_FALSE(owner.closed);
  owner.err_appetite = SIZE_MAX;
  channel->resume_extended();
  mux->pump(start);
  EXPECT_EQ(owner.err, "late");
  EXPECT_TRUE(owner.closed);
}

TEST_F(MuxSession, MoreThanTheWindowOnEitherEndsTheConnection) {
  owner.err_appetite = 0;
  const std::string block(32'000, 'e');
  for (int i = 0; i < 2000 && !mux->error(); ++i) extended(block);
  EXPECT_NE(mux->error(), nullptr);
}

TEST_F(MuxSession, BothEofsDoNotEndIt) {
  channel->shutdown_write();
  mux->pump(start);
  message(ssh::kChannelEof, number);
  EXPECT_TRUE(owner.eof);
  EXPECT_FALSE(owner.closed);
  EXPECT_EQ(sent_count(ssh::kChannelClose), 0);
  request("exit-status", false, std::string_view("\0\0\0\3", 4));
  EXPECT_EQ(owner.requests.size(), 1U);
  message(ssh::kChannelClose, number);
  EXPECT_TRUE(owner.closed);
  EXPECT_EQ(sent_count(ssh::kChannelClose), 1);
}

TEST_F(MuxSession, SessionsAreCountedUntilThePeerHasClosedThem) {
  EXPECT_EQ(mux->sessions(), 1U);
  EXPECT_EQ(mux->confirmed_sessions(), 1U);
  channel.reset();
  mux->pump(start);
  EXPECT_EQ(mux->sessions(), 1U) << "the server counts it still";
  message(ssh::kChannelClose, number);
  EXPECT_EQ(mux->sessions(), 0U);
  EXPECT_EQ(mux->confirmed_sessions(), 0U);
  EXPECT_EQ(mux->most_sessions(), 1U);
}

TEST_F(MuxSession, OfSizesThatCannotBeSentOnlyTheNewestWaits) {
  sink.blocked = true;
  for (char width = 'a'; width <= 'z'; ++width) {
    EXPECT_TRUE(channel->request("window-change", as_bytes(std::string(16, width))).ok());
    mux->pump(start);
  }
  EXPECT_TRUE(channel->request("signal", as_bytes("TERM")).ok());
  EXPECT_TRUE(channel->request("window-change", as_bytes(std::string(16, '!'))).ok());
  sink.blocked = false;
  mux->pump(start);
  ASSERT_EQ(sent_count(ssh::kChannelRequest), 2);
  EXPECT_NE(as_text(sink.sent[0]).find(std::string(16, '!')), std::string::npos);
  EXPECT_NE(as_text(sink.sent[1]).find("TERM"), std::string::npos);
  // What was sent is not changed any more.
  EXPECT_TRUE(channel->request("window-change", as_bytes(std::string(16, '+'))).ok());
  mux->pump(start);
  ASSERT_EQ(sent_count(ssh::kChannelRequest), 3);
  EXPECT_NE(as_text(sink.sent[2]).find(std::string(16, '+')), std::string::npos);
}

TEST_F(MuxSession, SizesOfDifferentChannelsDoNotReplaceEachOther) {
  SessionOwner other_owner;
  auto other = mux->open(ChannelOpen::session(), start + seconds(10), &other_owner);
  ASSERT_TRUE(other.ok());
  (*other)->set_handler(&other_owner);
  mux->pump(start);
  confirm(last_open(), 8);
  sink.sent.clear();
  sink.blocked = true;
  EXPECT_TRUE(channel->request("window-change", as_bytes("mine")).ok());
  EXPECT_TRUE((*other)->request("window-change", as_bytes("theirs")).ok());
  sink.blocked = false;
  mux->pump(start);
  EXPECT_EQ(sent_count(ssh::kChannelRequest), 2);
}

TEST_F(MuxSession, SignalsBeyondTheBoundAreRefusedUntilTheConnectionMoves) {
  sink.blocked = true;
  for (std::size_t i = 0; i < Mux::kMaxUnsentSignals; ++i) {
    EXPECT_TRUE(channel->request("signal", as_bytes("INT")).ok()) << i;
    mux->pump(start);
  }
  const Status refused = channel->request("signal", as_bytes("INT"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::kLimit);
  EXPECT_NE(refused.error().message.find("64 signals of this session wait"), std::string::npos);
  EXPECT_EQ(mux->counters().signals_refused, 1U);
  EXPECT_TRUE(channel->request("window-change", as_bytes("size")).ok());  // is not counted with them
  sink.blocked = false;
  mux->pump(start);
  EXPECT_EQ(sent_count(ssh::kChannelRequest), static_cast<int>(Mux::kMaxUnsentSignals) + 1);
  EXPECT_TRUE(channel->request("signal", as_bytes("INT")).ok());
  EXPECT_EQ(mux->counters().signals_refused, 1U);
}

// The packets outlive the slot that counted them.
TEST_F(MuxSession, RequestsThatWaitOutliveTheirChannel) {
  sink.blocked = true;
  EXPECT_TRUE(channel->request("window-change", as_bytes("size")).ok());
  EXPECT_TRUE(channel->request("signal", as_bytes("HUP")).ok());
  feed(packet(WireWriter().u8(ssh::kChannelClose).u32(number)));
  channel.reset();
  mux->pump(start);
  EXPECT_EQ(mux->used_numbers(), 0U);
  sink.blocked = false;
  mux->pump(start);
  EXPECT_EQ(sent_count(ssh::kChannelRequest), 2);
  EXPECT_EQ(sent_count(ssh::kChannelClose), 1);
}

}  // namespace
}  // namespace jump::test
