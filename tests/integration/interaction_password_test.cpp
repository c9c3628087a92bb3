// Logins by password and by codes, typed by a person on jumpctl's terminal or told by SSH_ASKPASS, against a
// real sshd with PAM: what is asked, of whom, how it ends, and that a password is nowhere to be found
// afterwards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "integration/password_lab.h"
#include "support/eventually.h"
#include "support/process_memory.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class PasswordLogin : public PasswordLab {
 protected:
  static constexpr const char* kHost = "vault";

  // Says yes to the host key and types the password.
  void log_in(OnTerminal& ctl, const std::string& password = kPassword) {
    ASSERT_TRUE(ctl.shows(kTrust)) << ctl.shown();
    EXPECT_TRUE(ctl.echoes());
    ctl.type("yes\n");
    ASSERT_TRUE(ctl.shows(kPasswordPrompt)) << ctl.shown();
    EXPECT_TRUE(eventually([&] { return !ctl.echoes(); }));
    ctl.type(password + "\n");
  }
  bool carries_bytes(const std::string& host) {
    TcpService echo{TcpService::echo()};
    auto socket = Socket::connect_tcp(agent().forward_port(host, echo.port()));
    return socket && socket->send_all(std::string_view("hello")) &&
           socket->receive_exactly(5).text() == "hello";
  }
  // A program for SSH_ASKPASS: "yes" to the host key, the password to all else.
  std::string askpass() {
    return directory().write(
        "askpass",
        "#!/bin/sh\ncase $1 in *continue*) echo yes;; *) echo '" + std::string(kPassword) + "';; esac\n",
        0700);
  }
  Environment with_askpass(const std::string& program) {
    return {{"SSH_ASKPASS", program}, {"SSH_ASKPASS_REQUIRE", "force"}};
  }
};

TEST_F(PasswordLogin, APasswordTypedOnTheTerminalLetsInAndForwardsWork) {
  Sshd& sshd = add(kHost);
  start();
  auto ctl = connect(kHost);
  log_in(*ctl);
  EXPECT_EQ(ctl->exit_status(), 0) << ctl->shown();
  EXPECT_EQ(ctl->count(kPassword), 0);
  EXPECT_TRUE(ready(kHost));
  EXPECT_TRUE(carries_bytes(kHost));
  EXPECT_EQ(count_of(sshd.log(), "Accepted password"), 1);
  EXPECT_THAT(read_file(known_hosts()), HasSubstr("ssh-ed25519"));
}

TEST_F(PasswordLogin, TwoPromptsOfKeyboardInteractiveAreAskedWithTheirEchoes) {
  Server server;
  server.module += " notice=A_code_was_sent code=123456";
  server.methods = "keyboard-interactive";
  server.known = true;
  add(kHost, server);
  start();
  auto ctl = connect(kHost);
  ASSERT_TRUE(ctl->shows(") Password: ")) << ctl->shown();
  EXPECT_TRUE(eventually([&] { return !ctl->echoes(); }));
  ctl->type(std::string(kPassword) + "\n");
  ASSERT_TRUE(ctl->shows("Code: ")) << ctl->shown();
  EXPECT_EQ(ctl->count("A code was sent"), 1) << ctl->shown();
  EXPECT_TRUE(eventually([&] { return ctl->echoes(); }));
  ctl->type("123456\n");
  EXPECT_EQ(ctl->exit_status(), 0) << ctl->shown();
  EXPECT_EQ(ctl->count("123456"), 1) << ctl->shown();
  EXPECT_TRUE(carries_bytes(kHost));
}

TEST_F(PasswordLogin, TwoAtOnceGiveOneSetOfPrompts) {
  Sshd& sshd = add(kHost);
  start();
  auto one = connect(kHost), other = connect(kHost);
  ASSERT_TRUE(eventually([&] { return one->count(kTrust) + other->count(kTrust) == 1; }));
  if (one->count(kTrust) == 0) std::swap(one, other);
  ASSERT_TRUE(has_clients(2));
  log_in(*one);
  EXPECT_EQ(one->exit_status(), 0) << one->shown();
  EXPECT_EQ(other->exit_status(), 0) << other->shown();
  EXPECT_EQ(other->count(kTrust), 0) << other->shown();
  EXPECT_EQ(other->count("password"), 0) << other->shown();
  EXPECT_EQ(count_of(sshd.log(), "Accepted password"), 1);
}

TEST_F(PasswordLogin, ThreeWrongPasswordsAreTheEndInOneLine) {
  Server server;
  server.known = true;
  Sshd& sshd = add(kHost, server);
  start();
  auto ctl = connect(kHost);
  for (int time = 1; time <= 3; ++time) {
    ASSERT_TRUE(ctl->shows(kPasswordPrompt, time)) << ctl->shown();
    ctl->type("wrong" + std::to_string(time) + "\n");
  }
  EXPECT_EQ(ctl->exit_status(), 1) << ctl->shown();
  EXPECT_EQ(ctl->count("jumpctl: "), 1) << ctl->shown();
  EXPECT_THAT(ctl->shown(), HasSubstr("vault"));
  EXPECT_THAT(ctl->shown(), HasSubstr("tried password (3 times)"));
  EXPECT_TRUE(eventually([&] { return sshd.session_processes() == 0; })) << "half open";
  EXPECT_EQ(count_of(sshd.log(), "Failed password"), 3) << sshd.log();
  EXPECT_EQ(count_of(sshd.log(), "Connection from"), 1) << sshd.log();
}

TEST_F(PasswordLogin, ATypedPasswordIsNowhereToBeFound) {
  add(kHost);
  start({"--log-level", "trace"});
  auto watcher = Socket::connect_unix(agent().socket_path());
  ASSERT_TRUE(watcher);
  ASSERT_TRUE(watcher->send_all(std::string_view(
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"interaction.subscribe\",\"params\":{}}\n")));
  ASSERT_TRUE(watcher->receive_line());
  auto ctl = connect(kHost);
  ASSERT_TRUE(ctl->shows(kTrust)) << ctl->shown();
  ctl->type("yes\n");
  ASSERT_TRUE(ctl->shows(kPasswordPrompt)) << ctl->shown();
  ctl->type("wrong-but-typed\n");
  ASSERT_TRUE(ctl->shows(kPasswordPrompt, 2)) << ctl->shown();
  EXPECT_THAT(agent().status().dump(), Not(HasSubstr("wrong-but-typed")));
  ctl->type(std::string(kPassword) + "\n");
  ASSERT_EQ(ctl->exit_status(), 0) << ctl->shown();
  const pid_t pid = agent().pid();
  ASSERT_TRUE(memory_has(pid, kHost)) << "cannot look";
  EXPECT_TRUE(eventually([this] { return agent().log().find("asks client") != std::string::npos; }))
      << "the log says who was asked";
  for (const char* secret : {kPassword, "wrong-but-typed"}) {
    EXPECT_FALSE(memory_has(pid, secret)) << secret;
    EXPECT_THAT(agent().log(), Not(HasSubstr(secret)));
    EXPECT_THAT(agent().status().dump(), Not(HasSubstr(secret)));
  }
  watcher->shutdown_write();
  EXPECT_THAT(std::string(watcher->receive_all().text()), Not(HasSubstr(kPassword)));
}

TEST_F(PasswordLogin, APasswordFromAskpassIsNowhereToBeFound) {
  add(kHost);
  start({"--log-level", "trace"});
  auto ctl = on_terminal({"connect", kHost}, with_askpass(askpass()));
  ASSERT_EQ(ctl->exit_status(), 0) << ctl->shown();
  EXPECT_EQ(ctl->count("password"), 0) << ctl->shown();
  EXPECT_FALSE(memory_has(agent().pid(), kPassword));
  EXPECT_THAT(agent().log(), Not(HasSubstr(kPassword)));
  EXPECT_THAT(agent().status().dump(), Not(HasSubstr(kPassword)));
}

TEST_F(PasswordLogin, AnAskpassProgramThatIsMissingIsNamed) {
  add(kHost);
  start();
  auto ctl = on_terminal({"connect", kHost}, with_askpass("/nowhere/askpass"));
  EXPECT_EQ(ctl->exit_status(), 1) << ctl->shown();
  EXPECT_THAT(ctl->shown(),
              HasSubstr("the SSH_ASKPASS program '/nowhere/askpass' cannot be run: No such file"));
  EXPECT_THAT(ctl->shown(), Not(HasSubstr("cancel")));
}

TEST_F(PasswordLogin, AnAskpassProgramThatDoesNotEndHoldsNobodyUp) {
  add(kHost);
  start();
  const std::string stubborn =
      directory().write("stubborn", "#!/bin/sh\ntrap '' TERM\nexec sleep 1000\n", 0700);
  auto ctl = on_terminal({"--timeout", "1", "connect", kHost}, with_askpass(stubborn));
  EXPECT_EQ(ctl->exit_status(), 1) << ctl->shown();
}

TEST_F(PasswordLogin, WhenTheOnlyAskerIsKilledNothingStaysHalfOpen) {
  Server server;
  server.known = true;
  Sshd& sshd = add(kHost, server);
  start();
  auto ctl = connect(kHost);
  ASSERT_TRUE(ctl->shows(kPasswordPrompt)) << ctl->shown();
  EXPECT_GT(sshd.session_processes(), 0U);
  ctl->kill();
  EXPECT_TRUE(eventually([&] { return sshd.session_processes() == 0; })) << sshd.log();
  EXPECT_TRUE(agent().status().at("interactions").empty());
  const auto host = agent().host_status(kHost);
  EXPECT_EQ(host.at("state"), "waiting_user");
  EXPECT_THAT(host.at("error").get<std::string>(), HasSubstr("nobody was there to give the password"));
}

TEST_F(PasswordLogin, WhenTheAskerIsKilledTheNextThatWaitsIsAsked) {
  Server server;
  server.known = true;
  Sshd& sshd = add(kHost, server);
  start();
  auto first = connect(kHost);
  ASSERT_TRUE(first->shows(kPasswordPrompt)) << first->shown();
  auto second = connect(kHost);
  ASSERT_TRUE(has_clients(2));
  first->kill();
  ASSERT_TRUE(second->shows(kPasswordPrompt)) << second->shown();
  second->type(std::string(kPassword) + "\n");
  EXPECT_EQ(second->exit_status(), 0) << second->shown();
  EXPECT_EQ(count_of(sshd.log(), "Connection from"), 1) << sshd.log();
}

TEST_F(PasswordLogin, WhoRunsOutOfTimeAtAQuestionHearsWhatItWaitedFor) {
  Server server;
  server.known = true;
  Sshd& sshd = add(kHost, server);
  start();
  auto ctl = on_terminal({"--timeout", "8", "connect", kHost});
  ASSERT_TRUE(ctl->shows(kPasswordPrompt)) << ctl->shown();
  EXPECT_EQ(ctl->exit_status(), 1);
  EXPECT_THAT(ctl->shown(),
              HasSubstr("vault was not connected in time: its login waits for a person's answer"));
  EXPECT_THAT(ctl->shown(), HasSubstr("jumpctl --timeout 300 connect vault"));
  EXPECT_TRUE(eventually([&] { return sshd.session_processes() == 0; })) << "half open";
}

TEST_F(PasswordLogin, AServerThatLosesPatienceAtAQuestionIsNamedAndNotTriedAgain) {
  Server server;
  server.sshd_config = {"LoginGraceTime 8"};
  Sshd& sshd = add(kHost, server);
  const std::string file = directory().write(
      "agent.toml", "[[forward]]\nname = \"f\"\nspec = \"0:127.0.0.1:9\"\nvia = \"vault\"\n", 0600);
  start({"-c", file});
  auto ctl = connect(kHost);
  ASSERT_TRUE(ctl->shows(kTrust)) << ctl->shown();
  EXPECT_EQ(ctl->exit_status(), 1);
  EXPECT_THAT(ctl->shown(), HasSubstr("vault"));
  EXPECT_THAT(ctl->shown(), HasSubstr("while it waited for an answer about its host key"));
  const auto port = port_of(agent().status().at("forwards").at(0).at("listen").get<std::string>());
  auto socket = Socket::connect_tcp(port);
  ASSERT_TRUE(socket);
  EXPECT_TRUE(socket->wait_end(seconds(9))) << "sooner than a connection's patience";
  EXPECT_EQ(count_of(sshd.log(), "Connection from"), 1) << sshd.log();
}

TEST_F(PasswordLogin, AMereConnectionNeverAsksAgainUntilAPersonDoes) {
  Server server;
  server.known = true;
  Sshd& sshd = add(kHost, server);
  TcpService echo{TcpService::echo()};
  const std::string file = directory().write(
      "agent.toml",
      "[[forward]]\nspec = \"0:127.0.0.1:" + std::to_string(echo.port()) + "\"\nvia = \"vault\"\n", 0600);
  start({"-c", file});
  const auto port = port_of(agent().status().at("forwards").at(0).at("listen").get<std::string>());
  const auto refused = [port] {
    auto socket = Socket::connect_tcp(port);
    return socket && socket->wait_end(seconds(9));
  };
  EXPECT_TRUE(refused());
  EXPECT_EQ(count_of(sshd.log(), "Connection from"), 1) << "the first one may log in, and nobody was there";
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(refused());
  EXPECT_EQ(count_of(sshd.log(), "Connection from"), 1);

  auto declined = connect(kHost);
  ASSERT_TRUE(declined->shows(kPasswordPrompt)) << declined->shown();
  declined->type("\x03");
  EXPECT_EQ(declined->exit_status(), 1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(refused());
  EXPECT_EQ(count_of(sshd.log(), "Connection from"), 2);

  auto person = connect(kHost);
  ASSERT_TRUE(person->shows(kPasswordPrompt)) << person->shown();
  person->type(std::string(kPassword) + "\n");
  EXPECT_EQ(person->exit_status(), 0);
  auto socket = Socket::connect_tcp(port);
  ASSERT_TRUE(socket && socket->send_all(std::string_view("hello")));
  EXPECT_EQ(socket->receive_exactly(5).text(), "hello");
}

// --- the config file's `connect` ---

TEST_F(PasswordLogin, WhatTheConfigConnectsAsksNobodyAndIsNotRepeated) {
  Server server;
  server.known = true;
  Sshd& sshd = add(kHost, server);
  start({"-c", directory().write("agent.toml", "connect = [\"vault\"]\n", 0600)});
  ASSERT_TRUE(eventually([&] {
    const auto host = agent().host_status(kHost);
    return !host.is_null() && host.at("state") == "waiting_user";
  }));
  // Longer than the first pause after a failure that passes.
  EXPECT_FALSE(eventually([&] { return count_of(sshd.log(), "Connection from") > 1; }, milliseconds(2500)));
  auto ctl = connect(kHost);
  ASSERT_TRUE(ctl->shows(kPasswordPrompt)) << ctl->shown();
  ctl->type(std::string(kPassword) + "\n");
  EXPECT_EQ(ctl->exit_status(), 0) << ctl->shown();
}

TEST_F(PasswordLogin, ARefusalThatTheConfigsLoginDidNotWaitForIsNotRepeated) {
  Server server;
  server.known = true;
  Sshd& sshd = add(kHost, server);
  const std::string file = directory().write("agent.toml", "", 0600);
  start({"-c", file});
  auto ide = Socket::connect_unix(agent().socket_path());
  ASSERT_TRUE(ide &&
              ide->send_all(std::string_view(
                  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"interaction.subscribe\",\"params\":{}}\n")));
  ASSERT_TRUE(ide->receive_line());
  directory().write("agent.toml", "connect = [\"vault\"]\n[timeouts]\nlogin = \"8s\"\n", 0600);
  ASSERT_TRUE(agent().jumpagent({"reload"}).ok());
  ASSERT_THAT(ide->receive_line().value_or(""), HasSubstr("\"i1\""));
  EXPECT_FALSE(ide->receive_line(milliseconds(8400))) << "the config's login has waited its time by then";
  ASSERT_TRUE(
      ide->send_all(std::string_view("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"interaction.decline\","
                                     "\"params\":{\"id\":\"i1\"}}\n")));
  ASSERT_TRUE(ide->receive_line());
  EXPECT_FALSE(ide->receive_line(milliseconds(2500))) << "asked again";
  EXPECT_EQ(count_of(sshd.log(), "Connection from"), 1) << sshd.log();
}

TEST_F(PasswordLogin, AUserWhoJoinsALoginOfTheConfigIsAsked) {
  Server server;
  server.known = true;
  Sshd& sshd = add(kHost, server);
  const std::string file = directory().write("agent.toml", "", 0600);
  start({"-c", file});
  auto ide = Socket::connect_unix(agent().socket_path());
  ASSERT_TRUE(ide &&
              ide->send_all(std::string_view(
                  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"interaction.subscribe\",\"params\":{}}\n")));
  ASSERT_TRUE(ide->receive_line());
  directory().write("agent.toml", "connect = [\"vault\"]\n", 0600);
  ASSERT_TRUE(agent().jumpagent({"reload"}).ok());
  EXPECT_THAT(ide->receive_line().value_or(""), HasSubstr("\"password\""));
  auto ctl = connect(kHost);
  ASSERT_TRUE(ctl->shows(kPasswordPrompt)) << ctl->shown();
  ctl->type(std::string(kPassword) + "\n");
  EXPECT_EQ(ctl->exit_status(), 0) << ctl->shown();
  EXPECT_EQ(count_of(sshd.log(), "Connection from"), 1) << sshd.log();
}

}  // namespace
}  // namespace jump::test
