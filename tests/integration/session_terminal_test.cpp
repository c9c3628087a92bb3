// Sessions at a terminal, as stock ssh has them: each script runs once with `ssh` and once with `jumpctl`, on
// a terminal of its own where somebody types.
#include <gtest/gtest.h>
#include <signal.h>

#include "support/eventually.h"
#include "support/on_terminal.h"
#include "support/shell_lab.h"

namespace jump::test {
namespace {

using Client = ShellLab::Client;

class SessionTerminal : public testing::TestWithParam<Client> {
 protected:
  static void SetUpTestSuite() { scene_ = new ShellLab(); }
  static void TearDownTestSuite() {
    delete scene_;
    scene_ = nullptr;
  }
  // The terminal's settings have to be the same before and after.
  OnTerminal start(const std::string& script, ShellLab* scene = nullptr) {
    ShellLab& in = scene ? *scene : *scene_;
    const std::string checked =
        "stty -g > $dir/before\n" + script +
        "\necho \"status $?\"\nstty -g > $dir/after; cmp $dir/before $dir/after && echo sane\n";
    return OnTerminal({"/bin/bash", "-c", in.text(GetParam(), checked)}, in.environment());
  }
  static void expect_end(OnTerminal& terminal, int status) {
    EXPECT_TRUE(terminal.shows("status " + std::to_string(status))) << terminal.shown();
    EXPECT_TRUE(terminal.shows("sane")) << terminal.shown();
    EXPECT_EQ(terminal.exit_status(), 0);
  }

  static ShellLab* scene_;
};
ShellLab* SessionTerminal::scene_ = nullptr;

TEST_P(SessionTerminal, IsGivenWithItsSizeAndStatus) {
  OnTerminal terminal = start("stty cols 97 rows 31\nrun -t bastion 'tty; stty size; echo $TERM; exit 7'");
  EXPECT_TRUE(terminal.shows("31 97")) << terminal.shown();
  EXPECT_TRUE(terminal.shows("/dev/pts/") && terminal.shows("xterm")) << terminal.shown();
  expect_end(terminal, 7);
}

TEST_P(SessionTerminal, ACommandHasNoneUnlessItIsAskedFor) {
  OnTerminal terminal = start("run bastion 'tty; exit 4'");
  EXPECT_TRUE(terminal.shows("not a tty")) << terminal.shown();
  expect_end(terminal, 4);
}

TEST_P(SessionTerminal, AShellHasOne) {
  OnTerminal terminal = start("shell bastion");
  terminal.type("echo $((40+2)); exit 12\n");
  EXPECT_TRUE(terminal.shows("42")) << terminal.shown();
  expect_end(terminal, 12);
}

TEST_P(SessionTerminal, EscapesAreAnswered) {
  OnTerminal terminal = start("run -t bastion 'echo re\"\"ady; cat >/dev/null'");
  ASSERT_TRUE(terminal.shows("ready")) << terminal.shown();
  terminal.type("\r~B");
  EXPECT_TRUE(terminal.shows("~B\r\n")) << terminal.shown();
  terminal.type("~#");
  EXPECT_TRUE(terminal.shows("The following connections are open:\r\n  #")) << terminal.shown();
  terminal.type("~?");
  EXPECT_TRUE(terminal.shows("~B   - send a BREAK to the remote system\r\n")) << terminal.shown();
  terminal.type("~.");
  expect_end(terminal, 255);
}

TEST_P(SessionTerminal, AShellWithoutOneWhenItIsDeclined) {
  OnTerminal terminal = start("shell -T bastion");
  terminal.type("test -t 0 || echo none$((1+1)); exit 3\n");
  EXPECT_TRUE(terminal.shows("none2")) << terminal.shown();
  expect_end(terminal, 3);
}

TEST_P(SessionTerminal, WindowChangesArrive) {
  OnTerminal terminal = start(
      "run -t bastion 'trap \"stty size; exit 5\" WINCH; echo ready; for i in $(seq 600); do sleep 0.05; "
      "done'");
  ASSERT_TRUE(terminal.shows("ready")) << terminal.shown();
  terminal.resize(111, 33);
  EXPECT_TRUE(terminal.shows("33 111")) << terminal.shown();
  expect_end(terminal, 5);
}

TEST_P(SessionTerminal, CtrlCIsTheRemoteProgramsWithATerminal) {
  OnTerminal terminal = start(
      "run -t bastion 'trap \"echo caught; exit 9\" INT; echo ready; for i in $(seq 600); do sleep 0.05; "
      "done'");
  ASSERT_TRUE(terminal.shows("ready")) << terminal.shown();
  EXPECT_FALSE(terminal.echoes());
  terminal.type("\x03");
  EXPECT_TRUE(terminal.shows("caught")) << terminal.shown();
  expect_end(terminal, 9);
}

TEST_P(SessionTerminal, CtrlDIsTheEndOfInput) {
  OnTerminal terminal = start("run bastion 'cat; echo end; exit 6'");
  terminal.type("typed\n");
  EXPECT_TRUE(terminal.shows("typed", 2)) << terminal.shown();
  terminal.type("\x04");
  EXPECT_TRUE(terminal.shows("end")) << terminal.shown();
  expect_end(terminal, 6);
}

TEST_P(SessionTerminal, DevTtyIsADescriptorAsWell) {
  OnTerminal terminal = start("run bastion 'read line; echo got $line; exit 8' < /dev/tty > /dev/tty");
  terminal.type("typed\n");
  EXPECT_TRUE(terminal.shows("got typed")) << terminal.shown();
  expect_end(terminal, 8);
}

std::string many_lines() {
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "line " + std::to_string(i) + " of the paste\n";
  return text;
}

TEST_P(SessionTerminal, TakesALongPasteLineByLine) {
  OnTerminal terminal = start("run -t bastion \"stty -echo; echo ready; cat > $dir/pasted\"");
  ASSERT_TRUE(terminal.shows("ready")) << terminal.shown();
  terminal.paste(many_lines());
  terminal.type("\x04");
  expect_end(terminal, 0);
  EXPECT_TRUE(read_file(scene_->lab().directory().file("pasted")) == many_lines());
}

TEST_P(SessionTerminal, TakesALongPasteRaw) {
  const std::string size = std::to_string(many_lines().size());
  OnTerminal terminal =
      start("run -t bastion \"stty raw -echo; echo ready; head -c " + size + " > $dir/pasted\"");
  ASSERT_TRUE(terminal.shows("ready")) << terminal.shown();
  terminal.paste(many_lines());
  expect_end(terminal, 0);
  EXPECT_TRUE(read_file(scene_->lab().directory().file("pasted")) == many_lines());
}

// What is typed is the shell's, while a command without a terminal goes on in the background.
TEST_P(SessionTerminal, ACommandInTheBackgroundDoesNotTakeTheShellsInput) {
  OnTerminal terminal = start(
      "set -m\nrun bastion 'echo begun; cat' &\nuntil [ -e $dir/typed ]; do sleep 0.05; done; rm $dir/typed\n"
      "for i in 1 2 3; do read -r line; echo \"the shell got $line\"; done\nkill -9 %1; wait 2>/dev/null; "
      "(exit 0)");
  EXPECT_TRUE(terminal.shows("begun")) << terminal.shown();
  terminal.type("line1\nline2\nline3\n");
  EXPECT_TRUE(terminal.shows("line3")) << terminal.shown();
  scene_->lab().directory().write("typed", "");
  for (const char* line : {"the shell got line1", "the shell got line2", "the shell got line3"})
    EXPECT_TRUE(terminal.shows(line)) << terminal.shown();
  expect_end(terminal, 0);
}

TEST_P(SessionTerminal, IsSaneAfterTheServerDied) {
  ShellLab scene;
  OnTerminal terminal = start("run -t bastion 'echo ready; sleep 60'", &scene);
  ASSERT_TRUE(terminal.shows("ready")) << terminal.shown();
  scene.lab().sshd().kill_all();
  expect_end(terminal, 255);
}

INSTANTIATE_TEST_SUITE_P(Of, SessionTerminal, testing::Values(Client::kSsh, Client::kJumpctl),
                         [](const auto& each) {
                           return each.param == Client::kSsh ? std::string("Ssh") : std::string("Jumpctl");
                         });

// --- what only jumpctl has

class SessionAtTerminal : public testing::Test {
 protected:
  explicit SessionAtTerminal(LabOptions options = {}) : scene_(std::move(options)) {}
  OnTerminal start(const std::string& script) {
    const std::string checked =
        "stty -g > $dir/before\n" + script +
        "\necho \"status $?\"\nstty -g > $dir/after; cmp $dir/before $dir/after && echo sane\n";
    return OnTerminal({"/bin/bash", "-c", scene_.text(Client::kJumpctl, checked)}, scene_.environment());
  }
  ShellLab scene_;
};

TEST_F(SessionAtTerminal, IsSaneAfterTheAgentWasKilled) {
  OnTerminal terminal = start("run -t bastion 'echo ready; sleep 60'");
  ASSERT_TRUE(terminal.shows("ready")) << terminal.shown();
  scene_.agent().kill9();
  EXPECT_TRUE(terminal.shows("status 255") && terminal.shows("sane")) << terminal.shown();
  EXPECT_TRUE(terminal.shows("the agent has ended")) << terminal.shown();
}

TEST_F(SessionAtTerminal, HearsThatTheAgentEnds) {
  OnTerminal terminal = start("run -t bastion 'echo ready; sleep 60'");
  ASSERT_TRUE(terminal.shows("ready")) << terminal.shown();
  EXPECT_TRUE(scene_.agent().down().ok());
  EXPECT_TRUE(terminal.shows("status 255") && terminal.shows("sane")) << terminal.shown();
  EXPECT_TRUE(terminal.shows("jumpctl: ")) << terminal.shown();
}

// sshd sends no signals to what root runs.
class SignalFromTerminal : public SessionAtTerminal {
 protected:
  SignalFromTerminal() : SessionAtTerminal({.sshd = {.without_rights = Sshd::can_be_without_rights()}}) {}
};

TEST_F(SignalFromTerminal, CtrlCIsASignalWithoutATerminal) {
  if (!Sshd::can_be_without_rights()) GTEST_SKIP() << "no mount namespaces here";
  OnTerminal terminal = start(
      "trap : INT; run bastion 'trap \"echo caught; exit 9\" INT; echo ready; for i in $(seq 600); do sleep "
      "0.05; done'");
  ASSERT_TRUE(terminal.shows("ready")) << terminal.shown();
  terminal.type("\x03");
  EXPECT_TRUE(terminal.shows("caught")) << terminal.shown();
  EXPECT_TRUE(terminal.shows("status 9")) << terminal.shown();
}

TEST_F(SessionAtTerminal, CtrlCAgainEndsWhatDoesNotHeedIt) {
  OnTerminal terminal = start("trap : INT; run bastion 'trap \"\" INT; echo ready; sleep 60'");
  ASSERT_TRUE(terminal.shows("ready")) << terminal.shown();
  EXPECT_TRUE(eventually([&terminal] {
    if (terminal.count("status") == 0) terminal.type("\x03");
    return terminal.count("status 130") > 0;
  })) << terminal.shown();
}

}  // namespace
}  // namespace jump::test
