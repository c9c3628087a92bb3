// Questions to people: what becomes of one that is answered, declined, withdrawn or left alone, of notices,
// and of what is too much.
#include "unit/interactions_fixture.h"

namespace jump {
namespace {

using nlohmann::json;

// --- ends ---

TEST_F(InteractionsTest, DecliningIsCancelled) {
  FakeClient client, other;
  auto a = join(1, client, kAll), b = join(2, other, kAll);
  Asked asked = ask("prod");
  EXPECT_EQ(outcome(all.decline(1, "i1")), "ok");
  EXPECT_EQ(other.told.back(), "interaction.ended i1 declined");
  EXPECT_EQ(outcome(all.decline(1, "i1")), "not_found");
  io.settle();
  EXPECT_EQ(*asked.outcome, "cancelled: declined when asked for a password");
}

// Who does not want to answer speaks for nobody else.
TEST_F(InteractionsTest, WhatOneDeclinesTheNextThatWaitsIsAsked) {
  FakeClient first, second;
  auto a = join(1, first), b = join(2, second);
  std::string told;
  std::unique_ptr<Operation> wait1 = all.wait(1, "prod", [&](const Error& error) {
    told = error.message;
    wait1.reset();
  });
  auto wait2 = all.wait(2, "prod", [&](const Error&) { FAIL() << "it has not declined"; });
  Asked asked = ask("prod");
  EXPECT_EQ(claim(1, "i1"), "ok");
  EXPECT_EQ(outcome(all.decline(1, "i1")), "ok");
  io.settle();
  EXPECT_NE(told.find("declined when asked for a password"), std::string::npos) << told;
  EXPECT_EQ(*asked.calls, 0);
  EXPECT_EQ(second.told.back(), "interaction i1");
  EXPECT_EQ(respond(2, "i1", {"pw"}), "ok");
  io.settle();
  EXPECT_EQ(*asked.outcome, "answers:pw");
}

TEST_F(InteractionsTest, WhatAllDeclineEndsWithTheLast) {
  FakeClient first, second;
  auto a = join(1, first), b = join(2, second);
  auto wait1 = all.wait(1, "prod"), wait2 = all.wait(2, "prod");
  Asked asked = ask("prod");
  EXPECT_EQ(outcome(all.decline(1, "i1")), "ok");
  io.settle();
  EXPECT_EQ(first.told.size(), 1U) << "it is not asked again, though it waits";
  EXPECT_EQ(outcome(all.decline(2, "i1")), "ok");
  io.settle();
  EXPECT_EQ(*asked.outcome, "cancelled: declined when asked for a password");
}

TEST_F(InteractionsTest, SilenceEndsAtTheTimeout) {
  FakeClient client;
  auto a = join(1, client, kAll);
  Question q = question("prod");
  q.timeout = seconds(30);
  Asked asked = ask(std::move(q));
  io.advance(seconds(30) - milliseconds(1));
  EXPECT_EQ(*asked.outcome, "");
  io.advance(milliseconds(1));
  EXPECT_EQ(*asked.outcome, "needs_person: nobody answered when asked for a password within 30 s");
  EXPECT_EQ(client.told.back(), "interaction.ended i1 timeout");
  EXPECT_EQ(respond(1, "i1", {"late"}), "not_found");
}

TEST_F(InteractionsTest, AClaimDoesNotStopTheClock) {
  FakeClient client;
  auto a = join(1, client, kAll);
  Asked asked = ask("prod");
  EXPECT_EQ(claim(1, "i1"), "ok");
  io.advance(Question::kDefaultTimeout);
  EXPECT_EQ(client.told.back(), "interaction.ended i1 timeout");
}

TEST_F(InteractionsTest, TheTimeLeftIsWhatIsTold) {
  FakeClient client, late;
  auto a = join(1, client, kAll);
  Asked asked = ask("prod");
  io.advance(seconds(20));
  auto b = join(2, late, kAll);
  EXPECT_EQ(late.last.at("timeout"), 100.0);
}

TEST_F(InteractionsTest, AWithdrawnQuestionGoesAwayAtTheClientAndIsNeverAnswered) {
  FakeClient client;
  auto a = join(1, client, kAll);
  Asked asked = ask("prod");
  asked.operation.reset();
  EXPECT_EQ(client.told.back(), "interaction.ended i1 withdrawn");
  EXPECT_EQ(respond(1, "i1", {"x"}), "not_found");
  io.advance(Question::kDefaultTimeout);
  EXPECT_EQ(*asked.calls, 0);
}

TEST_F(InteractionsTest, AnAnswerThatIsOnItsWayDiesWithTheOperation) {
  FakeClient client;
  auto a = join(1, client, kAll);
  Asked asked = ask("prod");
  EXPECT_EQ(respond(1, "i1", {"x"}), "ok");
  asked.operation.reset();
  io.settle();
  EXPECT_EQ(*asked.calls, 0);
}

TEST_F(InteractionsTest, WhoIsAnsweredMayAskAgainAtOnce) {
  FakeClient client;
  auto a = join(1, client, kAll);
  std::unique_ptr<Operation> second;
  std::string got;
  auto first = all.ask(question("prod"), [&](Result<std::vector<Secret>>) {
    second = all.ask(question("prod"), [&](Result<std::vector<Secret>> result) { got = describe(result); });
  });
  EXPECT_EQ(respond(1, "i1", {"wrong"}), "ok");
  io.settle();
  EXPECT_EQ(client.told, (Told{"interaction i1", "interaction i2"}));
  EXPECT_EQ(respond(1, "i2", {"right"}), "ok");
  io.settle();
  EXPECT_EQ(got, "answers:right");
}

TEST_F(InteractionsTest, ANoticeIsShownUntilItEnds) {
  FakeClient client;
  auto a = join(1, client, kAll);
  Question q = question("prod", 0);
  q.kind = Question::Kind::kNotice;
  q.text = "touch the key";
  Asked asked = ask(std::move(q));
  EXPECT_EQ(client.last.at("kind"), "notice");
  EXPECT_EQ(client.last.at("text"), "touch the key");
  EXPECT_EQ(claim(1, "i1"), "invalid");
  EXPECT_EQ(respond(1, "i1", {}), "invalid");
  asked.operation.reset();
  EXPECT_EQ(client.told.back(), "interaction.ended i1 withdrawn");
}

TEST_F(InteractionsTest, ANoticeCanBeDeclined) {
  FakeClient client;
  auto a = join(1, client, kAll);
  Question q = question("prod", 0);
  q.kind = Question::Kind::kNotice;
  Asked asked = ask(std::move(q));
  EXPECT_EQ(outcome(all.decline(1, "i1")), "ok");
  io.settle();
  EXPECT_EQ(*asked.outcome, "cancelled: declined when asked for attention");
}

TEST_F(InteractionsTest, TextToReadGoesToThoseThatWaitOrElseToSubscribers) {
  std::vector<std::string> waiting, ide;
  const auto keep = [](std::vector<std::string>& to) {
    return [&to](const std::string& line) { to.push_back(json::parse(line).at("params").at("text")); };
  };
  const auto show = [this](const std::string& host, const std::string& text) {
    Question notice;
    notice.host = host;
    notice.hop = "server of " + host;
    notice.text = text;
    all.show(std::move(notice));
  };
  auto a = all.join(1, Interactions::Scope::kOwnRequests, keep(waiting)), b = all.join(2, kAll, keep(ide));
  auto wait = all.wait(1, "prod");
  show("prod", "one");
  show("prod2", "two");
  wait.reset();
  show("prod", std::string(2 * Interactions::kMaxText, 'x'));
  EXPECT_EQ(waiting, Told{"one"});
  EXPECT_EQ(ide, (Told{"two", std::string(Interactions::kMaxText, 'x')}));
}

TEST_F(InteractionsTest, TextToReadGoesToAllThatWaitForTheLoginByTheNameTheyGave) {
  std::vector<std::string> one, two, stranger;
  const auto keep = [](std::vector<std::string>& to) {
    return [&to](const std::string& line) { to.push_back(json::parse(line).at("params").at("host")); };
  };
  const auto own = Interactions::Scope::kOwnRequests;
  auto a = all.join(1, own, keep(one)), b = all.join(2, own, keep(two)), c = all.join(3, own, keep(stranger));
  auto wait1 = all.wait(1, "db"), wait2 = all.wait(2, "bastion"), wait3 = all.wait(3, "stage");
  Question banner = question("bastion");
  banner.waited_for = [] { return Told{"bastion", "db"}; };
  all.show(std::move(banner));
  EXPECT_EQ(one, Told{"db"});
  EXPECT_EQ(two, Told{"bastion"});
  EXPECT_TRUE(stranger.empty());
}

// --- notices ---

TEST_F(InteractionsTest, ANoticeLastsAsLongAsWhatItIsAboutAndIsShownToWhoComes) {
  Question q = question("prod", 0);
  q.kind = Question::Kind::kNotice;
  Asked asked = ask(std::move(q));
  io.advance(2 * Question::kDefaultTimeout);
  EXPECT_EQ(*asked.calls, 0);
  FakeClient client;
  auto a = join(1, client);
  auto wait = all.wait(1, "prod");
  EXPECT_EQ(client.told, Told{"interaction i1"});
  EXPECT_EQ(client.last.at("timeout"), 0.0);
  io.advance(2 * Question::kDefaultTimeout);
  EXPECT_EQ(client.told.size(), 1U);
  asked.operation.reset();
  EXPECT_EQ(client.told.back(), "interaction.ended i1 withdrawn");
}

TEST_F(InteractionsTest, AClientThatCannotAskItsPersonSaysWhy) {
  FakeClient client;
  auto a = join(1, client, kAll);
  Asked asked = ask("prod");
  EXPECT_EQ(outcome(all.decline(1, "i1", "cannot run \x1b/ask")), "ok");
  io.settle();
  EXPECT_EQ(*asked.outcome, "needs_person: nobody could be asked for a password: cannot run ?/ask");
}

TEST_F(InteractionsTest, AHostKeyThatNobodyJudgedIsNobodysRefusal) {
  FakeClient client;
  auto a = join(1, client, kAll);
  Question q = question("prod");
  q.kind = Question::Kind::kHostKey;
  Asked asked = ask(std::move(q));
  io.advance(Question::kDefaultTimeout);
  EXPECT_EQ(*asked.outcome,
            "needs_person: nobody answered when asked whether to trust the host key within 120 s");
}

// --- wrong answers, bounds ---

TEST_F(InteractionsTest, WrongAnswersAreRefusedAndTheQuestionStays) {
  FakeClient client;
  auto a = join(1, client, kAll);
  Asked asked = ask(question("prod", 2));
  EXPECT_EQ(respond(1, "i1", {}), "invalid");
  EXPECT_EQ(respond(1, "i1", {"one"}), "invalid");
  EXPECT_EQ(respond(1, "i1", {"one", "two", "three"}), "invalid");
  EXPECT_EQ(respond(1, "i1", {"one", std::string(Interactions::kMaxAnswer + 1, 'x')}), "limit");
  for (const char* id : {"", "i2", "i01", "1", "i1 ", "I1"})
    EXPECT_EQ(respond(1, id, {"a", "b"}), "not_found");
  EXPECT_EQ(*asked.calls, 0);
  EXPECT_EQ(respond(1, "i1", {"one", std::string(Interactions::kMaxAnswer, 'x')}), "ok");
}

TEST_F(InteractionsTest, AServersNoPromptsAtAllAreAnswered) {
  FakeClient client;  // RFC 4256, section 3.2: a request may have no prompts, and is to be answered
  auto a = join(1, client, kAll);
  Question q = question("prod", 0);
  q.kind = Question::Kind::kKeyboardInteractive;
  Asked asked = ask(std::move(q));
  EXPECT_EQ(respond(1, "i1", {}), "ok");
  io.settle();
  EXPECT_EQ(*asked.outcome, "answers");
}

TEST_F(InteractionsTest, QuestionsAreBounded) {
  FakeClient client;
  std::vector<std::unique_ptr<Operation>> kept;
  std::vector<Asked> asked;
  for (std::size_t i = 0; i < Interactions::kMaxPending; ++i) {
    kept.push_back(join(i, client));
    kept.push_back(all.wait(i, "h" + std::to_string(i)));
    asked.push_back(ask("h" + std::to_string(i)));
  }
  kept.push_back(join(1000, client, kAll));
  Asked one_more = ask("prod");
  io.settle();
  EXPECT_EQ(*one_more.outcome, "limit: too much is being asked at the same time");
  EXPECT_EQ(all.pending().size(), Interactions::kMaxPending);
  asked.pop_back();
  EXPECT_EQ(all.pending().size(), Interactions::kMaxPending - 1);
}

TEST_F(InteractionsTest, MoreQuestionsThanOneClientTakesWaitForTheirTurn) {
  FakeClient busy, other;
  auto a = join(1, busy, kAll);
  std::vector<Asked> asked;
  for (std::size_t i = 0; i < Interactions::kMaxPerClient; ++i) asked.push_back(ask("prod"));
  Asked next = ask("prod"), after = ask("prod");
  io.advance(seconds(30));
  EXPECT_EQ(*next.calls, 0);
  auto b = join(2, other);
  auto wait = all.wait(2, "stage");
  Asked to_other = ask("stage");
  EXPECT_EQ(busy.told.size(), Interactions::kMaxPerClient);
  EXPECT_EQ(other.told.back(), "interaction i19");
  EXPECT_EQ(respond(1, "i1", {"x"}), "ok");
  io.settle();
  EXPECT_EQ(busy.told.back(), "interaction i17");
  EXPECT_EQ(busy.last.at("timeout"), 120.0) << "its time begins when somebody is asked";
  asked[4].operation.reset();
  io.settle();
  EXPECT_EQ(busy.told.back(), "interaction i18");
}

TEST_F(InteractionsTest, AQuestionThatWaitsForItsTurnFailsWhenItsClientGoes) {
  FakeClient busy;
  auto a = join(1, busy);
  auto wait = all.wait(1, "prod");
  std::vector<Asked> asked;
  for (std::size_t i = 0; i <= Interactions::kMaxPerClient; ++i) asked.push_back(ask("prod"));
  a.reset();
  io.settle();
  EXPECT_EQ(*asked.back().outcome, "needs_person: nobody is there to be asked for a password");
}

TEST_F(InteractionsTest, AWaitingClientThatIsBusyIsNotPassedOverForSubscribers) {
  FakeClient busy, ide;
  auto a = join(1, busy), b = join(2, ide, kAll);
  auto wait = all.wait(1, "prod");
  std::vector<Asked> asked;
  for (std::size_t i = 0; i <= Interactions::kMaxPerClient; ++i) asked.push_back(ask("prod"));
  io.settle();
  EXPECT_TRUE(ide.told.empty());
}

TEST_F(InteractionsTest, TooManyPromptsAreALimit) {
  FakeClient client;
  auto a = join(1, client, kAll);
  Asked asked = ask(question("prod", 65));
  io.settle();
  EXPECT_EQ(*asked.outcome, "limit: too much is being asked at the same time");
  EXPECT_TRUE(client.told.empty());
}

TEST_F(InteractionsTest, AServersTextIsCutBetweenCharacters) {
  FakeClient client;
  auto a = join(1, client, kAll);
  Question q = question("prod");
  q.text = "x";
  while (q.text.size() < 2 * Interactions::kMaxText) q.text += "\xe2\x82\xac";
  Asked asked = ask(std::move(q));
  const std::string text = client.last.at("text");
  EXPECT_LE(text.size(), Interactions::kMaxText);
  EXPECT_GT(text.size(), Interactions::kMaxText - 3);
  EXPECT_TRUE(text.ends_with("\xe2\x82\xac"));
}

// --- status ---

TEST_F(InteractionsTest, StatusListsWhatWaitsAndNoAnswers) {
  FakeClient client;
  auto a = join(1, client, kAll);
  Asked one = ask("prod"), two = ask("stage");
  EXPECT_EQ(claim(1, "i2"), "ok");
  io.advance(seconds(3));
  const auto listed = all.pending();
  ASSERT_EQ(listed.size(), 2U);
  EXPECT_EQ(listed[0].id, "i1");
  EXPECT_EQ(listed[0].kind, "password");
  EXPECT_EQ(listed[0].host, "prod");
  EXPECT_EQ(listed[0].hop, "prod (me@10.0.0.5:22)");
  EXPECT_EQ(listed[0].age, 3.0);
  EXPECT_FALSE(listed[0].claimed);
  EXPECT_TRUE(listed[1].claimed);
  EXPECT_TRUE(all.asks_about("prod"));
  EXPECT_EQ(respond(1, "i1", {"x"}), "ok");
  EXPECT_FALSE(all.asks_about("prod"));
  EXPECT_EQ(all.pending().size(), 1U);
}

}  // namespace
}  // namespace jump
