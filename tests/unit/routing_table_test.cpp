// Which host carries a forward to which target.
#include <gtest/gtest.h>

#include "config/route_choice.h"

namespace jump {
namespace {

bool fits(const char* pattern, const char* host, std::uint16_t port = 80) {
  auto parsed = DestinationPattern::parse(pattern);
  EXPECT_TRUE(parsed) << pattern;
  return parsed && parsed->matches(Endpoint{host, port, {}});
}

TEST(DestinationPattern, WildcardsAreOverTheWholeNameInAnyCase) {
  EXPECT_TRUE(fits("*.prod.example", "a.b.PROD.example"));
  EXPECT_TRUE(fits("*.Prod.example", "a.prod.example."));
  EXPECT_FALSE(fits("*.prod.example", "prod.example"));
  EXPECT_FALSE(fits("prod", "prod.example"));
  EXPECT_TRUE(fits("db?", "db1"));
  EXPECT_TRUE(fits("10.20.*", "10.20.3.4"));
  EXPECT_TRUE(fits("2001:db8:*", "2001:db8::1"));
}

TEST(DestinationPattern, NetworksFitAddressesInAnySpelling) {
  EXPECT_TRUE(fits("10.20.0.0/16", "10.20.255.1"));
  EXPECT_FALSE(fits("10.20.0.0/16", "10.21.0.1"));
  EXPECT_FALSE(fits("10.20.0.0/16", "host.example"));
  EXPECT_FALSE(fits("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(fits("0.0.0.0/0", "192.0.2.1"));
  EXPECT_TRUE(fits("2001:db8::/33", "2001:0db8:7fff::1"));
  EXPECT_FALSE(fits("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_TRUE(fits("2001:db8::1", "2001:DB8:0:0::1"));
  EXPECT_TRUE(fits("192.0.2.7/32", "192.0.2.7"));
  EXPECT_FALSE(fits("192.0.2.7/32", "192.0.2.6"));
}

TEST(DestinationPattern, PortsNarrowIt) {
  EXPECT_TRUE(fits("*:443", "a", 443));
  EXPECT_FALSE(fits("*:443", "a", 80));
  EXPECT_TRUE(fits("10.0.0.0/8:8000-8999", "10.1.1.1", 8999));
  EXPECT_FALSE(fits("10.0.0.0/8:8000-8999", "10.1.1.1", 9000));
  EXPECT_TRUE(fits("[2001:db8::/32]:22", "2001:db8::5", 22));
  EXPECT_FALSE(fits("[2001:db8::/32]:22", "2001:db8::5", 23));
  EXPECT_TRUE(fits("[2001:db8::5]", "2001:db8::5", 23));
  EXPECT_TRUE(fits("a:*", "a", 1));
}

TEST(DestinationPattern, ASocketsPathFitsNone) {
  EXPECT_FALSE(DestinationPattern::parse("*")->matches(Endpoint{{}, 0, "/run/x.sock"}));
}

TEST(DestinationPattern, WhatCannotBeOneIsRefusedWithAHint) {
  for (const char* text : {"",
                           "!",
                           ":80",
                           "a:0",
                           "a:70000",
                           "a:9-8",
                           "a:x",
                           "a:",
                           "a,b",
                           "a b",
                           "[::1",
                           "[::1]x",
                           "a/8",
                           "10.0.0.0/33",
                           "10.0.0.1/8",
                           "2001:db8::/129",
                           "2001:db8::1/64",
                           "10.0.0.0/",
                           "1:2:3",
                           "!!a",
                           "|1|x",
                           "."}) {
    auto pattern = DestinationPattern::parse(text);
    ASSERT_FALSE(pattern) << text;
    EXPECT_EQ(pattern.error().code, Errc::kInvalid);
    EXPECT_FALSE(pattern.error().hint.empty());
  }
}

AgentConfig config(const std::string& text) {
  return std::get<AgentConfig>(AgentConfig::parse(text, "/etc/config.toml"));
}

constexpr const char* kRoutes = R"([[route]]
to = ["*.prod.example", "!db.prod.example"]
via = "first"
[[route]]
to = ["db.prod.example", "10.0.0.0/8"]
via = "second"
[[route]]
to = [
  "x.prod.example",
  "*.lab.example:443"]
via = "third"
)";

std::string via(const AgentConfig& config, const char* host, std::uint16_t port = 80,
                const std::vector<std::string>& connected = {}) {
  auto choice = choose_route(config, Endpoint{host, port, {}}, connected);
  return choice ? choice->via + " by " + choice->rule : choice.error().message;
}

TEST(RouteChoice, TheFirstRouteThatFitsIsTaken) {
  const AgentConfig routes = config(kRoutes);
  EXPECT_EQ(via(routes, "x.prod.example"), "first by route \"*.prod.example\" in config.toml:2");
  EXPECT_EQ(via(routes, "db.prod.example"), "second by route \"db.prod.example\" in config.toml:5");
  EXPECT_EQ(via(routes, "10.9.8.7"), "second by route \"10.0.0.0/8\" in config.toml:5");
  EXPECT_EQ(via(routes, "y.lab.example", 443), "third by route \"*.lab.example:443\" in config.toml:10");
}

TEST(RouteChoice, ThenDefaultViaThenTheOnlyConnectedHost) {
  const AgentConfig with_default = config(std::string("default_via = 'gate'\n") + kRoutes);
  EXPECT_EQ(via(with_default, "y.lab.example", 80, {"other"}), "gate by default_via in config.toml:1");
  EXPECT_EQ(via(config(kRoutes), "elsewhere", 80, {"other"}), "other by the only connected host");
  EXPECT_EQ(via(config(kRoutes), "x.prod.example", 80, {"other"}).substr(0, 5), "first");
}

TEST(RouteChoice, WithoutAnyItSaysHowToChoose) {
  auto none = choose_route(AgentConfig::defaults(), Endpoint{"a", 1, {}}, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message, "which host should carry it? no host is connected");
  EXPECT_NE(none.error().hint.find("--via HOST"), std::string::npos);
  EXPECT_EQ(via(AgentConfig::defaults(), "a", 1, {"p", "q"}),
            "which host should carry it? several hosts are connected (p, q)");
  EXPECT_EQ(via(config(kRoutes), "a", 1),
            "which host should carry it? no host is connected, and no route is for a:1");
}

}  // namespace
}  // namespace jump
