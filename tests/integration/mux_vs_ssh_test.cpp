// Stock ssh through the agent's socket, case by case as through that of `ssh -M`: the same script has to print the
// same on stdout and stderr, end in the same way, and leave the same behind. Where the agent differs on purpose, the
// table says why and what it does instead.
#include <gtest/gtest.h>

#include <regex>

#include "support/mux_lab.h"
#include "support/ssh_agent.h"

namespace jump::test {
namespace {

using Master = MuxLab::Master;

struct Case {
  const char* name;
  const char* script;
  const char* must_say = "";       // on stdout: two failures do not count as the same
  const char* differs = nullptr;   // why the agent does something else …
  const char* instead = nullptr;   // … and what it says on stdout then
};

constexpr const char* kNoModes =
    "a master tells the server the modes of a terminal that is none, all off; ssh by itself tells no modes, and so do we";

const Case kCases[] = {
    // --- how commands end
    {"Exit0", "m bastion true; s", "status 0"},
    {"Exit1", "m bastion false; s", "status 1"},
    {"Exit2", "m bastion 'exit 2'; s", "status 2"},
    {"Exit4", "m bastion 'exit 4'; s", "status 4"},
    {"Exit5", "m bastion 'exit 5'; s", "status 5"},
    {"Exit44", "m bastion 'exit 44'; s", "status 44"},
    {"Exit254", "m bastion 'exit 254'; s", "status 254"},
    {"Exit255", "m bastion 'exit 255'; s", "status 255"},
    {"NoSuchCommand", "m bastion no_such_command_at_all; s", "status 127"},
    {"DeathByTerm", "m bastion 'kill -TERM $$'; s", "status 255"},
    {"DeathByKill", "m bastion 'kill -KILL $$'; s", "status 255"},
    {"StatusAfterTheOutputsEnd", "m bastion 'exec >&- 2>&-; sleep 0.3; exit 7'; s", "status 7"},
    {"ShellOnAPipe", "echo 'echo $((40+2)); exit 12' | m bastion; s", "42"},

    // --- what goes in and out
    {"Arguments", "m bastion printf '[%s]' 'a  b' \"'c  d'\" -t --version; s", "[c  d]"},
    {"StdinSmall", "echo hello | m bastion cat; s", "hello"},
    {"StdinBinary", "printf '\\000\\377\\r\\n\\003\\004' | m bastion od -An -tx1; s", "00 ff 0d 0a 03 04"},
    {"StdinFile10MiB", "head -c 10485760 /dev/urandom > $dir/f; m bastion sha256sum < $dir/f > $dir/h; s; "
                       "sha256sum < $dir/f | cmp - $dir/h && echo same", "same"},
    {"StdinPipe10MiB", "head -c 10485760 /dev/urandom > $dir/f; cat $dir/f | m bastion sha256sum > $dir/h; s; "
                       "sha256sum < $dir/f | cmp - $dir/h && echo same", "same"},
    {"StdinSocket", "exec 8<>/dev/tcp/127.0.0.1/$echo; echo over >&8; m bastion 'head -n 1' <&8; s", "over"},
    {"StdinNull", "m bastion cat < /dev/null; s", "status 0"},
    {"StdinClosed", "m bastion 'cat; echo end' <&-; s", "end"},
    {"DashN", "echo no | m -n bastion 'cat; echo end'; s", "end"},
    {"Stdout10MiB", "m bastion 'head -c 10485760 /dev/zero' | sha256sum; s", "status 0"},
    {"StdoutFile10MiB", "m bastion 'yes | head -c 10485760' > $dir/f; s; sha256sum < $dir/f", "status 0"},
    {"ThereAndBack10MiB", "head -c 10485760 /dev/urandom > $dir/f; m bastion cat < $dir/f | cmp - $dir/f; s", "status 0"},
    {"StderrApart", "m bastion 'echo out; echo err >&2'; s", "out"},
    {"StderrBig", "m bastion 'yes | head -c 1000000 >&2' 2>&1 >/dev/null | sha256sum; s", "status 0"},
    {"StderrAfterStdoutsEnd", "m bastion 'exec >&-; echo late >&2'; s", "status 0"},
    {"StdoutAfterStderrsEnd", "m bastion 'exec 2>&-; echo late'; s", "late"},
    {"StdoutClosed", "m bastion 'echo lost; echo err >&2; exit 3' >&-; s", "status 3"},
    {"StderrClosed", "m bastion 'echo out; echo lost >&2; exit 3' 2>&-; s", "status 3"},
    {"CommandEndsBeforeItsInput", "(sleep 1; echo x) | m bastion 'echo quick'; s ${PIPESTATUS[1]}", "quick"},
    {"NobodyReadsInput", "head -c 3000000 /dev/zero | m bastion 'exec <&-; sleep 0.2; echo done'; s ${PIPESTATUS[1]}", "done"},
    {"YesHeadRemotely", "m bastion 'yes | head -1'; s", "y\nstatus 0"},
    {"YesHeadLocally", "m bastion yes 2>/dev/null | head -1; s ${PIPESTATUS[1]}", "y"},
    {"OrderOfStdoutAndStderr", "m bastion 'for i in 1 2 3; do echo o$i; sleep 0.3; echo e$i >&2; sleep 0.3; done' 2>&1; s",
     "o1\ne1\no2\ne2\no3\ne3"},
    {"LongCommand", "m bastion \"echo $(head -c 100000 /dev/zero | tr '\\0' x)\" | md5sum; s", "status 0"},
    {"StdinThatIsOpenForWritingOnly", "m bastion 'cat; echo end' 0>/dev/null; s", "end"},
    {"StdoutThatIsOpenForReadingOnly", "m bastion 'echo lost' 1</dev/null; s", "status 0"},
    {"BackgroundChildRedirected", "m bastion 'sleep 30 >/dev/null 2>&1 </dev/null & echo started'; s", "started"},
    {"BackgroundChildWithTheOutput", "m bastion '(sleep 0.5; echo late) & echo started'; s", "late"},
    {"EightAtOnce", "for i in 1 2 3 4 5 6 7 8; do m bastion \"sleep 0.2; echo $i\" > $dir/o$i & done; wait; cat $dir/o?", "8"},
    {"ClientKilled", "mkfifo $dir/in; exec 8<>$dir/in; exec 2>/dev/null; "
                     "(exec \"$ssh\" -F $config -S $ctl bastion \"echo on; cat >/dev/null; echo gone > $dir/gone\" <&8 > $dir/out) & "
                     "until_true grep -qs on $dir/out; kill -KILL $!; until_true test -s $dir/gone; cat $dir/gone", "gone"},

    // --- terminals
    {"TerminalForced", "m -tt bastion 'test -t 0 && test -t 1 && echo terminal; exit 3' < /dev/null; s", "terminal",
     kNoModes, "terminal\r\nstatus 3\n"},
    {"TerminalNotForced", "m -t bastion 'test -t 0 || echo none; exit 3' < /dev/null; s", "none"},
    {"TerminalRefused", "m -T bastion 'test -t 0 || echo none'; s", "none"},
    {"TerminalsTerm", "TERM=vt220 m -tt bastion 'echo $TERM' < /dev/null; s", "vt220", kNoModes, "vt220\r\nstatus 0\n"},
    {"ForceInConfig", "m -o RequestTTY=force bastion 'test -t 0 && echo terminal' < /dev/null; s", "terminal",
     kNoModes, "terminal\r\nstatus 0\n"},

    // --- escapes: what is typed is answered on stderr, and "~." comes when that is there. We have
    // no ~R (the server rekeys) and no ~I (of 10.3; -O conninfo)
    {"EscapeEnds", "printf '~.' | m -tt bastion 'sleep 60' 2>/dev/null >/dev/null; s", "status 255"},
    {"EscapesUnavailable", "e '~C~V~v~&~\\032' '\\^Z escape' '~' ; s; tr -d '\\r' < $dir/err",
     "~^Z escape not available to multiplexed sessions"},
    {"EscapeBreak", "e '~B' '~B' '~' ; s; tr -d '\\r' < $dir/err",
     "~B\n"},
    {"EscapeList", "e '~#' 'connections are open' '~' ; s; tr -d '\\r' < $dir/err | grep -v '^  #'; grep -q '^  #' $dir/err && echo listed",
     "The following connections are open:"},
    {"EscapeHelp", "e '~?' 'only recognized' '~' ; s; tr -d '\\r' < $dir/err | grep -v ' ~[RI] '",
     " ~B   - send a BREAK to the remote system"},
    {"EscapeOther", "e '%%?' 'only recognized' '%%' -e %; s; tr -d '\\r' < $dir/err | grep -v ' %[RI] '",
     " %%   - send"},
    {"EscapeNone", "printf '~?\\r~.\\r' | m -e none -tt bastion 'x=$(head -c 6 | tr -d \"\\r\\n\"); [ \"$x\" = \"~?~.\" ] && exit 6' >/dev/null 2>&1; s", "status 6"},

    // --- what is asked for besides
    {"SendEnv", "SENT_A=1 SENT_B='x y' OTHER=3 m -o SendEnv='SENT_*' bastion 'echo $SENT_A/$SENT_B/$OTHER'; s", "1/x y/"},
    {"SetEnv", "m -o SetEnv='SET_C=\"c d\"' bastion 'echo $SET_C'; s", "c d"},
    {"EnvNotAccepted", "m -o SetEnv=NOT_ACCEPTED=1 bastion 'echo [$NOT_ACCEPTED]'; s", "[]"},
    {"RemoteCommand", "m -o RemoteCommand='echo from the config' bastion; s", "from the config"},
    {"StdinNullInConfig", "echo no | m -o StdinNull=yes bastion 'cat; echo end'; s", "end"},
    {"Subsystem", ": > $dir/out; (printf '\\0\\0\\0\\5\\1\\0\\0\\0\\3'; until_true answered 9 $dir/out) | m -s bastion sftp > $dir/out; s 0; head -c 9 $dir/out | od -An -tx1", "02 00 00 00 03"},
    {"UnknownSubsystem", "m -s bastion none < /dev/null; s", "status 255",
     "a master tells the reason on its own stderr, if it has one; we on the client's", "status 255\n"},
    {"AgentForwarded", "m -A bastion 'ssh-add -L | cut -d\" \" -f1,2'; s", "ssh-ed25519"},
    {"AgentNotForwarded", "m -a bastion 'echo [${SSH_AUTH_SOCK:+set}]'; s", "["},

    // --- -W
    {"StdioForward", "(echo hello; sleep 0.3) | m -W 127.0.0.1:$echo bastion; s", "hello"},
    {"StdioForwardBulk", "head -c 1000000 /dev/urandom > $dir/f; (cat $dir/f; until_true eval '[ $(stat -c %s $dir/o) = 1000000 ]') | "
                         "m -W 127.0.0.1:$echo bastion > $dir/o; cmp $dir/f $dir/o && echo same", "same"},
    {"StdioForwardToSsh", "(sleep 0.5) | m -W 127.0.0.1:$sshd_port bastion | head -c 7; echo", "SSH-2.0"},
    {"StdioForwardRefused", "m -W 127.0.0.1:1 bastion < /dev/null 2>$dir/err; s", "status 255"},

    // --- -O
    {"Check", "m -O check bastion; s", "status 0"},
    {"CheckNobody", "m -S $dir/none -O check bastion; s", "status 255"},
    {"ForwardLocal", "m -O forward -L $port1:127.0.0.1:$echo bastion; s; talk $port1 hi; m -O cancel -L $port1:127.0.0.1:$echo bastion; s; "
                     "until_true shut $port1 && echo closed", "got hi"},
    {"ForwardRemote", "m -O forward -R $port1:127.0.0.1:$echo bastion; s; talk $port1 hi; m -O cancel -R $port1:127.0.0.1:$echo bastion; s; "
                      "until_true shut $port1 && echo closed", "got hi"},
    {"ForwardDynamic", "m -O forward -D $port1 bastion; s; until_true opens $port1 && echo open; m -O cancel -D $port1 bastion; s; "
                       "until_true shut $port1 && echo closed", "closed"},
    {"ForwardRemoteDynamic", "m -O forward -R $port1 bastion; s; until_true opens $port1 && echo open; m -O cancel -R $port1 bastion; s; "
                             "until_true shut $port1 && echo closed", "closed"},
    {"ForwardRemotePort0", "[ $master = agent ] || tries=20; p=$(m -O forward -R 0:127.0.0.1:$echo bastion); s; talk $p hi; m -O cancel -R $p:127.0.0.1:$echo bastion; s; "
                           "until_true shut $p && echo closed", "got hi",
     "a master knows the forward by the port 0 alone, which does not tell two of them apart; we by the chosen port as well",
     "status 0\ngot hi\nstatus 0\nclosed\n"},
    {"ForwardRemotePort0CancelledAsAskedFor", "p=$(m -O forward -R 0:127.0.0.1:$echo bastion); s; m -O cancel -R 0:127.0.0.1:$echo bastion; s; "
                                              "until_true shut $p && echo closed", "closed"},
    {"ForwardUnixSockets", "m -O forward -L $dir/l:127.0.0.1:$echo bastion; s; m -O forward -L $port1:$dir/l bastion; s; talk $port1 hi; "
                           "m -O cancel -L $port1:$dir/l bastion; s; m -O cancel -L $dir/l:127.0.0.1:$echo bastion; s", "got hi"},
    {"ForwardRemoteUnixSocket", "m -O forward -R $dir/r:127.0.0.1:$echo bastion; s; m -O forward -L $port1:$dir/r bastion; s; talk $port1 hi; "
                                "m -O cancel -L $port1:$dir/r bastion; s; m -O cancel -R $dir/r:127.0.0.1:$echo bastion; s", "got hi"},
    {"ForwardTwice", "m -O forward -L $port1:127.0.0.1:$echo bastion; s; m -O forward -L $port1:127.0.0.1:$echo bastion; s; "
                     "m -O cancel -L $port1:127.0.0.1:$echo bastion; s; until_true shut $port1 && echo closed", "closed"},
    {"ForwardPortInUse", "m -O forward -L 127.0.0.1:$echo:127.0.0.1:$echo bastion 2>/dev/null; s", "status 255"},
    {"ForwardPortHalfInUse", "m -O forward -L $echo:127.0.0.1:$echo bastion 2>/dev/null; s; m -O cancel -L $echo:127.0.0.1:$echo bastion", "status 0",
     "a master is content with ::1 where 127.0.0.1 is taken, and connections go to somebody else's service", "status 255\n"},
    {"ForwardRemotePortInUse", "m -O forward -R 127.0.0.1:$echo:127.0.0.1:$echo bastion 2>/dev/null; s", "status 255"},
    {"ForwardRemotePortHalfInUse", "m -O forward -R $echo:127.0.0.1:$echo bastion; s; m -O cancel -R $echo:127.0.0.1:$echo bastion; s; "
                                   "m -O forward -R [::1]:$echo:127.0.0.1:$echo bastion; s; m -O cancel -R [::1]:$echo:127.0.0.1:$echo bastion; s; until_true eval '! (exec 9<>/dev/tcp/::1/$echo) 2>/dev/null'", "status 0"},
    {"ForwardRemotePortHalfInUseWithCommand", "m -R $echo:127.0.0.1:$echo bastion echo done; s; m -O cancel -R $echo:127.0.0.1:$echo bastion; s; until_true eval '! (exec 9<>/dev/tcp/::1/$echo) 2>/dev/null'", "done"},
    {"ForwardRemoteIpv6Only", "m -O forward -R [::1]:$port1:127.0.0.1:$echo bastion; s; opens $port1 || echo not on IPv4; "
                              "m -O cancel -R [::1]:$port1:127.0.0.1:$echo bastion; s; until_true eval '! (exec 9<>/dev/tcp/::1/$port1) 2>/dev/null' && echo closed", "not on IPv4"},
    {"ForwardBadBind", "m -O forward -L no-such-name.invalid:$port1:127.0.0.1:$echo bastion 2>/dev/null; s", "status 255"},
    {"CancelUnknown", "m -O cancel -L $port1:127.0.0.1:$echo bastion; s", "status 0"},
    {"CancelUnknownRemote", "m -O cancel -R $port1:127.0.0.1:$echo bastion; s", "status 0"},
    {"CancelUnknownDynamic", "m -O cancel -D $port1 bastion; s", "status 0"},
    {"ForwardNothing", "m -O forward bastion; s", "status"},
    {"StopThenSession", "rm -f $dir/on $dir/go; m bastion \"touch $dir/on; until [ -e $dir/go ]; do sleep 0.05; done; echo ended\" & "
                        "until_true test -e $dir/on; m -O stop bastion; s; touch $dir/go; wait; start; m bastion echo again", "again"},
    {"ExitEndsSessions", "m bastion 'echo on; sleep 60' > $dir/out 2>/dev/null & until_true grep -qs on $dir/out; m -O exit bastion; s; wait $!; s; "
                         "start; m bastion echo again", "status 255"},
    {"ExitEndsForwards", "m -O forward -L $port1:127.0.0.1:$echo bastion; talk $port1 hi; m -O exit bastion; s; until_true shut $port1 && "
                         "echo closed", "closed"},
    {"ExitThenCheck", "m -O exit bastion; s; [ $master = ssh ] || tries=20; until_true eval '! m -O check bastion 2>/dev/null' && echo gone", "gone",
     "hosts are served whether they are connected or not: the next client logs in again",
     "status 0\n"},

    // --- the proxy mode: such a client has channels of its own
    {"ProxyCommand", "m -O proxy bastion 'echo out; echo err >&2; exit 7' < /dev/null; s", "status 7"},
    {"ProxyShell", "echo 'echo $((40+2)); exit 12' | m -O proxy bastion; s", "42"},
    {"ProxyThereAndBack10MiB", "head -c 10485760 /dev/urandom > $dir/f; m -O proxy bastion cat < $dir/f | cmp - $dir/f; s", "status 0"},
    {"ProxyTerminal", "m -O proxy -tt bastion 'test -t 0 && echo terminal; exit 3' < /dev/null 2>/dev/null; s", "terminal"},
    {"ProxySubsystem", ": > $dir/out; (printf '\\0\\0\\0\\5\\1\\0\\0\\0\\3'; until_true answered 9 $dir/out) | m -O proxy -s bastion sftp > $dir/out; s 0; head -c 9 $dir/out | od -An -tx1", "02 00 00 00 03"},
    {"ProxySeveralAtOnce", "for i in 1 2 3 4 5 6; do (seq $i 20000 | m -O proxy bastion \"cat; sleep 0.2; echo end $i\" > $dir/o$i) & done; "
                           "m bastion echo plain; wait; cat $dir/o? | sha256sum; tail -qn 1 $dir/o?", "end 6"},
    {"ProxyStdioForward", "m -O proxy -W 127.0.0.1:$echo bastion < /dev/null; s", "status 255"},
    {"ProxyLocalForward", "mkfifo $dir/in; exec 8<>$dir/in; (exec \"$ssh\" -F $config -S $ctl -O proxy -L 127.0.0.1:$port4:127.0.0.1:$echo bastion "
                          "'echo on; cat' <&8 >$dir/out 2>/dev/null) & until_true grep -qs on $dir/out; talk $port4 hi; kill $!; "
                          "until_true shut $port4 && echo closed", "got hi\nclosed"},
    // A master now and then leaves such a port open for good: each run has its own, and only the agent's is to be shut.
    {"ProxyRemoteForward", "mkfifo $dir/in; exec 8<>$dir/in; [ $master = agent ] && p=$port4 || p=$port3; "
                           "(exec \"$ssh\" -F $config -S $ctl -O proxy -R 127.0.0.1:$p:127.0.0.1:$echo bastion "
                           "'echo on; cat' <&8 >$dir/out 2>/dev/null) & until_true grep -qs on $dir/out; until_true opens $p; talk $p hi; "
                           "kill $!; [ $master = ssh ] || until_true shut $p || echo left open; echo ended", "got hi"},

    // --- forwards on the command line
    {"LocalWithCommand", "m -L $port1:127.0.0.1:$echo bastion echo done; s; talk $port1 hi; m -O cancel -L $port1:127.0.0.1:$echo bastion; s", "got hi"},
    {"RemoteWithCommand", "m -R $port2:127.0.0.1:$echo bastion echo done; s; talk $port2 hi; m -O cancel -R $port2:127.0.0.1:$echo bastion; s; until_true shut $port2 && echo closed", "got hi"},
    {"DynamicWithCommand", "m -D $port3 bastion echo done; s; opens $port3 && echo open; m -O cancel -D $port3 bastion; s", "open"},
    {"RemotePort0WithCommand", "m -R 0:127.0.0.1:$echo bastion echo done; s; m -O exit bastion 2>/dev/null; s", "done"},
    {"LocalPortInUseWithCommand", "m -L $echo:127.0.0.1:$echo bastion echo done 2>/dev/null; s", "status"},

    // --- tools
    {"ScpUp", "head -c 300000 /dev/urandom > $dir/f; $scp $through -q $dir/f bastion:$dir/g; s; cmp $dir/f $dir/g && echo same", "same"},
    {"ScpDown", "head -c 300000 /dev/urandom > $dir/f; $scp $through -q bastion:$dir/f $dir/g; s; cmp $dir/f $dir/g && echo same", "same"},
    {"ScpOldProtocol", "mkdir $dir/d; echo 1 > $dir/d/a; $scp $through -O -q -r bastion:$dir/d $dir/e; s; cat $dir/e/a", "1\n"},
    {"ScpNoSuchFile", "$scp $through -q bastion:$dir/none $dir/g; s", "status 1"},
    {"SftpBatch", "echo text > $dir/f; printf 'put %s %s\\nls %s\\n' $dir/f $dir/g $dir/g | $sftp $through -q -b - bastion; s; cat $dir/g", "text"},
    {"SftpBatchFails", "printf 'get %s %s\\n' $dir/none $dir/g | $sftp $through -q -b - bastion; s", "status 1"},
    {"Rsync", "mkdir $dir/a; seq 10000 > $dir/a/f; rsync -a -e \"$ssh -F $config -S $ctl\" $dir/a/ bastion:$dir/b/; s; "
              "rsync -a -e \"$ssh -F $config -S $ctl\" bastion:$dir/b/ $dir/c/; s; cmp $dir/a/f $dir/c/f && echo same", "same"},
    {"GitClone", "git init -q $dir/r; git -C $dir/r -c user.name=a -c user.email=a@b commit -q --allow-empty -m first; "
                 "GIT_SSH_COMMAND=\"$ssh -F $config -S $ctl\" git clone -q bastion:$dir/r $dir/c; s; git -C $dir/c log --format=%s", "first"},
    {"HopThrough", "$ssh -F $config -o ProxyCommand=\"$ssh -F $config -S $ctl -W 127.0.0.1:$sshd_port bastion\" bastion echo hopped; s", "hopped"},
};

LabOptions options(const std::string& identity_agent = "SSH_AUTH_SOCK") {
  LabOptions lab;
  lab.sshd.config = {"AcceptEnv SENT_* SET_*", "Subsystem sftp internal-sftp", "MaxSessions 20",
                     "AddressFamily any"};
  // A master sends, of what its clients send, what it would send itself.
  lab.config_lines = {"SendEnv SENT_* SET_* NOT_*", "IdentityAgent " + identity_agent};
  return lab;
}

// One agent, sshd and master for all cases of a client.
struct Scene {
  explicit Scene(const OpensshClient& client) : mux(options(), client) {
    agent.add(user_key(KeyKind::kEd25519));
    mux.set_env("SSH_AUTH_SOCK", agent.socket());
  }
  SshAgent agent;
  MuxLab mux;
};

class MuxLikeSsh : public testing::TestWithParam<std::tuple<OpensshClient, Case>> {
 protected:
  static void TearDownTestSuite() { scenes_.clear(); }
  MuxLab& lab() {
    const OpensshClient& client = std::get<0>(GetParam());
    auto& scene = scenes_[client.name];
    if (!scene) scene = std::make_unique<Scene>(client);
    return scene->mux;
  }
  static std::map<std::string, std::unique_ptr<Scene>> scenes_;
};
std::map<std::string, std::unique_ptr<Scene>> MuxLikeSsh::scenes_;

TEST_P(MuxLikeSsh, EndsAndPrintsTheSame) {
  const Case& given = std::get<1>(GetParam());
  const ProcessResult ssh = lab().run(Master::kSsh, given.script, seconds(30));
  const ProcessResult ours = lab().run(Master::kAgent, given.script, seconds(30));
  ASSERT_FALSE(ssh.timed_out) << ssh.describe();
  EXPECT_FALSE(ours.timed_out) << ours.describe();
  EXPECT_NE(ssh.out.find(given.must_say), std::string::npos) << ssh.describe();
  if (given.differs) {
    EXPECT_EQ(ours.out, given.instead) << ours.err;
    return;
  }
  EXPECT_EQ(ours.out, ssh.out) << ours.err;
  EXPECT_EQ(ours.err, ssh.err);
  EXPECT_EQ(ours.exit_status, ssh.exit_status);
}

INSTANTIATE_TEST_SUITE_P(Cases, MuxLikeSsh,
                         testing::Combine(testing::ValuesIn(openssh_clients()), testing::ValuesIn(kCases)),
                         [](const auto& each) {
                           return std::get<0>(each.param).name + std::get<1>(each.param).name;
                         });

// Which agent a host gets to see: what the host's ssh_config says of it to a master, it says to us.
TEST(MuxAgents, TheOneOfTheConfigIsForwardedAsByAMaster) {
  SshAgent of_client, of_config;
  TempDir keys;
  of_client.add(generate_key(KeyKind::kEd25519, keys.file("client")));
  of_config.add(generate_key(KeyKind::kEd25519, keys.file("config")));
  struct {
    std::string identity_agent;
    std::string forward_agent;
    const SshAgent* sees;
  } const cases[] = {
      {"SSH_AUTH_SOCK", "yes", &of_client},
      {"SSH_AUTH_SOCK", of_config.socket(), &of_config},
      {"SSH_AUTH_SOCK", "$OTHER_AGENT", &of_config},
      {"none", "yes", nullptr},
      {"none", of_config.socket(), &of_config},
      {"$OTHER_AGENT", "yes", &of_config},
      {of_config.socket(), "yes", &of_config},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.identity_agent + ", ForwardAgent " + each.forward_agent);
    LabOptions lab = options(each.identity_agent);
    lab.config_lines.push_back("ForwardAgent " + each.forward_agent);
    MuxLab mux(lab);
    mux.set_env("SSH_AUTH_SOCK", of_client.socket());
    mux.set_env("OTHER_AGENT", of_config.socket());
    mux.set_env("master_flags", "");
    const char* script = "m bastion 'ssh-add -L 2>/dev/null | cut -d\" \" -f2'; s";
    const ProcessResult ssh = mux.run(Master::kSsh, script);
    const ProcessResult ours = mux.run(Master::kAgent, script);
    EXPECT_EQ(ours.out, ssh.out) << ours.err << ssh.err;
    std::string key = each.sees ? run_process({"ssh-add", "-L"}, seconds(10), {{"SSH_AUTH_SOCK", each.sees->socket()}}).out : " ";
    key = key.substr(key.find(' ') + 1);
    EXPECT_EQ(ours.out, (each.sees ? key.substr(0, key.find(' ')) + "\n" : std::string()) + "status 0\n");
  }
}

// What a client of 10.3 or later asks about a master. The lines that both have read alike; ours name no descriptors and no
// internal states, and no address of our own end, which a hop behind a jump host does not have.
TEST(MuxInfo, ConninfoAndChannelsReadLikeAMasters) {
  const OpensshClient client = openssh_client(kOpenssh103);
  if (client.name.empty()) GTEST_SKIP() << "no OpenSSH 10.3 beside the installed one: contrib/build.sh --for-tests unpacks it";
  MuxLab mux(options(), client);
  const char* script =
      "mkfifo $dir/in; exec 8<>$dir/in; (exec \"$ssh\" -F $config -S $ctl bastion 'echo on; cat' <&8 > $dir/out 2>/dev/null) & "
      "until_true grep -qs on $dir/out; m -O conninfo bastion | tr -d '\\r'; s; echo ---; m -O channels bastion | tr -d '\\r'; s; kill $!";
  for (const Master master : {Master::kSsh, Master::kAgent}) {
    const ProcessResult told = mux.run(master, script);
    SCOPED_TRACE(told.describe());
    for (const char* line : {"Connection information for [^ ]+ pid [0-9]+", "  kexalgorithm [a-z0-9@.-]+", "  hostkeyalgorithm ssh-ed25519",
                             "  cipher [a-z0-9@.-]+", "  mac [a-z0-9@.<>-]+", "  compression none", "The following connections are open:",
                             "  #[a-z0-9]+ .*(session|command echo on; cat).*"})
      EXPECT_TRUE(std::regex_search(told.out, std::regex("(^|\n)" + std::string(line) + "\n"))) << line;
    EXPECT_NE(told.out.find("status 0\n---"), std::string::npos);
    EXPECT_TRUE(told.out.ends_with("status 0\n"));
  }
}

// The cases above are there for the clients that could be had when the tests were built.
void skip_unless_there(const char* name, const char* version) {
  const ProcessResult installed = run_process({"ssh", "-V"}, seconds(10));
  const std::size_t at = installed.err.find("OpenSSH_");
  ASSERT_NE(at, std::string::npos) << installed.describe();
  if (std::stod(installed.err.substr(at + 8)) >= std::stod(version)) return;  // it is as new
  if (openssh_client(name).name.empty())
    GTEST_SKIP() << "no OpenSSH " << version << " beside the installed one: contrib/build.sh --for-tests unpacks it";
}
TEST(MuxClients, Openssh10IsThere) { skip_unless_there(kOpenssh10, "10.0"); }
TEST(MuxClients, Openssh103IsThere) { skip_unless_there(kOpenssh103, "10.3"); }

}  // namespace
}  // namespace jump::test
