// The way to the bastion is cut and comes back: visibly, silently, with another address of ours, while the
// agent sleeps. The same forward serves again, without any command.
#include <gtest/gtest.h>

#include <csignal>
#include <string>

#include "far_network.h"
#include "loop/network_watch.h"
#include "support/agent_process.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/machine_delay.h"
#include "support/socket.h"
#include "support/temp_dir.h"

namespace jump::test {
namespace {

// Stated in README: after the last byte that was heard, and after a change of the network.
constexpr Duration kSilentBound = seconds(30);
constexpr Duration kSuspectBound = seconds(3);
constexpr Duration kServesAfterLink = seconds(1);
constexpr Duration kServesUnseen = seconds(3);
// Until a test stops waiting for what should be there long since: the bound is on what it measured.
constexpr Duration kNever = seconds(60);

class Cut : public testing::Test {
 protected:
  void SetUp() override {
    if (!FarNetwork::possible()) GTEST_SKIP() << "network namespaces are root's";
    far_ = std::make_unique<FarNetwork>();
    agent_ = std::make_unique<AgentProcess>(far_->ssh_config());
    agent_->run({"-c", directory_.write("agent.toml", kPatientConfig)});
    const Stopwatch time;
    // What serves there is sshd itself: its banner tells that the connection is through.
    const auto forward =
        agent_->open_forward("bastion", "0:127.0.0.1:" + std::to_string(FarNetwork::kSshPort));
    port_ = port_of(forward.at("listen"));
    ASSERT_TRUE(serves());
    machine_.expect_own(time.elapsed());
  }

  bool serves(Duration deadline = seconds(15)) {
    std::optional<Socket> socket = Socket::connect_tcp(port_);
    return socket && socket->receive_exactly(8, deadline).text() == "SSH-2.0-";
  }
  std::string state() { return agent_->host_status("bastion").value("state", "gone"); }
  void expect_noticed_within(Duration bound) {
    machine_.restart();
    const Stopwatch time;
    eventually([&] { return state() != "ready"; }, kNever);
    EXPECT_LT(time.elapsed(), bound + machine_.allowance()) << agent_->log();
    RecordProperty("seconds_to_notice", std::to_string(to_seconds(time.elapsed())));
  }
  // A new connection.
  void expect_served_within(Duration bound) {
    machine_.restart();
    const Stopwatch time;
    while (!serves(seconds(5)) && time.elapsed() < kNever) {
    }
    EXPECT_LT(time.elapsed(), bound + machine_.allowance()) << agent_->log();
    RecordProperty("seconds_to_serve", std::to_string(to_seconds(time.elapsed())));
  }
  void link(const char* state) { run_process({"ip", "link", "set", far_->link(), state}, seconds(5)); }

  MachineDelay machine_;
  TempDir directory_;
  std::unique_ptr<FarNetwork> far_;
  std::unique_ptr<AgentProcess> agent_;
  std::uint16_t port_ = 0;
};

TEST_F(Cut, ALinkThatGoesDownIsNoticedAtOnceAndServesWhenItIsBack) {
  link("down");
  expect_noticed_within(kSuspectBound);
  link("up");
  expect_served_within(kServesAfterLink);
}

TEST_F(Cut, AShortBreakOfTheLinkKeepsTheConnection) {
  const auto logins = agent_->host_status("bastion").at("logins");
  link("down");
  link("up");
  EXPECT_TRUE(serves());
  EXPECT_EQ(agent_->host_status("bastion").at("logins"), logins);
}

TEST_F(Cut, ASilentCutIsNoticedWithinTheStatedBound) {
  far_->cut_silently();
  expect_noticed_within(kSilentBound);
  far_->mend_silently();
  expect_served_within(kServesUnseen);
}

TEST_F(Cut, AConnectionThatWaitsForItIsServedWhenThePathIsBack) {
  far_->cut_silently();
  expect_noticed_within(kSilentBound);
  std::optional<Socket> waiting = Socket::connect_tcp(port_);
  ASSERT_TRUE(waiting);
  ASSERT_TRUE(eventually([&] { return agent_->host_status("bastion").value("waiting", 0) > 0; }, seconds(30)));
  far_->mend_silently();
  EXPECT_EQ(waiting->receive_exactly(8, kNever).text(), "SSH-2.0-") << agent_->log();
}

TEST_F(Cut, AnotherAddressOfOursHealsAlone) {
  const std::string network = far_->here().substr(0, far_->here().rfind('.') + 1);
  // The cable's network has two addresses; a wider mask has room for a third.
  run_process({"ip", "addr", "del", far_->here() + "/30", "dev", far_->link()}, seconds(5));
  expect_noticed_within(kSuspectBound);
  run_process({"ip", "addr", "add", far_->here() + "/29", "dev", far_->link()}, seconds(5));
  expect_served_within(kServesUnseen);
}

// As a VPN's routes, or a machine that slept: more at once than the socket holds that tells of them.
TEST_F(Cut, ChangesAreSeenAlsoAfterMoreCameAtOnceThanCanBeTold) {
  constexpr int kRoutes = 4000;
  const std::string table = "4099";  // of nobody's
  std::string lines;
  for (int i = 0; i < kRoutes; ++i) {
    lines += "route add 198.18." + std::to_string(i / 250) + "." + std::to_string(i % 250) +
             "/32 dev lo table " + table + "\n";
  }
  TempDir directory;
  const pid_t agent = agent_->pid();
  ::kill(agent, SIGSTOP);
  const ProcessResult added = run_process({"ip", "-batch", directory.write("routes", lines)}, seconds(60));
  ::kill(agent, SIGCONT);
  EXPECT_TRUE(run_process({"ip", "route", "flush", "table", table}, seconds(60)).ok());
  ASSERT_TRUE(added.ok()) << added.describe();
  ASSERT_TRUE(eventually([&] { return agent_->log().find("more changes at once") != std::string::npos; }));
  // What was told of the flood is over.
  const TimePoint flood = Clock::now();
  eventually([&] { return Clock::now() - flood > 3 * NetworkWatch::kSettled; }, seconds(20));
  EXPECT_TRUE(serves());
  // Nothing but the change says that it may be dead.
  far_->cut_silently();
  const std::string address = "127.0.77.99/32";
  run_process({"ip", "addr", "add", address, "dev", "lo"}, seconds(5));
  expect_noticed_within(kSuspectBound);
  run_process({"ip", "addr", "del", address, "dev", "lo"}, seconds(5));
  far_->mend_silently();
  expect_served_within(kServesUnseen);
}

// Its machine takes what we send: it is there, and has the time that it has otherwise.
TEST_F(Cut, AServerThatIsSlowWhenTheNetworkChangesKeepsItsConnection) {
  const std::string address = "127.0.77.98/32";
  std::vector<pid_t> server = far_->sessions();
  ASSERT_FALSE(server.empty());
  for (pid_t pid : server) ::kill(pid, SIGSTOP);
  run_process({"ip", "addr", "add", address, "dev", "lo"}, seconds(5));
  EXPECT_TRUE(eventually([&] { return agent_->log().find("but its machine is there") != std::string::npos; }))
      << agent_->log();
  for (pid_t pid : server) ::kill(pid, SIGCONT);
  run_process({"ip", "addr", "del", address, "dev", "lo"}, seconds(5));
  EXPECT_TRUE(serves());
  EXPECT_EQ(state(), "ready");
  EXPECT_EQ(agent_->host_status("bastion").at("logins"), 1);
}

TEST_F(Cut, AnAgentThatWasStoppedFindsOutWhatHappenedMeanwhile) {
  const pid_t agent = agent_->pid();
  ::kill(agent, SIGSTOP);
  far_->cut_silently();
  far_->there({"ss", "-K", "dst", far_->here()});  // the server forgets us
  const TimePoint stopped = Clock::now();
  eventually([&] { return Clock::now() - stopped > seconds(8); }, seconds(20));
  far_->mend_silently();
  ::kill(agent, SIGCONT);
  expect_served_within(kServesUnseen);
}

TEST_F(Cut, ItComesBackByItselfWithoutAnybodyAsking) {
  link("down");
  expect_noticed_within(kSuspectBound);
  link("up");
  EXPECT_TRUE(eventually([&] { return state() == "ready"; }, kNever)) << agent_->log();
}

}  // namespace
}  // namespace jump::test
