#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "ctl/rewritten_file.h"
#include "ctl/ssh_config_block.h"
#include "support/temp_dir.h"

namespace jump::ctl {
namespace {

using Words = std::vector<std::string>;

TEST(HostPatterns, AreTheNamesAndTheNetworksThatHostLinesCanSay) {
  EXPECT_EQ(host_patterns({"*.prod.example", "db?", "192.0.2.7"}).patterns,
            (Words{"*.prod.example", "db?", "192.0.2.7"}));
  EXPECT_EQ(host_patterns({"10.20.0.0/16", "10.0.0.0/8", "192.0.2.0/24", "192.0.2.9/32"}).patterns,
            (Words{"10.20.*", "10.*", "192.0.2.*", "192.0.2.9"}));
  EXPECT_EQ(host_patterns({"10.20.0.0/14"}).patterns, (Words{"10.20.*", "10.21.*", "10.22.*", "10.23.*"}));
  EXPECT_EQ(host_patterns({"172.16.0.0/12"}).patterns.size(), 16u);
  EXPECT_EQ(host_patterns({"192.0.2.248/30"}).patterns,
            (Words{"192.0.2.248", "192.0.2.249", "192.0.2.250", "192.0.2.251"}));
}

TEST(HostPatterns, SayWhatIsLeftOut) {
  const HostPatterns found =
      host_patterns({"a.example", "10.20.0.0/17", "2001:db8::/32", "*:5432", "*.b:8000-8999"});
  EXPECT_EQ(found.patterns, Words{"a.example"});
  ASSERT_EQ(found.left_out.size(), 4u);
  EXPECT_EQ(found.left_out[0], "10.20.0.0/17: cannot be written as a Host pattern");
  EXPECT_EQ(found.left_out[2], "*:5432: not the port of ssh");
  EXPECT_EQ(host_patterns({"*.a:22", "*.b:*", "*.c:1-1024", "[2001:db8::7]:22", "2001:db8::8"}).patterns,
            (Words{"*.a", "*.b", "*.c", "2001:db8::7", "2001:db8::8"}));
}

TEST(HostPatterns, ExceptWhatTheRouteExcepts) {
  EXPECT_EQ(host_patterns({"!db.prod", "*.prod", "!10.20.0.0/16"}).patterns,
            (Words{"*.prod", "!db.prod", "!10.20.*"}));
  EXPECT_EQ(host_patterns({"*.prod", "!*:5432"}).patterns, Words{"*.prod"}) << "that is not about ssh";
  EXPECT_EQ(host_patterns({"!db.prod"}).patterns, Words{});
  const HostPatterns unsafe = host_patterns({"10.20.0.0/16", "!10.20.0.0/17"});
  EXPECT_EQ(unsafe.patterns, Words{}) << "a host of the exception would be sent there";
  EXPECT_EQ(unsafe.left_out.size(), 1u);
}

TEST(SshConfigBlock, HasItsSectionsBetweenMarksAndEndsForAll) {
  const std::string block = ssh_config_block(
      {{{"*.prod", "!bastion"}, proxy_options("jumpctl", "me@b%d")}, {{"x"}, {"ControlPath /s"}}},
      {"left out: y"});
  EXPECT_EQ(block,
            "# >>> jumpagent >>> made by 'jumpctl ssh-config', which replaces it\n"
            "# left out: y\n"
            "Host *.prod !bastion\n"
            "  ProxyCommand jumpctl proxy --fdpass --via me@b%%d %h %p\n"
            "  ProxyUseFdpass yes\n"
            "Host x\n"
            "  ControlPath /s\n"
            "Host *\n"
            "# <<< jumpagent <<<\n");
  EXPECT_NE(proxy_options("jumpctl", "[::1]:22")[0].find("--via '[::1]:22'"), std::string::npos);
}

TEST(MuxOptions, FitASocketAndAreQuoted) {
  const std::string begin = "ControlPath ";
  EXPECT_EQ(*mux_options("/run/user/1000/jumpagent/mux"),
            (Words{begin + "/run/user/1000/jumpagent/mux/%r@%n:%p", "ControlMaster no"}));
  EXPECT_EQ(mux_options("/a b/100%")->front(), begin + "\"/a b/100%%/%r@%n:%p\"");
  EXPECT_EQ(mux_options("/a\"b\\c")->front(), begin + "\"/a\\\"b\\\\c/%r@%n:%p\"");
  EXPECT_EQ(mux_options("/a#'b$c")->front(), begin + "\"/a#'b$c/%r@%n:%p\"");
  EXPECT_FALSE(mux_options("/${HOME}").ok()) << "it would be another place";
  EXPECT_FALSE(mux_options("/a\nHost *").ok());
  EXPECT_TRUE(mux_options("/" + std::string(65, 'x')).ok());
  EXPECT_FALSE(mux_options("/" + std::string(66, 'x')).ok());
}

TEST(SshConfigBlock, GoesToTheTopAndThenStaysWhereItIs) {
  const std::string block = ssh_config_block({{{"a"}, {"X y"}}}, {}),
                    other = ssh_config_block({{{"b"}, {}}}, {});
  EXPECT_EQ(*with_block("", block), block);
  const std::string user = "User me\r\nHost z\n\tPort 7";
  EXPECT_EQ(*with_block(user, block), block + "\n" + user);
  const std::string first = *with_block(user, block);
  EXPECT_EQ(*with_block(first, block), first) << "once more changes nothing";
  EXPECT_EQ(*with_block(first, other), other + "\n" + user);
  EXPECT_EQ(*with_block("Host before\n" + block + user, other), "Host before\n" + other + user);
  const std::string begin = block.substr(0, block.find('\n') + 1), end = block.substr(block.find("# <<<"));
  EXPECT_EQ(*with_block("  " + begin + "  Host a\n    X y\n\t" + end + user, other), other + user)
      << "indented";
}

TEST(SshConfigBlock, IsNotPutBetweenDamagedMarks) {
  const std::string block = ssh_config_block({}, {}), begin = block.substr(0, block.find('\n') + 1);
  const std::string end = block.substr(block.find("# <<<"));
  for (const std::string& text :
       {begin, end, begin + begin + end, begin + end + end, end + begin, block + block}) {
    const Result<std::string> result = with_block("Port 7\n" + text, block);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_NE(result.error().hint.find("by hand"), std::string::npos);
  }
}

TEST(SshConfigBlock, TakesNoPatternThatWouldBeSomethingElse) {
  for (const char* good : {"a", "*.prod", "!db?", "10.20.*", "2001:db8::7"})
    EXPECT_TRUE(check_host_pattern(good).ok()) << good;
  for (const char* bad : {"", "!", "a b", "a\nProxyCommand rm", "\"a", "#a", "a,b", "a\\"})
    EXPECT_FALSE(check_host_pattern(bad).ok()) << bad;
  for (const std::vector<std::string>& good : {std::vector<std::string>{}, {"!a", "*"}, {"a", "!b"}})
    EXPECT_TRUE(check_host_patterns(good).ok());
  for (const std::vector<std::string>& bad : {std::vector<std::string>{"!a"}, {"!a", "!*.b"}, {"a", "!"}})
    EXPECT_FALSE(check_host_patterns(bad).ok());
}

// --- the file ---

mode_t mode_of(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

Rewrite to(const std::string& text) {
  return [text](std::string_view) { return Result<std::string>(text); };
}

std::size_t files_in(const std::string& directory) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}

TEST(RewrittenFile, IsMadeForItsOwnerAlone) {
  const test::TempDir dir;
  const std::string file = dir.file("ssh") + "/config";
  const Result<bool> made = rewrite_file(file, to("one\n"));
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_TRUE(*made);
  EXPECT_EQ(mode_of(file), 0600u);
  EXPECT_EQ(mode_of(dir.file("ssh")), 0700u);
  EXPECT_EQ(
      *rewrite_file(file, [](std::string_view text) { return Result<std::string>(std::string(text) + "2"); }),
      true);
  EXPECT_EQ(test::read_file(file), "one\n2");
}

TEST(RewrittenFile, KeepsModeAndSymlinkAndLeavesNothingBehind) {
  const test::TempDir dir;
  const std::string file = dir.write("real", "old"), link = dir.file("link");
  ASSERT_EQ(::chmod(file.c_str(), 0640), 0);
  ASSERT_EQ(::symlink("real", link.c_str()), 0);
  EXPECT_TRUE(*rewrite_file(link, to("new")));
  EXPECT_EQ(test::read_file(file), "new");
  EXPECT_EQ(mode_of(file), 0640u);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_FALSE(*rewrite_file(link, to("new"))) << "nothing to write";
  EXPECT_EQ(files_in(dir.path()), 2u);
}

TEST(RewrittenFile, IsLeftAloneWhenSomethingIsWrong) {
  const test::TempDir dir;
  const std::string file = dir.write("config", "old");
  const Result<bool> refused = rewrite_file(file, [](std::string_view) -> Result<std::string> {
    return Error{Errc::kInvalid, "no", {}};
  });
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find(file), std::string::npos);
  const Result<bool> raced = rewrite_file(file, [&](std::string_view) {
    dir.write("config", "theirs, and longer");
    return Result<std::string>("ours");
  });
  ASSERT_FALSE(raced.ok());
  EXPECT_EQ(raced.error().code, Errc::kInUse);
  EXPECT_EQ(test::read_file(file), "theirs, and longer");
  ASSERT_EQ(::symlink("nowhere", dir.file("dangling").c_str()), 0);
  EXPECT_FALSE(rewrite_file(dir.file("dangling"), to("x")).ok());
  EXPECT_FALSE(rewrite_file(dir.path(), to("x")).ok());
  EXPECT_EQ(files_in(dir.path()), 2u);
}

}  // namespace
}  // namespace jump::ctl
