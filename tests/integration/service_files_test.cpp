// The files for service managers and desktops (contrib/systemd, launchd, autostart): that those who read them
// understand them, and that they say of the agent what is so.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/agent_process.h"
#include "support/process.h"
#include "support/ssh_config.h"
#include "support/temp_dir.h"

namespace jump::test {
namespace {

const std::string kContrib = std::string(JUMPAGENT_SOURCE_DIR) + "/contrib/";

std::string text_of(const std::string& path) {
  std::ostringstream all;
  all << std::ifstream(path).rdbuf();
  EXPECT_FALSE(all.str().empty()) << path;
  return all.str();
}

// As `cmake --install` leaves it, with the program where it is now.
std::string filled_in(const std::string& path) {
  static const std::string kPlace = "@CMAKE_INSTALL_FULL_BINDIR@";
  std::string text = text_of(path);
  const std::string directory = std::filesystem::path(agent_program()).parent_path();
  for (std::size_t at; (at = text.find(kPlace)) != std::string::npos;)
    text.replace(at, kPlace.size(), directory);
  EXPECT_EQ(text.find('@'), std::string::npos) << text;
  return text;
}

// What `key` says in an INI file; nullopt: it is not there.
std::optional<std::string> value_of(const std::string& text, const std::string& key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key + "=")) return line.substr(key.size() + 1);
  }
  return std::nullopt;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

bool installed(const char* program) {
  return run_process({"sh", "-c", std::string("command -v ") + program}, seconds(10)).ok();
}

// Whether the agent's command line takes these words: help is for good ones only.
testing::AssertionResult takes(const std::vector<std::string>& words) {
  std::vector<std::string> argv{agent_program()};
  argv.insert(argv.end(), words.begin(), words.end());
  argv.emplace_back("--help");
  const ProcessResult result = run_process(argv, seconds(20));
  const bool verb = !words.empty() && result.out.find("\n  " + words.front() + " ") != std::string::npos;
  return result.ok() && verb ? testing::AssertionSuccess() : testing::AssertionFailure() << result.describe();
}

TEST(ServiceFiles, SystemdUnderstandsTheUnits) {
  if (!installed("systemd-analyze")) GTEST_SKIP() << "systemd-analyze is not installed";
  TempDir directory;
  const std::string service =
      directory.write("jumpagent.service", filled_in(kContrib + "systemd/jumpagent.service.in"));
  const std::string socket =
      directory.write("jumpagent.socket", text_of(kContrib + "systemd/jumpagent.socket"));
  Environment environment = base_environment();
  environment["XDG_RUNTIME_DIR"] = directory.make_dir("run");
  const ProcessResult result = run_process(
      {"systemd-analyze", "verify", "--user", "--man=no", service, socket}, seconds(60), environment);
  EXPECT_TRUE(result.ok()) << result.describe();
  // What it does not know it only says.
  EXPECT_EQ(result.err.find("jumpagent."), std::string::npos) << result.describe();
  EXPECT_EQ(result.out.find("jumpagent."), std::string::npos) << result.describe();
}

TEST(ServiceFiles, TheSocketUnitIsWhereTheAgentIsLookedFor) {
  TempDir directory;
  AgentProcess agent(directory.write("ssh_config", ssh_config_text({})));
  agent.run();
  const std::string unit = text_of(kContrib + "systemd/jumpagent.socket");
  std::string listens = value_of(unit, "ListenStream").value_or("");
  ASSERT_TRUE(listens.starts_with("%t/")) << listens;  // the user's runtime directory
  listens.replace(0, 2, agent.runtime_dir());
  EXPECT_EQ(listens, agent.status().at("agent").at("socket").get<std::string>());
  EXPECT_EQ(value_of(unit, "SocketMode"), "0600");
  EXPECT_EQ(value_of(unit, "DirectoryMode"), "0700");
}

TEST(ServiceFiles, WhatTheyStartIsACommandLineOfTheAgent) {
  const std::string service = filled_in(kContrib + "systemd/jumpagent.service.in");
  std::vector<std::string> words = words_of(value_of(service, "ExecStart").value_or(""));
  ASSERT_GE(words.size(), 2u);
  EXPECT_EQ(words.front(), agent_program());
  words.erase(words.begin());
  EXPECT_EQ(words.front(), "run");  // Type=notify: the process that was started
  EXPECT_TRUE(takes(words));

  words = words_of(value_of(text_of(kContrib + "autostart/jumpagent.desktop"), "Exec").value_or(""));
  ASSERT_GE(words.size(), 2u);
  EXPECT_EQ(words.front(), "jumpagent");
  words.erase(words.begin());
  EXPECT_EQ(words.front(), "up");  // a desktop does not look after it
  EXPECT_TRUE(takes(words));
  EXPECT_FALSE(takes({"run", "--no-such-option"}));
  EXPECT_FALSE(takes({"runs"}));
}

// The agent is never given up, may take its time at its end, and has room for what it gives into safekeeping.
TEST(ServiceFiles, TheServiceIsStartedAgainHoweverOftenItFails) {
  const std::string service = text_of(kContrib + "systemd/jumpagent.service.in");
  EXPECT_EQ(value_of(service, "Type"), "notify");
  EXPECT_EQ(value_of(service, "Restart"), "on-failure");
  EXPECT_EQ(value_of(service, "StartLimitIntervalSec"), "0");
  EXPECT_LT(service.find("StartLimitIntervalSec"), service.find("[Service]"));
  EXPECT_GT(std::stoi(value_of(service, "FileDescriptorStoreMax").value_or("0")), 2000);
  EXPECT_EQ(value_of(service, "KillMode"), "mixed");
}

TEST(ServiceFiles, TheDesktopEntryIsOne) {
  if (!installed("desktop-file-validate")) GTEST_SKIP() << "desktop-file-validate is not installed";
  const ProcessResult result =
      run_process({"desktop-file-validate", kContrib + "autostart/jumpagent.desktop"}, seconds(20));
  EXPECT_TRUE(result.ok() && result.out.empty()) << result.describe();
}

TEST(ServiceFiles, ThePlistIsOneAndSaysWhereTheAgentRuns) {
  if (!installed("xmllint")) GTEST_SKIP() << "xmllint is not installed";
  TempDir directory;
  const std::string text = filled_in(kContrib + "launchd/jumpagent.plist.in");
  const std::string plist = directory.write("jumpagent.plist", text);
  const auto xpath = [&](const std::string& path) {
    const ProcessResult result =
        run_process({"xmllint", "--nonet", "--xpath", "string(" + path + ")", plist}, seconds(20));
    EXPECT_TRUE(result.ok()) << result.describe();
    return result.out.substr(0, result.out.find('\n'));
  };
  const std::string arguments = "/plist/dict/key[.='ProgramArguments']/following-sibling::array[1]/string";
  EXPECT_EQ(xpath(arguments + "[1]"), agent_program());
  EXPECT_EQ(xpath(arguments + "[2]"), "run");
  EXPECT_EQ(xpath("count(" + arguments + ")"), "2");
  EXPECT_EQ(xpath("/plist/dict/key[.='Label']/following-sibling::string[1]"), "jumpagent");
  EXPECT_TRUE(takes({"run"}));
  EXPECT_NE(text.find("Linux only"), std::string::npos) << "as README says";
}

}  // namespace
}  // namespace jump::test
