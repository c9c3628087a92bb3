// ByteQueue and the wire types.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "base/byte_queue.h"
#include "base/wire.h"

namespace jump {
namespace {

TEST(ByteQueue, GivesBackWhatWentInWhateverThePieces) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    ByteQueue queue;
    std::string in, out;
    for (int step = 0; step < 300; ++step) {
      if (random() % 2) {
        std::string piece(random() % (random() % 10 == 0 ? 100000 : 700),
                          static_cast<char>('a' + random() % 26));
        in += piece;
        queue.append(as_bytes(piece));
      } else {
        std::size_t count = std::min<std::size_t>(queue.size(), random() % 50000);
        while (count > 0) {
          ByteView run = queue.front();
          ASSERT_FALSE(run.empty());
          std::size_t here = std::min(count, run.size());
          out += as_text(run.first(here));
          queue.consume(here);
          count -= here;
        }
      }
      ASSERT_EQ(queue.size(), in.size() - out.size());
    }
    Bytes rest(queue.size());
    EXPECT_EQ(queue.read(rest), rest.size());
    out += as_text(rest);
    EXPECT_TRUE(in == out) << "seed " << seed;
    EXPECT_TRUE(queue.empty());
    EXPECT_TRUE(queue.front().empty());
  }
}

TEST(Wire, ReadsBackWhatWasWritten) {
  WireWriter out;
  out.u8(7)
      .boolean(true)
      .u32(0xdeadbeef)
      .u64(0x0123456789abcdef)
      .string(std::string_view("text"))
      .raw(as_bytes("tail"));
  WireReader in(out.view());
  EXPECT_EQ(in.u8(), 7);
  EXPECT_TRUE(in.boolean());
  EXPECT_EQ(in.u32(), 0xdeadbeefu);
  EXPECT_EQ(in.u64(), 0x0123456789abcdefu);
  EXPECT_EQ(in.text(), "text");
  EXPECT_EQ(as_text(in.rest()), "tail");
  EXPECT_TRUE(in.at_end());
}

TEST(Wire, NeverReadsPastTheEndAndStaysFailed) {
  WireWriter out;
  out.u32(100).raw(as_bytes("short"));
  WireReader in(out.view());
  EXPECT_TRUE(in.string().empty());
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.u8(), 0);
  EXPECT_EQ(in.u32(), 0u);
  EXPECT_FALSE(in.at_end());
  EXPECT_EQ(in.left(), 0u);
}

}  // namespace
}  // namespace jump
