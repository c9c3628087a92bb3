// Remote forwards as wishes: back after every kind of loss, explained where the server says no, and waiting
// where the user wants the host away.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "integration/forward_lab.h"
#include "support/proc_info.h"
#include "support/reserved_port.h"
#include "support/tcp_service.h"
#include "support/unix_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

class RemoteForwardTest : public ::testing::Test {
 protected:
  void scene(std::vector<std::string> sshd_config = {}) {
    LabOptions options;
    options.sshd.config = std::move(sshd_config);
    lab_ = std::make_unique<Lab>(options);
    client_ = std::make_unique<ControlClient>(lab_->agent());
  }
  std::string to_echo() const { return ":127.0.0.1:" + std::to_string(echo_.port()); }
  std::string spec(const ReservedPort& port) const { return std::to_string(port.number()) + to_echo(); }
  json forward(const std::string& id) { return lab_->agent().forward_status(id); }
  bool reaches(std::uint16_t port) { return echoed(Socket::connect_tcp(port), "hello") == "hello"; }
  bool reaches(const std::string& path) { return echoed(Socket::connect_unix(path), "hello") == "hello"; }
  // The processes that serve our connection, not the one that listens for new ones.
  void kill_session() {
    const std::vector<pid_t> all = process_descendants(lab_->sshd().listener_pid());
    ASSERT_FALSE(all.empty());
    for (pid_t pid : all) ::kill(pid, SIGKILL);
  }
  bool in_state(const std::string& id, const std::string& state, Duration within = seconds(10)) {
    return eventually([&] { return forward(id).value("state", "") == state; }, within);
  }

  TcpService echo_{TcpService::echo()};
  std::unique_ptr<Lab> lab_;
  std::unique_ptr<ControlClient> client_;
};

TEST_F(RemoteForwardTest, ItIsThereAgainAfterTheServersProcessWasKilled) {
  scene();
  const ReservedPort port;
  const std::string id = client_->open("remote", spec(port)).at("id");
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(reaches(port.number())) << round;
    kill_session();
    ASSERT_TRUE(eventually([&] { return lab_->agent().host_status(Lab::kBastion).at("logins") == round + 2; },
                           seconds(20)));
    EXPECT_TRUE(eventually([&] { return reaches(port.number()); }, seconds(10))) << forward(id);
  }
  EXPECT_EQ(forward(id).at("state"), "active");
}

TEST_F(RemoteForwardTest, ItIsThereAgainAfterTheServerWasDownForAWhile) {
  scene();
  const ReservedPort port;
  const std::string id = client_->open("remote", spec(port)).at("id");
  lab_->sshd().kill_all();
  EXPECT_TRUE(in_state(id, "waiting"));
  EXPECT_TRUE(eventually([&] { return forward(id).value("error", "") != ""; }));
  lab_->sshd().start();
  EXPECT_TRUE(eventually([&] { return reaches(port.number()); }, seconds(20))) << forward(id);
  EXPECT_EQ(forward(id).at("state"), "active");
}

TEST_F(RemoteForwardTest, APortThatTheServerChoseIsTheSameAfterABreak) {
  scene();
  const json opened = client_->open("remote", "0" + to_echo());
  const std::uint16_t port = port_of(opened.at("listen"));
  ASSERT_NE(port, 0);
  ASSERT_TRUE(reaches(port));
  kill_session();
  EXPECT_TRUE(eventually([&] { return reaches(port); }, seconds(20))) << forward(opened.at("id"));
  EXPECT_EQ(forward(opened.at("id")).at("listen"), opened.at("listen"));
}

// --- Unix sockets on the server

TEST_F(RemoteForwardTest, AUnixSocketIsThereAgainWhereTheServerUnlinksAStaleOne) {
  scene({"StreamLocalBindUnlink yes"});
  const std::string path = lab_->directory().file("r.sock");
  const std::string id = client_->open("remote", path + to_echo()).at("id");
  ASSERT_TRUE(reaches(path));
  kill_session();
  EXPECT_TRUE(eventually([&] { return reaches(path); }, seconds(20))) << forward(id);
  EXPECT_EQ(forward(id).at("state"), "active");
}

TEST_F(RemoteForwardTest, AStaleUnixSocketOnTheServerIsExplainedAndHealsOnceItIsRemoved) {
  scene({"StreamLocalBindUnlink no"});
  const std::string path = lab_->directory().file("r.sock");
  const std::string id = client_->open("remote", path + to_echo()).at("id");
  ASSERT_TRUE(reaches(path));
  kill_session();
  ASSERT_TRUE(in_state(id, "backoff", seconds(20))) << forward(id);
  ASSERT_TRUE(std::filesystem::exists(path)) << "else nothing was in the way";
  EXPECT_TRUE(says(forward(id).at("error"), path)) << forward(id);
  EXPECT_TRUE(says(forward(id).at("error"), "StreamLocalBindUnlink")) << forward(id);
  std::filesystem::remove(path);
  EXPECT_TRUE(eventually([&] { return reaches(path); }, seconds(40))) << forward(id);
  EXPECT_TRUE(in_state(id, "active"));
}

// --- what the server allows

TEST_F(RemoteForwardTest, WithGatewayPortsTheClientSaysWhoMayConnect) {
  scene({"GatewayPorts clientspecified"});
  const ReservedPort all, other;
  EXPECT_EQ(client_->open("remote", "*:" + spec(all)).at("exposed"), true);
  client_->open("remote", "127.0.0.2:" + spec(other));
  EXPECT_TRUE(reaches(all.number()));
  EXPECT_FALSE(Socket::connect_tcp(other.number())) << "that is 127.0.0.1";
  const auto listens = [](std::uint16_t port) {
    return run_process({"ss", "-Htln", "sport", "=", ":" + std::to_string(port)}, seconds(5)).out;
  };
  EXPECT_TRUE(says(listens(all.number()), "0.0.0.0:")) << listens(all.number());
  EXPECT_TRUE(says(listens(other.number()), "127.0.0.2:")) << listens(other.number());
}

TEST_F(RemoteForwardTest, AServerThatForwardsNothingIsAClearErrorAndLeavesNoForward) {
  scene({"AllowTcpForwarding no", "AllowStreamLocalForwarding no"});
  const ReservedPort port;
  std::string why = client_->open_failure("remote", spec(port));
  EXPECT_TRUE(says(why, std::to_string(port.number()))) << why;
  EXPECT_TRUE(says(why, "AllowTcpForwarding")) << why;
  const std::string path = lab_->directory().file("r.sock");
  why = client_->open_failure("remote", path + to_echo());
  EXPECT_TRUE(says(why, path)) << why;
  EXPECT_TRUE(says(why, "AllowStreamLocalForwarding")) << why;
  EXPECT_TRUE(client_->list().empty());
  EXPECT_EQ(lab_->agent().host_status(Lab::kBastion).at("state"), "ready") << "the connection is unharmed";
}

TEST_F(RemoteForwardTest, APortThatIsNotPermittedIsRefusedAndAnotherIsGranted) {
  const ReservedPort allowed, denied;
  scene({"PermitListen localhost:" + std::to_string(allowed.number())});
  const std::string why = client_->open_failure("remote", spec(denied));
  EXPECT_TRUE(says(why, "PermitListen")) << why;
  client_->open("remote", spec(allowed));
  EXPECT_TRUE(reaches(allowed.number()));
}

// Of "localhost" one address family is enough for sshd.
TEST_F(RemoteForwardTest, APortThatSomebodyHasOnTheServerIsRefused) {
  scene({"AddressFamily inet"});
  const TcpService other(TcpService::silent());
  const std::string why = client_->open_failure("remote", std::to_string(other.port()) + to_echo());
  EXPECT_TRUE(says(why, std::to_string(other.port()))) << why;
  EXPECT_TRUE(client_->list().empty());
}

// The config's is there anyway: it is asked for again.
TEST_F(RemoteForwardTest, AConfiguredOneWhosePortIsTakenOnTheServerOpensOnceItIsFree) {
  auto other = std::make_unique<TcpService>(TcpService::silent());
  const std::uint16_t port = other->port();
  LabOptions options;
  options.sshd.config = {"AddressFamily inet"};
  lab_ = std::make_unique<Lab>(options);
  const std::string config = lab_->directory().write(
      "agent.toml", "[[forward]]\nkind = \"remote\"\nspec = \"" + std::to_string(port) + to_echo() +
                        "\"\nvia = \"bastion\"\nname = \"back\"\n");
  lab_->cold_agent().run({"-c", config});
  const auto status = [&] { return lab_->agent().status().at("forwards").at(0); };
  EXPECT_TRUE(eventually([&] { return status().at("state") == "backoff"; })) << status();
  EXPECT_NE(status().at("error"), "");
  other.reset();
  EXPECT_TRUE(eventually([&] { return reaches(port); }, seconds(40))) << status();
}

// --- the target here

TEST_F(RemoteForwardTest, ATargetThatRefusesIsToldToTheServerAndInTheStatus) {
  scene();
  const ReservedPort port, nobody;
  const json opened = client_->open(
      "remote", std::to_string(port.number()) + ":127.0.0.1:" + std::to_string(nobody.number()));
  std::optional<Socket> socket = Socket::connect_tcp(port.number());
  ASSERT_TRUE(socket);
  EXPECT_TRUE(socket->wait_end(seconds(5)));
  EXPECT_TRUE(in_state(opened.at("id"), "degraded"));
  const json status = forward(opened.at("id"));
  EXPECT_TRUE(says(status.at("error"), "refused")) << status;
  EXPECT_TRUE(says(status.at("error"), std::to_string(nobody.number()))) << status;
  EXPECT_EQ(status.at("refused"), 1);
}

TEST_F(RemoteForwardTest, AClientOfADynamicOneIsToldThatItsTargetRefuses) {
  scene();
  const ReservedPort nobody;
  const json opened = client_->open("remote", "0");
  EXPECT_EQ(opened.at("kind"), "remote-dynamic");
  std::optional<Socket> socket = Socket::connect_tcp(port_of(opened.at("listen")));
  ASSERT_TRUE(socket);
  EXPECT_EQ(socks5_connect(*socket, "127.0.0.1", nobody.number()), 5) << "connection refused";
  EXPECT_TRUE(socket->wait_end(seconds(5)));
  const json status = forward(opened.at("id"));
  EXPECT_EQ(status.at("state"), "degraded");
  ASSERT_EQ(status.at("targets").size(), 1u);
  EXPECT_EQ(status.at("targets")[0].at("target"), "127.0.0.1:" + std::to_string(nobody.number()));
}

// --- the user's own wish

TEST_F(RemoteForwardTest, DisconnectLeavesItWaitingAndConnectBringsItBackAtOnce) {
  scene();
  const ReservedPort port, chosen;
  const std::string id = client_->open("remote", spec(port)).at("id");
  ASSERT_TRUE(lab_->agent().ctl({"disconnect", Lab::kBastion}).ok());
  EXPECT_TRUE(in_state(id, "waiting"));
  EXPECT_TRUE(
      always([&] { return lab_->agent().host_status(Lab::kBastion).at("state") == "idle"; }, seconds(3)))
      << "it logged in against the user's will";
  EXPECT_FALSE(Socket::connect_tcp(port.number()));
  ASSERT_TRUE(lab_->agent().ctl({"connect", Lab::kBastion}).ok());
  EXPECT_TRUE(eventually([&] { return reaches(port.number()); }, seconds(15))) << forward(id);
}

TEST_F(RemoteForwardTest, OpeningItAgainAfterDisconnectConnects) {
  scene();
  const ReservedPort port;
  const std::string id = client_->open("remote", spec(port)).at("id");
  ASSERT_TRUE(lab_->agent().ctl({"disconnect", Lab::kBastion}).ok());
  ASSERT_TRUE(in_state(id, "waiting"));
  EXPECT_EQ(client_->open("remote", spec(port)).at("id"), id);
  EXPECT_TRUE(reaches(port.number()));
}

TEST_F(RemoteForwardTest, AClosedOneFreesItsPortForTheNext) {
  scene();
  const ReservedPort port;
  for (int round = 0; round < 5; ++round) {
    const std::string id = client_->open("remote", spec(port)).at("id");
    EXPECT_TRUE(reaches(port.number())) << round;
    client_->close(id);
  }
}

TEST_F(RemoteForwardTest, ManyOnOneConnectionEachLeadToTheirOwn) {
  scene();
  std::vector<std::unique_ptr<TcpService>> services;
  // Not 0: sshd is content with a port that is free in one address family only, and this machine's ephemeral
  // ports are the services'.
  std::vector<ReservedPort> ports(30);
  for (std::size_t i = 0; i < ports.size(); ++i) {
    services.push_back(
        std::make_unique<TcpService>(TcpService::say(to_bytes(as_bytes(std::to_string(i))), true)));
    client_->open("remote", std::to_string(ports[i].number()) + ":127.0.0.1:" +
                                std::to_string(services.back()->port()));
  }
  for (std::size_t i = 0; i < ports.size(); ++i) {
    std::optional<Socket> socket = Socket::connect_tcp(ports[i].number());
    ASSERT_TRUE(socket);
    EXPECT_EQ(socket->receive_all(seconds(10)).text(), std::to_string(i));
  }
}

}  // namespace
}  // namespace jump::test
