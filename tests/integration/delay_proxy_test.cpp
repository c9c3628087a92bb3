// The long way that measurements go: it must add what it says, and nothing else.
#include "support/delay_proxy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "support/eventually.h"
#include "support/pattern.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

constexpr std::uint64_t kRate = 3'000'000;
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

// A busy machine makes it slower, never faster: what is at least so long has to hold each time, what is at
// most so long once. Returns the shortest time of the tries, which end with the first that takes no longer
// than `most`.
double shortest(double most, const std::function<double()>& take) {
  double best = take();
  for (int again = 0; again < 12 && best > most; ++again) best = std::min(best, take());
  return best;
}

TEST(DelayProxy, AddsTheRoundTripAndLittleElse) {
  TcpService echo(TcpService::echo());
  DelayProxy proxy(echo.port(), {.round_trip = milliseconds(40)});
  Socket socket = connect_to(proxy);
  const double best = shortest(0.044, [&] {
    const double time = to_seconds(echo_time(socket));
    EXPECT_GE(time, 0.040);
    return time;
  });
  EXPECT_LT(best, 0.044);
}

TEST(DelayProxy, KeepsOrderAndBytesAndHoldsWhatIsOnTheWay) {
  constexpr std::size_t kSize = 48 * kMiB;
  TcpService source(TcpService::source(5, kSize));
  const std::string hash = hash_of_pattern(5, kSize);
  const auto take = [&](Duration round_trip) {
    DelayProxy proxy(source.port(), {.round_trip = round_trip});
    Socket socket = connect_to(proxy);
    const Stopwatch time;
    EXPECT_EQ(hash_of_all(socket), hash);
    EXPECT_EQ(proxy.bytes_from_target(), kSize);
    return to_seconds(time.elapsed());
  };
  // A window of a few MiB would have needed a round trip for each of them.
  const double most = 1.5 * take(Duration::zero()) + 1.0;
  EXPECT_LT(shortest(most, [&] { return take(milliseconds(200)); }), most);
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
  constexpr std::size_t kSize = 3'000'000;
  constexpr double kExpected = static_cast<double>(kSize) / kRate + 0.04;
  TcpService source(TcpService::source(1, kSize)), sink(TcpService::hash_sink());
  const Bytes sent = pattern_bytes(2, kSize);
  const std::string sent_hash = hash_of_pattern(2, kSize);
  for (const bool down : {true, false}) {
    const double best = shortest(kExpected * (1 + kTolerance), [&] {
      DelayProxy proxy(down ? source.port() : sink.port(), {.round_trip = milliseconds(40), .rate = kRate});
      const Stopwatch time;
      Socket socket = connect_to(proxy);
      if (down) {
        EXPECT_EQ(socket.receive_all().bytes.size(), kSize);
      } else {
        EXPECT_TRUE(socket.send_all(sent));
        socket.shutdown_write();
        EXPECT_EQ(socket.receive_all().text(), sent_hash);
      }
      EXPECT_GT(to_seconds(time.elapsed()), kExpected * (1 - kTolerance)) << (down ? "down" : "up");
      return to_seconds(time.elapsed());
    });
    EXPECT_LT(best, kExpected * (1 + kTolerance)) << (down ? "down" : "up");
  }
}

TEST(DelayProxy, ConnectionsShareTheRateAlike) {
  constexpr std::size_t kSize = 1'200'000;
  constexpr double kExpected = 2.0 * kSize / kRate;
  TcpService source(TcpService::source(1, kSize));
  const double best = shortest(kExpected * (1 + kTolerance), [&] {
    DelayProxy proxy(source.port(), {.round_trip = milliseconds(10), .rate = kRate});
    double seconds_taken[2] = {};
    const Stopwatch all;
    auto take = [&](int i) {
      const Stopwatch time;
      Socket socket = connect_to(proxy);
      EXPECT_EQ(socket.receive_all().bytes.size(), kSize);
      seconds_taken[i] = to_seconds(time.elapsed());
    };
    std::thread other(take, 1);
    take(0);
    other.join();
    const double last = to_seconds(all.elapsed());
    EXPECT_GT(last, kExpected * (1 - kTolerance));
    // Whoever of the two ends first had its half of the time, or began so much later.
    const bool alike = std::min(seconds_taken[0], seconds_taken[1]) > kExpected * 0.85;
    return alike ? last : kExpected * 10;
  });
  EXPECT_LT(best, kExpected * (1 + kTolerance));
}

TEST(DelayProxy, AFullQueueDelaysOthersByItsLengthAndNoMore) {
  constexpr std::size_t kQueue = 240'000;  // 80 ms at this rate
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
  const double best = shortest(0.130, [&] {
    std::vector<Duration> times;
    for (int i = 0; i < 10; ++i) times.push_back(echo_time(small));
    std::sort(times.begin(), times.end());
    // A source that this machine does not let run leaves the queue short.
    const double median = to_seconds(times[times.size() / 2]);
    return median > 0.110 ? median : 10;
  });
  measured = true;
  reader.join();
  EXPECT_LT(best, 0.130);
}

}  // namespace
}  // namespace jump::test
