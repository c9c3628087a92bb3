// Logins that need a person, on memory streams: who may cause one, who may cause it again, and what becomes
// of a user who comes to it too late to be asked.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <string>
#include <vector>

#include "route/hosts.h"
#include "sim/sim_sshd.h"
#include "support/sim_io.h"

namespace jump::test {
namespace {

// Answers from a script: "" is nobody. `meanwhile` runs once, right behind the next answer.
class Person final : public Prompter {
 public:
  explicit Person(SimIo& io) : io_(io) {}
  std::unique_ptr<Operation> ask(Question question, Answered done) override {
    asked.push_back(question.waited_for());
    if (thinks) return std::make_unique<Operation>();
    std::string answer;
    if (!answers.empty()) {
      answer = answers.front();
      answers.pop_front();
    }
    return io_.in_pool([] {},
                       [this, answer, done] {
                         auto then = std::exchange(meanwhile, nullptr);
                         if (answer.empty()) {
                           done(Error{Errc::kNeedsPerson, std::string(kNobodyIsThere), {}});
                         } else if (answer == "declined") {
                           done(Error{Errc::kCancelled, "declined", {}});
                         } else {
                           std::vector<Secret> secrets;
                           secrets.emplace_back(std::string_view(answer));
                           done(std::move(secrets));
                         }
                         if (then) then();
                       });
  }
  void who_waits_changed() override { ++changes; }

  std::deque<std::string> answers;
  std::vector<std::vector<std::string>> asked;
  std::function<void()> meanwhile;
  bool thinks = false;  // and does not answer
  int changes = 0;

 private:
  SimIo& io_;
};

class AskingSim : public testing::Test {
 protected:
  AskingSim() {
    io.on_command("ssh", [this](const Command& command) -> Result<CommandOutput> {
      const std::string name = command.argv.back();
      CommandOutput output;
      output.out =
          "host " + name + "\nuser alice\nhostname " + (name == "db" ? "10.0.0.6" : "10.0.0.5") +
          "\nport 22\nuserknownhostsfile " + known_hosts +
          "\nglobalknownhostsfile none\nidentityagent none\nstricthostkeychecking ask\nbatchmode no\n";
      if (name == "db") output.out += "proxyjump door\n";
      return output;
    });
    io.on_dial("10.0.0.5:22", [this](std::unique_ptr<ByteStream> stream) {
      if (away) return stream->abort();
      sshds.push_back(std::make_unique<SimSshd>());
      if (want_password) sshds.back()->want_password();
      sshds.back()->reach([this](const std::string&, std::uint32_t) {
        auto [near, far] = io.pipe();
        inner.push_back(std::make_unique<SimSshd>());
        inner.back()->serve(std::move(far), false);
        return std::move(near);
      });
      sshds.back()->serve(std::move(stream), false);
    });
  }
  ~AskingSim() override {
    hosts.reset();
    io.settle();
    std::remove(known_hosts.c_str());
  }
  // What becomes of it is in the string: "ready", a kind of error, or empty.
  using Outcome = std::shared_ptr<std::string>;
  Outcome acquire(const std::string& name, Host::Asker asker) {
    auto outcome = std::make_shared<std::string>();
    kept.push_back((*hosts->get(name))->acquire(asker, seconds(60), [outcome](const Result<Mux*>& mux) {
      *outcome = mux ? "ready" : errc_name(mux.error().code);
    }));
    return outcome;
  }
  std::string settled(const Outcome& outcome) {
    io.settle();
    return *outcome;
  }

  using Asker = Host::Asker;
  SimIo io;
  Person person{io};
  const std::string known_hosts = testing::TempDir() + "/jump_asking_known_hosts." + std::to_string(getpid());
  bool away = false;  // the server's machine resets every connection
  bool want_password = false;
  std::vector<std::unique_ptr<SimSshd>> sshds, inner;  // inner: "db"
  std::unique_ptr<Hosts> hosts =
      std::make_unique<Hosts>(io, "", Host::Lanes::kNever, WindowBudget::kDefaultCap, &person);
  std::vector<std::unique_ptr<Operation>> kept;
};

TEST_F(AskingSim, WhatNobodyAnsweredIsTriedAgainForAUserOnly) {
  EXPECT_EQ(settled(acquire("door", Asker::kConnection)), "needs_person");
  for (Asker asker : {Asker::kConnection, Asker::kUpkeep, Asker::kHop})
    EXPECT_EQ(settled(acquire("door", asker)), "needs_person");
  io.advance(seconds(600));
  EXPECT_EQ(settled(acquire("door", Asker::kConnection)), "needs_person");
  EXPECT_EQ(sshds.size(), 1U);
  person.answers = {"yes"};
  EXPECT_EQ(settled(acquire("door", Asker::kUser)), "ready");
}

TEST_F(AskingSim, WhatAPersonDeclinedIsTriedAgainForAUserOnly) {
  person.answers = {"declined", "yes"};
  EXPECT_EQ(settled(acquire("door", Asker::kUser)), "cancelled");
  for (Asker asker : {Asker::kConnection, Asker::kUpkeep, Asker::kHop})
    EXPECT_EQ(settled(acquire("door", asker)), "cancelled");
  EXPECT_EQ(person.asked.size(), 1U);
  EXPECT_EQ(settled(acquire("door", Asker::kUser)), "ready");
}

// Whatever fails after the break: the way that is back is no reason to log in, nor is somebody who asked
// before.
TEST_F(AskingSim, ALoginThatTookAPersonIsTriedAgainForAUserOnly) {
  want_password = true;
  person.answers = {"yes", "code"};
  EXPECT_EQ(settled(acquire("door", Asker::kUser)), "ready");
  away = true;
  sshds[0]->die();
  io.settle();
  EXPECT_EQ(settled(acquire("door", Asker::kConnection)), "needs_person");
  EXPECT_EQ(settled(acquire("door", Asker::kUser)), "needs_person");  // it cannot be reached
  away = false;
  (*hosts->get("door"))->nudge(Host::Nudge::kNetwork);
  io.advance(seconds(120));
  EXPECT_EQ(settled(acquire("door", Asker::kConnection)), "needs_person");
  EXPECT_EQ(sshds.size(), 1U);
  EXPECT_EQ(person.asked.size(), 2U);
  std::remove(known_hosts.c_str());  // each of these servers has a key of its own
  person.answers = {"yes", "code"};
  EXPECT_EQ(settled(acquire("door", Asker::kUser)), "ready");
}

// The user logs in to the one that asks; the other needs nobody, and comes back by itself.
TEST_F(AskingSim, WhatLiesBehindALoginThatTakesAPersonComesBackWithIt) {
  want_password = true;
  person.answers = {"yes", "code", "yes"};
  EXPECT_EQ(settled(acquire("db", Asker::kConnection)), "ready");
  const Outcome other_name = acquire("door2", Asker::kConnection);
  EXPECT_EQ(settled(other_name), "ready");
  sshds[0]->die();
  io.settle();
  for (const char* name : {"db", "door2", "door"})
    EXPECT_EQ(settled(acquire(name, Asker::kConnection)), "needs_person") << name;
  io.advance(seconds(600));
  EXPECT_EQ(person.asked.size(), 3U);
  std::remove(known_hosts.c_str());  // each of these servers has a key of its own
  person.answers = {"yes", "code", "yes"};
  EXPECT_EQ(settled(acquire("door", Asker::kUser)), "ready");
  io.advance(seconds(1));
  for (const char* name : {"db", "door2"}) {
    EXPECT_TRUE((*hosts->get(name))->ready()) << name;
    EXPECT_EQ(settled(acquire(name, Asker::kConnection)), "ready") << name;
  }
  EXPECT_EQ(sshds.size(), 2U);
}

// What is to be kept, and has not been connected yet.
TEST_F(AskingSim, WhatIsWantedBehindALoginThatTakesAPersonComesWithIt) {
  for (const char* by : {"door", "door2"}) {
    SCOPED_TRACE(by);
    hosts = std::make_unique<Hosts>(io, "", Host::Lanes::kNever, WindowBudget::kDefaultCap, &person);
    hosts->expect({"door"}, {});  // of an agent before this one
    want_password = true;
    EXPECT_EQ(settled(acquire("db", Asker::kUpkeep)), "needs_person");
    io.advance(seconds(600));
    std::remove(known_hosts.c_str());  // each of these servers has a key of its own
    person.answers = {"yes", "code", "yes"};
    EXPECT_EQ(settled(acquire(by, Asker::kUser)), "ready");
    io.advance(seconds(1));
    EXPECT_TRUE((*hosts->get("db"))->ready());
    EXPECT_EQ(settled(acquire("db", Asker::kUpkeep)), "ready");
    kept.clear();
  }
}

TEST_F(AskingSim, ARequestThatWasRefusedLongAgoBringsNothingUpBehindALogin) {
  want_password = true;
  person.answers = {"declined"};
  EXPECT_EQ(settled(acquire("db", Asker::kUser)), "cancelled");
  std::remove(known_hosts.c_str());
  person.answers = {"yes", "code", "yes"};
  EXPECT_EQ(settled(acquire("door", Asker::kUser)), "ready");
  io.advance(seconds(60));
  EXPECT_FALSE((*hosts->get("db"))->ready());
  EXPECT_TRUE(inner.empty());
}

// ProxyJump may have another name for it than the user.
TEST_F(AskingSim, ALoginThatTookAPersonIsNotBegunByTheNameThatOthersHaveForIt) {
  want_password = true;
  person.answers = {"yes", "code", "yes"};
  EXPECT_EQ(settled(acquire("door2", Asker::kUser)), "ready");
  EXPECT_EQ(settled(acquire("db", Asker::kConnection)), "ready");
  for (int outage = 0; outage < 2; ++outage) {
    const std::size_t asked = person.asked.size(), logins = sshds.size();
    sshds.back()->die();
    io.settle();
    const Outcome refused = acquire("db", Asker::kConnection);
    io.advance(seconds(600));
    EXPECT_EQ(*refused, "needs_person");
    EXPECT_EQ(person.asked.size(), asked);
    EXPECT_EQ(sshds.size(), logins);
    std::remove(known_hosts.c_str());  // each of these servers has a key of its own
    person.answers = {"yes", "code", "yes"};
    EXPECT_EQ(settled(acquire("door2", Asker::kUser)), "ready");
    io.advance(seconds(1));
    EXPECT_EQ(settled(acquire("db", Asker::kConnection)), "ready");
  }
}

TEST_F(AskingSim, AUserWhoCameTooLateToBeAskedGetsALoginOfTheirOwn) {
  person.answers = {"", "yes"};
  Outcome late;
  person.meanwhile = [&] { late = acquire("door", Asker::kUser); };
  EXPECT_EQ(settled(acquire("door", Asker::kUpkeep)), "needs_person");
  EXPECT_EQ(settled(late), "ready");
  EXPECT_EQ(person.asked.size(), 2U);
}

TEST_F(AskingSim, WhoWasThereWhenNobodyAnsweredIsNotAskedTwice) {
  person.answers = {"", "yes"};
  const Outcome config = acquire("door", Asker::kUpkeep), user = acquire("door", Asker::kUser);
  EXPECT_EQ(settled(config), "needs_person");
  EXPECT_EQ(*user, "needs_person");
  EXPECT_EQ(person.asked.size(), 1U);
}

TEST_F(AskingSim, AChangeOfTheNetworkDoesNotWithdrawAQuestionAboutAHostKey) {
  person.thinks = true;
  const Outcome outcome = acquire("door", Asker::kUser);
  io.settle();
  ASSERT_EQ(person.asked.size(), 1U);
  io.advance(seconds(5));
  hosts->nudge(Host::Nudge::kNetwork);
  io.settle();
  EXPECT_EQ(person.asked.size(), 1U);
  EXPECT_EQ(sshds.size(), 1U);
  EXPECT_EQ(*outcome, "");
}

TEST_F(AskingSim, TheJumpHostsQuestionNamesAllThatWaitForIt) {
  const Outcome db = acquire("db", Asker::kUser);
  EXPECT_EQ(settled(db), "needs_person");
  ASSERT_EQ(person.asked.size(), 1U);
  EXPECT_EQ(person.asked.front(), (std::vector<std::string>{"door", "db"}));
  EXPECT_GE(person.changes, 1) << "it is told that another host waits";
}

TEST_F(AskingSim, AFollowersErrorBeginsWithItsOwnName) {
  const Outcome first = acquire("door", Asker::kUser), second = acquire("door2", Asker::kUser);
  EXPECT_EQ(settled(second), "needs_person");
  EXPECT_EQ(sshds.size(), 1U) << "one follows the other";
  for (const char* name : {"door", "door2"}) {
    const std::optional<Error>& error = (*hosts->get(name))->last_error();
    ASSERT_TRUE(error);
    EXPECT_EQ(error->message.find(name), 0U) << error->message;
  }
  const std::string& told = (*hosts->get("door2"))->last_error()->message;
  EXPECT_TRUE(told.starts_with("door2: door ") || told.starts_with("door2 (")) << told;
}

TEST_F(AskingSim, AReloadsLoginMayTryAgainOnce) {
  EXPECT_EQ(settled(acquire("door", Asker::kUpkeep)), "needs_person");
  (*hosts->get("door"))->forget_failure();
  EXPECT_EQ(settled(acquire("door", Asker::kUpkeep)), "needs_person");
  EXPECT_EQ(person.asked.size(), 2U);
}

}  // namespace
}  // namespace jump::test
