// What a HOST may be, and what `ssh -G` answers.
#include "route/route.h"

#include <gtest/gtest.h>

#include <map>

#include "route/host_name.h"
#include "route/spec_from_config.h"
#include "support/sim_io.h"

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
        Case{"user@realm@host", "user@realm", "host", 0}, Case{"h:65535", "", "h", 65535},
        Case{"ssh://me@h:22/", "me", "h", 22}}) {
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

LocalUser alice() { return LocalUser{"alice", "/home/alice", "/run/agent.sock", {}}; }

TEST(SshConfigDump, BecomesASpec) {
  auto spec = parse_ssh_config_dump(
      "host prod\nuser deploy\nhostname 10.0.0.5\nport 2222\nidentitiesonly yes\nserveraliveinterval 7\n"
      "serveralivecountmax 2\nconnecttimeout 9\nidentityfile ~/.ssh/id_%h\nidentityfile /a b/%%key\n"
      "userknownhostsfile /tmp/a b/kh ~/.ssh/known_hosts2\nglobalknownhostsfile none\nhostkeyalias prod-key\n"
      "identityagent /tmp/alice.sock\nproxyjump none\n",
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

// As `ssh -G -o ControlPath=%l/%L/%C` of OpenSSH 9.2 prints it, the lines that matter.
constexpr const char* kRecorded =
    "host tok\nuser bob\nhostname real.example\nport 2022\naddressfamily inet\nbatchmode yes\ncheckhostip "
    "no\n"
    "compression yes\nhashknownhosts yes\nkbdinteractiveauthentication no\npasswordauthentication no\n"
    "pubkeyauthentication true\nstricthostkeychecking accept-new\ntcpkeepalive no\nupdatehostkeys ask\n"
    "connectionattempts 3\nnumberofpasswordprompts 1\nbindaddress 127.0.0.1\nbindinterface lo\n"
    "ciphers aes256-ctr\nmacs hmac-sha2-256\ncontrolpath vm.example/vm/8ab42b\nhostkeyalias key_%h\n"
    "identityagent /home/alice/.ag_%h\nkexalgorithms curve25519-sha256\npreferredauthentications "
    "publickey,password\n"
    "revokedhostkeys ~/.rk_%h\ndynamicforward 1080\nlocalforward 8080 [a]:80\nlocalforward /tmp/x [b]:80\n"
    "remoteforward 9 [b]:80\nremoteforward 10 [socks]:0\nidentityfile "
    "~/.ssh/id_%h_%p_%r_%d_%u_%C_%L_%l_%%_%n_%k\n"
    "certificatefile ~/.ssh/cert_%h\nglobalknownhostsfile /x\nuserknownhostsfile /home/alice/kh_%h /b c/d\n"
    "sendenv LANG\nsendenv LC_*\nsetenv A=b\nsetenv C=d e\nforwardagent yes\nconnecttimeout 5\n"
    "ipqos af21 cs1\nrekeylimit 1073741824 0\nproxycommand nc %h %p %r %n %% %d\n";

constexpr const char* kRecordedDefaults =
    "ciphers aes128-ctr\nmacs hmac-sha2-256\nkexalgorithms curve25519-sha256,x\nipqos lowdelay throughput\n"
    "rekeylimit 0 0\nuserknownhostsfile /home/alice/.ssh/known_hosts\n";

TEST(SshConfigDump, EveryOptionArrivesAndTokensAreExpandedOnce) {
  ConfigDump defaults{std::string_view(kRecordedDefaults)};
  auto spec = parse_ssh_config_dump(kRecorded, "tok", alice(), defaults);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->identity_files,
            std::vector<std::string>{"/home/alice/.ssh/id_real.example_2022_bob_/home/alice_alice_8ab42b_vm_"
                                     "vm.example_%_tok_key_%h"});
  EXPECT_EQ(spec->certificate_files, std::vector<std::string>{"/home/alice/.ssh/cert_real.example"});
  // ssh has expanded these, so what looks like a token is part of the name.
  EXPECT_EQ(spec->identity_agent, "/home/alice/.ag_%h");
  EXPECT_EQ(spec->known_hosts_files, (std::vector<std::string>{"/home/alice/kh_%h", "/b c/d", "/x"}));
  EXPECT_EQ(spec->user_known_hosts_files, 2u);
  EXPECT_EQ(spec->host_key_alias, "key_%h");
  EXPECT_EQ(spec->revoked_host_keys, "/home/alice/.rk_real.example");
  EXPECT_EQ(spec->proxy_command, "nc real.example 2022 bob tok % %d");
  EXPECT_EQ(spec->address_family, AddressFamily::kIpv4);
  EXPECT_EQ(spec->bind_address, "127.0.0.1");
  EXPECT_EQ(spec->bind_interface, "lo");
  EXPECT_EQ(spec->connection_attempts, 3);
  EXPECT_FALSE(spec->tcp_keep_alive);
  EXPECT_EQ(spec->traffic_class, 0x48);
  EXPECT_EQ(spec->connect_timeout, seconds(5));
  EXPECT_EQ(spec->ciphers, "aes256-ctr");
  EXPECT_EQ(spec->macs, "") << "ssh's default is not the user's choice";
  EXPECT_EQ(spec->kex_algorithms, "curve25519-sha256");
  EXPECT_EQ(spec->strict_host_key_checking, StrictHostKeyChecking::kAcceptNew);
  EXPECT_EQ(spec->update_host_keys, UpdateHostKeys::kAsk);
  EXPECT_TRUE(spec->hash_known_hosts && spec->batch_mode && spec->pubkey_authentication);
  EXPECT_FALSE(spec->password_authentication || spec->kbd_interactive_authentication);
  EXPECT_EQ(spec->number_of_password_prompts, 1);
  EXPECT_EQ(spec->preferred_authentications, (std::vector<std::string>{"publickey", "password"}));
  EXPECT_EQ(spec->send_env, (std::vector<std::string>{"LANG", "LC_*"}));
  EXPECT_EQ(spec->set_env, (std::vector<std::string>{"A=b", "C=d e"}));
  EXPECT_EQ(spec->offered_forwards, (std::vector<std::string>{"-L 8080:[a]:80", "-L /tmp/x:[b]:80",
                                                              "-R 9:[b]:80", "-R 10", "-D 1080"}));
}

TEST(SshConfigDump, WhatIsNotHonouredIsSaid) {
  ConfigDump defaults{std::string_view(kRecordedDefaults)};
  auto spec = parse_ssh_config_dump(kRecorded, "tok", alice(), defaults);
  ASSERT_TRUE(spec);
  std::string all;
  for (const std::string& line : spec->ignored) all += line + "\n";
  for (const char* option :
       {"Compression", "RekeyLimit", "jumpctl forward --via tok '8080:[a]:80'",
        "jumpctl forward --via tok '/tmp/x:[b]:80'", "jumpctl reverse --via tok '9:[b]:80'",
        "jumpctl reverse --via tok 10", "jumpctl socks --via tok 1080"}) {
    EXPECT_NE(all.find(option), std::string::npos) << option << " is not in\n" << all;
  }
  EXPECT_EQ(all.find("ForwardAgent"), std::string::npos) << "sessions honour it:\n" << all;
  EXPECT_TRUE(
      parse_ssh_config_dump("hostname h\ncompression no\ntunnel false\n", "h", alice())->ignored.empty());
}

TEST(SshConfigDump, AMissingVariableIsSaidAndItsFileLeftOut) {
  auto spec =
      parse_ssh_config_dump("hostname h\nidentityfile ${JUMP_NO_SUCH}/k\nidentityfile /k\n", "h", alice());
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->identity_files, std::vector<std::string>{"/k"});
  ASSERT_EQ(spec->ignored.size(), 1u);
  EXPECT_EQ(spec->ignored[0], "IdentityFile ${JUMP_NO_SUCH}/k: the agent's environment has no JUMP_NO_SUCH");
}

TEST(SshConfigDump, FilesMayBeInTheHomesOfOthers) {
  constexpr const char* kDump =
      "hostname h\nescapechar ~\nidentityfile ~bob/.ssh/id\nidentityfile ~/own\nidentityfile "
      "~nobody-here/id\n"
      "certificatefile ~eve/cert\nuserknownhostsfile ~bob/known ~/known\n";
  EXPECT_EQ(users_of_files(ConfigDump(kDump)), (std::set<std::string>{"bob", "eve", "nobody-here"}));
  LocalUser user = alice();
  user.homes = {{"bob", "/home/bob"}, {"eve", "/eve"}};
  auto spec = parse_ssh_config_dump(kDump, "h", user);
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->identity_files, (std::vector<std::string>{"/home/bob/.ssh/id", "/home/alice/own"}));
  EXPECT_EQ(spec->certificate_files, std::vector<std::string>{"/eve/cert"});
  EXPECT_EQ(spec->known_hosts_files, (std::vector<std::string>{"/home/bob/known", "/home/alice/known"}));
  EXPECT_EQ(spec->ignored,
            std::vector<std::string>{"IdentityFile ~nobody-here/id: there is no user nobody-here"});
}

TEST(SshConfigDump, WhatWouldChangeTheWayThereIsRefusedNotIgnored) {
  for (const char* line : {"proxycommand -\n", "proxycommand nc %h\nproxyusefdpass yes\n"}) {
    auto spec = parse_ssh_config_dump(std::string("hostname h\n") + line, "h", alice());
    ASSERT_FALSE(spec);
    EXPECT_EQ(spec.error().code, Errc::kUnsupported);
  }
}

TEST(SshConfigDump, AProxyCommandThatAsksThisAgentIsAProxyJump) {
  for (const char* line :
       {"proxycommand jumpctl proxy --fdpass --via bastion %h %p\nproxyusefdpass yes\n",
        "proxycommand jumpctl proxy --via=bastion %h %p\n",
        "proxycommand exec '/opt/my %% tools/jumpctl' --socket \"/run/a b.sock\" proxy --via bastion 'h' 22\n"}) {
    auto spec = parse_ssh_config_dump(std::string("hostname h\n") + line, "web", alice());
    ASSERT_TRUE(spec) << line << spec.error().message;
    EXPECT_EQ(spec->proxy_jump, "bastion") << line;
    EXPECT_EQ(spec->proxy_command, "") << line;
  }
}

TEST(SshConfigDump, OtherProxyCommandsStay) {
  for (const char* command : {"jumpctl proxy h 22", "jumpctl proxy --via b other 22", "jumpctl proxy --via b h 23",
                              "jumpctl proxy --via b h 22 | tee log", "jumpctl proxy --via $B h 22",
                              "myjumpctl proxy --via b h 22", "jumpctl --verbose proxy --via b h 22",
                              "jumpctl proxy --via b h 22 '", "jumpctl proxy h 22 --via", "jumpctl forward 1 2"}) {
    auto spec = parse_ssh_config_dump(std::string("hostname h\nproxycommand ") + command + "\n", "h", alice());
    ASSERT_TRUE(spec) << command;
    EXPECT_EQ(spec->proxy_command, command);
    EXPECT_EQ(spec->proxy_jump, "");
  }
}

TEST(SshConfigDump, SaysWhatIsMissingOfAProxyCommandThatAsksThisAgent) {
  auto spec = parse_ssh_config_dump(
      "hostname h\nproxycommand jumpctl proxy --fdpass %h %p\nproxyusefdpass yes\n", "web", alice());
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().code, Errc::kUnsupported);
  EXPECT_NE(spec.error().hint.find("add --via HOST"), std::string::npos) << spec.error().hint;
}

TEST(HopSpec, NamesDoNotMakeAnotherConnectionButAnythingElseDoes) {
  auto one = parse_ssh_config_dump("hostname h\nuser u\n", "a", alice());
  auto two = parse_ssh_config_dump("hostname h\nuser u\n", "b", alice());
  EXPECT_TRUE(one->same_connection(*two));
  two->identity_files = {"/other"};
  EXPECT_FALSE(one->same_connection(*two));
}

// --- routes
// ------------------------------------------------------------------------------------------------------

// An ssh that knows some hosts and their ProxyJump; -J replaces it, as ssh's does.
struct FakeConfig {
  test::SimIo io;
  std::map<std::string, std::string> jumps;

  FakeConfig(std::map<std::string, std::string> known) : jumps(std::move(known)) {
    io.on_command("ssh", [this](const Command& command) -> Result<CommandOutput> {
      std::string host = command.argv.back(), jump = jumps[host];
      for (std::size_t i = 0; i + 1 < command.argv.size(); ++i) {
        if (command.argv[i] == "-J") jump = command.argv[i + 1];
      }
      CommandOutput output;
      output.out =
          "hostname " + host + ".example\nuser u\n" + (jump.empty() ? "" : "proxyjump " + jump + "\n");
      return output;
    });
  }
  // "a b target", or the error.
  std::string route(const std::string& name) {
    RouteFinder finder(io, "");
    std::string text = "no answer";
    auto search = finder.find(name, "", [&](Result<Route> route) {
      if (!route) {
        text = route.error().message;
        return;
      }
      text.clear();
      for (const auto& step : route->steps) text += (text.empty() ? "" : " > ") + step.title();
    });
    io.settle();
    return text;
  }
};

TEST(RouteFinder, GoesAsSshDoes) {
  FakeConfig config({{"one", ""},
                     {"two", "one"},
                     {"three", "two"},
                     {"list", "two,x,y"},
                     {"y", "never-asked"},
                     {"token", "gw-%h,%r@z:77"}});
  EXPECT_EQ(config.route("one"), "one");
  EXPECT_EQ(config.route("three"), "one > two > three");
  EXPECT_EQ(config.route("list"), "one > two > x via two > y via two,x > list");
  EXPECT_EQ(config.route("token"), "gw-token.example > u@z:77 via gw-token.example > token");
}

TEST(RouteFinder, CirclesAreShownAndLengthIsBounded) {
  std::map<std::string, std::string> long_way;
  for (int i = 0; i < 40; ++i) long_way["h" + std::to_string(i)] = "h" + std::to_string(i + 1);
  long_way["a"] = "b";
  long_way["b"] = "x,c";
  long_way["x"] = "a";
  long_way["self"] = "self";
  FakeConfig config(long_way);
  EXPECT_EQ(config.route("a"), "a: ProxyJump leads in a circle: a → b → c → x → a");
  EXPECT_EQ(config.route("self"), "self: ProxyJump leads in a circle: self → self");
  EXPECT_EQ(config.route("h0").find("h0: more than 16 hosts on the way: h0 → h1"), 0u) << config.route("h0");
}

// Debian's ssh: a script is to notice a dead server within a quarter of an hour. We do sooner.
TEST(SshConfigDump, TheAliveIntervalOfBatchModeIsNobodysChoice) {
  const auto interval = [](const std::string& lines) {
    auto spec = parse_ssh_config_dump("hostname h\n" + lines, "h", alice());
    return spec ? spec->alive_interval : seconds(-1);
  };
  EXPECT_EQ(interval("batchmode yes\nserveraliveinterval 300\n"), seconds(0));
  EXPECT_EQ(interval("batchmode yes\nserveraliveinterval 299\n"), seconds(299));
  EXPECT_EQ(interval("batchmode no\nserveraliveinterval 300\n"), seconds(300));
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
