// Events from a real agent with a real sshd: raw clients of the socket that follow what happens, also those
// that do not read, and `jumpctl watch`.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "support/build_kind.h"
#include "support/event_replica.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/on_terminal.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

// A client of the control socket that subscribed.
class Watcher {
 public:
  explicit Watcher(AgentProcess& agent, const json& params = json::object())
      : socket_(Socket::connect_unix(agent.socket_path()).value()) {
    const json answer = call("events.subscribe", params);
    EXPECT_TRUE(answer.contains("result")) << answer.dump();
    if (answer.contains("result")) replica.begin(answer["result"]);
  }

  void send(const std::string& method, const json& params) {
    const json request = {{"jsonrpc", "2.0"}, {"id", ++last_id_}, {"method", method}, {"params", params}};
    EXPECT_TRUE(socket_.send_all(request.dump() + "\n"));
  }
  // The answer; what comes before it is applied.
  json call(const std::string& method, const json& params) {
    send(method, params);
    while (std::optional<json> line = next(seconds(60))) {
      if (line->value("id", 0) == last_id_) return *line;
      replica.apply(*line);
    }
    ADD_FAILURE() << "no answer to " << method;
    return json::object();
  }
  // Applies what comes until `condition` holds.
  bool until(const std::function<bool()>& condition, Duration deadline = seconds(30)) {
    const Stopwatch watch;
    while (!condition()) {
      if (watch.elapsed() > deadline) return false;
      read(milliseconds(20));
    }
    return true;
  }
  // Applies what comes within `wait`; false: nothing did.
  bool read(Duration wait) {
    std::optional<json> line = next(wait);
    if (line) replica.apply(*line);
    return line.has_value();
  }
  // It knows what `status` says; all that has to do with counters aside.
  std::string difference(AgentProcess& agent) {
    std::string found;
    if (until([&] {
          while (read(milliseconds(5))) {
          }
          return (found = replica.difference(agent.status())).empty();
        }))
      return {};
    return found;
  }

  EventReplica replica;
  std::string heard;  // all lines

 private:
  // Socket::receive_line() loses what came of a line at its deadline; this keeps it.
  std::optional<json> next(Duration deadline) {
    const Stopwatch watch;
    while (true) {
      if (const std::size_t end = unread_.find('\n', searched_); end != std::string::npos) {
        const std::string line = unread_.substr(0, end + 1);
        unread_.erase(0, end + 1);
        searched_ = 0;
        heard += line;
        return json::parse(line);
      }
      searched_ = unread_.size();
      if (watch.elapsed() > deadline) return std::nullopt;
      std::array<std::uint8_t, 65536> buffer;
      std::size_t count = 0;
      const StreamEnd end = socket_.receive_some(
          buffer, &count, std::max<Duration>(deadline - watch.elapsed(), milliseconds(1)));
      if (end == StreamEnd::kEof || end == StreamEnd::kReset) return std::nullopt;
      unread_.append(reinterpret_cast<const char*>(buffer.data()), count);
    }
  }

  Socket socket_;
  std::string unread_;
  std::size_t searched_ = 0;
  int last_id_ = 0;
};

class Events : public ::testing::Test {
 protected:
  AgentProcess& agent() { return lab.agent(); }
  static void expect_good(const Watcher& watcher) {
    EXPECT_EQ(watcher.replica.problems(), std::vector<std::string>{});
  }
  static bool told(const Watcher& watcher, const std::string& what) {
    const auto& all = watcher.replica.history();
    return std::find(all.begin(), all.end(), what) != all.end();
  }
  // One client's connection, with many requests under way.
  static void open_many(Watcher& client, int count) {
    for (int i = 0; i < count; ++i) {
      const json answer = client.call(
          "forward.open",
          {{"spec", "127.0.0.1:0:127.0.0.1:1"}, {"via", Lab::kBastion}, {"name", "n" + std::to_string(i)}});
      ASSERT_TRUE(answer.contains("result")) << answer.dump();
    }
  }

  Lab lab;
};

TEST_F(Events, TellOfAHostThatConnectsAndDisconnects) {
  Watcher watcher(agent());
  EXPECT_TRUE(watcher.replica.hosts().empty());
  ASSERT_TRUE(agent().ctl({"connect", Lab::kBastion}).ok());
  EXPECT_TRUE(watcher.until([&] { return watcher.replica.host_state(Lab::kBastion) == "ready"; }));
  EXPECT_EQ(watcher.difference(agent()), "");
  ASSERT_TRUE(agent().ctl({"disconnect", Lab::kBastion}).ok());
  EXPECT_TRUE(watcher.until([&] { return watcher.replica.host_state(Lab::kBastion) == "idle"; }));
  EXPECT_EQ(watcher.difference(agent()), "");
  expect_good(watcher);
}

TEST_F(Events, TellOfAForwardFromItsOpeningToItsClosing) {
  TcpService service(TcpService::echo());
  ASSERT_TRUE(agent().ctl({"connect", Lab::kBastion}).ok());
  Watcher watcher(agent());
  EXPECT_EQ(watcher.replica.host_state(Lab::kBastion), "ready");
  const json opened =
      agent().open_forward(Lab::kBastion, "127.0.0.1:0:127.0.0.1:" + std::to_string(service.port()));
  const std::string id = opened["id"];
  EXPECT_TRUE(watcher.until([&] { return watcher.replica.forward_state(id) == "active"; }));
  EXPECT_EQ(watcher.replica.forwards().at(id)["listen"], opened["listen"]);
  ASSERT_TRUE(agent().ctl({"disconnect", Lab::kBastion}).ok());
  EXPECT_TRUE(watcher.until([&] { return watcher.replica.forward_state(id) == "waiting"; }));
  EXPECT_EQ(watcher.difference(agent()), "");
  ASSERT_TRUE(agent().ctl({"close", id}).ok());
  EXPECT_TRUE(watcher.until([&] { return watcher.replica.forwards().empty(); }));
  EXPECT_TRUE(told(watcher, "forward " + id + " removed"));
  EXPECT_EQ(watcher.difference(agent()), "");
  expect_good(watcher);
}

TEST_F(Events, TellThatATargetRefusesAndWhy) {
  Watcher watcher(agent());
  const std::uint16_t port = agent().forward_port(Lab::kBastion, 1);
  std::optional<Socket> client = Socket::connect_tcp(port);
  ASSERT_TRUE(client);
  EXPECT_TRUE(watcher.until([&] { return watcher.replica.forward_state("f1") == "degraded"; }));
  EXPECT_NE(watcher.replica.forwards().at("f1").value("error", ""), "");
  EXPECT_EQ(watcher.difference(agent()), "");
  expect_good(watcher);
}

TEST_F(Events, TellOfCountersOnlyToThoseWhoAskedForThem) {
  TcpService service(TcpService::echo());
  const std::uint16_t port = agent().forward_port(Lab::kBastion, service.port());
  Watcher counting(agent(), {{"counters", true}, {"kinds", {"forward"}}}), other(agent());
  EXPECT_TRUE(counting.replica.hosts().empty());
  std::optional<Socket> client = Socket::connect_tcp(port);
  ASSERT_TRUE(client && client->send_all(std::string(1000, 'x')));
  EXPECT_EQ(client->receive_exactly(1000).bytes.size(), 1000u);
  EXPECT_TRUE(counting.until([&] {
    const json& known = counting.replica.forwards().at("f1");
    return known["bytes_in"] == 1000 && known["bytes_out"] == 1000 && known["connections"] == 1;
  }));
  ASSERT_TRUE(agent().ctl({"close", "f1"}).ok());
  EXPECT_TRUE(other.until([&] { return other.replica.forwards().empty(); }));
  EXPECT_EQ(other.replica.history(), std::vector<std::string>{"forward f1 removed"});
  expect_good(counting);
  expect_good(other);
}

TEST_F(Events, EndWithUnsubscribeAndRefuseAnUnknownKind) {
  Watcher watcher(agent(), {{"kinds", {"forward"}}});
  const json refused = watcher.call("events.subscribe", {{"kinds", {"weather"}}});
  EXPECT_EQ(refused["error"]["data"]["kind"], "invalid");
  EXPECT_EQ(agent().status()["agent"]["watchers"], 1);
  EXPECT_TRUE(watcher.call("events.unsubscribe", json::object()).contains("result"));
  EXPECT_EQ(agent().status()["agent"]["watchers"], 0);
  const json again = watcher.call("events.subscribe", json::object());
  watcher.replica.begin(again["result"]);
  ASSERT_TRUE(agent().ctl({"connect", Lab::kBastion}).ok());
  EXPECT_EQ(watcher.difference(agent()), "");
  const json hello = watcher.call("hello", json::object());
  const json& can = hello["result"]["capabilities"];
  EXPECT_NE(std::find(can.begin(), can.end(), "events"), can.end());
  expect_good(watcher);
}

// 500 forwards by one client, 20 that watch.
TEST_F(Events, ReachTwentyWatchersOfFiveHundredForwards) {
  ASSERT_TRUE(agent().ctl({"connect", Lab::kBastion}).ok());
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (int i = 0; i < 20; ++i) watchers.push_back(std::make_unique<Watcher>(agent()));
  Watcher client(agent(), {{"kinds", {"session"}}});
  const Stopwatch watch;
  open_many(client, 500);
  RecordProperty("open_ms", static_cast<int>(to_seconds(watch.elapsed()) * 1000));
  for (auto& watcher : watchers) {
    EXPECT_EQ(watcher->difference(agent()), "");
    EXPECT_EQ(watcher->replica.forwards().size(), 500u);
    expect_good(*watcher);
  }
  EXPECT_EQ(client.replica.events(), 0u);
}

TEST_F(Events, AClientThatDoesNotReadLagsAndBeginsAnewWhileOthersGoOn) {
  ASSERT_TRUE(agent().ctl({"connect", Lab::kBastion}).ok());
  Watcher quick(agent()), slow(agent()), client(agent(), {{"kinds", {"session"}}});
  open_many(client, 300);
  EXPECT_EQ(quick.difference(agent()), "");
  const auto memory = agent().status()["agent"]["memory"].get<std::int64_t>();
  int rounds = 0;
  // Each changes all 300 forwards: to waiting, and back.
  while (rounds < 40 && (rounds < 8 || agent().status()["agent"]["watchers_lagged"] == 0)) {
    ++rounds;
    ASSERT_TRUE(client.call("host.disconnect", {{"host", Lab::kBastion}}).contains("result"));
    ASSERT_TRUE(quick.until([&] { return quick.replica.forward_state("f300") == "waiting"; }));
    ASSERT_TRUE(client.call("host.connect", {{"host", Lab::kBastion}}).contains("result"));
    ASSERT_TRUE(quick.until([&] { return quick.replica.forward_state("f300") == "active"; }));
  }
  const json facts = agent().status()["agent"];
  EXPECT_GE(facts["watchers_lagged"], 1) << rounds;
  EXPECT_EQ(facts["clients_cut_off"], 0);
  if (!kSanitized) {
    EXPECT_LT(facts["memory"].get<std::int64_t>() - memory, 8 << 20);
  }
  EXPECT_GE(quick.replica.events(), 300u * 16);
  EXPECT_EQ(quick.replica.lagged(), 0u);
  EXPECT_EQ(slow.difference(agent()), "");
  EXPECT_GE(slow.replica.lagged(), 1u);
  EXPECT_GT(slow.replica.missed(), 0u);
  // From here on it is told everything again.
  ASSERT_TRUE(agent().ctl({"close", "f1"}).ok());
  EXPECT_TRUE(slow.until([&] { return told(slow, "forward f1 removed"); }));
  EXPECT_EQ(quick.difference(agent()), "");
  expect_good(slow);
  expect_good(quick);
}

TEST_F(Events, TellOfAQuestionAndNeverOfItsAnswer) {
  constexpr const char* kPassphrase = "Zq7-pLw9-unheard-of";
  const KeyPair key = generate_key(KeyKind::kEd25519, lab.directory().file("locked"));
  ASSERT_TRUE(run_process({"ssh-keygen", "-q", "-p", "-P", "", "-N", kPassphrase, "-f", key.private_path},
                          seconds(20))
                  .ok());
  lab.sshd().authorize(key);
  SshConfigHost host = host_for(Lab::kBastion, lab.sshd(), key, lab.known_hosts());
  host.lines.insert(host.lines.begin(), "BatchMode no");
  AgentProcess asking(lab.directory().write("locked_config", ssh_config_text({host})));
  asking.run();
  Watcher watcher(asking);
  OnTerminal person({ctl_program(), "connect", Lab::kBastion}, asking.environment());
  EXPECT_TRUE(watcher.until([&] { return !watcher.replica.interactions().empty(); }));
  ASSERT_FALSE(watcher.replica.interactions().empty());
  const json question = watcher.replica.interactions().begin()->second;
  EXPECT_EQ(question["kind"], "passphrase");
  EXPECT_EQ(question["host"], Lab::kBastion);
  EXPECT_TRUE(watcher.until([&] { return watcher.replica.host_state(Lab::kBastion) == "waiting_user"; }));
  ASSERT_TRUE(person.shows("passphrase"));
  person.type(std::string(kPassphrase) + "\n");
  EXPECT_TRUE(watcher.until([&] {
    return watcher.replica.interactions().empty() && watcher.replica.host_state(Lab::kBastion) == "ready";
  }));
  EXPECT_EQ(watcher.difference(asking), "");
  EXPECT_EQ(watcher.heard.find(kPassphrase), std::string::npos);
  expect_good(watcher);
}

TEST_F(Events, TheEndOfTheAgentIsTheEndOfTheConnection) {
  Watcher watcher(agent());
  ASSERT_TRUE(agent().down().ok());
  EXPECT_FALSE(watcher.read(seconds(10)));
}

// --- jumpctl watch ---

class WatchVerb : public Events {
 protected:
  std::unique_ptr<Process> watch(std::vector<std::string> more = {}) {
    std::vector<std::string> argv = {ctl_program(), "watch"};
    argv.insert(argv.end(), more.begin(), more.end());
    return std::make_unique<Process>(argv, agent().environment());
  }
  static bool says(const Process& process, const std::string& text) {
    return eventually([&] { return process.out().find(text) != std::string::npos; }, seconds(20));
  }
};

TEST_F(WatchVerb, PrintsTheStateAndThenALineForEachChangeUntilCtrlC) {
  agent();
  const auto process = watch();
  EXPECT_TRUE(says(*process, "no hosts and no forwards yet\n"));
  const json opened = agent().open_forward(Lab::kBastion, "127.0.0.1:0:127.0.0.1:1");
  const std::string name = "forward f1 (" + opened["listen"].get<std::string>() + " -> 127.0.0.1:1): ";
  EXPECT_TRUE(says(*process, "-> ready\n")) << process->out();
  EXPECT_TRUE(says(*process, "active\n")) << process->out();
  ASSERT_TRUE(agent().ctl({"disconnect", Lab::kBastion}).ok());
  EXPECT_TRUE(says(*process, "host bastion: ready -> idle\n")) << process->out();
  EXPECT_TRUE(says(*process, name + "active -> waiting")) << process->out();
  ASSERT_TRUE(agent().ctl({"close", "f1"}).ok());
  EXPECT_TRUE(says(*process, name + "closed\n")) << process->out();
  process->signal(SIGINT);
  EXPECT_EQ(process->wait(seconds(10)), 0);
  EXPECT_EQ(process->err(), "");
}

TEST_F(WatchVerb, WithJsonEachLineIsWhatTheAgentSent) {
  agent();
  const auto process = watch({"--json"});
  EXPECT_TRUE(says(*process, "\n"));
  agent().open_forward(Lab::kBastion, "127.0.0.1:0:127.0.0.1:1");
  EventReplica replica;
  EXPECT_TRUE(eventually([&] {
    std::istringstream in(process->out());
    std::string line;
    std::getline(in, line);
    replica = EventReplica{};
    replica.begin(json::parse(line));
    while (std::getline(in, line) && !in.eof()) replica.apply(json::parse(line));
    return replica.forward_state("f1") == "active";
  }));
  EXPECT_EQ(replica.problems(), std::vector<std::string>{});
  ASSERT_TRUE(agent().down().ok());
  EXPECT_EQ(process->wait(seconds(10)), 1);
  EXPECT_EQ(process->err(), "jumpctl: the agent has ended\n");
}

TEST_F(WatchVerb, EndsQuietlyWithWhoeverReadsItThoughNothingChanges) {
  agent();
  const ProcessResult result =
      run_process({"bash", "-c", ctl_program() + " watch | head -n 1; echo ${PIPESTATUS[0]}"}, seconds(20),
                  agent().environment());
  EXPECT_FALSE(result.timed_out);
  EXPECT_NE(result.out.find("no hosts and no forwards yet\n0\n"), std::string::npos) << result.describe();
  EXPECT_EQ(result.err, "");
}

TEST_F(WatchVerb, SaysThatNoAgentIsRunning) {
  const ProcessResult result = lab.cold_agent().ctl({"watch"});
  EXPECT_EQ(result.exit_status, 3);
  EXPECT_NE(result.err.find("no agent is running"), std::string::npos);
}

}  // namespace
}  // namespace jump::test
