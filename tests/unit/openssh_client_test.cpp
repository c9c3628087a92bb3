// MuxClient against scripted clients: good ones as recorded from stock programs, and bad ones.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/wire.h"
#include "openssh/mux_client.h"
#include "unit/openssh_hex.h"

namespace jump {
namespace {

using State = MuxClient::State;
using Passenger = MuxClient::Passenger;
using test::from_hex;

bool is_open(int number) { return ::fcntl(number, F_GETFD) != -1; }

MuxNewSession new_session(std::uint32_t id) {
  MuxNewSession out;
  out.request_id = id;
  return out;
}

class MuxClientTest : public testing::Test {
 protected:
  TimePoint now = TimePoint() + std::chrono::hours(1);
  MuxClient client{now};
  std::vector<int> numbers;  // of descriptors that were given

  Fd descriptor() {
    Fd out(::open("/dev/null", O_RDWR | O_CLOEXEC));
    EXPECT_TRUE(out);
    numbers.push_back(out.get());
    return out;
  }
  void feed(const Bytes& bytes, std::size_t count = 0) {
    std::vector<Fd> descriptors;
    for (std::size_t i = 0; i < count; ++i) descriptors.push_back(descriptor());
    client.feed(bytes, std::move(descriptors), now);
  }
  void feed(const MuxRequest& request, std::size_t count = 0) { feed(encode_mux(request), count); }
  void hello() {
    feed(encode_mux(MuxHello{}));
    sent();
  }
  Bytes sent() {
    Bytes out;
    while (!client.output().empty()) {
      ByteView run = client.output();
      out.insert(out.end(), run.begin(), run.end());
      client.consume_output(run.size(), now);
    }
    return out;
  }
  // The one answer in the output.
  MuxAnswer answer() {
    Bytes frame = sent();
    if (frame.size() < 4 || load_u32(frame.data()) != frame.size() - 4) {
      ADD_FAILURE() << frame.size() << " bytes are not one answer";
      return MuxOk{};
    }
    Result<MuxAnswer> out = decode_mux_answer(ByteView(frame).subspan(4));
    EXPECT_TRUE(out.ok());
    return out ? *out : MuxAnswer(MuxOk{});
  }
  template <class T>
  T take() {
    auto asked = client.take_request();
    if (!asked || !std::holds_alternative<T>(asked->request)) {
      ADD_FAILURE() << "another request, or none, in state " << to_string(client.state());
      return {};
    }
    return std::get<T>(asked->request);
  }
  void open_session() {
    hello();
    feed(MuxNewSession{});
    for (int i = 0; i < 3; ++i) feed(Bytes{0}, 1);
    take<MuxNewSession>();
    client.answer(MuxSessionOpened{0, 5}, now);
    sent();
  }
  void expect_broken(std::string_view text) {
    ASSERT_TRUE(client.error());
    EXPECT_NE(client.error()->message.find(text), std::string::npos) << client.error()->message;
    EXPECT_EQ(client.state(), State::kBroken);
    EXPECT_FALSE(client.wants_input());
    EXPECT_FALSE(client.take_request());
    EXPECT_EQ(client.next_deadline(), TimePoint::max());
    for (int number : numbers) EXPECT_FALSE(is_open(number));
    feed(encode_mux(MuxRequest(MuxAliveCheck{})));  // harmless
    client.answer(MuxOk{}, now);
    sent();
    EXPECT_TRUE(client.finished());
  }
};

TEST_F(MuxClientTest, OffersTheInfoExtensionAtOnce) {
  EXPECT_EQ(sent(), from_hex("00000015 00000001 00000004 00000004696e666f 0000000130"));
  EXPECT_EQ(client.state(), State::kHello);
}

// As recorded: the first descriptor comes with the request's own bytes in one read.
TEST_F(MuxClientTest, ASessionOfAStockClient) {
  sent();
  feed(from_hex("00000008 00000001 00000004"));
  feed(from_hex("00000008 10000004 00000000"));
  EXPECT_EQ(take<MuxAliveCheck>(), MuxAliveCheck{0});
  client.answer(MuxAlive{0, 0x3381}, now);
  EXPECT_EQ(sent(), from_hex("0000000c 80000005 00000000 00003381"));
  feed(
      from_hex(
          "0000004d 10000002 00000001 00000000 00000000 00000000 00000000 00000000 0000007e "
          "00000005787465726d 00000006657869742037 0000000b4c435f544553543d782079 00000007464f4f3d626172 00"),
      1);
  EXPECT_EQ(client.state(), State::kDescriptors);
  EXPECT_EQ(client.awaited_descriptors(), 2u);
  EXPECT_FALSE(client.take_request());
  feed(Bytes{0}, 1);
  feed(Bytes{0}, 1);
  auto asked = client.take_request();
  ASSERT_TRUE(asked);
  EXPECT_EQ(std::get<MuxNewSession>(asked->request).command, "exit 7");
  ASSERT_EQ(asked->descriptors.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(asked->descriptors[i].get(), numbers[i]);
  client.answer(MuxSessionOpened{0, 2}, now);
  EXPECT_EQ(sent(), from_hex("0000000c 80000006 00000001 00000002"));
  EXPECT_EQ(client.passenger(), Passenger::kSession);
  EXPECT_EQ(client.session_id(), 2u);
  EXPECT_EQ(client.next_deadline(), TimePoint::max());  // it may take as long as it likes
  client.passenger_ended(7);
  EXPECT_FALSE(client.finished());
  EXPECT_EQ(sent(), from_hex("0000000c 80000004 00000002 00000007"));
  EXPECT_TRUE(client.finished());
  EXPECT_FALSE(client.error());
}

TEST_F(MuxClientTest, AStdioForwardEndsWithoutAMessage) {
  hello();
  feed(MuxNewStdioForward{3, {"h", 22}});
  feed(Bytes{0, 0}, 2);
  EXPECT_EQ(take<MuxNewStdioForward>().connect.name, "h");
  client.answer(MuxSessionOpened{0, 9}, now);
  EXPECT_EQ(answer(), MuxAnswer(MuxSessionOpened{3, 9}));
  EXPECT_EQ(client.passenger(), Passenger::kStdioForward);
  client.tty_failed();
  client.passenger_ended(3);
  EXPECT_TRUE(client.finished());
}

TEST_F(MuxClientTest, TheMissingTtyAndALostStatusAreTold) {
  open_session();
  client.tty_failed();
  EXPECT_EQ(answer(), MuxAnswer(MuxTtyAllocFail{5}));
  client.passenger_ended(std::nullopt);
  EXPECT_TRUE(sent().empty());
  EXPECT_TRUE(client.finished());
}

TEST_F(MuxClientTest, EveryCutOfTheStreamGivesTheSameRequests) {
  Bytes stream = encode_mux(MuxHello{});
  for (const Bytes& each :
       {encode_mux(MuxRequest(MuxAliveCheck{1})), encode_mux(MuxRequest(MuxTerminate{2}))}) {
    stream.insert(stream.end(), each.begin(), each.end());
  }
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    MuxClient each(now);
    std::string seen;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      each.feed(ByteView(stream).subspan(at, std::min(piece, stream.size() - at)), {}, now);
      while (auto asked = each.take_request()) {
        seen += std::to_string(request_id(asked->request));
        each.answer(MuxOk{}, now);
      }
    }
    EXPECT_EQ(seen, "12") << piece;
    EXPECT_FALSE(each.error());
    EXPECT_EQ(each.next_deadline(), TimePoint::max());
  }
}

TEST_F(MuxClientTest, RequestsAreHandedOutOneAtATimeAndAnsweredInOrder) {
  hello();
  feed(MuxAliveCheck{1});
  feed(MuxStopListening{2});
  take<MuxAliveCheck>();
  EXPECT_FALSE(client.take_request());
  client.answer(MuxAlive{77, 4}, now);  // the id is the request's, whatever is said
  EXPECT_EQ(answer(), MuxAnswer(MuxAlive{1, 4}));
  take<MuxStopListening>();
  client.answer(MuxPermissionDenied{0, "no"}, now);
  EXPECT_EQ(answer(), MuxAnswer(MuxPermissionDenied{2, "no"}));
}

TEST_F(MuxClientTest, WhatIsUnknownOrMakesNoSenseIsAnsweredWithAFailure) {
  hello();
  feed(WireWriter().string(WireWriter().u32(0x1000000a).u32(8).take()).take());
  EXPECT_EQ(answer(), MuxAnswer(MuxFailure{8, "unsupported request"}));
  feed(MuxOpenForward{9, {MuxForwardKind::kLocal, {"", 1}, {"", 2}}});
  EXPECT_EQ(answer(), MuxAnswer(MuxFailure{9, "Invalid forwarding request: no host to connect to"}));
  feed(MuxNewStdioForward{10, {"h", 70000}});
  feed(Bytes{0, 0}, 2);
  EXPECT_EQ(answer(), MuxAnswer(MuxFailure{10, "Invalid forwarding request: a port above 65535"}));
  for (int number : numbers) EXPECT_FALSE(is_open(number));
  feed(MuxAliveCheck{11});
  EXPECT_EQ(take<MuxAliveCheck>().request_id, 11u);
}

TEST_F(MuxClientTest, ASecondPassengerIsRefusedAndItsDescriptorsAreClosed) {
  open_session();
  numbers.clear();
  feed(new_session(4));
  feed(Bytes{0, 0, 0}, 3);
  EXPECT_EQ(answer(), MuxAnswer(MuxFailure{4, "Multiple sessions not supported"}));
  for (int number : numbers) EXPECT_FALSE(is_open(number));
  feed(MuxAliveCheck{5});
  take<MuxAliveCheck>();
  EXPECT_EQ(client.passenger(), Passenger::kSession);
  client.passenger_ended(0);  // while it waits for an answer
  client.answer(MuxAlive{}, now);
  EXPECT_EQ(answer(), MuxAnswer(MuxExitMessage{5, 0}));
}

TEST_F(MuxClientTest, ARefusedSessionLeavesTheClientReady) {
  hello();
  feed(new_session(4));
  feed(Bytes{0, 0, 0}, 3);
  take<MuxNewSession>();
  client.answer(MuxFailure{0, "Session open refused by peer"}, now);
  EXPECT_EQ(answer(), MuxAnswer(MuxFailure{4, "Session open refused by peer"}));
  EXPECT_EQ(client.passenger(), Passenger::kNone);
  EXPECT_EQ(client.state(), State::kReady);
}

TEST_F(MuxClientTest, TheProxyModeHandsOverWhatCameBehindTheRequest) {
  hello();
  Bytes both = encode_mux(MuxRequest(MuxProxy{6}));
  both.insert(both.end(), {1, 2, 3});
  feed(both);
  take<MuxProxy>();
  client.answer(MuxProxyStarted{}, now);
  EXPECT_EQ(answer(), MuxAnswer(MuxProxyStarted{6}));
  EXPECT_EQ(client.state(), State::kProxy);
  EXPECT_EQ(client.take_proxy_input(), (Bytes{1, 2, 3}));
  EXPECT_EQ(client.next_deadline(), TimePoint::max());
}

// --- bad ones ----------------------------------------------------------------------------------------------

TEST_F(MuxClientTest, ARequestBeforeTheHelloIsAnEnd) {
  feed(MuxAliveCheck{});
  expect_broken("no hello");
}

TEST_F(MuxClientTest, AnotherVersionIsAnEnd) {
  feed(encode_mux(MuxHello{5, {}}));
  expect_broken("version 5");
}

TEST_F(MuxClientTest, ASecondHelloIsAnEnd) {
  hello();
  feed(encode_mux(MuxHello{}));
  expect_broken("second hello");
}

TEST_F(MuxClientTest, AMalformedRequestIsAnEnd) {
  hello();
  feed(from_hex("00000008 10000002 00000000"));
  expect_broken("malformed new session: reserved");
}

TEST_F(MuxClientTest, APacketTooLongIsAnEnd) {
  hello();
  feed(from_hex("00040001"));
  expect_broken("262145 bytes");
}

TEST_F(MuxClientTest, BytesWithoutDescriptorsAreAnEndAndSaidSo) {
  hello();
  feed(new_session(4));
  feed(Bytes{0}, 1);
  feed(Bytes{0});
  EXPECT_EQ(answer(), MuxAnswer(MuxFailure{4, "did not receive file descriptors"}));
  expect_broken("without its descriptors");
}

TEST_F(MuxClientTest, DescriptorsThatNoRequestIsForAreAnEnd) {
  hello();
  feed(encode_mux(MuxRequest(MuxAliveCheck{})), 1);
  EXPECT_EQ(client.state(), State::kAsked);  // it might be for what comes next
  take<MuxAliveCheck>();
  client.answer(MuxAlive{}, now);
  sent();
  expect_broken("no request is for");
}

TEST_F(MuxClientTest, ThreeDescriptorsOnOneByteAreAnEnd) {
  hello();
  feed(MuxNewSession{});
  feed(Bytes{0}, 3);
  expect_broken("no request is for");
}

TEST_F(MuxClientTest, AFloodOfDescriptorsIsAnEndWhileARequestIsCarriedOut) {
  hello();
  feed(MuxAliveCheck{});
  take<MuxAliveCheck>();
  feed(Bytes{}, MuxClient::kMaxDescriptors);
  EXPECT_FALSE(client.error());
  feed(Bytes{}, 1);
  expect_broken("no request is for");
}

TEST_F(MuxClientTest, WhatIsBegunHasToBeCompletedInTime) {
  EXPECT_EQ(client.next_deadline(), now + MuxClient::kPatience);
  client.tick(now + MuxClient::kPatience - milliseconds(1));
  EXPECT_FALSE(client.error());
  client.tick(now + MuxClient::kPatience);
  ASSERT_TRUE(client.error());
  EXPECT_EQ(client.error()->code, Errc::kTimeout);
  expect_broken("hello");
}

TEST_F(MuxClientTest, HalfAPacketIsNotWaitedForForEver) {
  hello();
  EXPECT_EQ(client.next_deadline(), TimePoint::max());  // no request at all is fine
  feed(Bytes{0});
  TimePoint deadline = client.next_deadline();
  EXPECT_EQ(deadline, now + MuxClient::kPatience);
  now += seconds(1);
  feed(Bytes{0, 0});  // a byte now and then buys no time
  EXPECT_EQ(client.next_deadline(), deadline);
  client.tick(deadline);
  expect_broken("rest of a packet");
}

TEST_F(MuxClientTest, DescriptorsAreNotWaitedForForEver) {
  hello();
  feed(new_session(4));
  feed(Bytes{0}, 1);
  client.tick(client.next_deadline());
  EXPECT_EQ(answer(), MuxAnswer(MuxFailure{4, "did not receive file descriptors"}));
  expect_broken("descriptors did not come");
}

TEST_F(MuxClientTest, AClientThatReadsNoAnswersIsNotListenedTo) {
  hello();
  const Bytes unknown = WireWriter().string(WireWriter().u32(0x1000000a).u32(8).take()).take();
  int rounds = 0;
  for (; client.wants_input() && rounds < 100000; ++rounds) feed(unknown);
  EXPECT_LT(rounds, 100000);
  EXPECT_GT(rounds, 1000);
  EXPECT_EQ(client.next_deadline(), TimePoint::max());  // it is us who do not look
  std::size_t answers = 0;
  for (Bytes each = sent(); !each.empty(); each = sent()) answers += each.size() / 35;
  EXPECT_EQ(answers, static_cast<std::size_t>(rounds));  // and all are answered in the end
  EXPECT_TRUE(client.wants_input());
}

TEST_F(MuxClientTest, LittleIsReadAheadWhileARequestIsCarriedOut) {
  hello();
  feed(MuxAliveCheck{});
  take<MuxAliveCheck>();
  EXPECT_TRUE(client.wants_input());  // its end has to be noticed
  feed(Bytes(MuxClient::kMaxReadAhead, 0));
  EXPECT_FALSE(client.wants_input());
}

}  // namespace
}  // namespace jump
