// What comes in from outside and is wrong: control clients that send garbage, too much, half, or nothing; and
// things at the other end of a dial that are no SSH servers. The agent answers or hangs up, stays within its
// memory, and serves the next one.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proto/messages.h"
#include "support/build_kind.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/pattern.h"
#include "support/proc_info.h"
#include "support/reserved_port.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kMemoryGrowth = 48 * kMiB;  // a few of the longest lines, and the allocator's slack
constexpr Duration kPrompt = seconds(30);

// --- control clients ---

class HostileClient : public ::testing::Test {
 protected:
  HostileClient() {
    agent_.run();
    pid_ = agent_.pid();
    memory_ = resident_bytes(pid_);
  }

  Socket client() {
    std::optional<Socket> socket = Socket::connect_unix(agent_.socket_path());
    if (!socket) throw std::runtime_error("the agent does not accept control clients");
    return std::move(*socket);
  }

  // One request, its answer.
  static json ask(Socket& socket, const std::string& line) {
    if (!socket.send_all(line + "\n")) return "not sent";
    const std::optional<std::string> answer = socket.receive_line(kPrompt);
    return answer ? json::parse(*answer, nullptr, false) : json("no answer");
  }

  static int error_code(const json& answer) {
    return answer.is_object() && answer.contains("error") ? answer.at("error").value("code", 0) : 0;
  }

  static std::string error_message(const json& answer) {
    return answer.is_object() && answer.contains("error") ? answer.at("error").value("message", "") : "";
  }

  // After whatever was done to it: the same process, serving at once, and not grown.
  void expect_unharmed() {
    Stopwatch watch;
    const json status = agent_.status();
    EXPECT_LT(to_seconds(watch.elapsed()), to_seconds(kPrompt));
    EXPECT_EQ(status.at("agent").at("pid").get<pid_t>(), pid_) << "this is another agent";
    if (!kSanitized) {
      EXPECT_LT(resident_bytes(pid_), memory_ + kMemoryGrowth);
    }
  }

  TempDir directory_;
  AgentProcess agent_{directory_.write("ssh_config", ssh_config_text({}))};
  pid_t pid_ = 0;
  std::size_t memory_ = 0;
};

TEST_F(HostileClient, AHundredThousandBytesOfGarbage) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Socket socket = client();
    socket.send_all(pattern_bytes(seed, 100000), kPrompt);
    socket.shutdown_write();
    EXPECT_TRUE(socket.wait_end(kPrompt)) << "seed " << seed;
  }
  expect_unharmed();
  EXPECT_GT(agent_.status().at("agent").at("protocol_errors").get<int>(), 0);
}

TEST_F(HostileClient, ATenMebibyteLineIsRefusedAndTheConnectionEnds) {
  Socket socket = client();
  const Bytes part(kMiB, 'x');
  bool sent = true;
  for (int i = 0; i < 10 && sent; ++i) sent = socket.send_all(part, kPrompt);
  const Received answer = socket.receive_all(kPrompt);
  EXPECT_TRUE(answer.ended()) << "the connection is still open";
  expect_unharmed();
}

TEST_F(HostileClient, ALineOfALittleMoreThanTheMostIsRefusedWithAReason) {
  Socket socket = client();
  socket.send_all(std::string(proto::kMaxLine + 1, ' ') + "\n", kPrompt);
  const std::optional<std::string> answer = socket.receive_line(kPrompt);
  ASSERT_TRUE(answer.has_value());
  EXPECT_NE(error_code(json::parse(*answer, nullptr, false)), 0) << *answer;
  EXPECT_TRUE(socket.wait_end(kPrompt));
  expect_unharmed();
}

TEST_F(HostileClient, TheLongestLineThatIsAllowedIsAnswered) {
  Socket socket = client();
  const std::string request = R"({"jsonrpc":"2.0","id":1,"method":"status"})";
  const json answer = ask(socket, request + std::string(proto::kMaxLine - request.size() - 1, ' '));
  EXPECT_TRUE(answer.contains("result")) << answer;
}

TEST_F(HostileClient, HalfALineAndSilenceHoldNobodyUp) {
  Socket half = client(), silent = client();
  ASSERT_TRUE(half.send_all(std::string_view(R"({"jsonrpc":"2.0","id":1,"me)")));
  expect_unharmed();
  // The other half is as good as if it had come at once.
  const json answer = ask(half, R"(thod":"status"})");
  EXPECT_TRUE(answer.contains("result")) << answer;
}

TEST_F(HostileClient, ARequestThatTricklesInByteByByteIsAnswered) {
  Socket socket = client();
  for (char c : std::string(R"({"jsonrpc":"2.0","id":1,"method":"status"})")) {
    ASSERT_TRUE(socket.send_all(std::string_view(&c, 1)));
  }
  EXPECT_TRUE(ask(socket, "").contains("result"));
}

TEST_F(HostileClient, TwoHundredIdleConnectionsLeaveItServing) {
  {
    std::vector<Socket> idle;
    for (int i = 0; i < 200; ++i) idle.push_back(client());
    // There may be a bound on clients, but nobody is left waiting at it.
    const ProcessResult during = agent_.ctl({"status"}, seconds(20));
    EXPECT_FALSE(during.timed_out) << during.describe();
  }
  EXPECT_TRUE(eventually([&] { return agent_.ctl({"status"}).ok(); }));
  EXPECT_TRUE(eventually([&] { return agent_.status().at("agent").at("clients").get<int>() <= 1; }))
      << agent_.status().dump();
  expect_unharmed();
}

TEST_F(HostileClient, DeepNestingIsAnErrorNotACrash) {
  const std::string deep(500000, '[');
  const std::string objects = [] {
    std::string text;
    for (int i = 0; i < 100000; ++i) text += "{\"a\":";
    return text;
  }();
  const std::string in_params = R"({"jsonrpc":"2.0","id":1,"method":"status","params":)" +
                                std::string(100000, '[') + std::string(100000, ']') + "}";
  for (const std::string& text : {deep, objects, in_params}) {
    Socket socket = client();
    const json answer = ask(socket, text);
    EXPECT_NE(error_code(answer), 0) << answer.dump().substr(0, 200);
  }
  expect_unharmed();
}

TEST_F(HostileClient, AClientThatNeverReadsItsAnswersIsBounded) {
  Socket socket = client();
  const std::string request = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\"}\n";
  std::string many;
  while (many.size() < kMiB) many += request;
  for (int i = 0; i < 30 && socket.send_all(many, milliseconds(300)); ++i) {
  }
  expect_unharmed();
}

TEST_F(HostileClient, EveryWrongRequestGetsAnErrorThatNamesIt) {
  struct Case {
    std::string line;
    int code;
    std::string named;
  };
  const std::vector<Case> cases = {
      {"nonsense", proto::kParseError, ""},
      {"\xff\xfe", proto::kParseError, ""},
      {"17", proto::kInvalidRequest, ""},
      {"[]", proto::kInvalidRequest, ""},
      {"{}", proto::kInvalidRequest, ""},
      {R"({"jsonrpc":"2.0","id":1})", proto::kInvalidRequest, "method"},
      {R"({"jsonrpc":"2.0","id":1,"method":7})", proto::kInvalidRequest, "method"},
      {R"({"jsonrpc":"2.0","id":1,"method":"no.such"})", proto::kMethodNotFound, "no.such"},
      {R"({"jsonrpc":"2.0","id":1,"method":"forward.open","params":{}})", proto::kInvalidParams, "spec"},
      {R"({"jsonrpc":"2.0","id":1,"method":"forward.open","params":{"spec":7}})", proto::kInvalidParams,
       "spec"},
      {R"({"jsonrpc":"2.0","id":1,"method":"forward.open","params":{"spec":"1:a:2","via":[]}})",
       proto::kInvalidParams, "via"},
      {R"({"jsonrpc":"2.0","id":1,"method":"host.connect","params":"x"})", proto::kInvalidParams, "params"},
      {R"({"jsonrpc":"2.0","id":1,"method":"hello","params":{"client":"x","protocol":[900,901]}})",
       proto::kFailed, "protocol"},
  };
  Socket socket = client();
  for (const Case& wrong : cases) {
    const json answer = ask(socket, wrong.line);
    EXPECT_EQ(error_code(answer), wrong.code) << wrong.line << " -> " << answer;
    EXPECT_NE(error_message(answer).find(wrong.named), std::string::npos) << wrong.line << " -> " << answer;
  }
  EXPECT_TRUE(ask(socket, R"({"jsonrpc":"2.0","id":2,"method":"status"})").contains("result"));
  expect_unharmed();
}

TEST_F(HostileClient, UnknownFieldsAreIgnored) {
  Socket socket = client();
  const json answer = ask(
      socket,
      R"({"jsonrpc":"2.0","id":"x","method":"hello","later":1,"params":{"client":"t","protocol":[1,9],"new":{}}})");
  ASSERT_TRUE(answer.contains("result")) << answer;
  EXPECT_EQ(answer.at("id"), "x");
  EXPECT_EQ(answer.at("result").at("pid").get<pid_t>(), pid_);
}

// Whoever asks for a host name gets an argument of `ssh -G`: it must not become an option of it.
TEST_F(HostileClient, AHostNameIsNeverAnOption) {
  const std::string proof = directory_.file("proof");
  const std::vector<std::string> hosts = {"-oProxyCommand=touch " + proof,
                                          "-F/etc/passwd",
                                          "-v",
                                          "x;touch " + proof,
                                          "x$(touch " + proof + ")",
                                          ""};
  for (const std::string& host : hosts) {
    Socket socket = client();
    const json params{{"host", host}, {"timeout", 5}};
    const json request{{"jsonrpc", "2.0"}, {"id", 1}, {"method", "host.connect"}, {"params", params}};
    EXPECT_NE(error_code(ask(socket, request.dump())), 0) << host;
  }
  EXPECT_TRUE(read_file(proof).empty());
  expect_unharmed();
}

// --- servers that are none ---

struct Impostor {
  const char* name;
  TcpService::Serve serve;
};

const std::vector<Impostor>& impostors() {
  static const std::vector<Impostor> all = {
      {"random_bytes", TcpService::say(pattern_bytes(21, 100000), false)},
      {"random_bytes_then_close", TcpService::say(pattern_bytes(22, 100000), true)},
      {"http_server",
       TcpService::say(
           to_bytes(as_bytes("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html></html>")), true)},
      {"closes_at_once", TcpService::say({}, true)},
      {"silent", TcpService::silent()},
      {"endless_bytes", TcpService::endless_source()},
      {"banner_then_garbage",
       [](Socket& socket) {
         socket.send_all(std::string_view("SSH-2.0-OpenSSH_9.2p1\r\n"));
         socket.send_all(pattern_bytes(23, 100000));
         socket.wait_end(Socket::kDeadline);
       }},
      {"banner_then_silence",
       [](Socket& socket) {
         socket.send_all(std::string_view("SSH-2.0-OpenSSH_9.2p1\r\n"));
         socket.wait_end(Socket::kDeadline);
       }},
      {"endless_lines_before_the_banner",
       [](Socket& socket) {
         const std::string lines(65536, '\n');
         while (socket.send_all(lines)) {
         }
       }},
      {"ssh_1_server", TcpService::say(to_bytes(as_bytes("SSH-1.5-old\r\n")), false)},
  };
  return all;
}

class HostileServer : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(That, HostileServer, ::testing::Range(std::size_t{0}, impostors().size()),
                         [](const auto& which) { return std::string(impostors()[which.param].name); });

TEST_P(HostileServer, IsGivenUpInTimeAndHarmsNobody) {
  constexpr double kConnectTimeout = 3, kDefault = 20;  // seconds
  TcpService impostor(impostors()[GetParam()].serve);
  LabOptions options;
  SshConfigHost host{"impostor", impostor.port()};
  host.lines = {"ConnectTimeout 3"};
  options.other_hosts = {host};
  Lab lab(options);
  TcpService echo(TcpService::echo());
  const std::uint16_t port = lab.agent().forward_port(Lab::kBastion, echo.port());
  const pid_t pid = lab.agent().pid();
  const std::size_t memory = resident_bytes(pid);

  Stopwatch watch;
  const ProcessResult result = lab.agent().ctl({"connect", "impostor"});
  EXPECT_EQ(result.exit_status, 1) << result.describe();
  EXPECT_LT(to_seconds(watch.elapsed()), kDefault - kConnectTimeout);
  EXPECT_NE(result.err.find("impostor"), std::string::npos) << result.describe();
  EXPECT_NE(result.err.find(std::to_string(impostor.port())), std::string::npos) << result.describe();

  if (!kSanitized) {
    EXPECT_LT(resident_bytes(pid), memory + kMemoryGrowth);
  }
  std::optional<Socket> socket = Socket::connect_tcp(port);
  ASSERT_TRUE(socket.has_value());
  ASSERT_TRUE(socket->send_all(std::string_view("still there?")));
  EXPECT_EQ(socket->receive_exactly(12).text(), "still there?");
  EXPECT_EQ(lab.agent().pid(), pid);
}

// Trying again and again must be as bounded as trying once, in descriptors too.
TEST(HostileServers, FiftyAttemptsLeaveNoDescriptorBehind) {
  TcpService impostor(TcpService::say(pattern_bytes(24, 100000), true));
  const TempDir directory;
  AgentProcess agent(
      directory.write("ssh_config", ssh_config_text({SshConfigHost{"impostor", impostor.port()}})));
  agent.run();
  EXPECT_EQ(agent.ctl({"connect", "impostor"}).exit_status, 1);
  agent.ctl({"disconnect", "impostor"});
  const std::size_t before = open_descriptors(agent.pid());
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(agent.ctl({"connect", "impostor"}).exit_status, 1);
  }
  agent.ctl({"disconnect", "impostor"});
  EXPECT_TRUE(eventually([&] { return open_descriptors(agent.pid()) <= before; }))
      << before << " -> " << open_descriptors(agent.pid());
}

}  // namespace
}  // namespace jump::test
