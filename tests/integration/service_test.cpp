// The agent under a service manager: what it tells it, the sockets that it is given, and where its log goes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <filesystem>

#include "support/agent_process.h"
#include "support/eventually.h"
#include "support/proc_info.h"
#include "support/socket.h"
#include "support/ssh_config.h"

namespace jump::test {
namespace {

using nlohmann::json;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// "@name" is abstract.
UniqueFd bound_socket(int type, const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length), 0) << path;
  return fd;
}

// The service manager's end of $NOTIFY_SOCKET.
class Manager {
 public:
  explicit Manager(const std::string& path) : fd_(bound_socket(SOCK_DGRAM, path)) {}

  // The next message about the agent's state; empty at the deadline. What it keeps for the next agent is the
  // matter of service_restart_test.cpp.
  std::string next(Duration deadline) {
    const TimePoint end = Clock::now() + deadline;
    while (true) {
      const std::string said = next_of_any(std::max(Duration::zero(), end - Clock::now()));
      if (!said.starts_with("FDSTORE")) return said;
    }
  }
  std::string next_of_any(Duration deadline) {
    pollfd ready{fd_.get(), POLLIN, 0};
    const auto wait = std::chrono::duration_cast<milliseconds>(deadline).count();
    if (::poll(&ready, 1, static_cast<int>(wait)) <= 0) return {};
    char buffer[4096];
    const ssize_t count = ::recv(fd_.get(), buffer, sizeof(buffer), 0);
    return count > 0 ? std::string(buffer, static_cast<std::size_t>(count)) : std::string();
  }
  // Skips what comes before it.
  bool hears(const std::string& part, Duration deadline = seconds(20)) {
    const TimePoint end = Clock::now() + deadline;
    while (Clock::now() < end) {
      if (contains(next(end - Clock::now()), part)) return true;
    }
    return false;
  }
  void drop_all() {
    while (!next(Duration::zero()).empty()) {
    }
  }

 private:
  UniqueFd fd_;
};

struct Scene {
  TempDir directory;
};

TEST(Service, TheManagerHearsOfTheStartAReloadAndTheEnd) {
  Scene scene;
  Manager manager(scene.directory.file("notify"));
  AgentProcess agent(scene.directory.write("ssh_config", ssh_config_text({})),
                     {{"NOTIFY_SOCKET", scene.directory.file("notify")}});
  agent.run();
  const std::string ready = manager.next(seconds(20));
  EXPECT_TRUE(contains(ready, "READY=1\nSTATUS=listens on " + agent.socket_path())) << ready;
  EXPECT_TRUE(agent.status().at("agent").at("supervised").get<bool>());

  ASSERT_EQ(::kill(agent.pid(), SIGHUP), 0);
  EXPECT_TRUE(contains(manager.next(seconds(20)), "RELOADING=1\nMONOTONIC_USEC="));
  EXPECT_TRUE(contains(manager.next(seconds(20)), "READY=1"));

  ASSERT_TRUE(agent.down().ok());
  EXPECT_TRUE(manager.hears("STOPPING=1"));
}

TEST(Service, TheNotifySocketMayBeAbstract) {
  const std::string name = "@jumpagent-test-" + std::to_string(::getpid()) + "-" +
                           std::to_string(Clock::now().time_since_epoch().count());
  Manager manager(name);
  Scene scene;
  AgentProcess agent(scene.directory.write("ssh_config", ssh_config_text({})), {{"NOTIFY_SOCKET", name}});
  agent.run();
  EXPECT_TRUE(manager.hears("READY=1"));
}

TEST(Service, SignsOfLifeComeFromTheLoopAndStopWithIt) {
  Scene scene;
  Manager manager(scene.directory.file("notify"));
  AgentProcess agent(scene.directory.write("ssh_config", ssh_config_text({})),
                     {{"NOTIFY_SOCKET", scene.directory.file("notify")}, {"WATCHDOG_USEC", "300000"}});
  agent.run();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(manager.hears("WATCHDOG=1"));
  const pid_t pid = agent.pid();
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  const auto stopped = [pid] {
    const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
    return stat.find(") T ") != std::string::npos;
  };
  ASSERT_TRUE(eventually(stopped));
  manager.drop_all();
  EXPECT_EQ(manager.next(seconds(1)), "");
  ASSERT_EQ(::kill(pid, SIGCONT), 0);
  EXPECT_TRUE(manager.hears("WATCHDOG=1"));
}

TEST(Service, AWatchdogOfAnotherProcessIsNotOurs) {
  Scene scene;
  Manager manager(scene.directory.file("notify"));
  AgentProcess agent(scene.directory.write("ssh_config", ssh_config_text({})),
                     {{"NOTIFY_SOCKET", scene.directory.file("notify")},
                      {"WATCHDOG_USEC", "100000"},
                      {"WATCHDOG_PID", "1"}});
  agent.run();
  EXPECT_TRUE(manager.hears("READY=1"));
  EXPECT_EQ(manager.next(seconds(1)), "");
}

// A shell stands for the manager: it knows the agent's pid, as it becomes the agent.
TEST(Service, ItServesOnTheSocketThatItIsGivenAndLeavesItThere) {
  Scene scene;
  AgentProcess agent(scene.directory.write("ssh_config", ssh_config_text({})));
  std::filesystem::create_directory(agent.socket_dir());
  std::filesystem::permissions(agent.socket_dir(), std::filesystem::perms::owner_all);
  UniqueFd listener = bound_socket(SOCK_STREAM, agent.socket_path());
  ASSERT_EQ(::listen(listener.get(), 16), 0);
  std::optional<Socket> early = Socket::connect_unix(agent.socket_path());  // before there is an agent
  ASSERT_TRUE(early.has_value());

  const std::string passed = std::to_string(listener.get());
  ::fcntl(listener.get(), F_SETFD, 0);
  Process process(
      {"sh", "-c", "exec 3<&" + passed + " && LISTEN_FDS=1 LISTEN_PID=$$ exec " + agent_program() + " run"},
      agent.environment());
  ::fcntl(listener.get(), F_SETFD, FD_CLOEXEC);
  ASSERT_TRUE(early->send_all(std::string_view("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n")));
  const std::optional<std::string> line = early->receive_line(seconds(20));
  ASSERT_TRUE(line.has_value()) << process.err();
  EXPECT_EQ(json::parse(*line).at("result").at("agent").at("pid").get<pid_t>(), process.pid());

  EXPECT_TRUE(agent.jumpagent({"down"}).ok());
  EXPECT_EQ(process.wait(seconds(20)), 0);
  EXPECT_TRUE(std::filesystem::exists(agent.socket_path()));           // the manager's
  EXPECT_TRUE(Socket::connect_unix(agent.socket_path()).has_value());  // who connects now starts the next one
}

TEST(Service, WhatIsPassedAndIsNoSocketIsRefused) {
  Scene scene;
  AgentProcess agent(scene.directory.write("ssh_config", ssh_config_text({})));
  const ProcessResult result = run_process(
      {"sh", "-c", "exec 3</dev/null && LISTEN_FDS=1 LISTEN_PID=$$ exec " + agent_program() + " run"},
      seconds(20), agent.environment());
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_TRUE(contains(result.err, "not a listening Unix socket")) << result.err;
}

TEST(Service, HowLongTheEndMayTakeIsTold) {
  Scene scene;
  Manager manager(scene.directory.file("notify"));
  AgentProcess agent(scene.directory.write("ssh_config", ssh_config_text({})),
                     {{"NOTIFY_SOCKET", scene.directory.file("notify")}});
  agent.run({"--drain", "300"});
  const pid_t pid = agent.pid();
  ASSERT_EQ(::kill(pid, SIGTERM), 0);
  EXPECT_TRUE(manager.hears("EXTEND_TIMEOUT_USEC=305000000"));
  EXPECT_TRUE(eventually([&] { return !process_alive(pid); }));
}

TEST(Service, AnAgentOfAServiceManagerIsNotReplacedBesideIt) {
  Scene scene;
  Manager manager(scene.directory.file("notify"));
  AgentProcess agent(scene.directory.write("ssh_config", ssh_config_text({})),
                     {{"NOTIFY_SOCKET", scene.directory.file("notify")}});
  agent.run();
  const pid_t pid = agent.pid();
  const ProcessResult result = agent.jumpagent({"up", "--replace"});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_TRUE(contains(result.err, "belongs to a service manager")) << result.describe();
  EXPECT_TRUE(contains(result.err, "systemctl --user restart jumpagent")) << result.describe();
  EXPECT_EQ(agent.pid(), pid);
}

TEST(Service, TheJournalGetsPrioritiesAndNoTimes) {
  Scene scene;
  AgentProcess agent(scene.directory.write("ssh_config", ssh_config_text({})));
  const std::string journal = scene.directory.write("journal", "");
  Process process({"sh", "-c",
                   "exec 2>>" + journal + "; JOURNAL_STREAM=$(stat -L -c %d:%i " + journal + ") exec " +
                       agent_program() + " run"},
                  agent.environment());
  ASSERT_TRUE(eventually([&] { return agent.serving(); }, seconds(20)));
  EXPECT_TRUE(agent.jumpagent({"down"}).ok());
  EXPECT_EQ(process.wait(seconds(20)), 0);
  const std::string text = read_file(journal);
  EXPECT_TRUE(text.starts_with("<6>agent ")) << text;
  EXPECT_TRUE(contains(text, "\n<6>ending: ")) << text;
}

}  // namespace
}  // namespace jump::test
