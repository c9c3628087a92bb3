// A bastion that has a name, and a name server that does not answer any more: on a path that was cut it is
// the first thing to be missing, and its client asks again after five seconds only. The agent runs in a mount
// namespace whose resolv.conf names a server of the test's. Root's.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/network_lock.h"
#include "support/proc_info.h"
#include "support/setup_error.h"
#include "support/socket.h"
#include "support/tcp_service.h"
#include "support/unique_fd.h"

namespace jump::test {
namespace {

// Says of every name that its address is 127.0.0.1 (and that it has no IPv6 one), until it falls silent. DNS
// over UDP, RFC 1035, section 4.
class NameServer {
 public:
  NameServer()
      : address_("127." + std::to_string(getpid() >> 14 & 127) + "." + std::to_string(getpid() >> 7 & 127) +
                 "." + std::to_string(128 + (getpid() & 127))),
        socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(53);
    inet_pton(AF_INET, address_.c_str(), &at.sin_addr);
    if (::bind(socket_.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0)
      setup_error("no name server at " + address_ + ":53");
    thread_ = std::thread([this] { serve(); });
  }
  ~NameServer() {
    over_ = true;
    thread_.join();
  }
  const std::string& address() const { return address_; }
  void fall_silent() { silent_ = true; }
  int unanswered() const { return unanswered_; }

 private:
  void serve() {
    while (!over_) {
      pollfd ready{socket_.get(), POLLIN, 0};
      if (::poll(&ready, 1, 50) != 1) continue;
      std::uint8_t question[512];
      sockaddr_in from{};
      socklen_t length = sizeof(from);
      const ssize_t got = ::recvfrom(socket_.get(), question, sizeof(question), 0,
                                     reinterpret_cast<sockaddr*>(&from), &length);
      if (got < 17) continue;
      if (silent_) {
        ++unanswered_;
        continue;
      }
      std::size_t end = 12;  // of the name that is asked for
      while (end < static_cast<std::size_t>(got) && question[end] != 0) end += question[end] + std::size_t{1};
      end += 5;
      if (end > static_cast<std::size_t>(got)) continue;
      const bool ipv4 = question[end - 3] == 1;
      std::string answer(reinterpret_cast<char*>(question), end);
      answer[2] = '\x81', answer[3] = '\x80';  // a response, recursion was available
      answer[6] = 0, answer[7] = ipv4 ? 1 : 0;
      for (std::size_t i = 8; i < 12; ++i) answer[i] = 0;
      if (ipv4) answer += std::string("\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1", 16);
      ::sendto(socket_.get(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), length);
    }
  }

  const std::string address_;
  const UniqueFd socket_;
  std::atomic<bool> over_{false}, silent_{false};
  std::atomic<int> unanswered_{0};
  std::thread thread_;
};

TEST(Name, AResolverThatDoesNotAnswerHoldsUpNobodyWhoseAddressIsKnown) {
  if (getuid() != 0) GTEST_SKIP() << "mounting is root's";
  NetworkLock network;
  network.be_alone();  // a change of it begins each dial anew, and asks again
  Lab lab;
  NameServer names;
  std::string known = lab.sshd().known_hosts();
  known.replace(0, known.find(' '), "named");
  SshConfigHost host =
      host_for("named", lab.sshd(), user_key(KeyKind::kEd25519), lab.directory().write("known", known));
  host.host_name = "bastion.jump.test";
  host.lines.push_back("HostKeyAlias named");
  const std::string config = lab.directory().write("named_config", ssh_config_text({host}));
  const std::string resolv = lab.directory().write("resolv.conf", "nameserver " + names.address() + "\n");
  AgentProcess& agent = lab.cold_agent();
  Environment environment = agent.environment();
  environment.erase("RES_OPTIONS");  // five seconds to the next try, as everywhere
  Process process(
      {"unshare", "-m", "sh", "-c",
       "mount --bind " + resolv + " /etc/resolv.conf && exec " + agent_program() + " run -F " + config},
      environment);
  if (!eventually([&] { return agent.serving() || !process.running(); }, seconds(20)) || !process.running())
    GTEST_SKIP() << "no mount namespaces here: " << process.err();

  TcpService echo(TcpService::echo());
  const std::uint16_t port = agent.forward_port("named", echo.port());
  const auto serves = [&] {
    auto socket = Socket::connect_tcp(port);
    return socket && socket->send_all(std::string_view("hello")) &&
           socket->receive_exactly(5, seconds(20)).text() == "hello";
  };
  ASSERT_TRUE(serves()) << process.err();
  names.fall_silent();
  // Not the one that listens: each dial asks once.
  for (pid_t pid : process_descendants(lab.sshd().listener_pid())) ::kill(pid, SIGKILL);
  const Stopwatch time;
  EXPECT_TRUE(serves()) << process.err();
  const int asked = names.unanswered();
  EXPECT_GT(asked, 0);
  EXPECT_LE(asked, 2 * (1 + static_cast<int>(to_seconds(time.elapsed()) / 5)))
      << "the resolver would have asked again, after five seconds";
  EXPECT_TRUE(agent.jumpagent({"down"}).ok());
  EXPECT_EQ(process.wait(seconds(20)), 0);
}

}  // namespace
}  // namespace jump::test
