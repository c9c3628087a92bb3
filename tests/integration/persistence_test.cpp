// Persistent forwards: back after the agent was killed, as they were, and no others; with a state file in any
// condition.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "integration/forward_lab.h"
#include "support/process.h"
#include "support/reserved_port.h"
#include "support/tcp_service.h"
#include "support/unix_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

constexpr Duration kBack = seconds(15);  // behind the first login; a back-off would be 30

class PersistenceTest : public ::testing::Test {
 protected:
  AgentProcess& agent() { return lab_.cold_agent(); }
  void up() {
    const ProcessResult result = agent().up();
    ASSERT_TRUE(result.ok()) << result.describe();
  }
  std::string to_echo() const { return ":127.0.0.1:" + std::to_string(echo_.port()); }
  json forwards() { return agent().status().at("forwards"); }
  std::string state_problem() { return agent().status().at("agent").value("state_problem", ""); }
  std::string state_file() { return agent().status().at("agent").value("state_file", ""); }
  // Those that are there, sorted: kind and spec.
  std::vector<std::string> wishes() {
    std::vector<std::string> all;
    for (const json& each : forwards()) all.push_back(each.value("kind", "") + " " + each.value("spec", ""));
    std::sort(all.begin(), all.end());
    return all;
  }
  bool reaches(std::uint16_t port) { return echoed(Socket::connect_tcp(port), "hello") == "hello"; }
  bool reaches(const std::string& path) { return echoed(Socket::connect_unix(path), "hello") == "hello"; }

  Lab lab_;
  TcpService echo_{TcpService::echo()};
};

TEST_F(PersistenceTest, AfterAKillEveryPersistentForwardIsBackWithinTwoSecondsOfTheLoginAndNoOther) {
  const ReservedPort local, there, plain, held, socks;
  const std::string path = lab_.directory().file("l.sock");
  const std::string there_path = lab_.directory().file("r.sock");
  LabOptions unlink;
  up();
  std::vector<std::string> wanted;
  {
    ControlClient client(agent());
    const json persist = {{"persist", true}};
    for (const auto& [kind, spec] : std::vector<std::pair<std::string, std::string>>{
             {"local", std::to_string(local.number()) + to_echo()},
             {"local", path + to_echo()},
             {"dynamic", std::to_string(socks.number())},
             {"remote", std::to_string(there.number()) + to_echo()},
             {"remote", there_path + to_echo()}}) {
      EXPECT_EQ(client.open(kind, spec, persist).at("persist"), true);
    }
    wanted = wishes();
    client.open("local", std::to_string(plain.number()) + to_echo());
    client.open("local", std::to_string(held.number()) + to_echo(), {{"hold", true}});
    agent().kill9();
  }
  // As the server's user would: with the default StreamLocalBindUnlink no, a stale name is in the way there.
  ASSERT_TRUE(eventually([&] { return lab_.sshd().session_processes() == 0; }));
  std::filesystem::remove(there_path);
  ASSERT_TRUE(std::filesystem::exists(path)) << "a killed agent leaves its socket's name";

  up();
  ASSERT_TRUE(eventually([&] { return agent().host_status(Lab::kBastion).value("state", "") == "ready"; },
                         seconds(20)));
  Stopwatch since_login;
  EXPECT_TRUE(eventually([&] { return reaches(there.number()) && reaches(there_path); }, kBack))
      << forwards();
  EXPECT_TRUE(reaches(local.number()));
  EXPECT_TRUE(reaches(path));
  auto proxied = Socket::connect_tcp(socks.number());
  EXPECT_EQ(proxied ? socks5_connect(*proxied, "localhost", echo_.port()) : -1, 0);
  EXPECT_LT(since_login.elapsed(), 2 * kBack);
  EXPECT_EQ(wishes(), wanted);
  for (const json& each : forwards()) EXPECT_EQ(each.at("persist"), true) << each;
  EXPECT_EQ(state_problem(), "");
}

TEST_F(PersistenceTest, AnOrderlyEndKeepsThemToo) {
  const ReservedPort port;
  up();
  ControlClient(agent()).open("local", std::to_string(port.number()) + to_echo(),
                              {{"persist", true}, {"name", "web"}});
  ASSERT_TRUE(agent().down().ok());
  ASSERT_TRUE(eventually([&] { return !agent().serving(); }));
  up();
  ASSERT_TRUE(eventually([&] { return forwards().size() == 1; }));
  EXPECT_EQ(forwards()[0].value("name", ""), "web");
  EXPECT_TRUE(reaches(port.number()));
}

// A large file, here a damaged copy, takes a while to read.
TEST_F(PersistenceTest, TheyAreThereWhenUpReturns) {
  up();
  ControlClient(agent()).open("local", "0" + to_echo(), {{"persist", true}});
  const std::string copy = state_file() + ".copy";
  for (int i = 0; i < 3; ++i) {
    agent().kill9();
    std::filesystem::resize_file(copy, 15 << 20);
    up();
    EXPECT_EQ(ControlClient(agent()).list().size(), 1u);
  }
}

TEST_F(PersistenceTest, AClosedOneDoesNotComeBack) {
  const ReservedPort one, two;
  up();
  {
    ControlClient client(agent());
    const std::string id =
        client.open("local", std::to_string(one.number()) + to_echo(), {{"persist", true}}).at("id");
    client.open("local", std::to_string(two.number()) + to_echo(), {{"persist", true}});
    client.close(id);
  }
  agent().kill9();
  up();
  ASSERT_TRUE(eventually([&] { return forwards().size() == 1; }));
  EXPECT_TRUE(reaches(two.number()));
  EXPECT_FALSE(Socket::connect_tcp(one.number()));
}

TEST_F(PersistenceTest, APlainForwardThatIsAskedForAgainToPersistDoes) {
  const ReservedPort port;
  up();
  const std::string spec = std::to_string(port.number()) + to_echo();
  {
    ControlClient client(agent());
    const std::string id = client.open("local", spec).at("id");
    EXPECT_EQ(client.open("local", spec, {{"persist", true}}).at("id"), id);
  }
  agent().kill9();
  up();
  EXPECT_TRUE(eventually([&] { return forwards().size() == 1 && reaches(port.number()); }));
}

TEST_F(PersistenceTest, APortThatWasChosenIsKeptHereAndThere) {
  up();
  std::string here, there;
  {
    ControlClient client(agent());
    here = client.open("local", "0" + to_echo(), {{"persist", true}}).value("listen", "");
    there = client.open("remote", "0" + to_echo(), {{"persist", true}}).value("listen", "");
  }
  ASSERT_NE(port_of(there), 0);
  agent().kill9();
  ASSERT_TRUE(eventually([&] { return lab_.sshd().session_processes() == 0; }));
  up();
  EXPECT_TRUE(eventually([&] { return reaches(port_of(here)) && reaches(port_of(there)); })) << forwards();
  EXPECT_EQ(forwards().size(), 2u);
}

TEST_F(PersistenceTest, OneWhosePortIsTakenWaitsAndOpensOnceItIsFree) {
  up();
  std::uint16_t port = 0;
  const std::string path = lab_.directory().file("l.sock");
  {
    ControlClient client(agent());
    port = port_of(client.open("local", "0" + to_echo(), {{"persist", true}}).value("listen", ""));
    client.open("local", path + to_echo(), {{"persist", true}});
  }
  agent().kill9();
  std::filesystem::remove(path);
  auto other = std::make_unique<UnixService>(path, TcpService::silent());
  Process squatter({"socat", "TCP-LISTEN:" + std::to_string(port) + ",bind=127.0.0.1,reuseaddr", "-"});
  ASSERT_TRUE(eventually([&] {
    return run_process({"ss", "-Htln", "sport", "=", ":" + std::to_string(port)}, seconds(5)).out != "";
  }));
  up();
  ASSERT_TRUE(eventually([&] { return forwards().size() == 2; }));
  for (const json& each : forwards()) {
    EXPECT_EQ(each.at("state"), "backoff") << each;
    EXPECT_TRUE(says(each.at("error"), "is in use")) << each;
    EXPECT_TRUE(says(each.at("error"), "pid ")) << each;
  }
  squatter.kill();
  other.reset();
  EXPECT_TRUE(eventually([&] { return reaches(port) && reaches(path); }, seconds(20))) << forwards();
}

TEST_F(PersistenceTest, APersistentForwardThatTheConfigHasTooIsOne) {
  const ReservedPort port;
  const std::string spec = std::to_string(port.number()) + to_echo();
  const std::string config =
      lab_.directory().write("agent.toml", "[[forward]]\nspec = \"" + spec + "\"\nvia = \"bastion\"\n");
  agent().run({"-c", config});
  ControlClient(agent()).open("local", spec, {{"persist", true}});
  agent().kill9();
  agent().run({"-c", config});
  ASSERT_TRUE(eventually([&] { return forwards().size() == 1 && forwards()[0].at("origin") == "both"; }))
      << forwards();
  lab_.directory().write("agent.toml", "");
  ASSERT_TRUE(agent().jumpagent({"reload"}).ok());
  EXPECT_EQ(forwards()[0].value("origin", ""), "client");
  EXPECT_TRUE(reaches(port.number()));
}

// --- the file in any condition

TEST_F(PersistenceTest, ADamagedFileIsMadeUpForByItsCopyAndThatIsSaid) {
  const ReservedPort port;
  up();
  ControlClient(agent()).open("local", std::to_string(port.number()) + to_echo(), {{"persist", true}});
  const std::string file = state_file();
  agent().kill9();
  const std::string good = read_file(file);
  std::ofstream(file, std::ios::trunc) << good.substr(0, good.size() / 2);
  up();
  EXPECT_TRUE(eventually([&] { return forwards().size() == 1; }));
  EXPECT_TRUE(says(state_problem(), file + ": it is cut short")) << state_problem();
  EXPECT_TRUE(says(state_problem(), "the last good list, of 1 forward")) << state_problem();
  EXPECT_TRUE(eventually([&] { return says(agent().log(), "it is cut short"); }));
  const ProcessResult doctor = agent().ctl({"doctor"});
  EXPECT_TRUE(doctor.ok() && says(doctor.out, "it is cut short")) << doctor.describe();
  EXPECT_TRUE(eventually([&] { return read_file(file).size() == good.size(); })) << "whole again";
  agent().kill9();
  up();
  EXPECT_TRUE(eventually([&] { return forwards().size() == 1; }));
  EXPECT_EQ(state_problem(), "");
}

TEST_F(PersistenceTest, AnOversizedFileIsPutAsideAndTheCopyIsUsed) {
  const ReservedPort port, other;
  up();
  ControlClient(agent()).open("local", std::to_string(port.number()) + to_echo(), {{"persist", true}});
  const std::string file = state_file();
  agent().kill9();
  std::filesystem::resize_file(file, 17 << 20);
  up();
  EXPECT_EQ(forwards().size(), 1u);
  EXPECT_TRUE(says(state_problem(), file + ": it is larger than any state file")) << state_problem();
  EXPECT_EQ(std::filesystem::file_size(file + ".damaged"), 17u << 20);
  ControlClient(agent()).open("local", std::to_string(other.number()) + to_echo(), {{"persist", true}});
  agent().kill9();
  up();
  EXPECT_EQ(forwards().size(), 2u);
  EXPECT_EQ(state_problem(), "");
}

TEST_F(PersistenceTest, ADirectoryInTheFilesPlaceLeavesTheCopyToWorkWith) {
  const ReservedPort port, other;
  up();
  ControlClient(agent()).open("local", std::to_string(port.number()) + to_echo(), {{"persist", true}});
  const std::string file = state_file();
  agent().kill9();
  std::filesystem::remove(file);
  std::filesystem::create_directories(file + "/somebody's");
  for (std::size_t count : {1u, 2u}) {
    up();
    EXPECT_EQ(forwards().size(), count);
    EXPECT_TRUE(says(state_problem(), file + ": it is a directory")) << state_problem();
    ControlClient(agent()).open("local", std::to_string(other.number()) + to_echo(), {{"persist", true}});
    agent().kill9();
  }
  EXPECT_TRUE(std::filesystem::is_directory(file + "/somebody's"));
}

TEST_F(PersistenceTest, ADirectoryAndNoCopyIsRefusedWithTheWayOut) {
  agent().run({"--state", lab_.directory().make_dir("state")});
  EXPECT_TRUE(eventually([&] { return says(state_problem(), "is a directory"); })) << state_problem();
  const std::string why = ControlClient(agent()).open_failure("local", "0" + to_echo(), {{"persist", true}});
  EXPECT_TRUE(says(why, "is a directory")) << why;
  EXPECT_TRUE(says(why, "jumpagent --state FILE")) << why;
}

TEST_F(PersistenceTest, WithBothDamagedItStartsSaysSoAndCanPersistAgain) {
  const ReservedPort port;
  up();
  const std::string file = state_file();
  ControlClient(agent()).open("local", std::to_string(port.number()) + to_echo(), {{"persist", true}});
  agent().kill9();
  for (const std::string& each : {file, file + ".copy"}) std::ofstream(each, std::ios::trunc) << "garbage";
  up();
  EXPECT_TRUE(eventually([&] { return says(state_problem(), "there is no good copy"); })) << state_problem();
  EXPECT_TRUE(forwards().empty());
  ControlClient(agent()).open("local", std::to_string(port.number()) + to_echo(), {{"persist", true}});
  agent().kill9();
  up();
  EXPECT_TRUE(eventually([&] { return forwards().size() == 1; }));
}

TEST_F(PersistenceTest, TheSecondAgentOfAFileSaysSoAndRefusesWithTheWayOut) {
  const ReservedPort port, other;
  up();
  ControlClient(agent()).open("local", std::to_string(port.number()) + to_echo(), {{"persist", true}});
  const std::string file = state_file();

  AgentProcess second(lab_.ssh_config());
  second.run({"--state", file});
  const auto problem = [&] { return second.status().at("agent").value("state_problem", ""); };
  EXPECT_TRUE(eventually([&] { return says(problem(), "another jumpagent"); })) << problem();
  EXPECT_TRUE(second.status().at("forwards").empty());
  ControlClient client(second);
  const std::string spec = std::to_string(other.number()) + to_echo();
  const std::string why = client.open_failure("local", spec, {{"persist", true}});
  EXPECT_TRUE(says(why, file)) << why;
  EXPECT_TRUE(says(why, "jumpagent --state FILE")) << why;
  EXPECT_TRUE(client.list().empty()) << "refused before anything was opened";
  client.open("local", spec);
  EXPECT_TRUE(reaches(other.number())) << "what does not persist is welcome";
}

TEST_F(PersistenceTest, WithoutAStateFileThereIsNoPersistence) {
  agent().run({"--state", "none"});
  const std::string why = ControlClient(agent()).open_failure("local", "0" + to_echo(), {{"persist", true}});
  EXPECT_TRUE(says(why, "keeps no state file")) << why;
  EXPECT_TRUE(says(why, "--state FILE")) << why;
}

TEST_F(PersistenceTest, ADirectoryThatCannotBeIsAClearErrorAndTheAgentRuns) {
  const std::string in_the_way = lab_.directory().write("file", "");
  agent().run({"--state", in_the_way + "/forwards"});
  EXPECT_TRUE(eventually([&] { return says(state_problem(), in_the_way + "/forwards"); })) << state_problem();
  const std::string why = ControlClient(agent()).open_failure("local", "0" + to_echo(), {{"persist", true}});
  EXPECT_TRUE(says(why, "Not a directory")) << why;
}

// A full disk: a tmpfs of one page or two, filled to the brim.
TEST_F(PersistenceTest, AFullDiskIsToldAndThePlaceIsUsedOnceThereIsRoom) {
  if (getuid() != 0) GTEST_SKIP() << "mounting is root's";
  const std::string disk = lab_.directory().make_dir("disk");
  if (!run_process({"mount", "-t", "tmpfs", "-o", "size=64k", "none", disk}, seconds(10)).ok())
    GTEST_SKIP() << "no mounts here";
  struct Unmount {
    std::string at;
    ~Unmount() { run_process({"umount", "-l", at}, seconds(10)); }
  } unmount{disk};
  agent().run({"--state", disk + "/forwards"});
  // The file has been read once something can persist.
  const json probe = ControlClient::open_params("local", "0" + to_echo(), {{"persist", true}});
  ASSERT_TRUE(
      eventually([&] { return ControlClient(agent()).ask("forward.open", probe).contains("result"); }));
  {
    std::ofstream filler(disk + "/filler");
    while (filler << std::string(4096, 'x') << std::flush) {
    }
  }
  const ReservedPort port;
  ControlClient client(agent());
  const std::string spec = std::to_string(port.number()) + to_echo();
  const std::string why = client.open_failure("local", spec, {{"persist", true}});
  EXPECT_TRUE(says(why, "No space left on device")) << why;
  EXPECT_TRUE(says(why, "would not come back after a restart")) << why;
  EXPECT_TRUE(says(state_problem(), "No space left on device"));
  std::filesystem::remove(disk + "/filler");
  client.open("local", spec, {{"persist", true}});
  EXPECT_EQ(state_problem(), "");
}

}  // namespace
}  // namespace jump::test
