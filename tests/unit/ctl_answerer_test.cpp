// Where jumpctl asks its person: the rules are ssh(1)'s for SSH_ASKPASS.
#include <gtest/gtest.h>

#include <map>

#include "ctl/answerer.h"

namespace jump::ctl {
namespace {

using Way = Answerer::Way;

Way choose(bool terminal, const std::map<std::string, std::string>& variables) {
  return Answerer::choose(terminal, [&variables](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(Answerer, ATerminalComesFirstAndAskpassNeedsADisplay) {
  EXPECT_EQ(choose(true, {}), Way::kTerminal);
  EXPECT_EQ(choose(false, {}), Way::kNobody);
  EXPECT_EQ(choose(false, {{"SSH_ASKPASS", "/a"}}), Way::kNobody);
  EXPECT_EQ(choose(false, {{"SSH_ASKPASS", "/a"}, {"DISPLAY", ""}}), Way::kNobody);
  EXPECT_EQ(choose(false, {{"SSH_ASKPASS", "/a"}, {"DISPLAY", ":0"}}), Way::kAskpass);
  EXPECT_EQ(choose(false, {{"SSH_ASKPASS", "/a"}, {"WAYLAND_DISPLAY", "w"}}), Way::kAskpass);
  EXPECT_EQ(choose(true, {{"SSH_ASKPASS", "/a"}, {"DISPLAY", ":0"}}), Way::kTerminal);
  EXPECT_EQ(choose(false, {{"DISPLAY", ":0"}}), Way::kNobody);
}

TEST(Answerer, AskpassRequireChangesThat) {
  EXPECT_EQ(choose(true, {{"SSH_ASKPASS", "/a"}, {"SSH_ASKPASS_REQUIRE", "force"}}), Way::kAskpass);
  EXPECT_EQ(choose(true, {{"SSH_ASKPASS", "/a"}, {"SSH_ASKPASS_REQUIRE", "prefer"}}), Way::kTerminal);
  EXPECT_EQ(choose(true, {{"SSH_ASKPASS", "/a"}, {"DISPLAY", ":0"}, {"SSH_ASKPASS_REQUIRE", "Prefer"}}),
            Way::kAskpass);
  EXPECT_EQ(choose(false, {{"SSH_ASKPASS", "/a"}, {"DISPLAY", ":0"}, {"SSH_ASKPASS_REQUIRE", "never"}}),
            Way::kNobody);
  EXPECT_EQ(choose(true, {{"SSH_ASKPASS_REQUIRE", "force"}}), Way::kTerminal);
}

}  // namespace
}  // namespace jump::ctl
