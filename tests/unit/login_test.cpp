// Which keys are offered in which order, who signs, and what is said when none did.
#include "login_fixture.h"

namespace jump {
namespace {

using namespace auth_test;

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
  EXPECT_EQ(failure(), "authentication failed for deploy: tried agent (1 key); the server accepts publickey");
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
                           path("locked") + ", " + damaged + " (broken private key: bad base64), " +
                           dir.path() + " (unreadable: is a directory), " + dir.file("absent") +
                           " (no such file), " + path("two") +
                           ".pub (only a public key, and the agent does not have it)" +
                           "; the server accepts publickey");
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
  io.hold_pool = true;  // no key matters to that server
  start({path("one")}, true);
  answer(Kind::kFailure, {"hostbased", "gssapi-with-mic"});
  EXPECT_EQ(failure(),
            "authentication failed for deploy: tried no key; the server accepts hostbased,gssapi-with-mic");
  EXPECT_NE(hint(), "");
  EXPECT_TRUE(login->outcome().has_value());
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
  answer(Kind::kPartial, {"hostbased"}, true);
  EXPECT_EQ(failure(), "authentication failed for deploy: tried " + path("one") +
                           " (accepted, and more is wanted); the server accepted one step and still wants "
                           "hostbased");
}

TEST_F(LoginTest, ServerThatStopsAcceptingKeysIsBelieved) {
  start({path("one"), path("two")}, false);
  answer(Kind::kFailure, {"publickey"});
  answer(Kind::kFailure, {"hostbased"});
  EXPECT_EQ(server.offered.size(), 1u);
  EXPECT_NE(failure().find("the server accepts hostbased"), std::string::npos);
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
