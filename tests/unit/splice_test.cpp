// Splice between memory streams.
#include "stream/splice.h"

#include <gtest/gtest.h>

#include <random>

#include "support/sim_io.h"

namespace jump::test {
namespace {

class SpliceTest : public testing::Test {
 protected:
  SpliceTest() {
    auto [a, a_far] = io.pipe();
    auto [b, b_far] = io.pipe();
    left = std::move(a);
    right = std::move(b);
    left_got = std::make_unique<Collector>(*left);
    right_got = std::make_unique<Collector>(*right);
    splice = std::make_shared<Splice>(io, std::move(a_far), std::move(b_far), [this](const Error* error) {
      done++;
      if (error) broken = *error;
      io.dispose(std::move(splice));
    });
    splice->start();
    io.settle();
  }

  SimIo io;
  std::unique_ptr<ByteStream> left, right;
  std::unique_ptr<Collector> left_got, right_got;
  std::shared_ptr<Splice> splice;
  int done = 0;
  std::optional<Error> broken;
};

TEST_F(SpliceTest, PassesBytesBothWaysAndCountsThem) {
  left->write(as_bytes("to the right"));
  right->write(as_bytes("left"));
  io.settle();
  EXPECT_EQ(right_got->received, "to the right");
  EXPECT_EQ(left_got->received, "left");
  EXPECT_EQ(splice->bytes_left_to_right(), 12u);
  EXPECT_EQ(splice->bytes_right_to_left(), 4u);
}

TEST_F(SpliceTest, HalfCloseLeavesTheOtherDirectionOpen) {
  left->shutdown_write();
  io.settle();
  EXPECT_TRUE(right_got->eof);
  EXPECT_EQ(done, 0);
  right->write(as_bytes("answer"));
  right->shutdown_write();
  io.settle();
  EXPECT_EQ(left_got->received, "answer");
  EXPECT_TRUE(left_got->eof && left_got->closed && right_got->closed);
  EXPECT_EQ(done, 1);
  EXPECT_FALSE(broken);
}

TEST_F(SpliceTest, ABreakOfOneSideBreaksTheOther) {
  left->abort();
  io.settle();
  EXPECT_TRUE(right_got->error);
  EXPECT_EQ(done, 1);
  EXPECT_TRUE(broken);
}

TEST_F(SpliceTest, ASlowReaderStopsTheWriterAndLosesNothing) {
  right_got->set_appetite(0);
  std::string sent;
  for (int i = 0; i < 1000; ++i) {
    std::string block(10000, static_cast<char>('a' + i % 26));
    sent += block.substr(0, left->write(as_bytes(block)));
    io.settle();
  }
  EXPECT_LE(sent.size(), 2 * SimIo::kPipeSize);
  right_got->set_appetite(SIZE_MAX);
  left->shutdown_write();
  io.settle();
  EXPECT_TRUE(right_got->received == sent);
  EXPECT_TRUE(right_got->eof);
}

TEST_F(SpliceTest, RandomPiecesAndPausesKeepEveryByte) {
  std::mt19937 random(7);
  std::string sent;
  for (int i = 0; i < 3000; ++i) {
    std::string block(random() % 5000, static_cast<char>(random()));
    sent += block.substr(0, left->write(as_bytes(block)));
    right_got->set_appetite(random() % 3 == 0 ? random() % 4000 : SIZE_MAX);
    if (random() % 3 == 0) io.settle();
  }
  right_got->set_appetite(SIZE_MAX);
  left->shutdown_write();
  io.settle();
  EXPECT_TRUE(right_got->received == sent);
}

TEST_F(SpliceTest, AbortBreaksBothSides) {
  splice->abort();
  io.settle();
  EXPECT_TRUE(left_got->error && right_got->error);
  EXPECT_EQ(done, 1);
}

}  // namespace
}  // namespace jump::test
