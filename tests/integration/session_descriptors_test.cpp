// The descriptors of a session stay their owner's: no flag of theirs changes, what is shared goes on to work
// for the others who have it, and each is let go of the moment the session ends. And clients that pass them
// wrongly, or go in the middle, cost nobody anything.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "support/build_kind.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/machine_delay.h"
#include "support/passing.h"
#include "support/pattern.h"
#include "support/proc_info.h"
#include "support/stuck_files.h"

namespace jump::test {
namespace {

using nlohmann::json;

class SessionDescriptors : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    machine_ = new MachineDelay();
    lab_ = new Lab();
    const ProcessResult warm = lab_->agent().ctl({"exec", Lab::kBastion, "true"});
    EXPECT_TRUE(warm.ok()) << warm.describe();
    pid_ = lab_->agent().pid();
  }
  static void TearDownTestSuite() {
    delete lab_;
    lab_ = nullptr;
    delete machine_;
    machine_ = nullptr;
  }
  SessionDescriptors() {
    EXPECT_TRUE(eventually([] { return sessions().empty(); }));
    before_ = open_descriptors(pid_);
  }
  // Whatever a test did: nothing of it stays, and the next session is served.
  ~SessionDescriptors() override {
    EXPECT_TRUE(eventually([this] { return open_descriptors(pid_) <= before_ + 1; }))
        << open_descriptors(pid_) << " descriptors, before: " << before_;
    const ProcessResult next = lab_->agent().ctl({"exec", Lab::kBastion, "echo", "served"});
    EXPECT_EQ(next.out, "served\n") << next.describe();
    EXPECT_TRUE(eventually([] { return sessions().empty(); })) << sessions();
    EXPECT_EQ(lab_->agent().pid(), pid_);
  }

  static json sessions() { return lab_->agent().status().at("sessions"); }
  static Socket client() {
    std::optional<Socket> socket = Socket::connect_unix(lab_->agent().socket_path());
    if (!socket) throw std::runtime_error("the agent does not accept control clients");
    return std::move(*socket);
  }
  static std::string request(const std::string& command, json more = {},
                             const char* method = "session.open") {
    json params = {{"host", Lab::kBastion}, {"command", command}};
    if (!more.is_null()) params.update(more);
    return json{{"jsonrpc", "2.0"}, {"id", 7}, {"method", method}, {"params", params}}.dump() + "\n";
  }
  static json line_of(Socket& socket) {
    const std::optional<std::string> line = socket.receive_line(seconds(20));
    return line ? json::parse(*line, nullptr, false) : json("no line");
  }
  static json open(Socket& socket, const std::string& command, const std::vector<int>& descriptors) {
    EXPECT_TRUE(send_passing(socket, request(command), descriptors));
    return line_of(socket);
  }
  static std::string kind_of(const json& answer) {
    return answer.is_object() && answer.contains("error") ? answer["error"]["data"].value("kind", "")
                                                          : "none";
  }
  static std::string read_all(int fd) {
    return std::string(Socket(UniqueFd(::dup(fd))).receive_all(seconds(20)).text());
  }
  static std::string drain(int fd) {
    std::string all;
    char buffer[4096];
    for (ssize_t count; (count = ::read(fd, buffer, sizeof buffer)) > 0;)
      all.append(buffer, static_cast<std::size_t>(count));
    return all;
  }

  static MachineDelay* machine_;
  static Lab* lab_;
  static pid_t pid_;
  std::size_t before_ = 0;
};
MachineDelay* SessionDescriptors::machine_ = nullptr;
Lab* SessionDescriptors::lab_ = nullptr;
pid_t SessionDescriptors::pid_ = 0;

// --- whose they are

struct Ends {
  std::string kind;
  UniqueFd given;              // to the session, in all three roles
  std::vector<UniqueFd> kept;  // so that it has another end
};

std::vector<Ends> all_kinds(const TempDir& directory) {
  std::vector<Ends> kinds;
  TerminalPair terminal = make_terminal();
  kinds.push_back({"terminal", std::move(terminal.slave), {}});
  kinds.back().kept.push_back(std::move(terminal.master));
  TerminalPair master = make_terminal();
  kinds.push_back({"master of a terminal", std::move(master.master), {}});
  kinds.back().kept.push_back(std::move(master.slave));
  SocketPair pair = make_socket_pair();
  kinds.push_back({"socket", std::move(pair.one), {}});
  kinds.back().kept.push_back(std::move(pair.two));
  kinds.push_back({"file", UniqueFd(::open(directory.write("any", "").c_str(), O_RDWR | O_CLOEXEC)), {}});
  kinds.push_back({"/dev/null", UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)), {}});
  kinds.push_back({"/dev/zero", UniqueFd(::open("/dev/zero", O_RDWR | O_CLOEXEC)), {}});
  const std::string fifo = directory.file("fifo");
  (void)::mkfifo(fifo.c_str(), 0600);
  kinds.push_back({"fifo", UniqueFd(::open(fifo.c_str(), O_RDWR | O_CLOEXEC)), {}});
  return kinds;
}

TEST_F(SessionDescriptors, KeepTheirFlags) {
  TempDir directory;
  for (const int nonblocking : {0, O_NONBLOCK}) {
    for (Ends& ends : all_kinds(directory)) {
      const int fd = ends.given.get();
      ASSERT_EQ(::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | nonblocking), 0);
      const int flags = ::fcntl(fd, F_GETFL);
      Socket socket = client();
      const json opened = open(socket, "echo out; echo err >&2; read line", {fd, fd, fd});
      EXPECT_TRUE(opened.contains("result")) << ends.kind << opened;
      EXPECT_EQ(::fcntl(fd, F_GETFL), flags) << ends.kind << ", while the session runs";
      socket.close();
      EXPECT_TRUE(eventually([] { return sessions().empty(); })) << ends.kind;
      EXPECT_EQ(::fcntl(fd, F_GETFL), flags) << ends.kind << ", after it";
    }
  }
}

TEST_F(SessionDescriptors, AreLetGoOfTheMomentTheSessionEnds) {
  TestPipe in = make_pipe(), out = make_pipe(), err = make_pipe();
  Socket socket = client();
  ASSERT_TRUE(
      open(socket, "echo out; echo err >&2; exit 3", {in.read.get(), out.write.get(), err.write.get()})
          .contains("result"));
  in.read.reset();
  out.write.reset();
  err.write.reset();
  EXPECT_EQ(drain(out.read.get()), "out\n");  // to its end, although the client's connection stays
  EXPECT_EQ(drain(err.read.get()), "err\n");
  const json end = line_of(socket);
  EXPECT_EQ(end.value("method", ""), "session.ended") << end;
  EXPECT_EQ(end["params"].value("exit_status", -1), 3) << end;
  ::signal(SIGPIPE, SIG_IGN);
  EXPECT_LT(::write(in.write.get(), "x", 1), 0) << "stdin is held still";
}

TEST_F(SessionDescriptors, ASharedSocketIsNotShutDown) {
  SocketPair pair = make_socket_pair();
  const int fd = pair.one.get();
  for (int round = 0; round < 2; ++round) {
    Socket socket = client();
    ASSERT_TRUE(open(socket, "echo a", {fd, fd, fd}).contains("result"));
    EXPECT_EQ(line_of(socket).value("method", ""), "session.ended");
    ASSERT_EQ(::send(fd, "b\n", 2, MSG_NOSIGNAL), 2);
  }
  pair.one.reset();
  EXPECT_EQ(read_all(pair.two.get()), "a\nb\na\nb\n");
}

TEST_F(SessionDescriptors, ASharedConnectionIsNotReset) {
  std::optional<Socket> near;
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  UniqueFd listening(listener);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  near = Socket::connect_tcp(ntohs(address.sin_port));
  ASSERT_TRUE(near);
  Socket far(UniqueFd(::accept(listener, nullptr, nullptr)));
  Socket socket = client();
  const int fd = far.fd();
  ASSERT_TRUE(open(socket, "read line; echo got $line", {fd, fd, fd}).contains("result"));
  ASSERT_TRUE(near->send_all(std::string_view("1\n")));
  EXPECT_EQ(near->receive_line().value_or("nothing"), "got 1");
  EXPECT_EQ(line_of(socket).value("method", ""), "session.ended");
  ASSERT_TRUE(far.send_all(std::string_view("more\n")));
  far.close();
  const Received rest = near->receive_all();
  EXPECT_EQ(rest.text(), "more\n");
  EXPECT_EQ(rest.end, StreamEnd::kEof);
}

TEST_F(SessionDescriptors, WhatManyWhoDidNotReadHaveCostIsGivenBack) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer keeps what is freed";
  constexpr int kMany = 40;
  constexpr std::size_t kMiB = std::size_t{1} << 20, kMuch = 30 * kMiB, kLittle = 20 * kMiB;
  const pid_t pid = lab_->agent().pid();
  const std::size_t before = resident_bytes(pid);
  std::vector<TestPipe> pipes;
  std::vector<Socket> clients;
  for (int i = 0; i < kMany; ++i) {
    pipes.push_back(make_pipe());
    clients.push_back(client());
    const int out = pipes.back().write.get();
    ASSERT_TRUE(
        open(clients.back(), "exec cat /dev/zero", {pipes.back().read.get(), out, out}).contains("result"));
  }
  ASSERT_TRUE(eventually([&] { return resident_bytes(pid) > before + kMuch; }))
      << before << " -> " << resident_bytes(pid);
  pipes.clear();
  clients.clear();
  EXPECT_TRUE(eventually([&] { return sessions().empty(); }));
  EXPECT_TRUE(eventually([&] { return resident_bytes(pid) < before + kLittle; }))
      << before << " -> " << resident_bytes(pid);
  // The further connections that it took would stay for a while.
  ASSERT_TRUE(lab_->agent().ctl({"disconnect", Lab::kBastion}).ok());
  ASSERT_TRUE(lab_->agent().ctl({"connect", Lab::kBastion}).ok());
}

TEST_F(SessionDescriptors, AReaderThatStopsDisturbsNobody) {
  TestPipe stuck = make_pipe(), in = make_pipe();
  SocketPair stuck_socket = make_socket_pair();
  Socket one = client(), two = client();
  ASSERT_TRUE(open(one, "yes", {in.read.get(), stuck.write.get(), stuck.write.get()}).contains("result"));
  ASSERT_TRUE(open(two, "yes >&2", {in.read.get(), stuck_socket.one.get(), stuck_socket.one.get()})
                  .contains("result"));
  // Until nothing moves there any more.
  std::uint64_t last = 0;
  ASSERT_TRUE(eventually([&] {
    std::uint64_t sum = 0;
    for (const json& each : sessions()) sum += each.at("bytes_in").get<std::uint64_t>();
    return std::exchange(last, sum) == sum && sum > 0;
  }));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(lab_->agent().ctl({"exec", Lab::kBastion, "echo", "ok"}).out, "ok\n");
  EXPECT_LT(lab_->agent().status().at("agent").at("loop_lag_max").get<double>(),
            (kSanitized ? 2 : 0.2) + to_seconds(machine_->lost()));
  char buffer[65536];
  for (std::size_t total = 0; total < 8 << 20;) {  // and it goes on when it is read again
    const ssize_t count = ::read(stuck.read.get(), buffer, sizeof buffer);
    ASSERT_GT(count, 0);
    total += static_cast<std::size_t>(count);
  }
}

// The command has ended well, and the server has sent all; but part of it did not get to where it should.
TEST(SessionCutShort, IsNoSuccessWhateverTheCommandSaid) {
  constexpr std::size_t kSize = 1'000'000;
  Lab lab;
  ASSERT_TRUE(lab.agent().ctl({"connect", Lab::kBastion}).ok());
  TestPipe out = make_pipe();
  Process exec({"bash", "-c",
                "exec " + ctl_program() + " exec bastion 'head -c " + std::to_string(kSize) +
                    " /dev/zero' </dev/null >/proc/" + std::to_string(getpid()) + "/fd/" +
                    std::to_string(out.write.get())},
               lab.agent().environment());
  ASSERT_TRUE(eventually([&] {
    const json host = lab.agent().host_status(Lab::kBastion);
    return host.value("held_in", std::size_t{0}) > kSize / 2 &&
           host.value("bytes_in", std::size_t{0}) >= kSize;
  })) << lab.agent().status().dump(2);
  EXPECT_TRUE(eventually([&] { return lab.sshd().log().find("Close session") != std::string::npos; }))
      << lab.sshd().log();
  lab.sshd().kill_all();
  out.write.reset();
  std::size_t got = 0;
  char buffer[65536];
  for (ssize_t count; (count = ::read(out.read.get(), buffer, sizeof buffer)) > 0;)
    got += static_cast<std::size_t>(count);
  EXPECT_EQ(exec.wait(seconds(20)), got == kSize ? 0 : 255) << exec.err();
  EXPECT_EQ(exec.err().find(Lab::kBastion) != std::string::npos, got < kSize) << exec.err();
}

TEST(SessionCutShort, NamesTheBreakAlsoWhereTheOutputHadEnded) {
  Lab lab;
  Process exec({ctl_program(), "exec", Lab::kBastion, "exec >&- 2>&-; sleep 100"}, lab.agent().environment());
  ASSERT_TRUE(eventually([&] { return lab.agent().status().at("sessions").size() == 1; }));
  EXPECT_TRUE(always([&] { return exec.running(); }, milliseconds(300)));  // the end of its output is heard
  lab.sshd().kill_all();
  EXPECT_EQ(exec.wait(seconds(20)), 255);
  EXPECT_NE(exec.err().find("connection closed by the server"), std::string::npos) << exec.err();
}

TEST_F(SessionDescriptors, CarryBulkOverSockets) {
  const std::size_t size = bulk_size();
  SocketPair in = make_socket_pair(), out = make_socket_pair();
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  Socket socket = client();
  ASSERT_TRUE(open(socket, "cat", {in.one.get(), out.one.get(), null.get()}).contains("result"));
  in.one.reset();
  out.one.reset();
  std::thread sender([&in, size] {
    Socket to(std::move(in.two));
    Pattern pattern(5);
    Bytes piece(64 * 1024);
    for (std::size_t left = size; left > 0; left -= piece.size()) {
      piece.resize(std::min(left, piece.size()));
      pattern.fill(piece);
      if (!to.send_all(piece)) return;
    }
  });
  Socket from(std::move(out.two));
  Sha256 got;
  std::size_t total = 0;
  Bytes buffer(256 * 1024);
  for (std::size_t count = 0; from.receive_some(buffer, &count) == StreamEnd::kOpen; total += count)
    got.update(ByteView(buffer).first(count));
  sender.join();
  EXPECT_EQ(total, size);
  EXPECT_EQ(got.hex(), pattern_sha256(5, size));
}

// --- clients that do it wrongly

TEST_F(SessionDescriptors, TooFewAreRefusedAndTooManyAreClosed) {
  TestPipe out = make_pipe();
  const int null = out.write.get();
  for (const std::size_t count : {0U, 1U, 2U}) {
    Socket socket = client();
    EXPECT_EQ(kind_of(open(socket, "echo no", std::vector<int>(count, null))), "invalid") << count;
    // The connection goes on.
    ASSERT_TRUE(socket.send_all(std::string_view(R"({"jsonrpc":"2.0","id":8,"method":"forward.list"})"
                                                 "\n")));
    EXPECT_TRUE(line_of(socket).contains("result"));
  }
  UniqueFd input(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (const std::size_t count : {4U, 8U, 9U, 100U}) {
    std::vector<int> all(count, null);
    all[0] = input.get();
    Socket socket = client();
    const json answer = open(socket, "echo many", all);
    EXPECT_TRUE(answer.contains("result")) << count << answer;
    EXPECT_EQ(line_of(socket).value("method", ""), "session.ended") << count;
  }
  out.write.reset();
  EXPECT_EQ(drain(out.read.get()), "many\nmany\nmany\nmany\n");  // and nobody has it still
}

TEST_F(SessionDescriptors, WrongOnesAreRefused) {
  TestPipe pipe = make_pipe();
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const int read = pipe.read.get(), write = pipe.write.get(), any = null.get();
  for (const std::vector<int>& three :
       {std::vector<int>{write, any, any}, {any, read, any}, {any, any, read}}) {
    Socket socket = client();
    EXPECT_EQ(kind_of(open(socket, "echo no", three)), "invalid");
  }
}

// The agent would hold the client's end itself, and never hear of its death.
TEST_F(SessionDescriptors, AConnectionToTheAgentIsRefused) {
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const int any = null.get();
  Socket other = client();
  for (int role = 0; role < 3; ++role) {
    for (const bool own : {true, false}) {
      Socket socket = client();
      std::vector<int> three(3, any);
      three[static_cast<std::size_t>(role)] = own ? socket.fd() : other.fd();
      const json answer = open(socket, "sleep 60", three);
      EXPECT_EQ(kind_of(answer), "invalid") << role << own << answer;
    }
  }
  ASSERT_TRUE(
      send_passing(other, request("", {{"host", "127.0.0.1"}, {"port", 1}}, "stream.open"), {other.fd()}));
  const json answer = line_of(other);
  EXPECT_NE(answer.dump().find("a connection to this agent itself"), std::string::npos) << answer;
}

// Each of the calls that the agent makes on a descriptor is one that its server would have to answer.
TEST_F(SessionDescriptors, AFileWhoseServerHangsHoldsUpNobodyElse) {
  UniqueFd both, readable;  // closed after its end, as close() waits for it, too
  StuckFiles files;
  if (!files) GTEST_SKIP() << "mounting needs root, and /dev/fuse";
  both = UniqueFd(::open(files.file().c_str(), O_RDWR | O_CLOEXEC));
  readable = UniqueFd(::open(files.file().c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(both.get() >= 0 && readable.get() >= 0);
  // No process is started meanwhile: its copies of the descriptors would be closed, which asks that server
  // too.
  const auto status = []() -> json {
    Socket socket = client();
    EXPECT_TRUE(socket.send_all(std::string_view(R"({"jsonrpc":"2.0","id":8,"method":"status"})"
                                                 "\n")));
    const std::optional<std::string> line = socket.receive_line(seconds(2));
    return line ? json::parse(*line).value("result", json()) : json();
  };
  const auto served = [&] { return status().contains("sessions"); };
  files.stick();
  const int stuck = both.get(), any = null.get();
  for (const json& more : {json(), json{{"tty", json::object()}}}) {
    for (const std::vector<int>& three : {std::vector<int>{any, stuck, any}, {stuck, any, any}}) {
      Socket socket = client();
      ASSERT_TRUE(send_passing(socket, request("echo out; cat", more), three));
      if (!served()) {
        ADD_FAILURE() << "nobody was served while it began";
        return files.end();
      }
      EXPECT_TRUE(line_of(socket).contains("result"));
      EXPECT_TRUE(served()) << "while it runs";
      socket.close();
      EXPECT_TRUE(eventually([&] {
        const json now = status();
        return now.contains("sessions") && now["sessions"].empty();
      }));
      if (testing::Test::HasFailure()) return files.end();
    }
  }
  Socket socket = client();
  EXPECT_EQ(kind_of(open(socket, "echo no", {any, readable.get(), stuck})), "invalid");
  EXPECT_TRUE(served()) << "after a refusal";
  EXPECT_GT(files.unanswered(), 0);
  files.end();
}

TEST_F(SessionDescriptors, BelongToTheLineWhoseBytesTheyCameWith) {
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const std::string list = R"({"jsonrpc":"2.0","id":8,"method":"forward.list"})"
                           "\n";
  const std::string wanted = request("echo mine");
  const auto expect_runs = [&](Socket& socket, int answers_before) {
    for (int i = 0; i < answers_before; ++i) EXPECT_EQ(line_of(socket).value("id", 0), 8);
    const json opened = line_of(socket);
    EXPECT_TRUE(opened.contains("result")) << opened;
    EXPECT_EQ(line_of(socket).value("method", ""), "session.ended");
  };
  {
    SCOPED_TRACE("behind other lines, which are read together with it");
    TestPipe out = make_pipe();
    Socket socket = client();
    ::kill(pid_, SIGSTOP);
    ASSERT_TRUE(socket.send_all(list + list));
    ASSERT_TRUE(send_passing(socket, wanted, {null.get(), out.write.get(), null.get()}));
    ::kill(pid_, SIGCONT);
    expect_runs(socket, 2);
    out.write.reset();
    EXPECT_EQ(drain(out.read.get()), "mine\n");
  }
  {
    SCOPED_TRACE("in the middle of the line");
    TestPipe out = make_pipe();
    Socket socket = client();
    ASSERT_TRUE(socket.send_all(wanted.substr(0, 20)));
    ASSERT_TRUE(send_passing(socket, wanted.substr(20, 10), {null.get(), out.write.get(), null.get()}));
    ASSERT_TRUE(socket.send_all(wanted.substr(30)));
    expect_runs(socket, 0);
    out.write.reset();
    EXPECT_EQ(drain(out.read.get()), "mine\n");
  }
  {
    SCOPED_TRACE("with the last byte of the line");
    TestPipe out = make_pipe();
    Socket socket = client();
    ASSERT_TRUE(socket.send_all(wanted.substr(0, wanted.size() - 1)));
    ASSERT_TRUE(send_passing(socket, "\n", {null.get(), out.write.get(), null.get()}));
    expect_runs(socket, 0);
  }
  {
    SCOPED_TRACE("with another request, which does not want them");
    TestPipe out = make_pipe();
    Socket socket = client();
    ASSERT_TRUE(send_passing(socket, list, {out.write.get(), out.write.get(), out.write.get()}));
    EXPECT_TRUE(line_of(socket).contains("result"));
    out.write.reset();
    EXPECT_EQ(drain(out.read.get()), "");  // it was closed
    ASSERT_TRUE(socket.send_all(wanted));
    EXPECT_EQ(kind_of(line_of(socket)), "invalid");
  }
  {
    SCOPED_TRACE("with garbage, with empty lines, without a line");
    TestPipe out = make_pipe();
    Socket socket = client();
    const std::vector<int> three(3, out.write.get());
    ASSERT_TRUE(send_passing(socket, "garbage\n", three));
    EXPECT_TRUE(line_of(socket).contains("error"));
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(send_passing(socket, "\n", three));
    ASSERT_TRUE(send_passing(socket, "{\"half\":", three));
    socket.close();
    out.write.reset();
    EXPECT_EQ(drain(out.read.get()), "");
  }
}

TEST_F(SessionDescriptors, AClientThatGoesLeavesNothing) {
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const std::string cold = json{{"jsonrpc", "2.0"},
                                {"id", 7},
                                {"method", "session.open"},
                                {"params", {{"host", "no-such-host.invalid"}, {"command", "true"}}}}
                               .dump() +
                           "\n";
  for (const std::string& line : {cold, request("sleep 60")}) {
    TestPipe out = make_pipe();
    {
      Socket socket = client();
      ASSERT_TRUE(send_passing(socket, line, {null.get(), out.write.get(), out.write.get()}));
    }  // gone before the answer
    out.write.reset();
    EXPECT_EQ(drain(out.read.get()), "");
  }
  TestPipe out = make_pipe();
  {
    Socket socket = client();
    ASSERT_TRUE(open(socket, "echo $$; exec sleep 60", {null.get(), out.write.get(), out.write.get()})
                    .contains("result"));
    out.write.reset();
    char first = 0;
    ASSERT_EQ(::read(out.read.get(), &first, 1), 1);
  }  // gone in the middle of it
  const std::string remote = drain(out.read.get());
  EXPECT_FALSE(remote.empty());
  TestPipe busy = make_pipe();
  {
    Socket socket = client();
    ASSERT_TRUE(open(socket, "yes", {null.get(), busy.write.get(), busy.write.get()}).contains("result"));
    busy.write.reset();
    char some[1000];
    ASSERT_GT(::read(busy.read.get(), some, sizeof some), 0);
  }  // gone in the middle of output that it does not read
  EXPECT_FALSE(drain(busy.read.get()).empty());
}

TEST_F(SessionDescriptors, AClientThatEndsItsSideHearsOfTheEnd) {
  TestPipe in = make_pipe(), out = make_pipe();
  Socket socket = client();
  ASSERT_TRUE(
      open(socket, "read line; echo got $line; exit 5", {in.read.get(), out.write.get(), out.write.get()})
          .contains("result"));
  socket.shutdown_write();
  ASSERT_EQ(::write(in.write.get(), "1\n", 2), 2);
  const json end = line_of(socket);
  EXPECT_EQ(end["params"].value("exit_status", -1), 5) << end;
  EXPECT_TRUE(socket.wait_end(seconds(10)));
  out.write.reset();
  EXPECT_EQ(drain(out.read.get()), "got 1\n");
}

TEST_F(SessionDescriptors, AnotherClientsSessionIsOutOfReach) {
  TestPipe in = make_pipe();
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  Socket owner = client(), other = client();
  const json opened = open(owner, "read line", {in.read.get(), null.get(), null.get()});
  const std::string id = opened.at("result").at("session");
  for (const char* method : {"session.resize", "session.signal"}) {
    const json ask = {
        {"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", {{"session", id}, {"signal", "TERM"}}}};
    ASSERT_TRUE(other.send_all(ask.dump() + "\n"));
    EXPECT_EQ(kind_of(line_of(other)), "not_found") << method;
  }
}

}  // namespace
}  // namespace jump::test
