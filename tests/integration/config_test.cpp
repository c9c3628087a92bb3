// The agent's own config file: what it opens and connects at start, what a reload changes, how it routes, and
// what it says about a bad one.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/reserved_port.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

class ConfigFileTest : public ::testing::Test {
 protected:
  // Of a forward to the echo service, on `port`.
  std::string forward(const ReservedPort& port, const std::string& more = "via = \"bastion\"\n") const {
    return "[[forward]]\nspec = \"" + spec(port) + "\"\n" + more;
  }
  std::string spec(const ReservedPort& port) const {
    return std::to_string(port.number()) + ":127.0.0.1:" + std::to_string(echo_.port());
  }
  void write(const std::string& text, mode_t mode = 0600) {
    path_ = lab_.directory().write("agent.toml", text, mode);
  }
  AgentProcess& start(const std::string& text) {
    write(text);
    lab_.cold_agent().run({"-c", path_});
    return lab_.cold_agent();
  }
  AgentProcess& agent() { return lab_.cold_agent(); }
  json forwards() { return agent().status().at("forwards"); }
  // The forward with that spec; null when there is none.
  json find(const ReservedPort& port) {
    for (const json& each : forwards()) {
      if (each.at("spec") == spec(port)) return each;
    }
    return nullptr;
  }
  bool carries(const ReservedPort& port) {
    auto socket = Socket::connect_tcp(port.number());
    return socket && socket->send_all(std::string_view("hello")) &&
           socket->receive_exactly(5).text() == "hello";
  }
  std::string host_state(const std::string& host) {
    const json status = agent().host_status(host);
    return status.is_null() ? "" : status.at("state").get<std::string>();
  }

  Lab lab_;
  TcpService echo_{TcpService::echo()};
  std::string path_;
};

TEST_F(ConfigFileTest, ForwardsAreOpenAndHostsConnectedAtStart) {
  const ReservedPort port;
  start("connect = [\"bastion\"]\n" + forward(port, "via = \"bastion\"\nname = \"echo\"\n"));
  EXPECT_TRUE(eventually([&] { return host_state("bastion") == "ready"; }));
  EXPECT_TRUE(carries(port));
  const json there = find(port);
  EXPECT_EQ(there.at("name"), "echo");
  EXPECT_EQ(there.at("origin"), "config");
  EXPECT_EQ(agent().status().at("agent").at("config"), path_);
}

TEST_F(ConfigFileTest, AConfiguredForwardLogsInWhenItIsUsed) {
  const ReservedPort port;
  start(forward(port));
  EXPECT_EQ(find(port).at("state"), "waiting");
  EXPECT_TRUE(carries(port));
  EXPECT_EQ(find(port).at("state"), "active");
}

TEST_F(ConfigFileTest, ReloadOpensWhatIsNewClosesWhatIsGoneAndLeavesTheRest) {
  const ReservedPort kept, gone, fresh, by_hand;
  start(forward(kept) + forward(gone));
  ASSERT_TRUE(agent().ctl({"forward", "--via", "bastion", spec(by_hand)}).ok());
  const std::string id = find(kept).at("id");
  auto open = Socket::connect_tcp(kept.number());
  ASSERT_TRUE(open && open->send_all(std::string_view("a")) && open->receive_exactly(1).text() == "a");

  write("# moved\n" + forward(fresh) + forward(kept));
  const ProcessResult reload = agent().jumpagent({"reload"});
  EXPECT_TRUE(reload.ok()) << reload.describe();
  EXPECT_TRUE(says(reload.out, "1 forward opened, 1 closed, 1 as they were")) << reload.out;
  EXPECT_EQ(find(kept).at("id"), id);
  EXPECT_TRUE(find(gone).is_null());
  EXPECT_TRUE(carries(fresh));
  EXPECT_TRUE(carries(by_hand));
  EXPECT_TRUE(open->send_all(std::string_view("b")));
  EXPECT_EQ(open->receive_exactly(1).text(), "b");
}

TEST_F(ConfigFileTest, ABadReloadKeepsTheOldConfigAndTellsAllErrors) {
  const ReservedPort port;
  start(forward(port));
  write("lanes = 3\ndefualt_via = \"x\"\n");
  const ProcessResult reload = agent().jumpagent({"reload"});
  EXPECT_EQ(reload.exit_status, 1);
  EXPECT_TRUE(says(reload.err, path_ + ":1:9: lanes: expected true or false")) << reload.err;
  EXPECT_TRUE(says(reload.err, path_ + ":2:1: unknown key 'defualt_via'; did you mean 'default_via'?"))
      << reload.err;
  EXPECT_EQ(std::count(reload.err.begin(), reload.err.end(), '\n'), 2) << reload.err;
  EXPECT_TRUE(carries(port));
}

TEST_F(ConfigFileTest, AFileThatIsGoneTakesNothingAway) {
  const ReservedPort port;
  start(forward(port));
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  const ProcessResult reload = agent().jumpagent({"reload"});
  EXPECT_EQ(reload.exit_status, 1);
  EXPECT_TRUE(says(reload.err, path_ + " is gone; the agent keeps the config it has; put it back"))
      << reload.err;
  EXPECT_FALSE(find(port).is_null());
}

TEST_F(ConfigFileTest, WhatIsNoFileIsRefused) {
  start("");
  ::unlink(path_.c_str());
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  const ProcessResult reload = agent().jumpagent({"reload"});
  EXPECT_EQ(reload.exit_status, 1);
  EXPECT_TRUE(says(reload.err, path_ + ": it is not a regular file")) << reload.err;
}

TEST_F(ConfigFileTest, SighupReloads) {
  const ReservedPort port;
  start("");
  write(forward(port));
  ::kill(agent().pid(), SIGHUP);
  EXPECT_TRUE(eventually([&] { return !find(port).is_null(); }));
}

TEST_F(ConfigFileTest, AForwardThatAClientOpenedTooOutlivesItsEntry) {
  const ReservedPort port;
  start("");
  ASSERT_TRUE(agent().ctl({"forward", "--via", "bastion", spec(port)}).ok());
  const std::string id = find(port).at("id");
  write(forward(port));
  ASSERT_TRUE(agent().jumpagent({"reload"}).ok());
  EXPECT_EQ(find(port).at("origin"), "both");
  EXPECT_EQ(find(port).at("id"), id);
  write("");
  ASSERT_TRUE(agent().jumpagent({"reload"}).ok());
  EXPECT_EQ(find(port).at("origin"), "client");
  EXPECT_TRUE(carries(port));
}

TEST_F(ConfigFileTest, AForwardWhosePortIsTakenIsShownAndOpenedOnceItIsFree) {
  auto holder = std::make_unique<TcpService>(TcpService::silent());
  const std::string target = ":127.0.0.1:" + std::to_string(echo_.port());
  const std::string taken = "127.0.0.1:" + std::to_string(holder->port());
  start("[[forward]]\nspec = \"" + taken + target + "\"\nvia = \"bastion\"\n");
  ASSERT_EQ(forwards().size(), 1u);
  EXPECT_EQ(forwards()[0].at("state"), "backoff");
  EXPECT_TRUE(says(forwards()[0].at("error").get<std::string>(), "in use")) << forwards().dump();
  holder.reset();
  EXPECT_TRUE(eventually([&] { return forwards()[0].at("state") != "backoff"; }));
  EXPECT_EQ(forwards()[0].at("listen"), taken);
}

TEST_F(ConfigFileTest, AHostToConnectThatIsAwayIsTriedAgain) {
  lab_.sshd().kill_all();
  start("connect = [\"bastion\"]\n");
  EXPECT_TRUE(eventually([&] { return host_state("bastion") == "down"; }));
  lab_.sshd().start();
  EXPECT_TRUE(eventually([&] { return host_state("bastion") == "ready"; }, seconds(30)));
}

TEST_F(ConfigFileTest, TheTargetChoosesTheHostAndTheAnswerSaysByWhichRule) {
  const std::string target = ":127.0.0.1:" + std::to_string(echo_.port());
  start("default_via = \"nowhere\"\n[[route]]\nto = [\"127.0.0.0/8\"]\nvia = \"bastion\"\n");
  const ProcessResult by_network = agent().ctl({"forward", "0" + target});
  EXPECT_TRUE(by_network.ok()) << by_network.describe();
  EXPECT_TRUE(says(by_network.out, " via bastion (route \"127.0.0.0/8\" in agent.toml:3)")) << by_network.out;

  write("default_via = \"bastion\"\n[[route]]\nto = [\"*.0.0.1:" + std::to_string(echo_.port()) +
        "\", \"!127.*\"]\nvia = \"nowhere\"\n");
  ASSERT_TRUE(agent().jumpagent({"reload"}).ok());
  const ProcessResult by_default = agent().ctl({"forward", "0" + target});
  EXPECT_TRUE(says(by_default.out, " via bastion (default_via in agent.toml:1)")) << by_default.describe();

  write("");
  ASSERT_TRUE(agent().jumpagent({"reload"}).ok());
  const ProcessResult only = agent().ctl({"forward", "0" + target});
  EXPECT_TRUE(says(only.out, " via bastion (the only connected host)")) << only.describe();
}

TEST_F(ConfigFileTest, WithoutARouteTheErrorSaysHowToChoose) {
  const ReservedPort port;
  start("");
  const ProcessResult forward = agent().ctl({"forward", spec(port)});
  EXPECT_EQ(forward.exit_status, 1);
  EXPECT_TRUE(says(forward.err, "which host should carry it? no host is connected")) << forward.err;
  EXPECT_TRUE(says(forward.err, "default_via")) << forward.err;
}

TEST_F(ConfigFileTest, LimitsHoldAndChangeWithAReload) {
  const ReservedPort first, second;
  start("[limits]\nforwards = 1\n");
  ASSERT_TRUE(agent().ctl({"forward", "--via", "bastion", spec(first)}).ok());
  const ProcessResult refused = agent().ctl({"forward", "--via", "bastion", spec(second)});
  EXPECT_TRUE(says(refused.err, "there are 1 forwards already")) << refused.describe();
  write("[limits]\nforwards = 2\nwindow_memory = \"64MiB\"\n");
  const ProcessResult reload = agent().jumpagent({"reload"});
  EXPECT_TRUE(says(reload.out, "limits.window_memory")) << reload.describe();
  EXPECT_TRUE(agent().ctl({"forward", "--via", "bastion", spec(second)}).ok());
}

TEST_F(ConfigFileTest, PrewarmedForwardsAreConnectedBeforeAnybodyAsks) {
  const ReservedPort port;
  start(forward(port, "via = \"bastion\"\nprewarm = 3\n"));
  EXPECT_TRUE(eventually([&] { return find(port).value("prewarmed", 0) == 3; })) << find(port).dump(2);
  EXPECT_TRUE(eventually([&] { return echo_.accepted() >= 3; }));
  EXPECT_EQ(echo_.accepted(), 3u);
  EXPECT_EQ(host_state("bastion"), "ready");
  EXPECT_TRUE(carries(port));
  EXPECT_TRUE(eventually([&] { return find(port).value("prewarmed", 0) == 3; }))
      << "what was taken is replaced";
  EXPECT_EQ(agent().host_status("bastion").at("logins"), 1);
}

TEST_F(ConfigFileTest, ManyReloadsAtOnceAreEachAnsweredAndDoneOnce) {
  const ReservedPort before, after;
  start(forward(before));
  const pid_t pid = agent().pid();
  write(forward(before) + forward(after));
  std::vector<std::unique_ptr<Process>> reloads;
  for (int i = 0; i < 8; ++i) {
    reloads.push_back(std::make_unique<Process>(std::vector<std::string>{agent_program(), "reload"},
                                                agent().environment()));
    ::kill(pid, SIGHUP);
  }
  for (const auto& each : reloads) EXPECT_EQ(each->wait(seconds(120)), 0) << each->err();
  EXPECT_EQ(forwards().size(), 2u) << forwards().dump(2);
  EXPECT_TRUE(carries(before));
  EXPECT_TRUE(carries(after));
  EXPECT_EQ(agent().pid(), pid);
}

TEST_F(ConfigFileTest, OneClientTooManyIsRefusedWithAReasonAndServedLater) {
  start("[limits]\nclients = 3\n");
  {
    const json hello = {{"client", "test"}, {"protocol", {1, 1}}};
    const json request = {{"jsonrpc", "2.0"}, {"id", 1}, {"method", "hello"}, {"params", hello}};
    std::vector<Socket> held;
    const auto hold_one = [&] {  // whoever asked before may not be gone yet
      auto client = Socket::connect_unix(agent().socket_path());
      if (!client || !client->send_all(request.dump() + "\n")) return false;
      if (!says(client->receive_line(seconds(10)).value_or(""), "result")) return false;
      held.push_back(std::move(*client));
      return true;
    };
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(eventually(hold_one));
    const ProcessResult refused = agent().ctl({"status"});
    EXPECT_EQ(refused.exit_status, 1) << refused.describe();
    EXPECT_TRUE(says(refused.err, "the agent has 3 clients already")) << refused.err;
    EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
  }
  EXPECT_TRUE(eventually([&] { return agent().ctl({"status"}).ok(); }));
  EXPECT_GE(agent().status().at("agent").at("clients_refused").get<int>(), 1);
}

TEST_F(ConfigFileTest, EachMistakeIsALineOfTheLogToo) {
  start("");
  write("lanes = 3\ndefualt_via = \"x\"\n");
  EXPECT_EQ(agent().jumpagent({"reload"}).exit_status, 1);
  for (const char* mistake : {":1:9: lanes: expected true or false", ":2:1: unknown key"}) {
    const std::string line = " error   " + path_ + mistake;
    EXPECT_TRUE(eventually([&] { return says(agent().log(), line); })) << line << "\n" << agent().log();
  }
}

// --- what never starts ---

TEST_F(ConfigFileTest, ABadOneStartsNothing) {
  write("[[forward]]\nspec = \"8080\"\n");
  for (const char* verb : {"up", "run", "check-config"}) {
    const ProcessResult result = agent().jumpagent({verb, "-c", path_});
    EXPECT_EQ(result.exit_status, 1) << result.describe();
    EXPECT_TRUE(says(result.err, path_ + ":2:8: forward.spec: ")) << result.err;
    EXPECT_FALSE(agent().serving());
  }
}

TEST_F(ConfigFileTest, OneThatOthersMayWriteToIsRefused) {
  write("");
  for (mode_t mode : {mode_t{0620}, mode_t{0602}}) {
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
    const ProcessResult result = agent().jumpagent({"check-config", "-c", path_});
    EXPECT_EQ(result.exit_status, 1);
    EXPECT_TRUE(says(result.err, "others may write to it; run: chmod go-w")) << result.err;
  }
  ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
  EXPECT_TRUE(agent().jumpagent({"check-config", "-c", path_}).ok());
}

TEST_F(ConfigFileTest, AMissingOneIsAnErrorOnlyWhenItWasNamed) {
  const ProcessResult named = agent().jumpagent({"check-config", "-c", lab_.directory().file("none.toml")});
  EXPECT_EQ(named.exit_status, 1);
  EXPECT_TRUE(says(named.err, "none.toml: no such file")) << named.err;
  const ProcessResult unnamed = agent().jumpagent({"check-config"});
  EXPECT_TRUE(unnamed.ok()) << unnamed.describe();
  EXPECT_TRUE(says(unnamed.out, "there is no config file")) << unnamed.out;
}

TEST_F(ConfigFileTest, TheDefaultPlaceIsReadAlsoWhenTheFileComesLater) {
  const ReservedPort port;
  ASSERT_TRUE(agent().up().ok());
  EXPECT_EQ(agent().status().at("agent").at("config"), "");
  agent().directory().make_dir("config/jumpagent");
  agent().directory().write("config/jumpagent/config.toml", forward(port));
  const ProcessResult reload = agent().jumpagent({"reload"});
  EXPECT_TRUE(reload.ok()) << reload.describe();
  EXPECT_TRUE(carries(port));
  // And gone again.
  ASSERT_EQ(::unlink(agent().directory().file("config/jumpagent/config.toml").c_str()), 0);
  const ProcessResult without = agent().jumpagent({"reload"});
  EXPECT_EQ(without.exit_status, 1);
  EXPECT_TRUE(says(without.err, "config.toml is gone; the agent keeps the config it has")) << without.err;
  EXPECT_TRUE(carries(port));
}

TEST_F(ConfigFileTest, ReloadWithoutAnAgentSaysSo) {
  EXPECT_EQ(agent().jumpagent({"reload"}).exit_status, 3);
}

}  // namespace
}  // namespace jump::test
