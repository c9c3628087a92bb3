// A login that needs a person, from jumpctl on a terminal to a real sshd: the passphrase of a key file is
// asked where somebody can answer, once, and is nowhere to be found afterwards.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/unique_fd.h"

namespace jump::test {
namespace {

constexpr const char* kPassphrase = "Zq7-pLw9-unheard-of";
constexpr const char* kPrompt = "passphrase";

// A program on a terminal of its own.
class OnTerminal {
 public:
  OnTerminal(std::vector<std::string> argv, const Environment& env) {
    std::vector<std::string> assignments;
    for (const auto& [name, value] : env) assignments.push_back(name + "=" + value);
    std::vector<char*> c_argv, c_env;
    for (std::string& each : argv) c_argv.push_back(each.data());
    for (std::string& each : assignments) c_env.push_back(each.data());
    c_argv.push_back(nullptr);
    c_env.push_back(nullptr);
    int master = -1;
    pid_ = ::forkpty(&master, nullptr, nullptr, nullptr);
    if (pid_ == 0) {
      ::execve(c_argv[0], c_argv.data(), c_env.data());
      ::_exit(127);
    }
    master_ = UniqueFd(master);
  }
  ~OnTerminal() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  void type(const std::string& text) {
    EXPECT_EQ(::write(master_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  // Everything that was shown so far.
  const std::string& shown() {
    pollfd poller{master_.get(), POLLIN, 0};
    char buffer[4096];
    while (::poll(&poller, 1, 0) > 0) {
      const ssize_t count = ::read(master_.get(), buffer, sizeof buffer);
      if (count <= 0) break;
      shown_.append(buffer, static_cast<std::size_t>(count));
    }
    return shown_;
  }
  bool shows(const std::string& text, int times = 1) {
    return eventually([&] { return count(text) >= times; }, seconds(20));
  }
  int count(const std::string& text) {
    int found = 0;
    for (std::size_t at = shown().find(text); at != std::string::npos; at = shown_.find(text, at + 1))
      ++found;
    return found;
  }
  // 128 + N when signal N ended it; -1: it goes on.
  int exit_status() {
    int status = 0;
    const bool ended = eventually(
        [&] {
          (void)shown();  // so that it never waits for its reader
          return ::waitpid(pid_, &status, WNOHANG) == pid_;
        },
        seconds(30));
    if (!ended) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  void kill() { ::kill(pid_, SIGKILL); }
  pid_t pid() const { return pid_; }
  // Of the terminal itself.
  bool echoes() const {
    termios now{};
    return ::tcgetattr(master_.get(), &now) == 0 && (now.c_lflag & ECHO) != 0;
  }

 private:
  pid_t pid_ = -1;
  UniqueFd master_;
  std::string shown_;
};

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
  ASSERT_TRUE(eventually([&] { return agent->status().at("agent").at("clients").get<int>() >= 3; }));
  first->type(std::string(kPassphrase) + "\n");
  EXPECT_EQ(first->exit_status(), 0) << first->shown();
  EXPECT_EQ(second->exit_status(), 0) << second->shown();
  EXPECT_EQ(second->count(kPrompt), 0) << second->shown();
}

TEST_F(InteractionLab, WhenTheFirstGoesTheSecondIsAsked) {
  auto first = connect();
  ASSERT_TRUE(first->shows(kPrompt)) << first->shown();
  auto second = connect();
  ASSERT_TRUE(eventually([&] { return agent->status().at("agent").at("clients").get<int>() >= 3; }));
  EXPECT_EQ(second->count(kPrompt), 0);
  first->kill();
  ASSERT_TRUE(second->shows(kPrompt)) << second->shown();
  second->type(std::string(kPassphrase) + "\n");
  EXPECT_EQ(second->exit_status(), 0) << second->shown();
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

// Larger parts of a process than this hold a sanitizer's own notes, and nothing of the program's.
constexpr unsigned long kShadow = 1UL << 34;

// Every readable and writable part of the process.
bool memory_has(pid_t pid, const std::string& text) {
  const std::string proc = "/proc/" + std::to_string(pid);
  std::ifstream maps(proc + "/maps");
  const UniqueFd memory(::open((proc + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  for (std::string line; std::getline(maps, line);) {
    unsigned long from = 0, to = 0;
    char mode[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &from, &to, mode) != 3 || mode[1] != 'w') continue;
    if (to - from > kShadow) continue;
    std::string bytes(to - from, '\0');
    const ssize_t count = ::pread(memory.get(), bytes.data(), bytes.size(), static_cast<off_t>(from));
    if (count > 0 &&
        std::string_view(bytes.data(), static_cast<std::size_t>(count)).find(text) != std::string::npos)
      return true;
  }
  return false;
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
