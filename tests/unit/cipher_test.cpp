// The packet ciphers against published test vectors and against libssh2's own implementations of the same
// ciphers.
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <string>

#include "base/wire.h"
#include "transport/cipher_aes_gcm.h"
#include "transport/cipher_chacha20poly1305.h"
#include "transport/libssh2_internals.h"

namespace jump {
namespace {

constexpr std::size_t kLength = PacketCipher::kLengthSize;
constexpr std::size_t kTag = PacketCipher::kTagSize;

Bytes unhex(std::string_view text) {
  Bytes out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    out.push_back(static_cast<std::uint8_t>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

Bytes random_bytes(std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  Bytes out(size);
  for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(random());
  return out;
}

// A packet to be sealed: length field, body, room for the tag.
Bytes packet_of(ByteView body) {
  Bytes packet(kLength + body.size() + kTag);
  store_u32(packet.data(), static_cast<std::uint32_t>(body.size()));
  std::copy(body.begin(), body.end(), packet.begin() + kLength);
  return packet;
}

Bytes body_of(const Bytes& packet) { return {packet.begin() + kLength, packet.end() - kTag}; }
Bytes tag_of(const Bytes& packet) { return {packet.end() - kTag, packet.end()}; }

// --- a slow AES-GCM tag, written from NIST SP 800-38D ------------------------------------------------------

using Block = std::array<std::uint8_t, 16>;

Block aes_block(const Bytes& key, const Block& in) {
  Block out{};
  int written = 0;
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  EVP_EncryptInit_ex(context, key.size() == 16 ? EVP_aes_128_ecb() : EVP_aes_256_ecb(), nullptr, key.data(),
                     nullptr);
  EVP_EncryptUpdate(context, out.data(), &written, in.data(), 16);
  EVP_CIPHER_CTX_free(context);
  return out;
}

Block gf_multiply(const Block& x, const Block& y) {
  Block z{};
  Block v = y;
  for (int bit = 0; bit < 128; ++bit) {
    if ((x[static_cast<std::size_t>(bit / 8)] >> (7 - bit % 8) & 1) != 0) {
      for (std::size_t i = 0; i < 16; ++i) z[i] = static_cast<std::uint8_t>(z[i] ^ v[i]);
    }
    const bool carry = (v[15] & 1) != 0;
    for (std::size_t i = 15; i > 0; --i) v[i] = static_cast<std::uint8_t>(v[i] >> 1 | v[i - 1] << 7);
    v[0] = static_cast<std::uint8_t>(v[0] >> 1);
    if (carry) v[0] ^= 0xe1;
  }
  return z;
}

Bytes gcm_tag(const Bytes& key, const Bytes& iv, const Bytes& aad, const Bytes& ciphertext) {
  const Block h = aes_block(key, {});
  Block y{};
  const auto absorb = [&](const Bytes& data) {
    for (std::size_t at = 0; at < data.size(); at += 16) {
      for (std::size_t i = 0; i < std::min<std::size_t>(16, data.size() - at); ++i) y[i] ^= data[at + i];
      y = gf_multiply(y, h);
    }
  };
  absorb(aad);
  absorb(ciphertext);
  absorb(WireWriter().u64(aad.size() * 8).u64(ciphertext.size() * 8).take());
  Block j0{};
  std::copy(iv.begin(), iv.end(), j0.begin());
  j0[15] = 1;
  const Block mask = aes_block(key, j0);
  Bytes tag(16);
  for (std::size_t i = 0; i < 16; ++i) tag[i] = y[i] ^ mask[i];
  return tag;
}

// --- AES-GCM -----------------------------------------------------------------------------------------------

// Test cases 4 and 16 of McGrew and Viega's "The Galois/Counter Mode of Operation", whose plaintext is 60
// bytes; the cases before them (3 and 15) have the same key and IV, and 64.
struct GcmVector {
  const char* key;
  const char* ciphertext;
  const char* tag;  // of the first 60 bytes, with kGcmAad
};
constexpr char kGcmIv[] = "cafebabefacedbaddecaf888";
constexpr char kGcmAad[] = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
constexpr char kGcmPlain[] =
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
constexpr GcmVector kGcmVectors[] = {{"feffe9928665731c6d6a8f9467308308",
                                      "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
                                      "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
                                      "5bc94fbc3221a5db94fae95ae7121a47"},
                                     {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
                                      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                                      "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
                                      "76fc6ece0f4e1768cddf8853bb2d551b"}};

TEST(CipherAesGcm, SealsThePublishedVectors) {
  for (const GcmVector& vector : kGcmVectors) {
    const Bytes key = unhex(vector.key);
    const Bytes iv = unhex(kGcmIv);
    const Bytes ciphertext = unhex(vector.ciphertext);
    // The published tag has 20 bytes of associated data, where SSH has 4: so it vouches for gcm_tag(), and
    // that for us.
    ASSERT_EQ(gcm_tag(key, iv, unhex(kGcmAad), Bytes(ciphertext.begin(), ciphertext.begin() + 60)),
              unhex(vector.tag));

    auto cipher = CipherAesGcm::create(PacketCipher::Direction::kSeal, key, iv);
    ASSERT_NE(cipher, nullptr);
    Bytes packet = packet_of(unhex(kGcmPlain));
    ASSERT_TRUE(cipher->seal(0, packet.data(), 64));
    EXPECT_EQ(Bytes(packet.begin(), packet.begin() + 4), unhex("00000040"));
    EXPECT_EQ(body_of(packet), ciphertext);
    EXPECT_EQ(tag_of(packet), gcm_tag(key, iv, unhex("00000040"), ciphertext));
  }
}

TEST(CipherAesGcm, CountsPacketsInTheLastEightBytesOfTheIvAndCarries) {
  const Bytes key = unhex(kGcmVectors[0].key);
  auto one = CipherAesGcm::create(PacketCipher::Direction::kSeal, key, unhex("01020304ffffffffffffffff"));
  auto two = CipherAesGcm::create(PacketCipher::Direction::kSeal, key, unhex("010203040000000000000000"));
  Bytes first = packet_of(unhex(kGcmPlain));
  Bytes second = first;
  Bytes expected = first;
  ASSERT_TRUE(one->seal(7, first.data(), 64));
  ASSERT_TRUE(one->seal(7, second.data(), 64));
  ASSERT_TRUE(two->seal(0, expected.data(), 64));
  EXPECT_NE(first, second);
  EXPECT_EQ(second, expected);  // the counter wrapped, and nothing of it went into the fixed four bytes
}

TEST(CipherAesGcm, RefusesLengthsThatNoPeerWouldSend) {
  auto cipher = CipherAesGcm::create(PacketCipher::Direction::kOpen, Bytes(16), Bytes(12));
  const auto length = [&](std::uint32_t value) {
    std::uint8_t field[4];
    store_u32(field, value);
    return cipher->get_length(0, field);
  };
  EXPECT_EQ(length(16), 16u);
  EXPECT_EQ(length(262144), 262144u);
  for (std::uint32_t bad : {0u, 8u, 15u, 17u, 262143u, 262160u, 0x80000000u, 0xfffffff0u}) {
    EXPECT_EQ(length(bad), std::nullopt) << bad;
  }
}

TEST(CipherAesGcm, RefusesKeysAndIvsOfOtherSizes) {
  const auto make = [](std::size_t key, std::size_t iv) {
    return CipherAesGcm::create(PacketCipher::Direction::kSeal, Bytes(key), Bytes(iv));
  };
  EXPECT_NE(make(16, 12), nullptr);
  EXPECT_EQ(make(24, 12), nullptr);
  EXPECT_EQ(make(16, 16), nullptr);
}

// --- ChaCha20-Poly1305 -------------------------------------------------------------------------------------

// RFC 8439, appendix A.1, vectors 1 and 2: key stream of the zero key with the zero nonce. The nonce is
// shorter there, but zero is zero.
constexpr char kZeroBlock0[] =
    "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
    "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586";
constexpr char kZeroBlock1[] =
    "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
    "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f";
// The zero key with the 64-bit nonce 1, as draft-agl-tls-chacha20poly1305-04 gives it.
constexpr char kNonceOneBlock0[] = "de9cba7bf3d69ef5e786dc63973f653a0b49e015adbff7134fcb7df137821031";

Bytes poly1305(const Bytes& key, ByteView data) {
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "POLY1305", nullptr);
  EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
  Bytes tag(16);
  std::size_t written = 0;
  EVP_MAC_init(context, key.data(), key.size(), nullptr);
  EVP_MAC_update(context, data.data(), data.size());
  EVP_MAC_final(context, tag.data(), &written, tag.size());
  EVP_MAC_CTX_free(context);
  EVP_MAC_free(mac);
  return tag;
}

TEST(CipherChaCha20Poly1305, SealsWithThePublishedKeyStreams) {
  // RFC 8439 2.5.2 vouches for the Poly1305 used here.
  ASSERT_EQ(poly1305(unhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b"),
                     as_bytes("Cryptographic Forum Research Group")),
            unhex("a8061dc1305136c6c22b8baf0c0127a9"));

  auto cipher = CipherChaCha20Poly1305::create(Bytes(64));
  ASSERT_NE(cipher, nullptr);
  Bytes packet = packet_of(Bytes(64));
  ASSERT_TRUE(cipher->seal(0, packet.data(), 64));
  // Length field: the length, 0x40, under block 0 of the second key, which begins with 76b8e0ad.
  EXPECT_EQ(Bytes(packet.begin(), packet.begin() + 4), unhex("76b8e0ed"));
  EXPECT_EQ(body_of(packet), unhex(kZeroBlock1));  // body: from block 1 of the first
  Bytes key = unhex(kZeroBlock0);
  key.resize(32);  // RFC 8439 appendix A.4, vector 1
  EXPECT_EQ(tag_of(packet), poly1305(key, ByteView(packet).first(4 + 64)));
}

TEST(CipherChaCha20Poly1305, TakesTheSequenceNumberAsABigEndianNonce) {
  auto cipher = CipherChaCha20Poly1305::create(Bytes(64));
  Bytes field = unhex(kNonceOneBlock0);
  field.resize(4);
  field[2] ^= 0x12;
  field[3] ^= 0x38;
  EXPECT_EQ(cipher->get_length(1, field.data()), 0x1238u);
  EXPECT_NE(cipher->get_length(0, field.data()), 0x1238u);
}

TEST(CipherChaCha20Poly1305, RefusesKeysOfOtherSizes) {
  EXPECT_EQ(CipherChaCha20Poly1305::create(Bytes(32)), nullptr);
}

// --- both --------------------------------------------------------------------------------------------------

struct Pair {
  std::unique_ptr<PacketCipher> sealer;
  std::unique_ptr<PacketCipher> opener;
  std::size_t block;
};

std::unique_ptr<PacketCipher> make_cipher(std::string_view name, PacketCipher::Direction direction) {
  if (name.starts_with("chacha20")) return CipherChaCha20Poly1305::create(random_bytes(64, 1));
  return CipherAesGcm::create(direction, random_bytes(name.starts_with("aes128") ? 16 : 32, 2),
                              random_bytes(12, 3));
}

Pair make_pair_of(std::string_view name) {
  return {make_cipher(name, PacketCipher::Direction::kSeal),
          make_cipher(name, PacketCipher::Direction::kOpen),
          name.starts_with("chacha20") ? std::size_t{8} : std::size_t{16}};
}

class PacketCiphers : public testing::TestWithParam<const char*> {};

TEST_P(PacketCiphers, OpenWhatWasSealedInOrder) {
  Pair pair = make_pair_of(GetParam());
  std::uint32_t seqno = 0xfffffff0;  // wraps on the way
  for (std::size_t size = pair.block; size <= 2048; size += pair.block, ++seqno) {
    const Bytes body = random_bytes(size, seqno);
    Bytes packet = packet_of(body);
    ASSERT_TRUE(pair.sealer->seal(seqno, packet.data(), size));
    EXPECT_NE(body_of(packet), body);
    ASSERT_EQ(pair.opener->get_length(seqno, packet.data()), size);
    ASSERT_TRUE(pair.opener->open(seqno, packet.data(), size));
    ASSERT_EQ(body_of(packet), body);
  }
}

TEST_P(PacketCiphers, RefuseAPacketWithAnyBitChanged) {
  Pair sealing = make_pair_of(GetParam());
  const Bytes body = random_bytes(48, 5);
  Bytes sealed = packet_of(body);
  ASSERT_TRUE(sealing.sealer->seal(0, sealed.data(), body.size()));
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Bytes tampered = sealed;
    tampered[bit / 8] = static_cast<std::uint8_t>(tampered[bit / 8] ^ 1 << bit % 8);
    Pair fresh = make_pair_of(GetParam());
    EXPECT_FALSE(fresh.opener->open(0, tampered.data(), body.size())) << "bit " << bit;
  }
}

TEST_P(PacketCiphers, RefuseAReplayedPacket) {
  Pair pair = make_pair_of(GetParam());
  const Bytes body = random_bytes(32, 6);
  Bytes sealed = packet_of(body);
  ASSERT_TRUE(pair.sealer->seal(0, sealed.data(), body.size()));
  Bytes again = sealed;
  ASSERT_TRUE(pair.opener->open(0, sealed.data(), body.size()));
  EXPECT_FALSE(pair.opener->open(1, again.data(), body.size()));
}

INSTANTIATE_TEST_SUITE_P(Ours, PacketCiphers,
                         testing::Values("aes128-gcm@openssh.com", "aes256-gcm@openssh.com",
                                         "chacha20-poly1305@openssh.com"));

// --- against libssh2 ---------------------------------------------------------------------------------------

// libssh2's own method of that name, used the way its transport.c does.
class Reference {
 public:
  explicit Reference(std::string_view name, bool encrypt) : session_(libssh2_session_init()) {
    for (const LIBSSH2_CRYPT_METHOD** m = __real_libssh2_crypt_methods(); *m != nullptr; ++m) {
      if (name == (*m)->name) method_ = *m;
    }
    whole_ = name.starts_with("chacha20");
    Bytes key = whole_ ? random_bytes(64, 1) : random_bytes(name.starts_with("aes128") ? 16 : 32, 2);
    Bytes iv = random_bytes(12, 3);
    int free_iv = 0;
    int free_secret = 0;
    method_->init(session_, method_, iv.data(), &free_iv, key.data(), &free_secret, encrypt ? 1 : 0,
                  &abstract_);
  }
  ~Reference() {
    method_->dtor(session_, &abstract_);
    libssh2_session_free(session_);
  }
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  bool seal(std::uint32_t seqno, Bytes* packet) {
    const std::size_t size = packet->size() - kTag;
    if (whole_) return method_->crypt(session_, seqno, packet->data(), size, &abstract_, 0) == 0;
    for (std::size_t at = 0; at < size; at += 16) {
      if (!block(packet->data() + at, std::min<std::size_t>(16, size - at), at == 0 ? kFirst : kMiddle))
        return false;
    }
    return block(packet->data() + size, kTag, kLast);
  }

  // The body is at packet[0] afterwards.
  bool open(std::uint32_t seqno, Bytes* packet) {
    const std::size_t body = packet->size() - kLength - kTag;
    if (whole_) return method_->crypt(session_, seqno, packet->data(), body, &abstract_, 0) == 0;
    const std::size_t end = packet->size();
    for (std::size_t at = 0; at < end;) {
      const bool last = end - at < 32;
      const std::size_t step = last ? end - at : 16;
      if (!block(packet->data() + at, step, at == 0 ? kFirst : last ? kLast : kMiddle)) return false;
      at += step;
    }
    std::memmove(packet->data(), packet->data() + kLength, body);
    return true;
  }

 private:
  static constexpr int kFirst = 1;
  static constexpr int kMiddle = 0;
  static constexpr int kLast = 2;

  bool block(std::uint8_t* data, std::size_t size, int firstlast) {
    return method_->crypt(session_, 0, data, size, &abstract_, firstlast) == 0;
  }

  LIBSSH2_SESSION* session_;
  const LIBSSH2_CRYPT_METHOD* method_ = nullptr;
  void* abstract_ = nullptr;
  bool whole_ = false;
};

class CiphersAgainstLibssh2 : public testing::TestWithParam<const char*> {
 protected:
  // Every size up to 512 bytes, then growing steps up to the largest that SSH asks for.
  static std::vector<std::size_t> sizes(std::size_t block) {
    std::vector<std::size_t> out;
    for (std::size_t size = std::max<std::size_t>(block, 16); size <= 512; size += block) out.push_back(size);
    for (std::size_t size = 512; size < 34900; size += 16 * 67) out.push_back(size);
    return out;
  }
};

TEST_P(CiphersAgainstLibssh2, SealTheSameBytes) {
  Pair ours = make_pair_of(GetParam());
  Reference reference(GetParam(), true);
  std::uint32_t seqno = 3;
  for (std::size_t size : sizes(ours.block)) {
    Bytes one = packet_of(random_bytes(size, ++seqno));
    Bytes two = one;
    ASSERT_TRUE(ours.sealer->seal(seqno, one.data(), size));
    ASSERT_TRUE(reference.seal(seqno, &two));
    ASSERT_EQ(one, two) << size;
  }
}

TEST_P(CiphersAgainstLibssh2, OpenWhatLibssh2SealedAndTheOtherWayRound) {
  Pair ours = make_pair_of(GetParam());
  Reference sealer(GetParam(), true);
  Reference opener(GetParam(), false);
  std::uint32_t seqno = 100;
  for (std::size_t size : sizes(ours.block)) {
    const Bytes body = random_bytes(size, ++seqno);
    Bytes theirs = packet_of(body);
    ASSERT_TRUE(sealer.seal(seqno, &theirs));
    ASSERT_EQ(ours.opener->get_length(seqno, theirs.data()), size);
    ASSERT_TRUE(ours.opener->open(seqno, theirs.data(), size)) << size;
    ASSERT_EQ(body_of(theirs), body);

    Bytes mine = packet_of(body);
    ASSERT_TRUE(ours.sealer->seal(seqno, mine.data(), size));
    ASSERT_TRUE(opener.open(seqno, &mine)) << size;
    // libssh2's ChaCha20 moves four bytes too few to the front: the last of the padding, of which there are
    // four or more.
    const std::size_t moved = size - 4;
    ASSERT_EQ(Bytes(mine.begin(), mine.begin() + static_cast<std::ptrdiff_t>(moved)),
              Bytes(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(moved)));
  }
}

INSTANTIATE_TEST_SUITE_P(Libssh2, CiphersAgainstLibssh2,
                         testing::Values("aes128-gcm@openssh.com", "aes256-gcm@openssh.com",
                                         "chacha20-poly1305@openssh.com"));

}  // namespace
}  // namespace jump
