// A prompt by $SSH_ASKPASS: what a program's answer, its exit status and its absence come to.
#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>

#include "ctl/askpass_prompt.h"

namespace jump::ctl {
namespace {

using State = PersonPrompt::State;
using Kind = AskpassPrompt::Kind;

State outcome_of(AskpassPrompt& prompt) {
  State state = State::kWaiting;
  while (state == State::kWaiting) {
    for (const int descriptor : prompt.descriptors()) {
      pollfd poller = {descriptor, POLLIN, 0};
      ::poll(&poller, 1, -1);
    }
    state = prompt.proceed();
  }
  return state;
}

std::string answer_of(const std::string& program, Kind kind) {
  AskpassPrompt prompt(program, "yes", kind);
  const State state = outcome_of(prompt);
  return state == State::kAnswered ? std::string(prompt.take_answer().text()) : "no answer";
}

TEST(AskpassPrompt, TheProgramsLineIsTheAnswerAndItsFailureIsNone) {
  EXPECT_EQ(answer_of("echo", Kind::kText), "yes");  // its argument is the text
  EXPECT_EQ(answer_of("false", Kind::kText), "no answer");
}

TEST(AskpassPrompt, AConfirmationIsTheProgramsExitStatus) {
  EXPECT_EQ(answer_of("true", Kind::kConfirm), "yes");
  EXPECT_EQ(answer_of("echo", Kind::kConfirm), "yes");
  EXPECT_EQ(answer_of("false", Kind::kConfirm), "no");
}

// A parent that ignores SIGCHLD leaves it ignored, and then the system keeps no exit status: "no" was "yes".
TEST(AskpassPrompt, AConfirmationIsNotTakenForGivenWhereTheParentIgnoresItsChildren) {
  const auto before = ::signal(SIGCHLD, SIG_IGN);
  EXPECT_EQ(answer_of("false", Kind::kConfirm), "no");
  ::signal(SIGCHLD, SIG_IGN);
  EXPECT_EQ(answer_of("true", Kind::kConfirm), "yes");
  ::signal(SIGCHLD, before);
}

TEST(AskpassPrompt, AProgramThatCannotBeRunIsNoRefusalOfThePerson) {
  AskpassPrompt prompt("/nonexistent/askpass", "text", Kind::kText);
  EXPECT_EQ(outcome_of(prompt), State::kUnable);
  EXPECT_EQ(prompt.why(),
            "the SSH_ASKPASS program '/nonexistent/askpass' cannot be run: No such file or directory");
}

}  // namespace
}  // namespace jump::ctl
