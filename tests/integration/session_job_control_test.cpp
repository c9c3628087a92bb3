// A session with a terminal as a job of a shell: stopped, in the background, and in the foreground again.
// What is typed is whose the terminal is.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "support/eventually.h"
#include "support/on_terminal.h"
#include "support/proc_info.h"
#include "support/shell_lab.h"

namespace jump::test {
namespace {

// What is waited for is never what was typed: a terminal echoes that.
constexpr const char* kRemote =
    "stty -echo; printf 'be%s\\n' gun; while read -r line; do case $line in size) stty size;; "
    "later) printf 'wai%s\\n' ting; until [ -e \"$go\" ]; do sleep 0.1; done; printf 'went%s\\n' on;; "
    "end) exit 4;; *) echo \"remote<$line>\";; esac; done";

bool is_stopped(pid_t process) {
  return read_file("/proc/" + std::to_string(process) + "/stat").find(") T ") != std::string::npos;
}

class SessionJob : public testing::Test {
 protected:
  SessionJob() : shell_({"/bin/bash", "--norc", "--noprofile", "-i"}, environment()) {
    shell_.type("PS1='lo''cal> '; stty -g > $dir/before\n");
    EXPECT_TRUE(shell_.shows("local> ")) << shell_.shown();
  }
  Environment environment() {
    Environment env = scene_.environment();
    go_ = env.at("dir") + "/go";
    env["remote"] = "go='" + go_ + "'; " + kRemote;
    env["HISTFILE"] = "/dev/null";
    env["INPUTRC"] = "/dev/null";
    return env;
  }
  void begin() {
    shell_.type("\"$jumpctl\" exec -t bastion \"$remote\"\n");
    ASSERT_TRUE(shell_.shows("begun")) << shell_.shown();
    ASSERT_TRUE(eventually([this] { return shell_.is_raw(); }));
    const std::vector<pid_t> all = process_descendants(shell_.pid());
    ASSERT_EQ(all.size(), 1U);
    jumpctl_ = all.front();
  }
  // Stopped, and the shell has its prompt again.
  void stop_by(int number) {
    const int prompts = shell_.count("local> "), before = shell_.count("Stopped");
    ASSERT_EQ(::kill(jumpctl_, number), 0);
    ASSERT_TRUE(shell_.shows("Stopped", before + 1)) << shell_.shown();
    ASSERT_TRUE(shell_.shows("local> ", prompts + 1)) << shell_.shown();
  }
  void expect_the_shell_gets_what_is_typed() {
    for (int i = 0; i < 20; ++i) {
      const std::string word = std::to_string(++typed_) + "th";
      shell_.type("echo \"lo\"'cal<" + word + ">'\n");
      ASSERT_TRUE(shell_.shows("local<" + word + ">")) << shell_.shown();
    }
    EXPECT_EQ(shell_.count("remote<echo"), 0) << shell_.shown();
  }
  void expect_the_session_gets_what_is_typed() {
    ASSERT_TRUE(eventually([this] { return shell_.is_raw(); })) << shell_.shown();
    const std::string word = std::to_string(++typed_) + "th";
    shell_.type(word + "\r");
    EXPECT_TRUE(shell_.shows("remote<" + word + ">")) << shell_.shown();
  }
  void end() {
    const int prompts = shell_.count("local> ");
    shell_.type("end\r");
    ASSERT_TRUE(shell_.shows("local> ", prompts + 1)) << shell_.shown();
    expect_end();
  }
  void expect_end() {
    shell_.type("echo sta''tus $?; stty -g > $dir/after; cmp $dir/before $dir/after && echo sa''ne\n");
    EXPECT_TRUE(shell_.shows("status 4")) << shell_.shown();
    EXPECT_TRUE(shell_.shows("sane")) << shell_.shown();
  }

  ShellLab scene_;
  std::string go_;  // the file that the remote side waits for at "later"
  OnTerminal shell_;
  pid_t jumpctl_ = -1;
  int typed_ = 0;
};

class SessionJobStopped : public SessionJob, public testing::WithParamInterface<int> {};

TEST_P(SessionJobStopped, LeavesTheTerminalToTheShellUntilItIsInTheForegroundAgain) {
  begin();
  for (int i = 0; i < 2; ++i) {
    expect_the_session_gets_what_is_typed();
    stop_by(GetParam());
    expect_the_shell_gets_what_is_typed();
    shell_.resize(static_cast<unsigned short>(101 + i), 37);
    shell_.type("fg\n");
    expect_the_session_gets_what_is_typed();
    shell_.type("size\r");
    EXPECT_TRUE(shell_.shows("37 " + std::to_string(101 + i))) << shell_.shown();
  }
  end();
}

TEST_P(SessionJobStopped, GoesOnInTheBackgroundWithoutReading) {
  begin();
  shell_.type("later\r");
  ASSERT_TRUE(shell_.shows("waiting")) << shell_.shown();
  stop_by(GetParam());
  shell_.type("bg\n");
  ASSERT_TRUE(shell_.shows("]+ \"$jumpctl\"")) << shell_.shown();
  std::ofstream(go_) << "go\n";
  ASSERT_TRUE(shell_.shows("wenton")) << shell_.shown();
  EXPECT_FALSE(is_stopped(jumpctl_));
  expect_the_shell_gets_what_is_typed();
  EXPECT_FALSE(shell_.is_raw());
  shell_.type("fg\n");
  expect_the_session_gets_what_is_typed();
  end();
}

INSTANTIATE_TEST_SUITE_P(By, SessionJobStopped, testing::Values(SIGTSTP, SIGSTOP), [](const auto& each) {
  return each.param == SIGTSTP ? std::string("Tstp") : std::string("Stop");
});

// Nobody else had the terminal meanwhile: it is raw as before, and what was typed is still the session's.
TEST_F(SessionJob, ThatIsStoppedWithItsTerminalKeepsWhatIsTyped) {
  shell_.type("exec \"$jumpctl\" exec -t bastion \"$remote\"\n");
  ASSERT_TRUE(shell_.shows("begun")) << shell_.shown();
  ASSERT_TRUE(eventually([this] { return shell_.is_raw(); }));
  ASSERT_EQ(::kill(shell_.pid(), SIGSTOP), 0);
  ASSERT_TRUE(eventually([this] { return is_stopped(shell_.pid()); }));
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += "line" + std::to_string(i) + "\r";
  shell_.type(lines);
  ASSERT_EQ(::kill(shell_.pid(), SIGCONT), 0);
  EXPECT_TRUE(shell_.shows("remote<line99>")) << shell_.shown();
  EXPECT_EQ(shell_.count("remote<line"), 100) << shell_.shown();
  shell_.type("end\r");
  EXPECT_EQ(shell_.exit_status(), 4);
}

// The kernel does not stop who is in an orphaned process group: nobody could let it go on.
TEST_F(SessionJob, ThatNobodyCouldLetGoOnStaysRaw) {
  shell_.type("exec \"$jumpctl\" exec -t bastion \"$remote\"\n");
  ASSERT_TRUE(shell_.shows("begun")) << shell_.shown();
  ASSERT_TRUE(eventually([this] { return shell_.is_raw(); }));
  // What answers the second window change came after the first signal.
  for (unsigned short i = 0; i < 2; ++i) {
    ASSERT_EQ(::kill(shell_.pid(), SIGTSTP), 0);
    shell_.resize(static_cast<unsigned short>(101 + i), 37);
    EXPECT_TRUE(eventually([&] {
      shell_.type("size\r");
      return shell_.count("37 " + std::to_string(101 + i)) > 0;
    })) << shell_.shown();
  }
  EXPECT_TRUE(eventually([this] { return shell_.is_raw(); })) << shell_.shown();
  shell_.type("end\r");
  EXPECT_EQ(shell_.exit_status(), 4);
}

// No thread has so large a stack.
TEST_F(SessionJob, ThatCannotReadTheTerminalSaysSoAndLeavesItSane) {
  shell_.type("(ulimit -s 214748364800; exec \"$jumpctl\" exec -t bastion \"$remote\")\n");
  EXPECT_TRUE(shell_.shows("no thread for what is typed")) << shell_.shown();
  shell_.type("echo sta''tus $?; stty -g > $dir/after; cmp $dir/before $dir/after && echo sa''ne\n");
  EXPECT_TRUE(shell_.shows("status 255")) << shell_.shown();
  EXPECT_TRUE(shell_.shows("sane")) << shell_.shown();
}

TEST_F(SessionJob, ThatBeganInTheBackgroundWaitsForTheForeground) {
  shell_.type("\"$jumpctl\" exec -t bastion \"$remote\" &\n");
  ASSERT_TRUE(eventually([this] {
    shell_.type("jobs\n");
    return shell_.count("Stopped") > 0;
  })) << shell_.shown();
  expect_the_shell_gets_what_is_typed();
  shell_.type("fg\n");
  expect_the_session_gets_what_is_typed();
  end();
}

TEST_F(SessionJob, ThatEndsWhileItIsStoppedLeavesTheShellsTerminalAlone) {
  begin();
  stop_by(SIGSTOP);
  scene_.lab().sshd().kill_all();
  ASSERT_TRUE(eventually([this] { return scene_.agent().status().at("sessions").empty(); }));
  expect_the_shell_gets_what_is_typed();
  shell_.type("bg\n");
  ASSERT_TRUE(eventually([this] { return !process_alive(jumpctl_); })) << shell_.shown();
  EXPECT_FALSE(shell_.is_raw());
  expect_the_shell_gets_what_is_typed();
  shell_.type("(exit 4)\n");
  expect_end();
}

}  // namespace
}  // namespace jump::test
