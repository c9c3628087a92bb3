#include <gtest/gtest.h>
#include <sys/stat.h>

#include "ctl/completion.h"
#include "ctl/ssh_config_hosts.h"
#include "ctl/usage.h"
#include "support/temp_dir.h"

namespace jump::ctl {
namespace {

using Words = std::vector<std::string>;

class FakeSource final : public CompletionSource {
 public:
  std::vector<Candidate> hosts() override { return {{"bastion", {}}, {"build", {}}, {"prod", {}}}; }
  std::vector<Candidate> connected_hosts() override { return {{"prod", "ready"}}; }
  std::vector<Candidate> forwards() override {
    return {{"f1", "a line"}, {"f12", "another"}, {"web", "a line"}};
  }
};

Words offered(const Words& words) {
  FakeSource source;
  Words out;
  for (const Candidate& each : candidates(words, source)) out.push_back(each.text);
  return out;
}

TEST(Completion, OffersVerbs) {
  EXPECT_EQ(offered({"fo"}), Words{"forward"});
  EXPECT_EQ(offered({"--json", "re"}), Words{"reverse"});
  EXPECT_EQ(offered({"--timeout", "5", "co"}), (Words{"connect", "completion"}));
  EXPECT_EQ(offered({""}).size(), verbs().size() + 1);
  EXPECT_EQ(offered({"help", "so"}), Words{"socks"});
  EXPECT_EQ(offered({"help", "socks", ""}), Words{});
  EXPECT_EQ(offered({"complet"}), Words{"completion"}) << "the hidden verb stays hidden";
}

TEST(Completion, OffersTheOptionsOfTheVerb) {
  EXPECT_EQ(offered({"forward", "--p"}), (Words{"--prewarm", "--persist"}));
  EXPECT_EQ(offered({"socks", "--p"}), Words{"--persist"});
  EXPECT_EQ(offered({"close", "--a"}), Words{"--all"});
  EXPECT_EQ(offered({"list", "--vi"}), Words{});
  EXPECT_EQ(offered({"--js"}), Words{"--json"});
  EXPECT_EQ(offered({"close", "--", "--a"}), Words{});
}

TEST(Completion, OffersHosts) {
  EXPECT_EQ(offered({"connect", "b"}), (Words{"bastion", "build"}));
  EXPECT_EQ(offered({"connect", "bastion", "b"}), Words{"build"}) << "each once";
  EXPECT_EQ(offered({"connect", "me@b"}), (Words{"me@bastion", "me@build"}));
  EXPECT_EQ(offered({"forward", "--via", "ba"}), Words{"bastion"});
  EXPECT_EQ(offered({"forward", "--via=ba"}), Words{"--via=bastion"});
  EXPECT_EQ(offered({"disconnect", ""}), Words{"prod"});
  EXPECT_EQ(offered({"doctor", "p"}), Words{"prod"});
  EXPECT_EQ(offered({"doctor", "prod", ""}), Words{}) << "it takes one";
}

TEST(Completion, OffersTheHostOfASessionAndNothingBehindIt) {
  for (const char* verb : {"exec", "shell", "proxy"}) {
    EXPECT_EQ(offered({verb, "b"}), (Words{"bastion", "build"})) << verb;
    EXPECT_EQ(offered({verb, "bastion", ""}), Words{}) << verb;
  }
  EXPECT_EQ(offered({"exec", "bastion", "ls", "-"}), Words{}) << "options of ls";
  EXPECT_EQ(offered({"exec", "bastion", "ls", "--via", ""}), Words{});
  EXPECT_EQ(offered({"exec", "bastion", "--", "--ti"}), Words{});
  EXPECT_EQ(offered({"exec", "bastion", "--ti"}), Words{"--timeout"});
  EXPECT_EQ(offered({"exec", "-tA", "me@p"}), Words{"me@prod"});
}

TEST(Completion, OffersLettersToTheVerbsThatHaveThem) {
  const Words exec = offered({"exec", "-"}), list = offered({"list", "-"});
  EXPECT_NE(std::find(exec.begin(), exec.end(), "-t"), exec.end());
  EXPECT_EQ(std::find(list.begin(), list.end(), "-t"), list.end());
  EXPECT_EQ(offered({"shell", "-s"}), Words{}) << "that is exec's";
  EXPECT_EQ(offered({"ssh-config", "--in"}), Words{"--install"});
}

TEST(Completion, OffersForwards) {
  EXPECT_EQ(offered({"close", ""}), (Words{"f1", "f12", "web"}));
  EXPECT_EQ(offered({"close", "f1", "f"}), Words{"f12"});
}

TEST(Completion, OffersNothingWhereThereIsNothingToKnow) {
  EXPECT_EQ(offered({"forward", "80"}), Words{});
  EXPECT_EQ(offered({"forward", "--name", ""}), Words{});
  EXPECT_EQ(offered({"frobnicate", ""}), Words{});
  EXPECT_EQ(offered({"list", ""}), Words{});
  EXPECT_EQ(offered({"completion", "z"}), Words{"zsh"});
}

TEST(Completion, HasAScriptForEachShell) {
  for (const char* shell : {"bash", "zsh", "fish"})
    EXPECT_NE(completion_script(shell).find(" complete "), std::string::npos) << shell;
  EXPECT_EQ(completion_script("csh"), "");
}

TEST(SshConfigNames, AreWhatHostLinesNameWithoutPatterns) {
  const SshConfigNames names = read_ssh_config_names(
      "# Host not-this\n"
      "Host one two *.example !three four? \"five\" # not-this-either\n"
      "  HostName not-a-name\n"
      "\thost=six\n"
      "HOST = seven\r\n"
      "Host\n"
      "Hosts eight\n"
      "Match host nine\n"
      "Host -oProxyCommand=x a;b $(c) \x1b[2J ok\n"
      "Include one.conf \"two files.conf\"\n"
      "Host last");
  EXPECT_EQ(names.hosts, (Words{"one", "two", "five", "six", "seven", "ok", "last"}));
  EXPECT_EQ(names.includes, (Words{"one.conf", "two files.conf"}));
}

TEST(SshConfigHosts, FollowIncludes) {
  const test::TempDir home;
  const std::string ssh = home.make_dir(".ssh");
  home.make_dir(".ssh/conf.d");
  home.write(".ssh/conf.d/a.conf", "Host from-glob-a\n");
  home.write(".ssh/conf.d/b.conf", "Host from-glob-b\nInclude ~/tilde.conf\n");
  home.write("tilde.conf", "Host from-tilde\n");
  const std::string absolute = home.write("absolute.conf", "Host from-absolute\n");
  home.write(".ssh/config", "Include conf.d/*.conf " + absolute + " missing.conf\nHost direct direct\n");
  SshConfigHosts hosts;
  hosts.read(ssh + "/config", home.path(), ssh);
  EXPECT_EQ(hosts.hosts(),
            (std::set<std::string>{"direct", "from-absolute", "from-glob-a", "from-glob-b", "from-tilde"}));
}

TEST(SshConfigHosts, EndWhateverTheFilesAre) {
  const test::TempDir home;
  home.write("circle", "Host in-circle\nInclude " + home.file("circle") + "\n");
  ASSERT_EQ(::mkfifo(home.file("fifo").c_str(), 0600), 0);
  home.make_dir("directory");
  home.write("huge", std::string(SshConfigHosts::kMaxFileSize, '\n') + "Host beyond\n");
  SshConfigHosts hosts;
  for (const char* name : {"circle", "fifo", "directory", "huge", "missing"})
    hosts.read(home.file(name), home.path(), home.path());
  EXPECT_EQ(hosts.hosts(), std::set<std::string>{"in-circle"});

  std::string many = "Host";
  for (std::size_t i = 0; i < SshConfigHosts::kMaxHosts + 5; ++i) many += " h" + std::to_string(i);
  home.write("many", many + "\n");
  hosts.read(home.file("many"), home.path(), home.path());
  EXPECT_EQ(hosts.hosts().size(), SshConfigHosts::kMaxHosts);
}

}  // namespace
}  // namespace jump::ctl
