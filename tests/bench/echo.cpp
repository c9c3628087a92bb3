// A keystroke while a download fills the path: the round trip of a small channel, on a path whose rate and
// queue all connections share.
#include "bench/scenario.h"
#include "bench/scene.h"
#include "bench/stats.h"
#include "bench/stream_pattern.h"
#include "bench/typing.h"
#include "support/eventually.h"
#include "support/setup_error.h"
#include "support/socket.h"

namespace jump::bench {

namespace {

using test::setup_error;
using test::Socket;

constexpr std::uint64_t kRate = 12'500'000;
constexpr Duration kRoundTrip = milliseconds(40);
constexpr std::size_t kQueue = 1'000'000;   // twice the bandwidth-delay product: 80 ms when full
constexpr Duration kSettling = seconds(2);  // after the download began: reported apart

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
