#include "auth/public_key.h"

#include <gtest/gtest.h>

#include "auth/base64.h"
#include "base/wire.h"

namespace jump {
namespace {

Bytes ed25519_blob() { return WireWriter().string("ssh-ed25519").string(Bytes(32, 0x17)).take(); }

Bytes rsa_blob(std::size_t modulus_bytes, std::uint8_t leading_zeros = 1) {
  Bytes modulus(leading_zeros, 0);
  modulus.insert(modulus.end(), modulus_bytes, 0xc3);
  return WireWriter().string("ssh-rsa").string(Bytes{1, 0, 1}).string(modulus).take();
}

std::string line_of(std::string_view type, ByteView blob, std::string_view rest = "") {
  return std::string(type) + " " + base64_encode(blob) + std::string(rest);
}

TEST(PublicKey, ReadsTypeBlobAndComment) {
  auto key = parse_public_key_line(line_of("ssh-ed25519", ed25519_blob(), "  deploy@build host \r"));
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_EQ(key->type, "ssh-ed25519");
  EXPECT_EQ(key->blob, ed25519_blob());
  EXPECT_EQ(key->comment, "deploy@build host");
}

TEST(PublicKey, TypeColumnMayBeASignatureAlgorithmButNoShortName) {
  EXPECT_TRUE(parse_public_key_line(line_of("rsa-sha2-512", rsa_blob(256))).ok());
  EXPECT_FALSE(parse_public_key_line(line_of("ED25519", ed25519_blob())).ok());
  EXPECT_FALSE(parse_public_key_line(line_of("SSH-ED25519", ed25519_blob())).ok());
}

TEST(PublicKey, TypeColumnMustBeThatOfTheBlob) {
  EXPECT_FALSE(parse_public_key_line(line_of("ssh-rsa", ed25519_blob())).ok());
  EXPECT_FALSE(parse_public_key_line(line_of("ssh-ed25519", rsa_blob(256))).ok());
  EXPECT_FALSE(parse_public_key_line(line_of("ssh-ed448", ed25519_blob())).ok());
}

TEST(PublicKey, RefusesShortAndOverlongBlobs) {
  Bytes blob = ed25519_blob();
  for (std::size_t length = 0; length < blob.size(); ++length) {
    EXPECT_FALSE(parse_public_key_blob(ByteView(blob).first(length)).ok()) << length;
  }
  blob.push_back(0);
  EXPECT_FALSE(parse_public_key_blob(blob).ok());
}

TEST(PublicKey, RsaBelow1024BitsIsRefused) {
  EXPECT_TRUE(parse_public_key_blob(rsa_blob(128)).ok());
  EXPECT_FALSE(parse_public_key_blob(rsa_blob(127)).ok());
}

TEST(PublicKey, RsaNumbersAreMadeCanonical) {
  auto padded = parse_public_key_blob(rsa_blob(256, 3));
  ASSERT_TRUE(padded.ok());
  EXPECT_EQ(padded->blob, rsa_blob(256, 1));
}

TEST(PublicKey, NegativeRsaNumbersAreRefused) { EXPECT_FALSE(parse_public_key_blob(rsa_blob(256, 0)).ok()); }

TEST(PublicKey, EcdsaPointsMustBeOnTheCurve) {
  Bytes point(65, 0x11);
  point[0] = 4;
  Bytes blob = WireWriter().string("ecdsa-sha2-nistp256").string("nistp256").string(point).take();
  EXPECT_FALSE(parse_public_key_blob(blob).ok());
}

TEST(PublicKey, FileMayStartWithCommentsAndEmptyLines) {
  std::string text = "# my key\r\n\r\n" + line_of("ssh-ed25519", ed25519_blob()) + "\r\n";
  EXPECT_TRUE(parse_public_key_file(text).ok());
  EXPECT_FALSE(parse_public_key_file("").ok());
  EXPECT_FALSE(parse_public_key_file("# only a comment").ok());
}

TEST(PublicKey, AlgorithmNamesLeadToKeyTypes) {
  EXPECT_EQ(key_type_of_algorithm("rsa-sha2-512"), "ssh-rsa");
  EXPECT_EQ(key_type_of_algorithm("ssh-ed25519"), "ssh-ed25519");
  EXPECT_EQ(without_certificate("rsa-sha2-256-cert-v01@openssh.com"), "rsa-sha2-256");
  EXPECT_EQ(without_certificate("sk-ssh-ed25519-cert-v01@openssh.com"), "sk-ssh-ed25519@openssh.com");
  EXPECT_EQ(without_certificate("ssh-ed25519"), "ssh-ed25519");
}

TEST(PublicKey, MpintHasNoLeadingZerosButOneAgainstTheSignBit) {
  EXPECT_EQ(mpint_of(Bytes{}), Bytes{});
  EXPECT_EQ(mpint_of(Bytes{0, 0, 0}), Bytes{});
  EXPECT_EQ(mpint_of(Bytes{0, 0x7f}), Bytes{0x7f});
  EXPECT_EQ(mpint_of(Bytes{0x80}), (Bytes{0, 0x80}));
}

}  // namespace
}  // namespace jump
