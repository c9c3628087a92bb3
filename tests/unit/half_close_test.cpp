// HalfClose: who says EOF and CLOSE, when, and how often.
#include "channel/half_close.h"

#include <gtest/gtest.h>

#include <random>

namespace jump {
namespace {

using In = HalfClose::In;
using Out = HalfClose::Out;

TEST(HalfClose, EofOfThePeerIsToldAfterTheLastByteAndLeavesOurDirectionOpen) {
  HalfClose ends;
  auto actions = ends.peer_eof(false);
  EXPECT_FALSE(actions.deliver_eof);
  EXPECT_EQ(ends.in(), In::kDraining);
  actions = ends.in_drained();
  EXPECT_TRUE(actions.deliver_eof);
  EXPECT_FALSE(actions.send_close);
  EXPECT_EQ(ends.out(), Out::kOpen);
}

TEST(HalfClose, OurEofGoesOutAfterTheLastByte) {
  HalfClose ends;
  EXPECT_FALSE(ends.owner_shutdown(false).send_eof);
  EXPECT_EQ(ends.out(), Out::kDraining);
  auto actions = ends.out_drained();
  EXPECT_TRUE(actions.send_eof);
  EXPECT_FALSE(actions.send_close);
  EXPECT_FALSE(ends.out_drained().send_eof);
}

TEST(HalfClose, OfASessionOnlyThePeersCloseEndsIt) {
  HalfClose ends(HalfClose::EndedBy::kPeer);
  EXPECT_TRUE(ends.owner_shutdown(true).send_eof);
  auto actions = ends.peer_eof(true);
  EXPECT_TRUE(actions.deliver_eof);
  EXPECT_FALSE(actions.send_close || actions.finish) << "its exit status is still to come";
  actions = ends.peer_close(true);
  EXPECT_FALSE(actions.deliver_eof);
  EXPECT_TRUE(actions.send_close && actions.finish);
  EXPECT_TRUE(ends.done());
}

TEST(HalfClose, ASessionWhosePeerClosesEndsAfterTheLastByte) {
  HalfClose ends(HalfClose::EndedBy::kPeer);
  auto actions = ends.peer_close(false);
  EXPECT_TRUE(actions.send_close);
  EXPECT_FALSE(actions.deliver_eof || actions.finish);
  actions = ends.in_drained();
  EXPECT_TRUE(actions.deliver_eof && actions.finish);
  EXPECT_FALSE(actions.send_close);
}

TEST(HalfClose, ASessionThatItsOwnerLetsGoOfIsClosedWithoutThePeer) {
  HalfClose ends(HalfClose::EndedBy::kPeer);
  EXPECT_TRUE(ends.owner_abort().send_close);
  HalfClose other(HalfClose::EndedBy::kPeer);
  const auto actions = other.owner_close(true);
  EXPECT_TRUE(actions.send_eof && actions.send_close && actions.finish);
}

TEST(HalfClose, CloseGoesOutWhenBothDirectionsHaveEnded) {
  HalfClose ends;
  ends.owner_shutdown(true);
  auto actions = ends.peer_eof(true);
  EXPECT_TRUE(actions.deliver_eof);
  EXPECT_TRUE(actions.send_close);
  EXPECT_TRUE(actions.finish);
  EXPECT_FALSE(ends.done());
  ends.peer_close(true);
  EXPECT_TRUE(ends.done());
}

TEST(HalfClose, CloseOfThePeerIsAnsweredAtOnceButTheOwnerStillGetsItsBytes) {
  HalfClose ends;
  auto actions = ends.peer_close(false);
  EXPECT_TRUE(actions.send_close);
  EXPECT_FALSE(actions.deliver_eof);
  EXPECT_FALSE(actions.finish);
  actions = ends.in_drained();
  EXPECT_TRUE(actions.deliver_eof);
  EXPECT_TRUE(actions.finish);
  EXPECT_FALSE(actions.send_close);
}

// Any order of events: each message at most once, EOF never after CLOSE, one finish, and none before both
// have ended.
TEST(HalfClose, NoOrderOfEventsSaysAnythingTwice) {
  for (unsigned seed = 0; seed < 20000; ++seed) {
    std::mt19937 random(seed);
    HalfClose ends;
    int eofs = 0, closes = 0, finishes = 0, told = 0;
    bool peer_eof = false, peer_closed = false;
    auto count = [&](HalfClose::Actions actions) {
      if (actions.send_eof) {
        EXPECT_EQ(closes, 0) << "seed " << seed;
        eofs++;
      }
      closes += actions.send_close;
      finishes += actions.finish;
      told += actions.deliver_eof;
      if (actions.finish) {
        EXPECT_EQ(ends.in(), In::kClosed);
        EXPECT_EQ(ends.out(), Out::kClosed);
      }
    };
    for (int step = 0; step < 12; ++step) {
      bool empty = random() % 2;
      switch (random() % 7) {
        case 0:
          if (!peer_eof && !peer_closed) count(ends.peer_eof(empty));
          peer_eof = true;
          break;
        case 1:
          if (!peer_closed) count(ends.peer_close(empty));
          peer_closed = true;
          break;
        case 2:
          count(ends.in_drained());
          break;
        case 3:
          count(ends.owner_shutdown(empty));
          break;
        case 4:
          count(ends.owner_close(empty));
          break;
        case 5:
          count(ends.out_drained());
          break;
        case 6:
          if (random() % 4 == 0) count(ends.owner_abort());
          break;
      }
    }
    count(ends.owner_abort());
    EXPECT_LE(eofs, 1) << "seed " << seed;
    EXPECT_EQ(closes, 1) << "seed " << seed;
    EXPECT_EQ(finishes, 1) << "seed " << seed;
    EXPECT_LE(told, 1) << "seed " << seed;
  }
}

}  // namespace
}  // namespace jump
