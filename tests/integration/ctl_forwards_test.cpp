// jumpctl's verbs for forwards, against a real agent and a real sshd: what they print, what they leave
// behind, and their exit status. What the forwards carry is tested elsewhere.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <csignal>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/machine_delay.h"
#include "support/on_terminal.h"
#include "support/reserved_port.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string target(const TcpService& service) { return "127.0.0.1:" + std::to_string(service.port()); }

// A connection to `port` reaches an echo service.
bool echoes(std::uint16_t port) {
  std::optional<Socket> socket = Socket::connect_tcp(port);
  if (!socket || !socket->send_all("hello")) return false;
  socket->shutdown_write();
  return socket->receive_all(seconds(20)).text() == "hello";
}

std::size_t listed(Lab& lab) { return lab.agent().ctl_json({"list"}).at("forwards").size(); }

// Ports in a row that nothing listens on; somebody may take one before the test does, so whoever asks tries
// again.
std::uint16_t free_range(std::uint16_t count) {
  for (int attempt = 0; attempt < 200; ++attempt) {
    const ReservedPort first;
    const std::uint16_t port = first.number();
    bool free = port < 65535 - count;
    for (std::uint16_t i = 1; free && i < count; ++i)
      free = !Socket::connect_tcp(static_cast<std::uint16_t>(port + i)).has_value();
    if (free) return port;
  }
  return 0;
}

std::string range(std::uint16_t first, std::uint16_t count) {
  return std::to_string(first) + "-" + std::to_string(first + count - 1);
}

TEST(CtlReverse, TheServerListensAndLeadsHere) {
  Lab lab;
  TcpService echo(TcpService::echo());
  const ProcessResult opened = lab.agent().ctl({"reverse", "--via", Lab::kBastion, "0:" + target(echo)});
  ASSERT_TRUE(opened.ok()) << opened.describe();
  EXPECT_TRUE(contains(opened.out, " on bastion -> " + target(echo) + " (f1)\n")) << opened.out;
  const json forward = lab.agent().forward_status("f1");
  EXPECT_EQ(forward.at("kind"), "remote");
  EXPECT_TRUE(echoes(port_of(forward.at("listen"))));  // the server is this machine, too
}

TEST(CtlReverse, APortAloneIsAProxyOnTheServer) {
  Lab lab;
  const ProcessResult opened = lab.agent().ctl({"reverse", "--via", Lab::kBastion, "0"});
  ASSERT_TRUE(opened.ok()) << opened.describe();
  EXPECT_TRUE(contains(opened.out, " on bastion -> any target (f1)\n")) << opened.out;
  EXPECT_EQ(lab.agent().forward_status("f1").at("kind"), "remote-dynamic");
}

TEST(CtlSocks, OpensAProxyAndReportsItsPort) {
  Lab lab;
  const ProcessResult opened = lab.agent().ctl({"socks", "--via", Lab::kBastion, "--name", "proxy", "0"});
  ASSERT_TRUE(opened.ok()) << opened.describe();
  const json forward = lab.agent().forward_status("f1");
  EXPECT_EQ(forward.at("kind"), "dynamic");
  const std::string listen = forward.at("listen");
  EXPECT_NE(port_of(listen), 0);
  EXPECT_EQ(opened.out, listen + " -> any target via bastion (f1, proxy)\n");
  EXPECT_TRUE(Socket::connect_tcp(port_of(listen)).has_value());
}

TEST(CtlForward, ARangeIsAForwardForEachPort) {
  Lab lab;
  TcpService echo(TcpService::echo());
  ASSERT_TRUE(lab.agent().ctl({"connect", Lab::kBastion}).ok());
  ProcessResult opened;
  std::string spec;
  for (int attempt = 0; attempt < 5; ++attempt) {
    spec = range(free_range(3), 3) + ":127.0.0.1:" + range(free_range(3), 3);
    opened = lab.agent().ctl({"forward", spec});
    if (opened.ok()) break;
    lab.agent().ctl({"close", "--all"});
  }
  ASSERT_TRUE(opened.ok()) << opened.describe();
  EXPECT_EQ(std::count(opened.out.begin(), opened.out.end(), '\n'), 3) << opened.out;
  EXPECT_EQ(listed(lab), 3u);
  const ProcessResult closed = lab.agent().ctl({"close", spec});
  EXPECT_TRUE(closed.ok()) << closed.describe();
  EXPECT_EQ(listed(lab), 0u);
}

TEST(CtlForward, WhatFailsIsNamedAndTheOthersStayOpen) {
  Lab lab;
  TcpService echo(TcpService::echo()), taken(TcpService::echo());
  const std::string good = "0:" + target(echo), bad = std::to_string(taken.port()) + ":svc:80";
  const ProcessResult result = lab.agent().ctl({"forward", "--via", Lab::kBastion, good, bad, "0:svc:81"});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 2) << result.describe();
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.describe();
  EXPECT_TRUE(contains(result.err, bad)) << result.err;
  EXPECT_EQ(listed(lab), 2u);
}

TEST(CtlForward, AServiceIsLookedUpHere) {
  Lab lab;
  const json opened = lab.agent().ctl_json({"forward", "--via", Lab::kBastion, "0:svc:http"}).at("forward");
  EXPECT_EQ(opened.at("target"), "svc:80");
}

TEST(CtlForward, ANameIsForOneForward) {
  Lab lab;
  for (const Words& words :
       {Words{"--name", "x", "0:a:1", "0:a:2"}, Words{"--name", "x", "8000-8001:a:9000-9001"}}) {
    Words all = {"forward", "--via", Lab::kBastion};
    all.insert(all.end(), words.begin(), words.end());
    const ProcessResult result = lab.agent().ctl(all);
    EXPECT_EQ(result.exit_status, 2) << result.describe();
    EXPECT_TRUE(contains(result.err, "--name")) << result.err;
  }
  EXPECT_EQ(listed(lab), 0u);
}

TEST(CtlClose, AllClosesWhatIsListedAndSaysHowMany) {
  Lab lab;
  ASSERT_TRUE(lab.agent().ctl({"forward", "--via", Lab::kBastion, "0:svc:80", "0:svc:81"}).ok());
  ASSERT_TRUE(lab.agent().ctl({"socks", "--via", Lab::kBastion, "0"}).ok());
  const ProcessResult closed = lab.agent().ctl({"close", "--all"});
  EXPECT_TRUE(closed.ok()) << closed.describe();
  EXPECT_TRUE(closed.out.ends_with("\n3 forwards closed\n")) << closed.out;
  EXPECT_EQ(listed(lab), 0u);
  EXPECT_EQ(lab.agent().ctl({"close", "--all"}).out, "no forwards\n");
  EXPECT_EQ(lab.agent().ctl_json({"close", "--all"}), json::array());
}

TEST(CtlClose, EachOfSeveralIsClosedOrNamed) {
  Lab lab;
  ASSERT_TRUE(lab.agent().ctl({"forward", "--via", Lab::kBastion, "--name", "web", "0:svc:80"}).ok());
  ASSERT_TRUE(lab.agent().ctl({"socks", "--via", Lab::kBastion, "0"}).ok());
  const ProcessResult closed = lab.agent().ctl({"close", "0:svc:80", "wbe", "f99", "f2"});
  EXPECT_EQ(closed.exit_status, 1) << closed.describe();
  EXPECT_EQ(std::count(closed.out.begin(), closed.out.end(), '\n'), 2) << closed.out;
  EXPECT_TRUE(contains(closed.err, "no forward 'wbe'; did you mean 'web'?\n")) << closed.err;
  EXPECT_TRUE(contains(closed.err, "no forward 'f99'; ")) << closed.err;
  EXPECT_EQ(listed(lab), 0u);
}

TEST(CtlList, ShowsKindsTargetsAndMarks) {
  Lab lab;
  ASSERT_TRUE(lab.agent().ctl({"forward", "--via", Lab::kBastion, "--persist", "*:0:svc:80"}).ok());
  ASSERT_TRUE(lab.agent().ctl({"socks", "--via", Lab::kBastion, "0"}).ok());
  const ProcessResult list = lab.agent().ctl({"list"});
  EXPECT_TRUE(contains(list.out, "all interfaces, persist\n")) << list.out;
  EXPECT_TRUE(contains(list.out, "any target")) << list.out;
  EXPECT_TRUE(contains(list.out, "  dynamic  ")) << list.out;
  EXPECT_EQ(list.out.find('\x1b'), std::string::npos) << list.out;
  ASSERT_TRUE(lab.agent().ctl({"close", "--all"}).ok());
}

// A held forward, and whoever holds it.
struct Holder {
  explicit Holder(Lab& lab)
      : process({ctl_program(), "forward", "--hold", "--via", Lab::kBastion, "0:svc:80", "0:svc:81"},
                lab.agent().environment()) {}
  bool open() {
    return eventually([this] { return contains(process.out(), "f2)"); });
  }
  Process process;
};

TEST(CtlHold, StaysAndTakesItsForwardsWithItWhenASignalEndsIt) {
  Lab lab;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    Holder holder(lab);
    ASSERT_TRUE(eventually([&] { return contains(holder.process.out(), ":81"); })) << holder.process.err();
    const json forwards = lab.agent().ctl_json({"list"}).at("forwards");
    EXPECT_EQ(forwards[0].at("held"), 1) << forwards;
    EXPECT_TRUE(holder.process.running());
    holder.process.signal(signal);
    EXPECT_EQ(holder.process.wait(seconds(10)).value_or(-1), 0) << holder.process.err();
    EXPECT_EQ(listed(lab), 0u) << "they are gone when it is";
  }
}

TEST(CtlHold, ItsForwardsVanishWhenItIsKilled) {
  Lab lab;
  Holder holder(lab);
  ASSERT_TRUE(holder.open()) << holder.process.err();
  const MachineDelay machine;
  holder.process.kill();
  EXPECT_TRUE(eventually([&] { return listed(lab) == 0u; }, seconds(1) + machine.allowance()));
}

TEST(CtlHold, EndsWithTheAgentAndSaysSo) {
  Lab lab;
  Holder holder(lab);
  ASSERT_TRUE(holder.open()) << holder.process.err();
  ASSERT_TRUE(lab.agent().down().ok());
  EXPECT_EQ(holder.process.wait(seconds(10)).value_or(-1), 1);
  EXPECT_TRUE(contains(holder.process.err(), "the agent has ended, and the 2 forwards with it\n"))
      << holder.process.err();
}

TEST(CtlHold, EndsWhenSomebodyHasClosedItAll) {
  Lab lab;
  Holder holder(lab);
  ASSERT_TRUE(holder.open()) << holder.process.err();
  ASSERT_TRUE(lab.agent().ctl({"close", "f1"}).ok());
  EXPECT_TRUE(always([&] { return holder.process.running(); }, milliseconds(200))) << holder.process.err();
  ASSERT_TRUE(lab.agent().ctl({"close", "f2"}).ok());
  EXPECT_EQ(holder.process.wait(seconds(10)).value_or(-1), 1);
  EXPECT_TRUE(contains(holder.process.err(), "it was closed\n")) << holder.process.err();
}

TEST(CtlHold, HoldsNothingWhereNothingCouldBeOpened) {
  Lab lab;
  TcpService taken(TcpService::echo());
  const ProcessResult result = lab.agent().ctl(
      {"forward", "--hold", "--via", Lab::kBastion, std::to_string(taken.port()) + ":svc:80"}, seconds(30));
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_FALSE(result.timed_out);
}

TEST(CtlTerminal, HasColourUnlessItIsNotWanted) {
  Lab lab;
  ASSERT_TRUE(lab.agent().ctl({"socks", "--via", Lab::kBastion, "0"}).ok());
  Environment env = lab.agent().environment();
  env["TERM"] = "xterm";
  OnTerminal coloured({ctl_program(), "list"}, env);
  EXPECT_TRUE(coloured.shows("\x1b[32mactive\x1b[0m")) << coloured.shown();
  EXPECT_EQ(coloured.exit_status(), 0);
  env["NO_COLOR"] = "1";
  OnTerminal plain({ctl_program(), "list"}, env);
  EXPECT_TRUE(plain.shows("  active")) << plain.shown();
  EXPECT_EQ(plain.exit_status(), 0);
  EXPECT_EQ(plain.shown().find('\x1b'), std::string::npos) << plain.shown();
}

}  // namespace
}  // namespace jump::test
