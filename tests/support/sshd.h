// A stock OpenSSH server on a loopback port of its own: started on construction, ready when the constructor
// returns, gone (its session processes too) with its owner. It lets in the user who runs the test, by public
// key; or one that only it knows, see SshdOptions.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/key_pair.h"
#include "support/process.h"
#include "support/reserved_port.h"
#include "support/temp_dir.h"

namespace jump::test {

struct SshdOptions {
  std::vector<KeyKind> host_keys = {KeyKind::kEd25519};
  // Lines of sshd_config, before ours: the first value of an option is the one that counts.
  std::vector<std::string> config = {};
  // A copy of sshd goes by another name, and so by another PAM service.
  std::string program = "/usr/sbin/sshd";  // sshd insists on an absolute path
  // Where root runs the test: sshd, and so the sessions, are of a user without rights, whom it alone knows
  // (a mount namespace has another /etc/passwd). sshd sends no signals to what root runs.
  bool without_rights = false;
};

// What a bastion that only forwards looks like: no terminals, no commands.
std::vector<std::string> hardened_config();

// The lines of sshd_config that all our servers end with: they let in by these keys alone. `home`, an empty
// directory, is the sessions': the machine's own start-up files for shells print, take time, and disturb each
// other where many run at once.
std::string common_sshd_config(const std::string& authorized_keys, const std::string& home);

class Sshd {
 public:
  explicit Sshd(SshdOptions options = {});
  ~Sshd();

  // Whether there are mount namespaces, which `without_rights` needs where root runs the test.
  static bool can_be_without_rights();

  std::uint16_t port() const { return port_->number(); }
  const KeyPair& host_key(std::size_t index = 0) const { return host_keys_.at(index); }
  // "[127.0.0.1]:PORT ssh-ed25519 AAAA…", a line per host key.
  std::string known_hosts() const;
  // Who is let in; empty: who runs the test.
  const std::string& user() const { return user_; }
  // What it logged since its last start, at LogLevel VERBOSE.
  std::string log() const { return process_ ? process_->err() : std::string(); }
  pid_t listener_pid() const { return process_ ? process_->pid() : -1; }
  // Processes that serve a connection now.
  std::size_t session_processes() const;

  // Lets `key` in, from the next login on.
  void authorize(const KeyPair& key);

  // SIGKILL to the listener and to every process that serves a connection: a machine that lost its power, but
  // for the kernel, which closes the connections.
  void kill_all();
  // SIGSTOP to all of them: a machine that hangs, whose kernel still answers.
  void stop_all();
  void go_on();
  // On the same port, with the same host keys. It must not be running.
  void start();

 private:
  // For sshd to read, whoever it runs as.
  void hand_over(const std::string& path) const;

  TempDir directory_;
  std::unique_ptr<ReservedPort> port_ = std::make_unique<ReservedPort>();
  std::vector<KeyPair> host_keys_;
  std::string authorized_keys_;
  std::string config_path_;
  std::string program_;
  std::string user_;
  std::unique_ptr<Process> process_;
};

}  // namespace jump::test
