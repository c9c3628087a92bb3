// Servers that die, hang or stay away for a while, and machines that sleep: each heals alone, what is asked
// meanwhile is answered in its time, and the status says what is going on.
//
// $JUMPAGENT_OUTAGE_SECONDS (2): how long a server is away, or an agent stopped; 60 is the full check.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "loop/sleep_watch.h"
#include "routed_network.h"
#include "support/build_kind.h"
#include "support/env_number.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/proc_info.h"
#include "support/soak_client.h"
#include "support/soak_target.h"

namespace jump::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr Duration kSlack = seconds(5);   // a busy machine's
constexpr Duration kWaits = seconds(10);  // a connection, for a host that is away
constexpr Duration kAlone = seconds(30);  // the longest pause between two dials
constexpr const char* kInner = "inner";

Duration outage() { return seconds(env_number("JUMPAGENT_OUTAGE_SECONDS", 2)); }
void pass(Duration time) { std::this_thread::sleep_for(time); }  // an outage has a length

// A bastion, a host behind it, and a forward by way of each.
class Outage : public testing::Test {
 protected:
  Outage() : lab_(options()) {
    for (const char* name : {Lab::kBastion, kInner}) {
      const json forward = agent().open_forward(name, "0:127.0.0.1:" + std::to_string(target_.port()));
      doors_.push_back(Door{port_of(forward.at("listen")), {}});
      EXPECT_TRUE(doors_.back().serves(seconds(20))) << name;
    }
  }
  LabOptions options() {
    const KeyPair& key = user_key(KeyKind::kEd25519);
    inner_.authorize(key);
    LabOptions options;
    options.config_lines = {"ServerAliveInterval 2", "ServerAliveCountMax 2"};
    options.other_hosts = {
        host_for(kInner, inner_, key, directory_.write("known_hosts", inner_.known_hosts()))};
    options.other_hosts[0].lines = {"ProxyJump bastion"};
    return options;
  }
  AgentProcess& agent() { return lab_.agent(); }
  std::string state(const char* name) { return agent().host_status(name).value("state", "gone"); }
  std::uint64_t logins(const char* name) { return agent().host_status(name).at("logins"); }
  bool ready(const char* name, Duration within) {
    return eventually([&] { return state(name) == "ready"; }, within);
  }

  // Two connections: one made while it is away, one when it is back.
  void expect_served_after(const std::function<void()>& come_back, const std::vector<Door>& doors) {
    std::vector<std::thread> waiting;
    std::atomic<std::size_t> served{0};
    for (const Door& door : doors) {
      waiting.emplace_back([&served, door] { served += door.serves(kWaits + kSlack) ? 1 : 0; });
    }
    EXPECT_TRUE(eventually([&] {
      const json status = agent().status();
      std::size_t all = 0;
      for (const auto& host : status.at("hosts")) all += host.at("waiting").get<std::size_t>();
      return all >= doors.size();
    })) << agent().status().dump(2);
    EXPECT_EQ(served, 0u);
    come_back();
    for (std::thread& each : waiting) each.join();
    EXPECT_EQ(served, doors.size()) << "made while it was away";
    for (const Door& door : doors) EXPECT_TRUE(door.serves(seconds(1) + kSlack));
  }

  TempDir directory_;
  Sshd inner_;
  SoakTarget target_;
  Lab lab_;
  std::vector<Door> doors_;
};

TEST_F(Outage, ABastionThatIsKilledAndAwayForAWhileComesBackAndServesWhoWaits) {
  lab_.sshd().kill_all();
  EXPECT_TRUE(eventually([&] { return state(Lab::kBastion) != "ready" && state(kInner) != "ready"; }));
  pass(outage());
  expect_served_after([this] { lab_.sshd().start(); }, doors_);
  EXPECT_EQ(logins(Lab::kBastion), 2u);
  EXPECT_EQ(logins(kInner), 2u);
}

TEST_F(Outage, NobodyHasToAskForABastionToComeBack) {
  lab_.sshd().kill_all();
  EXPECT_TRUE(eventually([&] { return state(Lab::kBastion) != "ready"; }));
  pass(outage());
  lab_.sshd().start();
  EXPECT_TRUE(ready(Lab::kBastion, kAlone + kSlack)) << agent().log();
  EXPECT_TRUE(ready(kInner, kAlone + kSlack)) << agent().log();
}

TEST_F(Outage, AHostBehindALivingBastionDiesAndComesBack) {
  inner_.kill_all();
  EXPECT_TRUE(eventually([&] { return state(kInner) != "ready"; }));
  EXPECT_TRUE(doors_[0].serves(seconds(1) + kSlack));
  pass(outage());
  expect_served_after([this] { inner_.start(); }, {doors_[1]});
  EXPECT_EQ(logins(Lab::kBastion), 1u) << "the one that lived";
  EXPECT_EQ(logins(kInner), 2u);
}

TEST_F(Outage, AServerWhoseSessionsAreKilledIsLoggedInToAgainAtOnce) {
  for (pid_t pid : process_descendants(lab_.sshd().listener_pid())) ::kill(pid, SIGKILL);
  EXPECT_TRUE(eventually([&] { return logins(Lab::kBastion) == 2 && logins(kInner) == 2; }, kSlack))
      << agent().log();
  for (const Door& door : doors_) EXPECT_TRUE(door.serves(seconds(1) + kSlack));
}

// --- a server that hangs

TEST_F(Outage, AHungServerHoldsNobodyLongerThanTheirTimeoutsAndIsSaidToOweAnAnswer) {
  std::vector<pid_t> all = process_descendants(lab_.sshd().listener_pid());
  all.push_back(lab_.sshd().listener_pid());
  for (pid_t pid : all) ::kill(pid, SIGSTOP);
  std::thread asking([this] { EXPECT_FALSE(doors_[0].serves(seconds(3))); });

  EXPECT_TRUE(
      eventually([&] { return agent().host_status(Lab::kBastion).contains("unanswered"); }, seconds(3)));
  EXPECT_GE(agent().host_status(Lab::kBastion).at("unanswered").get<double>(), 1.0);
  EXPECT_THAT(agent().ctl({"status"}).out, HasSubstr("has not answered for"));

  std::optional<Socket> client = Socket::connect_unix(agent().socket_path());
  ASSERT_TRUE(client.has_value());
  std::vector<double> took;
  for (int i = 0; i < 101; ++i) {
    const Stopwatch time;
    ASSERT_TRUE(client->send_all(std::string_view("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n")));
    ASSERT_TRUE(client->receive_line(seconds(10)).has_value());
    took.push_back(to_seconds(time.elapsed()));
  }
  std::nth_element(took.begin(), took.begin() + 50, took.end());
  EXPECT_LT(took[50], kSanitized ? 0.2 : 0.02) << "the median of status";
  RecordProperty("status_seconds", std::to_string(took[50]));

  const std::string spec = "0:127.0.0.1:" + std::to_string(target_.port());
  const std::vector<std::vector<std::string>> requests = {{"list"},
                                                          {"connect", Lab::kBastion},
                                                          {"connect", kInner},
                                                          {"forward", "--via", Lab::kBastion, spec},
                                                          {"reverse", "--via", Lab::kBastion, spec},
                                                          {"socks", "--via", kInner, "0"},
                                                          {"close", "f1"},
                                                          {"disconnect", kInner},
                                                          {"disconnect", Lab::kBastion}};
  for (std::vector<std::string> request : requests) {
    request.insert(request.begin(), {"--timeout", "1"});
    const Stopwatch time;
    agent().ctl(request);
    EXPECT_LT(to_seconds(time.elapsed()), 1 + to_seconds(kSlack)) << request[2];
  }
  asking.join();
  for (pid_t pid : all) ::kill(pid, SIGCONT);
}

TEST_F(Outage, AHungServerIsGivenUpAndServesWhenItGoesOn) {
  std::vector<pid_t> all = process_descendants(lab_.sshd().listener_pid());
  all.push_back(lab_.sshd().listener_pid());
  for (pid_t pid : all) ::kill(pid, SIGSTOP);
  std::optional<Socket> unlucky = doors_[0].connect();
  ASSERT_TRUE(unlucky && unlucky->send_all(std::string_view("x")));
  EXPECT_TRUE(unlucky->wait_end(seconds(6) + kSlack)) << "as ServerAliveInterval says";
  EXPECT_NE(state(Lab::kBastion), "ready");
  EXPECT_THAT(agent().host_status(Lab::kBastion).at("error").get<std::string>(),
              HasSubstr("has not answered"));
  for (pid_t pid : all) ::kill(pid, SIGCONT);
  for (const Door& door : doors_) EXPECT_TRUE(door.serves(seconds(3) + kSlack));
}

// --- machines and processes that sleep

TEST_F(Outage, AnAgentThatWasStoppedWhileItsServersDiedHealsWhenItGoesOn) {
  const pid_t pid = agent().pid();
  ::kill(pid, SIGSTOP);
  lab_.sshd().kill_all();
  pass(outage());
  lab_.sshd().start();
  ::kill(pid, SIGCONT);
  for (const Door& door : doors_) EXPECT_TRUE(door.serves(seconds(3) + kSlack));
}

class RoutedOutage : public testing::Test {
 protected:
  void SetUp() override {
    if (!RoutedNetwork::possible()) GTEST_SKIP() << "network namespaces are root's";
    network_ = std::make_unique<RoutedNetwork>();
    target_ = std::make_unique<SoakTarget>(path());
  }
  std::string path() const { return network_->directory().file("target.sock"); }
  void start(const Environment& environment = {}) {
    agent_ = std::make_unique<AgentProcess>(network_->ssh_config(), environment);
    agent_->run();
    for (const char* name : RoutedNetwork::kNames) {
      doors_.push_back(Door{port_of(agent_->open_forward(name, "0:" + path()).at("listen")), {}});
      ASSERT_TRUE(doors_.back().serves(seconds(20))) << name;
    }
  }
  bool logged_in(std::uint64_t times, Duration within) {
    return eventually(
        [&] {
          const json status = agent_->host_status("bastion");
          return status.at("state") == "ready" && status.at("logins") == times;
        },
        within);
  }
  // Nothing is under way: TCP's own tries would tell that the server is gone.
  void settle() {
    EXPECT_TRUE(eventually([this] {
      const json status = agent_->status();
      std::uint64_t busy = 0;
      for (const auto& host : status.at("hosts"))
        for (const char* what : {"channels_closing", "replies_awaited", "channels_opening"})
          busy += host.at(what).get<std::uint64_t>();
      return busy == 0 && status.at("forwards")[0].at("connections") == 0 &&
             status.at("forwards")[1].at("connections") == 0 && network_->acknowledged();
    }));
  }
  // The way is gone, and when it is there again the server knows nothing of us.
  void lose_server() {
    network_->cut(0);
    const std::vector<pid_t> sessions = process_descendants(network_->sshd(0).pid());
    network_->forget_us();
    for (pid_t pid : sessions) EXPECT_TRUE(eventually([pid] { return !process_alive(pid); })) << "ss -K";
  }

  std::unique_ptr<RoutedNetwork> network_;
  std::unique_ptr<SoakTarget> target_;
  std::unique_ptr<AgentProcess> agent_;
  std::vector<Door> doors_;
};

TEST_F(RoutedOutage, AnotherAddressOfOursHealsAloneForAllHops) {
  start();
  for (std::uint64_t logins : {2u, 3u}) {
    network_->change_address();
    EXPECT_TRUE(logged_in(logins, seconds(3) + kSlack)) << agent_->log();
    for (const Door& door : doors_) EXPECT_TRUE(door.serves(seconds(3) + kSlack));
  }
}

TEST_F(RoutedOutage, AnAgentThatWasStoppedWhileTheWayDiedHealsWithoutAnybodyAsking) {
  start();
  settle();
  const pid_t pid = agent_->pid();
  ::kill(pid, SIGSTOP);
  lose_server();
  pass(std::max<Duration>(outage(), SleepGauge::kSleep + seconds(1)));
  network_->mend(0);
  ::kill(pid, SIGCONT);
  EXPECT_TRUE(logged_in(2, seconds(3) + kSlack)) << agent_->log();
}

// The machine's clock as it is after a suspension: a library that is loaded before the system's own
// (support/later_clock.c) adds what a file says to CLOCK_BOOTTIME.
TEST_F(RoutedOutage, AMachineThatWasSuspendedHealsWithoutAnybodyAsking) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer has to be loaded first";
  TempDir directory;
  const std::string later = directory.write("later", "0\n");
  const auto tests = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  start({{"LD_PRELOAD", tests.parent_path() / "lib" / "later_clock.so"}, {"JUMPTEST_LATER", later}});
  settle();
  lose_server();
  network_->mend(0);
  EXPECT_TRUE(always([&] { return logged_in(1, Duration::zero()); }, seconds(2))) << "nobody has noticed";
  directory.write("later", "3600\n");
  EXPECT_TRUE(logged_in(2, seconds(3) + kSlack)) << agent_->log();
  // The server's own end may have been heard in the second before the clock is looked at.
  EXPECT_TRUE(eventually([&] { return agent_->log().find("awake again after 3600 s") != std::string::npos; }))
      << agent_->log();
  for (const Door& door : doors_) EXPECT_TRUE(door.serves(seconds(3) + kSlack));
}

}  // namespace
}  // namespace jump::test
