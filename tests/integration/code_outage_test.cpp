// A login that takes a one-time code, and an outage of any length: exactly one new prompt, and only when
// somebody asks for it. Connections to forwards, changes of the network and the way that is back ask for
// nothing. Root only, see PamService.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "password_lab.h"
#include "support/env_number.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using ::testing::HasSubstr;

constexpr const char* kHost = "vault";
// More than the first few pauses between the dials of a host that comes back by itself.
constexpr Duration kQuiet = seconds(2);

class CodeOutage : public PasswordLab {
 protected:
  // Logs in on a terminal, as a person does; the prompts that it took.
  int log_in() {
    auto ctl = connect(kHost);
    EXPECT_TRUE(ctl->shows(") Password: ")) << ctl->shown();
    ctl->type(std::string(kPassword) + "\n");
    EXPECT_TRUE(ctl->shows("Code: ")) << ctl->shown();
    ctl->type("123456\n");
    EXPECT_EQ(ctl->exit_status(), 0) << ctl->shown();
    EXPECT_TRUE(ready(kHost));
    return ctl->count("Code: ");
  }
  bool echoes() {
    auto socket = Socket::connect_tcp(port_);
    return socket && socket->send_all(std::string_view("hello")) &&
           socket->receive_exactly(5, seconds(15)).text() == "hello";
  }
  // Each ends, unserved, and in its time.
  void connect_in_vain(int times) {
    for (int i = 0; i < times; ++i) {
      auto socket = Socket::connect_tcp(port_);
      ASSERT_TRUE(socket) << "the forward listens on";
      EXPECT_TRUE(socket->wait_end(seconds(12)));
    }
  }
  std::string forward_state() { return agent().status().at("forwards").at(0).at("state"); }

  TcpService echo_{TcpService::echo()};
  std::uint16_t port_ = 0;
};

TEST_F(CodeOutage, LeadsToOneNewPromptWhenSomebodyAsks) {
  Server server;
  server.module += " notice=A_code_was_sent code=123456";
  server.methods = "keyboard-interactive";
  server.known = true;
  Sshd& sshd = add(kHost, server);
  start();
  EXPECT_EQ(log_in(), 1);
  port_ = agent().forward_port(kHost, echo_.port());
  ASSERT_TRUE(echoes());

  for (const bool asked_meanwhile : {false, true}) {
    sshd.kill_all();
    ASSERT_TRUE(eventually([&] { return forward_state() == "waiting_user"; })) << agent().status().dump(2);
    connect_in_vain(2);
    std::this_thread::sleep_for(
        seconds(env_number("JUMPAGENT_OUTAGE_SECONDS", 0)));  // an outage has a length
    if (asked_meanwhile) {
      // Whoever asks while it is away hears that, and that does not make the agent log in later.
      const ProcessResult result = agent().ctl({"connect", kHost});
      EXPECT_EQ(result.exit_status, 1);
      EXPECT_THAT(result.err, HasSubstr("its login takes a person"));
    }
    sshd.start();
    connect_in_vain(2);
    ::kill(agent().pid(), SIGHUP);
    EXPECT_TRUE(always([&] { return count_of(sshd.log(), "Connection from") == 0; }, kQuiet)) << sshd.log();
    EXPECT_EQ(forward_state(), "waiting_user");

    EXPECT_EQ(log_in(), 1);
    EXPECT_TRUE(echoes());
    EXPECT_EQ(count_of(sshd.log(), "Connection from"), 1) << sshd.log();
    EXPECT_EQ(count_of(sshd.log(), "Accepted keyboard-interactive"), 1) << sshd.log();
  }
}

// The new agent knows no more than that the old one's login took a person.
TEST_F(CodeOutage, AnUpgradeLeadsToNoPromptBeforeSomebodyAsks) {
  Server server;
  server.module += " notice=A_code_was_sent code=123456";
  server.methods = "keyboard-interactive";
  server.known = true;
  Sshd& sshd = add(kHost, server);
  start();
  EXPECT_EQ(log_in(), 1);
  port_ = agent().forward_port(kHost, echo_.port());
  ASSERT_TRUE(echoes());

  const ProcessResult up = agent().jumpagent({"up", "--replace"});
  ASSERT_TRUE(up.ok()) << up.describe();
  EXPECT_EQ(forward_state(), "waiting_user") << agent().status().dump(2);
  connect_in_vain(2);
  EXPECT_TRUE(always([&] { return count_of(sshd.log(), "Connection from") == 1; }, kQuiet)) << sshd.log();
  EXPECT_EQ(log_in(), 1);
  EXPECT_TRUE(echoes());
  EXPECT_EQ(count_of(sshd.log(), "Accepted keyboard-interactive"), 2) << sshd.log();
}

}  // namespace
}  // namespace jump::test
