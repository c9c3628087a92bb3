// Passwords and keyboard-interactive with a real sshd that asks through PAM. Root only: its PAM service is a
// file in /etc/pam.d for as long as the test runs.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "integration/login_attempt.h"
#include "support/key_pair.h"
#include "support/pam_service.h"

namespace jump::test {
namespace {

class AuthPam : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!PamService::possible()) GTEST_SKIP() << "needs root, and libpam0g-dev when it was built";
  }
  // `module`: arguments of pam_questions; `methods`: AuthenticationMethods.
  AuthServer& serve(const std::string& module, const std::string& methods, Strings more = {}) {
    service_ = std::make_unique<PamService>(module);
    SshdOptions options;
    options.program = service_->program();
    options.config = {"UsePAM yes", "PasswordAuthentication yes", "KbdInteractiveAuthentication yes",
                      "AuthenticationMethods " + methods};
    options.config.insert(options.config.end(), more.begin(), more.end());
    server_ = std::make_unique<AuthServer>(options);
    return *server_;
  }
  static std::string account() { return current_user() + "@127.0.0.1"; }

  std::unique_ptr<PamService> service_;
  std::unique_ptr<AuthServer> server_;
};

TEST_F(AuthPam, APasswordLetsIn) {
  AuthServer& server = serve("password=secret", "password");
  LoginAttempt attempt({{"secret"}});
  ASSERT_TRUE(attempt.run(server.spec())) << attempt.error().message << server.log();
  EXPECT_EQ(attempt.prompter.prompts, Strings{account() + "'s password: "});
  EXPECT_TRUE(attempt.hop->needed_person());
  EXPECT_TRUE(server.will_log("Accepted password")) << server.log();
}

TEST_F(AuthPam, AWrongPasswordIsAskedForAgain) {
  AuthServer& server = serve("password=secret", "password");
  LoginAttempt attempt({{"Secret"}, {""}, {"secret"}});
  ASSERT_TRUE(attempt.run(server.spec())) << attempt.error().message << server.log();
  const std::string prompt = account() + "'s password: ", again = "[Permission denied, please try again.]";
  EXPECT_EQ(attempt.prompter.prompts, (Strings{prompt, again, prompt, again, prompt}));
}

TEST_F(AuthPam, ThreeWrongPasswordsAreTheEnd) {
  AuthServer& server = serve("password=secret", "password");
  LoginAttempt attempt({{"1"}, {"2"}, {"3"}, {"secret"}});
  EXPECT_FALSE(attempt.run(server.spec()));
  EXPECT_EQ(attempt.error().code, Errc::kAuth);
  EXPECT_NE(attempt.error().message.find("tried password (3 times); the server accepts password"),
            std::string::npos)
      << attempt.error().message;
}

TEST_F(AuthPam, NobodyToAskIsAnErrorOfItsOwn) {
  AuthServer& server = serve("password=secret", "password");
  LoginAttempt attempt;
  EXPECT_FALSE(attempt.run(server.spec()));
  EXPECT_EQ(attempt.error().code, Errc::kNeedsPerson) << attempt.error().message;
  EXPECT_NE(attempt.error().message.find("the password of " + account()), std::string::npos)
      << attempt.error().message;
}

TEST_F(AuthPam, KeyboardInteractiveAsksAsOftenAsTheServerDoes) {
  AuthServer& server = serve("password=secret notice=A_code_was_sent code=123456", "keyboard-interactive");
  LoginAttempt attempt({{"secret"}, {"123456"}});
  ASSERT_TRUE(attempt.run(server.spec())) << attempt.error().message << server.log();
  const std::string prefix = "(" + account() + ") ";
  EXPECT_EQ(attempt.prompter.prompts,
            (Strings{prefix + "Password: ", prefix + "A code was sent\nCode: <echo>"}));
  EXPECT_TRUE(server.will_log("Accepted keyboard-interactive/pam")) << server.log();
}

TEST_F(AuthPam, AWrongCodeBeginsAllOver) {
  AuthServer& server = serve("password=secret code=123456", "keyboard-interactive");
  LoginAttempt attempt({{"secret"}, {"0"}, {"secret"}, {"123456"}});
  ASSERT_TRUE(attempt.run(server.spec())) << attempt.error().message << server.log();
  EXPECT_EQ(attempt.prompter.prompts.size(), 4u);
}

TEST_F(AuthPam, AKeyAndThenACode) {
  AuthServer& server = serve("password=secret code=123456", "publickey,keyboard-interactive");
  server.sshd().authorize(user_key(KeyKind::kEd25519));
  LoginAttempt attempt({{"secret"}, {"123456"}});
  ASSERT_TRUE(attempt.run(server.spec({user_key(KeyKind::kEd25519).private_path})))
      << attempt.error().message << server.log();
  EXPECT_TRUE(server.will_log("Partial publickey")) << server.log();
}

TEST_F(AuthPam, AKeyAndThenAPassword) {
  AuthServer& server = serve("password=secret", "publickey,password");
  server.sshd().authorize(user_key(KeyKind::kRsa3072));
  const Strings keys = {user_key(KeyKind::kEd25519).private_path, user_key(KeyKind::kRsa3072).private_path};
  {
    LoginAttempt attempt({{"secret"}});
    ASSERT_TRUE(attempt.run(server.spec(keys))) << attempt.error().message << server.log();
  }
  LoginAttempt nobody;
  EXPECT_FALSE(nobody.run(server.spec(keys)));
  EXPECT_EQ(nobody.error().code, Errc::kNeedsPerson);
  EXPECT_NE(nobody.error().message.find("accepted one step and still wants password"), std::string::npos)
      << nobody.error().message;
}

TEST_F(AuthPam, APasswordACodeAndAKeyInTheServersOrder) {
  AuthServer& server = serve("password=secret", "password,keyboard-interactive,publickey");
  server.sshd().authorize(user_key(KeyKind::kEd25519));
  LoginAttempt attempt({{"secret"}, {"secret"}});
  ASSERT_TRUE(attempt.run(server.spec({user_key(KeyKind::kEd25519).private_path})))
      << attempt.error().message << server.log();
}

TEST_F(AuthPam, ASecretOfManyPacketBlocksArrivesWhole) {
  const std::string secret(900, 's');
  AuthServer& server = serve("password=" + secret, "password");
  LoginAttempt attempt({{secret}});
  EXPECT_TRUE(attempt.run(server.spec())) << attempt.error().message << server.log();
}

// The yardstick: stock ssh is asked the same, in the same words.
TEST_F(AuthPam, StockSshAsksInTheSameWords) {
  AuthServer& server = serve("password=secret notice=A_code_was_sent code=123456", "keyboard-interactive");
  const std::string seen = server.directory().file("seen");
  const std::string askpass = server.directory().write(
      "askpass",
      fmt::format("#!/bin/sh\necho \"$1\" >>{}\ncase $1 in *Password*) echo secret;; *) echo 123456;; esac\n",
                  seen),
      0700);
  Environment env = base_environment();
  env["SSH_ASKPASS"] = askpass;
  env["SSH_ASKPASS_REQUIRE"] = "force";
  const ProcessResult stock =
      run_process({"ssh", "-F", "none", "-p", std::to_string(server.sshd().port()), "-o",
                   "UserKnownHostsFile=" + server.directory().file("known_hosts"), "127.0.0.1", "true"},
                  seconds(30), env);
  ASSERT_TRUE(stock.ok()) << stock.describe();
  LoginAttempt attempt({{"secret"}, {"123456"}});
  ASSERT_TRUE(attempt.run(server.spec())) << attempt.error().message;
  std::string ours;
  for (std::string prompt : attempt.prompter.prompts) {
    if (prompt.ends_with("<echo>")) prompt.resize(prompt.size() - 6);
    ours += prompt + "\n";
  }
  EXPECT_EQ(read_file(seen), ours);
}

}  // namespace
}  // namespace jump::test
