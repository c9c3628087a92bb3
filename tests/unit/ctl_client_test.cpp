// The client against scripted agents. Where ids are known in advance (hello is 1, then 2, 3, …) the answers
// lie in the socket before they are asked for; where the agent has to listen, one thread serves one
// connection.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <thread>

#include "ctl/client.h"
#include "ctl/verb.h"
#include "support/socket.h"
#include "support/temp_dir.h"
#include "support/unique_fd.h"

namespace jump::ctl {
namespace {

constexpr const char* kHello =
    R"({"jsonrpc":"2.0","id":1,"result":{"protocol":1,"version":"9.9","instance":"i","pid":42}})"
    "\n";

constexpr Duration kShort = milliseconds(20);  // for waits that must end in a timeout
constexpr Duration kLong = seconds(30);        // for waits that must not

ClientOptions options(Duration timeout = kLong) {
  return {.socket = "/the/socket", .name = "test 1", .timeout = timeout};
}

// Both ends of a connection; the agent's says what it is told to.
struct Pair {
  Pair() : client(-1), agent(test::UniqueFd()) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    client = ends[0];
    agent = test::Socket(test::UniqueFd(ends[1]));
  }
  explicit Pair(std::string_view says) : Pair() { EXPECT_TRUE(agent.send_all(says)); }

  int client;  // Connection takes it over
  test::Socket agent;
};

Result<Client> greet(Pair& pair, Duration timeout = kLong) {
  return Client::greet(Connection(pair.client), options(timeout));
}

test::UniqueFd listen_at(const std::string& path) {
  test::UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(::listen(listener.get(), 4), 0);
  return listener;
}

// An agent on a real socket: answers each request by `answer` until the client leaves.
class ScriptedAgent {
 public:
  using Answer = std::function<std::string(const proto::Request&)>;

  explicit ScriptedAgent(Answer answer)
      : listener_(listen_at(path())), thread_([this, answer] { serve(answer); }) {}
  ~ScriptedAgent() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }

  std::string path() const { return dir_.file("s"); }
  Options options(std::vector<std::string> arguments) const {
    Options out;
    out.socket = path();
    out.timeout = kLong;
    out.arguments = std::move(arguments);
    return out;
  }

 private:
  void serve(const Answer& answer) {
    test::UniqueFd accepted(::accept(listener_.get(), nullptr, nullptr));
    if (!accepted) return;
    test::Socket socket(std::move(accepted));
    while (auto line = socket.receive_line()) {
      const auto parsed = proto::parse_request(*line);
      const auto* request = std::get_if<proto::Request>(&parsed);
      if (request == nullptr) return;
      const std::string reply = request->method == "hello" ? kHello : answer(*request);
      if (reply.empty()) return;  // hangs up
      if (!socket.send_all(reply)) return;
    }
  }

  test::TempDir dir_;
  test::UniqueFd listener_;
  std::thread thread_;
};

// --- connecting ---

TEST(CtlClient, SaysThatNoAgentIsRunningWhenThereIsNoSocket) {
  test::TempDir dir;
  Result<Client> client = Client::connect({.socket = dir.file("none"), .name = "t"});
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().code, Errc::kUnreachable);
  EXPECT_EQ(client.error().message,
            "no agent is running (socket " + dir.file("none") + ": No such file or directory)");
  EXPECT_EQ(client.error().hint, "start it with: jumpagent up");
}

TEST(CtlClient, SaysThatNoAgentIsRunningWhenTheSocketIsLeftOver) {
  test::TempDir dir;
  listen_at(dir.file("s")).reset();
  Result<Client> client = Client::connect({.socket = dir.file("s"), .name = "t"});
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().code, Errc::kUnreachable);
  EXPECT_NE(client.error().message.find("Connection refused"), std::string::npos) << client.error().message;
}

TEST(CtlClient, GivesUpOnAnAgentThatIsSilent) {
  test::TempDir dir;
  const test::UniqueFd listener = listen_at(dir.file("s"));  // never accepts
  Result<Client> client = Client::connect({.socket = dir.file("s"), .name = "t", .timeout = kShort});
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().code, Errc::kTimeout);
  EXPECT_EQ(client.error().message, "the agent (pid " + std::to_string(getpid()) + ", socket " +
                                        dir.file("s") + ") has not answered 'hello' for 0.02 s");
}

TEST(CtlClient, GivesUpOnAnAgentWhoseQueueIsFull) {
  test::TempDir dir;
  const test::UniqueFd listener = listen_at(dir.file("s"));
  std::vector<test::UniqueFd> waiting;  // fill the backlog of 4
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, dir.file("s").c_str(), sizeof(address.sun_path) - 1);
  while (true) {
    test::UniqueFd next(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    if (::connect(next.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) break;
    waiting.push_back(std::move(next));
  }
  Result<Client> client = Client::connect({.socket = dir.file("s"), .name = "t", .timeout = kShort});
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().code, Errc::kTimeout);
}

TEST(CtlClient, SaysHello) {
  Pair pair(kHello);
  Result<Client> client = greet(pair);
  ASSERT_TRUE(client.ok()) << client.error().message;
  EXPECT_EQ(client->agent().version, "9.9");
  EXPECT_EQ(client->agent().pid, 42);
  EXPECT_EQ(pair.agent.receive_line(kLong),
            R"({"jsonrpc":"2.0","id":1,"method":"hello","params":{"capabilities":[],"client":"test 1","protocol":[1,1]}})");
}

TEST(CtlClient, PassesOnWhyTheAgentRefusesItsVersion) {
  Pair pair(
      proto::encode_error("1", {proto::kFailed, "no common protocol version", "unsupported", "update"}));
  Result<Client> client = greet(pair);
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().code, Errc::kUnsupported);
  EXPECT_EQ(client.error().hint, "update");
}

TEST(CtlClient, RefusesAVersionItDoesNotSpeak) {
  Pair pair(R"({"jsonrpc":"2.0","id":1,"result":{"protocol":99}})"
            "\n");
  Result<Client> client = greet(pair);
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().code, Errc::kUnsupported);
}

TEST(CtlClient, TakesAnErrorWithoutIdAsMeantForIt) {
  Pair pair(proto::encode_error("null", {proto::kFailed, "too many clients", "limit", {}}));
  pair.agent.close();
  Result<Client> client = greet(pair);
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().code, Errc::kLimit);
  EXPECT_EQ(client.error().message, "too many clients");
}

// --- calling ---

TEST(CtlClient, CallsAMethod) {
  Pair pair(std::string(kHello) + proto::encode_result("2", proto::ForwardListResult{}));
  Result<Client> client = greet(pair);
  ASSERT_TRUE(client.ok());
  Result<proto::ForwardListResult> list = client->call(proto::method::kForwardList, {}, kLong);
  ASSERT_TRUE(list.ok()) << list.error().message;
  (void)pair.agent.receive_line(kLong);
  EXPECT_EQ(pair.agent.receive_line(kLong),
            R"({"jsonrpc":"2.0","id":2,"method":"forward.list","params":{}})");
}

TEST(CtlClient, ReportsTheAgentsErrorWithKindAndHint) {
  Pair pair(std::string(kHello) +
            proto::encode_error("2", {proto::kFailed, "wrong key", "host_key", "look"}));
  Result<Client> client = greet(pair);
  ASSERT_TRUE(client.ok());
  Result<proto::Empty> answer = client->call(proto::method::kHostDisconnect, {"prod"}, kLong);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, Errc::kHostKey);
  EXPECT_EQ(answer.error().message, "wrong key");
  EXPECT_EQ(answer.error().hint, "look");
}

TEST(CtlClient, NamesTheMethodThatWasNotAnsweredInTime) {
  Pair pair(kHello);
  Result<Client> client = greet(pair);
  ASSERT_TRUE(client.ok());
  Result<proto::StatusResult> status = client->call(proto::method::kStatus, {}, kShort);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Errc::kTimeout);
  EXPECT_EQ(status.error().message, "the agent (socket /the/socket) has not answered 'status' for 0.02 s");
}

TEST(CtlClient, IgnoresALateAnswerAndNotifications) {
  Pair pair(kHello);
  Result<Client> client = greet(pair);
  ASSERT_TRUE(client.ok());
  ASSERT_FALSE(client->call(proto::method::kForwardList, {}, kShort).ok());
  ASSERT_TRUE(pair.agent.send_all(R"({"jsonrpc":"2.0","method":"event","params":{}})"
                                  "\n" +
                                  proto::encode_error("2", {proto::kFailed, "late", "refused", {}}) +
                                  proto::encode_result("3", proto::ForwardListResult{})));
  EXPECT_TRUE(client->call(proto::method::kForwardList, {}, kLong).ok());
}

TEST(CtlClient, SaysSoWhenTheAgentEndsWithoutAnAnswer) {
  Pair pair(kHello);
  Result<Client> client = greet(pair);
  ASSERT_TRUE(client.ok());
  pair.agent.close();
  Result<proto::StatusResult> status = client->call(proto::method::kStatus, {}, kLong);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Errc::kClosed);
  EXPECT_EQ(status.error().message,
            "the agent (socket /the/socket) ended the connection without an answer to 'status'");
}

TEST(CtlClient, ARequestThatCannotBeSentIsNoTimeout) {
  Pair pair(kHello);
  Result<Client> client = greet(pair);
  ASSERT_TRUE(client.ok());
  ASSERT_EQ(::shutdown(pair.agent.fd(), SHUT_RD), 0);  // it reads no more, and has not gone
  Result<proto::StatusResult> status = client->call(proto::method::kStatus, {}, seconds(1));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Errc::kClosed);
  EXPECT_NE(status.error().hint.find("jumpctl status"), std::string::npos) << status.error().hint;
}

TEST(CtlClient, WhatTheAgentSaidBeforeItStoppedReadingIsHeard) {
  Pair pair(std::string(kHello) + proto::encode_result("2", proto::ForwardListResult{}));
  Result<Client> client = greet(pair);
  ASSERT_TRUE(client.ok());
  ASSERT_EQ(::shutdown(pair.agent.fd(), SHUT_RD), 0);
  EXPECT_TRUE(client->call(proto::method::kForwardList, {}, seconds(1)).ok());
}

TEST(CtlClient, ADescriptorThatCannotBePassedIsNamedWithTheCause) {
  Pair pair(kHello);
  Result<Client> client = greet(pair);
  ASSERT_TRUE(client.ok());
  int closed = -1;
  {
    test::UniqueFd once(::dup(STDIN_FILENO));
    closed = once.get();
  }
  auto session = client->call_passing(proto::method::kSessionOpen, {}, {closed, closed, closed}, seconds(1));
  ASSERT_FALSE(session.ok());
  EXPECT_EQ(session.error().code, Errc::kInvalid) << session.error().message;
  EXPECT_NE(session.error().message.find("Bad file descriptor"), std::string::npos) << session.error().message;
  EXPECT_NE(session.error().hint.find("/dev/null"), std::string::npos) << session.error().hint;
}

TEST(CtlClient, TakesGarbageAsAProtocolError) {
  Pair pair("HTTP/1.1 400 Bad Request\r\n");
  Result<Client> client = greet(pair);
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().code, Errc::kProtocol);
}

TEST(CtlClient, TakesAResultOfTheWrongShapeAsAnError) {
  Pair pair(std::string(kHello) + R"({"jsonrpc":"2.0","id":2,"result":{"forwards":7}})" + "\n");
  Result<Client> client = greet(pair);
  ASSERT_TRUE(client.ok());
  Result<proto::ForwardListResult> list = client->call(proto::method::kForwardList, {}, kLong);
  ASSERT_FALSE(list.ok());
  EXPECT_EQ(list.error().message, "result.forwards: expected an array, found a number");
}

TEST(CtlClient, SortsAnswersThatComeInAnotherOrder) {
  const auto failed = [](const char* text) { return proto::RpcError{proto::kFailed, text, "refused", {}}; };
  Pair pair(std::string(kHello) + proto::encode_error("4", failed("third")) +
            proto::encode_error("2", failed("first")));
  Result<Client> client = greet(pair);
  ASSERT_TRUE(client.ok());
  std::vector<Outcome> outcomes = client->call_all("m", {{}, {}, {}}, kShort);
  ASSERT_EQ(outcomes.size(), 3U);
  EXPECT_EQ(outcomes[0].error->message, "first");
  EXPECT_EQ(outcomes[1].error->kind, "timeout");
  EXPECT_EQ(outcomes[2].error->message, "third");
}

TEST(CtlClient, TakesAnAnswerLargerThanARequestMayBe) {
  proto::ForwardListResult large;
  large.forwards.resize(10'000);
  const std::string line = proto::encode_result("2", large);
  ASSERT_GT(line.size(), proto::kMaxLine);
  Pair pair(kHello);
  std::thread agent([&] { EXPECT_TRUE(pair.agent.send_all(line)); });
  Result<Client> client = greet(pair);
  Result<proto::ForwardListResult> list = client->call(proto::method::kForwardList, {}, kLong);
  agent.join();
  ASSERT_TRUE(list.ok()) << list.error().message;
  EXPECT_EQ(list->forwards.size(), 10'000U);
}

// The agent reads nothing before it has written more than the socket holds, and so does the client: it must
// do both at once.
TEST(CtlClient, WritesAndReadsAtTheSameTime) {
  const std::string filler(500'000, 'x');
  Pair pair(kHello);
  Result<Client> client = greet(pair);
  ASSERT_TRUE(client.ok());
  (void)pair.agent.receive_line(kLong);
  const auto answer = [&](const char* id) {
    EXPECT_TRUE(pair.agent.send_all(proto::encode_result(id, proto::HostDisconnectParams{filler})));
  };
  std::thread agent([&] {
    for (const char* id : {"2", "3", "4"}) answer(id);
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(pair.agent.receive_line(kLong));
    answer("5");
  });
  const proto::Json large = proto::encode(proto::HostDisconnectParams{filler});
  std::vector<Outcome> outcomes = client->call_all("m", {large, large, large, large}, kLong);
  agent.join();
  for (const Outcome& outcome : outcomes) EXPECT_FALSE(outcome.error) << outcome.error->message;
}

TEST(CtlClient, WaitsForTheEnd) {
  Pair pair(std::string(kHello) + R"({"jsonrpc":"2.0","method":"event"})" + "\n");
  Result<Client> client = greet(pair);
  ASSERT_TRUE(client.ok());
  EXPECT_EQ(client->wait_closed(kShort).error().code, Errc::kTimeout);
  pair.agent.close();
  EXPECT_TRUE(client->wait_closed(kLong).ok());
}

// --- verbs ---

struct Printed {
  int exit_code = 0;
  std::string out;
  std::string err;
};

Printed run(int (*verb)(const Options&), const Options& options) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Printed printed;
  printed.exit_code = verb(options);
  printed.out = testing::internal::GetCapturedStdout();
  printed.err = testing::internal::GetCapturedStderr();
  return printed;
}

std::string open_all_but_bad(const proto::Request& request) {
  const std::string spec = proto::decode_params<proto::ForwardOpenParams>(request.params)->spec;
  if (spec == "1:bad:1")
    return proto::encode_error(request.id, {proto::kFailed, "that's no spec", "invalid", "write it so"});
  proto::ForwardOpenResult result;
  result.forward.id = "f1";
  result.forward.listen = "127.0.0.1:8080";
  result.forward.target = "svc:80";
  result.forward.via = "prod";
  result.forward.state = "active";
  return proto::encode_result(request.id, result);
}

TEST(CtlVerb, ForwardDoesAllAndFailsWhenOneFailed) {
  ScriptedAgent agent(open_all_but_bad);
  const Printed printed = run(open_forwards, agent.options({"8080:svc:80", "1:bad:1", "9:svc:80"}));
  EXPECT_EQ(printed.exit_code, kExitFailed);
  EXPECT_EQ(printed.out, "127.0.0.1:8080 -> svc:80 via prod (f1)\n127.0.0.1:8080 -> svc:80 via prod (f1)\n");
  EXPECT_EQ(printed.err, "jumpctl: 1:bad:1: that's no spec; write it so\n");
}

TEST(CtlVerb, ASpecThatCannotBeReadIsAUsageErrorAndNothingIsOpened) {
  ScriptedAgent agent(open_all_but_bad);
  const Printed printed = run(open_forwards, agent.options({"8080:svc:80", "nonsense"}));
  EXPECT_EQ(printed.exit_code, kExitUsage);
  EXPECT_EQ(printed.out, "");
  EXPECT_NE(printed.err.find("nonsense"), std::string::npos);
}

TEST(CtlVerb, JsonOfOneItemIsTheAgentsResult) {
  ScriptedAgent agent([](const proto::Request& request) {
    return "{\"jsonrpc\":\"2.0\",\"id\":" + request.id +
           ",\"result\":{\"forwards\":[],\"of a newer agent\":1}}\n";
  });
  Options options = agent.options({});
  options.json = true;
  const Printed printed = run(list_forwards, options);
  EXPECT_EQ(printed.exit_code, kExitDone);
  EXPECT_EQ(printed.out, "{\"forwards\":[],\"of a newer agent\":1}\n");
  EXPECT_EQ(printed.err, "");
}

TEST(CtlVerb, JsonOfSeveralItemsIsAnArrayWithErrorsInPlace) {
  ScriptedAgent agent(open_all_but_bad);
  Options options = agent.options({"1:bad:1", "8080:svc:80"});
  options.json = true;
  const Printed printed = run(open_forwards, options);
  EXPECT_EQ(printed.exit_code, kExitFailed);
  EXPECT_EQ(printed.out.rfind(R"([{"error":{"code":-32000,"hint":"write it so","kind":"invalid","message":)"
                              R"("that's no spec"}},{"existing":false,"forward":{)",
                              0),
            0U)
      << printed.out;
  EXPECT_TRUE(proto::Json::parse(printed.out).ok());
  EXPECT_EQ(printed.err, "jumpctl: 1:bad:1: that's no spec; write it so\n");
}

TEST(CtlVerb, WithoutAgentExitsWithThree) {
  test::TempDir dir;
  Options options;
  options.socket = dir.file("none");
  options.json = true;
  const Printed printed = run(show_status, options);
  EXPECT_EQ(printed.exit_code, kExitNoAgent);
  EXPECT_EQ(printed.err, "jumpctl: no agent is running (socket " + dir.file("none") +
                             ": No such file or directory); start it with: jumpagent up\n");
  EXPECT_EQ(printed.out,
            "{\"error\":{\"code\":-32000,\"hint\":\"start it with: jumpagent up\",\"kind\":"
            "\"unreachable\",\"message\":\"no agent is running (socket " +
                dir.file("none") + ": No such file or directory)\"}}\n");
}

// The agent's own "unreachable" (of a bastion) is not the agent's absence.
TEST(CtlVerb, AnUnreachableHostExitsWithOne) {
  ScriptedAgent agent([](const proto::Request& request) {
    return proto::encode_error(request.id, {proto::kFailed, "prod: no route", "unreachable", {}});
  });
  const Printed printed = run(connect_hosts, agent.options({"prod"}));
  EXPECT_EQ(printed.exit_code, kExitFailed);
  EXPECT_EQ(printed.err, "jumpctl: prod: no route\n");
}

TEST(CtlVerb, ConnectPassesItsTimeoutAndSaysReady) {
  ScriptedAgent agent([](const proto::Request& request) {
    EXPECT_EQ(request.params.dump(), R"({"host":"prod","timeout":30.0})");
    proto::HostConnectResult result;
    result.host.host = "prod";
    result.host.state = "ready";
    result.host.address = "deploy@10.0.0.5:22";
    return proto::encode_result(request.id, result);
  });
  const Printed printed = run(connect_hosts, agent.options({"prod"}));
  EXPECT_EQ(printed.exit_code, kExitDone);
  EXPECT_EQ(printed.out, "prod: ready (deploy@10.0.0.5:22)\n");
}

TEST(CtlVerb, WhatTheAgentSaysCannotDriveTheTerminal) {
  ScriptedAgent agent([](const proto::Request& request) {
    return proto::encode_error(request.id, {proto::kFailed, "banner \x1b[2J\n", "auth", "\x07"});
  });
  const Printed printed = run(connect_hosts, agent.options({"prod"}));
  EXPECT_EQ(printed.err, "jumpctl: banner \xef\xbf\xbd[2J\xef\xbf\xbd; \xef\xbf\xbd\n");
}

TEST(CtlVerb, ShutDownWaitsUntilTheAgentIsGone) {
  ScriptedAgent agent([answered = false](const proto::Request& request) mutable {
    EXPECT_EQ(request.method, "agent.shutdown");
    return std::exchange(answered, true) ? std::string() : proto::encode_result(request.id, proto::Empty{});
  });
  Options options = agent.options({});
  options.timeout = kShort;  // this agent stays
  EXPECT_EQ(run([](const Options& with) { return shut_down(with); }, options).exit_code, kExitFailed);
}

}  // namespace
}  // namespace jump::ctl
