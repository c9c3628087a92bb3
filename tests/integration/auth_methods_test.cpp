// Keys of all sorts with a real sshd: several in a row, encrypted ones, certificates; and its banner.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "integration/login_attempt.h"
#include "support/key_pair.h"
#include "support/ssh_agent.h"

namespace jump::test {
namespace {

// --- banner ------------------------------------------------------------------------------------------------

TEST(AuthBanner, IsShownWithoutWhatATerminalWouldActOn) {
  TempDir directory;
  SshdOptions options;
  options.config = {"Banner " + directory.write("banner", "Hello\n\x1b[31mred\n")};
  AuthServer server(options);
  server.sshd().authorize(user_key(KeyKind::kEd25519));
  LoginAttempt attempt;
  ASSERT_TRUE(attempt.run(server.spec({user_key(KeyKind::kEd25519).private_path})))
      << attempt.error().message;
  EXPECT_NE(attempt.prompter.shown.find("Hello\n"), std::string::npos) << attempt.prompter.shown;
  EXPECT_EQ(attempt.prompter.shown.find('\x1b'), std::string::npos);
}

// --- several keys ------------------------------------------------------------------------------------------

TEST(AuthKeys, TwoDifferentKeysWhereTheServerWantsTwo) {
  SshdOptions options;
  options.config = {"AuthenticationMethods publickey,publickey"};
  AuthServer server(options);
  server.sshd().authorize(user_key(KeyKind::kEd25519));
  server.sshd().authorize(user_key(KeyKind::kEcdsa256));
  LoginAttempt attempt;
  EXPECT_TRUE(attempt.run(
      server.spec({user_key(KeyKind::kEd25519).private_path, user_key(KeyKind::kEcdsa256).private_path})))
      << attempt.error().message << server.log();
}

TEST(AuthKeys, WhenTheServerHasEnoughItsErrorNamesWhatWasOffered) {
  SshdOptions options;
  options.config = {"MaxAuthTries 2"};
  AuthServer server(options);
  TempDir directory;
  SshAgent agent;
  Strings fingerprints;
  for (int i = 0; i < 4; ++i) {
    const KeyPair key = generate_key(KeyKind::kEd25519, directory.file("id_" + std::to_string(i)));
    agent.add(key);
    fingerprints.push_back(key.fingerprint);
  }
  HopSpec spec = server.spec();
  spec.identity_agent = agent.socket();
  LoginAttempt attempt;
  EXPECT_FALSE(attempt.run(spec));
  EXPECT_EQ(attempt.error().code, Errc::kAuth);
  EXPECT_NE(attempt.error().message.find(fingerprints[0]), std::string::npos) << attempt.error().message;
  EXPECT_EQ(attempt.error().message.find(fingerprints[3]), std::string::npos) << attempt.error().message;
  EXPECT_NE(attempt.error().hint.find("IdentitiesOnly"), std::string::npos) << attempt.error().hint;
}

TEST(AuthKeys, AlgorithmsThatAreNotAcceptedCostNoTry) {
  SshdOptions options;
  options.config = {"MaxAuthTries 1"};
  AuthServer server(options);
  server.sshd().authorize(user_key(KeyKind::kRsa3072));
  HopSpec spec =
      server.spec({user_key(KeyKind::kEd25519).private_path, user_key(KeyKind::kEcdsa256).private_path,
                   user_key(KeyKind::kRsa3072).private_path});
  spec.pubkey_accepted_algorithms = "rsa-sha2-256";
  LoginAttempt attempt;
  EXPECT_TRUE(attempt.run(spec)) << attempt.error().message << server.log();
}

TEST(AuthKeys, AKeyFileThatOthersMayReadIsNotUsed) {
  AuthServer server;
  TempDir directory;
  const KeyPair key = generate_key(KeyKind::kEd25519, directory.file("key"));
  server.sshd().authorize(key);
  ASSERT_EQ(::chmod(key.private_path.c_str(), 0644), 0);
  LoginAttempt attempt;
  EXPECT_FALSE(attempt.run(server.spec({key.private_path})));
  EXPECT_NE(attempt.error().message.find("permissions 0644 are too open: chmod 600 " + key.private_path),
            std::string::npos)
      << attempt.error().message;
}

// --- encrypted keys ----------------------------------------------------------------------------------------

struct EncryptedKind {
  const char* name;
  Strings keygen;
  bool with_public_file;
};
class AuthEncryptedKey : public ::testing::TestWithParam<EncryptedKind> {};
INSTANTIATE_TEST_SUITE_P(
    Of, AuthEncryptedKey,
    ::testing::Values(
        EncryptedKind{"ed25519_openssh", {"-t", "ed25519"}, false},
        EncryptedKind{"ed25519_chacha20", {"-t", "ed25519", "-Z", "chacha20-poly1305@openssh.com"}, false},
        EncryptedKind{"rsa_gcm", {"-t", "rsa", "-b", "2048", "-Z", "aes256-gcm@openssh.com"}, false},
        EncryptedKind{"rsa_pem", {"-t", "rsa", "-b", "2048", "-m", "PEM"}, true},
        EncryptedKind{"rsa_pkcs8", {"-t", "rsa", "-b", "2048", "-m", "PKCS8"}, true},
        EncryptedKind{"ecdsa_pem_alone", {"-t", "ecdsa", "-m", "PEM"}, false},
        EncryptedKind{"ecdsa_pkcs8_alone", {"-t", "ecdsa", "-m", "PKCS8"}, false}),
    [](const auto& which) { return std::string(which.param.name); });

TEST_P(AuthEncryptedKey, OpensWithItsPassphrase) {
  AuthServer server;
  TempDir directory;
  const std::string path = directory.file("key");
  Strings argv = {"ssh-keygen", "-q", "-N", "secret", "-C", "test", "-f", path};
  argv.insert(argv.end(), GetParam().keygen.begin(), GetParam().keygen.end());
  run_tool(argv);
  std::string line = read_file(path + ".pub");
  line.pop_back();
  server.sshd().authorize(KeyPair{path, line, {}});
  if (!GetParam().with_public_file) std::filesystem::remove(path + ".pub");
  LoginAttempt attempt({{"wrong"}, {"secret"}});
  ASSERT_TRUE(attempt.run(server.spec({path}))) << attempt.error().message << server.log();
  const std::string prompt = "Enter passphrase for key '" + path + "': ";
  EXPECT_EQ(attempt.prompter.prompts, (Strings{prompt, "[Bad passphrase, please try again.]", prompt}));
}

TEST(AuthEncryptedKeys, ThatTheServerDoesNotTakeAreNotAskedFor) {
  AuthServer server;
  TempDir directory;
  run_tool({"ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", directory.file("key")});
  LoginAttempt attempt({{"secret"}});
  EXPECT_FALSE(attempt.run(server.spec({directory.file("key")})));
  EXPECT_TRUE(attempt.prompter.prompts.empty());
  EXPECT_EQ(attempt.error().code, Errc::kAuth);
}

// --- certificates ------------------------------------------------------------------------------------------

class AuthCertificate : public ::testing::Test {
 protected:
  void SetUp() override {
    run_tool({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory_.file("ca")});
    directory_.write("revoked", "");
    SshdOptions options;
    options.config = {"TrustedUserCAKeys " + directory_.file("ca.pub"),
                      "RevokedKeys " + directory_.file("revoked"), "MaxAuthTries 3"};
    server_ = std::make_unique<AuthServer>(options);
  }
  // A new key with a certificate beside it.
  std::string certified(const Strings& type, const std::string& principal, const std::string& validity) {
    const std::string path = directory_.file("key" + std::to_string(++count_));
    Strings argv = {"ssh-keygen", "-q", "-N", "", "-f", path};
    argv.insert(argv.end(), type.begin(), type.end());
    run_tool(argv);
    run_tool({"ssh-keygen", "-q", "-s", directory_.file("ca"), "-I", "an id", "-n", principal, "-V", validity,
              path + ".pub"});
    return path;
  }

  TempDir directory_;
  std::unique_ptr<AuthServer> server_;
  int count_ = 0;
};

TEST_F(AuthCertificate, OfEachKindOfKeyLetsIn) {
  const std::vector<Strings> types = {
      {"-t", "ed25519"}, {"-t", "ecdsa", "-b", "384"}, {"-t", "rsa", "-b", "2048"}};
  for (const Strings& type : types) {
    const std::string path = certified(type, current_user(), "-1h:+1h");
    LoginAttempt attempt;
    EXPECT_TRUE(attempt.run(server_->spec({path}))) << attempt.error().message << server_->log();
  }
  EXPECT_TRUE(server_->will_log("ID an id")) << server_->log();
}

TEST_F(AuthCertificate, OfTheSshAgentLetsIn) {
  SshAgent agent;
  agent.add(KeyPair{certified({"-t", "rsa", "-b", "2048"}, current_user(), "-1h:+1h"), {}, {}});
  HopSpec spec = server_->spec();
  spec.identity_agent = agent.socket();
  LoginAttempt attempt;
  EXPECT_TRUE(attempt.run(spec)) << attempt.error().message << server_->log();
}

TEST_F(AuthCertificate, NamedByCertificateFileIsSignedForByAFileOrTheAgent) {
  const std::string path = certified({"-t", "ed25519"}, current_user(), "-1h:+1h");
  const std::string apart = directory_.file("apart");
  std::filesystem::rename(path + "-cert.pub", apart);
  {
    HopSpec spec = server_->spec({path});
    spec.certificate_files = {apart};
    LoginAttempt attempt;
    EXPECT_TRUE(attempt.run(spec)) << attempt.error().message << server_->log();
  }
  SshAgent agent;
  agent.add(KeyPair{path, {}, {}});
  HopSpec spec = server_->spec();
  spec.certificate_files = {apart};
  spec.identity_agent = agent.socket();
  LoginAttempt attempt;
  EXPECT_TRUE(attempt.run(spec)) << attempt.error().message << server_->log();
}

TEST_F(AuthCertificate, ThatHasExpiredIsNamedAndNotOffered) {
  LoginAttempt attempt;
  EXPECT_FALSE(
      attempt.run(server_->spec({certified({"-t", "ed25519"}, current_user(), "20200101:20200201")})));
  EXPECT_NE(attempt.error().message.find("-cert.pub (expired 2020-"), std::string::npos)
      << attempt.error().message;
  EXPECT_EQ(server_->log().find("Certificate invalid"), std::string::npos) << server_->log();
}

TEST_F(AuthCertificate, OfSomebodyElseIsRefused) {
  LoginAttempt attempt;
  EXPECT_FALSE(attempt.run(server_->spec({certified({"-t", "ed25519"}, "somebody-else", "-1h:+1h")})));
  EXPECT_EQ(attempt.error().code, Errc::kAuth);
  EXPECT_NE(attempt.error().message.find("-cert.pub"), std::string::npos) << attempt.error().message;
}

TEST_F(AuthCertificate, ThatIsRevokedIsRefused) {
  const std::string path = certified({"-t", "ed25519"}, current_user(), "-1h:+1h");
  directory_.write("revoked", read_file(path + ".pub"));
  LoginAttempt attempt;
  EXPECT_FALSE(attempt.run(server_->spec({path})));
  EXPECT_EQ(attempt.error().code, Errc::kAuth);
}

TEST_F(AuthCertificate, OfAnEncryptedKeyAsksForItsPassphraseOnce) {
  const std::string path = certified({"-t", "ed25519"}, current_user(), "-1h:+1h");
  run_tool({"ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", path});
  LoginAttempt attempt({{"secret"}});
  EXPECT_TRUE(attempt.run(server_->spec({path}))) << attempt.error().message << server_->log();
  EXPECT_EQ(attempt.prompter.prompts.size(), 1u);
}

}  // namespace
}  // namespace jump::test
