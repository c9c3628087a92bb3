// Bytes through a local forward: a real sshd, real TCP on both ends, and every byte accounted for. Most tests
// run twice, through the agent and through `ssh -L`: what stock ssh cannot pass is not asked of the agent.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <stdexcept>
#include <utility>
#include <vector>

#include "support/black_hole.h"
#include "support/build_kind.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/pattern.h"
#include "support/socket.h"
#include "support/tcp_service.h"
#include "support/tunnel.h"

namespace jump::test {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kSshBulk = 64 * kMiB;  // the yardstick's share: enough to show that the test works
constexpr Duration kBulkDeadline = seconds(240);
constexpr std::size_t kPiece = 256 * 1024;

std::string carrier_name(const ::testing::TestParamInfo<Carrier>& info) {
  return info.param == Carrier::kAgent ? "agent" : "ssh";
}

std::size_t bulk_for(Carrier carrier) {
  return carrier == Carrier::kAgent ? bulk_size() : std::min(kSshBulk, bulk_size());
}

Socket connect(std::uint16_t port) {
  std::optional<Socket> socket = Socket::connect_tcp(port);
  if (!socket) throw std::runtime_error("the forward's port refuses a connection");
  return std::move(*socket);
}

bool send_pattern(Socket& socket, std::uint64_t seed, std::size_t size) {
  Pattern pattern(seed);
  Bytes piece;
  for (std::size_t done = 0; done < size; done += piece.size()) {
    piece.resize(std::min(kPiece, size - done));
    pattern.fill(piece);
    if (!socket.send_all(piece)) return false;
  }
  return true;
}

struct Digest {
  std::string sha256;
  std::size_t size = 0;
  StreamEnd end = StreamEnd::kOpen;
};

Digest receive_digest(Socket& socket) {
  const TimePoint deadline = Clock::now() + kBulkDeadline;
  Digest digest;
  Sha256 hash;
  Bytes buffer(kPiece);
  while (digest.end == StreamEnd::kOpen) {
    std::size_t got = 0;
    digest.end = socket.receive_some(buffer, &got, deadline - Clock::now());
    hash.update(ByteView(buffer).first(got));
    digest.size += got;
  }
  digest.sha256 = hash.hex();
  return digest;
}

void expect_upload_arrives(Lab& lab, Carrier carrier, std::size_t size) {
  TcpService sink(TcpService::hash_sink());
  Tunnel tunnel(carrier, lab, sink.port());
  Socket socket = connect(tunnel.port());
  ASSERT_TRUE(send_pattern(socket, 11, size));
  socket.shutdown_write();
  const Received answer = socket.receive_all(kBulkDeadline);
  EXPECT_EQ(answer.end, StreamEnd::kEof);
  EXPECT_EQ(answer.text(), pattern_sha256(11, size));
}

void expect_download_arrives(Lab& lab, Carrier carrier, std::size_t size) {
  TcpService source(TcpService::source(12, size));
  Tunnel tunnel(carrier, lab, source.port());
  Socket socket = connect(tunnel.port());
  const Digest digest = receive_digest(socket);
  EXPECT_EQ(digest.end, StreamEnd::kEof);
  EXPECT_EQ(digest.size, size);
  EXPECT_EQ(digest.sha256, pattern_sha256(12, size));
}

class Forward : public ::testing::TestWithParam<Carrier> {};
INSTANTIATE_TEST_SUITE_P(Through, Forward, ::testing::Values(Carrier::kAgent, Carrier::kSsh), carrier_name);

TEST_P(Forward, BulkUploadArrivesWithTheRightHash) {
  Lab lab;
  expect_upload_arrives(lab, GetParam(), bulk_for(GetParam()));
}

TEST_P(Forward, BulkDownloadArrivesWithTheRightHash) {
  Lab lab;
  expect_download_arrives(lab, GetParam(), bulk_for(GetParam()));
}

LabOptions rekeying() {
  LabOptions options;
  options.sshd.config = {"RekeyLimit 16M"};
  return options;
}

TEST_P(Forward, BulkUploadSurvivesRekeying) {
  Lab lab(rekeying());
  expect_upload_arrives(lab, GetParam(), bulk_for(GetParam()));
}

TEST_P(Forward, BulkDownloadSurvivesRekeying) {
  Lab lab(rekeying());
  expect_download_arrives(lab, GetParam(), bulk_for(GetParam()));
}

TEST_P(Forward, BothDirectionsAtOnceSurviveRekeying) {
  const std::size_t size = bulk_for(GetParam()) / 4;
  Lab lab(rekeying());
  TcpService echo(TcpService::echo());
  Tunnel tunnel(GetParam(), lab, echo.port());
  Socket socket = connect(tunnel.port());
  auto sent = std::async(std::launch::async, [&] {
    const bool ok = send_pattern(socket, 13, size);
    socket.shutdown_write();
    return ok;
  });
  const Digest digest = receive_digest(socket);
  EXPECT_TRUE(sent.get());
  EXPECT_EQ(digest.size, size);
  EXPECT_EQ(digest.sha256, pattern_sha256(13, size));
}

// The agent counts the rekeys of a connection: with the server's limit at 16 MiB there is one per 16 MiB or
// so.
TEST(ForwardStatus, CountsRekeysAndBytesOfATransfer) {
  const std::size_t size = 128 * kMiB;
  Lab lab(rekeying());
  TcpService source(TcpService::source(14, size));
  const auto forward =
      lab.agent().open_forward(Lab::kBastion, "0:127.0.0.1:" + std::to_string(source.port()));
  Socket socket = connect(port_of(forward.at("listen")));
  EXPECT_EQ(receive_digest(socket).size, size);

  const auto host = lab.agent().host_status(Lab::kBastion);
  EXPECT_GE(host.at("rekeys").get<int>(), 4) << host;
  EXPECT_GE(host.at("bytes_in").get<std::size_t>(), size) << host;
  const auto after = lab.agent().forward_status(forward.at("id"));
  EXPECT_EQ(after.at("bytes_in").get<std::size_t>(), size) << after;
  EXPECT_EQ(after.at("connections_total").get<int>(), 1) << after;
}

// --- many at once ---

// Sends its own bytes through an echo, in several rounds, and looks at each byte that comes back.
std::string exchange_own_bytes(std::uint16_t port, std::uint64_t seed, std::size_t size) {
  std::optional<Socket> socket = Socket::connect_tcp(port, seconds(30));
  if (!socket) return "refused";
  const Bytes sent = pattern_bytes(seed, size);
  for (int round = 0; round < 3; ++round) {
    if (!socket->send_all(sent)) return "broke while sending";
    const Received back = socket->receive_exactly(size);
    if (back.bytes != sent)
      return "other bytes than its own, or " + std::to_string(back.bytes.size()) + " of them";
  }
  socket->shutdown_write();
  return socket->receive_all().end == StreamEnd::kEof ? "ok" : "did not end in order";
}

TEST_P(Forward, TwoHundredConnectionsAtOnceEachGetTheirOwnBytes) {
  constexpr std::size_t kConnections = 200;
  Lab lab;
  TcpService echo(TcpService::echo());
  Tunnel tunnel(GetParam(), lab, echo.port());
  std::vector<std::future<std::string>> outcomes;
  for (std::size_t i = 0; i < kConnections; ++i) {
    outcomes.push_back(std::async(std::launch::async, [&tunnel, i] {
      return exchange_own_bytes(tunnel.port(), 1000 + i, 20000 + 37 * i);
    }));
  }
  for (std::size_t i = 0; i < kConnections; ++i) EXPECT_EQ(outcomes[i].get(), "ok") << "connection " << i;
  EXPECT_EQ(echo.accepted(), kConnections);
}

// Two services behind one bastion, opened in turn without waiting: nobody gets the other's channel.
TEST(ForwardMany, InterleavedOpensToTwoTargetsReachTheirOwn) {
  Lab lab;
  TcpService one(TcpService::say(to_bytes(as_bytes("one")), true));
  TcpService two(TcpService::say(to_bytes(as_bytes("two")), true));
  const std::uint16_t ports[2] = {lab.agent().forward_port(Lab::kBastion, one.port()),
                                  lab.agent().forward_port(Lab::kBastion, two.port())};
  std::vector<Socket> sockets;
  for (std::size_t i = 0; i < 100; ++i) sockets.push_back(connect(ports[i % 2]));
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    EXPECT_EQ(sockets[i].receive_all(seconds(30)).text(), i % 2 ? "two" : "one") << "connection " << i;
  }
}

TEST(ForwardMany, AThousandShortConnectionsLeaveNoDescriptorAndNoChannelBehind) {
  Lab lab;
  TcpService hello(TcpService::say(to_bytes(as_bytes("hello")), true));
  const std::uint16_t port = lab.agent().forward_port(Lab::kBastion, hello.port());
  ASSERT_EQ(connect(port).receive_all().text(), "hello");
  const auto channels = [&] { return lab.agent().host_status(Lab::kBastion).at("channels").get<int>(); };
  const auto descriptors = [&] { return lab.agent().status().at("agent").at("descriptors").get<int>(); };
  ASSERT_TRUE(eventually([&] { return channels() == 0; }));
  const int before = descriptors();
  // sshd leaves Nagle's algorithm on, so each of these waits for a delayed ACK; twenty clients wait side by
  // side.
  std::vector<std::future<int>> clients;
  for (int client = 0; client < 20; ++client) {
    clients.push_back(std::async(std::launch::async, [port] {
      int served = 0;
      for (int i = 0; i < 50; ++i) served += connect(port).receive_all().text() == "hello";
      return served;
    }));
  }
  for (auto& client : clients) EXPECT_EQ(client.get(), 50);
  EXPECT_TRUE(eventually([&] { return channels() == 0; })) << channels() << " channels are left";
  EXPECT_TRUE(eventually([&] { return descriptors() <= before; })) << before << " -> " << descriptors();
}

// --- ends ---

TEST_P(Forward, AHalfClosedConnectionIsAnsweredInFull) {
  const std::size_t size = 32 * kMiB + 4321;
  Lab lab;
  TcpService service(TcpService::answer_after_eof(15, size));
  Tunnel tunnel(GetParam(), lab, service.port());
  Socket socket = connect(tunnel.port());
  ASSERT_TRUE(send_pattern(socket, 16, 3 * kMiB));
  socket.shutdown_write();
  const Digest digest = receive_digest(socket);
  EXPECT_EQ(digest.end, StreamEnd::kEof);
  EXPECT_EQ(digest.size, size);
  EXPECT_EQ(digest.sha256, pattern_sha256(15, size));
}

TEST_P(Forward, AnEndOfTheTargetsDirectionLeavesOursRunning) {
  Lab lab;
  std::string got;
  {
    TcpService service(TcpService::read_after_own_eof(&got));
    Tunnel tunnel(GetParam(), lab, service.port());
    Socket socket = connect(tunnel.port());
    const Received received = socket.receive_all(seconds(20));
    EXPECT_EQ(received.end, StreamEnd::kEof);
    ASSERT_TRUE(socket.send_all(std::string_view("said after your end")));
    socket.shutdown_write();
    EXPECT_TRUE(eventually([&] { return service.accepted() == 1 && service.open() == 0; }));
  }
  EXPECT_EQ(got, "said after your end");
}

TEST_P(Forward, ATargetThatRefusesEndsTheConnectionSoon) {
  Lab lab;
  const ReservedPort nobody;
  Tunnel tunnel(GetParam(), lab, nobody.number());
  Socket socket = connect(tunnel.port());
  const Received received = socket.receive_all(seconds(10));
  EXPECT_TRUE(received.ended());
  EXPECT_TRUE(received.bytes.empty());
}

// --- backpressure ---

TEST(ForwardPressure, AReaderThatStopsHoldsItsSenderBackAndNobodyElse) {
  constexpr std::size_t kMost = 96 * kMiB;  // two sockets' buffers, the agent's and sshd's windows
  Lab lab;
  TcpService endless(TcpService::endless_source()), echo(TcpService::echo());
  const std::uint16_t stalled_port = lab.agent().forward_port(Lab::kBastion, endless.port());
  const std::uint16_t echo_port = lab.agent().forward_port(Lab::kBastion, echo.port());
  Socket stalled = connect(stalled_port);
  ASSERT_EQ(stalled.receive_exactly(1000).end, StreamEnd::kOpen);

  const auto carried = [&] {
    return lab.agent().host_status(Lab::kBastion).at("bytes_in").get<std::size_t>();
  };
  std::size_t last = 0;
  ASSERT_TRUE(eventually([&] { return std::exchange(last, carried()) == last && last > 0; }, seconds(20)));
  EXPECT_LT(carried(), kMost);
  EXPECT_EQ(exchange_own_bytes(echo_port, 5, 100000), "ok");
  EXPECT_LT(carried(), kMost);
}

TEST(ForwardPressure, ATargetThatStopsReadingHoldsItsClientBackAndNobodyElse) {
  constexpr std::size_t kMost = 96 * kMiB;
  Lab lab;
  TcpService deaf(TcpService::silent()), echo(TcpService::echo());
  const std::uint16_t deaf_port = lab.agent().forward_port(Lab::kBastion, deaf.port());
  const std::uint16_t echo_port = lab.agent().forward_port(Lab::kBastion, echo.port());
  Socket stalled = connect(deaf_port);
  EXPECT_LT(stalled.send_until_stuck(milliseconds(500)), kMost);
  EXPECT_EQ(exchange_own_bytes(echo_port, 6, 100000), "ok");
}

// --- a target that never answers ---

TEST(ForwardBlackHole, AnOpenToABlackHoleFailsAloneWhileFiftyOthersSucceed) {
  constexpr int kOthers = 50;
  constexpr Duration kOpenDeadline = seconds(20);
  constexpr Duration kSlack = seconds(20);
  constexpr Duration kNormalSpeed = seconds(15);
  Lab lab;
  lab.cold_agent().run({"--open-timeout", "20"});
  BlackHole hole;
  TcpService echo(TcpService::echo());
  const std::uint16_t hole_port = lab.agent().forward_port(Lab::kBastion, hole.port());
  const std::uint16_t echo_port = lab.agent().forward_port(Lab::kBastion, echo.port());

  Stopwatch since_open;
  Socket doomed = connect(hole_port);
  ASSERT_TRUE(eventually([&] {
    return lab.agent().host_status(Lab::kBastion).at("channels_opening").get<int>() == 1;
  })) << "the open did not reach the bastion";

  Stopwatch others;
  std::vector<std::future<std::string>> outcomes;
  for (std::uint64_t i = 0; i < kOthers; ++i) {
    outcomes.push_back(
        std::async(std::launch::async, [=] { return exchange_own_bytes(echo_port, i, 1000); }));
  }
  for (auto& outcome : outcomes) EXPECT_EQ(outcome.get(), "ok");
  EXPECT_LT(to_seconds(others.elapsed()), to_seconds(kNormalSpeed));
  std::uint8_t byte = 0;
  std::size_t got = 0;
  EXPECT_EQ(doomed.receive_some({&byte, 1}, &got, Duration::zero()), StreamEnd::kTimeout)
      << "the black hole answered: this test has proved nothing";

  EXPECT_TRUE(doomed.wait_end(kOpenDeadline + kSlack - since_open.elapsed())) << "the open has no deadline";
  EXPECT_GE(since_open.elapsed(), kOpenDeadline) << "it did not end by its deadline, but before";
  EXPECT_EQ(exchange_own_bytes(echo_port, 99, 1000), "ok");
  EXPECT_EQ(lab.agent().host_status(Lab::kBastion).at("state"), "ready");
}

TEST(ForwardBlackHole, ABlackHoleOfThisKernelNeverAnswers) {
  BlackHole hole;
  EXPECT_FALSE(Socket::connect_tcp(hole.port(), seconds(2)).has_value());
}

// --- the ends of a forward that are no TCP port ---

TEST(ForwardUnix, AUnixSocketCanListen) {
  Lab lab;
  TcpService echo(TcpService::echo());
  const std::string path = lab.directory().file("listen.sock");
  lab.agent().open_forward(Lab::kBastion, path + ":127.0.0.1:" + std::to_string(echo.port()));
  std::optional<Socket> socket = Socket::connect_unix(path);
  ASSERT_TRUE(socket.has_value());
  ASSERT_TRUE(socket->send_all(std::string_view("over a path")));
  EXPECT_EQ(socket->receive_exactly(11).text(), "over a path");
}

}  // namespace
}  // namespace jump::test
