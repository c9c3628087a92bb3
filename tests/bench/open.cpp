// Many connections at once through one forward: the time from connect() to the first byte of the echo, and
// whether all of them got there.
#include <algorithm>
#include <cstdlib>

#include "bench/many_connections.h"
#include "bench/scenario.h"
#include "bench/scene.h"
#include "bench/stats.h"
#include "support/eventually.h"

namespace jump::bench {

namespace {

constexpr Duration kDeadline = seconds(30);  // who waits longer for a connection has given up
constexpr std::size_t kStorm = 1000;         // from here on, one storm a round is samples enough
constexpr std::size_t kSamples = 300;        // of smaller ones, together

struct Opened {
  std::vector<double> p50, p99, all, missing;
};

void open_many(const Scene& scene, std::uint16_t port, std::size_t count, Opened& out) {
  std::vector<double> samples;
  double longest = 0;
  std::size_t missing = 0;
  const std::size_t storms = count >= kStorm ? 1 : kSamples / count;
  for (std::size_t i = 0; i < storms; ++i) {
    {
      const ManyConnections storm(port, count, kDeadline);
      samples.insert(samples.end(), storm.first_byte_ms().begin(), storm.first_byte_ms().end());
      longest = std::max(longest, storm.seconds_for_all());
      missing += count - storm.succeeded();
    }
    scene.far_end().wait_until_quiet();
  }
  out.p50.push_back(percentile(samples, 0.5));
  out.p99.push_back(percentile(samples, 0.99));
  out.all.push_back(longest);
  out.missing.push_back(static_cast<double>(missing));
}

}  // namespace

void open_at_once(const std::string& name, const Settings& settings, Report& report) {
  const auto count = static_cast<std::size_t>(std::atoi(name.substr(name.find('-') + 1).c_str()));
  const Scene scene;
  Opened all[2];
  std::unique_ptr<Contender> contenders[2];
  std::uint16_t ports[2];
  for (int i = 0; i < 2; ++i) {
    contenders[i] = scene.start(kBoth[i]);
    ports[i] = contenders[i]->forward(scene.far_end().echo());
  }
  for (int round = 0; round < settings.rounds; ++round) {
    for (int i = 0; i < 2; ++i) open_many(scene, ports[i], count, all[i]);
  }
  auto add = [&](const char* figure, const char* unit, std::vector<double> Opened::*samples,
                 std::optional<Target> target = {}) {
    report.add({name, figure, unit, all[0].*samples, all[1].*samples, target});
  };
  const auto at_1000 = count == 1000 ? std::optional(Target::ratio_at_most(0.5)) : std::nullopt;
  const auto at_4000 = count == 4000 ? std::optional(Target::ours_at_most(5)) : std::nullopt;
  add("first byte p50", "ms", &Opened::p50);
  add("first byte p99", "ms", &Opened::p99, at_1000);
  add("until the last one", "s", &Opened::all, at_4000);
  add("failed or not there after 30 s", "number", &Opened::missing, Target::ours_at_most(0));
}

void open_far(const std::string& name, const Settings& settings, Report& report) {
  constexpr std::size_t kCount = 100;
  constexpr Duration kRoundTrip = milliseconds(50);
  const double round_trip = to_seconds(kRoundTrip);
  const Scene scene({.way = test::DelayProxyOptions{.round_trip = kRoundTrip}});
  std::vector<double> trips[2], missing[2], warm;
  std::unique_ptr<Contender> contenders[2];
  std::uint16_t ports[2];
  for (int i = 0; i < 2; ++i) {
    contenders[i] = scene.start(kBoth[i]);
    ports[i] = contenders[i]->forward(scene.far_end().echo());
  }
  for (int round = 0; round < settings.rounds; ++round) {
    for (int i = 0; i < 2; ++i) {
      {
        const ManyConnections storm(ports[i], kCount, kDeadline);
        trips[i].push_back(storm.seconds_for_all() / round_trip);
        missing[i].push_back(static_cast<double>(kCount - storm.succeeded()));
      }
      scene.far_end().wait_until_quiet();
    }
  }
  // What passes through four processes twice takes a few milliseconds more than the round trips themselves.
  constexpr double kSlack = 0.3;
  report.add(
      {name, "100 at once, until the last one", "RTT", trips[0], trips[1], Target::ours_at_most(2 + kSlack)});
  report.add(
      {name, "failed or not there after 30 s", "number", missing[0], missing[1], Target::ours_at_most(0)});
  if (!can_prewarm()) {
    report.note(name + ": jumpctl has no --prewarm yet: warm channels were not measured");
    return;
  }
  constexpr int kSpares = 8;
  const std::uint16_t port = contenders[0]->forward(scene.far_end().echo(), kSpares);
  for (int round = 0; round < settings.rounds; ++round) {
    // The spares are connections at the far end: when they are there, so are the channels a round trip later.
    test::eventually([&] { return scene.far_end().open_connections() >= kSpares; });
    test::eventually([&, since = Clock::now()] { return Clock::now() - since > 2 * kRoundTrip; });
    const ManyConnections one(port, 1, kDeadline);
    warm.push_back(one.succeeded() == 1 ? one.first_byte_ms()[0] / 1e3 / round_trip : 1e9);
  }
  report.add({name, "first byte with --prewarm", "RTT", warm, {}, Target::ours_at_most(1 + kSlack)});
}

}  // namespace jump::bench
