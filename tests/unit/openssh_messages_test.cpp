// The messages of OpenSSH's multiplexing protocol against bytes that stock programs (9.2) sent, and against
// bytes that none would send.
#include <gtest/gtest.h>

#include <string>

#include "base/wire.h"
#include "openssh/mux_framer.h"
#include "openssh/mux_messages.h"
#include "unit/openssh_hex.h"

namespace jump {
namespace {

using test::body_of;
using test::from_hex;

template <class T>
T request(std::string_view frame) {
  Result<MuxRequest> decoded = decode_mux_request(body_of(frame));
  if (!decoded) {
    ADD_FAILURE() << decoded.error().message;
    return {};
  }
  EXPECT_EQ(encode_mux(*decoded), from_hex(frame));  // and back to the same bytes
  const T* out = std::get_if<T>(&*decoded);
  EXPECT_TRUE(out);
  return out ? *out : T{};
}

std::string error_of(const Bytes& packet) {
  Result<MuxRequest> decoded = decode_mux_request(packet);
  if (decoded) return "none";
  EXPECT_TRUE(decoded.error().code == Errc::kProtocol || decoded.error().code == Errc::kUnsupported);
  return decoded.error().message;
}

WireWriter head(std::uint32_t type, std::uint32_t id = 7) {
  WireWriter out;
  out.u32(type).u32(id);
  return out;
}

// --- recorded ----------------------------------------------------------------------------------------------

TEST(OpensshMessages, HelloOfAStockClientHasNoExtensions) {
  const char* recorded = "00000008 00000001 00000004";
  Result<MuxHello> hello = decode_mux_hello(body_of(recorded));
  ASSERT_TRUE(hello.ok());
  EXPECT_EQ(*hello, MuxHello{});
  EXPECT_EQ(encode_mux(*hello), from_hex(recorded));
}

TEST(OpensshMessages, RequestsOfStockClientsAreRead) {
  auto session = request<MuxNewSession>(
      "0000004d 10000002 00000001 00000000 00000000 00000000 00000000 00000000 0000007e 00000005787465726d"
      "0000000665786974203700 00000b4c435f544553543d78207900000007464f4f3d626172");
  MuxNewSession expected;
  expected.request_id = 1;
  expected.escape_char = '~';
  expected.terminal = "xterm";
  expected.command = "exit 7";
  expected.environment = {"LC_TEST=x y", "FOO=bar"};
  EXPECT_EQ(session, expected);

  auto subsystem = request<MuxNewSession>(
      "00000031 10000002 00000001 00000000 00000000 00000000 00000000 00000001 0000007e 00000005787465726d"
      "0000000473667470");
  EXPECT_TRUE(subsystem.subsystem);
  EXPECT_EQ(subsystem.command, "sftp");

  auto stdio =
      request<MuxNewStdioForward>("0000001d 10000008 00000001 00000000 000000093132372e302e302e31 0000acf5");
  EXPECT_EQ(stdio, (MuxNewStdioForward{1, {"127.0.0.1", 44277}}));
  EXPECT_EQ(request<MuxAliveCheck>("00000008 10000004 00000000"), (MuxAliveCheck{0}));
  EXPECT_EQ(request<MuxProxy>("00000008 1000000f 00000000"), (MuxProxy{0}));
  EXPECT_EQ(request<MuxStopListening>("00000008 10000009 00000000"), (MuxStopListening{0}));
}

TEST(OpensshMessages, ForwardsOfStockClientsAreRead) {
  auto local = request<MuxOpenForward>(
      "00000026 10000006 00000000 00000001 000000012a 00008707 000000096c6f63616c686f7374 00000009");
  EXPECT_EQ(local.forward, (MuxForward{MuxForwardKind::kLocal, {"*", 34567}, {"localhost", 9}}));
  auto cancelled = request<MuxCloseForward>(
      "00000026 10000007 00000000 00000001 000000012a 00008707 000000096c6f63616c686f7374 00000009");
  EXPECT_EQ(cancelled.forward, local.forward);
  auto dynamic = request<MuxOpenForward>(
      "00000021 10000006 00000000 00000003 00000000 00008708 00000005736f636b73 00000000");
  EXPECT_EQ(dynamic.forward, (MuxForward{MuxForwardKind::kDynamic, {"", 34568}, {"socks", 0}}));
  auto remote = request<MuxOpenForward>(
      "0000002a 10000006 00000000 00000002 00000000 00000000 0000000e2f746d702f6e6f6e652e736f636b fffffffe");
  EXPECT_EQ(remote.forward,
            (MuxForward{MuxForwardKind::kRemote, {"", 0}, {"/tmp/none.sock", MuxEnd::kUnixPort}}));
  auto remote_socks = request<MuxOpenForward>(
      "00000021 10000006 00000000 00000002 00000000 00008709 00000005736f636b73 00000000");
  EXPECT_TRUE(remote_socks.forward.is_remote_socks());
  for (const MuxRequest& each :
       {MuxRequest(local), MuxRequest(dynamic), MuxRequest(remote), MuxRequest(remote_socks)}) {
    EXPECT_EQ(mux_objection(each), std::nullopt);
  }
}

TEST(OpensshMessages, AnswersAreThoseOfAStockMaster) {
  EXPECT_EQ(encode_mux(MuxAnswer(MuxAlive{0, 0x3381})), from_hex("0000000c 80000005 00000000 00003381"));
  EXPECT_EQ(encode_mux(MuxAnswer(MuxSessionOpened{1, 2})), from_hex("0000000c 80000006 00000001 00000002"));
  EXPECT_EQ(encode_mux(MuxAnswer(MuxExitMessage{2, 7})), from_hex("0000000c 80000004 00000002 00000007"));
  EXPECT_EQ(encode_mux(MuxAnswer(MuxRemotePort{0, 44819})), from_hex("0000000c 80000007 00000000 0000af13"));
  EXPECT_EQ(encode_mux(MuxAnswer(MuxOk{0})), from_hex("00000008 80000001 00000000"));
  EXPECT_EQ(encode_mux(MuxAnswer(MuxProxyStarted{0})), from_hex("00000008 8000000f 00000000"));
}

// By the paper and, for the last, by mux.c of 10.3.
TEST(OpensshMessages, TheOtherAnswersAreAsThePaperHas) {
  EXPECT_EQ(encode_mux(MuxAnswer(MuxPermissionDenied{1, "no"})),
            from_hex("0000000e 80000002 00000001 000000026e6f"));
  EXPECT_EQ(encode_mux(MuxAnswer(MuxFailure{1, "no"})), from_hex("0000000e 80000003 00000001 000000026e6f"));
  EXPECT_EQ(encode_mux(MuxAnswer(MuxTtyAllocFail{2})), from_hex("00000008 80000008 00000002"));
  EXPECT_EQ(encode_mux(MuxAnswer(MuxExtInfoText{3, true, "x\n"})),
            from_hex("00000012 90000001 00000003 00000001 00000002780a"));
  EXPECT_EQ(request<MuxExtInfo>("00000014 20000001 00000000 000000086368616e6e656c73"),
            (MuxExtInfo{0, "channels"}));
  EXPECT_EQ(request<MuxTerminate>("00000008 10000005 00000002"), (MuxTerminate{2}));
  MuxHello hello;
  hello.extensions.push_back({"info", "0"});
  EXPECT_EQ(encode_mux(hello), from_hex("00000015 00000001 00000004 00000004696e666f 0000000130"));
}

TEST(OpensshMessages, EveryAnswerIsReadBack) {
  const MuxAnswer answers[] = {MuxOk{1},           MuxPermissionDenied{2, "a"},   MuxFailure{3, "b"},
                               MuxAlive{4, 5},     MuxSessionOpened{6, 7},        MuxRemotePort{8, 9},
                               MuxProxyStarted{1}, MuxExtInfoText{2, false, "c"}, MuxExitMessage{3, 255},
                               MuxTtyAllocFail{4}};
  for (const MuxAnswer& each : answers) {
    Bytes frame = encode_mux(each);
    Result<MuxAnswer> back = decode_mux_answer(ByteView(frame).subspan(4));
    ASSERT_TRUE(back.ok()) << each.index();
    EXPECT_EQ(*back, each);
  }
}

// --- what no stock program sends ---------------------------------------------------------------------------

TEST(OpensshMessages, AMessageCutAnywhereIsMalformedAndNamesTheField) {
  MuxNewSession full;
  full.terminal = "vt100";
  full.command = "ls";
  full.environment = {"A=b"};
  Bytes packet = encode_mux(MuxRequest(full));
  packet.erase(packet.begin(), packet.begin() + 4);
  std::size_t whole = 0;
  for (std::size_t size = 0; size < packet.size(); ++size) {
    std::string error = error_of(Bytes(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size)));
    if (error == "none") {  // up to the environment it is complete without it
      whole++;
      continue;
    }
    EXPECT_TRUE(error.starts_with("malformed ")) << size << ": " << error;
  }
  EXPECT_EQ(whole, 1u);
  EXPECT_EQ(error_of(head(0x10000002).string(std::string_view()).u32(1).take()),
            "malformed new session: want X11");
  EXPECT_EQ(error_of(head(0x10000006).u32(1).take()), "malformed open forward: listen host");
  EXPECT_EQ(error_of(head(0x10000008).take()), "malformed new stdio forward: reserved");
  EXPECT_EQ(error_of(head(0x20000001).u32(9).take()), "malformed info request: name");
  EXPECT_EQ(error_of(from_hex("10000004")), "malformed message: type or request id");
}

TEST(OpensshMessages, ANulWithinATextIsMalformed) {
  EXPECT_EQ(error_of(head(0x20000001).string(std::string_view("a\0b", 3)).take()),
            "malformed info request: name");
  Result<MuxRequest> at_the_end =
      decode_mux_request(head(0x20000001).string(std::string_view("ab\0", 3)).take());
  ASSERT_TRUE(at_the_end.ok());
  EXPECT_EQ(std::get<MuxExtInfo>(*at_the_end).name, "ab");
}

TEST(OpensshMessages, WhatIsUnknownIsToldFromWhatIsMalformed) {
  Result<MuxRequest> unknown = decode_mux_request(head(0x1000000a).take());
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, Errc::kUnsupported);
  EXPECT_EQ(unknown.error().message, "unsupported request");
  EXPECT_EQ(error_of(body_of("00000008 00000001 00000004")), "a second hello");
  EXPECT_EQ(decode_mux_header(head(0x1000000a, 99).take())->request_id, 99u);
}

TEST(OpensshMessages, VariablesWithoutANameAndBeyondTheBoundAreDropped) {
  MuxNewSession many;
  for (std::size_t i = 0; i < kMuxMaxEnvironment + 3; ++i)
    many.environment.push_back("A" + std::to_string(i) + "=");
  many.environment[5] = "=nameless";
  many.environment[6] = "valueless";
  Bytes frame = encode_mux(MuxRequest(many));
  Result<MuxRequest> decoded = decode_mux_request(ByteView(frame).subspan(4));
  ASSERT_TRUE(decoded.ok());
  const auto& session = std::get<MuxNewSession>(*decoded);
  EXPECT_EQ(session.environment.size(), kMuxMaxEnvironment);
  EXPECT_EQ(session.environment[5], "A7=");
  EXPECT_EQ(session.dropped_environment, 3u);
}

TEST(OpensshMessages, HelloIsBounded) {
  MuxHello hello;
  hello.extensions.assign(kMuxMaxExtensions, {"x", std::string("\0y", 2)});
  Bytes frame = encode_mux(hello);
  Result<MuxHello> fits = decode_mux_hello(ByteView(frame).subspan(4));
  ASSERT_TRUE(fits.ok());
  EXPECT_EQ(*fits, hello);
  hello.extensions.push_back({"x", "y"});
  frame = encode_mux(hello);
  EXPECT_FALSE(decode_mux_hello(ByteView(frame).subspan(4)).ok());
  EXPECT_FALSE(decode_mux_hello(from_hex("00000001")).ok());
  EXPECT_FALSE(decode_mux_hello(from_hex("00000001 00000004 0000000178")).ok());  // a name without a value
  EXPECT_FALSE(decode_mux_hello(from_hex("10000004 00000004")).ok());
}

TEST(OpensshMessages, ForwardsThatMakeNoSenseAreObjectedTo) {
  using Kind = MuxForwardKind;
  const MuxForward good[] = {{Kind::kLocal, {"", 0}, {"h", 80}},
                             {Kind::kLocal, {"/l", MuxEnd::kUnixPort}, {"/c", MuxEnd::kUnixPort}},
                             {Kind::kDynamic, {"", 1080}, {"", 0}},
                             {Kind::kRemote, {"", 0}, {"socks", 0}}};
  const MuxForward bad[] = {{static_cast<Kind>(4), {"", 1}, {"h", 80}},
                            {static_cast<Kind>(0), {"", 1}, {"h", 80}},
                            {Kind::kLocal, {"", 65536}, {"h", 80}},
                            {Kind::kLocal, {"", 1}, {"h", 0xffffffff}},
                            {Kind::kLocal, {"", 1}, {"h", 0}},
                            {Kind::kLocal, {"", 1}, {"", 80}},
                            {Kind::kRemote, {"", 1}, {"", 0}},
                            {Kind::kLocal, {"", MuxEnd::kUnixPort}, {"h", 80}},
                            {Kind::kRemote, {"", 1}, {"", MuxEnd::kUnixPort}},
                            {Kind::kDynamic, {"/l", MuxEnd::kUnixPort}, {"socks", 0}},
                            {Kind::kLocal, {std::string(kMuxMaxName + 1, 'x'), 1}, {"h", 80}}};
  for (const MuxForward& each : good) EXPECT_FALSE(mux_objection(MuxOpenForward{1, each}));
  for (const MuxForward& each : bad) {
    EXPECT_TRUE(mux_objection(MuxOpenForward{1, each})) << &each - bad;
    EXPECT_TRUE(mux_objection(MuxCloseForward{1, each}));
  }
  EXPECT_TRUE(mux_objection(MuxNewStdioForward{1, {"h", 65536}}));
  EXPECT_TRUE(mux_objection(MuxNewStdioForward{1, {"h", 0}}));
  EXPECT_TRUE(mux_objection(MuxNewStdioForward{1, {"", 22}}));
  EXPECT_FALSE(mux_objection(MuxNewStdioForward{1, {"/s", MuxEnd::kUnixPort}}));
  MuxNewSession session;
  session.terminal = std::string(kMuxMaxTerminal + 1, 'x');
  EXPECT_TRUE(mux_objection(session));
}

TEST(OpensshMessages, ALongTextOfOursIsCutToAPacket) {
  Bytes frame = encode_mux(MuxAnswer(MuxExtInfoText{1, true, std::string(2 * MuxFramer::kMaxPacket, 'x')}));
  EXPECT_LE(frame.size(), MuxFramer::kMaxPacket + 4);
  EXPECT_TRUE(decode_mux_answer(ByteView(frame).subspan(4)).ok());
}

// --- the framer --------------------------------------------------------------------------------------------

TEST(MuxFramer, CutsPacketsHoweverTheyCome) {
  const Bytes stream = from_hex("00000001 aa 00 00000002 bbcc");
  MuxFramer framer;
  std::vector<Bytes> packets;
  for (std::uint8_t byte : stream) {
    framer.feed(ByteView(&byte, 1));
    if (packets.size() == 1 && framer.buffered() == 1) {
      EXPECT_TRUE(framer.take_byte());  // the one between them
      EXPECT_FALSE(framer.take_byte());
      packets.emplace_back();
      continue;
    }
    auto packet = framer.next();
    ASSERT_TRUE(packet.ok());
    if (*packet) packets.push_back(to_bytes(**packet));
  }
  EXPECT_EQ(packets, (std::vector<Bytes>{{0xaa}, {}, {0xbb, 0xcc}}));
  EXPECT_EQ(framer.buffered(), 0u);
}

TEST(MuxFramer, RefusesWhatIsTooLongOrEmptyBeforeItCame) {
  for (const char* length : {"00000000", "00040001", "ffffffff"}) {
    MuxFramer framer;
    framer.feed(from_hex(length));
    EXPECT_FALSE(framer.next().ok()) << length;
    EXPECT_FALSE(framer.next().ok()) << length;
  }
  MuxFramer longest;
  longest.feed(from_hex("00040000"));
  EXPECT_TRUE(longest.next().ok());
}

TEST(MuxFramer, GivesBackTheRest) {
  MuxFramer framer;
  framer.feed(from_hex("00000001 aa 0000"));
  ASSERT_TRUE(framer.next().ok());
  EXPECT_EQ(framer.take_rest(), from_hex("0000"));
  EXPECT_EQ(framer.buffered(), 0u);
}

}  // namespace
}  // namespace jump
