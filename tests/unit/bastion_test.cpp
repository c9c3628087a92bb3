// Bastions: what the config file may say of them, and which member is chosen.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/agent_config.h"
#include "route/bastion_choice.h"

namespace jump {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Takes = BastionMember::Takes;

AgentConfig::Bastions good(const std::string& text) {
  auto parsed = AgentConfig::parse(text, "c.toml");
  if (const auto* errors = std::get_if<ConfigErrors>(&parsed)) {
    ADD_FAILURE() << errors->front().to_string("c.toml");
    return {};
  }
  return std::get<AgentConfig>(parsed).bastions;
}

std::string wrong(const std::string& text) {
  auto parsed = AgentConfig::parse(text, "c.toml");
  const auto* errors = std::get_if<ConfigErrors>(&parsed);
  if (!errors) return "it is good";
  return summary("c.toml", *errors).message;
}

TEST(BastionTable, NamesStandForHostsInTheirOrder) {
  const AgentConfig::Bastions all =
      good("[bastion]\nprod = [\"jump2\", \"me@jump1:2222\"]\nlab = \"[2001:db8::1]:22\"\n");
  EXPECT_EQ(all.size(), 2u);
  EXPECT_THAT(all.at("prod"), ElementsAre("jump2", "me@jump1:2222"));
  EXPECT_THAT(all.at("lab"), ElementsAre("[2001:db8::1]:22"));
  EXPECT_EQ(good("bastion.prod = [\"a\"]\n").count("prod"), 1u) << "the dotted form is the same";
  EXPECT_TRUE(good("default_via = \"prod\"\n").empty());
}

TEST(BastionTable, ABastionAmongTheMembersStandsForItsOwn) {
  const AgentConfig::Bastions all =
      good("[bastion]\nall = [\"x\", \"prod\", \"b\", \"y\"]\nprod = [\"a\", \"b\"]\n");
  EXPECT_THAT(all.at("all"), ElementsAre("x", "a", "b", "y"));
}

TEST(BastionTable, MistakesAreToldWithTheirPlaceAndTheWayOut) {
  EXPECT_EQ(wrong("[bastion]\nprod = []\n"),
            "c.toml:2:8: bastion.prod: it has no hosts; as in prod = [\"jump1\", \"jump2\"]");
  EXPECT_EQ(wrong("[bastion]\nprod = [\"a\", \"b\", \"a\"]\n"),
            "c.toml:2:19: bastion.prod: 'a' stands in it twice");
  EXPECT_THAT(wrong("[bastion]\nprod = [\"a\", \"prod\"]\n"),
              HasSubstr("c.toml:2:14: bastion.prod: it is a member of itself; give"));
  EXPECT_THAT(wrong("[bastion]\nprod = 5\n"),
              HasSubstr("c.toml:2:8: bastion.prod: expected an array of hosts, found an integer; as in"));
  EXPECT_THAT(wrong("[bastion]\nprod = [\"a\", 5]\n"),
              HasSubstr("c.toml:2:14: bastion.prod: expected hosts, found an integer"));
  EXPECT_THAT(wrong("[bastion]\nprod = [\"-oProxyCommand=x\"]\n"), HasSubstr("c.toml:2:9: bastion.prod: "));
  EXPECT_THAT(wrong("[bastion]\n\"me@prod\" = [\"a\"]\n"),
              HasSubstr("c.toml:2:1: bastion.me@prod: a bastion's name"));
  EXPECT_THAT(wrong("bastion = [\"a\"]\n"), HasSubstr("c.toml:1:11: bastion: expected a table"));
  std::string many = "[bastion]\nprod = [";
  for (int i = 0; i < 17; ++i) many += "\"h" + std::to_string(i) + "\",";
  EXPECT_THAT(wrong(many + "]\n"), HasSubstr("bastion.prod: more than 16 hosts"));
}

TEST(BastionTable, ACircleIsToldOnceWhereItCloses) {
  EXPECT_EQ(wrong("[bastion]\na = [\"b\"]\nb = [\"x\", \"c\"]\nc = [\"a\"]\nd = [\"a\"]\n"),
            "c.toml:4:6: bastion.c: bastions lead in a circle: a → b → c → a; a bastion's members are hosts, "
            "or bastions that do not contain it");
}

BastionMember measured(Duration round_trip, bool ready = false) {
  BastionMember member;
  member.ready = ready;
  member.round_trip = round_trip;
  return member;
}

BastionMember takes(Takes person) {
  BastionMember member;
  member.takes = person;
  return member;
}

BastionMember failed(BastionMember member, int seconds_ago = 5) {
  member.failed_ago = seconds(seconds_ago);
  return member;
}

TEST(BastionChoice, TheFilesOrderHoldsWhereNothingIsKnown) {
  EXPECT_THAT(order_of_trial({{}, {}, {}}, Attended::kYes), ElementsAre(0, 1, 2));
  EXPECT_EQ(fastest_ready({{}, {}}), std::nullopt);
}

TEST(BastionChoice, WhoFailedLatelyComesLast) {
  EXPECT_THAT(order_of_trial({failed({}), {}, failed({}), {}}, Attended::kYes), ElementsAre(1, 3, 0, 2));
  EXPECT_THAT(order_of_trial({failed({}, 1), failed({}, 9), failed({}, 3)}, Attended::kYes),
              ElementsAre(1, 2, 0));
}

TEST(BastionChoice, AMuchFasterOneComesFirstAndTheRestStayInOrder) {
  const BastionMember slow = measured(milliseconds(80)), fast = measured(milliseconds(20));
  EXPECT_THAT(order_of_trial({slow, {}, fast}, Attended::kYes), ElementsAre(2, 0, 1));
  EXPECT_THAT(order_of_trial({slow, fast, measured(milliseconds(10))}, Attended::kYes), ElementsAre(2, 0, 1));
  EXPECT_THAT(order_of_trial({slow, {}, failed(fast)}, Attended::kYes), ElementsAre(0, 1, 2));
  EXPECT_THAT(order_of_trial({{}, fast}, Attended::kYes), ElementsAre(0, 1))
      << "the first was never measured";
}

TEST(BastionChoice, WhatVariesByItselfIsNoDifference) {
  EXPECT_FALSE(much_faster(measured(milliseconds(80)), measured(milliseconds(100))));
  EXPECT_FALSE(much_faster(measured(std::chrono::microseconds(100)), measured(milliseconds(1))));
  EXPECT_TRUE(much_faster(measured(milliseconds(70)), measured(milliseconds(100))));
  EXPECT_THAT(order_of_trial({measured(milliseconds(100)), measured(milliseconds(80))}, Attended::kYes),
              ElementsAre(0, 1));
}

TEST(BastionChoice, OfThoseThatAreConnectedTheFastest) {
  const auto ready = [](int ms) { return measured(milliseconds(ms), true); };
  EXPECT_EQ(fastest_ready({measured(milliseconds(1)), ready(90), ready(30)}), 2u);
  EXPECT_EQ(fastest_ready({ready(30), ready(29)}), 0u);
}

TEST(BastionChoice, WithoutAPersonNoneIsTriedThatTakesOne) {
  EXPECT_THAT(order_of_trial({takes(Takes::kPerson), takes(Takes::kNoPerson), {}}, Attended::kNo),
              ElementsAre(1))
      << "the third's login is likely to be as the first's";
  EXPECT_TRUE(order_of_trial({takes(Takes::kPerson), {}}, Attended::kNo).empty());
  EXPECT_THAT(order_of_trial({takes(Takes::kNoPerson), {}}, Attended::kNo), ElementsAre(0, 1));
  EXPECT_THAT(order_of_trial({takes(Takes::kPerson), {}}, Attended::kYes), ElementsAre(0, 1));
}

}  // namespace
}  // namespace jump
