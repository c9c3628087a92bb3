// Host keys, the decisions: what is accepted, asked, recorded or refused; what is written; which keys a file
// of revoked ones has. That the same comes of it as with stock ssh is for
// tests/integration/known_hosts_verdicts_test.cpp.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "auth/base64.h"
#include "auth/fingerprint.h"
#include "auth/host_key_check.h"
#include "auth/host_key_error.h"
#include "auth/host_key_policy.h"
#include "auth/host_key_record.h"
#include "auth/host_pattern.h"
#include "base/wire.h"
#include "support/scripted_prompter.h"
#include "support/sim_io.h"
#include "support/temp_dir.h"

namespace jump {
namespace {

using Action = HostKeyDecision::Action;
using test::read_file;
using test::TempDir;

HostKey ed25519(std::uint8_t seed) {
  return {"ssh-ed25519", WireWriter().string("ssh-ed25519").string(Bytes(32, seed)).take()};
}

const HostKey kOne = ed25519(1), kTwo = ed25519(2);

std::string line(std::string_view hosts, const HostKey& key) {
  return std::string(hosts) + " " + key.algorithm + " " + base64_encode(key.blob) + "\n";
}

mode_t mode_of(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

// --- the policy

struct Scene {
  Scene() {
    spec.hop = "prod (me@10.0.0.5:22)";
    spec.host = spec.name = spec.host_name = "prod";
    spec.ssh_command = "ssh prod";
    spec.connect_command = "jumpctl connect prod";
    spec.files = {"user", "user2", "global"};
    spec.user_files = 2;
  }
  void file(const std::string& name, std::string text) { files.known.add_text(name, std::move(text)); }
  HostKeyDecision decide(const HostKey& key = kOne) const { return HostKeyPolicy(spec, files).decide(key); }
  Question question() const { return HostKeyPolicy(spec, files).question(kOne, "10.0.0.5"); }

  HostKeySpec spec;
  HostKeyFiles files;
};

TEST(HostKeyPolicy, UnknownKeyIsTreatedAsStrictHostKeyCheckingSays) {
  Scene scene;
  for (auto [strict, action] : {std::pair{StrictHostKeyChecking::kYes, Action::kRefuse},
                                {StrictHostKeyChecking::kAcceptNew, Action::kRecord},
                                {StrictHostKeyChecking::kNo, Action::kRecord},
                                {StrictHostKeyChecking::kAsk, Action::kAsk}}) {
    scene.spec.strict = strict;
    EXPECT_EQ(scene.decide().action, action);
    EXPECT_FALSE(scene.decide().updatable);
  }
}

TEST(HostKeyPolicy, ChangedAndRevokedKeysAreRefusedWhateverStrictHostKeyCheckingSays) {
  for (auto strict : {StrictHostKeyChecking::kYes, StrictHostKeyChecking::kAcceptNew,
                      StrictHostKeyChecking::kNo, StrictHostKeyChecking::kAsk}) {
    Scene changed, revoked, listed;
    changed.spec.strict = revoked.spec.strict = listed.spec.strict = strict;
    changed.file("user", line("prod", kTwo));
    revoked.file("user", line("@revoked *", kOne));
    listed.file("user", line("prod", kOne));
    listed.files.revoked = RevokedKeys::parse(as_bytes(line("", kOne)));
    listed.spec.revoked_host_keys = "/etc/ssh/revoked";
    EXPECT_EQ(changed.decide().action, Action::kRefuse);
    EXPECT_EQ(changed.decide().error.message.find("HOST KEY CHANGED"), 0u);
    EXPECT_EQ(revoked.decide().action, Action::kRefuse);
    EXPECT_NE(revoked.decide().error.message.find("user:1"), std::string::npos);
    EXPECT_EQ(listed.decide().action, Action::kRefuse);
    EXPECT_NE(listed.decide().error.message.find("/etc/ssh/revoked"), std::string::npos);
  }
}

TEST(HostKeyPolicy, RevokedKeysThatCannotBeReadLetNothingThrough) {
  Scene scene;
  scene.file("user", line("prod", kOne));
  scene.files.revoked = Error{Errc::kNotFound, "/x: no such file", ""};
  EXPECT_EQ(scene.decide().action, Action::kRefuse);
  EXPECT_EQ(scene.decide().error.code, Errc::kHostKey);
  EXPECT_NE(scene.decide().error.message.find("/x: no such file"), std::string::npos);
}

// A server must not get around a revocation by writing its key in another way.
TEST(HostKeyPolicy, AKeyIsJudgedInItsOneTrueEncoding) {
  Bytes modulus(257, 0xd1);
  modulus[0] = 0;
  Bytes padded = modulus;
  padded.insert(padded.begin(), 0);
  HostKey plain{"ssh-rsa", WireWriter().string("ssh-rsa").string(Bytes{1, 0, 1}).string(modulus).take()};
  HostKey odd{"ssh-rsa", WireWriter().string("ssh-rsa").string(Bytes{1, 0, 1}).string(padded).take()};
  ASSERT_NE(plain.blob, odd.blob);
  Scene scene;
  scene.file("user", line("prod", plain));
  EXPECT_EQ(scene.decide(odd).action, Action::kAccept);
  scene.files.revoked = RevokedKeys::parse(as_bytes(line("", plain)));
  EXPECT_EQ(scene.decide(odd).action, Action::kRefuse);
}

TEST(HostKeyPolicy, WhatIsNoKeyIsRefused) {
  Scene scene;
  scene.spec.strict = StrictHostKeyChecking::kNo;
  EXPECT_EQ(scene.decide({"ssh-ed25519", Bytes{1, 2, 3}}).action, Action::kRefuse);
}

TEST(HostKeyPolicy, OnlyAKeyInTheUsersOwnFilesMayBringOthers) {
  Scene user, second, global, both, portless;
  user.file("user", line("prod", kOne));
  second.file("user2", line("prod", kOne));
  global.file("global", line("prod", kOne));
  both.file("global", line("prod", kOne));
  both.spec.files[0] = "global";
  portless.file("user", line("prod", kOne));
  portless.spec.port = 2222;
  for (const Scene* scene : {&user, &second, &global, &both, &portless})
    EXPECT_EQ(scene->decide().action, Action::kAccept);
  EXPECT_TRUE(user.decide().updatable);
  EXPECT_TRUE(second.decide().updatable);
  EXPECT_FALSE(global.decide().updatable);
  EXPECT_FALSE(both.decide().updatable);
  EXPECT_FALSE(portless.decide().updatable);
}

TEST(HostKeyPolicy, NothingIsAddedWithoutAUserFileOrUnderAnOddName) {
  Scene none, odd, alias;
  none.spec.user_files = 0;
  odd.spec.host_name = "pr*d";
  alias.spec.name = "a b";
  for (Scene* scene : {&none, &odd, &alias}) {
    for (auto strict :
         {StrictHostKeyChecking::kAsk, StrictHostKeyChecking::kNo, StrictHostKeyChecking::kAcceptNew}) {
      scene->spec.strict = strict;
      EXPECT_EQ(scene->decide().action, Action::kRefuse);
      EXPECT_FALSE(scene->decide().error.hint.empty());
    }
  }
}

TEST(HostKeyPolicy, BatchModeAsksNobody) {
  Scene scene;
  scene.spec.may_ask = false;
  HostKeyDecision decision = scene.decide();
  EXPECT_EQ(decision.action, Action::kRefuse);
  EXPECT_NE(decision.error.message.find(fingerprint(kOne.blob)), std::string::npos);
}

// ssh with the agent's socket as its ControlPath would come back with the same error.
TEST(HostKeyPolicy, TheHintHasTheAgentAsk) {
  Scene scene;
  const std::string unknown = scene.decide().error.hint;
  EXPECT_NE(unknown.find("terminal: jumpctl connect prod ("), std::string::npos) << unknown;
  scene.file("user", line("prod", kTwo));
  const std::string changed = scene.decide().error.hint;
  EXPECT_TRUE(changed.ends_with("then run once: jumpctl connect prod")) << changed;
}

// Nor may it read from the configuration that it has to be silent.
TEST(HostKeyPolicy, WhereTheAgentMayNotAskTheHintLetsSshAskByAConnectionOfItsOwn) {
  Scene strict, batch, nameless;
  strict.spec.strict = StrictHostKeyChecking::kYes;
  batch.spec.may_ask = false;
  nameless.spec.connect_command.clear();
  nameless.spec.ssh_command = "ssh -J a prod";
  const auto has = [](const Scene& scene, const std::string& command) {
    return scene.decide().error.hint.find(command + " (") != std::string::npos;
  };
  EXPECT_TRUE(has(strict, "ssh -o ControlPath=none -o StrictHostKeyChecking=ask prod"))
      << strict.decide().error.hint;
  EXPECT_TRUE(has(batch, "ssh -o ControlPath=none -o BatchMode=no prod")) << batch.decide().error.hint;
  EXPECT_TRUE(has(nameless, "ssh -o ControlPath=none -J a prod")) << nameless.decide().error.hint;
}

TEST(HostKeyPolicy, AnAuthorityIsNamedWhereItsCertificateWouldHaveDone) {
  Scene scene;
  scene.file("user", "\n" + line("@cert-authority *", kTwo));
  EXPECT_NE(scene.decide().error.message.find("user:2 names an authority"), std::string::npos);
  EXPECT_NE(scene.question().text.find("user:2"), std::string::npos);
}

// --- the question

TEST(HostKeyQuestion, ReadsAsWithSsh) {
  Scene scene;
  Question question = scene.question();
  EXPECT_EQ(question.kind, Question::Kind::kHostKey);
  EXPECT_EQ(question.text,
            "The authenticity of host 'prod (10.0.0.5)' can't be established.\nED25519 key fingerprint is " +
                fingerprint(kOne.blob) + ".\nThis key is not known by any other names.");
  ASSERT_EQ(question.prompts.size(), 1u);
  EXPECT_TRUE(question.prompts[0].echo);
}

TEST(HostKeyQuestion, ListsOtherNamesButNotTooMany) {
  Scene scene;
  scene.files.home = "/home/me";
  std::string text = line("web1,10.0.0.1", kOne) +
                     line("|1|zWFVvWLX7oIaBjfWPn1i0oHrv4Y=|1oMYqdgE1jnWAdauDDPEgXVDllY=", kOne) +
                     line("web\x1b[2J", kOne) + line("other", kTwo) + line("@revoked x", kOne);
  for (int i = 0; i < 8; ++i) text += line("more" + std::to_string(i), kOne);
  scene.spec.name = "db";
  scene.file("/home/me/.ssh/known_hosts", text);
  std::string shown = scene.question().text;
  EXPECT_NE(shown.find("    ~/.ssh/known_hosts:1: web1,10.0.0.1\n    ~/.ssh/known_hosts:2: [hashed name]\n"),
            std::string::npos)
      << shown;
  EXPECT_NE(shown.find("    (3 additional names omitted)"), std::string::npos) << shown;
  EXPECT_EQ(shown.find("other,"), std::string::npos);
  EXPECT_EQ(shown.find('\x1b'), std::string::npos);
}

TEST(HostKeyQuestion, YesTheFingerprintAndNoAreUnderstood) {
  const std::string print = fingerprint(kOne.blob);
  for (std::string yes : {std::string("yes"), std::string(" YES "), print, "\t" + print + " x"})
    EXPECT_EQ(host_key_answer(yes, kOne), true) << yes;
  for (std::string no : {"", "no", " No", "   "}) EXPECT_EQ(host_key_answer(no, kOne), false) << no;
  for (std::string other : {std::string("y"), std::string("yess"), fingerprint(kTwo.blob), print.substr(7)})
    EXPECT_EQ(host_key_answer(other, kOne), std::nullopt) << other;
}

// --- the check, which waits

class HostKeyChecking : public testing::Test {
 protected:
  HostKeyChecking() {
    scene.spec.files = {file};
    scene.spec.user_files = 1;
  }
  std::unique_ptr<HostKeyCheck> check(Prompter* who) {
    auto files = std::make_shared<HostKeyFiles>(HostKeyFiles::load(scene.spec));
    auto made =
        std::make_unique<HostKeyCheck>(io, who, scene.spec, files, kOne, "10.0.0.5", [this] { ++wakes; });
    made->start();
    io.settle();
    return made;
  }
  Scene scene;
  TempDir dir;
  std::string file = dir.file("known_hosts");
  test::SimIo io;
  test::ScriptedPrompter prompter{io};
  int wakes = 0;
};

TEST_F(HostKeyChecking, AKnownKeyIsAcceptedAtOnce) {
  dir.write("known_hosts", line("prod", kOne));
  auto known = check(nullptr);
  ASSERT_TRUE(known->outcome() && known->outcome()->ok());
  EXPECT_EQ(wakes, 0);
  EXPECT_TRUE(known->updatable());
}

TEST_F(HostKeyChecking, AcceptNewRecordsAndTellsNobody) {
  scene.spec.strict = StrictHostKeyChecking::kAcceptNew;
  auto fresh = check(&prompter);
  ASSERT_TRUE(fresh->outcome() && fresh->outcome()->ok());
  EXPECT_EQ(wakes, 1);
  EXPECT_TRUE(prompter.questions.empty());
  EXPECT_FALSE(fresh->updatable());
  EXPECT_EQ(read_file(file), line("prod", kOne));
  EXPECT_EQ(mode_of(file), 0600u);
}

TEST_F(HostKeyChecking, YesIsRecordedOnceHowOftenItIsSaid) {
  prompter.answers = {"perhaps", "yes", fingerprint(kOne.blob)};
  auto files = std::make_shared<HostKeyFiles>(HostKeyFiles::load(scene.spec));
  HostKeyCheck first(io, &prompter, scene.spec, files, kOne, "", [this] { ++wakes; });
  HostKeyCheck second(io, &prompter, scene.spec, files, kOne, "", [this] { ++wakes; });
  first.start();
  EXPECT_TRUE(first.asking());
  second.start();
  io.settle();
  ASSERT_TRUE(first.outcome() && first.outcome()->ok());
  ASSERT_TRUE(second.outcome() && second.outcome()->ok());
  EXPECT_TRUE(first.updatable());
  ASSERT_EQ(prompter.questions.size(), 3u);
  EXPECT_EQ(prompter.questions[2].prompts[0].text, "Please type 'yes', 'no' or the fingerprint: ");
  EXPECT_EQ(read_file(file), line("prod", kOne));
}

TEST_F(HostKeyChecking, NoIsNoAndNothingIsWritten) {
  prompter.answers = {"no"};
  auto refused = check(&prompter);
  ASSERT_TRUE(refused->outcome() && !refused->outcome()->ok());
  EXPECT_EQ(refused->outcome()->error().code, Errc::kCancelled);
  EXPECT_EQ(read_file(file), "");
}

TEST_F(HostKeyChecking, NonsenseEndsInNo) {
  for (int i = 0; i < HostKeyCheck::kMaxAsked + 1; ++i) prompter.answers.push_back("perhaps");
  auto refused = check(&prompter);
  ASSERT_TRUE(refused->outcome() && !refused->outcome()->ok());
  EXPECT_EQ(prompter.questions.size(), static_cast<std::size_t>(HostKeyCheck::kMaxAsked));
}

TEST_F(HostKeyChecking, NobodyToAskShowsTheFingerprintAndTheWayOut) {
  auto unanswered = check(&prompter);
  auto alone = check(nullptr);
  ASSERT_TRUE(unanswered->outcome() && !unanswered->outcome()->ok());
  ASSERT_TRUE(alone->outcome() && !alone->outcome()->ok());
  EXPECT_EQ(unanswered->outcome()->error().code, Errc::kNeedsPerson);
  EXPECT_EQ(alone->outcome()->error().code, Errc::kHostKey);
  for (const Error& error : {unanswered->outcome()->error(), alone->outcome()->error()}) {
    EXPECT_NE(error.message.find(fingerprint(kOne.blob)), std::string::npos) << error.message;
    EXPECT_NE(error.hint.find("jumpctl connect prod"), std::string::npos) << error.hint;
  }
}

TEST_F(HostKeyChecking, AFileThatCannotBeWrittenIsNoReasonToRefuse) {
  scene.spec.strict = StrictHostKeyChecking::kAcceptNew;
  scene.spec.files = {dir.file("missing/known_hosts")};
  auto accepted = check(nullptr);
  EXPECT_TRUE(accepted->outcome() && accepted->outcome()->ok());
}

TEST_F(HostKeyChecking, GoneWhileAPersonThinksAnswersNothing) {
  prompter.answers = {"yes"};
  auto files = std::make_shared<HostKeyFiles>(HostKeyFiles::load(scene.spec));
  auto asked =
      std::make_unique<HostKeyCheck>(io, &prompter, scene.spec, files, kOne, "", [this] { ++wakes; });
  asked->start();
  ASSERT_TRUE(asked->asking());
  asked.reset();
  io.settle();
  EXPECT_EQ(wakes, 0);
  EXPECT_EQ(read_file(file), "");
}

// --- writing

TEST(HostKeyRecord, HashedNamesAreThoseOfOpenSsh) {
  Bytes salt = *base64_decode("zWFVvWLX7oIaBjfWPn1i0oHrv4Y=");
  EXPECT_EQ(hashed_known_hosts_name("prod", salt),
            "|1|zWFVvWLX7oIaBjfWPn1i0oHrv4Y=|1oMYqdgE1jnWAdauDDPEgXVDllY=");
  std::string entry = known_hosts_entry("[prod]:2222", kOne, true);
  EXPECT_EQ(match_host_column("[prod]:2222", entry.substr(0, entry.find(' '))), HostMatch::kYes);
  EXPECT_NE(entry, known_hosts_entry("[prod]:2222", kOne, true)) << "the salt is always the same";
}

TEST(HostKeyRecord, AppendsBehindWhatIsThere) {
  TempDir dir;
  std::string file = dir.write("kh", "# no newline", 0640);
  ASSERT_TRUE(append_known_hosts_entry(file, "a b c\n", ""));
  ASSERT_TRUE(append_known_hosts_entry(file, "d e f\n", ""));
  EXPECT_EQ(read_file(file), "# no newline\na b c\nd e f\n");
  EXPECT_EQ(mode_of(file), 0640u);
}

TEST(HostKeyRecord, MakesOnlyTheUsersOwnSshDirectory) {
  TempDir home;
  ASSERT_TRUE(append_known_hosts_entry(home.file(".ssh/known_hosts"), "x\n", home.path()));
  EXPECT_EQ(mode_of(home.file(".ssh")), 0700u);
  EXPECT_EQ(mode_of(home.file(".ssh/known_hosts")), 0600u);
  Status other = append_known_hosts_entry(home.file("else/known_hosts"), "x\n", home.path());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::kNotFound);
  EXPECT_NE(other.error().message.find(home.file("else/known_hosts")), std::string::npos);
}

TEST(HostKeyRecord, DevNullTakesAnything) { EXPECT_TRUE(append_known_hosts_entry("/dev/null", "x\n", "")); }

TEST(HostKeyRecord, WritersAtTheSameTimeLoseNothing) {
  TempDir dir;
  std::string file = dir.file("kh");
  constexpr int kWriters = 4, kLines = 200;
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&file, w] {
      for (int i = 0; i < kLines; ++i)
        EXPECT_TRUE(
            append_known_hosts_entry(file, "w" + std::to_string(w) + " " + std::to_string(i) + "\n", ""));
    });
  }
  for (std::thread& writer : writers) writer.join();
  std::string text = read_file(file);
  for (int w = 0; w < kWriters; ++w) {
    for (int i = 0; i < kLines; ++i)
      EXPECT_NE(("\n" + text).find("\nw" + std::to_string(w) + " " + std::to_string(i) + "\n"),
                std::string::npos);
  }
}

TEST(HostKeyRecord, NamesThatWouldMeanSomethingElseAreNotRecordable) {
  for (const char* good : {"prod", "[prod]:2222", "fe80::1%eth0", "a#b"})
    EXPECT_TRUE(is_recordable_name(good)) << good;
  for (const char* bad : {"", "a b", "a,b", "*", "web?", "!a", "#a", "@revoked", "|1|x", "a\nb"})
    EXPECT_FALSE(is_recordable_name(bad)) << bad;
}

// --- RevokedHostKeys

TEST(RevokedKeys, AListHasOneKeyALine) {
  auto keys = RevokedKeys::parse(as_bytes("# gone\n\n  " + line("", kOne) + line("", kTwo)));
  ASSERT_TRUE(keys.ok()) << keys.error().message;
  EXPECT_TRUE(keys->contains(kOne.blob));
  EXPECT_TRUE(keys->contains(kTwo.blob));
  EXPECT_FALSE(keys->contains(ed25519(3).blob));
}

TEST(RevokedKeys, ALineThatIsNoKeyIsAnErrorThatNamesIt) {
  auto keys = RevokedKeys::parse(as_bytes(line("", kOne) + "nonsense\n"));
  ASSERT_FALSE(keys.ok());
  EXPECT_EQ(keys.error().message.find("line 2"), 0u) << keys.error().message;
}

Bytes krl(ByteView sections) {
  return WireWriter()
      .raw(as_bytes(std::string_view("SSHKRL\n\0", 8)))
      .u32(1)
      .u64(1)
      .u64(0)
      .u64(0)
      .string("")
      .string("")
      .raw(sections)
      .take();
}

TEST(RevokedKeys, AKrlListsKeysAndDigests) {
  Bytes keys = WireWriter().string(kOne.blob).take();
  auto parsed = RevokedKeys::parse(krl(WireWriter().u8(2).string(keys).u8(1).string("anything").take()));
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_TRUE(parsed->contains(kOne.blob));
  EXPECT_FALSE(parsed->contains(kTwo.blob));
}

TEST(RevokedKeys, WhatAKrlMustNotHaveIsAnError) {
  Bytes critical = WireWriter().string("x").boolean(true).string("").take();
  Bytes harmless = WireWriter().string("x").boolean(false).string("").take();
  EXPECT_TRUE(RevokedKeys::parse(krl(WireWriter().u8(255).string(harmless).take())).ok());
  EXPECT_FALSE(RevokedKeys::parse(krl(WireWriter().u8(255).string(critical).take())).ok());
  EXPECT_FALSE(RevokedKeys::parse(krl(WireWriter().u8(77).string("").take())).ok());
  EXPECT_FALSE(
      RevokedKeys::parse(krl(WireWriter().u8(3).string(WireWriter().string("short").take()).take())).ok());
  Bytes whole = krl(WireWriter().u8(2).string(WireWriter().string(kOne.blob).take()).take());
  for (std::size_t size = 8; size + 1 < whole.size(); ++size) {
    if (size == krl({}).size()) continue;  // a list without sections
    EXPECT_FALSE(RevokedKeys::parse(ByteView(whole).first(size)).ok()) << size;
  }
}

// --- what a changed key is answered with

TEST(HostKeyError, ChangedNamesACommandForEveryFile) {
  KnownHosts known;
  known.add_text("/a/known_hosts", line("prod", kTwo));
  known.add_text("/b/known hosts", line("*", ed25519(3)) + line("prod", ed25519(4)));
  known.add_text("/c/known_hosts", line("dev", kTwo));
  Error error =
      host_key_error({"prod", "prod", 22, "jumpctl connect prod", "x"}, known.check("prod", 22, kOne), kOne);
  EXPECT_NE(
      error.hint.find("ssh-keygen -f /a/known_hosts -R prod && ssh-keygen -f '/b/known hosts' -R prod, then"),
      std::string::npos)
      << error.hint;
  EXPECT_EQ(error.hint.find("/c/"), std::string::npos);
}

}  // namespace
}  // namespace jump
