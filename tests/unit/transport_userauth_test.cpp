// Login attempts, signatures that take their time, banners; and servers that answer what was not asked.
#include <gtest/gtest.h>

#include "transport_loopback.h"

namespace jump {
namespace {

using test::ed25519_blob;
using test::Loopback;
using test::TestServerOptions;
using test::userauth_failure;
using Kind = AuthOutcome::Kind;
using State = Transport::State;

class TransportUserauth : public testing::Test {
 protected:
  void SetUp() override { loop.reach_userauth(); }

  // Starts a publickey attempt with `blob`; the server has then seen the question whether it takes the key.
  void offer_key(ByteView blob) {
    loop.transport->start_publickey("alice", blob);
    loop.transport->advance();
    loop.pump();
  }
  void accept_key(std::string_view algorithm, ByteView blob) {
    loop.server.send(WireWriter().u8(60).string(algorithm).string(blob).view());
    loop.pump();
  }
  // Up to the server's wish for a signature with key_.
  SignRequest reach_signature() {
    offer_key(blob_);
    loop.server.take_message();
    accept_key("ssh-ed25519", blob_);
    std::optional<SignRequest> request = loop.transport->take_sign_request();
    EXPECT_TRUE(request.has_value()) << loop.error();
    return request.value_or(SignRequest{});
  }

  Loopback loop;
  test::Key key_ = test::make_key(EVP_PKEY_ED25519);
  Bytes blob_ = ed25519_blob(key_.get());
};

TEST_F(TransportUserauth, NoneAsksForTheListOfMethods) {
  loop.transport->start_none("alice");
  loop.transport->advance();
  loop.pump();
  const Bytes request = loop.server.take_message();
  EXPECT_EQ(request, WireWriter().u8(50).string("alice").string("ssh-connection").string("none").take());
  EXPECT_EQ(loop.transport->take_outcome(), std::nullopt);

  loop.server.send(userauth_failure("publickey,keyboard-interactive"));
  EXPECT_EQ(loop.pump(), State::kUserauth);
  const std::optional<AuthOutcome> outcome = loop.transport->take_outcome();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->kind, Kind::kFailure);
  EXPECT_EQ(outcome->can_continue, (std::vector<std::string>{"publickey", "keyboard-interactive"}));
  EXPECT_EQ(loop.transport->take_outcome(), std::nullopt);
}

TEST_F(TransportUserauth, NoneMaySucceed) {
  loop.transport->start_none("alice");
  loop.transport->advance();
  loop.pump();
  loop.server.send_text("\x34");
  EXPECT_EQ(loop.pump(), State::kConnection);
  ASSERT_EQ(loop.transport->take_outcome().value().kind, Kind::kSuccess);
}

TEST_F(TransportUserauth, PublicKeySignsWhatTheServerCanVerify) {
  offer_key(blob_);
  loop.server.take_message();
  accept_key("ssh-ed25519", blob_);
  const std::optional<SignRequest> request = loop.transport->take_sign_request();
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->algorithm, "ssh-ed25519");
  EXPECT_EQ(loop.transport->take_sign_request(), std::nullopt);  // asked for once
  EXPECT_FALSE(loop.server.has_message());                       // and nothing is sent meanwhile

  loop.transport->provide_signature(test::ed25519_sign(key_.get(), request->data));
  loop.transport->advance();
  loop.pump();
  const Bytes message = loop.server.take_message();
  WireReader reader(message);
  EXPECT_EQ(reader.u8(), 50);
  EXPECT_EQ(reader.text(), "alice");
  EXPECT_EQ(reader.text(), "ssh-connection");
  EXPECT_EQ(reader.text(), "publickey");
  EXPECT_TRUE(reader.boolean());
  EXPECT_EQ(reader.text(), "ssh-ed25519");
  EXPECT_EQ(as_text(reader.string()), as_text(blob_));
  const std::size_t signed_size = message.size() - reader.left();
  const ByteView signature = reader.string();
  EXPECT_TRUE(reader.at_end());
  const Bytes data =
      WireWriter().string(loop.server.session_id()).raw(ByteView(message).first(signed_size)).take();
  EXPECT_EQ(data, request->data);
  EXPECT_TRUE(test::ed25519_verify(key_.get(), data, signature));

  loop.server.send_text("\x34");
  EXPECT_EQ(loop.pump(), State::kConnection);
  const AuthOutcome outcome = loop.transport->take_outcome().value();
  EXPECT_EQ(outcome.kind, Kind::kSuccess);
  EXPECT_TRUE(outcome.key_was_accepted);
}

TEST_F(TransportUserauth, AKeyThatTheServerDoesNotTakeIsAFailureAndTheNextOneMayBeTried) {
  for (int i = 0; i < 3; ++i) {
    offer_key(blob_);
    EXPECT_TRUE(loop.server.has_message());
    loop.server.take_message();
    loop.server.send(userauth_failure("publickey"));
    EXPECT_EQ(loop.pump(), State::kUserauth);
    const AuthOutcome outcome = loop.transport->take_outcome().value();
    EXPECT_EQ(outcome.kind, Kind::kFailure);
    EXPECT_FALSE(outcome.key_was_accepted);
    EXPECT_EQ(outcome.can_continue, std::vector<std::string>{"publickey"});
  }
}

TEST_F(TransportUserauth, ARefusedSignatureIsTold) {
  const SignRequest request = reach_signature();
  loop.transport->provide_signature(test::ed25519_sign(key_.get(), request.data));
  loop.transport->advance();
  loop.pump();
  loop.server.send(userauth_failure("password"));
  EXPECT_EQ(loop.pump(), State::kUserauth);
  const AuthOutcome outcome = loop.transport->take_outcome().value();
  EXPECT_EQ(outcome.kind, Kind::kFailure);
  EXPECT_TRUE(outcome.key_was_accepted);
}

TEST_F(TransportUserauth, PartialSuccessNamesWhatIsWantedNext) {
  const SignRequest request = reach_signature();
  loop.transport->provide_signature(test::ed25519_sign(key_.get(), request.data));
  loop.transport->advance();
  loop.pump();
  loop.server.send(userauth_failure("keyboard-interactive", true));
  EXPECT_EQ(loop.pump(), State::kUserauth);
  const AuthOutcome outcome = loop.transport->take_outcome().value();
  EXPECT_EQ(outcome.kind, Kind::kPartial);
  EXPECT_EQ(outcome.can_continue, std::vector<std::string>{"keyboard-interactive"});
}

TEST_F(TransportUserauth, WithoutASignatureTheAttemptFailsAndTheServerIsNotTold) {
  reach_signature();
  loop.transport->provide_signature(Error{Errc::kTimeout, "nobody touched the key", {}});
  EXPECT_EQ(loop.transport->advance(), State::kUserauth);
  loop.pump();
  EXPECT_FALSE(loop.server.has_message());
  const AuthOutcome outcome = loop.transport->take_outcome().value();
  EXPECT_EQ(outcome.kind, Kind::kFailure);
  EXPECT_EQ(outcome.note, "nobody touched the key");
  EXPECT_TRUE(outcome.key_was_accepted);

  const SignRequest again = reach_signature();  // and the next attempt works
  loop.transport->provide_signature(test::ed25519_sign(key_.get(), again.data));
  loop.transport->advance();
  loop.pump();
  EXPECT_TRUE(loop.server.has_message());
}

TEST_F(TransportUserauth, ASignatureOfAnotherAlgorithmOrShapeIsNotSent) {
  for (const Bytes& bad : {WireWriter().string("ssh-rsa").string("signature").take(), Bytes{1, 2, 3}, Bytes{},
                           WireWriter().string("ssh-ed25519").string("").take(),
                           WireWriter().string("ssh-ed25519").string("x").u8(0).take()}) {
    reach_signature();
    loop.transport->provide_signature(Bytes(bad));
    loop.transport->advance();
    loop.pump();
    EXPECT_FALSE(loop.server.has_message());
    const AuthOutcome outcome = loop.transport->take_outcome().value();
    EXPECT_EQ(outcome.kind, Kind::kFailure);
    EXPECT_FALSE(outcome.note.empty());
  }
}

TEST_F(TransportUserauth, TheEndIsNoticedWhileTheSignatureIsAwaited) {
  reach_signature();
  loop.transport->feed_eof();
  EXPECT_EQ(loop.transport->advance(), State::kFailed);
  EXPECT_EQ(loop.error(), "connection closed by the server during login");
  loop.transport->provide_signature(Bytes{});  // late, and harmless
  EXPECT_EQ(loop.transport->advance(), State::kFailed);
}

TEST_F(TransportUserauth, KeysMayBeRenewedWhileTheSignatureIsAwaited) {
  const SignRequest request = reach_signature();
  loop.server.start_key_exchange();
  EXPECT_EQ(loop.pump(), State::kUserauth) << loop.error();
  EXPECT_EQ(loop.server.key_exchanges(), 2);
  EXPECT_EQ(loop.transport->rekeys(), 1u);
  loop.transport->provide_signature(test::ed25519_sign(key_.get(), request.data));
  loop.transport->advance();
  loop.pump();
  EXPECT_TRUE(loop.server.has_message());
  loop.server.send_text("\x34");
  EXPECT_EQ(loop.pump(), State::kConnection);
}

TEST_F(TransportUserauth, ASignatureGivenDuringAKeyExchangeIsSentAfterIt) {
  const SignRequest request = reach_signature();
  loop.server.hold_newkeys();
  loop.server.start_key_exchange();
  loop.pump();
  loop.transport->provide_signature(test::ed25519_sign(key_.get(), request.data));
  EXPECT_EQ(loop.transport->advance(), State::kUserauth);
  loop.pump();
  EXPECT_FALSE(loop.server.has_message());
  loop.server.release_newkeys();
  EXPECT_EQ(loop.pump(), State::kUserauth) << loop.error();
  EXPECT_TRUE(loop.server.has_message());
}

// --- kinds of keys -----------------------------------------------------------------------------------------

class SignAlgorithm : public testing::Test {
 protected:
  // What the transport asks to be signed with, for a key blob that begins with `type`.
  static std::string asked_for(const std::string& type, const std::string& server_algorithms) {
    TestServerOptions options;
    options.sign_algorithms = server_algorithms;
    Loopback loop(options);
    loop.reach_userauth();
    const Bytes blob = WireWriter().string(type).string("key").take();
    loop.transport->start_publickey("alice", blob);
    loop.transport->advance();
    loop.pump();
    const Bytes message = loop.server.take_message();
    if (message.empty()) return loop.transport->take_outcome().value().note;
    WireReader reader(message);
    reader.u8();
    for (int i = 0; i < 3; ++i) reader.string();
    reader.boolean();
    loop.server.send(WireWriter().u8(60).string(reader.text()).string(blob).view());
    loop.pump();
    return loop.transport->take_sign_request().value().algorithm;
  }
};

TEST_F(SignAlgorithm, OfRsaIsSha2) {
  EXPECT_EQ(asked_for("ssh-rsa", "ssh-ed25519,rsa-sha2-256,rsa-sha2-512"), "rsa-sha2-512");
  EXPECT_EQ(asked_for("ssh-rsa", "ssh-rsa,rsa-sha2-256"), "rsa-sha2-256");
  EXPECT_EQ(asked_for("ssh-rsa-cert-v01@openssh.com", "rsa-sha2-256,rsa-sha2-512"), "rsa-sha2-512");
}

TEST_F(SignAlgorithm, OfRsaIsNeverSha1) {
  EXPECT_EQ(asked_for("ssh-rsa", "ssh-rsa,ssh-ed25519"), "the server takes RSA signatures with SHA-1 only");
  EXPECT_EQ(asked_for("ssh-rsa", ""), "the server takes RSA signatures with SHA-1 only");
}

TEST_F(SignAlgorithm, OfOtherKeysIsTheirOwnAlsoInACertificate) {
  EXPECT_EQ(asked_for("ecdsa-sha2-nistp384", "rsa-sha2-256"), "ecdsa-sha2-nistp384");
  EXPECT_EQ(asked_for("ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-256"), "ssh-ed25519");
  EXPECT_EQ(asked_for("sk-ssh-ed25519@openssh.com", "rsa-sha2-256"), "sk-ssh-ed25519@openssh.com");
  EXPECT_EQ(asked_for("sk-ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-256"), "sk-ssh-ed25519@openssh.com");
}

TEST_F(TransportUserauth, ASecurityKeysFlagsAndCounterTravelWithItsSignature) {
  const Bytes blob = WireWriter().string("sk-ssh-ed25519@openssh.com").string("key").string("ssh:").take();
  offer_key(blob);
  loop.server.take_message();
  accept_key("sk-ssh-ed25519@openssh.com", blob);
  ASSERT_TRUE(loop.transport->take_sign_request().has_value());
  const Bytes signature =
      WireWriter().string("sk-ssh-ed25519@openssh.com").string(std::string(64, 's')).u8(1).u32(42).take();
  loop.transport->provide_signature(Bytes(signature));
  loop.transport->advance();
  loop.pump();
  const Bytes message = loop.server.take_message();
  const Bytes expected = WireWriter().string(signature).take();
  ASSERT_GT(message.size(), expected.size());
  EXPECT_EQ(Bytes(message.end() - static_cast<std::ptrdiff_t>(expected.size()), message.end()), expected);
}

TEST_F(TransportUserauth, AMalformedPublicKeyFailsAtOnce) {
  loop.transport->start_publickey("alice", Bytes{0, 0, 0, 9, 's'});
  EXPECT_EQ(loop.transport->take_outcome().value().note, "the public key is malformed");
}

TEST_F(SignAlgorithm, OfRsaIsWhatTheOwnerAllows) {
  for (const char* allowed : {"rsa-sha2-256", "rsa-sha2-256,rsa-sha2-512"}) {
    Loopback loop;
    loop.reach_userauth();
    loop.transport->set_rsa_algorithms(allowed);
    loop.transport->start_publickey("alice", WireWriter().string("ssh-rsa").string("key").view());
    loop.transport->advance();
    loop.pump();
    const Bytes message = loop.server.take_message();
    WireReader reader(message);
    reader.u8();
    for (int i = 0; i < 3; ++i) reader.string();
    reader.boolean();
    EXPECT_EQ(reader.text(), "rsa-sha2-256") << allowed;
  }
}

TEST_F(SignAlgorithm, OfRsaThatTheOwnerForbidsIsNotOffered) {
  TestServerOptions options;
  options.sign_algorithms = "rsa-sha2-512";
  Loopback loop(options);
  loop.reach_userauth();
  loop.transport->set_rsa_algorithms("rsa-sha2-256");
  loop.transport->start_publickey("alice", WireWriter().string("ssh-rsa").string("key").view());
  loop.transport->advance();
  loop.pump();
  EXPECT_FALSE(loop.server.has_message());
  EXPECT_EQ(loop.transport->take_outcome().value().note,
            "the server takes no RSA signatures with rsa-sha2-256");
}

// --- password ----------------------------------------------------------------------------------------------

std::vector<Secret> secrets(std::initializer_list<std::string_view> texts) {
  std::vector<Secret> out;
  for (std::string_view text : texts) out.emplace_back(text);
  return out;
}

WireWriter password_request(bool change) {
  WireWriter out;
  out.u8(50).string("alice").string("ssh-connection").string("password").boolean(change);
  return out;
}

class TransportPassword : public TransportUserauth {
 protected:
  void start() {
    loop.transport->start_password("alice", Secret("hunter2"));
    loop.transport->advance();
    loop.pump();
  }
  void answer(Result<std::vector<Secret>> answers) {
    loop.transport->provide_answers(std::move(answers));
    loop.transport->advance();
    loop.pump();
  }
  void ask_for_a_new_one() {
    loop.server.send(WireWriter().u8(60).string("Your password has expired").string("").view());
    loop.pump();
  }
};

TEST_F(TransportPassword, IsSentAsItIsAndLetsIn) {
  start();
  EXPECT_EQ(loop.server.take_message(), password_request(false).string("hunter2").take());
  loop.server.send_text("\x34");
  EXPECT_EQ(loop.pump(), State::kConnection);
  EXPECT_EQ(loop.transport->take_outcome().value().kind, Kind::kSuccess);
}

TEST_F(TransportPassword, RefusalIsAFailureAndMayBePartial) {
  for (bool partial : {false, true}) {
    start();
    loop.server.take_message();
    loop.server.send(userauth_failure("publickey,password", partial));
    EXPECT_EQ(loop.pump(), State::kUserauth) << loop.error();
    const AuthOutcome outcome = loop.transport->take_outcome().value();
    EXPECT_EQ(outcome.kind, partial ? Kind::kPartial : Kind::kFailure);
    EXPECT_EQ(outcome.can_continue, (std::vector<std::string>{"publickey", "password"}));
  }
}

TEST_F(TransportPassword, ThatHasExpiredIsReplaced) {
  start();
  loop.server.take_message();
  ask_for_a_new_one();
  const AuthQuestion question = loop.transport->take_question().value();
  EXPECT_EQ(question.kind, AuthQuestion::Kind::kPasswordChange);
  EXPECT_EQ(question.instruction, "Your password has expired");
  EXPECT_FALSE(loop.transport->take_question().has_value());  // asked for once
  EXPECT_FALSE(loop.server.has_message());
  answer(secrets({"hunter2", "hunter3"}));
  EXPECT_EQ(loop.server.take_message(), password_request(true).string("hunter2").string("hunter3").take());
  ask_for_a_new_one();  // the server does not like the new one
  ASSERT_TRUE(loop.transport->take_question().has_value());
  answer(secrets({"hunter2", "hunter4"}));
  EXPECT_EQ(loop.server.take_message(), password_request(true).string("hunter2").string("hunter4").take());
  loop.server.send_text("\x34");
  EXPECT_EQ(loop.pump(), State::kConnection);
}

TEST_F(TransportPassword, ThatNobodyReplacesFailsWithTheReasonAndTheNextAttemptWorks) {
  start();
  loop.server.take_message();
  ask_for_a_new_one();
  answer(Error{Errc::kNeedsPerson, "nobody is there", {}});
  EXPECT_FALSE(loop.server.has_message());
  EXPECT_EQ(loop.transport->take_outcome().value().note, "nobody is there");
  offer_key(blob_);
  EXPECT_TRUE(loop.server.has_message());
}

TEST_F(TransportPassword, ThatDoesNotFitAPacketIsNotSent) {
  loop.transport->start_password("alice", Secret(std::string(Transport::kMaxPayload, 'x')));
  loop.transport->advance();
  loop.pump();
  EXPECT_FALSE(loop.server.has_message());
  EXPECT_EQ(loop.transport->take_outcome().value().note, "the answer is too long");
}

TEST_F(TransportPassword, GivenDuringAKeyExchangeIsSentAfterIt) {
  loop.server.hold_newkeys();
  loop.server.start_key_exchange();
  loop.pump();
  start();
  EXPECT_FALSE(loop.server.has_message());
  loop.server.release_newkeys();
  EXPECT_EQ(loop.pump(), State::kUserauth) << loop.error();
  EXPECT_EQ(loop.server.take_message(), password_request(false).string("hunter2").take());
}

// --- keyboard-interactive ----------------------------------------------------------------------------------

struct TestPrompt {
  std::string_view text;
  bool echo;
};

Bytes info_request(std::string_view name, std::string_view instruction,
                   const std::vector<TestPrompt>& prompts) {
  WireWriter out;
  out.u8(60).string(name).string(instruction).string("").u32(static_cast<std::uint32_t>(prompts.size()));
  for (const TestPrompt& prompt : prompts) out.string(prompt.text).boolean(prompt.echo);
  return out.take();
}

class TransportKeyboardInteractive : public TransportPassword {
 protected:
  void SetUp() override {
    TransportPassword::SetUp();
    loop.transport->start_keyboard_interactive("alice");
    loop.transport->advance();
    loop.pump();
    EXPECT_EQ(loop.server.take_message(), WireWriter()
                                              .u8(50)
                                              .string("alice")
                                              .string("ssh-connection")
                                              .string("keyboard-interactive")
                                              .string("")
                                              .string("")
                                              .take());
  }
  State ask(ByteView question) {
    loop.server.send(question);
    return loop.pump();
  }
};

TEST_F(TransportKeyboardInteractive, RoundsWithAnyNumberOfPrompts) {
  ask(info_request("Login", "Two things, please", {{"Password: ", false}, {"Code: ", true}}));
  const AuthQuestion first = loop.transport->take_question().value();
  EXPECT_EQ(first.kind, AuthQuestion::Kind::kInformation);
  EXPECT_EQ(first.name, "Login");
  EXPECT_EQ(first.instruction, "Two things, please");
  ASSERT_EQ(first.prompts.size(), 2u);
  EXPECT_EQ(first.prompts[0].text, "Password: ");
  EXPECT_FALSE(first.prompts[0].echo);
  EXPECT_TRUE(first.prompts[1].echo);
  answer(secrets({"secret", "123456"}));
  EXPECT_EQ(loop.server.take_message(), WireWriter().u8(61).u32(2).string("secret").string("123456").take());

  ask(info_request("", "Look at your phone", {}));
  EXPECT_TRUE(loop.transport->take_question().value().prompts.empty());
  answer(std::vector<Secret>{});
  EXPECT_EQ(loop.server.take_message(), WireWriter().u8(61).u32(0).take());

  loop.server.send_text("\x34");
  EXPECT_EQ(loop.pump(), State::kConnection);
  EXPECT_EQ(loop.transport->take_outcome().value().kind, Kind::kSuccess);
}

TEST_F(TransportKeyboardInteractive, MayBeRefusedOrPartlyAcceptedAfterAnAnswer) {
  ask(info_request("", "", {{"Code: ", false}}));
  loop.transport->take_question();
  answer(secrets({"000000"}));
  loop.server.send(userauth_failure("password", true));
  EXPECT_EQ(loop.pump(), State::kUserauth);
  const AuthOutcome outcome = loop.transport->take_outcome().value();
  EXPECT_EQ(outcome.kind, Kind::kPartial);
  EXPECT_FALSE(outcome.key_was_accepted);
}

TEST_F(TransportKeyboardInteractive, WithoutAnAnswerTheNextMethodMayFollow) {
  ask(info_request("", "", {{"Code: ", false}}));
  answer(Error{Errc::kNeedsPerson, "nobody is there", {}});
  EXPECT_FALSE(loop.server.has_message());
  EXPECT_EQ(loop.transport->take_outcome().value().note, "nobody is there");
  start();  // a password
  EXPECT_TRUE(loop.server.has_message());
}

TEST_F(TransportKeyboardInteractive, AnswersMustFitTheQuestions) {
  ask(info_request("", "", {{"Code: ", false}}));
  answer(secrets({"one", "two"}));
  EXPECT_FALSE(loop.server.has_message());
  EXPECT_EQ(loop.transport->take_outcome().value().note, "the answers do not fit the questions");
}

TEST_F(TransportKeyboardInteractive, TheEndIsNoticedWhileAnAnswerIsAwaited) {
  ask(info_request("", "", {{"Code: ", false}}));
  loop.transport->feed_eof();
  EXPECT_EQ(loop.transport->advance(), State::kFailed);
  loop.transport->provide_answers(secrets({"late"}));  // and harmless
  EXPECT_EQ(loop.transport->advance(), State::kFailed);
}

TEST_F(TransportKeyboardInteractive, AsManyPromptsAsOpenSshAllowsAndNoMore) {
  const std::vector<TestPrompt> most(Transport::kMaxPrompts, {"?", false});
  EXPECT_EQ(ask(info_request("", "", most)), State::kUserauth);
  EXPECT_EQ(loop.transport->take_question().value().prompts.size(), Transport::kMaxPrompts);
  answer(Error{Errc::kCancelled, "", {}});
  loop.transport->take_outcome();
  loop.transport->start_keyboard_interactive("alice");
  loop.transport->advance();
  loop.pump();
  std::vector<TestPrompt> more = most;
  more.push_back({"?", false});
  EXPECT_EQ(ask(info_request("", "", more)), State::kFailed);
  EXPECT_EQ(loop.code(), Errc::kLimit);
}

TEST_F(TransportKeyboardInteractive, AServerThatAsksForEverIsLeft) {
  for (std::size_t i = 0; i < Transport::kMaxQuestions; ++i) {
    ASSERT_EQ(ask(info_request("", "", {})), State::kUserauth) << i;
    answer(std::vector<Secret>{});
    loop.server.take_message();
  }
  EXPECT_EQ(ask(info_request("", "", {})), State::kFailed);
  EXPECT_EQ(loop.code(), Errc::kLimit);
}

TEST_F(TransportKeyboardInteractive, LongTextsAreCut) {
  const std::string text(Transport::kMaxPromptText + 1000, 't');
  ask(info_request("", text, {{"p", false}}));
  const AuthQuestion question = loop.transport->take_question().value();
  EXPECT_EQ(question.instruction.size(), Transport::kMaxPromptText);
  EXPECT_EQ(question.prompts.at(0).text, "p");
}

TEST(TransportQuestions, CutShortAtAnyByteAreRefused) {
  const Bytes whole = info_request("name", "instruction", {{"one", false}, {"two", true}});
  for (std::size_t size = 1; size < whole.size(); ++size) {
    Loopback loop;
    loop.reach_userauth();
    loop.transport->start_keyboard_interactive("alice");
    loop.transport->advance();
    loop.pump();
    loop.server.send(ByteView(whole).first(size));
    EXPECT_EQ(loop.pump(), State::kFailed) << size;
    EXPECT_EQ(loop.code(), Errc::kProtocol);
    EXPECT_FALSE(loop.transport->take_question().has_value());
  }
}

TEST_F(TransportUserauth, AQuestionThatNobodyAskedForIsRefused) {
  loop.transport->start_none("alice");
  loop.transport->advance();
  loop.pump();
  loop.server.send(info_request("", "", {}));
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_FALSE(loop.transport->take_question().has_value());
}

TEST_F(TransportKeyboardInteractive, ASecondQuestionBeforeTheAnswerIsRefused) {
  ask(info_request("", "", {{"Code: ", false}}));
  EXPECT_EQ(ask(info_request("", "", {{"Code: ", false}})), State::kFailed);
}

// --- banners -----------------------------------------------------------------------------------------------

Bytes banner(std::string_view text) { return WireWriter().u8(53).string(text).string("").take(); }

TEST_F(TransportUserauth, BannersAreCollectedAroundAnyKindOfAttempt) {
  loop.transport->start_none("alice");
  loop.transport->advance();
  loop.pump();
  loop.server.send(banner("one "));
  loop.server.send(banner("two "));
  loop.server.send(userauth_failure("publickey"));
  EXPECT_EQ(loop.pump(), State::kUserauth) << loop.error();
  EXPECT_EQ(loop.transport->take_outcome().value().kind, Kind::kFailure);
  EXPECT_EQ(loop.transport->take_userauth_banner(), "one two ");
  EXPECT_EQ(loop.transport->take_userauth_banner(), "");

  offer_key(blob_);
  loop.server.send(banner("three"));
  loop.server.send(userauth_failure("publickey"));
  EXPECT_EQ(loop.pump(), State::kUserauth);
  EXPECT_EQ(loop.transport->take_userauth_banner(), "three");
}

TEST_F(TransportUserauth, EndlessBannersAreCutAndCostNothing) {
  offer_key(blob_);
  for (int i = 0; i < 200; ++i) {
    loop.server.send(banner(std::string(30000, 'b')));
    ASSERT_EQ(loop.pump(), State::kUserauth);
  }
  EXPECT_EQ(loop.transport->take_userauth_banner().size(), Transport::kMaxBannerText);
  loop.server.send(banner("more"));
  loop.pump();
  EXPECT_EQ(loop.transport->take_userauth_banner(), "");
}

// --- servers that break the protocol -----------------------------------------------------------------------

TEST_F(TransportUserauth, SuccessThatNobodyAskedForIsRefused) {
  loop.server.send_text("\x34");
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.code(), Errc::kProtocol);
}

TEST_F(TransportUserauth, ASecondAnswerToOneAttemptIsRefused) {
  offer_key(blob_);
  loop.server.send(userauth_failure("publickey"));
  loop.server.send(userauth_failure("publickey"));
  EXPECT_EQ(loop.pump(), State::kFailed);
}

TEST_F(TransportUserauth, PkOkForAnotherKeyIsRefused) {
  offer_key(blob_);
  const test::Key other = test::make_key(EVP_PKEY_ED25519);
  accept_key("ssh-ed25519", ed25519_blob(other.get()));
  EXPECT_EQ(loop.transport->state(), State::kFailed);
  EXPECT_EQ(loop.transport->take_sign_request(), std::nullopt);
}

TEST_F(TransportUserauth, ConnectionMessagesBeforeLoginAreRefused) {
  loop.server.send(WireWriter().u8(80).string("hostkeys-00@openssh.com").boolean(true).view());
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.error(), "the server broke the protocol: connection message 80 before login");
  EXPECT_TRUE(loop.packets.empty());
}

TEST_F(TransportUserauth, AMalformedAnswerIsRefused) {
  offer_key(blob_);
  loop.server.send(WireWriter().u8(51).u32(1000).view());
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.code(), Errc::kProtocol);
}

TEST_F(TransportUserauth, ADisconnectDuringLoginIsALoginError) {
  loop.server.send(WireWriter().u8(1).u32(2).string("Too many authentication failures").string("").view());
  EXPECT_EQ(loop.pump(), State::kFailed);
  EXPECT_EQ(loop.code(), Errc::kAuth);
  EXPECT_EQ(loop.error(), "server disconnected: Too many authentication failures");
}

}  // namespace
}  // namespace jump
