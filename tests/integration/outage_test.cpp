// Servers that die, hang or stay away for a while, and machines that sleep: each heals alone, what is asked
// meanwhile is answered in its time, and the status says what is going on.
//
// $JUMPAGENT_OUTAGE_SECONDS (2): how long a server is away, or an agent stopped; 60 is the full check.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <future>
#include <iostream>
#include <thread>

#include "forward/forward.h"
#include "loop/sleep_watch.h"
#include "routed_network.h"
#include "support/build_kind.h"
#include "support/env_number.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/machine_delay.h"
#include "support/proc_info.h"
#include "support/soak_client.h"
#include "support/soak_target.h"

namespace jump::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// ServerAliveInterval and its count: a silent server is given up within interval * (1 + count).
constexpr int kInterval = 2;
constexpr int kCount = 2;
constexpr Duration kGivenUp = seconds(kInterval * (1 + kCount));
// Stated in README: served again when a server is back, where its end was seen, and where it was not.
constexpr Duration kServesSeen = seconds(1);
constexpr Duration kServesUnseen = seconds(3);
constexpr Duration kNoticed = seconds(3);  // a dead way, after a change of the network
// Until a test stops waiting for what should be there long since: the bound is on what it measured.
constexpr Duration kNever = seconds(60);
constexpr Duration kWaits = seconds(60);  // a connection, for a host that is away: kPatientConfig
constexpr Duration kAlone = seconds(30);  // the longest pause between two dials
constexpr const char* kInner = "inner";

Duration outage() { return seconds(env_number("JUMPAGENT_OUTAGE_SECONDS", 2)); }
void pass(Duration time) { std::this_thread::sleep_for(time); }  // an outage has a length

// A bastion, a host behind it, and a forward by way of each.
class Outage : public testing::Test {
 protected:
  Outage() : lab_(options()) {
    const Stopwatch time;
    for (const char* name : {Lab::kBastion, kInner}) {
      const json forward = agent().open_forward(name, "0:127.0.0.1:" + std::to_string(target_.port()));
      doors_.push_back(Door{port_of(forward.at("listen")), {}});
      EXPECT_TRUE(doors_.back().serves(seconds(20))) << name;
    }
    machine_.expect_own(time.elapsed());
  }
  LabOptions options() {
    const KeyPair& key = user_key(KeyKind::kEd25519);
    inner_.authorize(key);
    LabOptions options;
    options.agent_config = kPatientConfig;
    options.config_lines = {"ServerAliveInterval " + std::to_string(kInterval),
                            "ServerAliveCountMax " + std::to_string(kCount)};
    options.other_hosts = {
        host_for(kInner, inner_, key, directory_.write("known_hosts", inner_.known_hosts()))};
    options.other_hosts[0].lines = {"ProxyJump bastion"};
    return options;
  }
  AgentProcess& agent() { return lab_.agent(); }
  std::string state(const char* name) { return agent().host_status(name).value("state", "gone"); }
  std::uint64_t logins(const char* name) { return agent().host_status(name).at("logins"); }
  void expect_within(Duration bound, const std::function<bool()>& condition) {
    machine_.restart();
    const Stopwatch time;
    EXPECT_TRUE(eventually(condition, kNever));
    EXPECT_LT(time.elapsed(), bound + machine_.allowance()) << agent().log();
  }
  void expect_serves(const Door& door, Duration bound) {
    expect_within(bound, [&] { return door.serves(seconds(5)); });
  }

  // Two connections: one made while it is away, one when it is back.
  void expect_served_after(const std::function<void()>& come_back, const std::vector<Door>& doors) {
    std::vector<std::thread> waiting;
    std::atomic<std::size_t> served{0};
    for (const Door& door : doors) {
      waiting.emplace_back([&served, door] { served += door.serves(kWaits) ? 1 : 0; });
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
    for (const Door& door : doors) expect_serves(door, kServesSeen);
  }

  const MachineDelay whole_time_;  // for what the agent says of all that it did
  MachineDelay machine_;
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
  expect_within(kAlone, [&] { return state(Lab::kBastion) == "ready"; });
  expect_within(kAlone, [&] { return state(kInner) == "ready"; });
}

TEST_F(Outage, AHostBehindALivingBastionDiesAndComesBack) {
  inner_.kill_all();
  EXPECT_TRUE(eventually([&] { return state(kInner) != "ready"; }));
  expect_serves(doors_[0], kServesSeen);
  pass(outage());
  expect_served_after([this] { inner_.start(); }, {doors_[1]});
  EXPECT_EQ(logins(Lab::kBastion), 1u) << "the one that lived";
  EXPECT_EQ(logins(kInner), 2u);
}

TEST_F(Outage, AServerWhoseSessionsAreKilledIsLoggedInToAgainAtOnce) {
  for (pid_t pid : process_descendants(lab_.sshd().listener_pid())) ::kill(pid, SIGKILL);
  expect_within(kServesSeen, [&] { return logins(Lab::kBastion) == 2 && logins(kInner) == 2; });
  for (const Door& door : doors_) expect_serves(door, kServesSeen);
}

// --- a server that hangs

// One request on a connection of its own: what the agent said, and after how long.
struct Asked {
  json answer;
  Duration took{};

  std::string kind() const {
    return answer.contains("error") ? answer["error"]["data"]["kind"].get<std::string>() : "done";
  }
  std::string message() const {
    return answer.contains("error") ? answer["error"]["message"].get<std::string>() : "";
  }
};

Asked ask(const std::string& path, const char* method, json params) {
  std::optional<Socket> client = Socket::connect_unix(path);
  const Stopwatch time;
  const std::string line =
      json{{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", std::move(params)}}.dump() + "\n";
  if (!client || !client->send_all(line)) return {};
  const std::optional<std::string> answer = client->receive_line(kNever);
  return {answer ? json::parse(*answer) : json(), time.elapsed()};
}

// The agent's own timeouts are what is measured here: each client waits for as long as it is kept waiting.
TEST_F(Outage, AHungServerHoldsNoRequestLongerThanItsTimeoutAndIsSaidToOweAnAnswer) {
  constexpr Duration kTimeout = seconds(1);
  const json timeout = to_seconds(kTimeout);
  std::vector<pid_t> all = process_descendants(lab_.sshd().listener_pid());
  all.push_back(lab_.sshd().listener_pid());
  for (pid_t pid : all) ::kill(pid, SIGSTOP);
  const Stopwatch stopped;
  std::thread asking([this] { EXPECT_FALSE(doors_[0].serves(seconds(3))); });

  const auto owes = [path = agent().socket_path()] {
    const json said = ask(path, "status", json::object()).answer;
    for (const json& each : said.at("result").at("hosts"))
      if (each.at("host") == Lab::kBastion) return each.value("unanswered", 0.0) >= 1;
    return false;
  };
  EXPECT_TRUE(eventually(owes, kGivenUp));
  EXPECT_THAT(agent().ctl({"status"}).out, HasSubstr("has not answered for"));

  const std::string spec = "0:127.0.0.1:" + std::to_string(target_.port());
  const json host = {{"host", Lab::kBastion}, {"timeout", timeout}};
  struct Request {
    const char* method;
    json params;
    std::vector<std::string> kinds;  // that the answer may have
  };
  // What needs nothing of the server is done; what does ends by its timeout, or with the reason for which the
  // host is away by then.
  const std::vector<std::string> done = {"done"};
  const std::vector<std::string> late = {"timeout"};
  const std::vector<Request> requests = {
      {"forward.list", json::object(), done},
      {"forward.open", {{"via", Lab::kBastion}, {"spec", spec}, {"timeout", timeout}}, {"done", "timeout"}},
      {"forward.open",
       {{"via", kInner}, {"kind", "dynamic"}, {"spec", "0"}, {"timeout", timeout}},
       {"done", "timeout"}},
      {"forward.open",
       {{"via", Lab::kBastion}, {"kind", "remote"}, {"spec", spec}, {"timeout", timeout}},
       late},
      {"session.open",
       {{"host", Lab::kBastion}, {"command", "true"}, {"upgrade", true}, {"timeout", timeout}},
       late},
      {"stream.open",
       {{"via", kInner},
        {"host", "127.0.0.1"},
        {"port", target_.port()},
        {"upgrade", true},
        {"timeout", timeout}},
       late},
      {"host.options", host, done},
      {"agent.diagnose", json::object(), done},
  };
  machine_.restart();
  std::vector<std::future<Asked>> answers;
  for (const Request& each : requests) {
    answers.push_back(std::async(std::launch::async, ask, agent().socket_path(), each.method, each.params));
  }

  // Meanwhile, each of these.
  MachineDelay quick;
  Duration slowest{};
  for (int i = 0; i < 101; ++i) {
    const Asked status = ask(agent().socket_path(), "status", json::object());
    ASSERT_EQ(status.kind(), "done");
    slowest = std::max(slowest, status.took);
  }
  const Duration status_bound = milliseconds(kSanitized ? 500 : 50) + quick.lost();
  EXPECT_LT(slowest, status_bound) << "the slowest status";
  RecordProperty("status_seconds", std::to_string(to_seconds(slowest)));

  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Asked got = answers[i].get();
    // A slow machine asks for some of it when the server is given up.
    if (stopped.elapsed() < kGivenUp) {
      EXPECT_THAT(requests[i].kinds, ::testing::Contains(got.kind()))
          << requests[i].method << ": " << got.answer;
    }
    EXPECT_LT(got.took, kTimeout + machine_.allowance()) << requests[i].method;
    if (got.kind() == "timeout") {
      EXPECT_GE(got.took, kTimeout - milliseconds(100)) << requests[i].method;
      EXPECT_THAT(got.message(),
                  ::testing::AnyOf(HasSubstr("bastion"), HasSubstr("inner"), HasSubstr("127.0.0.1")));
    }
    std::cout << "hung: " << requests[i].method << ": " << got.kind() << " after " << to_seconds(got.took)
              << " s" << std::endl;
  }

  // It is given up by and by; then logins are what hangs.
  expect_within(kGivenUp, [&] { return state(Lab::kBastion) != "ready"; });
  for (const char* name : {Lab::kBastion, kInner}) {
    machine_.restart();
    const Asked got = ask(agent().socket_path(), "host.connect", {{"host", name}, {"timeout", timeout}});
    EXPECT_EQ(got.kind(), "timeout") << got.answer;
    EXPECT_THAT(got.message(), HasSubstr(name));
    EXPECT_GE(got.took, kTimeout - milliseconds(100));
    EXPECT_LT(got.took, kTimeout + machine_.allowance());
  }
  machine_.restart();
  for (const auto& [method, params] :
       std::vector<std::pair<const char*, json>>{{"forward.close", {{"forward", "f1"}}},
                                                 {"host.disconnect", {{"host", kInner}}},
                                                 {"host.disconnect", {{"host", Lab::kBastion}}}}) {
    const Asked got = ask(agent().socket_path(), method, params);
    EXPECT_EQ(got.kind(), "done") << got.answer;
    EXPECT_LT(got.took, machine_.allowance()) << method;
  }
  const json status = agent().status().at("agent");
  EXPECT_LT(status.at("loop_lag_max").get<double>(), to_seconds(status_bound + whole_time_.lost()));
  RecordProperty("loop_lag_max", std::to_string(status.at("loop_lag_max").get<double>()));
  asking.join();
  for (pid_t pid : all) ::kill(pid, SIGCONT);
}

TEST_F(Outage, AHungServerIsGivenUpAndServesWhenItGoesOn) {
  std::vector<pid_t> all = process_descendants(lab_.sshd().listener_pid());
  all.push_back(lab_.sshd().listener_pid());
  for (pid_t pid : all) ::kill(pid, SIGSTOP);
  std::optional<Socket> unlucky = doors_[0].connect();
  ASSERT_TRUE(unlucky && unlucky->send_all(std::string_view("x")));
  machine_.restart();
  const Stopwatch time;
  EXPECT_TRUE(eventually([&] { return state(Lab::kBastion) != "ready"; }, kNever));
  EXPECT_LT(time.elapsed(), kGivenUp + machine_.allowance()) << "as ServerAliveInterval says";
  EXPECT_THAT(agent().host_status(Lab::kBastion).at("error").get<std::string>(),
              HasSubstr("has not answered"));
  EXPECT_TRUE(eventually([&] {
    return agent().log().find(" 0 packets of them unacknowledged") != std::string::npos;
  })) << "the machine is there\n"
      << agent().log();
  EXPECT_TRUE(unlucky->wait_end(kNever));
  EXPECT_LT(time.elapsed(), kWaits + machine_.allowance()) << "as it waits for a bastion that is away";
  for (pid_t pid : all) ::kill(pid, SIGCONT);
  for (const Door& door : doors_) expect_serves(door, kServesUnseen);
}

// --- machines and processes that sleep

TEST_F(Outage, AnAgentThatWasStoppedWhileItsServersDiedHealsWhenItGoesOn) {
  const pid_t pid = agent().pid();
  ::kill(pid, SIGSTOP);
  lab_.sshd().kill_all();
  pass(outage());
  lab_.sshd().start();
  ::kill(pid, SIGCONT);
  for (const Door& door : doors_) expect_serves(door, kServesUnseen);
}

class RoutedOutage : public testing::Test {
 protected:
  void SetUp() override {
    if (!RoutedNetwork::possible()) GTEST_SKIP() << "network namespaces are root's";
  }
  void make_network(const std::vector<std::string>& lines = {}) {
    network_ = std::make_unique<RoutedNetwork>(lines);
    target_ = std::make_unique<SoakTarget>(path());
  }
  std::string path() const { return network_->directory().file("target.sock"); }
  void start(const Environment& environment = {}) {
    if (!network_) make_network();
    agent_ = std::make_unique<AgentProcess>(network_->ssh_config(), environment);
    agent_->run({"-c", network_->directory().write("agent.toml", kPatientConfig)});
    const Stopwatch time;
    for (const char* name : RoutedNetwork::kNames) {
      doors_.push_back(Door{port_of(agent_->open_forward(name, "0:" + path()).at("listen")), {}});
      ASSERT_TRUE(doors_.back().serves(seconds(20))) << name;
    }
    machine_.expect_own(time.elapsed());
  }
  bool logged_in(std::uint64_t times, Duration within) {
    return eventually(
        [&] {
          const json status = agent_->host_status("bastion");
          return status.at("state") == "ready" && status.at("logins") == times;
        },
        within);
  }
  // As README says, for what nobody sees.
  void expect_logged_in(std::uint64_t times) {
    machine_.restart();
    const Stopwatch time;
    EXPECT_TRUE(logged_in(times, kNever));
    EXPECT_LT(time.elapsed(), kServesUnseen + machine_.allowance()) << agent_->log();
  }
  void expect_served(const Door& door) {
    machine_.restart();
    const Stopwatch time;
    EXPECT_TRUE(door.serves(kNever));
    EXPECT_LT(time.elapsed(), kServesUnseen + machine_.allowance()) << agent_->log();
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
    })) << agent_->status().dump(2);
  }
  // The way is gone, and when it is there again the server knows nothing of us.
  void lose_server() {
    network_->cut(0);
    const std::vector<pid_t> sessions = process_descendants(network_->sshd(0).pid());
    network_->forget_us();
    for (pid_t pid : sessions) EXPECT_TRUE(eventually([pid] { return !process_alive(pid); })) << "ss -K";
  }

  MachineDelay machine_;
  std::unique_ptr<RoutedNetwork> network_;
  std::unique_ptr<SoakTarget> target_;
  std::unique_ptr<AgentProcess> agent_;
  std::vector<Door> doors_;
};

TEST_F(RoutedOutage, AnotherAddressOfOursHealsAloneForAllHops) {
  start();
  for (std::uint64_t logins : {2u, 3u}) {
    network_->change_address();
    expect_logged_in(logins);
    for (const Door& door : doors_) expect_served(door);
  }
}

// What the server holds for a connection that has gone, remote listeners above all, is let go of once the way
// is there again: what tells it of the end is repeated by the kernel.
TEST_F(RoutedOutage, AServerHearsOfTheEndOfAConnectionThatACutHasCost) {
  start();
  settle();
  const std::vector<pid_t> sessions = process_descendants(network_->sshd(0).pid());
  network_->cut(0);
  network_->link_down();  // for the agent to look, and find no answer
  network_->link_up();
  const auto given_up = [&] { return agent_->host_status("bastion").at("state") != "ready"; };
  ASSERT_TRUE(eventually(given_up, kNever)) << agent_->log();
  network_->mend(0);
  for (pid_t pid : sessions)
    EXPECT_TRUE(eventually([pid] { return !process_alive(pid); }, kNever)) << agent_->log();
}

// What comes may have left the server before: only what arrives there tells that the way lives.
TEST_F(RoutedOutage, AServerThatStillSpeaksAndHearsNothingIsGivenUpAtAChange) {
  start();
  Process talk({ctl_program(), "exec", "bastion", "--", "while echo on; do sleep .1; done"},
               agent_->environment());
  ASSERT_TRUE(eventually([&] { return talk.out().size() > 30; })) << talk.err();
  network_->cut(0, RoutedNetwork::Direction::kThere);
  machine_.restart();
  const Stopwatch time;
  network_->change_unrelated();
  EXPECT_TRUE(eventually([&] { return agent_->host_status("bastion").at("state") != "ready"; }, kNever));
  EXPECT_LT(time.elapsed(), kNoticed + machine_.allowance()) << agent_->log();
  network_->mend(0, RoutedNetwork::Direction::kThere);
  expect_logged_in(2);
}

// The server would keep the port for the connection that was lost for as long as it does not hear of its end,
// which TCP repeats ever more rarely.
TEST_F(RoutedOutage, ARemoteForwardIsBackWithTheWayHoweverLongItWasCut) {
  start();
  const std::string spec = "19022:" + path();
  ASSERT_TRUE(agent_->ctl({"reverse", "--via", "bastion", "--name", "back", spec}).ok());
  const auto state = [&] { return agent_->ctl_json({"list"}).at("forwards").back().at("state"); };
  settle();
  network_->cut(0);
  network_->change_unrelated();
  const auto given_up = [&] { return agent_->host_status("bastion").at("state") != "ready"; };
  ASSERT_TRUE(eventually(given_up, kNever)) << agent_->log();
  pass(std::max<Duration>(outage(), seconds(12)));
  machine_.restart();
  const Stopwatch time;
  network_->mend(0);
  EXPECT_TRUE(eventually([&] { return state() == "active"; }, kNever)) << agent_->ctl_json({"list"}).dump(2);
  EXPECT_LT(time.elapsed(), kServesUnseen + machine_.allowance()) << agent_->log();
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
  expect_logged_in(2);
}

// The machine's clock as it is after a suspension: a library that is loaded before the system's own
// (support/later_clock.c) adds what a file says to CLOCK_BOOTTIME.
TEST_F(RoutedOutage, AMachineThatWasSuspendedHealsWithoutAnybodyAsking) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer has to be loaded first";
  make_network({"ServerAliveInterval 600"});  // it does not look of itself
  TempDir directory;
  const std::string later = directory.write("later", "0\n");
  const auto tests = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  start({{"LD_PRELOAD", tests.parent_path() / "lib" / "later_clock.so"}, {"JUMPTEST_LATER", later}});
  // Any change of the network is reason enough to look, and the last one may be a moment ago.
  network_->be_alone();
  const auto quiet = [&] { return agent_->host_status("bastion").value("heard_age", 0.0) > 1; };
  ASSERT_TRUE(eventually(quiet)) << agent_->log();
  settle();
  lose_server();
  network_->mend(0);
  EXPECT_TRUE(always([&] { return logged_in(1, Duration::zero()); }, seconds(2))) << "nobody has noticed";
  directory.write("later", "3600\n");
  expect_logged_in(2);
  // The server's own end may have been heard in the second before the clock is looked at.
  EXPECT_TRUE(eventually([&] { return agent_->log().find("awake again after 3600 s") != std::string::npos; }))
      << agent_->log();
  for (const Door& door : doors_) expect_served(door);
}

}  // namespace
}  // namespace jump::test
