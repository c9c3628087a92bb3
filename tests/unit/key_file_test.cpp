// Keys are made by ssh-keygen and openssl for the run, and signatures judged by ssh-keygen: nothing of ours
// checks ours.
#include "auth/key_file.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "auth/base64.h"
#include "auth/key_decryption.h"
#include "auth/small_file.h"
#include "base/wire.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace jump {
namespace {

using test::run_process;
using test::TempDir;

struct KeyKind {
  const char* name;
  std::vector<std::string> keygen;  // arguments of ssh-keygen
  std::string type;
  std::vector<std::string> algorithms;
};

const std::vector<KeyKind>& kinds() {
  static const std::vector<KeyKind> all = {
      {"ed25519", {"-t", "ed25519"}, "ssh-ed25519", {"ssh-ed25519"}},
      {"ecdsa256", {"-t", "ecdsa", "-b", "256"}, "ecdsa-sha2-nistp256", {"ecdsa-sha2-nistp256"}},
      {"ecdsa384", {"-t", "ecdsa", "-b", "384"}, "ecdsa-sha2-nistp384", {"ecdsa-sha2-nistp384"}},
      {"ecdsa521", {"-t", "ecdsa", "-b", "521"}, "ecdsa-sha2-nistp521", {"ecdsa-sha2-nistp521"}},
      {"rsa2048", {"-t", "rsa", "-b", "2048"}, "ssh-rsa", {"rsa-sha2-512", "rsa-sha2-256"}},
  };
  return all;
}

// Makes a key at `path`; `format` as for ssh-keygen -m: "RFC4716" is OpenSSH's own.
void generate(const KeyKind& kind, const std::string& path, const std::string& format = "RFC4716",
              const std::string& passphrase = "") {
  std::vector<std::string> argv = {"ssh-keygen", "-q", "-N",        passphrase, "-m",
                                   format,       "-C", "a comment", "-f",       path};
  argv.insert(argv.end(), kind.keygen.begin(), kind.keygen.end());
  auto result = run_process(argv, seconds(30));
  ASSERT_TRUE(result.ok()) << result.describe();
}

Bytes public_blob_of(const std::string& path) {
  auto key = parse_public_key_file(test::read_file(path + ".pub"));
  return key.ok() ? key->blob : Bytes{};
}

Result<PrivateKey> parse_file(const std::string& path) {
  return parse_private_key(as_bytes(test::read_file(path)));
}

// Has ssh-keygen verify a signature of `key`, wrapped as an SSH signature file (OpenSSH, PROTOCOL.sshsig).
test::ProcessResult verify_with_ssh_keygen(const PrivateKey& key, std::string_view algorithm,
                                           const TempDir& dir) {
  constexpr std::string_view kMessage = "what is signed";
  std::uint8_t digest[SHA512_DIGEST_LENGTH];
  SHA512(as_bytes(kMessage).data(), kMessage.size(), digest);
  WireWriter to_sign;
  to_sign.raw(as_bytes("SSHSIG")).string("test").string("").string("sha512").string(digest);
  Result<Bytes> signature = key.sign(algorithm, to_sign.view());
  EXPECT_TRUE(signature.ok()) << signature.error().message;
  WireWriter file;
  file.raw(as_bytes("SSHSIG"))
      .u32(1)
      .string(key.public_key().blob)
      .string("test")
      .string("")
      .string("sha512");
  file.string(signature.ok() ? *signature : Bytes{});
  std::string path = dir.write("signature", "-----BEGIN SSH SIGNATURE-----\n" + base64_encode(file.view()) +
                                                "\n-----END SSH SIGNATURE-----\n");
  std::string message = dir.write("message", kMessage);
  // ssh-keygen reads the message from stdin only.
  return run_process(
      {"sh", "-c", "exec ssh-keygen -Y check-novalidate -n test -s \"$0\" < \"$1\"", path, message},
      seconds(10));
}

TEST(KeyFile, EveryKindInEveryFormatSignsSoThatOpenSshAgrees) {
  TempDir dir;
  for (const KeyKind& kind : kinds()) {
    for (const char* format : {"RFC4716", "PEM", "PKCS8"}) {
      SCOPED_TRACE(std::string(kind.name) + " " + format);
      std::string path = dir.file(std::string(kind.name) + format);
      generate(kind, path, format);
      Result<PrivateKey> key = parse_file(path);
      ASSERT_TRUE(key.ok()) << key.error().message;
      EXPECT_EQ(key->public_key().type, kind.type);
      EXPECT_EQ(key->public_key().blob, public_blob_of(path));
      for (const std::string& algorithm : kind.algorithms) {
        auto verified = verify_with_ssh_keygen(*key, algorithm, dir);
        EXPECT_TRUE(verified.ok()) << algorithm << ": " << verified.describe();
      }
    }
  }
}

TEST(KeyFile, AWrongSignatureWouldBeNoticed) {
  TempDir dir;
  std::string one = dir.file("one"), two = dir.file("two");
  generate(kinds()[0], one);
  generate(kinds()[0], two);
  Result<PrivateKey> key = parse_file(one);
  ASSERT_TRUE(key.ok());
  ASSERT_TRUE(verify_with_ssh_keygen(*key, "ssh-ed25519", dir).ok());
  dir.write("message", "something else");
  EXPECT_FALSE(run_process({"sh", "-c", "exec ssh-keygen -Y check-novalidate -n test -s \"$0\" < \"$1\"",
                            dir.file("signature"), dir.file("message")},
                           seconds(10))
                   .ok());
}

TEST(KeyFile, Ed25519InPkcs8OfOpensslIsRead) {
  TempDir dir;
  std::string path = dir.file("key");
  ASSERT_TRUE(run_process({"openssl", "genpkey", "-algorithm", "ed25519", "-out", path}, seconds(10)).ok());
  Result<PrivateKey> key = parse_file(path);
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_TRUE(verify_with_ssh_keygen(*key, "ssh-ed25519", dir).ok());
}

TEST(KeyFile, CompressedEcPointsBecomeUncompressedOnes) {
  TempDir dir;
  std::string path = dir.file("key");
  ASSERT_TRUE(run_process({"openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-conv_form",
                           "compressed", "-out", path},
                          seconds(10))
                  .ok());
  Result<PrivateKey> key = parse_file(path);
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_TRUE(verify_with_ssh_keygen(*key, "ecdsa-sha2-nistp256", dir).ok());
}

TEST(KeyFile, Sha1IsUsedOnlyWhenAskedForByName) {
  TempDir dir;
  std::string path = dir.file("key");
  generate(kinds()[4], path, "PEM");
  Result<PrivateKey> key = parse_file(path);
  ASSERT_TRUE(key.ok());
  Result<Bytes> blob = key->sign("ssh-rsa", as_bytes("data"));
  ASSERT_TRUE(blob.ok());
  WireReader in(*blob);
  EXPECT_EQ(in.text(), "ssh-rsa");
  Bytes signature = to_bytes(in.string());
  EXPECT_TRUE(in.at_end());

  std::string pem = test::read_file(path);
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  EVP_PKEY* openssl_key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EXPECT_EQ(EVP_DigestVerifyInit(context, nullptr, EVP_sha1(), nullptr, openssl_key), 1);
  EXPECT_EQ(EVP_DigestVerify(context, signature.data(), signature.size(), as_bytes("data").data(), 4), 1);
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(openssl_key);
  BIO_free(bio);
}

TEST(KeyFile, AlgorithmsOfOtherKeysAreRefused) {
  TempDir dir;
  for (const KeyKind& kind : kinds()) {
    std::string path = dir.file(kind.name);
    generate(kind, path);
    Result<PrivateKey> key = parse_file(path);
    ASSERT_TRUE(key.ok());
    for (const char* algorithm :
         {"ssh-dss", "", "rsa-sha2-1024", kind.type == "ssh-rsa" ? "ssh-ed25519" : "rsa-sha2-512"}) {
      EXPECT_FALSE(key->sign(algorithm, as_bytes("data")).ok()) << kind.name << " " << algorithm;
    }
  }
}

TEST(KeyFile, CommentComesAlong) {
  TempDir dir;
  generate(kinds()[0], dir.file("key"));
  Result<PrivateKey> key = parse_file(dir.file("key"));
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->public_key().comment, "a comment");
}

TEST(KeyFile, PassphrasesAreNamedAsTheReason) {
  TempDir dir;
  for (const char* format : {"RFC4716", "PEM", "PKCS8"}) {
    std::string path = dir.file(format);
    generate(kinds()[1], path, format, "secret");
    Result<PrivateKey> key = parse_file(path);
    ASSERT_FALSE(key.ok()) << format;
    EXPECT_EQ(key.error().code, Errc::kAuth);
    EXPECT_EQ(key.error().message, "protected by a passphrase");
    EXPECT_TRUE(is_encrypted_key(as_bytes(test::read_file(path)))) << format;

    KeyFile file = load_key_file(path);
    EXPECT_TRUE(file.encrypted);
    EXPECT_FALSE(file.problem.has_value());
    ASSERT_TRUE(file.public_key.has_value()) << format;
    EXPECT_EQ(file.public_key->blob, public_blob_of(path));
  }
}

void expect_unlocks(const std::string& path, const std::string& passphrase, const std::string& what) {
  Result<PrivateKey> key = unlock_key_file(path, Secret(passphrase));
  ASSERT_TRUE(key.ok()) << what << ": " << key.error().message;
  EXPECT_EQ(key->public_key().blob, public_blob_of(path)) << what;
  for (const char* wrong : {"Secret", ""}) {
    Result<PrivateKey> none = unlock_key_file(path, Secret(std::string_view(wrong)));
    ASSERT_FALSE(none.ok()) << what;
    EXPECT_EQ(none.error().code, Errc::kAuth) << what << ": " << none.error().message;
    EXPECT_EQ(none.error().message, *wrong ? "the passphrase is wrong" : "protected by a passphrase");
  }
}

TEST(KeyFile, EachKindOfKeyInEachFormatOpensWithItsPassphraseOnly) {
  TempDir dir;
  for (const KeyKind& kind : kinds()) {
    for (const char* format : {"RFC4716", "PEM", "PKCS8"}) {
      if (std::string_view(kind.name) == "ed25519" && std::string_view(format) == "PEM")
        continue;  // there is none
      const std::string path = dir.file(std::string(kind.name) + format);
      generate(kind, path, format, "secret");
      expect_unlocks(path, "secret", path);
    }
  }
}

TEST(KeyFile, EachCipherOfOpenSshOpens) {
  TempDir dir;
  for (const char* cipher :
       {"aes256-ctr", "aes192-ctr", "aes128-ctr", "aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc",
        "aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"}) {
    for (std::size_t kind : {0u, 2u}) {
      const std::string path = dir.file(std::string(cipher) + std::to_string(kind));
      std::vector<std::string> argv = {"ssh-keygen", "-q", "-N",   "secret", "-a",
                                       "4",          "-Z", cipher, "-f",     path};
      argv.insert(argv.end(), kinds()[kind].keygen.begin(), kinds()[kind].keygen.end());
      ASSERT_TRUE(run_process(argv, seconds(30)).ok());
      ASSERT_NE(test::read_file(path).find("OPENSSH"), std::string::npos);
      expect_unlocks(path, "secret", path);
    }
  }
}

TEST(KeyFile, EachCipherOfOpensslOpens) {
  TempDir dir;
  const std::string plain = dir.file("plain");
  generate(kinds()[1], plain, "PKCS8");
  for (const char* cipher : {"-aes128", "-aes192", "-aes256", "-des3", "-camellia256", "-aria256"}) {
    const std::string path = dir.file(std::string("pem") + cipher);
    const auto made = run_process(
        {"openssl", "ec", "-in", plain, cipher, "-passout", "pass:secret", "-out", path}, seconds(30));
    ASSERT_TRUE(made.ok()) << made.describe();
    dir.write(std::string("pem") + cipher + ".pub", test::read_file(plain + ".pub"));
    expect_unlocks(path, "secret", path);
  }
  const std::vector<std::vector<std::string>> ways = {
      {"-v2", "aes-256-cbc"}, {"-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1"}, {"-v2", "des3"}, {"-scrypt"}};
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const std::string path = dir.file("pkcs8-" + std::to_string(i));
    std::vector<std::string> argv = {"openssl",  "pkcs8",       "-topk8", "-in", plain,
                                     "-passout", "pass:secret", "-out",   path};
    argv.insert(argv.end(), ways[i].begin(), ways[i].end());
    const auto made = run_process(argv, seconds(30));
    ASSERT_TRUE(made.ok()) << made.describe();
    dir.write("pkcs8-" + std::to_string(i) + ".pub", test::read_file(plain + ".pub"));
    expect_unlocks(path, "secret", path);
  }
}

TEST(KeyFile, ACipherThatOpensslHasPutAwayIsNotAWrongPassphrase) {
  TempDir dir;
  generate(kinds()[1], dir.file("plain"), "PKCS8");
  const auto made =
      run_process({"openssl", "pkcs8", "-topk8", "-v1", "PBE-MD5-DES", "-provider", "legacy", "-provider",
                   "default", "-in", dir.file("plain"), "-passout", "pass:secret", "-out", dir.file("old")},
                  seconds(30));
  if (!made.ok()) GTEST_SKIP() << "no legacy provider: " << made.err;
  Result<PrivateKey> key = unlock_key_file(dir.file("old"), Secret(std::string_view("secret")));
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Errc::kUnsupported) << key.error().message;
}

// One wrong passphrase in 256 decrypts to what is padded as it should be, and is no key all the same.
TEST(KeyFile, NoneOfManyWrongPassphrasesIsTakenForSomethingElse) {
  TempDir dir;
  generate(kinds()[1], dir.file("plain"), "PKCS8");
  for (const std::vector<std::string>& way :
       {std::vector<std::string>{"pkcs8", "-topk8", "-iter", "1"}, {"ec", "-aes128"}, {"ec", "-des3"}}) {
    const std::string path = dir.file("key");
    std::vector<std::string> argv = {"openssl"};
    argv.insert(argv.end(), way.begin(), way.end());
    argv.insert(argv.end(), {"-in", dir.file("plain"), "-passout", "pass:secret", "-out", path});
    const auto made = run_process(argv, seconds(30));
    ASSERT_TRUE(made.ok()) << made.describe();
    const std::string text = test::read_file(path);
    const Bytes pem(text.begin(), text.end());
    for (int i = 0; i < 2000; ++i) {
      Result<PrivateKey> key = PrivateKey::from_pem(pem, Secret("wrong" + std::to_string(i)));
      ASSERT_FALSE(key.ok());
      ASSERT_EQ(key.error().message, wrong_passphrase().message) << argv[1] << " " << i;
    }
  }
}

TEST(KeyFile, MoreRoundsOfKeyDerivationThanAnybodyWaitsForAreRefused) {
  TempDir dir;
  generate(kinds()[0], dir.file("key"), "RFC4716", "secret");
  std::string text = test::read_file(dir.file("key"));
  constexpr std::string_view kBegin = "-----BEGIN OPENSSH PRIVATE KEY-----\n", kEnd = "-----END";
  const std::size_t end = text.find(kEnd);
  Bytes blob = *base64_decode(std::string_view(text).substr(kBegin.size(), end - kBegin.size()));
  const std::string_view kdf = "bcrypt";
  auto at = std::search(blob.begin(), blob.end(), kdf.begin(), kdf.end());
  ASSERT_NE(at, blob.end());
  *(at + 6 + 4 + 4 + 16) = 0x7f;  // the first byte of the rounds, behind the options' length and the salt
  Result<PrivateKey> key =
      parse_private_key(as_bytes(std::string(kBegin) + base64_encode(blob) + "\n" + text.substr(end)),
                        Secret(std::string_view("secret")));
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, Errc::kLimit) << key.error().message;
}

TEST(KeyFile, EncryptedFileOfOpenSshTellsItsPublicHalfItself) {
  TempDir dir;
  generate(kinds()[0], dir.file("key"), "RFC4716", "secret");
  Bytes expected = public_blob_of(dir.file("key"));
  ASSERT_EQ(std::remove(dir.file("key.pub").c_str()), 0);
  KeyFile file = load_key_file(dir.file("key"));
  ASSERT_TRUE(file.public_key.has_value());
  EXPECT_EQ(file.public_key->blob, expected);
}

TEST(KeyFile, PrivateKeyThatOthersMayReadIsRefused) {
  TempDir dir;
  std::string path = dir.file("key");
  generate(kinds()[0], path);
  for (mode_t mode : {0640u, 0604u, 0660u, 0610u, 0644u}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    KeyFile file = load_key_file(path);
    EXPECT_FALSE(file.private_key.has_value()) << mode;
    ASSERT_TRUE(file.problem.has_value());
    EXPECT_EQ(file.problem->message, fmt::format("permissions {:04o} are too open", mode));
    EXPECT_EQ(file.problem->hint, "chmod 600 " + path);
    EXPECT_TRUE(file.public_key.has_value());  // still good to select a key of the agent
  }
  ASSERT_EQ(chmod(path.c_str(), 0400), 0);
  EXPECT_TRUE(load_key_file(path).private_key.has_value());
}

TEST(KeyFile, PublicKeyAloneIsNoProblem) {
  TempDir dir;
  generate(kinds()[0], dir.file("key"));
  ASSERT_EQ(chmod(dir.file("key.pub").c_str(), 0644), 0);
  for (const char* name : {"key.pub", "key"}) {
    if (std::string_view(name) == "key") {
      ASSERT_EQ(std::remove(dir.file("key").c_str()), 0);
    }
    KeyFile file = load_key_file(dir.file(name));
    ASSERT_TRUE(file.public_key.has_value()) << name;
    EXPECT_EQ(file.public_key->type, "ssh-ed25519");
    EXPECT_FALSE(file.private_key.has_value());
    EXPECT_FALSE(file.problem.has_value());
  }
}

TEST(KeyFile, MissingUnreadableAndHugeFilesAreToldApart) {
  TempDir dir;
  EXPECT_TRUE(load_key_file(dir.file("absent")).missing);
  EXPECT_FALSE(load_key_file(dir.file("absent")).problem.has_value());
  KeyFile directory = load_key_file(dir.path());
  EXPECT_FALSE(directory.missing);
  ASSERT_TRUE(directory.problem.has_value());
  EXPECT_EQ(directory.problem->message, "unreadable: is a directory");
  KeyFile huge = load_key_file(dir.write("huge", std::string(2 * 1024 * 1024, 'x')));
  ASSERT_TRUE(huge.problem.has_value());
  EXPECT_EQ(huge.problem->code, Errc::kLimit);
  EXPECT_TRUE(load_key_file(dir.write("text", "not a key at all\n")).problem.has_value());
  EXPECT_TRUE(load_key_file(dir.write("empty", "")).problem.has_value());
}

TEST(SmallFile, OneThatGrowsMeanwhileIsReadAllTheSame) {
  constexpr std::size_t kBegin = 60'000, kLimit = 32'000'000;
  TempDir dir;
  const std::string path = dir.write("file", std::string(kBegin, 'x'));
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    std::ofstream out(path, std::ios::app);
    for (int i = 0; !stop && i < 20'000; ++i) out << "0123456789" << std::flush;
  });
  std::size_t largest = 0;
  for (int i = 0; i < 3000; ++i) {
    Result<SmallFile> read = read_small_file(path, kLimit);
    EXPECT_TRUE(read.ok()) << read.error().message;
    if (!read) break;
    EXPECT_GE(read->content.view().size(), kBegin);
    largest = std::max(largest, read->content.view().size());
  }
  EXPECT_GT(largest, kBegin) << "it did not grow";
  stop = true;
  writer.join();
}

TEST(SmallFile, OneWithoutASizeIsReadAndOneThatIsTooLargeIsNot) {
  EXPECT_TRUE(read_small_file("/proc/self/maps", std::size_t{1} << 20).ok());
  EXPECT_EQ(read_small_file("/proc/self/maps", 10).error().code, Errc::kLimit);
  EXPECT_EQ(read_small_file("/dev/zero", std::size_t{1} << 20).error().code, Errc::kLimit);
  TempDir dir;
  const std::string path = dir.write("file", "0123456789");
  EXPECT_EQ(read_small_file(path, 9).error().code, Errc::kLimit);
  EXPECT_EQ(read_small_file(path, 10)->content.view().size(), 10u);
}

TEST(KeyFile, NamedPipeDoesNotBlock) {
  TempDir dir;
  ASSERT_EQ(mkfifo(dir.file("pipe").c_str(), 0600), 0);
  EXPECT_TRUE(load_key_file(dir.file("pipe")).problem.has_value());
}

// Flips every byte of the container once: nothing may crash, and no damaged secret may pass as a key.
TEST(KeyFile, DamagedContainersAreRefused) {
  TempDir dir;
  for (std::size_t kind : {0u, 1u}) {
    generate(kinds()[kind], dir.file(kinds()[kind].name));
    std::string text = test::read_file(dir.file(kinds()[kind].name));
    constexpr std::string_view kBegin = "-----BEGIN OPENSSH PRIVATE KEY-----\n", kEnd = "-----END";
    std::size_t end = text.find(kEnd);
    auto blob = base64_decode(std::string_view(text).substr(kBegin.size(), end - kBegin.size()));
    ASSERT_TRUE(blob.has_value());
    Result<PrivateKey> original = parse_private_key(as_bytes(text));
    ASSERT_TRUE(original.ok());
    auto parse = [&](ByteView bytes) {
      return parse_private_key(
          as_bytes(std::string(kBegin) + base64_encode(bytes) + "\n" + text.substr(end)));
    };
    for (std::size_t i = 0; i < blob->size(); ++i) {
      EXPECT_FALSE(parse(ByteView(*blob).first(i)).ok()) << "cut at " << i;
      Bytes damaged = *blob;
      damaged[i] ^= 0x01;
      Result<PrivateKey> key = parse(damaged);
      // Only the KDF's options, unused without encryption, and the comment are free to change.
      if (!key.ok()) continue;
      EXPECT_EQ(key->public_key().blob, original->public_key().blob) << "byte " << i;
    }
  }
}

TEST(KeyFile, PathsAreShownWithATilde) {
  std::string home = std::getenv("HOME") != nullptr ? std::getenv("HOME") : "";
  ASSERT_FALSE(home.empty());
  EXPECT_EQ(display_path(home + "/.ssh/id_rsa"), "~/.ssh/id_rsa");
  EXPECT_EQ(display_path(home + "x/id_rsa"), home + "x/id_rsa");
  EXPECT_EQ(display_path("/elsewhere/id_rsa"), "/elsewhere/id_rsa");
}

}  // namespace
}  // namespace jump
