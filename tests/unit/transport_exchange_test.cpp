// The part before login: version, key exchange, host key; and servers that get it wrong.
#include <gtest/gtest.h>

#include "transport_loopback.h"

namespace jump {
namespace {

using test::Loopback;
using test::TestServerOptions;
using State = Transport::State;

TEST(TransportExchange, EndsAtTheServersHostKey) {
  Loopback loop;
  ASSERT_EQ(loop.pump(), State::kHostKey);
  EXPECT_EQ(loop.transport->host_key().algorithm, "ssh-ed25519");
  EXPECT_EQ(loop.transport->host_key().blob, loop.server.host_key_blob());
  EXPECT_EQ(loop.transport->server_banner(), "SSH-2.0-TestServer_1.0");
  EXPECT_EQ(loop.transport->describe_algorithms(), "curve25519-sha256, aes128-gcm@openssh.com");
}

TEST(TransportExchange, AsksNothingOfTheServerUntilTheHostKeyIsAccepted) {
  Loopback loop;
  ASSERT_EQ(loop.pump(), State::kHostKey);
  EXPECT_FALSE(loop.server.has_message());
  loop.transport->start_none("alice");  // too early: ignored
  loop.transport->advance();
  loop.pump();
  EXPECT_FALSE(loop.server.has_message());
}

class EachCipher : public testing::TestWithParam<const char*> {};

TEST_P(EachCipher, WorksWhateverThePiecesThatArrive) {
  for (std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{100}, Loopback::kAll}) {
    TestServerOptions options;
    options.cipher_in = options.cipher_out = GetParam();
    Loopback loop(options);
    ASSERT_EQ(loop.pump(piece), State::kHostKey) << piece << " " << loop.error();
  }
}

TEST_P(EachCipher, WorksWithoutStrictKeyExchangeToo) {
  TestServerOptions options;
  options.kex = "curve25519-sha256";
  options.cipher_in = options.cipher_out = GetParam();
  Loopback loop(options);
  EXPECT_EQ(loop.pump(), State::kHostKey) << loop.error();
}

INSTANTIATE_TEST_SUITE_P(Transport, EachCipher,
                         testing::Values("aes128-gcm@openssh.com", "aes256-gcm@openssh.com",
                                         "chacha20-poly1305@openssh.com"));

TEST(TransportExchange, SaysWhatKindOfAlgorithmIsNotInCommon) {
  const auto error_with = [](auto change) {
    TestServerOptions options;
    change(options);
    Loopback loop(options);
    EXPECT_EQ(loop.pump(), State::kFailed);
    EXPECT_EQ(loop.code(), Errc::kUnsupported);
    return loop.error();
  };
  EXPECT_EQ(error_with([](auto& o) {
              o.cipher_in = o.cipher_out = "aes256-cbc,3des-cbc";
            }).find("no common cipher: the server offers \"aes256-cbc,3des-cbc\", we offer \"aes"),
            0u);
  EXPECT_EQ(error_with([](auto& o) { o.kex = "kex-from-the-future"; }).find("no common key exchange method:"),
            0u);
  EXPECT_EQ(error_with([](auto& o) { o.host_key = "ssh-dss"; }).find("no common host key algorithm:"), 0u);
  EXPECT_EQ(error_with([](auto& o) {
              o.cipher_in = o.cipher_out = "aes128-ctr";
              o.mac = "hmac-md5";
            }).find("no common MAC:"),
            0u);
}

TEST(TransportExchange, RefusesTwoCiphersInOneConnection) {
  TestServerOptions options;
  options.cipher_in = "aes128-gcm@openssh.com";
  options.cipher_out = "chacha20-poly1305@openssh.com";
  Loopback loop(options);
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.error().find("no common cipher for both directions"), 0u) << loop.error();
}

// libssh2 would call a null function.
TEST(TransportExchange, RefusesAServerThatListsTheClientsAnnouncements) {
  for (const char* name : {"ext-info-c", "kex-strict-c-v00@openssh.com"}) {
    TestServerOptions options;
    options.kex = std::string("curve25519-sha256,") + name;
    Loopback loop(options);
    EXPECT_EQ(loop.pump(), State::kFailed);
    EXPECT_EQ(loop.code(), Errc::kProtocol);
  }
}

TEST(TransportExchange, FailsWhenTheHostKeySignatureIsWrong) {
  Loopback loop;
  loop.server.break_host_key_signature();
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.error().find("key exchange failed"), 0u) << loop.error();
}

TEST(TransportExchange, QuotesAServerOfAnotherProtocol) {
  TestServerOptions options;
  options.kex.clear();
  options.version = "HTTP/1.1 400 Bad Request\x1b";
  Loopback loop(options);
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.code(), Errc::kProtocol);
  EXPECT_EQ(loop.error(), "not an SSH server (it said: \"HTTP/1.1 400 Bad Request?\")");
}

TEST(TransportExchange, AcceptsLinesBeforeTheVersion) {
  TestServerOptions options;
  options.greeting = "Welcome to the bastion.\r\n\r\nIt is monitored.\n";
  Loopback loop(options);
  EXPECT_EQ(loop.pump(), State::kHostKey);
  EXPECT_EQ(loop.transport->server_banner(), "SSH-2.0-TestServer_1.0");
}

TEST(TransportExchange, QuotesWhatTheServerSaidBeforeItHungUp) {
  TestServerOptions options;
  options.kex.clear();
  options.version = "Exceeded MaxStartups";
  Loopback loop(options);
  loop.transport->feed_eof();
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.code(), Errc::kClosed);
  EXPECT_EQ(loop.error(),
            "connection closed by the server before it said which SSH version it speaks (it said: \"Exceeded "
            "MaxStartups\")");
}

TEST(TransportExchange, GivesUpOnEndlessGarbageBeforeUsingAllOfIt) {
  for (const std::string& garbage : {std::string(100000, 'A'), std::string(100000, '\n'),
                                     std::string(100000, '\xff'), std::string(100000, '\0')}) {
    Loopback loop(TestServerOptions{});
    loop.server.take_output();
    loop.transport->feed(as_bytes(garbage));
    EXPECT_EQ(loop.transport->advance(), State::kFailed);
    EXPECT_EQ(loop.error().find("not an SSH server"), 0u);
  }
}

TEST(TransportExchange, ReportsTheServersReasonToDisconnect) {
  Loopback loop;
  ASSERT_EQ(loop.pump(), State::kHostKey);
  loop.server.send(WireWriter().u8(1).u32(11).string("Too slow,\x1b[31m go away").string("").view());
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.code(), Errc::kClosed);
  EXPECT_EQ(loop.error(), "server disconnected: Too slow,?[31m go away");
}

TEST(TransportExchange, NoticesTheEndWhileThePersonLooksAtTheHostKey) {
  Loopback loop;
  ASSERT_EQ(loop.pump(), State::kHostKey);
  loop.transport->feed_eof();
  EXPECT_EQ(loop.transport->advance(), State::kFailed);
  EXPECT_EQ(loop.error(), "connection closed by the server while its host key was being checked");
}

TEST(TransportExchange, NamesThePhaseInWhichTheConnectionEnded) {
  Loopback loop;
  const Bytes start = loop.server.take_output();
  loop.transport->feed(ByteView(start).first(start.size() - 1));
  loop.transport->advance();
  loop.transport->feed_eof();
  EXPECT_EQ(loop.transport->advance(), State::kFailed);
  EXPECT_EQ(loop.error(), "connection closed by the server during key exchange");
}

// Every prefix of what a server sends ends in an error and frees everything (the sanitizer builds check
// that).
TEST(TransportExchange, SurvivesTheEndAfterAnyNumberOfBytes) {
  for (std::size_t limit = 0; limit < 4000; limit += 29) {
    Loopback loop;
    std::size_t fed = 0;
    for (bool moved = true; moved && fed < limit;) {
      for (ByteView out = loop.transport->output().front(); !out.empty();
           out = loop.transport->output().front()) {
        loop.server.feed(out);
        loop.transport->output().consume(out.size());
      }
      const Bytes in = loop.server.take_output();
      const ByteView part = ByteView(in).first(std::min(in.size(), limit - fed));
      moved = !part.empty();
      fed += part.size();
      loop.transport->feed(part);
      loop.transport->advance();
    }
    loop.transport->feed_eof();
    ASSERT_EQ(loop.transport->advance(), State::kFailed) << limit;
    ASSERT_EQ(loop.code(), Errc::kClosed) << limit << " " << loop.error();
    ASSERT_EQ(loop.error().find("connection closed by the server"), 0u) << loop.error();
  }
}

TEST(TransportExchange, MayBeDestroyedAtAnyMoment) {
  for (std::size_t limit = 0; limit < 1500; limit += 41) {
    Loopback loop;
    const Bytes in = loop.server.take_output();
    loop.transport->feed(ByteView(in).first(std::min(in.size(), limit)));
    loop.transport->advance();
  }
}

TEST(TransportExchange, RefusesAPacketThatDoesNotFitWhenItIsNotEncrypted) {
  Loopback loop;
  loop.pump(1);
  Loopback fresh(TestServerOptions{});
  fresh.server.take_output();
  fresh.transport->feed(as_bytes("SSH-2.0-x\r\n"));
  const Bytes huge = WireWriter().u32(0x7fffffff).u32(0).u32(0).u32(0).take();
  fresh.transport->feed(huge);
  EXPECT_EQ(fresh.transport->advance(), State::kFailed);
  EXPECT_EQ(fresh.code(), Errc::kProtocol);
}

// Without strict key exchange libssh2 keeps whatever it did not ask for.
TEST(TransportExchange, BoundsWhatAServerCanMakeLibssh2Keep) {
  TestServerOptions options;
  options.kex = "curve25519-sha256";
  Loopback loop(options);
  Bytes filler(30000, 'x');
  filler[0] = 35;
  for (int i = 0; i < 100; ++i) loop.server.send(filler);
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.code(), Errc::kLimit) << loop.error();
}

TEST(TransportExchange, RefusesOtherMessagesBeforeThereAreKeys) {
  for (std::uint8_t type : {std::uint8_t{6}, std::uint8_t{52}, std::uint8_t{80}, std::uint8_t{94},
                            std::uint8_t{0}, std::uint8_t{21}, std::uint8_t{192}}) {
    TestServerOptions options;
    options.kex = "curve25519-sha256";
    Loopback loop(options);
    loop.server.take_output();
    loop.transport->feed(as_bytes("SSH-2.0-x\r\n"));
    loop.server.send(Bytes(20, type));
    EXPECT_EQ(loop.pump(), State::kFailed) << int{type};
    EXPECT_EQ(loop.error().find("the server broke the protocol"), 0u) << loop.error();
  }
}

TEST(TransportExchange, RefusesAServerWithVersion1Only) {
  TestServerOptions options;
  options.kex.clear();
  options.version = "SSH-1.5-ancient";
  Loopback loop(options);
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.code(), Errc::kUnsupported);
}

// --- options -----------------------------------------------------------------------------------------------

TEST(TransportOptionsTest, SkipAlgorithmsThatAreUnknown) {
  TransportOptions options;
  options.ciphers = "aes-from-the-future,chacha20-poly1305@openssh.com";
  options.kex = "sntrup761x25519-sha512@openssh.com,curve25519-sha256";
  options.host_key_algorithms = "ssh-ed25519";
  options.macs = "umac-128-etm@openssh.com,hmac-sha2-256";
  TestServerOptions server;
  server.cipher_in = server.cipher_out = "chacha20-poly1305@openssh.com";
  Loopback loop(server, options);
  EXPECT_EQ(loop.pump(), State::kHostKey) << loop.error();
  EXPECT_EQ(loop.transport->describe_algorithms(), "curve25519-sha256, chacha20-poly1305@openssh.com");
}

TEST(TransportOptionsTest, WithNoKnownAlgorithmAreAnErrorThatListsThem) {
  struct Null : PacketHandler {
    void on_packet(ByteView) override {}
  } handler;
  TransportOptions options;
  options.ciphers = "rot13";
  const auto made = Transport::create(options, &handler);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, Errc::kUnsupported);
  EXPECT_EQ(made.error().message, "none of the ciphers \"rot13\" is supported");
  EXPECT_NE(made.error().hint.find("aes256-gcm@openssh.com"), std::string::npos) << made.error().hint;
}

}  // namespace
}  // namespace jump
