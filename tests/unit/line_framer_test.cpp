#include "proto/line_framer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace jump::proto {
namespace {

using Next = LineFramer::Next;

std::vector<std::string> drain(LineFramer& framer) {
  std::vector<std::string> lines;
  std::string_view line;
  while (framer.next(&line) == Next::kLine) lines.emplace_back(line);
  return lines;
}

std::vector<std::string> lines_of(std::string_view text, std::size_t piece) {
  LineFramer framer;
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    framer.feed(as_bytes(text.substr(at, piece)));
    for (std::string& line : drain(framer)) lines.push_back(std::move(line));
  }
  return lines;
}

TEST(LineFramer, CountsTheBytesOfLinesThatItGave) {
  LineFramer framer;
  std::string_view line;
  framer.feed(as_bytes("one\n\r\ntwo\r\nthr"));
  EXPECT_EQ(framer.passed(), 0U);
  ASSERT_EQ(framer.next(&line), Next::kLine);
  EXPECT_EQ(framer.passed(), 4U) << "its end included";
  framer.drop_line();
  EXPECT_EQ(framer.passed(), 4U);
  ASSERT_EQ(framer.next(&line), Next::kLine);
  EXPECT_EQ(framer.passed(), 11U) << "empty lines are part of the next one";
  EXPECT_EQ(framer.next(&line), Next::kMore);
  EXPECT_EQ(framer.passed(), 11U);
  framer.feed(as_bytes("ee\n"));
  ASSERT_EQ(framer.next(&line), Next::kLine);
  EXPECT_EQ(framer.passed(), 17U);
}

TEST(LineFramer, GivesTheSameLinesHoweverTheBytesArePieced) {
  const std::string text = "one\ntwo\r\n\n\r\nth\rree\nfour\r\r\nrest";
  const std::vector<std::string> expected = {"one", "two", "th\rree", "four\r"};
  for (std::size_t piece = 1; piece <= text.size(); ++piece)
    EXPECT_EQ(lines_of(text, piece), expected) << piece;
}

TEST(LineFramer, KeepsAnUnfinishedLine) {
  LineFramer framer;
  framer.feed(as_bytes("half"));
  EXPECT_TRUE(drain(framer).empty());
  EXPECT_EQ(framer.buffered(), 4U);
  framer.feed(as_bytes(" done\n"));
  EXPECT_EQ(drain(framer), std::vector<std::string>{"half done"});
  EXPECT_EQ(framer.buffered(), 0U);
}

TEST(LineFramer, PassesBytesThatAreNoText) {
  LineFramer framer;
  framer.feed(as_bytes(std::string_view("a\0b\xff\n", 5)));
  EXPECT_EQ(drain(framer), std::vector<std::string>{std::string("a\0b\xff", 4)});
}

TEST(LineFramer, TakesALineThatJustFits) {
  LineFramer framer(8);
  framer.feed(as_bytes("1234567\n123456\r\n"));
  EXPECT_EQ(drain(framer), (std::vector<std::string>{"1234567", "123456"}));
  EXPECT_FALSE(framer.ended());
}

TEST(LineFramer, ReportsALineOverTheCapOnceAndThenEnds) {
  for (const std::string_view overlong : {"12345678\nnext\n", "12345678", "1234567890"}) {
    LineFramer framer(8);
    framer.feed(as_bytes(overlong));
    std::string_view line;
    EXPECT_EQ(framer.next(&line), Next::kTooLong) << overlong;
    EXPECT_TRUE(framer.ended());
    framer.feed(as_bytes("more\n"));
    EXPECT_EQ(framer.next(&line), Next::kEnded) << overlong;
    EXPECT_EQ(framer.buffered(), 0U);
  }
}

TEST(LineFramer, GivesTheLinesBeforeAnOverlongOne) {
  LineFramer framer(8);
  framer.feed(as_bytes("one\ntwo\n123456789\n"));
  std::string_view line;
  ASSERT_EQ(framer.next(&line), Next::kLine);
  EXPECT_EQ(line, "one");
  ASSERT_EQ(framer.next(&line), Next::kLine);
  EXPECT_EQ(line, "two");
  EXPECT_EQ(framer.next(&line), Next::kTooLong);
}

TEST(LineFramer, NoticesAnOverlongLineThatNeverEnds) {
  LineFramer framer(1000);
  std::string_view line;
  std::size_t fed = 0;
  while (framer.next(&line) == Next::kMore && fed < 2000) {
    framer.feed(as_bytes("x"));
    ++fed;
  }
  EXPECT_EQ(fed, 1000U);
  EXPECT_TRUE(framer.ended());
}

// With a scan from the line's start for every byte this would be 10^12 steps.
TEST(LineFramer, TakesAMebibyteByteByByte) {
  LineFramer framer;
  std::string_view line;
  for (std::size_t i = 0; i + 1 < kMaxLine; ++i) {
    framer.feed(as_bytes("x"));
    ASSERT_EQ(framer.next(&line), Next::kMore);
  }
  framer.feed(as_bytes("\n"));
  ASSERT_EQ(framer.next(&line), Next::kLine);
  EXPECT_EQ(line.size(), kMaxLine - 1);
}

TEST(LineFramer, LetsGoOfLinesThatWereTaken) {
  LineFramer framer;
  const std::string text = std::string(99, 'x') + "\n";
  std::string_view line;
  for (int i = 0; i < 10'000; ++i) {
    framer.feed(as_bytes(text));
    ASSERT_EQ(framer.next(&line), Next::kLine);
    ASSERT_EQ(framer.buffered(), 0U);
  }
}

}  // namespace
}  // namespace jump::proto
