// JoinedStream: two one-way streams as one.
#include "stream/joined_stream.h"

#include <gtest/gtest.h>

#include "support/sim_io.h"

namespace jump::test {
namespace {

class JoinedStreamTest : public testing::Test {
 protected:
  JoinedStreamTest() {
    auto [in_near, in_far] = io.pipe();
    auto [out_near, out_far] = io.pipe();
    source = std::move(in_far);
    sink = std::move(out_far);
    source_got = std::make_unique<Collector>(*source);
    sink_got = std::make_unique<Collector>(*sink);
    joined = std::make_unique<JoinedStream>(std::move(in_near), std::move(out_near));
    got = std::make_unique<Collector>(*joined);
    io.settle();
  }
  ~JoinedStreamTest() override {
    joined.reset();
    io.settle();
  }

  SimIo io;
  std::unique_ptr<ByteStream> source, sink;
  std::unique_ptr<Collector> source_got, sink_got, got;
  std::unique_ptr<JoinedStream> joined;
};

TEST_F(JoinedStreamTest, ReadsFromOneAndWritesToTheOther) {
  source->write(as_bytes("in"));
  EXPECT_EQ(joined->write(as_bytes("out")), 3U);
  sink->write(as_bytes("noise"));
  io.settle();
  EXPECT_EQ(got->received, "in");
  EXPECT_EQ(sink_got->received, "out");
}

TEST_F(JoinedStreamTest, TheEndOfOneLeavesTheOther) {
  source->shutdown_write();
  io.settle();
  EXPECT_TRUE(got->eof);
  EXPECT_FALSE(got->closed);
  EXPECT_EQ(joined->write(as_bytes("still")), 5U);
  joined->shutdown_write();
  io.settle();
  EXPECT_EQ(sink_got->received, "still");
  EXPECT_TRUE(sink_got->eof);
}

TEST_F(JoinedStreamTest, ItEndsOnceWhenBothHave) {
  joined->close();
  source->close();
  sink->close();
  io.settle();
  EXPECT_TRUE(got->closed);
  EXPECT_FALSE(got->error);
}

TEST_F(JoinedStreamTest, ABreakOfOneEndsTheOther) {
  sink->abort();
  io.settle();
  EXPECT_TRUE(got->closed);
  ASSERT_TRUE(got->error);
  EXPECT_TRUE(source_got->closed);
}

TEST_F(JoinedStreamTest, APausedReaderGoesOn) {
  got->set_appetite(1);
  source->write(as_bytes("abc"));
  io.settle();
  EXPECT_EQ(got->received, "a");
  got->set_appetite(SIZE_MAX);
  io.settle();
  EXPECT_EQ(got->received, "abc");
}

}  // namespace
}  // namespace jump::test
