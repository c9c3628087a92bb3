// Chains of jump hosts, against real servers: three sshds in network namespaces of their own, where each can
// reach the next one and nobody else can, from an ordinary ssh_config; and ProxyCommands of every temper.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/agent_process.h"
#include "support/eventually.h"
#include "support/key_pair.h"
#include "support/lab.h"
#include "support/network_lock.h"
#include "support/proc_info.h"
#include "support/setup_error.h"
#include "support/socket.h"
#include "support/sshd.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

void must(const std::vector<std::string>& argv) {
  ProcessResult result = run_process(argv, seconds(20));
  if (!result.ok()) setup_error(result.describe());
}

// A network namespace, gone with its owner (and with it its ends of cables).
class Namespace {
 public:
  explicit Namespace(std::string name) : name_(std::move(name)) {
    must({"ip", "netns", "add", name_});
    must({"ip", "-n", name_, "link", "set", "lo", "up"});
  }
  ~Namespace() { run_process({"ip", "netns", "del", name_}, seconds(20)); }
  const std::string& name() const { return name_; }
  ProcessResult run(std::vector<std::string> argv) const {
    argv.insert(argv.begin(), {"ip", "netns", "exec", name_});
    return run_process(std::move(argv), seconds(20));
  }

 private:
  std::string name_;
};

// A stock sshd in a namespace, with a host key and one user key of its own.
class NamespaceSshd {
 public:
  NamespaceSshd(const Namespace& where, std::uint16_t port, const TempDir& directory) : port_(port) {
    std::string tag = std::to_string(port);
    host_key_ = generate_key(KeyKind::kEd25519, directory.file("host_" + tag));
    KeyPair user = generate_key(KeyKind::kEd25519, directory.file("key_" + tag));
    std::string keys = directory.write("authorized_" + tag, user.public_line + "\n");
    std::string config = directory.write(
        "sshd_" + tag, "Port " + tag + "\nHostKey " + host_key_.private_path + "\n" +
                           common_sshd_config(keys, directory.make_dir("home_" + tag)));
    process_ = std::make_unique<Process>(std::vector<std::string>{
        "ip", "netns", "exec", where.name(), "/usr/sbin/sshd", "-f", config, "-D", "-e"});
    if (!eventually([this] { return process_->err().find("Server listening") != std::string::npos; })) {
      setup_error("sshd did not start: " + process_->err());
    }
  }
  ~NamespaceSshd() { kill(); }
  void kill() {
    if (!process_) return;
    process_->signal(SIGSTOP);
    for (pid_t pid : process_descendants(process_->pid())) ::kill(pid, SIGKILL);
    process_.reset();
  }
  std::string known_as(const std::string& host) const {
    return "[" + host + "]:" + std::to_string(port_) + " " + host_key_.public_line + "\n";
  }

 private:
  std::uint16_t port_;
  KeyPair host_key_;
  std::unique_ptr<Process> process_;
};

// here ── one ── two ── three
class Chain : public testing::Test {
 protected:
  static constexpr std::uint16_t kPort1 = 2201, kPort2 = 2202, kPort3 = 2203;

  void SetUp() override {
    if (getuid() != 0) GTEST_SKIP() << "network namespaces are root's";
    if (!run_process({"ip", "netns", "list"}, seconds(20)).ok()) GTEST_SKIP() << "no network namespaces here";
    std::filesystem::create_directories("/run/sshd");
    // The one network that this machine sees has to be this test's own, as have all names.
    static int count = 0;
    int serial = getpid() * 8 + count++ % 8;
    std::string tag = std::to_string(serial);
    one_ = std::make_unique<Namespace>("jc1-" + tag);
    two_ = std::make_unique<Namespace>("jc2-" + tag);
    three_ = std::make_unique<Namespace>("jc3-" + tag);
    std::string net =
        "10." + std::to_string(64 + (serial >> 14) % 64) + "." + std::to_string((serial >> 6) % 256) + ".";
    int first = serial % 64 * 4;
    address1_ = net + std::to_string(first + 2);
    const std::string here = link_ = "jch" + tag;
    must({"ip", "link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", one_->name()});
    must({"ip", "addr", "add", net + std::to_string(first + 1) + "/30", "dev", here});
    must({"ip", "link", "set", here, "up"});
    must({"ip", "-n", one_->name(), "addr", "add", address1_ + "/30", "dev", "eth0"});
    must({"ip", "-n", one_->name(), "link", "set", "eth0", "up"});
    cable(*one_, *two_, "172.31.1.1", "172.31.1.2");
    for (int i = 20; i < 30; ++i) {
      must({"ip", "-n", two_->name(), "addr", "add", "172.31.1." + std::to_string(i) + "/24", "dev", "eth0"});
    }
    cable(*two_, *three_, "172.31.2.1", "172.31.2.2");
    sshd1_ = std::make_unique<NamespaceSshd>(*one_, kPort1, directory_);
    sshd2_ = std::make_unique<NamespaceSshd>(*two_, kPort2, directory_);
    sshd3_ = std::make_unique<NamespaceSshd>(*three_, kPort3, directory_);
    write_config();
    agent_ = std::make_unique<AgentProcess>(directory_.file("config"));
    agent_->run();
  }

  // The kernel takes its time over a namespace, and this machine's end of the cable would go with it, some day.
  void TearDown() override {
    agent_.reset();  // it need not hear of that
    if (!link_.empty()) run_process({"ip", "link", "del", link_}, seconds(20));
  }

  static void cable(const Namespace& from, const Namespace& to, const std::string& near,
                    const std::string& far) {
    must({"ip", "-n", from.name(), "link", "add", "eth1", "type", "veth", "peer", "name", "eth0", "netns",
          to.name()});
    must({"ip", "-n", from.name(), "addr", "add", near + "/24", "dev", "eth1"});
    must({"ip", "-n", from.name(), "link", "set", "eth1", "up"});
    must({"ip", "-n", to.name(), "addr", "add", far + "/24", "dev", "eth0"});
    must({"ip", "-n", to.name(), "link", "set", "eth0", "up"});
  }

  void write_config() {
    std::string known =
        sshd1_->known_as(address1_) + sshd2_->known_as("172.31.1.2") + sshd3_->known_as("172.31.2.2");
    for (int i = 20; i < 30; ++i) known += sshd2_->known_as("172.31.1." + std::to_string(i));
    directory_.write("known_hosts", known);
    directory_.make_dir("conf.d");
    directory_.write("conf.d/hosts.conf",
                     "Host one\n  HostName " + address1_ +
                         "\n  Port 2201\n"
                         "Host two\n  HostName 172.31.1.2\n  Port 2202\n  ProxyJump one\n"
                         "Host 2?\n  HostName 172.31.1.%h\n  Port 2202\n  ProxyJump one\n"
                         "Host db*\n  ProxyJump two\n"
                         "Match originalhost db*,listed\n  HostName 172.31.2.2\n  Port 2203\n"
                         // "one" leads to "two" here whatever two's own configuration says.
                         "Host listed\n  ProxyJump one,lonely\n"
                         "Host lonely\n  HostName 172.31.1.2\n  Port 2202\n"
                         "Host ring-a\n  ProxyJump ring-b\n"
                         "Host ring-b\n  ProxyJump ring-a\n"
                         "Host *.self\n  ProxyJump gw.self\n"
                         "Host lost\n  HostName 172.31.1.99\n  Port 2202\n  ProxyJump one\n"
                         "Host behind-lost\n  HostName 172.31.2.2\n  ProxyJump lost\n"
                         "Host behind-nobody\n  HostName 172.31.2.2\n  ProxyJump nobody.invalid\n");
    directory_.write("config",
                     "Include " + directory_.path() +
                         "/conf.d/*.conf\n"
                         "Host *\n  User root\n  IdentityAgent none\n  IdentitiesOnly yes\n  IdentityFile " +
                         directory_.path() +
                         "/key_%p\n"
                         "  BatchMode yes\n  StrictHostKeyChecking yes\n  ConnectTimeout 10\n"
                         "  UserKnownHostsFile " +
                         directory_.path() + "/known_hosts\n  GlobalKnownHostsFile /dev/null\n");
  }

  // The first line of whatever a forward through `via` to that port of the last hop's loopback leads to.
  std::string banner(const std::string& via, std::uint16_t port) {
    std::optional<Socket> socket = Socket::connect_tcp(agent_->forward_port(via, port));
    if (!socket) return "not connected";
    return socket->receive_line(seconds(20)).value_or("no line");
  }
  // Connections to the sshd on `port`, as its own machine counts them.
  static std::size_t connections_to(const Namespace& where, std::uint16_t port) {
    std::string lines =
        where.run({"ss", "-Htn", "state", "established", "sport", "=", ":" + std::to_string(port)}).out;
    return static_cast<std::size_t>(std::count(lines.begin(), lines.end(), '\n'));
  }
  void expect_one_line(const ProcessResult& result, const std::string& what) {
    EXPECT_EQ(result.exit_status, 1) << result.describe();
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_THAT(result.err, HasSubstr(what));
  }

  NetworkLock lock_;
  TempDir directory_;
  std::string address1_, link_;
  std::unique_ptr<Namespace> one_, two_, three_;
  std::unique_ptr<NamespaceSshd> sshd1_, sshd2_, sshd3_;
  std::unique_ptr<AgentProcess> agent_;
};

TEST_F(Chain, ThreeHopsEachWithItsOwnKeyCarryAForward) {
  EXPECT_THAT(banner("db1", kPort3), HasSubstr("SSH-2.0-"));
  EXPECT_EQ(agent_->host_status("db1").value("via", ""), "two");
  EXPECT_EQ(agent_->host_status("two").value("via", ""), "one");
  EXPECT_EQ(agent_->host_status("one").value("via", ""), "");
  EXPECT_EQ(agent_->host_status("one").value("state", ""), "ready");
}

TEST_F(Chain, OfAListOnlyTheFirstGoesItsOwnWay) {
  EXPECT_THAT(banner("listed", kPort3), HasSubstr("SSH-2.0-"));
  EXPECT_EQ(agent_->host_status("listed").value("via", ""), "lonely via one");
  EXPECT_EQ(agent_->host_status("lonely via one").value("via", ""), "one");
}

TEST_F(Chain, ManyTargetsBehindOneBastionShareItsConnection) {
  std::vector<std::string> connect = {"connect"};
  for (int i = 20; i < 30; ++i) connect.push_back(std::to_string(i));
  ProcessResult all = agent_->ctl(connect);
  ASSERT_TRUE(all.ok()) << all.describe();
  for (int i = 20; i < 30; ++i) EXPECT_THAT(banner(std::to_string(i), kPort2), HasSubstr("SSH-2.0-"));
  EXPECT_EQ(connections_to(*one_, kPort1), 1u);
  EXPECT_TRUE(eventually([&] { return connections_to(*two_, kPort2) == 10; })) << "a banner's stays";
}

TEST_F(Chain, TenColdForwardsAtOnceToTenHostsShareOneConnectionToTheBastion) {
  std::vector<std::unique_ptr<Process>> forwards;
  for (int i = 20; i < 30; ++i) {
    forwards.push_back(std::make_unique<Process>(
        std::vector<std::string>{ctl_program(), "--json", "forward", "--via", std::to_string(i),
                                 "127.0.0.1:0:127.0.0.1:" + std::to_string(kPort2)},
        agent_->environment()));
  }
  std::size_t most = 0;
  for (const auto& each : forwards) {
    while (!each->wait(milliseconds(20))) most = std::max(most, connections_to(*one_, kPort1));
    ASSERT_EQ(each->wait(seconds(30)), 0) << each->err();
    ASSERT_TRUE(each->wait_output_end(seconds(5)));
  }
  most = std::max(most, connections_to(*one_, kPort1));
  EXPECT_EQ(most, 1u);
  for (const auto& each : forwards) {
    const auto opened = nlohmann::json::parse(each->out()).at("forward");
    std::optional<Socket> socket = Socket::connect_tcp(port_of(opened.at("listen").get<std::string>()));
    ASSERT_TRUE(socket.has_value());
    EXPECT_THAT(socket->receive_line(seconds(20)).value_or("no line"), HasSubstr("SSH-2.0-"));
  }
  EXPECT_EQ(connections_to(*one_, kPort1), 1u);
  EXPECT_TRUE(eventually([&] { return connections_to(*two_, kPort2) == 10; })) << "one login each";
  EXPECT_EQ(agent_->host_status("one").at("logins"), 1);
}

TEST_F(Chain, TwoNamesOfOneServerShareItsConnection) {
  ASSERT_TRUE(agent_->ctl({"connect", "db1"}).ok());
  ProcessResult other = agent_->ctl({"connect", "db2"});
  ASSERT_TRUE(other.ok()) << other.describe();
  EXPECT_EQ(agent_->host_status("db2").value("same_as", ""), "db1");
  EXPECT_EQ(connections_to(*three_, kPort3), 1u);
  EXPECT_THAT(banner("db2", kPort3), HasSubstr("SSH-2.0-"));
  ASSERT_TRUE(agent_->ctl({"disconnect", "db2"}).ok());
  EXPECT_TRUE(eventually([&] { return connections_to(*three_, kPort3) == 0; }));
}

TEST_F(Chain, AJumpHostInUseIsNotDisconnected) {
  ASSERT_TRUE(agent_->ctl({"connect", "db1"}).ok());
  expect_one_line(agent_->ctl({"disconnect", "one"}), "one is the way to two");
  EXPECT_EQ(agent_->host_status("db1").value("state", ""), "ready");
  for (const char* name : {"db1", "two", "one"}) {
    ProcessResult result = agent_->ctl({"disconnect", name});
    EXPECT_TRUE(result.ok()) << result.describe();
  }
  EXPECT_TRUE(eventually([&] { return connections_to(*one_, kPort1) == 0; }));
}

TEST_F(Chain, TheLossOfTheFirstHopIsToldByTheLast) {
  ASSERT_TRUE(agent_->ctl({"connect", "db1"}).ok());
  sshd1_->kill();
  // It dials again at once, and what comes of that takes the place of the story in its status.
  const auto told = [&](const std::string& text) {
    return eventually([&] { return agent_->log().find(text) != std::string::npos; });
  };
  EXPECT_TRUE(told("db1 (root@172.31.2.2:2203): the connection through two")) << agent_->log();
  EXPECT_TRUE(told("the connection through one (root@" + address1_ + ":2201) ended: ")) << agent_->log();
  const auto error = [&] { return agent_->host_status("db1").value("error", ""); };
  EXPECT_TRUE(eventually([&] { return error().find("one (root@" + address1_ + ":2201)") != std::string::npos; }))
      << error();
  EXPECT_THAT(agent_->ctl({"connect", "db1"}).err, HasSubstr("jump host one"));
}

TEST_F(Chain, WhatCannotWorkIsOneClearLine) {
  Stopwatch clock;
  expect_one_line(agent_->ctl({"connect", "ring-a"}), "ring-a → ring-b → ring-a");
  expect_one_line(agent_->ctl({"connect", "t.self"}), "t.self → gw.self → gw.self");
  expect_one_line(agent_->ctl({"connect", "lost"}), "through one");
  expect_one_line(agent_->ctl({"connect", "behind-lost"}), "lost (root@172.31.1.99:2202)");
  expect_one_line(agent_->ctl({"connect", "behind-nobody"}), "nobody.invalid");
  EXPECT_LT(clock.elapsed(), seconds(60));
}

// --- lanes
// --------------------------------------------------------------------------------------------------------

// Bulk through several hosts behind one bastion, with others beside it: each host may have a lane, and so may
// the bastion, and that is all that it sees.
TEST(ChainLanes, HostsBehindABastionDoNotMultiplyItsConnections) {
  constexpr int kHosts = 3;
  Lab lab;
  std::vector<std::unique_ptr<Sshd>> servers;
  std::vector<SshConfigHost> hosts = {
      host_for("bastion", lab.sshd(), user_key(KeyKind::kEd25519), lab.known_hosts())};
  for (int i = 0; i < kHosts; ++i) {
    servers.push_back(std::make_unique<Sshd>());
    servers.back()->authorize(user_key(KeyKind::kEd25519));
    const std::string name = "inner" + std::to_string(i);
    hosts.push_back(host_for(name, *servers.back(), user_key(KeyKind::kEd25519),
                             lab.directory().write("known_" + name, servers.back()->known_hosts())));
    hosts.back().lines = {"ProxyJump bastion"};
  }
  lab.directory().write("ssh_config", ssh_config_text(hosts));
  AgentProcess& agent = lab.agent();

  TcpService echo(TcpService::echo());
  std::atomic<bool> stop{false};
  TcpService bulk([&stop](Socket& socket) {
    const Bytes block(64 * 1024, 'b');
    while (!stop && socket.send_all(block)) std::this_thread::sleep_for(milliseconds(10));
  });
  std::vector<std::thread> readers;
  std::vector<Socket> typists;
  for (int i = 0; i < kHosts; ++i) {
    const std::string name = "inner" + std::to_string(i);
    readers.emplace_back([port = agent.forward_port(name, bulk.port())] {
      if (auto socket = Socket::connect_tcp(port)) socket->receive_all();
    });
    auto typist = Socket::connect_tcp(agent.forward_port(name, echo.port()));
    EXPECT_TRUE(typist.has_value());
    if (typist) typists.push_back(std::move(*typist));
  }
  // Every login of the bastion is a connection, ended or not.
  const auto logins_of = [](const nlohmann::json& host) {
    return host.at("logins").get<int>() + host.at("lane_logins").get<int>();
  };
  const auto all_have_lanes = [&] {
    for (Socket& typist : typists) {
      EXPECT_TRUE(typist.send_all(std::string_view("k")));
      EXPECT_EQ(typist.receive_exactly(1, seconds(30)).text(), "k");
    }
    for (int i = 0; i < kHosts; ++i) {
      if (agent.host_status("inner" + std::to_string(i)).at("lanes") != 1) return false;
    }
    return true;
  };
  EXPECT_TRUE(eventually(all_have_lanes, seconds(40))) << agent.status().dump(2);
  EXPECT_LE(logins_of(agent.host_status("bastion")), 2) << agent.status().dump(2);
  const std::string seen = run_process({"ss", "-Htn", "state", "established", "sport", "=",
                                        ":" + std::to_string(lab.sshd().port())},
                                       seconds(10))
                               .out;
  EXPECT_LE(std::count(seen.begin(), seen.end(), '\n'), 2) << seen;
  EXPECT_GE(std::count(seen.begin(), seen.end(), '\n'), 1) << seen;
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

// --- ProxyCommand
// ------------------------------------------------------------------------------------------------

class ProxyCommandTest : public testing::Test {
 protected:
  // A lab whose "target" is the bastion's own sshd, reached by `command`.
  AgentProcess& start(const std::string& command, const std::vector<std::string>& more = {}) {
    LabOptions options;
    lab_ = std::make_unique<Lab>(options);
    SshConfigHost target = host_for("target", lab_->sshd(), user_key(KeyKind::kEd25519), lab_->known_hosts());
    target.lines = more;
    target.lines.push_back("ProxyCommand " + command);
    SshConfigHost bastion =
        host_for("bastion", lab_->sshd(), user_key(KeyKind::kEd25519), lab_->known_hosts());
    lab_->directory().write("ssh_config", ssh_config_text({target, bastion}));
    return lab_->agent();
  }
  ProcessResult connect() { return lab_->agent().ctl({"connect", "target"}); }
  bool no_children() { return process_descendants(lab_->agent().pid()).empty(); }

  std::unique_ptr<Lab> lab_;
};

TEST_F(ProxyCommandTest, SshDashWCarriesTheConnectionAndIsGoneWithIt) {
  std::string config;
  AgentProcess& agent = start("ssh -F \"${JUMP_TEST_CONFIG:-none}\" -W %h:%p bastion");
  (void)agent;
  // The command names the configuration by its path, which is known only now.
  std::string text = read_file(lab_->ssh_config());
  const std::string placeholder = "\"${JUMP_TEST_CONFIG:-none}\"";
  text.replace(text.find(placeholder), placeholder.size(), lab_->ssh_config());
  lab_->directory().write("ssh_config", text);
  ProcessResult result = connect();
  ASSERT_TRUE(result.ok()) << result.describe();
  EXPECT_FALSE(no_children());
  ASSERT_TRUE(lab_->agent().ctl({"disconnect", "target"}).ok());
  EXPECT_TRUE(eventually([&] { return no_children(); })) << "the ProxyCommand was not reaped";
}

TEST_F(ProxyCommandTest, NcCarriesTheConnection) {
  if (run_process({"sh", "-c", "command -v nc"}, seconds(10)).exit_status != 0) GTEST_SKIP() << "no nc here";
  start("nc %h %p");
  ProcessResult result = connect();
  EXPECT_TRUE(result.ok()) << result.describe();
}

TEST_F(ProxyCommandTest, OneThatDiesAtOnceSaysHow) {
  start("exit 7");
  ProcessResult result = connect();
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.err, HasSubstr("target (" + current_user() + "@127.0.0.1:"));
  EXPECT_THAT(result.err, HasSubstr("ProxyCommand 'exit 7'"));
  EXPECT_TRUE(eventually([&] { return no_children(); }));
}

TEST_F(ProxyCommandTest, WhatItPrintsToStderrIsTheReason) {
  start("sh -c 'echo no proxy today >&2; exit 3'");
  ProcessResult result = connect();
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.err, HasSubstr("exited with status 3: no proxy today"));
}

TEST_F(ProxyCommandTest, OneThatHangsIsGivenUpAndKilled) {
  start("sh -c 'trap \"\" TERM; sleep 1000 & wait; sleep 1000'", {"ConnectTimeout 2"});
  Stopwatch clock;
  ProcessResult result = connect();
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.err, HasSubstr("no SSH connection within 2 s by ProxyCommand"));
  EXPECT_LT(clock.elapsed(), seconds(20));
  EXPECT_TRUE(eventually([&] { return no_children(); }, seconds(15))) << "SIGTERM did not help, SIGKILL does";
}

}  // namespace
}  // namespace jump::test
