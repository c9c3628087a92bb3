// FarNetwork: a bastion in a network namespace of its own, with services and names that only it can reach:
// 172.31.9.1, and in its /etc/hosts "svc.far" for that and "gone.far" for an address where nobody is. Root's.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "support/eventually.h"
#include "support/key_pair.h"
#include "support/network_lock.h"
#include "support/proc_info.h"
#include "support/process.h"
#include "support/setup_error.h"
#include "support/ssh_config.h"
#include "support/sshd.h"
#include "support/temp_dir.h"

namespace jump::test {

class FarNetwork {
 public:
  static constexpr const char* kAddress = "172.31.9.1";
  static constexpr std::uint16_t kSshPort = 2222;

  static bool possible() { return getuid() == 0 && run_process({"ip", "netns", "list"}, seconds(20)).ok(); }

  // `sshd_config`: lines before ours.
  explicit FarNetwork(const std::vector<std::string>& sshd_config = {}) {
    static int count = 0;
    const int serial = getpid() * 8 + count++ % 8;
    const std::string tag = std::to_string(serial);
    name_ = "jf-" + tag;
    const std::string net =
        "10." + std::to_string(128 + (serial >> 14) % 64) + "." + std::to_string((serial >> 6) % 256) + ".";
    const int first = serial % 64 * 4;
    bastion_ = net + std::to_string(first + 2);
    // What `ip netns exec` lays over /etc.
    std::filesystem::create_directories("/etc/netns/" + name_);
    std::ofstream("/etc/netns/" + name_ + "/hosts") << "127.0.0.1 localhost\n"
                                                    << kAddress << " svc.far\n"
                                                    << "172.31.9.77 gone.far\n";
    must({"ip", "netns", "add", name_});
    must({"ip", "-n", name_, "link", "set", "lo", "up"});
    must({"ip", "-n", name_, "addr", "add", std::string(kAddress) + "/32", "dev", "lo"});
    must({"ip", "-n", name_, "route", "add", "unreachable", "172.31.9.77/32"});
    const std::string here = link_ = "jfh" + tag;
    here_ = net + std::to_string(first + 1);
    must({"ip", "link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", name_});
    must({"ip", "addr", "add", net + std::to_string(first + 1) + "/30", "dev", here});
    // While the link is down, nothing of ours goes out of this machine.
    // (Wider than the cable's own network, which a test may widen; each by its own metric, as two may be neighbours.)
    unreachable_ = {"unreachable", net + std::to_string(first / 8 * 8) + "/29", "metric",
                    std::to_string(9000 + first)};
    route("add");
    must({"ip", "link", "set", here, "up"});
    must({"ip", "-n", name_, "addr", "add", bastion_ + "/30", "dev", "eth0"});
    must({"ip", "-n", name_, "link", "set", "eth0", "up"});
    start_sshd(sshd_config);
  }
  ~FarNetwork() {
    for (auto& each : {&nginx_, &sshd_}) {
      if (!*each) continue;
      (*each)->signal(SIGSTOP);  // it would replace the workers that it loses
      for (pid_t pid : process_descendants((*each)->pid())) ::kill(pid, SIGKILL);
      each->reset();
    }
    route("del");
    // The kernel takes its time over a namespace, and this machine's end of the cable would go with it, some day.
    run_process({"ip", "link", "del", link_}, seconds(20));
    run_process({"ip", "netns", "del", name_}, seconds(20));
    std::error_code ignored;
    std::filesystem::remove_all("/etc/netns/" + name_, ignored);
  }
  FarNetwork(const FarNetwork&) = delete;
  FarNetwork& operator=(const FarNetwork&) = delete;

  // The end of the cable that is here, and its address.
  const std::string& link() const { return link_; }
  const std::string& here() const { return here_; }
  // Runs a command there.
  void there(std::vector<std::string> argv) {
    argv.insert(argv.begin(), {"ip", "netns", "exec", name_});
    must(argv);
  }
  // From now on nothing comes back from there, and nobody here is told.
  void cut_silently() { there({"ip", "route", "add", "blackhole", here_ + "/32"}); }
  void mend_silently() { there({"ip", "route", "del", "blackhole", here_ + "/32"}); }

  // For -F: it is called "bastion" there.
  const std::string& ssh_config() const { return ssh_config_; }
  std::vector<pid_t> sessions() const { return process_descendants(sshd_->pid()); }
  void kill_sshd() {
    sshd_->signal(SIGSTOP);
    for (pid_t pid : process_descendants(sshd_->pid())) ::kill(pid, SIGKILL);
    sshd_.reset();
  }

  // nginx on port 80 of all its addresses: /N.txt is N lines, for N up to `files`. It counts its connections
  // at /status.
  void start_nginx(int files) {
    for (int i = 1; i <= files; ++i) {
      std::string text;
      for (int line = 0; line < i; ++line) text += std::to_string(i) + "\n";
      directory_.write(std::to_string(i) + ".txt", text, 0644);
    }
    const std::string& home = directory_.path();
    const std::string config = directory_.write(
        "nginx.conf",
        "user root;\ndaemon off;\npid " + home + "/nginx.pid;\nerror_log " + home +
            "/nginx.log;\nevents {}\nhttp {\n  access_log off;\n  client_body_temp_path " + home +
            ";\n  keepalive_timeout 60;\n  server {\n    listen 80;\n    listen [::]:80;\n    root " + home +
            ";\n    location /status { stub_status; }\n  }\n}\n");
    nginx_ = std::make_unique<Process>(
        std::vector<std::string>{"ip", "netns", "exec", name_, "nginx", "-p", home, "-c", config});
    const auto listens = [this] {
      return run_process({"ip", "netns", "exec", name_, "ss", "-Htln", "sport", "=", ":80"}, seconds(5))
                 .out != "";
    };
    if (!eventually(listens)) setup_error("nginx did not start: " + nginx_->err());
  }

 private:
  static void must(const std::vector<std::string>& argv) {
    const ProcessResult result = run_process(argv, seconds(20));
    if (!result.ok()) setup_error(result.describe());
  }

  void route(const char* verb) {
    std::vector<std::string> argv = {"ip", "route", verb};
    argv.insert(argv.end(), unreachable_.begin(), unreachable_.end());
    run_process(argv, seconds(20));
  }

  void start_sshd(const std::vector<std::string>& sshd_config) {
    std::filesystem::create_directories("/run/sshd");
    const KeyPair host_key = generate_key(KeyKind::kEd25519, directory_.file("host"));
    const KeyPair user = generate_key(KeyKind::kEd25519, directory_.file("user"));
    std::string config;
    for (const std::string& line : sshd_config) config += line + "\n";
    const std::string port = std::to_string(kSshPort);
    const std::string keys = directory_.write("authorized", user.public_line + "\n");
    const std::string file = directory_.write(
        "sshd", config + "Port " + port + "\nHostKey " + host_key.private_path + "\n" +
                    common_sshd_config(keys, directory_.make_dir("home")));
    sshd_ = std::make_unique<Process>(
        std::vector<std::string>{"ip", "netns", "exec", name_, "/usr/sbin/sshd", "-f", file, "-D", "-e"});
    if (!eventually([this] { return sshd_->err().find("Server listening") != std::string::npos; }))
      setup_error("sshd did not start: " + sshd_->err());
    const std::string known = "[" + bastion_ + "]:" + port + " " + host_key.public_line + "\n";
    SshConfigHost host{"bastion", kSshPort};
    host.user = "root";
    host.host_name = bastion_;
    host.identity_file = user.private_path;
    host.known_hosts = directory_.write("known_hosts", known);
    ssh_config_ = directory_.write("ssh_config", ssh_config_text({host}));
  }

  NetworkLock lock_;
  TempDir directory_;
  std::string name_, bastion_, ssh_config_, link_, here_;
  std::vector<std::string> unreachable_;
  std::unique_ptr<Process> sshd_, nginx_;
};

}  // namespace jump::test
