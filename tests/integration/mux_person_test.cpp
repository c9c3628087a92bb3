// Logins that need a person, where only stock ssh is there, by the agent's socket: nobody waits in vain, `-O
// check` tells the truth, and an ssh that wants a session asks by itself, as it would without an agent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "integration/password_lab.h"
#include "support/mux_lab.h"

namespace jump::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class MuxPerson : public PasswordLab, public testing::WithParamInterface<OpensshClient> {
 protected:
  static constexpr const char* kHost = "vault";

  void serve() {
    start();
    const ProcessResult served = agent().ctl({"mux", kHost});
    ASSERT_TRUE(served.ok()) << served.describe();
    socket_ = served.out.substr(0, served.out.find('\n'));
  }
  // The words of `ssh -F … -S SOCKET MORE…`.
  std::vector<std::string> ssh(const std::vector<std::string>& more) const {
    const std::string& directory = GetParam().directory;
    std::vector<std::string> words{directory.empty() ? "/usr/bin/ssh" : directory + "/ssh", "-F", config(),
                                   "-S", socket_};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  std::string config() const { return directory().file("ssh_config"); }
  std::string socket_;
};

INSTANTIATE_TEST_SUITE_P(Clients, MuxPerson, testing::ValuesIn(openssh_clients()),
                         [](const auto& each) { return each.param.name; });

TEST_P(MuxPerson, SshAsksForThePasswordByItself) {
  add(kHost, {.known = true});
  serve();
  OnTerminal terminal(ssh({kHost, "echo in"}), agent().environment());
  ASSERT_TRUE(terminal.shows(kPasswordPrompt)) << terminal.shown();
  EXPECT_THAT(terminal.shown(), AllOf(HasSubstr("nobody was there to give the password"),
                                      HasSubstr("jumpctl connect vault"), HasSubstr("by itself")));
  terminal.type(std::string(kPassword) + "\n");
  EXPECT_EQ(terminal.exit_status(), 0) << terminal.shown();
  EXPECT_EQ(terminal.count("in\r\n"), 1) << terminal.shown();
}

TEST_P(MuxPerson, SshAsksAboutAnUnknownHostKeyByItself) {
  add(kHost);
  serve();
  OnTerminal terminal(ssh({"-o", "ControlMaster=auto", kHost, "echo in"}), agent().environment());
  ASSERT_TRUE(terminal.shows(kTrust)) << terminal.shown();
  EXPECT_THAT(terminal.shown(), HasSubstr("jumpctl connect vault"));
  terminal.type("yes\n");
  ASSERT_TRUE(terminal.shows(kPasswordPrompt)) << terminal.shown();
  terminal.type(std::string(kPassword) + "\n");
  EXPECT_EQ(terminal.exit_status(), 0) << terminal.shown();
  EXPECT_EQ(terminal.count("in\r\n"), 1) << terminal.shown();
  // What ssh has learned is known to the agent, and the socket is still its own.
  auto ctl = connect(kHost);
  ASSERT_TRUE(ctl->shows(kPasswordPrompt)) << ctl->shown();
  EXPECT_EQ(ctl->count(kTrust), 0) << ctl->shown();
  ctl->type(std::string(kPassword) + "\n");
  EXPECT_EQ(ctl->exit_status(), 0) << ctl->shown();
  const ProcessResult through =
      run_process(ssh({"-o", "BatchMode=yes", kHost, "echo through"}), seconds(30), agent().environment());
  EXPECT_EQ(through.out, "through\n") << through.describe();
}

// Without a terminal there is nobody for ssh either: it ends at once, and says both.
TEST_P(MuxPerson, WhereNobodyIsThereItEndsWithTheWayOut) {
  add(kHost, {.known = true});
  serve();
  const ProcessResult result =
      run_process(ssh({"-o", "BatchMode=yes", kHost, "echo in"}), seconds(30), agent().environment());
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.exit_status, 255) << result.describe();
  EXPECT_THAT(result.err, AllOf(HasSubstr("jumpctl connect vault"), HasSubstr("Permission denied")))
      << result.describe();
}

// The agent was started where another ssh-agent was, or none.
TEST_P(MuxPerson, AKeyThatOnlyTheClientHasLetsItInByItself) {
  const TempDir there;
  Sshd sshd;
  const KeyPair& key = user_key(KeyKind::kEd25519);
  sshd.authorize(key);
  SshAgent keys;
  keys.add(key);
  SshConfigHost host = host_for(kHost, sshd, key, there.write("known_hosts", sshd.known_hosts()));
  host.identity_file.clear();
  host.identity_agent = "SSH_AUTH_SOCK";
  const std::string file = there.write("ssh_config", ssh_config_text({host}));
  AgentProcess without(file);
  without.run();
  const ProcessResult served = without.ctl({"mux", kHost});
  ASSERT_TRUE(served.ok()) << served.describe();
  socket_ = served.out.substr(0, served.out.find('\n'));
  Environment env = without.environment();
  env["SSH_AUTH_SOCK"] = keys.socket();
  std::vector<std::string> words = ssh({kHost, "echo in"});
  words[2] = file;
  const ProcessResult result = run_process(words, seconds(60), env);
  EXPECT_EQ(result.out, "in\n") << result.describe();
  EXPECT_THAT(result.err, AllOf(HasSubstr("authentication failed"), HasSubstr("by itself")))
      << result.describe();
  std::vector<std::string> check = ssh({"-O", "check", kHost});
  check[2] = file;
  EXPECT_EQ(run_process(check, seconds(60), env).exit_status, 255) << "the truth for who asks for no session";
}

// What is no session is no reason for another login: it is told why there is none.
TEST_P(MuxPerson, ChecksAndForwardsEndWithTheReason) {
  add(kHost, {.known = true});
  serve();
  const std::string forward = directory().file("forward") + ":127.0.0.1:1";
  for (const std::vector<std::string>& words : {std::vector<std::string>{"-O", "check", kHost},
                                                {"-W", "127.0.0.1:1", kHost},
                                                {"-O", "proxy", kHost},
                                                {"-O", "forward", "-L", forward, kHost}}) {
    const ProcessResult result = run_process(ssh(words), seconds(30), agent().environment());
    EXPECT_FALSE(result.timed_out);
    EXPECT_EQ(result.exit_status, 255) << result.describe();
    EXPECT_THAT(result.err, AllOf(HasSubstr("jumpctl connect vault"), Not(HasSubstr("Permission denied"))))
        << result.describe();
  }
}

// Where somebody is there to be asked, ssh waits for the answer: longer than for a server that is connected
// and silent.
TEST_P(MuxPerson, TheAnswerOfSomebodyElseIsWaitedFor) {
  add(kHost, {.known = true});
  serve();
  auto ctl = connect(kHost);
  ASSERT_TRUE(ctl->shows(kPasswordPrompt)) << ctl->shown();
  Process client(ssh({"-o", "BatchMode=yes", kHost, "echo in"}), agent().environment());
  EXPECT_EQ(client.wait(seconds(5)), std::nullopt) << client.err();
  ctl->type(std::string(kPassword) + "\n");
  EXPECT_EQ(client.wait(seconds(30)), 0) << client.err();
  EXPECT_EQ(client.out(), "in\n");
}

}  // namespace
}  // namespace jump::test
