// Servers that let a connection have few sessions (MaxSessions): further connections carry the others, if
// nobody is needed for that.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "forward_lab.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/on_terminal.h"

namespace jump::test {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

LabOptions with_limit(int sessions) {
  LabOptions options;
  options.sshd.config = {"MaxSessions " + std::to_string(sessions)};
  return options;
}

std::vector<ProcessResult> at_once(AgentProcess& agent, int sessions, const std::string& command) {
  std::vector<ProcessResult> results(static_cast<std::size_t>(sessions));
  std::vector<std::thread> threads;
  for (int i = 0; i < sessions; ++i) {
    threads.emplace_back([&, i] {
      results[static_cast<std::size_t>(i)] = agent.ctl(
          {"exec", "--timeout", "250", Lab::kBastion,
           command + "; echo " + std::to_string(i) + "; exit " + std::to_string(i)},
          seconds(300));
    });
  }
  for (std::thread& each : threads) each.join();
  return results;
}

void expect_all(const std::vector<ProcessResult>& results) {
  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(results[i].exit_status, static_cast<int>(i)) << results[i].describe();
    EXPECT_EQ(results[i].out, std::to_string(i) + "\n");
  }
}

TEST(SessionLimits, FiftySessionsWhereTwoAreAllowed) {
  Lab lab(with_limit(2));
  ASSERT_TRUE(lab.agent().ctl({"exec", Lab::kBastion, "true"}).ok());
  expect_all(at_once(lab.agent(), 50, "sleep 3"));
  const std::size_t logins = count(lab.sshd().log(), "Accepted publickey");
  EXPECT_GT(logins, 1U);
  EXPECT_LE(logins, 26U);
  // Known now: nothing more is tried in vain, and the connections are used again.
  expect_all(at_once(lab.agent(), 20, "sleep 0.2"));
  EXPECT_LE(count(lab.sshd().log(), "Accepted publickey"), logins + 1);
}

// A server ends the whole connection at what it takes for no SSH packet: such a request never gets there.
TEST(SessionLimits, WhatNoServerTakesIsItsClientsOwn) {
  Lab lab;
  AgentProcess& agent = lab.agent();
  Process neighbour({ctl_program(), "exec", Lab::kBastion, "echo ready; sleep 5; echo well"},
                    agent.environment());
  ASSERT_TRUE(eventually([&] { return neighbour.out() == "ready\n"; })) << neighbour.err();
  const ProcessResult large = agent.ctl({"exec", Lab::kBastion, "true", std::string(100000, 'x'),
                                         std::string(100000, 'x'), std::string(100000, 'x')});
  EXPECT_EQ(large.exit_status, 255);
  EXPECT_NE(large.err.find("261120 at most"), std::string::npos) << large.describe();

  // JSON carries no other bytes: half of a name would be another name.
  const ProcessResult latin = agent.ctl({"exec", Lab::kBastion, "echo \xe4"});
  EXPECT_EQ(latin.exit_status, 255);
  EXPECT_NE(latin.err.find("not UTF-8"), std::string::npos) << latin.describe();
  EXPECT_EQ(agent.ctl({"exec", Lab::kBastion, "echo \xc3\xa4"}).out, "\xc3\xa4\n");

  ControlClient client(agent);
  const std::string null("a\0b", 3), many(300000, 'y');
  const std::vector<std::pair<std::string, nlohmann::json>> requests = {
      {"session.open", {{"host", "bastion"}, {"upgrade", true}, {"command", null}}},
      {"session.open", {{"host", "bastion"}, {"upgrade", true}, {"subsystem", many}}},
      {"session.open", {{"host", "bastion"}, {"upgrade", true}, {"command", "true"}, {"env", {{"A", null}}}}},
      {"session.open", {{"host", "bastion"}, {"upgrade", true}, {"command", "true"}, {"env", {{null, "b"}}}}},
      {"session.open",
       {{"host", "bastion"}, {"upgrade", true}, {"command", "true"}, {"tty", {{"term", many}}}}},
      {"stream.open", {{"via", "bastion"}, {"upgrade", true}, {"host", null}, {"port", 22}}},
      {"stream.open", {{"via", "bastion"}, {"upgrade", true}, {"path", "/" + many}}}};
  for (const auto& [method, params] : requests) {
    const nlohmann::json answer = client.ask(method, params);
    EXPECT_EQ(answer.at("error").at("data").at("kind"), "invalid") << method << params.dump().substr(0, 100);
  }
  EXPECT_EQ(neighbour.wait(seconds(20)), 0) << neighbour.err();
  EXPECT_EQ(count(lab.sshd().log(), "Accepted publickey"), 1U);
}

// A server counts sessions a moment longer than their users do.
TEST(SessionLimits, ABurstAfterABurstFindsRoom) {
  Lab lab(with_limit(1));
  expect_all(at_once(lab.agent(), 33, "sleep 1"));
  expect_all(at_once(lab.agent(), 33, "sleep 0.5"));
}

// With a cipher that is libssh2's own, a packet may be no longer than that library has room for.
TEST(SessionLimits, WhatTheTransportCannotSendIsItsClientsOwn) {
  LabOptions options;
  options.config_lines = {"Ciphers aes128-ctr"};
  Lab lab(options);
  AgentProcess& agent = lab.agent();
  Process neighbour({ctl_program(), "exec", Lab::kBastion, "echo ready; sleep 5; echo well"},
                    agent.environment());
  ASSERT_TRUE(eventually([&] { return neighbour.out() == "ready\n"; })) << neighbour.err();
  const ProcessResult large = agent.ctl({"exec", Lab::kBastion, "true", std::string(100000, 'x')});
  EXPECT_EQ(large.exit_status, 255);
  EXPECT_NE(large.err.find("at most can be sent to this server"), std::string::npos) << large.describe();
  EXPECT_TRUE(agent.ctl({"exec", Lab::kBastion, "true", std::string(30000, 'x')}).ok());
  EXPECT_EQ(count(lab.sshd().log(), "Accepted publickey"), 1U);
  EXPECT_EQ(neighbour.wait(seconds(20)), 0) << neighbour.err();
}

// Where root logs in, OpenSSH's server passes on no signal.
TEST(SessionLimits, WhoIsToldToEndDoesThoughTheCommandHearsNothing) {
  if (getuid() != 0) GTEST_SKIP() << "sshd passes signals on to others than root";
  Lab lab;
  for (const int number : {SIGTERM, SIGHUP, SIGQUIT}) {
    Process jumpctl({ctl_program(), "exec", Lab::kBastion, "echo ready; sleep 60"},
                    lab.agent().environment());
    ASSERT_TRUE(eventually([&] { return jumpctl.out() == "ready\n"; })) << jumpctl.err();
    jumpctl.signal(number);
    EXPECT_EQ(jumpctl.wait(seconds(30)), 128 + number);
  }
}

TEST(SessionLimits, TwentySessionsWhereOneIsAllowed) {
  Lab lab(with_limit(1));
  expect_all(at_once(lab.agent(), 20, "sleep 1"));
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(lab.agent().ctl({"exec", Lab::kBastion, "true"}).ok());
  EXPECT_LE(count(lab.sshd().log(), "Accepted publickey"), 21U);
}

TEST(SessionLimits, NoneIsAllowed) {
  Lab lab(with_limit(0));
  const ProcessResult result = lab.agent().ctl({"exec", Lab::kBastion, "true"});
  EXPECT_EQ(result.exit_status, 255);
  EXPECT_NE(result.err.find("allows no sessions"), std::string::npos) << result.describe();
  EXPECT_EQ(count(lab.sshd().log(), "Accepted publickey"), 1U);
}

TEST(SessionLimits, WithoutLanesTheServersLimitHolds) {
  Lab lab(with_limit(1));
  AgentProcess& agent = lab.cold_agent();
  agent.run({"--no-lanes"});
  OnTerminal first({ctl_program(), "exec", Lab::kBastion, "echo ready; sleep 60"}, agent.environment());
  ASSERT_TRUE(first.shows("ready")) << first.shown();
  const ProcessResult second = agent.ctl({"exec", Lab::kBastion, "true"});
  EXPECT_EQ(second.exit_status, 255);
  EXPECT_NE(second.err.find("allows 1 session on one connection"), std::string::npos) << second.describe();
  EXPECT_NE(second.err.find("--no-lanes"), std::string::npos) << second.describe();
  EXPECT_EQ(count(lab.sshd().log(), "Accepted publickey"), 1U);
}

TEST(SessionLimits, SessionsThatTheServerStillCountsTakeTheirPlaces) {
  Lab lab(with_limit(1));
  AgentProcess& agent = lab.agent();
  for (int i = 0; i < 3; ++i) {  // leaves a process that does not heed the hang-up, and its place with it
    OnTerminal gone(
        {ctl_program(), "exec", Lab::kBastion, "trap '' HUP PIPE; echo ready; sleep 5 >/dev/null 2>&1"},
        agent.environment());
    ASSERT_TRUE(gone.shows("ready")) << gone.shown();
    gone.kill();
  }
  const ProcessResult next = agent.ctl({"exec", Lab::kBastion, "echo next"});
  EXPECT_EQ(next.out, "next\n") << next.describe();
}

}  // namespace
}  // namespace jump::test
