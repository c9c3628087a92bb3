// Host keys in whole logins: one hop against a real sshd with a person who follows a script, and the agent as
// a user has it. The rules themselves are compared with stock ssh in known_hosts_verdicts_test.cpp.
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "auth/host_pattern.h"
#include "hop/hop.h"
#include "loop/uv_io.h"
#include "support/eventually.h"
#include "support/lab.h"
#include "support/on_terminal.h"
#include "support/scripted_prompter.h"
#include "support/sshd.h"
#include "support/temp_dir.h"

namespace jump {
namespace {

using test::read_file;
using test::ScriptedPrompter;
using test::TempDir;

class HopHostKeys : public ::testing::Test {
 protected:
  explicit HopHostKeys(test::SshdOptions options = {}) : sshd(std::move(options)) {
    const test::KeyPair& key = test::user_key(test::KeyKind::kEd25519);
    sshd.authorize(key);
    spec.alias = "bastion";
    spec.host = "127.0.0.1";
    spec.port = sshd.port();
    spec.user = test::base_environment().at("USER");
    spec.ssh_command = "ssh bastion";
    spec.connect_command = "jumpctl connect bastion";
    spec.identity_files = {key.private_path};
    spec.identities_only = true;
    spec.known_hosts_files = {dir.file("user")};
    spec.user_known_hosts_files = 1;
  }

  // Until it is ready or closed.
  Hop& connect(Prompter* who) {
    hop = std::make_unique<Hop>(
        io, budget, nullptr, spec, "test", [] {}, who);
    hop->start();
    turn_until([&] { return hop->state() == Hop::State::kReady || hop->state() == Hop::State::kClosed; });
    return *hop;
  }
  void turn_until(const std::function<bool()>& done) {
    std::unique_ptr<Timer> tick;
    tick = io.timer([&] { tick->start(milliseconds(50)); });
    tick->start(milliseconds(50));
    test::Stopwatch watch;
    while (!done() && watch.elapsed() < seconds(30)) loop.run_once();
  }
  std::string recorded() {
    return "[127.0.0.1]:" + std::to_string(sshd.port()) + " " + sshd.host_key(0).public_line + "\n";
  }

  test::Sshd sshd;
  TempDir dir;
  Loop loop;
  UvIo io{loop};
  WindowBudget budget;
  ScriptedPrompter prompter{io};
  HopSpec spec;
  std::unique_ptr<Hop> hop;
};

TEST_F(HopHostKeys, AcceptNewLogsInAndLeavesTheKey) {
  spec.strict_host_key_checking = StrictHostKeyChecking::kAcceptNew;
  ASSERT_EQ(connect(nullptr).state(), Hop::State::kReady) << hop->error().message;
  EXPECT_EQ(read_file(dir.file("user")), recorded());
}

TEST_F(HopHostKeys, APersonSaysYesAndIsNotAskedAgain) {
  prompter.answers = {"yes"};
  ASSERT_EQ(connect(&prompter).state(), Hop::State::kReady) << hop->error().message;
  ASSERT_EQ(prompter.questions.size(), 1u);
  EXPECT_EQ(prompter.questions[0].hop, spec.describe());
  EXPECT_NE(prompter.questions[0].text.find("127.0.0.1]:" + std::to_string(sshd.port()) + ")'"),
            std::string::npos)
      << prompter.questions[0].text;
  hop.reset();
  ASSERT_EQ(connect(nullptr).state(), Hop::State::kReady) << hop->error().message;
  EXPECT_EQ(read_file(dir.file("user")), recorded());
}

TEST_F(HopHostKeys, NobodyIsLoggedInToWhatWasNotAccepted) {
  std::size_t before = sshd.log().size();
  prompter.answers = {"no"};
  connect(&prompter);
  EXPECT_EQ(hop->error().code, Errc::kCancelled);
  connect(&prompter);
  EXPECT_EQ(hop->error().code, Errc::kNeedsPerson);
  connect(nullptr);
  EXPECT_EQ(hop->error().code, Errc::kHostKey);
  EXPECT_NE(hop->error().message.find(sshd.host_key(0).fingerprint), std::string::npos)
      << hop->error().message;
  EXPECT_NE(hop->error().hint.find("jumpctl connect bastion"), std::string::npos);
  test::KeyPair former = test::generate_key(test::KeyKind::kEd25519, dir.file("former"));
  dir.write("user", "[127.0.0.1]:" + std::to_string(sshd.port()) + " " + former.public_line + "\n");
  spec.strict_host_key_checking = StrictHostKeyChecking::kNo;
  connect(&prompter);
  EXPECT_EQ(hop->error().code, Errc::kHostKey);
  EXPECT_NE(hop->error().message.find("HOST KEY CHANGED"), std::string::npos);
  EXPECT_EQ(sshd.log().substr(before).find("Accepted"), std::string::npos) << sshd.log().substr(before);
}

// ConnectTimeout is for machines: a person may take longer.
TEST_F(HopHostKeys, ASlowAnswerIsNotTooLateForConnectTimeout) {
  class SlowPrompter final : public Prompter {
   public:
    explicit SlowPrompter(Io& io)
        : timer_(io.timer([this] {
            std::vector<Secret> yes;
            yes.emplace_back(std::string_view("yes"));
            done_(std::move(yes));
          })) {}
    std::unique_ptr<Operation> ask(Question, Answered done) override {
      done_ = std::move(done);
      timer_->start(milliseconds(8500));
      return std::make_unique<Operation>();
    }

   private:
    Answered done_;
    std::unique_ptr<Timer> timer_;
  } slow(io);
  spec.connect_timeout = seconds(8);
  EXPECT_EQ(connect(&slow).state(), Hop::State::kReady) << hop->error().message;
}

// UpdateHostKeys: the same files, before and after, as stock ssh has them.
class HopHostKeyUpdates : public HopHostKeys {
 protected:
  HopHostKeyUpdates()
      : HopHostKeys(
            {.host_keys = {test::KeyKind::kEd25519, test::KeyKind::kEcdsa256, test::KeyKind::kRsa3072}}) {
    spec.update_host_keys = UpdateHostKeys::kYes;
    former = test::generate_key(test::KeyKind::kEcdsa256, dir.file("former"));
    place = "[127.0.0.1]:" + std::to_string(sshd.port()) + " ";
    dir.write("user", before());
    dir.write("ssh", before());
  }
  // One key that the server has, and one that it had.
  std::string before() const {
    return "# mine\n" + place + sshd.host_key(0).public_line + "\n" + place + former.public_line + "\n";
  }
  static std::multiset<std::string> lines(const std::string& text) {
    std::multiset<std::string> out;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) out.insert(line);
    return out;
  }
  std::multiset<std::string> by_ssh() {
    test::Process ssh({"ssh",
                       "-F",
                       "none",
                       "-N",
                       "-p",
                       std::to_string(sshd.port()),
                       "-i",
                       spec.identity_files[0],
                       "-o",
                       "IdentitiesOnly=yes",
                       "-o",
                       "BatchMode=yes",
                       "-o",
                       "StrictHostKeyChecking=yes",
                       "-o",
                       "UserKnownHostsFile=" + dir.file("ssh"),
                       "-o",
                       "GlobalKnownHostsFile=none",
                       "-o",
                       "UpdateHostKeys=yes",
                       spec.user + "@127.0.0.1"});
    EXPECT_TRUE(test::eventually([&] { return read_file(dir.file("ssh")) != before(); })) << ssh.err();
    return lines(read_file(dir.file("ssh")));
  }

  test::KeyPair former;
  std::string place;
};

TEST_F(HopHostKeyUpdates, LearnAndForgetWhatSshDoes) {
  ASSERT_EQ(connect(nullptr).state(), Hop::State::kReady) << hop->error().message;
  turn_until([&] { return read_file(dir.file("user")) != before(); });
  EXPECT_EQ(lines(read_file(dir.file("user"))), by_ssh());
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(lines(read_file(dir.file("user"))).count(place + sshd.host_key(i).public_line), 1u) << i;
  }
}

TEST_F(HopHostKeyUpdates, AreLeftAloneWhereTheUserSaysNo) {
  spec.update_host_keys = UpdateHostKeys::kNo;
  ASSERT_EQ(connect(nullptr).state(), Hop::State::kReady) << hop->error().message;
  // The list came before the answer to this.
  turn_until([&] { return hop->round_trip().has_value(); });
  EXPECT_EQ(read_file(dir.file("user")), before());
}

// --- the agent as a user has it

test::LabOptions with(std::vector<std::string> lines) {
  test::LabOptions options;
  options.config_lines = std::move(lines);
  return options;
}

TEST(AgentHostKeys, AcceptNewConnectsAndLeavesTheKeyHashed) {
  test::Lab lab(with({"StrictHostKeyChecking accept-new", "HashKnownHosts yes"}));
  lab.directory().write("known_hosts", "");
  test::ProcessResult result = lab.agent().ctl({"connect", test::Lab::kBastion});
  ASSERT_TRUE(result.ok()) << result.describe();
  std::string text = read_file(lab.known_hosts());
  EXPECT_EQ(
      match_host_column(known_hosts_name("127.0.0.1", lab.sshd().port()), text.substr(0, text.find(' '))),
      HostMatch::kYes)
      << text;
  EXPECT_NE(text.find(" " + lab.sshd().host_key().public_line + "\n"), std::string::npos) << text;
}

// ssh goes on, too, and says so; whoever is not told is asked each time, and wonders.
TEST(AgentHostKeys, AKeyThatCannotBeRecordedIsSaidEachTime) {
  for (const bool is_directory : {true, false}) {
    TempDir dir;
    const std::string file = is_directory ? dir.make_dir("known") : dir.file("no/such/known");
    test::Lab lab(with({"StrictHostKeyChecking accept-new", "UserKnownHostsFile " + file}));
    const std::string said = "Failed to add the host to the list of known hosts (" + file +
                             "): " + (is_directory ? "Is a directory" : "No such file or directory");
    test::AgentProcess& agent = lab.agent();
    test::ProcessResult result = agent.ctl({"--no-input", "connect", test::Lab::kBastion});
    ASSERT_TRUE(result.ok()) << result.describe();
    EXPECT_NE(result.err.find(said), std::string::npos) << result.describe();
    EXPECT_EQ(agent.host_status(test::Lab::kBastion).value("warning", ""), said);
    test::OnTerminal ctl({test::ctl_program(), "connect", test::Lab::kBastion}, agent.environment());
    EXPECT_EQ(ctl.exit_status(), 0) << ctl.shown();
    EXPECT_EQ(ctl.count(said), 0) << "it was connected already";
    ASSERT_TRUE(agent.ctl({"disconnect", test::Lab::kBastion}).ok());
    test::OnTerminal again({test::ctl_program(), "connect", test::Lab::kBastion}, agent.environment());
    EXPECT_EQ(again.exit_status(), 0) << again.shown();
    EXPECT_EQ(again.count(said), 1) << again.shown();
  }
}

TEST(AgentHostKeys, WhereNothingIsToBeKeptNothingIsSaid) {
  test::Lab lab(with({"StrictHostKeyChecking accept-new", "UserKnownHostsFile /dev/null"}));
  test::ProcessResult result = lab.agent().ctl({"--no-input", "connect", test::Lab::kBastion});
  ASSERT_TRUE(result.ok()) << result.describe();
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(lab.agent().host_status(test::Lab::kBastion).value("warning", ""), "");
}

TEST(AgentHostKeys, AnUnknownKeyIsNotToBeAddedWhereNothingCanBeAdded) {
  TempDir dir;
  for (const std::string& file :
       {dir.make_dir("known"), dir.file("no/such/known"), std::string("/dev/null")}) {
    test::Lab lab(with({"StrictHostKeyChecking yes", "UserKnownHostsFile " + file}));
    test::ProcessResult result = lab.agent().ctl({"--no-input", "connect", test::Lab::kBastion});
    EXPECT_EQ(result.exit_status, 1);
    EXPECT_EQ(result.err.find("run once"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("name another with UserKnownHostsFile"), std::string::npos) << result.err;
  }
}

TEST(AgentHostKeys, AChangedKeyIsRefusedEvenWithoutChecking) {
  test::Lab lab(with({"StrictHostKeyChecking no"}));
  test::KeyPair former = test::generate_key(test::KeyKind::kEd25519, lab.directory().file("former"));
  std::string text =
      "# x\n[127.0.0.1]:" + std::to_string(lab.sshd().port()) + " " + former.public_line + "\n";
  lab.directory().write("known_hosts", text);
  test::ProcessResult result = lab.agent().ctl({"connect", test::Lab::kBastion});
  EXPECT_EQ(result.exit_status, 1);
  for (const std::string& part :
       {std::string("HOST KEY CHANGED"), former.fingerprint, lab.sshd().host_key().fingerprint,
        lab.known_hosts() + ":2", "ssh-keygen -f " + lab.known_hosts() + " -R"})
    EXPECT_NE((result.out + result.err).find(part), std::string::npos) << part << "\n" << result.describe();
  EXPECT_EQ(read_file(lab.known_hosts()), text);
  EXPECT_EQ(lab.sshd().log().find("Accepted"), std::string::npos);
}

TEST(AgentHostKeys, AKeyInRevokedHostKeysIsRefused) {
  TempDir dir;
  std::string list = dir.write("revoked", "");
  test::Lab lab(with({"RevokedHostKeys " + list}));
  dir.write("revoked", lab.sshd().host_key().public_line + "\n");
  test::ProcessResult result = lab.agent().ctl({"connect", test::Lab::kBastion});
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_NE(result.err.find("HOST KEY REVOKED"), std::string::npos) << result.describe();
  dir.write("revoked", "");
  result = lab.agent().ctl({"connect", test::Lab::kBastion});
  EXPECT_TRUE(result.ok()) << result.describe();
}

}  // namespace
}  // namespace jump
