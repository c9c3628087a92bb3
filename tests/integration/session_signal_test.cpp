// Signals that a client sends to a command (session.signal, the frame of an upgraded session, a signal to
// jumpctl) arrive there, and how the command ends because of them comes back. sshd refuses them to what root
// runs, so this one runs as another user.
#include <gtest/gtest.h>
#include <signal.h>

#include "base/wire.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/process.h"
#include "support/socket.h"

namespace jump::test {
namespace {

using nlohmann::json;

constexpr std::uint8_t kStdoutFrame = 1;
constexpr std::uint8_t kEndFrame = 3;
constexpr std::uint8_t kSignalFrame = 6;

std::string trapping(const std::string& signal) {
  return "trap 'echo got " + signal + "; exit 9' " + signal +
         "; echo ready; for i in $(seq 600); do sleep 0.05; done";
}

class SessionSignal : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!Sshd::can_be_without_rights()) GTEST_SKIP() << "no mount namespaces here";
    lab_ = std::make_unique<Lab>(LabOptions{.sshd = {.without_rights = true}});
  }
  void TearDown() override {
    if (!lab_) return;
    EXPECT_TRUE(eventually([this] { return lab_->agent().status().at("sessions").empty(); }));
  }
  json ask(Socket& socket, const char* method, const json& params) {
    const json request = {{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", params}};
    EXPECT_TRUE(socket.send_all(request.dump() + "\n"));
    const std::optional<std::string> line = socket.receive_line(seconds(20));
    return line ? json::parse(*line, nullptr, false) : json("no line");
  }
  Socket client() { return Socket::connect_unix(lab_->agent().socket_path()).value(); }
  // An upgraded session whose command has said "ready".
  Socket running(const std::string& command, std::string* id) {
    Socket socket = client();
    const json answer =
        ask(socket, "session.open", {{"host", Lab::kBastion}, {"command", command}, {"upgrade", true}});
    EXPECT_TRUE(answer.contains("result")) << answer;
    *id = answer.value("result", json::object()).value("session", "");
    std::uint8_t type = 0;
    EXPECT_EQ(frame(socket, &type), "ready\n");
    return socket;
  }
  // The next frame's payload; empty at the connection's end.
  static std::string frame(Socket& socket, std::uint8_t* type) {
    const Received header = socket.receive_exactly(5, seconds(20));
    if (header.bytes.size() < 5) return {};
    *type = header.bytes[0];
    return std::string(socket.receive_exactly(load_u32(&header.bytes[1]), seconds(20)).text());
  }
  struct Rest {
    std::string out;
    json end = json::object();
  };
  static Rest rest(Socket& socket) {
    Rest all;
    while (true) {
      std::uint8_t type = 0;
      const std::string payload = frame(socket, &type);
      if (payload.empty()) return all;
      if (type == kEndFrame) {
        all.end = json::parse(payload, nullptr, false);
      } else if (type == kStdoutFrame) {  // on stderr the shell may tell of a child's death
        all.out += payload;
      }
    }
  }

  std::unique_ptr<Lab> lab_;
};

TEST_F(SessionSignal, EachArrivesOverAnotherConnection) {
  for (const char* signal : {"TERM", "INT", "HUP", "QUIT", "USR1"}) {
    SCOPED_TRACE(signal);
    std::string id;
    Socket session = running(trapping(signal), &id);
    Socket other = client();
    const json answer = ask(other, "session.signal", {{"session", id}, {"signal", signal}});
    EXPECT_TRUE(answer.contains("result")) << answer;
    const Rest all = rest(session);
    EXPECT_EQ(all.out, std::string("got ") + signal + "\n");
    EXPECT_EQ(all.end.value("exit_status", -1), 9) << all.end;
  }
}

TEST_F(SessionSignal, ArrivesAsAFrame) {
  std::string id;
  Socket session = running(trapping("TERM"), &id);
  const std::string payload = R"({"signal":"TERM"})";
  std::uint8_t header[5] = {kSignalFrame};
  store_u32(&header[1], static_cast<std::uint32_t>(payload.size()));
  ASSERT_TRUE(session.send_all(std::string(as_text(header)) + payload));
  const Rest all = rest(session);
  EXPECT_EQ(all.out, "got TERM\n");
  EXPECT_EQ(all.end.value("exit_status", -1), 9) << all.end;
}

TEST_F(SessionSignal, WhatDiesOfItIsSaidToHaveDiedOfIt) {
  for (const char* signal : {"TERM", "KILL"}) {
    std::string id;
    Socket session = running("echo ready; exec sleep 60", &id);
    Socket other = client();
    EXPECT_TRUE(ask(other, "session.signal", {{"session", id}, {"signal", signal}}).contains("result"));
    EXPECT_EQ(rest(session).end.value("exit_signal", ""), signal);
  }
}

TEST_F(SessionSignal, WhatJumpctlIsSentIsTheCommands) {
  for (const auto& [number, name] : {std::pair{SIGTERM, "TERM"}, {SIGINT, "INT"}, {SIGHUP, "HUP"}}) {
    SCOPED_TRACE(name);
    Process jumpctl({ctl_program(), "exec", Lab::kBastion, trapping(name)}, lab_->agent().environment());
    ASSERT_TRUE(eventually([&] { return jumpctl.out() == "ready\n"; })) << jumpctl.out() << jumpctl.err();
    jumpctl.signal(number);
    EXPECT_EQ(jumpctl.wait(seconds(20)), 9);
    EXPECT_TRUE(jumpctl.wait_output_end(seconds(20)));
    EXPECT_EQ(jumpctl.out(), std::string("ready\ngot ") + name + "\n");
  }
}

}  // namespace
}  // namespace jump::test
