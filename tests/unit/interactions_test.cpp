// Questions to people, with clients that are scripts: who is asked, who may answer, and what becomes of a
// question when people come, go, decline or stay silent.
#include "control/interactions.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/sim_io.h"

namespace jump {
namespace {

using nlohmann::json;

// What one client was told: "interaction i1", "interaction.ended i1 timeout", …
struct FakeClient {
  std::vector<std::string> told;
  json last;  // params

  Interactions::Notify notify() {
    return [this](const std::string& line) {
      EXPECT_TRUE(line.ends_with('\n'));
      const json message = json::parse(line);
      last = message.at("params");
      std::string what = message.at("method").get<std::string>() + " " + last.at("id").get<std::string>();
      if (last.contains("reason")) what += " " + last["reason"].get<std::string>();
      told.push_back(what);
    };
  }
};
using Told = std::vector<std::string>;

// How a question ended: "answer,answer" or "kind: message"; empty while it is open.
struct Asked {
  std::unique_ptr<Operation> operation;
  std::shared_ptr<std::string> outcome = std::make_shared<std::string>();
  std::shared_ptr<int> calls = std::make_shared<int>(0);
};

std::string describe(const Result<std::vector<Secret>>& result) {
  if (!result) return std::string(errc_name(result.error().code)) + ": " + result.error().message;
  std::string all = "answers";
  for (const Secret& each : *result) all += ":" + std::string(each.text());
  return all;
}

std::vector<Secret> secrets(const std::vector<std::string>& texts) {
  std::vector<Secret> all;
  for (const std::string& each : texts) all.emplace_back(std::string_view(each));
  return all;
}

class InteractionsTest : public testing::Test {
 protected:
  static Question question(const std::string& host, std::size_t prompts = 1) {
    Question q;
    q.kind = Question::Kind::kPassword;
    q.host = host;
    q.hop = host + " (me@10.0.0.5:22)";
    for (std::size_t i = 0; i < prompts; ++i) q.prompts.push_back({"Password: ", false});
    return q;
  }
  Asked ask(Question q) {
    Asked asked;
    asked.operation = all.ask(
        std::move(q), [outcome = asked.outcome, calls = asked.calls](Result<std::vector<Secret>> result) {
          *outcome = describe(result);
          ++*calls;
        });
    EXPECT_EQ(*asked.calls, 0) << "answered from inside ask()";
    return asked;
  }
  Asked ask(const std::string& host) { return ask(question(host)); }
  // A client of that id which can answer.
  std::unique_ptr<Operation> join(Interactions::ClientId id, FakeClient& client,
                                  Interactions::Scope scope = Interactions::Scope::kOwnRequests) {
    return all.join(id, scope, client.notify());
  }
  std::string respond(Interactions::ClientId id, const std::string& what,
                      const std::vector<std::string>& answers) {
    return outcome(all.respond(id, what, secrets(answers)));
  }
  static std::string outcome(const Status& status) {
    return status ? "ok" : std::string(errc_name(status.error().code));
  }
  std::string claim(Interactions::ClientId id, const std::string& what) {
    auto claimed = all.claim(id, what);
    return claimed ? "ok" : std::string(errc_name(claimed.error().code));
  }

  test::SimIo io;
  Interactions all{io};
};

constexpr auto kAll = Interactions::Scope::kAll;

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
