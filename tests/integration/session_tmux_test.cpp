// A person's day in a terminal: full-screen programs over `jumpctl shell`, as tmux shows them.
#include <gtest/gtest.h>

#include "support/eventually.h"
#include "support/lab.h"

namespace jump::test {
namespace {

class SessionTmux : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* program : {"tmux", "vim", "less"}) {
      if (!run_process({"which", program}, seconds(10)).ok()) GTEST_SKIP() << program << " is not installed";
    }
    env_ = lab_.agent().environment();
    env_["LC_ALL"] = env_["LANG"] = "C.UTF-8";
    env_["TERM"] = "xterm-256color";
    const ProcessResult begun =
        tmux({"-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", "bash --norc --noprofile"});
    ASSERT_TRUE(begun.ok()) << begun.describe();
    // What is waited for is never what was typed.
    type("PS1='lo''cal> '; stty -a | tail -n +2 > " + file("before") + "; clear");
    ASSERT_TRUE(shows("local>"));
    type("clear; " + ctl_program() + " shell bastion");
    type("exec env LC_ALL=C.UTF-8 PS1='re''mote> ' bash --norc --noprofile");
    ASSERT_TRUE(shows("remote>")) << screen();
  }
  void TearDown() override { tmux({"kill-server"}); }

  ProcessResult tmux(std::vector<std::string> arguments) {
    std::vector<std::string> all = {"tmux", "-S", directory_.file("tmux")};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_process(all, seconds(20), env_);
  }
  void type(const std::string& line) {
    tmux({"send-keys", "-l", line});
    tmux({"send-keys", "Enter"});
  }
  void key(const std::string& name) { tmux({"send-keys", name}); }
  std::string screen() { return tmux({"capture-pane", "-p"}).out; }
  bool shows(const std::string& text) {
    return eventually([&] { return screen().find(text) != std::string::npos; }, seconds(15));
  }
  bool hides(const std::string& text) {
    return eventually([&] { return screen().find(text) == std::string::npos; }, seconds(15));
  }
  std::string file(const char* name) const { return directory_.file(name); }
  void expect_sane() {
    type("clear; stty -a | tail -n +2 > " + file("after") + "; echo wri''tten");
    EXPECT_TRUE(shows("written")) << screen();
    EXPECT_EQ(read_file(file("after")), read_file(file("before")));
  }

  Lab lab_;
  TempDir directory_;
  Environment env_;
};

TEST_F(SessionTmux, FullScreenProgramsWork) {
  directory_.write("text", "first line\ngrüße, 世界\n" + std::string(3000, 'x') + "\nlast line\n");
  type("vim -u NONE -N " + file("text"));
  ASSERT_TRUE(shows("grüße, 世界")) << screen();
  key("G");
  type("oadded ünïcode");
  key("Escape");
  type(":wq");
  ASSERT_TRUE(shows("remote>"));
  EXPECT_NE(read_file(file("text")).find("added ünïcode\n"), std::string::npos);

  type("seq 1000 > " + file("numbers") + "; less " + file("numbers"));
  ASSERT_TRUE(shows("29")) << screen();
  key("G");
  EXPECT_TRUE(shows("1000")) << screen();
  key("q");
  ASSERT_TRUE(shows("remote>"));

  tmux({"resize-window", "-x", "123", "-y", "41"});
  ASSERT_TRUE(eventually([&] {
    type("clear; stty size");
    return screen().find("41 123") != std::string::npos;
  })) << screen();

  type("exit 3");
  ASSERT_TRUE(shows("local>")) << screen();
  type("echo status$?");
  EXPECT_TRUE(shows("status3")) << screen();
  expect_sane();
}

TEST_F(SessionTmux, JobControlIsTheRemoteShells) {
  type("clear; sleep 100");
  ASSERT_TRUE(hides("remote>")) << screen();
  key("C-c");
  ASSERT_TRUE(shows("^C")) << screen();
  type("clear; (echo ready$((1+1)); exec sleep 200)");  // the job itself, which has the terminal then
  ASSERT_TRUE(shows("ready2")) << screen();
  key("C-z");
  ASSERT_TRUE(shows("Stopped")) << screen();
  type("clear; fg");
  ASSERT_TRUE(shows("sleep 200")) << screen();
  key("C-c");
  ASSERT_TRUE(shows("^C")) << screen();
  type("clear; echo after$((1+1))");
  ASSERT_TRUE(shows("after2")) << screen();
  type("exit");
  ASSERT_TRUE(shows("local>")) << screen();
  expect_sane();
}

TEST_F(SessionTmux, TheTerminalIsSaneAfterTheServerDied) {
  type("vim -u NONE -N");
  ASSERT_TRUE(shows("\n~\n~\n~\n")) << screen();  // a prompt may have one
  lab_.sshd().kill_all();
  ASSERT_TRUE(shows("local>")) << screen();
  expect_sane();
}

TEST_F(SessionTmux, TheTerminalIsSaneAfterTheAgentWasKilled) {
  type("clear; (echo ready$((1+1)); exec sleep 100)");
  ASSERT_TRUE(shows("ready2")) << screen();
  lab_.agent().kill9();
  ASSERT_TRUE(shows("local>")) << screen();
  expect_sane();
}

}  // namespace
}  // namespace jump::test
