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
constexpr const char* kUserWithoutRights = "without-rights";
constexpr uid_t kUidWithoutRights = 65534;
constexpr Duration kStartDeadline = seconds(60);
constexpr Duration kKillDeadline = seconds(30);

}  // namespace

std::vector<std::string> hardened_config() {
  return {"PermitTTY no", "ForceCommand /usr/sbin/nologin", "X11Forwarding no", "AllowAgentForwarding no",
          "PermitTunnel no"};
}

std::string common_sshd_config(const std::string& authorized_keys, const std::string& home) {
  return "AuthorizedKeysFile " + authorized_keys + "\nSetEnv HOME=" + home +
         "\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n"
         "KbdInteractiveAuthentication no\nMaxStartups 200\nUseDNS no\nLogLevel VERBOSE\n";
}

Sshd::Sshd(SshdOptions options) : program_(options.program) {
  if (options.without_rights && ::getuid() == 0) user_ = kUserWithoutRights;
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
    hand_over(host_keys_.back().private_path);
    config += "HostKey " + host_keys_.back().private_path + "\n";
  }
  authorized_keys_ = directory_.write("authorized_keys", "");
  const std::string home = directory_.make_dir("home");
  config += common_sshd_config(authorized_keys_, home) + "PrintMotd no\n";
  config_path_ = directory_.write("sshd_config", config);
  hand_over(config_path_);
  hand_over(authorized_keys_);
  hand_over(home);
  hand_over(directory_.path());
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
  hand_over(authorized_keys_);
}

bool Sshd::can_be_without_rights() {
  return ::getuid() != 0 || run_process({"unshare", "-m", "true"}, kStartDeadline).ok();
}

void Sshd::hand_over(const std::string& path) const {
  if (user_.empty()) return;
  if (::chown(path.c_str(), kUidWithoutRights, kUidWithoutRights) != 0) setup_error("cannot chown " + path);
}

void Sshd::stop_all() {
  process_->signal(SIGSTOP);
  for (pid_t pid : process_descendants(process_->pid())) ::kill(pid, SIGSTOP);
}

void Sshd::go_on() {
  process_->signal(SIGCONT);
  for (pid_t pid : process_descendants(process_->pid())) ::kill(pid, SIGCONT);
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
  std::vector<std::string> argv = {program_, "-f", config_path_, "-D", "-e"};
  if (!user_.empty()) {
    const std::string id = std::to_string(kUidWithoutRights);
    // No shadow entry: a "*" here keeps sshd from calling the account locked.
    const std::string passwd = directory_.write(
        "passwd", "root:x:0:0::/root:/bin/sh\n" + user_ + ":*:" + id + ":" + id + "::/:/bin/sh\n", 0644);
    // A change of user undoes the signal of the parent's death, so setpriv asks for it again.
    const std::vector<std::string> as_user = {
        "unshare",
        "-m",
        "sh",
        "-c",
        "mount --bind \"$0\" /etc/passwd && exec setpriv --reuid=" + id + " --regid=" + id +
            " --clear-groups --pdeathsig=KILL \"$@\"",
        passwd};
    argv.insert(argv.begin(), as_user.begin(), as_user.end());
  }
  process_ = std::make_unique<Process>(std::move(argv));
  const bool listening = eventually(
      [this] { return log().find("Server listening on") != std::string::npos || !process_->running(); },
      kStartDeadline);
  if (!listening || !process_->running()) setup_error("sshd did not start:\n" + log());
}

}  // namespace jump::test
