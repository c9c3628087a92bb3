// A keystroke while a download fills the path: the round trip of a small channel, on a path whose rate and
// queue all connections share. 32 bytes go out every 20 ms whether or not earlier ones are back, as a
// person's typing would.
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "bench/scenario.h"
#include "bench/scene.h"
#include "bench/stats.h"
#include "bench/stream_pattern.h"
#include "support/eventually.h"
#include "support/setup_error.h"
#include "support/socket.h"

namespace jump::bench {

namespace {

using test::setup_error;
using test::Socket;

constexpr std::uint64_t kRate = 12'500'000;
constexpr Duration kRoundTrip = milliseconds(40);
constexpr std::size_t kQueue = 1'000'000;  // twice the bandwidth-delay product: 80 ms when full
constexpr Duration kInterval = milliseconds(20);
constexpr std::size_t kSize = 32;
constexpr Duration kStall = seconds(30);
constexpr Duration kSettling = seconds(2);  // after the download began: reported apart

// The download, on a thread of its own. What it has received so far can be asked for.
class Background {
 public:
  Background(const StreamPattern& pattern, std::uint16_t port) : pattern_(pattern), port_(port) {
    thread_ = std::thread([this] { run(); });
  }
  ~Background() {
    stop_ = true;
    thread_.join();
  }
  std::uint64_t received() const { return received_; }
  bool broken() const { return broken_; }

 private:
  void run() {
    auto socket = Socket::connect_tcp(port_);
    if (!socket || !socket->send_all("!")) broken_ = true;
    Bytes buffer(StreamPattern::kRun);
    while (!broken_) {
      std::size_t got = 0;
      const test::StreamEnd end = socket->receive_some(buffer, &got, kStall);
      if (end == test::StreamEnd::kEof && stop_) return;
      if (end != test::StreamEnd::kOpen || !pattern_.matches(received_, {buffer.data(), got})) broken_ = true;
      received_ += got;
      if (stop_) socket->shutdown_write();
    }
  }

  const StreamPattern& pattern_;
  std::uint16_t port_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> broken_{false};
  std::atomic<std::uint64_t> received_{0};
  std::thread thread_;
};

// Round trips in milliseconds of all that is sent during `how_long`.
std::vector<double> type(Socket& socket, const StreamPattern& pattern, Duration how_long) {
  std::vector<TimePoint> sent;
  std::vector<double> times;
  const TimePoint start = Clock::now();
  Bytes come;
  while (Clock::now() < start + how_long || times.size() < sent.size()) {
    const TimePoint due = start + kInterval * static_cast<int>(sent.size());
    const bool sending = due < start + how_long;
    if (sending && Clock::now() >= due) {
      sent.push_back(Clock::now());
      if (!socket.send_all(ByteView(pattern.at((sent.size() - 1) * kSize), kSize)))
        setup_error("the echo broke");
      continue;
    }
    std::uint8_t buffer[4096];
    std::size_t got = 0;
    const Duration wait = sending ? due - Clock::now() : kStall;
    const test::StreamEnd end = socket.receive_some(buffer, &got, wait);
    if (end != test::StreamEnd::kOpen && !(sending && end == test::StreamEnd::kTimeout))
      setup_error("the echo broke");
    come.insert(come.end(), buffer, buffer + got);
    while (come.size() >= kSize) {
      if (!pattern.matches(times.size() * kSize, ByteView(come).first(kSize)))
        setup_error("the echo brought wrong bytes");
      times.push_back(to_seconds(Clock::now() - sent[times.size()]) * 1e3);
      come.erase(come.begin(), come.begin() + kSize);
    }
  }
  return times;
}

struct Echoes {
  std::vector<double> idle_p50, loaded_p50, loaded_p99, worst_at_first, over_idle, share;
};

void measure(const Scene& scene, const StreamPattern& pattern, Contender& contender, Duration how_long,
             Echoes& out) {
  auto typing = Socket::connect_tcp(contender.forward(scene.far_end().echo()));
  if (!typing) setup_error("the forward's port refuses the connection");
  const std::uint16_t source = contender.forward(scene.far_end().source());
  type(*typing, pattern, milliseconds(200));  // the channel is open after that
  const double idle = percentile(type(*typing, pattern, how_long / 4), 0.5);

  Background background(pattern, source);
  const std::vector<double> first = type(*typing, pattern, kSettling);
  const std::uint64_t before = background.received();
  const test::Stopwatch time;
  const std::vector<double> loaded = type(*typing, pattern, how_long);
  const double rate = static_cast<double>(background.received() - before) / to_seconds(time.elapsed());
  if (background.broken()) setup_error("the download broke or brought wrong bytes");

  out.idle_p50.push_back(idle);
  out.loaded_p50.push_back(percentile(loaded, 0.5));
  out.loaded_p99.push_back(percentile(loaded, 0.99));
  out.worst_at_first.push_back(percentile(first, 1));
  out.over_idle.push_back(percentile(loaded, 0.99) / idle);
  out.share.push_back(rate / static_cast<double>(kRate));
}

}  // namespace

void echo_under_bulk(const std::string& name, const Settings& settings, Report& report) {
  const Scene scene(
      {.way = test::DelayProxyOptions{.round_trip = kRoundTrip, .rate = kRate, .queue = kQueue}});
  const StreamPattern pattern;
  const Duration how_long = settings.quick ? seconds(4) : seconds(10);
  Echoes all[2];
  for (int round = 0; round < settings.rounds; ++round) {
    for (int i = 0; i < 2; ++i) {
      // One at a time: what is asked of an idle connection (keepalives) would share the path.
      const auto contender = scene.start(kBoth[i]);
      measure(scene, pattern, *contender, how_long, all[i]);
    }
  }
  auto add = [&](const char* figure, const char* unit, std::vector<double> Echoes::*samples,
                 std::optional<Target> target = {}) {
    report.add({name, figure, unit, all[0].*samples, all[1].*samples, target});
  };
  add("idle p50", "ms", &Echoes::idle_p50);
  add("under bulk p50", "ms", &Echoes::loaded_p50);
  add("under bulk p99", "ms", &Echoes::loaded_p99);
  add("under bulk p99 over idle", "×", &Echoes::over_idle, Target::ours_at_most(1.5));
  add("worst of bulk's first 2 s", "ms", &Echoes::worst_at_first);
  add("bulk, share of the rate", "1", &Echoes::share, Target::ours_at_least(0.9));
}

}  // namespace jump::bench
