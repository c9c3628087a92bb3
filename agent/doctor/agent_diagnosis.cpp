#include "doctor/agent_diagnosis.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "auth/key_file.h"
#include "base/printable.h"
#include "base/shell_quoted.h"
#include "doctor/file_checks.h"

namespace jump {
namespace {

constexpr double kLateEnough = 0.1;  // seconds of lag; what a person who types would feel
constexpr std::size_t kMaxVersion = 120;

// Blocks.
void check_directory(const std::string& socket, Findings& findings) {
  const std::string directory = socket.substr(0, socket.rfind('/'));
  struct stat info {};
  struct stat there {};
  if (stat(directory.c_str(), &info) != 0 || stat(socket.c_str(), &there) != 0) {
    return findings.fail("socket", socket + ": it is gone, new clients cannot find the agent",
                         "restart the agent: jumpagent down; jumpagent up");
  }
  const bool open_to_others = (info.st_mode & 022) != 0 && (info.st_mode & S_ISVTX) == 0;
  if (open_to_others || (info.st_uid != geteuid() && info.st_uid != 0)) {
    return findings.fail("socket",
                         fmt::format("{}: others have access to it (mode {:04o}, uid {})", directory,
                                     info.st_mode & 07777, info.st_uid),
                         "chmod 700 " + shell_quoted(directory));
  }
  findings.ok("socket", fmt::format("{}, directory mode {:04o}", socket, info.st_mode & 07777));
}

void check_config(const std::string& file, const std::function<Status()>& read, Findings& findings) {
  if (!read) return findings.skip(step::kConfig, "no config file was read");
  if (Status status = read(); !status) {
    return findings.fail(
        step::kConfig, status.error().message,
        "the agent goes on with what it read before; correct the file, then: jumpagent reload");
  }
  findings.ok(step::kConfig, file);
}

}  // namespace

AgentDiagnosis::AgentDiagnosis(Io& io, AgentFacts facts, Done done)
    : io_(io), facts_(std::move(facts)), done_(std::move(done)) {
  finish_soon_ = io_.deferred([this] { finish(); });
  limit_timer_ = io_.timer([this] {
    operation_.reset();
    agent_.reset();
    findings_.fail(step::kTime,
                   fmt::format("not finished within {} s", static_cast<long>(to_seconds(kLimit))),
                   "a file system or ssh-agent that does not answer; see the agent's log");
    finish();
  });
  limit_timer_->start(kLimit);
  auto found = std::make_shared<Findings>("agent");
  operation_ = io_.in_pool(
      [found, socket = facts_.agent.socket, file = facts_.agent.config, read = facts_.read_config] {
        check_directory(socket, *found);
        check_config(file, read, *found);
      },
      [this, found] {
        findings_.append(std::move(*found));
        Command command;
        command.argv = {"ssh", "-V"};
        operation_ = io_.run(command, [this](const Result<CommandOutput>& output) { on_ssh(output); });
      });
}

AgentDiagnosis::~AgentDiagnosis() = default;

void AgentDiagnosis::on_ssh(const Result<CommandOutput>& output) {
  if (!output) {
    findings_.fail(
        "ssh", "no 'ssh' program in jumpagent's PATH: " + output.error().message,
        "install OpenSSH's client, or start jumpagent with a PATH that has it; without it ssh_config is "
        "not read");
  } else {
    const std::string version = output->err.substr(0, output->err.find('\n'));
    findings_.ok("ssh", printable(version, kMaxVersion));
  }
  const char* socket = std::getenv("SSH_AUTH_SOCK");
  if (!socket || !*socket) {
    findings_.note(
        step::kAgent, "no ssh-agent: SSH_AUTH_SOCK was not set where jumpagent was started",
        "for one, start jumpagent where it is set, or name the socket with IdentityAgent in ssh_config");
    return finish();
  }
  socket_ = socket;
  agent_ = std::make_unique<AgentClient>(io_, socket_);
  agent_->list([this](Result<std::vector<AgentIdentity>> answer) { on_keys(answer); });
}

void AgentDiagnosis::on_keys(const Result<std::vector<AgentIdentity>>& answer) {
  const std::string where = display_path(socket_);
  if (!answer) {
    auto advice = std::make_shared<std::string>();
    operation_ = io_.in_pool(
        [advice, error = answer.error(), socket = socket_] { *advice = ssh_agent_advice(error, socket); },
        [this, advice, what = where + ": " + answer.error().message] {
          findings_.note(step::kAgent, what, *advice);
          finish();
        });
    return;
  }
  if (answer->empty()) {
    findings_.note(step::kAgent, where + ": it has no keys", "load one: ssh-add");
  } else {
    findings_.ok(step::kAgent, where + ": " + describe_agent_keys(*answer));
  }
  finish_soon_->schedule();  // not from within the client: done() may destroy it
}

void AgentDiagnosis::note_health() {
  const proto::AgentStatus& agent = facts_.agent;
  const std::string lag =
      fmt::format("the event loop was {:.0f} ms late at worst in the last minute", agent.loop_lag_max * 1000);
  if (agent.loop_lag_max < kLateEnough) {
    findings_.ok("loop", lag);
  } else {
    findings_.note("loop", lag, "is the machine short of CPU, or was it asleep?");
  }
  const std::string used = fmt::format("{} of {} in use", agent.descriptors, agent.descriptor_limit);
  if (agent.descriptor_limit > 0 && agent.descriptors * 10 > agent.descriptor_limit * 9) {
    findings_.note("descriptors", used, "raise the limit before the agent starts: ulimit -n");
  } else {
    findings_.ok("descriptors", used);
  }
  if (agent.state_file.empty()) {
    findings_.skip("state", "no file: forwards with --persist are refused");
  } else if (!agent.state_usable) {
    findings_.fail("state", agent.state_problem,
                   "mend that, or name another file: jumpagent up --replace --state FILE");
  } else if (!agent.state_problem.empty()) {
    findings_.note("state", agent.state_problem,
                   "the file is whole again; look what is missing: jumpctl list");
  } else {
    findings_.ok("state", agent.state_file);
  }
}

void AgentDiagnosis::note_hosts() {
  if (facts_.hosts.empty()) findings_.skip("host", "none was asked for yet");
  for (const proto::HostStatus& host : facts_.hosts) {
    const std::string what = host.host + ": " + host.state;
    if (host.error.empty()) {
      findings_.ok("host", what);
    } else {
      findings_.note("host", what + "; last error: " + host.error,
                     "jumpctl doctor " + shell_quoted(host.host));
    }
  }
}

void AgentDiagnosis::finish() {
  if (!done_) return;
  limit_timer_->stop();
  note_health();
  note_hosts();
  proto::DiagnosisReport result;
  result.healthy = !findings_.failed();
  result.steps = findings_.steps();
  Done done = std::exchange(done_, nullptr);
  done(std::move(result));  // may destroy this object
}

}  // namespace jump
