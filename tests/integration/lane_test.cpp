// A second connection to a real sshd: opened when somebody types beside a download, never with --no-lanes.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/pattern.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

constexpr std::uint64_t kSeed = 7;
constexpr Duration kBound = seconds(30);

// A download that is bulk and leaves the machine time for others, until it is told to end; every byte of it
// is hashed on both sides.
class Download {
 public:
  Download(AgentProcess& agent)
      : source_([this](Socket& socket) { send(socket); }),
        port_(agent.forward_port(Lab::kBastion, source_.port())),
        receiver_([this] { receive(); }) {}
  ~Download() { finish(); }

  // True: all that was sent came, and nothing else.
  bool finish() {
    stop_ = true;
    if (receiver_.joinable()) receiver_.join();
    return orderly_ && received_ > 0 && received_ == sent_ && hash_ == pattern_sha256(kSeed, received_);
  }

 private:
  void send(Socket& socket) {
    Pattern pattern(kSeed);
    Bytes block(64 * 1024);
    while (!stop_) {
      pattern.fill(block);
      if (!socket.send_all(block)) return;
      sent_ += block.size();
      std::this_thread::sleep_for(milliseconds(10));
    }
  }
  void receive() {
    auto socket = Socket::connect_tcp(port_);
    if (!socket) return;
    Sha256 hash;
    Bytes buffer(256 * 1024);
    for (;;) {
      std::size_t got = 0;
      StreamEnd end = socket->receive_some(buffer, &got, kBound);
      if (end != StreamEnd::kOpen) {
        orderly_ = end == StreamEnd::kEof;
        break;
      }
      hash.update(ByteView(buffer).first(got));
      received_ += got;
    }
    hash_ = hash.hex();
  }

  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> sent_{0};
  std::uint64_t received_ = 0;
  bool orderly_ = false;
  std::string hash_;
  TcpService source_;
  std::uint16_t port_;
  std::thread receiver_;
};

std::size_t logins(const Sshd& sshd) {
  std::string log = sshd.log();
  std::size_t count = 0;
  for (auto at = log.find("Accepted publickey"); at != std::string::npos;
       at = log.find("Accepted publickey", at + 1))
    count++;
  return count;
}

class Typist {
 public:
  Typist(AgentProcess& agent)
      : socket_(Socket::connect_tcp(agent.forward_port(Lab::kBastion, echo_.port()))) {}
  bool types() {
    return socket_ && socket_->send_all(std::string_view("k")) &&
           socket_->receive_exactly(1, kBound).text() == "k";
  }

 private:
  TcpService echo_{TcpService::echo()};
  std::optional<Socket> socket_;
};

TEST(Lane, ADownloadAndSomebodyWhoTypesGetASecondConnection) {
  Lab lab;
  AgentProcess& agent = lab.agent();
  TcpService sink(TcpService::hash_sink());
  Typist typist(agent);
  ASSERT_TRUE(typist.types());
  const std::size_t processes = lab.sshd().session_processes();
  EXPECT_EQ(agent.host_status(Lab::kBastion).at("lanes"), 0);
  Download download(agent);
  const auto has_lane = [&] { return typist.types() && agent.host_status(Lab::kBastion).at("lanes") == 1; };
  ASSERT_TRUE(eventually(has_lane, kBound)) << agent.status().dump(2) << agent.log();
  EXPECT_TRUE(eventually([&] { return logins(lab.sshd()) == 2; })) << lab.sshd().log();
  EXPECT_TRUE(eventually([&] { return lab.sshd().session_processes() == 2 * processes; }));

  // What is opened now travels on the second one, unharmed.
  constexpr std::size_t kSize = 3'000'000;
  auto upload = Socket::connect_tcp(agent.forward_port(Lab::kBastion, sink.port()));
  ASSERT_TRUE(upload && upload->send_all(pattern_bytes(kSeed + 1, kSize)));
  const auto of_both = [&] { return agent.host_status(Lab::kBastion).at("channels") == 3; };
  EXPECT_TRUE(eventually(of_both)) << "of both together: " << agent.host_status(Lab::kBastion);
  upload->shutdown_write();
  EXPECT_EQ(upload->receive_all(kBound).text(), pattern_sha256(kSeed + 1, kSize));

  EXPECT_TRUE(typist.types());
  EXPECT_TRUE(download.finish());
  const auto host = agent.host_status(Lab::kBastion);
  EXPECT_EQ(host.at("logins"), 1) << host;
  EXPECT_EQ(host.at("lane_logins"), 1) << host;
}

TEST(Lane, WithNoLanesThereIsOneLoginWhateverHappens) {
  Lab lab;
  AgentProcess& agent = lab.cold_agent();
  agent.run({"--no-lanes"});
  Typist typist(agent);
  ASSERT_TRUE(typist.types());
  Download download(agent);
  const auto has_none = [&] { return typist.types() && agent.host_status(Lab::kBastion).at("lanes") == 0; };
  EXPECT_TRUE(always(has_none, seconds(5)));
  EXPECT_EQ(logins(lab.sshd()), 1u);
  EXPECT_TRUE(download.finish());
}

}  // namespace
}  // namespace jump::test
