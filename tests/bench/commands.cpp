// What a user waits for after a command: the whole life of the small client program, from fork to its end.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>

#include "bench/scenario.h"
#include "bench/scene.h"
#include "bench/stats.h"
#include "support/eventually.h"
#include "support/reserved_port.h"
#include "support/setup_error.h"

namespace jump::bench {

namespace {

using test::setup_error;

// posix_spawn() rather than support/process.h: that one's threads and pipes would be measured, too.
class Runner {
 public:
  explicit Runner(const test::Environment& environment) {
    for (const auto& [name, value] : environment) assignments_.push_back(name + "=" + value);
    for (std::string& a : assignments_) environment_.push_back(a.data());
    environment_.push_back(nullptr);
    ::posix_spawn_file_actions_init(&actions_);
    for (int fd : {0, 1, 2}) ::posix_spawn_file_actions_addopen(&actions_, fd, "/dev/null", O_RDWR, 0);
  }
  ~Runner() { ::posix_spawn_file_actions_destroy(&actions_); }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Milliseconds. It must succeed.
  double time(CommandLine command) {
    std::vector<char*> argv;
    for (std::string& a : command) argv.push_back(a.data());
    argv.push_back(nullptr);
    pid_t pid = 0;
    int status = 0;
    const test::Stopwatch time;
    if (::posix_spawnp(&pid, argv[0], &actions_, nullptr, argv.data(), environment_.data()) != 0) {
      setup_error("cannot run " + command[0]);
    }
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    const double elapsed = to_seconds(time.elapsed()) * 1e3;
    if (status != 0) setup_error(command[0] + " failed");
    return elapsed;
  }

 private:
  std::vector<std::string> assignments_;
  std::vector<char*> environment_;
  posix_spawn_file_actions_t actions_;
};

}  // namespace

void commands(const std::string& name, const Settings& settings, Report& report) {
  constexpr int kTimes = 30;  // a round
  const Scene scene;
  const test::ReservedPort port;
  const std::string spec =
      "127.0.0.1:" + std::to_string(port.number()) + ":127.0.0.1:" + std::to_string(scene.far_end().echo());
  std::unique_ptr<Contender> contenders[2];
  for (int i = 0; i < 2; ++i) contenders[i] = scene.start(kBoth[i]);

  struct Times {
    std::vector<double> list, forward, close;
  } medians[2];
  for (int round = 0; round < settings.rounds; ++round) {
    Times times[2];
    for (int k = 0; k < kTimes; ++k) {
      for (int i = 0; i < 2; ++i) {
        const Contender& c = *contenders[i];
        Runner runner(c.environment());
        times[i].list.push_back(runner.time(c.list_command()));
        times[i].forward.push_back(runner.time(c.forward_command(spec)));
        times[i].close.push_back(runner.time(c.close_command(spec)));
      }
    }
    for (int i = 0; i < 2; ++i) {
      medians[i].list.push_back(median(times[i].list));
      medians[i].forward.push_back(median(times[i].forward));
      medians[i].close.push_back(median(times[i].close));
    }
  }
  report.add({name, "list / ssh -O check", "ms", medians[0].list, medians[1].list, Target::ratio_at_most(1)});
  report.add({name, "forward / ssh -O forward", "ms", medians[0].forward, medians[1].forward});
  report.add({name, "close / ssh -O cancel", "ms", medians[0].close, medians[1].close});
}

void sessions(const std::string& name, const Settings& settings, Report& report) {
  const int times = settings.quick ? 15 : 50;  // a round
  const Scene scene;
  std::unique_ptr<Contender> contenders[2];
  for (int i = 0; i < 2; ++i) contenders[i] = scene.start(kBoth[i]);
  std::vector<double> medians[2], slow[2];
  for (int round = 0; round < settings.rounds; ++round) {
    std::vector<double> samples[2];
    for (int k = 0; k < times; ++k) {
      for (int i = 0; i < 2; ++i) {
        const Contender& c = *contenders[i];
        samples[i].push_back(Runner(c.environment()).time(c.run_command("true")));
      }
    }
    for (int i = 0; i < 2; ++i) {
      medians[i].push_back(median(samples[i]));
      slow[i].push_back(percentile(samples[i], 90));
    }
  }
  report.add({name, "exec true / ssh -S true", "ms", medians[0], medians[1], Target::ratio_at_most(1)});
  report.add({name, "the same, p90", "ms", slow[0], slow[1]});
}

}  // namespace jump::bench
