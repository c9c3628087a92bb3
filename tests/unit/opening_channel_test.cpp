// A channel that is used before the peer has confirmed it: what its client writes makes it bulk, and the
// governor then sets its window. No credit may be sent for it before its number at the peer is known: it
// would be another channel's, and this one would wait for ever for what it believes it has granted.
#include <gtest/gtest.h>

#include <vector>

#include "base/wire.h"
#include "channel/messages.h"
#include "channel/mux.h"

namespace jump {
namespace {

struct PacketLog final : PacketSink {
  std::vector<Bytes> sent;

  bool send_packet(ByteView head, ByteView body) override {
    sent.push_back(to_bytes(head));
    sent.back().insert(sent.back().end(), body.begin(), body.end());
    return true;
  }
  bool has_room() const override { return true; }
  void wake() override {}

  // Bytes credited to the peer's channel `remote`.
  std::uint64_t credit(std::uint32_t remote) const {
    std::uint64_t sum = 0;
    for (const Bytes& packet : sent) {
      WireReader in(packet);
      if (in.u8() == ssh::kChannelWindowAdjust && in.u32() == remote) sum += in.u32();
    }
    return sum;
  }
};

struct Taker final : StreamHandler {
  std::size_t on_data(ByteView data) override { return data.size(); }
  void on_eof() override {}
  void on_writable() override {}
  void on_closed(const Error*) override {}
};

class OpeningChannel : public testing::Test {
 protected:
  static constexpr std::uint32_t kBulk = 50, kTyping = 51, kLate = 52;  // the peer's numbers

  std::unique_ptr<Channel> open() {
    auto channel = mux.open(ChannelOpen::direct_tcpip("svc", 80, "127.0.0.1", 1), now + seconds(10), nullptr);
    EXPECT_TRUE(channel.ok());
    (*channel)->set_handler(&taker);
    mux.pump(now);
    return *std::move(channel);
  }
  void feed(const WireWriter& packet) {
    mux.handle_packet(packet.view(), now);
    mux.pump(now);
  }
  // Our numbers are given in the order of the opens.
  void confirm(std::uint32_t number, std::uint32_t remote) {
    feed(WireWriter().u8(ssh::kChannelOpenConfirmation).u32(number).u32(remote).u32(1 << 24).u32(32768));
  }
  void data(std::uint32_t number, std::size_t size) {
    feed(WireWriter().u8(ssh::kChannelData).u32(number).string(std::string(size, 'x')));
  }
  void answer_probes() {
    for (int i = 0; i < 8 && mux.probing(); ++i) {
      now += milliseconds(10);
      feed(WireWriter().u8(ssh::kRequestFailure));
    }
  }

  PacketLog sink;
  Taker taker;
  WindowBudget budget;
  TimePoint now = TimePoint() + std::chrono::hours(1);
  Mux mux{&sink, &budget, now};
};

TEST_F(OpeningChannel, GetsNoCreditBeforeItsNumberIsKnownAndAllOfItAfterwards) {
  mux.probe(now);
  mux.pump(now);
  answer_probes();
  auto bulk = open();
  confirm(0, kBulk);
  auto typing = open();
  confirm(1, kTyping);
  auto late = open();
  const std::uint32_t granted = WindowBudget::kInitialMax;
  data(1, 1);
  data(0, 32768);
  for (int i = 0; i < 1024; ++i) data(0, 32768);  // bulk, and far more per round trip than a first window
  const Bytes upload(200 * 1024);
  late->write(upload);
  late->write(upload);  // no room for all of it; it counts as wanted all the same
  mux.tick(now);
  mux.pump(now);
  ASSERT_TRUE(mux.probing());
  answer_probes();
  ASSERT_TRUE(mux.governed());
  EXPECT_EQ(sink.credit(0), 0u) << "credit for a channel of somebody else's";

  confirm(2, kLate);
  for (std::uint32_t i = 0; i < granted / 32768; ++i) data(2, 32768);
  EXPECT_EQ(mux.error(), nullptr);
  EXPECT_GT(sink.credit(kLate), 0u) << "the peer has nothing left, and is given nothing";
}

}  // namespace
}  // namespace jump
