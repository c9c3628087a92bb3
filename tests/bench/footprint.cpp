// What the programs take while nothing happens: disk and libraries of jumpctl, memory of the idle agent.
#include <filesystem>
#include <string>

#include "bench/scenario.h"
#include "bench/scene.h"
#include "support/agent_process.h"
#include "support/proc_info.h"
#include "support/setup_error.h"
#include "support/temp_dir.h"

namespace jump::bench {

namespace {

using test::setup_error;

constexpr double kMiB = 1024 * 1024;
constexpr Duration kDeadline = seconds(20);

std::string output_of(const CommandLine& command) {
  const test::ProcessResult result = test::run_process(command, kDeadline);
  if (!result.ok()) setup_error(command[0] + ": " + result.describe());
  return result.out;
}

double stripped_mib(const std::string& program) {
  const test::TempDir directory;
  const std::string copy = directory.file("stripped");
  output_of({"strip", "-o", copy, program});
  return static_cast<double>(std::filesystem::file_size(copy)) / kMiB;
}

}  // namespace

void size(const std::string& name, const Settings&, Report& report) {
  const std::string ctl = test::ctl_program();
  const std::string ssh = output_of({"sh", "-c", "command -v ssh"});
  report.add({name,
              "jumpctl / ssh, stripped",
              "MiB",
              {stripped_mib(ctl)},
              {stripped_mib(ssh.substr(0, ssh.find('\n')))},
              Target::ours_at_most(1.5)});
  report.add({name, "jumpagent, stripped", "MiB", {stripped_mib(test::agent_program())}});

  const std::string libraries = output_of({"ldd", ctl});
  double unwanted = 0;
  for (const char* library : {"libuv", "libssh2", "libcrypto", "libssl"}) {
    if (libraries.find(library) == std::string::npos) continue;
    ++unwanted;
    report.note(name + ": jumpctl is linked with " + library);
  }
  report.add(
      {name, "libraries of the agent's in jumpctl", "number", {unwanted}, {}, Target::ours_at_most(0)});
}

void memory(const std::string& name, const Settings& settings, Report& report) {
  const Scene scene;
  std::vector<double> resident[2];
  for (int round = 0; round < settings.rounds; ++round) {
    for (int i = 0; i < 2; ++i) {
      const auto contender = scene.start(kBoth[i]);
      contender->forward(scene.far_end().echo());
      resident[i].push_back(static_cast<double>(test::resident_bytes(contender->pid())) / kMiB);
    }
  }
  report.add({name, "idle, one login, one forward", "MiB", resident[0], resident[1]});
}

}  // namespace jump::bench
