// Ten thousand connections that do nothing: what they cost the client program, and whether they are alive.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "bench/many_connections.h"
#include "bench/scenario.h"
#include "bench/scene.h"
#include "support/proc_info.h"

namespace jump::bench {

namespace {

constexpr std::size_t kBatch = 500;  // at once: that so many can be opened in a storm is another measurement
constexpr Duration kDeadline = seconds(60);
constexpr std::size_t kSpareDescriptors = 500;

struct Idle {
  std::vector<double> memory, dead, cpu;
};

// As many as our own descriptors allow; a program between us and the bastion has no more than we.
std::size_t connections_possible(std::size_t wanted) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return std::min<std::size_t>(wanted, limit.rlim_cur - kSpareDescriptors);
}

void measure(const Scene& scene, Program program, std::size_t count, Duration idle, Idle& out) {
  const auto contender = scene.start(program);
  const std::uint16_t port = contender->forward(scene.far_end().echo());
  // The first connection brings code and tables into memory that are not its own cost.
  { const ManyConnections first(port, 1, kDeadline); }
  scene.far_end().wait_until_quiet();
  const std::size_t before = test::resident_bytes(contender->pid());

  std::vector<std::unique_ptr<ManyConnections>> batches;
  std::size_t open = 0, alive = 0;
  for (std::size_t begun = 0; begun < count; begun += kBatch) {
    batches.push_back(std::make_unique<ManyConnections>(port, std::min(kBatch, count - begun), kDeadline));
    open += batches.back()->succeeded();
  }
  const std::size_t after = test::resident_bytes(contender->pid());

  const double cpu = cpu_seconds(contender->pid());
  std::this_thread::sleep_for(idle);  // time itself is measured
  out.cpu.push_back((cpu_seconds(contender->pid()) - cpu) / to_seconds(idle) * 100);
  for (auto& batch : batches) alive += batch->count_alive(kDeadline);
  const double grown = after > before ? static_cast<double>(after - before) : 0;
  out.memory.push_back(open ? grown / 1024 / static_cast<double>(open) : 0);
  out.dead.push_back(static_cast<double>(count - alive));
  batches.clear();
  scene.far_end().wait_until_quiet();
}

}  // namespace

void idle_connections(const std::string& name, const Settings& settings, Report& report) {
  const std::size_t count = connections_possible(static_cast<std::size_t>(std::atoi(name.substr(5).c_str())));
  const Duration idle = settings.quick ? seconds(3) : seconds(10);
  Idle all[2];
  {
    // An sshd of its own for each: one that has served ten thousand channels is slower than a fresh one.
    const Scene scene;
    measure(scene, Program::kJumpagent, count, idle, all[0]);
  }
  const std::size_t theirs = count;
  try {
    const Scene scene;
    measure(scene, Program::kOpenssh, theirs, idle, all[1]);
  } catch (const std::exception& e) {
    report.note(fmt::format("{}: OpenSSH could not hold {} connections: {}", name, theirs, e.what()));
    all[1] = {};
  }
  report.note(fmt::format("{}: {} connections; the sshd's memory for them is not counted", name, count));
  report.add(
      {name, "memory of the client, each", "KiB", all[0].memory, all[1].memory, Target::ours_at_most(8)});
  report.add({name, "not alive afterwards", "number", all[0].dead, all[1].dead, Target::ours_at_most(0)});
  report.add({name, "CPU while idle", "%", all[0].cpu, all[1].cpu, Target::ours_at_most(1)});
}

}  // namespace jump::bench
