// Bastions, names that stand for several hosts, on memory streams and a clock of the test's: who is dialled
// when, who serves, what becomes of the others, and that no two of them ask a person at the same time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "auth/base64.h"
#include "route/bastion_race.h"
#include "route/hosts.h"
#include "sim/sim_sshd.h"
#include "support/sim_io.h"

namespace jump::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Who is asked, and whether the question is still open. Without an answer in the script, it stays open.
class Asked final : public Prompter {
 public:
  explicit Asked(SimIo& io) : io_(io) {}
  std::unique_ptr<Operation> ask(Question question, Answered done) override {
    asked.push_back(question.host);
    waited_for = question.waited_for();
    most_at_once = std::max(most_at_once, ++open);
    auto operation = std::make_unique<Open>(*this);
    if (answers.empty()) return operation;
    std::string answer = answers.front();
    answers.pop_front();
    operation->answering =
        io_.in_pool([] {},
                    [answer, done] {
                      if (answer == "declined") return done(Error{Errc::kCancelled, "declined", {}});
                      if (answer == "late")
                        return done(Error{Errc::kNeedsPerson, "nobody answered in time", {}});
                      std::vector<Secret> secrets;
                      secrets.emplace_back(std::string_view(answer));
                      done(std::move(secrets));
                    });
    return operation;
  }

  std::deque<std::string> answers;
  std::vector<std::string> asked;  // by which host
  std::vector<std::string> waited_for;
  int open = 0, most_at_once = 0;

 private:
  struct Open final : Operation {
    explicit Open(Asked& asked) : owner(asked) {}
    ~Open() override { --owner.open; }
    Asked& owner;
    std::unique_ptr<Operation> answering;
  };
  SimIo& io_;
};

class BastionSim : public testing::Test {
 protected:
  BastionSim() {
    io.on_command("ssh", [this](const Command& command) -> Result<CommandOutput> {
      const std::string name = command.argv.back();
      CommandOutput output;
      output.out = "host " + name + "\nuser alice\nhostname " + name +
                   ".example\nport 22\nuserknownhostsfile " + known_hosts +
                   "\nglobalknownhostsfile none\nidentityagent none\nconnecttimeout 30\n" +
                   "stricthostkeychecking " + (strangers.contains(name) ? "ask" : "no") + "\nbatchmode no\n";
      if (jumps.contains(name)) output.out += "proxyjump " + jumps.at(name) + "\n";
      return output;
    });
    hosts->set_bastions({{"prod", {"jump1", "jump2", "jump3"}}});
  }
  ~BastionSim() override {
    kept.clear();
    hosts.reset();
    io.settle();
    std::remove(known_hosts.c_str());
  }

  // A server that does as `prepare` says from its next connection on.
  void server(const std::string& name, std::function<void(SimSshd&)> prepare = nullptr) {
    next(name);
    io.on_dial(name + ".example:22", [this, name, prepare](std::unique_ptr<ByteStream> stream) {
      SimSshd& sshd = begin(name);
      if (prepare) prepare(sshd);
      sshd.reach(
          [this](const std::string& host, std::uint32_t) { return reach(host.substr(0, host.find('.'))); });
      sshd.serve(std::move(stream), false);
    });
  }
  std::unique_ptr<ByteStream> reach(const std::string& name) {
    if (!next_.contains(name)) return nullptr;
    auto [near, far] = io.pipe();
    begin(name).serve(std::move(far), false);
    return std::move(near);
  }
  // What the next connection will meet. Each of these servers has a key of its own, known before.
  void next(const std::string& name) {
    if (next_[name]) return;
    next_[name] = std::make_unique<SimSshd>();
    if (strangers.contains(name)) return;
    std::ofstream(known_hosts, std::ios::app)
        << name << ".example ssh-ed25519 " << base64_encode(next_[name]->host_key_blob()) << "\n";
  }
  SimSshd& begin(const std::string& name) {
    sshds[name].push_back(std::move(next_[name]));
    next(name);
    return *sshds[name].back();
  }
  // Connects, and says nothing until speak().
  void silent_server(const std::string& name) {
    next(name);
    io.on_dial(name + ".example:22", [this, name](std::unique_ptr<ByteStream> stream) {
      silent[name].push_back(std::move(stream));
    });
  }
  void speak(const std::string& name) {
    begin(name).serve(std::move(silent[name].back()), closed_to_all == name);
    silent[name].pop_back();
  }
  std::size_t dials(const std::string& name) { return sshds[name].size() + silent[name].size(); }
  SimSshd& sshd(const std::string& name) { return *sshds.at(name).back(); }

  using Asker = Host::Asker;
  using Outcome = std::shared_ptr<Result<Mux*>>;
  Outcome ask(const std::string& name, Asker asker = Asker::kUser) {
    auto outcome = std::make_shared<Result<Mux*>>(Error{Errc::kInternal, "no answer yet", {}});
    kept.push_back((*hosts->get(name))->acquire(asker, seconds(60), [outcome](const Result<Mux*>& mux) {
      *outcome = mux;
    }));
    io.settle();
    return outcome;
  }
  // Not by get(): that would be somebody asking for it.
  Host& host(const std::string& name) { return *hosts->find(name); }
  std::string serving() { return host("prod").ready() ? host("prod").serving() : ""; }

  SimIo io;
  Asked person{io};
  std::string closed_to_all;                 // whose logins all fail
  std::set<std::string> strangers;           // whose host key is asked about
  std::map<std::string, std::string> jumps;  // ProxyJump
  const std::string known_hosts =
      testing::TempDir() + "/jump_bastion_known_hosts." + std::to_string(getpid());
  std::map<std::string, std::vector<std::unique_ptr<SimSshd>>> sshds;
  std::map<std::string, std::unique_ptr<SimSshd>> next_;
  std::map<std::string, std::vector<std::unique_ptr<ByteStream>>> silent;
  std::unique_ptr<Hosts> hosts =
      std::make_unique<Hosts>(io, "", Host::Lanes::kNever, WindowBudget::kDefaultCap, &person);
  std::vector<std::unique_ptr<Operation>> kept;
};

TEST_F(BastionSim, TheFirstMemberServesAndNoOtherIsDialled) {
  for (const char* name : {"jump1", "jump2", "jump3"}) server(name);
  EXPECT_TRUE(*ask("prod"));
  EXPECT_EQ(serving(), "jump1");
  io.advance(seconds(60));
  EXPECT_EQ(dials("jump2") + dials("jump3"), 0u);
  EXPECT_EQ(host("prod").mux(), host("jump1").mux());
  EXPECT_THAT(hosts->connected(), ElementsAre("prod"));
  EXPECT_EQ(host("prod").spec()->host, "jump1.example");
}

TEST_F(BastionSim, ARefusedOneCostsNoTime) {
  server("jump3");
  const TimePoint before = io.now();
  EXPECT_TRUE(*ask("prod"));
  EXPECT_EQ(serving(), "jump3");
  EXPECT_EQ(io.now(), before);
}

TEST_F(BastionSim, ASilentOneCostsAStagger) {
  silent_server("jump1");
  server("jump2");
  const Outcome outcome = ask("prod");
  io.advance(BastionRace::kStagger - milliseconds(1));
  EXPECT_EQ(dials("jump2"), 0u);
  io.advance(milliseconds(1));
  EXPECT_TRUE(*outcome);
  EXPECT_EQ(serving(), "jump2");
  EXPECT_EQ(host("jump1").state(), Host::State::kIdle) << "its dial is withdrawn";
  EXPECT_EQ(host("jump1").hop(), nullptr);
  io.advance(seconds(120));
  EXPECT_EQ(dials("jump1"), 1u);
  EXPECT_EQ(dials("jump3"), 0u);
}

// Its server was being restarted, and the other one's machine is away.
TEST_F(BastionSim, OneThatFailedIsTriedAgainWhileAnotherDoesNotAnswer) {
  silent_server("jump1");
  const Outcome outcome = ask("prod");
  io.advance(seconds(10));
  EXPECT_EQ(dials("jump1"), 1u);
  EXPECT_FALSE(*outcome);
  server("jump2");
  io.advance(Host::kRetryGap);
  EXPECT_TRUE(*outcome);
  EXPECT_EQ(serving(), "jump2");
}

TEST_F(BastionSim, OneThatFailedIsTriedAgainAtOnceWhenTheNetworkChanges) {
  silent_server("jump1");
  const Outcome outcome = ask("prod");
  io.advance(BastionRace::kStagger + Host::kRetryGap / 2);
  server("jump2");
  hosts->nudge(Host::Nudge::kNetwork);
  io.settle();
  EXPECT_TRUE(*outcome);
  EXPECT_EQ(serving(), "jump2");
}

// Nobody answers: once each has failed, that is said.
TEST_F(BastionSim, WhereEachHasFailedNoneIsTriedAgain) {
  for (const char* name : {"jump1", "jump2", "jump3"}) silent_server(name);
  const Outcome outcome = ask("prod");
  io.advance(seconds(30) + 2 * BastionRace::kStagger + milliseconds(1));
  EXPECT_THAT(outcome->error().message, HasSubstr("no member could be connected to"));
  for (const char* name : {"jump1", "jump2", "jump3"}) EXPECT_EQ(dials(name), 1u) << name;
}

// It might lock the account.
TEST_F(BastionSim, ALoginThatBreaksOffIsNotRepeatedWhileAnotherDoesNotAnswer) {
  silent_server("jump1");
  server("jump2", [](SimSshd& sshd) {
    sshd.want_code();
    sshd.drop_logins();
  });
  const Outcome outcome = ask("prod");
  io.advance(seconds(20));
  EXPECT_EQ(dials("jump2"), 1u);
}

TEST_F(BastionSim, OneThatIsSlowAndWantedByOthersGoesOn) {
  silent_server("jump1");
  server("jump2");
  ask("prod");
  const Outcome other = ask("jump1");
  io.advance(BastionRace::kStagger);
  ASSERT_EQ(serving(), "jump2");
  EXPECT_EQ(host("jump1").state(), Host::State::kConnecting);
  speak("jump1");
  io.settle();
  EXPECT_TRUE(*other);
  EXPECT_EQ(serving(), "jump2");
}

TEST_F(BastionSim, WhenAllFailOneErrorNamesEach) {
  const Outcome outcome = ask("prod");
  ASSERT_FALSE(*outcome);
  EXPECT_EQ(outcome->error().code, Errc::kUnreachable);
  for (const char* name :
       {"prod: no member", "jump1.example:22: Conn", "jump2.example:22: Conn", "jump3.example:22: Conn"})
    EXPECT_THAT(outcome->error().message, HasSubstr(name));
  server("jump2");
  const Outcome waits = ask("prod", Asker::kConnection);
  io.advance(seconds(3));
  EXPECT_TRUE(*waits) << "it is tried again by itself";
}

TEST_F(BastionSim, WhenTheServingOneBreaksTheNextTakesOverAtOnce) {
  for (const char* name : {"jump1", "jump2"}) server(name);
  ask("prod");
  ASSERT_EQ(serving(), "jump1");
  int told = 0;
  auto watch = host("prod").watch([&told] { ++told; });
  for (const char* next : {"jump2", "jump1", "jump2"}) {
    const TimePoint before = io.now();
    sshd(serving()).die();
    io.advance(Duration::zero());
    EXPECT_EQ(serving(), next) << host("prod").last_error()->message;
    EXPECT_EQ(io.now(), before);
    io.advance(Host::kStable);
  }
  EXPECT_EQ(told, 3);
}

// TCP may take long to find out that the one that serves is dead.
TEST_F(BastionSim, WhileTheServingOneDoesNotAnswerAnotherDoes) {
  for (const char* name : {"jump1", "jump2"}) server(name);
  const Outcome first = ask("prod", Asker::kConnection);
  auto channel = (**first)->open(ChannelOpen::direct_tcpip("svc", SimSshd::kEcho, "127.0.0.1", 1),
                                 io.now() + seconds(20), nullptr);
  ASSERT_TRUE(channel);
  io.settle();
  for (bool dies : {false, true}) {
    sshd("jump1").hang();
    (*channel)->write(as_bytes("k"));
    io.advance(Hop::kDoubt + milliseconds(1));
    const Outcome late = ask("prod", Asker::kConnection);
    const Outcome user = ask("prod", Asker::kUser);
    EXPECT_FALSE(*late);
    EXPECT_FALSE(*user);
    io.advance(Hop::kDoubtPatience);
    ASSERT_TRUE(*late);
    ASSERT_TRUE(*user && **user);
    EXPECT_EQ(**user, host("jump2").mux());
    EXPECT_EQ(**late, host("jump2").mux());
    EXPECT_EQ(serving(), "jump1") << "it is left alone";
    const Outcome own = ask("jump1", Asker::kConnection);
    EXPECT_NE(*own ? **own : nullptr, host("jump2").mux()) << "who wants jump1 does not mean the other";
    if (dies) {
      sshd("jump1").die();
      io.advance(Duration::zero());
      EXPECT_EQ(serving(), "jump2");
      EXPECT_EQ(dials("jump2"), 2u);
    } else {
      sshd("jump1").go_on();
      io.settle();
      EXPECT_EQ(serving(), "jump1");
      EXPECT_TRUE(sshd("jump2").ended()) << "it is not needed any more";
      io.advance(Host::kStable);
    }
  }
}

TEST_F(BastionSim, OneThatFailedLatelyStandsInToo) {
  for (const bool back : {true, false}) {
    SCOPED_TRACE(back ? "it is back" : "it is not");
    for (const char* name : {"jump1", "jump2"}) server(name);
    ASSERT_TRUE(*ask("prod"));
    const std::string failed = serving();
    sshd(failed).die();
    io.advance(seconds(25));
    const std::string hangs = serving();
    ASSERT_NE(hangs, failed);
    std::size_t dials = 0;
    if (!back) {
      io.on_dial(failed + ".example:22", [&dials](std::unique_ptr<ByteStream> stream) {
        ++dials;
        stream->abort();
      });
    }
    const Outcome first = ask("prod", Asker::kConnection);
    auto channel = (**first)->open(ChannelOpen::direct_tcpip("svc", SimSshd::kEcho, "127.0.0.1", 1),
                                   io.now() + seconds(20), nullptr);
    ASSERT_TRUE(channel);
    io.settle();
    sshd(hangs).hang();
    (*channel)->write(as_bytes("k"));
    io.advance(Hop::kDoubt + milliseconds(1));
    const Outcome late = ask("prod", Asker::kConnection);
    io.advance(Hop::kDoubtPatience + 6 * Host::kRetryGap);
    if (back) {
      ASSERT_TRUE(*late);
      EXPECT_EQ(**late, host(failed).mux());
    } else {
      EXPECT_GT(dials, 1u);
      EXPECT_LT(dials, 10u);
    }
    sshd(hangs).die();
    for (const char* name : {"jump1", "jump2"}) server(name);
    io.advance(seconds(60));
    kept.clear();
  }
}

// What was begun to keep things as they are waits for long between its dials.
TEST_F(BastionSim, AConnectionThatComesCutsShortThePauseOfTheMembers) {
  for (int phase = 0; phase < 10; ++phase) {
    for (const char* name : {"jump1", "jump2"}) server(name);
    ASSERT_TRUE(*ask("prod"));
    sshd(serving()).die();
    for (const char* name : {"jump1", "jump2"})
      io.on_dial(std::string(name) + ".example:22",
                 [](std::unique_ptr<ByteStream> stream) { stream->abort(); });
    io.advance(seconds(300) + phase * seconds(3));
    ASSERT_EQ(serving(), "");
    for (const char* name : {"jump1", "jump2"}) server(name);
    const Outcome late = ask("prod", Asker::kConnection);
    io.advance(2 * Host::kRetryGap);
    EXPECT_TRUE(*late) << phase;
    io.advance(Host::kStable);
  }
}

TEST_F(BastionSim, AUserWhoComesToARaceThatWasBegunForNobodyIsAsked) {
  server("jump1", [](SimSshd& sshd) { sshd.want_code(); });
  server("jump2");
  ask("jump2");
  ASSERT_TRUE(hosts->disconnect("jump2", Error{Errc::kClosed, "by user", {}}));
  silent_server("jump2");
  person.answers = {"1234", "5678"};
  ASSERT_TRUE(*ask("prod"));
  ASSERT_EQ(serving(), "jump1");
  sshd("jump1").die();
  io.advance(seconds(2));
  ASSERT_EQ(serving(), "") << "only jump2 is tried, which does not answer";
  ASSERT_EQ(person.asked.size(), 1u);
  const Outcome user = ask("prod");
  io.advance(BastionRace::kStagger * 2);
  EXPECT_TRUE(*user);
  EXPECT_EQ(serving(), "jump1");
  EXPECT_EQ(person.asked.size(), 2u);
}

TEST_F(BastionSim, AMemberThatAUserConnectsServesTheBastion) {
  for (const char* name : {"jump1", "jump2"}) server(name, [](SimSshd& sshd) { sshd.want_code(); });
  hosts->expect({"jump1", "jump2", "jump3"}, {});  // of an agent before this one
  EXPECT_EQ(ask("prod", Asker::kUpkeep)->error().code, Errc::kNeedsPerson);
  person.answers = {"1234"};
  ASSERT_TRUE(*ask("jump1"));
  io.advance(seconds(1));
  EXPECT_EQ(serving(), "jump1");
  EXPECT_TRUE(*ask("prod", Asker::kConnection));
  EXPECT_EQ(person.asked.size(), 1u);
}

TEST_F(BastionSim, OneThatBreaksSoonAfterItsLoginIsReplacedWithoutAPause) {
  for (const char* name : {"jump1", "jump2", "jump3"}) server(name);
  ask("prod");
  sshd("jump1").die();
  io.advance(Duration::zero());
  sshd("jump2").die();
  io.advance(Duration::zero());
  EXPECT_EQ(serving(), "jump3");
  sshd("jump3").die();
  io.advance(Duration::zero());
  EXPECT_EQ(serving(), "") << "all have failed just now: a pause";
  io.advance(seconds(2));
  EXPECT_NE(serving(), "");
}

TEST_F(BastionSim, WhatIsConnectedAlreadyIsTaken) {
  for (const char* name : {"jump1", "jump2"}) server(name);
  ask("jump2");
  EXPECT_TRUE(*ask("prod"));
  EXPECT_EQ(serving(), "jump2");
  EXPECT_EQ(dials("jump1"), 0u);
}

TEST_F(BastionSim, DisconnectingTheMemberMovesTheBastionAndDisconnectingTheBastionEndsIt) {
  for (const char* name : {"jump1", "jump2"}) server(name);
  ask("prod");
  ASSERT_TRUE(hosts->disconnect("jump1", Error{Errc::kClosed, "by user", {}}));
  io.advance(Duration::zero());
  EXPECT_EQ(serving(), "jump2");
  ASSERT_TRUE(hosts->disconnect("prod", Error{Errc::kClosed, "by user", {}}));
  io.advance(seconds(120));
  EXPECT_EQ(host("prod").state(), Host::State::kIdle);
  EXPECT_EQ(host("jump2").state(), Host::State::kIdle);
  EXPECT_TRUE(sshd("jump2").ended());
  EXPECT_EQ(dials("jump1") + dials("jump2"), 2u);
}

TEST_F(BastionSim, DisconnectingWhileItLooksWithdrawsTheDials) {
  silent_server("jump1");
  const Outcome outcome = ask("prod");
  ASSERT_TRUE(hosts->disconnect("prod", Error{Errc::kClosed, "by user", {}}));
  io.advance(seconds(60));
  EXPECT_EQ(outcome->error().message, "by user");
  EXPECT_EQ(host("jump1").hop(), nullptr);
  EXPECT_EQ(dials("jump2"), 0u);
}

TEST_F(BastionSim, ALoginThatHangsIsGivenUpForTheNext) {
  server("jump1", [](SimSshd& sshd) { sshd.ignore_logins(); });
  server("jump2");
  const Outcome outcome = ask("prod");
  io.advance(BastionRace::kLoginPatience - milliseconds(1));
  EXPECT_EQ(dials("jump2"), 0u) << "it has answered, so no other is dialled beside";
  io.advance(milliseconds(1));
  EXPECT_TRUE(*outcome);
  EXPECT_EQ(serving(), "jump2");
  EXPECT_EQ(host("jump1").hop(), nullptr);
}

// --- a person

TEST_F(BastionSim, WhileAPersonThinksNoOtherIsDialled) {
  strangers = {"jump1", "jump2"};
  for (const char* name : {"jump1", "jump2"}) server(name);
  const Outcome outcome = ask("prod");
  EXPECT_THAT(person.asked, ElementsAre("jump1"));
  EXPECT_THAT(person.waited_for, Contains("prod")) << "who waits for the bastion is asked";
  io.advance(seconds(50));
  EXPECT_EQ(person.open, 1);
  EXPECT_EQ(dials("jump2"), 0u);
  EXPECT_EQ(serving(), "");
}

TEST_F(BastionSim, TwoThatAnswerAtTheSameMomentDoNotBothAsk) {
  strangers = {"jump1", "jump2"};
  for (const char* name : {"jump1", "jump2"}) silent_server(name);
  const Outcome outcome = ask("prod");
  io.advance(BastionRace::kStagger);
  ASSERT_EQ(dials("jump2"), 1u);
  speak("jump1");
  speak("jump2");
  io.advance(seconds(5));
  EXPECT_EQ(person.asked.size(), 1u);
  EXPECT_EQ(person.most_at_once, 1);
  EXPECT_EQ(person.open, 1);
  EXPECT_EQ(dials("jump3"), 0u);
  EXPECT_TRUE((host("jump1").hop() == nullptr) != (host("jump2").hop() == nullptr)) << "one was withdrawn";
}

TEST_F(BastionSim, OneLoginAtATimeAndWhoseFailsPassesTheTurn) {
  closed_to_all = "jump1";
  for (const char* name : {"jump1", "jump2"}) silent_server(name);
  const Outcome outcome = ask("prod");
  io.advance(BastionRace::kStagger);
  server("jump2", [](SimSshd& sshd) { sshd.want_code(); });
  person.answers = {"1234"};
  speak("jump1");
  speak("jump2");
  io.advance(seconds(5));
  EXPECT_TRUE(*outcome);
  EXPECT_EQ(serving(), "jump2");
  EXPECT_EQ(dials("jump2"), 2u) << "it was withdrawn while the other logged in";
  EXPECT_EQ(host("jump1").last_error()->code, Errc::kAuth);
}

TEST_F(BastionSim, TheirJumpHostsDoNotBothAskEither) {
  strangers = {"door1", "door2"};
  jumps = {{"jump1", "door1"}, {"jump2", "door2"}};
  for (const char* name : {"jump1", "jump2"}) next(name);
  for (const char* name : {"door1", "door2"}) silent_server(name);
  const Outcome outcome = ask("prod");
  io.advance(BastionRace::kStagger);
  ASSERT_EQ(dials("door2"), 1u);
  speak("door1");
  speak("door2");
  io.advance(seconds(5));
  EXPECT_EQ(person.most_at_once, 1);
  EXPECT_EQ(person.open, 1);
  EXPECT_THAT(person.waited_for, Contains("prod"));
}

TEST_F(BastionSim, WhatOthersWantIsAskedAllTheSame) {
  strangers = {"jump1", "jump2"};
  for (const char* name : {"jump1", "jump2"}) server(name);
  ask("prod");
  ask("jump2");
  EXPECT_THAT(person.asked, ElementsAre("jump1", "jump2"));
}

TEST_F(BastionSim, WhoDeclinesIsNotAskedByTheNextMember) {
  strangers = {"jump1", "jump2"};
  for (const char* name : {"jump1", "jump2"}) server(name);
  person.answers = {"declined"};
  EXPECT_EQ(ask("prod")->error().code, Errc::kCancelled);
  EXPECT_EQ(person.asked.size(), 1u);
  EXPECT_EQ(dials("jump2"), 0u);
}

TEST_F(BastionSim, WhoDoesNotAnswerIsNotAskedByTheNextMember) {
  strangers = {"jump1", "jump2"};
  for (const char* name : {"jump1", "jump2"}) server(name);
  person.answers = {"late"};
  EXPECT_EQ(ask("prod")->error().code, Errc::kNeedsPerson);
  io.advance(seconds(600));
  EXPECT_EQ(person.asked.size(), 1u);
  EXPECT_EQ(dials("jump2"), 0u);
}

TEST_F(BastionSim, ALoginThatTakesACodeWaitsForWhoeverAsks) {
  for (const char* name : {"jump1", "jump2"}) server(name, [](SimSshd& sshd) { sshd.want_code(); });
  person.answers = {"1234", "5678"};
  ASSERT_TRUE(*ask("prod"));
  sshd("jump1").die();
  io.advance(seconds(600));
  EXPECT_EQ(ask("prod", Asker::kConnection)->error().code, Errc::kNeedsPerson);
  EXPECT_EQ(person.asked.size(), 1u) << "nobody asked for another code";
  EXPECT_EQ(dials("jump2"), 0u);
  EXPECT_TRUE(*ask("prod"));
  EXPECT_EQ(person.asked.size(), 2u);
}

TEST_F(BastionSim, AMemberThatNeedsNoPersonTakesOverFromOneThatDoes) {
  server("jump1", [](SimSshd& sshd) { sshd.want_code(); });
  server("jump2");
  ask("jump2");
  ASSERT_TRUE(hosts->disconnect("jump2", Error{Errc::kClosed, "by user", {}}));
  person.answers = {"1234"};
  ASSERT_TRUE(*ask("prod"));
  ASSERT_EQ(serving(), "jump1");
  sshd("jump1").die();
  io.advance(seconds(2));
  EXPECT_EQ(serving(), "jump2");
  EXPECT_EQ(person.asked.size(), 1u);
}

// --- as a jump host, and in a changing config

TEST_F(BastionSim, ABastionMayBeAJumpHost) {
  jumps = {{"db", "prod"}};
  next("db");
  for (const char* name : {"jump1", "jump2"}) server(name);
  EXPECT_TRUE(*ask("db", Asker::kConnection));
  EXPECT_EQ(host("db").via(), &host("prod"));
  EXPECT_EQ(sshd("jump1").open_channels(), 1u);
  const Status refused = hosts->disconnect("prod", Error{Errc::kClosed, "by user", {}});
  EXPECT_THAT(refused.ok() ? "" : refused.error().message, HasSubstr("prod is the way to db"));
  sshd("jump1").die();
  io.advance(seconds(2));
  EXPECT_TRUE(host("db").ready());
  EXPECT_EQ(sshd("jump2").open_channels(), 1u);
}

TEST_F(BastionSim, AMemberBehindItsOwnBastionIsTold) {
  hosts->set_bastions({{"prod", {"jump1"}}});
  jumps = {{"jump1", "door"}, {"door", "prod"}};
  const Outcome outcome = ask("prod");
  ASSERT_FALSE(*outcome);
  EXPECT_THAT(outcome->error().message, HasSubstr("door: its jump host prod is reached through it"));
}

TEST_F(BastionSim, OtherMembersHoldFromTheNextLogin) {
  for (const char* name : {"jump1", "jump9"}) server(name);
  ask("prod");
  hosts->set_bastions({{"prod", {"jump9"}}});
  io.advance(seconds(5));
  EXPECT_EQ(serving(), "jump1") << "what is connected stays";
  sshd("jump1").die();
  io.advance(seconds(1));
  EXPECT_EQ(serving(), "jump9");
}

TEST_F(BastionSim, OtherMembersHoldAtOnceWhileItLooks) {
  silent_server("jump1");
  server("jump9");
  const Outcome outcome = ask("prod");
  hosts->set_bastions({{"prod", {"jump9"}}});
  io.settle();
  EXPECT_TRUE(*outcome);
  EXPECT_EQ(serving(), "jump9");
  EXPECT_EQ(host("jump1").hop(), nullptr);
}

TEST_F(BastionSim, AnEndAtAnyMomentLeavesNothing) {
  strangers = {"jump2"};
  jumps = {{"jump3", "jump1"}};
  silent_server("jump1");
  server("jump2");
  ask("prod");
  io.advance(BastionRace::kStagger);
  hosts.reset();
  io.settle();
  EXPECT_EQ(person.open, 0);
}

}  // namespace
}  // namespace jump::test
