#include "support/sshd.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/eventually.h"
#include "support/proc_info.h"
#include "support/setup_error.h"

namespace jump::test {

namespace {

constexpr const char* kPrivilegeSeparationDirectory = "/run/sshd";
constexpr Duration kStartDeadline = seconds(20);
constexpr Duration kKillDeadline = seconds(10);

}  // namespace

std::vector<std::string> hardened_config() {
  return {"PermitTTY no", "ForceCommand /usr/sbin/nologin", "X11Forwarding no", "AllowAgentForwarding no",
          "PermitTunnel no"};
}

Sshd::Sshd(SshdOptions options) : program_(options.program) {
  if (::getuid() == 0) ::mkdir(kPrivilegeSeparationDirectory, 0755);
  std::string config;
  bool any_address = false;
  for (const std::string& line : options.config) {
    config += line + "\n";
    any_address = any_address || line.starts_with("ListenAddress ");
  }
  // sshd is content with one family of "localhost" when it listens for a client: the other's port may be a
  // stranger's. The first AddressFamily counts.
  if (!any_address) config += "AddressFamily inet\n";
  config += "ListenAddress 127.0.0.1\nPort " + std::to_string(port()) + "\n";
  for (KeyKind kind : options.host_keys) {
    host_keys_.push_back(generate_key(kind, directory_.file(std::string("host_") + key_kind_name(kind))));
    config += "HostKey " + host_keys_.back().private_path + "\n";
  }
  authorized_keys_ = directory_.write("authorized_keys", "");
  config += "AuthorizedKeysFile " + authorized_keys_ + "\n";
  config +=
      "PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n"
      "KbdInteractiveAuthentication no\nMaxStartups 200\nUseDNS no\nPrintMotd no\nLogLevel VERBOSE\n";
  config_path_ = directory_.write("sshd_config", config);
  start();
}

Sshd::~Sshd() { kill_all(); }

std::string Sshd::known_hosts() const {
  std::string lines;
  for (const KeyPair& key : host_keys_) {
    lines += "[127.0.0.1]:" + std::to_string(port()) + " " + key.public_line + "\n";
  }
  return lines;
}

std::size_t Sshd::session_processes() const {
  return process_ ? process_descendants(process_->pid()).size() : 0;
}

void Sshd::authorize(const KeyPair& key) {
  directory_.write("authorized_keys", read_file(authorized_keys_) + key.public_line + "\n");
}

void Sshd::kill_all() {
  if (!process_) return;
  process_->signal(SIGSTOP);  // so that no session begins behind our back
  const std::vector<pid_t> sessions = process_descendants(process_->pid());
  for (pid_t pid : sessions) ::kill(pid, SIGKILL);
  process_->kill();
  for (pid_t pid : sessions) eventually([pid] { return !process_alive(pid); }, kKillDeadline);
  process_.reset();
}

void Sshd::start() {
  process_ = std::make_unique<Process>(std::vector<std::string>{program_, "-f", config_path_, "-D", "-e"});
  const bool listening = eventually(
      [this] { return log().find("Server listening on") != std::string::npos || !process_->running(); },
      kStartDeadline);
  if (!listening || !process_->running()) setup_error("sshd did not start:\n" + log());
}

}  // namespace jump::test
