// User certificates as ssh-keygen makes them, and what is no certificate.
#include "auth/certificate.h"

#include <gtest/gtest.h>

#include "auth/identities.h"
#include "base/wire.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace jump {
namespace {

using test::TempDir;

void run(std::vector<std::string> argv) {
  auto result = test::run_process(argv, seconds(30));
  ASSERT_TRUE(result.ok()) << result.describe();
}

class CertificateTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir = std::make_unique<TempDir>();
    run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir->file("ca")});
  }
  static void TearDownTestSuite() { dir.reset(); }
  // A key of that type at `name`, certified with these options.
  static Result<Certificate> certify(const std::string& name, const std::vector<std::string>& type,
                                     const std::vector<std::string>& options) {
    std::vector<std::string> keygen = {"ssh-keygen", "-q", "-N", "", "-f", dir->file(name)};
    keygen.insert(keygen.end(), type.begin(), type.end());
    run(keygen);
    std::vector<std::string> sign = {"ssh-keygen", "-q", "-s", dir->file("ca"), "-I", "an id"};
    sign.insert(sign.end(), options.begin(), options.end());
    sign.push_back(dir->file(name + ".pub"));
    run(sign);
    return load_certificate(dir->file(name + "-cert.pub"));
  }
  static std::time_t at(int year) {
    std::tm parts{};
    parts.tm_year = year - 1900;
    parts.tm_mday = 2;
    return timegm(&parts);
  }

  static inline std::unique_ptr<TempDir> dir;
};

TEST_F(CertificateTest, OfEachKindOfKeyNamesItsKey) {
  const std::vector<std::vector<std::string>> types = {{"-t", "ed25519"},
                                                       {"-t", "ecdsa", "-b", "256"},
                                                       {"-t", "ecdsa", "-b", "521"},
                                                       {"-t", "rsa", "-b", "2048"}};
  for (std::size_t i = 0; i < types.size(); ++i) {
    const std::string name = "kind" + std::to_string(i);
    Result<Certificate> certificate = certify(name, types[i], {"-n", "root,deploy"});
    ASSERT_TRUE(certificate.ok()) << certificate.error().message;
    auto key = parse_public_key_file(test::read_file(dir->file(name + ".pub")));
    EXPECT_EQ(certificate->key.blob, key->blob);
    EXPECT_EQ(certificate->kind, Certificate::Kind::kUser);
    EXPECT_EQ(certificate->key_id, "an id");
    EXPECT_EQ(certificate_problem(*certificate, std::time(nullptr)), "");
  }
}

TEST_F(CertificateTest, ForOthersSaysForWhom) {
  Result<Certificate> named = certify("named", {"-t", "ed25519"}, {"-n", "root,deploy"});
  ASSERT_TRUE(named.ok()) << named.error().message;
  EXPECT_EQ(principal_doubt(*named, "deploy"), "");
  EXPECT_EQ(principal_doubt(*named, "alice"), "it is for root, deploy, not for alice");
  Result<Certificate> nobody = certify("nobody", {"-t", "ed25519"}, {});
  ASSERT_TRUE(nobody.ok()) << nobody.error().message;
  EXPECT_EQ(principal_doubt(*nobody, "alice"), "it is for no user at all, not for alice");
}

TEST_F(CertificateTest, OutOfItsTimeSaysSo) {
  Result<Certificate> certificate =
      certify("timed", {"-t", "ed25519"}, {"-n", "root", "-V", "20210101Z:20220101Z"});
  ASSERT_TRUE(certificate.ok()) << certificate.error().message;
  EXPECT_EQ(certificate_problem(*certificate, at(2021)), "");
  EXPECT_EQ(certificate_problem(*certificate, at(2023)), "expired 2022-01-01 00:00 UTC");
  EXPECT_EQ(certificate_problem(*certificate, at(2020)), "not valid before 2021-01-01 00:00 UTC");
}

TEST_F(CertificateTest, OfAHostIsNone) {
  Result<Certificate> certificate = certify("host", {"-t", "ed25519"}, {"-h", "-n", "host"});
  ASSERT_TRUE(certificate.ok());
  EXPECT_EQ(certificate_problem(*certificate, std::time(nullptr)), "a host's certificate, not a user's");
}

TEST_F(CertificateTest, CutOrPaddedIsRefusedAtEveryByte) {
  Result<Certificate> certificate = certify("cut", {"-t", "ecdsa"}, {"-n", "root"});
  ASSERT_TRUE(certificate.ok());
  const ByteView blob = certificate->blob;
  for (std::size_t i = 0; i < blob.size(); ++i) EXPECT_FALSE(parse_certificate(blob.first(i)).ok()) << i;
  Bytes longer = certificate->blob;
  longer.push_back(0);
  EXPECT_FALSE(parse_certificate(longer).ok());
  EXPECT_FALSE(parse_certificate(certificate->key.blob).ok());
}

TEST(AcceptedAlgorithms, AreThoseOfTheKeysType) {
  EXPECT_EQ(accepted_algorithms("ssh-ed25519", ""), "ssh-ed25519");
  EXPECT_EQ(accepted_algorithms("ssh-ed25519", "rsa-sha2-512,ssh-ed25519"), "ssh-ed25519");
  EXPECT_EQ(accepted_algorithms("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com,rsa-sha2-512"), "");
  EXPECT_EQ(accepted_algorithms("ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"), "");
  EXPECT_EQ(accepted_algorithms("sk-ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com"),
            "sk-ssh-ed25519@openssh.com");
}

TEST(AcceptedAlgorithms, OfRsaAreSha2InTheListsOrder) {
  EXPECT_EQ(accepted_algorithms("ssh-rsa", ""), "rsa-sha2-512,rsa-sha2-256");
  EXPECT_EQ(accepted_algorithms("ssh-rsa", "ssh-rsa,rsa-sha2-256,rsa-sha2-512"), "rsa-sha2-256,rsa-sha2-512");
  EXPECT_EQ(accepted_algorithms("ssh-rsa", "ssh-rsa"), "");
  EXPECT_EQ(
      accepted_algorithms("ssh-rsa-cert-v01@openssh.com", "rsa-sha2-256,rsa-sha2-512-cert-v01@openssh.com"),
      "rsa-sha2-512");
}

}  // namespace
}  // namespace jump
