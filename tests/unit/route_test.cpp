// What a HOST may be, and what `ssh -G` answers.
#include <gtest/gtest.h>

#include "route/host_name.h"
#include "route/ssh_config.h"

namespace jump {
namespace {

TEST(HostName, GoodOnes) {
  struct Case {
    const char* text;
    const char* user;
    const char* host;
    int port;  // 0: none
  };
  for (const Case& each :
       {Case{"prod", "", "prod", 0}, Case{"me@prod", "me", "prod", 0}, Case{"prod:22", "", "prod", 22},
        Case{"me@10.0.0.1:2222", "me", "10.0.0.1", 2222}, Case{"[::1]:22", "", "::1", 22},
        Case{"fe80::1", "", "fe80::1", 0}, Case{"[fe80::1%eth0]", "", "fe80::1%eth0", 0},
        Case{"user@realm@host", "user@realm", "host", 0}, Case{"h:65535", "", "h", 65535}}) {
    auto name = HostName::parse(each.text);
    ASSERT_TRUE(name) << each.text << ": " << name.error().message;
    EXPECT_EQ(name->user, each.user) << each.text;
    EXPECT_EQ(name->host, each.host) << each.text;
    EXPECT_EQ(name->port.value_or(0), each.port) << each.text;
  }
}

TEST(HostName, BadOnesAreRefusedWithTheReason) {
  for (const char* text : {"", "@host", "user@", "-oProxyCommand=x", "a b", "host:", "host:0", "host:65536",
                           "host:2x", "[::1", "[::1]x", "h;rm", "$(x)", "a\nb", "-l@host", "[]:22"}) {
    auto name = HostName::parse(text);
    ASSERT_FALSE(name) << text;
    EXPECT_EQ(name.error().code, Errc::kInvalid);
    EXPECT_FALSE(name.error().hint.empty());
  }
}

LocalUser alice() { return LocalUser{"alice", "/home/alice", "/run/agent.sock"}; }

TEST(SshConfigDump, BecomesASpec) {
  auto spec = parse_ssh_config_dump(
      "host prod\nuser deploy\nhostname 10.0.0.5\nport 2222\nidentitiesonly yes\nserveraliveinterval 7\n"
      "serveralivecountmax 2\nconnecttimeout 9\nidentityfile ~/.ssh/id_%h\nidentityfile /a b/%%key\n"
      "userknownhostsfile /tmp/a b/kh ~/.ssh/known_hosts2\nglobalknownhostsfile none\nhostkeyalias prod-key\n"
      "identityagent /tmp/%u.sock\nproxyjump none\n",
      "prod", alice());
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->alias, "prod");
  EXPECT_EQ(spec->describe(), "prod (deploy@10.0.0.5:2222)");
  EXPECT_EQ(spec->identity_files, (std::vector<std::string>{"/home/alice/.ssh/id_10.0.0.5", "/a b/%key"}));
  EXPECT_EQ(spec->known_hosts_files,
            (std::vector<std::string>{"/tmp/a b/kh", "/home/alice/.ssh/known_hosts2"}));
  EXPECT_TRUE(spec->identities_only);
  EXPECT_EQ(spec->identity_agent, "/tmp/alice.sock");
  EXPECT_EQ(spec->connect_timeout, seconds(9));
  EXPECT_EQ(spec->alive_interval, seconds(7));
  EXPECT_EQ(spec->alive_count_max, 2);
  EXPECT_EQ(spec->known_hosts_name(), "prod-key");
  EXPECT_EQ(spec->known_hosts_port(), 22);
}

TEST(SshConfigDump, TheAgentIsTheEnvironmentsUnlessSaidOtherwise) {
  auto agent = [](const std::string& line) {
    return parse_ssh_config_dump("hostname h\n" + line, "h", alice())->identity_agent;
  };
  EXPECT_EQ(agent(""), "/run/agent.sock");
  EXPECT_EQ(agent("identityagent SSH_AUTH_SOCK\n"), "/run/agent.sock");
  EXPECT_EQ(agent("identityagent none\n"), "");
  EXPECT_EQ(agent("identityagent ~/agent\n"), "/home/alice/agent");
}

TEST(SshConfigDump, WhatWouldChangeTheWayThereIsRefusedNotIgnored) {
  for (const char* line :
       {"proxyjump gate\n", "proxycommand nc %h %p\n", "revokedhostkeys /etc/ssh/revoked\n",
        "pubkeyauthentication false\n", "preferredauthentications password\n"}) {
    auto spec = parse_ssh_config_dump(std::string("hostname h\n") + line, "h", alice());
    ASSERT_FALSE(spec);
    EXPECT_EQ(spec.error().code, Errc::kUnsupported);
  }
}

TEST(SshConfigDump, NonsenseIsAnErrorAndOddNumbersAreDefaults) {
  EXPECT_FALSE(parse_ssh_config_dump("", "h", alice()));
  EXPECT_FALSE(parse_ssh_config_dump("hostname\n\n \n", "h", alice()));
  auto spec = parse_ssh_config_dump("hostname h\nport 99999\nserveralivecountmax -3\n", "h", alice());
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->port, 22);
  EXPECT_EQ(spec->alive_count_max, 1);
  EXPECT_EQ(spec->user, "alice");
}

}  // namespace
}  // namespace jump
