// What ssh_config says about sessions on a host (SessionType, RemoteCommand, RequestTTY, StdinNull,
// ForkAfterAuthentication): done as stock ssh does it, or refused by name.
#include <gtest/gtest.h>

#include "support/shell_lab.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using Client = ShellLab::Client;

struct Row {
  const char* name;
  std::vector<std::string> lines;
  const char* script;
  const char* must_say;         // on stdout
  const char* ours_names = "";  // on jumpctl's stderr
  bool like_ssh = true;         // false: ssh would stay without a session, or in the background
};

class SessionConfig : public testing::TestWithParam<Row> {};

TEST_P(SessionConfig, IsDoneAsSshDoesItOrRefusedByName) {
  const Row& row = GetParam();
  LabOptions options;
  options.sshd.config = {"Subsystem words /bin/echo some words"};
  options.config_lines = row.lines;
  ShellLab lab(std::move(options));
  const ProcessResult ours = lab.run(Client::kJumpctl, row.script);
  EXPECT_FALSE(ours.timed_out);
  EXPECT_NE(ours.out.find(row.must_say), std::string::npos) << ours.describe();
  EXPECT_NE(ours.err.find(row.ours_names), std::string::npos) << ours.describe();
  if (!row.like_ssh) return;
  const ProcessResult ssh = lab.run(Client::kSsh, row.script);
  EXPECT_EQ(ours.out, ssh.out) << ours.describe() << ssh.describe();
}

INSTANTIATE_TEST_SUITE_P(Rows, SessionConfig,
                         testing::Values(Row{"RemoteCommand",
                                             {"RemoteCommand echo from there"},
                                             "shell bastion < /dev/null; echo status $?",
                                             "from there\nstatus 0"},
                                         Row{"RemoteCommandAndACommand",
                                             {"RemoteCommand echo no"},
                                             "run bastion echo neither; echo status $?",
                                             "status 255",
                                             "RemoteCommand"},
                                         Row{"RemoteCommandNone",
                                             {"RemoteCommand none"},
                                             "run bastion echo here; echo status $?",
                                             "here\nstatus 0"},
                                         Row{"Subsystem",
                                             {"SessionType subsystem"},
                                             "run bastion words; echo status $?",
                                             "some words\nstatus 0"},
                                         Row{"SubsystemOfTheConfig",
                                             {"SessionType subsystem", "RemoteCommand words"},
                                             "shell bastion < /dev/null; echo status $?",
                                             "some words\nstatus 0"},
                                         Row{"SubsystemWithoutName",
                                             {"SessionType subsystem"},
                                             "shell bastion < /dev/null; echo status $?",
                                             "status 0"},
                                         Row{"StdinNull",
                                             {"StdinNull yes"},
                                             "echo lost | run bastion 'cat; echo end'; echo status $?",
                                             "end\nstatus 0"},
                                         Row{"RequestTtyForce",
                                             {"RequestTTY force"},
                                             "run bastion 'test -t 1 && echo tty'; echo status $?",
                                             "tty"},
                                         Row{"RequestTtyNo",
                                             {"RequestTTY no"},
                                             "run bastion 'test -t 1 || echo none'; echo status $?",
                                             "none"},
                                         Row{"None",
                                             {"SessionType none"},
                                             "run bastion echo no; echo status $?",
                                             "status 255",
                                             "SessionType none",
                                             false},
                                         Row{"Fork",
                                             {"ForkAfterAuthentication yes"},
                                             "run bastion echo no; echo status $?",
                                             "status 255",
                                             "ForkAfterAuthentication",
                                             false}),
                         [](const auto& each) { return std::string(each.param.name); });

// `ssh -G` refuses such a host, and what needs no session works all the same.
TEST(SessionConfigFork, IsNothingToForwards) {
  LabOptions options;
  options.config_lines = {"ForkAfterAuthentication yes"};
  Lab lab(std::move(options));
  TcpService echo(TcpService::echo());
  const ProcessResult connected = lab.agent().ctl({"connect", Lab::kBastion});
  EXPECT_TRUE(connected.ok()) << connected.describe();
  std::optional<Socket> socket = Socket::connect_tcp(lab.agent().forward_port(Lab::kBastion, echo.port()));
  ASSERT_TRUE(socket && socket->send_all(std::string_view("hello")));
  EXPECT_EQ(socket->receive_exactly(5).text(), "hello");
}

}  // namespace
}  // namespace jump::test
