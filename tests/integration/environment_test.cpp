// Faults of what the agent stands on: descriptors, disks, its directories. It says what is wrong, keeps what
// it has, and goes on when the cause is gone.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/proc_info.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool echoes(std::uint16_t port) {
  std::optional<Socket> socket = Socket::connect_tcp(port);
  return socket && socket->send_all(std::string_view("hello")) &&
         socket->receive_exactly(5, seconds(20)).text() == "hello";
}

// A file system of its own that a test can fill.
class SmallDisk {
 public:
  SmallDisk(std::string path, const char* options) : path_(std::move(path)) {
    mounted_ = ::mount("none", path_.c_str(), "tmpfs", 0, options) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  explicit operator bool() const { return mounted_; }
  void fill() {
    UniqueFd file(::open((path_ + "/filler").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const std::string block(4096, 'x');
    while (::write(file.get(), block.data(), block.size()) > 0) {
    }
  }
  void make_room() { fs::remove(path_ + "/filler"); }

 private:
  std::string path_;
  bool mounted_;
};

// --- descriptors ---

// An agent that may have 64 descriptors.
Process run_with_few(const Lab& lab, const AgentProcess& agent) {
  return Process({"sh", "-c", "ulimit -n 64; exec " + agent_program() + " run -F " + lab.ssh_config()},
                 agent.environment());
}

// A quarter of them is for control clients; who says nothing keeps nobody out.
TEST(Environment, WithFewDescriptorsThereIsRoomForClientsWhoSpeakAndForWhatTheyAsk) {
  Lab lab;
  AgentProcess& agent = lab.cold_agent();
  Process process = run_with_few(lab, agent);
  ASSERT_TRUE(eventually([&] { return agent.serving(); }, seconds(20)));
  std::vector<Socket> clients;
  const auto add = [&] {
    std::optional<Socket> client = Socket::connect_unix(agent.socket_path());
    if (client) clients.push_back(std::move(*client));
    return client.has_value();
  };
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(add()) << i;
  EXPECT_TRUE(eventually([&] { return agent.ctl({"connect", Lab::kBastion}).ok(); }, seconds(30)));
  EXPECT_LE(agent.status().at("agent").at("clients").get<int>(), 16);

  clients.clear();
  const std::string hello =
      R"({"jsonrpc":"2.0","id":1,"method":"hello","params":{"client":"t","protocol":[1,1]}})";
  EXPECT_TRUE(eventually([&] {
    if (!add()) return false;
    if (clients.back().send_all(hello + "\n") &&
        contains(clients.back().receive_line(seconds(10)).value_or(""), "result"))
      return clients.size() == 16;
    clients.pop_back();  // those who said nothing have not left yet
    return false;
  }));
  const ProcessResult refused = agent.ctl({"status"});
  EXPECT_EQ(refused.exit_status, 1);
  EXPECT_TRUE(contains(refused.err, "16 clients already")) << refused.err;
  EXPECT_TRUE(contains(refused.err, "ulimit -Hn")) << refused.err;
  clients.clear();
  EXPECT_TRUE(eventually([&] { return agent.jumpagent({"down", "--now"}).ok(); }));
  EXPECT_EQ(process.wait(seconds(20)), 0);
}

TEST(Environment, WithFewDescriptorsClientsWaitAndStatusAnswers) {
  Lab lab;
  TcpService echo(TcpService::echo());
  AgentProcess& agent = lab.cold_agent();
  Process process = run_with_few(lab, agent);
  ASSERT_TRUE(eventually([&] { return agent.serving(); }, seconds(20)));
  EXPECT_EQ(agent.status().at("agent").at("descriptor_limit").get<int>(), 64);
  const std::uint16_t port = agent.forward_port(Lab::kBastion, echo.port());

  std::vector<Socket> clients;
  for (int i = 0; i < 100; ++i) {
    std::optional<Socket> client = Socket::connect_tcp(port);
    ASSERT_TRUE(client.has_value()) << i;  // the kernel keeps those that there is no room for
    clients.push_back(std::move(*client));
  }
  ASSERT_TRUE(eventually([&] { return agent.status().at("agent").at("accept_pauses").get<int>() > 0; }));
  const json status = agent.status().at("agent");
  EXPECT_LT(status.at("descriptors").get<int>(), 64);
  EXPECT_TRUE(agent.ctl({"disconnect", Lab::kBastion}).ok());  // and in again: a login takes several
  EXPECT_TRUE(agent.ctl({"connect", Lab::kBastion}).ok());

  clients.clear();
  EXPECT_TRUE(eventually([&] { return echoes(port); }, seconds(20)));
  EXPECT_TRUE(agent.jumpagent({"down", "--now"}).ok());
  EXPECT_EQ(process.wait(seconds(20)), 0);
}

// --- disks ---

TEST(Environment, AFullDiskCostsLinesOfTheLogAndPersistenceOnly) {
  Lab lab;
  TcpService echo(TcpService::echo());
  AgentProcess& agent = lab.cold_agent();
  SmallDisk disk(agent.environment().at("XDG_STATE_HOME"), "size=256k,mode=0700");
  if (!disk) GTEST_SKIP() << "mounting needs root";
  fs::create_directory(agent.environment().at("XDG_STATE_HOME") + "/jumpagent");
  const std::string log = agent.environment().at("XDG_STATE_HOME") + "/jumpagent/agent.log";
  disk.fill();

  ASSERT_TRUE(agent.up().ok());
  const std::string spec = "127.0.0.1:0:127.0.0.1:" + std::to_string(echo.port());
  const std::uint16_t port = agent.forward_port(Lab::kBastion, echo.port());
  EXPECT_TRUE(echoes(port));
  const ProcessResult persistent = agent.ctl({"forward", "--via", Lab::kBastion, "--persist", spec});
  EXPECT_EQ(persistent.exit_status, 1);
  EXPECT_TRUE(contains(persistent.err, "No space left")) << persistent.describe();
  EXPECT_TRUE(contains(agent.status().at("agent").at("state_problem"), "No space left"));
  EXPECT_TRUE(eventually([&] { return agent.status().at("agent").at("log_lost").get<int>() > 0; }));

  disk.make_room();
  EXPECT_TRUE(agent.ctl({"forward", "--via", Lab::kBastion, "--persist", "--name", "later", spec}).ok());
  EXPECT_EQ(agent.status().at("agent").at("state_problem"), "");
  EXPECT_TRUE(eventually([&] { return contains(read_file(log), "lines are missing here: No space left"); }));
  EXPECT_TRUE(echoes(port));
  EXPECT_TRUE(agent.down().ok());
}

TEST(Environment, TheLogIsRotatedAndBounded) {
  Lab lab;
  AgentProcess& agent = lab.cold_agent();
  const std::string log = lab.directory().file("agent.log");
  agent.run({"--log-file", log, "--log-size", "20000", "--log-level", "debug"});
  std::optional<Socket> client = Socket::connect_unix(agent.socket_path());
  ASSERT_TRUE(client.has_value());
  for (int i = 0; i < 3000; ++i) {  // a line of the log each
    ASSERT_TRUE(
        client->send_all(std::string_view("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"forward.list\"}\n")));
    ASSERT_TRUE(client->receive_line(seconds(20)).has_value());
  }
  ASSERT_TRUE(eventually([&] {  // no rotation is under way any more
    return contains(read_file(log), ": forward.list\n") && fs::exists(log + ".1") && fs::exists(log + ".2") &&
           fs::exists(log + ".3");
  }));
  agent.down();
  for (const std::string& file : {log, log + ".1", log + ".2", log + ".3"}) {
    EXPECT_LE(fs::file_size(file), 20000u) << file;
  }
  EXPECT_FALSE(fs::exists(log + ".4"));
}

TEST(Environment, ALogThatNobodyTakesHoldsNobodyUp) {
  Lab lab;
  TempDir directory;
  const std::string pipe = directory.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  UniqueFd reader(::open(pipe.c_str(), O_RDWR | O_CLOEXEC));  // and reads nothing
  AgentProcess& agent = lab.cold_agent();
  Process process({"sh", "-c", "exec 2>" + pipe + "; exec " + agent_program() + " run --log-level trace"},
                  agent.environment());
  ASSERT_TRUE(eventually([&] { return agent.serving(); }, seconds(20)));
  std::optional<Socket> client = Socket::connect_unix(agent.socket_path());
  ASSERT_TRUE(client.has_value());
  // Each is a line of the log; a pipe holds 64 KiB, and the queue a MiB.
  for (int i = 0; i < 400; ++i) {
    std::string batch;
    for (int j = 0; j < 100; ++j)
      batch += "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no_such_method_anywhere\"}\n";
    ASSERT_TRUE(client->send_all(std::string_view(batch), seconds(20)));
    for (int j = 0; j < 100; ++j) ASSERT_TRUE(client->receive_line(seconds(20)).has_value());
  }
  EXPECT_GT(agent.status().at("agent").at("log_lost").get<int>(), 0);
  EXPECT_TRUE(agent.jumpagent({"down"}).ok());
  EXPECT_TRUE(process.wait(seconds(20)).has_value());
}

// --- directories ---

TEST(Environment, ARuntimeDirectoryThatIsRemovedComesBackWithTheSocket) {
  Lab lab;
  TcpService echo(TcpService::echo());
  AgentProcess& agent = lab.agent();
  const std::uint16_t port = agent.forward_port(Lab::kBastion, echo.port());
  std::error_code failed;  // where the socket came back in the middle
  EXPECT_TRUE(eventually([&] {
    fs::remove_all(agent.socket_dir(), failed);
    return !failed;
  })) << failed.message();
  EXPECT_TRUE(eventually([&] { return agent.serving(); }, seconds(20)));
  EXPECT_TRUE(eventually([&] { return contains(agent.log(), "was gone; it is there again"); }));
  EXPECT_TRUE(echoes(port));
  EXPECT_EQ(agent.status().at("forwards").size(), 1u);
}

TEST(Environment, ADirectoryThatOthersCanWriteIsWaitedFor) {
  Lab lab;
  AgentProcess& agent = lab.agent();
  ASSERT_EQ(::chmod(agent.socket_dir().c_str(), 0777), 0);
  fs::remove(agent.socket_path());  // last, as it would come back at once
  EXPECT_TRUE(eventually([&] { return contains(agent.log(), "others have access to it"); }, seconds(20)));
  EXPECT_FALSE(fs::exists(agent.socket_path()));
  ASSERT_EQ(::chmod(agent.socket_dir().c_str(), 0700), 0);
  EXPECT_TRUE(eventually([&] { return agent.serving(); }, seconds(20)));
}

// Everything but what is kept there works; the user hears of it at once, wherever he looks.
TEST(Environment, AStateDirectoryThatCannotBeUsedCostsTheLogAndPersistenceOnly) {
  Lab lab;
  TcpService echo(TcpService::echo());
  AgentProcess& agent = lab.cold_agent();
  const std::string place = agent.environment().at("XDG_STATE_HOME") + "/jumpagent";
  std::ofstream(place) << "a file\n";
  const std::string what = place + "/forwards.lock: Not a directory";
  const ProcessResult up = agent.up();
  EXPECT_EQ(up.exit_status, 0);
  EXPECT_TRUE(contains(up.err, "no log is kept: " + place + "/agent.log: Not a directory")) << up.describe();
  EXPECT_TRUE(contains(up.err, "persistent forwards: " + what)) << up.describe();
  EXPECT_TRUE(contains(agent.ctl({"status"}).out, "state file: " + what));
  const ProcessResult doctor = agent.ctl({"doctor"});
  EXPECT_EQ(doctor.exit_status, 1);
  EXPECT_TRUE(contains(doctor.out, what)) << doctor.describe();

  const std::string spec = "127.0.0.1:0:127.0.0.1:" + std::to_string(echo.port());
  const auto persist = [&] { return agent.ctl({"forward", "--via", Lab::kBastion, "--persist", spec}); };
  const ProcessResult refused = persist();
  EXPECT_EQ(refused.exit_status, 1);
  EXPECT_TRUE(contains(refused.err, what)) << refused.describe();
  EXPECT_TRUE(echoes(agent.forward_port(Lab::kBastion, echo.port())));

  fs::remove(place);
  EXPECT_TRUE(eventually([&] { return persist().ok(); }, seconds(30)));
  EXPECT_EQ(agent.status().at("agent").at("state_problem"), "");
  EXPECT_TRUE(agent.down().ok());
}

// `up` fails with a message that names the directory and what is wrong with it, and works when that is
// mended.
void expect_refused_until(AgentProcess& agent, const std::string& what, const std::function<void()>& mend) {
  const ProcessResult refused = agent.up();
  EXPECT_EQ(refused.exit_status, 1) << refused.describe();
  EXPECT_TRUE(contains(refused.err + refused.out, agent.socket_dir())) << refused.describe();
  EXPECT_TRUE(contains(refused.err + refused.out, what)) << refused.describe();
  EXPECT_FALSE(agent.serving());
  mend();
  EXPECT_TRUE(agent.up().ok());
  EXPECT_TRUE(agent.down().ok());
}

TEST(Environment, ARuntimeDirectoryThatOthersCanEnterIsRefusedWithTheCure) {
  Lab lab;
  AgentProcess& agent = lab.cold_agent();
  fs::create_directory(agent.socket_dir());
  ASSERT_EQ(::chmod(agent.socket_dir().c_str(), 0755), 0);
  expect_refused_until(agent, "chmod 700", [&] { ::chmod(agent.socket_dir().c_str(), 0700); });
}

TEST(Environment, ARuntimeDirectoryOfSomebodyElseIsRefused) {
  if (getuid() != 0) GTEST_SKIP() << "giving a directory away is root's";
  constexpr uid_t kNobody = 65534;
  Lab lab;
  AgentProcess& agent = lab.cold_agent();
  fs::create_directory(agent.socket_dir());
  ASSERT_EQ(::chmod(agent.socket_dir().c_str(), 0700), 0);
  ASSERT_EQ(::chown(agent.socket_dir().c_str(), kNobody, kNobody), 0);
  expect_refused_until(agent, "it belongs to uid 65534",
                       [&] { EXPECT_EQ(::chown(agent.socket_dir().c_str(), 0, 0), 0); });
}

TEST(Environment, ARuntimeDirectoryThatEverybodyCouldMoveAwayIsRefused) {
  Lab lab;
  AgentProcess& agent = lab.cold_agent();
  const std::string above = fs::path(agent.socket_dir()).parent_path();
  ASSERT_EQ(::chmod(above.c_str(), 0777), 0);
  expect_refused_until(agent, "everybody can write to " + above, [&] { ::chmod(above.c_str(), 0700); });
}

TEST(Environment, TooFewDescriptorsToLogInAreSaidAtTheStart) {
  Lab lab;
  AgentProcess& agent = lab.cold_agent();
  const ProcessResult up =
      run_process({"sh", "-c", "ulimit -n 16; exec " + agent_program() + " up -F " + lab.ssh_config()},
                  seconds(30), agent.environment());
  EXPECT_EQ(up.exit_status, 1) << up.describe();
  EXPECT_TRUE(contains(up.err, "only 16 descriptors are allowed here")) << up.err;
  EXPECT_TRUE(contains(up.err, "ulimit -n")) << up.err;
  EXPECT_FALSE(agent.serving());
}

TEST(Environment, AFileInPlaceOfTheRuntimeDirectoryIsRefused) {
  Lab lab;
  AgentProcess& agent = lab.cold_agent();
  std::ofstream(agent.socket_dir()) << "not a directory";
  expect_refused_until(agent, "not a directory", [&] { fs::remove(agent.socket_dir()); });
}

// The directory changes hands while the agent runs: what it carries goes on, and the socket comes back.
TEST(Environment, ARuntimeDirectoryThatIsGivenAwayIsWaitedFor) {
  if (getuid() != 0) GTEST_SKIP() << "giving a directory away is root's";
  Lab lab;
  TcpService echo(TcpService::echo());
  AgentProcess& agent = lab.agent();
  const std::uint16_t port = agent.forward_port(Lab::kBastion, echo.port());
  ASSERT_EQ(::chown(agent.socket_dir().c_str(), 65534, 65534), 0);
  fs::remove(agent.socket_path());  // last, as it would come back at once
  EXPECT_TRUE(eventually([&] { return contains(agent.log(), "it belongs to uid 65534"); }, seconds(20)));
  EXPECT_TRUE(echoes(port));
  ASSERT_EQ(::chown(agent.socket_dir().c_str(), 0, 0), 0);
  EXPECT_TRUE(eventually([&] { return agent.serving(); }, seconds(20)));
}

// No part of the agent wants /tmp: in a mount namespace where that cannot be written to, all is as ever.
TEST(Environment, WithoutTmpAllIsAsEver) {
  if (getuid() != 0) GTEST_SKIP() << "mounting is root's";
  Lab lab;
  TcpService echo(TcpService::echo());
  AgentProcess& agent = lab.cold_agent();
  // What the test has there is seen at another place, and what is there is seen by nobody.
  const std::string hide = "mount --bind /tmp /mnt && mount -t tmpfs -o ro,size=4k none /tmp && exec ";
  const auto moved = [](const std::string& path) { return "/mnt" + path.substr(std::string("/tmp").size()); };
  Environment environment = agent.environment();
  for (auto& [name, value] : environment) {
    if (value.starts_with("/tmp/")) value = moved(value);
  }
  std::string config = read_file(lab.ssh_config());
  for (std::size_t at = 0; (at = config.find("/tmp/", at)) != std::string::npos;)
    config.replace(at, 5, "/mnt/");
  const std::string file = lab.directory().write("config_without_tmp", config);
  if (!file.starts_with("/tmp/")) GTEST_SKIP() << "the tests' own files are not in /tmp";
  Process process({"unshare", "-m", "sh", "-c", hide + agent_program() + " run -F " + moved(file)},
                  environment);
  if (!eventually([&] { return agent.serving() || !process.running(); }, seconds(20)) || !process.running())
    GTEST_SKIP() << "no mount namespaces here: " << process.err();
  EXPECT_TRUE(echoes(agent.forward_port(Lab::kBastion, echo.port()))) << process.err();
  EXPECT_TRUE(agent.jumpagent({"down"}).ok());
  EXPECT_EQ(process.wait(seconds(20)), 0);
}

TEST(Environment, AMissingRuntimeDirectoryIsMade) {
  Lab lab;
  AgentProcess& agent = lab.cold_agent();
  fs::remove_all(agent.runtime_dir());
  EXPECT_TRUE(agent.up().ok());
  struct stat made {};
  ASSERT_EQ(::stat(agent.socket_dir().c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777, 0700u);
}

}  // namespace
}  // namespace jump::test
