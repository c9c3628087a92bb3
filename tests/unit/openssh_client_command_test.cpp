// What a client of the control socket is after, by its command line.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "openssh/client_command.h"

namespace jump {
namespace {

bool session(const std::vector<std::string>& words) {
  std::string arguments;
  for (const std::string& word : words) arguments += word + '\0';
  return wants_session(arguments);
}

TEST(MuxClientCommand, SessionsAreToldFromQuestions) {
  EXPECT_TRUE(session({"ssh", "prod"}));
  EXPECT_TRUE(session({"/usr/bin/ssh", "-tt", "-p", "22", "prod", "tar", "-O", "-W"}));
  EXPECT_TRUE(session({"ssh", "-oBatchMode=yes", "-o", "ControlPath=/O/W", "-lOtto", "prod"}));
  EXPECT_TRUE(session({"ssh", "-l", "-O", "prod"}));
  EXPECT_TRUE(session({"ssh", "-N", "-L", "1:O:2", "prod"}));
  EXPECT_TRUE(session({"ssh", "prod", "-t", "--", "-O"}));
  const std::vector<std::string> loaded{"/lib/ld-linux.so.2", "--argv0", "/bin/ssh",
                                        "--library-path",     "/O",      "/bin/ssh.program"};
  for (const bool checks : {false, true}) {
    std::vector<std::string> words = loaded;
    if (checks) words.insert(words.end(), {"-O", "check"});
    words.push_back("prod");
    EXPECT_EQ(session(words), !checks);
  }
  EXPECT_FALSE(session({"my_client", "prod"}));
  EXPECT_FALSE(session({"ssh", "-O", "check", "prod"}));
  EXPECT_FALSE(session({"ssh", "-qOcheck", "prod"}));
  EXPECT_FALSE(session({"ssh", "prod", "-O", "check"}));
  EXPECT_FALSE(session({"ssh", "-F", "-x", "-O", "proxy", "prod"}));
  EXPECT_FALSE(session({"ssh", "-W", "[db]:22", "prod"}));
  EXPECT_FALSE(session({"ssh", "-TW", "db:22", "prod"}));
  EXPECT_FALSE(session({"ssh"}));
  EXPECT_FALSE(wants_session({}));
}

}  // namespace
}  // namespace jump
