// Lanes: when a host gets a second connection, what travels on it, and what each one's end does to the other.
// Hosts and Muxes on memory streams and a clock of the test's.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <fstream>

#include "auth/base64.h"
#include "forward/spare_channels.h"
#include "route/hosts.h"
#include "sim/sim_sshd.h"
#include "support/sim_io.h"

namespace jump::test {
namespace {

// An ssh-agent with one key, which takes its time to sign.
class SimAgent final : public StreamHandler {
 public:
  SimAgent(SimIo& io, std::unique_ptr<ByteStream> stream, std::string key_type, Duration takes)
      : stream_(std::move(stream)), key_type_(std::move(key_type)), takes_(takes) {
    timer_ = io.timer([this] {
      reply(WireWriter().u8(14).string(WireWriter().string(key_type_).string(Bytes(69, 7)).take()));
    });
    stream_->set_handler(this);
  }
  std::size_t on_data(ByteView data) override {
    WireReader in(data);
    in.u32();
    if (in.u8() == 11) {
      reply(WireWriter().u8(12).u32(1).string(blob()).string("key"));
    } else {
      timer_->start(takes_);
    }
    return data.size();
  }
  void on_eof() override { stream_->close(); }
  void on_writable() override {}
  void on_closed(const Error*) override {}

 private:
  Bytes blob() const {
    WireWriter out;
    out.string(key_type_).string(Bytes(32, 9));
    if (key_type_.starts_with("sk-")) out.string("ssh:");
    return out.take();
  }
  void reply(const WireWriter& message) { stream_->write(WireWriter().string(message.view()).view()); }

  std::unique_ptr<ByteStream> stream_;
  const std::string key_type_;
  const Duration takes_;
  std::unique_ptr<Timer> timer_;
};

// One channel, whoever carries it.
struct Line {
  std::unique_ptr<Channel> channel;
  std::unique_ptr<Collector> got;
  Mux* mux = nullptr;
};

class LaneSim : public testing::Test {
 protected:
  LaneSim() {
    known_hosts = testing::TempDir() + "/jump_lane_known_hosts." + std::to_string(getpid());
    io.on_command("ssh", [this](const Command&) -> Result<CommandOutput> {
      CommandOutput output;
      output.out = "host prod\nuser alice\nhostname 10.0.0.5\nport 22\nuserknownhostsfile " + known_hosts +
                   "\nglobalknownhostsfile none\nidentityagent " + (signs_with ? "/agent" : "none") + "\n";
      return output;
    });
    io.on_dial("10.0.0.5:22", [this](std::unique_ptr<ByteStream> stream) {
      dials++;
      if (away) return stream->abort();
      sshds.push_back(std::move(next_sshd));
      if (signs_with) sshds.back()->want_signature();
      if (hang_next) sshds.back()->hang();
      if (drop_logins) sshds.back()->drop_logins();
      sshds.back()->serve(std::move(stream), closed_to_all);
      prepare_sshd();
    });
    io.on_dial("/agent", [this](std::unique_ptr<ByteStream> stream) {
      agents.push_back(std::make_unique<SimAgent>(io, std::move(stream), signs_with, signing_takes));
    });
    prepare_sshd();
  }
  ~LaneSim() override {
    hosts.reset();
    io.settle();
    std::remove(known_hosts.c_str());
  }

  void prepare_sshd() {
    next_sshd = std::make_unique<SimSshd>();
    next_sshd->allow_sessions(max_sessions);
    std::ofstream(known_hosts) << "10.0.0.5 ssh-ed25519 " << base64_encode(next_sshd->host_key_blob())
                               << "\n";
  }
  void use(Host::Lanes lanes) { hosts = std::make_unique<Hosts>(io, "", lanes); }
  Host& host() { return **hosts->get("prod"); }

  // Opens a channel as a forwarded connection would.
  Line open(std::uint32_t target = SimSshd::kEcho) {
    Line line;
    auto waiting = host().acquire(Host::Asker::kConnection, seconds(30), [&](Result<Mux*> mux) {
      ASSERT_TRUE(mux) << mux.error().message;
      line.mux = *mux;
      auto request = ChannelOpen::direct_tcpip("svc", static_cast<std::uint16_t>(target), "127.0.0.1", 1);
      auto channel = line.mux->open(request, io.now() + seconds(20), nullptr);
      ASSERT_TRUE(channel);
      line.channel = *std::move(channel);
      line.got = std::make_unique<Collector>(*line.channel);
    });
    io.advance(signs_with ? signing_takes : Duration::zero());
    EXPECT_TRUE(line.channel);
    return line;
  }
  bool echoes(Line& line) {
    std::size_t before = line.got->received.size();
    line.channel->write(as_bytes("k"));
    io.settle();
    return line.got->received.size() == before + 1;
  }
  // Bulk on `line` for that long; somebody types on `typist` meanwhile.
  void move_bulk(Line& line, Duration how_long, Line* typist = nullptr) {
    constexpr Duration kStep = milliseconds(250);
    const std::string block(Mux::kBulkBytes / 2, 'b');
    for (Duration passed{}; passed < how_long; passed += kStep) {
      EXPECT_EQ(line.channel->write(as_bytes(block)), block.size());
      io.settle();
      line.got->received.clear();
      EXPECT_TRUE(!typist || echoes(*typist));
      io.advance(kStep);
    }
  }
  // A host with bulk on its first connection and a lane beside it.
  Line with_lane(Line& typist) {
    Line bulk = open();
    typist = open();
    move_bulk(bulk, seconds(3), &typist);
    EXPECT_TRUE(host().lane().ready());
    EXPECT_EQ(sshds.size(), 2u);
    return bulk;
  }

  // A session, wherever there is room for one; null and the reason when there is none.
  struct SessionLine {
    Line line;
    std::optional<Error> error;
  };
  SessionLine open_session() {
    SessionLine session;
    for (int tries = 0; tries < 3 && !session.error; ++tries) {
      bool answered = false;
      auto waiting =
          host().sessions().ask({}, {}, [this, &session, &answered](Result<SessionPool::Place> place) {
            answered = true;
            if (!place) {
              session.error = place.error();
              return;
            }
            session.line.mux = place->mux;
            auto channel = place->mux->open(ChannelOpen::session(), io.now() + seconds(20), nullptr);
            ASSERT_TRUE(channel);
            session.line.channel = *std::move(channel);
            session.line.got = std::make_unique<Collector>(*session.line.channel);
          });
      io.advance(signing_takes * 3);
      if (!answered) {  // it waits for room
        io.advance(SessionPool::kRoomTime + seconds(1));
        io.advance(signing_takes * 3);
      }
      if (session.error || !session.line.got || !session.line.got->closed) return session;
      if (Status possible = host().sessions().refused(*session.line.mux); !possible)
        session.error = possible.error();
    }
    return session;
  }

  SimIo io;
  std::size_t max_sessions = 10;  // of the next server
  std::string known_hosts;
  bool away = false;           // the server's machine resets every connection
  bool drop_logins = false;    // the path of the next ones breaks during the login
  bool hang_next = false;      // the next server takes bytes and says nothing
  bool closed_to_all = false;  // the next server lets nobody in
  const char* signs_with = nullptr;
  Duration signing_takes = Duration::zero();
  int dials = 0;
  std::vector<std::unique_ptr<SimAgent>> agents;
  std::vector<std::unique_ptr<SimSshd>> sshds;
  std::unique_ptr<SimSshd> next_sshd;
  std::unique_ptr<Hosts> hosts = std::make_unique<Hosts>(io, "");
};

// --- when there is one
// ----------------------------------------------------------------------------------------------

TEST_F(LaneSim, WithoutContentionThereIsNeverASecondLogin) {
  Line bulk = open();
  move_bulk(bulk, seconds(20));
  io.advance(Contention::kInteractiveHold);
  Line typist = open();
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(echoes(typist));
    Line other = open();
    io.advance(milliseconds(100));
  }
  EXPECT_EQ(dials, 1);
}

TEST_F(LaneSim, BulkAndSomebodyWhoTypesGetASecondConnectionOnceItLasts) {
  Line bulk = open();
  Line typist = open();
  move_bulk(bulk, Host::kLasting - milliseconds(250), &typist);
  EXPECT_EQ(dials, 1);
  move_bulk(bulk, seconds(1), &typist);
  EXPECT_EQ(dials, 2);
  EXPECT_TRUE(host().lane().ready());
  EXPECT_EQ(host().logins(), 1u);
  EXPECT_EQ(host().lane().logins(), 1u);
  EXPECT_EQ(sshds[0]->open_channels(), 2u) << "what is open stays where it is";
}

TEST_F(LaneSim, ABurstIsNoContention) {
  Line bulk = open();
  Line typist = open();
  for (int i = 0; i < 5; ++i) {
    move_bulk(bulk, milliseconds(750), &typist);
    io.advance(seconds(5));
  }
  EXPECT_EQ(dials, 1);
}

TEST_F(LaneSim, AnotherOpenWhileBulkRunsAsksForASecondConnectionAndDoesNotWaitForIt) {
  Line bulk = open();
  move_bulk(bulk, seconds(1));
  hang_next = true;
  Line other = open();
  EXPECT_EQ(dials, 1);
  move_bulk(bulk, seconds(3));
  EXPECT_EQ(dials, 2);
  EXPECT_EQ(host().lane().state(), Lane::State::kDialling);
  Line third = open();
  EXPECT_TRUE(echoes(third)) << "a lane that hangs hurts nobody";
}

TEST_F(LaneSim, WithoutLanesThereIsNeverOne) {
  use(Host::Lanes::kNever);
  Line bulk = open();
  Line typist = open();
  move_bulk(bulk, seconds(10), &typist);
  Line other = open();
  move_bulk(bulk, seconds(10), &typist);
  EXPECT_EQ(dials, 1);
}

struct Signer {
  const char* key_type;
  Duration takes;
  int dials;
};

class LaneSignerSim : public LaneSim, public testing::WithParamInterface<Signer> {};

TEST_P(LaneSignerSim, ALoginThatNeededAPersonIsNotRepeated) {
  signs_with = GetParam().key_type;
  signing_takes = GetParam().takes;
  Line bulk = open();
  Line typist = open();
  ASSERT_EQ(host().logins(), 1u);
  move_bulk(bulk, seconds(10), &typist);
  EXPECT_EQ(dials, GetParam().dials);
}

INSTANTIATE_TEST_SUITE_P(Signers, LaneSignerSim,
                         testing::Values(Signer{"ssh-ed25519", milliseconds(200), 2},
                                         Signer{"ssh-ed25519", seconds(4), 1},
                                         Signer{"sk-ssh-ed25519@openssh.com", milliseconds(200), 1}));

// --- what travels on it
// ---------------------------------------------------------------------------------------------

TEST_F(LaneSim, NewChannelsGoWhereLessBulkIs) {
  Line typist;
  Line bulk = with_lane(typist);
  Line second = open();
  EXPECT_EQ(sshds[1]->open_channels(), 1u);
  EXPECT_TRUE(echoes(second));
  move_bulk(bulk, seconds(1));
  move_bulk(second, seconds(1));
  move_bulk(bulk, milliseconds(500));
  Line third = open();
  EXPECT_EQ(third.mux, bulk.mux) << "a tie is the first connection's";
  io.advance(seconds(3));
  move_bulk(second, seconds(1));
  EXPECT_EQ(open().mux, bulk.mux) << "the bulk is on the lane now";
}

TEST_F(LaneSim, SpareChannelsOutliveTheLane) {
  Line typist;
  Line bulk = with_lane(typist);
  SpareChannels spares(io, host(), ChannelOpen::direct_tcpip("svc", SimSshd::kEcho, "127.0.0.1", 1), 2,
                       seconds(20), [](const Error&) { ADD_FAILURE() << "nobody refuses"; });
  spares.refill();
  io.settle();
  EXPECT_EQ(sshds[1]->open_channels(), 2u);
  sshds[1]->die();
  io.settle();
  EXPECT_EQ(spares.ready(), 0u);
  io.advance(SpareChannels::kReplaceGap);
  EXPECT_EQ(spares.ready(), 2u);
  EXPECT_EQ(sshds[0]->open_channels(), 4u);
}

// --- its end, and the other's
// ---------------------------------------------------------------------------------------

TEST_F(LaneSim, ALaneThatDiesEndsItsOwnChannelsOnly) {
  Line typist;
  Line bulk = with_lane(typist);
  Line other = open();
  sshds[1]->die();
  io.settle();
  EXPECT_TRUE(other.got->closed && other.got->error);
  EXPECT_FALSE(bulk.got->closed || typist.got->closed);
  EXPECT_TRUE(host().ready());
  EXPECT_TRUE(echoes(typist));
  Line next = open();
  EXPECT_TRUE(echoes(next));
  move_bulk(bulk, Lane::kRetryGap - seconds(1), &typist);
  EXPECT_EQ(dials, 2) << "not dialled anew at once";
}

TEST_F(LaneSim, ALaneTakesThePlaceOfAConnectionThatBreaks) {
  Line typist;
  Line bulk = with_lane(typist);
  Line other = open();
  ASSERT_EQ(sshds[1]->open_channels(), 1u);
  sshds[0]->die();
  io.settle();
  EXPECT_TRUE(bulk.got->closed && bulk.got->error);
  EXPECT_TRUE(typist.got->closed && typist.got->error);
  EXPECT_FALSE(other.got->closed);
  EXPECT_TRUE(host().ready());
  EXPECT_EQ(host().lane().state(), Lane::State::kNone);
  EXPECT_TRUE(echoes(other));
  Line next = open();
  EXPECT_TRUE(echoes(next));
  EXPECT_EQ(dials, 2) << "no login was needed";
  sshds[1]->die();
  io.settle();
  EXPECT_EQ(host().state(), Host::State::kDown);
  EXPECT_TRUE(next.got->closed && next.got->error);
}

// --- a login that breaks off

// The path breaks in the middle of logins, again and again: nothing was refused, so the host comes back by
// itself.
TEST_F(LaneSim, ALoginThatTheNetworkBreaksOffIsTriedAgain) {
  signs_with = "ssh-ed25519";
  use(Host::Lanes::kNever);
  Line line = open();
  drop_logins = true;
  sshds[0]->die();
  io.advance(seconds(300));
  EXPECT_GT(sshds.size(), 8u);
  drop_logins = false;
  io.advance(seconds(65));
  EXPECT_TRUE(host().ready());
  EXPECT_EQ(host().logins(), 2u);
}

// One that never let us in may mean it.
TEST_F(LaneSim, AServerThatBreaksOffTheFirstLoginsIsNotAskedForEver) {
  signs_with = "ssh-ed25519";
  use(Host::Lanes::kNever);
  drop_logins = true;
  for (int i = 0; i < 30; ++i) {
    auto waiting = host().acquire(Host::Asker::kConnection, seconds(10), [](const Result<Mux*>&) {});
    io.advance(seconds(10));
  }
  EXPECT_EQ(sshds.size(), static_cast<std::size_t>(Host::kBrokenLogins));
}

// Somebody waits for a login, which waits for its signature.
class YoungLoginSim : public LaneSim {
 protected:
  void begin_login(Duration signing) {
    signs_with = "ssh-ed25519";
    use(Host::Lanes::kNever);
    signing_takes = signing;
    waiting = host().acquire(Host::Asker::kConnection, seconds(10),
                             [this](Result<Mux*> mux) { answer = std::move(mux); });
    io.settle();
    ASSERT_EQ(sshds.size(), 1u);
    ASSERT_TRUE(authenticates());
  }
  bool authenticates() { return host().hop() && host().hop()->state() == Hop::State::kAuthenticating; }
  bool served() const { return answer && *answer; }

  std::optional<Result<Mux*>> answer;
  std::unique_ptr<Operation> waiting;
};

// What the server says to an address that we have no longer never comes, and TCP has nothing to repeat.
TEST_F(YoungLoginSim, AChangeOfTheNetworkBeginsItAnew) {
  begin_login(milliseconds(600));
  sshds[0]->hang();
  io.advance(seconds(1));
  hosts->nudge(Host::Nudge::kNetwork);
  io.advance(seconds(1));
  EXPECT_EQ(dials, 2);
  EXPECT_TRUE(served());
}

// A change that comes before the dial is old enough to be given up: the dial is looked at again.
TEST_F(YoungLoginSim, AChangeSoonAfterTheDialBeginsItAnewIfNothingIsHeard) {
  begin_login(milliseconds(50));
  sshds[0]->hang();
  io.advance(milliseconds(100));
  hosts->nudge(Host::Nudge::kNetwork);
  io.advance(milliseconds(300));
  hosts->nudge(Host::Nudge::kNetwork);
  EXPECT_EQ(dials, 1);
  io.advance(milliseconds(400));
  EXPECT_EQ(dials, 2);
  EXPECT_TRUE(served());
}

TEST_F(YoungLoginSim, OneThatGetsOnInSpiteOfAChangeIsLeftAlone) {
  begin_login(milliseconds(700));
  io.advance(milliseconds(100));
  hosts->nudge(Host::Nudge::kNetwork);
  io.advance(milliseconds(100));
  sshds[0]->send_ignore();
  io.advance(milliseconds(450));
  ASSERT_TRUE(authenticates()) << "it was looked at by now";
  io.advance(seconds(1));
  EXPECT_EQ(dials, 1);
  EXPECT_TRUE(served());
}

// The second question of a suspect is none, as the first is open: its answer may be older than the suspicion.
TEST_F(LaneSim, ASuspectWhoseAnswerProvesNothingIsAskedAgain) {
  use(Host::Lanes::kNever);
  Line line = open();
  std::deque<Delivery> delivery = {{.sent = 100, .acknowledged = 100}};
  io.on_delivery([&] {
    const Delivery now = delivery.front();
    if (delivery.size() > 1) delivery.pop_front();
    return now;
  });
  sshds[0]->hang();
  hosts->nudge(Host::Nudge::kNetwork);
  delivery = {{.sent = 200, .acknowledged = 100, .owed = true}};
  io.advance(milliseconds(300));
  hosts->nudge(Host::Nudge::kNetwork);
  // With it comes the acknowledgement of what it answers, and not yet that of what left later.
  delivery = {{.sent = 250, .acknowledged = 200, .owed = true}, {.sent = 300, .acknowledged = 300}};
  sshds[0]->go_on();
  io.advance(seconds(120));
  EXPECT_EQ(host().state(), Host::State::kReady);
  EXPECT_EQ(dials, 1);
  EXPECT_TRUE(echoes(line));
}

// --- a connection in doubt

// One that has owed an answer for long enough.
class DoubtSim : public LaneSim {
 protected:
  Line doubted() {
    Line line = open();
    sshds.back()->hang();
    line.channel->write(as_bytes("k"));
    io.advance(Hop::kDoubt + milliseconds(1));
    return line;
  }
  // Somebody who asks, until there is an answer.
  struct Request {
    std::unique_ptr<Operation> operation;
    std::optional<Result<Mux*>> answer;
  };
  std::unique_ptr<Request> ask() {
    auto request = std::make_unique<Request>();
    request->operation =
        host().acquire(Host::Asker::kConnection, seconds(10),
                       [at = request.get()](Result<Mux*> mux) { at->answer = std::move(mux); });
    io.settle();
    return request;
  }
};

TEST_F(DoubtSim, WhoAsksIsServedByAnotherConnectionAndTheFirstIsLeftAlone) {
  Line line = doubted();
  auto request = ask();
  EXPECT_FALSE(request->answer) << "not given to the one in doubt";
  EXPECT_EQ(dials, 1);
  io.advance(Hop::kDoubtPatience);
  ASSERT_TRUE(request->answer && *request->answer);
  EXPECT_EQ(dials, 2);
  EXPECT_NE(**request->answer, host().first_mux());
  Line next = open();
  EXPECT_TRUE(echoes(next));
  EXPECT_EQ(dials, 2);
  EXPECT_FALSE(line.got->closed);
  // When the first one is found dead, the other takes its place.
  io.advance(Liveness::kInterval + Liveness::kPatience);
  EXPECT_TRUE(line.got->closed && line.got->error);
  EXPECT_TRUE(host().ready());
  EXPECT_TRUE(echoes(next));
  EXPECT_EQ(host().logins(), 1u);
}

TEST_F(DoubtSim, AnAnswerEndsTheDoubtAndNothingIsDialled) {
  Line line = doubted();
  auto request = ask();
  io.advance(Hop::kDoubtPatience / 2);
  sshds[0]->go_on();
  io.settle();
  ASSERT_TRUE(request->answer && *request->answer);
  EXPECT_EQ(**request->answer, host().first_mux());
  io.advance(seconds(5));
  EXPECT_EQ(dials, 1);
}

TEST_F(DoubtSim, WhatIsNoLongerNeededEnds) {
  Line line = doubted();
  auto request = ask();
  io.advance(Hop::kDoubtPatience);
  ASSERT_TRUE(request->answer);
  sshds[0]->go_on();
  io.advance(2 * Rescue::kLookGap);
  EXPECT_TRUE(host().rescue().hops().empty());
  EXPECT_TRUE(sshds[1]->ended());
  EXPECT_TRUE(echoes(line));
}

TEST_F(DoubtSim, OneThatCannotBeDialledIsTriedOnceASecondAndThoseWhoWaitAreRefusedInTime) {
  Line line = doubted();
  away = true;
  auto request = ask();
  io.advance(seconds(4));
  EXPECT_GE(dials, 3);
  EXPECT_LE(dials, 6);
  io.advance(seconds(7));
  ASSERT_TRUE(request->answer);
  EXPECT_FALSE(*request->answer);
}

// Whoever was there before the doubt: nothing of it has reached the server, as far as that has said.
class WaitingOpen final : public ChannelEvents {
 public:
  WaitingOpen(Mux& mux, TimePoint deadline, std::string_view written) {
    auto opened = mux.open(ChannelOpen::direct_tcpip("svc", SimSshd::kEcho, "127.0.0.1", 1), deadline, this);
    EXPECT_TRUE(opened);
    channel = *std::move(opened);
    got = std::make_unique<Collector>(*channel);
    EXPECT_EQ(channel->write(as_bytes(written)), written.size());
  }
  void on_opened() override { ++confirmed; }
  bool on_move(Mux& to) override {
    moved_to = &to;
    return moves;
  }
  std::unique_ptr<Channel> channel;
  std::unique_ptr<Collector> got;
  bool moves = true;
  int confirmed = 0;
  Mux* moved_to = nullptr;
};

TEST_F(DoubtSim, AChannelThatWaitsForAnAnswerIsAskedForElsewhere) {
  Line line = open();
  sshds[0]->hang();
  std::unique_ptr<WaitingOpen> early, stays;
  auto asked = host().acquire(Host::Asker::kConnection, seconds(10), [&](const Result<Mux*>& mux) {
    early = std::make_unique<WaitingOpen>(**mux, io.now() + seconds(20), "early");
    stays = std::make_unique<WaitingOpen>(**mux, io.now() + seconds(20), "stays");
    stays->moves = false;
  });
  io.settle();
  early->channel->shutdown_write();
  io.advance(seconds(2));
  EXPECT_EQ(early->confirmed, 1);
  EXPECT_EQ(early->got->received, "early");
  EXPECT_TRUE(early->got->eof);
  EXPECT_EQ(dials, 2);
  EXPECT_EQ(stays->confirmed, 0);
  // The first server answers late: what it opens in vain is closed again.
  sshds[0]->go_on();
  io.advance(seconds(1));
  EXPECT_EQ(stays->got->received, "stays");
  EXPECT_TRUE(echoes(line));
  EXPECT_EQ(sshds[0]->open_channels(), 2u);
  EXPECT_EQ(early->confirmed, 1);
  early.reset();
  io.advance(2 * Rescue::kLookGap);
  EXPECT_TRUE(sshds[1]->ended()) << "it is not needed any more";
}

TEST_F(DoubtSim, AfterAChangeOfTheNetworkItIsAskedForWithinASecond) {
  Line line = open();
  sshds[0]->hang();
  std::unique_ptr<WaitingOpen> early;
  auto asked = host().acquire(Host::Asker::kConnection, seconds(10), [&](const Result<Mux*>& mux) {
    early = std::make_unique<WaitingOpen>(**mux, io.now() + seconds(20), "early");
  });
  io.settle();
  hosts->nudge(Host::Nudge::kNetwork);
  auto later = ask();
  io.advance(milliseconds(700));
  EXPECT_EQ(early->got->received, "early");
  EXPECT_TRUE(later->answer && *later->answer);
  EXPECT_EQ(dials, 2);
}

// Both were silent when the first one broke: the other takes its place, and what waits is asked for as soon
// as that answers.
TEST_F(DoubtSim, WhatWaitsForTheNextConnectionGoesByALaneThatAnswersLate) {
  Line typist;
  Line bulk = with_lane(typist);
  sshds[0]->hang();
  sshds[1]->hang();
  WaitingOpen early(*host().first_mux(), io.now() + seconds(20), "early");
  io.settle();
  hosts->nudge(Host::Nudge::kNetwork);
  sshds[0]->die();
  io.settle();
  ASSERT_TRUE(host().ready());
  EXPECT_EQ(early.confirmed, 0);
  EXPECT_EQ(host().waiting(), 1U);
  sshds[1]->go_on();
  io.advance(milliseconds(200));
  EXPECT_EQ(early.got->received, "early");
  EXPECT_EQ(host().waiting(), 0U);
  EXPECT_EQ(dials, 2);
}

// It was dead all along, and nobody has heard from it since.
TEST_F(DoubtSim, AnotherConnectionStaysUntilTheFirstIsHeardOrDead) {
  Line line = doubted();
  auto request = ask();
  io.advance(Hop::kDoubtPatience);
  ASSERT_TRUE(request->answer && *request->answer);
  io.advance(seconds(10));
  EXPECT_EQ(dials, 2);
  EXPECT_FALSE(sshds[1]->ended());
  io.advance(Liveness::kInterval + Liveness::kPatience);
  EXPECT_TRUE(host().ready());
  EXPECT_EQ(dials, 2) << "it has taken the place of the first";
}

// A login that is refused is not repeated while the doubt lasts: that would lock the account.
TEST_F(DoubtSim, OneThatIsRefusedIsNotTriedAgainBeforeTheNextLogin) {
  Line line = doubted();
  closed_to_all = true;
  for (int i = 0; i < 8; ++i) {
    auto request = ask();
    io.advance(seconds(2));
    EXPECT_TRUE(request->answer) << "with the connection that there is";
  }
  EXPECT_EQ(dials, 2);
  closed_to_all = false;
  sshds[0]->die();
  io.advance(seconds(1));
  ASSERT_TRUE(host().ready());
  ASSERT_EQ(dials, 3);
  line = doubted();
  auto request = ask();
  io.advance(Hop::kDoubtPatience);
  EXPECT_EQ(dials, 4) << "the host has logged in anew";
}

TEST_F(DoubtSim, ALoginThatBreaksOffIsNotRepeatedForAMinute) {
  signs_with = "ssh-ed25519";
  hosts = std::make_unique<Hosts>(io, "");
  Line line = open();
  sshds[0]->hang();
  line.channel->write(as_bytes("k"));
  io.advance(Hop::kDoubt + milliseconds(1));
  drop_logins = true;
  for (int i = 0; i < 8; ++i) {
    auto request = ask();
    io.advance(seconds(2));
  }
  EXPECT_EQ(dials, 2);
}

TEST_F(DoubtSim, SessionsGoWhereThereIsAnAnswer) {
  Line line = doubted();
  auto request = ask();
  io.advance(Hop::kDoubtPatience);
  ASSERT_TRUE(request->answer && *request->answer);
  SessionLine session = open_session();
  ASSERT_FALSE(session.error) << session.error->message;
  EXPECT_EQ(session.line.mux, **request->answer);
  EXPECT_FALSE(session.line.got->closed);
  io.advance(2 * Rescue::kLookGap);
  sshds[0]->go_on();
  io.advance(2 * Rescue::kLookGap);
  EXPECT_FALSE(session.line.got->closed) << "it carries a session";
  EXPECT_EQ(open_session().line.mux, line.mux) << "the first one is well again";
}

TEST_F(DoubtSim, WithoutLanesThereIsNoOther) {
  use(Host::Lanes::kNever);
  Line line = doubted();
  auto request = ask();
  io.advance(seconds(2));
  EXPECT_TRUE(request->answer);
  EXPECT_EQ(dials, 1);
}

TEST_F(LaneSim, BothEndAtOnceAndTheHostComesBack) {
  Line typist;
  Line bulk = with_lane(typist);
  Line other = open();
  sshds[0]->die();
  sshds[1]->die();
  io.settle();
  EXPECT_TRUE(bulk.got->closed && other.got->closed);
  EXPECT_EQ(host().state(), Host::State::kDown);
  Line again = open();
  EXPECT_TRUE(echoes(again));
  EXPECT_EQ(host().logins(), 2u);
  EXPECT_EQ(dials, 3);
}

TEST_F(LaneSim, ALaneThatIsStillLoggingInEndsWithItsHost) {
  Line bulk = open();
  Line typist = open();
  hang_next = true;
  move_bulk(bulk, seconds(3), &typist);
  ASSERT_EQ(host().lane().state(), Lane::State::kDialling);
  sshds[0]->die();
  io.settle();
  EXPECT_EQ(host().state(), Host::State::kDown);
  EXPECT_EQ(host().lane().state(), Lane::State::kNone);
  EXPECT_TRUE(sshds[1]->ended());
}

TEST_F(LaneSim, ADisconnectEndsBoth) {
  Line typist;
  Line bulk = with_lane(typist);
  Line other = open();
  host().disconnect(Error{Errc::kClosed, "disconnected by user", {}});
  io.settle();
  EXPECT_EQ(host().state(), Host::State::kIdle);
  EXPECT_EQ(host().lane().state(), Lane::State::kNone);
  EXPECT_TRUE(bulk.got->closed && typist.got->closed && other.got->closed);
  EXPECT_TRUE(sshds[0]->ended() && sshds[1]->ended());
}

TEST_F(LaneSim, WithNothingToDoItEndsAndComesBackWhenNeeded) {
  Line typist;
  Line bulk = with_lane(typist);
  {
    Line other = open();
    move_bulk(bulk, seconds(1));
    io.advance(Lane::kIdleTime * 3);
    EXPECT_TRUE(host().lane().ready()) << "it carries a channel";
    EXPECT_TRUE(echoes(other));
  }
  io.advance(Lane::kIdleTime - Lane::kLookGap - seconds(1));
  EXPECT_TRUE(host().lane().ready());
  io.advance(Lane::kLookGap * 3);
  EXPECT_EQ(host().lane().state(), Lane::State::kNone);
  EXPECT_TRUE(sshds[1]->ended());
  EXPECT_TRUE(host().ready());
  move_bulk(bulk, seconds(3), &typist);
  EXPECT_EQ(dials, 3);
}

TEST_F(LaneSim, ItStaysForTheNextChannelWhileThereIsBulkToEvade) {
  Line typist;
  Line bulk = with_lane(typist);
  move_bulk(bulk, Lane::kIdleTime * 2, &typist);
  EXPECT_EQ(dials, 2) << "an idle lane that ends and is dialled again and again is many logins";
  EXPECT_TRUE(host().lane().ready());
}

// --- failures
// -------------------------------------------------------------------------------------------------------

TEST_F(LaneSim, ALaneThatCannotBeReachedIsNotTriedAgainBeforeItsTime) {
  Line bulk = open();
  Line typist = open();
  away = true;
  move_bulk(bulk, Host::kLasting + seconds(1), &typist);
  EXPECT_EQ(dials, 2);
  move_bulk(bulk, Lane::kRetryGap - seconds(3), &typist);
  EXPECT_EQ(dials, 2);
  EXPECT_TRUE(echoes(typist)) << "nobody else hears of it";
  EXPECT_FALSE(host().last_error());
  away = false;
  move_bulk(bulk, seconds(10), &typist);
  EXPECT_EQ(dials, 3);
  EXPECT_TRUE(host().lane().ready());
}

TEST_F(LaneSim, ALaneThatIsRefusedIsNotTriedAgainBeforeTheNextLogin) {
  Line bulk = open();
  Line typist = open();
  closed_to_all = true;
  move_bulk(bulk, Lane::kRetryGap * 3, &typist);
  EXPECT_EQ(dials, 2) << "refused logins lock accounts";
  closed_to_all = false;
  host().disconnect(Error{Errc::kClosed, "disconnected by user", {}});
  io.settle();
  bulk = open();
  typist = open();
  move_bulk(bulk, seconds(3), &typist);
  EXPECT_EQ(dials, 4);
  EXPECT_TRUE(host().lane().ready());
}

// --- further connections for sessions
// ----------------------------------------------------------------------------------------------

TEST_F(LaneSim, SessionsBeyondTheServersLimitGetFurtherConnectionsWhichIdleAway) {
  max_sessions = 1;
  prepare_sshd();
  Line line = open();
  SessionLine first = open_session();
  ASSERT_FALSE(first.error) << first.error->message;
  EXPECT_EQ(first.line.mux, line.mux);
  SessionLine second = open_session(), third = open_session();
  ASSERT_FALSE(second.error || third.error);
  EXPECT_EQ(dials, 3);
  EXPECT_NE(second.line.mux, first.line.mux);
  EXPECT_NE(third.line.mux, second.line.mux);
  EXPECT_EQ(sshds[0]->opens(), 3u) << "once the limit is known, nothing is tried in vain";
  EXPECT_EQ(host().sessions().further().size(), 2u);

  second.line.channel.reset();
  io.advance(seconds(5));
  SessionLine again = open_session();
  EXPECT_FALSE(again.error);
  EXPECT_EQ(dials, 3) << "there was room";
  again.line.channel.reset();
  third.line.channel.reset();
  io.advance(Lane::kIdleTime + 2 * Lane::kLookGap);
  EXPECT_TRUE(sshds[1]->ended());
  EXPECT_TRUE(sshds[2]->ended());
  EXPECT_FALSE(sshds[0]->ended());
  EXPECT_EQ(host().sessions().further().size(), 0u);
  SessionLine later = open_session();
  EXPECT_FALSE(later.error);
  EXPECT_EQ(dials, 4);
}

// The server counts a session that has ended for us a moment longer, and so refuses one too early.
TEST_F(LaneSim, ALimitThatWasSeenTooLowIsCorrected) {
  max_sessions = 2;
  prepare_sshd();
  Line line = open();
  open_session().line.channel.reset();
  io.settle();
  SessionLine first = open_session();
  sshds[0]->allow_sessions(1);
  SessionLine second = open_session();
  sshds[0]->allow_sessions(2);
  ASSERT_FALSE(first.error || second.error);
  EXPECT_EQ(dials, 2);
  SessionLine third = open_session();
  EXPECT_EQ(third.line.mux, second.line.mux) << "two are allowed";
  io.advance(SessionPool::kFullTime);
  SessionLine fourth = open_session();
  EXPECT_EQ(fourth.line.mux, first.line.mux);
  EXPECT_EQ(dials, 2);
  SessionLine fifth = open_session();
  EXPECT_FALSE(fifth.error);
  EXPECT_EQ(dials, 3);
}

TEST_F(LaneSim, ALoginThatTookAPersonIsNotRepeatedForASession) {
  max_sessions = 1;
  signs_with = "sk-ssh-ed25519@openssh.com";
  signing_takes = milliseconds(200);
  prepare_sshd();
  Line line = open();
  SessionLine first = open_session();
  ASSERT_FALSE(first.error) << first.error->message;
  SessionLine second = open_session();
  ASSERT_TRUE(second.error);
  EXPECT_NE(second.error->message.find("would take a person"), std::string::npos) << second.error->message;
  EXPECT_EQ(dials, 1);
}

// A server counts one a moment longer than its user does.
TEST_F(LaneSim, WhereNoFurtherLoginMayBeASessionWaitsForRoom) {
  max_sessions = 1;
  signs_with = "sk-ssh-ed25519@openssh.com";
  signing_takes = milliseconds(200);
  prepare_sshd();
  Line line = open();
  SessionLine first = open_session();
  ASSERT_FALSE(first.error) << first.error->message;
  ASSERT_TRUE(host().sessions().refused(*first.line.mux));
  std::optional<Result<SessionPool::Place>> next;
  auto waiting =
      host().sessions().ask({}, {}, [&next](Result<SessionPool::Place> place) { next = std::move(place); });
  io.advance(seconds(1));
  EXPECT_FALSE(next);
  first.line.channel.reset();
  io.advance(SessionPool::kFullTime + seconds(1));
  ASSERT_TRUE(next);
  EXPECT_TRUE(*next) << next->error().message;
  EXPECT_EQ(dials, 1);
}

TEST_F(LaneSim, WithoutLanesSessionsHaveOneConnection) {
  use(Host::Lanes::kNever);
  max_sessions = 1;
  prepare_sshd();
  Line line = open();
  SessionLine first = open_session(), second = open_session();
  EXPECT_FALSE(first.error);
  ASSERT_TRUE(second.error);
  EXPECT_NE(second.error->message.find("--no-lanes"), std::string::npos) << second.error->message;
  EXPECT_EQ(dials, 1);
}

TEST_F(LaneSim, AServerWithoutSessionsIsNotAskedAgain) {
  max_sessions = 0;
  prepare_sshd();
  Line line = open();
  SessionLine first = open_session();
  ASSERT_TRUE(first.error);
  EXPECT_NE(first.error->message.find("allows no sessions"), std::string::npos) << first.error->message;
  EXPECT_EQ(dials, 1);
}

}  // namespace
}  // namespace jump::test
