// The agent from control socket to SSH server, on memory streams and a clock of the test's: every step is
// exact, so cuts can be made at every byte and waits measured to the millisecond.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "auth/base64.h"
#include "control/methods.h"
#include "control/server.h"
#include "sim/sim_sshd.h"
#include "support/sim_io.h"

namespace jump::test {
namespace {

using nlohmann::json;

class AgentSim : public testing::Test {
 protected:
  AgentSim() {
    known_hosts = testing::TempDir() + "/jump_sim_known_hosts." + std::to_string(getpid());
    io.on_command("ssh", [this](const Command& command) -> Result<CommandOutput> {
      CommandOutput output;
      if (command.argv.back() == "nobody-knows") {
        output.exit_status = 255;
        output.err = "ssh: nobody knows this\n";
        return output;
      }
      output.out =
          "host prod\nuser alice\nhostname 10.0.0.5\nport 22\nuserknownhostsfile " + known_hosts +
          "\nglobalknownhostsfile none\nidentityagent none\nserveraliveinterval 5\nserveralivecountmax 2\n";
      return output;
    });
    io.on_dial("10.0.0.5:22", [this](std::unique_ptr<ByteStream> stream) {
      if (away) return stream->abort();
      sshds.push_back(std::move(next_sshd));
      if (die_after != SIZE_MAX) sshds.back()->die_after(die_after);
      if (std::exchange(hang_next, false)) sshds.back()->hang();
      sshds.back()->serve(std::move(stream), closed_to_all);
      prepare_sshd();
    });
    prepare_sshd();
    MethodContext context{io,
                          *hosts,
                          *forwards,
                          proto::HelloResult{},
                          [] { return proto::AgentStatus{}; },
                          [](const proto::AgentShutdownParams&) { return proto::AgentShutdownResult{}; }};
    bind_methods(dispatcher, context);
    EXPECT_TRUE(server->listen("/control"));
  }
  ~AgentSim() override {
    server.reset();
    forwards.reset();
    hosts.reset();
    io.settle();
    std::remove(known_hosts.c_str());
  }

  // The server that the next dial() meets; known_hosts knows it already.
  void prepare_sshd() {
    next_sshd = std::make_unique<SimSshd>();
    std::ofstream(known_hosts) << "10.0.0.5 ssh-ed25519 " << base64_encode(next_sshd->host_key_blob())
                               << "\n";
  }

  // A control client: sends lines, keeps what comes back.
  struct Client {
    std::unique_ptr<ByteStream> stream;
    std::unique_ptr<Collector> got;

    void send(std::string_view text) { EXPECT_EQ(stream->write(as_bytes(text)), text.size()); }
    // The answers so far, each a line.
    std::vector<json> answers() const {
      std::vector<json> all;
      std::size_t at = 0;
      for (std::size_t end; (end = got->received.find('\n', at)) != std::string::npos; at = end + 1) {
        all.push_back(json::parse(got->received.substr(at, end - at)));
      }
      return all;
    }
  };
  Client client() {
    Client made;
    made.stream = io.connect("/control");
    made.got = std::make_unique<Collector>(*made.stream);
    io.settle();
    return made;
  }
  json call(const std::string& method, const json& params) {
    Client one = client();
    one.send(json{{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", params}}.dump() + "\n");
    io.settle();
    auto answers = one.answers();
    EXPECT_EQ(answers.size(), 1u) << method;
    return answers.empty() ? json() : answers.front();
  }
  std::string open_forward(std::uint32_t target) {
    std::string spec = std::to_string(8000 + target) + ":svc:" + std::to_string(target);
    json answer = call("forward.open", {{"spec", spec}, {"via", "prod"}});
    EXPECT_TRUE(answer.contains("result")) << answer.dump();
    return answer.contains("result") ? answer["result"]["forward"]["id"].get<std::string>() : "";
  }
  std::unique_ptr<ByteStream> connect(std::uint32_t target) {
    return io.connect("localhost:" + std::to_string(8000 + target));
  }

  SimIo io;
  std::string known_hosts;
  bool closed_to_all = false;
  bool away = false;       // the server's machine resets every connection
  bool hang_next = false;  // the next server takes bytes and says nothing
  std::size_t die_after = SIZE_MAX;
  std::vector<std::unique_ptr<SimSshd>> sshds;
  std::unique_ptr<SimSshd> next_sshd;
  std::unique_ptr<Hosts> hosts = std::make_unique<Hosts>(io, "");
  std::unique_ptr<Forwards> forwards = std::make_unique<Forwards>(io, *hosts, ForwardLimits{});
  Dispatcher dispatcher;
  std::unique_ptr<ControlServer> server = std::make_unique<ControlServer>(io, dispatcher);
};

TEST_F(AgentSim, AForwardCarriesBytesBothWaysAndEndsInOrder) {
  std::string id = open_forward(SimSshd::kEcho);
  EXPECT_EQ(id, "f1");
  auto stream = connect(SimSshd::kEcho);
  ASSERT_TRUE(stream);
  Collector got(*stream);
  stream->write(as_bytes("hello"));
  io.settle();
  EXPECT_EQ(got.received, "hello");
  stream->shutdown_write();
  io.settle();
  EXPECT_TRUE(got.eof && got.closed);
  EXPECT_FALSE(got.error);
  json list = call("forward.list", json::object())["result"]["forwards"];
  EXPECT_EQ(list[0]["state"], "active");
  EXPECT_EQ(list[0]["connections"], 0);
  EXPECT_EQ(list[0]["connections_total"], 1);
  EXPECT_EQ(list[0]["bytes_in"], 5);
  EXPECT_EQ(list[0]["bytes_out"], 5);
  EXPECT_EQ(sshds[0]->open_channels(), 0u);
}

TEST_F(AgentSim, AHalfClosedConnectionIsAnsweredInFull) {
  open_forward(SimSshd::kHash);
  auto stream = connect(SimSshd::kHash);
  Collector got(*stream);
  std::string much(300000, 'q');
  std::size_t sent = 0;
  while (sent < much.size()) {
    sent += stream->write(as_bytes(std::string_view(much).substr(sent)));
    io.settle();
  }
  EXPECT_EQ(got.received, "");
  stream->shutdown_write();
  io.settle();
  EXPECT_EQ(got.received, "got 300000\n");
  EXPECT_TRUE(got.closed);
  EXPECT_FALSE(got.error);
}

TEST_F(AgentSim, ARekeyInTheMiddleLosesNothing) {
  open_forward(SimSshd::kEcho);
  auto stream = connect(SimSshd::kEcho);
  Collector got(*stream);
  std::string sent;
  for (int round = 0; round < 50; ++round) {
    if (round % 7 == 3) sshds[0]->rekey();
    std::string block(20000, static_cast<char>('a' + round % 26));
    std::size_t taken = stream->write(as_bytes(block));
    sent += block.substr(0, taken);
    io.settle();
  }
  stream->shutdown_write();
  io.settle();
  EXPECT_EQ(got.received.size(), sent.size());
  EXPECT_TRUE(got.received == sent);
  EXPECT_GT(call("status", json::object())["result"]["hosts"][0]["rekeys"].get<int>(), 3);
}

TEST_F(AgentSim, ABlackHoleEndsAtItsDeadlineWhileOthersAreServed) {
  open_forward(SimSshd::kHole);
  open_forward(SimSshd::kEcho);
  auto hole = connect(SimSshd::kHole);
  Collector hole_got(*hole);
  io.settle();
  for (int i = 0; i < 50; ++i) {
    auto stream = connect(SimSshd::kEcho);
    Collector got(*stream);
    stream->write(as_bytes("x"));
    io.settle();
    EXPECT_EQ(got.received, "x");
  }
  io.advance(ForwardLimits{}.open_timeout - milliseconds(1));
  EXPECT_FALSE(hole_got.closed);
  io.advance(milliseconds(2));
  EXPECT_TRUE(hole_got.closed);
  EXPECT_TRUE(hole_got.error);
  json list = call("forward.list", json::object())["result"]["forwards"];
  EXPECT_EQ(list[0]["state"], "degraded");
  EXPECT_EQ(list[0]["refused"], 1);
  EXPECT_NE(list[0]["error"].get<std::string>().find("svc:3"), std::string::npos);
}

// A busy connection looks at its deadlines itself: a timer that each packet starts anew would never fire.
TEST_F(AgentSim, DeadlinesHoldWhileOthersAreBusy) {
  open_forward(SimSshd::kHole);
  open_forward(SimSshd::kEcho);
  auto hole = connect(SimSshd::kHole);
  Collector hole_got(*hole);
  auto busy = connect(SimSshd::kEcho);
  Collector busy_got(*busy);
  io.advance(ForwardLimits{}.open_timeout - milliseconds(5));
  EXPECT_FALSE(hole_got.closed);
  for (int i = 0; i < 20; ++i) {
    busy->write(as_bytes("x"));
    io.advance(std::chrono::microseconds(500));
  }
  EXPECT_TRUE(hole_got.closed);
  EXPECT_EQ(busy_got.received.size(), 20u);
}

TEST_F(AgentSim, ARefusedTargetEndsTheConnectionAtOnceWithTheServersWords) {
  open_forward(SimSshd::kRefuse);
  auto stream = connect(SimSshd::kRefuse);
  Collector got(*stream);
  io.settle();
  EXPECT_TRUE(got.closed && got.error);
  json list = call("forward.list", json::object())["result"]["forwards"];
  EXPECT_NE(list[0]["error"].get<std::string>().find("Connection refused"), std::string::npos);
}

TEST_F(AgentSim, AServerThatDiesBreaksItsConnectionsAndTheForwardComesBack) {
  open_forward(SimSshd::kEcho);
  auto stream = connect(SimSshd::kEcho);
  Collector got(*stream);
  stream->write(as_bytes("before"));
  io.settle();
  sshds[0]->die();
  io.settle();
  EXPECT_TRUE(got.closed);
  EXPECT_TRUE(got.error) << "a cut connection must not look complete";
  json status = call("status", json::object())["result"];
  EXPECT_EQ(status["hosts"][0]["state"], "down");
  EXPECT_NE(status["hosts"][0]["error"], "");
  EXPECT_EQ(status["forwards"][0]["state"], "waiting");
  io.advance(Host::kRetryGap);
  auto again = connect(SimSshd::kEcho);
  Collector got_again(*again);
  again->write(as_bytes("after"));
  io.settle();
  EXPECT_EQ(got_again.received, "after");
  EXPECT_EQ(call("status", json::object())["result"]["hosts"][0]["logins"], 2);
}

TEST_F(AgentSim, AConnectionRightAfterABreakWaitsAndGetsThrough) {
  open_forward(SimSshd::kEcho);
  sshds[0]->die();
  auto early = connect(SimSshd::kEcho);  // nobody has noticed the break yet
  Collector early_got(*early);
  early->write(as_bytes("early"));
  io.settle();
  auto later = connect(SimSshd::kEcho);
  Collector later_got(*later);
  later->write(as_bytes("later"));
  io.advance(Host::kRetryGap);
  EXPECT_EQ(later_got.received, "later");
  EXPECT_EQ(early_got.received, "early");
}

// The connection is the first to notice that the login has failed, and its forward ends with that.
TEST_F(AgentSim, AConnectionThatArrivesAsTheLoginFailsEndsWithItsForward) {
  hang_next = true;
  Client asker = client();
  asker.send(R"({"jsonrpc":"2.0","id":1,"method":"forward.open","params":{"spec":"8001:svc:1","via":"prod"}})"
             "\n");
  io.settle();
  away = true;
  sshds[0]->die();
  auto stream = connect(1);
  ASSERT_TRUE(stream);
  Collector got(*stream);
  io.settle();
  EXPECT_TRUE(got.closed && got.error);
  ASSERT_EQ(asker.answers().size(), 1U);
  EXPECT_TRUE(asker.answers()[0].contains("error"));
  EXPECT_TRUE(forwards->all().empty());
}

TEST_F(AgentSim, APersistentForwardStaysWhenARequestForTheSameFails) {
  hang_next = true;
  Client asker = client();
  asker.send(R"({"jsonrpc":"2.0","id":1,"method":"forward.open","params":{"spec":"8001:svc:1","via":"prod"}})"
             "\n");
  io.settle();
  ForwardRequest saved = *ForwardRequest::parse(ForwardKind::kLocal, "8001:svc:1");
  saved.via = "prod";
  forwards->restore(saved);  // read from the state file only now
  away = true;
  sshds[0]->die();
  io.settle();
  ASSERT_EQ(asker.answers().size(), 1U);
  EXPECT_TRUE(asker.answers()[0].contains("error"));
  ASSERT_EQ(forwards->persistent().size(), 1U);
}

TEST_F(AgentSim, AServerThatDropsEveryLoginIsLeftAloneForLongerEachTimeAndNotHurriedByUpkeep) {
  std::vector<std::unique_ptr<Operation>> kept;
  Host* host = *hosts->get("prod");
  const auto keep_up = [&] {
    kept.push_back(host->acquire(Host::Asker::kUpkeep, seconds(3600), [](const Result<Mux*>&) {}));
  };
  keep_up();
  io.settle();
  ASSERT_TRUE(host->ready());
  for (int second = 0; second < 60; ++second) {
    if (host->ready()) {
      sshds.back()->die();
      io.settle();
      keep_up();
    }
    io.advance(seconds(1));
  }
  EXPECT_GE(sshds.size(), 5U);
  EXPECT_LE(sshds.size(), 12U);
}

TEST_F(AgentSim, AForwardWhoseHostBrokeBeforeTheTargetAnsweredIsNotDegraded) {
  open_forward(SimSshd::kEcho);
  open_forward(SimSshd::kHole);
  auto stream = connect(SimSshd::kHole);
  Collector got(*stream);
  io.settle();
  closed_to_all = true;
  sshds[0]->die();
  io.advance(seconds(2));
  EXPECT_TRUE(got.closed);
  closed_to_all = false;
  call("host.connect", {{"host", "prod"}});
  const json list = call("forward.list", json::object());
  for (const json& forward : list["result"]["forwards"])
    EXPECT_EQ(forward["state"], "active") << forward.dump();
}

TEST_F(AgentSim, ForHowLongAHostIsAwayDoesNotBeginAnewWithEachTry) {
  open_forward(SimSshd::kEcho);
  away = true;
  sshds[0]->die();
  io.advance(seconds(300));
  const json host = call("status", json::object())["result"]["hosts"][0];
  EXPECT_NEAR(host["age"].get<double>(), 300, 1) << host;
  away = false;
  io.advance(seconds(40));
  const json back = call("status", json::object())["result"]["hosts"][0];
  EXPECT_EQ(back["state"], "ready");
  EXPECT_LT(back["age"].get<double>(), 40) << back;
}

// After an upgrade: what the agent before knew of hosts.
TEST_F(AgentSim, AHostWhoseLoginTookAPersonIsLoggedInToForUsersOnly) {
  hosts->expect({"prod", "b via a"}, {});
  EXPECT_TRUE(hosts->all().empty()) << "a name is no reason to make one";
  auto asked =
      (*hosts->get("prod"))->acquire(Host::Asker::kConnection, seconds(10), [](const Result<Mux*>& mux) {
        ASSERT_FALSE(mux);
        EXPECT_EQ(mux.error().code, Errc::kNeedsPerson);
      });
  io.advance(seconds(60));
  EXPECT_TRUE(sshds.empty());
  EXPECT_EQ(call("status", json::object())["result"]["hosts"][0]["state"], "waiting_user");
  EXPECT_TRUE(call("host.connect", {{"host", "prod"}}).contains("result"));
  EXPECT_EQ(sshds.size(), 1U);
}

// --- channels that the server had not answered when it broke

TEST_F(AgentSim, WhatAServerOwedAnAnswerToIsAskedOfTheNext) {
  open_forward(SimSshd::kEcho);
  sshds[0]->hang();
  auto stream = connect(SimSshd::kEcho);
  Collector got(*stream);
  stream->write(as_bytes("hello"));
  io.settle();
  sshds[0]->die();
  io.settle();
  EXPECT_FALSE(got.closed);
  stream->write(as_bytes(", and more"));
  io.advance(seconds(1));
  EXPECT_EQ(got.received, "hello, and more");
  EXPECT_EQ(sshds.size(), 2U);
}

TEST_F(AgentSim, WhoWaitsForTheNextServerIsRefusedWhenTheTimeToWaitForAHostIsOver) {
  open_forward(SimSshd::kHole);
  auto stream = connect(SimSshd::kHole);
  Collector got(*stream);
  io.settle();
  away = true;
  sshds[0]->die();
  io.advance(ForwardLimits{}.host_wait - seconds(1));
  EXPECT_FALSE(got.closed);
  io.advance(seconds(2));
  EXPECT_TRUE(got.closed);
  EXPECT_EQ(call("forward.list", json::object())["result"]["forwards"][0]["connections"], 0);
}

TEST_F(AgentSim, WhoLeavesWhileTheServerIsAwayIsNotAskedFor) {
  open_forward(SimSshd::kHole);
  auto stream = connect(SimSshd::kHole);
  io.settle();
  sshds[0]->die();
  io.settle();
  stream->abort();
  stream.reset();
  io.advance(seconds(2));
  ASSERT_EQ(sshds.size(), 2U);
  const json host = call("status", json::object())["result"]["hosts"][0];
  EXPECT_EQ(host["state"], "ready");
  EXPECT_EQ(host["channels_opening"], 0);
  EXPECT_EQ(host["channels_closing"], 0);
}

TEST_F(AgentSim, AnAgentMayEndWhileChannelsWaitForTheNextServer) {
  open_forward(SimSshd::kHole);
  auto stream = connect(SimSshd::kHole);
  Collector got(*stream);
  io.settle();
  away = true;
  sshds[0]->die();
  io.settle();
  EXPECT_FALSE(got.closed);
  server.reset();
  forwards.reset();
  hosts.reset();
  io.settle();
  EXPECT_TRUE(got.closed);
}

TEST_F(AgentSim, AUserWhoConnectsWaitsForTheAnswerOfAServerThatWasThere) {
  open_forward(SimSshd::kEcho);
  io.advance(seconds(1));
  EXPECT_EQ(call("host.connect", {{"host", "prod"}})["result"]["existing"], true);
  sshds[0]->hang();
  closed_to_all = true;  // no further connection either
  Client user = client();
  user.send(R"({"jsonrpc":"2.0","id":1,"method":"host.connect","params":{"host":"prod"}})"
            "\n");
  io.advance(seconds(5));
  EXPECT_TRUE(user.answers().empty()) << user.got->received;
  io.advance(seconds(30));
  ASSERT_EQ(user.answers().size(), 1U);
  EXPECT_TRUE(user.answers()[0].contains("error")) << user.got->received;
}

// It may be what each of them breaks of.
TEST_F(AgentSim, WhatEveryServerBreaksOfIsNotAskedOfAllToCome) {
  open_forward(SimSshd::kHole);
  auto stream = connect(SimSshd::kHole);
  Collector got(*stream);
  io.settle();
  for (int break_no = 0; break_no < 8 && !got.closed; ++break_no) {
    EXPECT_EQ(call("status", json::object())["result"]["hosts"][0]["channels_opening"], 1) << break_no;
    sshds.back()->die();
    io.advance(milliseconds(1600));
  }
  EXPECT_TRUE(got.closed);
  EXPECT_GE(sshds.size(), std::size_t{Mux::kMaxEnds} + 1);
  io.advance(seconds(2));
  EXPECT_EQ(call("status", json::object())["result"]["hosts"][0]["channels_opening"], 0);
}

TEST_F(AgentSim, AForwardWhoseHostRefusesTheLoginIsSaidToHaveFailed) {
  open_forward(SimSshd::kEcho);
  sshds[0]->die();
  io.settle();
  EXPECT_EQ(call("forward.list", json::object())["result"]["forwards"][0]["state"], "waiting");
  closed_to_all = true;
  call("host.connect", {{"host", "prod"}});
  EXPECT_EQ(call("forward.list", json::object())["result"]["forwards"][0]["state"], "failed");
}

TEST_F(AgentSim, AChangeOfTheNetworkDoesNotUndoADisconnect) {
  open_forward(SimSshd::kEcho);
  call("host.connect", {{"host", "other"}});  // by the same connection
  ASSERT_EQ(sshds.size(), 1U);
  ASSERT_TRUE(call("host.disconnect", {{"host", "prod"}}).contains("result"));
  io.advance(seconds(5));
  hosts->nudge(Host::Nudge::kNetwork);
  io.advance(seconds(60));
  EXPECT_EQ(sshds.size(), 1U);
}

TEST_F(AgentSim, NetworksThatComeAndGoAllTheTimeDoNotKeepALoginFromGettingThrough) {
  hang_next = true;
  Client asker = client();
  asker.send(R"({"jsonrpc":"2.0","id":1,"method":"forward.open","params":{"spec":"8001:svc:1","via":"prod"}})"
             "\n");
  io.settle();
  for (int i = 0; i < 20; ++i) {
    hang_next = true;
    io.advance(milliseconds(600));
    hosts->nudge(Host::Nudge::kNetwork);
    io.settle();
  }
  EXPECT_GE(sshds.size(), 3U) << "it was dialled anew";
  EXPECT_LE(sshds.size(), 6U);
}

TEST_F(AgentSim, ConnectionsWaitForABastionThatIsAwayAndAreRefusedWhenTheirTimeIsUp) {
  open_forward(SimSshd::kEcho);
  sshds[0]->die();
  io.settle();
  away = true;
  auto patient = connect(SimSshd::kEcho);
  Collector got(*patient);
  patient->write(as_bytes("hello"));
  io.advance(seconds(5));
  EXPECT_FALSE(got.closed);
  away = false;
  io.advance(seconds(2));
  EXPECT_EQ(got.received, "hello");
  sshds.back()->die();
  io.settle();
  away = true;
  auto unlucky = connect(SimSshd::kEcho);
  Collector unlucky_got(*unlucky);
  io.advance(ForwardLimits{}.host_wait + milliseconds(1));
  EXPECT_TRUE(unlucky_got.closed && unlucky_got.error);
  json answer = call("host.connect", {{"host", "prod"}});
  EXPECT_TRUE(answer.contains("error")) << "a user is told at once";
}

TEST_F(AgentSim, AClientThatGoesAwayDuringTheLoginWithdrawsItsRequest) {
  hang_next = true;
  Client asker = client();
  asker.send(R"({"jsonrpc":"2.0","id":1,"method":"forward.open","params":{"spec":"8001:svc:1","via":"prod"}})"
             "\n");
  io.settle();
  EXPECT_TRUE(io.connect("localhost:8001"));
  asker.stream->abort();
  io.settle();
  EXPECT_EQ(io.connect("localhost:8001"), nullptr);
}

TEST_F(AgentSim, AClientThatLeavesBeforeTheTargetAnswersIsNobodysFailure) {
  open_forward(SimSshd::kHole);
  auto stream = connect(SimSshd::kHole);
  Collector got(*stream);
  io.settle();
  stream->abort();
  io.settle();
  json forward = call("forward.list", json::object())["result"]["forwards"][0];
  EXPECT_EQ(forward["state"], "active");
  EXPECT_EQ(forward["refused"], 0);
}

TEST_F(AgentSim, ANameIsNeverTakenForAnId) {
  for (const char* name : {"f2", "f1", "bad\nname", "x\u001b[31m"}) {
    json answer = call("forward.open", {{"spec", "8001:svc:1"}, {"via", "prod"}, {"name", name}});
    EXPECT_EQ(answer["error"]["data"]["kind"], "invalid") << answer.dump();
  }
  EXPECT_TRUE(
      call("forward.open", {{"spec", "8001:svc:1"}, {"via", "prod"}, {"name", "web"}}).contains("result"));
  EXPECT_TRUE(call("forward.close", {{"forward", "web"}}).contains("result"));
}

TEST_F(AgentSim, AServerThatHangsIsDeclaredDeadInBoundedTime) {
  open_forward(SimSshd::kEcho);
  auto stream = connect(SimSshd::kEcho);
  Collector got(*stream);
  io.settle();
  sshds[0]->hang();
  io.advance(seconds(5 * 4));  // ServerAliveInterval 5, ServerAliveCountMax 2
  EXPECT_TRUE(got.closed && got.error);
  const json host = call("status", json::object())["result"]["hosts"][0];
  EXPECT_EQ(host["state"], "ready") << "it is dialled again";
  EXPECT_EQ(host["logins"], 2);
}

// Whatever byte of the client's the server dies after, everybody hears of it, and nothing of it is left.
TEST_F(AgentSim, ACutAfterAnyByteEndsEverythingCleanly) {
  for (std::size_t cut = 1; cut < 3000; cut += cut < 100 ? 7 : 41) {
    die_after = cut;
    Client asker = client();
    asker.send(
        R"({"jsonrpc":"2.0","id":1,"method":"forward.open","params":{"spec":"8001:svc:1","via":"prod"}})"
        "\n");
    io.settle();
    ASSERT_EQ(asker.answers().size(), 1u) << "cut " << cut;
    bool opened = asker.answers()[0].contains("result");
    if (opened) {
      auto stream = connect(SimSshd::kEcho);
      Collector got(*stream);
      std::string block(4000, 'x');
      stream->write(as_bytes(block));
      io.advance(ForwardLimits{}.host_wait);
      EXPECT_TRUE(got.closed && got.error) << "cut " << cut;
      call("forward.close", {{"forward", asker.answers()[0]["result"]["forward"]["id"]}});
    }
    EXPECT_TRUE(sshds.back()->ended()) << "cut " << cut;
    EXPECT_EQ(call("status", json::object())["result"]["hosts"][0]["state"], "down") << "cut " << cut;
    EXPECT_EQ(io.connect("localhost:8001"), nullptr) << "cut " << cut;
    io.advance(Host::kRetryGap);
  }
}

TEST_F(AgentSim, ALoginThatFailsLeavesNoForwardAndIsNotRepeatedByMereConnections) {
  open_forward(SimSshd::kEcho);
  sshds[0]->die();
  io.settle();
  closed_to_all = true;
  io.advance(Host::kRetryGap);
  for (int i = 0; i < 5; ++i) {
    auto stream = connect(SimSshd::kEcho);
    Collector got(*stream);
    io.settle();
    EXPECT_TRUE(got.closed && got.error);
    io.advance(seconds(10));
  }
  EXPECT_EQ(sshds.size(), 2u) << "one login was refused; a person has to look at it";
  json answer = call("host.connect", {{"host", "prod"}});
  EXPECT_EQ(sshds.size(), 3u) << "a request of the user's tries again";
  EXPECT_EQ(answer["error"]["data"]["kind"], "auth") << answer.dump();
}

TEST_F(AgentSim, TwoWhoAskAtOnceShareOneLogin) {
  Client one = client(), two = client();
  one.send(R"({"jsonrpc":"2.0","id":1,"method":"host.connect","params":{"host":"prod"}})"
           "\n");
  two.send(R"({"jsonrpc":"2.0","id":2,"method":"forward.open","params":{"spec":"8001:svc:1","via":"prod"}})"
           "\n");
  io.settle();
  EXPECT_EQ(one.answers().size() + two.answers().size(), 2u);
  EXPECT_EQ(sshds.size(), 1u);
}

TEST_F(AgentSim, TheSameForwardTwiceIsOneForward) {
  open_forward(SimSshd::kEcho);
  json again = call("forward.open", {{"spec", "8001:svc:1"}, {"via", "prod"}});
  EXPECT_EQ(again["result"]["existing"], true);
  EXPECT_EQ(again["result"]["forward"]["id"], "f1");
  json other = call("forward.open", {{"spec", "8001:svc:2"}, {"via", "prod"}});
  EXPECT_EQ(other["error"]["data"]["kind"], "in_use") << other.dump();
  EXPECT_NE(other["error"]["message"].get<std::string>().find("f1"), std::string::npos);
}

TEST_F(AgentSim, AClientThatGoesAwayWithdrawsItsRequest) {
  Client asker = client();
  asker.send(R"({"jsonrpc":"2.0","id":1,"method":"forward.open","params":{"spec":"8001:svc:1","via":"prod"}})"
             "\n");
  asker.stream->abort();
  asker.stream.reset();
  io.settle();
  EXPECT_EQ(io.connect("localhost:8001"), nullptr);
  EXPECT_EQ(server->clients(), 0u);
}

TEST_F(AgentSim, AHostThatSshDoesNotKnowIsAnErrorWithItsWords) {
  json answer = call("host.connect", {{"host", "nobody-knows"}});
  EXPECT_NE(answer["error"]["message"].get<std::string>().find("nobody knows this"), std::string::npos);
}

TEST_F(AgentSim, GarbageCostsOnlyItsClient) {
  Client good = client();
  Client garbage = client();
  garbage.send("\x01\x02 not json\n{\"jsonrpc\":\"2.0\"}\n[]\nnull\n");
  io.settle();
  EXPECT_EQ(garbage.answers().size(), 4u);
  for (const json& answer : garbage.answers()) EXPECT_TRUE(answer.contains("error")) << answer.dump();
  EXPECT_FALSE(garbage.got->closed);

  Client endless = client();
  std::string block(SimIo::kPipeSize, 'x');
  std::size_t sent = 0;
  for (int i = 0; i < 200 && !endless.got->closed && !endless.got->eof; ++i) {
    sent += endless.stream->write(as_bytes(block));
    io.settle();
  }
  EXPECT_TRUE(endless.got->eof || endless.got->closed) << "a line without end ends the connection";
  EXPECT_LE(sent, proto::kMaxLine + 4 * SimIo::kPipeSize);
  ASSERT_EQ(endless.answers().size(), 1u);
  EXPECT_TRUE(endless.answers()[0].contains("error"));

  good.send(R"({"jsonrpc":"2.0","id":7,"method":"status"})"
            "\n");
  io.settle();
  ASSERT_EQ(good.answers().size(), 1u);
  EXPECT_TRUE(good.answers()[0].contains("result"));
}

TEST_F(AgentSim, AClientThatDoesNotReadIsCutOffAndOthersGoOn) {
  Client deaf = client();
  deaf.got->set_appetite(0);
  std::string asks;
  for (int i = 0; i < 500; ++i)
    asks += R"({"jsonrpc":"2.0","id":"0123456789012345678901234567890123456789","method":"status"})"
            "\n";
  for (int round = 0; round < 2000 && server->clients() == 1; ++round) {
    deaf.stream->write(as_bytes(asks));
    io.settle();
  }
  EXPECT_EQ(server->clients(), 0u) << "its queue is bounded";
  EXPECT_TRUE(call("status", json::object()).contains("result"));
}

TEST_F(AgentSim, RequestsInPiecesAndManyAtOnceAreAnsweredInTheirOrder) {
  Client pieces = client();
  for (char c : std::string(R"({"jsonrpc":"2.0","id":1,"method":"forward.list"})"
                            "\r\n")) {
    pieces.send(std::string_view(&c, 1));
    io.settle();
  }
  std::string many;
  for (int i = 2; i < 300; ++i)
    many += json{{"jsonrpc", "2.0"}, {"id", i}, {"method", "forward.list"}}.dump() + "\n";
  pieces.send(many);
  io.settle();
  auto answers = pieces.answers();
  ASSERT_EQ(answers.size(), 299u);
  for (std::size_t i = 0; i < answers.size(); ++i) EXPECT_EQ(answers[i]["id"], i + 1);
}

TEST_F(AgentSim, TooManyClientsAreTurnedAwayPolitely) {
  std::vector<Client> many;
  for (std::size_t i = 0; i < ControlServer::kMaxClients; ++i) many.push_back(client());
  Client late = client();
  io.settle();
  EXPECT_EQ(server->clients(), ControlServer::kMaxClients);
  EXPECT_EQ(server->refused(), 1u);
  many.clear();
  io.settle();
  EXPECT_TRUE(call("status", json::object()).contains("result"));
}

TEST_F(AgentSim, ClientsThatNeverSayAWordKeepNobodyOut) {
  Client first = client();
  first.send(R"({"jsonrpc":"2.0","id":1,"method":"status"})"
             "\n");
  std::vector<Client> many;
  for (std::size_t i = 1; i < ControlServer::kMaxClients; ++i) many.push_back(client());
  io.advance(ControlServer::kHelloTime);
  EXPECT_TRUE(call("status", json::object()).contains("result"));
  EXPECT_TRUE(many[0].got->eof || many[0].got->closed);
  ASSERT_EQ(many[0].answers().size(), 1U);
  EXPECT_TRUE(many[0].answers()[0].contains("error"));
  EXPECT_FALSE(many[1].got->closed);
  EXPECT_FALSE(first.got->closed) << "it has asked for something";
}

TEST_F(AgentSim, PrewarmedChannelsAreOpenBeforeAnybodyConnectsAndAreReplaced) {
  json answer = call("forward.open", {{"spec", "8001:svc:1"}, {"via", "prod"}, {"prewarm", 3}});
  ASSERT_TRUE(answer.contains("result")) << answer.dump();
  EXPECT_EQ(sshds[0]->open_channels(), 3u);
  auto stream = connect(SimSshd::kEcho);
  Collector got(*stream);
  stream->write(as_bytes("warm"));
  io.settle();
  EXPECT_EQ(got.received, "warm");
  EXPECT_EQ(sshds[0]->opens(), 4u) << "one was taken and one opened in its place";
  EXPECT_EQ(call("forward.list", json::object())["result"]["forwards"][0]["prewarmed"], 3);
  stream->shutdown_write();
  io.settle();
  EXPECT_TRUE(got.closed);
  EXPECT_FALSE(got.error);
  EXPECT_EQ(sshds[0]->open_channels(), 3u);
}

TEST_F(AgentSim, ASpareThatTheTargetEndedIsNeverHandedOut) {
  call("forward.open", {{"spec", "8001:svc:1"}, {"via", "prod"}, {"prewarm", 2}});
  sshds[0]->end_idle_channels("a greeting, then nobody came");
  io.settle();
  EXPECT_EQ(call("forward.list", json::object())["result"]["forwards"][0]["prewarmed"], 0);
  auto stream = connect(SimSshd::kEcho);
  Collector got(*stream);
  stream->write(as_bytes("alive"));
  io.settle();
  EXPECT_EQ(got.received, "alive");
  io.advance(seconds(1));
  EXPECT_EQ(call("forward.list", json::object())["result"]["forwards"][0]["prewarmed"], 2);
  EXPECT_EQ(sshds[0]->open_channels(), 3u);
}

TEST_F(AgentSim, SparesThatTheTargetEndsAgainAndAgainAreReplacedEverMoreRarely) {
  call("forward.open", {{"spec", "8001:svc:1"}, {"via", "prod"}, {"prewarm", 2}});
  for (int tenth = 0; tenth < 600; ++tenth) {
    sshds[0]->end_idle_channels("");
    io.settle();
    io.advance(milliseconds(100));
  }
  EXPECT_LE(sshds[0]->opens(), 26u);
  EXPECT_GE(sshds[0]->opens(), 10u);
  auto stream = connect(SimSshd::kEcho);
  Collector got(*stream);
  stream->write(as_bytes("alive"));
  io.settle();
  EXPECT_EQ(got.received, "alive");
}

TEST_F(AgentSim, SparesOfATargetThatRefusesAreNotAskedForWithoutEnd) {
  call("forward.open", {{"spec", "8004:svc:4"}, {"via", "prod"}, {"prewarm", 2}});
  io.advance(seconds(20));
  EXPECT_LE(sshds[0]->opens(), 12u);
  EXPECT_GE(sshds[0]->opens(), 4u);
}

TEST_F(AgentSim, AFieldOfTheWrongKindIsNamed) {
  json answer = call("forward.open", {{"spec", 5}});
  EXPECT_EQ(answer["error"]["code"], proto::kInvalidParams);
  EXPECT_NE(answer["error"]["message"].get<std::string>().find("params.spec"), std::string::npos);
  EXPECT_EQ(call("no.such.method", json::object())["error"]["code"], proto::kMethodNotFound);
}

}  // namespace
}  // namespace jump::test
