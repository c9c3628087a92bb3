// Bulk transfers, one at a time: how fast, and what they cost the client program.
#include <cstdlib>
#include <map>
#include <string>

#include "bench/scenario.h"
#include "bench/scene.h"
#include "bench/transfer.h"

namespace jump::bench {

namespace {

struct Direction {
  const char* name;
  Transferred (*transfer)(const StreamPattern&, std::uint16_t, Duration);
  std::uint16_t (FarEnd::*port)() const;
};
constexpr Direction kDirections[] = {{"down", download, &FarEnd::source}, {"up", upload, &FarEnd::sink}};

struct Side {
  std::unique_ptr<Contender> contender;
  std::map<std::string, std::uint16_t> ports;
};

struct Measured {
  std::vector<double> speed[2], cpu[2];  // by Program
};

// For each direction, in turns.
std::map<std::string, Measured> measure(const Scene& scene, int rounds, Duration how_long) {
  const StreamPattern pattern;
  Side sides[2];
  for (Program program : kBoth) {
    Side& side = sides[static_cast<int>(program)];
    side.contender = scene.start(program);
    for (const Direction& d : kDirections)
      side.ports[d.name] = side.contender->forward((scene.far_end().*d.port)());
  }
  std::map<std::string, Measured> all;
  for (int round = 0; round < rounds; ++round) {
    for (const Direction& d : kDirections) {
      for (int i = 0; i < 2; ++i) {
        const pid_t pid = sides[i].contender->pid();
        const double cpu = cpu_seconds(pid);
        const Transferred done = d.transfer(pattern, sides[i].ports[d.name], how_long);
        scene.far_end().wait_until_quiet();
        all[d.name].speed[i].push_back(done.megabytes_per_second());
        all[d.name].cpu[i].push_back((cpu_seconds(pid) - cpu) / (static_cast<double>(done.bytes) / 1e9));
      }
    }
  }
  return all;
}

void at_once(const std::string& name, const Settings& settings, Report& report, const SceneOptions& options,
             double speed, double cpu) {
  const Scene scene(options);
  const Duration how_long = settings.quick ? milliseconds(1000) : milliseconds(2500);
  for (auto& [direction, m] : measure(scene, settings.rounds, how_long)) {
    report.add({name, direction, "MB/s", m.speed[0], m.speed[1], Target::ratio_at_least(speed)});
    report.add({name, direction, "CPU s per GB", m.cpu[0], m.cpu[1], Target::ratio_at_most(cpu)});
  }
}

}  // namespace

void bulk(const std::string& name, const Settings& settings, Report& report) {
  at_once(name, settings, report, {}, 2.0, 0.5);
}

void bulk_gcm(const std::string& name, const Settings& settings, Report& report) {
  at_once(name, settings, report, {.sshd_config = {"Ciphers aes128-gcm@openssh.com"}}, 1.0, 0.8);
}

void bulk_long(const std::string& name, const Settings& settings, Report& report) {
  const int round_trip = std::atoi(name.substr(name.find('-') + 1).c_str());
  const Scene scene({.way = test::DelayProxyOptions{.round_trip = milliseconds(round_trip)}});
  const Duration how_long = settings.quick ? milliseconds(3000) : milliseconds(6000);
  auto all = measure(scene, settings.rounds, how_long);
  const double down = round_trip >= 100 ? 6.0 : 3.0;
  // A server's window of 2 MiB limits uploads, whoever the client is: as fast as ssh, but for the noise, is
  // all.
  constexpr double kUp = 0.97;
  report.add(
      {name, "down", "MB/s", all["down"].speed[0], all["down"].speed[1], Target::ratio_at_least(down)});
  report.add({name, "up", "MB/s", all["up"].speed[0], all["up"].speed[1], Target::ratio_at_least(kUp)});
}

}  // namespace jump::bench
