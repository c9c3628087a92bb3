// Sessions and streams on an upgraded connection (PROTOCOL.md, "Upgrades"): for clients that cannot pass
// descriptors, and what becomes of those who break the rules.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/wire.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/proc_info.h"
#include "support/socket.h"
#include "support/tcp_service.h"

namespace jump::test {
namespace {

using nlohmann::json;

enum Type : std::uint8_t { kStdin, kStdout, kStderr, kEnd, kStdinEnd, kResize, kSignal };

std::string frame(int type, std::string_view payload, std::optional<std::uint32_t> length = {}) {
  std::uint8_t header[5] = {static_cast<std::uint8_t>(type)};
  store_u32(&header[1], length.value_or(static_cast<std::uint32_t>(payload.size())));
  return std::string(as_text(header)) + std::string(payload);
}

class SessionFrames : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    lab_ = new Lab();
    const ProcessResult warm = lab_->agent().ctl({"exec", Lab::kBastion, "true"});
    EXPECT_TRUE(warm.ok()) << warm.describe();
  }
  static void TearDownTestSuite() {
    delete lab_;
    lab_ = nullptr;
  }
  SessionFrames() : before_(open_descriptors(lab_->agent().pid())) {}
  ~SessionFrames() override {
    EXPECT_TRUE(eventually([] { return lab_->agent().status().at("sessions").empty(); }))
        << lab_->agent().status().at("sessions");
    EXPECT_TRUE(eventually([this] { return open_descriptors(lab_->agent().pid()) <= before_ + 1; }));
    EXPECT_EQ(lab_->agent().ctl({"exec", Lab::kBastion, "echo", "served"}).out, "served\n");
  }

  static Socket client() {
    std::optional<Socket> socket = Socket::connect_unix(lab_->agent().socket_path());
    if (!socket) throw std::runtime_error("the agent does not accept control clients");
    return std::move(*socket);
  }
  static std::string request(const char* method, const json& params) {
    json all = params;
    all["upgrade"] = true;
    return json{{"jsonrpc", "2.0"}, {"id", 7}, {"method", method}, {"params", all}}.dump() + "\n";
  }
  static json line_of(Socket& socket) {
    const std::optional<std::string> line = socket.receive_line(seconds(20));
    return line ? json::parse(*line, nullptr, false) : json("no line");
  }
  static Socket session(const std::string& command, json more = json::object(), std::string* id = nullptr) {
    more["host"] = Lab::kBastion;
    more["command"] = command;
    Socket socket = client();
    EXPECT_TRUE(socket.send_all(request("session.open", more)));
    const json answer = line_of(socket);
    EXPECT_TRUE(answer.contains("result")) << answer;
    if (id) *id = answer.value("result", json::object()).value("session", "");
    return socket;
  }
  struct Frame {
    int type = -1;  // none: the connection ended
    std::string payload;
  };
  static Frame next(Socket& socket) {
    const Received header = socket.receive_exactly(5, seconds(20));
    if (header.bytes.size() < 5) return {};
    const std::uint32_t size = load_u32(&header.bytes[1]);
    return {header.bytes[0], std::string(socket.receive_exactly(size, seconds(20)).text())};
  }
  // All until the end: what each stream got, and the end.
  struct Whole {
    std::string out, err;
    json end;
  };
  static Whole all(Socket& socket) {
    Whole whole;
    for (Frame each = next(socket); each.type >= 0; each = next(socket)) {
      EXPECT_TRUE(whole.end.is_null()) << "a frame of type " << each.type << " behind the end";
      if (each.type == kStdout) whole.out += each.payload;
      if (each.type == kStderr) whole.err += each.payload;
      if (each.type == kEnd) whole.end = json::parse(each.payload, nullptr, false);
    }
    return whole;
  }
  static std::string kind_of(const json& answer) {
    return answer.is_object() && answer.contains("error") ? answer["error"]["data"].value("kind", "")
                                                          : "none";
  }

  static Lab* lab_;
  const std::size_t before_;
};
Lab* SessionFrames::lab_ = nullptr;

TEST_F(SessionFrames, CarryTheThreeStreamsAndTheEnd) {
  Socket socket = session("cat; echo err >&2; exit 3");
  ASSERT_TRUE(socket.send_all(frame(kStdin, "one ") + frame(kStdin, "") + frame(kStdin, "two") +
                              frame(kStdinEnd, "")));
  const Whole whole = all(socket);
  EXPECT_EQ(whole.out, "one two");
  EXPECT_EQ(whole.err, "err\n");
  EXPECT_EQ(whole.end.value("exit_status", -1), 3) << whole.end;
}

TEST_F(SessionFrames, ComeInAnyPieces) {
  Socket socket = session("cat");
  std::string sent;
  for (int i = 0; i < 200; ++i) sent += "line " + std::to_string(i) + "\n";
  const std::string bytes = frame(kStdin, sent) + frame(kStdinEnd, "");
  for (std::size_t at = 0; at < bytes.size(); at += 3) ASSERT_TRUE(socket.send_all(bytes.substr(at, 3)));
  EXPECT_EQ(all(socket).out, sent);
}

TEST_F(SessionFrames, TheEscapeForWhatIsOpenListsIt) {
  std::string id;
  Socket socket =
      session("stty -echo; read line; echo got $line", {{"tty", {{"term", "xterm"}, {"escape", "~"}}}}, &id);
  ASSERT_TRUE(socket.send_all(frame(kStdin, "~#end\r")));
  const Whole whole = all(socket);
  EXPECT_NE((whole.out + whole.err).find("#" + id + " "), std::string::npos) << whole.out << whole.err;
  EXPECT_NE(whole.out.find("got end"), std::string::npos) << whole.out;
}

TEST_F(SessionFrames, ResizeAndSignal) {
  Socket socket = session("trap 'stty size; exit 5' WINCH; stty size; while :; do sleep 0.05; done",
                          {{"tty", {{"term", "xterm"}, {"columns", 70}, {"rows", 20}}}});
  std::string shown;
  while (shown.find("20 70") == std::string::npos) {
    const Frame each = next(socket);
    ASSERT_EQ(each.type, kStdout) << shown;
    shown += each.payload;
  }
  ASSERT_TRUE(socket.send_all(frame(kSignal, R"({"signal":"USR1"})") +
                              frame(kResize, R"({"columns":111,"rows":33})")));
  const Whole whole = all(socket);
  EXPECT_NE(whole.out.find("33 111"), std::string::npos) << whole.out;
  EXPECT_EQ(whole.end.value("exit_status", -1), 5) << whole.end;
}

TEST_F(SessionFrames, ASizeAndASignalOvertakeStdinOverAnotherConnection) {
  std::string id;
  Socket socket =
      session("trap 'stty size; exit 5' WINCH; stty raw -echo; stty size; while :; do sleep 0.05; done",
              {{"tty", {{"term", "xterm"}, {"columns", 70}, {"rows", 20}}}}, &id);
  std::string shown;
  while (shown.find("20 70") == std::string::npos) {
    const Frame each = next(socket);
    ASSERT_EQ(each.type, kStdout) << shown;
    shown += each.payload;
  }
  // More than the remote program, the windows and the sockets on the way take.
  ASSERT_EQ(::fcntl(socket.fd(), F_SETFL, O_NONBLOCK), 0);
  const std::string block = frame(kStdin, std::string(65536, 'x'));
  const auto stuck = [&] {
    for (std::size_t rest = block.size(); rest > 0;) {
      const ssize_t count = ::send(socket.fd(), block.data() + block.size() - rest, rest, MSG_NOSIGNAL);
      if (count < 0) return true;
      rest -= static_cast<std::size_t>(count);
    }
    return false;
  };
  ASSERT_TRUE(
      eventually([&] { return stuck() && lab_->agent().host_status(Lab::kBastion).at("queued_out") > 0; }));
  ASSERT_EQ(::fcntl(socket.fd(), F_SETFL, 0), 0);

  Socket other = client();
  for (const json& ask :
       {json{{"method", "session.signal"}, {"params", {{"session", id}, {"signal", "USR1"}}}},
        json{{"method", "session.resize"}, {"params", {{"session", id}, {"columns", 111}, {"rows", 33}}}}}) {
    json all = ask;
    all.update({{"jsonrpc", "2.0"}, {"id", 1}});
    ASSERT_TRUE(other.send_all(all.dump() + "\n"));
    EXPECT_EQ(kind_of(line_of(other)), "none");
  }
  const Whole whole = all(socket);
  EXPECT_NE(whole.out.find("33 111"), std::string::npos) << whole.out;
  EXPECT_EQ(whole.end.value("exit_status", -1), 5) << whole.end;
}

TEST_F(SessionFrames, ALateReaderGetsAll) {
  Socket socket = session("head -c 5000000 /dev/zero; echo end >&2");
  ASSERT_TRUE(eventually([] {  // until nothing moves
    static std::uint64_t last = 0;
    const std::uint64_t now = lab_->agent().status().at("sessions").at(0).at("bytes_in");
    return std::exchange(last, now) == now && now > 0;
  }));
  const Whole whole = all(socket);
  EXPECT_EQ(whole.out.size(), 5'000'000U);
  EXPECT_EQ(whole.err, "end\n");
}

TEST_F(SessionFrames, MalformedOnesEndTheSessionWithAReason) {
  const std::pair<const char*, std::string> cases[] = {
      {"a type that only the agent sends", frame(kStdout, "x")},
      {"an end", frame(kEnd, "{}")},
      {"an unknown type", frame(7, "")},
      {"the last type", frame(255, "")},
      {"too long", frame(kStdin, "", 65'537)},
      {"as long as can be", frame(kStdin, "", 0xffffffff)},
      {"an end of stdin with bytes", frame(kStdinEnd, "x")},
      {"a resize that is no JSON", frame(kResize, "{")},
      {"an empty resize", frame(kResize, "")},
      {"a resize of another type", frame(kResize, R"({"columns":"many"})")},
      {"a signal without a name", frame(kSignal, "{}")},
      {"JSON in the middle", R"({"jsonrpc":"2.0","id":8,"method":"status"})"
                             "\n"},
  };
  for (const auto& [name, bytes] : cases) {
    SCOPED_TRACE(name);
    Socket socket = session("sleep 60");
    ASSERT_TRUE(socket.send_all(bytes));
    const Whole whole = all(socket);
    EXPECT_EQ(whole.end.value("error", json::object()).value("kind", ""), "protocol") << whole.end;
  }
}

TEST_F(SessionFrames, AClientThatGoesEndsTheSession) {
  { Socket socket = session("sleep 60"); }
  {
    Socket socket = session("sleep 60");  // which reads nothing of this
    const std::string piece = frame(kStdin, std::string(65'536, 'x'));
    std::size_t frames = 0;
    while (frames < 1000 && socket.send_all(piece, milliseconds(300))) ++frames;
    ASSERT_LT(frames, 1000U);
  }
  {
    Socket socket = session("yes");
    ASSERT_EQ(next(socket).type, kStdout);
  }
  {
    Socket socket = session("sleep 60");
    ASSERT_TRUE(socket.send_all(frame(kStdin, "half", 100)));
  }
}

TEST_F(SessionFrames, StdinAfterItsEndIsNobodysAndHarmsNothing) {
  Socket socket = session("cat; sleep 0.3; echo end");
  ASSERT_TRUE(socket.send_all(frame(kStdin, "one ") + frame(kStdinEnd, "") + frame(kStdin, "late") +
                              frame(kStdinEnd, "")));
  const Whole whole = all(socket);
  EXPECT_EQ(whole.out, "one end\n");
  EXPECT_EQ(whole.end.value("exit_status", -1), 0) << whole.end;
}

TEST_F(SessionFrames, AClientThatGoesInTheMiddleOfAFrameTakesNoOtherAlong) {
  Socket other = session("cat");
  const std::string resize = frame(kResize, R"({"columns":111,"rows":33})");
  for (const std::string& cut :
       {frame(kStdin, "half", 100), std::string(1, '\0'), resize.substr(0, 4), resize.substr(0, 5),
        resize.substr(0, resize.size() - 1), frame(kStdinEnd, "").substr(0, 3)}) {
    Socket socket = session("cat");
    ASSERT_TRUE(socket.send_all(cut));
  }
  ASSERT_TRUE(other.send_all(frame(kStdin, "unharmed") + frame(kStdinEnd, "")));
  EXPECT_EQ(all(other).out, "unharmed");
}

TEST_F(SessionFrames, AClientThatGoesBeforeTheReplyTakesNoOtherAlong) {
  Socket other = session("cat");
  const std::string ask = request("session.open", {{"host", Lab::kBastion}, {"command", "sleep 60"}});
  for (int i = 0; i < 5; ++i) {
    Socket socket = client();
    ASSERT_TRUE(socket.send_all(ask));
  }
  // The agent sees the request and the end at once.
  const pid_t agent = lab_->agent().pid();
  ::kill(agent, SIGSTOP);
  for (int i = 0; i < 5; ++i) {
    Socket socket = client();
    ASSERT_TRUE(socket.send_all(i % 2 == 0 ? ask : ask.substr(0, ask.size() / 2)));
  }
  ::kill(agent, SIGCONT);
  // The agent has asked the server, which does not answer yet.
  const std::vector<pid_t> servers = process_descendants(lab_->sshd().listener_pid());
  ASSERT_FALSE(servers.empty());
  const auto sessions = [] { return lab_->agent().status().at("sessions").size(); };
  EXPECT_TRUE(eventually([&] { return sessions() == 1; }));
  for (pid_t each : servers) ::kill(each, SIGSTOP);
  {
    Socket socket = client();
    ASSERT_TRUE(socket.send_all(ask));
    EXPECT_TRUE(eventually([&] { return sessions() == 2; }));
  }
  EXPECT_TRUE(eventually([&] { return sessions() == 1; }));
  for (pid_t each : servers) ::kill(each, SIGCONT);
  ASSERT_TRUE(other.send_all(frame(kStdin, "unharmed") + frame(kStdinEnd, "")));
  EXPECT_EQ(all(other).out, "unharmed");
}

TEST_F(SessionFrames, NoUpgradeWithBytesBehindTheRequest) {
  Socket socket = client();
  const json params = {{"host", Lab::kBastion}, {"command", "echo no"}};
  ASSERT_TRUE(socket.send_all(request("session.open", params) + frame(kStdinEnd, "")));
  EXPECT_EQ(kind_of(line_of(socket)), "invalid");
}

TEST_F(SessionFrames, NoUpgradeBesideAnotherRequest) {
  Socket socket = client();
  const json waits = {{"jsonrpc", "2.0"},
                      {"id", 6},
                      {"method", "host.connect"},
                      {"params", {{"host", "no-such-host.invalid"}}}};
  const pid_t pid = lab_->agent().pid();
  ::kill(pid, SIGSTOP);
  ASSERT_TRUE(socket.send_all(waits.dump() + "\n"));
  ASSERT_TRUE(socket.send_all(request("session.open", {{"host", Lab::kBastion}, {"command", "echo no"}})));
  ::kill(pid, SIGCONT);
  bool refused = false;
  for (int i = 0; i < 2; ++i) {
    const json answer = line_of(socket);
    if (answer.value("id", 0) == 7) refused = kind_of(answer) == "invalid";
  }
  EXPECT_TRUE(refused);
  ASSERT_TRUE(socket.send_all(request("session.open", {{"host", Lab::kBastion}, {"command", "echo yes"}})));
  EXPECT_TRUE(line_of(socket).contains("result"));
  EXPECT_EQ(all(socket).out, "yes\n");
}

TEST_F(SessionFrames, ARefusedUpgradeLeavesTheConnection) {
  Socket socket = client();
  ASSERT_TRUE(socket.send_all(request("session.open", {{"host", Lab::kBastion}, {"subsystem", "none"}})));
  EXPECT_EQ(kind_of(line_of(socket)), "refused");
  ASSERT_TRUE(socket.send_all(request("session.open", {{"host", Lab::kBastion}, {"command", "echo yes"}})));
  EXPECT_TRUE(line_of(socket).contains("result"));
  EXPECT_EQ(all(socket).out, "yes\n");
}

TEST_F(SessionFrames, ASendingSideThatEndsIsStdinsEnd) {
  for (const bool frame_too : {false, true}) {
    Socket socket = session("cat; echo end; exit 3");
    ASSERT_TRUE(socket.send_all(frame(kStdin, "in ") + (frame_too ? frame(kStdinEnd, "") : "")));
    socket.shutdown_write();
    const Whole whole = all(socket);
    EXPECT_EQ(whole.out, "in end\n");
    ASSERT_TRUE(whole.end.is_object());
    EXPECT_EQ(whole.end.value("exit_status", -1), 3) << whole.end;
  }
  const std::string cut = frame(kStdin, "half of it");
  for (const std::size_t size : {std::size_t{1}, std::size_t{5}, cut.size() - 1}) {
    Socket socket = session("cat; sleep 60");
    ASSERT_TRUE(socket.send_all(cut.substr(0, size)));
    socket.shutdown_write();
    const json end = all(socket).end;
    ASSERT_TRUE(end.is_object() && end.contains("error")) << size << end;
    EXPECT_EQ(end["error"].value("kind", ""), "protocol") << size;
  }
}

TEST_F(SessionFrames, AnUpgradedStreamIsTheBytes) {
  TcpService echo(TcpService::echo());
  Socket socket = client();
  ASSERT_TRUE(socket.send_all(
      request("stream.open", {{"host", "127.0.0.1"}, {"port", echo.port()}, {"via", Lab::kBastion}})));
  ASSERT_TRUE(line_of(socket).contains("result"));
  ASSERT_TRUE(socket.send_all(std::string_view("hello")));
  EXPECT_EQ(socket.receive_exactly(5).text(), "hello");
  socket.shutdown_write();
  EXPECT_EQ(socket.receive_all().end, StreamEnd::kEof);
}

TEST_F(SessionFrames, AStreamToNobodyIsRefused) {
  Socket socket = client();
  ASSERT_TRUE(
      socket.send_all(request("stream.open", {{"host", "127.0.0.1"}, {"port", 1}, {"via", Lab::kBastion}})));
  const std::string kind = kind_of(line_of(socket));
  EXPECT_TRUE(kind == "refused" || kind == "unreachable") << kind;
  ASSERT_TRUE(socket.send_all(std::string_view(R"({"jsonrpc":"2.0","id":8,"method":"forward.list"})"
                                               "\n")));
  EXPECT_TRUE(line_of(socket).contains("result"));
}

}  // namespace
}  // namespace jump::test
