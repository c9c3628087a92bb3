#include "openssh/offered_agent.h"

#include <gtest/gtest.h>

namespace jump {
namespace {

using namespace std::string_literals;

const std::string kEnvironment =
    "A=1\0SSH_AUTH_SOCK=/own\0SSH_AUTH_SOCKET=/no\0OTHER=/other\0EMPTY=\0LAST=/last"s;

std::string offered(const std::string& forward, const std::string& identity) {
  return offered_agent(forward, identity, kEnvironment);
}

TEST(OfferedAgent, IsTheClientsUnlessTheConfigNamesOne) {
  EXPECT_EQ(offered("", ""), "/own");
  EXPECT_EQ(offered("yes", ""), "/own");
  EXPECT_EQ(offered("yes", "/identity"), "/identity");
  EXPECT_EQ(offered("yes", "none"), "");
  EXPECT_EQ(offered("/forward", "/identity"), "/forward");
  EXPECT_EQ(offered("/forward", "none"), "/forward");
}

TEST(OfferedAgent, VariablesAreTheClients) {
  EXPECT_EQ(offered("$OTHER", ""), "/other");
  EXPECT_EQ(offered("", "$LAST"), "/last");
  EXPECT_EQ(offered("$EMPTY", "/identity"), "");
  EXPECT_EQ(offered("$OTHE", "/identity"), "") << "what is not there is no agent, and no other one either";
  EXPECT_EQ(offered_agent("yes", "", ""), "");
  EXPECT_EQ(offered_agent("yes", "", "SSH_AUTH_SOCK"), "") << "cut off";
}

}  // namespace
}  // namespace jump
