// A dynamic forward as its users meet it: curl in every dialect to a service that only the bastion can reach,
// a browser's burst, and the right refusal, promptly, for whatever cannot be.
#include <gtest/gtest.h>

#include <map>

#include "integration/far_network.h"
#include "integration/forward_lab.h"
#include "support/black_hole.h"
#include "support/reserved_port.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

constexpr Duration kPrompt = seconds(5);

// A dynamic forward over a stock sshd of this machine: for what needs no network of its own.
class SocksTest : public ::testing::Test {
 protected:
  void scene(std::vector<std::string> sshd_config = {}, const std::string& agent_config = {}) {
    LabOptions options;
    options.sshd.config = std::move(sshd_config);
    lab_ = std::make_unique<Lab>(options);
    lab_->cold_agent().run({"-c", lab_->directory().write("agent.toml", agent_config)});
    client_ = std::make_unique<ControlClient>(lab_->agent());
    forward_ = client_->open("dynamic", "0");
  }
  Socket connect() {
    std::optional<Socket> socket = Socket::connect_tcp(port_of(forward_.at("listen")));
    if (!socket) throw std::runtime_error("nobody listens");
    return *std::move(socket);
  }
  json status() { return lab_->agent().forward_status(forward_.at("id")); }
  // The whole answer to an HTTP CONNECT, to the end of the stream.
  std::string http_answer(const std::string& target) {
    Socket socket = connect();
    EXPECT_TRUE(socket.send_all("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n"));
    const Received answer = socket.receive_all(kPrompt);
    EXPECT_EQ(answer.end, StreamEnd::kEof) << "the refusal ends in order, and soon";
    return std::string(answer.text());
  }
  // SOCKS4 (by address 127.0.0.1), the code of the answer; 90 is success.
  int socks4_code(std::uint16_t port) {
    Socket socket = connect();
    Bytes request = {
        4, 1, static_cast<std::uint8_t>(port >> 8), static_cast<std::uint8_t>(port & 0xff), 127, 0, 0, 1, 0};
    EXPECT_TRUE(socket.send_all(request));
    const Received answer = socket.receive_exactly(8, kPrompt);
    EXPECT_TRUE(socket.wait_end(kPrompt));
    return answer.bytes.size() == 8 ? answer.bytes[1] : -1;
  }
  int socks5_code(const std::string& name, std::uint16_t port) {
    Socket socket = connect();
    const int code = socks5_connect(socket, name, port, kPrompt);
    EXPECT_TRUE(socket.wait_end(kPrompt)) << "a refused client is let go";
    return code;
  }
  // The entry of the target in the status; null when there is none.
  json target(const std::string& name) {
    const json now = status();
    for (const json& each : now.at("targets")) {
      if (each.at("target") == name) return each;
    }
    return nullptr;
  }

  std::unique_ptr<Lab> lab_;
  std::unique_ptr<ControlClient> client_;
  json forward_;
};

// --- refusals

TEST_F(SocksTest, ATargetThatRefusesIsToldInEachProtocolAndInTheStatus) {
  scene();
  const ReservedPort nobody;
  const std::string name = "127.0.0.1:" + std::to_string(nobody.number());
  EXPECT_EQ(socks5_code("127.0.0.1", nobody.number()), 5) << "connection refused";
  EXPECT_EQ(socks4_code(nobody.number()), 91) << "rejected or failed";
  const std::string http = http_answer(name);
  EXPECT_TRUE(http.starts_with("HTTP/1.1 502 ")) << http;
  EXPECT_TRUE(says(http, "Connection refused")) << http;
  EXPECT_EQ(status().at("state"), "degraded");
  EXPECT_EQ(status().at("refused"), 3);
  ASSERT_FALSE(target(name).is_null()) << status();
  EXPECT_EQ(target(name).at("refused"), 3);
  EXPECT_TRUE(says(target(name).at("error"), "Connection refused")) << target(name);
}

TEST_F(SocksTest, ATargetThatIsReachedAgainIsForgotten) {
  scene();
  const ReservedPort nobody;
  TcpService echo(TcpService::echo());
  socks5_code("127.0.0.1", nobody.number());
  Socket socket = connect();
  ASSERT_EQ(socks5_connect(socket, "127.0.0.1", echo.port()), 0);
  EXPECT_EQ(status().at("state"), "active") << "the last one was reached";
  EXPECT_EQ(status().at("targets").size(), 1u);
}

TEST_F(SocksTest, ANameThatTheServerCannotResolveIsHostUnreachable) {
  scene();
  EXPECT_EQ(socks5_code("no-such-name.invalid", 80), 4);
  const std::string http = http_answer("no-such-name.invalid:80");
  EXPECT_TRUE(http.starts_with("HTTP/1.1 502 ")) << http;
  EXPECT_FALSE(target("no-such-name.invalid:80").is_null()) << status();
  EXPECT_NE(target("no-such-name.invalid:80").at("error"), "");
}

TEST_F(SocksTest, WhatTheServerForbidsIsNotAllowedInItsOwnWords) {
  for (const char* line : {"PermitOpen none", "AllowTcpForwarding no"}) {
    scene({line});
    TcpService echo(TcpService::echo());
    EXPECT_EQ(socks5_code("127.0.0.1", echo.port()), 2) << line;
    EXPECT_EQ(socks4_code(echo.port()), 91) << line;
    const std::string name = "127.0.0.1:" + std::to_string(echo.port());
    const std::string http = http_answer(name);
    EXPECT_TRUE(http.starts_with("HTTP/1.1 403 ")) << line << ": " << http;
    EXPECT_TRUE(says(target(name).at("error"), "the server forbids it (open failed)")) << status();
    EXPECT_EQ(echo.accepted(), 0u);
  }
}

TEST_F(SocksTest, WhileTheHostIsAwayTheClientIsToldWithinTheTimeForIt) {
  scene({}, "[timeouts]\nbastion = \"1s\"\n");
  lab_->sshd().kill_all();
  ASSERT_TRUE(eventually([&] { return status().at("state") == "waiting"; }));
  Stopwatch clock;
  const int code = socks5_code("127.0.0.1", 80);
  EXPECT_EQ(code, 6) << "RFC 1928 has no better word for a timeout than \"TTL expired\"";
  EXPECT_TRUE(http_answer("127.0.0.1:80").starts_with("HTTP/1.1 50"));
  EXPECT_LT(clock.elapsed(), 2 * kPrompt);
  EXPECT_TRUE(status().at("targets").empty()) << "it is not the target's fault";
  EXPECT_NE(status().at("error"), "");
}

TEST_F(SocksTest, AClientThatCameWhileTheHostWasAwayIsServedOnceItIsBack) {
  scene({}, "[timeouts]\nbastion = \"60s\"\n");
  TcpService echo(TcpService::echo());
  lab_->sshd().kill_all();
  ASSERT_TRUE(eventually([&] { return status().at("state") == "waiting"; }));
  Socket socket = connect();
  ASSERT_TRUE(socket.send_all(socks5_request("127.0.0.1", echo.port())));
  ASSERT_TRUE(eventually([&] { return status().at("connections") == 1; }));
  lab_->sshd().start();
  const Received reply = socket.receive_exactly(12, seconds(30));
  ASSERT_EQ(reply.bytes.size(), 12u);
  EXPECT_EQ(reply.bytes[3], 0) << "granted";
}

TEST_F(SocksTest, AnAnswerlessTargetIsGivenUpAtTheDeadlineForOpens) {
  scene({}, "[timeouts]\nopen = \"1s\"\n");
  BlackHole hole;
  Socket socket = connect();
  const int code = socks5_connect(socket, "127.0.0.1", hole.port(), seconds(10));
  EXPECT_TRUE(code == 4 || code == 6 || code == 1) << code;
  EXPECT_TRUE(socket.wait_end(kPrompt));
}

// --- clients of every temper

TEST_F(SocksTest, GarbageIsEndedSoonAndCounted) {
  scene();
  int refused = 0;
  for (const std::string& garbage :
       {std::string("\x16\x03\x01\x02 a TLS hello"), std::string("SSH-2.0-x\r\n"), std::string(70000, 'A'),
        std::string("\x05\x00", 2), std::string("GET http://svc/ HTTP/1.1\r\n\r\n")}) {
    Socket socket = connect();
    socket.send_all(std::string_view(garbage));
    EXPECT_TRUE(socket.wait_end(kPrompt)) << garbage.substr(0, 20);
    refused++;
  }
  EXPECT_TRUE(eventually([&] { return status().at("refused") == refused; })) << status();
  EXPECT_TRUE(eventually([&] { return status().at("connections") == 0; })) << status();
}

TEST_F(SocksTest, AClientThatSaysNothingAndGoesIsNoRefusal) {
  scene();
  { Socket silent = connect(); }
  {
    Socket half = connect();
    half.shutdown_write();
    EXPECT_TRUE(half.wait_end(kPrompt));
  }
  {
    Socket reset = connect();
    ASSERT_TRUE(reset.send_all(Bytes({5, 1})));
    reset.reset();
  }
  EXPECT_TRUE(
      eventually([&] { return status().at("connections_total") == 3 && status().at("connections") == 0; }));
  EXPECT_EQ(status().at("refused"), 0) << status();
}

TEST_F(SocksTest, OneThatSaysNothingHoldsUpNobody) {
  scene();
  TcpService echo(TcpService::echo());
  std::list<Socket> silent;
  for (int i = 0; i < 50; ++i) silent.push_back(connect());
  Socket socket = connect();
  EXPECT_EQ(socks5_connect(socket, "127.0.0.1", echo.port()), 0);
}

TEST_F(SocksTest, BytesRightBehindTheRequestReachTheTarget) {
  scene();
  TcpService echo(TcpService::echo());
  Socket socket = connect();
  Bytes request = socks5_request("127.0.0.1", echo.port());
  request.insert(request.end(), {'e', 'a', 'r', 'l', 'y'});
  ASSERT_TRUE(socket.send_all(request));
  EXPECT_EQ(socket.receive_exactly(12 + 5).text().substr(12), "early");
}

// --- curl, and a network of the bastion's own

class SocksFar : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!FarNetwork::possible()) GTEST_SKIP() << "network namespaces are root's";
    far_ = std::make_unique<FarNetwork>();
    far_->start_nginx(30);
    agent_ = std::make_unique<AgentProcess>(far_->ssh_config());
    agent_->run();
    ControlClient client(*agent_);
    forward_ = client.open("dynamic", "0");
    proxy_ = forward_.value("listen", "");
  }
  ProcessResult curl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"curl", "-sS", "--max-time", "20"});
    return run_process(std::move(arguments), seconds(30));
  }
  json status() { return agent_->forward_status(forward_.at("id")); }

  std::unique_ptr<FarNetwork> far_;
  std::unique_ptr<AgentProcess> agent_;
  json forward_;
  std::string proxy_;
};

TEST_F(SocksFar, CurlFetchesInEveryDialectWhatOnlyTheBastionReaches) {
  EXPECT_NE(curl({"--connect-timeout", "2", "http://172.31.9.1/3.txt"}).out, "3\n3\n3\n")
      << "it is reached from here, too";
  const std::string by_name = "http://svc.far/3.txt", by_address = "http://172.31.9.1/3.txt";
  const std::vector<std::vector<std::string>> dialects = {
      {"--socks5-hostname", proxy_, by_name},
      {"--socks5-hostname", proxy_, by_address},
      {"--socks5", proxy_, by_address},
      {"--socks4a", proxy_, by_name},
      {"--socks4", proxy_, by_address},
      {"-x", "http://" + proxy_, "--proxytunnel", by_name},
      {"-x", "http://" + proxy_, "--proxytunnel", by_address}};
  for (const auto& dialect : dialects) {
    const ProcessResult result = curl(dialect);
    EXPECT_EQ(result.out, "3\n3\n3\n") << dialect[0] << " " << dialect.back() << ": " << result.describe();
  }
  EXPECT_EQ(status().at("refused"), 0) << status();
  EXPECT_TRUE(status().at("targets").empty());
}

TEST_F(SocksFar, CurlSaysWhatIsWrongWithATarget) {
  EXPECT_EQ(curl({"--socks5-hostname", proxy_, "http://svc.far:81/"}).exit_status, 97)
      << "proxy handshake error";
  EXPECT_EQ(curl({"--socks5-hostname", proxy_, "http://nowhere.far/"}).exit_status, 97);
  const ProcessResult http = curl({"-x", "http://" + proxy_, "--proxytunnel", "http://gone.far/"});
  EXPECT_EQ(http.exit_status, 56) << http.describe();
  EXPECT_TRUE(says(http.err, "50")) << http.err;
  std::map<std::string, std::string> errors;
  const json now = status();
  for (const json& each : now.at("targets")) errors[each.at("target")] = each.at("error");
  EXPECT_TRUE(says(errors["svc.far:81"], "Connection refused")) << status();
  EXPECT_TRUE(says(errors["nowhere.far:80"], "not known") || says(errors["nowhere.far:80"], "resol"))
      << status();
  EXPECT_NE(errors["gone.far:80"], "") << status();
}

// As a browser does it: thirty things at once, over connections that stay and are used again.
TEST_F(SocksFar, ABurstOfThirtyParallelRequestsOverConnectionsThatStay) {
  std::vector<std::string> arguments = {"curl",
                                        "-sS",
                                        "--max-time",
                                        "30",
                                        "--parallel",
                                        "--parallel-max",
                                        "30",
                                        "--parallel-immediate",
                                        "--socks5-hostname",
                                        proxy_};
  TempDir out;
  const auto file = [&](int round, int i) {
    return out.file(std::to_string(round) + "-" + std::to_string(i));
  };
  for (int round = 0; round < 3; ++round) {
    for (int i = 1; i <= 30; ++i) {
      arguments.insert(arguments.end(),
                       {"-o", file(round, i), "http://svc.far/" + std::to_string(i) + ".txt"});
    }
  }
  const ProcessResult result = run_process(arguments, seconds(60));
  ASSERT_TRUE(result.ok()) << result.describe();
  for (int round = 0; round < 3; ++round) {
    for (int i = 1; i <= 30; ++i) {
      std::string wanted;
      for (int line = 0; line < i; ++line) wanted += std::to_string(i) + "\n";
      EXPECT_EQ(read_file(file(round, i)), wanted) << "request " << i << " of round " << round;
    }
  }
  EXPECT_EQ(status().at("refused"), 0) << status();
  EXPECT_LT(status().at("connections_total").get<int>(), 90) << "connections were used again";
}

}  // namespace
}  // namespace jump::test
