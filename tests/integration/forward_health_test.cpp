// What a forward says about a target that cannot be had: the server's own words in the status, and a prompt
// end for the client.
#include <gtest/gtest.h>

#include "integration/forward_lab.h"
#include "support/reserved_port.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

class ForwardHealth : public ::testing::Test {
 protected:
  void scene(std::vector<std::string> sshd_config = {}) {
    LabOptions options;
    options.sshd.config = std::move(sshd_config);
    lab_ = std::make_unique<Lab>(options);
    client_ = std::make_unique<ControlClient>(lab_->agent());
  }
  json forward(const json& opened) { return lab_->agent().forward_status(opened.at("id")); }
  void expect_refused(const std::string& target, const std::string& words) {
    const json opened = client_->open("local", "0:" + target);
    std::optional<Socket> socket = Socket::connect_tcp(port_of(opened.at("listen")));
    ASSERT_TRUE(socket);
    EXPECT_TRUE(socket->wait_end(seconds(30))) << "a silent hang";
    EXPECT_TRUE(eventually([&] { return forward(opened).at("state") == "degraded"; })) << forward(opened);
    EXPECT_TRUE(says(forward(opened).at("error"), words)) << forward(opened);
    EXPECT_EQ(forward(opened).at("refused"), 1);
  }

  std::unique_ptr<Lab> lab_;
  std::unique_ptr<ControlClient> client_;
};

TEST_F(ForwardHealth, ARefusalIsToldInTheServersWords) {
  scene();
  const ReservedPort nobody;
  expect_refused("127.0.0.1:" + std::to_string(nobody.number()), "Connection refused");
  expect_refused("no-such-name.invalid:80", "no-such-name.invalid:80");
  expect_refused(lab_->directory().file("no.sock"), "no.sock");
}

TEST_F(ForwardHealth, WhatIsForbiddenIsToldAsThat) {
  TcpService echo(TcpService::echo());
  for (const char* line : {"PermitOpen none", "AllowTcpForwarding no"}) {
    scene({line});
    expect_refused("127.0.0.1:" + std::to_string(echo.port()), "the server forbids it");
  }
}

TEST_F(ForwardHealth, OneThatIsReachedAgainIsActiveAgain) {
  scene();
  const ReservedPort port;
  const json opened = client_->open("local", "0:127.0.0.1:" + std::to_string(port.number()));
  const std::uint16_t listen = port_of(opened.at("listen"));
  EXPECT_TRUE(Socket::connect_tcp(listen)->wait_end(seconds(30)));
  ASSERT_TRUE(eventually([&] { return forward(opened).at("state") == "degraded"; }));
  const json service = client_->open(
      "local", std::to_string(port.number()) + ":127.0.0.1:" + std::to_string(lab_->sshd().port()));
  EXPECT_TRUE(eventually([&] {
    std::optional<Socket> socket = Socket::connect_tcp(listen);
    return socket && socket->receive_line(seconds(30)).has_value();
  }));
  EXPECT_EQ(forward(opened).at("state"), "active");
}

TEST_F(ForwardHealth, SparesWhoseTargetRefusesShowBeforeAnybodyConnectsAndHeal) {
  scene();
  const ReservedPort port;
  const json opened =
      client_->open("local", "0:127.0.0.1:" + std::to_string(port.number()), {{"prewarm", 2}});
  EXPECT_TRUE(eventually([&] { return forward(opened).at("state") == "degraded"; })) << forward(opened);
  EXPECT_TRUE(says(forward(opened).at("error"), "Connection refused")) << forward(opened);
  client_->open("local", std::to_string(port.number()) + ":127.0.0.1:" + std::to_string(lab_->sshd().port()));
  EXPECT_TRUE(eventually([&] { return forward(opened).at("state") == "active"; }, seconds(20)))
      << forward(opened);
  EXPECT_EQ(forward(opened).at("connections_total"), 0);
}

}  // namespace
}  // namespace jump::test
