// A restart by a service manager that keeps descriptors (FDSTORE=1): the test is that manager. What the agent
// listened on is there all the time, so whoever connects while there is no agent is served by the next one.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <map>

#include "support/eventually.h"
#include "support/lab.h"
#include "support/reserved_port.h"
#include "support/socket.h"
#include "support/tcp_service.h"
#include "support/unix_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// What systemd does of sd_pid_notify_with_fds(3) and sd_listen_fds(3), in a few lines.
class Keeper {
 public:
  explicit Keeper(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }

  // Reads what has come.
  void listen() {
    pollfd ready{fd_.get(), POLLIN, 0};
    while (::poll(&ready, 1, 0) > 0) take_one();
  }
  // What is kept, by name.
  const std::multimap<std::string, UniqueFd>& kept() {
    listen();
    return kept_;
  }
  bool keeps(const std::string& part) {
    const auto& all = kept();
    return std::any_of(all.begin(), all.end(), [&](const auto& each) { return contains(each.first, part); });
  }
  std::size_t wishes() {
    const auto& all = kept();
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [](const auto& each) { return contains(each.first, "wishes"); }));
  }
  bool ready() {
    listen();
    return contains(said_, "READY=1");
  }
  void forget_words() { said_.clear(); }
  void close_all() { kept_.clear(); }
  // A socket unit's, which is passed to each agent, and which none gives up.
  void add(const std::string& unit, UniqueFd socket) { kept_.emplace(unit, std::move(socket)); }
  void remove(const std::string& unit) { kept_.erase(unit); }

  // The agent, with what is kept. `more` goes into the program's environment.
  std::unique_ptr<Process> start(const std::string& ssh_config, Environment environment,
                                 const std::string& notify) {
    listen();
    said_.clear();
    std::string redirects, names;
    int number = 3;
    std::vector<UniqueFd> copies;
    for (const auto& [name, fd] : kept_) {
      // High, so that no number is both a source and a place.
      copies.emplace_back(::fcntl(fd.get(), F_DUPFD, 100));
      redirects += std::to_string(number++) + "<&" + std::to_string(copies.back().get()) + " " +
                   std::to_string(copies.back().get()) + "<&- ";
      names += (names.empty() ? "" : ":") + name;
    }
    std::string script = "exec " + redirects + "\n";
    if (number > 3)
      script += "export LISTEN_PID=$$ LISTEN_FDS=" + std::to_string(number - 3) + " LISTEN_FDNAMES='" +
                names + "'\n";
    script += "exec " + agent_program() + " run -F " + ssh_config;
    environment["NOTIFY_SOCKET"] = notify;
    auto process = std::make_unique<Process>(std::vector<std::string>{"bash", "-c", script}, environment);
    EXPECT_TRUE(eventually([&] { return ready() || !process->running(); }, seconds(20)));
    EXPECT_TRUE(process->running()) << process->err();
    return process;
  }

 private:
  static std::string field(const std::string& text, const std::string& name) {
    const std::size_t at = text.find(name + "=");
    return at == std::string::npos
               ? ""
               : text.substr(at + name.size() + 1, text.find('\n', at) - at - name.size() - 1);
  }
  void take_one() {
    char text[8192];
    alignas(cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))];
    iovec part{text, sizeof(text)};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t count = ::recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
    if (count < 0) return;
    const std::string said(text, static_cast<std::size_t>(count));
    said_ += said + "\n";
    std::vector<UniqueFd> passed;
    for (cmsghdr* head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
      for (std::size_t i = 0; i < (head->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
        int number;
        std::memcpy(&number, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
        passed.emplace_back(number);
      }
    }
    const std::string name = field(said, "FDNAME");
    if (contains(said, "FDSTORE=1")) {
      // What systemd asks of a name.
      EXPECT_FALSE(name.empty() || name.size() > 255 || contains(name, ":")) << name;
      EXPECT_TRUE(contains(said, "FDPOLL=0"));
      for (UniqueFd& each : passed) kept_.emplace(name, std::move(each));
    }
    if (contains(said, "FDSTOREREMOVE=1")) kept_.erase(name);
  }

  UniqueFd fd_;
  std::multimap<std::string, UniqueFd> kept_;
  std::string said_;
};

bool answers(std::optional<Socket>& socket, std::string_view question = "hello") {
  return socket && socket->send_all(question) && socket->receive_exactly(question.size()).text() == question;
}

class ServiceRestart : public testing::Test {
 protected:
  ServiceRestart() { agent = keeper.start(lab.ssh_config(), jump.environment(), notify); }
  ~ServiceRestart() override {
    if (!agent) return;
    EXPECT_TRUE(jump.jumpagent({"down", "--now"}).ok());
    EXPECT_EQ(agent->wait(seconds(20)), 0) << agent->err();
    EXPECT_TRUE(keeper.kept().empty()) << "nobody is to come back";
    if (HasFailure()) std::cerr << agent->err();
  }

  void end(int signal) {
    agent->signal(signal);
    EXPECT_EQ(agent->wait(seconds(20)), signal == SIGKILL ? 137 : 0) << agent->err();
    keeper.listen();
  }
  void begin() { agent = keeper.start(lab.ssh_config(), jump.environment(), notify); }

  // A forward of each kind that listens here, of clients: nothing of it stands in a file.
  struct Doors {
    std::uint16_t tcp = 0, socks = 0;
    std::string unix_path;
  };
  Doors open_doors() {
    Doors doors;
    const std::string target = ":127.0.0.1:" + std::to_string(echo.port());
    doors.tcp = port_of(jump.open_forward(Lab::kBastion, "0" + target).at("listen"));
    doors.unix_path = lab.directory().file("door.sock");
    jump.open_forward(Lab::kBastion, doors.unix_path + target);
    jump.ctl_json({"socks", "--via", Lab::kBastion, "127.0.0.1:0"});
    doors.socks = port_of(jump.status().at("forwards").at(2).at("listen"));
    EXPECT_TRUE(eventually([&] { return keeper.kept().size() >= 6 && keeper.wishes() == 1; }));
    return doors;
  }

  // Whoever comes while there is no agent.
  void come_and_be_served(const Doors& doors, const std::function<void()>& agent_returns) {
    std::optional<Socket> tcp = Socket::connect_tcp(doors.tcp);
    std::optional<Socket> local = Socket::connect_unix(doors.unix_path);
    std::optional<Socket> proxy = Socket::connect_tcp(doors.socks);
    std::optional<Socket> client = Socket::connect_unix(jump.socket_path());
    ASSERT_TRUE(tcp && local && proxy && client);
    ASSERT_TRUE(client->send_all(std::string_view("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n")));
    agent_returns();
    const std::optional<std::string> line = client->receive_line(seconds(20));
    ASSERT_TRUE(line.has_value());
    EXPECT_EQ(json::parse(*line).at("result").at("agent").at("pid").get<pid_t>(), agent->pid());
    EXPECT_TRUE(answers(tcp));
    EXPECT_TRUE(answers(local));
    const std::string connect = "CONNECT 127.0.0.1:" + std::to_string(echo.port()) + " HTTP/1.1\r\n\r\n";
    ASSERT_TRUE(proxy->send_all(std::string_view(connect)));
    EXPECT_TRUE(contains(proxy->receive_line().value_or(""), " 200 "));
    while (proxy->receive_line().value_or("\r") != "\r") {
    }
    EXPECT_TRUE(answers(proxy));
  }

  Lab lab;
  TcpService echo{TcpService::echo()};
  AgentProcess& jump = lab.cold_agent();
  const std::string notify = lab.directory().file("notify");
  Keeper keeper{notify};
  std::unique_ptr<Process> agent;
};

TEST_F(ServiceRestart, WhoConnectsWhileThereIsNoAgentIsServedByTheNextOne) {
  const Doors doors = open_doors();
  const json before = jump.status().at("forwards");
  end(SIGTERM);
  come_and_be_served(doors, [this] { begin(); });
  const json after = jump.status().at("forwards");
  ASSERT_EQ(after.size(), before.size()) << after;
  for (std::size_t i = 0; i < before.size(); ++i) {
    for (const char* name : {"id", "name", "kind", "spec", "listen", "target", "via", "persist", "origin"})
      EXPECT_EQ(after[i].at(name), before[i].at(name)) << name;
  }
}

TEST_F(ServiceRestart, TheSameAfterACrashAndOnceMore) {
  const Doors doors = open_doors();
  for (int i = 0; i < 2; ++i) {
    end(SIGKILL);
    come_and_be_served(doors, [this] { begin(); });
  }
}

TEST_F(ServiceRestart, WhatIsClosedIsGivenUpAndRefused) {
  const Doors doors = open_doors();
  EXPECT_TRUE(jump.ctl({"close", "f1", "f2"}).ok());
  EXPECT_TRUE(
      eventually([&] { return !keeper.keeps(std::to_string(doors.tcp)) && !keeper.keeps("door.sock"); }));
  EXPECT_FALSE(Socket::connect_tcp(doors.tcp).has_value());
  EXPECT_TRUE(eventually([&] { return keeper.wishes() == 1; }));
  end(SIGTERM);
  begin();
  EXPECT_EQ(jump.status().at("forwards").size(), 1u);
  EXPECT_FALSE(std::filesystem::exists(doors.unix_path));
}

TEST_F(ServiceRestart, APersistentForwardIsNotThereTwiceAndOneThatIsHeldEnds) {
  const std::string target = ":127.0.0.1:" + std::to_string(echo.port());
  jump.ctl_json({"forward", "--via", Lab::kBastion, "--persist", "0" + target});
  const std::string path = lab.directory().file("held.sock");
  Process holder({ctl_program(), "forward", "--via", Lab::kBastion, "--hold", path + target},
                 jump.environment());
  ASSERT_TRUE(eventually([&] { return jump.status().at("forwards").size() == 2; }));
  EXPECT_TRUE(eventually([&] { return keeper.keeps("localhost!") && keeper.wishes() == 1; }));
  EXPECT_FALSE(keeper.keeps("held.sock"));
  const std::uint16_t port = port_of(jump.forward_status("f1").at("listen"));
  end(SIGTERM);
  EXPECT_FALSE(std::filesystem::exists(path));
  std::optional<Socket> early = Socket::connect_tcp(port);
  begin();
  EXPECT_TRUE(answers(early));
  EXPECT_EQ(jump.status().at("forwards").size(), 1u);
  EXPECT_TRUE(jump.status().at("forwards")[0].at("persist").get<bool>());
}

// Its name was removed, and is that of another socket since: the next agent has to have that one.
TEST_F(ServiceRestart, AControlSocketThatWasMadeAnewIsFoundAfterARestart) {
  for (const int signal : {SIGTERM, SIGKILL}) {
    std::filesystem::remove(jump.socket_path());
    ASSERT_TRUE(eventually([&] { return jump.serving(); }, seconds(20))) << agent->err();
    end(signal);
    begin();
    EXPECT_TRUE(jump.serving()) << agent->err();
  }
}

TEST_F(ServiceRestart, AUnitsSocketWhoseNameHasGoneIsNotTheNextOnes) {
  end(SIGTERM);
  keeper.close_all();
  std::filesystem::remove(jump.socket_path());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, jump.socket_path().data(), jump.socket_path().size());
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(socket.get(), 8), 0);
  keeper.add("jumpagent.socket", std::move(socket));
  begin();
  EXPECT_TRUE(jump.serving()) << agent->err();
  std::filesystem::remove(jump.socket_path());
  ASSERT_TRUE(eventually([&] { return jump.serving(); }, seconds(20))) << agent->err();
  for (const int signal : {SIGKILL, SIGTERM}) {
    end(signal);
    begin();
    EXPECT_TRUE(jump.serving()) << agent->err();
  }
  keeper.remove("jumpagent.socket");
}

TEST_F(ServiceRestart, WhatIsNoWishIsLeftAlone) {
  const Doors doors = open_doors();
  end(SIGKILL);
  keeper.close_all();  // another manager's memory
  begin();
  EXPECT_TRUE(jump.status().at("forwards").empty());
  EXPECT_FALSE(Socket::connect_tcp(doors.tcp).has_value());
}

}  // namespace
}  // namespace jump::test
