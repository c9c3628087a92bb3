// A child process as a stream, and where a dial comes from, against real processes and sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "loop/loop.h"
#include "loop/socket_address.h"
#include "loop/stream_socket.h"
#include "loop/uv_io.h"
#include "support/eventually.h"
#include "support/proc_info.h"

namespace jump::test {
namespace {

using ::testing::HasSubstr;

struct Recorder final : StreamHandler {
  std::size_t on_data(ByteView bytes) override {
    data += as_text(bytes);
    return bytes.size();
  }
  void on_eof() override { eof = true; }
  void on_writable() override {}
  void on_closed(const Error* why) override {
    EXPECT_FALSE(closed) << "on_closed() is the last call";
    closed = true;
    if (why) error = *why;
  }
  std::string data;
  bool eof = false, closed = false;
  std::optional<Error> error;
};

class ChildStreamTest : public testing::Test {
 protected:
  bool until(const std::function<bool()>& condition) {
    bool late = false;
    auto deadline = io.timer([&] { late = true; });
    deadline->start(seconds(30));
    while (!condition() && !late) loop.run_once();
    return condition();
  }
  void start(const std::string& script) {
    auto started = io.spawn_stream(StreamCommand{{"/bin/sh", "-c", script}, "the child"});
    ASSERT_TRUE(started) << started.error().message;
    stream = *std::move(started);
    stream->set_handler(&got);
  }
  static std::size_t children() { return process_descendants(getpid()).size(); }

  Loop loop;
  UvIo io{loop};
  Recorder got;
  std::unique_ptr<ByteStream> stream;
};

TEST_F(ChildStreamTest, ItsStdinAndStdoutAreTheStream) {
  start("exec cat");
  EXPECT_EQ(stream->write(as_bytes("hello")), 5u);
  ASSERT_TRUE(until([&] { return got.data == "hello"; }));
  stream->shutdown_write();
  ASSERT_TRUE(until([&] { return got.closed; }));
  EXPECT_TRUE(got.eof) << "its end was asked for, so it is an orderly one";
  EXPECT_FALSE(got.error);
}

TEST_F(ChildStreamTest, ItsEndIsToldWithItsLastWordsAfterItsLastBytes) {
  start("echo out; echo one >&2; echo two >&2; echo three >&2; echo four >&2; exit 5");
  ASSERT_TRUE(until([&] { return got.closed; }));
  EXPECT_EQ(got.data, "out\n");
  EXPECT_FALSE(got.eof);
  ASSERT_TRUE(got.error);
  EXPECT_EQ(got.error->message, "the child exited with status 5: two; three; four");
}

TEST_F(ChildStreamTest, ASignalIsToldToo) {
  start("kill -9 $$");
  ASSERT_TRUE(until([&] { return got.closed; }));
  ASSERT_TRUE(got.error);
  EXPECT_EQ(got.error->message, "the child was ended by signal 9");
  EXPECT_EQ(got.error->code, Errc::kUnreachable);
}

TEST_F(ChildStreamTest, StderrWithoutEndIsReadAndBounded) {
  start("yes error-line-error-line | head -c 3000000 >&2; exit 1");
  ASSERT_TRUE(until([&] { return got.closed; }));
  ASSERT_TRUE(got.error);
  EXPECT_LT(got.error->message.size(), 4096u);
}

TEST_F(ChildStreamTest, AnAbortedOneIsKilledWithItsGroupAndReaped) {
  start("trap '' TERM; sleep 1000 & echo up; wait; sleep 1000");
  ASSERT_TRUE(until([&] { return got.data == "up\n"; }));
  EXPECT_GE(children(), 2u);
  stream->abort();
  ASSERT_TRUE(until([&] { return got.closed; }));
  stream.reset();
  EXPECT_TRUE(until([&] { return children() == 0; }));
}

TEST_F(ChildStreamTest, AClosedOneMayPassOnWhatItWasSent) {
  start("cat >/dev/null; exit 0");
  stream->write(as_bytes("goodbye"));
  stream->close();
  stream.reset();
  EXPECT_TRUE(until([&] { return children() == 0; }));
}

// A relay that has died, and left somebody behind who has inherited the pipe.
TEST_F(ChildStreamTest, ItsExitEndsTheStreamThoughAGrandchildHoldsThePipe) {
  Stopwatch clock;
  start("sleep 1000 & echo out; echo broke >&2; exit 3");
  ASSERT_TRUE(until([&] { return got.closed; }));
  EXPECT_LT(clock.elapsed(), seconds(10));
  EXPECT_EQ(got.data, "out\n");
  ASSERT_TRUE(got.error);
  EXPECT_EQ(got.error->message, "the child exited with status 3: broke");
  stream.reset();
  EXPECT_TRUE(until([&] { return children() == 0; }));
}

TEST_F(ChildStreamTest, AllThatItWroteIsReadThoughTheReaderTakesItsTime) {
  struct Slow final : StreamHandler {
    std::size_t on_data(ByteView) override { return 0; }
    void on_eof() override {}
    void on_writable() override {}
    void on_closed(const Error*) override { closed = true; }
    bool closed = false;
  } slow;
  auto started =
      io.spawn_stream(StreamCommand{{"/bin/sh", "-c", "sleep 1000 & head -c 100000 /dev/zero"}, "the child"});
  ASSERT_TRUE(started) << started.error().message;
  stream = *std::move(started);
  stream->set_handler(&slow);
  Stopwatch clock;
  until([&] { return clock.elapsed() > milliseconds(700); });
  EXPECT_FALSE(slow.closed);
  stream->set_handler(&got);
  stream->resume_reading();
  ASSERT_TRUE(until([&] { return got.closed; }));
  EXPECT_EQ(got.data.size(), 100000u);
}

// The leader goes when it is told to, its companion would not.
TEST_F(ChildStreamTest, ItsGroupEndsWithItThoughTheLeaderHasGoneFirst) {
  start("trap '' TERM; sleep 1000 & exec cat");
  stream->write(as_bytes("up"));
  ASSERT_TRUE(until([&] { return got.data == "up"; }));
  const std::vector<pid_t> family = process_descendants(getpid());
  ASSERT_GE(family.size(), 2u);
  stream->close();
  stream.reset();
  const auto gone = [](pid_t pid) { return !process_alive(pid); };
  EXPECT_TRUE(until([&] { return std::all_of(family.begin(), family.end(), gone); }));
}

TEST_F(ChildStreamTest, AMissingProgramIsSaid) {
  auto started = io.spawn_stream(StreamCommand{{"/no/such/program"}, "the child"});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Errc::kNotFound);
  EXPECT_THAT(started.error().message, HasSubstr("the child: /no/such/program: no such program"));
}

// --- where a dial comes from
// --------------------------------------------------------------------------------------

class DialOptionsTest : public ChildStreamTest {
 protected:
  Result<std::unique_ptr<ByteStream>> dial(DialOptions options) {
    std::optional<Result<std::unique_ptr<ByteStream>>> result;
    auto operation = io.dial(options, [&](auto made) { result = std::move(made); });
    EXPECT_TRUE(until([&] { return result.has_value(); }));
    return *std::move(result);
  }
  // Listens on loopback; accepted streams are kept.
  DialOptions target(const char* host = "127.0.0.1") {
    auto made =
        io.listen(ListenOptions{Endpoint{host, 0, {}}}, [this](auto peer) { accepted = std::move(peer); });
    EXPECT_TRUE(made) << made.error().message;
    listener = *std::move(made);
    DialOptions options;
    options.target = listener->local();
    options.timeout = seconds(20);
    return options;
  }
  static int fd_of(ByteStream& stream) { return dynamic_cast<StreamSocket&>(stream).fd(); }

  std::unique_ptr<Listener> listener;
  std::unique_ptr<ByteStream> accepted;
};

TEST_F(DialOptionsTest, BindAddressIsTheSource) {
  DialOptions options = target();
  options.bind_address = "127.0.0.77";
  auto made = dial(options);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(SocketAddress::local_of(fd_of(**made)).host(), "127.0.0.77");
}

TEST_F(DialOptionsTest, BindInterfaceGivesItsAddress) {
  DialOptions options = target();
  options.bind_interface = "lo";
  auto made = dial(options);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(SocketAddress::local_of(fd_of(**made)).host(), "127.0.0.1");
  options.bind_interface = "nosuchif0";
  EXPECT_THAT(dial(options).error().message, HasSubstr("BindInterface 'nosuchif0'"));
}

TEST_F(DialOptionsTest, AnAddressOfTheOtherFamilyOrNoAddressIsRefused) {
  DialOptions options = target();
  options.family = AddressFamily::kIpv6;
  EXPECT_THAT(dial(options).error().message, HasSubstr("AddressFamily"));
  options.family = AddressFamily::kAny;
  options.bind_address = "::1";
  EXPECT_THAT(dial(options).error().message, HasSubstr("BindAddress"));
}

TEST_F(DialOptionsTest, BindAddressMayBeAName) {
  DialOptions options = target();
  options.bind_address = "localhost";
  auto made = dial(options);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(SocketAddress::local_of(fd_of(**made)).host(), "127.0.0.1");
  options.bind_address = "nowhere.invalid";
  auto failed = dial(options);
  EXPECT_THAT(failed.error().message, HasSubstr("cannot resolve BindAddress nowhere.invalid"));
}

TEST_F(DialOptionsTest, TheTrafficClassIsSet) {
  DialOptions options = target();
  options.traffic_class = 0x48;
  auto made = dial(options);
  ASSERT_TRUE(made);
  int value = 0;
  socklen_t length = sizeof(value);
  getsockopt(fd_of(**made), IPPROTO_IP, IP_TOS, &value, &length);
  EXPECT_EQ(value, 0x48);
}

TEST_F(DialOptionsTest, AllAddressesAreTriedAgainAsOftenAsAsked) {
  DialOptions options = target();
  listener.reset();  // so the port refuses
  Stopwatch clock;
  EXPECT_FALSE(dial(options));
  EXPECT_LT(clock.elapsed(), milliseconds(990));
  options.attempts = 2;
  Stopwatch again;
  auto second = dial(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kUnreachable);
  EXPECT_GE(again.elapsed(), milliseconds(990));
}

}  // namespace
}  // namespace jump::test
