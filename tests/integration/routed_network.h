// RoutedNetwork: two bastions, one behind the other, in network namespaces, with a router before each of
// them:
//
//   here ──── router 0 ──── "bastion" ──── router 1 ──── "inner" (ProxyJump bastion)
//
// A router with a black hole loses packets as the middle of a network does: without a word to either end,
// so that TCP's own timers are what they are outside. Unix sockets know no network namespaces, so forwards
// lead to services of the test by their paths. Root's.
#pragma once

#include <unistd.h>

#include <array>
#include <filesystem>
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

class RoutedNetwork {
 public:
  static constexpr std::uint16_t kSshPort = 2222;
  static constexpr const char* kNames[] = {"bastion", "inner"};
  enum class Direction { kBoth, kThere, kBack };

  static bool possible() { return getuid() == 0 && run_process({"ip", "netns", "list"}, seconds(20)).ok(); }

  // `lines`: of each Host block, before ours.
  explicit RoutedNetwork(const std::vector<std::string>& lines = {}) {
    static int count = 0;
    const int serial = getpid() * 4 + count++ % 4;
    tag_ = std::to_string(serial);
    const std::string net =
        "10." + std::to_string(192 + (serial >> 11) % 32) + "." + std::to_string((serial >> 3) % 256) + ".";
    for (std::size_t i = 0; i < at_.size(); ++i)
      at_[i] = net + std::to_string(static_cast<std::size_t>(serial % 8) * 32 + i);
    for (const char* node : {"r0", "b", "r1", "i"}) {
      must({"ip", "netns", "add", space(node)});
      must({"ip", "-n", space(node), "link", "set", "lo", "up"});
    }
    link_ = "jrh" + tag_;
    must({"ip", "link", "add", link_, "type", "veth", "peer", "name", "left", "netns", space("r0")});
    // While the link is down, nothing of ours goes out of this machine.
    must({"ip", "route", "add", "unreachable", at_[0] + "/27", "metric", "9999"});
    // IPv6 gives it an address of its own a second or two later, and a cut would be no silent one.
    run_process({"ip", "link", "set", link_, "addrgenmode", "none"}, seconds(20));
    must({"ip", "addr", "add", here() + "/29", "dev", link_});
    must({"ip", "link", "set", link_, "up"});
    must({"ip", "-n", space("r0"), "addr", "add", at_[2] + "/29", "dev", "left"});
    must({"ip", "-n", space("r0"), "link", "set", "left", "up"});
    connect("r0", "b", 9);
    connect("b", "r1", 13);
    connect("r1", "i", 17);
    add_route();
    must({"ip", "-n", space("b"), "route", "add", at_[0] + "/29", "via", at_[9]});
    must({"ip", "-n", space("b"), "route", "add", at_[16] + "/30", "via", at_[14]});
    must({"ip", "-n", space("i"), "route", "add", "default", "via", at_[17]});
    forward("r0");
    forward("r1");
    prepare_sshds(lines);
    for (int hop : {0, 1}) start_sshd(hop);
  }
  ~RoutedNetwork() {
    for (int hop : {0, 1}) kill_sshd(hop);
    run_process({"ip", "route", "del", "unreachable", at_[0] + "/27", "metric", "9999"}, seconds(20));
    // The kernel takes its time over a namespace, and this machine's end of the cable would go with it, some day.
    run_process({"ip", "link", "del", link_}, seconds(20));
    for (const char* node : {"r0", "b", "r1", "i"})
      run_process({"ip", "netns", "del", space(node)}, seconds(20));
  }
  RoutedNetwork(const RoutedNetwork&) = delete;
  RoutedNetwork& operator=(const RoutedNetwork&) = delete;

  // No other test changes the network that this machine sees, until we are gone.
  void be_alone() { lock_.be_alone(); }

  const std::string& ssh_config() const { return ssh_config_; }
  const TempDir& directory() const { return directory_; }

  // The router before bastion number `hop` loses what it gets.
  void cut(int hop, Direction direction = Direction::kBoth) { black_holes(hop, direction, "add"); }
  void mend(int hop, Direction direction = Direction::kBoth) { black_holes(hop, direction, "del"); }
  // Our own end of the first cable, as netlink tells it.
  void link_down() { must({"ip", "link", "set", link_, "down"}); }
  void link_up() {
    must({"ip", "link", "set", link_, "up"});
    add_route();
  }
  // Our address there becomes another one of that network.
  void change_address() {
    must({"ip", "addr", "del", here() + "/29", "dev", link_});
    changed_ = !changed_;
    must({"ip", "addr", "add", here() + "/29", "dev", link_});
    add_route();
  }
  // Something changes, and nothing on our way.
  void change_unrelated() {
    for (const char* verb : {"add", "del"}) must({"ip", "addr", verb, at_[25] + "/32", "dev", link_});
  }

  // Between us and the first bastion, neither end waits for the other's acknowledgement: neither will repeat
  // anything.
  bool acknowledged() {
    for (std::vector<std::string> ss : {std::vector<std::string>{"ss", "-Hti", "dst", address(0)},
                                        {"ip", "netns", "exec", space("b"), "ss", "-Hti", "dst", here()}}) {
      const ProcessResult said = run_process(std::move(ss), seconds(20));
      if (!said.ok()) setup_error("ss: " + said.describe());
      for (const char* what : {" unacked:", " notsent:"})
        if (said.out.find(what) != std::string::npos) return false;
    }
    return true;
  }
  // The first bastion loses its connections to us, and can tell nobody while the way is cut.
  void forget_us() { must({"ip", "netns", "exec", space("b"), "ss", "-K", "dst", here()}); }

  Process& sshd(int hop) { return *sshd_[static_cast<std::size_t>(hop)]; }
  // SIGKILL to the listener and to all that serve connections.
  void kill_sshd(int hop) {
    auto& sshd = sshd_[static_cast<std::size_t>(hop)];
    if (!sshd) return;
    sshd->signal(SIGSTOP);
    const std::vector<pid_t> sessions = process_descendants(sshd->pid());
    for (pid_t pid : sessions) ::kill(pid, SIGKILL);
    sshd->kill();
    for (pid_t pid : sessions) eventually([pid] { return !process_alive(pid); });
    sshd.reset();
  }
  void start_sshd(int hop) {
    auto& sshd = sshd_[static_cast<std::size_t>(hop)];
    sshd = std::make_unique<Process>(
        std::vector<std::string>{"ip", "netns", "exec", space(hop == 0 ? "b" : "i"), "/usr/sbin/sshd", "-f",
                                 directory_.file(std::string("sshd_") + kNames[hop]), "-D", "-e"});
    if (!eventually([&] { return sshd->err().find("Server listening") != std::string::npos; }))
      setup_error("sshd did not start: " + sshd->err());
  }
  // To the listener and to all that serve connections.
  void signal_sshd(int hop, int number) {
    std::vector<pid_t> all = process_descendants(sshd(hop).pid());
    all.push_back(sshd(hop).pid());
    for (pid_t pid : all) ::kill(pid, number);
  }

 private:
  static void must(const std::vector<std::string>& argv) {
    const ProcessResult result = run_process(argv, seconds(20));
    if (!result.ok()) setup_error(result.describe());
  }
  std::string space(const std::string& node) const { return "jr-" + tag_ + "-" + node; }
  std::string router(int hop) const { return space(hop == 0 ? "r0" : "r1"); }

  void connect(const std::string& left, const std::string& right, std::size_t first) {
    must({"ip", "-n", space(left), "link", "add", "right", "type", "veth", "peer", "name", "left", "netns",
          space(right)});
    must({"ip", "-n", space(left), "addr", "add", at_[first] + "/30", "dev", "right"});
    must({"ip", "-n", space(left), "link", "set", "right", "up"});
    must({"ip", "-n", space(right), "addr", "add", at_[first + 1] + "/30", "dev", "left"});
    must({"ip", "-n", space(right), "link", "set", "left", "up"});
  }
  const std::string& here() const { return at_[changed_ ? 3 : 1]; }
  const std::string& address(int hop) const { return at_[hop == 0 ? 10 : 18]; }
  // Packets to whom are lost.
  const std::string& lost(int hop, Direction direction) const {
    if (direction == Direction::kThere) return address(hop);
    return hop == 0 ? here() : at_[13];
  }
  void add_route() { must({"ip", "route", "replace", at_[8] + "/30", "via", at_[2]}); }
  // Not by switching forwarding off: that reaches the other ends of a router's cables, and netlink tells of
  // it.
  void black_holes(int hop, Direction direction, const char* verb) {
    for (Direction each : {Direction::kThere, Direction::kBack}) {
      if (direction != Direction::kBoth && direction != each) continue;
      must({"ip", "-n", router(hop), "route", verb, "blackhole", lost(hop, each) + "/32"});
    }
  }
  void forward(const std::string& node) {
    must({"ip", "netns", "exec", space(node), "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"});
  }

  void prepare_sshds(const std::vector<std::string>& lines) {
    std::filesystem::create_directories("/run/sshd");
    const KeyPair user = generate_key(KeyKind::kEd25519, directory_.file("user"));
    const std::string keys = directory_.write("authorized", user.public_line + "\n");
    std::string known;
    std::vector<SshConfigHost> hosts;
    for (std::size_t hop : {0u, 1u}) {
      const std::string name = kNames[hop], address = this->address(static_cast<int>(hop));
      const std::string port = std::to_string(kSshPort);
      const KeyPair key = generate_key(KeyKind::kEd25519, directory_.file("host_" + name));
      directory_.write("sshd_" + name,
                       "Port " + port + "\nHostKey " + key.private_path + "\n" +
                           common_sshd_config(keys, directory_.make_dir("home_" + name)));
      known += "[" + address + "]:" + port + " " + key.public_line + "\n";
      SshConfigHost host{name, kSshPort};
      host.user = "root";
      host.host_name = address;
      host.identity_file = user.private_path;
      host.known_hosts = directory_.file("known_hosts");
      host.lines = lines;
      if (hop == 1) host.lines.push_back("ProxyJump bastion");
      hosts.push_back(host);
    }
    directory_.write("known_hosts", known);
    ssh_config_ = directory_.write("ssh_config", ssh_config_text(hosts));
  }

  NetworkLock lock_;
  TempDir directory_;
  std::string tag_, link_, ssh_config_;
  std::array<std::string, 32> at_;  // addresses of ours
  bool changed_ = false;
  std::array<std::unique_ptr<Process>, 2> sshd_;
};

}  // namespace jump::test
