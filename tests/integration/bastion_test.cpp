// One name for two bastions, stock sshds on loopback: the first that answers serves, a dead one is replaced
// under running forwards, and whoever asks is told which one it is.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "integration/forward_lab.h"
#include "support/black_hole.h"
#include "support/delay_proxy.h"
#include "support/reserved_port.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

class BastionTest : public ::testing::Test {
 protected:
  BastionTest() {
    for (Sshd* sshd : {&first_, &second_}) sshd->authorize(key_);
    known_hosts_ = directory_.write("known_hosts", first_.known_hosts() + second_.known_hosts());
  }

  // jump1 is where `first_port` leads; "inner" is the second sshd, behind whatever serves.
  AgentProcess& start(std::uint16_t first_port, const std::string& more = "") {
    SshConfigHost first = host_for("jump1", first_, key_, known_hosts_);
    first.port = first_port;
    first.lines = {"ConnectTimeout 60"};
    const SshConfigHost second = host_for("jump2", second_, key_, known_hosts_);
    SshConfigHost inner = host_for("inner", second_, key_, known_hosts_);
    inner.lines = {"ProxyJump prod"};
    const std::string file = directory_.write("ssh_config", ssh_config_text({first, second, inner}));
    config_ = directory_.write("agent.toml", more + kBastions);
    agent_ = std::make_unique<AgentProcess>(file);
    agent_->run({"-c", config_});
    return *agent_;
  }
  AgentProcess& start() { return start(first_.port()); }

  std::string serving() { return agent_->host_status("prod").value("serving", ""); }
  bool is_served_by(const std::string& member, Duration within = seconds(20)) {
    return eventually([&] { return serving() == member; }, within);
  }
  bool echoes(std::uint16_t port) { return echoed(Socket::connect_tcp(port), "hello") == "hello"; }
  std::string to_echo() const { return ":127.0.0.1:" + std::to_string(echo_.port()); }

  static constexpr const char* kBastions = "[bastion]\nprod = [\"jump1\", \"jump2\"]\n";
  // Shows that neither ConnectTimeout was waited for, nor a connection's own time.
  static constexpr Duration kWaiting = seconds(30);
  const KeyPair& key_ = user_key(KeyKind::kEd25519);
  TempDir directory_;
  Sshd first_, second_;
  std::string known_hosts_, config_;
  TcpService echo_{TcpService::echo()};
  std::unique_ptr<AgentProcess> agent_;
};

TEST_F(BastionTest, WhereNobodyListensTheNextServes) {
  const ReservedPort dead;
  AgentProcess& agent = start(dead.number(), "connect = [\"prod\"]\ndefault_via = \"prod\"\n");
  ASSERT_TRUE(is_served_by("jump2")) << agent.status().dump(2);
  const json forward = agent.ctl_json({"forward", "0" + to_echo()}).at("forward");
  EXPECT_EQ(forward.at("via"), "prod");
  EXPECT_TRUE(echoes(port_of(forward.at("listen"))));
  const json prod = agent.host_status("prod");
  EXPECT_EQ(prod.at("members"), (json{"jump1", "jump2"}));
  EXPECT_EQ(prod.at("same_as"), "jump2");
  EXPECT_EQ(prod.at("address"), agent.host_status("jump2").at("address"));
  EXPECT_TRUE(says(agent.ctl({"status"}).out, "jump2 serves, one of jump1, jump2"))
      << agent.ctl({"status"}).out;
}

TEST_F(BastionTest, ABlackHoleIsNotWaitedFor) {
  const BlackHole hole;
  AgentProcess& agent = start(hole.port(), kPatientConfig);
  Stopwatch watch;
  const std::uint16_t port = port_of(agent.open_forward("prod", "0" + to_echo()).at("listen"));
  EXPECT_TRUE(echoes(port));
  EXPECT_EQ(serving(), "jump2");
  EXPECT_LT(watch.elapsed(), kWaiting) << "ConnectTimeout was waited for, or the connection's own time";
  EXPECT_EQ(agent.host_status("jump1").at("state"), "idle") << "the dial goes on";
}

TEST_F(BastionTest, ForwardsMoveWhenTheServingOneIsKilled) {
  AgentProcess& agent = start(first_.port(), kPatientConfig);
  agent.ctl_json({"connect", "jump1"});
  const std::uint16_t local = port_of(agent.open_forward("prod", "0" + to_echo()).at("listen"));
  ASSERT_TRUE(echoes(local));
  ASSERT_EQ(serving(), "jump1");
  const ReservedPort remote;
  agent.ctl_json({"reverse", "--via", "prod", std::to_string(remote.number()) + to_echo()});
  ASSERT_TRUE(eventually([&] { return echoes(remote.number()); }, seconds(10)));
  std::optional<Socket> open = Socket::connect_tcp(local);
  ASSERT_TRUE(open && open->send_all(std::string_view("x")) && open->receive_exactly(1).text() == "x");

  first_.kill_all();
  EXPECT_TRUE(open->wait_end(seconds(10))) << "a connection of the dead one hangs";
  Stopwatch watch;
  EXPECT_TRUE(echoes(local)) << "a connection that comes meanwhile waits, and is served";
  EXPECT_LT(watch.elapsed(), kWaiting);
  EXPECT_EQ(serving(), "jump2");
  EXPECT_TRUE(eventually([&] { return echoes(remote.number()); }, seconds(10))) << agent.status().dump(2);

  first_.start();
  second_.kill_all();
  EXPECT_TRUE(eventually([&] { return echoes(local); }, seconds(20))) << agent.status().dump(2);
  EXPECT_EQ(serving(), "jump1");
  EXPECT_TRUE(eventually([&] { return echoes(remote.number()); }, seconds(10))) << agent.status().dump(2);
}

TEST_F(BastionTest, AJumpHostMayBeABastion) {
  AgentProcess& agent = start();
  agent.ctl_json({"connect", "jump1"});
  const std::uint16_t local = port_of(agent.open_forward("inner", "0" + to_echo()).at("listen"));
  ASSERT_TRUE(echoes(local));
  EXPECT_EQ(agent.host_status("inner").at("via"), "prod");
  EXPECT_EQ(serving(), "jump1");
  EXPECT_TRUE(says(agent.ctl({"disconnect", "prod"}).err, "prod is the way to inner"));
}

TEST_F(BastionTest, AMemberWithAChangedKeyDoesNotServe) {
  directory_.write("known_hosts", "[127.0.0.1]:" + std::to_string(first_.port()) + " " +
                                      second_.known_hosts().substr(second_.known_hosts().find(' ') + 1) +
                                      second_.known_hosts());
  AgentProcess& agent = start();
  agent.ctl_json({"connect", "prod"});
  EXPECT_EQ(serving(), "jump2");
  EXPECT_TRUE(says(agent.host_status("jump1").at("error"), "HOST KEY CHANGED")) << agent.host_status("jump1");
}

TEST_F(BastionTest, WhenNoneAnswersTheErrorNamesEach) {
  const ReservedPort dead;
  AgentProcess& agent = start(dead.number());
  second_.kill_all();
  const ProcessResult result = agent.ctl({"connect", "prod"});
  EXPECT_EQ(result.exit_status, 1);
  for (const char* part : {"prod: no member could be connected to: jump1 (", "; jump2 (", "refused"})
    EXPECT_TRUE(says(result.err, part)) << result.err;
}

TEST_F(BastionTest, TheDoctorLooksAtEachMember) {
  const ReservedPort dead;
  AgentProcess& agent = start(dead.number());
  const ProcessResult result = agent.ctl({"doctor", "prod"});
  EXPECT_EQ(result.exit_status, 1);
  for (const char* part :
       {"stands for jump1, jump2, by the agent's config file", "jump1", "jump2", "refused"})
    EXPECT_TRUE(says(result.out, part)) << result.out << result.err;
  const ProcessResult inner = agent.ctl({"doctor", "inner"});
  EXPECT_EQ(inner.exit_status, 1) << "it goes through the first, as none serves";
  agent.ctl_json({"connect", "prod"});
  const ProcessResult again = agent.ctl({"doctor", "inner"});
  EXPECT_EQ(again.exit_status, 0) << again.out << again.err;
}

TEST_F(BastionTest, OfTwoThatAreConnectedTheFasterCarriesWhatIsNew) {
  DelayProxy far(first_.port(), {.round_trip = milliseconds(300)});
  directory_.write("known_hosts", "[127.0.0.1]:" + std::to_string(far.port()) + " " +
                                      first_.known_hosts().substr(first_.known_hosts().find(' ') + 1) +
                                      second_.known_hosts());
  AgentProcess& agent = start(far.port());
  agent.ctl_json({"connect", "jump1"});
  agent.ctl_json({"connect", "prod"});
  ASSERT_EQ(serving(), "jump1");
  const std::uint16_t local = port_of(agent.open_forward("prod", "0" + to_echo()).at("listen"));
  agent.ctl_json({"connect", "jump2"});
  const auto measured = [&] {
    const json jump1 = agent.host_status("jump1"), jump2 = agent.host_status("jump2");
    return jump1.contains("rtt") && jump2.contains("rtt") &&
           jump2.at("rtt").get<double>() * 4 < jump1.at("rtt").get<double>() * 3;
  };
  ASSERT_TRUE(eventually(measured, seconds(40))) << agent.status().dump(2);
  const auto opened = [&](const std::string& host) {
    return agent.host_status(host).at("bytes_in").get<int>();
  };
  const int before = opened("jump2");
  ASSERT_TRUE(echoes(local));
  EXPECT_TRUE(eventually([&] { return opened("jump2") > before; }, seconds(5)));
  agent.ctl_json({"disconnect", "jump1"});
  EXPECT_TRUE(is_served_by("jump2"));
}

TEST_F(BastionTest, AReloadChangesTheMembersAndAMistakeChangesNothing) {
  AgentProcess& agent = start();
  agent.ctl_json({"connect", "jump1"});
  agent.ctl_json({"connect", "prod"});
  directory_.write("agent.toml", "[bastion]\nprod = [\"jump1\", \"prod\"]\n");
  const ProcessResult bad = agent.jumpagent({"check-config", "-c", config_});
  EXPECT_NE(bad.exit_status, 0);
  EXPECT_TRUE(says(bad.out + bad.err, "agent.toml:2:18: bastion.prod: it is a member of itself"))
      << bad.out << bad.err;
  EXPECT_NE(agent.jumpagent({"reload"}).exit_status, 0);
  EXPECT_EQ(serving(), "jump1");

  directory_.write("agent.toml", "[bastion]\nprod = [\"jump2\"]\n");
  ASSERT_EQ(agent.jumpagent({"reload"}).exit_status, 0);
  EXPECT_EQ(agent.host_status("prod").at("members"), json{"jump2"});
  EXPECT_EQ(serving(), "jump1") << "what is connected stays";
  agent.ctl_json({"disconnect", "prod"});
  agent.ctl_json({"connect", "prod"});
  EXPECT_EQ(serving(), "jump2");
}

}  // namespace
}  // namespace jump::test
