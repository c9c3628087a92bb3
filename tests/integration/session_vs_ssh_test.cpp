// Commands, case by case as stock ssh runs them: the same script is run by `ssh` and by `jumpctl exec` on the
// same server, and has to print the same on stdout and stderr and to end in the same way. What both programs
// say about themselves is left out.
#include <gtest/gtest.h>

#include "support/build_kind.h"
#include "support/pattern.h"
#include "support/shell_lab.h"

namespace jump::test {
namespace {

using Client = ShellLab::Client;

struct Case {
  const char* name;
  const char* script;
  const char* must_say = "";  // on stdout, so that two failures do not count as the same
};

// `s` ends a script with the statuses of its pipe.
constexpr const char* kPrelude = "set -o pipefail\ns() { echo \"status ${1:-$?}\"; }\n";

const Case kCases[] = {
    {"Exit0", "run bastion true; s", "status 0"},
    {"Exit1", "run bastion false; s", "status 1"},
    {"Exit4", "run bastion exit 4; s", "status 4"},
    {"Exit5", "run bastion 'exit 5'; s", "status 5"},
    {"Exit44", "run bastion 'exit 44'; s", "status 44"},
    {"Exit255", "run bastion 'exit 255'; s", "status 255"},
    {"DeathBySignal", "run bastion 'kill -TERM $$'; s", "status 255"},
    {"DeathByKill", "run bastion 'kill -KILL $$'; s", "status 255"},
    {"NoSuchCommand", "run bastion no_such_command_at_all 2>/dev/null; s", "status 127"},
    {"ArgumentsAreJoined", "run bastion echo 'a  b' \"'c  d'\" '$((1+1))'; s", "a b c  d 2"},
    {"OptionsOfTheCommand", "run bastion printf '%s' -t -n --version; s", "-t-n--version"},
    {"BinaryOutput", "run bastion \"printf '\\\\000\\\\377\\\\r\\\\n\\\\003'\" | od -An -tx1; s",
     "00 ff 0d 0a 03"},
    {"BinaryInput", "printf '\\000\\377\\r\\n\\003\\004' | run bastion od -An -tx1; s", "00 ff 0d 0a 03 04"},
    {"StdinsEnd", "printf 'a\\nb\\n' | run bastion 'cat; echo end'; s", "end"},
    {"StderrApart", "run bastion 'echo out; echo err >&2'; s", "out"},
    {"StderrAfterStdoutsEnd", "run bastion 'exec >&-; echo late >&2'; s", "status 0"},
    {"StdoutAfterStderrsEnd", "run bastion 'exec 2>&-; echo late'; s", "late"},
    {"StatusAfterTheOutputsEnd", "run bastion 'exec >&- 2>&-; sleep 0.3; exit 7'; s", "status 7"},
    {"InputAfterTheOutputsEnd",
     "(sleep 0.3; echo x) | run bastion 'exec >&- 2>&-; read a; [ $a = x ] && exit 9'; s", "status 9"},
    {"NobodyReadsInput",
     "head -c 3000000 /dev/zero | run bastion 'exec <&-; sleep 0.2; echo done'; s ${PIPESTATUS[1]}", "done"},
    {"CommandEndsBeforeItsInput", "(sleep 1.5; echo x) | run bastion 'echo quick'; s ${PIPESTATUS[1]}",
     "quick"},
    {"YesHeadLocally", "run bastion yes | head -1; s ${PIPESTATUS[1]}", "y"},
    {"YesHeadLocallySaysNothing", "run bastion yes 2> $dir/err | head -1; cat $dir/err; wc -c < $dir/err",
     "y\n0"},
    {"YesHeadLocallyEndsTheCommand",
     "run bastion 'yes; echo $? > '$dir/yes_status | head -1; for i in $(seq 100); do [ -s $dir/yes_status ] "
     "&& break; "
     "sleep 0.05; done; cat $dir/yes_status; rm -f $dir/yes_status",
     "y"},
    {"YesHeadRemotely", "run bastion 'yes | head -1'; s", "y\nstatus 0"},
    {"StderrsReaderGoes",
     "run bastion 'head -c 300000 /dev/zero | tr \"\\\\0\" e >&2; echo end' 2> >(head -c 1 >/dev/null); s",
     "end"},
    {"StdinIsNull", "run bastion cat < /dev/null; s", "status 0"},
    {"DashN", "echo no | run -n bastion cat; s ${PIPESTATUS[1]}", "status 0"},
    {"StdinClosed", "run bastion 'cat; echo end' <&-; s", "end"},
    {"StdoutClosed", "run bastion 'echo lost; echo err >&2; exit 3' >&-; s", "status 3"},
    {"StderrClosed", "run bastion 'echo out; echo lost >&2; exit 3' 2>&-; s", "status 3"},
    {"AllClosed", "run bastion 'cat; exit 6' <&- >&- 2>&-; s", "status 6"},
    {"StdinIsADirectory", "run bastion 'cat; exit 3' < /; s", "status 3"},
    {"StdinIsWriteOnly", "run bastion 'cat; exit 3' 0> $dir/wo; s", "status 3"},
    {"StdoutIsAFile", "run bastion 'seq 100000' > $dir/out; s; md5sum < $dir/out", "status 0"},
    {"StdoutIsAppended", "{ run bastion echo a; echo b; run bastion echo c; } > $dir/ab; cat $dir/ab",
     "a\nb\nc"},
    {"StdoutIsADeletedFile",
     "exec 7> $dir/gone 8< $dir/gone; rm $dir/gone; run bastion echo kept >&7; s; cat <&8", "kept"},
    {"StdinIsRead", "printf '1\\n2\\n' > $dir/two; { run bastion cat; cat; } < $dir/two", "1\n2"},
    {"StdinIsADevice", "run bastion 'head -c 1000000 | wc -c' < /dev/zero; s ${PIPESTATUS[0]}", "1000000"},
    {"StdoutIsFull", "run bastion 'seq 1000' > /dev/full; s 0", "status 0"},
    {"StdoutAndStderrTogether",
     "run bastion 'for i in 1 2 3; do echo o$i; sleep 0.3; echo e$i >&2; sleep 0.3; done' 2>&1; s",
     "o1\ne1\no2\ne2\no3\ne3"},
    {"BackgroundChildRedirected", "run bastion 'sleep 30 >/dev/null 2>&1 </dev/null & echo started'; s",
     "started"},
    {"BackgroundChildWithTheOutput", "run bastion '(sleep 0.5; echo late) & echo started'; s", "late"},
    {"ATerminalIsNotGivenForAPipe", "run -t bastion 'tty; exit 3' < /dev/null; s", "status 3"},
    {"ForcedTerminal",
     "own_config= run -tt bastion 'test -t 0 && test -t 1 && echo terminal; exit 3' < /dev/null; s",
     "terminal"},
    {"NoTerminal", "run -T bastion 'test -t 0 || echo none'; s", "none"},
    {"ShellOnAPipe", "echo 'echo $((40+2)); exit 12' | shell bastion; s", "42"},
    {"SubsystemOfSftp",
     "mkfifo $dir/in; : > $dir/out; run -s bastion sftp < $dir/in > $dir/out & exec 8> $dir/in; "
     "printf '\\0\\0\\0\\5\\1\\0\\0\\0\\3' >&8; until [ $(wc -c < $dir/out) -ge 9 ]; do :; done; exec 8>&-; "
     "wait $!; s; "
     "head -c 9 $dir/out | od -An -tx1; rm $dir/in $dir/out",
     "02 00 00 00 03"},
    {"UnknownSubsystem", "run -s bastion none < /dev/null; s", "status 255"},
    {"UnknownHost", "run no-such-host.invalid true 2>/dev/null; s", "status 255"},
    {"Environment", "SENT_A=1 SENT_B='x y' OTHER=3 run env 'echo $SENT_A/$SENT_B/$OTHER/$SET_C'; s",
     "1/x y//c d"},
    {"RemoteCommand", "shell remote-command < /dev/null; s", "from the config"},
    {"StdinNull", "echo no | run stdin-null 'cat; echo end'; s", "end"},
    {"RequestTtyForce", "run tty-force 'test -t 0 && echo terminal' < /dev/null; s", "terminal"},
    {"ManyLines", "run bastion 'seq 200000' | md5sum; s", "status 0"},
    {"LongCommand", "run bastion \"echo $(head -c 100000 /dev/zero | tr '\\0' x)\" | md5sum; s", "status 0"},
    {"BulkThroughPipes", "cat $dir/bulk | run bastion cat | sha256sum; s", "status 0"},
    {"BulkThroughFiles", "run bastion cat < $dir/bulk > $dir/copy; s; sha256sum < $dir/copy; rm $dir/copy",
     "status 0"},
    {"FiftyAtOnce",
     "own_config=; for i in $(seq 50); do run bastion \"echo $i; exit $i\" 2>/dev/null > $dir/out$i & "
     "p[$i]=$!; done; for i in $(seq 50); "
     "do wait ${p[$i]}; echo $? $(cat $dir/out$i); rm $dir/out$i; done",
     "50 50"},
    {"NoAgentForwarding", "SSH_AUTH_SOCK=$agent_a run agent 'ssh-add -L >/dev/null 2>&1 || echo none'; s",
     "none"},
    {"AgentForwarding", "SSH_AUTH_SOCK=$agent_a run -A agent ssh-add -L; s", "ssh-ed25519"},
    {"AgentForwardingByConfig", "SSH_AUTH_SOCK=$agent_a run agent-yes ssh-add -L; s", "ssh-ed25519"},
    {"AgentForwardingByPath", "SSH_AUTH_SOCK=$agent_a run agent-path ssh-add -L; s", "ecdsa"},
    {"AgentForwardingByVariable", "MY_AGENT=$agent_b run agent-variable ssh-add -L; s", "ecdsa"},
    {"AgentForwardingDeclined",
     "SSH_AUTH_SOCK=$agent_a run -a agent-yes 'ssh-add -L >/dev/null 2>&1 || echo none'; s", "none"},
    {"NoAgentToForward", "run -A agent 'ssh-add -L >/dev/null 2>&1 || echo none'; s", "none"},
    {"AgentAtARelativePath", "cd ${agent_a%/*}; SSH_AUTH_SOCK=${agent_a##*/} run -A agent ssh-add -L; s",
     "ssh-ed25519"},
    {"AgentByARelativePathInTheConfig",
     "cd ${agent_b%/*}; SSH_AUTH_SOCK=$agent_a run forward-relative ssh-add -L; s", "ecdsa"},
    {"AgentToForwardWhereTheOwnHasGone",
     "cd ${agent_b%/*}; SSH_AUTH_SOCK=$dir/no-agent run forward-relative 'ssh-add -L 2>/dev/null || echo "
     "none'; s",
     "none"},
    {"AgentToForwardThatHasGone",
     "cd /; SSH_AUTH_SOCK=$agent_a run forward-relative 'ssh-add -L >/dev/null 2>&1 || echo none' "
     "2>/dev/null; s",
     "none"},
    {"NoAgentWanted", "SSH_AUTH_SOCK=$agent_a run -A bastion 'ssh-add -L >/dev/null 2>&1 || echo none'; s",
     "none"},
    {"TwoAgentsAtOnce",
     "SSH_AUTH_SOCK=$agent_a run -A agent 'sleep 0.4; ssh-add -L' > $dir/a & SSH_AUTH_SOCK=$agent_b run -A "
     "agent "
     "'sleep 0.4; ssh-add -L' > $dir/b; wait; cat $dir/a $dir/b",
     "ecdsa"},
    {"EmptyLinesAndNoNewline", "printf '\\n\\nlast' | run bastion cat | od -An -c; s", "l   a   s   t"},
};

LabOptions options() {
  LabOptions lab;
  lab.sshd.config = {"AcceptEnv SENT_* SET_*", "Subsystem sftp internal-sftp"};
  return lab;
}

constexpr const char* kOtherNames =
    " env remote-command stdin-null tty-force agent agent-yes agent-path agent-variable forward-relative";

// Aliases of the same server with more options.
void add_hosts(ShellLab& scene, const std::string& agent_path) {
  std::string hosts = read_file(scene.lab().ssh_config());
  const std::string alias = "Host bastion";
  const std::size_t at = hosts.find(alias);
  ASSERT_NE(at, std::string::npos) << hosts;
  hosts.insert(at + alias.size(), kOtherNames);
  scene.lab().directory().write("ssh_config",
                                "Host env\n  SendEnv SENT_*\n  SetEnv SET_C=\"c d\"\n"
                                "Host remote-command\n  RemoteCommand echo from the config\n"
                                "Host stdin-null\n  StdinNull yes\n"
                                "Host tty-force\n  RequestTTY force\n"
                                "Host forward-relative\n  ForwardAgent " +
                                    agent_path.substr(agent_path.rfind('/') + 1) +
                                    "\nHost agent agent-yes forward-relative\n  IdentityAgent SSH_AUTH_SOCK\n"
                                    "Host agent-path\n  IdentityAgent " +
                                    agent_path +
                                    "\nHost agent-variable\n  IdentityAgent $MY_AGENT\n"
                                    "Host agent-yes agent-path agent-variable\n  ForwardAgent yes\n" +
                                    hosts);
}

class SessionLikeSsh : public testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() {
    scene_ = new ShellLab(options());
    agent_a_ = new SshAgent();
    agent_a_->add(user_key(KeyKind::kEd25519));
    agent_b_ = new SshAgent();
    agent_b_->add(user_key(KeyKind::kEcdsa256));
    add_hosts(*scene_, agent_b_->socket());
    scene_->set_env("agent_a", agent_a_->socket());
    scene_->set_env("agent_b", agent_b_->socket());
    scene_->lab().directory().write("bulk", as_text(pattern_bytes(11, bulk_size())));
    // Logins take most of the time: where a master does not change what ssh does, there is one.
    scene_->set_env("own_config", scene_->lab().directory().write(
                                      "own_config",
                                      "Host bastion\n  ControlMaster auto\n  ControlPersist 60\n"
                                      "  ControlPath " +
                                          scene_->lab().directory().file("master") + "\nHost *\nInclude " +
                                          scene_->lab().ssh_config() + "\n"));
  }
  static void TearDownTestSuite() {
    scene_->run(Client::kSsh, "run -O exit bastion");
    delete scene_;
    delete agent_a_;
    delete agent_b_;
    scene_ = nullptr;
  }
  static ShellLab* scene_;
  static SshAgent* agent_a_;
  static SshAgent* agent_b_;
};
ShellLab* SessionLikeSsh::scene_ = nullptr;
SshAgent* SessionLikeSsh::agent_a_ = nullptr;
SshAgent* SessionLikeSsh::agent_b_ = nullptr;

TEST_P(SessionLikeSsh, EndsAndPrintsTheSame) {
  const Case& given = GetParam();
  const std::string script = std::string(kPrelude) + given.script;
  const ProcessResult ssh = scene_->run(Client::kSsh, script, seconds(250));
  const ProcessResult ours = scene_->run(Client::kJumpctl, script, seconds(250));
  ASSERT_FALSE(ssh.timed_out) << ssh.describe();
  EXPECT_FALSE(ours.timed_out) << ours.describe();
  EXPECT_NE(ssh.out.find(given.must_say), std::string::npos) << ssh.describe();
  EXPECT_EQ(ours.out, ssh.out) << ours.err;
  EXPECT_EQ(ours.exit_status, ssh.exit_status);
  EXPECT_EQ(without_own_messages(ours.err), without_own_messages(ssh.err));
}

INSTANTIATE_TEST_SUITE_P(Cases, SessionLikeSsh, testing::ValuesIn(kCases),
                         [](const auto& each) { return std::string(each.param.name); });

// On a connection that never forwarded one: it keeps what it had.
TEST(SessionLikeSshOnItsOwn, AnAgentThatDoesNotAnswerIsNotForwarded) {
  ShellLab scene(options());
  add_hosts(scene, "/none");
  for (const Client client : {Client::kSsh, Client::kJumpctl}) {
    const ProcessResult result =
        scene.run(client,
                  "for each in $dir/no-agent $ssh_config; do SSH_AUTH_SOCK=$each run -A agent 'echo "
                  "[$SSH_AUTH_SOCK]'; done");
    EXPECT_EQ(result.out, "[]\n[]\n") << result.describe();
    EXPECT_EQ(result.err, "") << result.describe();
  }
}

}  // namespace
}  // namespace jump::test
