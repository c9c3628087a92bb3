// Chains of jump hosts on memory streams and a clock of the test's: a ← b ← c, where c is reached through b,
// and b through a. Who asks at the same time shares the dials; an end at any place and at any byte is told
// upward, hop by hop, and leaves nothing open on any server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "auth/base64.h"
#include "route/carried_dial.h"
#include "route/hosts.h"
#include "sim/sim_sshd.h"
#include "support/sim_io.h"

namespace jump::test {
namespace {

using ::testing::HasSubstr;

class ChainSim : public testing::Test {
 protected:
  // A request, and what became of it.
  struct Request {
    std::unique_ptr<Operation> operation;
    int answers = 0;
    std::optional<Error> error;
    bool ready() const { return answers == 1 && !error; }
  };

  ChainSim() {
    known_hosts_ = testing::TempDir() + "/jump_chain_known_hosts." + std::to_string(getpid());
    io.on_command("ssh", [this](const Command& command) -> Result<CommandOutput> {
      if (resolving_fails) return *resolving_fails;
      const std::string name = command.argv.back();
      const std::map<std::string, std::string> jumps = {{"b", "a"}, {"c", "b"}, {"d", "b"}, {"e", "a"}};
      CommandOutput output;
      output.out =
          "host " + name + "\nuser alice\nhostname " + name + ".example\nport 22\nuserknownhostsfile " +
          known_hosts_ +
          "\nglobalknownhostsfile none\nidentityagent none\nconnecttimeout 10\nserveraliveinterval 5\n"
          "serveralivecountmax 2\n";
      if (jumps.contains(name)) output.out += "proxyjump " + jumps.at(name) + "\n";
      return output;
    });
    io.on_dial("a.example:22", [this](std::unique_ptr<ByteStream> stream) { serve("a", std::move(stream)); });
    for (const char* name : {"a", "b", "c", "d", "e"}) next_[name] = std::make_unique<SimSshd>();
    write_known_hosts();
  }
  ~ChainSim() override {
    requests_.clear();
    hosts.reset();
    io.settle();
    std::remove(known_hosts_.c_str());
  }

  // The next connection to that server meets its next instance, with a key that is known already.
  void serve(const std::string& name, std::unique_ptr<ByteStream> stream) {
    sshds[name].push_back(std::exchange(next_[name], std::make_unique<SimSshd>()));
    SimSshd& sshd = *sshds[name].back();
    keys_ += name + ".example ssh-ed25519 " + base64_encode(sshd.host_key_blob()) + "\n";
    write_known_hosts();
    sshd.loses([this](const std::string& host) { return host.substr(0, host.find('.')) == unanswered; });
    sshd.reach([this](const std::string& host, std::uint32_t) -> std::unique_ptr<ByteStream> {
      const std::string target = host.substr(0, host.find('.'));
      if (away == target || !next_.contains(target)) return nullptr;
      auto [near, far] = io.pipe();
      serve(target, std::move(far));
      return std::move(near);
    });
    sshd.serve(std::move(stream), closed_to_all == name);
  }
  SimSshd& next(const std::string& name) { return *next_.at(name); }

  Request& ask(const std::string& name, Host::Asker asker = Host::Asker::kUser) {
    requests_.push_back(std::make_unique<Request>());
    Request& request = *requests_.back();
    request.operation = host(name).acquire(asker, seconds(60), [&request](const Result<Mux*>& mux) {
      ++request.answers;
      if (!mux) request.error = mux.error();
    });
    return request;
  }
  Host& host(const std::string& name) { return **hosts->get(name); }
  std::size_t dials(const std::string& name) { return sshds[name].size(); }
  // Every server has seen its connection end.
  void expect_all_ended(const std::string& when) {
    for (const auto& [name, list] : sshds) {
      for (const auto& sshd : list) EXPECT_TRUE(sshd->ended()) << name << " is still connected to, " << when;
    }
  }
  void expect_at_rest(const std::string& when) {
    for (const auto& [name, each] : hosts->all()) {
      const bool rests = each->state() == Host::State::kIdle || each->state() == Host::State::kDown;
      EXPECT_TRUE(rests) << name << " goes on, " << when;
      EXPECT_EQ(each->waiting(), 0u) << name << ", " << when;
      EXPECT_EQ(each->hop(), nullptr) << name << ", " << when;
    }
  }

  SimIo io;
  std::optional<Error> resolving_fails;
  std::string away;           // a server that cannot be reached from its bastion
  std::string unanswered;     // a server of which its bastion hears nothing
  std::string closed_to_all;  // a server that refuses every login
  std::map<std::string, std::vector<std::unique_ptr<SimSshd>>> sshds;
  std::unique_ptr<Hosts> hosts = std::make_unique<Hosts>(io, "");

 private:
  void write_known_hosts() {
    std::ofstream file(known_hosts_);
    file << keys_;
    for (const auto& [name, sshd] : next_)
      file << name << ".example ssh-ed25519 " << base64_encode(sshd->host_key_blob()) << "\n";
  }

  std::string known_hosts_, keys_;
  std::map<std::string, std::unique_ptr<SimSshd>> next_;
  std::vector<std::unique_ptr<Request>> requests_;
};

TEST_F(ChainSim, ThreeHopsComeUpOneThroughTheOther) {
  Request& c = ask("c");
  io.settle();
  ASSERT_TRUE(c.ready()) << c.error->message;
  EXPECT_EQ(host("c").via(), &host("b"));
  EXPECT_EQ(host("b").via(), &host("a"));
  EXPECT_EQ(sshds["a"][0]->open_channels(), 1u);
  EXPECT_EQ(sshds["b"][0]->open_channels(), 1u);
  auto channel = host("c").mux()->open(ChannelOpen::direct_tcpip("svc", SimSshd::kEcho, "127.0.0.1", 0),
                                       io.now() + seconds(5), nullptr);
  ASSERT_TRUE(channel);
  Collector got(**channel);
  std::string sent;
  for (int i = 0; i < 40; ++i) {
    const std::string piece(5000, static_cast<char>('a' + i % 26));
    sent += piece.substr(0, (*channel)->write(as_bytes(piece)));
    io.settle();
  }
  EXPECT_GT(sent.size(), 100000u);
  EXPECT_EQ(got.received.size(), sent.size());
  EXPECT_TRUE(got.received == sent);
}

// The server says nothing meanwhile, which would set the connection going again.
TEST_F(ChainSim, WhatWaitedForRoomGoesWhenAllThatWasBeforeItFindsSomeAtOnce) {
  ASSERT_TRUE(ask("a").operation);
  io.settle();
  SimSshd& server = *sshds["a"][0];
  Mux& mux = *host("a").mux();
  std::vector<std::unique_ptr<Channel>> channels;
  for (int i = 0; i < 12; ++i) {
    auto channel = mux.open(ChannelOpen::direct_tcpip("svc", SimSshd::kHash, "127.0.0.1", 0),
                            io.now() + seconds(5), nullptr);
    ASSERT_TRUE(channel);
    channels.push_back(*std::move(channel));
  }
  io.settle();
  server.stop_reading();
  const std::string piece(30000, 'x');  // within the window
  for (const auto& channel : channels) ASSERT_EQ(channel->write(as_bytes(piece)), piece.size());
  io.settle();
  ASSERT_GT(mux.counters().queued_out, 0u) << "nothing waits";

  io.set_pipe_size(1 << 20);
  server.hang();
  server.read_on();
  io.settle();
  EXPECT_EQ(mux.counters().queued_out, 0u);
}

TEST_F(ChainSim, AllWhoAskAtOnceShareTheDials) {
  Request* all[] = {&ask("c"), &ask("d"), &ask("e"), &ask("c"), &ask("b")};
  io.settle();
  for (const Request* each : all) EXPECT_TRUE(each->ready());
  for (const char* name : {"a", "b", "c", "d", "e"}) EXPECT_EQ(dials(name), 1u) << name;
  EXPECT_EQ(sshds["a"][0]->open_channels(), 2u);  // b, e
  EXPECT_EQ(sshds["b"][0]->open_channels(), 2u);  // c, d
}

TEST_F(ChainSim, TheLossOfTheFirstHopIsToldHopByHop) {
  ask("c");
  io.settle();
  sshds["a"][0]->die();
  io.settle();
  ASSERT_TRUE(host("c").last_error());
  const std::string told = host("c").last_error()->message;
  EXPECT_THAT(told,
              HasSubstr("c (alice@c.example:22): the connection through b (alice@b.example:22) ended: "));
  EXPECT_THAT(told, HasSubstr("the connection through a (alice@a.example:22) ended: "));
  expect_all_ended("after the first hop's end");
  expect_at_rest("after the first hop's end");
  Request& again = ask("c");
  io.settle();
  EXPECT_TRUE(again.ready());
  EXPECT_EQ(dials("c"), 2u);
}

// Those behind it would be back at once; nobody waits for them. Its pauses stay its own.
TEST_F(ChainSim, WhatIsBehindABastionThatIsAwayDoesNotHurryIt) {
  const std::vector<std::string> behind = {"b", "c", "d", "e"};
  for (const std::string& name : behind) ask(name, Host::Asker::kConnection);
  io.settle();
  int dialled = 0;
  io.on_dial("a.example:22", [&dialled](std::unique_ptr<ByteStream> stream) {
    ++dialled;
    stream->abort();
  });
  sshds["a"][0]->die();
  io.advance(seconds(60));
  dialled = 0;
  io.advance(seconds(600));
  EXPECT_GE(dialled, 20);
  EXPECT_LE(dialled, 42) << "a pause is 15 to 30 s";
  dialled = 0;
  Request& user = ask("c", Host::Asker::kConnection);
  io.advance(seconds(10));
  EXPECT_GE(dialled, 5) << "somebody waits";
  io.on_dial("a.example:22", [this](std::unique_ptr<ByteStream> stream) { serve("a", std::move(stream)); });
  io.advance(seconds(3));
  EXPECT_TRUE(user.ready());
  io.advance(seconds(61));
  for (const std::string& name : behind) EXPECT_TRUE(host(name).ready()) << name;
}

// The machine is out of something, or the file half saved, as the host is dialled again.
TEST_F(ChainSim, WhatPassesBeforeALoginIsTriedAgain) {
  for (Errc code : {Errc::kLimit, Errc::kInternal, Errc::kInvalid}) {
    ask("a", Host::Asker::kConnection);
    io.settle();
    ASSERT_TRUE(host("a").ready());
    resolving_fails = Error{code, "ssh -G", {}};
    sshds["a"].back()->die();
    io.advance(seconds(1));
    EXPECT_FALSE(host("a").ready());
    if (code == Errc::kInvalid) {
      Request& told = ask("a", Host::Asker::kConnection);
      io.settle();
      EXPECT_TRUE(told.error) << "at once";
    }
    resolving_fails.reset();
    io.advance(seconds(31));
    EXPECT_TRUE(host("a").ready()) << errc_name(code);
  }
}

TEST_F(ChainSim, WhereTheChainBreaksIsNamed) {
  away = "b";
  Request& refused = ask("c");
  io.settle();
  ASSERT_TRUE(refused.error);
  EXPECT_THAT(refused.error->message, HasSubstr("c (alice@c.example:22): jump host b (alice@b.example:22)"));
  EXPECT_THAT(refused.error->message, HasSubstr("through a (alice@a.example:22)"));
  away.clear();
  closed_to_all = "b";
  Request& closed = ask("c");
  io.settle();
  ASSERT_TRUE(closed.error);
  EXPECT_THAT(closed.error->message, HasSubstr("jump host b (alice@b.example:22): authentication failed"));
  EXPECT_EQ(closed.error->code, Errc::kAuth);
  EXPECT_EQ(dials("c"), 0u);
}

// The path behind a jump host was cut and is back; that one's own TCP would try again much later.
TEST_F(ChainSim, AnOpenWithoutAnAnswerIsAskedForAgain) {
  ask("a");
  io.settle();
  unanswered = "b";
  Request& b = ask("b");
  io.advance(seconds(1));
  EXPECT_EQ(b.answers, 0);
  EXPECT_EQ(sshds["a"][0]->opens(), 1u);
  unanswered.clear();
  io.advance(CarriedDial::kAnew);
  EXPECT_TRUE(b.ready());
  EXPECT_EQ(sshds["a"][0]->opens(), 2u);
  EXPECT_EQ(dials("b"), 1u);
}

TEST_F(ChainSim, AnOpenThatIsNeverAnsweredIsGivenUpInTimeAndHoldsFewChannels) {
  ask("a");
  io.settle();
  unanswered = "b";
  Request& b = ask("b");
  io.advance(milliseconds(9900));
  EXPECT_EQ(b.answers, 0);
  EXPECT_GE(sshds["a"][0]->opens(), 4u);
  io.advance(milliseconds(200));
  ASSERT_TRUE(b.error);
  EXPECT_THAT(b.error->message, HasSubstr("through a (alice@a.example:22)"));
  EXPECT_EQ(b.error->code, Errc::kTimeout);
}

// Whichever server hangs, and whoever has lost interest: its deadline ends it, and only it.
TEST_F(ChainSim, AHopThatHangsIsGivenUpAtItsOwnDeadline) {
  for (const std::string hanging : {"a", "b", "c"}) {
    next(hanging).hang();
    Request& request = ask("c");
    io.settle();
    EXPECT_EQ(request.answers, 0) << hanging;
    io.advance(milliseconds(9900));
    EXPECT_EQ(request.answers, 0) << hanging;
    io.advance(milliseconds(200));
    ASSERT_EQ(request.answers, 1) << hanging;
    ASSERT_TRUE(request.error) << hanging;
    EXPECT_THAT(request.error->message, HasSubstr("c (alice@c.example:22)"));
    EXPECT_THAT(request.error->message, HasSubstr(hanging + " (alice@" + hanging + ".example:22)"));
    EXPECT_TRUE(sshds[hanging].back()->ended()) << hanging;
    for (const char* name : {"c", "b", "a"})
      EXPECT_TRUE(hosts->disconnect(name, Error{Errc::kClosed, "x", {}}).ok());
    io.settle();
    expect_all_ended(hanging + " hung");
  }
}

// A request that is withdrawn is not answered; the login that it began goes on or ends by its deadline, and a
// disconnect ends it at once.
TEST_F(ChainSim, AWithdrawnRequestAndADisconnectLeaveNothingAtAnyStep) {
  for (const std::string hanging : {"a", "b", "c"}) {
    next(hanging).hang();
    Request& request = ask("c");
    io.settle();
    request.operation.reset();
    for (const char* name : {"c", "b", "a"}) {
      Status ended = hosts->disconnect(name, Error{Errc::kClosed, "no longer wanted", {}});
      EXPECT_TRUE(ended.ok()) << name << " while " << hanging << " hangs: " << ended.error().message;
      io.settle();
    }
    io.settle();
    EXPECT_EQ(request.answers, 0);
    expect_all_ended("a disconnect while " + hanging + " hung");
    expect_at_rest("a disconnect while " + hanging + " hung");
    io.advance(seconds(400));
    EXPECT_EQ(request.answers, 0);
    expect_at_rest("long after");
  }
}

// The first hop's connection ends after any byte of the whole chain's coming up.
TEST_F(ChainSim, ACutOfTheFirstHopAtAnyByteEndsAllAndIsTold) {
  std::size_t cuts = 0;
  for (std::size_t bytes = 1; bytes < 20000; bytes += bytes / 16 + 7, ++cuts) {
    const std::string when = "cut after " + std::to_string(bytes) + " bytes";
    next("a").die_after(bytes);
    Request& request = ask("c");
    io.settle();
    if (request.ready()) break;  // the chain takes fewer bytes than that
    ASSERT_EQ(request.answers, 1) << when;
    ASSERT_TRUE(request.error) << when;
    EXPECT_THAT(request.error->message, HasSubstr("c (alice@c.example:22)")) << when;
    EXPECT_THAT(request.error->message, HasSubstr("a (alice@a.example:22)")) << when;
    expect_all_ended(when);
    expect_at_rest(when);
    io.advance(seconds(2));
  }
  EXPECT_GT(cuts, 20u);
  EXPECT_GT(dials("c"), 0u) << "no cut came as late as the last hop's login";
}

}  // namespace
}  // namespace jump::test
