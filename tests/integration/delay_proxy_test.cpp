// The long way that measurements go: it must add what it says, and nothing else.
#include "support/delay_proxy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "support/eventually.h"
#include "support/pattern.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

constexpr std::uint64_t kRate = 12'500'000;
constexpr std::size_t kMiB = 1 << 20;
constexpr double kTolerance = 0.05;

Socket connect_to(const DelayProxy& proxy) {
  auto socket = Socket::connect_tcp(proxy.port());
  EXPECT_TRUE(socket.has_value());
  return std::move(*socket);
}

Duration echo_time(Socket& socket) {
  const Stopwatch time;
  EXPECT_TRUE(socket.send_all("ping"));
  EXPECT_EQ(socket.receive_exactly(4).text(), "ping");
  return time.elapsed();
}

std::string hash_of_all(Socket& socket) {
  Sha256 hash;
  hash.update(socket.receive_all().bytes);
  return hash.hex();
}

std::string hash_of_pattern(std::uint64_t seed, std::size_t size) {
  Sha256 hash;
  hash.update(pattern_bytes(seed, size));
  return hash.hex();
}

TEST(DelayProxy, AddsTheRoundTripAndLittleElse) {
  TcpService echo(TcpService::echo());
  DelayProxy proxy(echo.port(), {.round_trip = milliseconds(40)});
  Socket socket = connect_to(proxy);
  std::vector<Duration> times;
  for (int i = 0; i < 20; ++i) times.push_back(echo_time(socket));
  EXPECT_GE(*std::min_element(times.begin(), times.end()), milliseconds(40));
  std::sort(times.begin(), times.end());
  EXPECT_LT(times[times.size() / 4], milliseconds(44));  // a busy machine may delay the others
}

TEST(DelayProxy, KeepsOrderAndBytesAndHoldsWhatIsOnTheWay) {
  constexpr std::size_t kSize = 48 * kMiB;
  TcpService source(TcpService::source(5, kSize));
  DelayProxy proxy(source.port(), {.round_trip = milliseconds(200)});
  Socket socket = connect_to(proxy);
  const Stopwatch time;
  EXPECT_EQ(hash_of_all(socket), hash_of_pattern(5, kSize));
  // A window of a few MiB would have needed a round trip for each of them.
  EXPECT_LT(time.elapsed(), seconds(2));
  EXPECT_EQ(proxy.bytes_from_target(), kSize);
}

TEST(DelayProxy, HalfClosePassesAndTheOtherDirectionGoesOn) {
  TcpService service(TcpService::answer_after_eof(7, kMiB));
  DelayProxy proxy(service.port(), {.round_trip = milliseconds(10)});
  Socket socket = connect_to(proxy);
  ASSERT_TRUE(socket.send_all(pattern_bytes(1, kMiB)));
  socket.shutdown_write();
  EXPECT_EQ(hash_of_all(socket), hash_of_pattern(7, kMiB));
  EXPECT_EQ(proxy.bytes_to_target(), kMiB);
}

TEST(DelayProxy, AResetReachesTheOtherEnd) {
  TcpService silent(TcpService::silent());
  DelayProxy proxy(silent.port(), {.round_trip = milliseconds(10)});
  Socket socket = connect_to(proxy);
  ASSERT_TRUE(eventually([&] { return silent.open() == 1; }));
  socket.reset();
  EXPECT_TRUE(eventually([&] { return silent.open() == 0; }));
}

TEST(DelayProxy, AReceiverThatDoesNotReadStopsItsSenderOnly) {
  TcpService source(TcpService::endless_source());
  DelayProxy proxy(source.port(), {.round_trip = milliseconds(2), .flight = kMiB});
  Socket stalled = connect_to(proxy), reading = connect_to(proxy);
  std::size_t total = 0;
  std::vector<std::uint8_t> buffer(kMiB);
  while (total < 256 * kMiB) {
    std::size_t got = 0;
    ASSERT_EQ(reading.receive_some(buffer, &got), StreamEnd::kOpen);
    total += got;
  }
  // What went to the stalled one is in kernel buffers, and bounded by them.
  EXPECT_LT(proxy.bytes_from_target() - total, 64 * kMiB);
}

TEST(DelayProxy, HoldsTheRateInBothDirections) {
  constexpr std::size_t kSize = 12'500'000;
  TcpService source(TcpService::source(1, kSize)), sink(TcpService::hash_sink());
  for (const bool down : {true, false}) {
    DelayProxy proxy(down ? source.port() : sink.port(), {.round_trip = milliseconds(40), .rate = kRate});
    Socket socket = connect_to(proxy);
    const Stopwatch time;
    if (down) {
      EXPECT_EQ(socket.receive_all().bytes.size(), kSize);
    } else {
      EXPECT_TRUE(socket.send_all(pattern_bytes(2, kSize)));
      socket.shutdown_write();
      EXPECT_EQ(socket.receive_all().text(), hash_of_pattern(2, kSize));
    }
    const double expected = static_cast<double>(kSize) / kRate;
    EXPECT_NEAR(to_seconds(time.elapsed()), expected + 0.04, expected * kTolerance) << (down ? "down" : "up");
  }
}

TEST(DelayProxy, ConnectionsShareTheRateAlike) {
  constexpr std::size_t kSize = 5'000'000;
  TcpService source(TcpService::source(1, kSize));
  DelayProxy proxy(source.port(), {.round_trip = milliseconds(10), .rate = kRate});
  double seconds_taken[2] = {};
  auto take = [&](int i) {
    Socket socket = connect_to(proxy);
    const Stopwatch time;
    EXPECT_EQ(socket.receive_all().bytes.size(), kSize);
    seconds_taken[i] = to_seconds(time.elapsed());
  };
  std::thread other(take, 1);
  take(0);
  other.join();
  const double expected = 2.0 * kSize / kRate;
  EXPECT_NEAR(std::max(seconds_taken[0], seconds_taken[1]), expected, expected * kTolerance);
  EXPECT_GT(std::min(seconds_taken[0], seconds_taken[1]), expected * 0.85);
}

TEST(DelayProxy, AFullQueueDelaysOthersByItsLengthAndNoMore) {
  constexpr std::size_t kQueue = 1'000'000;  // 80 ms at this rate
  // One port for both services: whoever sends first wants its bytes back.
  TcpService both([&](Socket& socket) {
    std::uint8_t first = 0;
    std::size_t got = 0;
    if (socket.receive_some({&first, 1}, &got) != StreamEnd::kOpen) return;
    (first == 'b' ? TcpService::endless_source() : TcpService::echo())(socket);
  });
  DelayProxy proxy(both.port(), {.round_trip = milliseconds(40), .rate = kRate, .queue = kQueue});
  Socket small = connect_to(proxy), bulk = connect_to(proxy);
  ASSERT_TRUE(small.send_all("e"));
  ASSERT_TRUE(bulk.send_all("b"));
  std::vector<std::uint8_t> buffer(kMiB);
  auto read_for = [&](Duration how_long) {
    for (const Stopwatch time; time.elapsed() < how_long;) {
      std::size_t got = 0;
      ASSERT_EQ(bulk.receive_some(buffer, &got), StreamEnd::kOpen);
    }
  };
  read_for(milliseconds(500));
  std::atomic<bool> measured{false};
  std::thread reader([&] {
    while (!measured) read_for(milliseconds(10));
  });
  std::vector<Duration> times;
  for (int i = 0; i < 10; ++i) times.push_back(echo_time(small));
  measured = true;
  reader.join();
  std::sort(times.begin(), times.end());
  EXPECT_GT(times[times.size() / 2], milliseconds(110));
  EXPECT_LT(times[times.size() / 2], milliseconds(130));
}

}  // namespace
}  // namespace jump::test
