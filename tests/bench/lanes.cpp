// What a second connection to the same bastion is worth: jumpagent with its lanes and with --no-lanes, in
// turns. There is nothing to compare with in OpenSSH: the columns are jumpagent's.
//
//   echo    a download; then, once a lane is there, a new small channel beside it, on a path that both share
//   bulk    a download; then, once a lane is there, another one beside it, at no delay
#include <thread>

#include "bench/scenario.h"
#include "bench/scene.h"
#include "bench/stats.h"
#include "bench/typing.h"
#include "support/eventually.h"
#include "support/setup_error.h"

namespace jump::bench {

namespace {

using test::setup_error;
using test::Socket;

// The path of the scenario `echo`.
constexpr std::uint64_t kRate = 12'500'000;
constexpr Duration kRoundTrip = milliseconds(40);
constexpr std::size_t kQueue = 1'000'000;
// Contention has to last 2 s; then comes a login.
constexpr Duration kUntilLane = seconds(5);

struct Side {
  const char* name;
  std::vector<std::string> options;
  std::size_t lanes;
};
const Side kSides[] = {{"lanes", {}, 1}, {"--no-lanes", {"--no-lanes"}, 0}};

struct Samples {
  std::vector<double> p50, p99, worst, share, together;
};

Socket connect_to(std::uint16_t port) {
  auto socket = Socket::connect_tcp(port);
  if (!socket) setup_error("the forward's port refuses the connection");
  return std::move(*socket);
}

void must_have(const Contender& contender, const Side& side) {
  if (lanes(contender) != side.lanes) setup_error(std::string(side.name) + ": not as many lanes as expected");
}

void echo(const Scene& scene, const StreamPattern& pattern, const Side& side, Duration how_long,
          Samples& out) {
  const auto contender = scene.start_jumpagent(side.options);
  const std::uint16_t port = contender->forward(scene.far_end().echo());
  Socket early = connect_to(port);
  Background background(pattern, contender->forward(scene.far_end().source()));
  type(early, pattern, kUntilLane);
  must_have(*contender, side);
  Socket late = connect_to(port);  // a terminal that is opened now
  type(late, pattern, seconds(1));
  const std::uint64_t before = background.received();
  const test::Stopwatch time;
  const std::vector<double> times = type(late, pattern, how_long);
  const double rate = static_cast<double>(background.received() - before) / to_seconds(time.elapsed());
  if (background.broken()) setup_error("the download broke or brought wrong bytes");
  out.p50.push_back(percentile(times, 0.5));
  out.p99.push_back(percentile(times, 0.99));
  out.worst.push_back(percentile(times, 1));
  out.share.push_back(rate / static_cast<double>(kRate));
}

void two_downloads(const Scene& scene, const StreamPattern& pattern, const Side& side, Duration how_long,
                   Samples& out) {
  const auto contender = scene.start_jumpagent(side.options);
  const std::uint16_t port = contender->forward(scene.far_end().source());
  Background first(pattern, port);
  std::this_thread::sleep_for(seconds(1));
  Socket other = connect_to(port);  // an open while bulk runs; it asks for nothing
  std::this_thread::sleep_for(kUntilLane);
  must_have(*contender, side);
  Background second(pattern, port);
  std::this_thread::sleep_for(seconds(1));
  const std::uint64_t before = first.received() + second.received();
  const test::Stopwatch time;
  std::this_thread::sleep_for(how_long);
  const std::uint64_t bytes = first.received() + second.received() - before;
  out.together.push_back(static_cast<double>(bytes) / 1e6 / to_seconds(time.elapsed()));
  if (first.broken() || second.broken()) setup_error("a download broke or brought wrong bytes");
}

}  // namespace

void with_and_without_lanes(const std::string& name, const Settings& settings, Report& report) {
  const StreamPattern pattern;
  const Duration how_long = settings.quick ? seconds(4) : seconds(10);
  Samples all[2];
  {
    const Scene scene(
        {.way = test::DelayProxyOptions{.round_trip = kRoundTrip, .rate = kRate, .queue = kQueue}});
    for (int round = 0; round < settings.rounds; ++round) {
      for (int i = 0; i < 2; ++i) echo(scene, pattern, kSides[i], how_long, all[i]);
    }
  }
  {
    const Scene scene;
    for (int round = 0; round < settings.rounds; ++round) {
      for (int i = 0; i < 2; ++i) two_downloads(scene, pattern, kSides[i], how_long / 2, all[i]);
    }
  }
  auto add = [&](const char* figure, const char* unit, std::vector<double> Samples::*samples) {
    for (int i = 0; i < 2; ++i)
      report.add({name, std::string(figure) + ", " + kSides[i].name, unit, all[i].*samples});
  };
  add("echo p50", "ms", &Samples::p50);
  add("echo p99", "ms", &Samples::p99);
  add("echo worst", "ms", &Samples::worst);
  add("bulk beside it, share of the rate", "1", &Samples::share);
  add("two downloads together", "MB/s", &Samples::together);
}

}  // namespace jump::bench
