// Clients of the agent's multiplexing socket that do it wrong: each is its own misfortune. A session of somebody
// else's answers as fast as before, every descriptor comes back, and the next client is served.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <future>

#include "base/wire.h"
#include "openssh/mux_messages.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/machine_delay.h"
#include "support/passing.h"
#include "support/proc_info.h"

namespace jump::test {
namespace {

std::string text_of(const Bytes& bytes) { return std::string(as_text(bytes)); }
std::string packet(const WireWriter& payload) { return text_of(WireWriter().string(payload.view()).take()); }
std::string hello() { return text_of(encode_mux(MuxHello{})); }
std::string request(const MuxRequest& wanted) { return text_of(encode_mux(wanted)); }
std::string session(const std::string& command) {
  MuxNewSession wanted;
  wanted.request_id = 1;
  wanted.command = command;
  return request(wanted);
}

// A client that does it right.
class MuxCaller {
 public:
  explicit MuxCaller(const std::string& path) : socket_(connect(path)) {
    socket_.send_all(hello());
    (void)next();  // its hello
  }
  Socket& socket() { return socket_; }
  std::optional<MuxAnswer> answer() {
    const Bytes bytes = next();
    Result<MuxAnswer> decoded = decode_mux_answer(bytes);
    return decoded ? std::optional(*decoded) : std::nullopt;
  }
  // Opens a session with these as its stdin, stdout and stderr.
  bool open(const std::string& command, int in, int out, int err) {
    socket_.send_all(session(command));
    for (const int each : {in, out, err}) send_passing(socket_, std::string(1, '\0'), {each});
    const std::optional<MuxAnswer> opened = answer();
    return opened && std::holds_alternative<MuxSessionOpened>(*opened);
  }
  static Socket connect(const std::string& path) {
    std::optional<Socket> socket = Socket::connect_unix(path);
    if (!socket) throw std::runtime_error("nobody listens at " + path);
    return std::move(*socket);
  }

 private:
  Bytes next() {
    const Received size = socket_.receive_exactly(4, seconds(20));
    if (size.bytes.size() < 4) return {};
    return socket_.receive_exactly(WireReader(size.bytes).u32(), seconds(20)).bytes;
  }
  Socket socket_;
};

// Somebody else's session: what is typed comes back.
class Echo {
 public:
  explicit Echo(const std::string& path) : caller_(path), far_(UniqueFd()) {
    SocketPair pair = make_socket_pair();
    UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    opened_ = caller_.open("cat", pair.one.get(), pair.one.get(), null.get());
    far_ = Socket(std::move(pair.two));
  }
  bool opened() const { return opened_; }
  Duration once() {
    const Stopwatch watch;
    far_.send_all("x\n");
    EXPECT_EQ(far_.receive_line(seconds(20)), "x");
    return watch.elapsed();
  }
  Duration median(int times) {
    std::vector<Duration> all;
    for (int i = 0; i < times; ++i) all.push_back(once());
    std::sort(all.begin(), all.end());
    return all[all.size() / 2];
  }

 private:
  MuxCaller caller_;
  Socket far_;
  bool opened_ = false;
};

struct Deed {
  const char* name;
  std::function<void(Socket&)> does;
};

int null_fd() {
  static const UniqueFd fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  return fd.get();
}
void descriptors(Socket& socket, int count, int fd = null_fd()) {
  for (int i = 0; i < count; ++i) send_passing(socket, std::string(1, '\0'), {fd});
}

MuxForward forward(std::uint32_t kind, std::uint32_t port) {
  MuxForward wanted;
  wanted.kind = static_cast<MuxForwardKind>(kind);
  wanted.listen = {"127.0.0.1", port};
  wanted.connect = {"127.0.0.1", 1};
  return wanted;
}

const std::vector<Deed>& deeds() {
  static const std::vector<Deed> all = {
      {"Silence", [](Socket&) {}},
      {"HalfAHello", [](Socket& s) { s.send_all(hello().substr(0, 6)); }},
      {"OneByteOfALength", [](Socket& s) { s.send_all(hello() + std::string(1, '\0')); }},
      {"Garbage", [](Socket& s) { s.send_all("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); }},
      {"HugeLength", [](Socket& s) { s.send_all(hello() + std::string("\xff\xff\xff\xff", 4)); }},
      {"LengthZero", [](Socket& s) { s.send_all(hello() + std::string(4, '\0')); }},
      {"AnotherVersion",
       [](Socket& s) {
         MuxHello other;
         other.version = 99;
         s.send_all(text_of(encode_mux(other)));
       }},
      {"TwoHellos", [](Socket& s) { s.send_all(hello() + hello()); }},
      {"RequestBeforeTheHello", [](Socket& s) { s.send_all(request(MuxAliveCheck{1})); }},
      {"SessionWithoutDescriptors", [](Socket& s) { s.send_all(hello() + session("true")); }},
      {"SessionWithBytesForDescriptors", [](Socket& s) { s.send_all(hello() + session("true") + std::string(3, '\0')); }},
      {"OneDescriptorOfThree",
       [](Socket& s) {
         s.send_all(hello() + session("true"));
         descriptors(s, 1);
       }},
      {"SixteenDescriptorsAtOnce", [](Socket& s) { send_passing(s, hello(), std::vector<int>(16, null_fd())); }},
      {"DescriptorsForNothing",
       [](Socket& s) {
         s.send_all(hello());
         descriptors(s, 20);
       }},
      {"ADirectoryForStdin",
       [](Socket& s) {
         const UniqueFd root(::open("/", O_RDONLY | O_CLOEXEC));
         s.send_all(hello() + session("cat"));
         descriptors(s, 3, root.get());
       }},
      {"UnknownRequest", [](Socket& s) { s.send_all(hello() + packet(WireWriter().u32(0x1000ffff).u32(1))); }},
      {"AnswerForRequest", [](Socket& s) { s.send_all(hello() + packet(WireWriter().u32(0x80000001).u32(1))); }},
      {"HalfARequest", [](Socket& s) { s.send_all(hello() + packet(WireWriter().u32(0x10000002).u32(1).u32(7))); }},
      {"StringBeyondThePacket",
       [](Socket& s) { s.send_all(hello() + packet(WireWriter().u32(0x10000002).u32(1).u32(0xfffffff0))); }},
      {"NonsenseForwards",
       [](Socket& s) {
         s.send_all(hello() + request(MuxOpenForward{1, forward(99, 70000)}) + request(MuxOpenForward{2, forward(1, 70000)}) +
                    request(MuxCloseForward{3, forward(2, 4)}));
       }},
      {"QuestionsWithoutReading",
       [](Socket& s) {
         std::string many = hello();
         for (std::uint32_t i = 0; i < 2000; ++i) many += request(MuxAliveCheck{i});
         s.send_until_stuck(milliseconds(20));
         s.send_all(many, milliseconds(200));
       }},
      {"TwoSessions",
       [](Socket& s) {
         s.send_all(hello() + session("sleep 30"));
         descriptors(s, 3);
         s.send_all(session("sleep 30"));
         descriptors(s, 3);
       }},
      {"DeathWithASession",
       [](Socket& s) {
         s.send_all(hello() + session("sleep 30"));
         descriptors(s, 3);
       }},
      {"DeathWithAForwardToNowhere",
       [](Socket& s) {
         MuxNewStdioForward wanted;
         wanted.connect = {"127.0.0.1", 1};
         s.send_all(hello() + request(wanted));
         descriptors(s, 2);
       }},
      {"ProxyThenGarbage", [](Socket& s) { s.send_all(hello() + request(MuxProxy{1}) + std::string(5000, 'x')); }},
      {"ProxyThenAHugePacket",
       [](Socket& s) { s.send_all(hello() + request(MuxProxy{1}) + std::string("\x7f\xff\xff\xff\0\x5a", 6)); }},
      {"ProxyThenDeathWithAChannel",
       [](Socket& s) {
         const WireWriter open = std::move(
             WireWriter().u8(0).u8(90).string(std::string_view("session")).u32(0).u32(100000).u32(32768));
         s.send_all(hello() + request(MuxProxy{1}) + packet(open));
       }},
      {"ProxyAndAChannelThatIsNotItsOwn",
       [](Socket& s) {
         std::string many;
         for (std::uint32_t i = 0; i < 50; ++i)
           many += packet(WireWriter().u8(0).u8(94).u32(i).string(std::string_view("intruder\n")));
         s.send_all(hello() + request(MuxProxy{1}) + many);
       }},
  };
  return all;
}

class MuxHostile : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    lab_ = new Lab({.sshd = {.config = {"MaxSessions 100"}}});
    const ProcessResult served = lab_->agent().ctl({"mux", Lab::kBastion});
    ASSERT_TRUE(served.ok()) << served.describe();
    path_ = served.out.substr(0, served.out.find('\n'));
    const ProcessResult warm = lab_->agent().ctl({"exec", Lab::kBastion, "true"});
    ASSERT_TRUE(warm.ok()) << warm.describe();
  }
  static void TearDownTestSuite() {
    delete lab_;
    lab_ = nullptr;
  }
  static nlohmann::json status() { return lab_->agent().status(); }

  static Lab* lab_;
  static std::string path_;
};
Lab* MuxHostile::lab_ = nullptr;
std::string MuxHostile::path_;

TEST_F(MuxHostile, EachKindIsItsOwnMisfortune) {
  const pid_t pid = lab_->agent().pid();
  Echo other(path_);
  ASSERT_TRUE(other.opened());
  other.once();
  const std::size_t before = open_descriptors(pid);
  for (const Deed& each : deeds()) {
    SCOPED_TRACE(each.name);
    for (int times = 0; times < 3; ++times) {
      Socket socket = MuxCaller::connect(path_);
      each.does(socket);
      other.once();
    }
    EXPECT_TRUE(eventually([&] { return open_descriptors(pid) <= before + 1; })) << open_descriptors(pid) << " of " << before;
  }
  EXPECT_TRUE(eventually([] { return status().at("agent").value("mux_clients", 0) <= 1; })) << status().at("agent");
  EXPECT_EQ(lab_->agent().pid(), pid);
}

// More answers than are kept for it wait, and behind them a request that has to be carried out.
TEST_F(MuxHostile, WhoReadsLateIsAnsweredToTheLast) {
  constexpr std::uint32_t kMany = 20000, kLast = kMany + 1;
  std::string many;
  for (std::uint32_t i = 1; i <= kMany; ++i) many += packet(WireWriter().u32(0x1000ffff).u32(i));
  many += request(MuxAliveCheck{kLast});
  MuxCaller late(path_);
  const auto sent = std::async(std::launch::async, [&] { return late.socket().send_all(many, seconds(60)); });
  // Nothing more of it is read, as nothing is taken.
  const auto waiting = [&] {
    int unread = 0;
    return ::ioctl(late.socket().fd(), FIONREAD, &unread) == 0 ? unread : -1;
  };
  ASSERT_TRUE(eventually([&] {
    const int now = waiting();
    return now > 0 && always([&] { return waiting() == now; }, milliseconds(300));
  }));
  for (std::uint32_t i = 1; i <= kMany; ++i) {
    const std::optional<MuxAnswer> answer = late.answer();
    ASSERT_TRUE(answer && std::holds_alternative<MuxFailure>(*answer)) << i;
  }
  const std::optional<MuxAnswer> last = late.answer();
  ASSERT_TRUE(last && std::holds_alternative<MuxAlive>(*last));
  EXPECT_EQ(std::get<MuxAlive>(*last).request_id, kLast);
}

// The server's answer comes when nobody waits for it any more.
TEST_F(MuxHostile, WhoGoesBeforeTheServerHasAnsweredHarmsNobody) {
  const pid_t pid = lab_->agent().pid();
  MuxForward remote = forward(2, 0), socks = forward(2, 0), path = forward(2, 1);
  remote.connect = MuxEnd{"127.0.0.1", 9};
  socks.connect = MuxEnd{"socks", 0};
  path.listen = MuxEnd{lab_->directory().file("r.sock"), MuxEnd::kUnixPort};
  path.connect = MuxEnd{"127.0.0.1", 9};
  const std::string requests[] = {request(MuxOpenForward{1, remote}), request(MuxOpenForward{1, socks}),
                                  request(MuxOpenForward{1, path}), request(MuxAliveCheck{1}),
                                  session("exit 0")};
  for (const bool exits : {false, true}) {
    ASSERT_TRUE(lab_->agent().ctl({"exec", Lab::kBastion, "true"}).ok());
    const std::vector<pid_t> server = process_descendants(lab_->sshd().listener_pid());
    for (pid_t each : server) ::kill(each, SIGSTOP);
    std::vector<std::unique_ptr<MuxCaller>> callers;
    for (const std::string& each : requests) {
      callers.push_back(std::make_unique<MuxCaller>(path_));
      callers.back()->socket().send_all(each);
      if (each == requests[4]) descriptors(callers.back()->socket(), 3);
    }
    // They are asked for when they are counted.
    EXPECT_TRUE(eventually([] { return status().at("forwards").size() == 3; })) << status();
    if (exits) {
      MuxCaller exit(path_);
      exit.socket().send_all(request(MuxTerminate{1}));
      const std::optional<MuxAnswer> done = exit.answer();
      EXPECT_TRUE(done && std::holds_alternative<MuxOk>(*done));
    }
    callers.clear();
    EXPECT_TRUE(eventually([] { return status().at("forwards").empty(); })) << status();
    for (pid_t each : server) ::kill(each, SIGCONT);
    EXPECT_TRUE(eventually([] { return status().at("sessions").empty(); })) << status();
  }
  EXPECT_EQ(lab_->agent().pid(), pid);
  EXPECT_TRUE(lab_->agent().ctl({"exec", Lab::kBastion, "true"}).ok());
}

TEST_F(MuxHostile, AllAtOnceSlowNobodyDown) {
  Echo other(path_);
  ASSERT_TRUE(other.opened());
  const Duration alone = other.median(30);
  std::vector<Socket> sockets;
  for (int times = 0; times < 3; ++times) {
    for (const Deed& each : deeds()) {
      sockets.push_back(MuxCaller::connect(path_));
      each.does(sockets.back());
    }
  }
  const MachineDelay machine;
  const Duration among = other.median(30);
  EXPECT_LT(to_seconds(among), 10 * to_seconds(alone) + 0.05 + to_seconds(machine.worst())) << to_seconds(alone) << " s alone";
  sockets.clear();
  MuxCaller next(path_);
  next.socket().send_all(request(MuxAliveCheck{5}));
  const std::optional<MuxAnswer> alive = next.answer();
  ASSERT_TRUE(alive && std::holds_alternative<MuxAlive>(*alive));
  EXPECT_EQ(std::get<MuxAlive>(*alive).request_id, 5u);
}

TEST_F(MuxHostile, AFloodOfSessionsIsServed) {
  Echo other(path_);
  ASSERT_TRUE(other.opened());
  std::vector<std::unique_ptr<MuxCaller>> callers;
  for (int i = 0; i < 60; ++i) {
    callers.push_back(std::make_unique<MuxCaller>(path_));
    callers.back()->socket().send_all(session("exit 7"));
    descriptors(callers.back()->socket(), 3);
  }
  other.once();
  for (const auto& each : callers) {
    const std::optional<MuxAnswer> opened = each->answer();
    ASSERT_TRUE(opened && std::holds_alternative<MuxSessionOpened>(*opened));
    const std::optional<MuxAnswer> end = each->answer();
    ASSERT_TRUE(end && std::holds_alternative<MuxExitMessage>(*end));
    EXPECT_EQ(std::get<MuxExitMessage>(*end).status, 7u);
  }
}

// A reader of the session's output has its end with the session, not with the client.
TEST_F(MuxHostile, PassedDescriptorsCloseWithTheSession) {
  MuxCaller caller(path_);
  SocketPair in = make_socket_pair();
  SocketPair out = make_socket_pair();
  ASSERT_TRUE(caller.open("echo text", in.one.get(), out.one.get(), null_fd()));
  in.one = UniqueFd();
  out.one = UniqueFd();
  Socket reader(std::move(out.two));
  const Received all = reader.receive_all(seconds(10));
  EXPECT_EQ(all.text(), "text\n");
  EXPECT_EQ(all.end, StreamEnd::kEof);
  EXPECT_TRUE(Socket(std::move(in.two)).wait_end(seconds(10)));
  EXPECT_TRUE(caller.socket().is_open());
}

// `-O conninfo` and `-O channels` of newer clients.
TEST_F(MuxHostile, InformationIsGivenToThoseWhoAsk) {
  MuxCaller caller(path_);
  for (const char* name : {"connection", "channels", "nonsense"}) {
    caller.socket().send_all(request(MuxExtInfo{3, name}));
    const std::optional<MuxAnswer> told = caller.answer();
    ASSERT_TRUE(told && std::holds_alternative<MuxExtInfoText>(*told)) << name;
    const auto& text = std::get<MuxExtInfoText>(*told);
    EXPECT_EQ(text.known, std::string(name) != "nonsense");
    EXPECT_FALSE(text.text.empty());
  }
}

}  // namespace
}  // namespace jump::test
