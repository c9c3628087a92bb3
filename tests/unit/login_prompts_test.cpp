// What a person is asked for during a login, in ssh's words, and what becomes of it when there is none.
#include "login_fixture.h"

namespace jump {
namespace {

using namespace auth_test;

class LoginPromptsTest : public LoginTest {
 protected:
  LoginPromptsTest() { attended = true; }
  std::string last_prompt() { return prompter.questions.empty() ? "" : prompter.last().prompts.at(0).text; }
  std::string last_log() { return server.log.empty() ? "" : server.log.back(); }
};

// --- password ----------------------------------------------------------------------------------------------

TEST_F(LoginPromptsTest, PasswordIsAskedForAsSshAsksAndSent) {
  start({}, false);
  answer(Kind::kFailure, {"password"});
  ASSERT_TRUE(prompter.is_asked());
  EXPECT_TRUE(login->waits_for_person());
  EXPECT_EQ(prompter.last().kind, Question::Kind::kPassword);
  EXPECT_EQ(prompter.last().host, "prod");
  EXPECT_EQ(prompter.last().hop, "prod (deploy@10.0.0.5:22)");
  EXPECT_EQ(last_prompt(), "deploy@10.0.0.5's password: ");
  EXPECT_FALSE(prompter.last().prompts[0].echo);
  reply(Strings{"hunter2"});
  EXPECT_FALSE(login->waits_for_person());
  EXPECT_EQ(last_log(), "password hunter2");
  answer(Kind::kSuccess, {});
  EXPECT_TRUE(logged_in());
  EXPECT_TRUE(login->needed_person());
}

TEST_F(LoginPromptsTest, PasswordIsAskedForAsOftenAsConfigured) {
  for (int prompts : {1, 3}) {
    server.log.clear();
    prompter.questions.clear();
    spec.number_of_password_prompts = prompts;
    start({}, false);
    answer(Kind::kFailure, {"password"});
    for (int i = 0; i < prompts; ++i) {
      ASSERT_TRUE(prompter.is_asked()) << i;
      EXPECT_EQ(prompter.last().text, i == 0 ? "" : "Permission denied, please try again.");
      reply(Strings{"wrong"});
      answer(Kind::kFailure, {"password"});
    }
    EXPECT_EQ(prompter.questions.size(), static_cast<std::size_t>(prompts));
    EXPECT_EQ(failure(), std::string("authentication failed for deploy: tried password") +
                             (prompts == 1 ? "" : " (3 times)") + "; the server accepts password");
    EXPECT_EQ(failure().find("wrong"), std::string::npos);
  }
}

TEST_F(LoginPromptsTest, ExpiredPasswordIsReplacedOnceBothNewOnesAreTheSame) {
  start({}, false);
  answer(Kind::kFailure, {"password"});
  reply(Strings{"old"});
  server.question.emplace();
  server.question->kind = AuthQuestion::Kind::kPasswordChange;
  server.question->instruction = "Too \x1bold";
  turn();
  ASSERT_TRUE(prompter.is_asked());
  EXPECT_EQ(prompter.last().text, "Too old");
  ASSERT_EQ(prompter.last().prompts.size(), 3u);
  EXPECT_EQ(prompter.last().prompts[0].text, "Enter deploy@10.0.0.5's old password: ");
  EXPECT_EQ(prompter.last().prompts[1].text, "Enter deploy@10.0.0.5's new password: ");
  EXPECT_EQ(prompter.last().prompts[2].text, "Retype deploy@10.0.0.5's new password: ");
  reply(Strings{"old", "new", "neu"});
  ASSERT_TRUE(prompter.is_asked());
  EXPECT_EQ(prompter.last().text, "Mismatch; try again.");
  EXPECT_EQ(last_log(), "password old");
  reply(Strings{"old", "new", "new"});
  EXPECT_EQ(last_log(), "answers 'old' 'new'");
  answer(Kind::kSuccess, {});
  EXPECT_TRUE(logged_in());
}

TEST_F(LoginPromptsTest, ExpiredPasswordThatNobodyReplacesIsTheReason) {
  start({}, false);
  answer(Kind::kFailure, {"password"});
  reply(Strings{"old"});
  server.question.emplace();
  server.question->kind = AuthQuestion::Kind::kPasswordChange;
  turn();
  reply(Errc::kNeedsPerson);
  EXPECT_EQ(failure(Errc::kNeedsPerson),
            "authentication failed for deploy: tried password (it has expired, and the server wants a new "
            "one); the "
            "server accepts password; nobody was there to give a new password of deploy@10.0.0.5 (nobody "
            "answered)");
}

TEST_F(LoginPromptsTest, DecliningEndsTheLoginWhateverElseCouldBeTried) {
  start({path("locked")}, false);
  answer(Kind::kFailure, {"password", "keyboard-interactive"});
  ask({{"Code: ", false}});
  reply(Errc::kCancelled);
  EXPECT_EQ(failure(Errc::kCancelled), "login as deploy cancelled when asked for an answer to \"Code:\"");
  EXPECT_EQ(last_log(), "keyboard-interactive");  // and nothing after it
}

// --- keyboard-interactive ----------------------------------------------------------------------------------

TEST_F(LoginPromptsTest, ServersQuestionsArePrefixedAndMadeReadable) {
  start({}, false);
  answer(Kind::kFailure, {"keyboard-interactive"});
  EXPECT_EQ(last_log(), "keyboard-interactive");
  ask({{"Pass\x1b[31mword: ", false}, {"Code: ", true}}, "Two\nsteps", "Line one\r\nLine two\a");
  ASSERT_TRUE(prompter.is_asked());
  const Question& question = prompter.last();
  EXPECT_EQ(question.kind, Question::Kind::kKeyboardInteractive);
  EXPECT_EQ(question.title, "Two steps");
  EXPECT_EQ(question.text, "Line one\nLine two");
  ASSERT_EQ(question.prompts.size(), 2u);
  EXPECT_EQ(question.prompts[0].text, "(deploy@10.0.0.5) Pass[31mword: ");
  EXPECT_FALSE(question.prompts[0].echo);
  EXPECT_EQ(question.prompts[1].text, "(deploy@10.0.0.5) Code: ");
  EXPECT_TRUE(question.prompts[1].echo);
  reply(Strings{"one", "two"});
  EXPECT_EQ(last_log(), "answers 'one' 'two'");
  ask({{"Again: ", false}});
  reply(Strings{"three"});
  EXPECT_EQ(last_log(), "answers 'three'");
  answer(Kind::kSuccess, {});
  EXPECT_TRUE(logged_in());
}

TEST_F(LoginPromptsTest, QuestionWithoutPromptsIsShownAndAnsweredAtOnce) {
  start({}, false);
  answer(Kind::kFailure, {"keyboard-interactive"});
  ask({}, "Push", "Look at your phone");
  EXPECT_FALSE(prompter.is_asked());
  EXPECT_EQ(prompter.shown, Strings{"prod (deploy@10.0.0.5:22)|Push\nLook at your phone"});
  EXPECT_EQ(last_log(), "answers");
  EXPECT_FALSE(login->waits_for_person());
  answer(Kind::kSuccess, {});
  EXPECT_TRUE(logged_in());
}

TEST_F(LoginPromptsTest, ServerThatAsksNothingIsNotAskedAgain) {
  start({}, false);
  answer(Kind::kFailure, {"keyboard-interactive"});
  answer(Kind::kFailure, {"keyboard-interactive"});
  EXPECT_EQ(server.log, (Strings{"none deploy", "keyboard-interactive"}));
  EXPECT_NE(failure().find("tried keyboard-interactive;"), std::string::npos) << failure();
}

TEST_F(LoginPromptsTest, WrongAnswersAreAskedForAgainThenThePasswordIs) {
  start({}, false);
  answer(Kind::kFailure, {"password", "keyboard-interactive"});
  for (int i = 0; i < 3; ++i) {
    ask({{"Code: ", false}});
    reply(Strings{"0"});
    answer(Kind::kFailure, {"password", "keyboard-interactive"});
  }
  EXPECT_EQ(last_prompt(), "deploy@10.0.0.5's password: ");
  EXPECT_NE(login->tried().find("keyboard-interactive (3 times)"), std::string::npos) << login->tried();
}

// --- nobody ------------------------------------------------------------------------------------------------

TEST_F(LoginPromptsTest, NobodyToAskIsSaidWithWhatWasWanted) {
  attended = false;
  start({path("one")}, false);
  answer(Kind::kFailure, {"publickey", "password"});
  answer(Kind::kFailure, {"publickey", "password"});
  EXPECT_EQ(failure(Errc::kNeedsPerson),
            "authentication failed for deploy: tried " + path("one") +
                "; the server accepts publickey,password; nobody was there to give the "
                "password of deploy@10.0.0.5");
  EXPECT_FALSE(login->needed_person());
  EXPECT_NE(hint(), "");
}

TEST_F(LoginPromptsTest, NobodyWasThereOnceMeansNobodyIsAskedAgain) {
  start({path("locked")}, false);
  answer(Kind::kFailure, {"publickey", "keyboard-interactive", "password"});
  server.sign_request = SignRequest{"ssh-ed25519", {}};
  turn();
  reply(Errc::kNeedsPerson);
  ASSERT_EQ(last_log(), "keyboard-interactive");
  ask({{"Code: ", false}});
  EXPECT_EQ(prompter.questions.size(), 1u);
  EXPECT_EQ(
      failure(Errc::kNeedsPerson),
      "authentication failed for deploy: tried " + path("locked") +
          " (accepted, but there is no signature: nobody answered), keyboard-interactive (nobody is there to "
          "answer); the server accepts publickey,keyboard-interactive,password; nobody was there to give the "
          "passphrase of " +
          path("locked") + " (nobody answered), an answer to \"Code:\", the password of deploy@10.0.0.5");
}

TEST_F(LoginPromptsTest, BatchModeAsksNobody) {
  spec.batch_mode = true;
  start({}, false);
  answer(Kind::kFailure, {"password"});
  EXPECT_TRUE(prompter.questions.empty());
  failure(Errc::kNeedsPerson);
  EXPECT_NE(hint().find("BatchMode"), std::string::npos);
}

TEST_F(LoginPromptsTest, PersonIsNotMissedWhereTheServerWouldNotListen) {
  attended = false;
  start({path("locked")}, false);
  answer(Kind::kFailure, {"publickey"});
  answer(Kind::kFailure, {"publickey"});  // it does not take that key, so its passphrase would not help
  EXPECT_EQ(failure(),
            "authentication failed for deploy: tried " + path("locked") + "; the server accepts publickey");
}

// --- passphrases -------------------------------------------------------------------------------------------

TEST_F(LoginPromptsTest, PassphraseIsAskedForOnlyOnceTheServerTakesTheKey) {
  start({path("locked")}, false);
  answer(Kind::kFailure, {"publickey"});
  EXPECT_EQ(server.offered, std::vector<Bytes>{blob("locked")});
  EXPECT_TRUE(prompter.questions.empty());
  server.sign_request = SignRequest{"ssh-ed25519", to_bytes(as_bytes("to sign"))};
  turn();
  ASSERT_TRUE(prompter.is_asked());
  EXPECT_EQ(prompter.last().kind, Question::Kind::kPassphrase);
  EXPECT_EQ(last_prompt(), "Enter passphrase for key '" + path("locked") + "': ");
  reply(Strings{"wrong"});
  ASSERT_TRUE(prompter.is_asked());
  EXPECT_EQ(prompter.last().text, "Bad passphrase, please try again.");
  reply(Strings{"passphrase"});
  ASSERT_EQ(server.signatures.size(), 1u);
  auto key =
      parse_private_key(as_bytes(test::read_file(path("locked"))), Secret(std::string_view("passphrase")));
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(server.signatures[0], *key->sign("ssh-ed25519", as_bytes("to sign")));
  answer(Kind::kSuccess, {});
  EXPECT_TRUE(logged_in());
  EXPECT_TRUE(login->needed_person());
}

TEST_F(LoginPromptsTest, ThreeWrongPassphrasesLeaveTheKey) {
  start({path("locked"), path("one")}, false);
  answer(Kind::kFailure, {"publickey"});
  server.sign_request = SignRequest{"ssh-ed25519", {}};
  turn();
  for (int i = 0; i < 3; ++i) reply(Strings{"wrong"});
  EXPECT_EQ(prompter.questions.size(), 3u);
  EXPECT_EQ(server.offered, (std::vector<Bytes>{blob("locked"), blob("one")}));
  EXPECT_NE(login->tried().find("the passphrase is wrong"), std::string::npos) << login->tried();
}

TEST_F(LoginPromptsTest, EmptyPassphraseLeavesTheKeyAtOnce) {
  start({path("locked"), path("one")}, false);
  answer(Kind::kFailure, {"publickey"});
  server.sign_request = SignRequest{"ssh-ed25519", {}};
  turn();
  reply(Strings{""});
  EXPECT_EQ(prompter.questions.size(), 1u);
  EXPECT_EQ(server.offered.size(), 2u);
}

TEST_F(LoginPromptsTest, PassphraseIsDecryptedWithInThePool) {
  start({path("locked")}, false);
  answer(Kind::kFailure, {"publickey"});
  server.sign_request = SignRequest{"ssh-ed25519", {}};
  turn();
  io.hold_pool = true;
  reply(Strings{"passphrase"});
  EXPECT_FALSE(login->waits_for_person());
  EXPECT_TRUE(server.signatures.empty());
  io.release_pool();  // decrypts
  turn();
  io.release_pool();  // signs
  turn();
  EXPECT_EQ(server.signatures.size(), 1u);
}

class LoginBlindKey : public LoginPromptsTest {
 protected:
  // An encrypted PEM file without a public half beside it.
  void SetUp() override {
    auto made = test::run_process(
        {"ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "secret", "-f", file_}, seconds(60));
    ASSERT_TRUE(made.ok()) << made.describe();
    blob_ = parse_public_key_file(test::read_file(file_ + ".pub"))->blob;
    ASSERT_EQ(std::remove((file_ + ".pub").c_str()), 0);
  }
  test::TempDir dir_;
  std::string file_ = dir_.file("blind");
  Bytes blob_;
};

TEST_F(LoginBlindKey, IsOpenedToFindOutWhichKeyItIs) {
  start({file_}, false);
  answer(Kind::kFailure, {"publickey"});
  EXPECT_TRUE(server.offered.empty());
  ASSERT_TRUE(prompter.is_asked());
  reply(Strings{"secret"});
  EXPECT_EQ(server.offered, std::vector<Bytes>{blob_});
  server.sign_request = SignRequest{"ecdsa-sha2-nistp256", {}};
  turn();
  EXPECT_EQ(prompter.questions.size(), 1u);  // it is open now
  EXPECT_EQ(server.signatures.size(), 1u);
}

TEST_F(LoginBlindKey, ThatNobodyOpensIsLeftAndSaid) {
  attended = false;
  start({file_, path("one")}, false);
  answer(Kind::kFailure, {"publickey"});
  EXPECT_EQ(server.offered, std::vector<Bytes>{blob("one")});
  answer(Kind::kFailure, {"publickey"});
  EXPECT_NE(failure(Errc::kNeedsPerson).find("nobody was there to give the passphrase of " + file_),
            std::string::npos)
      << failure(Errc::kNeedsPerson);
}

TEST_F(LoginBlindKey, ThatTheAgentHasWasOfferedAlready) {
  start({file_}, true, {blob_});
  answer(Kind::kFailure, {"publickey"});
  answer(Kind::kFailure, {"publickey"});
  reply(Strings{"secret"});
  EXPECT_EQ(server.offered, std::vector<Bytes>{blob_});
}

// --- order and configuration -------------------------------------------------------------------------------

TEST_F(LoginPromptsTest, MethodsFollowTheConfiguredOrder) {
  spec.preferred_authentications = {"gssapi-with-mic", "password", "keyboard-interactive", "publickey"};
  start({path("one")}, false);
  answer(Kind::kFailure, {"publickey", "keyboard-interactive", "password", "gssapi-with-mic"});
  for (int i = 0; i < 3; ++i) {
    reply(Strings{"0"});
    answer(Kind::kFailure, {"publickey", "keyboard-interactive", "password"});
  }
  EXPECT_EQ(last_log(), "keyboard-interactive");
  EXPECT_TRUE(server.offered.empty());
  answer(Kind::kFailure, {"publickey", "keyboard-interactive", "password"});
  EXPECT_EQ(server.offered, std::vector<Bytes>{blob("one")});
}

TEST_F(LoginPromptsTest, MethodsThatAreSwitchedOffAreNamedAsSuch) {
  spec.password_authentication = false;
  spec.kbd_interactive_authentication = false;
  start({path("one")}, false);
  answer(Kind::kFailure, {"publickey", "password", "keyboard-interactive"});
  answer(Kind::kFailure, {"publickey", "password", "keyboard-interactive"});
  EXPECT_TRUE(prompter.questions.empty());
  failure();
  EXPECT_EQ(hint(), "ssh_config has KbdInteractiveAuthentication no");
}

TEST_F(LoginPromptsTest, WithoutPubkeyAuthenticationNoKeyIsLookedFor) {
  spec.pubkey_authentication = false;
  start({path("one")}, true, {});
  answer(Kind::kFailure, {"publickey", "password"});
  EXPECT_TRUE(io.dialed.empty());
  EXPECT_TRUE(server.offered.empty());
  EXPECT_EQ(last_prompt(), "deploy@10.0.0.5's password: ");
}

TEST_F(LoginPromptsTest, PartialSuccessLeadsToTheNextMethod) {
  start({path("one")}, false);
  answer(Kind::kFailure, {"publickey"});
  answer(Kind::kPartial, {"keyboard-interactive"});
  EXPECT_EQ(last_log(), "keyboard-interactive");
  ask({{"Code: ", false}});
  reply(Strings{"1"});
  answer(Kind::kPartial, {"password"});
  reply(Strings{"hunter2"});
  EXPECT_EQ(last_log(), "password hunter2");
  answer(Kind::kSuccess, {});
  EXPECT_TRUE(logged_in());
}

TEST_F(LoginPromptsTest, KeysRefusedBeforeAPartialSuccessMayDoAfterIt) {
  start({path("one"), path("two"), path("three")}, false);
  answer(Kind::kFailure, {"publickey"});
  answer(Kind::kFailure, {"publickey"});        // one
  answer(Kind::kPartial, {"publickey"}, true);  // two
  answer(Kind::kFailure, {"publickey"});        // three
  EXPECT_EQ(server.offered, (std::vector<Bytes>{blob("one"), blob("two"), blob("three"), blob("one")}));
  answer(Kind::kFailure, {"publickey"});
  EXPECT_NE(failure().find("accepted one step and still wants publickey"), std::string::npos) << failure();
  EXPECT_EQ(server.offered.size(), 4u);  // two is not accepted twice
}

// --- what is shown -----------------------------------------------------------------------------------------

TEST_F(LoginPromptsTest, BannersAreShownReadable) {
  start({}, false);
  server.banner = "Welcome\r\n\x1b[5mto prod\n";
  answer(Kind::kFailure, {"password"});
  EXPECT_EQ(prompter.shown, Strings{"prod (deploy@10.0.0.5:22)|Welcome\n[5mto prod\n"});
}

TEST_F(LoginPromptsTest, SlowAgentIsExplainedUntilItHasSigned) {
  start({}, true, {ed25519_blob(7)});
  answer(Kind::kFailure, {"publickey"});
  server.sign_request = SignRequest{"ssh-ed25519", {}};
  turn();
  io.pass(milliseconds(900));
  EXPECT_TRUE(prompter.notices.empty());
  io.pass(milliseconds(200));
  ASSERT_EQ(prompter.notices.size(), 1u);
  EXPECT_NE(prompter.notices[0].find("touch the security key"), std::string::npos);
  EXPECT_TRUE(prompter.is_noticed());
  EXPECT_FALSE(login->waits_for_person());  // the login's own deadline is on
  io.connections.back()->send(signature_frame("ssh-ed25519", "made"));
  turn();
  EXPECT_FALSE(prompter.is_noticed());
  EXPECT_TRUE(login->needed_person());
  EXPECT_EQ(server.signatures.size(), 1u);
}

TEST_F(LoginPromptsTest, QuickAgentNeedsNobody) {
  start({}, true, {ed25519_blob(7)});
  answer(Kind::kFailure, {"publickey"});
  server.sign_request = SignRequest{"ssh-ed25519", {}};
  turn();
  io.connections.back()->send(signature_frame("ssh-ed25519", "made"));
  turn();
  answer(Kind::kSuccess, {});
  io.pass(seconds(5));
  EXPECT_TRUE(prompter.notices.empty());
  EXPECT_FALSE(login->needed_person());
}

TEST_F(LoginPromptsTest, QuestionGoesWithTheLogin) {
  start({}, false);
  answer(Kind::kFailure, {"password"});
  EXPECT_TRUE(prompter.is_asked());
  login.reset();
  EXPECT_FALSE(prompter.is_asked());
}

TEST_F(LoginPromptsTest, CutOffNamesWhatWasOfferedAndHowToOfferLess) {
  start({path("one")}, true, {ed25519_blob(7), ed25519_blob(8)});
  answer(Kind::kFailure, {"publickey"});
  answer(Kind::kFailure, {"publickey"});
  const Error error = login->cut_off(Error{Errc::kClosed, "Too many authentication failures", ""});
  EXPECT_EQ(error.code, Errc::kAuth);
  EXPECT_NE(error.message.find("Too many authentication failures; tried agent (2 keys)"), std::string::npos)
      << error.message;
  EXPECT_NE(error.message.find(parse_public_key_blob(ed25519_blob(7))->fingerprint() + " comment"),
            std::string::npos)
      << error.message;
  EXPECT_NE(error.hint.find("IdentitiesOnly"), std::string::npos);
}

TEST_F(LoginPromptsTest, CutOffWhileAskedSaysWhatItWaitedFor) {
  start({}, false);
  answer(Kind::kFailure, {"password"});
  const Error error =
      login->cut_off(Error{Errc::kClosed, "connection closed by the server during login", ""});
  EXPECT_NE(error.message.find("while it waited for the password of deploy@10.0.0.5"), std::string::npos)
      << error.message;
}

// --- certificates ------------------------------------------------------------------------------------------

class LoginCertificates : public LoginPromptsTest {
 protected:
  void SetUp() override {
    make_key(dir_.file("ca"), "");
    make_key(dir_.file("key"), "");
    make_key(dir_.file("bare"), "");
  }
  // Certifies `name`, and returns the certificate's blob.
  Bytes certify(const std::string& name, const std::string& validity = "always:forever") {
    auto made = test::run_process({"ssh-keygen", "-q", "-s", dir_.file("ca"), "-I", "id", "-n", "deploy",
                                   "-V", validity, dir_.file(name + ".pub")},
                                  seconds(60));
    EXPECT_TRUE(made.ok()) << made.describe();
    return parse_public_key_file(test::read_file(dir_.file(name + "-cert.pub")))->blob;
  }
  Bytes plain(const std::string& name) {
    return parse_public_key_file(test::read_file(dir_.file(name + ".pub")))->blob;
  }
  test::TempDir dir_;
};

TEST_F(LoginCertificates, BesideAKeyComeAfterItAndAreSignedByIt) {
  const Bytes certificate = certify("key");
  start({dir_.file("bare"), dir_.file("key")}, false);
  answer(Kind::kFailure, {"publickey"});
  for (int i = 0; i < 2; ++i) answer(Kind::kFailure, {"publickey"});
  EXPECT_EQ(server.offered, (std::vector<Bytes>{plain("bare"), plain("key"), certificate}));
  server.sign_request = SignRequest{"ssh-ed25519", to_bytes(as_bytes("data"))};
  turn();
  auto key = parse_private_key(as_bytes(test::read_file(dir_.file("key"))));
  ASSERT_EQ(server.signatures.size(), 1u);
  EXPECT_EQ(server.signatures[0], *key->sign("ssh-ed25519", as_bytes("data")));
}

TEST_F(LoginCertificates, ThatAreConfiguredComeFirstAndSpareTheOnesBeside) {
  const Bytes certificate = certify("key");
  certify("bare");
  spec.certificate_files = {dir_.file("key-cert.pub")};
  start({dir_.file("bare"), dir_.file("key")}, true, {ed25519_blob(7)});
  EXPECT_EQ(refuse_all(), (std::vector<Bytes>{certificate, ed25519_blob(7), plain("bare"), plain("key")}));
}

TEST_F(LoginCertificates, AreSignedForByTheAgentThatHasTheKey) {
  const Bytes certificate = certify("key");
  spec.certificate_files = {dir_.file("key-cert.pub")};
  start({}, true, {plain("key")});
  answer(Kind::kFailure, {"publickey"});
  EXPECT_EQ(server.offered, std::vector<Bytes>{certificate});
  io.connections.back()->written.clear();
  server.sign_request = SignRequest{"ssh-ed25519", to_bytes(as_bytes("data"))};
  turn();
  EXPECT_EQ(io.connections.back()->written,
            encode_sign_request(plain("key"), "ssh-ed25519", as_bytes("data")));
}

TEST_F(LoginCertificates, OfTheAgentAreAskedForByTheirOwnBlob) {
  const Bytes certificate = certify("key");
  start({}, true, {certificate});
  answer(Kind::kFailure, {"publickey"});
  EXPECT_EQ(server.offered, std::vector<Bytes>{certificate});
  io.connections.back()->written.clear();
  server.sign_request = SignRequest{"ssh-ed25519", {}};
  turn();
  EXPECT_EQ(io.connections.back()->written, encode_sign_request(certificate, "ssh-ed25519", {}));
}

TEST_F(LoginCertificates, OutOfTheirTimeCostNoTryAndAreNamed) {
  certify("key", "20200101Z:20200201Z");
  const Bytes later = certify("bare", "+520w:+521w");
  start({dir_.file("key")}, true, {later});
  EXPECT_EQ(refuse_all(), std::vector<Bytes>{plain("key")});
  EXPECT_NE(failure().find(dir_.file("key-cert.pub") + " (expired 2020-02-01 00:00 UTC)"), std::string::npos)
      << failure();
  EXPECT_NE(failure().find("(certificate) not valid before 20"), std::string::npos) << failure();
}

TEST_F(LoginCertificates, WithoutTheirKeyCostNoTryAndAreNamed) {
  certify("key");
  spec.certificate_files = {dir_.file("key-cert.pub"), dir_.file("absent")};
  start({dir_.file("bare")}, false);
  EXPECT_EQ(refuse_all(), std::vector<Bytes>{plain("bare")});
  EXPECT_NE(failure().find("its private key is in no IdentityFile"), std::string::npos) << failure();
  EXPECT_NE(failure().find(dir_.file("absent") + " (no such file)"), std::string::npos) << failure();
}

TEST_F(LoginCertificates, TellThePublicHalfOfAnEncryptedFile) {
  auto made = test::run_process(
      {"ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "secret", "-f", dir_.file("pem")}, seconds(60));
  ASSERT_TRUE(made.ok()) << made.describe();
  const Bytes certificate = certify("pem"), key = plain("pem");
  ASSERT_EQ(std::remove(dir_.file("pem.pub").c_str()), 0);
  start({dir_.file("pem")}, false);
  EXPECT_EQ(refuse_all(), (std::vector<Bytes>{key, certificate}));
  EXPECT_TRUE(prompter.questions.empty());
}

TEST_F(LoginCertificates, AlgorithmsThatAreNotAcceptedAreNotOffered) {
  const Bytes certificate = certify("key");
  spec.pubkey_accepted_algorithms = "ssh-ed25519-cert-v01@openssh.com,rsa-sha2-256";
  auto rsa = test::run_process(
      {"ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", dir_.file("rsa")}, seconds(30));
  ASSERT_TRUE(rsa.ok());
  start({dir_.file("key"), dir_.file("rsa")}, true, {ed25519_blob(7)});
  EXPECT_EQ(refuse_all(), (std::vector<Bytes>{certificate, plain("rsa")}));
  EXPECT_EQ(server.log.back(), "rsa rsa-sha2-256");
  EXPECT_NE(failure().find(dir_.file("key") + " (left out by PubkeyAcceptedAlgorithms)"), std::string::npos)
      << failure();
}

}  // namespace
}  // namespace jump
