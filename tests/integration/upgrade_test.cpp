// `jumpagent up` with another build of the program takes the place of the agent that runs: nobody who
// connects is refused meanwhile, and what the old agent carries comes to its end.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <mutex>
#include <thread>

#include "descriptor_passing.h"
#include "support/build_kind.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/mux_lab.h"
#include "support/on_terminal.h"
#include "support/pattern.h"
#include "support/proc_info.h"
#include "support/reserved_port.h"
#include "support/socket.h"
#include "support/tcp_service.h"
#include "support/unix_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The same program with another file: a byte more at its end.
std::string another_build(const TempDir& directory) {
  const std::string path = directory.file("jumpagent");
  std::filesystem::copy_file(agent_program(), path, std::filesystem::copy_options::overwrite_existing);
  std::ofstream(path, std::ios::app | std::ios::binary) << 'x';
  ::chmod(path.c_str(), 0755);
  return path;
}

ProcessResult up(AgentProcess& agent, const std::string& program, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {program, "--json", "up"});
  return run_process(more, seconds(60), agent.environment());
}

bool echoes(std::uint16_t port) {
  std::optional<Socket> socket = Socket::connect_tcp(port);
  return socket && socket->send_all(std::string_view("hello")) &&
         socket->receive_exactly(5).text() == "hello";
}

// One door at which somebody knocks: how to connect, what to say at once, and how to see that it leads
// somewhere.
struct Knock {
  std::string name;
  int rate = 0;   // a second
  int every = 1;  // each so-manieth attempt is taken to its answer
  std::function<std::optional<Socket>()> connect;
  std::string first_words;
  std::function<bool(Socket&)> is_served;
};

bool says_back(Socket& socket) { return socket.receive_exactly(1).text() == "k"; }
constexpr std::string_view kSocksGreeting{"\x05\x01\x00", 3};
bool proxies(Socket& socket, std::uint16_t target) {
  const std::string request = std::string("\x05\x01\x00\x01\x7f\x00\x00\x01", 8) +
                              static_cast<char>(target >> 8) + static_cast<char>(target & 0xff);
  return socket.receive_exactly(2).text() == std::string_view("\x05\x00", 2) &&
         socket.send_all(std::string_view(request)) &&
         socket.receive_exactly(10).text().substr(0, 2) == std::string_view("\x05\x00", 2) &&
         socket.send_all(std::string_view("k")) && says_back(socket);
}
constexpr std::string_view kStatusRequest = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n";
bool answers_status(Socket& socket) { return contains(socket.receive_line().value_or(""), "\"result\""); }

// Connects so many times a second, until it is told to stop. What it is late with it makes up for, so that
// the number of attempts is what the time asks for, unless the machine cannot do it. Each so-manieth is
// handed to a thread of its own, which waits for the answer, so that a slow answer does not make fewer
// attempts.
class Knocking {
 public:
  explicit Knocking(Knock knock)
      : knock_(std::move(knock)), thread_([this] { go_on(); }), listener_([this] { listen(); }) {}
  ~Knocking() { stop(); }
  void stop() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    came_.notify_all();
    if (thread_.joinable()) thread_.join();
    if (listener_.joinable()) listener_.join();
  }
  const std::string& name() const { return knock_.name; }
  int wanted_rate() const { return knock_.rate; }
  std::size_t attempts() const { return attempts_; }
  std::size_t refused() const { return refused_; }
  std::size_t served() const { return served_; }
  std::size_t unserved() const { return unserved_; }
  double rate() const { return static_cast<double>(attempts_) / to_seconds(time_.elapsed()); }

 private:
  static constexpr std::size_t kMostWaiting = 16;  // far from the limits of the agent and the server

  void go_on() {
    TimePoint next = Clock::now();
    for (std::size_t i = 0; !stop_; ++i) {
      std::optional<Socket> socket = knock_.connect();
      if (!socket) ++refused_;
      ++attempts_;
      if (socket && i % static_cast<std::size_t>(knock_.every) == 0) {
        socket->send_all(std::string_view(knock_.first_words));  // if it fails, there is no answer
        std::lock_guard lock(mutex_);
        if (waiting_.size() < kMostWaiting) waiting_.push_back(*std::move(socket));
        came_.notify_one();
      }
      next += std::chrono::duration_cast<Duration>(seconds(1)) / knock_.rate;
      std::this_thread::sleep_until(next);  // the rate
    }
  }
  // Until nobody knocks any more and all have their answers.
  void listen() {
    while (true) {
      std::unique_lock lock(mutex_);
      came_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      Socket socket = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      ++(knock_.is_served(socket) ? served_ : unserved_);
    }
  }

  const Knock knock_;
  Stopwatch time_;
  std::atomic<bool> stop_{false};
  std::atomic<std::size_t> attempts_{0}, refused_{0}, served_{0}, unserved_{0};
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<Socket> waiting_;
  std::thread thread_, listener_;
};

TEST(Upgrade, NobodyIsRefusedAndOpenStreamsComeToTheirEnd) {
  constexpr std::size_t kSize = 64 << 20;
  Lab lab{{.agent_config = kPatientConfig}};
  TcpService echo(TcpService::echo()), sink(TcpService::hash_sink()), source(TcpService::source(3, kSize));
  AgentProcess& agent = lab.agent();
  const std::uint16_t port = agent.forward_port(Lab::kBastion, echo.port());
  std::optional<Socket> upload = Socket::connect_tcp(agent.forward_port(Lab::kBastion, sink.port()));
  std::optional<Socket> download = Socket::connect_tcp(agent.forward_port(Lab::kBastion, source.port()));
  ASSERT_TRUE(upload && download && echoes(port));
  const Bytes half = pattern_bytes(5, kSize / 8);
  ASSERT_TRUE(upload->send_all(ByteView(half)));
  Received got = download->receive_exactly(kSize / 8);
  const pid_t old_pid = agent.pid();

  const std::string path = lab.directory().file("door.sock");
  agent.open_forward(Lab::kBastion, path + ":127.0.0.1:" + std::to_string(echo.port()));
  agent.ctl_json({"socks", "--via", Lab::kBastion, "127.0.0.1:0"});
  const std::uint16_t socks = port_of(agent.status().at("forwards").back().at("listen"));
  // A thousand a second at a port, and some at each other door; under sanitizers a fifth of that, as two
  // agents there cannot serve more beside other tests, and what waits in line grows without end. Those that
  // want an answer need a login at the new agent, or a channel, each.
  constexpr int kTenth = kSanitized ? 20 : 100;
  const auto at_tcp = [](std::uint16_t to) { return [to] { return Socket::connect_tcp(to); }; };
  const auto at_path = [](std::string to) { return [to] { return Socket::connect_unix(to); }; };
  std::deque<Knocking> all;
  all.emplace_back(Knock{"a port", 10 * kTenth, kTenth / 2, at_tcp(port), "k", says_back});
  all.emplace_back(Knock{"a path", 2 * kTenth, kTenth / 5, at_path(path), "k", says_back});
  all.emplace_back(Knock{"a proxy", 2 * kTenth, kTenth / 5, at_tcp(socks), std::string(kSocksGreeting),
                         [&](Socket& socket) { return proxies(socket, echo.port()); }});
  all.emplace_back(Knock{"the control socket", 2 * kTenth, kTenth / 10, at_path(agent.socket_path()),
                         std::string(kStatusRequest), answers_status});
  const auto each_has = [&](const std::vector<std::size_t>& before, std::size_t part) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto more = static_cast<std::size_t>(all[i].wanted_rate()) / part;
      if (all[i].attempts() < before[i] + more || all[i].served() == 0) return false;
    }
    return true;
  };
  const auto attempts = [&] {
    std::vector<std::size_t> now;
    for (const Knocking& each : all) now.push_back(each.attempts());
    return now;
  };
  ASSERT_TRUE(eventually([&] { return each_has(std::vector<std::size_t>(all.size()), 3); }, seconds(30)));
  const std::string build = another_build(lab.directory());
  const std::vector<std::size_t> before = attempts();
  const ProcessResult result = up(agent, build);
  ASSERT_TRUE(result.ok()) << result.describe();
  const std::vector<std::size_t> then = attempts();
  EXPECT_TRUE(eventually([&] { return each_has(then, 1); }, seconds(30)));
  EXPECT_TRUE(echoes(port));
  for (Knocking& each : all) each.stop();
  for (std::size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(all[i].name());
    std::cout << "upgrade: " << all[i].name() << ": " << all[i].attempts() << " attempts, " << all[i].rate()
              << " a second, " << then[i] - before[i] << " of them during `up`; answers: " << all[i].served()
              << std::endl;
    EXPECT_EQ(all[i].refused(), 0u) << "of " << all[i].attempts();
    EXPECT_EQ(all[i].unserved(), 0u) << "of " << all[i].served() + all[i].unserved();
    EXPECT_GT(all[i].served(), 0u);
    // No measure of speed: far from what was planned, the test would not show what it says.
    EXPECT_GT(all[i].rate(), all[i].wanted_rate() / (kSanitized ? 20 : 4));
    EXPECT_GT(then[i] - before[i], 0u) << "none during `up`";
  }
  // At the rate that was planned, `up` would have to be over within 20 ms to see fewer at the port.
  EXPECT_GT(then[0] - before[0], kSanitized ? 4u : 20u);

  const json said = json::parse(result.out);
  EXPECT_EQ(said.at("replaced").get<pid_t>(), old_pid);
  EXPECT_GE(said.at("connections").get<int>(), 2);
  const pid_t new_pid = agent.pid();
  EXPECT_NE(new_pid, old_pid);
  EXPECT_TRUE(process_alive(old_pid));  // it carries the two

  ASSERT_TRUE(upload->send_all(ByteView(half)));
  upload->shutdown_write();
  Sha256 sent;
  sent.update(half);
  sent.update(half);
  EXPECT_EQ(upload->receive_all().text(), sent.hex());
  const Received rest = download->receive_all();
  EXPECT_EQ(rest.end, StreamEnd::kEof);
  Sha256 received;
  received.update(got.bytes);
  received.update(rest.bytes);
  EXPECT_EQ(received.hex(), pattern_sha256(3, kSize));
  upload.reset();
  download.reset();
  EXPECT_TRUE(eventually([&] { return !process_alive(old_pid); }, seconds(20)));
  EXPECT_TRUE(echoes(port));
}

TEST(Upgrade, ForwardsKeepTheirIdsNamesAndLifetimes) {
  Lab lab;
  TcpService echo(TcpService::echo());
  AgentProcess& agent = lab.agent();
  const std::string target = ":127.0.0.1:" + std::to_string(echo.port());
  const ReservedPort fixed;
  const std::string path = lab.directory().file("s.sock");
  agent.open_forward(Lab::kBastion, std::to_string(fixed.number()) + target);
  const json gone = agent.open_forward(Lab::kBastion, "0" + target);
  agent.ctl_json({"forward", "--via", Lab::kBastion, "--persist", "--name", "kept", "127.0.0.1:0" + target});
  agent.ctl_json({"forward", "--via", Lab::kBastion, path + target});
  agent.ctl_json({"socks", "--via", Lab::kBastion, "127.0.0.1:0"});
  ASSERT_TRUE(agent.ctl({"close", gone.at("id")}).ok());
  const json before = agent.status().at("forwards");
  ASSERT_EQ(before.size(), 4u);

  ASSERT_TRUE(up(agent, agent_program(), {"--replace"}).ok());
  const json after = agent.status().at("forwards");
  ASSERT_EQ(after.size(), before.size()) << after;
  for (std::size_t i = 0; i < before.size(); ++i) {
    for (const char* field : {"id", "name", "kind", "spec", "listen", "target", "via", "persist", "origin"}) {
      EXPECT_EQ(after[i].at(field), before[i].at(field)) << field;
    }
  }
  EXPECT_TRUE(echoes(fixed.number()));
  std::optional<Socket> local = Socket::connect_unix(path);
  ASSERT_TRUE(local && local->send_all(std::string_view("hello")));
  EXPECT_EQ(local->receive_exactly(5).text(), "hello");

  // They are the new agent's: it closes them, and their names go with it.
  EXPECT_TRUE(agent.ctl({"close", "kept"}).ok());
  const json more = agent.open_forward(Lab::kBastion, "0" + target);
  EXPECT_EQ(more.at("id"), "f6");
  local.reset();
  EXPECT_TRUE(agent.down().ok());
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(agent.socket_path()));
}

TEST(Upgrade, APersistentForwardIsNotThereTwice) {
  Lab lab;
  TcpService echo(TcpService::echo());
  AgentProcess& agent = lab.agent();
  agent.ctl_json(
      {"forward", "--via", Lab::kBastion, "--persist", "0:127.0.0.1:" + std::to_string(echo.port())});
  ASSERT_TRUE(up(agent, agent_program(), {"--replace"}).ok());
  // It is the new agent's state file by now when another one can be added.
  EXPECT_TRUE(eventually([&] {
    return agent.ctl({"forward", "--via", Lab::kBastion, "--persist", "--name", "b", "0:127.0.0.1:9"}).ok();
  }));
  const json forwards = agent.status().at("forwards");
  ASSERT_EQ(forwards.size(), 2u) << forwards;
  EXPECT_TRUE(forwards[0].at("persist").get<bool>());
}

TEST(Upgrade, APortThatTheServerChoseIsKeptAndItsForwardIsNotThereTwice) {
  Lab lab;
  TcpService echo(TcpService::echo());
  AgentProcess& agent = lab.agent();
  const std::string spec = "0:127.0.0.1:" + std::to_string(echo.port());
  agent.ctl_json({"reverse", "--via", Lab::kBastion, "--persist", spec});
  agent.ctl_json({"reverse", "--via", Lab::kBastion, "--persist", spec});
  agent.ctl_json({"reverse", "--via", Lab::kBastion, spec});
  const json before = agent.status().at("forwards");
  ASSERT_EQ(before.size(), 3u) << before;
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(up(agent, agent_program(), {"--replace"}).ok());
    for (std::size_t i = 0; i < before.size(); ++i) {
      const std::uint16_t port = port_of(before[i].at("listen"));
      EXPECT_TRUE(eventually([&] { return echoes(port); }, seconds(30))) << i << ": " << agent.status();
    }
    const json after = agent.status().at("forwards");
    ASSERT_EQ(after.size(), before.size()) << after;
    for (std::size_t i = 0; i < before.size(); ++i) {
      for (const char* field : {"id", "spec", "listen", "persist"}) {
        EXPECT_EQ(after[i].at(field), before[i].at(field)) << field;
      }
    }
  }
}

TEST(Upgrade, TheConfigFilesForwardsAndTheOptionsGoAlong) {
  Lab lab;
  TcpService echo(TcpService::echo());
  const ReservedPort fixed;
  const std::string config =
      lab.directory().write("config.toml", "[[forward]]\nspec = \"" + std::to_string(fixed.number()) +
                                               ":127.0.0.1:" + std::to_string(echo.port()) +
                                               "\"\nvia = \"bastion\"\nname = \"web\"\n");
  AgentProcess& agent = lab.cold_agent();
  agent.run({"-c", config, "--open-timeout", "7", "--no-lanes"});
  ASSERT_TRUE(eventually([&] { return echoes(fixed.number()); }));
  ASSERT_TRUE(up(agent, another_build(lab.directory())).ok());
  EXPECT_TRUE(echoes(fixed.number()));
  const json status = agent.status();
  ASSERT_EQ(status.at("forwards").size(), 1u);
  EXPECT_EQ(status.at("forwards")[0].at("origin"), "config");
  EXPECT_EQ(status.at("agent").at("config"), config);
  EXPECT_EQ(status.at("agent").at("ssh_config"), lab.ssh_config());
  const json options = status.at("agent").at("options");
  EXPECT_NE(std::find(options.begin(), options.end(), "--no-lanes"), options.end()) << options;
  EXPECT_NE(std::find(options.begin(), options.end(), "7"), options.end()) << options;
}

TEST(Upgrade, WhatAServerListensOnIsAskedForAnew) {
  Lab lab;
  TcpService echo(TcpService::echo());
  const ReservedPort there;
  AgentProcess& agent = lab.agent();
  agent.ctl_json({"reverse", "--via", Lab::kBastion,
                  std::to_string(there.number()) + ":127.0.0.1:" + std::to_string(echo.port())});
  ASSERT_TRUE(echoes(there.number()));
  ASSERT_TRUE(up(agent, agent_program(), {"--replace"}).ok());
  EXPECT_TRUE(eventually([&] { return echoes(there.number()); }, seconds(30)));
  EXPECT_EQ(agent.forward_status("f1").at("kind"), "remote");
}

TEST(Upgrade, AHeldForwardEndsWithItsClientAndItsConnectionsGoOn) {
  Lab lab;
  TcpService sink(TcpService::hash_sink());
  AgentProcess& agent = lab.agent();
  std::optional<Socket> holder = Socket::connect_unix(agent.socket_path());
  ASSERT_TRUE(holder.has_value());
  const json open = {{"jsonrpc", "2.0"},
                     {"id", 1},
                     {"method", "forward.open"},
                     {"params",
                      {{"spec", "127.0.0.1:0:127.0.0.1:" + std::to_string(sink.port())},
                       {"via", Lab::kBastion},
                       {"hold", true}}}};
  ASSERT_TRUE(holder->send_all(std::string_view(open.dump() + "\n")));
  const std::optional<std::string> line = holder->receive_line(seconds(20));
  ASSERT_TRUE(line.has_value());
  const std::uint16_t port = port_of(json::parse(*line).at("result").at("forward").at("listen"));
  std::optional<Socket> upload = Socket::connect_tcp(port);
  ASSERT_TRUE(upload && upload->send_all(std::string_view("first ")));
  ASSERT_TRUE(eventually([&] { return agent.forward_status("f1").at("bytes_out").get<int>() > 0; }));

  const ProcessResult result = up(agent, agent_program(), {"--replace"});
  ASSERT_TRUE(result.ok()) << result.describe();
  EXPECT_TRUE(holder->wait_end(seconds(10)));
  EXPECT_TRUE(agent.status().at("forwards").empty());
  EXPECT_FALSE(Socket::connect_tcp(port).has_value());
  ASSERT_TRUE(upload->send_all(std::string_view("second")));
  upload->shutdown_write();
  Sha256 sent;
  sent.update(as_bytes("first second"));
  EXPECT_EQ(upload->receive_all().text(), sent.hex());
}

// Whoever was accepted by the old agent is served by it, also between two questions of its own.
TEST(Upgrade, EverySshThatComesMeanwhileIsServed) {
  constexpr int kClients = 4, kRounds = 5;
  MuxLab mux;
  std::atomic<bool> stop{false};
  std::atomic<int> runs{0};
  std::vector<std::string> failed[kClients];
  std::vector<std::thread> clients;
  const Environment env = mux.environment(MuxLab::Master::kAgent);
  for (std::vector<std::string>& mine : failed) {
    clients.emplace_back([&] {
      while (!stop) {
        const ProcessResult ssh = run_process({"ssh", "-F", mux.lab().ssh_config(), "-S", mux.socket(), "-o",
                                               "BatchMode=yes", Lab::kBastion, "echo ok"},
                                              seconds(60), env);
        if (ssh.out != "ok\n" || ssh.exit_status != 0 || !ssh.err.empty()) mine.push_back(ssh.describe());
        ++runs;
      }
    });
  }
  for (int i = 0; i < kRounds; ++i) {
    const int before = runs;
    EXPECT_TRUE(eventually([&] { return runs >= before + kClients; }));
    EXPECT_TRUE(up(mux.agent(), agent_program(), {"--replace"}).ok());
  }
  stop = true;
  for (std::thread& each : clients) each.join();
  for (const std::vector<std::string>& each : failed)
    EXPECT_TRUE(each.empty()) << each.size() << " of " << runs << ", the first: " << each.front();
}

// What the old agent does not begin any more the new one does.
TEST(Upgrade, EveryRequestOfJumpctlThatComesMeanwhileIsDone) {
  constexpr int kRounds = 5;
  Lab lab;
  TcpService echo(TcpService::echo());
  AgentProcess& agent = lab.agent();
  ASSERT_TRUE(echoes(agent.forward_port(Lab::kBastion, echo.port())));
  const std::vector<std::vector<std::string>> cycle = {
      {"forward", "--via", Lab::kBastion, "--name", "mine", "0:127.0.0.1:9"},
      {"close", "mine"},
      {"exec", Lab::kBastion, "--", "true"},
      {"connect", Lab::kBastion}};
  std::atomic<bool> stop{false};
  std::atomic<int> runs{0};
  std::vector<std::string> failed;
  std::thread client([&] {
    for (std::size_t i = 0; !stop; ++i, ++runs) {
      const ProcessResult done = agent.ctl(cycle[i % cycle.size()]);
      if (!done.ok()) failed.push_back(cycle[i % cycle.size()].front() + ": " + done.describe());
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    const int before = runs;
    EXPECT_TRUE(eventually([&] { return runs > before + i; }));
    EXPECT_TRUE(up(agent, agent_program(), {"--replace"}).ok());
  }
  stop = true;
  client.join();
  EXPECT_TRUE(failed.empty()) << failed.size() << " of " << runs << ", the first: " << failed.front();
}

TEST(Upgrade, ARetiredAgentEndsWhenItIsTold) {
  Lab lab;
  TcpService echo(TcpService::echo());
  AgentProcess& agent = lab.agent();
  std::optional<Socket> idle = Socket::connect_tcp(agent.forward_port(Lab::kBastion, echo.port()));
  ASSERT_TRUE(idle && idle->send_all(std::string_view("x")));
  ASSERT_EQ(idle->receive_exactly(1).text(), "x");
  const pid_t old_pid = agent.pid();
  ASSERT_TRUE(up(agent, agent_program(), {"--replace"}).ok());
  EXPECT_TRUE(always([&] { return process_alive(old_pid); }, seconds(1)));  // idle or not, it is somebody's
  ASSERT_EQ(::kill(old_pid, SIGTERM), 0);
  EXPECT_TRUE(eventually([&] { return !process_alive(old_pid); }));
}

TEST(Upgrade, TheSameBuildStays) {
  Lab lab;
  AgentProcess& agent = lab.agent();
  const json said = json::parse(up(agent, agent_program()).out);
  EXPECT_TRUE(said.at("existing").get<bool>());
  EXPECT_EQ(said.at("pid").get<pid_t>(), agent.pid());
}

TEST(Upgrade, ANewAgentThatCannotStartLeavesTheOldOneServing) {
  Lab lab;
  TcpService echo(TcpService::echo());
  AgentProcess& agent = lab.agent();
  const std::uint16_t port = agent.forward_port(Lab::kBastion, echo.port());
  const pid_t pid = agent.pid();
  const std::string broken = lab.directory().write("broken.toml", "nonsense\n");
  EXPECT_EQ(up(agent, agent_program(), {"--replace", "-c", broken}).exit_status, 1);
  const ProcessResult late = up(agent, agent_program(), {"--replace", "--log-file", "/nowhere/at/all"});
  EXPECT_EQ(late.exit_status, 1);
  EXPECT_TRUE(contains(late.out, "serves on")) << late.describe();
  EXPECT_EQ(agent.pid(), pid);
  EXPECT_TRUE(echoes(port));
}

TEST(Upgrade, AnHeirThatVanishesChangesNothing) {
  Lab lab;
  TcpService echo(TcpService::echo());
  AgentProcess& agent = lab.agent();
  const std::uint16_t port = agent.forward_port(Lab::kBastion, echo.port());
  std::optional<Socket> heir = Socket::connect_unix(agent.socket_path());
  ASSERT_TRUE(heir.has_value());
  ASSERT_TRUE(
      heir->send_all(std::string_view("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"agent.retire\"}\n"
                                      "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"agent.handover\","
                                      "\"params\":{\"socket\":\"/nowhere\"}}\n")));
  for (int i = 0; i < 2; ++i) {
    const std::optional<std::string> line = heir->receive_line(seconds(10));
    ASSERT_TRUE(line.has_value());
    EXPECT_TRUE(contains(*line, "\"error\"")) << *line;
  }
  const std::vector<std::string> forward = {"forward", "--via", Lab::kBastion, "0:127.0.0.1:9"};
  const ProcessResult frozen = agent.ctl({"--timeout", "1", forward[0], forward[1], forward[2], forward[3]});
  EXPECT_TRUE(contains(frozen.err, "taking over")) << frozen.describe();
  EXPECT_TRUE(echoes(port));
  ProcessResult patient;
  std::thread waiting([&] { patient = agent.ctl(forward); });
  EXPECT_TRUE(eventually([&] { return agent.status().at("agent").at("clients") >= 3; }));
  heir.reset();
  waiting.join();
  EXPECT_TRUE(patient.ok()) << patient.describe();
  EXPECT_EQ(agent.status().at("agent").at("state"), "running");
}

// The old agent as a script: it hands its control socket over, and answers agent.retire as the test says.
class OldAgent {
 public:
  OldAgent(const std::string& path, std::string answer)
      : listener_(listen_unix(path)), thread_([this, answer = std::move(answer)] { serve(answer); }) {}
  ~OldAgent() { thread_.join(); }

 private:
  static UniqueFd listen_unix(const std::string& path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(fd.get(), 4), 0);
    return fd;
  }
  void serve(const std::string& answer) {
    Socket heir(UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
    while (const std::optional<std::string> line = heir.receive_line(seconds(20))) {
      const json request = json::parse(*line);
      json reply = {{"jsonrpc", "2.0"}, {"id", request.at("id")}};
      if (request.at("method") == "hello") {
        reply["result"] = {{"protocol", 1},
                           {"version", "0"},
                           {"capabilities", json::array()},
                           {"instance", "x"},
                           {"pid", ::getpid()}};
      } else if (request.at("method") == "agent.handover") {
        EXPECT_TRUE(send_descriptors(request.at("params").at("socket"), {listener_.get()}));
        reply["result"] = {
            {"control_sockets", 1}, {"forwards", json::array()}, {"mux", json::array()}, {"held", 0}};
      } else {
        reply["error"] = json::parse(answer);
      }
      if (!heir.send_all(std::string_view(reply.dump() + "\n"))) return;
    }
  }

  UniqueFd listener_;
  std::thread thread_;
};

// The agent is stopped while both write, so that it finds them in one turn of its loop.
TEST(Upgrade, WhatAClientAskedBeforeTheHandoverIsStillAnswered) {
  Lab lab;
  AgentProcess& agent = lab.agent();
  std::optional<Socket> heir = Socket::connect_unix(agent.socket_path());
  std::optional<Socket> client = Socket::connect_unix(agent.socket_path());
  ASSERT_TRUE(heir && client && client->send_all(kStatusRequest) && answers_status(*client));
  ASSERT_TRUE(
      heir->send_all(std::string_view("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"agent.handover\","
                                      "\"params\":{\"socket\":\"/nowhere\"}}\n")));
  ASSERT_TRUE(heir->receive_line(seconds(10)).has_value());
  const pid_t pid = agent.pid();
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  ASSERT_TRUE(
      heir->send_all(std::string_view("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"agent.retire\"}\n")));
  ASSERT_TRUE(client->send_all(kStatusRequest));
  ASSERT_EQ(::kill(pid, SIGCONT), 0);
  EXPECT_TRUE(answers_status(*client));
  EXPECT_TRUE(client->wait_end(seconds(10)));  // it finds the new agent
  EXPECT_TRUE(eventually([&] { return !process_alive(pid); }));
}

TEST(Upgrade, AnHeirThatIsRefusedAtTheEndGoesAndTouchesNothing) {
  TempDir directory;
  AgentProcess agent(directory.write("ssh_config", ssh_config_text({})));
  std::filesystem::create_directory(agent.socket_dir());
  std::filesystem::permissions(agent.socket_dir(), std::filesystem::perms::owner_all);
  OldAgent old(agent.socket_path(),
               R"({"code": -32000, "message": "the handover has taken longer than 20 s and was given up",
                   "data": {"kind": "refused"}})");
  const ProcessResult heir =
      run_process({agent_program(), "run", "--take-over"}, seconds(30), agent.environment());
  EXPECT_EQ(heir.exit_status, 1) << heir.describe();
  EXPECT_TRUE(contains(heir.err, "does not retire: the handover has taken longer than 20 s"))
      << heir.describe();
  EXPECT_TRUE(Socket::connect_unix(agent.socket_path()).has_value());  // the old one's
}

TEST(Upgrade, AnAgentThatEndsIsNotReplaced) {
  Lab lab;
  TcpService source(TcpService::source(3, std::size_t{1} << 40));
  AgentProcess& agent = lab.agent();
  std::optional<Socket> download = Socket::connect_tcp(agent.forward_port(Lab::kBastion, source.port()));
  std::optional<Socket> heir = Socket::connect_unix(agent.socket_path());
  ASSERT_TRUE(download && heir && download->receive_exactly(1000).bytes.size() == 1000);
  ASSERT_TRUE(heir->send_all(std::string_view(
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"agent.shutdown\",\"params\":{\"drain\":60}}\n"
      "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"agent.handover\",\"params\":{\"socket\":\"/nowhere\"}}\n"
      "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"agent.retire\"}\n"
      "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"status\"}\n")));
  std::map<int, json> answers;
  for (int i = 0; i < 4; ++i) {
    const std::optional<std::string> line = heir->receive_line(seconds(10));
    ASSERT_TRUE(line.has_value());
    const json answer = json::parse(*line);
    answers[answer.at("id")] = answer;
  }
  EXPECT_EQ(answers[2].at("error").at("message"), "the agent is ending");
  EXPECT_TRUE(answers[3].contains("error"));
  EXPECT_EQ(answers[4].at("result").at("agent").at("state"), "ending");
  EXPECT_TRUE(agent.jumpagent({"down", "--now"}).ok());
}

TEST(Upgrade, ClientsOfTheProxyModeGoOnAndAreWaitedFor) {
  MuxLab lab;
  AgentProcess& agent = lab.agent();
  const TempDir& directory = lab.lab().directory();
  const auto client = [&](const std::string& over) {
    auto ssh = std::make_unique<Process>(
        std::vector<std::string>{
            "ssh", "-F", lab.lab().ssh_config(), "-S", lab.socket(), "-O", "proxy", Lab::kBastion,
            "echo ready; until [ -e " + over + " ]; do sleep 0.05; done; echo over; exit 5"},
        agent.environment());
    EXPECT_TRUE(eventually([&] { return contains(ssh->out(), "ready\n"); })) << ssh->err();
    return ssh;
  };
  const auto first = client(directory.file("over"));
  ASSERT_TRUE(up(agent, another_build(directory)).ok());
  const auto second = client(directory.file("over2"));
  directory.write("over", "");
  EXPECT_EQ(first->wait(seconds(20)), 5) << first->out() << first->err();
  Process down({agent_program(), "down", "--drain", "60"}, agent.environment());
  EXPECT_TRUE(eventually([&] { return contains(agent.log(), "open connections: 1"); })) << agent.log();
  directory.write("over2", "");
  EXPECT_EQ(second->wait(seconds(20)), 5) << second->out() << second->err();
  EXPECT_EQ(down.wait(seconds(20)), 0) << down.err();
}

TEST(Upgrade, SessionsGoOnAndAreStillResized) {
  Lab lab;
  AgentProcess& agent = lab.agent();
  const std::string over = lab.directory().file("over");
  OnTerminal session(
      {ctl_program(), "exec", "-t", Lab::kBastion,
       "trap 'stty size' WINCH; echo ready; until [ -e " + over + " ]; do sleep 0.05; done; exit 5"},
      agent.environment());
  ASSERT_TRUE(session.shows("ready")) << session.shown();
  const ProcessResult result = up(agent, another_build(lab.directory()));
  ASSERT_TRUE(result.ok()) << result.describe();
  EXPECT_EQ(agent.ctl({"exec", Lab::kBastion, "echo", "by the new one"}).out, "by the new one\n");
  session.resize(111, 33);
  EXPECT_TRUE(session.shows("33 111")) << session.shown();
  lab.directory().write("over", "");
  EXPECT_EQ(session.exit_status(), 5) << session.shown();
}

}  // namespace
}  // namespace jump::test
