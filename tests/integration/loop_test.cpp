// The loop folder against real sockets, processes and threads of this machine. Everything waits for an event,
// with one generous deadline; nothing sleeps and hopes.
#include "loop/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "base/log.h"
#include "base/fd.h"
#include "loop/lag_meter.h"
#include "loop/signals.h"
#include "loop/socket_address.h"
#include "loop/stream_socket.h"
#include "loop/uv_io.h"

namespace jump {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr seconds kDeadline{60};

// Keeps what a stream says; takes everything, or what `take` says.
struct Recorder : StreamHandler {
  std::size_t on_data(ByteView bytes) override {
    ++offers;
    std::size_t count = take ? take(bytes) : bytes.size();
    data += as_text(bytes.first(count));
    if (after_data) after_data();
    return count;
  }
  void on_eof() override {
    EXPECT_FALSE(eof);
    EXPECT_FALSE(closed);
    eof = true;
    if (after_eof) after_eof();
  }
  void on_writable() override {
    EXPECT_FALSE(closed);
    ++writable;
    if (after_writable) after_writable();
  }
  void on_closed(const Error* why) override {
    EXPECT_FALSE(closed) << "on_closed() is the last call";
    closed = true;
    if (why) error = *why;
    if (after_closed) after_closed();
  }

  std::string data;
  int offers = 0;
  bool eof = false;
  int writable = 0;
  bool closed = false;
  std::optional<Error> error;
  std::function<std::size_t(ByteView)> take;
  std::function<void()> after_data, after_eof, after_writable, after_closed;
};

std::string random_text(std::size_t size) {
  std::mt19937_64 random(4711);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

// Writes all of `text` to `stream`, as room comes.
struct Sender {
  Sender(ByteStream& to, Recorder& handler, std::string what) : stream(to), text(std::move(what)) {
    handler.after_writable = [this] { go(); };
    go();
  }
  void go() {
    std::size_t count = stream.write(as_bytes(std::string_view(text).substr(sent)));
    sent += count;
    if (sent < text.size()) ++short_writes;
    if (sent == text.size() && when_done) std::exchange(when_done, nullptr)();
  }
  bool done() const { return sent == text.size(); }

  ByteStream& stream;
  std::string text;
  std::size_t sent = 0;
  int short_writes = 0;
  std::function<void()> when_done;
};

// A blocking TCP client, for what only a raw socket can see.
Fd raw_connect(std::uint16_t port) {
  SocketAddress to = *SocketAddress::parse("127.0.0.1", port);
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(connect(fd.get(), to.get(), to.length), 0) << strerror(errno);
  return fd;
}

Fd raw_listen(const char* host, int backlog, std::uint16_t* port) {
  SocketAddress at = *SocketAddress::parse(host, *port);
  Fd fd(socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (at.family() == AF_INET6) {
    int on = 1;
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  if (bind(fd.get(), at.get(), at.length) != 0 || listen(fd.get(), backlog) != 0) return {};
  *port = SocketAddress::local_of(fd.get()).port();
  return fd;
}

// 0 when it connected, else errno.
int raw_unix_connect(const std::string& path, Fd* out = nullptr) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  path.copy(to.sun_path, sizeof(to.sun_path) - 1);
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int code = connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0 ? 0 : errno;
  if (out) *out = std::move(fd);
  return code;
}

// What the function returns in a process of its own; 128 + signal when that killed it.
int in_child(const std::function<int()>& run) {
  pid_t pid = fork();
  if (pid == 0) _exit(run());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// True when `done` became true in time.
bool spin(Loop& loop, UvIo& io, const std::function<bool()>& done) {
  bool late = false;
  auto limit = io.timer([&] { late = true; });
  limit->start(kDeadline);
  while (!done() && !late) loop.run_once();
  return done();
}

struct TempDir {
  TempDir() {
    char name[] = "/tmp/loop_test.XXXXXX";
    path = mkdtemp(name);
    chmod(path.c_str(), 0755);
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  std::string operator/(const std::string& name) const { return path + "/" + name; }
  std::string path;
};

class LoopTest : public ::testing::Test {
 protected:
  void until(const std::function<bool()>& done) {
    ASSERT_TRUE(spin(loop_, io_, done)) << "nothing more happened";
  }
  // Lets everything that is due happen.
  void settle() {
    bool over = false;
    auto timer = io_.timer([&] { over = true; });
    timer->start(milliseconds(30));
    until([&] { return over; });
  }

  std::unique_ptr<Listener> listen(Endpoint at, Io::Accepted accepted) {
    auto listener = io_.listen({.at = std::move(at)}, std::move(accepted));
    EXPECT_TRUE(listener.ok()) << listener.error().message;
    return listener.ok() ? *std::move(listener) : nullptr;
  }

  Result<std::unique_ptr<ByteStream>> dial(const Endpoint& to, Duration timeout = kDeadline) {
    std::optional<Result<std::unique_ptr<ByteStream>>> result;
    auto operation =
        io_.dial({.target = to, .timeout = timeout}, [&](auto done) { result.emplace(std::move(done)); });
    EXPECT_FALSE(result.has_value()) << "called from inside dial()";
    EXPECT_TRUE(spin(loop_, io_, [&] { return result.has_value(); }));
    return *std::move(result);
  }

  struct Pair {
    std::unique_ptr<ByteStream> a, b;  // dialed, accepted
    Recorder ra, rb;
    void start() {
      a->set_handler(&ra);
      b->set_handler(&rb);
    }
  };
  std::unique_ptr<Pair> pair(Endpoint at = {"127.0.0.1", 0, {}}) {
    auto made = std::make_unique<Pair>();
    auto listener = listen(at, [&](auto stream) { made->b = std::move(stream); });
    auto dialed = dial(listener->local());
    EXPECT_TRUE(dialed.ok()) << dialed.error().message;
    made->a = *std::move(dialed);
    EXPECT_TRUE(spin(loop_, io_, [&] { return made->b != nullptr; }));
    return made;
  }

  // A raw client and our side of it.
  std::unique_ptr<ByteStream> accept_raw(Fd* client) {
    std::unique_ptr<ByteStream> stream;
    auto listener = listen({"127.0.0.1", 0, {}}, [&](auto accepted) { stream = std::move(accepted); });
    *client = raw_connect(listener->local().port);
    EXPECT_TRUE(spin(loop_, io_, [&] { return stream != nullptr; }));
    return stream;
  }

  Result<CommandOutput> run(Command command) {
    std::optional<Result<CommandOutput>> result;
    auto operation = io_.run(command, [&](auto done) { result.emplace(std::move(done)); });
    EXPECT_FALSE(result.has_value()) << "called from inside run()";
    EXPECT_TRUE(spin(loop_, io_, [&] { return result.has_value(); }));
    return *std::move(result);
  }

  TempDir dir_;
  Loop loop_;
  UvIo io_{loop_};
};

// --- lag
// ---------------------------------------------------------------------------------------------------------

TEST(LagMeter, ForgetsWhatIsOlderThanAMinute) {
  LagMeter meter;
  TimePoint start = TimePoint(seconds(1000));
  meter.record(start, milliseconds(90));
  meter.record(start + seconds(30), milliseconds(10));
  LagStats both = meter.stats(start + seconds(59));
  EXPECT_EQ(both.worst, milliseconds(90));
  EXPECT_EQ(both.mean, milliseconds(50));
  EXPECT_EQ(both.turns, 2u);
  LagStats later = meter.stats(start + seconds(60));
  EXPECT_EQ(later.worst, milliseconds(10));
  EXPECT_EQ(later.turns, 1u);
  meter.record(start + seconds(60), milliseconds(1));  // takes the first one's place
  EXPECT_EQ(meter.stats(start + seconds(60)).turns, 2u);
  EXPECT_EQ(meter.stats(start + seconds(300)).turns, 0u);
}

TEST_F(LoopTest, LagIsTimeSpentWorkingAndNotTimeSpentWaiting) {
  bool fired = false;
  auto timer = io_.timer([&] { fired = true; });
  timer->start(milliseconds(400));
  until([&] { return fired; });
  EXPECT_LT(loop_.lag().worst, milliseconds(200));
  EXPECT_GE(loop_.lag().turns, 1u);

  auto busy = io_.deferred([] { std::this_thread::sleep_for(milliseconds(250)); });
  busy->schedule();
  settle();
  EXPECT_GE(loop_.lag().worst, milliseconds(250));
  EXPECT_LE(loop_.lag().mean, loop_.lag().worst);
}

// --- timers and deferred work
// ------------------------------------------------------------------------------------

TEST_F(LoopTest, TimerIsNeverEarly) {
  for (auto wait :
       {std::chrono::microseconds(300), std::chrono::microseconds(1700), std::chrono::microseconds(20001)}) {
    // libuv's idea of the time is old by now; the timer must not count from there.
    auto stale = io_.deferred([] { std::this_thread::sleep_for(milliseconds(15)); });
    stale->schedule();
    loop_.run_once();
    TimePoint began = io_.now();
    std::optional<TimePoint> fired;
    auto timer = io_.timer([&] { fired = io_.now(); });
    timer->start(wait);
    until([&] { return fired.has_value(); });
    EXPECT_GE(*fired - began, wait);
  }
}

TEST_F(LoopTest, TimerIsOneShotRestartableAndStoppable) {
  int fired = 0;
  auto timer = io_.timer([&] { ++fired; });
  timer->start(milliseconds(1));
  timer->start(milliseconds(2));
  until([&] { return fired == 1; });
  settle();
  EXPECT_EQ(fired, 1);
  timer->start(milliseconds(1));
  timer->stop();
  settle();
  EXPECT_EQ(fired, 1);
}

TEST_F(LoopTest, TimerMayRestartOrDestroyItselfWhileFiring) {
  int fired = 0;
  std::unique_ptr<Timer> timer = io_.timer([&] {
    if (++fired < 3) {
      timer->start(Duration::zero());
    } else {
      timer.reset();
    }
  });
  timer->start(Duration::zero());
  EXPECT_EQ(fired, 0) << "fired from inside start()";
  until([&] { return fired == 3; });
  EXPECT_EQ(timer, nullptr);
  settle();
}

TEST_F(LoopTest, DeferredRunsOnceForManySchedules) {
  int runs = 0;
  auto work = io_.deferred([&] { ++runs; });
  for (int i = 0; i < 100; ++i) work->schedule();
  EXPECT_EQ(runs, 0);
  settle();
  EXPECT_EQ(runs, 1);
}

TEST_F(LoopTest, DeferredThatSchedulesItselfDoesNotStarveTheLoop) {
  std::uint64_t runs = 0;
  std::unique_ptr<Deferred> work = io_.deferred([&] {
    ++runs;
    work->schedule();
  });
  work->schedule();
  settle();  // a timer fires meanwhile
  EXPECT_GT(runs, 2u);
}

TEST_F(LoopTest, DestroyedDeferredNeverRuns) {
  auto victim = io_.deferred([] { FAIL(); });
  std::unique_ptr<Deferred> work = io_.deferred([&] {
    victim.reset();
    work.reset();
  });
  work->schedule();
  victim->schedule();
  settle();
  EXPECT_EQ(work, nullptr);
}

TEST_F(LoopTest, RunEndsByStopAndWhenNothingIsLeft) {
  loop_.run();
  bool never = false;
  auto far = io_.timer([&] { never = true; });
  far->start(std::chrono::hours(1));
  auto near = io_.timer([&] { loop_.stop(); });
  near->start(milliseconds(1));
  loop_.run();
  EXPECT_FALSE(never);
}

TEST_F(LoopTest, DisposeDestroysFromTheLoop) {
  struct Noticed {
    explicit Noticed(bool* flag) : gone(flag) {}
    ~Noticed() { *gone = true; }
    bool* gone;
  };
  bool gone = false;
  io_.dispose(std::make_shared<Noticed>(&gone));
  EXPECT_FALSE(gone);
  settle();
  EXPECT_TRUE(gone);
}

// --- streams
// -----------------------------------------------------------------------------------------------------

TEST_F(LoopTest, EchoesOverTcpAndUnix) {
  for (const Endpoint& at : {Endpoint{"127.0.0.1", 0, {}}, Endpoint{{}, 0, dir_ / "echo"}}) {
    auto p = pair(at);
    p->rb.take = [&](ByteView bytes) { return p->b->write(bytes); };
    p->start();
    EXPECT_EQ(p->a->write(as_bytes("hello")), 5u);
    until([&] { return p->ra.data == "hello"; });
    EXPECT_THAT(p->a->describe(), StartsWith(at.is_unix() ? at.path : "127.0.0.1:"));
  }
}

TEST_F(LoopTest, BothDirectionsEndOneAfterTheOther) {
  for (const Endpoint& at : {Endpoint{"127.0.0.1", 0, {}}, Endpoint{{}, 0, dir_ / "half"}}) {
    auto p = pair(at);
    p->start();
    p->a->write(as_bytes("question"));
    p->a->shutdown_write();
    EXPECT_EQ(p->a->write(as_bytes("more")), 0u);
    until([&] { return p->rb.eof; });
    EXPECT_EQ(p->rb.data, "question");
    settle();
    EXPECT_FALSE(p->ra.closed || p->rb.closed) << "one direction is still open";

    std::string answer = random_text(3'000'000);
    Sender sender(*p->b, p->rb, answer);
    sender.when_done = [&] { p->b->shutdown_write(); };
    if (sender.done()) p->b->shutdown_write();
    until([&] { return p->ra.closed && p->rb.closed; });
    EXPECT_TRUE(p->ra.data == answer);
    EXPECT_TRUE(p->ra.eof);
    EXPECT_FALSE(p->ra.error || p->rb.error);
  }
}

TEST_F(LoopTest, SlowReaderStopsTheWriterAtABound) {
  auto p = pair();
  p->rb.take = [](ByteView) { return std::size_t{0}; };
  p->start();
  std::string chunk(1 << 20, 'x');
  std::size_t accepted = 0;
  int turns = 0;
  // The kernel's buffers fill, then ours; after that nothing is taken, however long we try.
  bool over = false;
  auto timer = io_.timer([&] { over = true; });
  timer->start(milliseconds(300));
  until([&] {
    accepted += p->a->write(as_bytes(chunk));
    ++turns;
    return over;
  });
  EXPECT_EQ(p->a->write(as_bytes(chunk)), 0u);
  EXPECT_LT(accepted, std::size_t{64} << 20);
  EXPECT_EQ(p->rb.offers, 1) << "offered again without resume_reading()";
  EXPECT_EQ(p->ra.writable, 0);

  p->rb.take = nullptr;
  p->b->resume_reading();
  EXPECT_EQ(p->rb.offers, 1) << "offered from inside resume_reading()";
  until([&] { return p->rb.data.size() == accepted && p->ra.writable > 0; });
  settle();
  EXPECT_EQ(p->ra.writable, 1) << "once after a short write";
}

TEST_F(LoopTest, PartialTakesPausesAndResumesKeepEveryByte) {
  auto p = pair();
  std::mt19937 random(1);
  auto resume = io_.deferred([&] { p->b->resume_reading(); });
  auto attach = io_.deferred([&] { p->b->set_handler(&p->rb); });
  p->rb.take = [&](ByteView bytes) {
    std::size_t count = random() % (bytes.size() + 1);
    switch (random() % 4) {
      case 0:  // a pause by the handler's absence, whatever was taken
        p->b->set_handler(nullptr);
        attach->schedule();
        break;
      case 1:
        p->b->resume_reading();
        break;  // too early is as good
      case 2:
        return bytes.size();
      default:
        break;
    }
    resume->schedule();
    return count;
  };
  p->start();
  std::string text = random_text(5'000'000);
  Sender sender(*p->a, p->ra, text);
  sender.when_done = [&] { p->a->shutdown_write(); };
  until([&] { return p->rb.eof; });
  EXPECT_TRUE(p->rb.data == text);
  EXPECT_GT(sender.short_writes, 0);
}

TEST_F(LoopTest, WithoutHandlerNothingIsReadAndNothingIsLost) {
  auto p = pair();
  p->a->set_handler(&p->ra);
  p->a->write(as_bytes("early"));
  p->a->close();
  settle();
  EXPECT_FALSE(p->ra.closed);
  p->b->set_handler(&p->rb);
  EXPECT_EQ(p->rb.offers, 0) << "called from inside set_handler()";
  until([&] { return p->rb.eof; });
  EXPECT_EQ(p->rb.data, "early");
  p->b->close();
  EXPECT_FALSE(p->rb.closed) << "called from inside close()";
  until([&] { return p->ra.closed && p->rb.closed; });
  EXPECT_FALSE(p->ra.error || p->rb.error);
}

TEST_F(LoopTest, AbortIsSeenAsResetByThePeer) {
  Fd client;
  auto stream = accept_raw(&client);
  Recorder recorder;
  stream->set_handler(&recorder);
  stream->write(as_bytes("part"));
  stream->abort();
  EXPECT_FALSE(recorder.closed) << "called from inside abort()";
  EXPECT_EQ(stream->write(as_bytes("x")), 0u);
  until([&] { return recorder.closed; });
  ASSERT_TRUE(recorder.error);
  EXPECT_EQ(recorder.error->code, Errc::kClosed);
  char buffer[16];
  ssize_t count = 0;
  while ((count = ::recv(client.get(), buffer, sizeof(buffer), 0)) > 0) {
  }
  EXPECT_EQ(count, -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST_F(LoopTest, DestroyingAnOpenStreamIsAbort) {
  Fd client;
  auto stream = accept_raw(&client);
  Recorder recorder;
  stream->set_handler(&recorder);
  stream->shutdown_write();  // a shutdown under way changes nothing about it
  stream.reset();
  char buffer[16];
  EXPECT_EQ(::recv(client.get(), buffer, sizeof(buffer), 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  settle();
  EXPECT_FALSE(recorder.closed);
}

TEST_F(LoopTest, PeersResetEndsTheStreamWithClosed) {
  auto p = pair();
  p->start();
  p->a->abort();
  until([&] { return p->rb.closed; });
  ASSERT_TRUE(p->rb.error);
  EXPECT_EQ(p->rb.error->code, Errc::kClosed);
  EXPECT_THAT(p->rb.error->message, HasSubstr("Connection reset by peer"));
  EXPECT_FALSE(p->rb.eof);
}

TEST_F(LoopTest, ResetRightBehindBytesIsNotAnOrderlyEnd) {
  auto p = pair();
  p->a->write(as_bytes("part"));
  p->a->abort();
  p->b->set_handler(&p->rb);
  until([&] { return p->rb.closed; });
  EXPECT_FALSE(p->rb.eof);
  ASSERT_TRUE(p->rb.error);
  EXPECT_EQ(p->rb.error->code, Errc::kClosed);
}

TEST_F(LoopTest, CloseSendsEverythingAcceptedAlthoughInputWasNotRead) {
  auto p = pair();
  p->ra.take = [](ByteView) { return std::size_t{0}; };
  p->rb.take = [&](ByteView bytes) {  // takes in small bites
    return std::min<std::size_t>(bytes.size(), 40'000);
  };
  p->start();
  p->b->write(as_bytes(std::string(300'000, 'j')));  // never read by a: it must not turn into a reset
  until([&] { return p->ra.offers > 0; });
  auto bite = io_.deferred([&] { p->b->resume_reading(); });
  p->rb.after_data = [&] { bite->schedule(); };
  p->rb.after_eof = [&] { p->b->close(); };
  std::string text = random_text(10 << 20);
  Sender sender(*p->a, p->ra, text);
  sender.when_done = [&] { p->a->close(); };
  until([&] { return p->ra.closed && p->rb.closed; });
  EXPECT_GT(sender.short_writes, 1);
  EXPECT_TRUE(p->rb.data == text) << p->rb.data.size();
  EXPECT_FALSE(p->ra.error) << p->ra.error->message;
  EXPECT_FALSE(p->rb.error) << p->rb.error->message;
}

TEST_F(LoopTest, CloseWaitsBoundedlyForAPeerThatGoesOnSending) {
  auto p = pair();
  p->start();
  std::string text(64 << 20, 'x');
  Sender sender(*p->b, p->rb, text);
  until([&] { return !p->ra.data.empty(); });
  p->a->close();
  TimePoint began = io_.now();
  until([&] { return p->ra.closed && p->rb.closed; });
  EXPECT_LT(io_.now() - began, StreamSocket::kLingerMax);
  EXPECT_FALSE(p->ra.error);
  EXPECT_TRUE(p->rb.error) << "its bytes were dropped: it must learn that";
}

TEST_F(LoopTest, CloseWaitsForAPausedPeerAsLongAsBytesAreOursAndNoLonger) {
  auto deaf = pair();    // does not even take what is sent
  auto silent = pair();  // takes all, and never closes
  Fd slow_client;        // takes a little now and then: that is progress
  auto slow = accept_raw(&slow_client);
  int small = 16 * 1024;
  setsockopt(slow_client.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  Recorder slow_recorder;
  slow->set_handler(&slow_recorder);
  deaf->a->set_handler(&deaf->ra);
  silent->start();
  std::string big(64 << 20, 'x');
  EXPECT_LT(deaf->a->write(as_bytes(big)), big.size());
  std::size_t sent = slow->write(as_bytes(big));
  EXPECT_LT(sent, big.size());
  silent->a->write(as_bytes("bye"));

  std::size_t received = 0;
  bool slow_end = false;
  std::vector<char> gulp(1 << 20);
  auto sip = [&](std::size_t most) {
    ssize_t count = ::recv(slow_client.get(), gulp.data(), most, MSG_DONTWAIT);
    if (count > 0) received += static_cast<std::size_t>(count);
    slow_end = count == 0 || (count < 0 && errno != EAGAIN);
  };
  std::unique_ptr<Timer> now_and_then = io_.timer([&] {
    sip(20'000);
    now_and_then->start(milliseconds(500));
  });
  now_and_then->start(milliseconds(500));
  TimePoint began = io_.now();
  deaf->a->close();
  silent->a->close();
  slow->close();
  until([&] { return silent->ra.closed; });
  EXPECT_GE(io_.now() - began, StreamSocket::kLingerMax);
  EXPECT_FALSE(deaf->ra.closed) << "its bytes would be lost; the owner decides";
  deaf->a->abort();
  until([&] { return deaf->ra.closed; });
  EXPECT_TRUE(deaf->ra.error);
  EXPECT_FALSE(silent->ra.error) << silent->ra.error->message;
  EXPECT_EQ(silent->rb.data, "bye");
  EXPECT_FALSE(slow_recorder.closed);
  std::unique_ptr<Timer> gulps = io_.timer([&] {
    sip(gulp.size());
    gulps->start(milliseconds(1));
  });
  gulps->start(milliseconds(1));
  until([&] { return slow_end; });
  EXPECT_EQ(received, sent);
}

TEST_F(LoopTest, LastWordsOfAPeerThatStoppedReadingAreDelivered) {
  auto p = pair({{}, 0, dir_ / "words"});
  p->ra.take = [](ByteView) { return std::size_t{0}; };
  p->start();
  p->b->write(as_bytes("413 too large"));
  until([&] { return p->ra.offers == 1; });
  p->b.reset();
  EXPECT_EQ(p->a->write(as_bytes("more")), 0u);
  settle();
  EXPECT_FALSE(p->ra.closed);
  p->ra.take = nullptr;
  p->a->resume_reading();
  until([&] { return p->ra.closed; });
  EXPECT_EQ(p->ra.data, "413 too large");
  EXPECT_FALSE(p->ra.eof) << "the end of input is not known to be orderly";
  ASSERT_TRUE(p->ra.error);
  EXPECT_EQ(p->ra.error->code, Errc::kClosed);
}

TEST_F(LoopTest, StreamMayBeDisposedOfInAnyCallback) {
  struct Case {
    const char* name;
    std::function<void()> Recorder::*hook;
  };
  for (const Case& c :
       {Case{"data", &Recorder::after_data}, Case{"eof", &Recorder::after_eof},
        Case{"writable", &Recorder::after_writable}, Case{"closed", &Recorder::after_closed}}) {
    for (bool at_once : {false, true}) {
      SCOPED_TRACE(std::string(c.name) + (at_once ? ", at once" : ", by dispose()"));
      auto p = pair();
      auto owned = std::make_unique<std::unique_ptr<ByteStream>>(std::move(p->a));
      ByteStream* a = owned->get();
      bool gone = false;
      p->ra.*c.hook = [&] {
        EXPECT_FALSE(gone);
        gone = true;
        if (at_once) {
          owned->reset();
        } else {
          io_.dispose(std::shared_ptr<ByteStream>(std::move(*owned)));
        }
      };
      a->set_handler(&p->ra);
      p->b->set_handler(&p->rb);
      p->b->write(as_bytes("hello"));
      if (c.hook == &Recorder::after_eof) p->b->shutdown_write();
      if (c.hook == &Recorder::after_closed) p->b->abort();
      if (c.hook == &Recorder::after_writable) {
        std::string big(64 << 20, 'x');
        EXPECT_LT(a->write(as_bytes(big)), big.size());
      }
      until([&] { return gone; });
      int offers = p->ra.offers;
      settle();
      EXPECT_EQ(p->ra.offers, offers);
      EXPECT_EQ(p->ra.closed, c.hook == &Recorder::after_closed);
    }
  }
}

TEST_F(LoopTest, AdoptsAPassedDescriptorAndRefusesAFile) {
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  auto left = io_.adopt(fds[0], "left");
  auto right = io_.adopt(fds[1], "right");
  ASSERT_TRUE(left.ok() && right.ok());
  Recorder recorder;
  (*right)->set_handler(&recorder);
  (*left)->write(as_bytes("over"));
  until([&] { return recorder.data == "over"; });
  auto file = io_.adopt(open("/dev/null", O_RDONLY), "null");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, Errc::kInvalid);
}

// --- dialing
// -----------------------------------------------------------------------------------------------------

TEST_F(LoopTest, DialRefusedSaysWhereAndWhy) {
  std::uint16_t port = 0;
  { Fd taken = raw_listen("127.0.0.1", 1, &port); }
  auto result = dial({"127.0.0.1", port, {}});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Errc::kUnreachable);
  EXPECT_EQ(result.error().message,
            "cannot connect to 127.0.0.1:" + std::to_string(port) + ": Connection refused");

  auto both = dial({"localhost", port, {}});
  ASSERT_FALSE(both.ok());
  EXPECT_THAT(both.error().message, StartsWith("cannot connect to localhost:" + std::to_string(port) + ": "));
  EXPECT_THAT(both.error().message, HasSubstr("127.0.0.1:" + std::to_string(port) + ": Connection refused"));
}

TEST_F(LoopTest, DialOfAnUnknownNameSaysSo) {
  auto result = dial({"no-such-host.invalid", 22, {}});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Errc::kUnreachable);
  EXPECT_THAT(result.error().message, StartsWith("cannot resolve no-such-host.invalid: "));
}

TEST_F(LoopTest, DialTimesOutWhenNobodyAnswers) {
  std::uint16_t port = 0;
  Fd deaf = raw_listen("127.0.0.1", 0, &port);
  // A full backlog drops what comes: the connection is neither made nor refused.
  SocketAddress to = *SocketAddress::parse("127.0.0.1", port);
  std::vector<Fd> fillers;
  for (int i = 0; i < 8; ++i) {
    fillers.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    connect(fillers.back().get(), to.get(), to.length);
  }
  auto result = dial({"127.0.0.1", port, {}}, milliseconds(400));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Errc::kTimeout);
  EXPECT_EQ(result.error().message, "no answer from 127.0.0.1:" + std::to_string(port) + " within 0.4 s");
}

TEST_F(LoopTest, DialTriesTheOtherFamilyOfLocalhost) {
  for (const char* only : {"127.0.0.1", "::1"}) {
    SCOPED_TRACE(only);
    std::uint16_t port = 0;
    Fd listening = raw_listen(only, 8, &port);
    if (!listening) GTEST_SKIP() << "no " << only << " here";
    auto result = dial({"localhost", port, {}});
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_THAT((*result)->describe(), HasSubstr(only));
  }
}

TEST_F(LoopTest, DialDoesNotWaitForADeafAddressBeforeTryingTheNext) {
  std::uint16_t port = 0;
  Fd deaf = raw_listen("::1", 0, &port);
  Fd good = raw_listen("127.0.0.1", 8, &port);
  if (!deaf || !good) GTEST_SKIP() << "needs ::1 and 127.0.0.1 on one port";
  SocketAddress to = *SocketAddress::parse("::1", port);
  std::vector<Fd> fillers;
  for (int i = 0; i < 8; ++i) {
    fillers.emplace_back(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    connect(fillers.back().get(), to.get(), to.length);
  }
  auto result = dial({"localhost", port, {}}, seconds(20));
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_THAT((*result)->describe(), HasSubstr("127.0.0.1"));
}

TEST_F(LoopTest, DialNamesEveryAddressThatFailed) {
  std::uint16_t port = 0;
  Fd free = raw_listen("127.0.0.1", 8, &port);
  if (!free || !raw_listen("::1", 8, &port)) GTEST_SKIP() << "needs ::1 and 127.0.0.1 on one port";
  free.reset();
  auto result = dial({"localhost", port, {}}, seconds(20));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Errc::kUnreachable);
  EXPECT_THAT(result.error().message, HasSubstr("[::1]:" + std::to_string(port) + ": "));
  EXPECT_THAT(result.error().message, HasSubstr("127.0.0.1:" + std::to_string(port) + ": "));
}

TEST_F(LoopTest, CancelledDialIsNeverReported) {
  std::uint16_t port = 0;
  Fd listening = raw_listen("127.0.0.1", 8, &port);
  for (const char* host : {"127.0.0.1", "localhost", "no-such-host.invalid"}) {
    bool cancelled = false;
    auto must_not_follow = [&](auto) { EXPECT_FALSE(cancelled); };
    auto unborn = io_.dial({.target = {host, port, {}}}, must_not_follow);
    auto under_way = io_.dial({.target = {host, port, {}}}, must_not_follow);
    unborn.reset();
    std::unique_ptr<Deferred> cancel =
        io_.deferred([&] {  // runs after both have begun and before their events
          under_way.reset();
          cancelled = true;
        });
    cancel->schedule();
    until([&] { return cancelled; });
    settle();
  }
}

TEST_F(LoopTest, DialMayBeDestroyedByItsResult) {
  std::unique_ptr<ByteStream> accepted;
  auto listener = listen({"127.0.0.1", 0, {}}, [&](auto s) { accepted = std::move(s); });
  std::unique_ptr<Operation> operation;
  bool done = false;
  operation = io_.dial({.target = listener->local()}, [&](auto) {
    operation.reset();
    done = true;
  });
  until([&] { return done; });
}

TEST_F(LoopTest, DialOfAMissingUnixSocketSaysSo) {
  auto result = dial({{}, 0, dir_ / "nobody"});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Errc::kUnreachable);
  EXPECT_EQ(result.error().message, "cannot connect to " + (dir_ / "nobody") + ": No such file or directory");
}

TEST_F(LoopTest, DialWaitsForRoomInAUnixBacklog) {
  std::string path = dir_ / "full";
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  path.copy(at.sun_path, sizeof(at.sun_path) - 1);
  Fd server(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(server.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
  ASSERT_EQ(::listen(server.get(), 0), 0);
  Fd filler;
  ASSERT_EQ(raw_unix_connect(path, &filler), 0);
  auto room = io_.timer([&] { Fd accepted(accept(server.get(), nullptr, nullptr)); });
  room->start(milliseconds(60));
  auto result = dial({{}, 0, path});
  EXPECT_TRUE(result.ok()) << result.error().message;
}

// --- listening
// ---------------------------------------------------------------------------------------------------

TEST_F(LoopTest, LocalhostListensOnBothFamilies) {
  std::vector<std::unique_ptr<ByteStream>> accepted;
  auto listener = listen({"localhost", 0, {}}, [&](auto s) { accepted.push_back(std::move(s)); });
  EXPECT_EQ(listener->local().host, "127.0.0.1");
  EXPECT_NE(listener->local().port, 0);
  ASSERT_TRUE(dial({"127.0.0.1", listener->local().port, {}}).ok());
  until([&] { return accepted.size() == 1; });
  std::uint16_t any = 0;
  if (!raw_listen("::1", 1, &any)) GTEST_SKIP() << "no ::1 here";
  ASSERT_TRUE(dial({"::1", listener->local().port, {}}).ok());
  until([&] { return accepted.size() == 2; });
  EXPECT_EQ(listener->stats().accepted, 2u);
}

TEST_F(LoopTest, StarListensOnAllAddressesAndEmptyIsLoopback) {
  std::vector<std::unique_ptr<ByteStream>> accepted;
  auto all = listen({"*", 0, {}}, [&](auto s) { accepted.push_back(std::move(s)); });
  EXPECT_EQ(all->local().host, "0.0.0.0");
  EXPECT_TRUE(dial({"127.0.0.2", all->local().port, {}}).ok());
  auto loopback = listen({"", 0, {}}, [](auto) {});
  EXPECT_EQ(loopback->local().host, "127.0.0.1");
  EXPECT_FALSE(dial({"127.0.0.2", loopback->local().port, {}}).ok());
}

TEST_F(LoopTest, PortInUseNamesTheHolder) {
  auto first = listen({"127.0.0.1", 0, {}}, [](auto) {});
  Endpoint at = first->local();
  auto second = io_.listen({.at = at}, [](auto) {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Errc::kInUse);
  EXPECT_EQ(second.error().message, at.to_string() + " is in use: held by this process");

  int told[2];
  ASSERT_EQ(pipe(told), 0);
  pid_t pid = fork();
  if (pid == 0) {
    std::uint16_t port = 0;
    Fd holder = raw_listen("127.0.0.1", 1, &port);
    if (write(told[1], &port, sizeof(port)) < 0) _exit(1);
    pause();
    _exit(0);
  }
  std::uint16_t port = 0;
  ASSERT_EQ(read(told[0], &port, sizeof(port)), static_cast<ssize_t>(sizeof(port)));
  auto third = io_.listen({.at = {"localhost", port, {}}}, [](auto) {});
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  ::close(told[0]);
  ::close(told[1]);
  ASSERT_FALSE(third.ok());
  EXPECT_THAT(third.error().message, HasSubstr("(pid " + std::to_string(pid) + ")"));

  first.reset();
  EXPECT_TRUE(io_.listen({.at = at}, [](auto) {}).ok()) << "the port is free as soon as the listener is gone";
}

TEST_F(LoopTest, ListenRefusesNamesAndForeignAddresses) {
  auto name = io_.listen({.at = {"example.invalid", 0, {}}}, [](auto) {});
  ASSERT_FALSE(name.ok());
  EXPECT_EQ(name.error().code, Errc::kInvalid);
  EXPECT_THAT(name.error().message, HasSubstr("'example.invalid' is a name"));
  auto foreign = io_.listen({.at = {"192.0.2.1", 0, {}}}, [](auto) {});
  ASSERT_FALSE(foreign.ok());
  EXPECT_EQ(foreign.error().code, Errc::kUnreachable);
}

TEST_F(LoopTest, PrivilegedPortIsRefusedWithTheReason) {
  int first_free = 1024;
  std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> first_free;
  if (first_free <= 81) GTEST_SKIP() << "this machine has no privileged ports";
  int code = in_child([] {
    if (geteuid() == 0 && setuid(65534) != 0) return 2;
    Loop loop;
    UvIo io(loop);
    auto result = io.listen({.at = {"127.0.0.1", 81, {}}}, [](auto) {});
    bool right = !result.ok() && result.error().code == Errc::kRefused &&
                 result.error().message.find("privileged") != std::string::npos;
    return right ? 0 : 1;
  });
  EXPECT_EQ(code, 0);
}

TEST_F(LoopTest, ListenerMayBeDestroyedByItsOwnAccept) {
  std::unique_ptr<Listener> listener;
  int accepted = 0;
  listener = listen({"127.0.0.1", 0, {}}, [&](auto) {
    ++accepted;
    listener.reset();
  });
  Fd a = raw_connect(listener->local().port);
  Fd b = raw_connect(listener->local().port);
  until([&] { return accepted > 0; });
  settle();
  EXPECT_EQ(accepted, 1);
}

TEST_F(LoopTest, OutOfDescriptorsPausesAcceptingAndLosesNobody) {
  // In a process of its own, as the limit is the process's.
  int code = in_child([] {
    log::set_level(log::Level::kOff);  // UBSan checks calls into spdlog by means of a descriptor
    Loop loop;
    UvIo io(loop);
    std::vector<std::unique_ptr<ByteStream>> streams;
    auto listener = io.listen({.at = {"127.0.0.1", 0, {}}}, [&](auto s) { streams.push_back(std::move(s)); });
    if (!listener.ok()) return 10;
    // UBSan looks at each kind of object once, by means of descriptors: now, while there are some.
    constexpr std::size_t kClients = 7;
    std::vector<Fd> clients;
    clients.push_back(raw_connect((*listener)->local().port));
    if (!spin(loop, io, [&] { return (*listener)->stats().pauses == 0 && streams.size() == 1; })) return 18;
    while (clients.size() < kClients) clients.push_back(raw_connect((*listener)->local().port));

    // All numbers but two are taken.
    Fd highest(dup(0));
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = static_cast<rlim_t>(highest.get()) + 2;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return 11;
    if (!spin(loop, io, [&] { return (*listener)->stats().pauses >= 2; })) return 12;
    std::size_t before = streams.size();
    if (before < 2 || before >= kClients) return 13;
    // Paused means asleep: ten retries a second, not a spin.
    std::uint64_t turns = loop.lag().turns;
    std::uint64_t pauses = (*listener)->stats().pauses;
    if (!spin(loop, io, [&] { return (*listener)->stats().pauses >= pauses + 3; })) return 14;
    if (loop.lag().turns - turns > 50) return 15;

    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return 16;
    if (!spin(loop, io, [&] { return streams.size() == kClients; })) return 17;
    return 0;
  });
  EXPECT_EQ(code, 0);
}

// --- Unix sockets
// ------------------------------------------------------------------------------------------------

TEST_F(LoopTest, OwnUserOnlySocketIsPrivateAndLeavesNothingBehind) {
  mode_t old = umask(0);  // the widest there is must not matter
  std::string path = dir_ / "control.sock";
  int accepted = 0;
  auto listener = io_.listen({.at = {{}, 0, path}, .own_user_only = true}, [&](auto) { ++accepted; });
  umask(old);
  ASSERT_TRUE(listener.ok()) << listener.error().message;
  struct stat made {};
  ASSERT_EQ(stat(path.c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777, 0600u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_.path), {}), 1)
      << "a temporary name is left";
  ASSERT_TRUE(dial({{}, 0, path}).ok());
  until([&] { return accepted == 1; });
  *listener = nullptr;
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(LoopTest, PeersOfAnotherUserAreTurnedAwayAndCounted) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  std::string path = dir_ / "own";
  auto listener = io_.listen({.at = {{}, 0, path}, .own_user_only = true}, [](auto) { FAIL(); });
  ASSERT_TRUE(listener.ok());
  auto connect_as_nobody = [&](bool wait_for_end) {
    return in_child([&] {
      if (setgid(65534) != 0 || setuid(65534) != 0) return 254;
      Fd fd;
      int code = raw_unix_connect(path, &fd);
      char byte;
      if (code == 0 && wait_for_end) return ::recv(fd.get(), &byte, 1, 0) <= 0 ? 0 : 253;
      return code;
    });
  };
  EXPECT_EQ(connect_as_nobody(false), EACCES) << "its mode alone keeps others out";
  chmod(path.c_str(), 0666);
  auto asked = std::async(std::launch::async, [&] { return connect_as_nobody(true); });
  until([&] { return (*listener)->stats().turned_away == 1; });
  EXPECT_EQ(asked.get(), 0);
}

// As a process leaves it that was killed.
void leave_stale_socket(const std::string& path) {
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  path.copy(at.sun_path, sizeof(at.sun_path) - 1);
  Fd dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(bind(dead.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
}

// With and without own_user_only.
class UnixListenTest : public LoopTest, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(ForOwnUserOnly, UnixListenTest, testing::Bool());

TEST_P(UnixListenTest, StaleSocketIsReplacedAndALiveOneIsNot) {
  std::string path = dir_ / "stale";
  leave_stale_socket(path);
  ListenOptions options{.at = {{}, 0, path}, .own_user_only = GetParam()};
  auto first = io_.listen(options, [](auto) {});
  ASSERT_TRUE(first.ok()) << first.error().message;
  auto second = io_.listen(options, [](auto) {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Errc::kInUse);
  EXPECT_EQ(raw_unix_connect(path), 0) << "the first one is unharmed";

  std::string file = dir_ / "file";
  std::ofstream(file) << "precious";
  auto third = io_.listen({.at = {{}, 0, file}, .own_user_only = GetParam()}, [](auto) {});
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code, Errc::kInUse);
  EXPECT_EQ(std::filesystem::file_size(file), 8u);
}

TEST_P(UnixListenTest, AStaleSocketOfAnotherUserIsLeftAlone) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make a socket somebody else's";
  std::string path = dir_ / "foreign";
  leave_stale_socket(path);
  ASSERT_EQ(chown(path.c_str(), 65534, 65534), 0);
  auto refused = io_.listen({.at = {{}, 0, path}, .own_user_only = GetParam()}, [](auto) {});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Errc::kInUse);
  EXPECT_THAT(refused.error().message, HasSubstr("another user's"));
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(LoopTest, ListenerRemovesOnlyItsOwnName) {
  std::string path = dir_ / "name";
  auto first = listen({{}, 0, path}, [](auto) {});
  std::filesystem::rename(path, dir_ / "moved");
  auto second = listen({{}, 0, path}, [](auto) {});
  first.reset();
  EXPECT_EQ(raw_unix_connect(path), 0);
  second.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(LoopTest, PlainUnixListenerIsPrivateAndRefusesALiveName) {
  std::string path = dir_ / "plain";
  auto first = listen({{}, 0, path}, [](auto) {});
  struct stat made {};
  ASSERT_EQ(stat(path.c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777, 0600u);
  auto second = io_.listen({.at = {{}, 0, path}}, [](auto) {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Errc::kInUse);
  auto lost = io_.listen({.at = {{}, 0, dir_ / "no/such/dir"}}, [](auto) {});
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code, Errc::kNotFound);
}

TEST_F(LoopTest, PathsLongerThanTheKernelsLimitWork) {
  std::string deep = dir_ / std::string(120, 'd');
  std::filesystem::create_directory(deep);
  for (bool own : {false, true}) {
    int accepted = 0;
    Endpoint at{{}, 0, deep + (own ? "/own" : "/plain")};
    auto listener = io_.listen({.at = at, .own_user_only = own}, [&](auto) { ++accepted; });
    ASSERT_TRUE(listener.ok()) << listener.error().message;
    auto result = dial(at);
    ASSERT_TRUE(result.ok()) << result.error().message;
    until([&] { return accepted == 1; });
    *listener = nullptr;
    EXPECT_FALSE(std::filesystem::exists(at.path));
  }
  auto hopeless = io_.listen({.at = {{}, 0, dir_ / std::string(120, 'n')}}, [](auto) {});
  ASSERT_FALSE(hopeless.ok());
  EXPECT_EQ(hopeless.error().code, Errc::kInvalid);
  EXPECT_THAT(hopeless.error().message, HasSubstr("107 bytes"));
}

// --- child processes
// ---------------------------------------------------------------------------------------------

TEST_F(LoopTest, RunCollectsOutputAndStatus) {
  auto result = run({.argv = {"sh", "-c", "echo out; echo err >/dev/stderr; cat; exit 7"}});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->exit_status, 7);
  EXPECT_EQ(result->out, "out\n");
  EXPECT_EQ(result->err, "err\n");
  auto killed = run({.argv = {"sh", "-c", "kill -KILL $$"}});
  ASSERT_TRUE(killed.ok());
  EXPECT_EQ(killed->exit_status, 128 + SIGKILL);
}

TEST_F(LoopTest, RunReportsAMissingProgram) {
  auto result = run({.argv = {"no-such-program-here"}});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Errc::kNotFound);
  EXPECT_EQ(result.error().message, "no-such-program-here: no such program in PATH");
  auto empty = run({.argv = {}});
  ASSERT_FALSE(empty.ok());
  EXPECT_EQ(empty.error().code, Errc::kInvalid);
}

TEST_F(LoopTest, ChildInheritsNothingButItsStdio) {
  Fd leaky(dup(0));  // without close-on-exec
  sigset_t mask;
  sigset_t before;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  sigprocmask(SIG_BLOCK, &mask, &before);
  auto fds = run({.argv = {"sh", "-c", "ls /proc/$$/fd; readlink /proc/$$/fd/0"}});
  auto signals = run({.argv = {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"}});
  sigprocmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(fds.ok() && signals.ok());
  EXPECT_EQ(fds->out, "0\n1\n2\n/dev/null\n");
  EXPECT_EQ(signals->out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_F(LoopTest, ChildBeyondItsTimeOrOutputIsKilledAndReaped) {
  std::string pid_file = dir_ / "pid";
  auto late =
      run({.argv = {"sh", "-c", "trap '' TERM; echo $$ > " + pid_file + "; while :; do sleep 0.1; done"},
           .timeout = seconds(3)});
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, Errc::kTimeout);
  EXPECT_EQ(late.error().message, "sh did not finish within 3 s");
  int pid = 0;
  std::ifstream(pid_file) >> pid;
  ASSERT_GT(pid, 0);
  // It ignores SIGTERM; reaped means that not even a zombie is left.
  until([&] {
    auto poke = io_.timer([] {});
    poke->start(milliseconds(20));
    loop_.run_once();
    return kill(pid, 0) != 0 && errno == ESRCH;
  });

  auto chatty = run({.argv = {"sh", "-c", "yes"}, .output_limit = 1000});
  ASSERT_FALSE(chatty.ok());
  EXPECT_EQ(chatty.error().code, Errc::kLimit);
  EXPECT_EQ(chatty.error().message, "sh wrote more than 1000 bytes to stdout");
  auto exact = run({.argv = {"sh", "-c", "printf 1234"}, .output_limit = 4});
  ASSERT_TRUE(exact.ok());
  EXPECT_EQ(exact->out, "1234");
}

TEST_F(LoopTest, CancelledChildIsKilledReapedAndNotReported) {
  std::string pid_file = dir_ / "pid";
  auto operation =
      io_.run({.argv = {"sh", "-c", "echo $$ > " + pid_file + "; exec sleep 600"}}, [](auto) { FAIL(); });
  int pid = 0;
  until([&] {
    auto poke = io_.timer([] {});
    poke->start(milliseconds(5));
    loop_.run_once();
    std::ifstream(pid_file) >> pid;
    return pid > 0;
  });
  operation.reset();
  until([&] {
    auto poke = io_.timer([] {});
    poke->start(milliseconds(5));
    loop_.run_once();
    return kill(pid, 0) != 0 && errno == ESRCH;
  });
  auto unborn = io_.run({.argv = {"sh", "-c", "echo"}}, [](auto) { FAIL(); });
  unborn.reset();
  settle();
}

TEST_F(LoopTest, GrandchildHoldingThePipesDoesNotDelayTheResult) {
  TimePoint began = io_.now();
  auto result = run({.argv = {"sh", "-c", "sleep 8 & echo done"}});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->out, "done\n");
  EXPECT_LT(io_.now() - began, seconds(6));
}

TEST_F(LoopTest, RunMayBeDestroyedByItsResult) {
  for (const char* program : {"true", "no-such-program-here"}) {
    std::unique_ptr<Operation> operation;
    bool done = false;
    operation = io_.run({.argv = {program}}, [&](auto) {
      operation.reset();
      done = true;
    });
    until([&] { return done; });
  }
}

// --- pool and signals
// --------------------------------------------------------------------------------------------

TEST_F(LoopTest, PoolWorkBlocksAThreadAndNotTheLoop) {
  std::promise<void> go;
  std::thread::id worker;
  std::thread::id reporter;
  bool done = false;
  auto operation = io_.in_pool(
      [&] {
        worker = std::this_thread::get_id();
        go.get_future().wait();
      },
      [&] {
        reporter = std::this_thread::get_id();
        done = true;
      });
  settle();  // the loop lives
  EXPECT_FALSE(done);
  go.set_value();
  until([&] { return done; });
  EXPECT_EQ(reporter, std::this_thread::get_id());
  EXPECT_NE(worker, reporter);
}

TEST_F(LoopTest, CancelledPoolWorkRunsAndIsNotReported) {
  auto ran = std::make_shared<std::promise<void>>();
  std::future<void> future = ran->get_future();
  auto operation = io_.in_pool([ran] { ran->set_value(); }, [] { FAIL(); });
  operation.reset();
  until([&] { return future.wait_for(seconds(0)) == std::future_status::ready; });
  settle();
}

TEST_F(LoopTest, SignalsArriveOnTheLoop) {
  std::vector<int> seen;
  auto signals = Signals::watch(loop_, {SIGHUP, SIGWINCH}, [&](int number) { seen.push_back(number); });
  ASSERT_TRUE(signals.ok());
  raise(SIGHUP);
  EXPECT_TRUE(seen.empty());
  until([&] { return seen.size() == 1; });
  raise(SIGWINCH);
  until([&] { return seen.size() == 2; });
  EXPECT_EQ(seen, (std::vector<int>{SIGHUP, SIGWINCH}));
}

// --- the end of the loop
// -----------------------------------------------------------------------------------------

TEST(LoopEnd, ObjectsThatOutliveTheLoopAreHarmless) {
  auto loop = std::make_unique<Loop>();
  auto io = std::make_unique<UvIo>(*loop);
  std::unique_ptr<ByteStream> accepted;
  auto listener = io->listen({.at = {"127.0.0.1", 0, {}}}, [&](auto s) { accepted = std::move(s); });
  ASSERT_TRUE(listener.ok());
  std::unique_ptr<ByteStream> dialed;
  auto dial = io->dial({.target = (*listener)->local()}, [&](auto s) { dialed = *std::move(s); });
  ASSERT_TRUE(spin(*loop, *io, [&] { return accepted && dialed; }));
  Recorder recorder;
  accepted->set_handler(&recorder);
  dialed->set_handler(&recorder);
  std::string big(32 << 20, 'x');
  dialed->write(as_bytes(big));
  auto timer = io->timer([] { FAIL(); });
  timer->start(milliseconds(1));
  auto deferred = io->deferred([] { FAIL(); });
  deferred->schedule();
  auto child = io->run({.argv = {"sleep", "600"}}, [](auto) { FAIL(); });
  auto lookup = io->dial({.target = {"no-such-host.invalid", 1, {}}}, [](auto) { FAIL(); });
  auto pool = io->in_pool([] {}, [] { FAIL(); });
  int offers = recorder.offers;

  io.reset();
  loop.reset();
  EXPECT_EQ(recorder.offers, offers);
  EXPECT_EQ(dialed->write(as_bytes("x")), 0u);
  dialed->set_handler(&recorder);
  dialed->resume_reading();
  dialed->shutdown_write();
  dialed->close();
  accepted->abort();
  timer->start(milliseconds(1));
  timer->stop();
  deferred->schedule();
  EXPECT_FALSE(recorder.closed);
}

TEST(LoopEnd, RunningChildrenAreKilledAndReaped) {
  TempDir dir;
  std::string pid_file = dir / "pid";
  int pid = 0;
  {
    Loop loop;
    UvIo io(loop);
    auto child = io.run(
        {.argv = {"sh", "-c", "trap '' TERM; echo $$ > " + pid_file + "; while :; do sleep 0.1; done"}},
        [](auto) { FAIL(); });
    ASSERT_TRUE(spin(loop, io, [&] {
      auto poke = io.timer([] {});
      poke->start(milliseconds(5));
      loop.run_once();
      std::ifstream(pid_file) >> pid;
      return pid > 0;
    }));
  }
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST(LoopEnd, BusyPoolThreadDoesNotHoldUpTheEnd) {
  int code = in_child([] {
    auto hold = std::make_shared<std::promise<void>>();
    auto begun = std::make_shared<std::promise<void>>();
    TimePoint began;
    {
      Loop loop;
      UvIo io(loop);
      auto work = io.in_pool(
          [hold, begun] {
            begun->set_value();
            hold->get_future().wait();
          },
          [] {});
      begun->get_future().wait();
      began = Clock::now();
    }
    return Clock::now() - began < seconds(8) ? 0 : 1;  // _exit(): a thread is still in there
  });
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace jump
