// A forward that is closed, in whatever state it and its connections are, takes everything along: no
// descriptor, no channel, nobody left waiting.
#include <gtest/gtest.h>

#include <list>

#include "integration/forward_lab.h"
#include "support/black_hole.h"
#include "support/proc_info.h"
#include "support/reserved_port.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

class ForwardEnd : public ::testing::Test {
 protected:
  void SetUp() override {
    client_ = std::make_unique<ControlClient>(lab_.agent());
    // What there is with a host that is connected and no forward.
    client_->close(client_->open("local", "0" + to_echo()).at("id"));
    ASSERT_TRUE(eventually([&] { return host().value("channels", 1) == 0; }));
    agent_ = lab_.agent().pid();
    before_ = open_descriptors(agent_);
  }
  std::string to_echo() const { return ":127.0.0.1:" + std::to_string(echo_.port()); }
  json host() { return lab_.agent().host_status(Lab::kBastion); }
  void expect_nothing_left() {
    const auto clean = [&] {
      const json status = host();
      return status.value("channels", 1) + status.value("channels_opening", 1) + status.value("waiting", 1) +
                 status.value("channels_closing", 1) ==
             0;
    };
    EXPECT_TRUE(eventually(clean, seconds(30))) << host();
    // A client of this test's may come and go at the same time.
    EXPECT_TRUE(eventually([&] { return open_descriptors(agent_) <= before_; }))
        << before_ << " -> " << open_descriptors(agent_);
  }
  // `count` clients of a new forward, each brought where `enter` brings it; then the forward is closed.
  template <class Enter>
  void close_with_clients(const std::string& kind, const std::string& spec, int count, Enter enter) {
    const json forward = client_->open(kind, spec);
    std::list<Socket> sockets;
    for (int i = 0; i < count; ++i) {
      std::optional<Socket> socket = Socket::connect_tcp(port_of(forward.at("listen")));
      ASSERT_TRUE(socket) << forward;
      sockets.push_back(std::move(*socket));
      enter(sockets.back());
    }
    ASSERT_TRUE(eventually([&] {
      return lab_.agent().forward_status(forward.at("id")).value("connections", 0) == count;
    })) << lab_.agent().forward_status(forward.at("id"));
    client_->close(forward.at("id"));
    for (Socket& socket : sockets) EXPECT_TRUE(socket.wait_end(seconds(30)));
    EXPECT_EQ(host().value("channels", 9) + host().value("channels_opening", 9), 0) << host();
  }
  template <class Enter>
  void close_with_clients_leaving_nothing(const std::string& kind, const std::string& spec, int count,
                                          Enter enter) {
    close_with_clients(kind, spec, count, enter);
    expect_nothing_left();
  }

  Lab lab_;
  TcpService echo_{TcpService::echo()};
  std::unique_ptr<ControlClient> client_;
  pid_t agent_ = 0;
  std::size_t before_ = 0;
};

TEST_F(ForwardEnd, WithConnectionsThatAreCarried) {
  const auto talk = [](Socket& socket) {
    ASSERT_TRUE(socket.send_all(std::string_view("hello")));
    ASSERT_EQ(socket.receive_exactly(5).text(), "hello");
  };
  close_with_clients_leaving_nothing("local", "0" + to_echo(), 20, talk);
  close_with_clients_leaving_nothing("remote", "0" + to_echo(), 20, talk);
  const auto proxied = [&](Socket& socket) {
    ASSERT_EQ(socks5_connect(socket, "127.0.0.1", echo_.port()), 0);
    talk(socket);
  };
  close_with_clients_leaving_nothing("dynamic", "0", 20, proxied);
  close_with_clients_leaving_nothing("remote", "0", 20, proxied);
}

TEST_F(ForwardEnd, InTheMiddleOfTransfersBothWays) {
  TcpService endless(TcpService::endless_source());
  const std::string target = ":127.0.0.1:" + std::to_string(endless.port());
  const auto begin = [](Socket& socket) { ASSERT_EQ(socket.receive_exactly(100000).bytes.size(), 100000u); };
  close_with_clients_leaving_nothing("local", "0" + target, 4, begin);
  close_with_clients_leaving_nothing("remote", "0" + target, 4, begin);
  const auto push = [](Socket& socket) { EXPECT_GT(socket.send_until_stuck(milliseconds(200)), 0u); };
  EXPECT_TRUE(eventually([&] { return endless.open() == 0; }));
  // What the server has taken it still wants to pass on: the channels' numbers wait for that.
  auto deaf = std::make_unique<TcpService>(TcpService::silent());
  close_with_clients("local", "0:127.0.0.1:" + std::to_string(deaf->port()), 2, push);
  deaf.reset();
  expect_nothing_left();
}

TEST_F(ForwardEnd, InTheMiddleOfTheHandshake) {
  close_with_clients_leaving_nothing("dynamic", "0", 5, [](Socket&) {});
  for (const std::string kind : {"dynamic", "remote"}) {
    close_with_clients_leaving_nothing(kind, "0", 5, [](Socket& socket) {
      ASSERT_TRUE(socket.send_all(Bytes({5, 1, 0})));
      ASSERT_EQ(socket.receive_exactly(2).bytes.size(), 2u);
    });
    close_with_clients_leaving_nothing(kind, "0", 5, [](Socket& socket) {
      ASSERT_TRUE(socket.send_all(std::string_view("CONNECT svc:80 HT")));
    });
  }
}

TEST_F(ForwardEnd, WhileTheTargetsAnswerIsAwaited) {
  // The server goes on waiting for the target; so do the channels' numbers, and nothing else.
  auto hole = std::make_unique<BlackHole>();
  const std::string target = ":127.0.0.1:" + std::to_string(hole->port());
  close_with_clients("local", "0" + target, 3, [](Socket&) {});
  int asked = 0;
  close_with_clients("dynamic", "0", 3, [&](Socket& socket) {
    ASSERT_TRUE(socket.send_all(socks5_request("127.0.0.1", hole->port())));
    ++asked;
    ASSERT_TRUE(eventually([&] { return host().value("channels_opening", 0) == asked; })) << host();
  });
  close_with_clients("remote", "0" + target, 3, [](Socket&) {});
  EXPECT_EQ(host().at("channels_closing"), 6) << host();
  hole.reset();
  expect_nothing_left();
}

TEST_F(ForwardEnd, WhileItsHostIsAwaited) {
  const json local = client_->open("local", "0" + to_echo());
  const json dynamic = client_->open("dynamic", "0");
  lab_.sshd().kill_all();
  ASSERT_TRUE(eventually([&] { return host().value("state", "") != "ready"; }));
  std::list<Socket> sockets;
  for (int i = 0; i < 5; ++i) {
    sockets.push_back(*Socket::connect_tcp(port_of(local.at("listen"))));
    sockets.push_back(*Socket::connect_tcp(port_of(dynamic.at("listen"))));
    ASSERT_TRUE(sockets.back().send_all(socks5_request("127.0.0.1", echo_.port())));
  }
  ASSERT_TRUE(eventually([&] { return host().value("waiting", 0) == 10; })) << host();
  client_->close(local.at("id"));
  client_->close(dynamic.at("id"));
  for (Socket& socket : sockets) EXPECT_TRUE(socket.wait_end(seconds(30)));
  EXPECT_TRUE(eventually([&] { return host().value("waiting", 1) == 0; }));
  sockets.clear();
  lab_.sshd().start();
  ASSERT_TRUE(lab_.agent().ctl({"connect", Lab::kBastion}).ok());
  expect_nothing_left();
}

// Who waits for a forward that another client closes is told so.
TEST_F(ForwardEnd, WhileItIsBeingOpened) {
  const ReservedPort port;
  lab_.sshd().kill_all();
  ASSERT_TRUE(eventually([&] { return host().value("state", "") != "ready"; }));
  const json config = client_->open_params("dynamic", std::to_string(port.number()), {{"timeout", 2.0}});
  ControlClient opener(lab_.agent());
  opener.send("forward.open", config);
  const json answer = opener.receive(seconds(20));
  EXPECT_TRUE(answer.contains("error")) << answer;
  EXPECT_TRUE(client_->list().empty());
}

TEST_F(ForwardEnd, WithItsHost) {
  const json local = client_->open("local", "0" + to_echo());
  const json remote = client_->open("remote", "0" + to_echo());
  std::list<Socket> sockets;
  for (const json& forward : {local, remote}) {
    sockets.push_back(*Socket::connect_tcp(port_of(forward.at("listen"))));
    ASSERT_TRUE(sockets.back().send_all(std::string_view("x")));
    ASSERT_EQ(sockets.back().receive_exactly(1).text(), "x");
  }
  lab_.sshd().kill_all();
  for (Socket& socket : sockets) EXPECT_TRUE(socket.wait_end(seconds(30)));
  EXPECT_TRUE(eventually([&] {
    return lab_.agent().forward_status(local.at("id")).at("connections") == 0 &&
           lab_.agent().forward_status(remote.at("id")).at("connections") == 0;
  }));
  client_->close(local.at("id"));
  client_->close(remote.at("id"));
  lab_.sshd().start();
  sockets.clear();
  ASSERT_TRUE(lab_.agent().ctl({"connect", Lab::kBastion}).ok());
  expect_nothing_left();
}

}  // namespace
}  // namespace jump::test
