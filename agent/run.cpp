#include "run.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "agent.h"
#include "base/log.h"
#include "ctl/output.h"
#include "launch.h"
#include "proto/socket_path.h"
#include "safekeeping.h"
#include "service_manager.h"
#include "takeover.h"

namespace jump {
namespace {

// A disk that hangs must not keep us.
constexpr Duration kLogEnd = seconds(1);

// No core dumps and no debugger of the same user: there are keys in memory.
void protect_memory() {
  rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__)  // LeakSanitizer has to look into the process
  prctl(PR_SET_DUMPABLE, 0);
#endif
}

// Each forwarded connection is a descriptor; the usual soft limit of 1,024 is for programs that use select().
// Errors: kLimit, there are too few to log in anywhere.
Status raise_descriptor_limit() {
  // kLeast: an agent at rest has some 20; a login, a client and their helpers want a dozen each.
  constexpr rlim_t kWanted = 65536, kLeast = 48;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kWanted));
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= kLeast) return {};
  return Error{Errc::kLimit,
               fmt::format("only {} descriptors are allowed here, and it takes {}", limit.rlim_cur, kLeast),
               fmt::format("run: ulimit -n {}, or more: each forwarded connection takes one", kWanted)};
}

Status start_log(const CommandLine& line) {
  log::Output output;
  output.file = line.log_file;
  if (line.log_size) output.file_size = *line.log_size;
  Status started = log::start(output);
  if (!started && started.error().code == Errc::kLimit) {  // the disk may have room later
    log::warn("{}", started.error().message);
    return {};
  }
  return started;
}

Result<Launched> start_agent(Agent& agent, const std::string& socket, bool take_over,
                             ServiceManager& service) {
  Launched launched{getpid()};
  Inheritance inheritance = Safekeeping::sort(service.take_passed());
  if (!take_over) {
    if (Status started = agent.start(std::move(inheritance)); !started) return started.error();
    return launched;
  }
  Result<Takeover> takeover = Takeover::begin(socket);
  if (!takeover) return takeover.error();
  if (Status started = agent.start(takeover->take()); !started) {
    agent.leave_names();  // the old one serves on
    return started.error();
  }
  Result<proto::AgentRetireResult> retired = takeover->finish();
  if (!retired) {
    agent.leave_names();
    return retired.error();
  }
  launched.left_connections = retired->connections;
  launched.left_forwards = takeover->held();
  return launched;
}

// Sessions read the terminals that clients pass. If one were our own as well, a background agent would be
// stopped for reading it, and everything that it carries with it. Ctrl-C reaches us all the same.
void leave_terminal() {
  if (getsid(0) == getpid()) return;  // it would hang up everybody else on it
  const int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return;
  ioctl(terminal, TIOCNOTTY);
  close(terminal);
}

}  // namespace

int run(const CommandLine& line) {
  prctl(PR_SET_NAME, "jumpagent");  // `up` starts it through /proc/self/exe
  int waiting = take_report_descriptor();
  auto fail = [&](const Error& error) {
    report(waiting, error);
    return ctl::fail_lines(line.client, error, ctl::kExitFailed);
  };
  ServiceManager service = ServiceManager::from_environment();
  const ConfigFile file = config_file_of(line);
  auto settings = read_config(file);
  log::init(settings ? settings->log_level : log::Level::kInfo);
  if (!settings) return fail(settings.error());
  protect_memory();
  if (Status enough = raise_descriptor_limit(); !enough) return fail(enough.error());
  umask(0077);
  leave_terminal();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);  // until the agent watches it

  auto socket = proto::control_socket_path(line.client.socket);
  if (!socket) return fail(socket.error());
  auto config = ssh_config_of(line);
  if (!config) return fail(config.error());
  if (Status logging = start_log(line); !logging) return fail(logging.error());
  AgentOptions options;
  options.socket_path = *socket;
  options.ssh_config_file = *config;
  options.config_file = file;
  options.config = *std::move(settings);
  options.state_file = state_file_of(line);
  options.command_line = run_options(line, *config);
  Agent agent(std::move(options), service);
  Result<Launched> started = start_agent(agent, *socket, line.take_over, service);
  if (!started) return fail(started.error());
  agent.run([&] { report(waiting, started); });
  return ctl::kExitDone;
}

void leave(int exit_code) {
  log::finish(kLogEnd);
#if !defined(__SANITIZE_ADDRESS__)  // leaks are looked for at a full exit only
  std::fflush(nullptr);
  _exit(exit_code);
#endif
  std::exit(exit_code);
}

}  // namespace jump
