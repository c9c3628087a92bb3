// How the agent ends: what moves may finish, what stands still does not hold it, and a hurry is respected.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/pattern.h"
#include "support/proc_info.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

constexpr Duration kSoon = seconds(30);  // on a busy machine; the agent needs 50 ms

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string agent_state(AgentProcess& agent) { return agent.status().at("agent").at("state"); }

// Sends the pattern piece by piece for as long as it is told to, and then asks for the sum.
class Upload {
 public:
  explicit Upload(std::uint16_t port) : socket_(Socket::connect_tcp(port)), pattern_(7) {
    thread_ = std::thread([this] { send(); });
  }
  ~Upload() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  // True when what arrived there is what was sent.
  bool finish() {
    stop_ = true;
    thread_.join();
    if (!whole_) return false;
    socket_->shutdown_write();
    return socket_->receive_all().text() == hash_.hex();
  }

 private:
  void send() {
    Bytes piece(8192);
    while (!stop_) {
      pattern_.fill(piece);
      hash_.update(piece);
      if (!socket_ || !socket_->send_all(ByteView(piece))) {
        whole_ = false;
        return;
      }
      std::this_thread::sleep_for(milliseconds(5));  // the pace of it, not a wait for anything
    }
  }

  std::optional<Socket> socket_;
  Pattern pattern_;
  Sha256 hash_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> whole_{true};
  std::thread thread_;
};

TEST(End, WhatMovesMayFinishWhileNothingNewIsTaken) {
  Lab lab;
  TcpService sink(TcpService::hash_sink());
  AgentProcess& agent = lab.agent();
  const std::uint16_t port = agent.forward_port(Lab::kBastion, sink.port());
  Upload upload(port);
  ASSERT_TRUE(eventually([&] { return agent.forward_status("f1").at("bytes_out").get<int>() > 0; }));

  Process down({agent_program(), "down", "--drain", "60"}, agent.environment());
  ASSERT_TRUE(eventually([&] { return agent_state(agent) == "ending"; }));
  EXPECT_FALSE(Socket::connect_tcp(port).has_value());
  const nlohmann::json forward = agent.forward_status("f1");
  EXPECT_EQ(forward.at("state"), "ending");
  EXPECT_EQ(port_of(forward.at("listen")), port);  // where it was
  EXPECT_EQ(forward.at("connections").get<int>(), 1);
  EXPECT_GT(agent.status().at("agent").at("drain_left").get<double>(), 1.0);
  const ProcessResult refused = agent.ctl({"forward", "--via", Lab::kBastion, "0:127.0.0.1:9"});
  EXPECT_EQ(refused.exit_status, 1);
  EXPECT_TRUE(contains(refused.err, "ending")) << refused.err;

  EXPECT_TRUE(down.running());
  EXPECT_TRUE(upload.finish());
  EXPECT_EQ(down.wait(kSoon), 0);
  EXPECT_TRUE(contains(down.err(), "1 connection is open")) << down.err();
}

TEST(End, AConnectionThatStandsStillHoldsNobody) {
  Lab lab;
  TcpService echo(TcpService::echo());
  AgentProcess& agent = lab.agent();
  std::optional<Socket> idle = Socket::connect_tcp(agent.forward_port(Lab::kBastion, echo.port()));
  ASSERT_TRUE(idle && idle->send_all(std::string_view("x")));
  ASSERT_EQ(idle->receive_exactly(1).text(), "x");
  Stopwatch watch;
  EXPECT_TRUE(agent.jumpagent({"down", "--drain", "60"}).ok());
  EXPECT_LT(watch.elapsed(), kSoon);
  EXPECT_TRUE(idle->receive_all(kSoon).ended());
}

TEST(End, ATransferWithoutEndIsCutAtTheDeadlineAndSeenAsCut) {
  Lab lab;
  TcpService endless(TcpService::endless_source());
  AgentProcess& agent = lab.agent();
  std::optional<Socket> reader = Socket::connect_tcp(agent.forward_port(Lab::kBastion, endless.port()));
  ASSERT_TRUE(reader.has_value());
  StreamEnd end = StreamEnd::kOpen;
  std::thread reading([&] {
    Bytes buffer(65536);
    std::size_t count = 0;
    while (end == StreamEnd::kOpen) end = reader->receive_some(buffer, &count);
  });
  Stopwatch watch;
  EXPECT_TRUE(agent.jumpagent({"down", "--drain", "1.5"}).ok());
  EXPECT_GE(watch.elapsed(), milliseconds(1400));
  EXPECT_LT(watch.elapsed(), kSoon);
  reading.join();
  EXPECT_EQ(end, StreamEnd::kReset);
}

TEST(End, NowMeansNow) {
  Lab lab;
  TcpService sink(TcpService::hash_sink());
  AgentProcess& agent = lab.cold_agent();
  agent.run({"--drain", "60"});
  Upload upload(agent.forward_port(Lab::kBastion, sink.port()));
  ASSERT_TRUE(eventually([&] { return agent.forward_status("f1").at("bytes_out").get<int>() > 0; }));
  Stopwatch watch;
  EXPECT_TRUE(agent.jumpagent({"down", "--now"}).ok());
  EXPECT_LT(watch.elapsed(), kSoon);
}

TEST(End, ASecondSignalIsAHurry) {
  Lab lab;
  TcpService sink(TcpService::hash_sink());
  AgentProcess& agent = lab.cold_agent();
  agent.run({"--drain", "60"});
  Upload upload(agent.forward_port(Lab::kBastion, sink.port()));
  ASSERT_TRUE(eventually([&] { return agent.forward_status("f1").at("bytes_out").get<int>() > 0; }));
  const pid_t pid = agent.pid();
  ASSERT_EQ(::kill(pid, SIGTERM), 0);
  ASSERT_TRUE(eventually([&] { return agent_state(agent) == "ending"; }));
  ASSERT_EQ(::kill(pid, SIGTERM), 0);
  EXPECT_TRUE(eventually([&] { return !process_alive(pid); }, kSoon));
}

TEST(End, DownDuringAnEndShortensIt) {
  Lab lab;
  TcpService sink(TcpService::hash_sink());
  AgentProcess& agent = lab.cold_agent();
  agent.run({"--drain", "60"});
  Upload upload(agent.forward_port(Lab::kBastion, sink.port()));
  ASSERT_TRUE(eventually([&] { return agent.forward_status("f1").at("bytes_out").get<int>() > 0; }));
  ASSERT_EQ(::kill(agent.pid(), SIGTERM), 0);
  ASSERT_TRUE(eventually([&] { return agent_state(agent) == "ending"; }));
  EXPECT_TRUE(agent.jumpagent({"down", "--now"}).ok());
}

TEST(End, TheConfigFileSaysHowLong) {
  Lab lab;
  TcpService endless(TcpService::endless_source());
  AgentProcess& agent = lab.cold_agent();
  agent.run({"-c", lab.directory().write("config.toml", "[timeouts]\ndrain = \"0s\"\n")});
  std::optional<Socket> reader = Socket::connect_tcp(agent.forward_port(Lab::kBastion, endless.port()));
  ASSERT_TRUE(reader.has_value());
  const nlohmann::json answer = nlohmann::json::parse(agent.jumpagent({"--json", "down"}).out);
  EXPECT_EQ(answer.at("drain").get<double>(), 0.0);
  EXPECT_EQ(answer.at("connections").get<int>(), 1);
}

}  // namespace
}  // namespace jump::test
