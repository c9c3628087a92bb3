#include "auth/login.h"

#include <gtest/gtest.h>

#include "auth_fakes.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace jump {
namespace {

using namespace auth_test;
using Strings = std::vector<std::string>;
using Kind = AuthOutcome::Kind;

// A server that knows nothing by itself: the test plays it.
class FakeUserauth final : public Userauth {
 public:
  void start_none(const std::string& user) override { log.push_back("none " + user); }
  void start_publickey(const std::string&, ByteView blob) override {
    EXPECT_FALSE(busy) << "a second attempt was begun";
    busy = true;
    offered.push_back(to_bytes(blob));
  }
  std::optional<SignRequest> take_sign_request() override {
    return std::exchange(sign_request, std::nullopt);
  }
  void provide_signature(Result<Bytes> signature) override {
    signatures.push_back(signature.ok() ? to_bytes(*signature) : Bytes{});
    if (!signature) answer(Kind::kFailure, {});  // as Transport does: the server is not told
  }
  std::optional<AuthOutcome> take_outcome() override {
    if (outcome) busy = false;
    return std::exchange(outcome, std::nullopt);
  }

  void answer(Kind kind, Strings can_continue, bool accepted = false) {
    outcome.emplace();
    outcome->kind = kind;
    outcome->can_continue = std::move(can_continue);
    outcome->key_was_accepted = accepted;
  }

  Strings log;
  std::vector<Bytes> offered, signatures;
  bool busy = false;
  std::optional<SignRequest> sign_request;
  std::optional<AuthOutcome> outcome;
};

Bytes ed25519_blob(std::uint8_t seed) {
  return WireWriter().string("ssh-ed25519").string(Bytes(32, seed)).take();
}

class LoginTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    keys = std::make_unique<test::TempDir>();
    for (const char* name : {"one", "two", "three"}) {
      make_key(keys->file(name), "");
    }
    make_key(keys->file("locked"), "passphrase");
  }
  static void TearDownTestSuite() { keys.reset(); }
  static void make_key(const std::string& path, const std::string& passphrase) {
    auto made =
        test::run_process({"ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path}, seconds(10));
    ASSERT_TRUE(made.ok()) << made.describe();
  }
  static std::string path(const std::string& name) { return keys->file(name); }
  static Bytes blob(const std::string& name) {
    auto key = parse_public_key_file(test::read_file(path(name) + ".pub"));
    return key.ok() ? key->blob : Bytes{};
  }

  void start(Strings files, bool with_agent, std::vector<Bytes> agent_keys = {},
             bool identities_only = false) {
    LoginSpec spec{"deploy", std::move(files), identities_only, with_agent ? "/run/agent.sock" : ""};
    login = std::make_unique<Login>(io, server, spec, [this] { ++wakes; });
    login->start();
    turn();
    if (!with_agent || io.connections.empty()) return;
    io.connections.back()->send(identities_frame(agent_keys));
    turn();
  }
  // Loop and owner until nothing changes.
  void turn() {
    io.turn();
    login->advance();
    io.turn();
    login->advance();
  }
  void answer(Kind kind, Strings can_continue, bool accepted = false) {
    server.answer(kind, std::move(can_continue), accepted);
    turn();
  }
  // Refuses every key that is offered; returns them in order.
  std::vector<Bytes> refuse_all() {
    for (int i = 0; i < 20 && !login->outcome(); ++i) answer(Kind::kFailure, {"publickey", "password"});
    return server.offered;
  }
  std::string failure() {
    if (!login->outcome() || login->outcome()->ok()) return "no failure";
    EXPECT_EQ(login->outcome()->error().code, Errc::kAuth);
    return login->outcome()->error().message;
  }

  static inline std::unique_ptr<test::TempDir> keys;
  FakeIo io;
  FakeUserauth server;
  std::unique_ptr<Login> login;
  int wakes = 0;
};

TEST_F(LoginTest, AsksForTheMethodsFirst) {
  start({path("one")}, false);
  EXPECT_EQ(server.log, Strings{"none deploy"});
  EXPECT_TRUE(server.offered.empty());
  EXPECT_FALSE(login->outcome().has_value());
}

TEST_F(LoginTest, NoneMayBeEnough) {
  start({path("one")}, false);
  answer(Kind::kSuccess, {});
  ASSERT_TRUE(login->outcome().has_value());
  EXPECT_TRUE(login->outcome()->ok());
  EXPECT_TRUE(server.offered.empty());
}

TEST_F(LoginTest, OrderIsAgentKeysNamedByFilesThenOtherAgentKeysThenFiles) {
  start({path("one"), path("two"), path("three")}, true,
        {ed25519_blob(7), blob("three"), ed25519_blob(8), blob("two")});
  EXPECT_EQ(refuse_all(),
            (std::vector<Bytes>{blob("three"), blob("two"), ed25519_blob(7), ed25519_blob(8), blob("one")}));
}

TEST_F(LoginTest, IdentitiesOnlyLeavesOutOtherAgentKeys) {
  start({path("one"), path("two") + ".pub"}, true, {ed25519_blob(7), blob("two")}, true);
  EXPECT_EQ(refuse_all(), (std::vector<Bytes>{blob("two"), blob("one")}));
}

TEST_F(LoginTest, EncryptedFileServesThroughTheAgent) {
  start({path("locked")}, true, {blob("locked")}, true);
  EXPECT_EQ(refuse_all(), std::vector<Bytes>{blob("locked")});
  EXPECT_EQ(failure(),
            "authentication failed for deploy: tried agent (1 key); the server accepts publickey,password");
}

TEST_F(LoginTest, SameKeyInTwoFilesIsOfferedOnce) {
  start({path("one"), path("one")}, false);
  EXPECT_EQ(refuse_all(), std::vector<Bytes>{blob("one")});
}

TEST_F(LoginTest, FileSignsInThePoolAndSucceeds) {
  start({path("one")}, false);
  answer(Kind::kFailure, {"publickey"});
  ASSERT_EQ(server.offered.size(), 1u);
  io.hold_pool = true;
  server.sign_request = SignRequest{"ssh-ed25519", to_bytes(as_bytes("to sign"))};
  turn();
  EXPECT_TRUE(server.signatures.empty());
  int before = wakes;
  io.release_pool();
  turn();
  EXPECT_GT(wakes, before);
  ASSERT_EQ(server.signatures.size(), 1u);
  auto key = parse_private_key(as_bytes(test::read_file(path("one"))));
  EXPECT_EQ(server.signatures[0], *key->sign("ssh-ed25519", as_bytes("to sign")));
  answer(Kind::kSuccess, {});
  ASSERT_TRUE(login->outcome().has_value());
  EXPECT_TRUE(login->outcome()->ok());
}

TEST_F(LoginTest, AgentSigns) {
  start({}, true, {ed25519_blob(7)});
  answer(Kind::kFailure, {"publickey"});
  server.sign_request = SignRequest{"ssh-ed25519", to_bytes(as_bytes("to sign"))};
  turn();
  EXPECT_TRUE(server.signatures.empty());
  io.connections.back()->send(signature_frame("ssh-ed25519", "made by the agent"));
  turn();
  ASSERT_EQ(server.signatures.size(), 1u);
  EXPECT_EQ(server.signatures[0], WireWriter().string("ssh-ed25519").string("made by the agent").take());
}

TEST_F(LoginTest, AgentThatRefusesToSignIsNotTheEnd) {
  start({path("one")}, true, {ed25519_blob(7)});
  answer(Kind::kFailure, {"publickey"});
  server.sign_request = SignRequest{"ssh-ed25519", {}};
  turn();
  io.connections.back()->send(failure_frame());
  turn();
  EXPECT_EQ(server.offered, (std::vector<Bytes>{ed25519_blob(7), blob("one")}));
  EXPECT_NE(login->tried().find("no signature: the agent refused"), std::string::npos) << login->tried();
}

TEST_F(LoginTest, AttemptThatEndsWhileTheAgentWaitsForATouchIsLeftBehind) {
  start({}, true, {ed25519_blob(7), ed25519_blob(8)});
  answer(Kind::kFailure, {"publickey"});
  server.sign_request = SignRequest{"ssh-ed25519", {}};
  turn();
  ASSERT_EQ(io.connections.size(), 1u);
  server.answer(Kind::kFailure, {});
  server.outcome->note = "no touch within 30 s";
  turn();
  EXPECT_FALSE(io.connections[0]->open);
  EXPECT_EQ(server.offered.size(), 2u);
  server.sign_request = SignRequest{"ssh-ed25519", {}};
  turn();
  ASSERT_EQ(io.connections.size(), 2u);  // not queued behind the old request
  io.connections[1]->send(signature_frame("ssh-ed25519", "of the second key"));
  turn();
  ASSERT_EQ(server.signatures.size(), 1u);
  EXPECT_NE(login->tried().find("no touch within 30 s"), std::string::npos) << login->tried();
}

TEST_F(LoginTest, SignatureThatTheServerRefusesIsMentioned) {
  start({path("one")}, false);
  answer(Kind::kFailure, {"publickey"});
  answer(Kind::kFailure, {"publickey"}, true);
  EXPECT_NE(failure().find("accepted, but its signature was refused"), std::string::npos) << failure();
}

TEST_F(LoginTest, FailureNamesEverythingTriedAndWhyOthersWereNot) {
  test::TempDir dir;
  std::string damaged = dir.write("damaged", "-----BEGIN OPENSSH PRIVATE KEY-----\n####\n");
  start({path("one"), path("locked"), damaged, dir.path(), dir.file("absent"), path("two") + ".pub"}, true,
        {ed25519_blob(7), ed25519_blob(8)});
  refuse_all();
  EXPECT_EQ(failure(), "authentication failed for deploy: tried agent (2 keys), " + path("one") + ", " +
                           path("locked") + " (protected by a passphrase), " + damaged +
                           " (broken private key: bad base64), " + dir.path() +
                           " (unreadable: is a directory), " + dir.file("absent") + " (no such file), " +
                           path("two") + ".pub (only a public key, and the agent does not have it)" +
                           "; the server accepts publickey,password");
  EXPECT_EQ(login->outcome()->error().hint, "ssh-add " + path("locked") + " and try again");
}

TEST_F(LoginTest, MissingDefaultFilesAreNoNews) {
  start({"/nonexistent/.ssh/id_rsa", "/nonexistent/.ssh/id_ed25519", "none"}, false);
  answer(Kind::kFailure, {"publickey"});
  EXPECT_EQ(failure(), "authentication failed for deploy: tried no key; the server accepts publickey");
  EXPECT_NE(login->outcome()->error().hint, "");
}

TEST_F(LoginTest, AgentThatCannotBeReachedIsNamed) {
  io.dial_error = Error{Errc::kUnreachable, "connection refused", ""};
  start({path("one")}, true);
  EXPECT_EQ(refuse_all(), std::vector<Bytes>{blob("one")});
  EXPECT_NE(failure().find("agent (connection refused), " + path("one")), std::string::npos) << failure();
}

TEST_F(LoginTest, OtherMethodsOnlyIsSaidAtOnce) {
  io.hold_pool = true;  // nothing of ours matters to that server
  start({path("one")}, true);
  answer(Kind::kFailure, {"keyboard-interactive", "password"});
  EXPECT_EQ(
      failure(),
      "authentication failed for deploy: tried no key; the server accepts keyboard-interactive,password");
  EXPECT_NE(login->outcome()->error().hint.find("only keys"), std::string::npos);
}

TEST_F(LoginTest, PartialSuccessGoesOnWithTheRemainingKeys) {
  start({path("one"), path("two")}, false);
  answer(Kind::kFailure, {"publickey"});
  answer(Kind::kPartial, {"publickey"}, true);
  EXPECT_EQ(server.offered, (std::vector<Bytes>{blob("one"), blob("two")}));
  answer(Kind::kSuccess, {});
  EXPECT_TRUE(login->outcome()->ok());
}

TEST_F(LoginTest, PartialSuccessThatWantsAnotherMethodSaysSo) {
  start({path("one"), path("two")}, false);
  answer(Kind::kFailure, {"publickey"});
  answer(Kind::kPartial, {"keyboard-interactive"}, true);
  EXPECT_EQ(failure(), "authentication failed for deploy: tried " + path("one") +
                           " (accepted, and more is wanted); the server accepted a key and still wants "
                           "keyboard-interactive");
}

TEST_F(LoginTest, ServerThatStopsAcceptingKeysIsBelieved) {
  start({path("one"), path("two")}, false);
  answer(Kind::kFailure, {"publickey"});
  answer(Kind::kFailure, {"password"});
  EXPECT_EQ(server.offered.size(), 1u);
  EXPECT_NE(failure().find("the server accepts password"), std::string::npos);
}

TEST_F(LoginTest, TriedTellsHowFarItGot) {
  start({path("one")}, true, {ed25519_blob(7), ed25519_blob(8), ed25519_blob(9)});
  EXPECT_EQ(login->tried(), "no key");
  answer(Kind::kFailure, {"publickey"});
  answer(Kind::kFailure, {"publickey"});
  EXPECT_EQ(login->tried(), "agent (2 of 3 keys)");
}

TEST_F(LoginTest, AgentKeysThatIdentitiesOnlyHidesAreMentioned) {
  start({path("one")}, true, {ed25519_blob(7), ed25519_blob(8)}, true);
  refuse_all();
  EXPECT_NE(failure().find("agent (2 keys, none to be used), "), std::string::npos) << failure();
}

TEST_F(LoginTest, AdvanceMayBeCalledTooOften) {
  start({path("one"), path("two")}, false);
  answer(Kind::kFailure, {"publickey"});
  for (int i = 0; i < 10; ++i) login->advance();
  EXPECT_EQ(server.offered.size(), 1u);
  server.sign_request = SignRequest{"ssh-ed25519", {}};
  int jobs = io.pool_jobs;
  for (int i = 0; i < 10; ++i) login->advance();
  EXPECT_EQ(io.pool_jobs, jobs + 1);
}

TEST_F(LoginTest, DestroyingItWhileTheAgentWaitsForATouchCancels) {
  start({}, true, {ed25519_blob(7)});
  answer(Kind::kFailure, {"publickey"});
  server.sign_request = SignRequest{"ssh-ed25519", {}};
  turn();
  int before = wakes;
  io.connections.back()->send(signature_frame("ssh-ed25519", "late"));
  login.reset();
  io.turn();
  EXPECT_EQ(wakes, before);
  EXPECT_FALSE(io.connections.back()->open);
}

TEST_F(LoginTest, DestroyingItWhileThePoolReadsFilesIsSafe) {
  io.hold_pool = true;
  start({path("one")}, false);
  login.reset();
  io.release_pool();
  io.turn();
  EXPECT_EQ(wakes, 0);
}

}  // namespace
}  // namespace jump
