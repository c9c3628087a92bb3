#include "route/ssh_config.h"

#include <utility>

#include "base/log.h"
#include "base/shell_quoted.h"

namespace jump {
namespace {

constexpr Duration kResolveTimeout = seconds(10);  // a Match exec may be slow; a hanging one must not hang us

std::string last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  auto start = text.rfind('\n');
  return std::string(start == std::string_view::npos ? text : text.substr(start + 1));
}

// "FILE: terminating, 1 bad configuration options" comes after the line that says which.
std::string reason_in(std::string_view text) {
  std::string last = last_line(text);
  if (last.find(": terminating, ") == std::string::npos) return last;
  std::string reason = last_line(text.substr(0, text.rfind(last)));
  return reason.empty() ? last : reason;
}

// ForkAfterAuthentication without a command: ssh looks at that before it looks at -G. An ssh that does not
// know the option never says so.
bool refuses_to_fork(const CommandOutput& output) {
  return output.exit_status != 0 && output.err.find("Cannot fork into background") != std::string::npos;
}

// What has the agent log in, and ask what it needs; with a -J of its own a host has no name for us.
std::string connect_command(const HostName& name, const std::string& jump) {
  if (!jump.empty()) return {};
  const bool v6 = name.host.find(':') != std::string::npos;
  std::string host = v6 ? "[" + name.host + "]" : name.host;
  if (!name.user.empty()) host = name.user + "@" + host;
  if (name.port) host += ":" + std::to_string(*name.port);
  return "jumpctl connect " + shell_quoted(host);
}

}  // namespace

// Two questions to ssh at once: what it says of the host, and what it says without any configuration. The
// second one's answer is kept.
class SshConfig::Resolving final : public Operation {
 public:
  Resolving(SshConfig& config, HostName name, std::string jump, Resolved done)
      : config_(config),
        user_(config.user_),
        name_(std::move(name)),
        jump_(std::move(jump)),
        done_(std::move(done)) {
    ask(config_.ask(name_, jump_));
    TimePoint now = config_.io_.now();
    if (config_.defaults_time_ && now - *config_.defaults_time_ < kDefaultsAge) return;
    Command command;
    command.argv = {"ssh", "-G", "-F", "none", "--", "localhost"};
    command.timeout = kResolveTimeout;
    asking_defaults_ = config_.commands_.run(command, [this, now](Result<CommandOutput> output) {
      bool known = output && output->exit_status == 0;
      if (known) {
        config_.defaults_ = ConfigDump(output->out);
        config_.defaults_time_ = now;
      } else {  // what was known before stays; the next host asks again
        log::warn("ssh does not tell its defaults: the user's choice of algorithms may be missed");
      }
      asking_defaults_.reset();
      finish_if_known();
    });
  }

 private:
  void ask(const Command& command) {
    asking_ = config_.commands_.run(command, [this](Result<CommandOutput> output) {
      if (output && !forks_ && refuses_to_fork(*output)) {
        forks_ = true;
        Command again = config_.ask(name_, jump_);
        again.argv.insert(again.argv.begin() + 1, {"-o", "ForkAfterAuthentication=no"});
        return ask(again);
      }
      output_ = std::move(output);
      finish_if_known();
    });
  }

  void finish_if_known() {
    if (!output_ || asking_defaults_) return;
    std::set<std::string> others;
    if (*output_) others = users_of_files(ConfigDump((*output_)->out));
    if (others.empty()) return finish();
    auto homes = std::make_shared<decltype(user_.homes)>();
    looking_up_ = config_.io_.in_pool([others, homes] { *homes = homes_of(others); },
                                      [this, homes] {
                                        user_.homes = *homes;
                                        finish();
                                      });
  }

  void finish() {
    Result<HopSpec> spec = judge(*output_);
    Resolved done = std::move(done_);
    done(std::move(spec));  // may destroy this object
  }

  Result<HopSpec> judge(const Result<CommandOutput>& output) {
    std::string ssh = config_.ssh_command(name_, jump_);
    if (!output && output.error().code == Errc::kNotFound) {
      log::warn("there is no `ssh` program: {} is reached with defaults, ssh_config is not read", name_.host);
      HopSpec spec = default_spec(name_.host, user_);
      spec.port = name_.port.value_or(spec.port);
      if (!name_.user.empty()) spec.user = name_.user;
      spec.proxy_jump = jump_;
      spec.ssh_command = ssh;
      spec.connect_command = connect_command(name_, jump_);
      return spec;
    }
    if (!output) return output.error().context("ssh -G " + name_.host);
    if (output->exit_status != 0) {
      std::string said = reason_in(output->err);
      return Error{Errc::kInvalid,
                   "ssh does not accept '" + name_.host + "': " + (said.empty() ? "no reason given" : said),
                   "try: " + ssh};
    }
    Result<HopSpec> spec = parse_ssh_config_dump(output->out, name_.host, user_, config_.defaults_);
    if (spec) {
      spec->ssh_command = ssh;
      spec->connect_command = connect_command(name_, jump_);
      spec->fork_after_authentication |= forks_;
    }
    return spec;
  }

  SshConfig& config_;
  LocalUser user_;
  const HostName name_;
  const std::string jump_;
  Resolved done_;
  bool forks_ = false;  // it was asked again, without ForkAfterAuthentication
  std::optional<Result<CommandOutput>> output_;
  std::unique_ptr<Operation> asking_, asking_defaults_, looking_up_;
};

Command SshConfig::ask(const HostName& name, const std::string& jump) const {
  Command command;
  command.argv = {"ssh", "-G", "-o", std::string(kAskForTokens)};
  if (!file_.empty()) command.argv.insert(command.argv.end(), {"-F", file_});
  if (!jump.empty()) command.argv.insert(command.argv.end(), {"-J", jump});
  if (name.port) command.argv.insert(command.argv.end(), {"-p", std::to_string(*name.port)});
  if (!name.user.empty()) command.argv.insert(command.argv.end(), {"-l", name.user});
  command.argv.insert(command.argv.end(), {"--", name.host});
  command.timeout = kResolveTimeout;
  return command;
}

// What the user would type to reach it with ssh.
std::string SshConfig::ssh_command(const HostName& name, const std::string& jump) const {
  std::string command = "ssh";
  if (!file_.empty()) command += " -F " + shell_quoted(file_);
  if (!jump.empty()) command += " -J " + shell_quoted(jump);
  if (name.port) command += " -p " + std::to_string(*name.port);
  return command + " " + shell_quoted(name.user.empty() ? name.host : name.user + "@" + name.host);
}

std::unique_ptr<Operation> SshConfig::resolve(const std::string& text, const std::string& jump,
                                              Resolved done) {
  Result<HostName> name = HostName::parse(text);
  if (!name) {
    return io_.in_pool([] {}, [error = name.error(), done = std::move(done)] { done(error); });
  }
  return std::make_unique<Resolving>(*this, *std::move(name), jump, std::move(done));
}

}  // namespace jump
