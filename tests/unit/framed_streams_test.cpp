// FramedStreams between a session's ends and a client's connection, in memory.
#include "session/framed_streams.h"

#include <gtest/gtest.h>

#include "base/wire.h"
#include "support/sim_io.h"

namespace jump::test {
namespace {

using Frame = FramedStreams::Frame;

std::string frame(int type, std::string_view payload) {
  return std::string(as_text(WireWriter().u8(static_cast<std::uint8_t>(type)).string(payload).view()));
}

class FramedStreamsTest : public testing::Test {
 protected:
  FramedStreamsTest() {
    SessionStreams streams = frames->take_streams();
    in = std::move(streams.in);
    out = std::move(streams.out);
    err = std::move(streams.err);
    in_got = std::make_unique<Collector>(*in);
    out_told = std::make_unique<Collector>(*out);
    err_told = std::make_unique<Collector>(*err);
    auto [near, far] = io.pipe();
    connection = std::move(near);
    client = std::move(far);
    client_got = std::make_unique<Collector>(*client);
  }
  ~FramedStreamsTest() override {
    in.reset();
    out.reset();
    err.reset();
    frames.reset();
    io.settle();
  }
  void attach() {
    frames->attach(std::move(connection));
    io.settle();
  }
  void send(const std::string& bytes) {
    ASSERT_EQ(client->write(as_bytes(bytes)), bytes.size());
    io.settle();
  }

  SimIo io;
  std::string control;
  Status control_answer;
  std::vector<std::string> broken;
  int gone = 0;
  std::unique_ptr<FramedStreams> frames = std::make_unique<FramedStreams>(
      io,
      [this](Frame type, std::string_view json) {
        control += std::to_string(static_cast<int>(type)) + std::string(json);
        return control_answer;
      },
      [this](const Error& error) { broken.push_back(error.message); }, [this] { ++gone; });
  std::unique_ptr<ByteStream> in, out, err, connection, client;
  std::unique_ptr<Collector> in_got, out_told, err_told, client_got;
};

TEST_F(FramedStreamsTest, WhatIsWrittenBeforeTheConnectionComesWaits) {
  EXPECT_EQ(out->write(as_bytes("out")), 3U);
  EXPECT_EQ(err->write(as_bytes("err")), 3U);
  io.settle();
  attach();
  EXPECT_EQ(client_got->received, frame(1, "out") + frame(2, "err"));
}

TEST_F(FramedStreamsTest, ASessionThatFilledTheQueueBeforeGoesOn) {
  const std::string block(1 << 20, 'x');
  const std::size_t first = out->write(as_bytes(block));
  EXPECT_LT(first, block.size());
  EXPECT_LE(first, FramedStreams::kQueueMax + FramedStreams::kMaxFrame);
  attach();
  io.settle();
  EXPECT_GT(out_told->writable, 0);
}

// The connection takes all at once, so that it never asks to be waited for.
TEST_F(FramedStreamsTest, AShortWriteBeforeTheConnectionIsMadeGoodWhenItTakesAllAtOnce) {
  struct Wide final : ByteStream {
    std::size_t taken = 0;
    void set_handler(StreamHandler*) override {}
    std::size_t write(ByteView data) override {
      taken += data.size();
      return data.size();
    }
    void resume_reading() override {}
    void shutdown_write() override {}
    void close() override {}
    void abort() override {}
    std::string describe() const override { return "wide"; }
  };
  const std::string block(1 << 20, 'x');
  ASSERT_LT(out->write(as_bytes(block)), block.size());
  frames->attach(std::make_unique<Wide>());
  io.settle();
  EXPECT_EQ(out_told->writable, 1);
}

TEST_F(FramedStreamsTest, FramesAreNeverLongerThanTheBoundNorMixed) {
  attach();
  const std::string block(100'000, 'o');
  std::size_t sent = 0;
  for (int i = 0; i < 50; ++i) {
    sent += out->write(as_bytes(block).subspan(0, 70'000));
    (void)err->write(as_bytes("e"));
    io.settle();
  }
  std::size_t out_bytes = 0;
  WireReader all(as_bytes(client_got->received));
  while (all.left() > 0) {
    const int type = all.u8();
    const std::string_view payload = all.text();
    ASSERT_TRUE(all.ok());
    ASSERT_LE(payload.size(), FramedStreams::kMaxFrame);
    ASSERT_EQ(payload.find_first_not_of(type == 1 ? 'o' : 'e'), std::string_view::npos);
    if (type == 1) out_bytes += payload.size();
  }
  EXPECT_EQ(out_bytes, sent);
}

TEST_F(FramedStreamsTest, AClientThatDoesNotReadStopsTheSession) {
  client_got->set_appetite(0);
  attach();
  const std::string block(64 * 1024, 'o');
  std::size_t sent = 0;
  for (int i = 0; i < 100; ++i) {
    sent += out->write(as_bytes(block));
    io.settle();
  }
  EXPECT_LE(sent, FramedStreams::kQueueMax + FramedStreams::kMaxFrame + SimIo::kPipeSize);
  EXPECT_EQ(out_told->writable, 0);
  client_got->set_appetite(SIZE_MAX);
  io.settle();
  EXPECT_EQ(out_told->writable, 1);
}

TEST_F(FramedStreamsTest, StdinComesWholeHoweverItIsPieced) {
  attach();
  const std::string bytes = frame(0, "one ") + frame(0, "") + frame(5, "{}") + frame(0, "two") + frame(4, "");
  for (char each : bytes) send(std::string(1, each));
  EXPECT_EQ(in_got->received, "one two");
  EXPECT_TRUE(in_got->eof);
  EXPECT_EQ(control, "5{}");
  EXPECT_TRUE(broken.empty());
}

TEST_F(FramedStreamsTest, StdinAfterItsEndIsDroppedAndTheRestHolds) {
  attach();
  send(frame(0, "one") + frame(4, "") + frame(0, "late") + frame(4, "") + frame(6, "{}"));
  EXPECT_EQ(in_got->received, "one");
  EXPECT_TRUE(in_got->eof && in_got->closed);
  EXPECT_EQ(control, "6{}");
  EXPECT_TRUE(broken.empty());
  // With the session's end of it gone as well.
  in.reset();
  send(frame(0, "later") + frame(4, "") + frame(5, "{}"));
  EXPECT_EQ(control, "6{}5{}");
  EXPECT_TRUE(broken.empty());
}

// Wherever a client ends, what was not whole is not acted on, and the end is told once.
TEST_F(FramedStreamsTest, AClientThatEndsInTheMiddleOfAFrame) {
  const std::string bytes = frame(5, "{\"columns\":1}");
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    SCOPED_TRACE(cut);
    auto [near, far] = io.pipe();
    int controls = 0, ends = 0;
    FramedStreams other(
        io,
        [&](Frame, std::string_view) {
          ++controls;
          return Status{};
        },
        [this](const Error& error) { broken.push_back(error.message); }, [&] { ++ends; });
    SessionStreams streams = other.take_streams();
    Collector got(*streams.in);
    other.attach(std::move(near));
    ASSERT_EQ(far->write(as_bytes(bytes).first(cut)), cut);
    io.settle();
    far->abort();
    io.settle();
    EXPECT_EQ(ends, 1);
    EXPECT_EQ(controls, 0);
    EXPECT_EQ(got.received, "");
    EXPECT_FALSE(got.eof) << "stdin has not been said to end";
    EXPECT_TRUE(broken.empty());
    EXPECT_EQ(streams.out->write(as_bytes("to nobody")), 9U);
    other.finish("{}");
    io.settle();
    EXPECT_EQ(ends, 1);
  }
}

TEST_F(FramedStreamsTest, ASessionThatDoesNotReadStopsTheClient) {
  in_got->set_appetite(2);
  attach();
  send(frame(0, "abcd") + frame(6, "{}"));
  EXPECT_EQ(in_got->received, "ab");
  EXPECT_EQ(control, "") << "frames are worked on in order";
  in_got->set_appetite(SIZE_MAX);
  io.settle();
  EXPECT_EQ(in_got->received, "abcd");
  EXPECT_EQ(control, "6{}");
}

TEST_F(FramedStreamsTest, TheEndIsTheLastFrame) {
  attach();
  (void)out->write(as_bytes("out"));
  frames->finish("{}");
  (void)out->write(as_bytes("more"));
  frames->finish("{again}");
  io.settle();
  EXPECT_EQ(client_got->received, frame(1, "out") + frame(3, "{}"));
  EXPECT_TRUE(client_got->eof);
  client->close();
  io.settle();
  EXPECT_EQ(gone, 1);
}

TEST_F(FramedStreamsTest, BrokenFramingIsToldOnceAndNothingMoreIsRead) {
  attach();
  send(frame(1, "x") + frame(0, "never") + frame(9, ""));
  ASSERT_EQ(broken.size(), 1U);
  EXPECT_NE(broken.front().find("type 1"), std::string::npos);
  send(frame(0, "never"));
  EXPECT_EQ(in_got->received, "");
  frames->finish("{}");
  io.settle();
  EXPECT_EQ(client_got->received, frame(3, "{}"));
}

TEST_F(FramedStreamsTest, EachMalformedKind) {
  const std::string length_only = std::string("\0\0\1\0\1", 5);
  for (const std::string& bytes : {frame(1, ""), frame(2, ""), frame(3, "{}"), frame(7, ""), frame(255, "x"),
                                   length_only, std::string("\0\377\377\377\377", 5), frame(4, "x")}) {
    FramedStreamsTest::broken.clear();
    auto [near, far] = io.pipe();
    FramedStreams other(
        io, [](Frame, std::string_view) { return Status{}; },
        [this](const Error& error) { broken.push_back(error.message); }, [] {});
    other.attach(std::move(near));
    Collector got(*far);
    ASSERT_EQ(far->write(as_bytes(bytes)), bytes.size());
    io.settle();
    EXPECT_EQ(broken.size(), 1U) << static_cast<int>(bytes[0]);
  }
  control_answer = Error{Errc::kInvalid, "no JSON", {}};
  broken.clear();
  attach();
  send(frame(5, "{"));
  ASSERT_EQ(broken.size(), 1U);
  EXPECT_NE(broken.front().find("no JSON"), std::string::npos);
}

TEST_F(FramedStreamsTest, AConnectionThatBreaksIsTold) {
  attach();
  client->abort();
  io.settle();
  EXPECT_EQ(gone, 1);
}

}  // namespace
}  // namespace jump::test
