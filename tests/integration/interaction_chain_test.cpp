// Questions of jump hosts: they reach the person who asked for something behind them, at any depth, and
// nobody who has nothing to do with it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "integration/password_lab.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class JumpHostQuestions : public PasswordLab {
 protected:
  void log_in(OnTerminal& ctl, int times = 1) {
    ASSERT_TRUE(ctl.shows(kTrust, times)) << ctl.shown();
    ctl.type("yes\n");
    type_password(ctl, times);
  }
  void type_password(OnTerminal& ctl, int times = 1) {
    ASSERT_TRUE(ctl.shows(kPasswordPrompt, times)) << ctl.shown();
    EXPECT_TRUE(eventually([&] { return !ctl.echoes(); }));
    ctl.type(std::string(kPassword) + "\n");
  }
  // Empty: the agent does not know it yet.
  std::string state_of(const std::string& host) {
    const auto status = agent().host_status(host);
    return status.is_null() ? "" : status.value("state", "");
  }
  bool carries_bytes(const std::string& host) {
    TcpService echo{TcpService::echo()};
    auto socket = Socket::connect_tcp(agent().forward_port(host, echo.port()));
    return socket && socket->send_all(std::string_view("hello")) &&
           socket->receive_exactly(5).text() == "hello";
  }
};

TEST_F(JumpHostQuestions, TheJumpHostsQuestionsComeToWhoAskedForTheHostBehindIt) {
  Sshd& door = add("door");
  add_with_key("db", {"ProxyJump door"});
  start();
  auto ctl = connect("db");
  ASSERT_TRUE(ctl->shows(kTrust)) << ctl->shown() << agent().log();
  const auto status = agent().status();
  EXPECT_EQ(status.at("interactions").at(0).at("host"), "db");
  EXPECT_THAT(status.at("interactions").at(0).at("hop").get<std::string>(), HasSubstr("door"));
  EXPECT_EQ(agent().host_status("db").at("state"), "waiting_user");
  EXPECT_EQ(agent().host_status("door").at("state"), "waiting_user");
  log_in(*ctl);
  EXPECT_EQ(ctl->exit_status(), 0) << ctl->shown();
  EXPECT_TRUE(carries_bytes("db"));
  EXPECT_EQ(count_of(door.log(), "Accepted password"), 1);
}

TEST_F(JumpHostQuestions, EachHopOfAChainOfThreeAsksTheSamePerson) {
  add("door");
  Server inner;
  inner.lines = {"ProxyJump door"};
  add("inner", inner);
  Server vault;
  vault.lines = {"ProxyJump inner"};
  add("vault", vault);
  start();
  auto ctl = connect("vault");
  for (int hop = 1; hop <= 3; ++hop) log_in(*ctl, hop);
  EXPECT_EQ(ctl->exit_status(), 0) << ctl->shown();
  EXPECT_TRUE(carries_bytes("vault"));
}

TEST_F(JumpHostQuestions, TwoAtOnceForOneHostGetOneSetOfPrompts) {
  Sshd& door = add("door");
  add_with_key("db", {"ProxyJump door"});
  start();
  auto one = connect("db"), other = connect("db");
  ASSERT_TRUE(eventually([&] { return one->count(kTrust) + other->count(kTrust) == 1; }));
  if (one->count(kTrust) == 0) std::swap(one, other);
  ASSERT_TRUE(has_clients(2));
  log_in(*one);
  EXPECT_EQ(one->exit_status(), 0) << one->shown();
  EXPECT_EQ(other->exit_status(), 0) << other->shown();
  EXPECT_EQ(other->count("password") + other->count(kTrust), 0) << other->shown();
  EXPECT_EQ(count_of(door.log(), "Accepted password"), 1);
}

TEST_F(JumpHostQuestions, TwoAtOnceForTwoHostsBehindItGetOneSetOfPrompts) {
  Sshd& door = add("door");
  add_with_key("db", {"ProxyJump door"});
  add_with_key("web", {"ProxyJump door"});
  start();
  auto one = connect("db"), other = connect("web");
  ASSERT_TRUE(eventually([&] { return one->count(kTrust) + other->count(kTrust) == 1; }));
  if (one->count(kTrust) == 0) std::swap(one, other);
  ASSERT_TRUE(has_clients(2));
  log_in(*one);
  EXPECT_EQ(one->exit_status(), 0) << one->shown();
  EXPECT_EQ(other->exit_status(), 0) << other->shown();
  EXPECT_EQ(other->count("password") + other->count(kTrust), 0) << other->shown();
  EXPECT_EQ(count_of(door.log(), "Accepted password"), 1);
}

TEST_F(JumpHostQuestions, WhenTheAskedOneIsKilledTheOneForAnotherHostBehindIsAsked) {
  Sshd& door = add("door");
  add_with_key("db", {"ProxyJump door"});
  add_with_key("web", {"ProxyJump door"});
  start();
  auto first = connect("db");
  ASSERT_TRUE(first->shows(kTrust)) << first->shown();
  auto second = connect("web");
  ASSERT_TRUE(eventually([&] { return state_of("web") == "waiting_user"; }));
  EXPECT_EQ(second->count(kTrust), 0);
  first->kill();
  log_in(*second);
  EXPECT_EQ(second->exit_status(), 0) << second->shown();
  EXPECT_EQ(count_of(door.log(), "Connection from"), 1) << door.log();
}

TEST_F(JumpHostQuestions, WhoWaitsForAnUnrelatedHostIsNeverAsked) {
  add("door");
  add("other");
  add_with_key("db", {"ProxyJump door"});
  start();
  auto db = connect("db");
  ASSERT_TRUE(db->shows(kTrust)) << db->shown();
  auto other = connect("other");
  ASSERT_TRUE(other->shows(kTrust)) << other->shown();
  db->kill();
  const auto error = [&] { return agent().host_status("db").at("error").get<std::string>(); };
  EXPECT_TRUE(eventually([&] { return error().find("nobody is there") != std::string::npos; })) << error();
  EXPECT_THAT(other->shown(), Not(HasSubstr("door")));
  EXPECT_EQ(other->count(kTrust), 1) << other->shown();
  log_in(*other);
  EXPECT_EQ(other->exit_status(), 0) << other->shown();
}

// --- clients of the socket itself ---

class QuestionClient : public JumpHostQuestions {
 protected:
  Socket client() {
    auto socket = Socket::connect_unix(agent().socket_path());
    EXPECT_TRUE(socket);
    EXPECT_TRUE(socket->send_all(std::string_view(
        R"({"jsonrpc":"2.0","id":"hello","method":"hello","params":{"capabilities":["interactions"]}})"
        "\n")));
    return *std::move(socket);
  }
  static std::string request(int id, const std::string& method, const nlohmann::json& params) {
    return nlohmann::json{{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", params}}.dump() +
           "\n";
  }
  // The next line for which `wanted` holds.
  template <class Wanted>
  static nlohmann::json next(Socket& socket, Wanted wanted) {
    while (std::optional<std::string> line = socket.receive_line(seconds(30))) {
      auto parsed = nlohmann::json::parse(*line);
      if (wanted(parsed)) return parsed;
    }
    return {};
  }
  static bool is_question(const nlohmann::json& line) { return line.value("method", "") == "interaction"; }
};

TEST_F(QuestionClient, AnAnswerGetsThroughHoweverManyRequestsOfItsClientWait) {
  Server server;
  server.known = true;
  add("vault", server);
  start();
  Socket socket = client();
  constexpr int kRequests = 200;
  for (int i = 0; i < kRequests; ++i) socket.send_all(request(i, "host.connect", {{"host", "vault"}}));
  const auto question = next(socket, is_question);
  ASSERT_EQ(question["params"]["kind"], "password") << question.dump();
  socket.send_all(request(1000, "interaction.claim", {{"id", question["params"]["id"]}}));
  socket.send_all(request(1001, "interaction.respond",
                          {{"id", question["params"]["id"]}, {"answers", {std::string(kPassword)}}}));
  for (int i = 0; i < kRequests; ++i) {
    const auto answer = next(socket, [](const nlohmann::json& line) {
      return line.contains("id") && line["id"].is_number() && line["id"] < kRequests;
    });
    ASSERT_TRUE(answer.contains("result")) << i << answer.dump();
  }
}

TEST_F(QuestionClient, WithNoEndOfRequestsTheLastAreRefusedAndAnAnswerStillGetsThrough) {
  Server server;
  server.known = true;
  add("vault", server);
  start();
  Socket socket = client();
  std::string many;
  for (int i = 0; i < 1200; ++i) many += request(i, "host.connect", {{"host", "vault"}});
  ASSERT_TRUE(socket.send_all(many));
  nlohmann::json refused, question;
  while (refused.is_null() || question.is_null()) {
    const auto line =
        next(socket, [](const nlohmann::json& each) { return each.contains("error") || is_question(each); });
    ASSERT_FALSE(line.is_null());
    nlohmann::json& first = is_question(line) ? question : refused;
    if (first.is_null()) first = line;
  }
  EXPECT_EQ(refused["error"]["data"]["kind"], "limit") << refused.dump();
  EXPECT_EQ(refused["id"], 64 + 1024);
  socket.send_all(request(2000, "interaction.claim", {{"id", question["params"]["id"]}}));
  const auto claimed = next(socket, [](const nlohmann::json& line) { return line.value("id", 0) == 2000; });
  EXPECT_TRUE(claimed.contains("result")) << claimed.dump();
}

TEST_F(QuestionClient, MoreHostsThanQuestionsFitBeforeAPersonAreAskedOneAfterTheOther) {
  constexpr int kHosts = 18;
  Server server;
  Sshd& sshd = add("v0", server);
  for (int i = 1; i < kHosts; ++i) {  // servers of their own, as far as the agent can tell
    SshConfigHost host;
    host.alias = "v" + std::to_string(i);
    host.port = sshd.port();
    host.known_hosts = directory().file("known_" + std::to_string(i));
    host.lines = {"BatchMode no", "StrictHostKeyChecking ask"};
    add_host(host);
  }
  start();
  Socket socket = client();
  for (int i = 0; i < kHosts; ++i)
    socket.send_all(request(i, "host.connect", {{"host", "v" + std::to_string(i)}}));
  ASSERT_TRUE(eventually([&] { return agent().status().at("interactions").size() == kHosts; }))
      << agent().status().at("interactions").dump(2);
  // Nobody has given up, and each comes when there is room.
  for (int asked = 0; asked < kHosts; ++asked) {
    const auto line = next(socket, [](const nlohmann::json& each) {
      return is_question(each) || (each.contains("error") && each["id"] < kHosts && each["id"].is_number());
    });
    if (!is_question(line)) {  // of one that was declined
      --asked;
      continue;
    }
    socket.send_all(request(100 + asked, "interaction.decline", {{"id", line["params"]["id"]}}));
  }
}

TEST_F(QuestionClient, NewHostKeysAreConfirmedByWhoWaitedForTheLogin) {
  SshdOptions options;
  options.host_keys = {KeyKind::kEd25519, KeyKind::kEcdsa256};
  Sshd sshd(options);
  const KeyPair key = generate_key(KeyKind::kEd25519, directory().file("key"));
  sshd.authorize(key);
  const std::string all = sshd.known_hosts();
  const std::string known = directory().write("known_first", all.substr(0, all.find('\n') + 1));
  SshConfigHost host = host_for("vault", sshd, key, known);
  host.lines = {"BatchMode no", "StrictHostKeyChecking ask", "UpdateHostKeys ask"};
  add_host(host);
  start();
  Socket other = client(), asker = client();
  asker.send_all(request(1, "host.connect", {{"host", "vault"}}));
  const auto question = next(asker, is_question);
  ASSERT_EQ(question["params"].value("kind", ""), "confirm") << question.dump();
  asker.send_all(request(2, "interaction.respond", {{"id", question["params"]["id"]}, {"answers", {"yes"}}}));
  EXPECT_TRUE(eventually([&] { return read_file(known).find("ecdsa") != std::string::npos; }))
      << agent().log();
  other.shutdown_write();
  EXPECT_THAT(std::string(other.receive_all().text()), Not(HasSubstr("confirm")));
}

TEST_F(QuestionClient, ManyHostsAtOnceAreResolvedByAFewChildren) {
  constexpr int kHosts = 60;
  add("v0");
  // An ssh that notes how many of it run.
  const std::string bin = directory().make_dir("bin"), notes = directory().make_dir("notes");
  directory().write("bin/ssh",
                    "#!/bin/sh\n: > '" + notes + "'/run.$$\nls '" + notes + "' | grep -c run >> '" +
                        directory().file("counts") +
                        "'\nsleep 0.05\nPATH=${PATH#*:} ssh \"$@\"\nstatus=$?\nrm '" + notes +
                        "'/run.$$\nexit $status\n",
                    0700);
  start({}, {{"PATH", bin + ":" + base_environment().at("PATH")}});
  Socket socket = client();
  for (int i = 0; i < kHosts; ++i)
    socket.send_all(request(i, "host.connect", {{"host", "h" + std::to_string(i) + ".invalid"}}));
  for (int i = 0; i < kHosts; ++i) {
    const auto answer = next(socket, [](const nlohmann::json& line) { return line.contains("error"); });
    ASSERT_EQ(answer["error"]["data"]["kind"], "unreachable") << answer.dump();
  }
  std::istringstream counts(read_file(directory().file("counts")));
  int most = 0;
  for (int count = 0; counts >> count;) most = std::max(most, count);
  EXPECT_GT(most, 1);
  EXPECT_LE(most, 8);
}

}  // namespace
}  // namespace jump::test
