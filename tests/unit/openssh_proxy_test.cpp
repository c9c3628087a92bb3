// ProxyTranslator between a scripted client (as recorded from `ssh -O proxy` of 9.2) and a scripted upstream.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/wire.h"
#include "channel/messages.h"
#include "openssh/proxy_translator.h"
#include "unit/openssh_hex.h"

namespace jump {
namespace {

using test::from_hex;

// Writes down what is asked of it.
struct FakeUpstream final : ProxyUpstream {
  std::vector<std::string> calls;
  std::vector<std::pair<std::uint8_t, Bytes>> packets;
  std::vector<Ticket> tickets;
  ProxyListen at;
  bool room = true;

  void note(std::string_view what, std::uint64_t which, const std::string& more = {}) {
    calls.push_back(std::string(what) + " " + std::to_string(which) + more);
  }
  static std::string text(ProxyGrant grant, ByteView specific) {
    return " " + std::to_string(grant.window) + "/" + std::to_string(grant.max_packet) + " '" +
           std::string(as_text(specific)) + "'";
  }
  void open(Channel channel, std::string_view type, ProxyGrant grant, ByteView specific) override {
    note("open", channel, " " + std::string(type) + text(grant, specific));
  }
  void accept(Channel channel, ProxyGrant grant, ByteView specific) override {
    note("accept", channel, text(grant, specific));
  }
  void refuse(Channel channel, std::uint32_t reason, std::string_view why) override {
    note("refuse", channel, " " + std::to_string(reason) + " " + std::string(why));
  }
  void send(Channel channel, std::uint8_t type, ByteView rest) override {
    note("send", channel, " " + std::to_string(type));
    packets.emplace_back(type, to_bytes(rest));
  }
  void release(Channel channel) override { note("release", channel); }
  void ask(std::string_view what, Ticket ticket, const ProxyListen& where) {
    calls.push_back(std::string(what) + " " + where.address + ":" + std::to_string(where.port) + where.path);
    tickets.push_back(ticket);
    at = where;
  }
  void listen(Ticket ticket, const ProxyListen& where) override { ask("listen", ticket, where); }
  void cancel(Ticket ticket, const ProxyListen& where) override { ask("cancel", ticket, where); }
  void ping(Ticket ticket) override { ask("ping", ticket, {}); }
  bool has_room() const override { return room; }
};

Bytes framed(const WireWriter& payload) {
  WireWriter padded;
  padded.u8(0).raw(payload.view());
  return WireWriter().string(padded.view()).take();
}

class ProxyTest : public testing::Test {
 protected:
  FakeUpstream upstream;
  ProxyTranslator proxy{&upstream};

  void feed(const WireWriter& payload) { proxy.feed(framed(payload)); }
  Bytes sent() {
    Bytes out;
    while (!proxy.output().empty()) {
      ByteView run = proxy.output();
      out.insert(out.end(), run.begin(), run.end());
      proxy.consume_output(run.size());
    }
    return out;
  }
  std::vector<std::string> calls() { return std::exchange(upstream.calls, {}); }

  void open(std::uint32_t number, std::uint32_t window = 1000, std::uint32_t max_packet = 100) {
    WireWriter out;
    out.u8(ssh::kChannelOpen).string(std::string_view("session")).u32(number).u32(window).u32(max_packet);
    feed(out);
  }
  void confirm(std::uint32_t channel, std::uint32_t window = 50, std::uint32_t max_packet = 20) {
    proxy.on_packet(channel, ssh::kChannelOpenConfirmation, WireWriter().u32(window).u32(max_packet).take());
  }
  // The client's channel 70 is ours 0.
  void open_and_confirm() {
    open(70);
    confirm(0);
    sent();
    calls();
  }
  static WireWriter data(std::uint32_t channel, std::string_view text) {
    WireWriter out;
    out.u8(ssh::kChannelData).u32(channel).string(text);
    return out;
  }
  static WireWriter message(std::uint8_t type, std::uint32_t channel) {
    WireWriter out;
    out.u8(type).u32(channel);
    return out;
  }
  static WireWriter global(std::string_view name, bool want_reply) {
    WireWriter out;
    out.u8(ssh::kGlobalRequest).string(name).boolean(want_reply);
    return out;
  }
  void expect_broken(std::string_view why) {
    ASSERT_TRUE(proxy.error());
    EXPECT_NE(proxy.error()->message.find(why), std::string::npos) << proxy.error()->message;
    EXPECT_TRUE(proxy.finished());
    EXPECT_FALSE(proxy.wants_input());
    calls();
    open(99);
    EXPECT_TRUE(calls().empty());
  }
};

// `ssh -O proxy host "echo hi; exit 3"`, byte by byte; only the number of the server's side is ours.
TEST_F(ProxyTest, ASessionOfAStockClient) {
  for (std::uint8_t byte : from_hex("00000019 00 5a 0000000773657373696f6e 00000000 00200000 00008000")) {
    proxy.feed(ByteView(&byte, 1));
  }
  EXPECT_EQ(calls(), std::vector<std::string>{"open 0 session 2097152/32768 ''"});
  confirm(0, 0, 32768);
  EXPECT_EQ(sent(), from_hex("00000012 00 5b 00000000 00000000 00000000 00008000"));
  proxy.feed(from_hex("00000022 00 62 00000000 0000000465786563 01 0000000f6563686f2068693b20657869742033"));
  EXPECT_EQ(calls(), std::vector<std::string>{"send 0 98"});
  EXPECT_EQ(upstream.packets.back().second,
            from_hex("0000000465786563 01 0000000f6563686f2068693b20657869742033"));
  proxy.on_packet(0, ssh::kChannelWindowAdjust, from_hex("00200000"));
  proxy.on_packet(0, ssh::kChannelSuccess, {});
  EXPECT_EQ(sent(), from_hex("0000000a 00 5d 00000000 00200000 00000006 00 63 00000000"));
  proxy.feed(from_hex("00000006 00 60 00000000"));
  EXPECT_EQ(calls(), std::vector<std::string>{"send 0 96"});
  proxy.on_packet(0, ssh::kChannelData, from_hex("00000003 68690a"));
  proxy.on_packet(0, ssh::kChannelRequest, from_hex("0000000b657869742d737461747573 00 00000003"));
  proxy.on_packet(0, ssh::kChannelEof, {});
  proxy.on_packet(0, ssh::kChannelClose, {});
  EXPECT_EQ(sent(), from_hex("0000000d 00 5e 00000000 00000003 68690a"
                             "0000001a 00 62 00000000 0000000b657869742d737461747573 00 00000003"
                             "00000006 00 60 00000000 00000006 00 61 00000000"));
  EXPECT_EQ(proxy.channels(), 1u);
  proxy.feed(from_hex("00000006 00 61 00000000"));
  EXPECT_EQ(calls(), (std::vector<std::string>{"send 0 97", "release 0"}));
  EXPECT_EQ(proxy.channels(), 0u);
  EXPECT_FALSE(proxy.error());
}

TEST_F(ProxyTest, NumbersOfBothSidesAreTheirOwn) {
  open(70);
  open(5);
  confirm(1, 9, 9);
  EXPECT_EQ(sent(), framed(message(ssh::kChannelOpenConfirmation, 5).u32(1).u32(9).u32(9)));
  confirm(0);
  sent();
  proxy.on_packet(0, ssh::kChannelData, WireWriter().string(std::string_view("x")).take());
  EXPECT_EQ(sent(), framed(data(70, "x")));
  calls();
  feed(data(1, "y"));
  EXPECT_EQ(calls(), std::vector<std::string>{"send 1 94"});
}

// Two channels whose numbers are crossed, written out: windows, data and both orders of CLOSE stay apart, and
// the next open gets a number that is free again.
TEST_F(ProxyTest, TwoChannelsOfAHandWrittenClient) {
  proxy.feed(
      from_hex("00000019 00 5a 0000000773657373696f6e 00000001 00000100 00000080"
               "00000019 00 5a 0000000773657373696f6e 00000000 00000200 00000080"));
  EXPECT_EQ(calls(), (std::vector<std::string>{"open 0 session 256/128 ''", "open 1 session 512/128 ''"}));
  confirm(1, 8, 64);
  confirm(0, 4, 64);
  EXPECT_EQ(sent(), from_hex("00000012 00 5b 00000000 00000001 00000008 00000040"
                             "00000012 00 5b 00000001 00000000 00000004 00000040"));
  proxy.feed(
      from_hex("0000000e 00 5e 00000000 00000004 61626364"  // the server's window of 0 is used up …
               "0000000e 00 5e 00000001 00000004 65666768"  // … that of 1 half
               "0000000a 00 5d 00000001 00000010"));
  EXPECT_EQ(calls(), (std::vector<std::string>{"send 0 94", "send 1 94", "send 1 93"}));
  EXPECT_EQ(upstream.packets.back().second, from_hex("00000010"));
  proxy.on_packet(0, ssh::kChannelWindowAdjust, from_hex("00000001"));
  EXPECT_EQ(sent(), from_hex("0000000a 00 5d 00000001 00000001"));
  proxy.feed(from_hex("0000000b 00 5e 00000000 00000001 69"));
  EXPECT_EQ(calls(), (std::vector<std::string>{"send 0 94"}));

  proxy.feed(from_hex("00000006 00 61 00000000"));  // the client first
  EXPECT_EQ(calls(), (std::vector<std::string>{"send 0 97"}));
  proxy.on_packet(1, ssh::kChannelClose, {});  // the server first
  EXPECT_TRUE(calls().empty());
  proxy.on_packet(0, ssh::kChannelClose, {});
  EXPECT_EQ(calls(), (std::vector<std::string>{"release 0"}));
  EXPECT_EQ(sent(), from_hex("00000006 00 61 00000000 00000006 00 61 00000001"));
  open(5);
  EXPECT_EQ(calls(), (std::vector<std::string>{"open 0 session 1000/100 ''"}));
  proxy.feed(from_hex("00000006 00 61 00000001"));
  EXPECT_EQ(calls(), (std::vector<std::string>{"send 1 97", "release 1"}));
  ASSERT_FALSE(proxy.error());
  proxy.feed(from_hex("0000000b 00 5e 00000001 00000001 6a"));  // to a channel that is no more
  expect_broken("channel");
}

TEST_F(ProxyTest, ARefusalFreesTheChannel) {
  open(70);
  calls();
  proxy.on_packet(0, ssh::kChannelOpenFailure, from_hex("00000002 00000001 78 00000000"));
  EXPECT_EQ(sent(), from_hex("00000013 00 5c 00000046 00000002 00000001 78 00000000"));
  EXPECT_EQ(calls(), std::vector<std::string>{"release 0"});
  open(71);
  proxy.on_refused(0, ssh::kOpenResourceShortage, "full");
  EXPECT_EQ(sent(), framed(message(ssh::kChannelOpenFailure, 71)
                               .u32(ssh::kOpenResourceShortage)
                               .string(std::string_view("full"))
                               .string(std::string_view())));
  EXPECT_EQ(proxy.channels(), 0u);
}

TEST_F(ProxyTest, WhatTheServerOpensGoesToTheClientAndItsAnswerBack) {
  auto channel = proxy.offer("forwarded-tcpip", {40, 30}, as_bytes("spec"));
  ASSERT_TRUE(channel);
  EXPECT_EQ(sent(), framed(WireWriter()
                               .u8(ssh::kChannelOpen)
                               .string(std::string_view("forwarded-tcpip"))
                               .u32(*channel)
                               .u32(40)
                               .u32(30)
                               .raw(as_bytes("spec"))));
  feed(message(ssh::kChannelOpenConfirmation, *channel).u32(8).u32(600).u32(1 << 30).raw(as_bytes("z")));
  EXPECT_EQ(calls(), std::vector<std::string>{"accept 0 600/32768 'z'"});
  proxy.on_packet(*channel, ssh::kChannelEof, {});
  EXPECT_EQ(sent(), framed(message(ssh::kChannelEof, 8)));
  feed(data(*channel, std::string(30, 'x')));
  EXPECT_EQ(calls(), std::vector<std::string>{"send 0 94"});

  auto unwanted = proxy.offer("x11", {1, 1}, {});
  feed(message(ssh::kChannelOpenFailure, *unwanted)
           .u32(1)
           .string(std::string_view("no"))
           .string(std::string_view()));
  EXPECT_EQ(calls(), std::vector<std::string>{"refuse 1 1 no"});
  EXPECT_EQ(proxy.channels(), 1u);
}

// As recorded. The master of 9.2 never answered.
TEST_F(ProxyTest, ListeningIsAskedForAndAnswered) {
  proxy.feed(
      from_hex("00000025 00 50 0000000d74637069702d666f7277617264 01 000000096c6f63616c686f7374 00000000"));
  EXPECT_EQ(calls(), std::vector<std::string>{"listen localhost:0"});
  proxy.on_answer(upstream.tickets[0], true, from_hex("0000af13"));
  EXPECT_EQ(sent(), from_hex("00000006 00 51 0000af13"));
  feed(global("cancel-tcpip-forward", true).string(std::string_view("localhost")).u32(44819));
  feed(global("streamlocal-forward@openssh.com", true).string(std::string_view("/s")));
  feed(global("cancel-streamlocal-forward@openssh.com", false).string(std::string_view("/s")));
  EXPECT_EQ(calls(), (std::vector<std::string>{"cancel localhost:44819", "listen :0/s", "cancel :0/s"}));
  EXPECT_EQ(upstream.at, (ProxyListen{{}, 0, "/s"}));
}

TEST_F(ProxyTest, RepliesComeInTheOrderOfTheRequests) {
  feed(global("tcpip-forward", true).string(std::string_view("")).u32(80));
  feed(global("unknown@example.com", true));
  feed(global("keepalive@openssh.com", true));
  feed(global("keepalive@openssh.com", false));
  feed(global("no-more-sessions@openssh.com", true));
  EXPECT_EQ(calls(), (std::vector<std::string>{"listen :80", "ping :0", "ping :0"}));
  proxy.on_answer(upstream.tickets[2], false, {});
  proxy.on_answer(upstream.tickets[1], false, as_bytes("not for failures"));
  proxy.on_answer(upstream.tickets[1], true, {});  // once is enough
  EXPECT_TRUE(sent().empty());
  proxy.on_answer(upstream.tickets[0], true, {});
  // Each padded to what ssh(1) takes for a whole packet.
  EXPECT_EQ(
      sent(),
      from_hex("00000005 03 51 000000 00000005 03 52 000000 00000005 03 52 000000 00000005 03 51 000000"));
  proxy.on_answer(upstream.tickets[0], true, {});
  EXPECT_TRUE(sent().empty());
}

TEST_F(ProxyTest, NothingIsLookedAtWhileUpstreamIsFullOrOwesTooManyAnswers) {
  upstream.room = false;
  open(70);
  EXPECT_TRUE(calls().empty());
  EXPECT_FALSE(proxy.wants_input());
  upstream.room = true;
  proxy.resume();
  EXPECT_EQ(calls().size(), 1u);
  for (std::size_t i = 0; i < ProxyTranslator::kMaxQuestions + 5; ++i)
    feed(global("keepalive@openssh.com", true));
  EXPECT_EQ(calls().size(), ProxyTranslator::kMaxQuestions);
  EXPECT_FALSE(proxy.wants_input());
  proxy.on_answer(upstream.tickets[0], false, {});
  proxy.resume();
  EXPECT_EQ(calls().size(), 1u);
}

TEST_F(ProxyTest, AClientHasNotMoreChannelsThanTheBound) {
  for (std::uint32_t i = 0; i < ProxyTranslator::kMaxChannels; ++i) open(i);
  EXPECT_EQ(calls().size(), ProxyTranslator::kMaxChannels);
  EXPECT_FALSE(proxy.offer("x11", {1, 1}, {}));
  open(5000);
  EXPECT_TRUE(calls().empty());
  EXPECT_EQ(sent(), framed(message(ssh::kChannelOpenFailure, 5000)
                               .u32(ssh::kOpenResourceShortage)
                               .string(std::string_view("too many channels"))
                               .string(std::string_view())));
  EXPECT_FALSE(proxy.error());
}

TEST_F(ProxyTest, AClientThatDoesNotReadIsEndedAtTheBound) {
  open_and_confirm();
  const Bytes block = WireWriter().string(std::string_view(std::string(32768, 'x'))).take();
  std::size_t most = 0;
  for (int i = 0; i < 10000 && !proxy.error(); ++i) {
    proxy.on_packet(0, ssh::kChannelData, block);
    most = std::max(most, proxy.unread());
  }
  ASSERT_TRUE(proxy.error());
  EXPECT_EQ(proxy.error()->code, Errc::kLimit);
  EXPECT_LE(most, ProxyTranslator::kMaxUnread + block.size() + 16);
}

TEST_F(ProxyTest, TheTransportsOwnMessagesStayHere) {
  for (int type : {2, 3, 4})
    feed(WireWriter().u8(static_cast<std::uint8_t>(type)).string(std::string_view("debug")));
  EXPECT_FALSE(proxy.finished());
  feed(WireWriter().u8(1).u32(11));
  EXPECT_TRUE(proxy.finished());
  EXPECT_FALSE(proxy.error());
  EXPECT_TRUE(calls().empty());
}

TEST_F(ProxyTest, AnswersToTheServersRequestsAreCounted) {
  open_and_confirm();
  proxy.on_packet(0, ssh::kChannelRequest,
                  WireWriter().string(std::string_view("keepalive@openssh.com")).u8(1).take());
  feed(message(ssh::kChannelFailure, 0));
  EXPECT_EQ(calls(), std::vector<std::string>{"send 0 100"});
  feed(message(ssh::kChannelSuccess, 0));
  expect_broken("was not made");
}

// What would make the server end the connection for all.
TEST_F(ProxyTest, TheWindowThatTheServerGrantsIsKept) {
  open_and_confirm();
  feed(data(0, std::string(20, 'x')));
  proxy.on_packet(0, ssh::kChannelWindowAdjust, WireWriter().u32(5).take());
  feed(data(0, std::string(20, 'x')));
  feed(message(ssh::kChannelExtendedData, 0).u32(1).string(std::string_view("fifteen bytes!!")));
  EXPECT_EQ(calls().size(), 3u);  // 55 bytes
  feed(data(0, "x"));
  expect_broken("beyond the server's window");
}

TEST_F(ProxyTest, WindowsOfTheClientDoNotOverflow) {
  open_and_confirm();
  proxy.on_packet(0, ssh::kChannelData, WireWriter().string(std::string_view("0123456789")).take());
  feed(message(ssh::kChannelWindowAdjust, 0).u32(0xffffffff - 990));
  EXPECT_EQ(calls().size(), 1u);
  feed(message(ssh::kChannelWindowAdjust, 0).u32(1));
  expect_broken("2^32-1");
}

TEST_F(ProxyTest, BadPacketsEndTheClientAndReachNobody) {
  const std::pair<WireWriter, std::string> bad[] = {
      {data(1, "x"), "not open"},  // somebody else's channel, for all that the client knows
      {data(0, std::string(21, 'x')), "larger data packet"},
      {message(ssh::kChannelData, 0).u32(9), "malformed data"},
      {data(0, "x").u8(0), "malformed data"},
      {message(ssh::kChannelWindowAdjust, 0), "malformed window"},
      {message(ssh::kChannelEof, 0).u8(0), "malformed EOF"},
      {message(ssh::kChannelClose, 0).u8(0), "malformed CLOSE"},
      {message(ssh::kChannelRequest, 0).string(std::string_view("x")), "malformed channel request"},
      {message(ssh::kChannelOpenConfirmation, 0).u32(1).u32(1).u32(1), "not offered"},
      {message(ssh::kChannelOpenFailure, 0).u32(1).string(std::string_view()), "not offered"},
      {WireWriter().u8(ssh::kChannelOpen).string(std::string_view("session")).u32(1).u32(1), "channel open"},
      {WireWriter().u8(ssh::kChannelEof), "not open"},
      {WireWriter().u8(ssh::kGlobalRequest).u32(4), "global request"},
      {global("tcpip-forward", true).string(std::string_view("h")).u32(65536), "to listen"},
      {global("streamlocal-forward@openssh.com", true).string(std::string_view()), "to listen"},
      {WireWriter().u8(ssh::kRequestSuccess), "message 81"},
      {WireWriter().u8(50), "message 50"},
      {WireWriter(), "without a message"},
  };
  for (const auto& [payload, why] : bad) {
    FakeUpstream each_upstream;
    ProxyTranslator each(&each_upstream);
    WireWriter open_session;
    open_session.u8(ssh::kChannelOpen).string(std::string_view("session")).u32(70).u32(1000).u32(100);
    each.feed(framed(open_session));
    each.on_packet(0, ssh::kChannelOpenConfirmation, WireWriter().u32(50).u32(20).take());
    each_upstream.calls.clear();
    each.feed(framed(payload));
    ASSERT_TRUE(each.error()) << why;
    EXPECT_NE(each.error()->message.find(why), std::string::npos) << each.error()->message;
    EXPECT_TRUE(each_upstream.calls.empty()) << why;
  }
}

// sshd ends the connection, with all that others have on it, at a zero byte in what is text.
TEST_F(ProxyTest, WhatNoServerTakesIsKeptFromIt) {
  using namespace std::string_view_literals;
  open_and_confirm();
  WireWriter open;
  open.u8(ssh::kChannelOpen).string("direct-tcpip"sv).u32(71).u32(1000).u32(100);
  open.string("ho\0st"sv).u32(80).string("127.0.0.1"sv).u32(0);
  feed(open);
  EXPECT_EQ(calls(), std::vector<std::string>());
  const Bytes refusal = sent();
  ASSERT_GT(refusal.size(), 14U);
  EXPECT_EQ(refusal[5], ssh::kChannelOpenFailure);
  EXPECT_EQ(load_u32(&refusal[6]), 71U);
  EXPECT_EQ(load_u32(&refusal[10]), ssh::kOpenAdministrativelyProhibited);
  EXPECT_EQ(proxy.channels(), 1U);
  EXPECT_FALSE(proxy.finished());
  feed(message(ssh::kChannelRequest, 0).string("exec"sv).boolean(true).string("true"sv));
  EXPECT_EQ(calls(), std::vector<std::string>{"send 0 98"});
  feed(message(ssh::kChannelRequest, 0).string("exec"sv).boolean(true).string("tr\0ue"sv));
  EXPECT_EQ(calls(), std::vector<std::string>());
  expect_broken("zero byte");
}

TEST_F(ProxyTest, NothingFollowsEofButCloseAndNothingThat) {
  open_and_confirm();
  feed(message(ssh::kChannelEof, 0));
  feed(message(ssh::kChannelClose, 0));
  EXPECT_EQ(calls().size(), 2u);
  feed(message(ssh::kChannelClose, 0));
  expect_broken("after CLOSE");
}

TEST_F(ProxyTest, DataAfterEofIsAnEnd) {
  open_and_confirm();
  feed(message(ssh::kChannelEof, 0));
  feed(data(0, "x"));
  expect_broken("after EOF");
}

TEST_F(ProxyTest, PaddingAndOverlongPacketsAreAnEnd) {
  proxy.feed(from_hex("00000003 01 02 00"));
  expect_broken("padding");
  ProxyTranslator other(&upstream);
  other.feed(WireWriter().u32(ProxyTranslator::kMaxPacket + 1).take());
  EXPECT_TRUE(other.error());
}

// The server's packets for channels that are not there (any more) are dropped.
TEST_F(ProxyTest, LatePacketsOfTheServerAreDropped) {
  proxy.on_packet(3, ssh::kChannelData, WireWriter().string(std::string_view("x")).take());
  open(70);
  proxy.on_packet(0, ssh::kChannelData, WireWriter().string(std::string_view("early")).take());
  EXPECT_TRUE(sent().empty());
}

}  // namespace
}  // namespace jump
