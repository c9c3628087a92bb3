// The bastion dies while bytes flow, and comes back: local connections end, the status says what is going on,
// the agent lives, and the same forward carries again.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/socket.h"
#include "support/tcp_service.h"
#include "support/tunnel.h"

namespace jump::test {
namespace {

using nlohmann::json;

constexpr Duration kPrompt = seconds(30);
constexpr Duration kComeBack = seconds(40);  // the longest pause between two attempts, and then some

bool echoes(std::uint16_t port) {
  std::optional<Socket> socket = Socket::connect_tcp(port);
  if (!socket || !socket->send_all(std::string_view("there?"))) return false;
  return socket->receive_exactly(6, kComeBack).text() == "there?";
}

// A bastion with bytes flowing both ways through it.
struct Flow {
  Lab lab{{.agent_config = kPatientConfig}};
  TcpService endless{TcpService::endless_source()};
  TcpService echo{TcpService::echo()};
  AgentProcess& agent = lab.agent();
  json download = agent.open_forward(Lab::kBastion, "0:127.0.0.1:" + std::to_string(endless.port()));
  json talk = agent.open_forward(Lab::kBastion, "0:127.0.0.1:" + std::to_string(echo.port()));
  std::optional<Socket> downloading = Socket::connect_tcp(port_of(download.at("listen")));
  std::optional<Socket> idle = Socket::connect_tcp(port_of(talk.at("listen")));

  std::uint16_t talk_port() const { return port_of(talk.at("listen")); }
  bool flows() {
    return downloading && idle && downloading->receive_exactly(4 << 20).end == StreamEnd::kOpen &&
           idle->send_all(std::string_view("x")) && idle->receive_exactly(1).text() == "x";
  }
  std::string host_state() { return agent.host_status(Lab::kBastion).value("state", "gone"); }
};

TEST(Reconnect, KillingSshdEndsLocalConnectionsAndTheStatusSaysSo) {
  Flow flow;
  ASSERT_TRUE(flow.flows());
  const pid_t agent = flow.agent.pid();
  flow.lab.sshd().kill_all();

  EXPECT_TRUE(flow.downloading->wait_end(kPrompt)) << "a connection with bytes under way hangs";
  EXPECT_TRUE(flow.idle->wait_end(kPrompt)) << "an idle connection hangs";
  EXPECT_TRUE(eventually([&] { return flow.host_state() != "ready"; }, kPrompt));
  const auto has_error = [&] {
    return !flow.agent.host_status(Lab::kBastion).at("error").get<std::string>().empty();
  };
  EXPECT_TRUE(eventually(has_error, kPrompt)) << flow.agent.status().dump(2);
  const auto talk = [&] { return flow.agent.forward_status(flow.talk.at("id")); };
  EXPECT_TRUE(eventually([&] { return talk().at("connections") == 0; }, kPrompt)) << talk();
  EXPECT_NE(talk().at("state"), "active") << talk();
  EXPECT_EQ(flow.agent.pid(), agent);
}

// An end of the bastion is no end of the target's answer: a client must be able to tell the two apart.
TEST(Reconnect, AConnectionCutHalfWayIsResetNotEnded) {
  Flow flow;
  ASSERT_TRUE(flow.flows());
  flow.lab.sshd().kill_all();
  Bytes buffer(1 << 20);
  StreamEnd end = StreamEnd::kOpen;
  while (end == StreamEnd::kOpen) {
    std::size_t got = 0;
    end = flow.downloading->receive_some(buffer, &got, kPrompt);
  }
  EXPECT_EQ(end, StreamEnd::kReset);
}

TEST(Reconnect, TheSameForwardCarriesAgainOnceSshdIsBack) {
  Flow flow;
  ASSERT_TRUE(flow.flows());
  flow.lab.sshd().kill_all();
  ASSERT_TRUE(eventually([&] { return flow.host_state() != "ready"; }, kPrompt));
  flow.lab.sshd().start();

  EXPECT_TRUE(eventually([&] { return echoes(flow.talk_port()); }, kComeBack)) << flow.agent.status().dump(2);
  EXPECT_EQ(flow.host_state(), "ready");
  EXPECT_EQ(flow.agent.host_status(Lab::kBastion).at("logins").get<int>(), 2);
  EXPECT_EQ(flow.agent.forward_status(flow.talk.at("id")).at("state"), "active");
}

// What the server was asked for, and had not answered when it died, is asked for again of the next one.
TEST(Reconnect, AConnectionThatTheServerOwedAnAnswerToIsCarriedByTheNextLogin) {
  Flow flow;
  ASSERT_TRUE(flow.flows());
  flow.lab.sshd().stop_all();
  const std::uint16_t port = flow.talk_port();
  std::vector<Socket> waiting;
  for (int i = 0; i < 3; ++i) {
    std::optional<Socket> socket = Socket::connect_tcp(port);
    ASSERT_TRUE(socket && socket->send_all(std::string_view("there?")));
    waiting.push_back(std::move(*socket));
  }
  const auto opening = [&] {
    return flow.agent.host_status(Lab::kBastion).at("channels_opening").get<int>();
  };
  ASSERT_TRUE(eventually([&] { return opening() == 3; }, kPrompt)) << flow.agent.status().dump(2);
  flow.lab.sshd().kill_all();
  flow.lab.sshd().start();
  for (Socket& socket : waiting) EXPECT_EQ(socket.receive_exactly(6, kComeBack).text(), "there?");
}

// The same, and the user wants no other.
TEST(Reconnect, WhoWaitsForTheNextLoginEndsWithTheUsersDisconnect) {
  Flow flow;
  ASSERT_TRUE(flow.flows());
  flow.lab.sshd().stop_all();
  std::optional<Socket> waiting = Socket::connect_tcp(flow.talk_port());
  ASSERT_TRUE(waiting && waiting->send_all(std::string_view("there?")));
  const auto opening = [&] {
    return flow.agent.host_status(Lab::kBastion).at("channels_opening").get<int>();
  };
  ASSERT_TRUE(eventually([&] { return opening() == 1; }, kPrompt)) << flow.agent.status().dump(2);
  flow.lab.sshd().kill_all();
  const auto dialled_in_vain = [&] {
    return flow.agent.host_status(Lab::kBastion).at("error").get<std::string>().find("refused") !=
           std::string::npos;
  };
  ASSERT_TRUE(eventually(dialled_in_vain, kPrompt)) << flow.agent.status().dump(2);
  EXPECT_EQ(flow.agent.host_status(Lab::kBastion).at("waiting"), 1) << flow.agent.log();
  ASSERT_TRUE(flow.agent.ctl({"disconnect", Lab::kBastion}).ok());
  EXPECT_TRUE(waiting->wait_end(kPrompt));
}

TEST(Reconnect, AUserWhoConnectsIsToldOfAServerThatAnswersNotOfOneThatDid) {
  Flow flow;
  ASSERT_TRUE(flow.flows());
  EXPECT_TRUE(flow.agent.ctl({"connect", Lab::kBastion}).ok());
  flow.downloading.reset();  // what is under way is a sign of life
  const auto quiet = [&] {
    const json host = flow.agent.host_status(Lab::kBastion);
    return host.at("channels") == 1 && host.at("channels_closing") == 0 && host.at("replies_awaited") == 0;
  };
  ASSERT_TRUE(eventually(quiet, kPrompt)) << flow.agent.status().dump(2);
  flow.lab.sshd().stop_all();
  const ProcessResult connect = flow.agent.ctl({"connect", "--timeout", "3", Lab::kBastion});
  EXPECT_EQ(connect.exit_status, 1) << connect.describe();
  flow.lab.sshd().go_on();
  EXPECT_TRUE(eventually([&] { return flow.agent.ctl({"connect", Lab::kBastion}).ok(); }, kComeBack));
  EXPECT_TRUE(eventually([&] { return echoes(flow.talk_port()); }, kComeBack));
}

TEST(Reconnect, FiveCutsInARowAreSurvived) {
  Flow flow;
  ASSERT_TRUE(flow.flows());
  for (int cut = 0; cut < 5; ++cut) {
    flow.lab.sshd().kill_all();
    flow.lab.sshd().start();
    ASSERT_TRUE(eventually([&] { return echoes(flow.talk_port()); }, kComeBack)) << "cut " << cut;
  }
}

TEST(Reconnect, ADownWhileTheBastionIsAwayIsBounded) {
  Flow flow;
  ASSERT_TRUE(flow.flows());
  flow.lab.sshd().kill_all();
  Stopwatch watch;
  EXPECT_TRUE(flow.agent.down().ok());
  EXPECT_LT(to_seconds(watch.elapsed()), to_seconds(kPrompt));
}

// What these tests do to the bastion is what they say: stock ssh loses its connections by it, too.
TEST(ReconnectYardstick, KillingSshdCutsTheConnectionsOfStockSsh) {
  Lab lab;
  TcpService endless(TcpService::endless_source());
  const Tunnel tunnel(Carrier::kSsh, lab, endless.port());
  std::optional<Socket> socket = Socket::connect_tcp(tunnel.port());
  ASSERT_TRUE(socket && socket->receive_exactly(4 << 20).end == StreamEnd::kOpen);
  EXPECT_GE(lab.sshd().session_processes(), 1u);
  lab.sshd().kill_all();
  EXPECT_TRUE(socket->wait_end(kPrompt));
  lab.sshd().start();
  const Tunnel again(Carrier::kSsh, lab, endless.port());
  std::optional<Socket> next = Socket::connect_tcp(again.port());
  EXPECT_TRUE(next && next->receive_exactly(4 << 20).end == StreamEnd::kOpen);
}

}  // namespace
}  // namespace jump::test
