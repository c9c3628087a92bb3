// Questions to people: who is asked, and who next when people come, go or wait for something else.
#include "unit/interactions_fixture.h"

namespace jump {
namespace {

using nlohmann::json;

// --- who is asked ---

TEST_F(InteractionsTest, NobodyToAskFailsAtOnceButNotFromInsideTheCall) {
  Asked asked = ask("prod");
  io.settle();
  EXPECT_EQ(*asked.outcome, "needs_person: nobody is there to be asked for a password");
  EXPECT_TRUE(all.pending().empty());
}

TEST_F(InteractionsTest, TheClientThatWaitsForTheHostIsAsked) {
  FakeClient waits, other, ide;
  auto a = join(1, other), b = join(2, waits), c = join(3, ide, kAll);
  auto other_wait = all.wait(1, "stage"), wait = all.wait(2, "prod");
  Asked asked = ask("prod");
  EXPECT_EQ(waits.told, Told{"interaction i1"});
  EXPECT_EQ(waits.last.at("kind"), "password");
  EXPECT_EQ(waits.last.at("host"), "prod");
  EXPECT_EQ(waits.last.at("hop"), "prod (me@10.0.0.5:22)");
  EXPECT_EQ(waits.last.at("prompts"), json::parse(R"([{"text":"Password: ","echo":false}])"));
  EXPECT_EQ(waits.last.at("timeout"), 120.0);
  EXPECT_TRUE(other.told.empty());
  EXPECT_TRUE(ide.told.empty());
  EXPECT_EQ(respond(2, "i1", {"hunter2"}), "ok");
  EXPECT_EQ(*asked.calls, 0);
  io.settle();
  EXPECT_EQ(*asked.outcome, "answers:hunter2");
  EXPECT_EQ(waits.told.size(), 1U) << "who answers needs not be told so";
}

TEST_F(InteractionsTest, AClientThatCannotAnswerIsNeverAsked) {
  auto wait = all.wait(1, "prod");
  Asked asked = ask("prod");
  io.settle();
  EXPECT_EQ(*asked.outcome, "needs_person: nobody is there to be asked for a password");
}

TEST_F(InteractionsTest, WithoutAWaitingClientSubscribersAreAskedAndOneWins) {
  FakeClient ide1, ide2, own;
  auto a = join(1, ide1, kAll), b = join(2, ide2, kAll), c = join(3, own);
  Asked asked = ask("prod");
  EXPECT_EQ(ide1.told, Told{"interaction i1"});
  EXPECT_EQ(ide2.told, Told{"interaction i1"});
  EXPECT_TRUE(own.told.empty());
  EXPECT_EQ(claim(2, "i1"), "ok");
  EXPECT_EQ(claim(2, "i1"), "ok") << "again, by the same client";
  EXPECT_EQ(ide1.told.back(), "interaction.ended i1 claimed");
  EXPECT_EQ(claim(1, "i1"), "in_use");
  EXPECT_EQ(respond(1, "i1", {"x"}), "in_use");
  EXPECT_EQ(outcome(all.decline(1, "i1")), "in_use");
  EXPECT_EQ(respond(2, "i1", {"y"}), "ok");
  io.settle();
  EXPECT_EQ(*asked.outcome, "answers:y");
}

TEST_F(InteractionsTest, AnAnswerWithoutAClaimWinsAsWell) {
  FakeClient ide1, ide2;
  auto a = join(1, ide1, kAll), b = join(2, ide2, kAll);
  Asked asked = ask("prod");
  EXPECT_EQ(respond(1, "i1", {"x"}), "ok");
  EXPECT_EQ(ide2.told.back(), "interaction.ended i1 answered");
  EXPECT_EQ(respond(2, "i1", {"y"}), "not_found");
  io.settle();
  EXPECT_EQ(*asked.outcome, "answers:x");
  EXPECT_EQ(*asked.calls, 1);
}

TEST_F(InteractionsTest, AClientThatWasNotAskedCannotAnswer) {
  FakeClient asker, other;
  auto a = join(1, asker), b = join(2, other);
  auto wait = all.wait(1, "prod");
  Asked asked = ask("prod");
  EXPECT_EQ(respond(2, "i1", {"x"}), "refused");
  EXPECT_EQ(respond(7, "i1", {"x"}), "refused");
  EXPECT_EQ(claim(2, "i1"), "refused");
  EXPECT_EQ(outcome(all.decline(2, "i1")), "refused");
  EXPECT_EQ(all.pending().size(), 1U);
}

TEST_F(InteractionsTest, WhoSubscribesLaterIsAskedWhatIsOpen) {
  FakeClient first, late, wakes_up;
  auto a = join(1, first, kAll);
  Asked asked = ask("prod");
  auto b = join(2, late, kAll);
  EXPECT_EQ(late.told, Told{"interaction i1"});
  auto c = join(3, wakes_up);
  EXPECT_TRUE(wakes_up.told.empty());
  EXPECT_EQ(join(3, wakes_up, kAll), nullptr) << "it is in already";
  EXPECT_EQ(wakes_up.told, Told{"interaction i1"});
}

// --- clients come and go ---

TEST_F(InteractionsTest, TwoThatWaitForOneHostGetOneQuestion) {
  FakeClient first, second;
  auto a = join(1, first), b = join(2, second);
  auto wait1 = all.wait(1, "prod"), wait2 = all.wait(2, "prod");
  Asked asked = ask("prod");
  EXPECT_EQ(first.told, Told{"interaction i1"});
  EXPECT_TRUE(second.told.empty());
}

TEST_F(InteractionsTest, WhenTheAskedOneGoesTheNextThatWaitsIsAsked) {
  FakeClient first, second;
  auto a = join(1, first), b = join(2, second);
  auto wait1 = all.wait(1, "prod"), wait2 = all.wait(2, "prod");
  Asked asked = ask("prod");
  EXPECT_EQ(claim(1, "i1"), "ok");
  wait1.reset();  // as a connection ends: first what it waits for, then the client
  a.reset();
  EXPECT_EQ(second.told, Told{"interaction i1"});
  EXPECT_EQ(respond(2, "i1", {"x"}), "ok");
  io.settle();
  EXPECT_EQ(*asked.outcome, "answers:x");
}

TEST_F(InteractionsTest, WhenTheLastOneGoesNobodyIsThere) {
  FakeClient only;
  auto a = join(1, only);
  auto wait = all.wait(1, "prod");
  Asked asked = ask("prod");
  a.reset();
  wait.reset();
  io.settle();
  EXPECT_EQ(*asked.outcome, "needs_person: nobody is there to be asked for a password");
  EXPECT_EQ(*asked.calls, 1);
}

TEST_F(InteractionsTest, WhoStopsWaitingIsAskedNoLonger) {
  FakeClient first, ide;
  auto a = join(1, first), b = join(2, ide, kAll);
  auto wait = all.wait(1, "prod");
  Asked asked = ask("prod");
  wait.reset();
  EXPECT_EQ(first.told, (Told{"interaction i1", "interaction.ended i1 withdrawn"}));
  EXPECT_EQ(ide.told, Told{"interaction i1"});
  EXPECT_EQ(respond(1, "i1", {"x"}), "refused");
}

TEST_F(InteractionsTest, TwoRequestsOfOneClientCountAsOneThatWaits) {
  FakeClient client;
  auto a = join(1, client);
  auto wait1 = all.wait(1, "prod"), wait2 = all.wait(1, "prod");
  Asked asked = ask("prod");
  wait1.reset();
  EXPECT_EQ(client.told, Told{"interaction i1"});
  EXPECT_EQ(respond(1, "i1", {"x"}), "ok");
}

TEST_F(InteractionsTest, WhoComesToWaitIsAskedBesidesSubscribers) {
  FakeClient ide, terminal;
  auto a = join(1, ide, kAll), b = join(2, terminal);
  Asked asked = ask("prod");
  auto wait = all.wait(2, "prod");
  EXPECT_EQ(terminal.told, Told{"interaction i1"});
  EXPECT_EQ(ide.told, Told{"interaction i1"});
  EXPECT_EQ(claim(2, "i1"), "ok");
  EXPECT_EQ(ide.told.back(), "interaction.ended i1 claimed");
  wait.reset();
  EXPECT_EQ(ide.told.back(), "interaction i1") << "back to those that are left";
}

TEST_F(InteractionsTest, AClaimedQuestionGoesBackWhenItsClaimerGoes) {
  FakeClient ide1, ide2;
  auto a = join(1, ide1, kAll), b = join(2, ide2, kAll);
  Asked asked = ask("prod");
  EXPECT_EQ(claim(1, "i1"), "ok");
  a.reset();
  EXPECT_EQ(ide2.told, (Told{"interaction i1", "interaction.ended i1 claimed", "interaction i1"}));
}

// --- hosts that wait for others ---

TEST_F(InteractionsTest, WhoWaitsForAHostBehindIsAskedUnderTheNameItGave) {
  FakeClient behind, stranger, ide;
  auto a = join(1, stranger), b = join(2, behind), c = join(3, ide, kAll);
  auto wait1 = all.wait(1, "stage"), wait2 = all.wait(2, "db");
  Question q = question("bastion");
  q.waited_for = [] { return Told{"bastion", "middle", "db"}; };
  Asked asked = ask(std::move(q));
  EXPECT_EQ(behind.told, Told{"interaction i1"});
  EXPECT_EQ(behind.last.at("host"), "db");
  EXPECT_EQ(behind.last.at("hop"), "bastion (me@10.0.0.5:22)");
  EXPECT_TRUE(stranger.told.empty());
  EXPECT_TRUE(ide.told.empty());
  EXPECT_EQ(all.pending().at(0).host, "db");
  EXPECT_TRUE(all.asks_about("bastion"));
  EXPECT_TRUE(all.asks_about("db"));
  EXPECT_FALSE(all.asks_about("stage"));
}

TEST_F(InteractionsTest, WhoHasWaitedLongestIsAskedWhateverOfTheHostsItWaitsFor) {
  FakeClient first, second;
  auto a = join(1, second), b = join(2, first);
  auto wait2 = all.wait(2, "web"), wait1 = all.wait(1, "bastion");
  Question q = question("bastion");
  q.waited_for = [] { return Told{"bastion", "db", "web"}; };
  Asked asked = ask(std::move(q));
  EXPECT_EQ(first.told, Told{"interaction i1"});
  EXPECT_TRUE(second.told.empty());
}

TEST_F(InteractionsTest, WhenTheAskedOneGoesTheOneThatWaitsForAnotherHostBehindIsAsked) {
  FakeClient first, second;
  auto a = join(1, first), b = join(2, second);
  auto wait1 = all.wait(1, "db"), wait2 = all.wait(2, "web");
  std::vector<std::string> behind = {"bastion", "db"};  // the other one's way is not known yet
  Question q = question("bastion");
  q.waited_for = [&behind] { return behind; };
  Asked asked = ask(std::move(q));
  EXPECT_EQ(claim(1, "i1"), "ok");
  behind.push_back("web");
  all.who_waits_changed();
  io.settle();
  EXPECT_TRUE(second.told.empty());
  wait1.reset();
  EXPECT_EQ(second.told, Told{"interaction i1"});
  EXPECT_EQ(second.last.at("host"), "web");
  EXPECT_EQ(respond(1, "i1", {"x"}), "refused");
  EXPECT_EQ(respond(2, "i1", {"y"}), "ok");
  io.settle();
  EXPECT_EQ(*asked.outcome, "answers:y");
}

TEST_F(InteractionsTest, WhoTurnsOutToWaitForTheLoginIsAskedBesidesSubscribers) {
  FakeClient terminal, ide;
  auto a = join(1, terminal), b = join(2, ide, kAll);
  auto wait = all.wait(1, "db");
  std::vector<std::string> behind = {"bastion"};
  Question q = question("bastion");
  q.waited_for = [&behind] { return behind; };
  Asked asked = ask(std::move(q));
  EXPECT_TRUE(terminal.told.empty());
  behind.push_back("db");
  all.who_waits_changed();
  io.settle();
  EXPECT_EQ(terminal.told, Told{"interaction i1"});
}

TEST_F(InteractionsTest, WhoseHostIsNoLongerBehindIsAskedNoLonger) {
  FakeClient terminal;
  auto a = join(1, terminal);
  auto wait = all.wait(1, "db");
  std::vector<std::string> behind = {"bastion", "db"};
  Question q = question("bastion");
  q.waited_for = [&behind] { return behind; };
  Asked asked = ask(std::move(q));
  behind.pop_back();
  all.who_waits_changed();
  io.settle();
  EXPECT_EQ(terminal.told, (Told{"interaction i1", "interaction.ended i1 withdrawn"}));
  EXPECT_EQ(*asked.outcome, "needs_person: nobody is there to be asked for a password");
}

// --- after the login ---

TEST_F(InteractionsTest, AfterALoginWhoWaitedForItIsAskedAsLongAsItIsThere) {
  FakeClient waited, other, ide;
  auto a = join(1, waited), b = join(2, other), c = join(3, ide, kAll);
  auto wait = all.wait(1, "prod");
  auto other_wait = all.wait(2, "stage");
  wait.reset();
  Question q = question("prod");
  q.after_login = true;
  Asked asked = ask(std::move(q));
  EXPECT_EQ(waited.told, Told{"interaction i1"});
  EXPECT_TRUE(other.told.empty());
  EXPECT_TRUE(ide.told.empty());
  io.advance(2 * Interactions::kRemembered);
  other_wait.reset();
  EXPECT_EQ(waited.told.size(), 1U) << "it was asked in time";
  a.reset();
  EXPECT_EQ(ide.told, Told{"interaction i1"}) << "subscribers are next";
}

TEST_F(InteractionsTest, WhoWaitedForAnEarlierLoginIsNoLongerConcerned) {
  FakeClient waited;
  auto a = join(1, waited);
  all.wait(1, "prod").reset();
  Asked plain = ask("prod");
  io.advance(Interactions::kRemembered);
  Question q = question("prod");
  q.after_login = true;
  Asked late = ask(std::move(q));
  io.settle();
  EXPECT_TRUE(waited.told.empty());
  EXPECT_EQ(*plain.outcome, "needs_person: nobody is there to be asked for a password");
  EXPECT_EQ(*late.outcome, "needs_person: nobody is there to be asked for a password");
}

}  // namespace
}  // namespace jump
