// What tools do with stock ssh, through the agent's socket: one login for all of them, none of their own, and what
// a master gets wrong.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>

#include "support/eventually.h"
#include "support/fault_proxy.h"
#include "support/machine_delay.h"
#include "support/mux_lab.h"
#include "support/on_terminal.h"
#include "support/proc_info.h"

namespace jump::test {
namespace {

using nlohmann::json;

bool says(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }

LabOptions options(std::vector<std::string> sshd = {}) {
  LabOptions lab;
  lab.sshd.config = std::move(sshd);
  lab.sshd.config.push_back("Subsystem sftp internal-sftp");
  return lab;
}

// Clients that could not log in by themselves: whatever works went through the agent.
constexpr const char* kNoLogin = "-o PreferredAuthentications=none -o PubkeyAuthentication=no";

class MuxTools : public testing::TestWithParam<OpensshClient> {
 protected:
  MuxLab mux_{options(), GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Clients, MuxTools, testing::ValuesIn(openssh_clients()),
                         [](const auto& each) { return each.param.name; });

// As Zed begins a project: ControlPath comes from the config, and is looked up with -G.
TEST_P(MuxTools, WhatZedDoes) {
  mux_.set_env("config", mux_.lab().directory().write("zed_config", "Host bastion\n  ControlMaster no\n  ControlPath " + mux_.socket() +
                                                                        "\nInclude " + mux_.lab().ssh_config() + "\n"));
  const ProcessResult result = mux_.through_agent(R"(
z() { "$ssh" -F "$config" "$@"; }
path=$(z -G bastion | sed -n 's/^controlpath //p'); [ "$path" = "$ctl" ] && echo found
z -O check bastion 2>&1 | grep -c 'Master running'
for i in 1 2 3; do z bastion "uname >/dev/null; echo session $i"; done
z -tt bastion 'test -t 1 && echo terminal' </dev/null 2>/dev/null | tr -d '\r'
echo payload > $dir/up; printf 'put %s %s\n' $dir/up $dir/there | "$sftp" -S "$ssh" -F "$config" -q -b - bastion >/dev/null; cat $dir/there
z -N -L $port1:127.0.0.1:$echo bastion </dev/null & until_true opens $port1; talk $port1 hi
)");
  EXPECT_EQ(result.out, "found\n1\nsession 1\nsession 2\nsession 3\nterminal\npayload\ngot hi\n") << result.err;
  EXPECT_EQ(mux_.logins(), 1) << mux_.lab().sshd().log();
}

// As Ansible runs tasks: it believes that it makes the master.
TEST_P(MuxTools, WhatAnsibleDoes) {
  const ProcessResult result = mux_.through_agent(R"(
a() { "$ssh" -F "$config" -C -o ControlMaster=auto -o ControlPersist=60s -o KbdInteractiveAuthentication=no -o PasswordAuthentication=no \
  -o ConnectTimeout=10 -o "ControlPath=$ctl" "$@"; }
a bastion '/bin/sh -c '"'"'echo task 1 && sleep 0'"'"''
a bastion '/bin/sh -c '"'"'( umask 77 && mkdir -p '$dir'/tmp ) && sleep 0'"'"''; s
echo module > $dir/m; printf 'put %s %s\n' $dir/m $dir/tmp/m | "$sftp" -S "$ssh" -F "$config" -o ControlMaster=auto -o ControlPersist=60s \
  -o "ControlPath=$ctl" -q -b - bastion >/dev/null; s
a -tt bastion "cat $dir/tmp/m" </dev/null 2>/dev/null | tr -d '\r'
for i in 1 2 3 4 5; do a bastion "echo fork $i" > $dir/f$i & done; wait; cat $dir/f?
a bastion 'exit 3'; s
)");
  EXPECT_EQ(result.out,
            "task 1\nstatus 0\nstatus 0\nmodule\nfork 1\nfork 2\nfork 3\nfork 4\nfork 5\nstatus 3\n")
      << result.err;
  EXPECT_EQ(mux_.logins(), 1) << mux_.lab().sshd().log();
  const ProcessResult check = mux_.through_agent("m -O check bastion 2>&1 | grep -c 'Master running'");
  EXPECT_EQ(check.out, "1\n") << check.describe();
}

// After a reboot: nobody has asked for anything but the config file.
TEST(MuxFromConfig, ServesBeforeAnythingIsConnected) {
  Lab lab(options());
  AgentProcess& agent = lab.cold_agent();
  const std::string config = lab.directory().write("agent.toml", "mux = [\"bas*\"]\n");
  agent.run({"-c", config});
  const std::string socket = agent.socket_dir() + "/mux/bastion";
  struct stat there {};
  ASSERT_TRUE(eventually([&] { return ::stat(socket.c_str(), &there) == 0; })) << agent.log();
  EXPECT_EQ(agent.status().at("hosts").size(), 1u) << agent.status();
  const ProcessResult first = run_process({"ssh", "-F", lab.ssh_config(), "-S", socket, "bastion", "echo up"}, seconds(30));
  EXPECT_EQ(first.out, "up\n") << first.describe();
  const ProcessResult hash = run_process(
      {"ssh", "-F", lab.ssh_config(), "-o", "ControlPath=" + agent.socket_dir() + "/mux/%C", "bastion", "echo by hash"}, seconds(30));
  EXPECT_EQ(hash.out, "by hash\n") << hash.describe();
  const std::string log = lab.sshd().log();
  EXPECT_EQ(log.find("Accepted publickey"), log.rfind("Accepted publickey")) << log;
}

TEST(MuxFromConfig, GoesWithItsLine) {
  Lab lab(options());
  AgentProcess& agent = lab.cold_agent();
  const std::string config = lab.directory().write("agent.toml", "[[host]]\nname = \"bastion\"\nmux = true\n");
  agent.run({"-c", config});
  const std::string socket = agent.socket_dir() + "/mux/bastion";
  struct stat there {};
  ASSERT_TRUE(eventually([&] { return ::stat(socket.c_str(), &there) == 0; })) << agent.log();
  lab.directory().write("agent.toml", "");
  const ProcessResult reload = agent.jumpagent({"reload"});
  EXPECT_TRUE(reload.ok()) << reload.describe();
  EXPECT_TRUE(eventually([&] { return ::stat(socket.c_str(), &there) != 0; })) << agent.log();
}

// A login that fails tells its reason in the user's terminal, and ssh does not try again by itself.
std::set<std::string> names_in(const std::string& directory) {
  std::set<std::string> all;
  std::error_code none;
  for (const auto& each : std::filesystem::directory_iterator(directory, none)) all.insert(each.path().filename());
  return all;
}

// Nobody is served worse than before while ssh_config is being edited.
TEST(MuxFromConfig, StaysWhereItWasWhileSshConfigIsBroken) {
  Lab lab(options());
  AgentProcess& agent = lab.cold_agent();
  const std::string config = lab.directory().write("agent.toml", "mux = [\"bas*\"]\n");
  const std::string sane = read_file(lab.ssh_config());
  agent.run({"-c", config});
  const auto names = [&] { return names_in(agent.socket_dir() + "/mux"); };
  ASSERT_TRUE(eventually([&] { return names().size() == 3; })) << agent.log();
  const std::set<std::string> before = names();
  lab.directory().write("ssh_config", sane + "\nNoSuchOption yes\n");
  const ProcessResult reload = agent.jumpagent({"reload"});
  EXPECT_TRUE(reload.ok()) << reload.describe();
  ASSERT_TRUE(eventually([&] { return says(agent.log(), "what ssh_config says of it cannot be told"); })) << agent.log();
  (void)agent.status();  // the step that says so is done with
  EXPECT_EQ(names(), before) << agent.log();
}

// Two names of one connection, as far as is known no more: %C could be the other's.
TEST(MuxFromConfig, SharesNoHashWhileSshConfigIsBroken) {
  Lab lab(options());
  AgentProcess& agent = lab.cold_agent();
  std::string sane = read_file(lab.ssh_config());
  const std::size_t host = sane.find("Host bastion\n");
  ASSERT_NE(host, std::string::npos) << sane;
  sane.replace(host, 12, "Host bastion basement");
  lab.directory().write("ssh_config", sane);
  const std::string config = lab.directory().write("agent.toml", "mux = [\"bas*\"]\n");
  agent.run({"-c", config});
  const std::string directory = agent.socket_dir() + "/mux";
  ASSERT_TRUE(eventually([&] { return names_in(directory).size() == 5; })) << agent.log();
  lab.directory().write("ssh_config", sane + "\nNoSuchOption yes\n");
  EXPECT_TRUE(agent.jumpagent({"reload"}).ok());
  EXPECT_TRUE(eventually([&] { return names_in(directory).size() == 4; })) << agent.log();
  for (const std::string& each : names_in(directory)) EXPECT_TRUE(says(each, "bas")) << each;
  lab.directory().write("ssh_config", sane);
  EXPECT_TRUE(agent.jumpagent({"reload"}).ok());
  EXPECT_TRUE(eventually([&] { return names_in(directory).size() == 5; })) << agent.log();
}

TEST(MuxFromConfig, IsServedByTokensOnceSshConfigIsMended) {
  Lab lab(options());
  AgentProcess& agent = lab.cold_agent();
  const std::string config = lab.directory().write("agent.toml", "[[host]]\nname = \"bastion\"\nmux = true\n");
  const std::string sane = read_file(lab.ssh_config());
  lab.directory().write("ssh_config", sane + "\nNoSuchOption yes\n");
  agent.run({"-c", config});
  ASSERT_TRUE(eventually([&] { return says(agent.log(), "what ssh_config says of it cannot be told"); })) << agent.log();
  lab.directory().write("ssh_config", sane);
  EXPECT_TRUE(eventually([&] { return names_in(agent.socket_dir() + "/mux").size() == 3; }, seconds(40))) << agent.log();
}

TEST(MuxErrors, TheReasonIsInTheUsersTerminal) {
  MuxLab mux(options());
  mux.lab().sshd().kill_all();
  const ProcessResult check = mux.through_agent("m -O check bastion; s");
  EXPECT_TRUE(says(check.out, "status 255")) << check.describe();
  EXPECT_TRUE(says(check.err, "refused")) << check.describe();
}

class MuxStalled : public testing::Test {
 protected:
  MuxLab mux_{options()};
  // So long after the last sign of life at most: while one counts, and then a question's patience; and half as much again.
  static constexpr Duration kBound = seconds(8);
  // What `-O check` says, at some time within the bound.
  testing::AssertionResult dies(const std::string& host = "bastion") {
    ProcessResult last;
    const bool dead = eventually(
        [&] {
          last = mux_.through_agent("m -O check " + host + "; s");
          return says(last.out, "status 255");
        },
        kBound);
    if (!dead) return testing::AssertionFailure() << "it is still said to run: " << last.describe();
    if (!says(last.err, "does not answer") && !says(last.err, "has not answered"))
      return testing::AssertionFailure() << "no reason: " << last.err;
    return testing::AssertionSuccess();
  }
};

TEST_F(MuxStalled, CheckTellsThatTheServerIsStopped) {
  ASSERT_EQ(mux_.through_agent("m bastion echo on").out, "on\n");
  const std::vector<pid_t> sessions = process_descendants(mux_.lab().sshd().listener_pid());
  ASSERT_FALSE(sessions.empty());
  for (const pid_t each : sessions) ::kill(each, SIGSTOP);
  ::kill(mux_.lab().sshd().listener_pid(), SIGSTOP);
  EXPECT_TRUE(dies());
  for (const pid_t each : sessions) ::kill(each, SIGCONT);
  ::kill(mux_.lab().sshd().listener_pid(), SIGCONT);
  EXPECT_TRUE(eventually([&] { return says(mux_.through_agent("m -O check bastion; s").out, "status 0"); }, seconds(30)));
  EXPECT_EQ(mux_.through_agent("m bastion echo again").out, "again\n");
}

// However long it has been dead: while the connection is doubted, once it was given up, and while logins are tried.
TEST_F(MuxStalled, EachCheckEndsWithinTheBound) {
  ASSERT_EQ(mux_.through_agent("m bastion echo on").out, "on\n");
  std::vector<pid_t> sshds = process_descendants(mux_.lab().sshd().listener_pid());
  ASSERT_FALSE(sshds.empty());
  sshds.push_back(mux_.lab().sshd().listener_pid());
  for (const pid_t each : sshds) ::kill(each, SIGSTOP);
  mux_.through_agent("m bastion 'echo never' </dev/null >$dir/out 2>&1 & echo begun");
  // What the server said last counts for two seconds.
  EXPECT_TRUE(eventually([&] { return says(mux_.through_agent("m -O check bastion; s").out, "status 255"); }, seconds(30)));
  MachineDelay machine;
  for (int round = 0; round < 10; ++round) {
    machine.restart();
    const auto begun = std::chrono::steady_clock::now();
    const ProcessResult check = mux_.through_agent("m -O check bastion; s");
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    EXPECT_TRUE(says(check.out, "status 255")) << check.describe();
    // The latter of a login that was tried meanwhile, and is over.
    EXPECT_TRUE(says(check.err, "answer") || says(check.err, "no SSH connection within")) << check.describe();
    EXPECT_LT(took.count(), to_seconds(seconds(4) + machine.allowance())) << "check " << round;
  }
  for (const pid_t each : sshds) ::kill(each, SIGCONT);
  EXPECT_TRUE(eventually([&] { return says(mux_.through_agent("m -O check bastion; s").out, "status 0"); }, seconds(30)));
}

// An idle connection owes nothing, and nobody doubts it: only a question finds out.
TEST_F(MuxStalled, TheFirstCheckOfAnIdleConnectionAsks) {
  ASSERT_EQ(mux_.through_agent("m bastion echo on").out, "on\n");
  ASSERT_TRUE(eventually([&] { return mux_.agent().host_status("bastion").value("heard_age", 0.0) > 4; }, seconds(30)));
  std::vector<pid_t> sshds = process_descendants(mux_.lab().sshd().listener_pid());
  sshds.push_back(mux_.lab().sshd().listener_pid());
  for (const pid_t each : sshds) ::kill(each, SIGSTOP);
  // What was heard a moment ago counts.
  EXPECT_TRUE(eventually([&] { return mux_.agent().host_status("bastion").value("heard_age", 0.0) > 2.1; }));
  const ProcessResult check = mux_.through_agent("m -O check bastion; s");
  for (const pid_t each : sshds) ::kill(each, SIGCONT);
  EXPECT_EQ(check.out, "status 255\n") << check.describe();
  EXPECT_TRUE(says(check.err, "answer")) << check.describe();
}

// It may be swapping: its sessions are not ended because somebody looked. Behind a jump host nothing else tells, either.
TEST(MuxSlow, ACheckThatIsNotAnsweredCostsNobodyASession) {
  const TempDir directory;
  Sshd inner;
  const KeyPair& key = user_key(KeyKind::kEd25519);
  inner.authorize(key);
  LabOptions lab = options();
  lab.other_hosts = {host_for("inner", inner, key, directory.write("known_hosts", inner.known_hosts()))};
  lab.other_hosts[0].lines = {"ProxyJump bastion"};
  MuxLab mux(lab);
  const ProcessResult served = mux.agent().ctl({"mux", "inner"});
  ASSERT_TRUE(served.ok()) << served.describe();
  const std::string path = served.out.substr(0, served.out.find('\n'));
  Process session({ctl_program(), "exec", "inner", "echo on; sleep 8; echo off"}, mux.agent().environment());
  ASSERT_TRUE(eventually([&] { return says(session.out(), "on"); })) << session.err();
  std::vector<pid_t> sshds = process_descendants(inner.listener_pid());
  sshds.push_back(inner.listener_pid());  // else a second connection answers for the first
  for (const pid_t each : sshds) ::kill(each, SIGSTOP);
  const Stopwatch stopped;
  // What was heard a moment ago counts.
  ASSERT_TRUE(eventually([&] { return mux.agent().host_status("inner").value("heard_age", 0.0) > 2.1; }));
  const ProcessResult check = run_process({"ssh", "-F", mux.lab().ssh_config(), "-S", path, "-O", "check", "inner"},
                                          seconds(60), mux.agent().environment());
  EXPECT_EQ(check.exit_status, 255) << check.describe();
  EXPECT_TRUE(eventually([&] { return stopped.elapsed() > seconds(6); }));
  for (const pid_t each : sshds) ::kill(each, SIGCONT);
  EXPECT_EQ(session.wait(seconds(60)), 0) << session.err();
  EXPECT_EQ(session.out(), "on\noff\n");
}

TEST(MuxCut, CheckTellsThatThePathIsCut) {
  LabOptions lab_options = options();
  Sshd far({.config = {"Subsystem sftp internal-sftp"}});
  far.authorize(user_key(KeyKind::kEd25519));
  FaultProxy way(far.port());
  TempDir files;
  SshConfigHost host = host_for("far", far, user_key(KeyKind::kEd25519), files.write("known", far.known_hosts()));
  host.port = way.port();
  host.lines = {"HostKeyAlias [127.0.0.1]:" + std::to_string(far.port())};
  lab_options.other_hosts = {host};
  MuxLab mux(lab_options);
  const ProcessResult served = mux.agent().ctl({"mux", "far"});
  ASSERT_TRUE(served.ok()) << served.describe();
  mux.set_env("ctl", served.out.substr(0, served.out.size() - 1));
  ASSERT_EQ(mux.through_agent("m far echo on").out, "on\n");
  way.stall(true);
  ProcessResult last;
  EXPECT_TRUE(eventually([&] { return says((last = mux.through_agent("m -O check far; s")).out, "status 255"); }, seconds(8)))
      << last.describe();
  EXPECT_TRUE(says(last.err, "answer")) << last.describe();
  way.stall(false);
  EXPECT_TRUE(eventually([&] { return says(mux.through_agent("m -O check far; s").out, "status 0"); }, seconds(40)));
}

// A master passes the server's refusal on, and ssh logs in by itself, once for each session too many.
TEST(MuxSessions, BeyondMaxSessionsAreServedByFurtherConnections) {
  MuxLab mux(options({"MaxSessions 2"}));
  mux.set_env("no_login", kNoLogin);
  const ProcessResult result = mux.through_agent(
      "for i in 1 2 3 4 5; do (m $no_login bastion \"sleep 1; echo $i\" > $dir/o$i 2>&1) & done; wait; cat $dir/o?");
  EXPECT_EQ(result.out, "1\n2\n3\n4\n5\n") << result.err;
  EXPECT_LE(mux.logins(), 4);
}

// The same for clients of the proxy mode, whose sessions are translated: none is refused, and none waits for another's end.
TEST(MuxSessions, ProxiesBeyondMaxSessionsAreServedByFurtherConnections) {
  MuxLab mux(options({"MaxSessions 2"}));
  const ProcessResult result = mux.through_agent(
      "for i in 1 2 3 4 5; do (m -O proxy bastion \"touch $dir/on$i; until test -e $dir/go; do sleep 0.02; done; echo $i; exit $i\" "
      "> $dir/o$i 2>&1; echo status $? >> $dir/o$i) & done; "
      "until_true eval '[ $(ls $dir | grep -c ^on) = 5 ]' && echo all at once; touch $dir/go; wait; cat $dir/o?");
  std::string expected = "all at once\n";
  for (const char* each : {"1", "2", "3", "4", "5"}) expected += std::string(each) + "\nstatus " + each + "\n";
  EXPECT_EQ(result.out, expected) << result.err;
  EXPECT_LE(mux.logins(), 4);
}

// Where others could put a socket of theirs in the place of ours, a host is not served: the next ssh would give them its input.
TEST(MuxPaths, DirectoriesOfOthersAreRefused) {
  MuxLab mux(options());
  const TempDir& directory = mux.lab().directory();
  const std::string own = directory.make_dir("own"), shared = directory.make_dir("shared"), open = directory.make_dir("open");
  ASSERT_EQ(::chmod(shared.c_str(), 01777), 0);
  ASSERT_EQ(::chmod(open.c_str(), 0777), 0);
  const auto serve = [&](const std::string& path) { return mux.agent().ctl({"mux", "bastion", "--path", path}); };
  for (const std::string& fine : {own + "/s", shared + "/s"}) {
    EXPECT_EQ(serve(fine).out, fine + "\n");
    const std::string check = "m -S " + fine + " -O check bastion; s";
    EXPECT_EQ(mux.through_agent(check).out, "status 0\n");
    // One that somebody removed is made again.
    ASSERT_EQ(::unlink(fine.c_str()), 0);
    EXPECT_EQ(serve(fine).out, fine + "\n");
    EXPECT_EQ(mux.through_agent(check).out, "status 0\n");
  }
  for (const mode_t mode : {0777, 0770, 0702}) {
    ASSERT_EQ(::chmod(open.c_str(), mode), 0);
    const ProcessResult refused = serve(open + "/s");
    EXPECT_EQ(refused.exit_status, 1) << refused.describe();
    EXPECT_TRUE(says(refused.err, open + " can be written to by others") && says(refused.err, "chmod go-w " + open)) << refused.err;
  }
  // Whoever can write above it can put another directory in its place; the same with a link.
  ASSERT_EQ(::chmod(open.c_str(), 0777), 0);
  const std::string below = directory.make_dir("open/below"), link = open + "/link";
  ASSERT_EQ(::symlink(own.c_str(), link.c_str()), 0);
  for (const std::string& there : {below, link}) {
    const ProcessResult refused = serve(there + "/s");
    EXPECT_EQ(refused.exit_status, 1) << refused.describe();
    EXPECT_TRUE(says(refused.err, open + " can be written to by others")) << refused.err;
  }
  for (const std::string& none : {own + "/none/s", own + "/s/s"}) {
    const ProcessResult refused = serve(none);
    EXPECT_EQ(refused.exit_status, 1) << refused.describe();
    EXPECT_TRUE(says(refused.err, "another path")) << refused.err;
  }
}

TEST(MuxForwardsOfSsh, ShowInTheListAndSurviveAReconnect) {
  MuxLab mux(options());
  const ProcessResult opened = mux.through_agent("m -O forward -L $port1:127.0.0.1:$echo bastion; s; talk $port1 hi");
  ASSERT_EQ(opened.out, "status 0\ngot hi\n") << opened.err;
  const std::string list = mux.agent().ctl({"list"}).out;
  EXPECT_TRUE(says(list, mux.environment(MuxLab::Master::kAgent).at("port1"))) << list;
  mux.lab().sshd().kill_all();
  mux.lab().sshd().start();
  EXPECT_TRUE(eventually([&] { return mux.through_agent("talk $port1 again").out == "got again\n"; }, seconds(30)))
      << mux.agent().ctl({"list"}).out;
  const ProcessResult ended = mux.through_agent("m -O cancel -L $port1:127.0.0.1:$echo bastion; s; until_true shut $port1 && echo closed");
  EXPECT_EQ(ended.out, "status 0\nclosed\n") << ended.err;
}

// What the control client asked for is not ended by `-O exit` of stock ssh.
TEST(MuxForwardsOfSsh, ExitLeavesWhatOthersAskedFor) {
  MuxLab mux(options());
  TcpService echo(TcpService::echo());
  const std::uint16_t port = mux.agent().forward_port(Lab::kBastion, echo.port());
  const ProcessResult result = mux.through_agent("m -O forward -L $port1:127.0.0.1:$echo bastion; talk $port1 hi; m -O exit bastion; "
                                                 "until_true shut $port1 && echo closed; talk " + std::to_string(port) + " still");
  EXPECT_EQ(result.out, "got hi\nclosed\ngot still\n") << result.err;
  EXPECT_EQ(mux.logins(), 1);
}

TEST(MuxTerminal, ABreakReachesTheServer) {
  MuxLab mux(options({"LogLevel DEBUG1"}));
  const ProcessResult result = mux.through_agent("e '~B' '~B' '~'; s");
  EXPECT_EQ(result.out, "status 255\n") << result.err;
  EXPECT_TRUE(eventually([&] { return says(mux.lab().sshd().log(), "req break"); })) << mux.lab().sshd().log();
}

// Clients send SIGWINCH to the process that they were told of.
TEST(MuxTerminal, ResizeAndInterruptReachTheProgram) {
  MuxLab mux(options());
  const Environment env = mux.environment(MuxLab::Master::kAgent);
  OnTerminal ssh({"/usr/bin/ssh", "-F", mux.lab().ssh_config(), "-S", mux.socket(), "-t", "bastion",
                  "bash -c 'trap \"echo size \\$(stty size)\" WINCH; trap \"echo caught; exit 9\" INT; stty size; echo ready; "
                  "while :; do sleep 0.05; done'"},
                 env);
  ASSERT_TRUE(ssh.shows("ready")) << ssh.shown();
  ssh.resize(101, 33);
  EXPECT_TRUE(ssh.shows("size 33 101")) << ssh.shown();
  ssh.type("\x03");
  EXPECT_TRUE(ssh.shows("caught")) << ssh.shown();
  EXPECT_EQ(ssh.exit_status(), 9) << ssh.shown();
}

}  // namespace
}  // namespace jump::test
