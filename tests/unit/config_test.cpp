// The config file: every key, every kind of mistake with its place, and what a reload makes of a difference.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "config/agent_config.h"
#include "config/config_change.h"
#include "config/quantity.h"

namespace jump {
namespace {

AgentConfig good(const std::string& text) {
  auto parsed = AgentConfig::parse(text, "/home/me/config.toml");
  if (auto* errors = std::get_if<ConfigErrors>(&parsed)) {
    ADD_FAILURE() << summary("config.toml", *errors).message;
    return {};
  }
  return std::get<AgentConfig>(parsed);
}

// Every error as a person reads it.
std::vector<std::string> wrong(const std::string& text) {
  auto parsed = AgentConfig::parse(text, "/home/me/config.toml");
  std::vector<std::string> lines;
  if (auto* errors = std::get_if<ConfigErrors>(&parsed)) {
    for (const ConfigError& each : *errors) lines.push_back(each.to_string("f"));
  }
  return lines;
}

TEST(AgentConfig, AnEmptyFileIsTheDefaults) {
  const AgentConfig config = good("");
  EXPECT_EQ(config.file, "/home/me/config.toml");
  EXPECT_TRUE(config.default_via.empty() && config.connect.empty() && config.forwards.empty());
  EXPECT_TRUE(config.routes.routes().empty());
  EXPECT_EQ(config.login_wait, seconds(60));
  EXPECT_EQ(config.forward_limits.host_wait, ForwardLimits{}.host_wait);
  EXPECT_EQ(config.window_memory, WindowBudget::kDefaultCap);
  EXPECT_TRUE(config.lanes);
  EXPECT_EQ(config.log_level, log::Level::kInfo);
}

TEST(AgentConfig, EveryKeyIsTaken) {
  const AgentConfig config = good(R"(
default_via = "gate"
connect = ["gate", "me@other:2222", "gate"]
lanes = false
log_level = "debug"
[[route]]
to = ["*.prod.example", "!db.prod.example"]
via = "prod"
[[forward]]
spec = "8080:svc:80"
via = "other"
name = "web"
prewarm = 3
[[forward]]
spec = "/tmp/x.sock:a.prod.example:80"
[timeouts]
login = "2m"
bastion = "500ms"
open = "7s"
[limits]
clients = 3
forwards = 4
connections = 5
window_memory = "64MiB"
)");
  EXPECT_EQ(config.default_via, "gate");
  EXPECT_EQ(config.connect, (std::vector<std::string>{"gate", "me@other:2222"}));
  EXPECT_FALSE(config.lanes);
  EXPECT_EQ(config.log_level, log::Level::kDebug);
  ASSERT_EQ(config.routes.routes().size(), 1u);
  EXPECT_EQ(config.routes.routes()[0].via, "prod");
  ASSERT_EQ(config.forwards.size(), 2u);
  EXPECT_EQ(config.forwards[0].spec, "8080:svc:80");
  EXPECT_EQ(config.forwards[0].via, "other");
  EXPECT_EQ(config.forwards[0].via_rule, "");
  EXPECT_EQ(config.forwards[0].name, "web");
  EXPECT_EQ(config.forwards[0].prewarm, 3u);
  EXPECT_EQ(config.forwards[1].via, "prod");
  EXPECT_EQ(config.forwards[1].via_rule, "route \"*.prod.example\" in config.toml:7");
  EXPECT_EQ(config.login_wait, seconds(120));
  EXPECT_EQ(config.forward_limits.host_wait, milliseconds(500));
  EXPECT_EQ(config.forward_limits.open_timeout, seconds(7));
  EXPECT_EQ(config.forward_limits.max_connections, 5u);
  EXPECT_EQ(config.max_clients, 3u);
  EXPECT_EQ(config.max_forwards, 4u);
  EXPECT_EQ(config.window_memory, 64u << 20);
}

TEST(AgentConfig, TheExampleIsGood) {
  std::ifstream in(JUMPAGENT_SOURCE_DIR "/contrib/config.example.toml");
  std::ostringstream text;
  text << in.rdbuf();
  ASSERT_FALSE(text.str().empty());
  const AgentConfig config = good(text.str());
  EXPECT_EQ(config.routes.routes().size(), 2u);
  EXPECT_EQ(config.forwards.size(), 2u);
}

// What the example shows as defaults are the defaults.
TEST(AgentConfig, TheExamplesCommentedLinesAreGoodToo) {
  std::ifstream in(JUMPAGENT_SOURCE_DIR "/contrib/config.example.toml");
  std::string text;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("# ") && line.find(" = ") != std::string::npos &&
        line.find("`") == std::string::npos) {
      line.erase(0, 2);
    }
    text += line + "\n";
  }
  const AgentConfig config = good(text);
  EXPECT_EQ(config.login_wait, AgentConfig{}.login_wait);
  EXPECT_EQ(config.forward_limits.host_wait, ForwardLimits{}.host_wait);
  EXPECT_EQ(config.forward_limits.open_timeout, ForwardLimits{}.open_timeout);
  EXPECT_EQ(config.forward_limits.max_connections, ForwardLimits{}.max_connections);
  EXPECT_EQ(config.max_clients, AgentConfig{}.max_clients);
  EXPECT_EQ(config.window_memory, WindowBudget::kDefaultCap);
}

struct Mistake {
  const char* text;
  const char* error;  // the beginning, after "f:"
};
std::ostream& operator<<(std::ostream& out, const Mistake& mistake) { return out << mistake.text; }

class ConfigMistake : public testing::TestWithParam<Mistake> {};

TEST_P(ConfigMistake, IsToldWithItsPlace) {
  const auto errors = wrong(GetParam().text);
  ASSERT_EQ(errors.size(), 1u) << testing::PrintToString(errors);
  EXPECT_TRUE(errors[0].starts_with(std::string("f:") + GetParam().error)) << errors[0];
}

INSTANTIATE_TEST_SUITE_P(
    Of, ConfigMistake,
    testing::Values(
        Mistake{"via = bastion", "1:7: not TOML: "},
        Mistake{"a = [\"b\", }", " not TOML: a comma, bracket or brace stands where"},
        Mistake{"\n[[~a]]", "2:1: not TOML: a table's header is [name] or [[name]]"},
        Mistake{"lanes = true\n  \xef\xb3\xbf = 1",
                "2:3: characters other than ASCII may stand in comments only"},
        Mistake{"default_via = \"\xc3\xb6\"", "1:15: characters other than ASCII may stand in comments only"},
        Mistake{"default_via = \"\"\"\na\"\"\"", "1:15: no setting is a multi-line string"},
        Mistake{"\xef\xbb\xbf [ \n", "1:1: not TOML: a table's header is [name] or [[name]]"},
        Mistake{"\ndefualt_via = 'a'", "2:1: unknown key 'defualt_via'; did you mean 'default_via'?"},
        Mistake{"[limits]\nfrobnicate = 1",
                "2:1: unknown key 'frobnicate' in limits; the keys here are clients, "},
        Mistake{"default_via = 7", "1:15: default_via: expected a host's name, a string, found an integer"},
        Mistake{"default_via = '-oX'", "1:15: default_via: '-oX' is not a host"},
        Mistake{"connect = [\n 'a',\n 2]", "3:2: connect: expected strings, found an integer"},
        Mistake{"connect = ['a b']", "1:12: connect: 'a b' is not a host"},
        Mistake{"connect = true", "1:11: connect: expected an array of strings, found a boolean"},
        Mistake{"lanes = 'yes'", "1:9: lanes: expected true or false, found a string"},
        Mistake{"log_level = 'loud'", "1:13: log_level: 'loud' is not a log level; the levels are trace, "},
        Mistake{"[route]\nto = 'a'\nvia = 'b'",
                "1:1: route: expected tables, found a table; write [[route]]"},
        Mistake{"route = 1", "1:9: route: expected tables, found an integer"},
        Mistake{"[[route]]\nvia = 'b'", "1:1: route.to is missing; as in to = "},
        Mistake{"[[route]]\nto = 'a'", "1:1: route.via is missing; as in via = "},
        Mistake{"[[route]]\nvia = 'b'\nto = ['!a']", "3:6: route.to: nothing fits it"},
        Mistake{
            "[[route]]\nvia = 'b'\nto = ['a', '10.0.0.1/8']",
            "3:12: route.to: '10.0.0.1/8' is not a destination: the network that it lies in is 10.0.0.0/8; "},
        Mistake{"[[forward]]\nvia = 'b'", "1:1: forward.spec is missing; as in spec = "},
        Mistake{"[[forward]]\nvia = 'b'\nspec = '1:a:2'\nkind = 'socks'",
                "4:8: forward.kind: there is no kind 'socks'; local, remote or dynamic"},
        Mistake{
            "[[forward]]\nvia = 'b'\nkind = 'remote-dynamic'\nspec = '1080'",
            "3:8: forward.kind: 'remote-dynamic' is what a remote forward without a target is called; write "
            "kind = \"remote\", and only a port as the spec: spec = \"1080\""},
        Mistake{"[[forward]]\nvia = 'b'\nspec = '80'",
                "3:8: forward.spec: forward '80': the target is missing"},
        Mistake{"[[forward]]\nvia = 'b'\nspec = 'x/y:a:80'",
                "3:8: forward.spec: the path to listen on must be "},
        Mistake{"[[forward]]\nvia = 'b'\nspec = '1:a:2'\nname = 'f1'", "4:8: forward.name: 'f1' cannot be "},
        Mistake{"[[forward]]\nvia = 'b'\nspec = '1:a:2'\nprewarm = 65",
                "4:11: forward.prewarm: 65 is not within 0 to 64"},
        Mistake{"[[forward]]\nvia = 'b'\nspec = '1:a:2'\nprewarm = -1",
                "4:11: forward.prewarm: -1 is not within 0 to 64"},
        Mistake{"[[forward]]\nspec = '1:a:2'", "1:1: forward 1:a:2 has no host; add via = "},
        Mistake{"[[forward]]\nvia='b'\nspec='1:a:2'\n[[forward]]\nvia='c'\nspec='1:d:2'",
                "4:1: forward.spec: localhost:1 is also where it listens: the [[forward]] in line 1"},
        Mistake{"[[forward]]\nvia='b'\nspec='1:a:2'\nname='n'\n[[forward]]\nvia='c'\nspec='2:d:2'\nname='n'",
                "5:1: forward.name: it is also the name of the [[forward]] in line 1"},
        Mistake{"[[forward]]\nvia='b'\nspec='0:a:2'\n[[forward]]\nvia='b'\nspec='0:a:2'",
                "4:1: forward.spec: it is the same as the [[forward]] in line 1"},
        Mistake{"[timeouts]\nlogin = 10",
                "2:9: timeouts.login: expected a duration such as \"10s\", found an integer"},
        Mistake{"[timeouts]\nlogin = '10'", "2:9: timeouts.login: '10' is not a duration; write \"500ms\""},
        Mistake{"[timeouts]\nlogin = '25h'", "2:9: timeouts.login: 25h is not within 1ms to 24h"},
        Mistake{"[timeouts]\nopen = '0s'", "2:8: timeouts.open: 0s is not within 1ms to 24h"},
        Mistake{"[limits]\nclients = 0", "2:11: limits.clients: 0 is not within 1 to 4096"},
        Mistake{"[limits]\nclients = 1.5", "2:11: limits.clients: expected an integer, found a number with"},
        Mistake{"[limits]\nwindow_memory = '1MB'",
                "2:17: limits.window_memory: '1MB' is not a size; write \"512MiB\""},
        Mistake{"[limits]\nwindow_memory = '1MiB'",
                "2:17: limits.window_memory: 1MiB is not within 16MiB to 64GiB"},
        Mistake{"limits = []", "1:10: limits: expected a table, found an array; write [limits]"}));

TEST(AgentConfig, AllMistakesAreToldInTheOrderOfTheFile) {
  const auto errors = wrong("lanes = 1\n[[forward]]\nspec = 'x'\nvai = 'b'\n[limits]\nclients = 0\n");
  ASSERT_EQ(errors.size(), 4u) << testing::PrintToString(errors);
  EXPECT_TRUE(errors[0].starts_with("f:1:9: lanes")) << errors[0];
  EXPECT_TRUE(errors[1].starts_with("f:3:8: forward.spec")) << errors[1];
  EXPECT_EQ(errors[2], "f:4:1: unknown key 'vai' in forward; did you mean 'via'?");
  EXPECT_TRUE(errors[3].starts_with("f:6:11: limits.clients")) << errors[3];
}

TEST(AgentConfig, CommentsMayHoldAnyTextAndStringsMayMeanIt) {
  const AgentConfig config = good(
      "# J\xc3\xb6rg's \"\"\" [~ .\n[[forward]]\nvia = 'b'\nspec = \"/home/j\\u00f6rg/\\\"x#:a:80\" # "
      "\xef\xb3\xbf\n");
  ASSERT_EQ(config.forwards.size(), 1u);
  EXPECT_EQ(config.forwards[0].listen.path, "/home/j\xc3\xb6rg/\"x#");
}

TEST(AgentConfig, NestingWithoutEndIsRefusedNotFollowed) {
  std::string key = "a";
  for (int i = 0; i < 100'000; ++i) key += ".a";
  EXPECT_EQ(wrong(key + " = 1"), (std::vector<std::string>{"f:1:130: more than 64 dots in one key"}));
  EXPECT_EQ(wrong("a = " + std::string(1000, '[')).size(), 1u);
}

TEST(Quantity, DurationsAndSizes) {
  EXPECT_EQ(*parse_duration("500ms"), milliseconds(500));
  EXPECT_EQ(*parse_duration("10 s"), seconds(10));
  EXPECT_EQ(*parse_duration("1h"), seconds(3600));
  for (const char* text :
       {"", "s", "10", "-1s", "1.5s", "10 sec", "99999999999999999999s", "9999999999999h"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
  EXPECT_EQ(*parse_size("3KiB"), 3072u);
  EXPECT_FALSE(parse_size("3KB"));
  EXPECT_EQ(duration_text(seconds(90)), "90s");
  EXPECT_EQ(duration_text(seconds(120)), "2m");
  EXPECT_EQ(size_text(64u << 20), "64MiB");
}

// --- what a reload changes ---

TEST(ConfigChange, OnlyWhatDiffersIsNewOrGone) {
  const std::string kept = "[[forward]]\nspec='1:a:1'\nvia='h'\n";
  const AgentConfig before = good("connect=['h','i']\n" + kept + "[[forward]]\nspec='2:a:2'\nvia='h'\n");
  const AgentConfig after =
      good("connect=['i','j']\nlanes=false\n[[forward]]\nspec='3:a:3'\nvia='h'\n" + kept + "\n");
  const ConfigChange change = difference(before, after);
  ASSERT_EQ(change.new_forwards.size(), 1u);
  EXPECT_EQ(change.new_forwards[0].spec, "3:a:3");
  ASSERT_EQ(change.gone_forwards.size(), 1u);
  EXPECT_EQ(change.gone_forwards[0].spec, "2:a:2");
  EXPECT_EQ(change.new_connects, std::vector<std::string>{"j"});
  EXPECT_EQ(change.gone_connects, std::vector<std::string>{"h"});
  EXPECT_EQ(change.needs_restart, std::vector<std::string>{"lanes"});
}

TEST(ConfigChange, AnotherNameHostOrPrewarmIsAnotherForward) {
  const auto with = [](const std::string& more) { return good("[[forward]]\nspec='1:a:1'\n" + more); };
  const AgentConfig before = with("via='h'");
  for (const char* more : {"via='i'", "via='h'\nname='n'", "via='h'\nprewarm=1"}) {
    EXPECT_EQ(difference(before, with(more)).new_forwards.size(), 1u) << more;
  }
  // Where the host comes from is of no matter, only which it is.
  EXPECT_TRUE(difference(before, with("[[route]]\nto='*'\nvia='h'")).new_forwards.empty());
}

}  // namespace
}  // namespace jump
