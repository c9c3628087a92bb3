// A login that needs a person, from jumpctl on a terminal to a real sshd: the passphrase of a key file is
// asked where somebody can answer, once, and is nowhere to be found afterwards.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/on_terminal.h"
#include "support/proc_info.h"
#include "support/process_memory.h"

namespace jump::test {
namespace {

constexpr const char* kPassphrase = "Zq7-pLw9-unheard-of";
constexpr const char* kPrompt = "passphrase";

class InteractionLab : public ::testing::Test {
 protected:
  InteractionLab() {
    const KeyPair key = generate_key(KeyKind::kEd25519, lab.directory().file("locked"));
    const ProcessResult locked = run_process(
        {"ssh-keygen", "-q", "-p", "-P", "", "-N", kPassphrase, "-f", key.private_path}, seconds(20));
    EXPECT_TRUE(locked.ok()) << locked.describe();
    lab.sshd().authorize(key);
    SshConfigHost host = host_for(Lab::kBastion, lab.sshd(), key, lab.known_hosts());
    host.lines.insert(host.lines.begin(), "BatchMode no");
    agent = std::make_unique<AgentProcess>(lab.directory().write("locked_config", ssh_config_text({host})));
    agent->run({"--log-level", "trace"});
  }

  std::unique_ptr<OnTerminal> connect(std::vector<std::string> more = {}, Environment extra = {}) {
    std::vector<std::string> argv = {ctl_program(), "connect", Lab::kBastion};
    argv.insert(argv.begin() + 1, more.begin(), more.end());
    Environment env = agent->environment();
    for (const auto& [name, value] : extra) env[name] = value;
    return std::make_unique<OnTerminal>(argv, env);
  }
  // A program that prints `answer`, and leaves the text that it was asked, and how, in `askpass.asked`.
  std::string askpass(const std::string& answer) {
    const std::string path = lab.directory().write(
        "askpass.sh", "#!/bin/sh\nprintf '%s|%s\\n' \"$1\" \"$SSH_ASKPASS_PROMPT\" >> '" + asked_path() +
                          "'\necho '" + answer + "'\n");
    EXPECT_EQ(::chmod(path.c_str(), 0700), 0);
    return path;
  }
  std::string asked_path() const { return lab.directory().file("askpass.asked"); }
  std::string asked() const {
    std::ostringstream text;
    text << std::ifstream(asked_path()).rdbuf();
    return text.str();
  }
  bool ready() { return agent->host_status(Lab::kBastion).value("state", "") == "ready"; }

  Lab lab;
  std::unique_ptr<AgentProcess> agent;
};

TEST_F(InteractionLab, APassphraseIsAskedOnTheTerminalWithoutEcho) {
  auto ctl = connect();
  ASSERT_TRUE(ctl->shows(kPrompt)) << ctl->shown() << agent->log();
  EXPECT_FALSE(ctl->echoes());
  const auto status = agent->status();
  EXPECT_EQ(status.at("hosts").at(0).at("state"), "waiting_user");
  ASSERT_EQ(status.at("interactions").size(), 1U);
  EXPECT_EQ(status["interactions"][0].at("kind"), "passphrase");
  EXPECT_EQ(status["interactions"][0].at("host"), Lab::kBastion);
  EXPECT_EQ(status["interactions"][0].at("claimed"), true);
  ctl->type(std::string(kPassphrase) + "\n");
  EXPECT_EQ(ctl->exit_status(), 0) << ctl->shown();
  EXPECT_EQ(ctl->count(kPassphrase), 0);
  EXPECT_TRUE(ctl->echoes()) << "the terminal is not as it was";
  EXPECT_TRUE(ready());
  EXPECT_TRUE(agent->status().at("interactions").empty());
}

TEST_F(InteractionLab, AWrongPassphraseIsAskedForAgain) {
  auto ctl = connect();
  ASSERT_TRUE(ctl->shows(kPrompt)) << ctl->shown();
  ctl->type("wrong\n");
  ASSERT_TRUE(ctl->shows(kPrompt, 2)) << ctl->shown();
  ctl->type(std::string(kPassphrase) + "\n");
  EXPECT_EQ(ctl->exit_status(), 0) << ctl->shown();
}

TEST_F(InteractionLab, ControlCDeclines) {
  auto ctl = connect();
  ASSERT_TRUE(ctl->shows(kPrompt)) << ctl->shown();
  ctl->type("\x03");
  EXPECT_EQ(ctl->exit_status(), 1) << ctl->shown();
  EXPECT_TRUE(ctl->echoes());
  EXPECT_EQ(agent->host_status(Lab::kBastion).at("logins"), 0);
  EXPECT_TRUE(agent->status().at("interactions").empty());
}

TEST_F(InteractionLab, ASignalLeavesTheTerminalAsItWas) {
  auto ctl = connect();
  ASSERT_TRUE(ctl->shows(kPrompt)) << ctl->shown();
  ASSERT_FALSE(ctl->echoes());
  ::kill(ctl->pid(), SIGTERM);
  EXPECT_EQ(ctl->exit_status(), 128 + SIGTERM);
  EXPECT_TRUE(ctl->echoes());
}

TEST_F(InteractionLab, TwoAtOnceGiveOnePrompt) {
  auto first = connect();
  ASSERT_TRUE(first->shows(kPrompt)) << first->shown();
  auto second = connect();
  ASSERT_TRUE(eventually([&] { return agent->host_status("bastion").at("waiting") == 2; })) << "both wait for the login";
  first->type(std::string(kPassphrase) + "\n");
  EXPECT_EQ(first->exit_status(), 0) << first->shown();
  EXPECT_EQ(second->exit_status(), 0) << second->shown();
  EXPECT_EQ(second->count(kPrompt), 0) << second->shown();
}

TEST_F(InteractionLab, WhenTheFirstGoesTheSecondIsAsked) {
  auto first = connect();
  ASSERT_TRUE(first->shows(kPrompt)) << first->shown();
  auto second = connect();
  ASSERT_TRUE(eventually([&] { return agent->host_status("bastion").at("waiting") == 2; })) << "both wait for the login";
  EXPECT_EQ(second->count(kPrompt), 0);
  first->kill();
  ASSERT_TRUE(second->shows(kPrompt)) << second->shown();
  second->type(std::string(kPassphrase) + "\n");
  EXPECT_EQ(second->exit_status(), 0) << second->shown();
}

TEST_F(InteractionLab, WhatTheFirstDeclinesTheSecondIsAsked) {
  auto first = connect();
  ASSERT_TRUE(first->shows(kPrompt)) << first->shown();
  auto second = connect();
  ASSERT_TRUE(eventually([&] { return agent->host_status("bastion").at("waiting") == 2; })) << "both wait for the login";
  first->type("\x03");
  EXPECT_EQ(first->exit_status(), 1) << first->shown();
  EXPECT_NE(first->shown().find("declined"), std::string::npos) << first->shown();
  ASSERT_TRUE(second->shows(kPrompt)) << second->shown();
  second->type(std::string(kPassphrase) + "\n");
  EXPECT_EQ(second->exit_status(), 0) << second->shown();
}

TEST_F(InteractionLab, AnErrorBeginsALineOfItsOwn) {
  auto ctl = connect({"--timeout", "8"});
  EXPECT_EQ(ctl->exit_status(), 1) << ctl->shown();
  EXPECT_GE(ctl->count(kPrompt), 1) << ctl->shown();
  EXPECT_NE(ctl->shown().find("\njumpctl: "), std::string::npos) << ctl->shown();
  EXPECT_EQ(ctl->shown().find("\n\r\n"), std::string::npos) << ctl->shown();
}

TEST_F(InteractionLab, AnAskpassProgramGoesWithWhoStartedIt) {
  const std::string here = lab.directory().file("askpass.pids");
  const std::string program = lab.directory().write(
      "slow-askpass.sh", "#!/bin/sh\nsleep 1000 &\necho $$ $! > '" + here + "'\nwait\n", 0700);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGKILL}) {
    ::unlink(here.c_str());
    Environment env = agent->environment();
    env["SSH_ASKPASS"] = program;
    env["SSH_ASKPASS_REQUIRE"] = "force";
    // Not on a terminal, whose end would end all that are on it.
    Process ctl({ctl_program(), "connect", Lab::kBastion}, env);
    const auto pids = [&] {
      std::istringstream in(read_file(here));
      std::vector<pid_t> out;
      for (pid_t pid = 0; in >> pid;) out.push_back(pid);
      return out;
    };
    ASSERT_TRUE(eventually([&] { return ::access(here.c_str(), R_OK) == 0 && pids().size() == 2; }));
    const std::vector<pid_t> family = pids();
    ::kill(ctl.pid(), number);
    ctl.wait(seconds(20));
    EXPECT_TRUE(eventually([&] { return !process_alive(family[0]); })) << number;
    if (number != SIGKILL) {
      EXPECT_TRUE(eventually([&] { return !process_alive(family[1]); })) << number;
    } else if (process_alive(family[1])) {
      ::kill(family[1], SIGKILL);  // nobody is left who could
    }
  }
}

TEST_F(InteractionLab, AskpassAnswersWhereItIsForced) {
  auto ctl = connect({}, {{"SSH_ASKPASS", askpass(kPassphrase)}, {"SSH_ASKPASS_REQUIRE", "force"}});
  EXPECT_EQ(ctl->exit_status(), 0) << ctl->shown();
  EXPECT_NE(asked().find(kPrompt), std::string::npos) << asked();
  EXPECT_TRUE(asked().ends_with("|\n")) << asked();
  EXPECT_EQ(ctl->count(kPrompt), 0) << ctl->shown();
}

TEST_F(InteractionLab, JsonStaysOneDocument) {
  Environment env = agent->environment();
  env["SSH_ASKPASS"] = askpass(kPassphrase);
  env["SSH_ASKPASS_REQUIRE"] = "force";
  const ProcessResult result =
      run_process({ctl_program(), "--json", "connect", Lab::kBastion}, seconds(30), env);
  ASSERT_TRUE(result.ok()) << result.describe();
  EXPECT_EQ(nlohmann::json::parse(result.out).at("host").at("state"), "ready");
}

TEST_F(InteractionLab, WithNobodyToAskItFailsAtOnceAndSaysSo) {
  auto ctl = connect({"--no-input"});
  EXPECT_EQ(ctl->exit_status(), 1);
  EXPECT_EQ(ctl->count("Enter"), 0) << ctl->shown();
  EXPECT_NE(ctl->shown().find("nobody is there"), std::string::npos) << ctl->shown();
}

TEST_F(InteractionLab, ThePassphraseIsNeitherInTheLogNorInTheAgentsMemory) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to look into another process";
  auto ctl = connect();
  ASSERT_TRUE(ctl->shows(kPrompt)) << ctl->shown();
  ctl->type("wrong-but-typed\n");
  ASSERT_TRUE(ctl->shows(kPrompt, 2)) << ctl->shown();
  ctl->type(std::string(kPassphrase) + "\n");
  ASSERT_EQ(ctl->exit_status(), 0) << ctl->shown();
  ASSERT_TRUE(ready());
  const pid_t pid = agent->pid();
  ASSERT_TRUE(memory_has(pid, Lab::kBastion)) << "cannot look";
  EXPECT_FALSE(memory_has(pid, kPassphrase));
  EXPECT_FALSE(memory_has(pid, "wrong-but-typed"));
  const std::string log = agent->log();
  EXPECT_NE(log.find("asks client"), std::string::npos) << "the log says who was asked";
  EXPECT_EQ(log.find(kPassphrase), std::string::npos);
  EXPECT_EQ(log.find("wrong-but-typed"), std::string::npos);
}

}  // namespace
}  // namespace jump::test
