// The agent's life as its user sees it: up, status, list, close, disconnect, down; the exit codes; the socket
// that only its owner reaches; and every second start, first stop and crash in between.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/proc_info.h"
#include "support/reserved_port.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

constexpr uid_t kNobody = 65534;
constexpr Duration kDownBound = seconds(10);

::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "'" << part << "' is not in:\n" << text;
}

std::string spec_to(const TcpService& service, std::uint16_t local = 0) {
  return "127.0.0.1:" + std::to_string(local) + ":127.0.0.1:" + std::to_string(service.port());
}

mode_t mode_of(const std::string& path) {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0 ? found.st_mode & 07777 : 0;
}

// An agent with an ssh_config that knows no host: all that these tests need.
struct Hostless {
  TempDir directory;
  AgentProcess agent{directory.write("ssh_config", ssh_config_text({}))};
};

// --- up and down ---

TEST(Lifecycle, UpReturnsWithTheAgentServingAndItsOutputLetGo) {
  Hostless scene;
  const ProcessResult up = scene.agent.up();
  ASSERT_TRUE(up.ok()) << up.describe();
  EXPECT_TRUE(up.output_ended) << "the daemon holds on to the stdout or stderr of whoever started it";
  EXPECT_TRUE(scene.agent.ctl({"status"}).ok());
}

TEST(Lifecycle, UpTwiceIsHarmlessAndSaysSo) {
  Hostless scene;
  ASSERT_TRUE(scene.agent.up().ok());
  const pid_t first = scene.agent.pid();
  const ProcessResult again = scene.agent.up();
  EXPECT_EQ(again.exit_status, 0) << again.describe();
  EXPECT_TRUE(contains(again.out + again.err, "already")) << again.describe();
  EXPECT_EQ(scene.agent.pid(), first);
}

TEST(Lifecycle, UpSaysThatTheAgentThatRunsDoesNotAnswer) {
  Hostless scene;
  const std::vector<std::string> up = {"up", "-F", scene.directory.file("ssh_config")};
  ASSERT_TRUE(scene.agent.jumpagent(up).ok());
  const pid_t pid = scene.agent.pid();
  ASSERT_EQ(::kill(pid, SIGSTOP), 0);
  const ProcessResult hung = scene.agent.jumpagent(up);
  EXPECT_EQ(::kill(pid, SIGCONT), 0);
  EXPECT_EQ(hung.exit_status, 1) << hung.describe();
  EXPECT_TRUE(contains(hung.err, "(pid " + std::to_string(pid) + ", ")) << hung.describe();
  EXPECT_TRUE(contains(hung.err, "has not answered 'hello' for 5 s")) << hung.describe();
  const ProcessResult again = scene.agent.jumpagent(up);
  EXPECT_TRUE(again.ok()) << again.describe();
  EXPECT_TRUE(contains(again.out, "runs already (pid " + std::to_string(pid) + ")")) << again.describe();
}

TEST(Lifecycle, UpSaysWhichOfItsOptionsTheAgentThatRunsDoesNotHave) {
  Hostless scene;
  const std::string config = scene.directory.file("ssh_config"), log = scene.directory.file("log");
  const auto up = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"up", "-F", config});
    return scene.agent.jumpagent(options);
  };
  const std::vector<std::string> first = {"--log-file", log, "--drain", "3", "--state", "none", "-c", "none"};
  ASSERT_TRUE(up(first).ok());
  for (const auto& same : {first, std::vector<std::string>{}}) {
    const ProcessResult again = up(same);
    EXPECT_EQ(again.exit_status, 0);
    EXPECT_EQ(again.err, "");
  }
  const std::pair<std::vector<std::string>, std::string> others[] = {
      {{"--log-file", log + "2"}, "--log-file is not used: the agent that runs has " + log + ";"},
      {{"--drain", "4"}, "--drain is not used: the agent that runs has 3;"},
      {{"--state", log + "3"}, "--state is not used: the agent that runs has none;"},
      {{"--log-level", "debug"}, "--log-level is not used: the agent that runs was started without it;"},
      {{"--no-lanes"}, "--no-lanes is not used: the agent that runs was started without it;"},
  };
  for (const auto& [options, said] : others) {
    const ProcessResult again = up(options);
    EXPECT_EQ(again.exit_status, 0);
    EXPECT_TRUE(contains(again.err, said + " to change that: jumpagent up --replace\n")) << again.describe();
  }
  EXPECT_TRUE(scene.agent.down().ok());
}

TEST(Lifecycle, ManyUpsAtOnceMakeOneAgent) {
  Hostless scene;
  std::vector<std::unique_ptr<Process>> starters;
  for (int i = 0; i < 6; ++i) {
    starters.push_back(std::make_unique<Process>(
        std::vector<std::string>{agent_program(), "up", "-F", scene.directory.file("ssh_config")},
        scene.agent.environment()));
  }
  for (auto& starter : starters) {
    EXPECT_EQ(starter->wait(seconds(60)).value_or(-1), 0) << starter->out() << starter->err();
  }
  const ProcessResult last = scene.agent.up();  // from now on the scene knows that it has an agent to stop
  EXPECT_TRUE(contains(last.out + last.err, "already"));
  const auto agents = [&] {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string command = read_file(entry.path().string() + "/cmdline");
      if (command.find(scene.directory.file("ssh_config")) != std::string::npos) ++count;
    }
    return count;
  };
  EXPECT_TRUE(eventually([&] { return agents() == 1; })) << "those that came too late are gone";
}

TEST(Lifecycle, DownEndsTheProcessAndRemovesTheSocket) {
  Hostless scene;
  ASSERT_TRUE(scene.agent.up().ok());
  const pid_t agent = scene.agent.pid();
  const ProcessResult down = scene.agent.down();
  EXPECT_TRUE(down.ok()) << down.describe();
  EXPECT_TRUE(eventually([&] { return !process_alive(agent); }, kDownBound));
  EXPECT_FALSE(std::filesystem::exists(scene.agent.socket_path()));
}

TEST(Lifecycle, DownIsBoundedWithAStalledConnectionOpen) {
  Lab lab;
  TcpService endless(TcpService::endless_source());
  AgentProcess& agent = lab.agent();
  std::optional<Socket> stalled = Socket::connect_tcp(agent.forward_port(Lab::kBastion, endless.port()));
  ASSERT_TRUE(stalled.has_value());
  ASSERT_EQ(stalled->receive_exactly(1000).end, StreamEnd::kOpen);  // and nothing is read from now on
  const pid_t pid = agent.pid();
  Stopwatch watch;
  EXPECT_TRUE(agent.down().ok());
  EXPECT_TRUE(eventually([&] { return !process_alive(pid); }, kDownBound));
  EXPECT_LT(to_seconds(watch.elapsed()), to_seconds(kDownBound));
  EXPECT_TRUE(stalled->wait_end(seconds(5)));
}

TEST(Lifecycle, SigtermEndsItInOrder) {
  Hostless scene;
  scene.agent.run();
  const pid_t agent = scene.agent.pid();
  ASSERT_EQ(::kill(agent, SIGTERM), 0);
  EXPECT_TRUE(eventually([&] { return !process_alive(agent); }, kDownBound));
  EXPECT_FALSE(std::filesystem::exists(scene.agent.socket_path()));
}

TEST(Lifecycle, UpAfterAKillTakesOverTheStaleSocket) {
  Hostless scene;
  ASSERT_TRUE(scene.agent.up().ok());
  scene.agent.kill9();
  ASSERT_TRUE(std::filesystem::exists(scene.agent.socket_path()))
      << "nothing is stale: this test proves nothing";
  const ProcessResult up = scene.agent.up();
  EXPECT_TRUE(up.ok()) << up.describe();
  EXPECT_TRUE(scene.agent.ctl({"status"}).ok());
}

TEST(Lifecycle, UpTellsWhyAnAgentCannotStart) {
  Hostless scene;
  const ProcessResult up = scene.agent.jumpagent({"up", "-F", "/nonexistent/ssh_config"});
  EXPECT_EQ(up.exit_status, 1) << up.describe();
  EXPECT_TRUE(contains(up.err, "/nonexistent/ssh_config"));
  EXPECT_FALSE(scene.agent.serving());
}

TEST(Lifecycle, TheSocketFlagNamesAnotherSocket) {
  Hostless scene;
  const std::string other = scene.agent.directory().make_dir("other") + "/agent.sock";
  Process agent({agent_program(), "run", "-F", scene.directory.file("ssh_config"), "--socket", other},
                scene.agent.environment());
  ASSERT_TRUE(eventually([&] { return Socket::connect_unix(other).has_value(); })) << agent.err();
  EXPECT_FALSE(scene.agent.serving());
  const ProcessResult status = scene.agent.ctl({"--socket", other, "--json", "status"});
  ASSERT_TRUE(status.ok()) << status.describe();
  EXPECT_EQ(json::parse(status.out).at("agent").at("pid").get<pid_t>(), agent.pid());
  EXPECT_TRUE(scene.agent.jumpagent({"down", "--socket", other}).ok());
  EXPECT_EQ(agent.wait(kDownBound).value_or(-1), 0) << agent.err();
}

// --- no agent ---

TEST(NoAgent, EveryVerbIsExitThreeWithTheWayOut) {
  Hostless scene;
  const std::vector<std::vector<std::string>> verbs = {{"status"},       {"list"},
                                                       {"connect", "x"}, {"disconnect", "x"},
                                                       {"close", "f1"},  {"forward", "--via", "x", "1:y:2"}};
  for (const auto& verb : verbs) {
    const ProcessResult result = scene.agent.ctl(verb);
    EXPECT_EQ(result.exit_status, 3) << verb[0] << ": " << result.describe();
    EXPECT_TRUE(contains(result.err, "jumpagent up")) << verb[0];
  }
  EXPECT_EQ(scene.agent.jumpagent({"status"}).exit_status, 3);
  EXPECT_EQ(scene.agent.jumpagent({"down"}).exit_status, 3);
}

TEST(NoAgent, AStaleSocketIsNoAgent) {
  Hostless scene;
  ASSERT_TRUE(scene.agent.up().ok());
  scene.agent.kill9();
  const ProcessResult result = scene.agent.ctl({"status"});
  EXPECT_EQ(result.exit_status, 3) << result.describe();
  EXPECT_TRUE(contains(result.err, "jumpagent up"));
}

// --- usage ---

TEST(Usage, MistakesAreExitTwoAndNameTheMistake) {
  Hostless scene;
  scene.agent.run();
  const std::vector<std::pair<std::vector<std::string>, std::string>> mistakes = {
      {{}, ""},
      {{"frobnicate"}, "frobnicate"},
      {{"--frobnicate", "status"}, "frobnicate"},
      {{"forward"}, ""},
      {{"close"}, ""},
      {{"connect"}, ""},
      {{"list", "too-much"}, "too-much"},
      {{"--timeout", "soon", "status"}, "--timeout"},
      {{"forward", "--prewarm", "65", "0:svc:80"}, "at most 64"},
  };
  for (const auto& [arguments, named] : mistakes) {
    const ProcessResult result = scene.agent.ctl(arguments);
    EXPECT_EQ(result.exit_status, 2) << ::testing::PrintToString(arguments) << result.describe();
    EXPECT_FALSE(result.err.empty()) << ::testing::PrintToString(arguments);
    EXPECT_TRUE(contains(result.err, named)) << ::testing::PrintToString(arguments);
  }
  EXPECT_EQ(scene.agent.jumpagent({"frobnicate"}).exit_status, 2);
}

// --- forward, list, close, disconnect ---

TEST(Forwards, ASpecThatMakesNoSenseIsRefusedAndNamed) {
  Hostless scene;
  scene.agent.run();
  for (const std::string spec : {"nonsense", "99999:y:80", "80", "1:2:3:4:5:6", "[::1:80:y:80"}) {
    const ProcessResult result = scene.agent.ctl({"forward", "--via", "x", spec});
    EXPECT_EQ(result.exit_status, 2) << spec << ": " << result.describe();
    EXPECT_TRUE(contains(result.err, spec));
  }
}

TEST(Forwards, SeveralSpecsAreOpenedAndReportedInTheirOrder) {
  Lab lab;
  TcpService one(TcpService::echo()), two(TcpService::echo()), taken(TcpService::echo());
  const ProcessResult result = lab.agent().ctl(
      {"--json", "forward", "--via", Lab::kBastion, spec_to(one), spec_to(one, taken.port()), spec_to(two)});
  EXPECT_EQ(result.exit_status, 1) << result.describe();  // one of them failed
  const json all = json::parse(result.out, nullptr, false);
  ASSERT_TRUE(all.is_array()) << result.describe();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].at("forward").at("target"), "127.0.0.1:" + std::to_string(one.port()));
  EXPECT_EQ(all[1].at("error").at("kind"), "in_use");
  EXPECT_EQ(all[2].at("forward").at("target"), "127.0.0.1:" + std::to_string(two.port()));
}

TEST(Forwards, TheChosenPortOfPortZeroIsReported) {
  Lab lab;
  TcpService echo(TcpService::echo());
  const json result = lab.agent().ctl_json({"forward", "--via", Lab::kBastion, spec_to(echo)});
  EXPECT_FALSE(result.at("existing").get<bool>());
  const json& forward = result.at("forward");
  EXPECT_EQ(forward.at("kind"), "local");
  EXPECT_EQ(forward.at("via"), Lab::kBastion);
  EXPECT_EQ(forward.at("state"), "active");
  EXPECT_EQ(forward.at("spec"), spec_to(echo));
  EXPECT_EQ(forward.at("target"), "127.0.0.1:" + std::to_string(echo.port()));
  EXPECT_EQ(forward.at("listen").get<std::string>().substr(0, 10), "127.0.0.1:");
  EXPECT_TRUE(Socket::connect_tcp(port_of(forward.at("listen"))).has_value());
}

TEST(Forwards, APortInUseIsExitOneAndSaysWhichAndWhy) {
  Lab lab;
  TcpService echo(TcpService::echo()), holder(TcpService::echo());
  const ProcessResult result =
      lab.agent().ctl({"forward", "--via", Lab::kBastion, spec_to(echo, holder.port())});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_TRUE(contains(result.err, "127.0.0.1:" + std::to_string(holder.port())));
  EXPECT_TRUE(contains(result.err, "in use"));
  EXPECT_TRUE(lab.agent().ctl_json({"list"}).at("forwards").empty());
}

TEST(Forwards, TheSameForwardTwiceIsTheSameForward) {
  Lab lab;
  TcpService echo(TcpService::echo());
  const ReservedPort local;
  const json first = lab.agent().ctl_json({"forward", "--via", Lab::kBastion, spec_to(echo, local.number())});
  const json second =
      lab.agent().ctl_json({"forward", "--via", Lab::kBastion, spec_to(echo, local.number())});
  EXPECT_TRUE(second.at("existing").get<bool>()) << second;
  EXPECT_EQ(second.at("forward").at("id"), first.at("forward").at("id"));
  EXPECT_EQ(lab.agent().ctl_json({"list"}).at("forwards").size(), 1u);
}

TEST(Forwards, WithoutViaTheOnlyConnectedHostIsTaken) {
  Lab lab;
  TcpService echo(TcpService::echo());
  const ProcessResult before = lab.agent().ctl({"forward", spec_to(echo)});
  EXPECT_EQ(before.exit_status, 1) << before.describe();
  EXPECT_TRUE(contains(before.err, "--via"));
  ASSERT_TRUE(lab.agent().ctl({"connect", Lab::kBastion}).ok());
  const json result = lab.agent().ctl_json({"forward", spec_to(echo)});
  EXPECT_EQ(result.at("forward").at("via"), Lab::kBastion);
}

TEST(Forwards, ListAndCloseByIdNameAndSpec) {
  Lab lab;
  AgentProcess& agent = lab.agent();
  TcpService echo(TcpService::echo());
  const ReservedPort local;
  const json by_id = agent.open_forward(Lab::kBastion, spec_to(echo));
  const json by_name =
      agent.ctl_json({"forward", "--via", Lab::kBastion, "--name", "web", spec_to(echo)}).at("forward");
  const json by_spec = agent.open_forward(Lab::kBastion, spec_to(echo, local.number()));
  EXPECT_EQ(by_name.at("name"), "web");
  ASSERT_EQ(agent.ctl_json({"list"}).at("forwards").size(), 3u);

  const std::vector<std::pair<std::string, json>> closed = {
      {by_id.at("id"), by_id}, {"web", by_name}, {spec_to(echo, local.number()), by_spec}};
  std::size_t left = closed.size();
  for (const auto& [handle, forward] : closed) {
    EXPECT_TRUE(agent.ctl({"close", handle}).ok()) << handle;
    EXPECT_FALSE(Socket::connect_tcp(port_of(forward.at("listen"))).has_value()) << handle;
    EXPECT_EQ(agent.ctl_json({"list"}).at("forwards").size(), --left);
  }
}

TEST(Forwards, ClosingWhatIsNotThereIsExitOneAndNamesIt) {
  Hostless scene;
  scene.agent.run();
  const ProcessResult result = scene.agent.ctl({"close", "nothing-of-the-kind"});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_TRUE(contains(result.err, "nothing-of-the-kind"));
}

TEST(Hosts, ConnectShowsAReadyHostAndDisconnectEndsItsConnection) {
  Lab lab;
  AgentProcess& agent = lab.agent();
  ASSERT_TRUE(agent.ctl({"connect", Lab::kBastion}).ok());
  const json host = agent.host_status(Lab::kBastion);
  EXPECT_EQ(host.at("state"), "ready");
  EXPECT_EQ(host.at("logins").get<int>(), 1);
  EXPECT_EQ(host.at("address"), current_user() + "@127.0.0.1:" + std::to_string(lab.sshd().port()));
  EXPECT_GE(lab.sshd().session_processes(), 1u);

  const ProcessResult result = agent.ctl({"disconnect", Lab::kBastion});
  EXPECT_TRUE(result.ok()) << result.describe();
  EXPECT_TRUE(eventually([&] { return lab.sshd().session_processes() == 0; }));
  EXPECT_NE(
      agent.host_status(Lab::kBastion).is_null() ? "gone" : agent.host_status(Lab::kBastion).at("state"),
      "ready");
}

TEST(Hosts, ConnectingAgainIsHarmless) {
  Lab lab;
  ASSERT_TRUE(lab.agent().ctl({"connect", Lab::kBastion}).ok());
  EXPECT_TRUE(lab.agent().ctl({"connect", Lab::kBastion}).ok());
  EXPECT_EQ(lab.agent().host_status(Lab::kBastion).at("logins").get<int>(), 1);
}

TEST(Hosts, DisconnectingWhatIsNotConnectedIsExitOne) {
  Hostless scene;
  scene.agent.run();
  const ProcessResult result = scene.agent.ctl({"disconnect", "nobody"});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_TRUE(contains(result.err, "nobody"));
}

TEST(Status, JsonHasTheAgentItsHostsAndItsForwards) {
  Lab lab;
  TcpService echo(TcpService::echo());
  lab.agent().forward_port(Lab::kBastion, echo.port());
  const json status = lab.agent().status();
  EXPECT_EQ(status.at("agent").at("socket"), lab.agent().socket_path());
  EXPECT_TRUE(process_alive(status.at("agent").at("pid").get<pid_t>()));
  EXPECT_GT(status.at("agent").at("memory").get<std::size_t>(), 1000000u);
  EXPECT_EQ(status.at("hosts").size(), 1u);
  EXPECT_EQ(status.at("forwards").size(), 1u);
  const json by_agent = json::parse(lab.agent().jumpagent({"status", "--json"}).out, nullptr, false);
  EXPECT_EQ(by_agent.is_object() ? by_agent.at("agent").at("instance") : json(),
            status.at("agent").at("instance"));
}

TEST(Status, TextNamesTheHostItsStateAndTheForward) {
  Lab lab;
  TcpService echo(TcpService::echo());
  const std::uint16_t port = lab.agent().forward_port(Lab::kBastion, echo.port());
  const ProcessResult result = lab.agent().ctl({"status"});
  ASSERT_TRUE(result.ok()) << result.describe();
  for (const std::string& part : {std::string(Lab::kBastion), std::string("ready"), std::to_string(port)}) {
    EXPECT_TRUE(contains(result.out, part));
  }
}

// --- whose socket it is ---

// The exit status of `in_child`, run in a child process as another user; only the system calls that it makes
// count.
template <class F>
int as_nobody(F in_child) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) ::_exit(99);
    ::_exit(in_child());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

enum Intrusion { kCannotConnect = 10, kTurnedAway = 11, kServed = 12 };

// What somebody who asks for the agent's status gets.
int intrude(const std::string& path) {
  std::optional<Socket> socket = Socket::connect_unix(path);
  if (!socket) return kCannotConnect;
  socket->send_all(std::string_view("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n"));
  if (socket->receive_line(seconds(5))) return kServed;
  return socket->wait_end(Duration::zero()) ? kTurnedAway : kServed;  // left open is not turned away
}

TEST(SocketAccess, TheDirectoryIs0700AndTheSocket0600) {
  Hostless scene;
  const mode_t before = ::umask(0);  // the agent must not depend on it
  scene.agent.run();
  ::umask(before);
  EXPECT_EQ(mode_of(scene.agent.socket_dir()), 0700u);
  EXPECT_EQ(mode_of(scene.agent.socket_path()), 0600u);
  EXPECT_EQ(intrude(scene.agent.socket_path()), kServed);  // its owner, so that the next test can fail
}

TEST(SocketAccess, AnotherUserIsRefusedEvenWhereThePathIsOpen) {
  if (::getuid() != 0) GTEST_SKIP() << "becoming another user needs root";
  Hostless scene;
  scene.agent.run();
  const std::string socket = scene.agent.socket_path();
  EXPECT_EQ(as_nobody([&] { return intrude(socket); }), kCannotConnect);

  for (std::string path = socket; path != "/tmp"; path = std::filesystem::path(path).parent_path()) {
    ASSERT_EQ(::chmod(path.c_str(), path == socket ? 0666 : 0755), 0) << path;
  }
  EXPECT_EQ(as_nobody([&] { return intrude(socket); }), kTurnedAway);
  EXPECT_GE(scene.agent.status().at("agent").at("clients_refused").get<int>(), 1);
}

TEST(SocketAccess, ADirectoryThatOthersCanWriteIsRefused) {
  Hostless scene;
  ASSERT_EQ(::mkdir(scene.agent.socket_dir().c_str(), 0700), 0);
  ASSERT_EQ(::chmod(scene.agent.socket_dir().c_str(), 0777), 0);
  const ProcessResult up = scene.agent.up();
  EXPECT_EQ(up.exit_status, 1) << up.describe();
  EXPECT_TRUE(contains(up.err, scene.agent.socket_dir()));
  EXPECT_TRUE(contains(up.err, "chmod 700"));  // the way out
  EXPECT_FALSE(std::filesystem::exists(scene.agent.socket_path()));
}

TEST(SocketAccess, ADirectoryOfSomebodyElseIsRefused) {
  if (::getuid() != 0) GTEST_SKIP() << "giving a directory away needs root";
  Hostless scene;
  ASSERT_EQ(::mkdir(scene.agent.socket_dir().c_str(), 0700), 0);
  ASSERT_EQ(::chown(scene.agent.socket_dir().c_str(), kNobody, kNobody), 0);
  const ProcessResult up = scene.agent.up();
  EXPECT_EQ(up.exit_status, 1) << up.describe();
  EXPECT_TRUE(contains(up.err, scene.agent.socket_dir()));
  EXPECT_TRUE(contains(up.err, "uid " + std::to_string(kNobody)));
}

TEST(SocketAccess, ASymbolicLinkInPlaceOfTheDirectoryIsRefused) {
  Hostless scene;
  const std::string elsewhere = scene.directory.make_dir("elsewhere");
  ASSERT_EQ(::symlink(elsewhere.c_str(), scene.agent.socket_dir().c_str()), 0);
  const ProcessResult up = scene.agent.up();
  EXPECT_EQ(up.exit_status, 1) << up.describe();
  EXPECT_TRUE(contains(up.err, scene.agent.socket_dir()));
}

TEST(SocketAccess, AFileInPlaceOfTheSocketIsNotRemoved) {
  Hostless scene;
  ASSERT_EQ(::mkdir(scene.agent.socket_dir().c_str(), 0700), 0);
  UniqueFd file(::open(scene.agent.socket_path().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  ASSERT_TRUE(file);
  const ProcessResult up = scene.agent.up();
  EXPECT_EQ(up.exit_status, 1) << up.describe();
  EXPECT_TRUE(std::filesystem::is_regular_file(scene.agent.socket_path()));
}

// One id from a connection's arrival to its end, at its forward; another for the connection to the server.
TEST(Log, EachConnectionOfAForwardHasANumber) {
  Lab lab;
  TcpService echo(TcpService::echo());
  const ReservedPort nobody;
  AgentProcess& agent = lab.cold_agent();
  agent.run({"--log-level", "debug"});
  const std::string target = "127.0.0.1:" + std::to_string(echo.port());
  agent.ctl_json({"forward", "--via", Lab::kBastion, "0:" + target});
  agent.ctl_json({"forward", "--via", Lab::kBastion, "0:127.0.0.1:" + std::to_string(nobody.number())});
  agent.ctl_json({"socks", "--via", Lab::kBastion, "127.0.0.1:0"});
  const auto forwards = agent.status().at("forwards");
  for (int i = 0; i < 2; ++i) {
    std::optional<Socket> good = Socket::connect_tcp(port_of(forwards[0].at("listen")));
    ASSERT_TRUE(good && good->send_all(std::string_view("hello")));
    EXPECT_EQ(good->receive_exactly(5).text(), "hello");
  }
  std::optional<Socket> refused = Socket::connect_tcp(port_of(forwards[1].at("listen")));
  ASSERT_TRUE(refused && refused->wait_end(seconds(10)));
  std::optional<Socket> proxied = Socket::connect_tcp(port_of(forwards[2].at("listen")));
  ASSERT_TRUE(proxied && proxied->send_all(std::string_view("CONNECT " + target + " HTTP/1.1\r\n\r\n")));
  ASSERT_TRUE(proxied->receive_line().has_value());
  proxied->reset();
  for (const char* line : {"f1.1: a connection has come", "f1.2: a connection has come",
                           "f1.1: over: 5 bytes out, 5 in", "f2.1: a connection was refused (1 so far): ",
                           "f3.1: a connection has come", "f3.1: over: ", "bastion#1: "}) {
    EXPECT_TRUE(eventually([&] { return agent.log().find(line) != std::string::npos; })) << line;
  }
  EXPECT_EQ(agent.log().find(" mux: "), std::string::npos);
}

}  // namespace
}  // namespace jump::test
