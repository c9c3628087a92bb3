// How long a forward lives and who wants it: held ones go with their clients, the same one is the existing
// one, and whoever is in the way is named.
#include <gtest/gtest.h>
#include <signal.h>

#include "integration/forward_lab.h"
#include "support/machine_delay.h"
#include "support/process.h"
#include "support/reserved_port.h"
#include "support/tcp_service.h"
#include "support/unix_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

class ForwardLifetime : public ::testing::Test {
 protected:
  AgentProcess& agent() { return lab_.agent(); }
  std::string to_echo() const { return ":127.0.0.1:" + std::to_string(echo_.port()); }
  json forward(const std::string& id) { return agent().forward_status(id); }
  bool gone(const std::string& id, Duration within) {
    return eventually([&] { return forward(id).is_null(); }, within);
  }

  Lab lab_;
  TcpService echo_{TcpService::echo()};
  MachineDelay machine_;
};

// --- held

TEST_F(ForwardLifetime, AHeldForwardGoesWithinASecondOfTheKillOfItsClient) {
  const ReservedPort port;
  const std::string spec = std::to_string(port.number()) + to_echo();
  agent();
  Process client({ctl_program(), "forward", "--via", Lab::kBastion, "--hold", spec}, agent().environment());
  ASSERT_TRUE(eventually([&] { return echoed(Socket::connect_tcp(port.number()), "hello") == "hello"; }))
      << client.err();
  const json list = agent().status().at("forwards");
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].at("held"), 1);
  std::optional<Socket> open = Socket::connect_tcp(port.number());
  ASSERT_EQ(echoed(Socket::connect_tcp(port.number()), "a"), "a");
  ASSERT_TRUE(open && open->send_all(std::string_view("x")) && open->receive_exactly(1).text() == "x");

  client.signal(SIGKILL);
  EXPECT_TRUE(open->wait_end(seconds(1) + machine_.allowance())) << "its connections end with it";
  EXPECT_TRUE(
      eventually([&] { return !Socket::connect_tcp(port.number()); }, seconds(1) + machine_.allowance()));
  EXPECT_TRUE(gone(list[0].at("id"), seconds(1) + machine_.allowance()));
}

TEST_F(ForwardLifetime, AHeldForwardThatAnotherHoldsGoesWithTheLast) {
  const ReservedPort port;
  const std::string spec = std::to_string(port.number()) + to_echo();
  ControlClient one(agent()), two(agent());
  const std::string id = one.open("local", spec, {{"hold", true}}).at("id");
  const json second = two.call("forward.open", ControlClient::open_params("local", spec, {{"hold", true}}));
  EXPECT_EQ(second.at("existing"), true);
  EXPECT_EQ(second.at("forward").at("id"), id);
  EXPECT_EQ(second.at("forward").at("held"), 2);
  one.leave();
  EXPECT_TRUE(eventually([&] { return forward(id).value("held", 9) == 1; }));
  EXPECT_EQ(echoed(Socket::connect_tcp(port.number()), "hello"), "hello");
  two.leave();
  EXPECT_TRUE(gone(id, seconds(1) + machine_.allowance()));
}

TEST_F(ForwardLifetime, AHeldForwardThatAnotherWantsToStayStays) {
  const ReservedPort port;
  const std::string spec = std::to_string(port.number()) + to_echo();
  ControlClient holder(agent()), other(agent());
  const std::string id = holder.open("local", spec, {{"hold", true}}).at("id");
  EXPECT_EQ(other.open("local", spec).at("id"), id);
  holder.leave();
  ASSERT_TRUE(eventually([&] { return forward(id).value("held", 9) == 0; }));
  EXPECT_EQ(echoed(Socket::connect_tcp(port.number()), "hello"), "hello");
}

TEST_F(ForwardLifetime, TheConfigsForwardOutlivesWhoHoldsIt) {
  const ReservedPort port;
  const std::string spec = std::to_string(port.number()) + to_echo();
  const std::string config =
      lab_.directory().write("agent.toml", "[[forward]]\nspec = \"" + spec + "\"\nvia = \"bastion\"\n");
  lab_.cold_agent().run({"-c", config});
  ControlClient holder(agent());
  const json held = holder.open("local", spec, {{"hold", true}});
  EXPECT_EQ(held.at("held"), 1);
  holder.leave();
  ASSERT_TRUE(eventually([&] { return forward(held.at("id")).value("held", 9) == 0; }));
  EXPECT_EQ(forward(held.at("id")).at("origin"), "config");
  EXPECT_EQ(echoed(Socket::connect_tcp(port.number()), "hello"), "hello");
}

TEST_F(ForwardLifetime, AHeldRemoteForwardIsTakenFromTheServer) {
  const ReservedPort port;
  ControlClient holder(agent());
  const std::string id =
      holder.open("remote", std::to_string(port.number()) + to_echo(), {{"hold", true}}).at("id");
  ASSERT_EQ(echoed(Socket::connect_tcp(port.number()), "hello"), "hello");
  holder.leave();
  EXPECT_TRUE(gone(id, seconds(1) + machine_.allowance()));
  EXPECT_TRUE(eventually([&] { return !Socket::connect_tcp(port.number()); }, seconds(30)));
}

TEST_F(ForwardLifetime, AClientThatGoesWhileItsForwardIsBeingOpenedLeavesNone) {
  const ReservedPort port;
  lab_.agent();
  lab_.sshd().kill_all();
  for (const bool hold : {true, false}) {
    ControlClient hasty(agent());
    hasty.send("forward.open", ControlClient::open_params("local", std::to_string(port.number()) + to_echo(),
                                                          {{"hold", hold}}));
    hasty.leave();
    EXPECT_TRUE(eventually([&] { return agent().status().at("forwards").empty(); }, seconds(5)));
    EXPECT_FALSE(Socket::connect_tcp(port.number()));
  }
}

TEST_F(ForwardLifetime, HeldAndPersistentAtOnceIsRefused) {
  ControlClient client(agent());
  const std::string why = client.open_failure("local", "0" + to_echo(), {{"hold", true}, {"persist", true}});
  EXPECT_TRUE(says(why, "cannot both")) << why;
}

// --- the same again

TEST_F(ForwardLifetime, TheSameForwardAgainIsTheExistingOneHoweverItIsWritten) {
  const ReservedPort port, there;
  ControlClient client(agent());
  const std::string number = std::to_string(port.number());
  const std::string id = client.open("local", number + to_echo()).at("id");
  EXPECT_EQ(client.open("local", "localhost:" + number + to_echo()).at("id"), id);
  const std::string dynamic = client.open("dynamic", "0").at("id");
  EXPECT_NE(dynamic, id);
  const std::string remote = client.open("remote", std::to_string(there.number()) + to_echo()).at("id");
  const json again = client.call(
      "forward.open",
      ControlClient::open_params("remote", std::to_string(there.number()) + to_echo(), json::object()));
  EXPECT_EQ(again.at("forward").at("id"), remote);
  EXPECT_EQ(again.at("existing"), true);
  EXPECT_EQ(client.list().size(), 3u);
}

TEST_F(ForwardLifetime, EachRequestForAnyPortIsAForwardOfItsOwn) {
  ControlClient client(agent());
  EXPECT_NE(client.open("local", "0" + to_echo()).at("listen"),
            client.open("local", "0" + to_echo()).at("listen"));
}

TEST_F(ForwardLifetime, AForwardThatWaitsForItsPortIsOpenedByWhoAsksForItAgain) {
  auto holder = std::make_unique<TcpService>(TcpService::silent());
  const std::string spec = std::to_string(holder->port()) + to_echo();
  const std::string config =
      lab_.directory().write("agent.toml", "[[forward]]\nspec = \"" + spec + "\"\nvia = \"bastion\"\n");
  lab_.cold_agent().run({"-c", config});
  ControlClient client(agent());
  EXPECT_TRUE(says(client.open_failure("local", spec), "is in use"));
  const std::uint16_t port = holder->port();
  holder.reset();
  const json opened = client.open("local", spec);
  EXPECT_EQ(opened.value("origin", ""), "both") << "not a second one";
  EXPECT_EQ(client.list().size(), 1u);
  EXPECT_EQ(echoed(Socket::connect_tcp(port), "hello"), "hello");
}

// --- conflicts

TEST_F(ForwardLifetime, AConflictWithAForwardNamesItsId) {
  const ReservedPort port;
  const std::string number = std::to_string(port.number());
  ControlClient client(agent());
  const std::string id = client.open("local", number + to_echo()).at("id");
  for (const char* other : {":other:80", ""}) {
    const std::string why = client.open_failure(*other ? "local" : "dynamic", number + other);
    EXPECT_TRUE(says(why, "in use by forward " + id)) << why;
    EXPECT_TRUE(says(why, "jumpctl close " + id)) << why;
  }
}

TEST_F(ForwardLifetime, AConflictOnAPathNamesTheForwardAndNobodyIsConnectedToFindOut) {
  const std::string path = lab_.directory().file("l.sock");
  ControlClient client(agent());
  const std::string id = client.open("local", path + to_echo()).at("id");
  const std::string why = client.open_failure("local", path + ":other:80");
  EXPECT_TRUE(says(why, "in use by forward " + id)) << why;
  EXPECT_EQ(forward(id).at("connections_total"), 0);
}

TEST_F(ForwardLifetime, AConflictWithAnotherProcessNamesIt) {
  const TcpService other(TcpService::silent());
  const UnixService other_path(lab_.directory().file("o.sock"), TcpService::silent());
  ControlClient client(agent());
  const std::string pid = "(pid " + std::to_string(getpid()) + ")";
  std::string why = client.open_failure("local", std::to_string(other.port()) + to_echo());
  EXPECT_TRUE(says(why, pid)) << why;
  why = client.open_failure("local", other_path.path() + to_echo());
  EXPECT_TRUE(says(why, pid)) << why;
  EXPECT_TRUE(client.list().empty());
}

TEST_F(ForwardLifetime, AConflictOnTheServerNamesTheForwardThatHasThePortThere) {
  const ReservedPort port;
  const std::string number = std::to_string(port.number());
  ControlClient client(agent());
  const std::string id = client.open("remote", number + to_echo()).at("id");
  const std::string why = client.open_failure("remote", number + ":other:80");
  EXPECT_TRUE(says(why, "on bastion is in use by forward " + id)) << why;
  EXPECT_EQ(echoed(Socket::connect_tcp(port.number()), "hello"), "hello");
}

TEST_F(ForwardLifetime, APortThatIsHereAndThereIsNoConflict) {
  const ReservedPort port;
  ControlClient client(agent());
  client.open("local", "127.0.0.2:" + std::to_string(port.number()) + to_echo());
  client.open("remote", std::to_string(port.number()) + to_echo());
  EXPECT_EQ(client.list().size(), 2u);
}

// --- where it listens

TEST_F(ForwardLifetime, WhatOthersCanReachIsSaid) {
  const ReservedPort loopback, all, path;
  ControlClient client(agent());
  EXPECT_EQ(client.open("local", "0" + to_echo()).at("exposed"), false);
  EXPECT_EQ(client.open("local", "127.0.0.2:0" + to_echo()).at("exposed"), false);
  EXPECT_EQ(client.open("local", "[::1]:0" + to_echo()).at("exposed"), false);
  EXPECT_EQ(client.open("local", lab_.directory().file("l.sock") + to_echo()).at("exposed"), false);
  EXPECT_EQ(client.open("local", "*:0" + to_echo()).at("exposed"), true);
  EXPECT_EQ(client.open("local", "0.0.0.0:0" + to_echo()).at("exposed"), true);
  EXPECT_EQ(client.open("dynamic", "*:0").at("exposed"), true);
  EXPECT_EQ(client.open("remote", "*:0" + to_echo()).at("exposed"), true);
  EXPECT_EQ(client.open("remote", "0" + to_echo()).at("exposed"), false);
}

TEST_F(ForwardLifetime, ABindAddressIsTheOnlyOneThatAnswers) {
  const ReservedPort port;
  ControlClient client(agent());
  const json made = client.open("local", "127.0.0.2:" + std::to_string(port.number()) + to_echo());
  EXPECT_EQ(made.value("listen", ""), "127.0.0.2:" + std::to_string(port.number()));
  EXPECT_FALSE(Socket::connect_tcp(port.number())) << "that is 127.0.0.1";
}

TEST_F(ForwardLifetime, ARangeInTheConfigIsAForwardForEachPort) {
  std::vector<TcpService> unused;
  ReservedPort first;
  const int base = first.number();
  const std::string spec = std::to_string(base) + "-" + std::to_string(base + 2) +
                           ":127.0.0.1:" + std::to_string(base + 100) + "-" + std::to_string(base + 102);
  const std::string config =
      lab_.directory().write("agent.toml", "[[forward]]\nspec = \"" + spec + "\"\nvia = \"bastion\"\n");
  lab_.cold_agent().run({"-c", config});
  const json list = agent().status().at("forwards");
  ASSERT_EQ(list.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    const std::string listen = std::to_string(base + i),
                      target = "127.0.0.1:" + std::to_string(base + 100 + i);
    EXPECT_EQ(list[static_cast<std::size_t>(i)].at("target"), target);
    EXPECT_TRUE(says(list[static_cast<std::size_t>(i)].at("spec"), listen + ":")) << list;
  }
}

TEST_F(ForwardLifetime, AForwardIsClosedByItsIdItsNameOrItsSpec) {
  const ReservedPort port;
  ControlClient client(agent());
  const std::string spec = std::to_string(port.number()) + to_echo();
  client.close(client.open("local", spec).at("id"));
  client.open("local", spec, {{"name", "web"}});
  client.close("web");
  client.open("local", spec);
  client.close("localhost:" + spec);
  EXPECT_TRUE(client.list().empty());
  EXPECT_TRUE(says(client.failure("forward.close", {{"forward", "web"}}), "there is no forward 'web'"));
}

}  // namespace
}  // namespace jump::test
