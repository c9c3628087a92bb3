// After login: connection packets both ways, key re-exchanges in between, and what a broken server may not
// do.
#include <gtest/gtest.h>

#include "transport/session_memory.h"
#include "transport_loopback.h"

namespace jump {
namespace {

using test::channel_data;
using test::Loopback;
using test::TestServerOptions;
using State = Transport::State;

Bytes numbered(int i, std::size_t size) {
  std::string text = std::to_string(i) + ":";
  text.resize(size, static_cast<char>('a' + i % 26));
  return channel_data(text);
}

class TransportConnection : public testing::TestWithParam<const char*> {
 protected:
  static TestServerOptions server_options() {
    TestServerOptions options;
    options.cipher_in = options.cipher_out = GetParam();
    return options;
  }
  void SetUp() override { loop.reach_connection(); }

  Loopback loop{server_options()};
};

TEST_P(TransportConnection, DeliversEachPacketOnceAndInOrder) {
  std::vector<Bytes> sent;
  for (int i = 0; i < 200; ++i) {
    sent.push_back(numbered(i, static_cast<std::size_t>(i) * 150 + 10));
    loop.server.send(sent.back());
  }
  EXPECT_EQ(loop.pump(1000), State::kConnection) << loop.error();
  EXPECT_EQ(loop.packets, sent);
}

TEST_P(TransportConnection, SendsPacketsOfAnySize) {
  const std::size_t kHead = 9;
  for (std::size_t size :
       {std::size_t{10}, std::size_t{11}, std::size_t{17}, std::size_t{32777}, Transport::kMaxPayload}) {
    const Bytes payload = numbered(1, size - kHead);
    ASSERT_EQ(payload.size(), size);
    EXPECT_TRUE(
        loop.transport->send_packet(ByteView(payload).first(kHead), ByteView(payload).subspan(kHead)));
    loop.pump();
    EXPECT_EQ(loop.server.take_message(), payload);
  }
}

TEST_P(TransportConnection, KeepsOrderThroughKeyReExchanges) {
  std::vector<Bytes> sent;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 10; ++i) {
      sent.push_back(numbered(round * 10 + i, 5000));
      loop.server.send(sent.back());
    }
    loop.server.start_key_exchange();
    ASSERT_EQ(loop.pump(777), State::kConnection) << loop.error();
    const Bytes payload = numbered(round, 100);
    ASSERT_TRUE(loop.transport->send_packet(payload, {}));
    loop.pump();
    EXPECT_EQ(loop.server.take_message(), payload);
  }
  EXPECT_EQ(loop.packets, sent);
  EXPECT_EQ(loop.transport->rekeys(), 5u);
}

// A connection that lives for months has thousands of them.
TEST_P(TransportConnection, KeyReExchangesLeaveNoMoreThanIsAllowedFor) {
  constexpr std::size_t kMany = 40;
  const auto exchange = [&] {
    loop.server.start_key_exchange();
    ASSERT_EQ(loop.pump(), State::kConnection) << loop.error();
  };
  exchange();
  const std::size_t before = loop.transport->library_memory();
  for (std::size_t i = 0; i < kMany; ++i) exchange();
  EXPECT_LE(loop.transport->library_memory(), before + kMany * SessionMemory::kLeftByExchange);
}

TEST_P(TransportConnection, SendsNothingDuringAKeyReExchangeAndSaysSo) {
  const Bytes payload = numbered(1, 100);
  loop.server.hold_newkeys();
  loop.server.start_key_exchange();
  loop.pump();
  EXPECT_FALSE(loop.transport->send_packet(payload, {}));
  EXPECT_EQ(loop.transport->state(), State::kConnection);
  loop.pump();
  EXPECT_FALSE(loop.server.has_message());

  loop.server.release_newkeys();
  EXPECT_EQ(loop.pump(), State::kConnection);
  EXPECT_TRUE(loop.transport->send_packet(payload, {}));
  loop.pump();
  EXPECT_EQ(loop.server.take_message(), payload);
}

TEST_P(TransportConnection, StillDeliversWhatTheServerSentBeforeTheNewKeys) {
  loop.server.hold_newkeys();
  loop.server.start_key_exchange();
  loop.pump();
  loop.server.send(numbered(1, 50));  // wrong of it, but harmless
  EXPECT_EQ(loop.pump(), State::kConnection);
  EXPECT_EQ(loop.packets.size(), 1u);
  loop.server.release_newkeys();
  loop.server.send(numbered(2, 50));
  EXPECT_EQ(loop.pump(), State::kConnection) << loop.error();
  EXPECT_EQ(loop.packets.size(), 2u);
}

TEST_P(TransportConnection, EndsWithATamperedPacketAndDeliversNothingOfIt) {
  loop.server.send(numbered(1, 100));
  loop.server.send(numbered(2, 100));
  Bytes wire = loop.server.take_output();
  wire[wire.size() - 30] ^= 1;
  loop.transport->feed(wire);
  EXPECT_EQ(loop.transport->advance(), State::kFailed);
  EXPECT_EQ(loop.code(), Errc::kProtocol);
  EXPECT_EQ(loop.error(), "the connection is corrupted: a packet failed authentication");
  EXPECT_EQ(loop.packets, std::vector<Bytes>{numbered(1, 100)});
}

TEST_P(TransportConnection, RefusesPaddingLongerThanThePacket) {
  loop.server.send_with_padding(numbered(1, 20), 255);
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_TRUE(loop.packets.empty());
}

TEST_P(TransportConnection, RefusesAPacketWithoutAMessage) {
  loop.server.send_with_padding({}, 15);  // all of it is padding
  loop.server.send(numbered(1, 20));
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_TRUE(loop.packets.empty());
}

TEST_P(TransportConnection, DeliversWhatCameBeforeTheEnd) {
  loop.server.send(numbered(1, 20000));
  loop.transport->feed(loop.server.take_output());
  loop.transport->feed_eof();
  EXPECT_EQ(loop.transport->advance(), State::kFailed);
  EXPECT_EQ(loop.code(), Errc::kClosed);
  EXPECT_EQ(loop.error(), "connection closed by the server");
  EXPECT_EQ(loop.packets, std::vector<Bytes>{numbered(1, 20000)});
  EXPECT_FALSE(loop.transport->send_packet(numbered(1, 10), {}));
}

// OpenSSH hides by these that nothing is echoed, and each is as long as what was typed.
TEST_P(TransportConnection, LongIgnoredPacketsAreNoFailure) {
  for (const std::size_t size : {std::size_t{35'000}, std::size_t{46'608}, std::size_t{260'000}}) {
    loop.packets.clear();
    loop.server.send(WireWriter().u8(2).string(std::string(size, 'i')).take());
    loop.server.send(channel_data("still here"));
    ASSERT_EQ(loop.pump(), State::kConnection) << size << loop.error();
    EXPECT_EQ(loop.packets, std::vector<Bytes>{channel_data("still here")});
  }
}

INSTANTIATE_TEST_SUITE_P(Transport, TransportConnection,
                         testing::Values("aes128-gcm@openssh.com", "aes256-gcm@openssh.com",
                                         "chacha20-poly1305@openssh.com"));

// OpenSSH sends hostkeys-00@openssh.com in the same segment as the success.
TEST(TransportLogin, ConnectionPacketsRightBehindTheSuccessAreDelivered) {
  Loopback loop;
  loop.reach_userauth();
  loop.transport->start_none("alice");
  loop.transport->advance();
  loop.pump();
  const Bytes request = WireWriter().u8(80).string("hostkeys-00@openssh.com").boolean(false).take();
  loop.server.send_text("\x34");
  loop.server.send(request);
  loop.server.send(channel_data("x"));
  EXPECT_EQ(loop.pump(), State::kConnection);
  EXPECT_EQ(loop.packets, (std::vector<Bytes>{request, channel_data("x")}));
}

// libssh2 would keep each of them for ever.
TEST(TransportLogin, MessagesThatNobodyReadsArePutAway) {
  Loopback loop;
  loop.reach_connection();
  for (std::uint8_t type :
       {std::uint8_t{3}, std::uint8_t{0}, std::uint8_t{6}, std::uint8_t{12}, std::uint8_t{51},
        std::uint8_t{60}, std::uint8_t{79}, std::uint8_t{128}, std::uint8_t{192}}) {
    Bytes filler(20000, 'x');
    filler[0] = type;
    for (int i = 0; i < 60; ++i) loop.server.send(filler);
    ASSERT_EQ(loop.pump(), State::kConnection) << int{type} << loop.error();
  }
  EXPECT_TRUE(loop.packets.empty());
  loop.server.send(channel_data("still here"));
  loop.pump();
  EXPECT_EQ(loop.packets, std::vector<Bytes>{channel_data("still here")});
}

TEST(TransportRekey, ToAnotherCipherIsRefused) {
  Loopback loop;
  loop.reach_connection();
  loop.server.options().cipher_in = loop.server.options().cipher_out = "chacha20-poly1305@openssh.com";
  loop.server.start_key_exchange();
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.error(),
            "the server broke the protocol: the server wants other ciphers in a key re-exchange");
}

TEST(TransportRekey, WithAnotherHostKeyIsRefused) {
  Loopback loop;
  loop.reach_connection();
  loop.server.change_host_key();
  loop.server.start_key_exchange();
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.code(), Errc::kHostKey);
}

// libssh2 ignores the failure of a key re-exchange that it notices at once.
TEST(TransportRekey, WithABrokenSignatureIsRefused) {
  Loopback loop;
  loop.reach_connection();
  loop.server.break_host_key_signature();
  loop.server.start_key_exchange();
  EXPECT_EQ(loop.pump(), State::kFailed);
}

TEST(TransportRekey, WithoutAKexinitIsRefused) {
  Loopback loop;
  loop.reach_connection();
  loop.server.send_text("\x15");
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.code(), Errc::kProtocol);
}

TEST(TransportRekey, TwiceAtOnceIsRefused) {
  Loopback loop;
  loop.reach_connection();
  loop.server.hold_newkeys();
  loop.server.start_key_exchange();
  loop.server.start_key_exchange();
  EXPECT_EQ(loop.pump(), State::kFailed);
}

TEST(TransportDisconnect, TellsTheServer) {
  Loopback loop;
  loop.reach_connection();
  loop.transport->disconnect();
  loop.pump();
  EXPECT_EQ(loop.server.take_message(),
            WireWriter().u8(1).u32(11).string("disconnected by user").string("").take());
}

// AES-GCM and ChaCha20-Poly1305 have OpenSSH's limit.
TEST(TransportLogin, RefusesAPacketThatDoesNotFit) {
  Loopback loop;
  loop.reach_connection();
  loop.server.append(WireWriter().u32(300'000).raw(Bytes(40000)).view());
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.error(), "the connection is corrupted: impossible packet length");
}

}  // namespace
}  // namespace jump
