#include "auth/fingerprint.h"

#include <gtest/gtest.h>

#include "auth/base64.h"
#include "auth/public_key.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace jump {
namespace {

TEST(Base64, EncodesTheVectorsOfRfc4648) {
  EXPECT_EQ(base64_encode(as_bytes("")), "");
  EXPECT_EQ(base64_encode(as_bytes("f")), "Zg==");
  EXPECT_EQ(base64_encode(as_bytes("fo")), "Zm8=");
  EXPECT_EQ(base64_encode(as_bytes("foo")), "Zm9v");
  EXPECT_EQ(base64_encode(as_bytes("foobar")), "Zm9vYmFy");
}

TEST(Base64, DecodesWhatItEncodes) {
  Bytes data;
  for (int i = 0; i < 600; ++i) {
    auto decoded = base64_decode(base64_encode(data));
    ASSERT_TRUE(decoded.has_value()) << i;
    EXPECT_EQ(*decoded, data);
    data.push_back(static_cast<std::uint8_t>(i * 7));
  }
}

TEST(Base64, SkipsWhiteSpaceInside) {
  auto decoded = base64_decode(" Zm9v\r\n\tYmFy \n");
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(as_text(*decoded), "foobar");
}

TEST(Base64, RefusesBrokenText) {
  for (const char* text :
       {"Z", "Zg", "Zg=", "Zg===", "Z===", "=", "Zm9v=", "Zm8=Zg==", "Zm9*", "Zh==", "Zm9=", "Zm-_"}) {
    EXPECT_FALSE(base64_decode(text).has_value()) << text;
  }
}

TEST(Fingerprint, IsTheOneThatSshKeygenPrints) {
  test::TempDir dir;
  for (const char* type : {"ed25519", "ecdsa", "rsa"}) {
    std::string path = dir.file(type);
    ASSERT_TRUE(test::run_process({"ssh-keygen", "-q", "-t", type, "-N", "", "-f", path}, seconds(30)).ok());
    auto printed =
        test::run_process({"ssh-keygen", "-lf", path}, seconds(10));  // "256 SHA256:… comment (TYPE)"
    auto key = parse_public_key_file(test::read_file(path + ".pub"));
    ASSERT_TRUE(key.ok()) << key.error().message;
    EXPECT_NE(printed.out.find(" " + key->fingerprint() + " "), std::string::npos) << printed.out;
    EXPECT_EQ(key->fingerprint(), fingerprint(key->blob));
  }
}

}  // namespace
}  // namespace jump
