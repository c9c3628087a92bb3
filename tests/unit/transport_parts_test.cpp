// The pure parts of the transport: version line, algorithm lists, KEXINIT, session memory.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "base/wire.h"
#include "transport/algorithms.h"
#include "transport/kexinit.h"
#include "transport/session_memory.h"
#include "transport/version_exchange.h"

namespace jump {
namespace {

// --- version -----------------------------------------------------------------------------------------------

// Feeds `text` up to the end, or up to where it is refused; returns how many bytes were taken.
std::size_t feed(VersionExchange* exchange, std::string_view text) {
  std::size_t count = 0;
  for (char c : text) {
    if (exchange->done() || !exchange->take(static_cast<std::uint8_t>(c))) break;
    ++count;
  }
  return count;
}

TEST(VersionExchange, TakesTheVersionLineAndNothingBehindIt) {
  VersionExchange exchange;
  const std::string lines = "hello\nSSH-2.0-OpenSSH_9.2p1 Debian-2\r\n";
  EXPECT_EQ(feed(&exchange, lines + "SSH-"), lines.size());
  EXPECT_TRUE(exchange.done());
  EXPECT_EQ(exchange.version(), "SSH-2.0-OpenSSH_9.2p1 Debian-2");
}

TEST(VersionExchange, Takes1Point99AsVersion2) {
  VersionExchange exchange;
  feed(&exchange, "SSH-1.99-Cisco-1.25\n");
  EXPECT_TRUE(exchange.done());
}

TEST(VersionExchange, RefusesOtherVersions) {
  for (const char* line : {"SSH-1.5-x\n", "SSH-2.1-x\n", "SSH-\n", "SSH-2.0\n"}) {
    VersionExchange exchange;
    feed(&exchange, line);
    EXPECT_FALSE(exchange.done()) << line;
    EXPECT_EQ(exchange.error().code, Errc::kUnsupported) << line;
  }
}

TEST(VersionExchange, NamesOtherProtocolsAtTheirFirstLine) {
  for (const char* line : {"HTTP/1.0 400 Bad Request", "220 mail.example ESMTP", "+OK POP3", "RFB 003.008",
                           "<html>", "* OK IMAP4"}) {
    VersionExchange exchange;
    feed(&exchange, std::string(line) + "\r\nmore\r\n");
    EXPECT_EQ(exchange.error().message, std::string("not an SSH server (it said: \"") + line + "\")");
  }
}

TEST(VersionExchange, RefusesControlBytesAtOnce) {
  VersionExchange tls;
  EXPECT_EQ(feed(&tls, std::string_view("\x15\x03\x01\x00\x02\x02\x46", 7)), 0u);
  EXPECT_EQ(tls.error().code, Errc::kProtocol);
  VersionExchange nul;
  EXPECT_EQ(feed(&nul, std::string_view("SSH-2.0-x\0y\n", 12)), 9u);
}

TEST(VersionExchange, BoundsLinesLineLengthAndBytes) {
  VersionExchange lines;
  std::string many;
  for (std::size_t i = 0; i < VersionExchange::kMaxLines; ++i) many += "x\n";
  EXPECT_EQ(feed(&lines, many), many.size());
  EXPECT_LT(feed(&lines, "x\n"), 2u);

  VersionExchange length;
  EXPECT_EQ(feed(&length, std::string(20000, 'x')), VersionExchange::kMaxLine);

  VersionExchange bytes;
  EXPECT_EQ(feed(&bytes, std::string(100000, '\r')), VersionExchange::kMaxBytes);
}

TEST(VersionExchange, MakesWhatTheServerSaidPrintableAndShort) {
  VersionExchange exchange;
  feed(&exchange, "caf\xc3\xa9\t" + std::string(200, 'x') + "\n");
  EXPECT_EQ(exchange.said(), "caf???" + std::string(74, 'x') + "...");
}

// --- algorithms --------------------------------------------------------------------------------------------

TEST(Algorithms, ComeWithAesFirstOnlyWhereTheCpuHasIt) {
  EXPECT_EQ(default_algorithms(true).cipher.find("aes128-gcm@openssh.com,"), 0u);
  EXPECT_EQ(default_algorithms(false).cipher.find("chacha20-poly1305@openssh.com,"), 0u);
}

TEST(Algorithms, HaveNothingOldByDefault) {
  for (bool aes : {true, false}) {
    const Algorithms ours = default_algorithms(aes);
    for (const std::string& list : {ours.kex, ours.host_key, ours.cipher, ours.mac}) {
      for (std::string_view name : split_names(list)) {
        for (std::string_view old : {"cbc", "arcfour", "md5", "3des", "group1-", "dss"}) {
          EXPECT_EQ(name.find(old), std::string_view::npos) << name;
        }
        EXPECT_FALSE(name.ends_with("sha1")) << name;
        EXPECT_NE(name, "ssh-rsa");
      }
    }
  }
}

TEST(Algorithms, AgreeOnTheFirstOfOursAsTheRfcSays) {
  EXPECT_EQ(agree("a,b,c", "c,b"), "b");
  EXPECT_EQ(agree("a,b", "aa,bb"), "");
  EXPECT_EQ(agree("", "a"), "");
  EXPECT_EQ(agree(",,b", ",b,"), "b");
}

TEST(Algorithms, AreOfferedInTheOrderWanted) {
  const std::vector<std::string> supported = {"a", "b", "c"};
  EXPECT_EQ(offer("cipher", "c,x,a", supported).value(), "c,a");
  EXPECT_EQ(offer("cipher", "x", supported).error().hint, "supported are: a, b, c");
}

// --- KEXINIT -----------------------------------------------------------------------------------------------

struct Lists {
  std::string kex = "curve25519-sha256";
  std::string host_key = "ssh-ed25519";
  std::string cipher_out = "aes128-ctr";
  std::string cipher_in = "aes128-ctr";
  std::string mac_out = "hmac-sha2-256";
  std::string mac_in = "hmac-sha2-512";
  std::string compression = "none,zlib@openssh.com";

  Bytes message() const {
    WireWriter out;
    out.u8(20).raw(Bytes(16)).string(kex).string(host_key).string(cipher_out).string(cipher_in);
    out.string(mac_out).string(mac_in).string(compression).string(compression).string("").string("");
    return out.boolean(false).u32(0).take();
  }
};

TEST(KexInit, AgreesOnEachDirectionsMac) {
  const Result<Agreement> agreement = negotiate(default_algorithms(true), Lists{}.message());
  ASSERT_TRUE(agreement.ok());
  EXPECT_EQ(*agreement, (Agreement{"aes128-ctr", "hmac-sha2-256", "hmac-sha2-512"}));
}

TEST(KexInit, NeedsNoMacWithAnAeadCipher) {
  for (const char* cipher : {"aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"}) {
    Lists lists;
    lists.cipher_in = lists.cipher_out = cipher;
    lists.mac_in = lists.mac_out = "none-of-ours";
    const Result<Agreement> agreement = negotiate(default_algorithms(true), lists.message());
    ASSERT_TRUE(agreement.ok());
    EXPECT_EQ(*agreement, (Agreement{cipher, "", ""}));
  }
}

TEST(KexInit, NeedsNoCompression) {
  Lists lists;
  lists.compression = "zlib";
  EXPECT_EQ(negotiate(default_algorithms(true), lists.message()).error().code, Errc::kUnsupported);
}

TEST(KexInit, CutShortAnywhereIsMalformed) {
  const Bytes message = Lists{}.message();
  for (std::size_t size = 1; size < message.size(); ++size) {
    const Result<Agreement> agreement = negotiate(default_algorithms(true), ByteView(message).first(size));
    ASSERT_FALSE(agreement.ok()) << size;
    EXPECT_EQ(agreement.error().code, Errc::kProtocol) << size;
  }
}

TEST(KexInit, QuotesAServersListSafely) {
  Lists lists;
  lists.cipher_out = "\x1b]0;" + std::string(30000, 'x');
  const std::string message = negotiate(default_algorithms(true), lists.message()).error().message;
  EXPECT_LT(message.size(), 600u);
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
}

// --- memory ------------------------------------------------------------------------------------------------

TEST(SessionMemory, StaysWithinItsLimitAndRemembersThatItWasHit) {
  SessionMemory memory;
  void* most = memory.allocate(SessionMemory::kLimit - 10);
  ASSERT_NE(most, nullptr);
  EXPECT_EQ(memory.allocate(11), nullptr);
  EXPECT_TRUE(memory.hit_limit());
  EXPECT_EQ(memory.reallocate(nullptr, static_cast<std::size_t>(-1)), nullptr);
  void* rest = memory.allocate(10);
  EXPECT_NE(rest, nullptr);
  memory.release(most);
  EXPECT_EQ(memory.in_use(), 10u);
}

TEST(SessionMemory, WhatKeyExchangesLeaveIsNotCounted) {
  SessionMemory memory;
  std::vector<void*> left = {memory.allocate(SessionMemory::kLimit)};
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(memory.allocate(1), nullptr);
    memory.note_key_exchange();
    left.push_back(memory.allocate(SessionMemory::kLeftByExchange));
    ASSERT_NE(left.back(), nullptr);
  }
  for (void* each : left) memory.release(each);
}

TEST(SessionMemory, KeepsContentsWhenItReallocates) {
  SessionMemory memory;
  void* data = memory.allocate(6);
  std::memcpy(data, "secret", 6);
  data = memory.reallocate(data, 100000);
  EXPECT_EQ(std::memcmp(data, "secret", 6), 0);
  data = memory.reallocate(data, 3);
  EXPECT_EQ(std::memcmp(data, "sec", 3), 0);
  EXPECT_EQ(memory.in_use(), 3u);
  memory.release(nullptr);
}

TEST(SessionMemory, FreesWhatWasForgotten) {  // the sanitizer builds check that
  SessionMemory memory;
  void* first = memory.allocate(1);
  memory.allocate(100);
  memory.allocate(50000);
  memory.release(first);
  EXPECT_EQ(memory.in_use(), 50100u);
}

}  // namespace
}  // namespace jump
