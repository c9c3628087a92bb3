#include "proto/socket_path.h"

#include <gtest/gtest.h>

#include <map>

namespace jump::proto {
namespace {

using Variables = std::map<std::string, std::string>;

Result<std::string> path_with(const Variables& variables, const std::string& flag = {},
                              const std::string& home = "/home/passwd") {
  const Environment environment = [&variables](const char* name) -> const char* {
    const auto it = variables.find(name);
    return it == variables.end() ? nullptr : it->second.c_str();
  };
  return control_socket_path(flag, environment, home);
}

std::string chosen(const Variables& variables, const std::string& flag = {}) {
  Result<std::string> path = path_with(variables, flag);
  return path.ok() ? *path : "error: " + path.error().message;
}

const Variables kAll = {{"JUMPAGENT_SOCK", "/s/own"},
                        {"XDG_RUNTIME_DIR", "/run/user/7"},
                        {"XDG_STATE_HOME", "/state"},
                        {"HOME", "/home/me"}};

Variables without(std::initializer_list<const char*> names) {
  Variables rest = kAll;
  for (const char* name : names) rest.erase(name);
  return rest;
}

TEST(SocketPath, FollowsTheOrderOfPrecedence) {
  EXPECT_EQ(chosen(kAll, "/flag"), "/flag");
  EXPECT_EQ(chosen(kAll), "/s/own");
  EXPECT_EQ(chosen(without({"JUMPAGENT_SOCK"})), "/run/user/7/jumpagent/control.sock");
  EXPECT_EQ(chosen(without({"JUMPAGENT_SOCK", "XDG_RUNTIME_DIR"})), "/state/jumpagent/control.sock");
  EXPECT_EQ(chosen(without({"JUMPAGENT_SOCK", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"})),
            "/home/me/.local/state/jumpagent/control.sock");
  EXPECT_EQ(chosen({}), "/home/passwd/.local/state/jumpagent/control.sock");
}

TEST(SocketPath, TakesAnEmptyVariableAsUnset) {
  EXPECT_EQ(chosen({{"JUMPAGENT_SOCK", ""}, {"XDG_RUNTIME_DIR", ""}, {"XDG_STATE_HOME", ""}, {"HOME", "/h"}}),
            "/h/.local/state/jumpagent/control.sock");
}

TEST(SocketPath, IgnoresRelativeXdgDirectories) {
  EXPECT_EQ(chosen({{"XDG_RUNTIME_DIR", "run"}, {"XDG_STATE_HOME", "./state"}, {"HOME", "/h"}}),
            "/h/.local/state/jumpagent/control.sock");
}

TEST(SocketPath, SaysSoWhenThereIsNoPlace) {
  Result<std::string> path = path_with({}, {}, "");
  ASSERT_FALSE(path.ok());
  EXPECT_EQ(path.error().code, Errc::kNotFound);
  EXPECT_EQ(path.error().hint, "name one with --socket PATH");
}

TEST(SocketPath, RefusesWhatAUnixSocketCannotHold) {
  const std::string fits(kMaxSocketPath, 'x');
  EXPECT_EQ(chosen({}, fits), fits);
  Result<std::string> path = path_with({}, fits + "x");
  ASSERT_FALSE(path.ok());
  EXPECT_EQ(path.error().code, Errc::kInvalid);
  EXPECT_NE(path.error().message.find("104 bytes"), std::string::npos) << path.error().message;
}

}  // namespace
}  // namespace jump::proto
